//! Contexts: made, retained, destroyed, reset, and their access to peers.
#![allow(unsafe_code)] // results are read through the application's pointers
use crate::dispatch::Disposition;
use crate::driver;
use crate::driver::contexts::DetachedContext;
use crate::driver::device::is_primary_active;
use crate::driver::teardown;
use crate::memory::share::ContextImports;
use crate::memory::{AccessScope, ContextMemory};
use crate::process::Process;
use crate::sys::detached::Detached;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;

/// Notes the context that the driver has made or given, by `note`.
fn note_context(
    process: &'static Process,
    pctx: *mut CUcontext,
    note: impl FnOnce(&Process, CUcontext),
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS && !pctx.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            note(process, unsafe { *pctx });
        }
        result
    })
}

pub fn context_create(
    process: &'static Process,
    pctx: *mut CUcontext,
    device: CUdevice,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    note_context(process, pctx, move |process, context| process.contexts.add(context, device))
}

pub fn primary_retain(
    process: &'static Process,
    pctx: *mut CUcontext,
    device: CUdevice,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    note_context(process, pctx, move |process, context| process.contexts.retain_primary(context, device))
}

/// A context that the driver is asked to end, and all that ends with it, detached.
struct EndingContext {
    raw: usize,
    context: Option<Detached<DetachedContext<'static>>>,
    memory: Detached<ContextMemory<'static>>,
    imports: Detached<ContextImports<'static>>,
    /// A turn does not end before the driver has answered: until then the context's kernels may run.
    _ending: teardown::Ending<'static>,
}

impl EndingContext {
    /// A context by its handle, whether it is known or not.
    fn of_handle(process: &'static Process, raw: usize) -> Self {
        let ending = process.contexts.endings.begin();
        let context = process.contexts.detach(raw as CUcontext);
        Self::of(process, raw, context, ending, false)
    }

    /// A device's primary context, and all that the device has; none if there is none.
    fn primary(process: &'static Process, device: CUdevice) -> Option<Self> {
        let ending = process.contexts.endings.begin();
        let (raw, context) = process.contexts.detach_primary(device)?;
        Some(Self::of(process, raw, Some(context), ending, true))
    }

    /// Once the context is taken out nothing of ours works in it any more.
    fn of(
        process: &'static Process,
        raw: usize,
        context: Option<Detached<DetachedContext<'static>>>,
        _ending: teardown::Ending<'static>,
        reset: bool,
    ) -> Self {
        let memory = process.memory.teardown.detach(raw, reset);
        let imports = process.memory.ipc.detach_context(raw);
        Self { raw, context, memory, imports, _ending }
    }

    /// The driver has answered; `gone`: the context is no more.
    fn settle(self, process: &Process, gone: bool) {
        self.memory.settle(gone);
        self.imports.settle(gone);
        if let Some(context) = self.context {
            context.settle(gone);
        }
        if gone {
            process.captures.forget(self.raw);
        }
        process.waker.wake();
    }
}

pub fn context_destroy(
    process: &'static Process,
    context: CUcontext,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let ending = EndingContext::of_handle(process, context as usize);
    Disposition::Forward(move |result| {
        ending.settle(process, result == CUresult::SUCCESS);
        result
    })
}

/// The primary context ends with its last user. It lives on if there is one that we did not see.
pub fn primary_release(
    process: &'static Process,
    device: CUdevice,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    if !process.contexts.is_last_user(device) {
        return Disposition::Passthrough;
    }
    primary_ended(process, device, move || !is_primary_active(device))
}

pub fn primary_reset(
    process: &'static Process,
    device: CUdevice,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    primary_ended(process, device, || true)
}

fn primary_ended(
    process: &'static Process,
    device: CUdevice,
    is_gone: impl FnOnce() -> bool,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let Some(ending) = EndingContext::primary(process, device) else { return Disposition::Passthrough };
    Disposition::Forward(move |result| {
        ending.settle(process, result == CUresult::SUCCESS && is_gone());
        process.pools.forget_current();
        result
    })
}

/// Notes that the context ends with the green one. The context itself is noted with the first call in it.
pub fn context_from_green(
    process: &'static Process,
    pctx: *mut CUcontext,
    green: CUgreenCtx,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS && !pctx.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            process.contexts.add_green(green, unsafe { *pctx });
        }
        result
    })
}

pub fn green_context_destroy(
    process: &'static Process,
    green: CUgreenCtx,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let of_it = process.contexts.of_green(green).into_iter();
    let endings: Vec<_> = of_it.map(|raw| EndingContext::of_handle(process, raw)).collect();
    Disposition::Forward(move |result| {
        let gone = result == CUresult::SUCCESS;
        endings.into_iter().for_each(|ending| ending.settle(process, gone));
        if gone {
            process.contexts.forget_green(green);
        }
        result
    })
}

/// The current context may use the memory of another. The driver lets it use the driver's memory. To pieces of ours, access
/// is given by device.
pub fn peer_enable(
    process: &'static Process,
    peer: CUcontext,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result != CUresult::SUCCESS {
            return result;
        }
        let Some((by, owner, guest)) = peers(process, peer) else { return result };
        match process.memory.ledger.grant_access(by, owner, guest) {
            Ok(()) => result,
            Err(code) => {
                // SAFETY: enabled by the call that has just succeeded.
                unsafe { driver::cuCtxDisablePeerAccess(peer) };
                code
            }
        }
    })
}

pub fn peer_disable(
    process: &'static Process,
    peer: CUcontext,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS
            && let Some((by, owner, guest)) = peers(process, peer)
        {
            process.memory.ledger.revoke_access(by, owner, guest);
        }
        result
    })
}

/// The scope of the access, the device that has the memory, and the device that is to use it. None if they are the same.
fn peers(process: &Process, peer: CUcontext) -> Option<(AccessScope, DeviceId, CUdevice)> {
    let (user, owner) = (process.contexts.current()?, process.contexts.known(peer)?);
    let by = AccessScope::Contexts { user: user.raw(), owner: owner.raw() };
    (user.device.id != owner.device.id).then_some((by, owner.device.id, user.device.ordinal))
}
