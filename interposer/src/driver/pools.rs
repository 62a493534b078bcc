//! The pools of stream-ordered memory that the application has.
#![allow(unsafe_code)] // it asks the driver for a device's current pool
use crate::driver;
use crate::sys::lock::{Mutex, rank};
use nvshare_abi::{CUdevice, CUmemoryPool};
use std::collections::BTreeMap;

/// A pool of stream-ordered memory.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// The ordinal of its device; none for a pool of the host.
    pub device: Option<CUdevice>,
    /// Whether it is left to the driver, because it can be shared.
    pub foreign: bool,
}

#[derive(Debug, Default)]
pub struct Pools {
    /// By handle: the pools whose device is known.
    known: Mutex<BTreeMap<usize, Pool>, { rank::LEAF }>,
    /// By ordinal: the devices' current ones, so that not every allocation asks the driver.
    current: Mutex<BTreeMap<CUdevice, usize>, { rank::LEAF }>,
}

impl Pools {
    /// What is known of a pool.
    pub fn get(&self, pool: usize) -> Option<Pool> {
        self.known.lock().get(&pool).copied()
    }

    pub fn note(&self, pool: usize, what: Pool) {
        self.known.lock().insert(pool, what);
    }

    pub fn forget(&self, pool: usize) {
        self.known.lock().remove(&pool);
    }

    /// The device's current pool, of which memory is taken when none is named.
    pub fn current(&self, ordinal: CUdevice) -> CUmemoryPool {
        let mut known = self.current.lock();
        let pool = *known.entry(ordinal).or_insert_with(|| {
            let mut pool = std::ptr::null_mut();
            // SAFETY: the pointer is to a local.
            unsafe { driver::cuDeviceGetMemPool(&mut pool, ordinal) };
            pool as usize
        });
        if pool == 0 {
            known.remove(&ordinal);
        }
        pool as CUmemoryPool
    }

    /// Some device has, or may have, another current pool.
    pub fn forget_current(&self) {
        self.current.lock().clear();
    }
}
