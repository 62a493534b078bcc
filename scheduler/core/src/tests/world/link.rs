//! The agent's connection: what it tells, how it loses the scheduler and finds the next one, and what passes with time.
use super::client::{Heard, Phase, Timer};
use super::{World, card_id};
use crate::Priority;
use crate::event::{Event, TenantId};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// With the scheduler gone, calls wait for so long before they run unmanaged.
const ORPHAN_BOUND: Nanos = Nanos::from_millis(10_000);
const RETRY_SOON: Nanos = Nanos::from_millis(100);
const RETRY_LATER: Nanos = Nanos::from_millis(1_000);
/// From the end of the last work until the agent finds that there is none.
pub const IDLE: Nanos = Nanos::from_millis(45);

impl World {
    /// What is news to the scheduler, and the wish for a grant.
    pub(super) fn tell(&mut self, c: usize) -> Heard {
        if !self.clients[c].welcomed {
            return Ok(());
        }
        self.report(c)?;
        if self.clients[c].phase == Phase::Idle && self.clients[c].is_wanting() && !self.is_set(c, Timer::Ask)
        {
            self.say(c, |tenant| Event::Requested { tenant })?;
            self.clients[c].phase = Phase::Waiting;
        }
        let client = &mut self.clients[c];
        if client.phase == Phase::Held && client.told_idle && client.has_work() && client.gate_open {
            client.told_idle = false;
            self.say(c, |tenant| Event::Requested { tenant })?;
        }
        Ok(())
    }

    pub(super) fn report(&mut self, c: usize) -> Heard {
        for h in 0..self.clients[c].holdings.len() {
            let (card, now) = (self.clients[c].holdings[h].card, self.clients[c].holdings[h].totals());
            let (device, capacity) = (card_id(card), self.cards[card].model.capacity);
            let told = self.clients[c].told[h].replace(now);
            if told.is_none() {
                self.say(c, |tenant| Event::Device { tenant, device, capacity })?;
            }
            if told != Some(now) {
                self.say(c, |tenant| Event::Memory {
                    tenant,
                    device,
                    allocated: now.allocated,
                    resident: now.resident,
                    immovable: now.immovable,
                })?;
            }
            let moves = self.clients[c].holdings[h].moves(device);
            if self.clients[c].spec.zero > 0 && self.clients[c].told_moves[h].replace(moves) != Some(moves) {
                self.say(c, |tenant| Event::Moves { tenant, moves })?;
            }
            if let Some(bytes) = self.clients[c].holdings[h].refused.take() {
                self.say(c, |tenant| Event::MemoryRefused { tenant, device, bytes: Bytes(bytes) })?;
            }
        }
        Ok(())
    }

    /// The connection is gone. Who holds goes on; who waits looks for the next scheduler.
    pub(super) fn lose(&mut self, c: usize) {
        self.close(c);
        let client = &mut self.clients[c];
        client.inbox.clear();
        client.lost_at = Some(self.now);
        let soon = if client.welcomed { Nanos::ZERO } else { RETRY_SOON };
        (client.welcomed, client.contended, client.lease) = (false, false, LeaseId(0));
        if client.phase == Phase::Waiting {
            client.phase = Phase::Idle;
        }
        self.set(c, Timer::Join, soon);
    }

    fn join(&mut self, c: usize) {
        let lost = self.clients[c].lost_at.map(|at| self.now.saturating_sub(at));
        if self.core.is_none() {
            let recent = lost.is_some_and(|since| since < ORPHAN_BOUND);
            self.set(c, Timer::Join, if recent { RETRY_SOON } else { RETRY_LATER });
            if lost.is_none() && self.clients[c].phase == Phase::Idle {
                self.go_free(c);
            }
            return;
        }
        self.number += 1;
        let tenant = TenantId(self.number);
        self.links.insert(tenant, super::Link { client: c, up: self.now, down: self.now });
        let client = &mut self.clients[c];
        client.connection = Some(tenant);
        client.said_holds = client.gate_open;
        let (holds, weight, priority) = (client.said_holds, client.spec.weight, client.spec.priority);
        let _ = self.say(c, |tenant| Event::Joined { tenant, holds });
        let _ = self.say(c, |tenant| Event::Weight { tenant, weight });
        if priority != Priority::Normal {
            let _ = self.say(c, |tenant| Event::Priority { tenant, priority });
        }
        if let Some((group, percent)) = self.clients[c].spec.time_share {
            let _ = self.say(c, |tenant| Event::TimeShare { tenant, group, percent });
        }
        let _ = self.say(c, |tenant| Event::Swaps { tenant });
    }

    /// What passes with time.
    pub(super) fn watch(&mut self, c: usize) {
        let client = &self.clients[c];
        let quiet = client.welcomed && client.phase == Phase::Held && client.contended && !client.has_work();
        let orphan = !client.welcomed
            && matches!(client.phase, Phase::Idle | Phase::Waiting)
            && client.is_wanting()
            && client.alive;
        for (timer, on, after) in
            [(Timer::Idle, quiet && !client.told_idle, IDLE), (Timer::Orphan, orphan, ORPHAN_BOUND)]
        {
            match (on, self.is_set(c, timer)) {
                (true, false) => self.set(c, timer, after),
                (false, true) => self.unset(c, timer),
                _ => {}
            }
        }
    }

    pub(super) fn ring(&mut self, c: usize, timer: Timer) {
        if matches!(timer, Timer::Idle | Timer::Join | Timer::Ask | Timer::Orphan)
            && self.clients[c].task.is_some()
        {
            // The agent does one thing after the other.
            return self.set(c, timer, Nanos::from_millis(5));
        }
        match timer {
            Timer::Task => self.task_goes_on(c),
            Timer::Work => self.burst_ends(c),
            Timer::Burst => self.burst_comes(c),
            Timer::Room => self.give_up_allocation(c),
            Timer::Join => self.join(c),
            Timer::Ask if self.clients[c].phase == Phase::Short => self.go_free(c),
            Timer::Ask => {}
            Timer::Orphan => self.go_free(c),
            Timer::Idle => {
                self.clients[c].told_idle = true;
                let lease = self.clients[c].lease;
                let said = self.report(c).and_then(|()| self.say(c, |tenant| Event::Idle { tenant, lease }));
                if said.is_err() {
                    self.lose(c);
                }
            }
        }
    }
}
