//! All tenants, by id. Everybody may read them; only the model changes them. In tests the table counts how many are
//! looked at: what an event costs.
use crate::model::ids::TenantId;
use crate::model::tenant::Tenant;
use std::collections::BTreeMap;
use std::ops::Index;

#[derive(Clone, Default)]
pub(crate) struct TenantTable {
    all: BTreeMap<TenantId, Tenant>,
    #[cfg(test)]
    pub looks: std::cell::Cell<usize>,
}

impl TenantTable {
    #[cfg(test)]
    fn count_looks(&self, tenants: usize) {
        self.looks.set(self.looks.get() + tenants);
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self)]
    fn count_looks(&self, _: usize) {}

    pub fn get(&self, id: &TenantId) -> Option<&Tenant> {
        self.count_looks(1);
        self.all.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &TenantId) -> Option<&mut Tenant> {
        self.count_looks(1);
        self.all.get_mut(id)
    }

    /// Adds one that is not there yet.
    pub(super) fn add(&mut self, id: TenantId) {
        self.all.entry(id).or_default();
    }

    pub(super) fn remove(&mut self, id: &TenantId) -> Option<Tenant> {
        self.all.remove(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, &Tenant)> {
        self.count_looks(self.all.len());
        self.all.iter()
    }
}

impl Index<&TenantId> for TenantTable {
    type Output = Tenant;

    fn index(&self, id: &TenantId) -> &Tenant {
        self.count_looks(1);
        &self.all[id]
    }
}

impl std::fmt::Debug for TenantTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.all.fmt(f)
    }
}
