//! What an event costs: nothing for tenants that neither hold nor wait.
use super::figures::seconds;
use super::{device, gib, tenant};
use crate::event::{Action, Event, TenantId};
use crate::settings::Quantum;
use crate::{Core, Settings};
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const DEVICES: u64 = 16;

/// Tenants that answer at once, each on one device, with so many of them at a time that have work.
struct Crowd {
    core: Core,
    now: Nanos,
    tenants: u64,
    /// How large each is.
    size: Bytes,
    answers: VecDeque<Event>,
    /// Who had to leave.
    released: Vec<TenantId>,
    dice: u64,
    events: u64,
    spent: Duration,
    /// What [`CHUNK`] events took, again and again.
    chunks: Vec<Duration>,
}

/// So few that other programs seldom come between.
const CHUNK: u64 = 100;

impl Crowd {
    fn new(tenants: u64, size: Bytes) -> Self {
        let settings = Settings {
            quantum: Quantum::Auto,
            share: true,
            overlap: true,
            record: 64,
            ..Settings::default()
        };
        let mut crowd = Self {
            core: Core::new(settings),
            now: Nanos::ZERO,
            tenants,
            size,
            answers: VecDeque::new(),
            released: Vec::new(),
            dice: 7,
            events: 0,
            spent: Duration::ZERO,
            chunks: Vec::new(),
        };
        for n in 0..tenants {
            crowd.tell(Event::Joined { tenant: tenant(n), holds: false });
            crowd.tell(Event::Device { tenant: tenant(n), device: home(tenant(n)), capacity: gib(16) });
            crowd.has(tenant(n), Bytes::ZERO);
        }
        crowd.settle();
        crowd
    }

    /// All have been there once, and have left memory behind as far as there is room.
    fn warm_up(&mut self) {
        (0..self.tenants).for_each(|n| self.work(tenant(n)));
    }

    fn roll(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) % n
    }

    fn tell(&mut self, event: Event) {
        let begun = Instant::now();
        let actions = self.core.handle(self.now, event);
        self.spent += begun.elapsed();
        self.events += 1;
        if self.events.is_multiple_of(CHUNK) {
            self.chunks.push(std::mem::take(&mut self.spent));
        }
        for action in actions {
            self.answer(action);
        }
    }

    fn has(&mut self, id: TenantId, resident: Bytes) {
        let (device, allocated, immovable) = (home(id), self.size, Bytes::ZERO);
        self.answers.push_back(Event::Memory { tenant: id, device, allocated, resident, immovable });
    }

    fn answer(&mut self, action: Action) {
        match action {
            Action::Grant { tenant, grant } => {
                self.has(tenant, self.size);
                let fetched = vec![Share { device: home(tenant), bytes: self.size }];
                let ready = Ready { lease: grant.lease, fetched, took: Nanos::from_millis(1) };
                self.answers.push_back(Event::Ready { tenant, ready });
            }
            Action::Revoke { tenant, revoke } => {
                self.has(tenant, self.size.saturating_sub(revoke.evict[0].bytes));
                let (drain, evict) = (Nanos::from_millis(1), Nanos::from_millis(1));
                let released = Released { lease: revoke.lease, evicted: vec![], drain, evict };
                self.answers.push_back(Event::Released { tenant, released });
                self.released.push(tenant);
            }
            Action::Evict { tenant, .. } => {
                self.has(tenant, Bytes::ZERO);
                self.answers.push_back(Event::Evicted { tenant });
            }
            Action::Fetch { tenant, shares } => self.has(tenant, shares[0].bytes),
            Action::Contended { .. }
            | Action::Enabled { .. }
            | Action::NoRoom { .. }
            | Action::Stuck { .. }
            | Action::Disbanded { .. } => {}
        }
    }

    /// A tenant works for a while, and has then nothing to do.
    fn work(&mut self, id: TenantId) {
        self.tell(Event::Requested { tenant: id });
        self.settle();
        let lease = self.core.engine.model.lease(id).map(|lease| lease.id);
        if let Some(lease) = lease {
            self.tell(Event::Idle { tenant: id, lease });
            self.settle();
        }
    }

    /// A tenant works, and goes on as long as it may; a second passes.
    fn work_on(&mut self, id: TenantId) {
        self.tell(Event::Requested { tenant: id });
        self.settle();
        self.now = self.now.saturating_add(seconds(1));
        self.settle();
    }

    /// Everybody answers, and time passes.
    fn settle(&mut self) {
        while let Some(event) = self.answers.pop_front() {
            self.now = self.now.saturating_add(Nanos(200_000));
            self.tell(event);
        }
        self.now = self.now.saturating_add(Nanos::from_millis(5));
        if self.core.next_deadline().is_some_and(|due| due <= self.now) {
            self.tell(Event::Tick);
        }
    }

    /// Time passes in which turns end and others begin; whoever had to leave asks again.
    fn run_on(&mut self, times: u64) {
        for _ in 0..times {
            self.now = self.core.next_deadline().unwrap_or(self.now).max(self.now);
            self.tell(Event::Tick);
            self.settle();
            for id in std::mem::take(&mut self.released) {
                self.tell(Event::Requested { tenant: id });
            }
            self.settle();
        }
    }

    /// So many tenants, one after the other, have something to do.
    fn run(&mut self, times: u64) {
        for _ in 0..times {
            let id = tenant(self.roll(self.tenants));
            self.work(id);
        }
    }
}

fn home(id: TenantId) -> DeviceId {
    device(u8::try_from(id.0 % DEVICES).unwrap())
}

impl Crowd {
    /// What an event costs, in the median of 200 chunks of `work`.
    fn cost(&mut self, work: impl Fn(&mut Self)) -> Duration {
        self.chunks.clear();
        while self.chunks.len() < 200 {
            work(self);
        }
        self.chunks.sort_unstable();
        self.chunks[self.chunks.len() / 2] / u32::try_from(CHUNK).unwrap()
    }
}

#[test]
#[ignore = "a measurement, for a release build"]
fn an_event_costs_a_few_microseconds_among_ten_thousand_tenants() {
    // One holds a device, several, hundreds.
    for size in [gib(8), gib(2), Bytes(16 << 20)] {
        let [few, many] = [100, 10_000].map(|tenants| {
            let mut crowd = Crowd::new(tenants, size);
            crowd.warm_up();
            crowd.cost(|crowd| crowd.run(10))
        });
        println!("{} MiB: {few:?} among 100 tenants, {many:?} among 10000", size.0 >> 20);
        assert!(many <= Duration::from_micros(5), "{many:?} with {size:?}");
    }
}

/// So many tenants for each device, of which three quarters fit together and all have work all the time.
fn crowded(each: u64) -> Crowd {
    let mut crowd = Crowd::new(DEVICES * each, Bytes((20 << 30) / each));
    (0..DEVICES * each).for_each(|n| crowd.tell(Event::Requested { tenant: tenant(n) }));
    crowd.settle();
    crowd.run_on(20);
    crowd
}

#[test]
#[ignore = "a measurement, for a release build"]
fn an_event_costs_as_much_where_hundreds_hold_as_where_few_do() {
    let [few, many] = [8, 640].map(|each| crowded(each).cost(|crowd| crowd.run_on(1)));
    println!("{few:?} with 6 holders of a device, {many:?} with 480");
    // Eighty times as many tenants do not fit into the caches.
    assert!(many <= 4 * few, "{few:?} {many:?}");
}

/// The same, and every eighth uses a second device.
#[test]
#[ignore = "a measurement, for a release build"]
fn an_event_costs_little_where_many_use_several_devices() {
    for each in [8, 640] {
        let mut crowd = Crowd::new(DEVICES * each, Bytes((20 << 30) / each));
        for n in (0..DEVICES * each).step_by(8) {
            let event = Event::Device { tenant: tenant(n), device: home(tenant(n + 1)), capacity: gib(16) };
            crowd.tell(event);
        }
        (0..DEVICES * each).for_each(|n| crowd.tell(Event::Requested { tenant: tenant(n) }));
        crowd.settle();
        crowd.run_on(20);
        let cost = crowd.cost(|crowd| crowd.run_on(1));
        println!("{cost:?} with {each} tenants a device, an eighth of which use two");
        assert!(cost <= Duration::from_micros(20), "{cost:?}");
    }
}

#[test]
fn an_event_looks_at_as_many_tenants_whether_few_or_many_hold_and_wait() {
    let looks = |each: u64| {
        let mut crowd = crowded(each);
        crowd.events = 0;
        crowd.core.engine.model.tenants.looks.set(0);
        crowd.run_on(200);
        crowd.core.engine.model.tenants.looks.get() as u64 / crowd.events
    };
    let (few, many) = (looks(8), looks(160));
    assert!(
        few > 0 && many <= few + few / 4,
        "{few} tenants an event where 6 hold a device, {many} where 120 do"
    );
}

#[test]
fn an_event_looks_at_as_many_tenants_whether_few_or_many_neither_hold_nor_wait() {
    // Of four busy tenants of 4 GiB on each device three fit.
    let looks = |idle: u64| {
        let busy = DEVICES * 4;
        let mut crowd = Crowd::new(busy + DEVICES * idle, gib(4));
        (crowd.events, crowd.now) = (0, seconds(1));
        crowd.core.engine.model.tenants.looks.set(0);
        for n in 0..20 * busy {
            crowd.work_on(tenant(n % busy));
        }
        (crowd.events, crowd.core.engine.model.tenants.looks.get() as u64)
    };
    let (few, many) = (looks(0), looks(500));
    assert_eq!(few, many);
    let each = few.1 / few.0;
    assert!((1..=60).contains(&each), "{each} tenants an event");
}
