//! Who waits for one device, in order.
use crate::model::ids::TenantId;
use crate::model::queue_key::QueueKey;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Those that use several devices stand among those that use this one alone, at places of their own at each device. One of
/// them is waited for here as soon as none of the others stands before it at any of its devices; until then those behind it
/// go first, for it could not be granted this device anyway.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunQueue {
    /// Those that use this device alone.
    pub single: BTreeSet<(QueueKey, TenantId)>,
    /// Those that use several, by their places here.
    pub several: BTreeSet<(QueueKey, TenantId)>,
    /// Those of them before whom nobody stands that uses one device alone, wherever that is; by their places in the one order
    /// that they have everywhere, or two could wait for each other.
    pub heads: BTreeSet<(QueueKey, TenantId)>,
}

impl RunQueue {
    pub fn is_empty(&self) -> bool {
        self.single.is_empty() && self.several.is_empty()
    }

    /// For whom the device is next.
    pub fn head(&self) -> Option<TenantId> {
        self.heads.first().or(self.single.first()).map(|(_, id)| *id)
    }

    /// The first place that somebody has here.
    pub fn first_key(&self) -> Option<QueueKey> {
        let firsts = self.single.first().into_iter().chain(self.several.first());
        firsts.map(|(place, _)| *place).min()
    }

    /// All of them, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = TenantId> {
        self.single.iter().chain(&self.several).map(|(_, id)| *id)
    }

    /// All of them, with their places here.
    pub fn in_order(&self) -> impl Iterator<Item = (QueueKey, TenantId)> {
        let mut all: Vec<(QueueKey, TenantId)> = self.single.iter().chain(&self.several).copied().collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Which of those with several devices none with one stands before, or one does, once `is` and not `was` is the first of
    /// these.
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
