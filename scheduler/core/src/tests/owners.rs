//! Owners are served in turn, however many tenants each has.
use super::operations::{Lease, Op, World};
use super::tenant;
use crate::Settings;
use crate::settings::Quantum;
use nvshare_protocol::Nanos;

const SECOND: Nanos = Nanos(Nanos::SECOND.0);

fn world() -> World {
    World::new(Settings { quantum: Quantum::Fixed(SECOND), ..Settings::default() })
}

fn comes(world: &mut World, who: u64, owner: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Own { who, owner });
    world.apply(&Op::Name { who, device: 0 });
    world.apply(&Op::Request { who });
}

fn holder(world: &World) -> Option<u64> {
    let holds =
        |who: &u64| world.core.engine.model.lease(tenant(*who)).is_some_and(|lease| !lease.is_unresponsive());
    (0..8).find(holds)
}

/// Each holder has its turn, leaves and asks again; who they were.
fn turns(world: &mut World, count: usize) -> Vec<u64> {
    let mut turns = Vec::new();
    for _ in 0..count {
        let who = holder(world).unwrap();
        turns.push(who);
        world.apply(&Op::Ready { who, lease: Lease::Its });
        world.wait(SECOND);
        world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
        world.apply(&Op::Request { who });
    }
    turns
}

#[test]
fn an_owner_with_many_tenants_has_no_more_turns_than_one_with_one() {
    let mut world = world();
    (1..=6).for_each(|who| comes(&mut world, who, 1));
    comes(&mut world, 7, 2);
    let turns = turns(&mut world, 24);
    let of_one = turns.iter().filter(|who| **who == 7).count();
    assert!((11..=13).contains(&of_one), "{turns:?}");
    let of_each = |who| turns.iter().filter(|other| **other == who).count();
    assert!((1..=6).all(|who| (2..=3).contains(&of_each(who))), "and its own are served in turn: {turns:?}");
}

#[test]
fn who_is_told_to_leave_for_another_stands_behind_it() {
    let mut world = world();
    for (who, owner) in [(1, 1), (2, 1), (3, 2)] {
        comes(&mut world, who, owner);
    }
    // The first of its owner's that wait goes away, and the other keeps its place in the round after.
    world.apply(&Op::Leave { who: 2 });
    comes(&mut world, 4, 1);
    let turns = turns(&mut world, 8);
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "nobody leaves to come back at once: {turns:?}");
}

#[test]
fn time_that_was_kept_from_others_is_paid_back_four_times() {
    let mut world = world();
    comes(&mut world, 1, 1);
    comes(&mut world, 2, 2);
    world.wait(Nanos(5 * SECOND.0));
    assert_eq!(holder(&world), Some(2), "the first gave no sign of life for 5 s");
    comes(&mut world, 3, 1);
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.wait(Nanos(20 * SECOND.0 - 1));
    assert_eq!(holder(&world), Some(2), "its owner's others stand back for 20 s");
    world.wait(Nanos(1));
    assert!(world.core.engine.model.lease(tenant(2)).unwrap().is_revoked());
}

#[test]
fn a_turn_that_never_begins_is_paid_back_though_it_ends_within_its_bound() {
    let mut world = world();
    comes(&mut world, 1, 1);
    comes(&mut world, 2, 2);
    world.wait(Nanos(4 * SECOND.0));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert_eq!(holder(&world), Some(2));
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.apply(&Op::Request { who: 1 });
    // Four times what is beyond half a second.
    world.wait(Nanos(14 * SECOND.0 - 1));
    assert!(world.core.engine.model.lease(tenant(2)).unwrap().revocation().is_none());
    world.wait(Nanos(1));
    assert!(world.core.engine.model.lease(tenant(2)).unwrap().is_revoked());
}

#[test]
fn who_leaves_late_pays_for_it_though_within_its_bound() {
    let mut world = world();
    comes(&mut world, 1, 1);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    comes(&mut world, 2, 2);
    world.wait(SECOND);
    assert!(world.core.engine.model.lease(tenant(1)).unwrap().is_revoked());
    world.wait(Nanos(4 * SECOND.0));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.apply(&Op::Request { who: 1 });
    world.wait(Nanos(7 * SECOND.0 - 1));
    assert!(world.core.engine.model.lease(tenant(2)).unwrap().revocation().is_none());
    world.wait(Nanos(1));
    assert!(world.core.engine.model.lease(tenant(2)).unwrap().is_revoked());
}

fn on_both(world: &mut World, who: u64, owner: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Own { who, owner });
    (0..2).for_each(|device| world.apply(&Op::Name { who, device }));
    world.apply(&Op::Request { who });
}

/// Each step, those of the first `whom` that are granted are ready, and who is told to leave leaves and asks again; how often
/// each was granted.
pub fn play(world: &mut World, whom: u64, steps: usize, step: Nanos) -> Vec<u64> {
    for _ in 0..steps {
        for who in 0..whom {
            let Some(lease) = world.core.engine.model.lease(tenant(who)) else { continue };
            let (ready, told) = (lease.ready_at.is_some(), lease.is_revoked());
            if told {
                world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
                world.apply(&Op::Request { who });
            } else if !ready {
                world.apply(&Op::Ready { who, lease: Lease::Its });
            }
        }
        world.wait(step);
    }
    let grants = |who| world.core.engine.model.tenants.get(&tenant(who)).map_or(0, |tenant| tenant.grants);
    (0..whom).map(grants).collect()
}

#[test]
fn a_tenant_with_two_devices_has_turns_though_its_kin_always_wants_one_of_them() {
    let mut world = world();
    comes(&mut world, 1, 1);
    on_both(&mut world, 2, 1);
    world.apply(&Op::Join { who: 3, holds: false });
    world.apply(&Op::Own { who: 3, owner: 2 });
    world.apply(&Op::Name { who: 3, device: 1 });
    world.apply(&Op::Request { who: 3 });
    let grants = play(&mut world, 8, 600, Nanos::from_millis(100));
    assert!((1..=3).all(|who| grants[who] >= 10), "60 s of turns of one second: {grants:?}");
}

#[test]
fn short_turns_at_one_device_leave_owners_their_rounds_at_another() {
    for others in [vec![5], vec![5, 6], vec![5, 6, 7]] {
        let mut world = world();
        (1..=3).for_each(|who| comes(&mut world, who, 1));
        comes(&mut world, 4, 2);
        for &who in &others {
            world.apply(&Op::Join { who, holds: false });
            world.apply(&Op::Own { who, owner: who });
            world.apply(&Op::Name { who, device: 1 });
        }
        let mut grants = Vec::new();
        for _ in 0..2_000 {
            for &who in &others {
                // A holder leaves, and asks again.
                world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
                world.apply(&Op::Request { who });
            }
            grants = play(&mut world, 8, 1, Nanos::from_millis(50));
        }
        let many: u64 = grants[1..=3].iter().sum();
        assert!(grants[4].abs_diff(many) <= 4, "{} others: {grants:?}", others.len());
    }
}

/// Each of them always comes anew, as another user: what its name had is forgotten, or never was.
#[test]
fn those_who_come_under_new_names_again_and_again_keep_nobody_from_a_turn() {
    let mut world = world();
    comes(&mut world, 0, 0);
    (1..=2).for_each(|who| comes(&mut world, who, who));
    for turn in 0..30 {
        let Some(who) = holder(&world) else { panic!("nobody holds after {turn} turns") };
        world.apply(&Op::Ready { who, lease: Lease::Its });
        world.wait(SECOND);
        if who > 0 {
            world.apply(&Op::Leave { who });
            comes(&mut world, who, 10 + turn);
        } else {
            world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
            world.apply(&Op::Request { who });
        }
    }
    let grants = world.core.engine.model.tenants[&tenant(0)].grants;
    assert!((9..=11).contains(&grants), "{grants} of 30 turns");
}

#[test]
fn a_tenant_with_two_devices_has_its_turns_where_one_of_them_changes_hands_often() {
    let mut world = world();
    on_both(&mut world, 0, 1);
    for (who, device) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1)] {
        world.apply(&Op::Join { who, holds: false });
        // Three owners at the first device, and one at the second.
        world.apply(&Op::Own { who, owner: if device == 0 { who + 10 } else { 2 } });
        world.apply(&Op::Name { who, device });
        world.apply(&Op::Request { who });
    }
    let mut grants = Vec::new();
    for _ in 0..4_000 {
        for who in 1..=3 {
            let ready =
                world.core.engine.model.lease(tenant(who)).is_some_and(|lease| lease.ready_at.is_some());
            if ready {
                world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
                world.apply(&Op::Request { who });
            }
        }
        grants = play(&mut world, 8, 1, Nanos::from_millis(50));
    }
    let of_one: u64 = grants[4..=6].iter().sum();
    assert!(grants[0] * 3 >= of_one, "each other turn at the second device, or nearly: {grants:?}");
    assert!(
        (1..=3).all(|who| grants[who] + 4 >= grants[0]),
        "and as many as the others at the first: {grants:?}"
    );
}

#[test]
fn what_an_owner_does_to_itself_is_its_own_matter() {
    let mut world = world();
    comes(&mut world, 1, 1);
    comes(&mut world, 2, 1);
    world.wait(Nanos(5 * SECOND.0));
    assert_eq!(holder(&world), Some(2));
    comes(&mut world, 3, 1);
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.wait(SECOND);
    world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
    assert_eq!(holder(&world), Some(3));
}
