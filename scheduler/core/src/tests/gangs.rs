//! Jobs of several processes, whose members wait for each other inside their work, in virtual time.
use super::invariants::verify_invariants;
use super::{device, gib};
use crate::event::{Action, Event, TenantId};
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
        self.tell(Event::Device { tenant, device, capacity });
        self.tell(Event::Swaps { tenant });
        self.report(process);
        self.tell(Event::Requested { tenant });
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
        actions.into_iter().for_each(|action| self.obey(action));
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

#[test]
fn jobs_that_do_not_fit_take_turns_with_all_their_devices() {
    let mut world = World::new(settings(), gib(16), 1);
    let alone = {
        let mut world = World::new(settings(), gib(16), 1);
        world.job(&[0, 1], gib(12), Some(1));
        world.run(seconds(60));
        world.done()[0]
    };
    world.crossed(&[0, 1], &[1, 0], gib(12), Some((1, 2)));
    world.run(seconds(60));
    let done = world.done();
    let sum: u64 = done.iter().sum();
    assert!(sum * 100 >= alone * 70, "{done:?} of {alone}: 2 s turns, hand-overs of half a second");
    assert!(done[0].abs_diff(done[1]) * 100 <= sum * 5, "{done:?}");
    // A turn, two hand-overs, and the attempts to drain.
    for job in &world.jobs {
        assert!(job.stall <= seconds(4), "{:?}", job.stall);
    }
    world.replays();
}

#[test]
fn without_gangs_they_cross_and_stall() {
    let mut world = World::new(settings(), gib(16), 1);
    world.crossed(&[0, 1], &[1, 0], gib(12), None);
    world.run(seconds(60));
    let longest = world.jobs.iter().map(|job| job.stall).max().unwrap();
    assert!(longest > seconds(8), "{longest:?}: what this is for");
}

#[test]
fn where_all_fit_nobody_leaves_after_the_first_turns() {
    let mut world = World::new(settings(), gib(32), 1);
    world.job(&[0, 1], gib(12), Some(1));
    world.job(&[0, 1], gib(12), Some(2));
    // Each has had a turn by itself by then.
    world.run(seconds(6));
    let before = world.log.matches(" action revoke ").count();
    world.run(seconds(20));
    assert_eq!(world.log.matches(" action revoke ").count(), before, "{}", world.tail());
    assert!(world.done().iter().all(|done| *done > 1000), "{:?}", world.done());
}

#[test]
fn two_processes_of_a_job_on_one_device_beside_another_tenant() {
    let mut world = World::new(settings(), gib(16), 3);
    world.job(&[0, 0], gib(6), Some(1));
    world.job(&[0], gib(12), None);
    world.run(seconds(60));
    let done = world.done();
    assert!(done[0] * 10 >= done[1] * 6 && done[1] * 10 >= done[0] * 6, "{done:?}");
    for job in &world.jobs {
        assert!(job.stall <= seconds(4), "{:?}", job.stall);
    }
}

#[test]
fn random_sets_of_gangs_on_eight_devices_neither_lock_nor_starve() {
    for seed in 0..24 {
        let mut world = World::new(settings(), gib(16), seed);
        let jobs = 2 + world.some(Nanos(5)).0;
        for gang in 0..jobs {
            let n = 1 + world.some(Nanos(4)).0;
            let mut devices: Vec<u8> = (0..8).collect();
            for at in 0..8 {
                let other = world.some(Nanos(8)).0 as usize;
                devices.swap(at, other);
            }
            devices.truncate(n as usize);
            let bytes = gib(4 + world.some(Nanos(9)).0);
            world.prepare(&devices, bytes, Some(gang));
        }
        let all: Vec<usize> = (0..world.processes.len()).collect();
        world.start_together(&all);
        world.run(seconds(120));
        for (at, job) in world.jobs.iter().enumerate() {
            let bound = seconds(2 * jobs + 4);
            assert!(job.stall <= bound, "seed {seed}: job {at} of {jobs} has stalled for {:?}", job.stall);
            assert!(job.done > 0, "seed {seed}: job {at}");
        }
        world.replays();
    }
}

#[test]
fn a_gang_is_granted_whole_or_not_at_all() {
    let mut world = World::new(settings(), gib(16), 5);
    world.job(&[0, 1, 2], gib(12), Some(1));
    world.job(&[2, 3], gib(12), Some(2));
    let mut checked = 0;
    for _ in 0..400 {
        world.run(Nanos::from_millis(37));
        let views = world.core.snapshot().tenants;
        for job in &world.jobs {
            let states: Vec<State> = job.members.iter().map(|at| views[*at].state).collect();
            assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "{states:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, 800);
}

#[test]
fn a_member_that_dies_at_any_moment_holds_nobody_up() {
    for millis in (0..6_000).step_by(133) {
        let mut world = World::new(settings(), gib(16), millis);
        world.job(&[0, 1], gib(12), Some(1));
        world.job(&[0, 1], gib(12), Some(2));
        world.run(Nanos::from_millis(millis));
        world.kill(0);
        let before = world.jobs[1].done;
        world.run(seconds(30));
        assert!(world.jobs[1].done > before + 200, "{millis} ms: {} and {}", before, world.jobs[1].done);
        world.kill(1);
        let before = world.jobs[1].done;
        world.run(seconds(10));
        assert!(world.jobs[1].done > before + 500, "{millis} ms: alone");
    }
}

#[test]
fn a_member_that_comes_late_is_let_in() {
    let mut world = World::new(settings(), gib(16), 7);
    world.job(&[0], gib(6), Some(1));
    world.run(seconds(3));
    // Another process of the same gang, of a job of its own in this world.
    world.job(&[0], gib(6), Some(1));
    world.run(seconds(3));
    assert!(world.done().iter().all(|done| *done > 100), "{:?}", world.done());
}

#[test]
fn a_gang_is_left_behind_by_nothing() {
    let mut world = World::new(settings(), gib(16), 9);
    world.job(&[0, 1], gib(6), Some(1));
    world.run(seconds(1));
    world.kill(0);
    world.kill(1);
    assert!(world.core.snapshot().tenants.is_empty());
    world.job(&[0, 1], gib(6), Some(1));
    world.run(seconds(1));
    assert_eq!(world.core.snapshot().tenants.iter().filter(|view| view.gang == Some(1)).count(), 2);
    world.replays();
}

#[test]
fn devices_that_no_member_uses_any_more_are_not_waited_for() {
    let mut world = World::new(settings(), gib(16), 11);
    world.job(&[0, 1], gib(12), Some(1));
    world.run(seconds(1));
    // Another has device 1 from now on, and never leaves it: it is alone there.
    world.job(&[1], gib(12), None);
    world.run(seconds(10));
    world.kill(1);
    let (gang, other) = (world.jobs[0].done, world.jobs[1].done);
    world.run(seconds(10));
    let (gang, other) = (world.jobs[0].done - gang, world.jobs[1].done - other);
    assert!(gang > 550 && other > 550, "each has a device for itself: {gang} and {other} of 640");
}

#[test]
fn a_member_that_asks_while_the_others_drain_for_it_is_let_in() {
    for late in [Nanos::from_millis(2_050), Nanos::from_millis(2_300), seconds(4), seconds(9), seconds(20)] {
        let mut world = World::new(settings(), gib(16), late.0);
        let job = world.prepare(&[0, 0], gib(6), Some(1));
        let [first, second] = world.jobs[job].members[..] else { unreachable!() };
        world.start(first);
        // It waits inside its kernel for the other one, and cannot leave for whoever comes next.
        world.run(Nanos::from_millis(500));
        world.job(&[0], gib(12), None);
        world.run(late);
        world.start(second);
        let before = world.done();
        world.run(seconds(30));
        let now = world.done();
        assert!(now[0] > before[0] + 200 && now[1] > before[1] + 200, "{late:?}: {before:?}, then {now:?}");
    }
}

#[test]
fn jobs_that_start_together_and_grow_do_not_lock() {
    for seed in 0..40 {
        let mut world = World::new(settings(), gib(16), seed);
        world.growing(&[0, 0], gib(6), Nanos::from_millis(400), Some(1));
        world.growing(&[0, 0], gib(6), Nanos::from_millis(400), Some(2));
        world.start_apart(Nanos::from_millis(300));
        world.run(seconds(60));
        for (at, job) in world.jobs.iter().enumerate() {
            assert!(job.stall <= seconds(6), "seed {seed}: job {at} has stalled for {:?}", job.stall);
            assert!(job.done > 1_000, "seed {seed}: {:?} of 4000 together", world.done());
        }
        world.replays();
    }
}

#[test]
fn jobs_that_grow_on_crossed_devices_do_not_lock() {
    for seed in 0..40 {
        let mut world = World::new(settings(), gib(16), seed);
        world.growing(&[0, 1], gib(12), Nanos::from_millis(400), Some(1));
        world.growing(&[1, 0], gib(12), Nanos::from_millis(400), Some(2));
        world.start_apart(Nanos::from_millis(300));
        world.run(seconds(60));
        for (at, job) in world.jobs.iter().enumerate() {
            assert!(job.stall <= seconds(6), "seed {seed}: job {at} has stalled for {:?}", job.stall);
            assert!(job.done > 1_000, "seed {seed}: {:?}", world.done());
        }
    }
}

#[test]
fn jobs_that_fit_share_once_they_have_shown_what_they_need() {
    let mut world = World::new(settings(), gib(32), 3);
    world.growing(&[0, 1], gib(12), Nanos::from_millis(400), Some(1));
    world.growing(&[0, 1], gib(12), Nanos::from_millis(400), Some(2));
    world.start_apart(Nanos::from_millis(100));
    world.run(seconds(10));
    let before = world.log.matches(" action revoke ").count();
    world.run(seconds(20));
    assert_eq!(world.log.matches(" action revoke ").count(), before, "{}", world.tail());
    let done = world.done();
    assert!(done.iter().all(|done| *done > 1_200), "{done:?}");
}

#[test]
fn processes_that_do_not_fit_together_take_turns_with_each_other() {
    // Each has its work for itself; the scheduler takes them for one job.
    let mut world = World::new(settings(), gib(16), 5);
    world.growing(&[0], gib(12), Nanos::from_millis(400), Some(1));
    world.growing(&[0], gib(12), Nanos::from_millis(400), Some(1));
    world.start_apart(Nanos::from_millis(300));
    world.run(seconds(60));
    let done = world.done();
    assert!(done.iter().all(|done| *done > 1_000), "{done:?}");
}

#[test]
fn a_gang_that_stands_aside_pays_for_it() {
    let mut core = Core::new(Settings { share: false, ..settings() });
    let mut now = Nanos::ZERO;
    let [first, second, other] = [1, 2, 3].map(TenantId);
    let device = device(0);
    let mut tell = |core: &mut Core, after: Nanos, event: Event| {
        now = now.saturating_add(after);
        core.handle(now, event)
    };
    let lease_of = |actions: &[Action], of: TenantId| {
        actions.iter().find_map(|action| match action {
            Action::Grant { tenant, grant } if *tenant == of => Some(grant.lease),
            _ => None,
        })
    };
    let none = Nanos::ZERO;
    let released = |lease| Released { lease, evicted: Vec::new(), drain: none, evict: none };
    let mut granted = None;
    for (tenant, gang) in [(first, Some(1)), (second, Some(1)), (other, None)] {
        gang.into_iter()
            .for_each(|gang| drop(tell(&mut core, none, Event::Gang { tenant, gang, expected: None })));
        tell(&mut core, none, Event::Joined { tenant, holds: false });
        tell(&mut core, none, Event::Owner { tenant, owner: u64::from(gang.is_none()) });
        tell(&mut core, none, Event::Device { tenant, device, capacity: gib(16) });
        if tenant != second {
            let actions = tell(&mut core, none, Event::Requested { tenant });
            granted = granted.or(lease_of(&actions, first));
        }
    }
    let lease = granted.unwrap();
    let ready = |lease| Ready { lease, fetched: Vec::new(), took: none };
    tell(&mut core, none, Event::Ready { tenant: first, ready: ready(lease) });
    // Its work does not end, and the other member asks for a turn.
    tell(&mut core, seconds(2), Event::Tick);
    tell(&mut core, Nanos::from_millis(250), Event::DrainCancelled { tenant: first, lease });
    let actions = tell(&mut core, none, Event::Requested { tenant: second });
    let lease = lease_of(&actions, other).expect("the other's turn");
    tell(&mut core, none, Event::Ready { tenant: other, ready: ready(lease) });
    tell(&mut core, seconds(2), Event::Tick);
    tell(&mut core, none, Event::Requested { tenant: other });
    let actions = tell(&mut core, none, Event::Released { tenant: other, released: released(lease) });
    let lease = lease_of(&actions, first).expect("a turn for both");
    assert_eq!(lease_of(&actions, second), Some(lease));
    for tenant in [first, second] {
        tell(&mut core, none, Event::Ready { tenant, ready: ready(lease) });
    }
    tell(&mut core, seconds(2), Event::Tick);
    for tenant in [first, second] {
        tell(&mut core, none, Event::Released { tenant, released: released(lease) });
        tell(&mut core, none, Event::Requested { tenant });
    }
    let snapshot = core.snapshot();
    let view = snapshot.tenants.iter().find(|view| view.id == first).unwrap();
    let wait = view.wait.as_ref().unwrap();
    assert!(matches!(wait.reason, WaitReason::Debt { .. }), "{wait:?}");
}

#[test]
fn random_sets_of_jobs_that_grow_neither_lock_nor_starve() {
    for seed in 100..160 {
        let mut world = World::new(settings(), gib(16), seed);
        let jobs = 2 + world.some(Nanos(4)).0;
        for gang in 0..jobs {
            let n = 1 + world.some(Nanos(4)).0;
            let mut devices: Vec<u8> = (0..4).collect();
            for at in 0..4 {
                let other = world.some(Nanos(4)).0 as usize;
                devices.swap(at, other);
            }
            devices.truncate(n as usize);
            let bytes = gib(2 + world.some(Nanos(11)).0);
            // A process by itself is no gang.
            world.growing(&devices, bytes, Nanos::from_millis(600), (n > 1).then_some(gang));
        }
        world.start_apart(Nanos::from_millis(200));
        world.run(seconds(120));
        for (at, job) in world.jobs.iter().enumerate() {
            let bound = seconds(2 * jobs + 8);
            assert!(job.stall <= bound, "seed {seed}: job {at} of {jobs} has stalled for {:?}", job.stall);
            assert!(job.done > 0, "seed {seed}: job {at}");
        }
        world.replays();
    }
}

#[test]
fn processes_that_turn_out_to_belong_together_become_a_gang() {
    // Each waits for the other inside its kernel, and they do not fit on the device together with the third.
    let mut world = World::new(settings(), gib(16), 13);
    let job = world.job(&[0, 1], gib(12), None);
    world.job(&[1, 0], gib(12), None);
    world.run(seconds(30));
    for at in world.jobs[job].members.clone() {
        world.tell(Event::Gang { tenant: World::id(at), gang: 1, expected: None });
    }
    for at in world.jobs[job + 1].members.clone() {
        world.tell(Event::Gang { tenant: World::id(at), gang: 2, expected: None });
    }
    world.run(seconds(60));
    let before = world.done();
    for job in &mut world.jobs {
        (job.last, job.stall) = (world.now, Nanos::ZERO);
    }
    world.run(seconds(60));
    let after = world.done();
    for (at, job) in world.jobs.iter().enumerate() {
        assert!(after[at] > before[at] + 800, "{before:?} {after:?}");
        assert!(job.stall <= seconds(4), "{:?}", job.stall);
    }
    assert_eq!(world.core.snapshot().tenants.iter().filter(|view| view.gang.is_some()).count(), 4);
    world.replays();
}

#[test]
fn the_times_of_a_member_are_those_of_its_gang_since_it_joined() {
    let mut world = World::new(settings(), gib(16), 15);
    world.job(&[0], gib(2), Some(1));
    world.run(seconds(5));
    world.job(&[0], gib(2), Some(1));
    world.run(seconds(3));
    world.tell(Event::Tick);
    let held = [0, 1].map(|at| world.core.times_of(World::id(at)).0);
    assert!(held[0] > seconds(7), "{held:?}");
    assert!(held[1] > seconds(2) && held[1] < seconds(4), "{held:?}");
}

/// A gang that gathers, and whose only process ends, leaves nothing to be looked at.
#[test]
fn a_gang_that_ends_while_it_gathers_leaves_no_deadline() {
    let mut world = World::new(settings(), gib(16), 17);
    world.job(&[0], gib(12), None);
    let job = world.growing(&[0, 0], gib(2), Nanos::from_millis(1), Some(1));
    let first = world.jobs[job].members[0];
    world.start(first);
    world.run(Nanos::from_millis(10));
    world.kill(first);
    // Each tell checks that no deadline has passed.
    world.run(seconds(3));
    assert!(world.core.snapshot().tenants.iter().all(|view| view.gang.is_none()));
}

#[test]
fn a_gang_that_loses_a_device_while_it_gathers_asks_all_the_same() {
    let mut world = World::new(settings(), gib(16), 19);
    world.job(&[0, 1], gib(12), None);
    let job = world.growing(&[0, 1, 2], gib(2), Nanos::from_millis(1), Some(1));
    let [first, second, _] = world.jobs[job].members[..] else { unreachable!() };
    let tenant = World::id(first);
    world.tell(Event::Gang { tenant, gang: 1, expected: Some(3) });
    world.tell(Event::Joined { tenant, holds: false });
    world.tell(Event::Device { tenant, device: device(0), capacity: gib(16) });
    world.tell(Event::Swaps { tenant });
    world.start(second);
    world.kill(second);
    world.tell(Event::Requested { tenant });
    world.run(seconds(8));
    let snapshot = world.core.snapshot();
    let view = snapshot.tenants.iter().find(|view| view.id == tenant).unwrap();
    assert!(view.grants > 0, "{view:?}");
}

/// Two processes that have a name in common, one of which has long kernels.
#[test]
fn a_gang_that_does_not_fit_parts_though_a_member_drains_late() {
    let mut world = World::new(settings(), gib(16), 21);
    let slow = world.prepare(&[0], gib(12), Some(1));
    world.jobs[slow].takes = seconds(3);
    world.start(world.jobs[slow].members[0]);
    world.run(seconds(1));
    world.job(&[0], gib(12), Some(1));
    world.run(seconds(60));
    assert!(world.parted, "{}", world.tail());
    let done = world.done();
    assert!(done[0] > 3 && done[1] > 200, "{done:?}");
}

#[test]
fn who_has_left_has_paused_nobody() {
    let mut world = World::new(settings(), gib(16), 23);
    let job = world.job(&[0, 1], gib(2), Some(1));
    world.run(seconds(1));
    let [first, second] = world.jobs[job].members[..] else { unreachable!() };
    world.tell(Event::Paused { tenant: World::id(first), paused: true });
    world.run(seconds(1));
    let paused = |world: &World| world.core.snapshot().tenants.iter().any(|view| view.is_paused);
    assert!(paused(&world));
    world.kill(first);
    assert!(!paused(&world), "only the one that has left was");
    assert!(world.processes[second].alive);
}

/// It says that it has grown whenever it is beside another, and has not.
#[test]
fn a_gang_that_pushes_others_out_pays_for_it() {
    let mut world = World::new(settings(), gib(16), 25);
    let honest = world.job(&[0], gib(12), None);
    let liar = world.prepare(&[0], gib(1), Some(1));
    let process = world.jobs[liar].members[0];
    world.tell(Event::Owner { tenant: World::id(world.jobs[honest].members[0]), owner: 1 });
    world.start(process);
    world.tell(Event::Owner { tenant: World::id(process), owner: 2 });
    for _ in 0..6_000 {
        world.run(Nanos::from_millis(10));
        let (tenant, open) = (World::id(process), world.processes[process].open);
        let allocated = if open { gib(16) } else { gib(1) };
        let resident = world.processes[process].resident;
        let immovable = Bytes::ZERO;
        world.tell(Event::Memory { tenant, device: device(0), allocated, resident, immovable });
    }
    let of = world.jobs[honest].done;
    assert!(of > 1_300, "{of} of 4000 alone");
}

/// A member beside the others' turns is asked again, also when the engine has come to know its gang by another name.
#[test]
fn who_stands_aside_is_asked_again_after_a_device_of_the_gang_has_gone() {
    let mut core = Core::new(Settings { share: false, ..settings() });
    let [first, second, gone, other] = [1, 2, 3, 4].map(TenantId);
    let mut now = Nanos::ZERO;
    let mut tell = |core: &mut Core, after: Nanos, event: Event| {
        now = now.saturating_add(after);
        core.handle(now, event)
    };
    let none = Nanos::ZERO;
    for (tenant, at) in [(first, 0), (second, 0), (gone, 1), (other, 0)] {
        if tenant != other {
            tell(&mut core, none, Event::Gang { tenant, gang: 1, expected: None });
        }
        tell(&mut core, none, Event::Joined { tenant, holds: false });
        tell(&mut core, none, Event::Device { tenant, device: device(at), capacity: gib(16) });
        if tenant == gone || tenant == other {
            let tenant = if tenant == gone { first } else { other };
            tell(&mut core, none, Event::Requested { tenant });
        }
    }
    let lease = LeaseId(1);
    let ready = Ready { lease, fetched: Vec::new(), took: none };
    tell(&mut core, none, Event::Ready { tenant: first, ready: ready.clone() });
    let released = Released { lease, evicted: Vec::new(), drain: none, evict: none };
    for tenant in [second, gone] {
        tell(&mut core, none, Event::Ready { tenant, ready: ready.clone() });
    }
    tell(&mut core, seconds(2), Event::Tick);
    for tenant in [second, gone] {
        tell(&mut core, none, Event::Released { tenant, released: released.clone() });
    }
    tell(&mut core, none, Event::Left { tenant: second });
    let tenant = second;
    tell(&mut core, none, Event::Gang { tenant, gang: 1, expected: None });
    tell(&mut core, none, Event::Joined { tenant, holds: false });
    tell(&mut core, none, Event::Device { tenant, device: device(0), capacity: gib(16) });
    tell(&mut core, none, Event::Requested { tenant });
    tell(&mut core, Nanos::from_millis(50), Event::DrainCancelled { tenant: first, lease });
    tell(&mut core, none, Event::Left { tenant: gone });
    let asked = (0..24).any(|_| {
        let actions = tell(&mut core, Nanos::from_millis(500), Event::Tick);
        actions.iter().any(|action| matches!(action, Action::Revoke { tenant, .. } if *tenant == first))
    });
    assert!(asked, "{:?}", core.snapshot());
}
