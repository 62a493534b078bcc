//! Turns of whole gangs, and members that come, die and leave.
use super::*;

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

/// A device of it is refused: the daemon gives each of its grants back, until the device is known.
#[test]
fn a_member_that_gives_its_grants_back_ends_one_turn_and_no_other() {
    let mut core = Core::new(settings());
    let mut now = Nanos::ZERO;
    let [works, refuses] = [1, 2].map(TenantId);
    for tenant in [works, refuses] {
        core.handle(now, Event::Gang { tenant, gang: 1, expected: Some(2) });
        core.handle(now, Event::Joined { tenant, holds: false });
        core.handle(now, Event::Device { tenant, device: device(tenant.0 as u8), capacity: gib(16) });
    }
    let (mut events, mut revoked, mut grants) =
        (vec![Event::Requested { tenant: refuses }, Event::Requested { tenant: works }], 0, 0);
    let none = Nanos::ZERO;
    for _ in 0..100 {
        now = now.saturating_add(Nanos::from_millis(10));
        let event = if events.is_empty() { Event::Tick } else { events.remove(0) };
        for action in core.handle(now, event) {
            let released = |lease| Released { lease, evicted: Vec::new(), drain: none, evict: none };
            match action {
                Action::Grant { tenant, grant } if tenant == refuses => {
                    grants += 1;
                    events.push(Event::Released { tenant, released: released(grant.lease) });
                }
                Action::Grant { tenant, grant } => {
                    let ready = Ready { lease: grant.lease, fetched: Vec::new(), took: none };
                    events.push(Event::Ready { tenant, ready });
                }
                Action::Revoke { tenant, revoke } if tenant == works => {
                    revoked += 1;
                    events.push(Event::Released { tenant, released: released(revoke.lease) });
                    events.push(Event::Requested { tenant });
                }
                _ => {}
            }
        }
    }
    assert_eq!((grants, revoked), (1, 1));
    // Its device is known: both have a turn again.
    let actions = core.handle(now, Event::Requested { tenant: refuses });
    assert!(
        actions.iter().any(|action| matches!(action, Action::Grant { tenant, .. } if *tenant == refuses)),
        "{actions:?}"
    );
}
