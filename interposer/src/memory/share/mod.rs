//! Memory that processes share by legacy handles (`cuIpcGetMemHandle`). The driver has such handles for its own plain
//! memory only. A handle of ours names a socket of the process that exports the memory, and a secret. The process that
//! opens it receives descriptors of the pieces over that socket, and maps them.
//!
//! The socket's name is in the abstract namespace, so that both processes must share a network namespace.
mod client;
pub mod convert;
pub mod export;
pub mod handle;
mod import;
mod server;

use crate::driver::context::Context;
use crate::memory::alloc::addresses::Addresses;
use crate::memory::ledger::query::AllocInfo;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::share::export::Exporter;
use crate::sys::detached::{Detached, Transaction};
use crate::sys::lock::{Mutex, MutexGuard, rank};
use crate::sys::log;
use crate::sys::random::random;
pub use handle::IpcHandle;
use handle::{Secret, SocketName};
use import::ImportedMemory;
use nvshare_abi::{CUdeviceptr, CUresult};
use nvshare_protocol::DeviceId;
use std::io;
use std::sync::Arc;

/// An allocation that others may open.
#[derive(Clone, Copy, Debug)]
struct Export {
    secret: Secret,
    start: u64,
    /// The allocation's own number: its address may be another's later.
    id: u64,
}

/// Another process's allocation.
#[derive(Debug)]
pub struct Import {
    handle: IpcHandle,
    context: usize,
    device: DeviceId,
    /// How often it was opened and not closed.
    users: u32,
    mapped: ImportedMemory,
}

impl Import {
    fn start(&self) -> CUdeviceptr {
        self.mapped.at + self.handle.offset
    }
}

#[derive(Debug, Default)]
struct ExportTable {
    /// The name of our own socket, once there is one.
    server: Option<SocketName>,
    given: Vec<Export>,
}

/// Allocations of this process that others may open, and theirs that this one has opened.
#[derive(Debug)]
pub struct IpcMemory {
    exports: Arc<Mutex<ExportTable, { rank::IPC_EXPORTS }>>,
    imports: Mutex<Vec<Import>, { rank::IPC_IMPORTS }>,
    ledger: Arc<SharedLedger>,
    exporter: Arc<Exporter>,
    addresses: Arc<Addresses>,
}

impl ExportTable {
    /// The start and number of the allocation that a secret stands for.
    fn behind(&self, secret: &Secret) -> Option<(u64, u64)> {
        self.given.iter().find(|given| given.secret == *secret).map(|given| (given.start, given.id))
    }
}

impl IpcMemory {
    pub fn new(ledger: Arc<SharedLedger>, exporter: Arc<Exporter>, addresses: Arc<Addresses>) -> Self {
        Self { exports: Arc::default(), imports: Mutex::default(), ledger, exporter, addresses }
    }

    fn imports(&self) -> MutexGuard<'_, Vec<Import>> {
        self.imports.lock()
    }

    /// A handle for an allocation whose pieces can be exported and stay.
    ///
    /// # Errors
    /// No socket or no thread can be made.
    pub fn export(&self, known: &AllocInfo, offset: u64) -> io::Result<IpcHandle> {
        let mut table = self.exports.lock();
        let server = match table.server {
            Some(server) => server,
            None => *table.server.insert(self.start_server()?),
        };
        table.given.retain(|given| self.ledger.is_allocation(given.start, given.id));
        let secret = match table.given.iter().find(|given| given.start == known.start) {
            Some(given) => given.secret,
            None => {
                let secret = random()?;
                table.given.push(Export { secret, start: known.start, id: known.id });
                secret
            }
        };
        Ok(IpcHandle { server, secret, offset, bytes: known.bytes })
    }

    /// Serves the pieces behind each secret, on a thread of its own. The name of its socket.
    fn start_server(&self) -> io::Result<SocketName> {
        let (exports, exporter) = (self.exports.clone(), self.exporter.clone());
        server::start(move |secret| {
            let behind = exports.lock().behind(secret);
            let (start, id) = behind.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "nothing was given under its secret")
            })?;
            exporter.export(start, id).map_err(|code| {
                io::Error::other(format!("its memory cannot be exported (CUDA error {})", code.0))
            })
        })
    }

    /// Maps another process's allocation for a context's device, or counts one user more.
    ///
    /// # Errors
    /// As the driver's: `INVALID_CONTEXT` in the process that gave the handle, `INVALID_VALUE` where nothing is
    /// behind it any more.
    pub fn import(&self, context: &Context, handle: IpcHandle) -> Result<CUdeviceptr, CUresult> {
        if self.exports.lock().server == Some(handle.server) {
            return Err(CUresult::ERROR_INVALID_CONTEXT);
        }
        let mut all = self.imports();
        let known = |opened: &&mut Import| opened.handle == handle && opened.context == context.raw();
        if let Some(opened) = all.iter_mut().find(known) {
            opened.users += 1;
            return Ok(opened.start());
        }
        let parts = client::fetch(&handle).map_err(|error| {
            log::warning!("memory of another process cannot be opened: {error}");
            CUresult::ERROR_INVALID_VALUE
        })?;
        let mapped =
            ImportedMemory::new(parts, context.device.ordinal, |bytes| self.addresses.reserve(bytes))?;
        if handle.offset.checked_add(handle.bytes).is_none_or(|end| end > mapped.bytes) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let opened = Import { handle, context: context.raw(), device: context.device.id, users: 1, mapped };
        let start = opened.start();
        all.push(opened);
        Ok(start)
    }

    /// The context in which an allocation of another process was opened, by its start.
    pub fn context_of(&self, start: CUdeviceptr) -> Option<usize> {
        self.imports().iter().find(|opened| opened.start() == start).map(|opened| opened.context)
    }

    /// One user less; with the last, its mapping goes. Nothing uses it any more.
    pub fn close(&self, start: CUdeviceptr) {
        let mut all = self.imports();
        if let Some(nth) = all.iter().position(|opened| opened.start() == start) {
            all[nth].users -= 1;
            if all[nth].users == 0 {
                all.swap_remove(nth);
            }
        }
    }

    /// Takes out what was opened in a context that the driver is about to destroy.
    pub fn detach_context(&self, context: usize) -> Detached<ContextImports<'_>> {
        let imports = self.imports().extract_if(.., |opened| opened.context == context).collect();
        Detached::new(ContextImports { ipc: self, imports })
    }

    /// The allocation of another process at an address, as the application should see it.
    pub fn alloc_info(&self, address: CUdeviceptr) -> Option<AllocInfo> {
        let all = self.imports();
        let opened = all.iter().find(|opened| {
            address.checked_sub(opened.start()).is_some_and(|offset| offset < opened.handle.bytes)
        })?;
        Some(AllocInfo {
            start: opened.start(),
            bytes: opened.handle.bytes,
            device: opened.device,
            context: opened.context,
            // The upper half of the numbers: those of our own allocations are in the lower.
            id: opened.start() | 1 << 63,
            pool: 0,
            pooled: false,
            managed: false,
            plain: false,
            shareable: false,
            convertible: false,
        })
    }
}

/// What was opened in a context that is being destroyed.
#[derive(Debug)]
pub struct ContextImports<'a> {
    ipc: &'a IpcMemory,
    imports: Vec<Import>,
}

impl Transaction for ContextImports<'_> {
    /// Their mappings end with them.
    fn commit(self) {}

    fn rollback(mut self) {
        self.ipc.imports().append(&mut self.imports);
    }
}
