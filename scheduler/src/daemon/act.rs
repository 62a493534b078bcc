//! What tenants tell goes to the core; what the core wants is carried out and told to the log.
use super::Daemon;
use super::members::Member;
use crate::tenants::registry::Naming;
use crate::tenants::told::{Joined, Told};
use crate::text;
use nvshare_core::event::{Action, Event, Stuck, TenantId};
use nvshare_core::{MAX_DEVICES, print};
use nvshare_protocol::tenant::{Device, Ready, Released, Share, ToScheduler, ToTenant, Welcome};
use nvshare_protocol::{Bytes, Nanos};
use tokio::sync::mpsc::error::TrySendError;

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
        let (tenant, holds) = (*tenant, hello.holds);
        let welcome = Welcome {
            version: nvshare_protocol::VERSION,
            enabled: self.core.enabled(),
            reserve: self.core.settings().reserve,
            limit: None,
        };
        // The channel is new and has room.
        let _ = outbound.try_send(ToTenant::Welcome(welcome));
        let details = format!(
            "uid {}, library {}, engine {}{}",
            who.uid,
            hello.library,
            hello.engine,
            if holds { ", running" } else { "" }
        );
        self.members.join(joined);
        let line = format!("{} joined: {details}", self.members.name(tenant));
        self.shared.seldom.info(&line);
        // A remark, for whoever reads the trace.
        self.record(&format!("# {line}\n"));
        self.tell(Event::Joined { tenant, holds });
    }

    fn said(&mut self, tenant: TenantId, message: ToScheduler) {
        // What was in the queue when the tenant was dismissed.
        let Some(member) = self.members.get_mut(tenant) else { return };
        let event = match message {
            ToScheduler::Hello(_) => return,
            ToScheduler::Device(device) => return self.device(tenant, device),
            ToScheduler::Report(text) => {
                if member.reports(text.clone()) {
                    self.shared.seldom.warn(&format!("{} reports: {text}", self.members.name(tenant)));
                }
                return;
            }
            ToScheduler::Memory(told) => Event::Memory {
                tenant,
                device: told.device,
                allocated: told.allocated,
                resident: told.resident,
                immovable: told.immovable,
            },
            ToScheduler::Request => Event::Requested { tenant },
            ToScheduler::Ready(ready) => {
                if member.fetched(ready.lease) {
                    self.log_fetch(tenant, &ready);
                }
                Event::Ready { tenant, ready }
            }
            ToScheduler::Released(released) => {
                if member.released(released.lease) {
                    self.log_release(tenant, &released);
                }
                Event::Released { tenant, released }
            }
            ToScheduler::DrainCancelled(lease) => Event::DrainCancelled { tenant, lease },
            ToScheduler::Idle(lease) => Event::Idle { tenant, lease },
        };
        self.tell(event);
    }

    fn device(&mut self, tenant: TenantId, told: Device) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        if member.devices.contains(&told.device) {
            return;
        }
        if member.devices.len() >= MAX_DEVICES {
            return self.dismiss(tenant, &format!("the limit of {MAX_DEVICES} devices a process is reached"));
        }
        let capacity = match self.registry.name(&told) {
            Naming::Known(capacity) => capacity,
            Naming::Differs(capacity) => {
                let name = self.members.name(tenant);
                let (device, other) = (told.device, told.capacity.0);
                self.shared.seldom.warn(&format!(
                    "{name} says that {device} has {other} bytes; it is known with {} and stays so",
                    capacity.0
                ));
                capacity
            }
            Naming::Full => return self.dismiss(tenant, "the limit of 4096 devices in all is reached"),
        };
        if let Some(member) = self.members.get_mut(tenant) {
            member.devices.insert(told.device);
        }
        self.tell(Event::Device { tenant, device: told.device, capacity });
    }

    fn left(&mut self, tenant: TenantId, why: Option<&str>) {
        let name = self.members.name(tenant);
        let Some(member) = self.members.leave(tenant) else { return };
        self.forget(&member);
        match why {
            None => self.shared.seldom.info(&format!("{name} left")),
            Some(why) => self.shared.seldom.warn(&format!("{name} lost its connection: {why}")),
        }
        self.tell(Event::Left { tenant });
    }

    fn forget(&mut self, member: &Member) {
        member.devices.iter().for_each(|&device| self.registry.release(device));
    }

    /// Closes a tenant's connection with a word about it.
    fn dismiss(&mut self, tenant: TenantId, why: &str) {
        if let Some(member) = self.members.get(tenant) {
            let _ = member.outbound.try_send(ToTenant::Refused(why.to_owned()));
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
        let mut deaf = Vec::new();
        for action in actions {
            if let Err(tenant) = self.carry_out(action) {
                deaf.push(tenant);
            }
        }
        for tenant in deaf {
            self.left(tenant, Some("it does not read what it is told"));
        }
    }

    pub(super) fn record(&mut self, lines: &str) {
        lines.lines().for_each(|line| tracing::debug!(target: "nvshare::trace", "{line}"));
        if let Some(trace) = &mut self.trace {
            trace.add(lines);
        }
    }

    /// Fails where the tenant's queue is full.
    fn carry_out(&mut self, action: Action) -> Result<(), TenantId> {
        let (tenant, message) = match action {
            Action::Grant { tenant, grant } => {
                if let Some(member) = self.members.get_mut(tenant) {
                    member.granted(grant.lease);
                }
                (tenant, ToTenant::Grant(grant))
            }
            Action::Revoke { tenant, revoke } => (tenant, ToTenant::Revoke(revoke)),
            Action::Contended { tenant, contended } => (tenant, ToTenant::Contended(contended)),
            Action::Enabled { tenant, enabled } => (tenant, ToTenant::Enabled(enabled)),
            Action::Stuck { tenant, lease, why } => {
                let why = match why {
                    Stuck::NoAnswer => "did not answer its revocation in time",
                    Stuck::CannotDrain => "cannot end its work",
                };
                let name = self.members.name(tenant);
                self.shared.seldom.warn(&format!("{name} {why} (lease {}): others run beside it", lease.0));
                return Ok(());
            }
        };
        let Some(member) = self.members.get(tenant) else { return Ok(()) };
        match member.outbound.try_send(message) {
            // A closed channel: the connection's own end is on its way to us.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(tenant),
        }
    }

    fn log_fetch(&self, tenant: TenantId, ready: &Ready) {
        self.log_move(tenant, "has the GPU: fetched", total(&ready.fetched), ready.took);
    }

    fn log_release(&self, tenant: TenantId, released: &Released) {
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
            self.shared.seldom.info(&line());
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!("{}", line());
        }
    }
}

fn total(shares: &[Share]) -> Bytes {
    shares.iter().fold(Bytes::ZERO, |sum, share| sum.saturating_add(share.bytes))
}
