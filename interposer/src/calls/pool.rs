//! Pools of stream-ordered memory. Most are made of our chunks, which can be evicted. A pool that the application may share
//! with others stays the driver's.
#![allow(unsafe_code)] // properties and results are read and written through the application's pointers
use crate::dispatch::{Disposition, NoAfter};
use crate::driver;
use crate::driver::context::Context;
use crate::driver::device::Device;
use crate::driver::pools::Pool;
use crate::memory::{AccessScope, Engine};
use crate::process::Process;
use nvshare_abi::*;
use std::sync::Arc;

/// What memory of a pool is made of.
pub(super) enum PoolSource {
    /// Chunks of ours: the pool that they are counted for, and a context on its device.
    Ours(usize, Arc<Context>),
    /// The driver's own memory, counted, on this device.
    Drivers(Arc<Device>),
    /// Memory that nobody counts: the host's.
    Uncounted,
}

/// What memory in `context` is made of. `asked`: the pool it is taken from. None: the device's current one.
pub(super) fn source(process: &Process, context: Arc<Context>, asked: Option<CUmemoryPool>) -> PoolSource {
    let pool = asked.unwrap_or_else(|| process.pools.current(context.device.ordinal));
    let known =
        pool_of(process, pool).unwrap_or(Pool { device: Some(context.device.ordinal), foreign: true });
    let Some(ordinal) = known.device else { return PoolSource::Uncounted };
    let Some(device) = process.contexts.device(ordinal) else { return PoolSource::Uncounted };
    let there =
        if ordinal == context.device.ordinal { Some(context) } else { process.contexts.on(device.id) };
    // Managed memory ends with its context, but memory of a pool does not. The primary context lives as long as
    // the device is used, so that there it makes no difference.
    let ours = there.filter(|context| match process.memory.engine.on(&device) {
        _ if known.foreign => false,
        Engine::Swap => true,
        Engine::Managed => context.is_primary(),
        Engine::Plain => false,
    });
    ours.map_or(PoolSource::Drivers(device), |context| PoolSource::Ours(pool as usize, context))
}

/// What is known of a pool: we saw it made, or it is a device's default one.
fn pool_of(process: &Process, pool: CUmemoryPool) -> Option<Pool> {
    process.pools.get(pool as usize).or_else(|| {
        let mut count = 0;
        // SAFETY: the pointer is to a local.
        unsafe { driver::cuDeviceGetCount(&mut count) };
        let device = (0..count).find(|ordinal| {
            let mut default = std::ptr::null_mut();
            // SAFETY: the pointer is to a local, and the ordinal of a device that there is.
            let code = unsafe { driver::cuDeviceGetDefaultMemPool(&mut default, *ordinal) };
            code == CUresult::SUCCESS && default == pool
        })?;
        let known = Pool { device: Some(device), foreign: false };
        process.pools.note(pool as usize, known);
        Some(known)
    })
}

/// A device gets another current pool.
pub fn pool_select(process: &'static Process) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        process.pools.forget_current();
        result
    })
}

/// A pool that can be shared, or that is not on a device, stays the driver's.
pub fn pool_create(
    process: &'static Process,
    pool: *mut CUmemoryPool,
    props: *const CUmemPoolProps,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS {
            // SAFETY: the driver has accepted both pointers and reported success.
            if let (Some(pool), Some(props)) = unsafe { (pool.as_ref(), props.as_ref()) } {
                let on_device = props.location.r#type == CU_MEM_LOCATION_TYPE_DEVICE;
                let plain = props.allocType == CU_MEM_ALLOCATION_TYPE_PINNED && props.handleTypes == 0;
                let device = on_device.then_some(props.location.id);
                process.pools.note(*pool as usize, Pool { device, foreign: !plain });
            }
        }
        result
    })
}

/// A pool that the driver refuses to destroy, as a device's default one, stays what it was.
pub fn pool_destroy(
    process: &'static Process,
    pool: CUmemoryPool,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let pool = pool as usize;
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS {
            process.memory.deferred.reclaim_current();
            process.pools.forget(pool);
            process.memory.pools.forget(pool);
            process.memory.ledger.report_changes();
            // A device whose current pool it was has its default one again.
            process.pools.forget_current();
        }
        result
    })
}

/// Says which devices may use memory of a pool.
pub fn pool_set_access(
    process: &'static Process,
    pool: CUmemoryPool,
    map: *const CUmemAccessDesc,
    count: usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result != CUresult::SUCCESS {
            return result;
        }
        let owner = pool_of(process, pool).filter(|pool| !pool.foreign).and_then(|pool| pool.device);
        let Some(owner) = owner.and_then(|owner| process.contexts.device(owner)) else { return result };
        // SAFETY: the driver has accepted `count` descriptions; of none it may accept a null pointer.
        let descs = if map.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(map, count) } };
        for desc in descs {
            let (by, guest) = (AccessScope::Pool(pool as usize), desc.location.id);
            if desc.location.r#type != CU_MEM_LOCATION_TYPE_DEVICE || guest == owner.ordinal {
                continue;
            }
            if desc.flags == 0 {
                process.memory.ledger.revoke_access(by, owner.id, guest);
            } else if let Err(code) = process.memory.ledger.grant_access(by, owner.id, guest) {
                return code;
            }
        }
        result
    })
}

/// How much is allocated from a pool of ours. The driver answers all other questions.
pub fn pool_get_attribute(
    process: &'static Process,
    pool: CUmemoryPool,
    attribute: CUmemPool_attribute,
    value: *mut c_void,
) -> Disposition<NoAfter> {
    process.memory.deferred.reclaim_current();
    let used = process.memory.pools.usage(pool as usize);
    let Some(used) = used.filter(|_| !value.is_null()) else { return Disposition::Passthrough };
    let told = match attribute {
        CU_MEMPOOL_ATTR_USED_MEM_CURRENT => used.used,
        CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT => used.used.max(used.reserved.min(threshold(pool))),
        CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH | CU_MEMPOOL_ATTR_USED_MEM_HIGH => used.high_water,
        _ => return Disposition::Passthrough,
    };
    // SAFETY: these attributes are a `cuuint64_t` each, by the driver's documentation.
    unsafe { value.cast::<u64>().write(told) };
    Disposition::Complete(CUresult::SUCCESS)
}

/// The pool's release threshold: how much freed memory it keeps, as the application has set it.
fn threshold(pool: CUmemoryPool) -> u64 {
    let mut threshold = 0_u64;
    // SAFETY: the pointer is to a local of the attribute's type.
    unsafe {
        driver::cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut threshold).cast());
    }
    threshold
}

pub fn pool_trim(process: &'static Process, pool: CUmemoryPool, keep: usize) -> Disposition<NoAfter> {
    process.memory.deferred.reclaim_current();
    process.memory.pools.trim(pool as usize, keep as u64);
    process.memory.ledger.report_changes();
    Disposition::Passthrough
}

/// A high-water mark can only be set to zero, which starts it anew. The release threshold is kept here too.
pub fn pool_set_attribute(
    process: &'static Process,
    pool: CUmemoryPool,
    attribute: CUmemPool_attribute,
    value: *mut c_void,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result != CUresult::SUCCESS {
            return result;
        }
        match attribute {
            CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH | CU_MEMPOOL_ATTR_USED_MEM_HIGH => {
                process.memory.pools.reset_high_water(pool as usize);
            }
            CU_MEMPOOL_ATTR_RELEASE_THRESHOLD => {
                let ours = pool_of(process, pool).filter(|known| !known.foreign);
                let ordinal = ours.and_then(|known| known.device);
                if let Some(device) = ordinal.and_then(|ordinal| process.contexts.device(ordinal)) {
                    // SAFETY: the driver has accepted the pointer, which is to a `cuuint64_t` by its documentation.
                    let bytes = unsafe { value.cast::<u64>().read() };
                    process.memory.pools.set_threshold(pool as usize, device.id, bytes);
                }
            }
            _ => {}
        }
        result
    })
}
