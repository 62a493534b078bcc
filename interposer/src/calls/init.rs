//! Initialisation and lookup.
#![allow(unsafe_code)] // results are written through the application's pointers
use crate::bypass::is_decided;
use crate::dispatch::{Disposition, NoAfter};
use crate::symbols::entry::Entry;
use crate::symbols::exports;
use crate::{driver, process, start};
use core::ffi::CStr;
use nvshare_abi::*;

pub fn init(_: Entry, _flags: c_uint) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(|result| {
        if result != CUresult::SUCCESS {
            return result;
        }
        start::start();
        let fails = process::current().is_some_and(|process| process.admission.fails());
        if fails { CUresult::ERROR_SYSTEM_NOT_READY } else { result }
    })
}

/// A call that is nothing to us, and in the table so that the driver's lookup leads to our address: waits submit nothing.
#[inline]
pub fn passthrough(_: Entry) -> Disposition<NoAfter> {
    Disposition::Passthrough
}

/// Lets the driver choose the function by its own version rules, then puts ours in its place.
pub fn get_proc_address(
    _: Entry,
    symbol: *const c_char,
    pfn: *mut *mut c_void,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS && !pfn.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            let answer = unsafe { &mut *pfn };
            // The driver does not know the name: nobody can bypass us by it.
            if answer.is_null() {
                return result;
            }
            if let Some(entry) = driver::entry_at(*answer) {
                *answer = exports::address(entry);
            } else if let Some(process) = process::current()
                && !symbol.is_null()
            {
                // SAFETY: the driver has just found the function under this NUL-terminated name.
                let name = unsafe { CStr::from_ptr(symbol) };
                if !name.is_empty() && !is_decided(&name.to_string_lossy()) {
                    process.bypass.looked_up(name);
                }
            }
        }
        result
    })
}
