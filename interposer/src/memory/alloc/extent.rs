//! New addresses with memory behind them, whatever the engine makes them of.
#![allow(unsafe_code)] // makes device memory through the driver
use crate::driver;
use crate::driver::context::Context;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::memory::alloc::addresses::{Addresses, make_managed};
use crate::memory::alloc::release::Releaser;
use crate::memory::dependencies::Dependencies;
use crate::memory::engine::Engine;
use crate::memory::ledger::piece;
use crate::memory::ledger::pieces::PieceKind;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::{CHUNK_MAX, GRANULE, piece_sizes};
use crate::memory::ledger::{ArenaKey, Backing, Extent, ExtentOwner, PieceId};
use crate::memory::migrate::swap_space::SwapSpace;
use crate::sys::log;
use crate::sys::sync::Deadline;
use crate::sys::waker::Waker;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::sync::Arc;
use std::time::Duration;

/// Below this, populating managed memory ahead of its first touch is not worth a call.
const POPULATE: u64 = 2 << 20;
/// How long an allocation waits for the scheduler to make room on a full card.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// Where new addresses get their memory.
#[derive(Clone, Copy, Debug)]
pub struct AllocSite<'a> {
    /// The context that it goes with, and the device.
    pub context: &'a Context,
    pub engine: Engine,
    /// Whose chunk it is to be, if it is one.
    pub arena: Option<ArenaKey>,
}

impl AllocSite<'_> {
    pub fn owner(&self) -> ExtentOwner {
        ExtentOwner { device: self.context.device.id, context: self.context.raw() }
    }
}

#[derive(Debug)]
pub struct ExtentAllocator {
    ledger: Arc<SharedLedger>,
    swap: Arc<SwapSpace>,
    addresses: Arc<Addresses>,
    releaser: Arc<Releaser>,
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    /// Wakes the agent.
    waker: Arc<Waker>,
}

impl ExtentAllocator {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        swap: Arc<SwapSpace>,
        addresses: Arc<Addresses>,
        releaser: Arc<Releaser>,
    ) -> Self {
        let Dependencies { gate, limits, waker, .. } = uses.clone();
        Self { ledger, swap, addresses, releaser, gate, limits, waker }
    }

    /// How much more may be made on a device. Chunks are larger than what was asked for, and the whole of it must find
    /// room there one day.
    pub fn available(&self, device: DeviceId, bound: Option<u64>) -> u64 {
        bound.map_or(u64::MAX, |bound| bound.saturating_sub(self.ledger.totals(device).allocated))
    }

    /// Whether so much more may be made, after chunks that nothing lies in have been given back if need be.
    pub fn make_room(&self, device: DeviceId, bytes: u64, bound: Option<u64>) -> bool {
        let fits = || bytes <= self.available(device, bound);
        if !fits() {
            // The agent may be doing the same: that nothing was left to give back says nothing.
            self.releaser.release_empty_chunks(device, 0);
        }
        fits()
    }

    /// A new extent; returns where it begins.
    ///
    /// # Errors
    /// The driver's; `OUT_OF_MEMORY`, with nothing left of the attempt.
    pub fn allocate(
        &self,
        site: AllocSite<'_>,
        bytes: u64,
        managed: Option<c_uint>,
    ) -> Result<u64, CUresult> {
        let (start, bytes, backing) = match site.engine {
            Engine::Swap => return self.allocate_pieces(site, bytes),
            Engine::Managed => self.allocate_managed(site.context, bytes, managed)?,
            Engine::Plain => (self.allocate_plain(site.context, bytes)?, bytes, Backing::Plain),
        };
        self.ledger.lock().add_extent(start, Extent::new(site.owner(), bytes, backing).in_arena(site.arena));
        self.ledger.mark_changed();
        Ok(start)
    }

    /// Managed memory, for us or by the application's wish: where, how many bytes, and what of it is on the device.
    fn allocate_managed(
        &self,
        context: &Context,
        bytes: u64,
        managed: Option<c_uint>,
    ) -> Result<(u64, u64, Backing), CUresult> {
        let device = &*context.device;
        // Whole granules can become pieces.
        let may = managed.is_none() && bytes >= CHUNK_MAX;
        let bytes = bytes.checked_next_multiple_of(GRANULE).filter(|_| may).unwrap_or(bytes);
        let start = self.managed_in(context, bytes, managed.unwrap_or(CU_MEM_ATTACH_GLOBAL))?;
        let placement_allowed = self.ledger.lock().placement_allowed;
        // Work for the GPU as any other: not behind a gate that has been shut meanwhile.
        if placement_allowed
            && managed.is_none()
            && let Some(_in_flight) = self.gate.try_enter()
        {
            populate(context, start, bytes);
        }
        // While the gate is open the application may touch it at once, and the driver then places it.
        let resident = if placement_allowed && device.movable { bytes } else { 0 };
        Ok((start, bytes, if device.movable { Backing::Managed { resident } } else { Backing::Plain }))
    }

    /// Managed memory of the driver's, which goes with this context: a stream's or a pool's need not be the current
    /// one.
    fn managed_in(&self, context: &Context, bytes: u64, flags: c_uint) -> Result<u64, CUresult> {
        let _addresses = self.addresses.choose();
        let mut start = Err(CUresult::ERROR_CONTEXT_IS_DESTROYED);
        let make = || {
            start = make_managed(bytes, flags);
            start.map_or_else(|code| code, |_| CUresult::SUCCESS)
        };
        context.within(make).unwrap_or(CUresult::ERROR_CONTEXT_IS_DESTROYED).ok()?;
        start
    }

    fn allocate_plain(&self, context: &Context, bytes: u64) -> Result<u64, CUresult> {
        let _addresses = self.addresses.choose();
        let mut start = 0;
        // SAFETY: the pointer is to a local; `within` has made the context current.
        let make = || unsafe { driver::cuMemAlloc_v2(&mut start, bytes as usize) };
        context.within(make).unwrap_or(CUresult::ERROR_CONTEXT_IS_DESTROYED).ok()?;
        Ok(start)
    }

    /// Addresses of our own, with pieces behind them: on the device at once if the GPU is ours, else with the grant.
    fn allocate_pieces(&self, site: AllocSite<'_>, bytes: u64) -> Result<u64, CUresult> {
        let device = &*site.context.device;
        let whole = bytes.checked_next_multiple_of(GRANULE).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        let bound = self.limits.bound(device.capacity);
        if !self.make_room(device.id, whole, bound) {
            return Err(self.ledger.refuse(&self.limits, device.id, whole, bound));
        }
        let sizes = piece_sizes(whole);
        let slots = self.allocate_slots(device.id, &sizes)?;
        let start = self.addresses.reserve(whole).inspect_err(|_| self.free_slots(&slots))?;
        let ids = {
            let mut ledger = self.ledger.lock();
            let prop = piece::device_prop(device.ordinal);
            let kind = PieceKind { device: device.id, prop, pinned: None };
            let ids = ledger.add_pieces(start, sizes.into_iter().zip(slots), kind);
            let extent = Extent::new(site.owner(), whole, Backing::Pieces(ids.clone()));
            ledger.add_extent(start, extent.in_arena(site.arena));
            self.ledger.mark_changed();
            ids
        };
        self.materialize(&ids).inspect_err(|_| self.releaser.drop_extent(start))?;
        Ok(start)
    }

    /// A slot of the swap space for each piece, as far as there is swap space at all. Chunks that nothing lies in give
    /// theirs back if need be.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, of which user and operator are told.
    pub fn allocate_slots(&self, device: DeviceId, sizes: &[u64]) -> Result<Vec<Option<u64>>, CUresult> {
        let slots = self.try_allocate_slots(sizes).or_else(|_| {
            self.releaser.release_empty_chunks(device, 0);
            self.try_allocate_slots(sizes)
        });
        slots.map_err(|_| self.ledger.refuse(&self.limits, device, sizes.iter().sum(), None))
    }

    fn try_allocate_slots(&self, sizes: &[u64]) -> Result<Vec<Option<u64>>, CUresult> {
        let mut slots = Vec::with_capacity(sizes.len());
        let mut rest: u64 = sizes.iter().sum();
        for size in sizes {
            let slot = self.swap.allocate_slot(*size, rest, || self.waker.wake());
            slots.push(slot.inspect_err(|_| self.free_slots(&slots))?);
            rest -= size;
        }
        Ok(slots)
    }

    fn free_slots(&self, slots: &[Option<u64>]) {
        slots.iter().flatten().for_each(|slot| self.swap.free_slot(*slot));
    }

    /// Puts pieces of one allocation on the device, if the GPU is ours. On a full card the scheduler is given time to
    /// make room.
    ///
    /// # Errors
    /// The driver's.
    pub fn materialize(&self, ids: &[PieceId]) -> Result<(), CUresult> {
        let deadline = Deadline::after(ROOM_TIMEOUT);
        let mut may_release_chunks = true;
        let mut ledger = self.ledger.lock();
        loop {
            if !ledger.placement_allowed {
                return Ok(());
            }
            let Err((refused, device, bytes)) = ledger.materialize(ids) else { return Ok(()) };
            if std::mem::take(&mut may_release_chunks) {
                drop(ledger);
                self.releaser.release_empty_chunks(device, 0);
                ledger = self.ledger.lock();
                continue;
            }
            ledger.note_refusal(device, bytes, refused);
            let can_wait = refused == CUresult::ERROR_OUT_OF_MEMORY && self.ledger.is_scheduler_attached();
            let Some(left) = deadline.left().filter(|_| can_wait) else { return Err(refused) };
            log::debug!("the card is full: waiting for room");
            self.waker.wake();
            ledger = self.ledger.wait(ledger, left);
        }
    }
}

/// Puts new managed memory on the device ahead of its first touch, which else costs a fault for each 2 MiB
/// (`tests/gpu/scripts/facts.sh`: 0.04 s instead of 0.9 s for 12 GiB). Nobody waits for it, and its failure only means faults.
fn populate(context: &Context, start: u64, bytes: u64) {
    if bytes >= POPULATE
        && context.device.movable
        && let Some(mut entered) = context.enter()
        && let Ok(stream) = entered.stream()
    {
        // SAFETY: the allocation just made, which nobody else knows of; our own stream of the context that is current.
        let _ = unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, context.device.ordinal, stream) };
    }
}
