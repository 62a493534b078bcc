//! Contexts.
use super::device::number;
use crate::driver::put;
use crate::sim::context;
use crate::sim::process::Process;
use nvshare_abi::*;

fn create(pctx: *mut CUcontext, dev: CUdevice) -> Result<(), CUresult> {
    let handle = Process::get()?.create_context(number(dev)?)?;
    context::push(handle);
    // SAFETY: the caller's pointer, by the promise of each `cuCtxCreate`.
    unsafe { put(pctx, handle as CUcontext) }
}

fn destroy(ctx: CUcontext) -> Result<(), CUresult> {
    if context::current() == ctx as usize {
        context::pop();
    }
    Process::get()?.destroy_context(ctx as usize, false)
}

/// The current context with its device, and the peer, which must be another.
fn peers(peer: CUcontext) -> Result<(usize, usize, usize), CUresult> {
    check(peer as usize, false)?;
    let (context, device) = Process::get()?.context()?;
    let different = context != peer as usize;
    if different { Ok((context, device, peer as usize)) } else { Err(CUresult::ERROR_INVALID_CONTEXT) }
}

/// A primary context can be pushed when it has ended (driver 580.159.04): what is called in it is then refused.
fn push(ctx: CUcontext) -> Result<(), CUresult> {
    if Process::get()?.inner().contexts.primary_on(ctx as usize).is_none() {
        check(ctx as usize, false)?;
    }
    context::push(ctx as usize);
    Ok(())
}

fn pop(pctx: *mut CUcontext) -> Result<(), CUresult> {
    let popped = context::pop().ok_or(CUresult::ERROR_INVALID_CONTEXT)?;
    // SAFETY: the caller's pointer, by the promise of each `cuCtxPopCurrent`.
    if pctx.is_null() { Ok(()) } else { unsafe { put(pctx, popped as CUcontext) } }
}

driver! {
    cuCtxCreate(pctx: *mut CUcontext, _flags: c_uint, dev: CUdevice) |_| { create(pctx, dev) }

    cuCtxCreate_v2(pctx: *mut CUcontext, _flags: c_uint, dev: CUdevice) |_| { create(pctx, dev) }

    cuCtxCreate_v3(pctx: *mut CUcontext, _entries: *mut CUexecAffinityParam, _count: c_int, _flags: c_uint, dev: CUdevice) |_| {
        create(pctx, dev)
    }

    cuCtxCreate_v4(pctx: *mut CUcontext, _creation: *mut CUctxCreateParams, _flags: c_uint, dev: CUdevice) |_| {
        create(pctx, dev)
    }

    cuCtxDestroy(ctx: CUcontext) |_| { destroy(ctx) }

    cuCtxDestroy_v2(ctx: CUcontext) |_| { destroy(ctx) }

    cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) |_| {
        put(pctx, Process::get()?.retain_primary(number(dev)?)? as CUcontext)
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

    cuCtxPushCurrent(ctx: CUcontext) |_| { push(ctx) }

    cuCtxPushCurrent_v2(ctx: CUcontext) |_| { push(ctx) }

    cuCtxPopCurrent(pctx: *mut CUcontext) |_| { pop(pctx) }

    cuCtxPopCurrent_v2(pctx: *mut CUcontext) |_| { pop(pctx) }

    cuCtxGetDevice(device: *mut CUdevice) |_| { put(device, current_device()? as CUdevice) }

    cuCtxRecordEvent(ctx: CUcontext, event: CUevent) |_| {
        Process::get()?.record_context(ctx as usize, event as usize)
    }

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

    cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint) |_| {
        let (context, device, peer) = peers(peer)?;
        if flags != 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Process::get()?.inner().memory.peers.enable(context, device, peer)
    }

    cuCtxDisablePeerAccess(peer: CUcontext) |_| {
        let (context, device, peer) = peers(peer)?;
        Process::get()?.inner().memory.peers.disable(context, device, peer)
    }

    cuCtxSynchronize() |_| {
        let process = Process::get()?;
        let (context, _) = process.context()?;
        process.prohibited()?;
        process.inner().disturb(context)?;
        process.synchronize(context)
    }

    cuCtxSynchronize_v2(ctx: CUcontext) |_| {
        let process = Process::get()?;
        check(ctx as usize, false)?;
        process.prohibited()?;
        process.inner().disturb(ctx as usize)?;
        process.synchronize(ctx as usize)
    }
}

/// The device of the current context. Of a primary one it is told also when that has ended (driver 580.159.04).
fn current_device() -> Result<usize, CUresult> {
    let process = Process::get()?;
    let inner = process.inner();
    match inner.contexts.primary_on(context::current()) {
        Some(device) => Ok(device),
        None => Ok(inner.context()?.1),
    }
}

fn check(context: usize, none_will_do: bool) -> Result<(), CUresult> {
    let live = Process::get()?.inner().contexts.live.contains_key(&context);
    let ok = live || (none_will_do && context == 0);
    if ok { Ok(()) } else { Err(CUresult::ERROR_INVALID_CONTEXT) }
}
