//! Virtual tenants in virtual time.
use super::{device, gib, tenant};
use crate::event::{Action, Event, TenantId};
use crate::settings::Quantum;
use crate::{Core, Settings};
use nvshare_protocol::tenant::{Ready, Released};
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How a tenant behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Always has work.
    Hungry,
    /// Works for a while, releases of its own accord, sleeps.
    Sleepy,
    /// Answers no revocation for a minute.
    Slow,
    /// Dies in the middle of a turn, and comes back as another.
    Mortal,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Join,
    Request,
    Ready(LeaseId),
    Release(LeaseId),
    Die,
}

struct Client {
    kind: Kind,
    devices: Vec<u8>,
    lease: Option<LeaseId>,
    asked: Option<Nanos>,
    longest_wait: Nanos,
    grants: u32,
}

struct Simulation {
    core: Core,
    now: Nanos,
    agenda: BinaryHeap<Reverse<(Nanos, u64, TenantId, Deed)>>,
    number: u64,
    clients: BTreeMap<TenantId, Client>,
    /// Who really uses each device, unresponsive tenants left out.
    users: BTreeMap<DeviceId, TenantId>,
    dice: u64,
    events: u64,
}

impl Simulation {
    fn new(quantum: Nanos) -> Self {
        let core =
            Core::new(Settings { quantum: Quantum::Fixed(quantum), record: 64, ..Settings::default() });
        let (agenda, clients, users) = (BinaryHeap::new(), BTreeMap::new(), BTreeMap::new());
        Self { core, now: Nanos::ZERO, agenda, number: 0, clients, users, dice: 88172645463325252, events: 0 }
    }

    /// A number below `n`, the same in every run.
    fn roll(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % n
    }

    fn plan(&mut self, after_millis: u64, who: TenantId, deed: Deed) {
        self.number += 1;
        let at = self.now.saturating_add(Nanos::from_millis(after_millis));
        self.agenda.push(Reverse((at, self.number, who, deed)));
    }

    fn add(&mut self, kind: Kind, devices: Vec<u8>, after_millis: u64) {
        let id = tenant(self.clients.len() as u64);
        let client = Client { kind, devices, lease: None, asked: None, longest_wait: Nanos::ZERO, grants: 0 };
        self.clients.insert(id, client);
        self.plan(after_millis, id, Deed::Join);
    }

    fn run(&mut self, until: Nanos) {
        loop {
            let planned = self.agenda.peek().map_or(Nanos::MAX, |Reverse(next)| next.0);
            let due = self.core.next_deadline().unwrap_or(Nanos::MAX);
            if planned.min(due) > until {
                break;
            }
            self.now = planned.min(due);
            if due < planned {
                self.tell(Event::Tick);
                assert!(self.core.next_deadline().is_none_or(|next| next > due), "time stands still");
            } else if let Some(Reverse((_, _, who, deed))) = self.agenda.pop() {
                self.act(who, deed);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.events += 1;
        for action in self.core.handle(self.now, event) {
            self.react(&action);
        }
    }

    fn act(&mut self, who: TenantId, deed: Deed) {
        let client = self.clients.get_mut(&who).expect("clients stay");
        match deed {
            Deed::Join => {
                let devices = client.devices.clone();
                self.tell(Event::Joined { tenant: who, holds: false });
                for n in devices {
                    self.tell(Event::Device { tenant: who, device: device(n), capacity: gib(16) });
                }
                self.plan(0, who, Deed::Request);
            }
            Deed::Request => {
                client.asked = Some(self.now);
                self.tell(Event::Requested { tenant: who });
            }
            Deed::Ready(lease) if client.lease == Some(lease) => {
                let ready = Ready { lease, fetched: vec![], took: Nanos::ZERO };
                self.tell(Event::Ready { tenant: who, ready });
            }
            Deed::Release(lease) if client.lease == Some(lease) => {
                client.lease = None;
                let sleep = if client.kind == Kind::Sleepy { 1 + self.roll(60_000) } else { 0 };
                self.users.retain(|_, user| *user != who);
                let (drain, evict) = (Nanos::ZERO, Nanos::ZERO);
                let released = Released { lease, evicted: vec![], drain, evict };
                self.tell(Event::Released { tenant: who, released });
                self.plan(sleep, who, Deed::Request);
            }
            Deed::Die => {
                (client.lease, client.asked) = (None, None);
                let devices = client.devices.clone();
                self.users.retain(|_, user| *user != who);
                self.tell(Event::Left { tenant: who });
                self.add(Kind::Mortal, devices, 10);
            }
            Deed::Ready(_) | Deed::Release(_) => {}
        }
    }

    fn react(&mut self, action: &Action) {
        match action {
            Action::Grant { tenant: who, grant } => {
                for share in &grant.budget {
                    let other = self.users.insert(share.device, *who);
                    assert_eq!(other, None, "{who:?} and another use {}", share.device);
                }
                let client = self.clients.get_mut(who).expect("clients stay");
                assert_eq!(client.lease.replace(grant.lease), None, "{who:?} was granted twice");
                let asked = client.asked.take().expect("granted without a request");
                client.longest_wait = client.longest_wait.max(self.now.saturating_sub(asked));
                client.grants += 1;
                let kind = client.kind;
                self.plan(20, *who, Deed::Ready(grant.lease));
                let burst = 20 + self.roll(200);
                match kind {
                    Kind::Sleepy => self.plan(burst, *who, Deed::Release(grant.lease)),
                    Kind::Mortal => self.plan(burst, *who, Deed::Die),
                    Kind::Hungry | Kind::Slow => {}
                }
            }
            Action::Revoke { tenant: who, revoke } => {
                let slow = self.clients[who].kind == Kind::Slow;
                let drain = if slow { 60_000 } else { 1 + self.roll(10) };
                self.plan(drain, *who, Deed::Release(revoke.lease));
            }
            Action::Stuck { tenant: who, .. } => {
                assert!(self.clients[who].kind == Kind::Slow, "{who:?} answers in time");
                self.users.retain(|_, user| user != who);
            }
            Action::Evict { .. }
            | Action::Fetch { .. }
            | Action::Contended { .. }
            | Action::NoRoom { .. }
            | Action::Disbanded { .. }
            | Action::Enabled { .. } => {}
        }
    }
}

const HOUR: Nanos = Nanos(3_600 * Nanos::SECOND.0);

#[test]
fn hungry_tenants_share_a_device_evenly() {
    let mut simulation = Simulation::new(Nanos(2 * Nanos::SECOND.0));
    for n in 0..40 {
        simulation.add(Kind::Hungry, vec![n % 4], u64::from(n));
    }
    simulation.run(HOUR);
    let held: Vec<u64> = simulation.core.snapshot().tenants.iter().map(|tenant| tenant.held.0).collect();
    let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
    assert!(most - least <= most / 50, "between {least} and {most}");
    let sum: u64 = held.iter().sum();
    assert!(sum > 4 * HOUR.0 / 100 * 99, "the devices lay idle: held for {sum} of {}", 4 * HOUR.0);
}

#[test]
fn thousands_of_tenants_are_all_served_within_the_bound() {
    let mut simulation = Simulation::new(Nanos::from_millis(500));
    for n in 0..2_000_u64 {
        let kind = match n % 100 {
            0..8 => Kind::Hungry,
            8..10 => Kind::Mortal,
            _ => Kind::Sleepy,
        };
        let first = simulation.roll(16) as u8;
        let devices = if n % 50 == 0 { vec![first, (first + 1) % 16] } else { vec![first] };
        let join = simulation.roll(10_000);
        simulation.add(kind, devices, join);
    }
    simulation.run(Nanos(HOUR.0 / 4));
    assert!(simulation.events > 100_000, "{} events", simulation.events);
    // Nobody is before a tenant twice; a turn is 20 ms of fetching, 500 ms of quantum and 10 ms of drain.
    let bound = Nanos(2_000 * 530_000_000 / 4);
    for (id, client) in &simulation.clients {
        assert!(client.longest_wait <= bound, "{id:?} waited for {:?}", client.longest_wait);
        let waits = client.asked.map_or(Nanos::ZERO, |asked| simulation.now.saturating_sub(asked));
        assert!(waits <= bound, "{id:?} has been waiting for {waits:?}");
        assert!(client.grants > 0 || client.kind == Kind::Mortal, "{id:?} was never served");
    }
}

#[test]
fn tenants_that_do_not_answer_cost_the_others_no_more_than_the_bound() {
    let mut simulation = Simulation::new(Nanos(Nanos::SECOND.0));
    for n in 0..12_u8 {
        let kind = if n % 6 == 0 { Kind::Slow } else { Kind::Hungry };
        simulation.add(kind, vec![n % 2, 2 + n % 3], 0);
    }
    simulation.run(HOUR);
    let bound = Nanos(12 * simulation.core.settings().wait_bound(1).0);
    for (id, client) in &simulation.clients {
        assert!(client.longest_wait <= bound, "{id:?} waited for {:?}", client.longest_wait);
        assert!(client.grants > 20, "{id:?} had {} turns", client.grants);
    }
}
