//! Who waits for one device, in order.
use crate::model::ids::TenantId;
use std::collections::BTreeSet;

/// Those that use several devices stand among those that use this one alone, at places of their own at each device. One of
/// them is waited for here as soon as none of the others stands before it at any of its devices; until then those behind it
/// go first, for it could not be granted this device anyway.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunQueue {
    /// Those that use this device alone.
    pub single: BTreeSet<(u64, TenantId)>,
    /// Those that use several, by their places here.
    pub several: BTreeSet<(u64, TenantId)>,
    /// Those of them before whom nobody stands that uses one device alone, wherever that is; by their places in the one order
    /// that they have everywhere, or two could wait for each other.
    pub heads: BTreeSet<(u64, TenantId)>,
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
    pub fn first_key(&self) -> Option<u64> {
        let firsts = self.single.first().into_iter().chain(self.several.first());
        firsts.map(|(place, _)| *place).min()
    }

    /// All of them, in no order.
    pub fn waiting(&self) -> impl Iterator<Item = TenantId> {
        self.single.iter().chain(&self.several).map(|(_, id)| *id)
    }

    /// All of them, with their places here.
    pub fn in_order(&self) -> impl Iterator<Item = (u64, TenantId)> {
        let mut all: Vec<(u64, TenantId)> = self.single.iter().chain(&self.several).copied().collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Which of those with several devices none with one stands before, or one does, once `is` and not `was` is the first of
    /// these.
    pub fn toggled(
        &self,
        was: Option<(u64, TenantId)>,
        is: Option<(u64, TenantId)>,
    ) -> (bool, Vec<TenantId>) {
        let end = (u64::MAX, TenantId(u64::MAX));
        let (was, is) = (was.unwrap_or(end), is.unwrap_or(end));
        let toggled = self.several.range(was.min(is)..was.max(is));
        (is > was, toggled.map(|(_, id)| *id).collect())
    }
}
