//! Who may hold at the same time. Everything else asks here: letting tenants that fit
//! together run together changes [`Core::in_the_way`], and nothing about turns.
use crate::Core;
use crate::event::TenantId;
use crate::tenant::{Lease, Stage};
use nvshare_protocol::Nanos;

impl Core {
    /// The holders that must be gone before the tenant can be granted its devices. One that has several
    /// of them comes several times.
    pub(crate) fn in_the_way(&self, tenant: TenantId) -> impl Iterator<Item = TenantId> {
        let devices = self.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.devices.keys());
        devices.flat_map(|device| &self.devices[device].holders).copied().filter(move |&id| id != tenant)
    }

    /// When every turn is over that stands between the tenant and its devices. None: nobody is left
    /// to be revoked.
    pub(crate) fn way_is_clear_at(&self, tenant: TenantId) -> Option<Nanos> {
        self.in_the_way(tenant)
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
