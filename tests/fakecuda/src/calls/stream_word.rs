//! Words that streams write and wait for, callbacks of the old kind, and what managed memory is attached to.
use crate::driver::Outcome;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::Work;
use nvshare_abi::*;

fn write(at: CUdeviceptr, value: u64, wide: bool, stream: CUstream, on: Default) -> Outcome {
    submit(at, Work::Write { at, value, wide }, stream, on)
}

fn wait(at: CUdeviceptr, value: u64, wide: bool, flags: c_uint, stream: CUstream, on: Default) -> Outcome {
    submit(at, Work::Await { at, value, wide, how: flags & 3 }, stream, on)
}

fn submit(at: CUdeviceptr, work: Work, stream: CUstream, on: Default) -> Outcome {
    let process = Process::get()?;
    if !process.inner().memory.covers(at, 4) || !at.is_multiple_of(4) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    process.submit(stream as usize, on, work).map(|_| ())
}

/// The members that waits and writes have in common.
#[repr(C)]
struct Operation {
    kind: u32,
    address: u64,
    value: u64,
    flags: u32,
    alias: u64,
}

/// # Safety
/// There are `count` operations.
unsafe fn batch(
    stream: CUstream,
    count: c_uint,
    ops: *const CUstreamBatchMemOpParams,
    on: Default,
) -> Outcome {
    if ops.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    (0..count as usize).try_for_each(|at| {
        // SAFETY: the caller's promise; the union's first members are those of `Operation`.
        let op = unsafe { &*ops.add(at).cast::<Operation>() };
        let narrow = op.value & u64::from(u32::MAX);
        match op.kind {
            1 => wait(op.address, narrow, false, op.flags, stream, on),
            2 => write(op.address, narrow, false, stream, on),
            4 => wait(op.address, op.value, true, op.flags, stream, on),
            5 => write(op.address, op.value, true, stream, on),
            // Barriers: the operations of a stream are in order anyway.
            3 | 6 => Ok(()),
            _ => Err(CUresult::ERROR_INVALID_VALUE),
        }
    })
}

driver! {
    cuStreamWriteValue32_v2 | cuStreamWriteValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, _flags: c_uint) |on| { write(addr, value.into(), false, stream, on) }

    cuStreamWriteValue64_v2 | cuStreamWriteValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, _flags: c_uint) |on| { write(addr, value, true, stream, on) }

    cuStreamWaitValue32_v2 | cuStreamWaitValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) |on| { wait(addr, value.into(), false, flags, stream, on) }

    cuStreamWaitValue64_v2 | cuStreamWaitValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) |on| { wait(addr, value, true, flags, stream, on) }

    cuStreamBatchMemOp_v2 | cuStreamBatchMemOp_v2_ptsz(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, _flags: c_uint) |on| { batch(stream, count, ops, on) }

    cuStreamAddCallback | cuStreamAddCallback_ptsz(stream: CUstream, function: CUstreamCallback, data: *mut c_void, _flags: c_uint) |on| {
        let work = Work::Callback { function, stream: stream as usize, data: data as usize };
        Process::get()?.submit(stream as usize, on, work).map(|_| ())
    }

    cuStreamAttachMemAsync | cuStreamAttachMemAsync_ptsz(stream: CUstream, dptr: CUdeviceptr, _bytes: usize, flags: c_uint) |on| {
        let process = Process::get()?;
        let managed = process.inner().memory.blocks(dptr, 1).is_some();
        if !managed || !matches!(flags, 1 | 2 | 4) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        process.submit(stream as usize, on, Work::Nothing).map(|_| ())
    }
}
