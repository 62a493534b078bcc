//! Ways to take what is others', or to make them pay, that once worked. Turns last one second.
use super::operations::{Lease, Op, World};
use super::{device, tenant};
use crate::event::Event;
use crate::model::tenant::Stage;
use crate::settings::Quantum;
use crate::{Priority, Settings};
use nvshare_protocol::Nanos;

const SECOND: Nanos = Nanos(Nanos::SECOND.0);
const GIB: u64 = 1 << 30;

fn seconds(n: u64) -> Nanos {
    Nanos(n * SECOND.0)
}

fn world() -> World {
    World::new(Settings { quantum: Quantum::Fixed(SECOND), ..Settings::default() })
}

fn sharing() -> World {
    World::new(Settings {
        quantum: Quantum::Fixed(SECOND),
        share: true,
        overlap: true,
        ..Settings::default()
    })
}

fn joins(world: &mut World, who: u64, owner: u64, devices: &[u8]) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Own { who, owner });
    devices.iter().for_each(|&device| world.apply(&Op::Name { who, device }));
}

fn comes(world: &mut World, who: u64, owner: u64, devices: &[u8]) {
    joins(world, who, owner, devices);
    world.apply(&Op::Request { who });
}

/// It asks and goes away again, so many times.
fn comes_and_goes(world: &mut World, who: u64, owner: u64, device: u8, times: usize) {
    for _ in 0..times {
        comes(world, who, owner, &[device]);
        world.apply(&Op::Leave { who });
    }
}

fn has(world: &mut World, who: u64, gib: u64) {
    let allocated = gib * GIB;
    world.apply(&Op::Report { who, device: 0, allocated, resident: 0, immovable: 0 });
}

fn holds(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some_and(|lease| !lease.is_unresponsive())
}

fn debt(world: &World, who: u64) -> Nanos {
    let owner = world.core.engine.model.owner_of(tenant(who));
    world.core.engine.model.debts.get(&owner).map_or(Nanos::ZERO, |until| until.saturating_sub(world.now))
}

/// So many steps of a tenth of a second.
fn play(world: &mut World, whom: u64, steps: usize) -> Vec<u64> {
    super::owners::play(world, whom, steps, Nanos::from_millis(100))
}

#[test]
fn who_is_far_back_at_one_device_holds_up_nobody_at_another() {
    let mut world = world();
    for (who, device) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        comes(&mut world, who, who, &[device]);
    }
    // One tenant of each of these users is far back at the second device, and first at the first one.
    (20..40).for_each(|who| comes(&mut world, who, 9, &[1]));
    comes(&mut world, 7, 9, &[0, 1]);
    let grants = play(&mut world, 40, 3_000);
    assert!(grants[1] > 120 && grants[2] > 120, "{grants:?}");
}

#[test]
fn a_rival_that_is_far_back_keeps_no_tenant_with_two_devices_from_its_turns() {
    let mut world = world();
    comes(&mut world, 1, 1, &[0]);
    comes(&mut world, 2, 2, &[0]);
    (20..40).for_each(|who| comes(&mut world, who, 9, &[0]));
    comes(&mut world, 4, 9, &[0, 1]);
    comes(&mut world, 3, 3, &[0, 1]);
    let grants = play(&mut world, 40, 600);
    assert!(grants[3] >= 12, "a fourth of 60 turns, or nearly: {grants:?}");
}

#[test]
fn requests_that_ended_unserved_are_no_rounds() {
    let mut world = world();
    comes(&mut world, 1, 1, &[0]);
    comes(&mut world, 2, 2, &[0]);
    joins(&mut world, 3, 3, &[0]);
    comes_and_goes(&mut world, 4, 3, 0, 50);
    world.apply(&Op::Request { who: 3 });
    play(&mut world, 8, 30);
    assert!(holds(&world, 3) || world.core.engine.model.tenants[&tenant(3)].grants > 0, "within three turns");
}

#[test]
fn many_tenants_of_low_priority_take_little_from_one_of_normal() {
    let mut world = world();
    comes(&mut world, 1, 1, &[0]);
    for who in 10..70 {
        joins(&mut world, who, 99, &[0]);
        world.apply(&Op::Prioritise { who, priority: Priority::Low });
        world.apply(&Op::Request { who });
    }
    let mut held = 0;
    for _ in 0..3_000 {
        held += u64::from(holds(&world, 1));
        play(&mut world, 70, 1);
    }
    assert!(held >= 2_850, "{held} of 3000: one low one at a time may starve");
}

#[test]
fn an_owners_tenants_of_low_priority_do_not_set_its_high_one_back() {
    let mut world = world();
    let asks = |world: &mut World, who, owner, priority| {
        joins(world, who, owner, &[0]);
        world.apply(&Op::Prioritise { who, priority });
        world.apply(&Op::Request { who });
    };
    (10..13).for_each(|who| asks(&mut world, who, 2, Priority::High));
    (20..40).for_each(|who| asks(&mut world, who, 1, Priority::Low));
    asks(&mut world, 3, 1, Priority::High);
    play(&mut world, 40, 50);
    assert!(world.core.engine.model.tenants[&tenant(3)].grants > 0, "within five turns");
}

#[test]
fn places_of_rounds_that_have_gone_by_do_not_come_back() {
    let mut world = world();
    comes(&mut world, 0, 1, &[0]);
    comes(&mut world, 1, 2, &[0]);
    (10..30).for_each(|who| comes(&mut world, who, 1, &[0]));
    joins(&mut world, 3, 1, &[0]);
    let waits =
        |world: &World, who| matches!(world.core.engine.model.tenants[&tenant(who)].stage, Stage::Waiting(_));
    let stopped: Vec<u64> = (10..30).filter(|who| waits(&world, *who)).collect();
    stopped.iter().for_each(|who| world.apply(&Op::Stop { who: *who, stopped: true }));
    world.apply(&Op::Request { who: 3 });
    play(&mut world, 40, 300);
    assert!(world.core.engine.model.tenants[&tenant(3)].grants > 0, "its round was far ahead");
    stopped.iter().for_each(|who| world.apply(&Op::Stop { who: *who, stopped: false }));
    let before = play(&mut world, 40, 1);
    let after = play(&mut world, 40, 250);
    assert!(after[1] - before[1] >= 10, "half of 25 turns, or nearly: {before:?} {after:?}");
}

#[test]
fn places_are_not_kept_aside_either() {
    let mut world = sharing();
    for who in [0, 1] {
        joins(&mut world, who, who + 1, &[0]);
        world.apply(&Op::Swap { who });
        has(&mut world, who, 12);
        world.apply(&Op::Request { who });
    }
    // There cannot be room for these, until they say that they need less.
    for who in 10..30 {
        joins(&mut world, who, 1, &[0]);
        world.apply(&Op::Swap { who });
        has(&mut world, who, 40);
        world.apply(&Op::Request { who });
    }
    joins(&mut world, 3, 1, &[0]);
    world.apply(&Op::Swap { who: 3 });
    has(&mut world, 3, 12);
    play(&mut world, 40, 100);
    world.apply(&Op::Request { who: 3 });
    let before = play(&mut world, 40, 300);
    (10..30).for_each(|who| has(&mut world, who, 12));
    let after = play(&mut world, 40, 200);
    assert!(after[1] - before[1] >= 8, "half of 20 turns, or nearly: {before:?} {after:?}");
}

/// Silent, or stopped, where nobody waits: whoever comes then goes on at once, and has lost nothing.
#[test]
fn time_in_which_nobody_waited_is_nobodys_loss() {
    for stops in [false, true] {
        let mut world = world();
        comes(&mut world, 1, 1, &[0]);
        if stops {
            world.apply(&Op::Stop { who: 1, stopped: true });
        }
        world.wait(seconds(100));
        comes(&mut world, 2, 2, &[0]);
        assert!(holds(&world, 2));
        assert_eq!(debt(&world, 1), Nanos::ZERO);
    }
}

#[test]
fn who_came_after_the_revocation_has_lost_what_it_waited_and_no_more() {
    let mut world = world();
    comes(&mut world, 1, 1, &[0]);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    comes(&mut world, 2, 2, &[0]);
    world.wait(Nanos::from_millis(1_100));
    world.apply(&Op::Leave { who: 2 });
    world.wait(Nanos::from_millis(4_800));
    comes(&mut world, 3, 3, &[0]);
    world.wait(Nanos::from_millis(100));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert_eq!(debt(&world, 1), Nanos::ZERO);
}

#[test]
fn who_is_late_for_its_own_kin_owes_nobody_anything() {
    let mut world = sharing();
    for (who, owner, gib) in [(1, 1, 8), (2, 2, 1), (3, 1, 10)] {
        joins(&mut world, who, owner, &[0]);
        has(&mut world, who, gib);
    }
    for who in [2, 1] {
        world.apply(&Op::Request { who });
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
    world.apply(&Op::Request { who: 3 });
    world.wait(seconds(5));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert_eq!(debt(&world, 1), Nanos::ZERO);
    assert!(holds(&world, 3));
}

#[test]
fn who_dies_while_its_memory_comes_owes_nothing() {
    let mut world = world();
    joins(&mut world, 1, 1, &[0]);
    has(&mut world, 1, 12);
    world.apply(&Op::Request { who: 1 });
    comes(&mut world, 2, 2, &[0]);
    joins(&mut world, 3, 1, &[0]);
    world.wait(seconds(4));
    world.apply(&Op::Leave { who: 1 });
    assert_eq!(debt(&world, 3), Nanos::ZERO);
}

/// In debt, and nobody else is there any more.
#[test]
fn a_debtor_goes_on_where_nobody_else_waits() {
    let mut world = world();
    comes(&mut world, 1, 1, &[0]);
    comes(&mut world, 2, 2, &[0]);
    world.wait(seconds(5));
    assert!(debt(&world, 1) > seconds(10) && holds(&world, 2), "silent for 5 s");
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    world.apply(&Op::Request { who: 1 });
    world.wait(SECOND);
    assert!(!holds(&world, 1));
    world.apply(&Op::Leave { who: 2 });
    assert!(holds(&world, 1));
}

/// Of one user's low tenants, two at one device and one at another, beside tenants of high priority that always want both.
#[test]
fn tenants_that_starve_at_one_device_do_not_keep_their_kin_starving_at_another() {
    let mut world = world();
    for (who, owner, device, priority) in [
        (8, 1, 0, Priority::High),
        (9, 2, 3, Priority::High),
        (1, 5, 0, Priority::Low),
        (2, 5, 0, Priority::Low),
        (3, 5, 3, Priority::Low),
    ] {
        joins(&mut world, who, owner, &[device]);
        world.apply(&Op::Prioritise { who, priority });
        world.apply(&Op::Request { who });
    }
    let grants = play(&mut world, 10, 2_000);
    assert!(grants[3] >= 2, "200 s, a turn a minute: {grants:?}");
}

/// High priority keeps one device for the time in which others starve, and who waits for both must not keep the other one
/// free for so long.
fn waits_beside_a_high_holder(singles: &[u64]) -> World {
    let mut world = world();
    joins(&mut world, 8, 8, &[1]);
    world.apply(&Op::Prioritise { who: 8, priority: Priority::High });
    world.apply(&Op::Request { who: 8 });
    world.apply(&Op::Ready { who: 8, lease: Lease::Its });
    comes(&mut world, 2, 2, &[0, 1]);
    singles.iter().for_each(|&who| comes(&mut world, who, who, &[0]));
    world
}

#[test]
fn who_waits_for_a_turn_at_another_device_keeps_none_free() {
    let mut world = waits_beside_a_high_holder(&[3]);
    let mut held = 0;
    for _ in 0..600 {
        held += u64::from(holds(&world, 3));
        play(&mut world, 10, 1);
    }
    let grants = play(&mut world, 10, 0);
    assert!(held >= 500 && grants[2] == 0, "{held} of 600: {grants:?}");
    let grants = play(&mut world, 10, 70);
    assert_eq!(grants[2], 1, "it has starved for a minute and has its turn");
}

#[test]
fn those_who_fill_a_gap_take_turns() {
    let mut world = waits_beside_a_high_holder(&[3, 4, 5]);
    let grants = play(&mut world, 10, 500);
    assert!((3..=5).all(|who| grants[who] >= 12), "49 turns of a second: {grants:?}");
}

/// Long turns at one device and short ones at the other: each short one fits into what is left of a long one, and none of
/// them puts the start of who waits for both off.
#[test]
fn those_who_fill_gaps_at_two_devices_do_not_keep_who_needs_both_waiting() {
    let mut world = world();
    for (n, turn) in [(0, 1), (1, 5)] {
        let quantum = Some(Quantum::Fixed(seconds(turn)));
        world.tell(Event::SetDeviceQuantum { device: device(n), quantum });
    }
    [3, 4].into_iter().for_each(|who| comes(&mut world, who, who, &[0]));
    [5, 6].into_iter().for_each(|who| comes(&mut world, who, who, &[1]));
    comes(&mut world, 2, 2, &[0, 1]);
    let grants = play(&mut world, 10, 1_500);
    assert!(grants[2] >= 9, "each third of 30 turns of five seconds: {grants:?}");
    assert!((3..=4).all(|who| grants[who] >= 35), "of 100 s that the other device is others': {grants:?}");
}

/// The one with devices 0 and 1 waits for the one with 1 and 2, which waits for the high one.
#[test]
fn who_waits_for_one_that_waits_itself_keeps_none_free_either() {
    let mut world = waits_beside_a_high_holder(&[]);
    comes(&mut world, 3, 3, &[2, 0]);
    comes(&mut world, 4, 4, &[2]);
    let mut held = [0; 2];
    for _ in 0..500 {
        held[0] += u64::from(holds(&world, 3));
        held[1] += u64::from(holds(&world, 4));
        play(&mut world, 10, 1);
    }
    assert!(held[0] >= 200 && held[1] >= 200, "they take turns at device 2: {held:?} of 500");
    let grants = play(&mut world, 10, 120);
    assert_eq!(grants[2], 1, "it has its turn after a minute");
}

#[test]
fn a_chain_of_those_who_wait_ends_at_one_that_goes_on() {
    let mut world = world();
    joins(&mut world, 8, 8, &[3]);
    world.apply(&Op::Prioritise { who: 8, priority: Priority::High });
    world.apply(&Op::Request { who: 8 });
    world.apply(&Op::Ready { who: 8, lease: Lease::Its });
    for who in [3, 2, 1] {
        comes(&mut world, who, who, &[who as u8 - 1, who as u8]);
    }
    comes(&mut world, 5, 5, &[0]);
    let grants = play(&mut world, 10, 500);
    assert!(grants[1] >= 20 && grants[5] >= 20, "turns at device 0, and 1 beside it: {grants:?}");
    assert!(grants[2] >= 20, "and those of the second at devices 1 and 2: {grants:?}");
    assert_eq!(grants[3], 0, "which waits for the high one");
}

/// One user has a tenant with both devices and two with the first; others want each of them too.
#[test]
fn kin_that_fill_a_gap_do_not_count_as_keeping_who_needs_both() {
    for turns in [1, 5, 10, 30] {
        let mut world = world();
        turns_last(&mut world, 1, turns);
        [(1, 1), (5, 1), (6, 6)].into_iter().for_each(|(who, owner)| comes(&mut world, who, owner, &[0]));
        comes(&mut world, 2, 1, &[0, 1]);
        [3, 4].into_iter().for_each(|who| comes(&mut world, who, who, &[1]));
        let grants = play(&mut world, 8, 3_000);
        let fair = 300 / (3 * turns) / 3;
        assert!(grants[2] >= fair.min(10), "turns of {turns} s: {grants:?}");
    }
}

fn turns_last(world: &mut World, n: u8, turn: u64) {
    let quantum = Some(Quantum::Fixed(seconds(turn)));
    world.tell(Event::SetDeviceQuantum { device: device(n), quantum });
}

#[test]
fn a_turn_that_others_wait_for_does_not_grow_with_a_device_that_its_tenant_names() {
    let mut world = world();
    turns_last(&mut world, 5, 60);
    comes(&mut world, 1, 1, &[0]);
    comes(&mut world, 2, 2, &[0]);
    world.apply(&Op::Name { who: 1, device: 5 });
    let grants = play(&mut world, 8, 15);
    assert_eq!(grants[2], 1, "after a second: {grants:?}");
}

#[test]
fn many_who_wait_for_the_same_devices_keep_nobody_from_others() {
    let mut world = world();
    (100..140).for_each(|who| comes(&mut world, who, who, &[0, 1]));
    comes(&mut world, 7, 7, &[2, 3]);
    assert!(holds(&world, 7));
}

#[test]
fn one_whose_turn_is_too_long_for_a_gap_keeps_none_that_fits_from_it() {
    let mut world = waits_beside_a_high_holder(&[]);
    joins(&mut world, 3, 3, &[0]);
    world.apply(&Op::Weigh { who: 3, weight: 100 });
    world.apply(&Op::Request { who: 3 });
    comes(&mut world, 4, 4, &[0]);
    let grants = play(&mut world, 10, 500);
    assert!(grants[4] >= 1 && holds(&world, 4), "{grants:?}");
}
