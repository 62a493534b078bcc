//! What one process has: its contexts, memory, streams, modules. Made by `cuInit`, unusable in a forked child.
use crate::settings::settings;
use crate::sim::array::Arrays;
use crate::sim::context::Contexts;
use crate::sim::ledger::Allocations;
use crate::sim::pool::Pools;
use crate::sim::shared::World;
use crate::sim::stream::Streams;
use crate::sim::{capture::Graphs, executor, kernels::Modules};
use nvshare_abi::CUresult;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub struct Process {
    pub world: World,
    pid: u32,
    inner: Mutex<Inner>,
    /// Read while work is done to memory, written to take memory away. Taken before `inner`.
    layout: RwLock<()>,
    /// Notified when work was submitted or has ended.
    pub work_changed: Condvar,
}

#[derive(Default)]
pub struct Inner {
    pub contexts: Contexts,
    pub memory: Allocations,
    pub streams: Streams,
    pub modules: Modules,
    pub graphs: Graphs,
    pub arrays: Arrays,
    pub pools: Pools,
    /// An error of the device that every later call returns.
    pub broken: Option<CUresult>,
    handles: usize,
}

impl Inner {
    /// A new handle; looks like an address, is none.
    pub fn handle(&mut self) -> usize {
        self.handles += 1;
        0x5_0000_0000 + self.handles * 64
    }
}

static PROCESS: OnceLock<Process> = OnceLock::new();

impl Process {
    /// `cuInit`. Later calls do nothing.
    pub fn init() -> Result<(), CUresult> {
        static STARTING: Mutex<()> = Mutex::new(());
        let _one = STARTING.lock().unwrap_or_else(|e| e.into_inner());
        if PROCESS.get().is_some() {
            return Self::get().map(|_| ());
        }
        let world = World::join(settings()).map_err(|error| {
            eprintln!("fakecuda: the shared state in {:?}: {error}", settings().dir);
            CUresult::ERROR_OPERATING_SYSTEM
        })?;
        let process = Self {
            world,
            pid: std::process::id(),
            inner: Mutex::default(),
            layout: RwLock::default(),
            work_changed: Condvar::new(),
        };
        let process = PROCESS.get_or_init(|| process);
        executor::start(process);
        Ok(())
    }

    /// The process's state; an error before `cuInit`, and in a child forked after it.
    pub fn get() -> Result<&'static Self, CUresult> {
        let process = PROCESS.get().ok_or(CUresult::ERROR_NOT_INITIALIZED)?;
        if process.pid == std::process::id() { Ok(process) } else { Err(CUresult::ERROR_NOT_INITIALIZED) }
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Until dropped, no memory is taken away.
    pub fn layout(&self) -> RwLockReadGuard<'_, ()> {
        self.layout.read().unwrap_or_else(|e| e.into_inner())
    }

    /// Until dropped, no work is done to memory.
    pub fn layout_for_change(&self) -> RwLockWriteGuard<'_, ()> {
        self.layout.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits for a notification, or until it is time to look at what nobody notifies of.
    pub fn wait_shortly<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.work_changed.wait_timeout(inner, executor::LOOK).unwrap_or_else(|e| e.into_inner()).0
    }

    /// Waits, as `Condvar` does, for a notification.
    pub fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.work_changed.wait(inner).unwrap_or_else(|e| e.into_inner())
    }
}
