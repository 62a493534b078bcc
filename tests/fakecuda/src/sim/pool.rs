//! Pools: memory that comes and goes in the order of streams. What was freed is kept up to a threshold.
use crate::settings::settings;
use crate::sim::alloc::{map_file, simulated};
use crate::sim::ledger::Kind;
use crate::sim::physical::{self, GRANULARITY};
use crate::sim::process::Process;
use nvshare_abi::CUresult;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;

/// A shared pool's file is so long, and has holes where nothing lies.
const LONGEST: u64 = 1 << 40;

pub struct Pool {
    pub device: usize,
    /// Real bytes, as the next two.
    pub threshold: u64,
    pub used: u64,
    pub used_high: u64,
    /// Whether memory is used again: by event order, if it happens to be free, by making an order.
    pub reuse: [i32; 3],
    /// Simulated bytes that are allocated, that are kept in all, and the most that ever were.
    live: u64,
    held: u64,
    held_high: u64,
    /// Where the memory of a pool lies that others can be given.
    file: Option<File>,
    next: u64,
    /// Destroyed; it goes with its last allocation.
    doomed: bool,
}

#[derive(Default)]
pub struct Pools {
    pub all: BTreeMap<usize, Pool>,
    /// By device: the pool that is always there, and the one that is used.
    usual: BTreeMap<usize, usize>,
    current: BTreeMap<usize, usize>,
}

impl Pool {
    fn new(device: usize, file: Option<File>) -> Self {
        Self {
            device,
            threshold: 0,
            used: 0,
            used_high: 0,
            reuse: [1; 3],
            live: 0,
            held: 0,
            held_high: 0,
            file,
            next: 0,
            doomed: false,
        }
    }

    /// Real bytes that it keeps of the device, and the most that it ever did.
    pub fn reserved(&self) -> (u64, u64) {
        (self.held / settings().byte_scale, self.held_high / settings().byte_scale)
    }

    /// The high-water marks begin anew.
    pub fn reset_high(&mut self, reserved: bool) {
        if reserved {
            self.held_high = self.held;
        } else {
            self.used_high = self.used;
        }
    }

    /// Keeps so many simulated bytes at most, and what is allocated; what it gives back.
    fn shrink(&mut self, keep: u64) -> u64 {
        let spare = self.held - self.held.min(keep.max(self.live));
        self.held -= spare;
        spare
    }

    pub fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

impl Process {
    /// The pool that a device has from the beginning.
    pub fn usual_pool(&self, device: usize) -> usize {
        let mut inner = self.inner();
        if let Some(pool) = inner.pools.usual.get(&device) {
            return *pool;
        }
        let pool = inner.handle();
        inner.pools.all.insert(pool, Pool::new(device, None));
        inner.pools.usual.insert(device, pool);
        pool
    }

    /// The pool that allocations on a device are taken from.
    pub fn current_pool(&self, device: usize) -> usize {
        let current = self.inner().pools.current.get(&device).copied();
        current.unwrap_or_else(|| self.usual_pool(device))
    }

    pub fn set_current_pool(&self, device: usize, pool: usize) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let known = inner.pools.all.get(&pool).is_some_and(|pool| pool.device == device && !pool.doomed);
        if !known {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        inner.pools.current.insert(device, pool);
        Ok(())
    }

    /// A pool; `shared` if others can be given it, whose file it may have from them.
    pub fn create_pool(&self, device: usize, shared: bool, file: Option<File>) -> Result<usize, CUresult> {
        let file = match file {
            None if shared => Some(physical::sparse(LONGEST)?),
            file => file,
        };
        let mut inner = self.inner();
        let pool = inner.handle();
        inner.pools.all.insert(pool, Pool::new(device, file));
        Ok(pool)
    }

    pub fn destroy_pool(&self, pool: usize) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let usual = inner.pools.usual.values().any(|usual| *usual == pool);
        let found = inner.pools.all.get_mut(&pool).filter(|found| !usual && !found.doomed);
        found.ok_or(CUresult::ERROR_INVALID_VALUE)?.doomed = true;
        inner.pools.current.retain(|_, current| *current != pool);
        inner.memory.peers.forget_pool(pool);
        drop(inner);
        self.trim(pool, 0)
    }

    /// Memory of a pool.
    pub fn allocate_pooled(&self, bytes: u64, pool: usize, context: usize) -> Result<u64, CUresult> {
        let size = simulated(bytes);
        let device = match self.take_for_pool(size, pool) {
            Err(CUresult::ERROR_OUT_OF_MEMORY) => {
                self.settle_pools(true);
                self.take_for_pool(size, pool)?
            }
            taken => taken?,
        };
        let mut inner = self.inner();
        let found = inner.pools.all.get_mut(&pool).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let offset = found.next;
        let mapped = map_file(bytes, found.file.as_ref().map(|file| (file.as_fd(), offset)));
        let start = mapped.inspect_err(|_| found.live -= size)?;
        found.next += bytes.next_multiple_of(GRANULARITY);
        found.used += bytes;
        found.used_high = found.used_high.max(found.used);
        inner.memory.insert(start, bytes, Kind::Pooled { device, pool, offset }, context);
        Ok(start)
    }

    /// Simulated bytes of a pool, and of its device what the pool lacks; the device. What it lacks changes as it is trimmed,
    /// so that nobody does that meanwhile.
    fn take_for_pool(&self, size: u64, pool: usize) -> Result<usize, CUresult> {
        let mut inner = self.inner();
        let found = inner.pools.all.get_mut(&pool).filter(|pool| !pool.doomed);
        let found = found.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let more = size.saturating_sub(found.held - found.live);
        self.take_now(found.device, more)?;
        found.held += more;
        found.live += size;
        found.held_high = found.held_high.max(found.held);
        Ok(found.device)
    }

    /// What was allocated is the pool's again.
    pub(super) fn back_to_pool(&self, pool: usize, bytes: u64) {
        let gone = {
            let mut inner = self.inner();
            let Some(found) = inner.pools.all.get_mut(&pool) else { return };
            found.live -= simulated(bytes);
            found.used -= bytes;
            found.doomed
        };
        if gone {
            let _ = self.trim(pool, 0);
        }
    }

    /// Gives back what a pool has beyond `keep` real bytes, and the pool itself if it is over.
    pub fn trim(&self, pool: usize, keep: u64) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let found = inner.pools.all.get_mut(&pool).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let (device, spare) = (found.device, found.shrink(keep.saturating_mul(settings().byte_scale)));
        if found.doomed && found.live == 0 {
            inner.pools.all.remove(&pool);
        }
        drop(inner);
        self.give(device, spare);
        Ok(())
    }

    /// Every pool gives back what it has beyond its threshold; with `all`, everything that is not allocated.
    pub fn settle_pools(&self, all: bool) {
        let pools: Vec<_> = {
            let inner = self.inner();
            let keeps = inner.pools.all.iter().filter(|(_, pool)| pool.held > pool.live);
            keeps.map(|(handle, pool)| (*handle, if all { 0 } else { pool.threshold })).collect()
        };
        for (pool, keep) in pools {
            let _ = self.trim(pool, keep);
        }
    }
}
