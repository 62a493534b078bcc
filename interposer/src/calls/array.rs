//! Arrays: the driver's own memory, counted and never evicted. Only the driver knows their layout.
#![allow(unsafe_code)] // descriptions and results are read through the application's pointers
use crate::dispatch::{BoxedAfter, Disposition};
use crate::memory::Unevictable;
use crate::process::Process;
use nvshare_abi::*;

/// Bytes of one channel, by the format's number in `cuda.h`: 0x01 and 0x08 are of 8 bits, 0x02, 0x09 and 0x10 of 16,
/// the rest taken as 32 (block-compressed formats are less, and are counted too high).
fn channel(format: c_uint) -> u64 {
    match format {
        0x01 | 0x08 => 1,
        0x02 | 0x09 | 0x10 => 2,
        _ => 4,
    }
}

fn bytes(width: usize, height: usize, depth: usize, format: c_uint, channels: c_uint) -> u64 {
    let cells = (width as u64).saturating_mul(height.max(1) as u64).saturating_mul(depth.max(1) as u64);
    cells.saturating_mul(channel(format)).saturating_mul(u64::from(channels))
}

fn counted<T: Copy + Into<Key> + 'static>(
    process: &'static Process,
    made: *mut T,
    bytes: u64,
) -> Disposition<BoxedAfter> {
    let Some(context) = process.contexts.current() else { return Disposition::Passthrough };
    let device = context.device.id;
    let bound = process.limits.bound(context.device.capacity);
    let charge = || process.memory.alloc.charge_with_room(device, bytes, bound);
    if let Err(code) = process.admission.wait().and_then(|()| charge()) {
        return Disposition::Complete(code);
    }
    Disposition::Forward(Box::new(move |result| {
        if result == CUresult::SUCCESS && !made.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            let key: Key = unsafe { *made }.into();
            let context = context.raw();
            process
                .memory
                .ledger
                .add_unevictable(key.0, Unevictable { device, bytes, reason: "arrays", context });
        } else {
            process.memory.ledger.refund(device, bytes);
        }
        process.waker.wake();
        result
    }))
}

/// A handle as a number.
struct Key(usize);
impl From<CUarray> for Key {
    fn from(array: CUarray) -> Self {
        Self(array as usize)
    }
}
impl From<CUmipmappedArray> for Key {
    fn from(array: CUmipmappedArray) -> Self {
        Self(array as usize)
    }
}

pub fn array_create(
    process: &'static Process,
    array: *mut CUarray,
    desc: *const CUDA_ARRAY_DESCRIPTOR,
) -> Disposition<BoxedAfter> {
    // SAFETY: null, or the application's own description.
    let Some(desc) = (unsafe { desc.as_ref() }) else { return Disposition::Passthrough };
    // SAFETY: an enumeration of four bytes, read as the integer that it is in C.
    let format = unsafe { (&raw const desc.Format).cast::<c_uint>().read() };
    counted(process, array, bytes(desc.Width, desc.Height, 1, format, desc.NumChannels))
}

fn array3d(desc: *const CUDA_ARRAY3D_DESCRIPTOR) -> Option<u64> {
    // SAFETY: null, or the application's own description.
    let desc = unsafe { desc.as_ref() }?;
    // SAFETY: an enumeration of four bytes, read as the integer that it is in C.
    let format = unsafe { (&raw const desc.Format).cast::<c_uint>().read() };
    Some(bytes(desc.Width, desc.Height, desc.Depth, format, desc.NumChannels))
}

pub fn array3d_create(
    process: &'static Process,
    array: *mut CUarray,
    desc: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> Disposition<BoxedAfter> {
    let Some(bytes) = array3d(desc) else { return Disposition::Passthrough };
    counted(process, array, bytes)
}

/// All levels together are at most a third more than the first.
pub fn mipmap_create(
    process: &'static Process,
    array: *mut CUmipmappedArray,
    desc: *const CUDA_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> Disposition<BoxedAfter> {
    let Some(bytes) = array3d(desc) else { return Disposition::Passthrough };
    counted(process, array, if levels > 1 { bytes.saturating_add(bytes / 3) } else { bytes })
}

/// The driver frees the memory behind a handle, unless it refuses. The count is changed before, because afterwards the
/// handle may be given to another allocation at once.
pub(super) fn uncounted(
    process: &'static Process,
    key: usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let freeing = process.memory.ledger.detach_unevictable(key);
    Disposition::Forward(move |result| {
        if let Some(freeing) = freeing {
            freeing.settle(result == CUresult::SUCCESS);
        }
        process.waker.wake();
        result
    })
}

pub fn array_destroy(
    process: &'static Process,
    array: CUarray,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    uncounted(process, array as usize)
}

pub fn mipmap_destroy(
    process: &'static Process,
    array: CUmipmappedArray,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    uncounted(process, array as usize)
}
