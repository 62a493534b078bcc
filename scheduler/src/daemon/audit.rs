//! What operators are told of what happens: lines of the log, events for those who follow, and the trace.
use super::gangs;
use super::liveness::Transition;
use super::tenant_table::{Member, Members};
use super::trace_file::TraceFile;
use crate::rate_limited_log::RateLimitedLog;
use crate::tenants::shared::Shared;
use crate::text;
use nvshare_core::event::{Action, Stuck, TenantId};
use nvshare_protocol::control::AuditEvent;
use nvshare_protocol::tenant::{Ready, Released, Share, ToScheduler, total};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::sync::Arc;

/// The ends at which operators listen. Tenants are named by `members`.
pub struct Audit {
    shared: Arc<Shared>,
    trace: Option<TraceFile>,
}

impl Audit {
    pub fn new(shared: Arc<Shared>, trace: Option<TraceFile>) -> Self {
        Self { shared, trace }
    }

    /// For lines that name no tenant.
    pub fn log(&self) -> &RateLimitedLog {
        &self.shared.log
    }

    /// Whether anybody reads the trace.
    pub fn is_traced(&self) -> bool {
        self.trace.is_some() || tracing::enabled!(target: "nvshare::trace", tracing::Level::DEBUG)
    }

    /// Adds whole lines to the trace.
    pub fn trace(&mut self, lines: &str) {
        lines.lines().for_each(|line| tracing::debug!(target: "nvshare::trace", "{line}"));
        if let Some(trace) = &mut self.trace {
            trace.add(lines);
        }
    }

    /// Publishes an event of a tenant; `details` adds what there is beyond its name.
    pub fn publish(
        &self,
        members: &Members,
        kind: &str,
        tenant: TenantId,
        details: impl FnOnce(&mut AuditEvent),
    ) {
        let mut event = event(kind, tenant, members.get(tenant));
        details(&mut event);
        self.shared.events.publish(event);
    }

    /// A line that this tenant has provoked, at `warn`.
    pub fn warn_of(&self, members: &Members, tenant: TenantId, line: &str) {
        match members.get(tenant) {
            Some(member) => self.shared.log.warn_of(&member.who, line),
            None => self.shared.log.warn(line),
        }
    }

    /// A line that this tenant has provoked, at `info`.
    pub fn info_of(&self, members: &Members, tenant: TenantId, line: &str) {
        match members.get(tenant) {
            Some(member) => self.shared.log.info_of(&member.who, line),
            None => self.shared.log.info(line),
        }
    }

    /// A message of a tenant, where an operator may care.
    pub fn message(&self, members: &Members, tenant: TenantId, message: &ToScheduler) {
        let publish = |kind: &str, details: &dyn Fn(&mut AuditEvent)| {
            self.publish(members, kind, tenant, |event| details(event));
        };
        let moved = |event: &mut AuditEvent, shares: &[Share], took: Option<Nanos>| {
            set_shares(event, shares);
            event.took_seconds = took.map(Nanos::as_secs_f64);
        };
        match message {
            ToScheduler::Request => publish("requested", &|_| {}),
            ToScheduler::Ready(ready) => {
                publish("ready", &|event| moved(event, &ready.fetched, Some(ready.took)));
            }
            ToScheduler::Released(released) => publish("released", &|event| {
                moved(event, &released.evicted, Some(released.drain.saturating_add(released.evict)));
            }),
            ToScheduler::DrainCancelled(_) => publish("drain-cancelled", &|_| {}),
            ToScheduler::Idle(_) => publish("idle", &|_| {}),
            ToScheduler::Evicted(shares) => publish("moved-out", &|event| moved(event, shares, None)),
            ToScheduler::Report(text) => publish("report", &|event| event.text = Some(text.clone())),
            ToScheduler::Device(device) => {
                publish("device", &|event| event.devices = vec![device.device.to_string()]);
            }
            ToScheduler::MemoryRefused(share) => {
                publish("memory-refused", &|event| set_shares(event, &[*share]));
            }
            ToScheduler::Hello(_)
            | ToScheduler::Memory(_)
            | ToScheduler::SwapWanted(_)
            | ToScheduler::Moves(_) => {}
        }
    }

    /// An action of the core, before it is carried out.
    pub fn action(&self, members: &Members, action: &Action) {
        match action {
            Action::Grant { tenant, grant } => {
                self.publish(members, "granted", *tenant, |event| set_shares(event, &grant.budget));
            }
            Action::Revoke { tenant, revoke } => {
                self.publish(members, "revoked", *tenant, |event| set_shares(event, &revoke.evict));
            }
            Action::Evict { tenant, shares } => {
                self.publish(members, "move-out", *tenant, |event| set_shares(event, shares));
            }
            Action::Fetch { tenant, shares } => {
                self.publish(members, "bring-in", *tenant, |event| set_shares(event, shares));
            }
            Action::Stuck { tenant, lease, why } => {
                let cannot_drain = *why == Stuck::CannotDrain;
                let why = stuck_words(*why);
                let name = members.name(*tenant);
                let line =
                    format!("{name} {why} (lease {}): others run beside it where there is room", lease.0);
                self.warn_of(members, *tenant, &line);
                self.publish(members, "unresponsive", *tenant, |event| event.text = Some(why.into()));
                if cannot_drain {
                    gangs::tell_stuck(self, members, *tenant);
                } else {
                    gangs::tell_held_up(self, members, *tenant, why);
                }
            }
            Action::NoRoom { tenant, device, wants, usable, kept } => {
                let mut why = format!("{} do not fit on {device}", text::bytes(*wants));
                why += &format!(", of which tenants may have {}", text::bytes(*usable));
                for (other, bytes) in kept {
                    why += &format!("; {} keeps {}", members.name(*other), text::bytes(*bytes));
                }
                let line = format!("{} waits: {why}", members.name(*tenant));
                let soon_over = !kept.is_empty() && kept.iter().all(|(other, _)| members.is_ending(*other));
                if soon_over {
                    self.info_of(members, *tenant, &line);
                } else {
                    self.warn_of(members, *tenant, &line);
                }
                self.publish(members, "no-room", *tenant, |event| event.text = Some(why));
            }
            Action::Disbanded { tenant, device, wants, usable } => {
                let name = members.name(*tenant);
                let (wants, usable) = (text::bytes(*wants), text::bytes(*usable));
                let why = format!("do not fit on {device} together ({wants} of {usable})");
                let follows = "from now on they take turns with each other";
                let line = format!("the processes of {name}'s job {why}: {follows}");
                self.warn_of(members, *tenant, &line);
                self.publish(members, "gang-parted", *tenant, |event| {
                    event.text = Some(format!("its processes {why}: {follows}"));
                });
            }
            Action::Contended { .. } | Action::Enabled { .. } => {}
        }
    }

    /// The tenant's process has been halted, or goes on; `resident` is what it has on each device.
    pub fn liveness(
        &self,
        members: &Members,
        tenant: TenantId,
        transition: Transition,
        resident: &[(DeviceId, Bytes)],
    ) {
        let name = members.name(tenant);
        let Transition::Halted(halt) = transition else {
            self.info_of(members, tenant, &format!("{name} goes on after it was stopped"));
            return self.publish(members, "resumed", tenant, |_| {});
        };
        let how = halt.as_str();
        let resident: Vec<String> = resident
            .iter()
            .map(|(device, bytes)| format!("{} stay on {device}", text::memory(bytes.0)))
            .collect();
        let what = if resident.is_empty() {
            "others go on".into()
        } else {
            format!("its {}: others run beside it where there is room", resident.join(", "))
        };
        self.warn_of(members, tenant, &format!("{name} is {how}; {what}"));
        self.publish(members, "stopped", tenant, |event| event.text = Some(how.into()));
        gangs::tell_held_up(self, members, tenant, &format!("is {how}"));
    }

    /// A tenant has lost its connection, and its process lives.
    pub fn disconnected(&self, members: &Members, tenant: TenantId, why: Option<&str>) {
        let name = members.name(tenant);
        if why.is_none() && members.is_ending(tenant) {
            self.info_of(members, tenant, &format!("{name} is ending"));
        } else {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let line = format!("{name} lost its connection{why}; what it has stays until its process ends");
            self.warn_of(members, tenant, &line);
        }
        self.publish(members, "disconnected", tenant, |_| {});
    }

    /// A tenant, by its `name`, has left.
    /// `gang`: how many of its gang are left, and were to be.
    pub fn left(
        &self,
        name: &str,
        tenant: TenantId,
        member: &Member,
        why: Option<&str>,
        gang: Option<(usize, Option<u32>)>,
    ) {
        self.shared.events.publish(AuditEvent {
            text: why.map(str::to_owned),
            devices: member.devices.keys().map(ToString::to_string).collect(),
            ..event("left", tenant, Some(member))
        });
        if let (Some((left, size)), Some((_, gang))) = (gang, member.gang()) {
            let text = format!("{}: {} left", text::word(gang), gangs::count(left, size));
            let event = AuditEvent { text: Some(text), ..event("gang-left", tenant, Some(member)) };
            self.shared.events.publish(event);
        }
        match why {
            None => self.shared.log.info_of(&member.who, &format!("{name} left")),
            Some(why) => {
                self.shared.log.warn_of(&member.who, &format!("{name} lost its connection: {why}"));
            }
        }
    }

    /// An operator has changed a setting.
    pub fn setting_changed(&self, message: &str, by: &str) {
        tracing::info!("{by}: {message}");
        let (text, by) = (Some(message.to_owned()), Some(by.to_owned()));
        self.shared.events.publish(AuditEvent { kind: "set".into(), text, by, ..AuditEvent::default() });
    }

    /// Another daemon of this host, the process `other`, serves the device too.
    pub fn served_twice(&self, device: DeviceId, other: i32) {
        let text = format!(
            "another nvshare-scheduler (pid {other}) serves it too: neither knows of the other's tenants, so that they run at the same time and may lack memory; stop one of the two"
        );
        self.shared.log.warn(&format!("{device}: {text}"));
        self.shared.events.publish(AuditEvent {
            kind: "served-twice".into(),
            devices: vec![device.to_string()],
            text: Some(text),
            ..AuditEvent::default()
        });
    }

    /// Programs outside of nvshare use so much of the device.
    pub fn external_memory(&self, device: DeviceId, bytes: Bytes) {
        self.shared.events.publish(AuditEvent {
            kind: "outside".into(),
            devices: vec![device.to_string()],
            bytes: Some(bytes.0),
            ..AuditEvent::default()
        });
    }

    pub fn fetched(&self, members: &Members, tenant: TenantId, ready: &Ready) {
        self.moved(members, tenant, "has the GPU: fetched", total(&ready.fetched), ready.took);
    }

    pub fn released(&self, members: &Members, tenant: TenantId, released: &Released) {
        let moved = total(&released.evicted);
        self.moved(members, tenant, "gave the GPU back: moved out", moved, released.evict);
    }

    /// Hand-overs are many: the log has them at level `debug`, and the events always.
    fn moved(&self, members: &Members, tenant: TenantId, what: &str, moved: Bytes, took: Nanos) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let rate = text::rate(moved, took).map(|rate| format!(" ({rate:.1} GB/s)")).unwrap_or_default();
            let (name, bytes, seconds) = (members.name(tenant), text::bytes(moved), text::seconds(took));
            tracing::debug!("{name} {what} {bytes} in {seconds}{rate}");
        }
    }
}

fn event(kind: &str, tenant: TenantId, member: Option<&Member>) -> AuditEvent {
    AuditEvent {
        kind: kind.into(),
        tenant: Some(tenant.0),
        session: member.map(|member| member.session.clone()),
        pid: member.map(|member| member.who.pid),
        program: member.map(|member| member.hello.program.clone()),
        container: member.and_then(|member| member.who.shown()),
        gang: member.and_then(|member| member.gang_name()).map(str::to_owned),
        ..AuditEvent::default()
    }
}

/// The devices, and the bytes on all of them unless that is everything.
fn set_shares(event: &mut AuditEvent, shares: &[Share]) {
    event.devices = shares.iter().map(|share| share.device.to_string()).collect();
    let everything = shares.iter().any(|share| share.bytes == Bytes::MAX);
    event.bytes = (!everything && !shares.is_empty()).then(|| total(shares).0);
}

const fn stuck_words(why: Stuck) -> &'static str {
    match why {
        Stuck::NoAnswer => "did not answer its revocation in time",
        Stuck::CannotDrain => "cannot end its work",
        Stuck::Silent => "was granted the GPU and gave no sign of life",
        Stuck::Stopped => "is stopped",
    }
}
