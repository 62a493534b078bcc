//! The world around the core in virtual time: cards, processes with the library in them, sockets with a latency, and a
//! scheduler that can be killed. The same seed gives the same story.
mod agent;
mod app;
pub mod card;
mod chaos;
pub mod client;
pub mod liar;
pub mod link;
pub mod memory;
mod moves;

use super::device;
use super::invariants::verify_invariants;
use crate::event::{Action, Event, TenantId};
use crate::{Core, Settings};
use card::{Card, Model};
use client::{Client, Message, Spec, Timer};
use liar::Liars;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// A message takes between these times.
const LATENCY: (u64, u64) = (20_000, 300_000);

enum Deed {
    /// The scheduler hears of it, from this connection.
    Heard(TenantId, Event),
    Told(TenantId, usize, Message),
    /// The number of the timer's setting: an older one does not count.
    Timer(usize, Timer, u64),
    Birth(usize),
    /// A connection without a library says something.
    Lie(TenantId),
    /// The driver shows what every process has.
    Show,
}

/// A connection that both ends believe in. Messages do not overtake each other.
struct Link {
    client: usize,
    up: Nanos,
    down: Nanos,
}

pub struct World {
    pub now: Nanos,
    /// None: no scheduler runs.
    pub core: Option<Core>,
    /// When it began: its own clock stood at zero.
    began: Nanos,
    pub cards: Vec<Card>,
    pub clients: Vec<Client>,
    agenda: BTreeMap<(Nanos, u64), Deed>,
    links: BTreeMap<TenantId, Link>,
    pub liars: Liars,
    number: u64,
    dice: u64,
    /// What has happened so far.
    pub steps: u64,
    pub events: u64,
    /// What an operator was told: who did not leave, and who had no room because of whom.
    pub stuck: Vec<usize>,
    pub no_room: Vec<(usize, Vec<usize>)>,
}

pub fn card_id(card: usize) -> DeviceId {
    device(u8::try_from(card).unwrap() + 1)
}

impl World {
    pub fn new(settings: Settings, models: &[Model], seed: u64) -> Self {
        let cards = models.iter().map(|model| Card::new(*model, settings.reserve)).collect();
        Self {
            now: Nanos::ZERO,
            core: Some(Core::new(settings)),
            began: Nanos::ZERO,
            cards,
            clients: Vec::new(),
            agenda: BTreeMap::new(),
            links: BTreeMap::new(),
            liars: Liars::new(),
            number: 0,
            dice: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            steps: 0,
            events: 0,
            stuck: Vec::new(),
            no_room: Vec::new(),
        }
    }

    /// A number below `n`.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) % n.max(1)
    }

    /// A time up to `most`.
    pub fn some(&mut self, most: Nanos) -> Nanos {
        Nanos(self.roll(most.0))
    }

    /// A process, which begins at `at`.
    pub fn add(&mut self, spec: Spec, at: Nanos) -> usize {
        let mut client = Client::new(spec);
        client.alive = false;
        self.clients.push(client);
        self.plan(at.saturating_sub(self.now), Deed::Birth(self.clients.len() - 1));
        self.clients.len() - 1
    }

    fn plan(&mut self, after: Nanos, deed: Deed) -> u64 {
        self.number += 1;
        self.agenda.insert((self.now.saturating_add(after), self.number), deed);
        self.number
    }

    fn set(&mut self, c: usize, timer: Timer, after: Nanos) {
        self.clients[c].timers[timer as usize] = self.plan(after, Deed::Timer(c, timer, self.number + 1));
    }

    fn unset(&mut self, c: usize, timer: Timer) {
        self.clients[c].timers[timer as usize] = 0;
    }

    fn is_set(&self, c: usize, timer: Timer) -> bool {
        self.clients[c].timers[timer as usize] != 0
    }

    /// What is planned next, and when the scheduler wants to be called.
    fn next_times(&self) -> (Nanos, Nanos) {
        let planned = self.agenda.first_key_value().map_or(Nanos::MAX, |(key, _)| key.0);
        let due = self.core.as_ref().and_then(Core::next_deadline);
        (planned, due.map_or(Nanos::MAX, |due| due.saturating_add(self.began)))
    }

    /// When something happens next.
    pub fn next_time(&self) -> Nanos {
        let (planned, due) = self.next_times();
        planned.min(due)
    }

    pub fn run(&mut self, until: Nanos) {
        while self.next_time() <= until {
            self.step();
        }
        self.now = until;
    }

    /// The next thing that happens.
    ///
    /// # Panics
    /// If the core asks to be called at a time that has come already.
    pub fn step(&mut self) {
        self.steps += 1;
        let (planned, due) = self.next_times();
        assert!(planned.min(due) < Nanos::MAX, "nothing will ever happen again");
        if due < planned {
            self.now = due;
            self.tell_core(Event::Tick);
        } else if let Some(((at, _), deed)) = self.agenda.pop_first() {
            self.now = at;
            self.happen(deed);
        }
    }

    fn happen(&mut self, deed: Deed) {
        match deed {
            Deed::Heard(tenant, event) => {
                if let Some(link) = self.links.get(&tenant) {
                    let welcome =
                        matches!(event, Event::Joined { .. }).then(|| self.core.as_ref().map(Core::enabled));
                    if let Some(Some(enabled)) = welcome {
                        self.tell_client(tenant, Message::Welcome { enabled });
                    } else if let Event::Left { .. } = event {
                        assert!(self.clients[link.client].connection != Some(tenant));
                        self.links.remove(&tenant);
                    }
                    self.tell_core(event);
                }
            }
            Deed::Told(tenant, c, message) => {
                if self.clients[c].connection == Some(tenant) {
                    self.clients[c].inbox.push_back(message);
                    if !self.clients[c].stopped {
                        self.go_on(c);
                    }
                }
            }
            Deed::Timer(c, timer, number) => {
                if self.clients[c].timers[timer as usize] == number && self.clients[c].stopped {
                    // Nothing of it goes on, but it does later.
                    self.set(c, timer, Nanos::from_millis(10));
                } else if self.clients[c].timers[timer as usize] == number {
                    self.unset(c, timer);
                    self.ring(c, timer);
                    self.go_on(c);
                }
            }
            Deed::Birth(c) => self.birth(c),
            Deed::Lie(tenant) => self.lie(tenant),
            Deed::Show => self.show(),
        }
    }

    pub fn tell_core(&mut self, event: Event) {
        self.events += 1;
        let Some(core) = &mut self.core else { return };
        let actions = core.handle(self.now.saturating_sub(self.began), event);
        verify_invariants(core);
        for action in actions {
            match &action {
                Action::Grant { tenant, grant } => self.liar_hears(*tenant, Some(grant.lease), false),
                Action::Revoke { tenant, revoke } => self.liar_hears(*tenant, Some(revoke.lease), true),
                _ => {}
            }
            match action {
                Action::Grant { tenant, grant } => self.tell_client(tenant, Message::Grant(grant)),
                Action::Revoke { tenant, revoke } => self.tell_client(tenant, Message::Revoke(revoke)),
                Action::Evict { tenant, shares } => self.tell_client(tenant, Message::Evict(shares)),
                Action::Fetch { tenant, shares } => self.tell_client(tenant, Message::Fetch(shares)),
                Action::Contended { tenant, contended } => {
                    self.tell_client(tenant, Message::Contended(contended));
                }
                Action::Enabled { tenant, enabled } => self.tell_client(tenant, Message::Enabled(enabled)),
                Action::NoRoom { tenant, kept, .. } => {
                    let client = |id: TenantId| self.links.get(&id).map(|link| link.client);
                    let kept: Vec<usize> = kept.iter().filter_map(|(id, _)| client(*id)).collect();
                    self.no_room.extend(client(tenant).map(|tenant| (tenant, kept)));
                }
                Action::Disbanded { .. } => {}
                Action::Stuck { tenant, .. } => {
                    self.stuck.extend(self.links.get(&tenant).map(|link| link.client));
                }
            }
        }
    }

    fn latency(&mut self) -> Nanos {
        Nanos(LATENCY.0 + self.roll(LATENCY.1 - LATENCY.0))
    }

    fn tell_client(&mut self, tenant: TenantId, message: Message) {
        let at = self.now.saturating_add(self.latency());
        let Some(link) = self.links.get_mut(&tenant) else { return };
        link.down = link.down.max(at);
        let (after, client) = (link.down.saturating_sub(self.now), link.client);
        self.plan(after, Deed::Told(tenant, client, message));
    }

    /// Fails when the scheduler at the other end is gone.
    fn say(&mut self, c: usize, event: impl FnOnce(TenantId) -> Event) -> Result<(), ()> {
        let at = self.now.saturating_add(self.latency());
        let tenant = self.clients[c].connection.ok_or(())?;
        let link = self.links.get_mut(&tenant).ok_or(())?;
        link.up = link.up.max(at);
        let after = link.up.saturating_sub(self.now);
        self.plan(after, Deed::Heard(tenant, event(tenant)));
        Ok(())
    }
}
