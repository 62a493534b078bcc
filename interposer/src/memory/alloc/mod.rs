//! What the application's calls for memory do: they charge the limit, then take a part of a chunk or a new extent.
#![allow(unsafe_code)] // asks the driver whether it would allocate
pub mod addresses;
pub mod batch;
pub mod deferred;
pub mod extent;
pub mod free;
pub mod pool;
pub mod release;
pub mod teardown;
pub mod vmm;

use crate::driver;
use crate::driver::captures::{self, Captures};
use crate::driver::context::Context;
use crate::driver::device::Device;
use crate::limits::Limits;
use crate::memory::alloc::deferred::{DeferredFrees, StreamAt};
use crate::memory::alloc::extent::{AllocSite, ExtentAllocator};
use crate::memory::dependencies::Dependencies;
use crate::memory::engine::{Engine, EngineSelection};
use crate::memory::ledger::arena::Arena;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::{ALIGNMENT, CHUNK_MAX, GRANULE};
use crate::memory::ledger::{Allocation, ArenaKey, Backing, Extent, ExtentOwner};
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::sync::Arc;

/// Chunks of managed memory are as large as that, to be convertible. That is too much for a smaller card.
const MANAGED_CHUNKS_FROM: u64 = 1 << 30;
/// A program has no addresses for more, bytes: on x86-64 those that it gets unasked have 47 bits.
const ADDRESS_SPACE: u64 = 1 << 47;

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

/// Who makes what the application allocates.
#[derive(Debug)]
pub struct Allocator {
    ledger: Arc<SharedLedger>,
    engine: Arc<EngineSelection>,
    extents: Arc<ExtentAllocator>,
    deferred: Arc<DeferredFrees>,
    captures: Arc<Captures>,
    limits: Arc<Limits>,
}

impl Allocator {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        engine: Arc<EngineSelection>,
        extents: Arc<ExtentAllocator>,
        deferred: Arc<DeferredFrees>,
    ) -> Self {
        let Dependencies { captures, limits, .. } = uses.clone();
        Self { ledger, engine, extents, deferred, captures, limits }
    }

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

    /// Memory on the device of `context` for a stream: what was freed in it before, or new.
    ///
    /// # Errors
    /// The code for the application.
    pub fn allocate_async(
        &self,
        context: &Context,
        bytes: usize,
        pool: usize,
        stream: StreamAt,
    ) -> Result<CUdeviceptr, CUresult> {
        if let Some(item) = self.deferred.reuse(bytes as u64, pool, stream) {
            let mut ledger = self.ledger.lock();
            let new = ledger.next_seq();
            let known = ledger.allocations.get_mut(&item.start).filter(|known| known.id == item.id);
            match known {
                Some(allocation) if (allocation.pool, allocation.device) == (pool, context.device.id) => {
                    allocation.id = new;
                    allocation.freed = false;
                    return Ok(item.start);
                }
                // It is of an earlier pool with this handle.
                Some(_) => {
                    drop(ledger);
                    self.deferred.defer(item.start, item.id);
                }
                None => {}
            }
        }
        let request = AllocRequest { bytes: bytes as u64, pool, managed: None, pooled: true };
        match self.allocate(context, request) {
            Err(CUresult::ERROR_OUT_OF_MEMORY) => {
                self.deferred.reclaim(true);
                self.allocate(context, request)
            }
            answer => answer,
        }
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

    /// Counts bytes. If they exceed the limit, memory whose frees were deferred is reclaimed first: what streams have
    /// passed, then everything. More than the address space holds is refused even without a limit.
    fn charge_or_reclaim(&self, device: DeviceId, bytes: u64, bound: Option<u64>) -> Result<(), CUresult> {
        if bytes > ADDRESS_SPACE {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        if self.ledger.charge(device, bytes, bound).is_ok() {
            return Ok(());
        }
        self.deferred.reclaim_current();
        if self.ledger.charge(device, bytes, bound).is_ok() {
            return Ok(());
        }
        self.deferred.reclaim(true);
        self.ledger.charge(device, bytes, bound).map_err(|code| match bound {
            Some(_) => self.ledger.refuse(&self.limits, device, bytes, bound),
            None => code,
        })
    }

    /// Counts memory that lies in no chunk, and sees that there is room for it beside the chunks.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted.
    pub fn charge_with_room(&self, device: DeviceId, bytes: u64, bound: Option<u64>) -> Result<(), CUresult> {
        self.charge_or_reclaim(device, bytes, bound)?;
        if self.extents.make_room(device, bytes, bound) {
            return Ok(());
        }
        self.ledger.refund(device, bytes);
        Err(self.ledger.refuse(&self.limits, device, bytes, bound))
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
        let start = self.extents.allocate(site, request.bytes, request.managed)?;
        self.record_allocation(site.owner(), start, start, request);
        Ok(start)
    }

    fn record_allocation(&self, owner: ExtentOwner, start: u64, extent: u64, request: AllocRequest) {
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
            // Freed memory that its streams have passed comes before new memory.
            if request.pooled && !std::mem::replace(&mut asked, true) {
                self.deferred.reclaim(false);
                continue;
            }
            // Chunks grow with what is in them, so that little is wasted on a small program.
            let size = (in_chunks / 4).clamp(min_chunk(engine, device), CHUNK_MAX).max(request.bytes);
            let size = size.checked_next_multiple_of(GRANULE).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
            let needed = request.bytes.next_multiple_of(GRANULE);
            let room =
                self.extents.available(device.id, self.limits.bound(device.capacity)) / GRANULE * GRANULE;
            let size = size.min(room.max(needed));
            let start = self.extents.allocate(site, size, None)?;
            let mut ledger = self.ledger.lock();
            if let Some(arena) = ledger.arenas.get_mut(&arena_key) {
                arena.add_region(start, size);
            }
        }
    }

    /// The driver has made `bytes` at `start`, which were charged: memory of a pool, which stays.
    pub fn adopt(&self, context: &Context, device: &Device, start: u64, bytes: u64) {
        let owner = ExtentOwner { device: device.id, context: context.raw() };
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

/// The driver's answer to a plain allocation during a capture: it may refuse it, and then ends the capture. It does not
/// see the allocation of pieces, so it is asked about a stream of ours, which it allows and forbids like an allocation
/// (`tests/gpu/scripts/facts.sh`) and which has no other effect.
fn may_allocate(context: &Context) -> Result<(), CUresult> {
    let Some(mut entered) = context.enter() else { return Ok(()) };
    let Ok(stream) = entered.stream() else { return Ok(()) };
    // SAFETY: our own stream of the context that `enter` has made current.
    let code = unsafe { driver::cuStreamQuery(stream) };
    if captures::is_refusal(code) { Err(code) } else { Ok(()) }
}
