//! What goes with a context.
//!
//! Before the driver destroys it, what it has is taken out of the book, for afterwards its handle and its addresses may
//! be somebody else's at once; given back it is only when the driver has done it, for until then its kernels may run.
//! What was allocated from pools belongs to no context and stays, but for a reset of the device (`cuCtxDestroy` in
//! `cuda.h` of CUDA 12).
use super::Memory;
use super::arena::Arena;
use super::book::{Allocation, Extent, Fixed, Shelf};
use super::stream_order::Passing;
use crate::driver::contexts::Contexts;
use std::collections::BTreeMap;

/// What a context has that is being destroyed. It stays charged.
#[derive(Debug)]
pub struct Leaving {
    context: usize,
    allocations: BTreeMap<u64, Allocation>,
    /// What goes whole: what the driver frees itself, and shared chunks.
    extents: BTreeMap<u64, Extent>,
    arenas: BTreeMap<Shelf, Arena>,
    fixed: BTreeMap<usize, Fixed>,
    passing: Passing,
}

impl Memory {
    /// Takes out what goes with a context; with `reset`, also what was taken of pools in it.
    pub fn leave(&self, context: usize, reset: bool) -> Leaving {
        let passing = self.take_passing(context);
        let mut book = self.book();
        let goes = |of: &Allocation| of.context == context && (reset || !of.pooled);
        let allocations: BTreeMap<_, _> = book.allocations.extract_if(.., |_, of| goes(of)).collect();
        let whole: Vec<u64> = allocations.values().map(|allocation| allocation.extent).collect();
        let goes = |start: &u64, extent: &Extent| match extent.shelf {
            Some(shelf) => shelf.1 == context,
            None => extent.is_the_drivers() && whole.contains(start),
        };
        let extents = book.extents.extract_if(.., |start, extent| goes(start, extent)).collect();
        let arenas = book.arenas.extract_if(.., |shelf, _| shelf.1 == context).collect();
        let fixed = book.fixed.extract_if(.., |_, fixed| fixed.context == context).collect();
        Leaving { context, allocations, extents, arenas, fixed, passing }
    }

    /// The context is gone, and with it everything that ran in it.
    pub fn left(&self, contexts: &Contexts, leaving: Leaving) {
        for (start, allocation) in leaving.allocations {
            let mut book = self.book();
            book.uncharge(&allocation);
            if !leaving.extents.contains_key(&allocation.extent) {
                self.vacate(contexts, book, start, &allocation);
            }
        }
        // A shared chunk of the context's that has become pieces is not the driver's to free.
        for (start, extent) in leaving.extents.into_iter().filter(|(_, extent)| !extent.is_the_drivers()) {
            self.give_extent_back(contexts, start, extent);
        }
        let mut book = self.book();
        leaving.fixed.values().for_each(|fixed| book.refund(fixed.device, fixed.bytes));
        drop(book);
        leaving.passing.starts().for_each(|(start, id)| self.give_back(contexts, start, id));
        self.forget_access_of_context(leaving.context);
    }

    /// The driver has not destroyed it.
    pub fn stay(&self, leaving: Leaving) {
        let mut book = self.book();
        book.allocations.extend(leaving.allocations);
        book.extents.extend(leaving.extents);
        book.arenas.extend(leaving.arenas);
        book.fixed.extend(leaving.fixed);
        drop(book);
        self.put_back_passing(leaving.passing);
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::Home;
    use super::*;
    use nvshare_protocol::DeviceId;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn memory() -> Memory {
        let memory = Memory::new(crate::settings::EngineChoice::Managed);
        let mut book = memory.book();
        for (start, context, pooled) in [(1_u64 << 20, 7, false), (2 << 20, 7, true), (3 << 20, 8, false)] {
            let home = Home::Plain;
            let extent = Extent { device: GPU, bytes: 512, home, context, stamp: 0, shelf: None };
            book.extents.insert(start, extent);
            let id = start;
            let of = Allocation {
                device: GPU,
                bytes: 512,
                context,
                extent: start,
                pool: 0,
                managed: false,
                pooled,
                id,
                freed: false,
            };
            book.allocations.insert(start, of);
            book.charge(GPU, 512, None).unwrap();
        }
        book.charge(GPU, 100, None).unwrap();
        book.fix(5, Fixed { device: GPU, bytes: 100, reason: "arrays", context: 7 });
        drop(book);
        memory
    }

    #[test]
    fn a_context_takes_its_own_with_it_and_nothing_else() {
        for (reset, left) in [(false, 2 * 512), (true, 512)] {
            let memory = memory();
            let leaving = memory.leave(7, reset);
            assert_eq!(memory.charged(GPU), 3 * 512 + 100, "it stays charged until the context is gone");
            assert!(memory.known(1 << 20).is_none() && memory.known(3 << 20).is_some());
            memory.left(&Contexts::default(), leaving);
            assert_eq!(memory.charged(GPU), left);
            assert_eq!(memory.totals(GPU).allocated, left, "what stays is counted, arrays are not");
        }
    }

    #[test]
    fn a_context_that_the_driver_keeps_keeps_all_it_has() {
        let memory = memory();
        let before = memory.totals(GPU);
        let leaving = memory.leave(7, true);
        memory.stay(leaving);
        assert_eq!((memory.totals(GPU), memory.charged(GPU)), (before, 3 * 512 + 100));
        assert!(memory.known(1 << 20).is_some());
    }

    #[test]
    fn an_address_that_the_driver_gives_out_again_is_not_freed_with_the_context() {
        let memory = memory();
        let leaving = memory.leave(7, false);
        let home = Home::Plain;
        let again = Extent { device: GPU, bytes: 64, home, context: 9, stamp: 0, shelf: None };
        memory.book().extents.insert(1 << 20, again);
        memory.left(&Contexts::default(), leaving);
        assert!(memory.book().extents.contains_key(&(1 << 20)));
    }
}
