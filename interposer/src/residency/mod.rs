//! Where the application's memory lies, and how it moves.
//!
//! Reading order: `book` (what there is), `piece` and `pieces` (memory that keeps its addresses while it is away),
//! `space` (where its bytes lie meanwhile), `arena` (small allocations), `allocate`, `free` and `physical` (what the
//! application's calls do), `export` (what other processes open), `replace` (managed memory that they are to open),
//! `stream_order` (what is freed in a stream's order), `leave` (what goes with a context), `peers` (who else may access
//! it), `transfer` (how memory moves), `plan` (which managed memory does).
use crate::driver::device::Device;
use crate::process::Process;
use crate::settings::EngineChoice;
use crate::sys::sync::ignore_poison;
use book::Book;
use nvshare_abi::CUresult;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock};

mod allocate;
mod arena;
mod book;
mod export;
mod facts;
mod free;
mod leave;
mod peers;
mod physical;
mod piece;
mod pieces;
mod plan;
mod replace;
mod space;
mod stream_order;
mod transfer;
pub use allocate::Wish;
pub use book::{Fixed, Totals};
pub use facts::{Known, Stay};
pub use leave::Leaving;
pub use peers::By;
pub use physical::is_ours;
pub use piece::{GRANULE, own_access};
pub use space::{Mapping, Space};
pub use stream_order::context_of;
pub use transfer::Sums;

/// What plain allocations are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Managed memory: moved by prefetches, and by page faults where those did not suffice.
    Managed,
    /// Pieces of physical memory at fixed addresses, moved by copies.
    Swap,
    /// The driver's own plain memory, which stays.
    Plain,
}

impl Engine {
    /// Its name in the settings and to the scheduler.
    pub fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Swap => "swap",
            Self::Plain => "plain",
        }
    }
}

/// All device memory of this process.
#[derive(Debug)]
pub struct Memory {
    book: Mutex<Book>,
    /// Memory has come or gone.
    moved: Condvar,
    /// Whether there is more or less of it than the agent was told of.
    changed: AtomicBool,
    pub space: Space,
    choice: EngineChoice,
    engine: OnceLock<Engine>,
    /// Whether a scheduler can make room for us.
    supervised: AtomicBool,
    freed: Mutex<stream_order::Freed>,
    /// Held while what streams have freed is asked for.
    reclaiming: Mutex<()>,
    /// Held while streams are asked by their numbers, and while one ends.
    naming: Mutex<()>,
    /// Read while a call of the application's must find memory where it is, written while it leaves.
    leaving: RwLock<()>,
    /// Read while the driver chooses addresses for us, written while those of one memory become another's.
    addresses: RwLock<()>,
    /// Whether it gives addresses of managed memory back, once that was tried.
    replaces: OnceLock<bool>,
}

impl Memory {
    pub fn new(choice: EngineChoice) -> Self {
        Self {
            book: Mutex::default(),
            moved: Condvar::new(),
            changed: AtomicBool::new(false),
            space: Space::default(),
            choice,
            engine: OnceLock::new(),
            supervised: AtomicBool::new(false),
            freed: Mutex::default(),
            reclaiming: Mutex::default(),
            naming: Mutex::default(),
            leaving: RwLock::default(),
            addresses: RwLock::default(),
            replaces: OnceLock::new(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        ignore_poison(self.book.lock())
    }

    /// What new allocations are made of: decided at the first, and the same from then on.
    pub fn engine(&self, pieces_work: bool, managed_works: bool) -> Engine {
        *self.engine.get_or_init(|| {
            let engine = match self.choice {
                EngineChoice::Plain => Engine::Plain,
                // Without swap space nothing could ever leave.
                EngineChoice::Swap if pieces_work && self.space.offered() != Some(false) => Engine::Swap,
                EngineChoice::Auto if pieces_work && self.space.offered() == Some(true) => Engine::Swap,
                _ if managed_works => Engine::Managed,
                _ => Engine::Plain,
            };
            crate::sys::log::info!("the engine of this process is {}", engine.name());
            engine
        })
    }

    /// As [`Self::engine`], for a device.
    pub fn engine_on(&self, device: &Device) -> Engine {
        self.engine(device.pieces, device.movable)
    }

    /// The engine's name as far as it is decided, else the setting's.
    pub fn engine_name(&self) -> &'static str {
        self.engine.get().map_or(self.choice.name(), |engine| engine.name())
    }

    /// Wakes the agent if there is more or less memory than it knows of.
    pub fn tell_changes(&self, process: &Process) {
        if self.changed.load(Relaxed) && self.changed.swap(false, AcqRel) {
            process.waker.wake();
        }
    }

    /// Whether swap space may be used: unless it is decided that plain allocations are made of other memory, and the
    /// application has made no physical memory itself.
    pub fn may_swap(&self) -> bool {
        let other = matches!(self.engine.get(), Some(Engine::Managed | Engine::Plain));
        !other || !self.book().pieces.is_empty()
    }

    pub fn set_supervised(&self, supervised: bool) {
        self.supervised.store(supervised, Release);
        self.moved.notify_all();
    }

    fn is_supervised(&self) -> bool {
        self.supervised.load(Acquire)
    }

    pub fn charged(&self, device: DeviceId) -> u64 {
        self.book().charged(device)
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        self.book().totals(device)
    }

    /// On each device, the smallest memory that the driver has refused since this was last asked.
    pub fn refused(&self) -> Vec<Share> {
        let refused = std::mem::take(&mut self.book().refused);
        refused.into_iter().map(|(device, bytes)| Share { device, bytes: Bytes(bytes) }).collect()
    }

    /// What cannot leave the device, in words: reason and bytes.
    pub fn staying(&self, device: DeviceId) -> Vec<(&'static str, u64)> {
        self.book().staying(device).into_iter().collect()
    }

    /// Counts memory that stays where it is, before the driver makes it.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted.
    pub fn charge(&self, device: DeviceId, bytes: u64, limit: Option<u64>) -> Result<(), CUresult> {
        self.book().charge(device, bytes, limit)
    }

    pub fn refund(&self, device: DeviceId, bytes: u64) {
        self.book().refund(device, bytes);
    }

    /// The driver has made what was charged.
    pub fn fix(&self, key: usize, fixed: Fixed) {
        self.book().fix(key, fixed);
    }

    /// It goes; what was counted of it.
    pub fn unfix(&self, key: usize) -> Option<Fixed> {
        self.book().unfix(key)
    }

    /// It has stayed.
    pub fn fix_again(&self, key: usize, fixed: Fixed) {
        let mut book = self.book();
        if book.charge(fixed.device, fixed.bytes, None).is_ok() {
            book.fix(key, fixed);
        }
    }
}
