//! Who waits for one device, in order.
use crate::event::TenantId;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

/// Tenants that use several devices have one order among them, which is the same at all devices: otherwise two could stand
/// before each other, and none would ever be next. Where the first of these stands among the others is the device's matter
/// alone, so that many short turns elsewhere change nothing here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Those that use this device alone, by their places here.
    single: BTreeSet<(u64, TenantId)>,
    /// Those that use several, by their places everywhere.
    several: BTreeSet<(u64, TenantId)>,
    /// And their places here.
    here: BTreeMap<TenantId, u64>,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.single.is_empty() && self.several.is_empty()
    }

    /// With its place: here, if it uses this device alone, otherwise everywhere.
    pub fn first(&self) -> Option<(u64, TenantId)> {
        self.in_order().next()
    }

    /// Each stands behind all that stand before it in its own order.
    pub fn in_order(&self) -> impl Iterator<Item = (u64, TenantId)> {
        InOrder {
            queue: self,
            single: self.single.iter().peekable(),
            several: self.several.iter().peekable(),
        }
    }

    /// `here`: where one that uses several devices stands at this one.
    pub fn insert(&mut self, (place, id): (u64, TenantId), here: Option<u64>) {
        match here {
            None => {
                self.single.insert((place, id));
            }
            Some(here) => {
                self.several.insert((place, id));
                self.here.insert(id, here);
            }
        }
    }

    pub fn remove(&mut self, entry: (u64, TenantId)) {
        self.single.remove(&entry);
        if self.several.remove(&entry) {
            self.here.remove(&entry.1);
        }
    }
}

struct InOrder<'a, I: Iterator> {
    queue: &'a Queue,
    single: Peekable<I>,
    several: Peekable<I>,
}

impl<'a, I: Iterator<Item = &'a (u64, TenantId)>> Iterator for InOrder<'a, I> {
    type Item = (u64, TenantId);

    fn next(&mut self) -> Option<Self::Item> {
        let several = self.several.peek().map(|(_, id)| (self.queue.here[id], *id));
        let next = match (self.single.peek(), several) {
            (Some(single), Some(several)) if **single > several => self.several.next(),
            (None, _) => self.several.next(),
            (Some(_), _) => self.single.next(),
        };
        next.copied()
    }
}
