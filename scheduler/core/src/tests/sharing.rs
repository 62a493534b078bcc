//! Tenants that hold a device together: who may, who must leave, who is told.
use super::operations::{Lease, Op, World};
use super::{gib, tenant};
use crate::Settings;
use crate::event::{Action, Event, EvictMode};
use crate::memory::budget;

const GIB: u64 = 1 << 30;

fn sharing() -> World {
    World::new(Settings { share: true, overlap: true, reserve: gib(1), ..Settings::default() })
}

/// Joins with so many GiB on device 0 and asks.
fn asks(world: &mut World, who: u64, size: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Name { who, device: 0 });
    world.apply(&Op::Report { who, device: 0, allocated: size * GIB, resident: 0, immovable: 0 });
    world.apply(&Op::Request { who });
}

fn holds(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some()
}

#[test]
fn all_that_fit_are_granted_at_once_when_a_holder_leaves() {
    let mut world = sharing();
    for (who, size) in [(1, 12), (2, 4), (3, 4), (4, 4), (5, 4)] {
        asks(&mut world, who, size);
    }
    assert!(holds(&world, 1) && !holds(&world, 2));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert!((2..5).all(|who| holds(&world, who)) && !holds(&world, 5));
}

#[test]
fn holders_that_grew_while_nobody_was_to_share_leave_when_sharing_is_back() {
    let mut world = sharing();
    asks(&mut world, 1, 4);
    asks(&mut world, 2, 4);
    world.apply(&Op::SetEvict(EvictMode::Always));
    world.apply(&Op::Report { who: 1, device: 0, allocated: 12 * GIB, resident: 4 * GIB, immovable: 0 });
    world.apply(&Op::SetEvict(EvictMode::Pressure));
    let revoked = |who| world.core.engine.model.lease(tenant(who)).unwrap().is_revoked();
    assert!(revoked(1) ^ revoked(2));
}

#[test]
fn leftovers_on_several_devices_are_asked_for_together() {
    let mut world = sharing();
    for who in [1, 2] {
        world.apply(&Op::Join { who, holds: false });
        for device in [0, 1] {
            world.apply(&Op::Name { who, device });
            let resident = if who == 1 { 12 * GIB } else { 0 };
            world.apply(&Op::Report { who, device, allocated: 12 * GIB, resident, immovable: 0 });
        }
    }
    let actions = world.tell(Event::Requested { tenant: tenant(2) });
    let [Action::Evict { tenant: asked, shares }, ..] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*asked, tenant(1));
    assert_eq!(shares.iter().map(|share| share.bytes).collect::<Vec<_>>(), [gib(9), gib(9)]);
    world.apply(&Op::Report { who: 1, device: 0, allocated: 12 * GIB, resident: 3 * GIB, immovable: 0 });
    assert!(!holds(&world, 2), "the other device is still full");
    world.apply(&Op::Report { who: 1, device: 1, allocated: 12 * GIB, resident: 3 * GIB, immovable: 0 });
    assert!(holds(&world, 2));
}

#[test]
fn what_a_holder_is_still_bringing_in_is_not_free() {
    let mut world = sharing();
    for (who, size, resident) in [(1, 4, 0), (2, 8, 8), (3, 4, 0)] {
        world.apply(&Op::Join { who, holds: false });
        world.apply(&Op::Name { who, device: 0 });
        let (allocated, resident) = (size * GIB, resident * GIB);
        world.apply(&Op::Report { who, device: 0, allocated, resident, immovable: 0 });
    }
    // Beside what the second left there is room for the first, and then no more for the third.
    world.apply(&Op::Request { who: 1 });
    assert!(holds(&world, 1));
    let actions = world.tell(Event::Requested { tenant: tenant(3) });
    assert!(
        matches!(&actions[..], [Action::Evict { shares, .. }, ..] if shares[0].bytes == gib(1)),
        "{actions:?}"
    );
    assert!(!holds(&world, 3));
}

#[test]
fn several_that_leave_together_move_out_no_more_than_the_next_one_lacks() {
    let mut world = sharing();
    for who in [1, 2, 3] {
        asks(&mut world, who, 5);
        world.apply(&Op::Report { who, device: 0, allocated: 5 * GIB, resident: 5 * GIB, immovable: 0 });
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
    asks(&mut world, 4, 8);
    let mut asked = Vec::new();
    while let Some(due) = world.core.next_deadline()
        && asked.is_empty()
    {
        world.now = due;
        let revoked = world.tell(Event::Tick).into_iter().filter_map(|action| match action {
            Action::Revoke { revoke, .. } => Some(revoke.evict[0].bytes),
            _ => None,
        });
        asked.extend(revoked);
    }
    assert_eq!(asked, [gib(5), gib(3)]);
}

#[test]
fn leftovers_of_idle_tenants_make_room_without_overlap_too() {
    let mut world = World::new(Settings { reserve: gib(1), ..Settings::default() });
    for (who, resident) in [(1, 12 * GIB), (2, 0)] {
        world.apply(&Op::Join { who, holds: false });
        world.apply(&Op::Name { who, device: 0 });
        world.apply(&Op::Report { who, device: 0, allocated: 12 * GIB, resident, immovable: 0 });
    }
    let actions = world.tell(Event::Requested { tenant: tenant(2) });
    assert!(
        matches!(&actions[..], [Action::Evict { shares, .. }] if shares[0].bytes == gib(9)),
        "{actions:?}"
    );
    world.apply(&Op::Report { who: 1, device: 0, allocated: 12 * GIB, resident: 3 * GIB, immovable: 0 });
    assert!(holds(&world, 2));
}

/// 1 holds device 0, has so many GiB allocated and as many there as it can, and was told to bring them in.
fn grown(world: &mut World, size: u64, fit: u64) {
    asks(world, 1, 4);
    world.apply(&Op::Report { who: 1, device: 0, allocated: 4 * GIB, resident: 4 * GIB, immovable: 0 });
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    assert_eq!(told_to_fetch(&reports(world, size, 4)), [gib(fit)]);
    assert!(told_to_fetch(&reports(world, size, fit)).is_empty());
}

fn reports(world: &mut World, allocated: u64, resident: u64) -> Vec<Action> {
    let (allocated, resident) = (gib(allocated), gib(resident));
    let device = super::device(0);
    world.tell(Event::Memory { tenant: tenant(1), device, allocated, resident, immovable: gib(0) })
}

fn told_to_fetch(actions: &[Action]) -> Vec<nvshare_protocol::Bytes> {
    let shares = actions.iter().filter_map(|action| match action {
        Action::Fetch { shares, .. } => Some(shares[0].bytes),
        _ => None,
    });
    shares.collect()
}

#[test]
fn what_a_holder_brought_in_and_freed_is_there_for_others() {
    let mut world = sharing();
    grown(&mut world, 12, 12);
    reports(&mut world, 8, 8);
    asks(&mut world, 2, 6);
    let lease = world.core.engine.model.lease(tenant(2)).unwrap();
    assert!(!lease.is_revoked());
    assert_eq!(
        budget::budget(&world.core.engine.model, tenant(2))[0].bytes,
        gib(7),
        "all but the 8 GiB of the first"
    );
}

#[test]
fn a_holder_that_freed_what_was_there_is_told_to_bring_in_the_rest() {
    let mut world = sharing();
    world.apply(&Op::Join { who: 2, holds: false });
    world.apply(&Op::Name { who: 2, device: 0 });
    let stays = 6 * GIB;
    world.apply(&Op::Report { who: 2, device: 0, allocated: stays, resident: stays, immovable: stays });
    grown(&mut world, 10, 9);
    assert_eq!(told_to_fetch(&reports(&mut world, 8, 7)), [gib(8)]);
}
