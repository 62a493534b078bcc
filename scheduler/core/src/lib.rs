//! Every decision of the scheduler, and nothing else: no clock, no socket, no thread.
//!
//! Whoever has the sockets tells [`Core::handle`] what happened and carries out the actions that it
//! returns, in their order; it calls again with [`event::Event::Tick`] no later than
//! [`Core::next_deadline`]. The same events at the same times give the same actions, so that a log
//! of them ([`print`](mod@print)) replays ([`replay()`]).
//!
//! # The rules
//!
//! * A tenant is granted all the devices it has named, together, or none. Requests stand in line in
//!   the order of their arrival. A tenant is next when no older request wants one of its devices; it
//!   is granted when nobody holds one of them. A request of a tenant that has named no device is
//!   remembered, and stands in line from the first one on.
//! * A holder goes on as long as nobody waits. When the tenant that is next could start if all the
//!   holders in its way were gone, and the turns of all of them are over, they are revoked together.
//!   (Revoking the first of them earlier would let its device lie idle until the last has gone.)
//! * A holder that says it is idle while somebody waits has had its turn.
//! * A device named by a tenant that holds others joins its hold if nobody holds it or waits for it.
//!   Otherwise the tenant is revoked and stands in line for the whole set.
//! * A tenant that says on joining that it is running holds what it names under lease 0, by the same rule.
//! * Nobody keeps the next one waiting for longer than [`Settings::wait_bound`]: a tenant that does not
//!   answer its revocation, or cannot drain, loses its turn and others go on beside it.
//! * Switched off, nobody holds and nobody waits; requests are not remembered.
#![forbid(unsafe_code)]
pub mod event;
pub mod parse;
pub mod print;
pub mod record;
pub mod settings;
pub mod snapshot;

mod admission;
mod answers;
mod device;
mod hold;
mod line;
mod membership;
mod memory;
mod replay;
mod tenant;
#[cfg(test)]
mod tests;
mod turns;

pub use replay::{Unreadable, replay};
pub use settings::Settings;
pub use snapshot::Snapshot;
pub use tenant::{MAX_DEVICES, Memory};

use device::Device;
use event::{Action, Event, TenantId};
use nvshare_protocol::{DeviceId, Nanos};
use record::{Record, Span};
use std::collections::{BTreeMap, BTreeSet};
use tenant::Tenant;

/// The scheduler's mind.
#[derive(Clone, Debug)]
pub struct Core {
    settings: Settings,
    enabled: bool,
    /// The time of the last event.
    now: Nanos,
    tenants: BTreeMap<TenantId, Tenant>,
    devices: BTreeMap<DeviceId, Device>,
    /// The tenants with a lease.
    leased: BTreeSet<TenantId>,
    /// The waiting tenants for whose devices no older request waits, oldest first.
    next: BTreeSet<(u64, TenantId)>,
    /// How many requests have come.
    arrivals: u64,
    /// How many leases have been granted.
    leases: u64,
    record: Record,
    actions: Vec<Action>,
}

impl Core {
    /// A scheduler that is switched on and knows nobody. Durations beyond their range are brought into it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let settings = settings.checked();
        Self {
            enabled: true,
            now: Nanos::ZERO,
            tenants: BTreeMap::new(),
            devices: BTreeMap::new(),
            leased: BTreeSet::new(),
            next: BTreeSet::new(),
            arrivals: 0,
            leases: 0,
            record: Record::new(settings.record),
            actions: Vec::new(),
            settings,
        }
    }

    /// What to do about `event`, which happened at `now` (since the daemon's start; a time before the
    /// last event's counts as that one's). What fell due meanwhile is decided too, after the event.
    pub fn handle(&mut self, now: Nanos, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Joined { tenant, holds } => self.joined(tenant, holds),
            Event::Left { tenant } => self.left(tenant),
            Event::Device { tenant, device, capacity } => self.named(tenant, device, capacity),
            Event::Memory { tenant, device, allocated, resident, immovable } => {
                self.reported(tenant, device, allocated, resident, immovable);
            }
            Event::Requested { tenant } => self.requested(tenant),
            Event::Ready { tenant, ready } => self.ready(tenant, &ready),
            Event::Released { tenant, released } => self.released(tenant, &released),
            Event::DrainCancelled { tenant, lease } => self.drain_cancelled(tenant, lease),
            Event::Idle { tenant, lease } => self.idle(tenant, lease),
            Event::SetQuantum(quantum) => self.settings.quantum = settings::in_range(quantum),
            Event::SetEvict(evict) => self.settings.evict = evict,
            Event::SetEnabled(enabled) => self.set_enabled(enabled),
            Event::Tick => {}
        }
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// The rules in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether it is switched on; what a tenant is welcomed with.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// The finished spans that are remembered, in the order of their ends. They stay.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.record.spans()
    }

    /// Takes the finished spans out of the record.
    pub fn drain_spans(&mut self) -> Vec<Span> {
        self.record.drain()
    }
}
