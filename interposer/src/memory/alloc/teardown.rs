//! What ends with a context.
//!
//! Before the driver destroys a context, its memory is taken out of the ledger: afterwards the handle and the addresses
//! may belong to somebody else at once. The memory is released only when the driver has succeeded, because the
//! context's kernels may run until then. Memory from pools belongs to no context and stays, except when the device is
//! reset (`cuCtxDestroy` in `cuda.h` of CUDA 12).
use crate::memory::alloc::batch::PendingFrees;
use crate::memory::alloc::deferred::DeferredFrees;
use crate::memory::alloc::release::Releaser;
use crate::memory::ledger::arena::Arena;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::{Allocation, ArenaKey, Extent, Unevictable};
use crate::sys::detached::{Detached, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a context has that is being destroyed. It stays charged.
#[derive(Debug)]
pub struct ContextMemory<'a> {
    owner: &'a Teardown,
    context: usize,
    allocations: BTreeMap<u64, Allocation>,
    /// What ends as a whole: extents that the driver frees itself, and chunks.
    extents: BTreeMap<u64, Extent>,
    arenas: BTreeMap<ArenaKey, Arena>,
    unevictable: BTreeMap<usize, Unevictable>,
    pending: PendingFrees,
}

/// Takes out what a context has.
#[derive(Debug)]
pub struct Teardown {
    ledger: Arc<SharedLedger>,
    releaser: Arc<Releaser>,
    deferred: Arc<DeferredFrees>,
}

impl Teardown {
    pub fn new(ledger: Arc<SharedLedger>, releaser: Arc<Releaser>, deferred: Arc<DeferredFrees>) -> Self {
        Self { ledger, releaser, deferred }
    }

    /// Takes out what goes with a context; with `reset`, also what was taken of pools in it.
    pub fn detach(&self, context: usize, reset: bool) -> Detached<ContextMemory<'_>> {
        let pending = self.deferred.detach_context(context);
        let mut ledger = self.ledger.lock();
        let goes = |of: &Allocation| of.context == context && (reset || !of.pooled);
        let allocations: BTreeMap<_, _> = ledger.allocations.extract_if(.., |_, of| goes(of)).collect();
        let whole: Vec<u64> = allocations.values().map(|allocation| allocation.extent).collect();
        let goes = |start: &u64, extent: &Extent| match extent.arena {
            Some(arena_key) => arena_key.context == context,
            None => extent.is_the_drivers() && whole.contains(start),
        };
        let extents = ledger.extents.extract_if(.., |start, extent| goes(start, extent)).collect();
        let arenas = ledger.arenas.extract_if(.., |arena_key, _| arena_key.context == context).collect();
        let unevictable =
            ledger.unevictable.extract_if(.., |_, unevictable| unevictable.context == context).collect();
        let owner = self;
        Detached::new(ContextMemory { owner, context, allocations, extents, arenas, unevictable, pending })
    }
}

impl Transaction for ContextMemory<'_> {
    /// The context is gone, and with it everything that ran in it.
    fn commit(self) {
        let Teardown { ledger: shared, releaser, .. } = self.owner;
        for (start, allocation) in self.allocations {
            let mut ledger = shared.lock();
            ledger.uncharge(&allocation);
            if !self.extents.contains_key(&allocation.extent) {
                releaser.release_place(ledger, start, &allocation);
            }
        }
        // A chunk that was converted into pieces is ours to free, not the driver's.
        for (start, extent) in self.extents.into_iter().filter(|(_, extent)| !extent.is_the_drivers()) {
            releaser.release_extent(start, extent);
        }
        let mut ledger = shared.lock();
        self.unevictable
            .values()
            .for_each(|unevictable| ledger.refund(unevictable.device, unevictable.bytes));
        drop(ledger);
        self.pending.starts().for_each(|(start, id)| releaser.release_allocation(start, id));
        shared.drop_access_of_context(self.context);
    }

    /// The driver has not destroyed it.
    fn rollback(self) {
        let Teardown { ledger: shared, deferred, .. } = self.owner;
        let mut ledger = shared.lock();
        ledger.allocations.extend(self.allocations);
        ledger.extents.extend(self.extents);
        ledger.arenas.extend(self.arenas);
        ledger.unevictable.extend(self.unevictable);
        drop(ledger);
        deferred.reattach_context(self.pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::dependencies::Dependencies;
    use crate::memory::ledger::{Backing, ExtentOwner};
    use nvshare_protocol::DeviceId;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn teardown() -> Teardown {
        let uses = Dependencies::default();
        let shared = Arc::new(SharedLedger::new(uses.waker.clone()));
        let releaser = Arc::new(Releaser::new(shared.clone(), Arc::default(), uses.contexts.clone()));
        let deferred = Arc::new(DeferredFrees::new(&uses, shared.clone(), releaser.clone()));
        let mut ledger = shared.lock();
        for (start, context, pooled) in [(1_u64 << 20, 7, false), (2 << 20, 7, true), (3 << 20, 8, false)] {
            let owner = ExtentOwner { device: GPU, context };
            ledger.add_extent(start, Extent::new(owner, 512, Backing::Plain));
            let of = Allocation { pooled, ..Allocation::new(start, owner, start, 512) };
            ledger.allocations.insert(start, of);
            ledger.charge(GPU, 512, None).unwrap();
        }
        ledger.charge(GPU, 100, None).unwrap();
        ledger.add_unevictable(5, Unevictable { device: GPU, bytes: 100, reason: "arrays", context: 7 });
        drop(ledger);
        Teardown::new(shared, releaser, deferred)
    }

    #[test]
    fn a_context_takes_its_own_with_it_and_nothing_else() {
        for (reset, left) in [(false, 2 * 512), (true, 512)] {
            let of = teardown();
            let detached = of.detach(7, reset);
            assert_eq!(of.ledger.charged(GPU), 3 * 512 + 100, "it stays charged until the context is gone");
            assert!(of.ledger.alloc_info(1 << 20).is_none() && of.ledger.alloc_info(3 << 20).is_some());
            detached.commit();
            assert_eq!(of.ledger.charged(GPU), left);
            assert_eq!(of.ledger.totals(GPU).allocated, left, "what stays is counted, arrays are not");
        }
    }

    #[test]
    fn a_context_that_the_driver_keeps_keeps_all_it_has() {
        let of = teardown();
        let before = of.ledger.totals(GPU);
        of.detach(7, true).rollback();
        assert_eq!((of.ledger.totals(GPU), of.ledger.charged(GPU)), (before, 3 * 512 + 100));
        assert!(of.ledger.alloc_info(1 << 20).is_some());
    }

    #[test]
    fn an_address_that_the_driver_gives_out_again_is_not_freed_with_the_context() {
        let of = teardown();
        let detached = of.detach(7, false);
        let again = Extent::new(ExtentOwner { device: GPU, context: 9 }, 64, Backing::Plain);
        of.ledger.lock().extents.insert(1 << 20, again);
        detached.commit();
        assert!(of.ledger.lock().extents.contains_key(&(1 << 20)));
    }
}
