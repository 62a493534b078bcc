//! Answers in the driver's place.
#![allow(unsafe_code)] // results are written through the application's pointers
use crate::dispatch::{Disposition, NoAfter};
use nvshare_abi::CUresult;

/// Writes what was made to where the application wants it.
///
/// # Safety
/// `to` is the application's own pointer for the result, and not null.
pub unsafe fn complete_with<T>(to: *mut T, made: Result<T, CUresult>) -> Disposition<NoAfter> {
    // SAFETY: the caller's promise.
    Disposition::Complete(unsafe { write_result(to, made) })
}

/// The same, but returns the code for the application.
///
/// # Safety
/// As of [`complete_with`].
pub unsafe fn write_result<T>(to: *mut T, made: Result<T, CUresult>) -> CUresult {
    match made {
        Ok(value) => {
            // SAFETY: the caller's promise.
            unsafe { to.write(value) };
            CUresult::SUCCESS
        }
        Err(code) => code,
    }
}

/// Answers success, or the error.
pub fn complete(done: Result<(), CUresult>) -> Disposition<NoAfter> {
    Disposition::Complete(done.err().unwrap_or(CUresult::SUCCESS))
}
