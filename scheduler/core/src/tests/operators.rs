//! What operators do to one tenant, and what they are told of its wait.
use super::operations::{Lease, Op, World};
use super::{device, gib, tenant};
use crate::event::{Action, Event};
use crate::model::settings::{Quantum, seconds};
use crate::trace::snapshot::{State, TenantView};
use crate::{Priority, Settings, WaitReason};
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};

fn world() -> World {
    World::new(Settings { quantum: Quantum::Fixed(seconds(8)), share: true, ..Settings::default() })
}

/// A tenant of the device with so much memory there asks for a turn.
fn joins(world: &mut World, who: u64, n: u8, bytes: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Name { who, device: n });
    world.apply(&Op::Report { who, device: n, allocated: bytes << 30, resident: 0, immovable: 0 });
    world.apply(&Op::Request { who });
}

/// It runs, with all its memory there.
fn runs(world: &mut World, who: u64, n: u8, bytes: u64) {
    joins(world, who, n, bytes);
    world.apply(&Op::Report { who, device: n, allocated: bytes << 30, resident: bytes << 30, immovable: 0 });
    world.apply(&Op::Ready { who, lease: Lease::Its });
    assert_eq!(view(world, who).state, State::Running);
}

fn view(world: &World, who: u64) -> TenantView {
    let tenants = world.core.snapshot().tenants;
    tenants.into_iter().find(|view| view.id == tenant(who)).unwrap()
}

fn reason(world: &World, who: u64) -> WaitReason {
    view(world, who).wait.unwrap().reason
}

fn pause(world: &mut World, who: u64, paused: bool) -> Vec<Action> {
    world.tell(Event::Paused { tenant: tenant(who), paused })
}

fn release(world: &mut World, who: u64) {
    world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
}

/// What the revocation of this tenant asks it to evict.
fn revoked(actions: &[Action], who: u64) -> Option<Vec<Share>> {
    actions.iter().find_map(|action| match action {
        Action::Revoke { tenant: id, revoke } if *id == tenant(who) => Some(revoke.evict.clone()),
        _ => None,
    })
}

#[test]
fn a_paused_holder_leaves_at_once_and_has_no_turn_until_it_is_resumed() {
    let mut world = world();
    runs(&mut world, 0, 0, 6);
    let actions = pause(&mut world, 0, true);
    assert_eq!(revoked(&actions, 0), Some(vec![Share { device: device(0), bytes: Bytes::ZERO }]));
    world.apply(&Op::Request { who: 0 });
    release(&mut world, 0);
    assert_eq!((view(&world, 0).state, reason(&world, 0)), (State::Paused, WaitReason::Paused));
    world.wait(seconds(600));
    assert_eq!(view(&world, 0).state, State::Paused, "nobody else wants the device, and it stays paused");
    assert_eq!(view(&world, 0).memory[0].1.resident, gib(6), "nobody needs the room");
    pause(&mut world, 0, false);
    assert_eq!(view(&world, 0).state, State::Fetching);
}

#[test]
fn a_paused_tenant_keeps_nobody_waiting_and_its_memory_makes_room() {
    let mut world = world();
    runs(&mut world, 0, 0, 12);
    pause(&mut world, 0, true);
    release(&mut world, 0);
    world.apply(&Op::Request { who: 0 });
    let actions = {
        world.apply(&Op::Join { who: 1, holds: false });
        world.apply(&Op::Name { who: 1, device: 0 });
        world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident: 0, immovable: 0 });
        world.tell(Event::Requested { tenant: tenant(1) })
    };
    assert!(
        actions.iter().any(|action| matches!(action, Action::Evict { tenant: id, .. } if *id == tenant(0)))
    );
    assert_eq!(reason(&world, 1), WaitReason::Room);
}

#[test]
fn the_time_of_a_pause_starves_nobody_into_high_priority() {
    let mut world = world();
    runs(&mut world, 0, 0, 12);
    joins(&mut world, 1, 0, 12);
    world.apply(&Op::Prioritise { who: 1, priority: Priority::Low });
    pause(&mut world, 1, true);
    world.wait(seconds(300));
    pause(&mut world, 1, false);
    let wait = view(&world, 1).wait.unwrap();
    let starves = world.now.saturating_add(world.core.settings().starvation);
    assert_eq!((wait.reason, wait.promoted), (WaitReason::Turns { holders: vec![tenant(0)] }, Some(starves)));
}

#[test]
fn what_a_tenant_has_is_moved_out_whether_or_not_it_holds() {
    let mut world = world();
    runs(&mut world, 0, 0, 6);
    let everything = vec![Share { device: device(0), bytes: Bytes::MAX }];
    let actions = world.tell(Event::MoveOut { tenant: tenant(0) });
    assert_eq!(revoked(&actions, 0), Some(everything.clone()));
    world.apply(&Op::Report { who: 0, device: 0, allocated: 6 << 30, resident: 0, immovable: 0 });
    release(&mut world, 0);
    let evicts = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::Evict { tenant: id, shares } if *id == tenant(0) => Some(shares.clone()),
            _ => None,
        })
    };
    world.apply(&Op::Request { who: 0 });
    world.apply(&Op::Report { who: 0, device: 0, allocated: 6 << 30, resident: 6 << 30, immovable: 0 });
    world.apply(&Op::Ready { who: 0, lease: Lease::Its });
    // Its next turn is a turn like any other.
    let actions = pause(&mut world, 0, true);
    assert_eq!(revoked(&actions, 0), Some(vec![Share { device: device(0), bytes: Bytes::ZERO }]));
    release(&mut world, 0);
    let actions = world.tell(Event::MoveOut { tenant: tenant(0) });
    assert_eq!(evicts(&actions), Some(everything));
}

#[test]
fn other_rules_hold_at_once_for_those_that_run() {
    let mut world = world();
    runs(&mut world, 0, 0, 6);
    runs(&mut world, 1, 0, 6);
    let rules = |share, reserve: u64| Settings {
        quantum: Quantum::Fixed(seconds(3)),
        share,
        reserve: Bytes(reserve << 30),
        record: 7,
        ..Settings::default()
    };
    let record = world.core.settings().record;
    world.tell(Event::SetRules { rules: rules(true, 4) });
    assert_eq!(
        (world.core.settings().record, world.core.settings().quantum),
        (record, Quantum::Fixed(seconds(3)))
    );
    assert!(view(&world, 0).revoked_since.is_none() && view(&world, 1).revoked_since.is_none());
    // 12 GiB do not fit beside a reserve of a quarter of 16 GiB if one may have 2 GiB less.
    world.tell(Event::SetRules { rules: Settings { most: gib(10), ..rules(true, 4) } });
    let revoked = |world: &World| [0, 1].map(|who| view(world, who).revoked_since.is_some());
    assert_eq!(revoked(&world), [true, false]);
}

#[test]
fn without_sharing_one_of_those_that_run_together_stays() {
    let mut world = world();
    runs(&mut world, 0, 0, 4);
    runs(&mut world, 1, 0, 4);
    world.tell(Event::SetRules { rules: Settings { share: false, ..world.core.settings().clone() } });
    assert_eq!([0, 1].map(|who| view(&world, who).revoked_since.is_some()), [true, false]);
}

#[test]
fn each_wait_has_its_reason() {
    let mut world = world();
    world.apply(&Op::Join { who: 5, holds: false });
    world.apply(&Op::Request { who: 5 });
    assert_eq!(reason(&world, 5), WaitReason::NoDevice);
    runs(&mut world, 0, 0, 12);
    joins(&mut world, 1, 0, 12);
    joins(&mut world, 2, 0, 12);
    let first = view(&world, 1).wait.unwrap();
    assert_eq!(first.reason, WaitReason::Turns { holders: vec![tenant(0)] });
    assert_eq!(first.expected, Some(world.now.saturating_add(seconds(8))));
    let second = view(&world, 2).wait.unwrap();
    assert_eq!(second.reason, WaitReason::Queue { device: device(0), ahead: 1 });
    assert_eq!(second.expected, Some(world.now.saturating_add(seconds(16))));
    world.apply(&Op::Stop { who: 2, stopped: true });
    assert_eq!(reason(&world, 2), WaitReason::Stopped);
    world.apply(&Op::LimitTime { who: 3, group: 0, percent: 10 });
    runs(&mut world, 3, 1, 4);
    world.apply(&Op::LimitTime { who: 3, group: 0, percent: 1 });
    world.wait(seconds(1));
    world.apply(&Op::Request { who: 3 });
    release(&mut world, 3);
    assert!(matches!(reason(&world, 3), WaitReason::Quota { .. }), "{:?}", reason(&world, 3));
}

#[test]
fn a_wait_for_room_names_who_keeps_it_and_what_others_use() {
    let mut world = world();
    let two: DeviceId = device(2);
    runs(&mut world, 0, 2, 9);
    world.apply(&Op::Report { who: 0, device: 2, allocated: 9 << 30, resident: 9 << 30, immovable: 9 << 30 });
    world.apply(&Op::Outside { device: 2, bytes: 1 << 30 });
    world.apply(&Op::Join { who: 1, holds: false });
    world.apply(&Op::Name { who: 1, device: 2 });
    world.apply(&Op::Swap { who: 1 });
    world.apply(&Op::Report { who: 1, device: 2, allocated: 10 << 30, resident: 0, immovable: 0 });
    world.apply(&Op::Request { who: 1 });
    let usable = Bytes((16 << 30) - (512 << 20) - (1 << 30));
    let kept = vec![(tenant(0), gib(9))];
    let expected = WaitReason::NoRoom { device: two, wants: gib(10), usable, kept, outside: gib(1) };
    assert_eq!(reason(&world, 1), expected);
}
