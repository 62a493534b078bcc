//! Tenants of high, normal and low priority: who comes first, who gives way, and that nobody starves.
use super::figures::{per_mille, seconds, settings};
use super::operations::{Lease, Op, World};
use super::world::World as Cards;
use super::world::card::SMALL;
use super::world::client::{Load, Spec};
use super::{gib, tenant};
use crate::model::priority::Priority::{self, High, Low, Normal};
use crate::model::settings::Settings;
use nvshare_protocol::Nanos;

const GIB: u64 = 1 << 30;

fn sharing() -> World {
    let settings = Settings { share: true, overlap: true, reserve: gib(1), ..Settings::default() };
    World::new(settings)
}

/// Joins with so many GiB on device 0 of 15 and asks.
fn asks(world: &mut World, who: u64, priority: Priority, size: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Prioritise { who, priority });
    world.apply(&Op::Name { who, device: 0 });
    let bytes = size * GIB;
    world.apply(&Op::Report { who, device: 0, allocated: bytes, resident: bytes, immovable: 0 });
    world.apply(&Op::Request { who });
    if holds(world, who) {
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
}

fn holds(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some()
}

fn told_to_leave(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some_and(|lease| lease.is_revoked())
}

/// Moves out all that it has and answers; the next one is ready at once.
fn leaves(world: &mut World, who: u64, next: u64) {
    let bytes = 12 * GIB;
    world.apply(&Op::Report { who, device: 0, allocated: bytes, resident: 0, immovable: 0 });
    world.apply(&Op::Release { who, lease: Lease::Its, evicted: bytes });
    assert!(holds(world, next), "{next} is next");
    world.apply(&Op::Report { who: next, device: 0, allocated: bytes, resident: bytes, immovable: 0 });
    world.apply(&Op::Ready { who: next, lease: Lease::Its });
}

#[test]
fn the_line_is_in_the_order_of_priorities_and_within_them_of_arrival() {
    let mut world = sharing();
    asks(&mut world, 0, High, 12);
    for (who, priority) in [(1, Low), (2, Normal), (3, Low), (4, High), (5, Normal)] {
        asks(&mut world, who, priority, 12);
    }
    let waiting = world.core.snapshot().devices[0].waiting.clone();
    assert_eq!(waiting, [4, 2, 5, 1, 3].map(tenant));
    world.apply(&Op::Prioritise { who: 3, priority: High });
    let waiting = world.core.snapshot().devices[0].waiting.clone();
    assert_eq!(waiting, [3, 4, 2, 5, 1].map(tenant), "it has been there since before 4");
}

#[test]
fn a_lower_holder_gives_way_at_once_and_an_equal_one_has_its_turn() {
    for (holder, waiter, at_once) in [
        (Low, Normal, true),
        (Low, High, true),
        (Normal, High, true),
        (Normal, Normal, false),
        (High, High, false),
    ] {
        let mut world = sharing();
        asks(&mut world, 1, holder, 12);
        world.wait(seconds(1));
        asks(&mut world, 2, waiter, 12);
        assert_eq!(told_to_leave(&world, 1), at_once, "{holder:?} {waiter:?}");
        world.wait(seconds(29));
        assert!(told_to_leave(&world, 1), "{holder:?} {waiter:?}");
    }
}

#[test]
fn a_holder_that_brings_its_memory_in_gives_way_when_it_is_there() {
    let mut world = sharing();
    asks(&mut world, 1, Low, 12);
    asks(&mut world, 2, High, 12);
    leaves(&mut world, 1, 2);
    world.apply(&Op::Request { who: 1 });
    world.apply(&Op::Report { who: 2, device: 0, allocated: 12 * GIB, resident: 0, immovable: 0 });
    world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 1));
    world.apply(&Op::Request { who: 2 });
    assert!(!told_to_leave(&world, 1));
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    assert!(told_to_leave(&world, 1));
}

#[test]
fn those_that_fit_are_not_touched_and_the_lowest_leaves_where_one_has_to() {
    let mut world = sharing();
    asks(&mut world, 1, Normal, 5);
    asks(&mut world, 2, Low, 5);
    asks(&mut world, 3, Low, 2);
    asks(&mut world, 4, High, 3);
    assert!((1..=4).all(|who| holds(&world, who) && !told_to_leave(&world, who)));
    asks(&mut world, 5, High, 4);
    assert_eq!([1, 2, 3, 4].map(|who| told_to_leave(&world, who)), [false, true, false, false]);
}

#[test]
fn a_busy_holder_goes_on_for_a_lower_one_until_that_has_starved() {
    let mut world = sharing();
    asks(&mut world, 1, High, 12);
    asks(&mut world, 2, Low, 12);
    world.wait(seconds(60).saturating_sub(Nanos(1)));
    assert!(!told_to_leave(&world, 1), "its quantum of 30 s is over");
    world.wait(Nanos(1));
    assert!(told_to_leave(&world, 1));
    // Without work it gives way to anybody.
    let mut world = sharing();
    asks(&mut world, 1, High, 12);
    asks(&mut world, 2, Low, 12);
    world.apply(&Op::Idle { who: 1, lease: Lease::Its });
    assert!(told_to_leave(&world, 1));
}

#[test]
fn who_has_starved_has_one_whole_turn() {
    let mut world = sharing();
    asks(&mut world, 1, High, 12);
    asks(&mut world, 2, Low, 12);
    world.wait(seconds(60));
    leaves(&mut world, 1, 2);
    world.apply(&Op::Request { who: 1 });
    world.wait(seconds(30).saturating_sub(Nanos(1)));
    assert!(!told_to_leave(&world, 2));
    world.wait(Nanos(1));
    assert!(told_to_leave(&world, 2));
    leaves(&mut world, 2, 1);
    world.apply(&Op::Request { who: 2 });
    world.wait(seconds(59));
    assert!(!told_to_leave(&world, 1), "from then on it waits as before");
}

#[test]
fn turns_that_are_broken_off_again_and_again_count_as_waited_for() {
    let mut world = sharing();
    asks(&mut world, 1, Low, 12);
    asks(&mut world, 2, High, 12);
    // The high one comes back each time that the low one has had a second.
    for _ in 0..7 {
        leaves(&mut world, 1, 2);
        world.apply(&Op::Request { who: 1 });
        world.wait(seconds(9));
        world.apply(&Op::Idle { who: 2, lease: Lease::Its });
        leaves(&mut world, 2, 1);
        world.wait(seconds(1));
        world.apply(&Op::Request { who: 2 });
        assert!(world.now >= seconds(70) || told_to_leave(&world, 1), "{:?}", world.now);
    }
    assert!(!told_to_leave(&world, 1), "it has asked for this turn a minute ago");
    world.wait(seconds(29).saturating_sub(Nanos(1)));
    assert!(!told_to_leave(&world, 1), "a whole one");
    world.wait(Nanos(1));
    assert!(told_to_leave(&world, 1));
}

#[test]
fn among_equals_nobody_starves_and_nothing_is_otherwise() {
    let mut world = sharing();
    world.apply(&Op::SetQuantum(1_000_000));
    asks(&mut world, 1, Normal, 12);
    asks(&mut world, 2, Normal, 12);
    world.wait(seconds(999));
    assert!(!told_to_leave(&world, 1));
    assert!(world.core.snapshot().devices[0].waiting == [tenant(2)]);
}

fn run(specs: &[Spec], time: Nanos) -> Cards {
    let mut world = Cards::new(settings(), &[SMALL], 1);
    for spec in specs {
        let at = world.some(Nanos::from_millis(100));
        world.add(spec.clone(), at);
    }
    world.run(time);
    assert!(world.clients.iter().all(|client| client.figures.refused == 0), "granted without room");
    world
}

#[test]
fn a_low_batch_tenant_beside_a_high_one_has_a_turn_a_minute() {
    let spec = |priority| Spec { priority, ..Spec::batch(12) };
    let world = run(&[spec(High), spec(Low)], seconds(600));
    let computed = |c: usize| per_mille(world.clients[c].figures.computed, world.now);
    let turn = world.core.as_ref().unwrap().snapshot().devices[0].quantum;
    let each_minute = 1000 * turn.0 / seconds(60).0;
    assert!(computed(0) >= 900 - each_minute, "{}", computed(0));
    assert!(computed(1).abs_diff(each_minute) <= each_minute / 3, "{} of {each_minute}", computed(1));
    let longest = world.clients[1].figures.longest_wait;
    assert!(longest <= seconds(65), "{longest:?}");
    // No hand-over is for nothing.
    assert!(world.clients[0].figures.grants <= 11, "{}", world.clients[0].figures.grants);
}

#[test]
fn shares_by_weight_among_equals_stay_beside_a_higher_one() {
    let mut specs = [2, 1, 1].map(|weight| Spec { weight, priority: Low, ..Spec::batch(8) }).to_vec();
    let work = Nanos::from_millis(300);
    specs.push(Spec { priority: High, ..Spec::new(8, Load::Bursts { work, every: seconds(10) }) });
    let world = run(&specs, seconds(1200));
    let computed = |c: usize| world.clients[c].figures.computed.0;
    let all: u64 = (0..3).map(computed).sum();
    for (c, expected) in [500, 250, 250].into_iter().enumerate() {
        let share = computed(c) * 1000 / all;
        assert!(share.abs_diff(expected) <= expected / 10, "{c}: {share}");
    }
    let mut bursts = world.clients[3].figures.bursts.clone();
    bursts.sort_unstable();
    assert!(bursts[bursts.len() * 95 / 100] <= seconds(3), "{bursts:?}");
}

#[test]
fn an_eager_tenant_comes_before_its_equals_and_not_before_its_betters() {
    let bursts = Load::Bursts { work: Nanos::from_millis(50), every: seconds(1) };
    let latency = |batch, own| {
        let interactive = Spec { priority: own, ..Spec::new(4, bursts) };
        let world = run(&[Spec { priority: batch, ..Spec::batch(14) }, interactive], seconds(300));
        let mut bursts = world.clients[1].figures.bursts.clone();
        bursts.sort_unstable();
        (bursts[bursts.len() / 2], bursts.len())
    };
    for priority in Priority::ALL {
        let (median, _) = latency(priority, priority);
        assert!(median <= seconds(1), "{priority:?}: {median:?}");
    }
    let (_, served) = latency(High, Low);
    assert!(served <= 10, "{served} bursts of a low tenant broke into the turns of a high one");
}
