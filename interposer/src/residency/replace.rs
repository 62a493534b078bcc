//! Managed memory that becomes pieces, at its addresses: for what managed memory cannot do, which is to be opened by
//! other processes. From then on it stays on the device.
//!
//! The driver gives the addresses of freed managed memory out again, those of 32 MiB and more also to whoever reserves
//! them, once what it has spare elsewhere is taken (`tests/gpu/facts.sh address`, driver 580.159.04). That is tried out
//! first, with memory of which nothing is lost.
#![allow(unsafe_code)] // frees, maps and copies device memory through the driver
use super::Memory;
use super::allocate::{SHARED_BELOW, make_managed, reserve, sizes};
use super::book::{Book, Extent, Home};
use super::export::KIND;
use super::physical::SHARED;
use super::piece::{self, GRANULE, check};
use crate::contexts::{Context, Contexts, Entered};
use crate::gate::now_or_never;
use crate::log;
use crate::real::driver;
use nvshare_abi::*;
use std::sync::RwLockReadGuard;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

/// How often addresses are asked for that somebody else has been given meanwhile, and how long after one another: a
/// thread of the application's may map a file there for a moment, of which nobody tells.
const TRIES: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(5);

/// So many reservations are made elsewhere at most, of 32 MiB or more each, until the wanted addresses are given: 12 were seen
/// in a program of PyTorch's.
const SPARE: usize = 256;

/// The bytes of an extent, on the host.
struct Saved {
    at: *mut c_void,
    bytes: usize,
}

impl Saved {
    fn new(bytes: usize) -> Result<Self, CUresult> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of our own, at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if at == libc::MAP_FAILED { Err(CUresult::ERROR_OUT_OF_MEMORY) } else { Ok(Self { at, bytes }) }
    }

    fn fill_from(&self, start: u64, entered: &mut Entered<'_>) -> Result<(), CUresult> {
        let stream = entered.stream()?;
        // SAFETY: as many bytes of an allocation as the mapping has; both stay until the wait; our own stream.
        unsafe {
            check(driver::cuMemcpyDtoHAsync_v2(self.at, start, self.bytes, stream))?;
            check(driver::cuStreamSynchronize(stream))
        }
    }

    fn write_to(&self, start: u64, entered: &mut Entered<'_>) -> Result<(), CUresult> {
        let stream = entered.stream()?;
        // SAFETY: as in `fill_from`.
        unsafe {
            check(driver::cuMemcpyHtoDAsync_v2(start, self.at, self.bytes, stream))?;
            check(driver::cuStreamSynchronize(stream))
        }
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.at, self.bytes) };
    }
}

impl Extent {
    /// Whether it could become pieces, if the driver gives its addresses back.
    pub(super) fn is_replaceable(&self, start: u64) -> bool {
        matches!(self.home, Home::Managed { .. })
            && self.bytes >= SHARED_BELOW
            && start.is_multiple_of(GRANULE)
            && self.bytes.is_multiple_of(GRANULE)
    }
}

impl Memory {
    /// Held while the driver chooses addresses for us: not between the end of managed memory and of what takes its
    /// place.
    pub(super) fn addresses(&self) -> RwLockReadGuard<'_, ()> {
        now_or_never(self.addresses.read())
    }

    /// Whether managed memory can become pieces. The first time, a context is current, and no capture goes on.
    pub fn can_replace(&self) -> bool {
        *self.replaces.get_or_init(|| {
            let _nobody_else = now_or_never(self.addresses.write());
            let Ok(start) = make_managed(SHARED_BELOW, CU_MEM_ATTACH_GLOBAL) else { return false };
            // SAFETY: just made, and nobody else's.
            unsafe { driver::cuMemFree_v2(start) };
            let reserved = reserve_at(start, SHARED_BELOW).is_ok();
            if reserved {
                unreserve(start, SHARED_BELOW);
            }
            reserved
        })
    }

    /// Makes pieces of the managed memory that is to become such. Only the agent calls this, while nothing of this
    /// process is in flight, no capture goes on and the devices are ours.
    pub fn replace(&self, contexts: &Contexts) {
        let wanted: Vec<u64> = self.book().replace.iter().copied().collect();
        for start in wanted {
            let context = self.book().extents.get(&start).map(|extent| extent.context);
            let context = context.and_then(|context| contexts.named(context));
            if let Some(Err(code)) = context.map(|context| self.replace_one(&context, start)) {
                log::warning!("managed memory stays managed memory (CUDA error {})", code.0);
            }
        }
        self.book().replace.clear();
        self.moved.notify_all();
    }

    fn replace_one(&self, context: &Context, start: u64) -> Result<(), CUresult> {
        let _nothing_stays = now_or_never(self.leaving.write());
        let _nobody_else = now_or_never(self.addresses.write());
        let mut book = self.book();
        let Some(extent) = book.extents.get(&start).filter(|extent| extent.is_replaceable(start)) else {
            return Ok(());
        };
        let bytes = extent.bytes;
        let mut entered = context.enter().ok_or(CUresult::ERROR_CONTEXT_IS_DESTROYED)?;
        let saved = Saved::new(bytes as usize)?;
        saved.fill_from(start, &mut entered)?;
        // SAFETY: managed memory of the driver's, which nothing uses; its bytes are saved.
        check(unsafe { driver::cuMemFree_v2(start) })?;
        let made = reserve_at(start, bytes).and_then(|()| book.make_pieces(start, context.device.ordinal));
        let Err(code) = made else {
            self.changed.store(true, Release);
            return saved.write_to(start, &mut entered);
        };
        if make_managed_at(start, bytes) {
            saved.write_to(start, &mut entered)?;
        } else {
            log::error!(
                "{bytes} bytes of memory at {start:#x} are lost: their addresses were taken meanwhile"
            );
            let lost = book.extents.remove(&start);
            lost.and_then(|extent| extent.shelf).and_then(|shelf| book.arenas.remove(&shelf));
        }
        Err(code)
    }
}

impl Book {
    /// What was managed memory is made of pieces that others may open, at addresses that are reserved for them.
    fn make_pieces(&mut self, start: u64, ordinal: CUdevice) -> Result<(), CUresult> {
        let extent = self.extents.get(&start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let (device, bytes) = (extent.device, extent.bytes);
        let mut prop = piece::plain(ordinal);
        prop.requestedHandleTypes |= KIND;
        let parts = sizes(bytes).into_iter().map(|bytes| (bytes, None));
        let ids = self.add_pieces(start, parts, prop, (device, Some(SHARED)));
        if let Err((code, _, _)) = self.place(&ids) {
            self.drop_pieces(&ids);
            unreserve(start, bytes);
            return Err(code);
        }
        if let Some(extent) = self.extents.get_mut(&start) {
            extent.home = Home::Pieces(ids);
        }
        Ok(())
    }
}

/// Reserves just these addresses.
fn reserve_at(start: u64, bytes: u64) -> Result<(), CUresult> {
    let (mut elsewhere, mut made) = (Vec::new(), Err(CUresult::ERROR_NOT_SUPPORTED));
    while elsewhere.len() < SPARE {
        match reserve(bytes, start) {
            Ok(at) if at != start => elsewhere.push(at),
            reserved => {
                made = reserved.map(|_| ());
                break;
            }
        }
    }
    elsewhere.into_iter().for_each(|at| unreserve(at, bytes));
    made
}

/// Gives addresses back that [`reserve`] has given, and at which nothing is mapped.
fn unreserve(start: u64, bytes: u64) {
    // SAFETY: only addresses; the driver answers with an error where they are not reserved as a whole, or in use.
    unsafe { driver::cuMemAddressFree(start, bytes as usize) };
}

/// Managed memory at just these addresses.
fn make_managed_at(start: u64, bytes: u64) -> bool {
    let mut elsewhere = Vec::new();
    let made = (0..TRIES).any(|nth| {
        if nth > 0 {
            std::thread::sleep(BETWEEN);
        }
        let at = make_managed(bytes, CU_MEM_ATTACH_GLOBAL);
        elsewhere.extend(at.ok().filter(|at| *at != start));
        at == Ok(start)
    });
    for at in elsewhere {
        // SAFETY: made above, and nobody else's.
        unsafe { driver::cuMemFree_v2(at) };
    }
    made
}
