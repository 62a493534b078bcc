//! All tenants, by id. In tests it counts how many are looked at: what an event costs.
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
    fn looked_at(&self, tenants: usize) {
        self.looks.set(self.looks.get() + tenants);
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self)]
    fn looked_at(&self, _: usize) {}

    pub fn get(&self, id: &TenantId) -> Option<&Tenant> {
        self.looked_at(1);
        self.all.get(id)
    }

    pub fn get_mut(&mut self, id: &TenantId) -> Option<&mut Tenant> {
        self.looked_at(1);
        self.all.get_mut(id)
    }

    /// Adds one that is not there yet.
    pub fn add(&mut self, id: TenantId, tenant: Tenant) {
        self.all.entry(id).or_insert(tenant);
    }

    pub fn remove(&mut self, id: &TenantId) -> Option<Tenant> {
        self.all.remove(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, &Tenant)> {
        self.looked_at(self.all.len());
        self.all.iter()
    }
}

impl Index<&TenantId> for TenantTable {
    type Output = Tenant;

    fn index(&self, id: &TenantId) -> &Tenant {
        self.looked_at(1);
        &self.all[id]
    }
}

impl std::fmt::Debug for TenantTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.all.fmt(f)
    }
}
