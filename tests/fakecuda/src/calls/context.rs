//! Contexts.
use super::device::number;
use crate::driver::put;
use crate::sim::context;
use crate::sim::process::Process;
use nvshare_abi::*;

fn create(pctx: *mut CUcontext, dev: CUdevice) -> Result<(), CUresult> {
    let handle = Process::get()?.create_context(number(dev)?);
    context::push(handle);
    // SAFETY: the caller's pointer, by the promise of each `cuCtxCreate`.
    unsafe { put(pctx, handle as CUcontext) }
}

driver! {
    cuCtxCreate_v2(pctx: *mut CUcontext, _flags: c_uint, dev: CUdevice) |_| { create(pctx, dev) }

    cuCtxCreate_v3(pctx: *mut CUcontext, _entries: *mut CUexecAffinityParam, _count: c_int, _flags: c_uint, dev: CUdevice) |_| {
        create(pctx, dev)
    }

    cuCtxCreate_v4(pctx: *mut CUcontext, _creation: *mut CUctxCreateParams, _flags: c_uint, dev: CUdevice) |_| {
        create(pctx, dev)
    }

    cuCtxDestroy_v2(ctx: CUcontext) |_| {
        if context::current() == ctx as usize {
            context::pop();
        }
        Process::get()?.destroy_context(ctx as usize)
    }

    cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) |_| {
        put(pctx, Process::get()?.retain_primary(number(dev)?) as CUcontext)
    }

    cuDevicePrimaryCtxRelease(dev: CUdevice) |_| { Process::get()?.release_primary(number(dev)?) }

    cuDevicePrimaryCtxRelease_v2(dev: CUdevice) |_| { Process::get()?.release_primary(number(dev)?) }

    cuDevicePrimaryCtxReset(dev: CUdevice) |_| { Process::get()?.reset_primary(number(dev)?) }

    cuDevicePrimaryCtxReset_v2(dev: CUdevice) |_| { Process::get()?.reset_primary(number(dev)?) }

    cuCtxGetCurrent(pctx: *mut CUcontext) |_| { put(pctx, context::current() as CUcontext) }

    cuCtxSetCurrent(ctx: CUcontext) |_| {
        check(ctx as usize, true)?;
        context::set_current(ctx as usize);
        Ok(())
    }

    cuCtxPushCurrent_v2(ctx: CUcontext) |_| {
        check(ctx as usize, false)?;
        context::push(ctx as usize);
        Ok(())
    }

    cuCtxPopCurrent_v2(pctx: *mut CUcontext) |_| {
        let popped = context::pop().ok_or(CUresult::ERROR_INVALID_CONTEXT)?;
        if pctx.is_null() { Ok(()) } else { put(pctx, popped as CUcontext) }
    }

    cuCtxGetDevice(device: *mut CUdevice) |_| { put(device, Process::get()?.context()?.1 as CUdevice) }

    cuCtxGetApiVersion(ctx: CUcontext, version: *mut c_uint) |_| {
        check(ctx as usize, true)?;
        put(version, 3020)
    }

    cuCtxGetFlags(flags: *mut c_uint) |_| {
        Process::get()?.context()?;
        put(flags, 0)
    }

    cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) |_| {
        Process::get()?.context()?;
        put(least, 0)?;
        put(greatest, -5)
    }

    cuCtxSynchronize() |_| {
        let process = Process::get()?;
        let (context, _) = process.context()?;
        process.prohibited()?;
        process.synchronize(context)
    }

    cuCtxSynchronize_v2(ctx: CUcontext) |_| {
        let process = Process::get()?;
        check(ctx as usize, false)?;
        process.prohibited()?;
        process.synchronize(ctx as usize)
    }
}

fn check(context: usize, none_will_do: bool) -> Result<(), CUresult> {
    let live = Process::get()?.inner().contexts.live.contains_key(&context);
    let ok = live || (none_will_do && context == 0);
    if ok { Ok(()) } else { Err(CUresult::ERROR_INVALID_CONTEXT) }
}
