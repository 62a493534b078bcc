//! What operators are told of what happens: lines of the log, and events for those who follow.
use super::Daemon;
use super::members::Member;
use crate::text;
use nvshare_core::event::{Action, Stuck, TenantId};
use nvshare_protocol::control::Event;
use nvshare_protocol::tenant::{Ready, Released, Share, ToScheduler, total};
use nvshare_protocol::{Bytes, Nanos};

impl Daemon {
    /// An event of a tenant; `details` adds what there is beyond its name.
    pub(super) fn news(&self, kind: &str, tenant: TenantId, details: impl FnOnce(&mut Event)) {
        self.shared.events.publish(|| {
            let mut event = event(kind, tenant, self.members.get(tenant));
            details(&mut event);
            event
        });
    }

    /// A line that this tenant has provoked, at `warn`.
    pub(super) fn warn_of(&self, tenant: TenantId, line: &str) {
        match self.members.get(tenant) {
            Some(member) => self.shared.log.warn_of(&member.who, line),
            None => self.shared.log.warn(line),
        }
    }

    /// A line that this tenant has provoked, at `info`.
    pub(super) fn info_of(&self, tenant: TenantId, line: &str) {
        match self.members.get(tenant) {
            Some(member) => self.shared.log.info_of(&member.who, line),
            None => self.shared.log.info(line),
        }
    }

    /// What a tenant says, where an operator may care.
    pub(super) fn heard(&self, tenant: TenantId, message: &ToScheduler) {
        let moved = |event: &mut Event, shares: &[Share], took: Option<Nanos>| {
            set_shares(event, shares);
            event.took_seconds = took.map(Nanos::as_secs_f64);
        };
        match message {
            ToScheduler::Request => self.news("requested", tenant, |_| {}),
            ToScheduler::Ready(ready) => {
                self.news("ready", tenant, |event| moved(event, &ready.fetched, Some(ready.took)));
            }
            ToScheduler::Released(released) => self.news("released", tenant, |event| {
                moved(event, &released.evicted, Some(released.drain.saturating_add(released.evict)));
            }),
            ToScheduler::DrainCancelled(_) => self.news("drain-cancelled", tenant, |_| {}),
            ToScheduler::Idle(_) => self.news("idle", tenant, |_| {}),
            ToScheduler::Evicted(shares) => {
                self.news("moved-out", tenant, |event| moved(event, shares, None));
            }
            ToScheduler::Report(text) => self.news("report", tenant, |event| event.text = Some(text.clone())),
            ToScheduler::Device(device) => {
                self.news("device", tenant, |event| event.devices = vec![device.device.to_string()]);
            }
            ToScheduler::MemoryRefused(share) => {
                self.news("memory-refused", tenant, |event| set_shares(event, &[*share]));
            }
            ToScheduler::Hello(_) | ToScheduler::Memory(_) | ToScheduler::SwapWanted(_) => {}
        }
    }

    /// What a tenant is told.
    pub(super) fn decided(&self, action: &Action) {
        match action {
            Action::Grant { tenant, grant } => {
                self.news("granted", *tenant, |event| set_shares(event, &grant.budget));
            }
            Action::Revoke { tenant, revoke } => {
                self.news("revoked", *tenant, |event| set_shares(event, &revoke.evict));
            }
            Action::Evict { tenant, shares } => {
                self.news("move-out", *tenant, |event| set_shares(event, shares));
            }
            Action::Fetch { tenant, shares } => {
                self.news("bring-in", *tenant, |event| set_shares(event, shares));
            }
            Action::Stuck { tenant, lease, why } => {
                let why = stuck_words(*why);
                let name = self.members.name(*tenant);
                let line =
                    format!("{name} {why} (lease {}): others run beside it where there is room", lease.0);
                self.warn_of(*tenant, &line);
                self.news("unresponsive", *tenant, |event| event.text = Some(why.into()));
            }
            Action::NoRoom { tenant, device, wants, usable, kept } => {
                let mut why = format!("{} do not fit on {device}", text::bytes(*wants));
                why += &format!(", of which tenants may have {}", text::bytes(*usable));
                for (other, bytes) in kept {
                    why += &format!("; {} keeps {}", self.members.name(*other), text::bytes(*bytes));
                }
                let line = format!("{} waits: {why}", self.members.name(*tenant));
                let soon_over = !kept.is_empty() && kept.iter().all(|(other, _)| self.is_ending(*other));
                if soon_over {
                    self.info_of(*tenant, &line);
                } else {
                    self.warn_of(*tenant, &line);
                }
                self.news("no-room", *tenant, |event| event.text = Some(why));
            }
            Action::Contended { .. } | Action::Enabled { .. } => {}
        }
    }

    pub(super) fn gone(&self, tenant: TenantId, member: &Member, why: Option<&str>) {
        self.shared.events.publish(|| Event {
            text: why.map(str::to_owned),
            devices: member.devices.keys().map(ToString::to_string).collect(),
            ..event("left", tenant, Some(member))
        });
    }

    pub(super) fn log_fetch(&self, tenant: TenantId, ready: &Ready) {
        self.log_move(tenant, "has the GPU: fetched", total(&ready.fetched), ready.took);
    }

    pub(super) fn log_release(&self, tenant: TenantId, released: &Released) {
        self.log_move(tenant, "gave the GPU back: moved out", total(&released.evicted), released.evict);
    }

    /// A hand-over that moved nothing is no news.
    fn log_move(&self, tenant: TenantId, what: &str, moved: Bytes, took: Nanos) {
        let line = || {
            let rate = text::rate(moved, took).map(|rate| format!(" ({rate:.1} GB/s)")).unwrap_or_default();
            let (name, bytes, seconds) = (self.members.name(tenant), text::bytes(moved), text::seconds(took));
            format!("{name} {what} {bytes} in {seconds}{rate}")
        };
        if moved > Bytes::ZERO {
            self.info_of(tenant, &line());
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!("{}", line());
        }
    }
}

fn event(kind: &str, tenant: TenantId, member: Option<&Member>) -> Event {
    Event {
        kind: kind.into(),
        tenant: Some(tenant.0),
        pid: member.map(|member| member.who.pid),
        program: member.map(|member| member.hello.program.clone()),
        container: member.and_then(|member| member.who.shown()),
        ..Event::default()
    }
}

/// The devices, and the bytes on all of them unless that is everything.
fn set_shares(event: &mut Event, shares: &[Share]) {
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
