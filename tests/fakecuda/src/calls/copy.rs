//! Linear copies and fills.
use crate::driver::Outcome;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::{self, End, Work};
use nvshare_abi::*;

/// Whether the call returns before the work is done.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum When {
    Now,
    Later,
}
use When::{Later, Now};

/// Two ends, and the rows and slices between them.
pub(super) struct Shape {
    pub dst: End,
    pub src: End,
    pub width: u64,
    pub height: u64,
    pub depth: u64,
}

pub(super) fn line(dst: u64, src: u64, bytes: usize) -> Shape {
    let end = |at| End { at, pitch: 0, slice: 0 };
    Shape { dst: end(dst), src: end(src), width: bytes as u64, height: 1, depth: 1 }
}

/// Which ends of a copy are device addresses, and must be allocated.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub dst: bool,
    pub src: bool,
    /// Whether the call names the contexts of both.
    pub named: bool,
}
const IN: Ends = Ends { dst: true, src: false, named: false };
const OUT: Ends = Ends { dst: false, src: true, named: false };
pub(super) const WITHIN: Ends = Ends { dst: true, src: true, named: false };
const PEER: Ends = Ends { named: true, ..WITHIN };
/// Unified addresses: either end may be anything.
pub(super) const ANY: Ends = Ends { dst: false, src: false, named: false };

/// The work of a copy that moves anything.
///
/// # Errors
/// `INVALID_VALUE` where a device's end is not there.
pub(super) fn work(shape: &Shape, ends: Ends) -> Result<Work, CUresult> {
    let Shape { dst, src, width, height, depth } = *shape;
    let process = Process::get()?;
    let inner = process.inner();
    let missing = |end: End| !inner.memory.covers(end.at, end.span(width, height, depth));
    if (ends.dst && missing(dst)) || (ends.src && missing(src)) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    let pageable = inner.memory.is_unknown(dst.at) || inner.memory.is_unknown(src.at);
    let direction = work::direction(&inner.memory, dst.at, src.at);
    Ok(Work::Copy { dst, src, width, height, depth, direction, pageable, named: ends.named })
}

pub(super) fn copy(shape: Shape, ends: Ends, stream: CUstream, on: Default, when: When) -> Outcome {
    let process = Process::get()?;
    if stream.is_null() {
        process.context()?;
    }
    if shape.width == 0 || shape.height == 0 || shape.depth == 0 {
        return Ok(());
    }
    let work = work(&shape, ends)?;
    let pageable = matches!(work, Work::Copy { pageable: true, .. });
    submit(process, work, stream, on, if pageable { Now } else { when }, when)
}

/// The work of a fill that fills anything.
///
/// # Errors
/// `INVALID_VALUE` where it is not there, or not aligned.
pub(super) fn filling(
    dst: u64,
    pitch: u64,
    value: u32,
    unit: u64,
    width: u64,
    height: u64,
) -> Result<Work, CUresult> {
    let bytes = work::span(pitch, width.saturating_mul(unit), height);
    let there = Process::get()?.inner().memory.covers(dst, bytes);
    if !there || !dst.is_multiple_of(unit) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    Ok(Work::Set { dst, pitch, value, unit, width, height })
}

fn set(
    dst: u64,
    pitch: usize,
    value: u32,
    unit: u64,
    (width, height): (usize, usize),
    stream: CUstream,
    on: Default,
    when: When,
) -> Outcome {
    let process = Process::get()?;
    if stream.is_null() {
        process.context()?;
    }
    let (pitch, width, height) = (pitch as u64, width as u64, height as u64);
    if width == 0 || height == 0 {
        return Ok(());
    }
    submit(process, filling(dst, pitch, value, unit, width, height)?, stream, on, when, when)
}

/// Submits; waits where the call is synchronous, or the memory pageable: a real driver has copied pageable
/// memory, or staged it, when such a call returns.
fn submit(process: &Process, work: Work, stream: CUstream, on: Default, when: When, asked: When) -> Outcome {
    if asked == Now {
        process.prohibited()?;
    }
    match process.submit(stream as usize, on, work)? {
        Some(mark) if when == Now => process.wait_for(&[mark]),
        _ => Ok(()),
    }
}

/// The null stream: which one that is, `on` says.
pub(super) const NULL: CUstream = std::ptr::null_mut();

driver! {
    cuMemcpy | cuMemcpy_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst, src, bytes), ANY, NULL, on, Now) }

    cuMemcpyAsync | cuMemcpyAsync_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), ANY, stream, on, Later) }

    cuMemcpyHtoD_v2 | cuMemcpyHtoD_v2_ptds(dst: CUdeviceptr, src: *const c_void, bytes: usize) |on| { copy(line(dst, src as u64, bytes), IN, NULL, on, Now) }

    cuMemcpyHtoDAsync_v2 | cuMemcpyHtoDAsync_v2_ptsz(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) |on| { copy(line(dst, src as u64, bytes), IN, stream, on, Later) }

    cuMemcpyDtoH_v2 | cuMemcpyDtoH_v2_ptds(dst: *mut c_void, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst as u64, src, bytes), OUT, NULL, on, Now) }

    cuMemcpyDtoHAsync_v2 | cuMemcpyDtoHAsync_v2_ptsz(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst as u64, src, bytes), OUT, stream, on, Later) }

    cuMemcpyDtoD_v2 | cuMemcpyDtoD_v2_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst, src, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyDtoDAsync_v2 | cuMemcpyDtoDAsync_v2_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), WITHIN, stream, on, Later) }

    cuMemcpyPeer | cuMemcpyPeer_ptds(dst: CUdeviceptr, _dst_ctx: CUcontext, src: CUdeviceptr, _src_ctx: CUcontext, bytes: usize) |on| { copy(line(dst, src, bytes), PEER, NULL, on, Now) }

    cuMemcpyPeerAsync | cuMemcpyPeerAsync_ptsz(dst: CUdeviceptr, _dst_ctx: CUcontext, src: CUdeviceptr, _src_ctx: CUcontext, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), PEER, stream, on, Later) }

    cuMemsetD8_v2 | cuMemsetD8_v2_ptds(dst: CUdeviceptr, value: c_uchar, n: usize) |on| { set(dst, 0, value.into(), 1, (n, 1), NULL, on, Now) }

    cuMemsetD8Async | cuMemsetD8Async_ptsz(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream) |on| { set(dst, 0, value.into(), 1, (n, 1), stream, on, Later) }

    cuMemsetD2D8_v2 | cuMemsetD2D8_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize) |on| { set(dst, pitch, value.into(), 1, (width, height), NULL, on, Now) }

    cuMemsetD2D8Async | cuMemsetD2D8Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream) |on| { set(dst, pitch, value.into(), 1, (width, height), stream, on, Later) }

    cuMemsetD16_v2 | cuMemsetD16_v2_ptds(dst: CUdeviceptr, value: c_ushort, n: usize) |on| { set(dst, 0, value.into(), 2, (n, 1), NULL, on, Now) }

    cuMemsetD16Async | cuMemsetD16Async_ptsz(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream) |on| { set(dst, 0, value.into(), 2, (n, 1), stream, on, Later) }

    cuMemsetD2D16_v2 | cuMemsetD2D16_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize) |on| { set(dst, pitch, value.into(), 2, (width, height), NULL, on, Now) }

    cuMemsetD2D16Async | cuMemsetD2D16Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream) |on| { set(dst, pitch, value.into(), 2, (width, height), stream, on, Later) }

    cuMemsetD32_v2 | cuMemsetD32_v2_ptds(dst: CUdeviceptr, value: c_uint, n: usize) |on| { set(dst, 0, value, 4, (n, 1), NULL, on, Now) }

    cuMemsetD32Async | cuMemsetD32Async_ptsz(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream) |on| { set(dst, 0, value, 4, (n, 1), stream, on, Later) }

    cuMemsetD2D32_v2 | cuMemsetD2D32_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize) |on| { set(dst, pitch, value, 4, (width, height), NULL, on, Now) }

    cuMemsetD2D32Async | cuMemsetD2D32Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream) |on| { set(dst, pitch, value, 4, (width, height), stream, on, Later) }
}
