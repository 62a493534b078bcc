//! Swap space for the tenants that want it.
use super::audit::Audit;
use super::tenant_table::Members;
use crate::devices::Devices;
use crate::swap::Granted;
use crate::swap::ledger::{Holder, Ledger};
use crate::tenants::mailbox::Outgoing;
use crate::text;
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::ToTenant;

/// What the tenant's process has.
pub fn of_tenant(ledger: &Ledger, members: &Members, tenant: TenantId) -> Bytes {
    let Some(member) = members.get(tenant) else { return Bytes::ZERO };
    ledger.has(Holder::of(tenant, &member.who))
}

/// What the devices hold that the tenant has named.
fn capacity_of(members: &Members, devices: &Devices, tenant: TenantId) -> u64 {
    let Some(member) = members.get(tenant) else { return 0 };
    let capacity = |device| devices.get(device).map_or(0, |known| known.capacity.0);
    member.devices.keys().fold(0, |sum: u64, device| sum.saturating_add(capacity(*device)))
}

/// Grants what the limits allow of what the tenant wants, and sends it.
pub fn grant(
    ledger: &mut Ledger,
    members: &mut Members,
    devices: &Devices,
    audit: &Audit,
    tenant: TenantId,
    wanted: Bytes,
) {
    let capacity = capacity_of(members, devices, tenant);
    let Some(member) = members.get_mut(tenant) else { return };
    let granted = ledger.grant(tenant, &member.who, capacity, wanted);
    let Granted { bytes, file, refused } = match granted {
        Ok(granted) => granted,
        Err(error) => {
            audit.log().warn_of(&member.who, &format!("no swap space can be made: {error}"));
            Granted { bytes: Bytes::ZERO, file: None, refused: None }
        }
    };
    member.send(Outgoing { message: ToTenant::Swap(bytes), file });
    let news = refused.filter(|limit| member.swap_refusals.insert(limit));
    if let Some(limit) = news.filter(|_| ledger.total() > Bytes::ZERO) {
        let (wanted, has) = (text::bytes(wanted), text::bytes(bytes));
        let why = match limit {
            "[swap] budget" => format!("{limit} = {} is used up", text::bytes(ledger.total())),
            limit => format!("{limit} is reached with {has}"),
        };
        let name = members.name(tenant);
        audit.warn_of(members, tenant, &format!("{name} wants {wanted} of swap space: {why}"));
    }
}
