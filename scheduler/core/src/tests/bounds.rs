//! The stated bounds, reached and not passed.
use super::operations::{Lease, Op, World};
use super::{device, gib, tenant};
use crate::event::{Action, Event};
use crate::memory::capacity;
use crate::settings::Quantum;
use crate::{Core, MAX_DEVICES, Settings};
use nvshare_protocol::Nanos;

fn two_tenants() -> World {
    let mut world = World::new(Settings::default());
    for who in [1, 2] {
        world.apply(&Op::Join { who, holds: false });
        world.apply(&Op::Name { who, device: 0 });
        world.apply(&Op::Request { who });
    }
    world
}

fn holds(world: &World, who: u64) -> bool {
    world.core.engine.model.lease(tenant(who)).is_some_and(|lease| !lease.is_unresponsive())
}

#[test]
fn a_tenant_that_never_says_a_word_keeps_the_next_one_for_the_silence() {
    let mut world = two_tenants();
    let silence = world.core.settings().silence;
    assert_eq!(silence, Nanos(5 * Nanos::SECOND.0));
    world.wait(silence.saturating_sub(Nanos(1)));
    assert!(!holds(&world, 2));
    world.wait(Nanos(1));
    assert!(holds(&world, 2) && !holds(&world, 1));
}

#[test]
fn a_tenant_that_does_not_answer_its_revocation_keeps_the_next_one_for_the_drain_and_the_silence() {
    let mut world = two_tenants();
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.wait(Nanos(40 * Nanos::SECOND.0 - 1));
    assert!(!holds(&world, 2), "30 s of turn, 5 s to drain, 5 s of silence");
    world.wait(Nanos(1));
    assert!(holds(&world, 2) && !holds(&world, 1));
}

/// Three that come back from before this run, one of which has the device, and one that waits.
fn come_back() -> World {
    let mut world = World::new(Settings::default());
    for who in [1, 2, 3] {
        world.apply(&Op::Join { who, holds: true });
        world.apply(&Op::Name { who, device: 0 });
        world.apply(&Op::Report { who, device: 0, allocated: 12 << 30, resident: 12 << 30, immovable: 0 });
    }
    world.apply(&Op::Join { who: 4, holds: false });
    world.apply(&Op::Name { who: 4, device: 0 });
    world.apply(&Op::Request { who: 4 });
    world
}

#[test]
fn tenants_that_only_say_that_they_hold_and_do_not_answer_keep_the_next_one_for_one_silence() {
    let mut world = come_back();
    world.wait(Nanos(35 * Nanos::SECOND.0 - 1));
    assert!(!holds(&world, 4), "30 s of turn, 5 s of silence");
    world.wait(Nanos(1));
    assert!(holds(&world, 4) && ![1, 2, 3].iter().any(|who| holds(&world, *who)));
}

#[test]
fn a_tenant_that_says_that_it_holds_and_gives_signs_of_life_is_waited_for_as_any_other() {
    let mut world = come_back();
    world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
    world.apply(&Op::Release { who: 3, lease: Lease::Its, evicted: 0 });
    world.wait(Nanos(34 * Nanos::SECOND.0));
    for second in 0..8_u64 {
        assert!(holds(&world, 1), "{second}");
        let resident = (12 << 30) - ((second + 1) << 30);
        world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident, immovable: 0 });
        world.wait(Nanos(Nanos::SECOND.0));
    }
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 4));
    let mut world = come_back();
    world.wait(Nanos(34 * Nanos::SECOND.0));
    world.apply(&Op::Cancel { who: 1, lease: Lease::Its });
    world.wait(Nanos(6 * Nanos::SECOND.0 - 1));
    assert!(holds(&world, 1), "it says that its work does not end: 10 s");
    world.wait(Nanos(1));
    assert!(holds(&world, 4) && !holds(&world, 1));
}

#[test]
fn a_tenant_that_gives_signs_of_life_and_does_not_leave_keeps_the_next_one_for_the_bound() {
    let mut world = two_tenants();
    let has = |world: &mut World, resident| {
        world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident, immovable: 0 });
    };
    has(&mut world, 0);
    let bound = world.core.settings().wait_bound(1);
    assert_eq!(
        bound,
        Nanos(155 * Nanos::SECOND.0),
        "60 s to fetch, 30 s of turn, 35 s to answer, 30 s for room"
    );
    for second in 0..125_u64 {
        assert!(!holds(&world, 2), "{second}");
        has(&mut world, (if second <= 90 { second } else { 180 - second }) << 27);
        world.wait(Nanos(Nanos::SECOND.0));
    }
    assert!(holds(&world, 2) && !holds(&world, 1), "here nothing has to move out then");
}

/// Memory that goes to and fro counts once: 128 MiB, again and again, last 2 s from the first time and not from the last.
#[test]
fn the_same_memory_is_one_sign_of_life() {
    let mut world = two_tenants();
    let has = |world: &mut World, resident| {
        world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident, immovable: 0 });
    };
    for second in 0..=5_u64 {
        assert_eq!(holds(&world, 2), second == 5, "granted, {second}");
        has(&mut world, (second % 2) << 27);
        world.wait(Nanos(Nanos::SECOND.0));
    }

    let mut world = two_tenants();
    has(&mut world, 12 << 30);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.wait(Nanos(30 * Nanos::SECOND.0));
    for second in 0..=10_u64 {
        assert_eq!(holds(&world, 2), second == 10, "revoked, {second}");
        has(&mut world, (12 << 30) - ((second % 2) << 27));
        world.wait(Nanos(Nanos::SECOND.0));
    }
}

/// 12 GiB of 80 do not fit beside what programs outside use: what does not come in takes no time.
#[test]
fn what_a_tenant_says_it_lacks_makes_its_silence_no_longer_than_its_room() {
    let mut world = World::new(Settings::default());
    world.apply(&Op::Join { who: 1, holds: false });
    world.apply(&Op::Name { who: 1, device: 0 });
    let usable = capacity::usable_on(&world.core.engine.model, device(0)).0;
    world.apply(&Op::Outside { device: 0, bytes: usable - (1 << 30) });
    world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident: 0, immovable: 0 });
    world.apply(&Op::Request { who: 1 });
    let silence = world.core.settings().silence;
    let by = world.core.engine.model.lease(tenant(1)).unwrap().alive_until;
    assert!(
        by <= world.core.engine.model.now.saturating_add(silence).saturating_add(Nanos(2 * Nanos::SECOND.0)),
        "{by:?}"
    );
}

#[test]
fn a_tenant_that_is_ready_too_late_gains_nothing() {
    let mut world = two_tenants();
    for second in 0..80_u64 {
        let resident = second << 27;
        world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident, immovable: 0 });
        world.wait(Nanos(Nanos::SECOND.0));
    }
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    let revoked =
        |world: &World| world.core.engine.model.lease(tenant(1)).is_some_and(|lease| lease.is_revoked());
    world.wait(Nanos(10 * Nanos::SECOND.0 - 1));
    assert!(!revoked(&world));
    world.wait(Nanos(1));
    assert!(revoked(&world));
}

#[test]
fn a_tenant_that_cancels_every_drain_loses_its_turn_with_the_patience() {
    let mut world = two_tenants();
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.wait(Nanos(30 * Nanos::SECOND.0));
    for _ in 0..99 {
        world.apply(&Op::Cancel { who: 1, lease: Lease::Its });
        world.wait(Nanos::from_millis(100));
    }
    assert!(!holds(&world, 2));
    world.wait(Nanos::from_millis(100));
    assert!(holds(&world, 2));
}

#[test]
fn a_tenant_that_comes_back_again_and_again_does_not_keep_others_out() {
    let mut world = two_tenants();
    world.apply(&Op::Leave { who: 1 });
    assert!(holds(&world, 2));
    for who in [3, 4, 5] {
        world.apply(&Op::Join { who, holds: true });
        world.apply(&Op::Name { who, device: 0 });
        world.apply(&Op::Release { who, lease: Lease::Its, evicted: 0 });
    }
    world.apply(&Op::Leave { who: 2 });
    assert!(holds(&world, 3), "in the order of arrival");
}

#[test]
fn a_device_that_somebody_waits_for_is_not_free_for_one_who_holds_another() {
    let mut world = World::new(Settings::default());
    for (who, devices) in [(1, &[0][..]), (2, &[2]), (3, &[0, 1])] {
        world.apply(&Op::Join { who, holds: false });
        devices.iter().for_each(|&device| world.apply(&Op::Name { who, device }));
        world.apply(&Op::Request { who });
    }
    assert!(holds(&world, 1) && holds(&world, 2) && !holds(&world, 3));
    world.apply(&Op::Name { who: 2, device: 1 });
    let lease = world.core.engine.model.lease(tenant(2)).unwrap();
    assert!(lease.is_revoked() && lease.rerequested);
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 3), "it need not wait for the one that came upon its device");
}

#[test]
fn a_request_without_a_device_does_not_come_before_those_that_stood_in_line() {
    let mut world = World::new(Settings::default());
    for who in [0, 6, 3] {
        world.apply(&Op::Join { who, holds: false });
        world.apply(&Op::Request { who });
        if who > 0 {
            world.apply(&Op::Name { who, device: 2 });
        }
    }
    world.apply(&Op::Name { who: 3, device: 1 });
    world.apply(&Op::Name { who: 0, device: 1 });
    assert!(!holds(&world, 0), "3 is next for device 1");
    world.apply(&Op::Release { who: 6, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 3));
}

#[test]
fn a_tenant_has_at_most_so_many_devices_and_forgotten_ones_do_not_pile_up() {
    let mut core = Core::new(Settings::default());
    for round in 0..4 {
        core.handle(Nanos::ZERO, Event::Joined { tenant: tenant(round), holds: false });
        for n in 0..=255_u8 {
            let mut device = device(n);
            device.0[0] = round as u8;
            core.handle(Nanos::ZERO, Event::Device { tenant: tenant(round), device, capacity: gib(16) });
        }
        assert_eq!(core.engine.model.tenants[&tenant(round)].devices.len(), MAX_DEVICES);
        core.handle(Nanos::ZERO, Event::Left { tenant: tenant(round) });
    }
    assert!(core.engine.model.devices.len() <= MAX_DEVICES, "{} devices", core.engine.model.devices.len());
}

#[test]
fn settings_out_of_range_are_brought_into_it() {
    let zero = Settings {
        quantum: Quantum::Fixed(Nanos(0)),
        drain_bound: Nanos(0),
        evict_bound: Nanos::MAX,
        ..Settings::default()
    };
    let mut core = Core::new(zero);
    assert_eq!(core.settings().quantum, Quantum::Fixed(Nanos::from_millis(1)));
    assert_eq!(core.settings().drain_bound, Nanos::from_millis(1));
    assert_eq!(core.settings().evict_bound, Nanos(86_400 * Nanos::SECOND.0));
    core.handle(Nanos::ZERO, Event::SetQuantum { quantum: Nanos::MAX });
    assert_eq!(core.settings().quantum, Quantum::Fixed(Nanos(86_400 * Nanos::SECOND.0)));
}

#[test]
fn time_that_runs_back_does_not() {
    let mut world = two_tenants();
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.wait(Nanos(29 * Nanos::SECOND.0));
    world.tell(Event::Tick);
    assert_eq!(world.core.handle(Nanos::ZERO, Event::Tick), []);
    let revoked = world.core.handle(Nanos(30 * Nanos::SECOND.0), Event::Tick);
    assert!(matches!(revoked[..], [Action::Revoke { .. }]), "{revoked:?}");
}

#[test]
fn leftovers_that_leave_byte_by_byte_keep_the_next_one_for_the_bound() {
    let mut world = World::new(Settings { overlap: true, ..Settings::default() });
    let has = |world: &mut World, who, resident| {
        world.apply(&Op::Report { who, device: 0, allocated: 12 << 30, resident, immovable: 0 });
    };
    for who in [1, 2] {
        world.apply(&Op::Join { who, holds: false });
        world.apply(&Op::Name { who, device: 0 });
        has(&mut world, who, if who == 1 { 12 << 30 } else { 0 });
    }
    world.apply(&Op::Request { who: 2 });
    for n in 1..60 {
        assert_eq!(holds(&world, 2), n > 30, "second {n}");
        world.wait(Nanos(Nanos::SECOND.0));
        has(&mut world, 1, (12 << 30) - (n << 27));
        world.apply(&Op::Evicted { who: 1 });
    }
}

#[test]
fn after_the_start_nobody_is_granted_a_device_before_the_grace_is_over() {
    let grace = Nanos(Nanos::SECOND.0);
    let mut world = World::new(Settings { grace, ..Settings::default() });
    world.wait(Nanos(grace.0 / 2));
    world.apply(&Op::Join { who: 1, holds: false });
    world.apply(&Op::Name { who: 1, device: 0 });
    world.apply(&Op::Request { who: 1 });
    assert_eq!(world.core.next_deadline(), Some(grace));
    world.wait(Nanos(grace.0 / 2 - 1));
    assert!(!holds(&world, 1));
    world.wait(Nanos(1));
    assert!(holds(&world, 1));
}
