//! What each kind of call means. Ordinary functions: no `extern`, and the application's own call goes to the driver by
//! the gate alone. What they ask the driver themselves is what they need to know, or what takes that call's place.
//!
//! Each takes the entry and the arguments that its row names, and says what happens to the call.
#![allow(unsafe_code)] // results are written through the application's pointers
mod alloc;
mod array;
mod context;
mod init;
mod ipc;
mod launch;
mod pointer;
mod pool;
mod vmm;

pub use alloc::*;
pub use array::*;
pub use context::*;
pub use init::*;
pub use ipc::*;
pub use launch::*;
pub use pointer::*;
pub use pool::*;
pub use vmm::*;

use crate::dispatch::{Disposition, NoAfter};
use crate::driver::context::Context;
use crate::process::Process;
use nvshare_abi::CUresult;
use std::sync::Arc;

/// The context that the calling thread works in.
fn here(process: &Process) -> Option<Arc<Context>> {
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
unsafe fn answer<T>(to: *mut T, made: Result<T, CUresult>) -> Disposition<NoAfter> {
    // SAFETY: the caller's promise.
    Disposition::Complete(unsafe { written(to, made) })
}

/// The same, as the code for the application.
///
/// # Safety
/// As of [`answer`].
unsafe fn written<T>(to: *mut T, made: Result<T, CUresult>) -> CUresult {
    match made {
        Ok(value) => {
            // SAFETY: the caller's promise.
            unsafe { to.write(value) };
            CUresult::SUCCESS
        }
        Err(code) => code,
    }
}

fn said(done: Result<(), CUresult>) -> Disposition<NoAfter> {
    Disposition::Complete(done.err().unwrap_or(CUresult::SUCCESS))
}
