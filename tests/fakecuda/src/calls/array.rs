//! Arrays come and go, and say what they are.
use crate::driver::put;
use crate::sim::array::Shape;
use crate::sim::process::Process;
use nvshare_abi::*;

/// An enumeration of `cuda-driver-sys` as the integer that it is in C.
///
/// # Safety
/// `at` points to four bytes.
pub(super) unsafe fn integer<T>(at: *const T) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { at.cast::<u32>().read() }
}

/// # Safety
/// `desc` is null or points to a description.
unsafe fn plane(desc: *const CUDA_ARRAY_DESCRIPTOR) -> Result<Shape, CUresult> {
    // SAFETY: the caller's promise.
    let d = unsafe { desc.as_ref() }.ok_or(CUresult::ERROR_INVALID_VALUE)?;
    // SAFETY: a field of a description.
    let format = unsafe { integer(&raw const d.Format) };
    let (width, height) = (d.Width as u64, d.Height as u64);
    Ok(Shape { width, height, depth: 0, format, channels: d.NumChannels, flags: 0 })
}

/// # Safety
/// `desc` is null or points to a description.
unsafe fn solid(desc: *const CUDA_ARRAY3D_DESCRIPTOR) -> Result<Shape, CUresult> {
    // SAFETY: the caller's promise.
    let d = unsafe { desc.as_ref() }.ok_or(CUresult::ERROR_INVALID_VALUE)?;
    // SAFETY: a field of a description.
    let format = unsafe { integer(&raw const d.Format) };
    let (width, height, depth) = (d.Width as u64, d.Height as u64, d.Depth as u64);
    Ok(Shape { width, height, depth, format, channels: d.NumChannels, flags: d.Flags })
}

fn shape(array: CUarray) -> Result<Shape, CUresult> {
    let process = Process::get()?;
    let inner = process.inner();
    inner.arrays.all.get(&(array as usize)).map(|array| array.shape).ok_or(CUresult::ERROR_INVALID_HANDLE)
}

driver! {
    cuArrayCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY_DESCRIPTOR) |_| {
        put(array, Process::get()?.create_array(plane(desc)?, None)? as CUarray)
    }

    cuArray3DCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY3D_DESCRIPTOR) |_| {
        put(array, Process::get()?.create_array(solid(desc)?, None)? as CUarray)
    }

    cuArrayDestroy(array: CUarray) |_| { Process::get()?.destroy_array(array as usize, None) }

    cuArrayGetDescriptor_v2(desc: *mut CUDA_ARRAY_DESCRIPTOR, array: CUarray) |_| {
        let shape = shape(array)?;
        if desc.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        (*desc).Width = shape.width as usize;
        (*desc).Height = shape.height as usize;
        (&raw mut (*desc).Format).cast::<u32>().write(shape.format);
        (*desc).NumChannels = shape.channels;
        Ok(())
    }

    cuArray3DGetDescriptor_v2(desc: *mut CUDA_ARRAY3D_DESCRIPTOR, array: CUarray) |_| {
        let shape = shape(array)?;
        if desc.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        (*desc).Width = shape.width as usize;
        (*desc).Height = shape.height as usize;
        (*desc).Depth = shape.depth as usize;
        (&raw mut (*desc).Format).cast::<u32>().write(shape.format);
        (*desc).NumChannels = shape.channels;
        (*desc).Flags = shape.flags;
        Ok(())
    }

    cuMipmappedArrayCreate(array: *mut CUmipmappedArray, desc: *const CUDA_ARRAY3D_DESCRIPTOR, levels: c_uint) |_| {
        put(array, Process::get()?.create_mipmap(solid(desc)?, levels)? as CUmipmappedArray)
    }

    cuMipmappedArrayDestroy(array: CUmipmappedArray) |_| { Process::get()?.destroy_mipmap(array as usize) }

    cuMipmappedArrayGetLevel(level: *mut CUarray, array: CUmipmappedArray, number: c_uint) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let levels = inner.arrays.mipmaps.get(&(array as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        put(level, *levels.get(number as usize).ok_or(CUresult::ERROR_INVALID_VALUE)? as CUarray)
    }
}
