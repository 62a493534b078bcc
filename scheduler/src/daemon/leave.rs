//! A tenant goes: with its process, and not with its connection.
use super::Daemon;
use crate::process::{Key, Process};
use crate::swap::ledger::Holder;
use crate::tenants::inbound::Inbound;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::tenant::ToTenant;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Waits for the end of a process; dropped, no more.
#[derive(Debug)]
pub(super) struct Watched(JoinHandle<()>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Daemon {
    /// The loop hears of the end of this process.
    pub(super) fn watch_process(&mut self, process: Option<&Arc<Process>>) {
        let Some(process) = process.filter(|process| !self.watched.contains_key(&process.key)) else {
            return;
        };
        let (key, process, queue) = (process.key, Arc::clone(process), self.shared.queue.clone());
        let task = tokio::spawn(async move {
            process.ended().await;
            let _ = queue.send(Inbound::ProcessEnded(key)).await;
        });
        self.watched.insert(key, Watched(task));
    }

    /// Its end is of interest as long as it is a tenant, or has something of ours.
    fn unwatch(&mut self, key: Option<Key>) {
        let Some(key) = key else { return };
        if self.members.of_process(Some(key)).is_empty()
            && self.ledger.has(Holder::Process(key)) == Bytes::ZERO
        {
            self.watched.remove(&key);
        }
    }

    /// The process has ended, whoever may have its connection open still.
    pub(super) fn ended(&mut self, key: Key) {
        for tenant in self.members.of_process(Some(key)) {
            self.left(tenant, None);
        }
        self.ledger.close(Holder::Process(key));
        self.watched.remove(&key);
    }

    /// The connection is gone. What a process that lives has stays with it, and is nobody else's.
    pub(super) fn closed(&mut self, tenant: TenantId, why: Option<&str>) {
        let Some(member) = self.members.get(tenant) else { return };
        let told = member.devices.values().any(|seen| seen.allocated > Bytes::ZERO);
        let keeps = told || self.swap_of(tenant) > Bytes::ZERO;
        if keeps && !member.who.has_ended() {
            self.disconnected(tenant, why);
        } else {
            self.left(tenant, why);
        }
    }

    fn disconnected(&mut self, tenant: TenantId, why: Option<&str>) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.disconnect();
        let key = member.who.key();
        // A process may close connections without end: the last one stands for it.
        for other in self.members.of_process(key) {
            if other != tenant && self.members.get(other).is_some_and(|member| !member.is_connected()) {
                self.left(other, None);
            }
        }
        let name = self.members.name(tenant);
        if why.is_none() && self.is_ending(tenant) {
            self.info_of(tenant, &format!("{name} is ending"));
        } else {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            self.warn_of(
                tenant,
                &format!("{name} lost its connection{why}; what it has stays until its process ends"),
            );
        }
        self.news("disconnected", tenant, |_| {});
        self.tell(Event::Disconnected { tenant });
    }

    /// Whether its process is about to end, so that nobody has to do anything about it.
    pub(super) fn is_ending(&self, tenant: TenantId) -> bool {
        let process = self.members.get(tenant).and_then(|member| member.who.process.as_ref());
        process.is_some_and(|process| process.is_ending())
    }

    pub(super) fn left(&mut self, tenant: TenantId, why: Option<&str>) {
        let name = self.members.name(tenant);
        let Some(member) = self.members.leave(tenant) else { return };
        if self.members.is_empty() {
            self.nvml.set_wanted(false);
        }
        self.reservations.release(&member.reservation);
        self.gone(tenant, &member, why);
        match why {
            None => self.shared.log.info_of(&member.who, &format!("{name} left")),
            Some(why) => {
                self.shared.log.warn_of(&member.who, &format!("{name} lost its connection: {why}"));
            }
        }
        self.tell(Event::Left { tenant });
        let devices: Vec<DeviceId> = member.devices.keys().copied().collect();
        self.forget_devices(tenant, member.who.owner(), &devices);
        // That of a process is charged until the process has ended.
        self.ledger.close(Holder::Tenant(tenant));
        self.unwatch(member.who.key());
    }

    /// Closes a tenant's connection with a word about it.
    pub(super) fn dismiss(&mut self, tenant: TenantId, why: &str) {
        if let Some(member) = self.members.get(tenant) {
            member.send(ToTenant::Refused(why.to_owned()));
        }
        self.closed(tenant, Some(why));
    }
}
