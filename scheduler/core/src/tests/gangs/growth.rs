//! What members need is not known at first: they grow, join late, and may not fit together.
use super::*;

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

/// Before all of them have drained, one has freed enough for both to fit.
#[test]
fn a_gang_that_fits_again_does_not_part() {
    let mut world = World::new(settings(), gib(16), 21);
    let slow = world.prepare(&[0], gib(12), Some(1));
    world.jobs[slow].takes = seconds(3);
    world.start(world.jobs[slow].members[0]);
    world.run(seconds(1));
    let other = world.job(&[0], gib(12), Some(1));
    let other = world.jobs[other].members[0];
    assert_eq!(world.processes[other].resident, Bytes::ZERO);
    world.processes[other].bytes = gib(2);
    world.report(other);
    // Turns end where somebody waits.
    world.job(&[0], gib(12), None);
    world.run(seconds(60));
    assert!(!world.parted, "{}", world.tail());
    let done = world.done();
    assert!(done[0] > 3 && done[1] > 200, "{done:?}");
}

/// The one that was too large has ended.
#[test]
fn a_gang_of_which_the_rest_fits_does_not_part() {
    let mut world = World::new(settings(), gib(16), 21);
    let slow = world.prepare(&[0, 0], gib(6), Some(1));
    world.jobs[slow].takes = seconds(3);
    world.jobs[slow].members.clone().into_iter().for_each(|at| world.start(at));
    world.run(seconds(1));
    let other = world.job(&[0], gib(12), Some(1));
    world.kill(world.jobs[other].members[0]);
    world.job(&[0], gib(12), None);
    world.run(seconds(60));
    assert!(!world.parted, "{}", world.tail());
    assert!(world.done()[0] > 3, "{:?}", world.done());
}
