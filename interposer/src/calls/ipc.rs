//! Legacy IPC handles, by which processes share plain memory.
#![allow(unsafe_code)] // handles and results go through the application's pointers
use super::answer::{complete, complete_with};
use super::launch::wait_for_memory;
use crate::dispatch::{BoxedAfter, Disposition, NoAfter};
use crate::memory::AllocInfo;
use crate::memory::share::IpcHandle;
use crate::process::Process;
use crate::sys::log;
use nvshare_abi::*;

/// The driver has handles for its own plain memory only. Pieces get a handle of ours, and are pinned from then on. Memory
/// that we made managed is converted to pieces first. The driver refuses the call without a current context.
pub fn ipc_get_handle(
    process: &'static Process,
    handle: *mut CUipcMemHandle,
    dptr: CUdeviceptr,
) -> Disposition<BoxedAfter> {
    if handle.is_null() || process.contexts.current().is_none() {
        return Disposition::Passthrough;
    }
    let Some(known) = process.memory.ledger.alloc_info(dptr).filter(|known| known.start == dptr) else {
        return Disposition::Passthrough;
    };
    if !is_shareable(process, &known) {
        let is_ours = !known.plain && !known.managed && !known.pooled;
        return Disposition::Forward(Box::new(move |result| {
            if result != CUresult::SUCCESS && is_ours {
                warn_of_managed_memory();
            }
            result
        }));
    }
    // SAFETY: the application's own pointer for the result.
    match unsafe { complete_with(handle, export_handle(process, &known).map(IpcHandle::into_cuda)) } {
        Disposition::Complete(code) => Disposition::Complete(code),
        _ => Disposition::Passthrough,
    }
}

/// Whether other processes can open it, as far as is known now. Does not wait.
pub(super) fn is_shareable(process: &Process, known: &AllocInfo) -> bool {
    known.shareable || known.convertible && process.memory.converter.may_work()
}

fn warn_of_managed_memory() {
    log::warning!(
        "this program shares device memory between processes (cuIpcGetMemHandle), which managed memory does not \
         allow: start it with NVSHARE_ENGINE=swap or NVSHARE_ENGINE=plain"
    );
}

fn export_handle(process: &'static Process, known: &AllocInfo) -> Result<IpcHandle, CUresult> {
    process.admission.wait()?;
    let wait = || drop(wait_for_memory(process));
    process.memory.exporter.convert_to_pieces(known.start, wait).inspect_err(|_| warn_of_managed_memory())?;
    process.memory.exporter.make_exportable(known.start)?;
    let in_flight = wait_for_memory(process);
    let offset = process.memory.exporter.pin_allocation(known.start)?;
    drop(in_flight);
    process.waker.wake();
    process.memory.ipc.export(known, offset).map_err(|error| {
        log::warning!("memory cannot be shared with other processes: {error}");
        CUresult::ERROR_OPERATING_SYSTEM
    })
}

pub fn ipc_open(
    process: &'static Process,
    dptr: *mut CUdeviceptr,
    handle: CUipcMemHandle,
    _flags: c_uint,
) -> Disposition<BoxedAfter> {
    if dptr.is_null() {
        return Disposition::Passthrough;
    }
    let (Some(handle), Some(context)) = (IpcHandle::from_cuda(&handle), process.contexts.current()) else {
        return Disposition::Passthrough;
    };
    // SAFETY: the application's own pointer for the result.
    match unsafe { complete_with(dptr, process.memory.ipc.import(&context, handle)) } {
        Disposition::Complete(code) => Disposition::Complete(code),
        _ => Disposition::Passthrough,
    }
}

pub fn ipc_close(process: &'static Process, dptr: CUdeviceptr) -> Disposition<NoAfter> {
    let Some(context) = process.memory.ipc.context_of(dptr) else { return Disposition::Passthrough };
    // As the driver does, wait for work that uses the memory. The wait would disturb a capture.
    let waited = process.captures.while_none(|| {
        process.contexts.named(context).map_or(CUresult::SUCCESS, |context| context.synchronize())
    });
    match waited.unwrap_or(CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED) {
        CUresult::SUCCESS => process.memory.ipc.close(dptr),
        code => return complete(Err(code)),
    }
    complete(Ok(()))
}
