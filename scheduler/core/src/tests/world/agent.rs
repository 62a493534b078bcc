//! What an agent does with what it is told.
use super::client::{Heard, Message, Move, Phase, Task, Timer, Why};
use super::{World, card_id};
use crate::event::Event;
use nvshare_protocol::tenant::{Grant, Ready, Released, Revoke, Share};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

const RETRY_ROOM: Nanos = Nanos::from_millis(100);
const OWN_DRAIN: Nanos = Nanos::from_millis(5_000);

impl World {
    /// The agent's loop, as far as it goes now, and the application beside it.
    pub(super) fn go_on(&mut self, c: usize) {
        self.clients[c].note(self.now);
        while self.clients[c].task.is_none()
            && let Some(message) = self.clients[c].inbox.pop_front()
        {
            if self.act(c, message).is_err() {
                self.lose(c);
            }
        }
        if self.clients[c].task.is_none() && self.tell(c).is_err() {
            self.lose(c);
        }
        self.watch(c);
        self.run_app(c);
        self.clients[c].note(self.now);
    }

    fn act(&mut self, c: usize, message: Message) -> Heard {
        match message {
            Message::Welcome { enabled } => {
                let client = &mut self.clients[c];
                (client.welcomed, client.lost_at) = (true, None);
                client.told.fill(None);
                client.told_moves.fill(None);
                if !enabled {
                    self.go_free(c);
                } else if client.said_holds {
                    (client.phase, client.lease) = (Phase::Held, LeaseId(0));
                    self.set_contended(c, false);
                } else {
                    self.switched_on(c);
                }
                Ok(())
            }
            Message::Grant(grant) if self.clients[c].phase == Phase::Held => self.opened(c, &grant, None),
            Message::Grant(grant) => {
                let budget = grant.budget.clone();
                self.begin_move(c, Why::Grant(grant), &budget)
            }
            Message::Revoke(revoke) if self.clients[c].phase != Phase::Held => {
                self.released(c, revoke.lease, vec![], Nanos::ZERO, Nanos::ZERO)
            }
            Message::Revoke(revoke) => {
                self.clients[c].figures.revokes += 1;
                let bound = revoke.drain_within;
                self.drain(c, Some(revoke), bound);
                Ok(())
            }
            Message::Evict(shares) if matches!(self.clients[c].phase, Phase::Idle | Phase::Waiting) => {
                self.clients[c].figures.evictions += 1;
                self.clients[c].placing = false;
                self.begin_move(c, Why::Asked, &shares)
            }
            Message::Evict(_) => {
                self.report(c)?;
                self.say(c, |tenant| Event::Evicted { tenant })
            }
            Message::Fetch(shares) => self.begin_move(c, Why::Ahead, &shares),
            Message::Contended(contended) => {
                self.clients[c].figures.told_contended += u64::from(contended);
                self.set_contended(c, contended);
                Ok(())
            }
            Message::Enabled(true) => {
                self.switched_on(c);
                Ok(())
            }
            Message::Enabled(false) => {
                self.go_free(c);
                Ok(())
            }
            Message::Lost => Err(()),
        }
    }

    pub(super) fn set_contended(&mut self, c: usize, contended: bool) {
        let client = &mut self.clients[c];
        (client.contended, client.told_idle) = (contended, false);
        self.unset(c, Timer::Idle);
    }

    /// From running freely to taking turns.
    fn switched_on(&mut self, c: usize) {
        match self.clients[c].phase {
            Phase::Free => self.drain(c, None, OWN_DRAIN),
            Phase::Short => self.clients[c].phase = Phase::Idle,
            _ => {}
        }
    }

    pub(super) fn go_free(&mut self, c: usize) {
        let all: Vec<Share> = self.clients[c]
            .holdings
            .iter()
            .map(|holding| Share { device: card_id(holding.card), bytes: Bytes::MAX })
            .collect();
        let _ = self.begin_move(c, Why::Freedom, &all);
    }

    /// Shuts the gate; the task ends with the submitted work, or with the bound.
    fn drain(&mut self, c: usize, revoke: Option<Revoke>, bound: Nanos) {
        let unfinished = self.some(self.clients[c].spec.unfinished);
        let client = &mut self.clients[c];
        client.gate_open = false;
        let left = match client.computes {
            Some(since) => unfinished.min(client.work.saturating_sub(self.now.saturating_sub(since))),
            None => Nanos::ZERO,
        };
        client.task = Some(Task::Drain { revoke, started: self.now, ends: left <= bound });
        self.set(c, Timer::Task, left.min(bound));
    }

    pub(super) fn drained(&mut self, c: usize, revoke: Option<Revoke>, started: Nanos, ends: bool) -> Heard {
        if !ends {
            self.clients[c].gate_open = true;
            let Some(revoke) = revoke else { return Err(()) };
            self.set_contended(c, self.clients[c].contended);
            return self.say(c, |tenant| Event::DrainCancelled { tenant, lease: revoke.lease });
        }
        self.stop_computing(c);
        let client = &mut self.clients[c];
        (client.placing, client.phase) = (false, Phase::Idle);
        let Some(revoke) = revoke else { return Ok(()) };
        let drain = self.now.saturating_sub(started);
        self.begin_move(c, Why::Revoke { lease: revoke.lease, drain }, &revoke.evict)
    }

    /// All that was to be moved has been, as far as it could.
    pub(super) fn moved(&mut self, c: usize, done: &Move) -> Heard {
        let at = |h: usize| card_id(self.clients[c].spec.cards[h]);
        let moved = done.done.iter().enumerate();
        let moved: Vec<Share> =
            moved.map(|(h, bytes)| Share { device: at(h), bytes: Bytes(*bytes) }).collect();
        let took = self.now.saturating_sub(done.started);
        if done.unheard {
            return Err(());
        }
        match &done.why {
            Why::Grant(grant) if self.clients[c].everything_there() => {
                self.opened(c, grant, Some((moved, took)))
            }
            Why::Grant(grant) => {
                let client = &mut self.clients[c];
                client.figures.refused += 1;
                client.phase = Phase::Idle;
                self.set(c, Timer::Ask, RETRY_ROOM);
                self.released(c, grant.lease, vec![], Nanos::ZERO, Nanos::ZERO)
            }
            Why::Ahead => self.report(c),
            Why::Revoke { lease, drain } => {
                self.clients[c].contended = false;
                self.released(c, *lease, moved, *drain, took)
            }
            Why::Asked => {
                self.report(c)?;
                self.say(c, |tenant| Event::Evicted { tenant })
            }
            Why::Freedom => {
                let client = &mut self.clients[c];
                client.gate_open = client.everything_there();
                client.placing = client.gate_open;
                client.phase = if client.gate_open { Phase::Free } else { Phase::Short };
                if !self.clients[c].gate_open {
                    self.set(c, Timer::Ask, RETRY_ROOM);
                }
                Ok(())
            }
        }
    }

    fn opened(&mut self, c: usize, grant: &Grant, fetched: Option<(Vec<Share>, Nanos)>) -> Heard {
        let client = &mut self.clients[c];
        (client.gate_open, client.placing) = (true, true);
        (client.phase, client.lease) = (Phase::Held, grant.lease);
        let figures = &mut client.figures;
        figures.grants += 1;
        figures.told_contended += u64::from(grant.contended);
        figures.brought_in_all += std::mem::take(&mut figures.brought);
        figures.lacked_in_all += std::mem::take(&mut figures.lacked);
        self.set_contended(c, grant.contended);
        self.report(c)?;
        let (fetched, took) = fetched.unwrap_or_default();
        let ready = Ready { lease: grant.lease, fetched, took };
        self.say(c, |tenant| Event::Ready { tenant, ready })
    }

    fn released(
        &mut self,
        c: usize,
        lease: LeaseId,
        evicted: Vec<Share>,
        drain: Nanos,
        evict: Nanos,
    ) -> Heard {
        self.report(c)?;
        let released = Released { lease, evicted, drain, evict };
        self.say(c, |tenant| Event::Released { tenant, released })
    }
}
