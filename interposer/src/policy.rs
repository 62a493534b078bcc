//! What each kind of call means. Ordinary functions: no `extern`, no call of the driver on the
//! application's behalf.
#![allow(unsafe_code)] // results are written through the application's pointers
use crate::contexts::{Context, Device};
use crate::entry::Entry;
use crate::gate::{Gate, Nothing, Passage};
use crate::process::{self, Process};
use crate::real;
use crate::residency::Allocation;
use nvshare_abi::*;
use std::sync::Arc;

/// Rows of pitched memory begin at multiples of this, as the driver's own do on every device since
/// compute capability 2.0.
const PITCH: usize = 512;

// --- birth and lookup ---

pub fn init(_: Entry, _flags: c_uint) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    Gate::Admit(|result| {
        if result == CUresult::SUCCESS {
            process::start();
        }
        result
    })
}

/// In the table so that it is found at our address too; nothing to do with us.
pub fn pass(_: Entry) -> Gate<Nothing> {
    Gate::Pass
}

/// Lets the driver choose the function by its own version rules, then puts ours in its place.
pub fn lookup(
    _: Entry,
    _symbol: *const c_char,
    pfn: *mut *mut c_void,
) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    Gate::Admit(move |result| {
        if result == CUresult::SUCCESS && !pfn.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            let answer = unsafe { &mut *pfn };
            if let Some(entry) = real::entry_at(*answer) {
                *answer = entry.export();
            }
        }
        result
    })
}

// --- contexts ---

/// Notes the context that the driver has made or given, by `note`, which says whether its device is new.
fn note_context(
    pctx: *mut CUcontext,
    note: impl FnOnce(&Process, CUcontext) -> bool,
) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    Gate::Admit(move |result| {
        if let Some(process) = process::current().filter(|_| result == CUresult::SUCCESS && !pctx.is_null()) {
            // SAFETY: the driver has just written through this pointer and reported success.
            if note(process, unsafe { *pctx }) {
                process.bell.ring();
            }
        }
        result
    })
}

pub fn context_created(
    _: Entry,
    pctx: *mut CUcontext,
    device: CUdevice,
) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    note_context(pctx, move |process, context| process.contexts.add(context, device))
}

pub fn primary_retained(
    _: Entry,
    pctx: *mut CUcontext,
    device: CUdevice,
) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    note_context(pctx, move |process, context| process.contexts.retain_primary(context, device))
}

pub fn context_destroyed(_: Entry, context: CUcontext) -> Gate<Nothing> {
    if let Some(process) = process::current() {
        process.contexts.remove(context);
        process.ledger.remove_context(context as usize);
        process.bell.ring();
    }
    Gate::Pass
}

/// The primary context ends with its last user. If it lives on, by a user that we did not see, it is
/// noted again with the next call in it.
pub fn primary_released(entry: Entry, device: CUdevice) -> Gate<Nothing> {
    if let Some(process) = process::current()
        && process.contexts.is_last_user(device)
    {
        return primary_reset(entry, device);
    }
    Gate::Pass
}

pub fn primary_reset(_: Entry, device: CUdevice) -> Gate<Nothing> {
    if let Some(process) = process::current()
        && let Some(context) = process.contexts.remove_primary(device)
    {
        process.ledger.remove_context(context);
        process.bell.ring();
    }
    Gate::Pass
}

// --- memory ---

/// The context that the calling thread works in.
fn here(process: &Process) -> Option<Arc<Context>> {
    let (context, new) = process.contexts.current()?;
    if new {
        process.bell.ring();
    }
    Some(context)
}

/// Charges, makes, notes: or takes the charge back.
fn charged(
    process: &Process,
    context: &Context,
    bytes: usize,
    make: impl FnOnce() -> Result<(CUdeviceptr, bool), CUresult>,
) -> Result<CUdeviceptr, CUresult> {
    let Device { id, capacity, .. } = *context.device;
    let size = bytes as u64;
    process.ledger.charge(id, size, process.bound(capacity))?;
    let (start, movable) = make().inspect_err(|_| process.ledger.refund(id, size))?;
    // While the gate is open the application may touch it at once, and the driver then places it.
    let resident = if process.gate.is_shut() { 0 } else { size };
    let context = context.raw();
    process.ledger.add(id, Allocation { start, bytes: size, resident, stamp: 0, movable, context });
    process.bell.ring();
    Ok(start)
}

pub fn allocate(_: Entry, dptr: *mut CUdeviceptr, bytes: usize) -> Gate<Nothing> {
    let Some(process) = process::current() else { return Gate::Pass };
    // The driver has an answer of its own to these.
    let Some(context) = here(process).filter(|_| !dptr.is_null() && bytes > 0) else { return Gate::Pass };
    Gate::Answer(match charged(process, &context, bytes, || process.engine.allocate(&context, bytes)) {
        Ok(start) => {
            // SAFETY: the application's own pointer for the result.
            unsafe { *dptr = start };
            CUresult::SUCCESS
        }
        Err(code) => code,
    })
}

pub fn allocate_pitch(
    entry: Entry,
    dptr: *mut CUdeviceptr,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element: c_uint,
) -> Gate<Nothing> {
    if pitch.is_null() || !matches!(element, 4 | 8 | 16) {
        return Gate::Pass;
    }
    let Some(row) = width.checked_next_multiple_of(PITCH) else { return Gate::Pass };
    let Some(bytes) = row.checked_mul(height) else { return Gate::Pass };
    let answer = allocate(entry, dptr, bytes);
    if matches!(answer, Gate::Answer(CUresult::SUCCESS)) {
        // SAFETY: the application's own pointer for the result.
        unsafe { *pitch = row };
    }
    answer
}

/// The application's own managed memory: counted and moved as any other.
pub fn allocate_managed(_: Entry, dptr: *mut CUdeviceptr, bytes: usize, flags: c_uint) -> Gate<Nothing> {
    let Some(process) = process::current() else { return Gate::Pass };
    let Some(context) = here(process).filter(|_| !dptr.is_null() && bytes > 0) else { return Gate::Pass };
    let make = || {
        let mut start = 0;
        // SAFETY: the application's own arguments, with a local for the result.
        match unsafe { real::driver::cuMemAllocManaged(&mut start, bytes, flags) } {
            CUresult::SUCCESS => Ok((start, context.device.movable)),
            code => Err(code),
        }
    };
    Gate::Answer(match charged(process, &context, bytes, make) {
        Ok(start) => {
            // SAFETY: the application's own pointer for the result.
            unsafe { *dptr = start };
            CUresult::SUCCESS
        }
        Err(code) => code,
    })
}

pub fn free(_: Entry, dptr: CUdeviceptr) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    let taken = process::current().and_then(|process| Some((process, process.ledger.take(dptr)?)));
    Gate::Admit(move |result| {
        if let Some((process, taken)) = taken {
            match result {
                CUresult::SUCCESS => process.ledger.refund(taken.0, taken.1.bytes),
                _ => process.ledger.put_back(taken),
            }
            process.bell.ring();
        }
        result
    })
}

pub fn memory_info(_: Entry, free: *mut usize, total: *mut usize) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    Gate::Admit(move |result| {
        if let Some(process) = process::current().filter(|_| result == CUresult::SUCCESS)
            && let Some(context) = here(process)
        {
            let Device { id, capacity, .. } = *context.device;
            // SAFETY: the driver has just written through these pointers and reported success; it
            // accepts null for one that is not wanted.
            unsafe {
                if let Some(free) = free.as_mut() {
                    *free = process.free(id, capacity) as usize;
                }
                if let Some(total) = total.as_mut() {
                    *total = process.visible(capacity) as usize;
                }
            }
        }
        result
    })
}

/// A device is as large as the tenant's limit.
pub fn device_total(
    _: Entry,
    bytes: *mut usize,
    _device: CUdevice,
) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    Gate::Admit(move |result| {
        if let Some(process) = process::current().filter(|_| result == CUresult::SUCCESS && !bytes.is_null())
        {
            // SAFETY: the driver has just written through this pointer and reported success.
            let bytes = unsafe { &mut *bytes };
            *bytes = (*bytes).min(process.limit().unwrap_or(u64::MAX) as usize);
        }
        result
    })
}

// --- work ---

/// Work for the GPU: after the grant, and counted until the driver has taken it.
#[inline]
pub fn submit(_: Entry) -> Gate<impl FnOnce(CUresult) -> CUresult> {
    let Some(process) = process::current() else { return Gate::Pass };
    let Some(passage) = process.gate.try_pass().or_else(|| queue(process)) else { return Gate::Pass };
    Gate::Admit(move |result| {
        drop(passage);
        result
    })
}

/// Waits for the grant. Not without a device to be granted: where none is known and the thread has no
/// context, the driver refuses the work itself.
#[cold]
fn queue(process: &Process) -> Option<Passage<'_>> {
    if here(process).is_none() && process.contexts.devices().is_empty() {
        return None;
    }
    Some(process.gate.pass(|| process.bell.ring()))
}

/// Waiting submits nothing.
#[inline]
pub fn wait(_: Entry) -> Gate<Nothing> {
    Gate::Pass
}
