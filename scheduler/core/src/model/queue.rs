//! The queue of one device.
use crate::model::ids::TenantId;
use crate::model::queue_key::QueueKey;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Tenants that use several devices stand among those that use this one alone, with a key of their own at each device.
/// The device waits for one of them as soon as no single-device tenant stands before it at any of its devices. Until
/// then those behind it go first, because it could not be granted this device anyway.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunQueue {
    /// Tenants that use this device alone.
    pub single: BTreeSet<(QueueKey, TenantId)>,
    /// Tenants that use several devices, by their keys here.
    pub several: BTreeSet<(QueueKey, TenantId)>,
    /// Those of them that no single-device tenant stands before anywhere, in the one order that such tenants have at
    /// all devices. With an order for each device, two could wait for each other.
    pub heads: BTreeSet<(QueueKey, TenantId)>,
}

impl RunQueue {
    pub fn len(&self) -> usize {
        self.single.len() + self.several.len()
    }

    pub fn is_empty(&self) -> bool {
        self.single.is_empty() && self.several.is_empty()
    }

    /// The tenant that is next here.
    pub fn head(&self) -> Option<TenantId> {
        self.heads.first().or(self.single.first()).map(|(_, id)| *id)
    }

    /// The first key here.
    pub fn first_key(&self) -> Option<QueueKey> {
        let firsts = self.single.first().into_iter().chain(self.several.first());
        firsts.map(|(key, _)| *key).min()
    }

    /// All of them, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = TenantId> {
        self.single.iter().chain(&self.several).map(|(_, id)| *id)
    }

    /// All of them, with their keys here.
    pub fn in_order(&self) -> impl Iterator<Item = (QueueKey, TenantId)> {
        let mut all: Vec<(QueueKey, TenantId)> = self.single.iter().chain(&self.several).copied().collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// The first single-device tenant was `was` and now is `is`: which tenants with several devices stood behind such a
    /// tenant and do not any more (true), or the other way round (false).
    pub fn toggled(
        &self,
        was: Option<(QueueKey, TenantId)>,
        is: Option<(QueueKey, TenantId)>,
    ) -> (bool, Vec<TenantId>) {
        // None: nobody with one device waits, so that the end of the queue is the bound.
        let is_later = is.is_none() && was.is_some() || was.is_some_and(|was| is.is_some_and(|is| is > was));
        let (from, to) = if is_later { (was, is) } else { (is, was) };
        let Some(from) = from else { return (is_later, Vec::new()) };
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let toggled = self.several.range((Bound::Included(from), to));
        (is_later, toggled.map(|(_, id)| *id).collect())
    }
}
