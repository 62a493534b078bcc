//! Tenants come and go, with their connections and with their processes.
use super::families;
use super::gangs;
use super::jobs;
use super::metering;
use super::reactor::Daemon;
use super::rules::Overrides;
use super::swap_space;
use super::tenant_rules;
use super::tenant_table::{Member, NOTICES_SINCE};
use super::wishes::Wishes;
use crate::identity::Identity;
use crate::process::Key;
use crate::settings::whole_size;
use crate::swap::ledger::Holder;
use crate::swap::ledger_file::Balances;
use crate::tenants::inbound::Connected;
use crate::tenants::reservations::Reservation;
use crate::text;
use nvshare_core::event::{Event, TenantId};
use nvshare_core::{Priority, print};
use nvshare_protocol::tenant::{Hello, ToTenant, Welcome};
use nvshare_protocol::wishes::NO_GANG;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// How long claims of swap space are believed after a scheduler that has left no ledger.
pub const CLAIMS: Nanos = Nanos::from_millis(10_000);

impl Daemon {
    /// Writes the settings to the trace, and charges what the previous daemon has handed out to processes that live.
    pub fn begin(&mut self, balances: Balances) {
        for (key, bytes) in balances {
            if let Ok(who) = Identity::of_process(key, &self.shared.host) {
                self.ledger.inherited(Holder::Process(key), &who, bytes);
                self.exits.watch(who.process.as_ref());
            }
        }
        self.ledger.write();
        let line = print::settings(Nanos::ZERO, self.core.settings()) + "\n";
        self.audit.trace(&line);
        if !self.settings.enabled {
            self.apply(Event::SetEnabled { enabled: false });
        }
    }

    pub fn on_connected(&mut self, mut connected: Connected) {
        let said = connected.hello.gang.take_if(|name| !self.settings.gangs || name == NO_GANG);
        let declines_gangs = said.is_some_and(|name| name == NO_GANG);
        let overrides = self.overrides_of(&connected);
        self.replace_earlier_connections(&connected);
        let Connected { tenant, who, hello, outbound, .. } = &connected;
        let (tenant, holds, owner) = (*tenant, hello.holds, who.owner());
        let expected = hello.gang_size;
        let mut job = jobs::member(self, who);
        if let Some(job) = &mut job {
            job.share = jobs::share_out(self, who.container_key(), Some((job, hello.limit)));
        }
        let wishes = Wishes::of(hello, job.map(|job| job.rules), &self.settings);
        let wish = hello.limit.into_iter().chain(job.and_then(|job| job.share)).min();
        let reservation = self.reservations.reserve(who, wish, overrides.limit);
        outbound.put(ToTenant::Welcome(Welcome {
            version: nvshare_protocol::VERSION,
            enabled: self.core.enabled(),
            reserve: self.core.settings().reserve,
            limit: reservation.limit.into_iter().chain(self.usable()).min(),
        }));
        if hello.version >= NOTICES_SINCE {
            wishes.cut.iter().for_each(|text| outbound.put(ToTenant::Notice(text.clone())));
        }
        let gang = hello.gang.as_deref().map(|name| self.gangs.enter(who.charged_to(), name, expected));
        let details = details(who, hello, &wishes, &reservation);
        let short = reservation.by.filter(|_| reservation.limit == Some(Bytes::ZERO));
        self.accept_claim(tenant, who, hello.swap);
        if self.members.is_empty() {
            self.nvml.set_wanted(true);
        }
        self.exits.watch(who.process.as_ref());
        self.members.join(connected, reservation, overrides, job, self.clock.now());
        if let Some(member) = self.members.get_mut(tenant) {
            member.has_parted = gang.is_some_and(|gang| gang.parted);
            member.declines_gangs = declines_gangs;
        }
        self.announce(tenant, &details, &wishes, short);
        if let Some(gang) = gang {
            gangs::tell_entered(&self.audit, &self.members, tenant, gang);
            self.apply(Event::Gang { tenant, gang: gang.number, expected });
        }
        self.apply(Event::Joined { tenant, holds });
        self.apply(Event::Owner { tenant, owner });
        if self.settings.gangs && gang.is_none() && !declines_gangs {
            let family = families::enter(&mut self.members, tenant, &mut self.last_family);
            family.into_iter().for_each(|family| self.apply(Event::Family { tenant, family }));
        }
        tenant_rules::apply(self, tenant);
        self.report_swap_engine(tenant);
    }

    /// Tells operators of a tenant that has joined. `short`: the setting for which it cannot allocate anything.
    fn announce(
        &mut self,
        tenant: TenantId,
        details: &str,
        wishes: &Wishes,
        short: Option<(&'static str, Bytes)>,
    ) {
        let name = self.members.name(tenant);
        let line = format!("{name} joined: {details}");
        self.audit.info_of(&self.members, tenant, &line);
        for cut in &wishes.cut {
            self.audit.warn_of(&self.members, tenant, &format!("{name} wishes too much: {cut}"));
        }
        if let Some((setting, ceiling)) = short {
            let why = format!("[limits] {setting} = {} is used up by others", whole_size(ceiling));
            self.audit.warn_of(&self.members, tenant, &format!("{name} cannot allocate: {why}"));
        }
        // A remark, for whoever reads the trace.
        self.audit.trace(&format!("# {line}\n"));
        self.audit.publish(&self.members, "joined", tenant, |event| event.text = Some(details.to_owned()));
    }

    /// What operators have set for the process's earlier connection, or for its container.
    fn overrides_of(&self, connected: &Connected) -> Overrides {
        let earlier = self.members.of_process(connected.who.key()).into_iter().rev();
        let earlier = earlier.filter_map(|tenant| self.members.get(tenant));
        let mut same = earlier.filter(|member| member.hello.instance == connected.hello.instance);
        same.next().map_or_else(
            || self.container_overrides.of(connected.who.container_key()),
            |member| member.overrides,
        )
    }

    /// Removes the earlier connections of a process that connects again.
    fn replace_earlier_connections(&mut self, connected: &Connected) {
        for old in self.members.of_process(connected.who.key()) {
            let Some(member) = self.members.get(old) else { continue };
            if !member.is_connected() {
                self.remove(old, None);
            } else if member.hello.instance == connected.hello.instance {
                self.remove(old, Some("its process has connected anew"));
            }
        }
    }

    /// Charges swap space that the tenant claims to have from the previous scheduler, if that has left no ledger.
    fn accept_claim(&mut self, tenant: TenantId, who: &Identity, claim: Option<Bytes>) {
        let believed = self.claims_until.is_some_and(|until| self.clock.now() < until);
        if let Some(bytes) = claim.filter(|_| believed) {
            let holder = Holder::of(tenant, who);
            if self.ledger.has(holder) == Bytes::ZERO {
                self.ledger.claimed(holder, who, bytes);
            }
        }
    }

    /// What tenants may have of a device, where that is set.
    pub fn usable(&self) -> Option<Bytes> {
        Some(self.core.settings().most).filter(|most| *most < Bytes::MAX)
    }

    /// The process has ended. Another process may still have its connection open.
    pub fn on_process_ended(&mut self, key: Key) {
        for tenant in self.members.of_process(Some(key)) {
            self.remove(tenant, None);
        }
        self.ledger.close(Holder::Process(key));
        self.exits.forget(key);
    }

    /// The connection is closed. A process that lives keeps what it has.
    pub fn on_closed(&mut self, tenant: TenantId, why: Option<&str>) {
        let Some(member) = self.members.get(tenant) else { return };
        let allocated = |device: &DeviceId| self.core.memory_of(tenant, *device).allocated;
        let has_memory = member.devices.keys().any(|device| allocated(device) > Bytes::ZERO);
        let keeps = has_memory || swap_space::of_tenant(&self.ledger, &self.members, tenant) > Bytes::ZERO;
        if keeps && !member.who.has_ended() {
            self.disconnect(tenant, why);
        } else {
            self.remove(tenant, why);
        }
    }

    fn disconnect(&mut self, tenant: TenantId, why: Option<&str>) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.disconnect();
        let key = member.who.key();
        // A process may open and close connections without end: only the last one is kept.
        for other in self.members.of_process(key) {
            if other != tenant && self.members.get(other).is_some_and(|member| !member.is_connected()) {
                self.remove(other, None);
            }
        }
        self.audit.disconnected(&self.members, tenant, why);
        gangs::tell_held_up(&self.audit, &self.members, tenant, "has lost its connection");
        self.apply(Event::Disconnected { tenant });
    }

    fn remove(&mut self, tenant: TenantId, why: Option<&str>) {
        metering::meter_last(self, tenant);
        let name = self.members.name(tenant);
        let Some(member) = self.members.leave(tenant) else { return };
        if self.members.is_empty() {
            self.nvml.set_wanted(false);
        }
        self.reservations.release(&member.reservation);
        if member.job.is_some() {
            jobs::share_out(self, member.who.container_key(), None);
        }
        let gang = member.hello.gang.as_deref();
        let gang = gang.map(|name| self.gangs.leave(member.who.charged_to(), name));
        self.audit.left(&name, tenant, &member, why, gang.filter(|_| !member.has_parted));
        self.apply(Event::Left { tenant });
        let devices: Vec<DeviceId> = member.devices.keys().copied().collect();
        self.release_devices(tenant, member.who.owner(), &devices);
        // What a process has is charged until it has ended.
        self.ledger.close(Holder::Tenant(tenant));
        self.forget_process(&member);
    }

    /// Stops waiting for the end of a process that is no tenant any more and has no swap space.
    fn forget_process(&mut self, member: &Member) {
        let Some(key) = member.who.key() else { return };
        if self.members.of_process(Some(key)).is_empty()
            && self.ledger.has(Holder::Process(key)) == Bytes::ZERO
        {
            self.exits.forget(key);
        }
    }

    /// Closes a tenant's connection, and tells it why.
    pub fn dismiss(&mut self, tenant: TenantId, why: &str) {
        if let Some(member) = self.members.get(tenant) {
            member.send(ToTenant::Refused(why.to_owned()));
        }
        self.on_closed(tenant, Some(why));
    }
}

fn details(who: &Identity, hello: &Hello, wishes: &Wishes, reservation: &Reservation) -> String {
    let (library, engine) = (text::word(&hello.library), text::word(&hello.engine));
    let mut details = format!("uid {}, library {library}, engine {engine}", who.uid);
    if hello.holds {
        details += ", running";
    }
    if let Some(gang) = &hello.gang {
        details += &format!(", gang {}", text::word(gang));
    }
    if let Some(priority) = wishes.priority.filter(|priority| *priority != Priority::Normal) {
        details += &format!(", priority {}", priority.as_str());
    }
    if let Some(percent) = wishes.time_share {
        details += &format!(", at most {percent} % of the time");
    }
    if let Some(limit) = reservation.limit {
        details += &format!(", limit {}", text::memory(limit.0));
    }
    details
}
