//! What the application's calls for memory do.
#![allow(unsafe_code)] // makes and frees device memory through the driver
pub mod addresses;
pub mod deferred;
pub mod free;
pub mod pool;
pub mod teardown;
pub mod vmm;

use crate::driver;
use crate::driver::captures;
use crate::driver::context::Context;
use crate::driver::device::Device;
use crate::memory::Memory;
use crate::memory::alloc::addresses::make_managed;
use crate::memory::engine::Engine;
use crate::memory::ledger::arena::Arena;
use crate::memory::ledger::piece;
use crate::memory::ledger::pieces::PieceKind;
use crate::memory::ledger::sizes::{ALIGNMENT, CHUNK_MAX, GRANULE, piece_sizes};
use crate::memory::ledger::{Allocation, ArenaKey, Backing, Extent, Owner, PieceId};
use crate::sys::log;
use crate::sys::sync::Deadline;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::time::Duration;

/// Chunks of managed memory are as large as that, to be convertible. That is too much for a smaller card.
const MANAGED_CHUNKS_FROM: u64 = 1 << 30;
/// Below this, populating managed memory ahead of its first touch is not worth a call.
const POPULATE: u64 = 2 << 20;
/// A program has no addresses for more, bytes: on x86-64 those that it gets unasked have 47 bits.
const ADDRESS_SPACE: u64 = 1 << 47;
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
    fn owner(&self) -> Owner {
        Owner { device: self.context.device.id, context: self.context.raw() }
    }
}

/// What the application asked for.
#[derive(Clone, Copy, Debug)]
pub struct AllocRequest {
    pub bytes: u64,
    /// The pool it is taken from, or 0.
    pub pool: usize,
    /// Flags of `cuMemAllocManaged`, if that was called.
    pub managed: Option<c_uint>,
    /// Whether it comes and goes in a stream's order: it may share a chunk whatever its size, and belongs to no
    /// context.
    pub pooled: bool,
}

impl AllocRequest {
    pub fn plain(bytes: usize) -> Self {
        Self { bytes: bytes as u64, pool: 0, managed: None, pooled: false }
    }
}

impl Memory {
    /// Memory for the application.
    ///
    /// # Errors
    /// The code for the application; nothing is left of the attempt.
    pub fn allocate(&self, context: &Context, request: AllocRequest) -> Result<CUdeviceptr, CUresult> {
        let device = &*context.device;
        let charged = self.charge_allocation(device, request.bytes)?;
        let made = self.allocate_from_engine(context, request);
        if made.is_err() {
            self.ledger.refund(device.id, charged);
        }
        self.ledger.report_changes();
        made
    }

    /// Counts an allocation before it is made; what is to be refunded if it is not.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted.
    pub fn charge_allocation(&self, device: &Device, bytes: u64) -> Result<u64, CUresult> {
        let charge = bytes.checked_next_multiple_of(ALIGNMENT).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        self.charge_or_reclaim(device.id, charge, self.limits.bound(device.capacity))?;
        Ok(charge)
    }

    /// Counts bytes; where the limit is in the way, what streams have freed, or a capture's end has made free, is given
    /// back first. Where no limit is set, what nobody has addresses for is refused all the same.
    pub fn charge_or_reclaim(
        &self,
        device: DeviceId,
        bytes: u64,
        bound: Option<u64>,
    ) -> Result<(), CUresult> {
        if bytes > ADDRESS_SPACE {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        if self.ledger.charge(device, bytes, bound).is_ok() {
            return Ok(());
        }
        self.reclaim_current();
        if self.ledger.charge(device, bytes, bound).is_ok() {
            return Ok(());
        }
        self.reclaim(true);
        self.ledger.charge(device, bytes, bound)
    }

    fn allocate_from_engine(
        &self,
        context: &Context,
        request: AllocRequest,
    ) -> Result<CUdeviceptr, CUresult> {
        let device = &*context.device;
        let engine = match request.managed {
            Some(_) => Engine::Managed,
            None => self.engine.on(device),
        };
        let small = request.bytes < CHUNK_MAX && request.managed.is_none();
        let shares = match engine {
            Engine::Swap => request.pooled || small,
            Engine::Managed => request.pooled || small && min_chunk(engine, device) == CHUNK_MAX,
            Engine::Plain => false,
        };
        if (shares || engine == Engine::Swap) && !request.pooled && self.captures.any() {
            may_allocate(context)?;
        }
        if shares {
            return self.allocate_in_chunk(context, engine, request);
        }
        let site = AllocSite { context, engine, arena: None };
        let start = self.new_extent(site, request.bytes, request.managed)?;
        self.record_allocation(site.owner(), start, start, request);
        Ok(start)
    }

    /// How much more may be made on a device. Chunks are larger than what was asked for, and the whole of it must find
    /// room there one day.
    pub fn available(&self, device: DeviceId, bound: Option<u64>) -> u64 {
        bound.map_or(u64::MAX, |bound| bound.saturating_sub(self.ledger.totals(device).allocated))
    }

    /// Whether so much more may be made, after chunks that nothing lies in have been given back if need be.
    pub fn make_room(&self, device: DeviceId, bytes: u64, bound: Option<u64>) -> bool {
        let fits = || bytes <= self.available(device, bound);
        fits() || self.release_empty_chunks(device, 0).is_some() && fits()
    }

    fn record_allocation(&self, owner: Owner, start: u64, extent: u64, request: AllocRequest) {
        let mut ledger = self.ledger.lock();
        let id = ledger.next_seq();
        let allocation = Allocation {
            pool: request.pool,
            managed: request.managed.is_some(),
            pooled: request.pooled,
            ..Allocation::new(id, owner, extent, request.bytes)
        };
        ledger.allocations.insert(start, allocation);
        if request.pool != 0 {
            let pool = ledger.pools.entry(request.pool).or_default();
            pool.used += request.bytes;
            pool.high_water = pool.high_water.max(pool.used);
            pool.reserved = pool.reserved.max(pool.used);
        }
    }

    fn allocate_in_chunk(
        &self,
        context: &Context,
        engine: Engine,
        request: AllocRequest,
    ) -> Result<CUdeviceptr, CUresult> {
        let device = &*context.device;
        // Managed chunks go with their context, so that no other context's allocations may lie in them.
        let going_with = if engine == Engine::Managed { context.raw() } else { 0 };
        let arena_key = ArenaKey { device: device.id, context: going_with };
        let site = AllocSite { context, engine, arena: Some(arena_key) };
        let mut asked = false;
        loop {
            let (part, in_chunks) = {
                let mut ledger = self.ledger.lock();
                let arena = ledger.arenas.entry(arena_key).or_insert_with(|| Arena::new(ALIGNMENT));
                (arena.alloc(request.bytes), arena.capacity())
            };
            if let Some(start) = part {
                let extent = self.ledger.lock().extents.range(..=start).next_back().map(|(at, _)| *at);
                self.record_allocation(site.owner(), start, extent.unwrap_or(start), request);
                return Ok(start);
            }
            // What streams have passed is there before new memory is.
            if request.pooled && !std::mem::replace(&mut asked, true) {
                self.reclaim(false);
                continue;
            }
            // Chunks grow with what is in them, so that little is wasted on a small program.
            let size = (in_chunks / 4).clamp(min_chunk(engine, device), CHUNK_MAX).max(request.bytes);
            let size = size.checked_next_multiple_of(GRANULE).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
            let needed = request.bytes.next_multiple_of(GRANULE);
            let room = self.available(device.id, self.limits.bound(device.capacity)) / GRANULE * GRANULE;
            let size = size.min(room.max(needed));
            let start = self.new_extent(site, size, None)?;
            let mut ledger = self.ledger.lock();
            if let Some(arena) = ledger.arenas.get_mut(&arena_key) {
                arena.add_region(start, size);
            }
        }
    }

    /// New addresses with memory behind them.
    fn new_extent(&self, site: AllocSite<'_>, bytes: u64, managed: Option<c_uint>) -> Result<u64, CUresult> {
        let context = site.context;
        let device = &*context.device;
        let (start, bytes, backing) = match site.engine {
            Engine::Swap => return self.new_piece_extent(site, bytes),
            Engine::Managed => {
                // Whole granules can become pieces.
                let may = managed.is_none() && bytes >= CHUNK_MAX;
                let bytes = bytes.checked_next_multiple_of(GRANULE).filter(|_| may).unwrap_or(bytes);
                let start = self.allocate_managed(context, bytes, managed.unwrap_or(CU_MEM_ATTACH_GLOBAL))?;
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
                (start, bytes, if device.movable { Backing::Managed { resident } } else { Backing::Plain })
            }
            Engine::Plain => {
                let _addresses = self.addresses.choose();
                let mut start = 0;
                // SAFETY: the pointer is to a local; the context is current.
                let make = || unsafe { driver::cuMemAlloc_v2(&mut start, bytes as usize) };
                context.within(make).unwrap_or(CUresult::ERROR_CONTEXT_IS_DESTROYED).ok()?;
                (start, bytes, Backing::Plain)
            }
        };
        self.ledger.lock().add_extent(start, Extent::new(site.owner(), bytes, backing).in_arena(site.arena));
        self.ledger.mark_changed();
        Ok(start)
    }

    /// Addresses of our own, with pieces behind them: on the device at once if the GPU is ours, else with the grant.
    fn new_piece_extent(&self, site: AllocSite<'_>, bytes: u64) -> Result<u64, CUresult> {
        let device = &*site.context.device;
        let whole = bytes.checked_next_multiple_of(GRANULE).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        if !self.make_room(device.id, whole, self.limits.bound(device.capacity)) {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        let sizes = piece_sizes(whole);
        let mut slots = Vec::with_capacity(sizes.len());
        let free_slots =
            |slots: &[Option<u64>]| slots.iter().flatten().for_each(|slot| self.space.free_slot(*slot));
        let mut rest = whole;
        for size in &sizes {
            match self.space.allocate_slot(*size, rest, || self.waker.wake()) {
                Ok(slot) => slots.push(slot),
                Err(code) => {
                    free_slots(&slots);
                    return Err(code);
                }
            }
            rest -= size;
        }
        let reserved = self.addresses.reserve(whole);
        if let Err(code) = reserved {
            free_slots(&slots);
            return Err(code);
        }
        let start = reserved?;
        let ids = {
            let mut ledger = self.ledger.lock();
            let parts = sizes.into_iter().zip(slots);
            let kind =
                PieceKind { device: device.id, prop: piece::device_prop(device.ordinal), pinned: None };
            let ids = ledger.add_pieces(start, parts, kind);
            let extent = Extent::new(site.owner(), whole, Backing::Pieces(ids.clone()));
            ledger.add_extent(start, extent.in_arena(site.arena));
            self.ledger.mark_changed();
            ids
        };
        if let Err(code) = self.materialize(&ids) {
            self.drop_extent(start);
            return Err(code);
        }
        Ok(start)
    }

    /// Puts pieces of one allocation on the device, if the GPU is ours. On a full card the scheduler is given time to
    /// make room.
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
                self.release_empty_chunks(device, 0);
                ledger = self.ledger.lock();
                continue;
            }
            ledger.note_refusal(device, bytes, refused);
            let left = deadline
                .left()
                .filter(|_| refused == CUresult::ERROR_OUT_OF_MEMORY && self.ledger.is_scheduler_attached());
            let Some(left) = left else { return Err(refused) };
            log::debug!("the card is full: waiting for room");
            self.waker.wake();
            ledger = self.ledger.wait(ledger, left);
        }
    }

    /// Managed memory of the driver's, which goes with this context: a stream's or a pool's need not be the current
    /// one.
    fn allocate_managed(&self, context: &Context, bytes: u64, flags: c_uint) -> Result<u64, CUresult> {
        let _addresses = self.addresses.choose();
        let mut start = Err(CUresult::ERROR_CONTEXT_IS_DESTROYED);
        let make = || {
            start = make_managed(bytes, flags);
            start.map_or_else(|code| code, |_| CUresult::SUCCESS)
        };
        context.within(make).unwrap_or(CUresult::ERROR_CONTEXT_IS_DESTROYED).ok()?;
        start
    }

    /// The driver has made `bytes` at `start`, which were charged: memory of a pool, which stays.
    pub fn adopt(&self, context: &Context, device: &Device, start: u64, bytes: u64) {
        let owner = Owner { device: device.id, context: context.raw() };
        self.ledger.lock().add_extent(start, Extent::new(owner, bytes, Backing::Plain));
        let request = AllocRequest { bytes, pool: 0, managed: None, pooled: true };
        self.record_allocation(owner, start, start, request);
    }
}

fn min_chunk(engine: Engine, device: &Device) -> u64 {
    let is_convertible =
        engine == Engine::Managed && device.movable && device.capacity.0 >= MANAGED_CHUNKS_FROM;
    if is_convertible { CHUNK_MAX } else { GRANULE }
}

/// The driver's answer to a plain allocation beside a capture, which it may refuse and end the capture with. Of pieces
/// it would not know; a question about a stream of ours is allowed and forbidden like an allocation
/// (`tests/gpu/facts.sh`), and does nothing else.
fn may_allocate(context: &Context) -> Result<(), CUresult> {
    let Some(mut entered) = context.enter() else { return Ok(()) };
    let Ok(stream) = entered.stream() else { return Ok(()) };
    // SAFETY: our own stream of the context that is current.
    let code = unsafe { driver::cuStreamQuery(stream) };
    if captures::is_refusal(code) { Err(code) } else { Ok(()) }
}

/// Puts new managed memory on the device ahead of its first touch, which else costs a fault for each 2 MiB
/// (`tests/gpu/facts.sh`: 0.04 s instead of 0.9 s for 12 GiB). Nobody waits for it, and its failure only means faults.
fn populate(context: &Context, start: u64, bytes: u64) {
    if bytes >= POPULATE
        && context.device.movable
        && let Some(mut entered) = context.enter()
        && let Ok(stream) = entered.stream()
    {
        // SAFETY: the allocation just made, on our own stream of the context that is current.
        let _ = unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, context.device.ordinal, stream) };
    }
}
