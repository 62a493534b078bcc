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
//!   the order of their arrival, but for this: those of one owner (a user, a container) are served in turn with those of
//!   others, so that its second request stands behind the first ones of all others. A tenant is next when no request
//!   before it wants one of its devices; it is granted when nobody holds one of them. A request of a tenant that has named
//!   no device is remembered, and stands in line from the first one on.
//! * With [`Settings::share`], tenants that fit on a device together hold it together: only those are in the way
//!   that must leave so that the next one fits. Under `evict=always` one has it at a time.
//! * What idle tenants left behind moves out when it is in the way of one that could be granted its devices, or of a
//!   holder that has grown. Nobody is granted a device before there is room for what it lacks, as long as others still
//!   move out. Under `evict=never` all that is left to the driver, where the driver can.
//! * What tenants say that they keep is believed as far as the driver shows it ([`event::Event::Seen`]). Where it shows
//!   nothing, one that has no room because of others' words believes them for [`Settings::claim_bound`], and tries then.
//!   One that the driver shows to have no context keeps nothing and is in nobody's way.
//! * A holder that has grown and no longer fits leaves itself, unless the turns of those in its way are over.
//! * A tenant that swaps ([`event::Event::Swaps`]) is not granted a device where there cannot be room for all that it has,
//!   because of what others never move or because one does not leave. It waits aside, keeps nobody else waiting, and has
//!   its place in line again when there can be room. If the room that others make comes too slowly, it tries all the same.
//! * With [`Settings::overlap`], what is in the way moves out earlier, the next tenant brings memory in while the holder
//!   still computes, and a turn's leftovers move out when the next has begun.
//! * With [`Settings::overlap`], a tenant that mostly sleeps comes first, and holders give way to it before their turn is
//!   over; such a turn goes on afterwards, before the others in line, within twice its length. All that come first have
//!   together at most half of a device's time, those of one owner at most its equal part of it all, and a holder that gave
//!   way keeps two fifths. Nobody stands behind them for more than four rounds.
//! * A tenant of higher priority stands before all of lower priority, and holders of lower priority give way to it at
//!   once, or when the memory that they are bringing in is there. For one of lower priority, a holder that has work goes
//!   on until that one has starved: whoever has waited for [`Settings::starvation`] while higher ones were before it
//!   stands in line as one of high priority, once, and its turn is a whole one. A turn that was broken off and goes on at
//!   once counts as waited for since it was first asked for.
//! * A tenant with a quota ([`event::Event::TimeShare`]) holds a device for no more than its part of each period
//!   ([`PERIOD`], or as much longer as makes its part a turn, where others wait). It leaves when that is used up,
//!   whether or not anybody waits, and when it has nothing to do; its memory moves only if others need the room. Until
//!   the period is over it stands in no line. Those of one group are counted together, under the least of their quotas.
//! * A tenant with several devices that waits for a turn at one of them lets those behind it have turns at the rest that are
//!   over before it could begin (backfill).
//! * Another holder goes on as long as nobody waits. When the tenant that is next could start if all the
//!   holders in its way were gone, and the turns of all of them are over, they are revoked together.
//!   (Revoking the first of them earlier would let its device lie idle until the last has gone.)
//! * A holder that says it is idle while somebody waits has had its turn, but where idle holders have often come back
//!   at once: there it keeps its turn until that has lasted twice as long as a hand-over, and for good if it says before
//!   that it has work again.
//! * A device named by a tenant that holds others joins its hold if nobody holds it or waits for it.
//!   Otherwise the tenant is revoked and stands in line for the whole set.
//! * For [`Settings::grace`] after the start nobody is granted a device, but one that a tenant has come back with.
//! * A tenant that says on joining that it is running holds what it names under lease 0, by the same rule.
//!   Nothing but its word speaks for that hold: told to leave, it gives a sign of life within [`Settings::silence`], its
//!   work's end included, or is not waited for, and what it says that it keeps is not believed for longer.
//! * Nobody keeps the next one waiting for longer than [`Settings::wait_bound`]: a tenant that does not
//!   answer its revocation, or cannot drain, loses its turn and others go on beside it. One that gives no sign of life for
//!   [`Settings::silence`] is waited for no longer, and one that is stopped not at all. The time that others of another
//!   owner have lost by that is paid back by its owner's tenants, several times: they stand in no line meanwhile.
//! * What a tenant is refused within its budget is taken by something that nobody told of: it counts as taken for this
//!   tenant for a while ([`UNACCOUNTED_FOR`]), or until one leaves.
//! * Switched off, nobody holds and nobody waits; requests are not remembered.
#![forbid(unsafe_code)]
pub mod event;

mod engine;
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
pub use trace::replay::{Unreadable, replay};
pub use trace::{parse, print, snapshot, snapshot::Snapshot};

use engine::state::Engine;
use engine::{dispatch, schedule};
use event::{Action, Event};
use memory::unaccounted;
use model::span::Span;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use policy::liveness;
use std::collections::BTreeSet;

/// The scheduler's mind.
#[derive(Clone, Debug)]
pub struct Core {
    engine: Engine,
}

impl Core {
    /// A scheduler that is switched on and knows nobody. Durations beyond their range are brought into it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { engine: Engine::new(settings.checked()) }
    }

    /// What to do about `event`, which happened at `now` (since the daemon's start; a time before the
    /// last event's counts as that one's). What fell due meanwhile is decided too, after the event.
    pub fn handle(&mut self, now: Nanos, event: Event) -> Vec<Action> {
        let engine = &mut self.engine;
        engine.model.now = engine.model.now.max(now);
        dispatch::dispatch(engine, event);
        schedule::schedule(engine);
        std::mem::take(&mut engine.actions)
    }

    /// When the next decision is due without anything happening. Always after the last event's time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.engine.model.next_deadline()
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
        snapshot::snapshot(&self.engine.model, &self.engine.spans)
    }

    /// What the tenant has on the device, by its last report.
    #[must_use]
    pub fn memory_of(&self, tenant: TenantId, device: DeviceId) -> MemoryUse {
        self.engine.model.memory_of(tenant, device)
    }

    /// How much of the device is taken, for this tenant, though neither a tenant nor NVML has told of it.
    #[must_use]
    pub fn unaccounted(&self, tenant: TenantId, device: DeviceId) -> Bytes {
        unaccounted::unaccounted(&self.engine.model, tenant, device)
    }

    /// Those that others wait for, and who was told to leave or to move memory out: of whom it is worth knowing whether they
    /// are stopped. Those that are known as stopped are among them as long as anybody waits, themselves included.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<TenantId> {
        liveness::awaited(&self.engine.model)
    }

    /// The finished spans that are remembered, in the order of their ends. They stay.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.engine.spans.spans()
    }

    /// Takes the finished spans out of the record.
    pub fn drain_spans(&mut self) -> Vec<Span> {
        self.engine.spans.drain()
    }
}
