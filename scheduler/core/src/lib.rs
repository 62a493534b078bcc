//! Every decision of the scheduler, and nothing else: no clock, no socket, no thread.
//!
//! The daemon tells [`Core::handle`] what happened and when, and carries out the actions that it returns, in their
//! order. It calls again with [`event::Event::Tick`] no later than [`Core::next_deadline`]. The same events at the same
//! times give the same actions, so that a log of them ([`print`](mod@print)) replays ([`replay()`]).
//!
//! # The way of one event
//!
//! ```text
//!   now, event                                                                    actions
//!       |                                                                            ^
//!       v                                                                            |
//!   lib.rs  Core::handle ------------------------------------------------------------+
//!       |                                                                            |
//!       | event.rs says which handler                                                |
//!       v                                                                            |
//!   engine/dispatch --> engine/membership, requests, replies, reports, operator ..   |
//!                            |                          |                            |
//!              asks (&Model) |                          | changes                    |
//!                            v                          v                            |
//!                    policy/, memory/          model/update  Model::update           |
//!                    who, when, how much         | moves the request in the queues   |
//!                            ^                   | reindexes the tenant's devices    |
//!                            |                   | marks these devices dirty         |
//!              asks (&Model) |                   v                                   |
//!                            +--------- engine/schedule, while a device is dirty     |
//!                                          revocations that are overdue              |
//!                                          grants to tenants that are next           |
//!                                          preemption of holders in their way        |
//!                                          memory that moves beside the turns        |
//!                                          the device's next timer                   |
//!                                                |                                   |
//!                                                +--- Grant, Revoke, Evict, Fetch .. +
//! ```
//!
//! # Where a line lives
//!
//! * `model` holds facts and decides nothing. Only `Model::update` and the functions beside it change a tenant or a
//!   device.
//! * `policy` and `memory` answer questions about a `&Model`, and return values. They change nothing.
//! * `engine` changes the model and pushes actions. Its `schedule` is the only place that decides without being told
//!   to.
//! * `trace` turns events, actions and settings into text and back.
//! * `event` is the table of what can be told and wanted. A new event is a row there and a handler in `engine`.
//!
//! # Invariants
//!
//! `src/tests/invariants.rs` checks these after every event of every test, found out the long way round.
//!
//! 1. A device's index and queue are what its tenants say they are: `Model::update` brings them up to date.
//! 2. After an event nothing is left to decide at this time: no device is dirty, and the next deadline lies ahead.
//! 3. Whoever waits is waited for: a deadline exists as long as a queue is not empty.
//! 4. A tenant has all its devices or none, but for one that has to give back what it has.
//! 5. Tenants that hold a device at the same time fit on it together, but for those that were revoked.
//! 6. A tenant that is queued is queued at each of its devices; one that is parked, throttled or stopped is at none.
//! 7. No request is lost, and the tenant that is next is granted its devices within [`Settings::wait_bound`].
//!
//! # The rules
//!
//! **Turns.** A tenant is granted all devices that it has named together. It is next when nobody stands before it at
//! any of them. It is granted when no holder is in its way. A holder goes on as long as nobody waits. When the turns of
//! all holders that are in the way of the next tenant are over, they are revoked together: if one was revoked earlier,
//! its device would lie idle until the last had gone. A holder that is idle while somebody waits has had its turn. A
//! device that a holder names later joins its lease if it is free and nobody waits for it; otherwise the tenant is
//! revoked and waits for the whole set. A request of a tenant that has named no device is remembered and queued with
//! the first device.
//!
//! **Sharing.** With [`Settings::share`], tenants that fit on a device together hold it together. Only those are in the
//! way that must leave so that the next one fits. A holder that has grown and no longer fits leaves itself, unless the
//! turns of those in its way are over. Under `evict=always` one tenant has the device at a time.
//!
//! **Memory.** What idle tenants left behind is moved out when it is in the way of the next tenant, or of a holder that
//! has grown. A grant waits for evictions that are under way. With [`Settings::overlap`], evictions begin earlier, the
//! next tenant prefetches while the holder still computes, and a turn's leftovers move out when the next turn has
//! begun. Under `evict=never` all that is left to the driver, where the driver can.
//!
//! **Content.** What of a tenant's memory is zero, or unchanged since its host copy was made, is not copied
//! ([`event::Event::Moves`]). Costs are measured and follow by themselves; where bytes become time, the content counts.
//! Where memory is given out, every byte counts. Whose memory leaves first does not depend on what tenants say of it.
//!
//! **Tenants that swap** ([`event::Event::Swaps`]) cannot run with less than all their memory. If there cannot be room
//! for one, because of unevictable memory of others, it is parked: it waits in no queue until there can be. If room
//! that others make comes too slowly, it tries all the same.
//!
//! **Claims.** What a tenant says that it keeps is believed as far as the driver shows it ([`event::Event::Seen`]).
//! Where the driver shows nothing, a tenant that has no room because of others' claims believes them for
//! [`Settings::claim_bound`], and tries then. A process without a context keeps nothing.
//!
//! **Owners** (a user, a container) are served in rounds: the second request of one stands behind the first ones of all
//! others. Time that an owner's tenants keep from others beyond their turns is a debt, which is paid back several
//! times: meanwhile its requests are throttled where others wait.
//!
//! **Interactive tenants.** With [`Settings::overlap`], a tenant that mostly sleeps comes first, and holders give way
//! to it before their turns are over. A preempted turn may be resumed, before regular requests, within twice its
//! length. All interactive tenants together have at most half of a device's time, those of one owner at most its equal
//! part, and a preempted holder keeps two fifths. No regular request is passed over for more than four rounds.
//!
//! **Priorities.** A tenant of higher priority stands before all of lower priority. Holders of lower priority give way
//! to it at once, or when the memory that they are bringing in is there. A tenant that has waited for
//! [`Settings::starvation`] while higher ones were before it is promoted to high priority for one whole turn. Preempted
//! turns do not reset that clock.
//!
//! **Quotas.** A tenant with a quota ([`event::Event::TimeShare`]) holds a device for no more than its part of each
//! period ([`PERIOD`], or as much longer as makes its part a turn, where others wait). When that is used up, or when it
//! is idle, it is revoked, whether or not anybody waits; its memory moves only if others need the room. Its request is
//! throttled until the period is over. The tenants of a group are counted together, under the least of their quotas.
//!
//! **Thrashing.** Where idle holders have often come back at once, an idle holder is kept until its turn has lasted
//! twice as long as a hand-over, and for good if it has work again before that.
//!
//! **Backfill.** A tenant with several devices that waits for one of them lets those behind it have turns at the
//! others, if these turns are over before it could begin.
//!
//! **Gangs.** Tenants that wait for each other in their work are one tenant for all these rules. Two gangs share no
//! device before it is known what both need: each has had a turn with all its members, and has drained. For a gang that
//! has grown beyond its room others leave, if they are not of higher priority. One whose members cannot leave a device,
//! because another has no turn, goes before gangs of which nothing is known, and pays for it. Members that do not fit on a
//! device together are single tenants again.
//!
//! **Families** ([`event::Event::Family`]). Tenants of one may be a gang that nobody has told of. Two families of several
//! tenants share a device only if all of these have had a turn, and all fit. When one of a family cannot end its work
//! while others of it wait, nobody is granted the family's devices for a tenth of a second, in which it can be said who
//! belongs together. That gang comes first, if its owner owed nothing before.
//!
//! **Tenants that do not answer.** Nobody keeps the next tenant waiting for longer than [`Settings::wait_bound`]. A
//! holder that does not answer its revocation, or cannot drain, is quarantined: it loses its turn, and others go on
//! beside it. One that gives no sign of life for [`Settings::silence`] is not waited for, and one that is stopped not
//! at all.
//!
//! **Restarts.** For [`Settings::grace`] after the start nobody is granted a device but one that a tenant has come back
//! with. A tenant that says on joining that it is running holds what it names under lease 0. Only its own word speaks
//! for that hold: when revoked, it has one [`Settings::silence`] to give a sign of life, its work's end included.
//!
//! **Refusals.** What the driver refuses a tenant within its budget is taken by something that nobody told of. It
//! counts as taken for this tenant for a while ([`UNACCOUNTED_FOR`]), or until a tenant leaves.
//!
//! **Switched off**, nobody holds and nobody waits; requests are not remembered.
//!
//! # Limits, and what could be better
//!
//! * One tenant's devices are granted together. A gate for each device would cost the library a driver call for each
//!   launch.
//! * Backfill plans for the first eight tenants with several devices; those behind them wait without a reservation.
//! * Decaying sums are linear within a half-life, so that the core needs integers alone.
#![forbid(unsafe_code)]
pub mod event;

mod engine;
mod gang;
mod memory;
mod model;
mod policy;
#[cfg(test)]
mod tests;
mod trace;

pub use engine::refusals::UNACCOUNTED_FOR;
pub use model::ids::TenantId;
pub use model::memory_use::MemoryUse;
pub use model::priority::Priority;
pub use model::quota::PERIOD;
pub use model::tenant::MAX_DEVICES;
pub use model::{settings, settings::Settings, span};
pub use policy::waits::{WaitReason, WaitView};
pub use trace::replay::{Unreadable, replay};
pub use trace::{parse, print, snapshot, snapshot::Snapshot};

use engine::state::Engine;
use engine::{dispatch, schedule};
use event::{Action, Event};
use gang::{Expanded, Gangs};
use memory::{capacity, unaccounted};
use model::span::Span;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use policy::liveness;
use std::collections::BTreeSet;

/// The state of the scheduler and its decisions.
#[derive(Clone, Debug)]
pub struct Core {
    gangs: Gangs,
    engine: Engine,
}

impl Core {
    /// A scheduler that is switched on and knows nobody. Durations beyond their range are brought into it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { gangs: Gangs::default(), engine: Engine::new(settings.checked()) }
    }

    /// What to do about `event`, which happened at `now` (since the daemon's start; a time before the
    /// last event's counts as that one's). What fell due meanwhile is decided too, after the event.
    pub fn handle(&mut self, now: Nanos, event: Event) -> Vec<Action> {
        let Self { gangs, engine } = self;
        engine.model.now = engine.model.now.max(now);
        gangs.take(engine.model.now, event, &engine.model);
        // Time may have passed for the engine too, whatever the event is for a gang.
        let mut next = gangs.next_event().or(Some(Event::Tick));
        while let Some(event) = next {
            dispatch::dispatch(engine, event);
            // What is told of one gang belongs together: in between, its memory would be nobody's.
            next = gangs.next_event();
            if next.is_none() {
                schedule::schedule(engine);
                gangs.carry_out(std::mem::take(&mut engine.actions));
                next = gangs.next_event();
            }
        }
        gangs.take_actions()
    }

    /// When the next decision is due without anything happening. Always after the last event's time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let engine = self.engine.model.next_deadline();
        engine.into_iter().chain(self.gangs.next_deadline()).min()
    }

    /// The rules in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.engine.model.settings()
    }

    /// Whether it is switched on; what a tenant is welcomed with.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.engine.model.enabled
    }

    /// The picture after the last event. Costs time in proportion to the number of tenants.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        snapshot::snapshot(&self.engine.model, &self.engine.spans).expanded(&self.gangs)
    }

    /// What the tenant has on the device, by its last report.
    #[must_use]
    pub fn memory_of(&self, tenant: TenantId, device: DeviceId) -> MemoryUse {
        let member = self.gangs.memory_of(tenant, device);
        member.unwrap_or_else(|| self.engine.model.memory_of(tenant, device))
    }

    /// For how long the tenant, or its gang since it joined, has held its devices and waited for them, until the last
    /// event. May become less where a gang is announced anew.
    #[must_use]
    pub fn times_of(&self, tenant: TenantId) -> (Nanos, Nanos) {
        let (model, unit) = (&self.engine.model, self.gangs.unit(tenant));
        let Some(known) = model.tenants.get(&unit) else { return Default::default() };
        let (all, before) = (snapshot::times(model, known), self.gangs.times_before(tenant));
        (all.0.saturating_sub(before.0), all.1.saturating_sub(before.1))
    }

    /// What tenants may have of the device together; none: it is not known.
    #[must_use]
    pub fn usable(&self, device: DeviceId) -> Option<Bytes> {
        let model = &self.engine.model;
        model.devices.get(&device).map(|_| capacity::usable_on(model, device))
    }

    /// How much of the device is taken, for this tenant, though neither a tenant nor NVML has told of it.
    #[must_use]
    pub fn unaccounted(&self, tenant: TenantId, device: DeviceId) -> Bytes {
        unaccounted::unaccounted(&self.engine.model, self.gangs.unit(tenant), device)
    }

    /// Tenants of which it matters whether they are stopped: those that others wait for, and those that were revoked or
    /// asked to evict. Stopped ones are among them as long as anybody waits, themselves included.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<TenantId> {
        self.gangs.members(liveness::awaited(&self.engine.model))
    }

    /// The finished spans that are remembered, in the order of their ends. They stay.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.engine.spans.spans().flat_map(|span| gang::spans(&self.gangs, span))
    }

    /// Takes the finished spans out of the record.
    pub fn drain_spans(&mut self) -> Vec<Span> {
        self.engine.spans.drain()
    }
}
