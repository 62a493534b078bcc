//! What tenants tell goes to the core; what the core wants is carried out and told to the log.
use super::Daemon;
use super::members::Member;
use crate::identity::Identity;
use crate::machine::owner_of;
use crate::settings::whole_size;
use crate::swap::Granted;
use crate::tenants::told::{Joined, Out, Told};
use crate::text;
use nvshare_core::event::{Action, Event, TenantId};
use nvshare_core::{Priority, print};
use nvshare_protocol::tenant::{Hello, Memory, ToScheduler, ToTenant, Welcome};
use nvshare_protocol::{Bytes, DeviceId};
use std::hash::{DefaultHasher, Hash, Hasher};
use tokio::sync::mpsc::error::TrySendError;

/// The first version of the tenants' language in which memory moves beside turns.
const MOVES_SINCE: u32 = 2;

/// Who is counted together with this tenant: those of its container, or nobody.
fn group(who: &Identity, tenant: TenantId) -> u64 {
    let Some(container) = &who.container else { return tenant.0 };
    let mut hasher = DefaultHasher::new();
    container.hash(&mut hasher);
    hasher.finish() | 1 << 63
}

impl Daemon {
    pub(super) fn told(&mut self, told: Told) {
        match told {
            Told::Joined(joined) => self.joined(*joined),
            Told::Said(tenant, message) => self.said(tenant, message),
            Told::Left(tenant, why) => self.left(tenant, why.as_deref()),
        }
    }

    fn joined(&mut self, joined: Joined) {
        let Joined { tenant, who, hello, outbound } = &joined;
        let (tenant, holds, weight) = (*tenant, hello.holds, hello.weight);
        let priority = hello.priority.and_then(|n| Priority::ALL.get(n as usize)).copied();
        let promise = self.promises.make(who, hello.limit);
        let time_share = self.time_share(hello);
        let group = group(who, tenant);
        let welcome = Welcome {
            version: nvshare_protocol::VERSION,
            enabled: self.core.enabled(),
            reserve: self.core.settings().reserve,
            limit: promise.limit.into_iter().chain(self.usable()).min(),
        };
        // The channel is new and has room.
        let _ = outbound.try_send(ToTenant::Welcome(welcome).into());
        let details = format!(
            "uid {}, library {}, engine {}{}{}{}{}",
            who.uid,
            hello.library,
            hello.engine,
            if holds { ", running" } else { "" },
            priority
                .filter(|priority| *priority != Priority::Normal)
                .map(|priority| format!(", priority {}", priority.as_str()))
                .unwrap_or_default(),
            time_share.map(|percent| format!(", at most {percent} % of the time")).unwrap_or_default(),
            promise.limit.map(|limit| format!(", limit {}", text::memory(limit.0))).unwrap_or_default()
        );
        let short = promise.by.filter(|_| promise.limit == Some(Bytes::ZERO));
        let swap = self.swap.inherit(joined.hello.swap);
        if self.members.is_empty() {
            self.watch.want(true);
        }
        self.members.join(joined, swap, promise);
        let line = format!("{} joined: {details}", self.members.name(tenant));
        self.shared.seldom.info(&line);
        if let Some((setting, ceiling)) = short {
            let (name, ceiling) = (self.members.name(tenant), whole_size(ceiling));
            self.shared.seldom.warn(&format!(
                "{name} cannot allocate: [limits] {setting} = {ceiling} is used up by others"
            ));
        }
        // A remark, for whoever reads the trace.
        self.record(&format!("# {line}\n"));
        self.news("joined", tenant, |event| event.text = Some(details));
        self.tell(Event::Joined { tenant, holds });
        if let Some(weight) = weight {
            self.tell(Event::Weight { tenant, weight });
        }
        if let Some(priority) = priority {
            self.tell(Event::Priority { tenant, priority });
        }
        if let Some(percent) = time_share {
            self.tell(Event::TimeShare { tenant, group, percent });
        }
        self.tell_if_swaps(tenant);
    }

    /// The least of what the tenant wishes and what one may have, if that is less than all.
    fn time_share(&self, hello: &Hello) -> Option<u32> {
        let wish = hello.time_share.filter(|percent| *percent > 0);
        wish.into_iter().chain(self.settings.time_share).min().filter(|percent| *percent < 100)
    }

    /// The core hears once that the tenant's memory moves by the swap engine.
    fn tell_if_swaps(&mut self, tenant: TenantId) {
        if self.members.get_mut(tenant).is_some_and(Member::begins_to_swap) {
            self.tell(Event::Swaps { tenant });
        }
    }

    /// What tenants may have of a device, where that is set: nobody could ever hold more.
    fn usable(&self) -> Option<Bytes> {
        Some(self.core.settings().most).filter(|most| *most < Bytes::MAX)
    }

    pub(super) fn said(&mut self, tenant: TenantId, message: ToScheduler) {
        // What was in the queue when the tenant was dismissed.
        if self.members.get(tenant).is_none() {
            return;
        }
        self.heard(tenant, &message);
        let Some(member) = self.members.get_mut(tenant) else { return };
        let event = match message {
            ToScheduler::Hello(_) => return,
            ToScheduler::Device(device) => return self.device(tenant, device),
            ToScheduler::Report(text) => {
                if member.reports.add(text.clone()) {
                    self.shared.seldom.warn(&format!("{} reports: {text}", self.members.name(tenant)));
                }
                return;
            }
            ToScheduler::Memory(told) => {
                if told.immovable == Bytes::ZERO {
                    member.reports.nothing_stays(told.device);
                }
                let told = self.bounded(tenant, &told);
                self.count_ahead(tenant, &told);
                let Memory { device, allocated, resident, immovable } = told;
                Event::Memory { tenant, device, allocated, resident, immovable }
            }
            ToScheduler::Request => Event::Requested { tenant },
            ToScheduler::Ready(ready) => {
                if member.fetched(ready.lease) {
                    self.log_fetch(tenant, &ready);
                    self.count_fetch(tenant, &ready);
                }
                Event::Ready { tenant, ready }
            }
            ToScheduler::Released(released) => {
                if member.released(released.lease) {
                    self.log_release(tenant, &released);
                    self.count_release(tenant, &released);
                }
                Event::Released { tenant, released }
            }
            ToScheduler::DrainCancelled(lease) => Event::DrainCancelled { tenant, lease },
            ToScheduler::Idle(lease) => Event::Idle { tenant, lease },
            ToScheduler::Evicted(shares) => {
                self.count_out(tenant, &shares);
                Event::Evicted { tenant }
            }
            ToScheduler::SwapWanted(bytes) => return self.swap_wanted(tenant, bytes),
            ToScheduler::MemoryRefused(share) => return self.memory_refused(tenant, share),
        };
        self.tell(event);
    }

    fn swap_wanted(&mut self, tenant: TenantId, wanted: Bytes) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        let granted = self.swap.grant(&mut member.swap, wanted).unwrap_or_else(|error| {
            self.shared.seldom.warn(&format!("no swap space can be made: {error}"));
            Granted { bytes: Bytes::ZERO, file: None, refused: false }
        });
        let out = Out { message: ToTenant::Swap(granted.bytes), file: granted.file };
        let told = member.outbound.try_send(out);
        if granted.refused && self.swap.total() > Bytes::ZERO {
            let (name, total) = (self.members.name(tenant), text::bytes(self.swap.total()));
            let wanted = text::bytes(wanted);
            self.shared
                .seldom
                .warn(&format!("{name} wants {wanted} of swap space: [swap] budget = {total} is used up"));
        }
        if matches!(told, Err(TrySendError::Full(_))) {
            return self.left(tenant, Some("it does not read what it is told"));
        }
        self.tell_if_swaps(tenant);
    }

    fn left(&mut self, tenant: TenantId, why: Option<&str>) {
        let name = self.members.name(tenant);
        let Some(member) = self.members.leave(tenant) else { return };
        if self.members.is_empty() {
            self.watch.want(false);
        }
        self.swap.take_back(&member.swap);
        self.promises.take_back(&member.promise);
        self.gone(tenant, &member, why);
        match why {
            None => self.shared.seldom.info(&format!("{name} left")),
            Some(why) => self.shared.seldom.warn(&format!("{name} lost its connection: {why}")),
        }
        self.tell(Event::Left { tenant });
        let devices: Vec<DeviceId> = member.devices.keys().copied().collect();
        self.forget_devices(tenant, owner_of(&member.who), &devices);
    }

    /// Closes a tenant's connection with a word about it.
    pub(super) fn dismiss(&mut self, tenant: TenantId, why: &str) {
        if let Some(member) = self.members.get(tenant) {
            let _ = member.outbound.try_send(ToTenant::Refused(why.to_owned()).into());
        }
        self.left(tenant, Some(why));
    }

    /// One event to the core, and whatever it wants done.
    pub(super) fn tell(&mut self, event: Event) {
        let now = self.clock.now();
        let traced =
            self.trace.is_some() || tracing::enabled!(target: "nvshare::trace", tracing::Level::DEBUG);
        let mut lines = String::new();
        if traced {
            lines = print::event(now, &event) + "\n";
        }
        let actions = self.core.handle(now, event);
        if traced {
            actions.iter().for_each(|action| lines += &(print::action(now, action) + "\n"));
            self.record(&lines);
        }
        let (mut deaf, mut old) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Evict { tenant, .. } if !self.can_move(tenant) => old.push(tenant),
                action => deaf.extend(self.carry_out(action).err()),
            }
        }
        // Nothing moves where the word for it is not known.
        old.into_iter().for_each(|tenant| self.tell(Event::Evicted { tenant }));
        for tenant in deaf {
            self.left(tenant, Some("it does not read what it is told"));
        }
    }

    /// Whether its library knows [`ToTenant::Evict`].
    fn can_move(&self, tenant: TenantId) -> bool {
        self.members.get(tenant).is_none_or(|member| member.hello.version >= MOVES_SINCE)
    }

    pub(super) fn record(&mut self, lines: &str) {
        lines.lines().for_each(|line| tracing::debug!(target: "nvshare::trace", "{line}"));
        if let Some(trace) = &mut self.trace {
            trace.add(lines);
        }
    }

    /// Fails where the tenant's queue is full.
    fn carry_out(&mut self, action: Action) -> Result<(), TenantId> {
        self.decided(&action);
        let (tenant, message) = match action {
            Action::Grant { tenant, mut grant } => {
                self.bound_budget(tenant, &mut grant.budget);
                if let Some(member) = self.members.get_mut(tenant) {
                    member.granted(grant.lease);
                }
                (tenant, ToTenant::Grant(grant))
            }
            Action::Revoke { tenant, revoke } => (tenant, ToTenant::Revoke(revoke)),
            Action::Evict { tenant, shares } => (tenant, ToTenant::Evict(shares)),
            Action::Fetch { tenant, mut shares } => {
                self.bound_budget(tenant, &mut shares);
                (tenant, ToTenant::Fetch(shares))
            }
            Action::Contended { tenant, contended } => (tenant, ToTenant::Contended(contended)),
            Action::Enabled { tenant, enabled } => (tenant, ToTenant::Enabled(enabled)),
            Action::NoRoom { .. } | Action::Stuck { .. } => return Ok(()),
        };
        let Some(member) = self.members.get(tenant) else { return Ok(()) };
        match member.outbound.try_send(message.into()) {
            // A closed channel: the connection's own end is on its way to us.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(tenant),
        }
    }
}
