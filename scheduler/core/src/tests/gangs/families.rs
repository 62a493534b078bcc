//! Jobs that nobody has told of: it is known which processes are of one family, and no more.
use super::*;

/// Each job's processes are of a family of their own, and meet before they begin, as all launchers let them.
fn of_families(world: &mut World) {
    for (number, job) in world.jobs.iter_mut().enumerate() {
        (job.family, job.meets_first) = (Some(number as u64 + 1), true);
    }
}

/// All jobs go on, however long that takes at first.
fn goes_on(world: &mut World, what: &str) {
    world.run(seconds(90));
    let before = world.done();
    world.jobs.iter_mut().for_each(|job| (job.stall, job.last) = (Nanos::ZERO, world.now));
    world.run(seconds(60));
    let done: Vec<u64> = world.done().iter().zip(&before).map(|(after, before)| after - before).collect();
    assert!(done.iter().all(|done| *done > 500), "{what}: {done:?} collectives\n{}", world.tail());
    let stall = world.jobs.iter().map(|job| job.stall).max().unwrap();
    assert!(stall < seconds(25), "{what}: a stall of {stall:?}\n{}", world.tail());
    world.replays();
}

/// On an H200 two jobs locked each other for ever: one process of each was inside a kernel, and there was no room for a
/// third one.
#[test]
fn two_jobs_on_one_device_do_not_lock_in_whatever_order_they_come() {
    for seed in 0..40 {
        let mut world = World::new(settings(), gib(16), seed);
        for _ in 0..2 {
            world.prepare(&[0, 0], gib(6), None);
        }
        of_families(&mut world);
        world.start_apart(Nanos::from_millis(800));
        goes_on(&mut world, &format!("seed {seed}"));
    }
}

#[test]
fn jobs_that_allocate_when_they_run_do_not_lock_either() {
    for seed in 0..40 {
        let mut world = World::new(settings(), gib(16), seed);
        for _ in 0..2 {
            world.growing(&[0, 0], gib(6), Nanos::from_millis(1500), None);
        }
        of_families(&mut world);
        world.start_apart(Nanos::from_millis(800));
        goes_on(&mut world, &format!("seed {seed}"));
    }
}

#[test]
fn jobs_on_crossed_devices_do_not_lock_either() {
    for seed in 0..40 {
        let mut world = World::new(settings(), gib(16), seed);
        world.prepare(&[0, 1], gib(12), None);
        world.prepare(&[1, 0], gib(12), None);
        of_families(&mut world);
        world.start_apart(Nanos::from_millis(800));
        goes_on(&mut world, &format!("seed {seed}"));
    }
}

/// Nobody knows of it: then a process that does not get its memory may wait for ever, and no other job does.
#[test]
fn a_family_that_fits_beside_another_runs_beside_it() {
    let mut world = World::new(settings(), gib(16), 1);
    for _ in 0..2 {
        world.prepare(&[0, 0], gib(3), None);
    }
    of_families(&mut world);
    world.start_apart(Nanos::from_millis(800));
    world.run(seconds(60));
    let before = world.done();
    world.run(seconds(30));
    let rates: Vec<u64> = world.done().iter().zip(&before).map(|(after, before)| after - before).collect();
    // Alone each has about 65 a second.
    assert!(rates.iter().all(|rate| *rate > 30 * 50), "{rates:?}");
}
