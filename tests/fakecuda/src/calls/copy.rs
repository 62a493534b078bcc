//! Copies and fills. Those from and to arrays, in three dimensions and in batches are not simulated.
use crate::driver::Outcome;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::{self, Work};
use nvshare_abi::*;

/// Whether the call returns before the work is done.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Now,
    Later,
}
use When::{Later, Now};

struct Rect {
    dst: u64,
    dst_pitch: u64,
    src: u64,
    src_pitch: u64,
    width: u64,
    height: u64,
}

fn line(dst: u64, src: u64, bytes: usize) -> Rect {
    Rect { dst, dst_pitch: 0, src, src_pitch: 0, width: bytes as u64, height: 1 }
}

/// Which ends of a copy are device addresses, and must be allocated.
#[derive(Clone, Copy)]
struct Ends {
    dst: bool,
    src: bool,
}
const IN: Ends = Ends { dst: true, src: false };
const OUT: Ends = Ends { dst: false, src: true };
const WITHIN: Ends = Ends { dst: true, src: true };
/// Unified addresses: either end may be anything.
const ANY: Ends = Ends { dst: false, src: false };

fn copy(rect: Rect, ends: Ends, stream: CUstream, on: Default, when: When) -> Outcome {
    let Rect { dst, dst_pitch, src, src_pitch, width, height } = rect;
    let process = Process::get()?;
    process.context()?;
    if width == 0 || height == 0 {
        return Ok(());
    }
    let (direction, pageable) = {
        let inner = process.inner();
        let span = |pitch: u64| pitch * (height - 1) + width;
        let missing = |at, pitch| !inner.memory.covers(at, span(pitch));
        if (ends.dst && missing(dst, dst_pitch)) || (ends.src && missing(src, src_pitch)) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let pageable = inner.memory.find(dst).is_none() || inner.memory.find(src).is_none();
        (work::direction(&inner.memory, dst, src), pageable)
    };
    let work = Work::Copy { dst, dst_pitch, src, src_pitch, width, height, direction };
    submit(process, work, stream, on, if pageable { Now } else { when }, when)
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
    process.context()?;
    let (pitch, width, height) = (pitch as u64, width as u64, height as u64);
    if width == 0 || height == 0 {
        return Ok(());
    }
    if !process.inner().memory.covers(dst, pitch * (height - 1) + width * unit) || !dst.is_multiple_of(unit) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    let work = Work::Set { dst, pitch, value, unit, width, height };
    submit(process, work, stream, on, when, when)
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

/// A 2D copy's description as a rectangle of addresses; arrays are not simulated.
///
/// # Safety
/// `copy` points to a description.
unsafe fn rect(copy: *const CUDA_MEMCPY2D) -> Result<(Rect, Ends), CUresult> {
    // SAFETY: the caller's promise; the memory types are read as integers, as a caller may pass any.
    let (c, dst_type, src_type) = unsafe {
        let kind = |at: *const _| -> u32 { std::ptr::read(at as *const u32) };
        let dst = kind(std::ptr::addr_of!((*copy).dstMemoryType).cast::<c_void>());
        (copy, dst, kind(std::ptr::addr_of!((*copy).srcMemoryType).cast()))
    };
    let end = |kind: u32, host: u64, device: u64| match kind {
        1 => Ok((host, false)),
        2 => Ok((device, true)),
        4 => Ok((device, false)),
        _ => Err(CUresult::ERROR_NOT_SUPPORTED),
    };
    // SAFETY: plain fields of the description.
    unsafe {
        let (dst, dst_device) = end(dst_type, (*c).dstHost as u64, (*c).dstDevice)?;
        let (src, src_device) = end(src_type, (*c).srcHost as u64, (*c).srcDevice)?;
        let (width, height) = ((*c).WidthInBytes as u64, (*c).Height as u64);
        let pitch = |pitch: usize| if pitch == 0 { width } else { pitch as u64 };
        let (dst_pitch, src_pitch) = (pitch((*c).dstPitch), pitch((*c).srcPitch));
        let dst = dst + (*c).dstY as u64 * dst_pitch + (*c).dstXInBytes as u64;
        let src = src + (*c).srcY as u64 * src_pitch + (*c).srcXInBytes as u64;
        Ok((
            Rect { dst, dst_pitch, src, src_pitch, width, height },
            Ends { dst: dst_device, src: src_device },
        ))
    }
}

/// The null stream: which one that is, `on` says.
const NULL: CUstream = std::ptr::null_mut();

driver! {
    cuMemcpy | cuMemcpy_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst, src, bytes), ANY, NULL, on, Now) }

    cuMemcpyAsync | cuMemcpyAsync_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), ANY, stream, on, Later) }

    cuMemcpyHtoD_v2 | cuMemcpyHtoD_v2_ptds(dst: CUdeviceptr, src: *const c_void, bytes: usize) |on| { copy(line(dst, src as u64, bytes), IN, NULL, on, Now) }

    cuMemcpyHtoDAsync_v2 | cuMemcpyHtoDAsync_v2_ptsz(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) |on| { copy(line(dst, src as u64, bytes), IN, stream, on, Later) }

    cuMemcpyDtoH_v2 | cuMemcpyDtoH_v2_ptds(dst: *mut c_void, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst as u64, src, bytes), OUT, NULL, on, Now) }

    cuMemcpyDtoHAsync_v2 | cuMemcpyDtoHAsync_v2_ptsz(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst as u64, src, bytes), OUT, stream, on, Later) }

    cuMemcpyDtoD_v2 | cuMemcpyDtoD_v2_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) |on| { copy(line(dst, src, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyDtoDAsync_v2 | cuMemcpyDtoDAsync_v2_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), WITHIN, stream, on, Later) }

    cuMemcpyPeer | cuMemcpyPeer_ptds(dst: CUdeviceptr, _dst_ctx: CUcontext, src: CUdeviceptr, _src_ctx: CUcontext, bytes: usize) |on| { copy(line(dst, src, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyPeerAsync | cuMemcpyPeerAsync_ptsz(dst: CUdeviceptr, _dst_ctx: CUcontext, src: CUdeviceptr, _src_ctx: CUcontext, bytes: usize, stream: CUstream) |on| { copy(line(dst, src, bytes), WITHIN, stream, on, Later) }

    cuMemcpy2D_v2 | cuMemcpy2D_v2_ptds(description: *const CUDA_MEMCPY2D) |on| { let (rect, ends) = rect(description)?; copy(rect, ends, NULL, on, Now) }

    cuMemcpy2DUnaligned_v2 | cuMemcpy2DUnaligned_v2_ptds(description: *const CUDA_MEMCPY2D) |on| { let (rect, ends) = rect(description)?; copy(rect, ends, NULL, on, Now) }

    cuMemcpy2DAsync_v2 | cuMemcpy2DAsync_v2_ptsz(description: *const CUDA_MEMCPY2D, stream: CUstream) |on| { let (rect, ends) = rect(description)?; copy(rect, ends, stream, on, Later) }

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
