//! Copies in two and three dimensions, from and to arrays, and many at once.
use super::array::integer;
use super::copy::{ANY, Ends, NULL, Shape, WITHIN, When, When::Later, When::Now, copy, line};
use crate::driver::Outcome;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::End;
use nvshare_abi::*;

const HOST: u32 = 1;
const DEVICE: u32 = 2;
const ARRAY: u32 = 3;
const UNIFIED: u32 = 4;

/// One end as descriptions have it.
struct Described {
    kind: u32,
    host: u64,
    device: u64,
    array: CUarray,
    pitch: u64,
    height: u64,
    x: u64,
    y: u64,
    z: u64,
}

impl Described {
    /// The end, and whether it must be an address of the device; `width` and `rows` are those of the copy.
    fn end(&self, width: u64, rows: u64) -> Result<(End, bool), CUresult> {
        let start = match self.kind {
            HOST => self.host,
            DEVICE | UNIFIED => self.device,
            ARRAY => {
                let process = Process::get()?;
                let inner = process.inner();
                let array = inner.arrays.all.get(&(self.array as usize));
                let array = array.ok_or(CUresult::ERROR_INVALID_HANDLE)?;
                return Ok((array.end(self.x, self.y, self.z)?, true));
            }
            _ => return Err(CUresult::ERROR_INVALID_VALUE),
        };
        let pitch = if self.pitch == 0 { width } else { self.pitch };
        let slice = pitch.saturating_mul(if self.height == 0 { rows } else { self.height });
        Ok((End::within(start, [self.x, self.y, self.z], pitch, slice)?, self.kind == DEVICE))
    }
}

/// An end of a description, `src` or `dst` by the names of its fields.
macro_rules! described {
    ($c:ident, $kind:ident, $host:ident, $device:ident, $array:ident, $pitch:ident, $x:ident, $y:ident) => {
        Described {
            kind: integer(&raw const $c.$kind),
            host: $c.$host as u64,
            device: $c.$device,
            array: $c.$array,
            pitch: $c.$pitch as u64,
            height: 0,
            x: $c.$x as u64,
            y: $c.$y as u64,
            z: 0,
        }
    };
}

fn between(
    dst: &Described,
    src: &Described,
    size: [usize; 3],
    named: bool,
) -> Result<(Shape, Ends), CUresult> {
    let [width, height, depth] = size.map(|side| side as u64);
    let ((dst, dst_device), (src, src_device)) = (dst.end(width, height)?, src.end(width, height)?);
    Ok((Shape { dst, src, width, height, depth }, Ends { dst: dst_device, src: src_device, named }))
}

/// # Safety
/// `copy` is null or points to a description.
unsafe fn flat(copy: *const CUDA_MEMCPY2D) -> Result<(Shape, Ends), CUresult> {
    // SAFETY: the caller's promise; fields of the description.
    unsafe {
        let c = copy.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let dst = described!(c, dstMemoryType, dstHost, dstDevice, dstArray, dstPitch, dstXInBytes, dstY);
        let src = described!(c, srcMemoryType, srcHost, srcDevice, srcArray, srcPitch, srcXInBytes, srcY);
        between(&dst, &src, [c.WidthInBytes, c.Height, 1], false)
    }
}

macro_rules! solid {
    ($c:ident, $named:expr) => {{
        let c = $c.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let mut dst = described!(c, dstMemoryType, dstHost, dstDevice, dstArray, dstPitch, dstXInBytes, dstY);
        let mut src = described!(c, srcMemoryType, srcHost, srcDevice, srcArray, srcPitch, srcXInBytes, srcY);
        (dst.height, dst.z) = (c.dstHeight as u64, c.dstZ as u64);
        (src.height, src.z) = (c.srcHeight as u64, c.srcZ as u64);
        between(&dst, &src, [c.WidthInBytes, c.Height, c.Depth], $named)
    }};
}

/// What a description of a copy says.
///
/// # Safety
/// `copy` is null or points to a description.
pub(super) unsafe fn solid(copy: *const CUDA_MEMCPY3D) -> Result<(Shape, Ends), CUresult> {
    // SAFETY: the caller's promise; fields of the description.
    unsafe { solid!(copy, false) }
}

/// # Safety
/// As of [`solid()`].
unsafe fn solid_peer(copy: *const CUDA_MEMCPY3D_PEER) -> Result<(Shape, Ends), CUresult> {
    // SAFETY: as above.
    unsafe { solid!(copy, true) }
}

fn run((shape, ends): (Shape, Ends), stream: CUstream, on: Default, when: When) -> Outcome {
    copy(shape, ends, stream, on, when)
}

/// So many bytes of an array from an offset, as an end of a copy.
fn part(array: CUarray, offset: usize) -> Result<u64, CUresult> {
    let process = Process::get()?;
    let inner = process.inner();
    let array = inner.arrays.all.get(&(array as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
    Ok(array.end(offset as u64, 0, 0)?.at)
}

/// # Safety
/// There are `count` of each.
unsafe fn batch(
    dsts: *const CUdeviceptr,
    srcs: *const CUdeviceptr,
    sizes: *const usize,
    count: usize,
    stream: CUstream,
    on: Default,
) -> Outcome {
    if dsts.is_null() || srcs.is_null() || sizes.is_null() || stream.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    (0..count).try_for_each(|at| unsafe {
        copy(line(*dsts.add(at), *srcs.add(at), *sizes.add(at)), ANY, stream, on, Later)
    })
}

driver! {
    cuMemcpy2D_v2 | cuMemcpy2D_v2_ptds(description: *const CUDA_MEMCPY2D) |on| { run(flat(description)?, NULL, on, Now) }

    cuMemcpy2DUnaligned_v2 | cuMemcpy2DUnaligned_v2_ptds(description: *const CUDA_MEMCPY2D) |on| { run(flat(description)?, NULL, on, Now) }

    cuMemcpy2DAsync_v2 | cuMemcpy2DAsync_v2_ptsz(description: *const CUDA_MEMCPY2D, stream: CUstream) |on| { run(flat(description)?, stream, on, Later) }

    cuMemcpy3D_v2 | cuMemcpy3D_v2_ptds(description: *const CUDA_MEMCPY3D) |on| { run(solid(description)?, NULL, on, Now) }

    cuMemcpy3DAsync_v2 | cuMemcpy3DAsync_v2_ptsz(description: *const CUDA_MEMCPY3D, stream: CUstream) |on| { run(solid(description)?, stream, on, Later) }

    cuMemcpy3DPeer | cuMemcpy3DPeer_ptds(description: *const CUDA_MEMCPY3D_PEER) |on| { run(solid_peer(description)?, NULL, on, Now) }

    cuMemcpy3DPeerAsync | cuMemcpy3DPeerAsync_ptsz(description: *const CUDA_MEMCPY3D_PEER, stream: CUstream) |on| { run(solid_peer(description)?, stream, on, Later) }

    cuMemcpyAtoA_v2 | cuMemcpyAtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUarray, src_offset: usize, bytes: usize) |on| { copy(line(part(dst, dst_offset)?, part(src, src_offset)?, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyAtoD_v2 | cuMemcpyAtoD_v2_ptds(dst: CUdeviceptr, src: CUarray, src_offset: usize, bytes: usize) |on| { copy(line(dst, part(src, src_offset)?, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyDtoA_v2 | cuMemcpyDtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUdeviceptr, bytes: usize) |on| { copy(line(part(dst, dst_offset)?, src, bytes), WITHIN, NULL, on, Now) }

    cuMemcpyAtoH_v2 | cuMemcpyAtoH_v2_ptds(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize) |on| { copy(line(dst as u64, part(src, src_offset)?, bytes), ANY, NULL, on, Now) }

    cuMemcpyAtoHAsync_v2 | cuMemcpyAtoHAsync_v2_ptsz(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize, stream: CUstream) |on| { copy(line(dst as u64, part(src, src_offset)?, bytes), ANY, stream, on, Later) }

    cuMemcpyHtoA_v2 | cuMemcpyHtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize) |on| { copy(line(part(dst, dst_offset)?, src as u64, bytes), ANY, NULL, on, Now) }

    cuMemcpyHtoAAsync_v2 | cuMemcpyHtoAAsync_v2_ptsz(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize, stream: CUstream) |on| { copy(line(part(dst, dst_offset)?, src as u64, bytes), ANY, stream, on, Later) }

    cuMemcpyBatchAsync | cuMemcpyBatchAsync_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, _attrs: *mut CUmemcpyAttributes, _attr_indexes: *mut usize, _attr_count: usize, _failed: *mut usize, stream: CUstream) |on| { batch(dsts, srcs, sizes, count, stream, on) }

    cuMemcpyBatchAsync_v2 | cuMemcpyBatchAsync_v2_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, _attrs: *mut CUmemcpyAttributes, _attr_indexes: *mut usize, _attr_count: usize, stream: CUstream) |on| { batch(dsts, srcs, sizes, count, stream, on) }
}
