//! Jobs of several processes, whose members wait for each other inside their work, in virtual time.
mod bounds;
mod families;
mod growth;
mod turns;

use super::invariants::verify_invariants;
use super::{device, gib};
use crate::event::{Action, Event, Stuck, TenantId};
use crate::model::settings::{Quantum, seconds};
use crate::trace::snapshot::State;
use crate::{Core, Settings, WaitReason, print, replay};
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeMap;

/// What a link moves, bytes a second.
const LINK: u64 = 50_000_000_000;
/// What a member computes before each collective, and what the collective takes once all are in it.
const COMPUTES: Nanos = Nanos::from_millis(5);
const COLLECTIVE: Nanos = Nanos::from_millis(10);
/// How long an allocation waits for room before it fails.
const ROOM: Nanos = Nanos::from_millis(10_000);

/// One process, with all its memory on one device.
#[derive(Clone, Debug)]
struct Process {
    job: usize,
    device: DeviceId,
    bytes: Bytes,
    resident: Bytes,
    open: bool,
    lease: LeaseId,
    /// How many collectives it has submitted.
    submitted: u64,
    /// It was asked to drain, with this lease, and has to give up then.
    draining: Option<(LeaseId, Nanos)>,
    /// It brings memory in, and does what it was told meanwhile when that is over.
    fetching: bool,
    told: Vec<Action>,
    /// Revocations of which the end is not waited for any more are told by number.
    asked: u64,
    alive: bool,
    started: bool,
    /// Submissions of an earlier opening of the gate do not count.
    opened: u64,
    /// What it will have allocated once it has run for this long.
    grows: Option<(Nanos, Bytes)>,
    /// Its allocation waits for room, since when.
    refused_since: Option<Nanos>,
}

/// Processes that go from one collective to the next together.
#[derive(Clone, Debug)]
struct Job {
    members: Vec<usize>,
    /// None: the scheduler does not know that they belong together.
    gang: Option<u64>,
    /// How many processes it is known to have.
    expected: Option<u32>,
    /// Its processes are known to be of one family.
    family: Option<u64>,
    /// Its processes have met once all have named their devices, and none begins a collective before.
    meets_first: bool,
    /// How long its collectives take.
    takes: Nanos,
    done: u64,
    completing: bool,
    last: Nanos,
    /// The longest time between two collectives.
    stall: Nanos,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    Submits(usize, u64),
    Allocates(usize, u64),
    Completes(usize),
    GivesUp(usize, u64),
    Fetched(usize, LeaseId, Bytes),
    Evicted(usize, Bytes),
}

struct World {
    core: Core,
    now: Nanos,
    processes: Vec<Process>,
    jobs: Vec<Job>,
    due: BTreeMap<(Nanos, u64), Due>,
    number: u64,
    random: u64,
    log: String,
    capacity: Bytes,
    /// A gang's members are single tenants by now.
    parted: bool,
}

fn settings() -> Settings {
    Settings {
        quantum: Quantum::Fixed(seconds(2)),
        share: true,
        overlap: true,
        reserve: Bytes::ZERO,
        ..Settings::default()
    }
}

impl World {
    fn new(settings: Settings, capacity: Bytes, seed: u64) -> Self {
        let core = Core::new(settings);
        let log = print::settings(Nanos::ZERO, core.settings()) + "\n";
        Self {
            core,
            now: Nanos::ZERO,
            processes: Vec::new(),
            jobs: Vec::new(),
            due: BTreeMap::new(),
            number: 0,
            random: seed,
            log,
            capacity,
            parted: false,
        }
    }

    fn id(process: usize) -> TenantId {
        TenantId(process as u64 + 1)
    }

    /// Up to this long.
    fn some(&mut self, most: Nanos) -> Nanos {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Nanos((self.random >> 33) % most.0.max(1))
    }

    /// A job with one process on each of the devices.
    fn job(&mut self, devices: &[u8], bytes: Bytes, gang: Option<u64>) -> usize {
        let job = self.prepare(devices, bytes, gang);
        self.jobs[job].members.clone().into_iter().for_each(|at| self.start(at));
        job
    }

    /// Two jobs whose processes start in turn.
    fn crossed(&mut self, one: &[u8], two: &[u8], bytes: Bytes, gangs: Option<(u64, u64)>) {
        let first = self.prepare(one, bytes, gangs.map(|(one, _)| one));
        let second = self.prepare(two, bytes, gangs.map(|(_, two)| two));
        let members = self.jobs[first].members.clone().into_iter().zip(self.jobs[second].members.clone());
        let order: Vec<usize> = members.flat_map(|(a, b)| [a, b]).collect();
        self.start_together(&order);
    }

    /// All are there before the first of them is granted anything.
    fn start_together(&mut self, processes: &[usize]) {
        self.tell(Event::SetEnabled { enabled: false });
        processes.iter().for_each(|at| self.start(*at));
        self.tell(Event::SetEnabled { enabled: true });
        processes.iter().for_each(|at| self.tell(Event::Requested { tenant: Self::id(*at) }));
    }

    fn prepare(&mut self, devices: &[u8], bytes: Bytes, gang: Option<u64>) -> usize {
        let job = self.jobs.len();
        let members = (self.processes.len()..self.processes.len() + devices.len()).collect();
        let last = self.now;
        let (expected, takes) = (None, COLLECTIVE);
        self.jobs.push(Job {
            members,
            gang,
            expected,
            family: None,
            meets_first: false,
            takes,
            done: 0,
            completing: false,
            last,
            stall: Nanos::ZERO,
        });
        for n in devices {
            let device = device(*n);
            self.processes.push(Process {
                job,
                device,
                bytes,
                resident: Bytes::ZERO,
                open: false,
                lease: LeaseId(0),
                submitted: 0,
                draining: None,
                fetching: false,
                told: Vec::new(),
                asked: 0,
                alive: true,
                started: false,
                opened: 0,
                grows: None,
                refused_since: None,
            });
        }
        job
    }

    /// A job whose processes have nothing at first, and allocate `bytes` each when they have run for up to `within`.
    fn growing(&mut self, devices: &[u8], bytes: Bytes, within: Nanos, gang: Option<u64>) -> usize {
        let job = self.prepare(devices, Bytes::ZERO, gang);
        self.jobs[job].expected = Some(devices.len() as u32);
        for at in self.jobs[job].members.clone() {
            let after = self.some(within);
            self.processes[at].grows = Some((after, bytes));
        }
        job
    }

    /// One process after the other, up to `within` apart, in a random order.
    fn start_apart(&mut self, within: Nanos) {
        let mut all: Vec<usize> = (0..self.processes.len()).collect();
        for at in 0..all.len() {
            let other = self.some(Nanos(all.len() as u64)).0 as usize;
            all.swap(at, other);
        }
        for at in all {
            self.start(at);
            let pause = self.some(within);
            self.run(pause);
        }
    }

    fn start(&mut self, process: usize) {
        let Process { job, device, .. } = self.processes[process];
        let (tenant, capacity) = (Self::id(process), self.capacity);
        if let Some(gang) = self.jobs[job].gang {
            let expected = self.jobs[job].expected;
            self.tell(Event::Gang { tenant, gang, expected });
        }
        self.tell(Event::Joined { tenant, holds: false });
        if let Some(family) = self.jobs[job].family {
            self.tell(Event::Family { tenant, family });
        }
        self.tell(Event::Device { tenant, device, capacity });
        self.tell(Event::Swaps { tenant });
        self.report(process);
        self.processes[process].started = true;
        self.tell(Event::Requested { tenant });
        if self.jobs[job].meets_first && self.have_met(job) {
            self.jobs[job].members.clone().into_iter().for_each(|at| self.goes_on(at));
        }
    }

    fn have_met(&self, job: usize) -> bool {
        let job = &self.jobs[job];
        !job.meets_first || job.members.iter().all(|at| self.processes[*at].started)
    }

    fn report(&mut self, process: usize) {
        let Process { device, bytes, resident, .. } = self.processes[process];
        let tenant = Self::id(process);
        self.tell(Event::Memory { tenant, device, allocated: bytes, resident, immovable: Bytes::ZERO });
        self.tell(Event::Seen { tenant, device, bytes: resident.saturating_add(Bytes(1 << 29)) });
    }

    fn after(&mut self, time: Nanos, due: Due) {
        self.number += 1;
        self.due.insert((self.now.saturating_add(time), self.number), due);
    }

    fn tell(&mut self, event: Event) {
        self.log += &(print::event(self.now, &event) + "\n");
        let actions = self.core.handle(self.now, event);
        for action in &actions {
            self.parted |= matches!(action, Action::Disbanded { .. });
            self.log += &(print::action(self.now, action) + "\n");
        }
        verify_invariants(&self.core);
        assert!(self.core.next_deadline().is_none_or(|due| due > self.now), "{}", self.tail());
        let is_stuck = |action: &Action| match action {
            Action::Stuck { tenant, why: Stuck::CannotDrain, .. } => Some(*tenant),
            _ => None,
        };
        let stuck: Vec<TenantId> = actions.iter().filter_map(is_stuck).collect();
        actions.into_iter().for_each(|action| self.obey(action));
        stuck.into_iter().for_each(|tenant| self.learn(tenant));
    }

    /// As the daemon does: others of the family that wait belong to the one that cannot end its work.
    fn learn(&mut self, stuck: TenantId) {
        let job = self.processes[stuck.0 as usize - 1].job;
        if self.jobs[job].family.is_none() || self.jobs[job].gang.is_some() {
            return;
        }
        let view = self.core.snapshot();
        let waits = |id: TenantId| {
            let tenant = view.tenants.iter().find(|tenant| tenant.id == id);
            tenant.is_some_and(|tenant| tenant.wait.is_some() && tenant.gang.is_none())
        };
        let members = self.jobs[job].members.iter().map(|at| Self::id(*at));
        let kin: Vec<TenantId> = members.filter(|id| *id != stuck && waits(*id)).collect();
        if !kin.is_empty() {
            let (gang, expected) = (100 + job as u64, Some(kin.len() as u32 + 1));
            for tenant in std::iter::once(stuck).chain(kin) {
                self.tell(Event::Gang { tenant, gang, expected });
            }
        }
    }

    fn obey(&mut self, action: Action) {
        let (Action::Grant { tenant, .. }
        | Action::Revoke { tenant, .. }
        | Action::Evict { tenant, .. }
        | Action::Fetch { tenant, .. }) = &action
        else {
            return;
        };
        let at = tenant.0 as usize - 1;
        if !self.processes[at].alive {
            return;
        }
        if self.processes[at].fetching {
            return self.processes[at].told.push(action);
        }
        match action {
            Action::Grant { grant, .. } => {
                let process = &mut self.processes[at];
                // One that could not end its work has gone on beside the others' turns.
                let beside = process.submitted > self.jobs[process.job].done;
                assert!(!process.open || beside, "granted while it runs");
                (process.lease, process.fetching) = (grant.lease, true);
                let budget = grant.budget.iter().map(|share| share.bytes).max().unwrap_or_default();
                let lacks = process.bytes.min(budget).saturating_sub(process.resident);
                let lease = grant.lease;
                self.after(Nanos(lacks.0 / (LINK / 1_000_000_000)), Due::Fetched(at, lease, lacks));
            }
            Action::Revoke { revoke, .. } => {
                let process = &mut self.processes[at];
                (process.open, process.refused_since) = (false, None);
                process.asked += 1;
                let (asked, until) = (process.asked, self.now.saturating_add(revoke.drain_within));
                process.draining = Some((revoke.lease, until));
                assert!(
                    revoke
                        .evict
                        .iter()
                        .all(|share| share.bytes == Bytes::ZERO || self.jobs[process.job].gang.is_none())
                        || self.parted
                );
                if !revoke.evict.iter().all(|share| share.bytes == Bytes::ZERO) {
                    // It stands alone: what it evicts is away at once in this world.
                    let share = revoke.evict.iter().map(|share| share.bytes).max().unwrap_or_default();
                    process.resident = process.resident.saturating_sub(share);
                }
                self.after(revoke.drain_within, Due::GivesUp(at, asked));
                self.drained(at);
            }
            Action::Evict { shares, .. } => {
                let most = shares.iter().map(|share| share.bytes).max().unwrap_or_default();
                let bytes = self.processes[at].resident.min(most);
                self.after(Nanos(bytes.0 / (LINK / 1_000_000_000)), Due::Evicted(at, bytes));
            }
            Action::Fetch { .. } => {}
            _ => {}
        }
    }

    /// It answers, if its work has ended.
    fn drained(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let Some((lease, _)) = process.draining else { return };
        if process.submitted > self.jobs[process.job].done {
            return;
        }
        process.draining = None;
        let released = Released { lease, evicted: Vec::new(), drain: Nanos::ZERO, evict: Nanos::ZERO };
        self.report(at);
        self.tell(Event::Released { tenant: Self::id(at), released });
        self.tell(Event::Requested { tenant: Self::id(at) });
    }

    /// It computes, and submits its part of the next collective.
    fn goes_on(&mut self, at: usize) {
        let skew = self.some(Nanos::from_millis(1));
        let process = &self.processes[at];
        let opened = process.opened;
        if let Some((after, _)) = process.grows.filter(|_| process.open) {
            self.after(after, Due::Allocates(at, opened));
        } else if process.open
            && process.refused_since.is_none()
            && process.submitted == self.jobs[process.job].done
            && self.have_met(process.job)
        {
            self.after(COMPUTES.saturating_add(skew), Due::Submits(at, opened));
        }
    }

    /// Its new memory goes to the device, if there is room; otherwise it waits for that.
    fn places(&mut self, at: usize) {
        let Process { device, bytes, resident, .. } = self.processes[at];
        let lacks = bytes.saturating_sub(resident);
        if lacks > self.free(device) {
            let since = self.processes[at].refused_since.get_or_insert(self.now);
            let waited = self.now.saturating_sub(*since);
            assert!(waited < ROOM, "out of memory at {:?}:\n{}", self.now, self.tail());
            return self.tell(Event::MemoryRefused { tenant: Self::id(at), device, bytes: lacks });
        }
        let process = &mut self.processes[at];
        (process.resident, process.refused_since) = (bytes, None);
        self.report(at);
        self.goes_on(at);
    }

    /// There may be room now.
    fn retries(&mut self, device: DeviceId) {
        let waits = |at: &usize| self.processes[*at].device == device && self.waits_for_room(*at);
        let waiting: Vec<usize> = (0..self.processes.len()).filter(waits).collect();
        waiting.into_iter().for_each(|at| self.places(at));
    }

    fn waits_for_room(&self, at: usize) -> bool {
        let process = &self.processes[at];
        process.alive && process.open && process.refused_since.is_some()
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Allocates(at, opened) => {
                let process = &mut self.processes[at];
                if !process.alive || !process.open || process.opened != opened {
                    return;
                }
                let Some((_, bytes)) = process.grows.take() else { return };
                process.bytes = bytes;
                self.report(at);
                // If it has to leave, it gets its memory with its next turn.
                if self.processes[at].open {
                    self.places(at);
                }
            }
            Due::Submits(at, opened) => {
                let process = &mut self.processes[at];
                let job = process.job;
                if !process.open
                    || process.opened != opened
                    || process.submitted > self.jobs[job].done
                    || !process.alive
                {
                    return;
                }
                process.submitted += 1;
                self.meet(job);
            }
            Due::Completes(job) => {
                let now = self.now;
                let state = &mut self.jobs[job];
                (state.done, state.completing) = (state.done + 1, false);
                state.stall = state.stall.max(now.saturating_sub(state.last));
                state.last = now;
                for at in state.members.clone() {
                    self.drained(at);
                    self.goes_on(at);
                }
            }
            Due::GivesUp(at, asked) => {
                let process = &mut self.processes[at];
                let Some((lease, _)) = process.draining.filter(|_| process.asked == asked && process.alive)
                else {
                    return;
                };
                (process.draining, process.open) = (None, true);
                process.opened += 1;
                self.tell(Event::DrainCancelled { tenant: Self::id(at), lease });
                if self.processes[at].resident < self.processes[at].bytes && self.processes[at].open {
                    self.places(at);
                } else {
                    self.goes_on(at);
                }
            }
            Due::Fetched(at, lease, bytes) => {
                if !self.processes[at].alive {
                    return;
                }
                // Others may have grown meanwhile.
                let device = self.processes[at].device;
                let bytes = bytes.min(self.free(device));
                let process = &mut self.processes[at];
                process.fetching = false;
                process.resident = process.resident.saturating_add(bytes);
                let lacks = process.bytes.saturating_sub(process.resident);
                if lacks > Bytes::ZERO {
                    // It cannot run with less than all, and gives its turn back.
                    let tenant = Self::id(at);
                    self.report(at);
                    self.tell(Event::MemoryRefused { tenant, device, bytes: lacks });
                    self.processes[at].told.clear();
                    let released =
                        Released { lease, evicted: Vec::new(), drain: Nanos::ZERO, evict: Nanos::ZERO };
                    self.tell(Event::Released { tenant, released });
                    return self.tell(Event::Requested { tenant });
                }
                let process = &mut self.processes[at];
                (process.open, process.opened) = (true, process.opened + 1);
                self.report(at);
                let ready = Ready { lease, fetched: vec![Share { device, bytes }], took: Nanos::ZERO };
                self.tell(Event::Ready { tenant: Self::id(at), ready });
                let told = std::mem::take(&mut self.processes[at].told);
                told.into_iter().for_each(|action| self.obey(action));
                self.goes_on(at);
            }
            Due::Evicted(at, bytes) => {
                let process = &mut self.processes[at];
                if !process.alive {
                    return;
                }
                if !process.open {
                    process.resident = process.resident.saturating_sub(bytes);
                }
                self.report(at);
                self.tell(Event::Evicted { tenant: Self::id(at) });
                let device = self.processes[at].device;
                self.retries(device);
            }
        }
    }

    fn meet(&mut self, job: usize) {
        let state = &mut self.jobs[job];
        let next = state.done + 1;
        let alive = state.members.iter().filter(|at| self.processes[**at].alive);
        if !state.completing && alive.clone().all(|at| self.processes[*at].submitted == next) {
            state.completing = true;
            let takes = state.takes;
            self.after(takes, Due::Completes(job));
        }
    }

    fn free(&self, device: DeviceId) -> Bytes {
        let there = self.processes.iter().filter(|process| process.device == device && process.alive);
        let sum: u64 = there.map(|process| process.resident.0).sum();
        assert!(sum <= self.capacity.0, "{sum} on {device} of {}:\n{}", self.capacity.0, self.tail());
        Bytes(self.capacity.0 - sum)
    }

    fn tail(&self) -> String {
        let tail: Vec<&str> = self.log.lines().rev().take(60).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn kill(&mut self, at: usize) {
        self.processes[at].alive = false;
        self.processes[at].open = false;
        self.tell(Event::Left { tenant: Self::id(at) });
        let device = self.processes[at].device;
        self.retries(device);
    }

    fn run(&mut self, time: Nanos) {
        let end = self.now.saturating_add(time);
        loop {
            let own = self.due.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = own.into_iter().chain(self.core.next_deadline()).min().filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            if own == Some(next) {
                let (_, due) = self.due.pop_first().unwrap();
                self.happens(due);
            } else {
                self.tell(Event::Tick);
            }
        }
        self.now = end;
        for job in &mut self.jobs {
            job.stall = job.stall.max(end.saturating_sub(job.last));
        }
    }

    fn done(&self) -> Vec<u64> {
        self.jobs.iter().map(|job| job.done).collect()
    }

    /// The story is the same to another core.
    fn replays(&self) {
        assert_eq!(replay(&self.log).unwrap(), self.log);
    }
}
