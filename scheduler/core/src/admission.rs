//! Who may hold at the same time, and who is next. Everything else asks here: letting tenants that fit
//! together run together changes [`Core::in_the_way`], and nothing about turns.
use crate::Core;
use crate::event::TenantId;
use crate::tenant::{Lease, Stage};
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

impl Core {
    /// The waiting tenants for whose devices no older request waits, oldest first. No two of them have
    /// a device in common.
    pub(crate) fn next_in_line(&self) -> Vec<TenantId> {
        let mut next: Vec<(u64, TenantId)> = self
            .devices
            .iter()
            .filter_map(|(id, device)| {
                let head = *device.queue.first()?;
                let devices = &self.tenants.get(&head.1)?.devices;
                // Once for each tenant: at the first of its devices.
                let leads = devices.keys().next() == Some(id)
                    && devices.keys().all(|id| self.devices[id].queue.first() == Some(&head));
                leads.then_some(head)
            })
            .collect();
        next.sort_unstable();
        next.into_iter().map(|(_, tenant)| tenant).collect()
    }

    /// The holders that must be gone before the tenant can be granted its devices.
    pub(crate) fn in_the_way(&self, tenant: TenantId) -> BTreeSet<TenantId> {
        let devices = self.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.devices.keys());
        devices.flat_map(|device| &self.devices[device].holders).copied().filter(|&id| id != tenant).collect()
    }

    /// When every turn is over that stands between the tenant and its devices. None: nobody is left
    /// to be revoked.
    pub(crate) fn way_is_clear_at(&self, tenant: TenantId) -> Option<Nanos> {
        let in_the_way = self.in_the_way(tenant);
        in_the_way
            .into_iter()
            .filter_map(|id| self.lease(id))
            .filter(|lease| lease.revocation.is_none())
            .map(|lease| lease.turn_end(&self.settings))
            .max()
    }

    /// Whether anybody waits for a device that this lease keeps.
    pub(crate) fn is_contended(&self, lease: &Lease) -> bool {
        lease.held.iter().any(|device| !self.devices[device].queue.is_empty())
    }

    pub(crate) fn lease(&self, tenant: TenantId) -> Option<&Lease> {
        match &self.tenants.get(&tenant)?.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
