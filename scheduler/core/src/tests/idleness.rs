//! "I have nothing to do": when it ends a turn, and when it is forgotten.
use super::operations::{Lease, Op, World};
use super::tenant;
use crate::Settings;
use nvshare_protocol::Nanos;

/// Tenants 1 and 2 hold devices 0 and 1.
fn two_holders() -> World {
    let mut world = World::new(Settings::default());
    for who in [1, 2] {
        joins(&mut world, who, &[who as u8 - 1]);
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
    world
}

fn joins(world: &mut World, who: u64, devices: &[u8]) {
    world.apply(&Op::Join { who, holds: false });
    devices.iter().for_each(|&device| world.apply(&Op::Name { who, device }));
    world.apply(&Op::Request { who });
}

fn idle(world: &mut World, who: u64) {
    world.apply(&Op::Idle { who, lease: Lease::Its });
}

fn is_revoked(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some_and(|lease| lease.is_revoked())
}

#[test]
fn an_idle_holder_is_revoked_when_somebody_waits() {
    let mut world = two_holders();
    joins(&mut world, 3, &[0]);
    assert!(!is_revoked(&world, 1));
    idle(&mut world, 1);
    assert!(is_revoked(&world, 1));
}

#[test]
fn idleness_that_nobody_waited_for_is_forgotten() {
    let mut world = two_holders();
    idle(&mut world, 1);
    joins(&mut world, 3, &[0]);
    assert!(!is_revoked(&world, 1));
}

#[test]
fn an_idle_holder_goes_on_until_all_that_the_next_one_needs_can_be_had() {
    let mut world = two_holders();
    joins(&mut world, 3, &[0, 1]);
    idle(&mut world, 1);
    assert!(!is_revoked(&world, 1));
    idle(&mut world, 2);
    assert!(is_revoked(&world, 1) && is_revoked(&world, 2));
}

#[test]
fn idleness_is_forgotten_when_nobody_waits_any_more() {
    let mut world = two_holders();
    joins(&mut world, 3, &[0, 1]);
    idle(&mut world, 1);
    world.apply(&Op::Leave { who: 3 });
    joins(&mut world, 4, &[0]);
    assert!(!is_revoked(&world, 1));
}

#[test]
fn a_cancelled_drain_shows_that_the_tenant_is_not_idle() {
    let mut world = two_holders();
    joins(&mut world, 3, &[0]);
    idle(&mut world, 1);
    world.apply(&Op::Cancel { who: 1, lease: Lease::Its });
    world.apply(&Op::Leave { who: 3 });
    joins(&mut world, 4, &[0]);
    assert!(!is_revoked(&world, 1));
}

#[test]
fn a_drain_that_was_cancelled_is_tried_at_once_when_the_tenant_is_idle() {
    let mut world = two_holders();
    joins(&mut world, 3, &[0]);
    idle(&mut world, 1);
    world.apply(&Op::Cancel { who: 1, lease: Lease::Its });
    world.wait(Nanos::from_millis(1));
    let asked = |world: &World| world.core.engine.model.lease(tenant(1)).unwrap().phase.start;
    let before = asked(&world);
    idle(&mut world, 1);
    assert!(asked(&world) > before, "revoked again before the second is over");
}

#[test]
fn memory_that_is_back_shows_that_the_tenant_is_not_idle() {
    let mut world = World::new(Settings::default());
    joins(&mut world, 1, &[0]);
    joins(&mut world, 2, &[1]);
    joins(&mut world, 3, &[0, 1]);
    idle(&mut world, 1);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    idle(&mut world, 2);
    assert!(!is_revoked(&world, 2), "1 is in the way and has just begun");
}
