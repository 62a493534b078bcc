//! What the handlers of several chapters need: the current context, and answers in the driver's place.
#![allow(unsafe_code)] // results are written through the application's pointers
use crate::dispatch::{Disposition, NoAfter};
use crate::driver::context::Context;
use crate::process::Process;
use nvshare_abi::CUresult;
use std::sync::Arc;

/// The context that the calling thread works in.
pub fn here(process: &Process) -> Option<Arc<Context>> {
    let (context, new) = process.contexts.current()?;
    if new {
        process.waker.wake();
    }
    Some(context)
}

/// Writes what was made to where the application wants it.
///
/// # Safety
/// `to` is the application's own pointer for the result, and not null.
pub unsafe fn answer<T>(to: *mut T, made: Result<T, CUresult>) -> Disposition<NoAfter> {
    // SAFETY: the caller's promise.
    Disposition::Complete(unsafe { written(to, made) })
}

/// The same, as the code for the application.
///
/// # Safety
/// As of [`answer`].
pub unsafe fn written<T>(to: *mut T, made: Result<T, CUresult>) -> CUresult {
    match made {
        Ok(value) => {
            // SAFETY: the caller's promise.
            unsafe { to.write(value) };
            CUresult::SUCCESS
        }
        Err(code) => code,
    }
}

pub fn said(done: Result<(), CUresult>) -> Disposition<NoAfter> {
    Disposition::Complete(done.err().unwrap_or(CUresult::SUCCESS))
}
