//! Work for the GPU, which waits for the grant.
#![allow(unsafe_code)] // a launch's configuration is read through the application's pointer
use super::stream::{effective, is_captured};
use crate::dispatch::{Call, Disposition};
use crate::gate::InFlight;
use crate::process::Process;
use nvshare_abi::*;

/// Work for the GPU: it waits for the grant, and is in flight until the driver has taken it.
#[inline]
pub fn submit(process: &'static Process) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    after_grant(process, || None)
}

/// Work in a stream.
#[inline]
pub fn submit_in(call: Call, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    after_grant(call.process, move || Some(effective(call.entry, stream)))
}

/// A launch with a configuration.
#[inline]
pub fn submit_config(
    call: Call,
    config: *const CUlaunchConfig,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    after_grant(call.process, move || {
        // SAFETY: null, or the application's own configuration of the launch.
        let config = unsafe { config.as_ref() };
        config.map(|config| effective(call.entry, config.hStream))
    })
}

#[inline]
fn after_grant(
    process: &'static Process,
    stream: impl FnOnce() -> Option<CUstream>,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let in_flight = match process.gate.try_enter() {
        Some(in_flight) => in_flight,
        None => match wait_for_grant(process, stream) {
            Ok(Some(in_flight)) => in_flight,
            Ok(None) => return Disposition::Passthrough,
            Err(code) => return Disposition::Complete(code),
        },
    };
    Disposition::Forward(move |result| {
        drop(in_flight);
        result
    })
}

/// Waits for the grant. None: the call need not wait. Without any context the driver refuses the work itself. What is
/// captured becomes work only when its graph is launched, and a revocation waits for the capture's end.
///
/// # Errors
/// `SYSTEM_NOT_READY` where the scheduler does not admit this process and calls are to fail.
#[cold]
pub(super) fn wait_for_grant(
    process: &Process,
    stream: impl FnOnce() -> Option<CUstream>,
) -> Result<Option<InFlight<'_>>, CUresult> {
    if process.captures.any() && stream().is_some_and(is_captured) {
        return Ok(None);
    }
    if process.contexts.current().is_none() && process.contexts.is_empty() {
        return Ok(None);
    }
    wait_at_gate(process).map(Some)
}

/// Waits at the gate, whatever the call is.
///
/// # Errors
/// As of [`wait_for_grant`].
fn wait_at_gate(process: &Process) -> Result<InFlight<'_>, CUresult> {
    let in_flight = process.gate.enter_or_give_up(|| process.waker.wake(), || process.admission.fails());
    in_flight.ok_or(CUresult::ERROR_SYSTEM_NOT_READY)
}

/// Waits for the grant, for a call that needs memory to be resident. That needs no context: memory made without one is
/// placed with the grant, and memory that has outlived its context comes back. None if calls are to fail.
pub(super) fn wait_for_memory(process: &Process) -> Option<InFlight<'_>> {
    process.gate.try_enter().or_else(|| wait_at_gate(process).ok())
}
