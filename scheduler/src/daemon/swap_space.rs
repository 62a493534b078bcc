//! Swap space for those who want it.
use super::Daemon;
use crate::swap::Granted;
use crate::swap::ledger::Holder;
use crate::tenants::inbound::Outgoing;
use crate::text;
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::ToTenant;

impl Daemon {
    /// What the tenant's process has.
    pub(super) fn swap_of(&self, tenant: TenantId) -> Bytes {
        let Some(member) = self.members.get(tenant) else { return Bytes::ZERO };
        self.ledger.has(Holder::of(tenant, &member.who))
    }

    /// What the devices hold that the tenant has named.
    fn capacity_of(&self, tenant: TenantId) -> u64 {
        let Some(member) = self.members.get(tenant) else { return 0 };
        let capacity = |device| self.devices.get(device).map_or(0, |known| known.capacity.0);
        member.devices.keys().fold(0, |sum: u64, device| sum.saturating_add(capacity(*device)))
    }

    pub(super) fn swap_wanted(&mut self, tenant: TenantId, wanted: Bytes) {
        let capacity = self.capacity_of(tenant);
        let Some(member) = self.members.get_mut(tenant) else { return };
        let granted = self.ledger.grant(tenant, &member.who, capacity, wanted);
        let Granted { bytes, file, refused } = match granted {
            Ok(granted) => granted,
            Err(error) => {
                let line = format!("no swap space can be made: {error}");
                self.shared.log.warn_of(&member.who, &line);
                Granted { bytes: Bytes::ZERO, file: None, refused: None }
            }
        };
        member.send(Outgoing { message: ToTenant::Swap(bytes), file });
        let news = refused.filter(|limit| member.refused.insert(limit));
        if let Some(limit) = news.filter(|_| self.ledger.total() > Bytes::ZERO) {
            self.log_refusal(tenant, wanted, bytes, limit);
        }
        self.tell_if_swaps(tenant);
    }

    fn log_refusal(&self, tenant: TenantId, wanted: Bytes, has: Bytes, limit: &str) {
        let name = self.members.name(tenant);
        let (wanted, has) = (text::bytes(wanted), text::bytes(has));
        let why = match limit {
            "[swap] budget" => format!("{limit} = {} is used up", text::bytes(self.ledger.total())),
            limit => format!("{limit} is reached with {has}"),
        };
        self.warn_of(tenant, &format!("{name} wants {wanted} of swap space: {why}"));
    }
}
