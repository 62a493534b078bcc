//! Random operations. A bug becomes a short list of them.
use super::invariants::verify_invariants;
use super::{device, tenant};
use crate::event::{Action, Event, EvictMode, TenantId};
use crate::model::request::Wait;
use crate::model::settings::{Quantum, Settings};
use crate::model::tenant::{Stage, Tenant};
use crate::policy::run_queue;
use crate::trace::print;
use crate::{Core, Priority, replay};
use nvshare_protocol::tenant::{Moves, Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a tenant, an operator or time may do. Tenants are 0 to 7, devices 0 to 3.
#[derive(Clone, Debug)]
pub enum Op {
    Join {
        who: u64,
        holds: bool,
    },
    Leave {
        who: u64,
    },
    /// It is of this family.
    Family {
        who: u64,
        family: u64,
    },
    /// It is of this gang, from now on or when it joins.
    Gang {
        who: u64,
        gang: u64,
        expected: Option<u32>,
    },
    Name {
        who: u64,
        device: u8,
    },
    Report {
        who: u64,
        device: u8,
        allocated: u64,
        resident: u64,
        immovable: u64,
    },
    /// What has moved how, in all; what is away and has content, and what is clean.
    Moves {
        who: u64,
        device: u8,
        bytes: [u64; 7],
    },
    Request {
        who: u64,
    },
    Ready {
        who: u64,
        lease: Lease,
    },
    Release {
        who: u64,
        lease: Lease,
        evicted: u64,
    },
    Cancel {
        who: u64,
        lease: Lease,
    },
    Idle {
        who: u64,
        lease: Lease,
    },
    /// What it was asked to move out beside its turns has gone, and it says so or not.
    Evicted {
        who: u64,
    },
    /// It moves its memory itself from then on.
    Swap {
        who: u64,
    },
    Weigh {
        who: u64,
        weight: u32,
    },
    /// Of three groups; 100: no quota.
    LimitTime {
        who: u64,
        group: u64,
        percent: u32,
    },
    Prioritise {
        who: u64,
        priority: Priority,
    },
    Outside {
        device: u8,
        bytes: u64,
    },
    MemoryRefused {
        who: u64,
        device: u8,
        bytes: u64,
    },
    /// Of three owners.
    Own {
        who: u64,
        owner: u64,
    },
    /// The connection alone is gone.
    Disconnect {
        who: u64,
    },
    Stop {
        who: u64,
        stopped: bool,
    },
    See {
        who: u64,
        device: u8,
        bytes: u64,
    },
    Size {
        device: u8,
        gib: u64,
    },
    SetQuantum(u64),
    SetAuto,
    /// On one device; none: as on the others.
    SetDeviceQuantum {
        device: u8,
        quantum: Option<Quantum>,
    },
    Pause {
        who: u64,
        paused: bool,
    },
    MoveOut {
        who: u64,
    },
    SetRules {
        share: bool,
        overlap: bool,
        reserve: u64,
    },
    SetEvict(EvictMode),
    SetEnabled(bool),
    /// Time passes, with a tick at every deadline on the way. In milliseconds.
    Wait(u64),
    /// A tick that nobody asked for.
    Tick,
}

/// Which lease a tenant speaks of.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    Its,
    Other(u64),
}

fn operation() -> impl Strategy<Value = Op> {
    let who = || 0..8_u64;
    let at = || 0..4_u8;
    let bytes = || prop_oneof![6 => 0..8_u64, 3 => 0..40_u64].prop_map(|n| n << 30);
    let bytes = || prop_oneof![9 => bytes(), 1 => any::<u64>()];
    let lease = || prop_oneof![9 => Just(Lease::Its), 1 => (0..9_u64).prop_map(Lease::Other)];
    let quantum = || {
        let fixed = (0..30_000_u64).prop_map(|millis| Quantum::Fixed(Nanos::from_millis(millis)));
        prop::option::of(prop_oneof![fixed, Just(Quantum::Auto)])
    };
    let evict = prop_oneof![Just(EvictMode::Pressure), Just(EvictMode::Always), Just(EvictMode::Never)];
    prop_oneof![
        6 => (who(), prop::bool::weighted(0.2)).prop_map(|(who, holds)| Op::Join { who, holds }),
        2 => who().prop_map(|who| Op::Leave { who }),
        2 => (who(), 0..3_u64).prop_map(|(who, family)| Op::Family { who, family }),
        8 => (who(), at()).prop_map(|(who, device)| Op::Name { who, device }),
        4 => (who(), at(), bytes(), bytes(), bytes()).prop_map(|(who, device, allocated, resident, immovable)| {
            Op::Report { who, device, allocated, resident, immovable }
        }),
        4 => (who(), at(), prop::array::uniform7(bytes()))
            .prop_map(|(who, device, bytes)| Op::Moves { who, device, bytes }),
        14 => who().prop_map(|who| Op::Request { who }),
        8 => (who(), lease()).prop_map(|(who, lease)| Op::Ready { who, lease }),
        8 => (who(), lease(), bytes()).prop_map(|(who, lease, evicted)| Op::Release { who, lease, evicted }),
        4 => (who(), lease()).prop_map(|(who, lease)| Op::Cancel { who, lease }),
        3 => (who(), lease()).prop_map(|(who, lease)| Op::Idle { who, lease }),
        4 => who().prop_map(|who| Op::Evicted { who }),
        1 => who().prop_map(|who| Op::Swap { who }),
        1 => (who(), 0..5_u32).prop_map(|(who, weight)| Op::Weigh { who, weight }),
        2 => (who(), 0..3_u64, prop_oneof![2 => 0..100_u32, 1 => Just(100)])
            .prop_map(|(who, group, percent)| Op::LimitTime { who, group, percent }),
        2 => (who(), prop::sample::select(&Priority::ALL[..]))
            .prop_map(|(who, priority)| Op::Prioritise { who, priority }),
        1 => (at(), bytes()).prop_map(|(device, bytes)| Op::Outside { device, bytes }),
        1 => (who(), at(), bytes()).prop_map(|(who, device, bytes)| Op::MemoryRefused { who, device, bytes }),
        2 => (who(), 0..3_u64).prop_map(|(who, owner)| Op::Own { who, owner }),
        1 => who().prop_map(|who| Op::Disconnect { who }),
        2 => (who(), any::<bool>()).prop_map(|(who, stopped)| Op::Stop { who, stopped }),
        2 => (who(), at(), bytes()).prop_map(|(who, device, bytes)| Op::See { who, device, bytes }),
        1 => (at(), 1..40_u64).prop_map(|(device, gib)| Op::Size { device, gib }),
        1 => Just(Op::SetAuto),
        1 => (0..30_000_u64).prop_map(Op::SetQuantum),
        1 => (at(), quantum()).prop_map(|(device, quantum)| Op::SetDeviceQuantum { device, quantum }),
        2 => (who(), any::<bool>()).prop_map(|(who, paused)| Op::Pause { who, paused }),
        1 => who().prop_map(|who| Op::MoveOut { who }),
        1 => (any::<bool>(), any::<bool>(), 0..8_u64)
            .prop_map(|(share, overlap, reserve)| Op::SetRules { share, overlap, reserve }),
        1 => evict.prop_map(Op::SetEvict),
        1 => prop::bool::weighted(0.7).prop_map(Op::SetEnabled),
        12 => prop_oneof![0..2_000_u64, 0..60_000_u64].prop_map(Op::Wait),
        1 => Just(Op::Tick),
    ]
}

/// The core, and what an outsider remembers of it.
pub struct World {
    pub core: Core,
    pub now: Nanos,
    log: String,
    /// Asked for a grant and has not had it yet.
    pending: BTreeSet<TenantId>,
    /// Since when each waiting tenant has been next, and for what.
    first: BTreeMap<TenantId, (Nanos, Vec<DeviceId>)>,
    /// There are gangs: the engine knows these in place of their members, of which the outsider remembers nothing.
    has_gangs: bool,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let core = Core::new(settings);
        let log = print::settings(Nanos::ZERO, core.settings()) + "\n";
        Self {
            core,
            now: Nanos::ZERO,
            log,
            pending: BTreeSet::new(),
            first: BTreeMap::new(),
            has_gangs: false,
        }
    }

    pub fn tell(&mut self, event: Event) -> Vec<Action> {
        self.has_gangs |= matches!(event, Event::Gang { .. });
        if self.has_gangs {
            return self.tell_with_gangs(event);
        }
        self.remember(&event);
        self.log += &(print::event(self.now, &event) + "\n");
        let actions = self.core.handle(self.now, event);
        for action in &actions {
            self.log += &(print::action(self.now, action) + "\n");
            self.witness(action);
        }
        verify_invariants(&self.core);
        for id in &self.pending {
            let stage = &self.core.engine.model.tenants[id].stage;
            let kept =
                matches!(stage, Stage::Waiting(_)) || matches!(stage, Stage::Leased(l) if l.rerequested);
            assert!(kept, "the request of {id:?} is lost");
        }
        self.nobody_waits_too_long();
        actions
    }

    fn tell_with_gangs(&mut self, event: Event) -> Vec<Action> {
        self.log += &(print::event(self.now, &event) + "\n");
        let actions = self.core.handle(self.now, event);
        actions.iter().for_each(|action| self.log += &(print::action(self.now, action) + "\n"));
        verify_invariants(&self.core);
        assert!(self.core.next_deadline().is_none_or(|due| due > self.now), "a deadline that has passed");
        actions
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::Left { tenant } | Event::Disconnected { tenant } => {
                self.pending.remove(tenant);
            }
            Event::SetEnabled { enabled } if *enabled != self.core.enabled() => self.pending.clear(),
            Event::Requested { tenant } if self.core.enabled() => {
                let granted = self.core.engine.model.lease(*tenant).is_some_and(|lease| !lease.is_revoked());
                if self.core.engine.model.tenants.get(tenant).is_some() && !granted {
                    self.pending.insert(*tenant);
                }
            }
            _ => {}
        }
    }

    fn witness(&mut self, action: &Action) {
        let (Action::Grant { tenant, .. }
        | Action::Revoke { tenant, .. }
        | Action::Evict { tenant, .. }
        | Action::Fetch { tenant, .. }
        | Action::Contended { tenant, .. }
        | Action::Enabled { tenant, .. }
        | Action::NoRoom { tenant, .. }
        | Action::Disbanded { tenant, .. }
        | Action::Stuck { tenant, .. }) = action;
        assert!(self.core.engine.model.tenants.get(tenant).is_some(), "{action:?} is for one that has left");
        if let Action::Grant { tenant, grant } = action {
            self.pending.remove(tenant);
            let devices: Vec<DeviceId> = grant.budget.iter().map(|share| share.device).collect();
            let named: Vec<DeviceId> =
                self.core.engine.model.tenants[tenant].devices.keys().copied().collect();
            assert_eq!(devices, named, "{tenant:?} was granted something else than it named");
        }
    }

    fn nobody_waits_too_long(&mut self) {
        let next = self
            .core
            .engine
            .model
            .tenants
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| run_queue::is_next(&self.core.engine.model, *id));
        // Room that comes too slowly is waited for by those that swap.
        let next: Vec<TenantId> = next.filter(|id| !self.core.engine.model.tenants[id].swaps).collect();
        self.first.retain(|id, _| next.contains(id));
        for id in next {
            let devices: Vec<DeviceId> =
                self.core.engine.model.tenants[&id].devices.keys().copied().collect();
            let entry = self.first.entry(id).or_insert_with(|| (self.now, devices.clone()));
            if entry.1 != devices {
                *entry = (self.now, devices);
            }
            let waited = self.now.saturating_sub(entry.0);
            // The quantum may have been longer when a turn began.
            let settings = Settings { quantum: Settings::default().quantum, ..self.core.settings().clone() };
            let heaviest = self.core.heaviest();
            let bound = settings.wait_bound(heaviest).saturating_add(settings.grace);
            // Holders of higher priority go on until it has starved.
            let bound = bound.saturating_add(settings.starvation);
            assert!(waited <= bound, "{id:?} has been next for {waited:?}");
        }
    }

    /// Lets time pass, with a tick at every deadline.
    pub fn wait(&mut self, time: Nanos) {
        let end = self.now.saturating_add(time);
        while let Some(due) = self.core.next_deadline().filter(|&due| due <= end) {
            self.now = due;
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    pub fn apply(&mut self, op: &Op) {
        let its = |who: u64, lease: Lease, core: &Core| match lease {
            Lease::Its => {
                core.engine.model.lease(core.gangs.unit(tenant(who))).map_or(LeaseId(0), |lease| lease.id)
            }
            Lease::Other(n) => LeaseId(n),
        };
        let event = match *op {
            Op::Join { who, holds } => Event::Joined { tenant: tenant(who), holds },
            Op::Leave { who } => Event::Left { tenant: tenant(who) },
            Op::Family { who, family } => Event::Family { tenant: tenant(who), family },
            Op::Gang { who, gang, expected } => Event::Gang { tenant: tenant(who), gang, expected },
            Op::Name { who, device: n } => {
                Event::Device { tenant: tenant(who), device: device(n), capacity: Bytes(16 << 30) }
            }
            Op::Report { who, device: n, allocated, resident, immovable } => Event::Memory {
                tenant: tenant(who),
                device: device(n),
                allocated: Bytes(allocated),
                resident: Bytes(resident),
                immovable: Bytes(immovable),
            },
            Op::Moves { who, device: n, bytes } => {
                let [copied_out, unchanged, zero_out, copied_in, zero_in, away_content, clean] =
                    bytes.map(Bytes);
                let (tenant, device) = (tenant(who), device(n));
                let moves = Moves {
                    device,
                    copied_out,
                    unchanged,
                    zero_out,
                    copied_in,
                    zero_in,
                    away_content,
                    clean,
                };
                Event::Moves { tenant, moves }
            }
            Op::Request { who } => Event::Requested { tenant: tenant(who) },
            Op::Ready { who, lease } => {
                let ready = Ready { lease: its(who, lease, &self.core), fetched: vec![], took: Nanos::ZERO };
                Event::Ready { tenant: tenant(who), ready }
            }
            Op::Release { who, lease, evicted } => {
                let lease = its(who, lease, &self.core);
                let evicted = vec![Share { device: device(0), bytes: Bytes(evicted) }];
                let evict = Nanos(evicted[0].bytes.0 / 16);
                let released = Released { lease, evicted, drain: Nanos::from_millis(20), evict };
                Event::Released { tenant: tenant(who), released }
            }
            Op::Cancel { who, lease } => {
                Event::DrainCancelled { tenant: tenant(who), lease: its(who, lease, &self.core) }
            }
            Op::Idle { who, lease } => {
                Event::Idle { tenant: tenant(who), lease: its(who, lease, &self.core) }
            }
            Op::Evicted { who } => Event::Evicted { tenant: tenant(who) },
            Op::Swap { who } => Event::Swaps { tenant: tenant(who) },
            Op::Weigh { who, weight } => Event::Weight { tenant: tenant(who), weight },
            Op::LimitTime { who, group, percent } => Event::TimeShare { tenant: tenant(who), group, percent },
            Op::Prioritise { who, priority } => Event::Priority { tenant: tenant(who), priority },
            Op::Outside { device: n, bytes } => Event::Outside { device: device(n), bytes: Bytes(bytes) },
            Op::MemoryRefused { who, device: n, bytes } => {
                Event::MemoryRefused { tenant: tenant(who), device: device(n), bytes: Bytes(bytes) }
            }
            Op::Own { who, owner } => Event::Owner { tenant: tenant(who), owner },
            Op::Disconnect { who } => Event::Disconnected { tenant: tenant(who) },
            Op::Stop { who, stopped } => Event::Stopped { tenant: tenant(who), stopped },
            Op::See { who, device: n, bytes } => {
                Event::Seen { tenant: tenant(who), device: device(n), bytes: Bytes(bytes) }
            }
            Op::Size { device: n, gib } => Event::Capacity { device: device(n), capacity: Bytes(gib << 30) },
            Op::SetAuto => Event::SetAuto,
            Op::SetQuantum(millis) => Event::SetQuantum { quantum: Nanos::from_millis(millis) },
            Op::SetDeviceQuantum { device: n, quantum } => {
                Event::SetDeviceQuantum { device: device(n), quantum }
            }
            Op::Pause { who, paused } => Event::Paused { tenant: tenant(who), paused },
            Op::MoveOut { who } => Event::MoveOut { tenant: tenant(who) },
            Op::SetRules { share, overlap, reserve } => {
                let rules = self.core.settings().clone();
                Event::SetRules { rules: Settings { share, overlap, reserve: Bytes(reserve << 30), ..rules } }
            }
            Op::SetEvict(evict) => Event::SetEvict { evict },
            Op::SetEnabled(enabled) => Event::SetEnabled { enabled },
            Op::Wait(millis) => return self.wait(Nanos::from_millis(millis)),
            Op::Tick => Event::Tick,
        };
        self.tell(event);
    }
}

impl Core {
    fn heaviest(&self) -> u32 {
        self.engine.model.tenants.iter().map(|(_, tenant)| tenant.weight).max().unwrap_or_default().max(1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_operations_keep_every_invariant(
        ops in prop::collection::vec(operation(), 1..150),
        share in any::<bool>(),
        overlap in any::<bool>(),
        grace in prop_oneof![3 => Just(Nanos::ZERO), 1 => Just(Nanos(20 * Nanos::SECOND.0))],
    ) {
        let mut world = World::new(Settings { record: 50, share, overlap, grace, ..Settings::default() });
        for op in &ops {
            world.apply(op);
        }
        // From here on every tenant is silent: all that wait are served all the same.
        let waiting = |world: &World, counts: fn(&Tenant) -> bool, since: Nanos| {
            let waits = |tenant: &Tenant| tenant.request().is_some_and(|request| counts(tenant) && request.requested_at <= since);
            world.core.engine.model.tenants.iter().filter(|(_, tenant)| waits(tenant) && !tenant.devices.is_empty()).count()
        };
        let n = waiting(&world, |tenant| tenant.request().is_some_and(|request| request.wait != Wait::Parked), world.now) as u64;
        let bound = Nanos(Settings::default().wait_bound(world.core.heaviest()).0 * n);
        let bound = bound.saturating_add(grace).saturating_add(world.core.settings().starvation);
        world.wait(bound);
        // Those whose quota was used up have been queued since it no longer was.
        let since = world.now.saturating_sub(bound);
        prop_assert_eq!(waiting(&world, Tenant::is_queued, since), 0);
        prop_assert!(world.core.spans().count() <= 50);
        // The log tells the same story to another core.
        prop_assert_eq!(replay(&world.log).unwrap(), world.log);
    }
}

/// Those of tenants that may be of gangs, which a third of them are.
fn operation_with_gangs() -> impl Strategy<Value = Op> {
    let gang = (0..8_u64, 0..3_u64, prop::option::of(1..4_u32));
    prop_oneof![
        12 => operation(),
        1 => gang.prop_map(|(who, gang, expected)| Op::Gang { who, gang, expected }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_operations_of_gangs_keep_every_invariant(
        ops in prop::collection::vec(operation_with_gangs(), 1..200),
        share in any::<bool>(),
        overlap in any::<bool>(),
    ) {
        let mut world = World::new(Settings { record: 50, share, overlap, ..Settings::default() });
        for op in &ops {
            world.apply(op);
        }
        // Whoever is silent from here on keeps nobody busy for ever: time goes on, with few events a second.
        let end = world.now.saturating_add(Nanos(600 * Nanos::SECOND.0));
        let mut events = 0;
        while let Some(due) = world.core.next_deadline().filter(|due| *due <= end) {
            world.now = due;
            world.tell(Event::Tick);
            events += 1;
            prop_assert!(events < 600 * 20, "it does not come to rest");
        }
        prop_assert_eq!(replay(&world.log).unwrap(), world.log);
    }
}

#[test]
fn events_of_tenants_that_nobody_knows_change_nothing() {
    let mut world = World::new(Settings::default());
    let before = format!("{:?}", world.core);
    for who in [0, 3] {
        for op in [
            Op::Leave { who },
            Op::Name { who, device: 0 },
            Op::Report { who, device: 0, allocated: 1, resident: 1, immovable: 1 },
            Op::Request { who },
            Op::Ready { who, lease: Lease::Its },
            Op::Release { who, lease: Lease::Its, evicted: 1 },
            Op::Cancel { who, lease: Lease::Other(1) },
            Op::Idle { who, lease: Lease::Its },
            Op::Tick,
        ] {
            world.apply(&op);
            assert_eq!(format!("{:?}", world.core), before, "{op:?}");
        }
    }
}
