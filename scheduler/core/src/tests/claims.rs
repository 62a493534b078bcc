//! What tenants say of the machine and of themselves, by hand: each costs whoever says it.
use super::figures::settings;
use super::operations::{Lease, Op, World};
use super::{device, gib, tenant};
use crate::Settings;
use crate::event::{Action, Event, Stuck};
use crate::memory::budget;
use crate::settings::Quantum;
use crate::trace::snapshot::State;
use nvshare_protocol::{Bytes, Nanos};

const SECOND: Nanos = Nanos(Nanos::SECOND.0);
const GIB: u64 = 1 << 30;

fn world() -> World {
    World::new(Settings { quantum: Quantum::Fixed(SECOND), ..settings() })
}

/// Uses device 0, of 16 GiB of which 15 are for tenants, and has so much there.
fn comes(world: &mut World, who: u64, allocated: u64, resident: u64, immovable: u64) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::Swap { who });
    world.apply(&Op::Name { who, device: 0 });
    has(world, who, allocated, resident, immovable);
}

fn has(world: &mut World, who: u64, allocated: u64, resident: u64, immovable: u64) {
    let [allocated, resident, immovable] = [allocated, resident, immovable].map(|gib| gib * GIB);
    world.apply(&Op::Report { who, device: 0, allocated, resident, immovable });
}

fn asks(world: &mut World, who: u64) {
    world.apply(&Op::Request { who });
}

fn holds(world: &World, who: u64) -> bool {
    world
        .core
        .engine
        .model
        .lease(tenant(who))
        .is_some_and(|lease| !lease.is_unresponsive() && !lease.is_revoked())
}

fn seconds(n: u64) -> Nanos {
    Nanos(n * Nanos::SECOND.0)
}

fn state(world: &World, who: u64) -> State {
    world.core.snapshot().tenants.iter().find(|view| view.id == tenant(who)).unwrap().state
}

#[test]
fn a_claim_of_memory_that_cannot_move_keeps_another_for_the_bound_and_no_longer() {
    let mut world = world();
    comes(&mut world, 1, 15, 15, 15);
    comes(&mut world, 2, 4, 0, 0);
    asks(&mut world, 2);
    world.wait(seconds(5).saturating_sub(Nanos(1)));
    assert!(!holds(&world, 2), "believed for as long as a silence");
    world.wait(Nanos(1));
    assert!(holds(&world, 2));
    // It was a lie: from now on the tenant goes by what it finds.
    world.apply(&Op::Ready { who: 2, lease: Lease::Its });
    world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
    asks(&mut world, 2);
    assert!(holds(&world, 2));
}

#[test]
fn a_claim_that_is_true_is_tried_seldom() {
    let mut world = world();
    comes(&mut world, 1, 15, 15, 15);
    comes(&mut world, 2, 4, 0, 0);
    let mut tries = Vec::new();
    while world.now < seconds(100) {
        asks(&mut world, 2);
        if holds(&world, 2) {
            tries.push(world.now.0 / SECOND.0);
            // It finds no room.
            world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
        }
        world.wait(Nanos::from_millis(100));
    }
    assert_eq!(tries, [5, 15, 35, 75], "5, 10, 20 and 40 s after the one before");
}

#[test]
fn what_the_driver_shows_is_all_that_a_tenant_can_keep() {
    let mut world = world();
    comes(&mut world, 1, 15, 15, 15);
    world.apply(&Op::See { who: 1, device: 0, bytes: GIB });
    comes(&mut world, 2, 14, 0, 0);
    asks(&mut world, 2);
    assert!(holds(&world, 2), "at once");
    comes(&mut world, 3, 2, 0, 0);
    world.apply(&Op::See { who: 1, device: 0, bytes: 15 * GIB });
    world.apply(&Op::Leave { who: 2 });
    asks(&mut world, 3);
    world.wait(seconds(300));
    assert!(!holds(&world, 3), "what is shown is not doubted");
}

#[test]
fn sums_beyond_the_card_keep_nobody_out() {
    let mut world = world();
    for who in 1..=6 {
        world.apply(&Op::Join { who, holds: true });
        world.apply(&Op::Swap { who });
        world.apply(&Op::Name { who, device: 0 });
        has(&mut world, who, 12, 12, 0);
    }
    assert!(world.core.snapshot().devices[0].resident <= gib(16));
    comes(&mut world, 7, 4, 0, 0);
    asks(&mut world, 7);
    let mut waited = 0;
    while !holds(&world, 7) {
        world.wait(SECOND);
        waited += 1;
        assert!(waited <= 40, "not within 40 s");
    }
}

#[test]
fn what_a_tenant_was_promised_ends_with_its_turn() {
    let mut world = world();
    comes(&mut world, 1, 15, 0, 0);
    asks(&mut world, 1);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    for who in [2, 3] {
        comes(&mut world, who, 2, 0, 0);
        asks(&mut world, who);
    }
    world.wait(seconds(12));
    assert_eq!(state(&world, 1), State::Unresponsive);
    for who in [2, 3] {
        assert!(holds(&world, who));
        assert!(
            budget::budget(&world.core.engine.model, tenant(who))[0].bytes >= gib(2),
            "with room for what it has"
        );
    }
}

#[test]
fn a_refusal_is_believed_of_whom_it_was_told() {
    let mut world = world();
    comes(&mut world, 1, 1, 0, 0);
    comes(&mut world, 2, 4, 0, 0);
    for _ in 0..100 {
        world.apply(&Op::MemoryRefused { who: 1, device: 0, bytes: 1 });
    }
    assert!(world.core.unaccounted(tenant(1), device(0)) > gib(10));
    assert_eq!(world.core.unaccounted(tenant(2), device(0)), Bytes::ZERO);
    asks(&mut world, 2);
    assert!(holds(&world, 2));
}

#[test]
fn a_weight_makes_a_turn_no_longer_than_the_bound() {
    let mut world = world();
    comes(&mut world, 1, 12, 0, 0);
    world.apply(&Op::Weigh { who: 1, weight: 1000 });
    asks(&mut world, 1);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    comes(&mut world, 2, 12, 0, 0);
    asks(&mut world, 2);
    let bound = world.core.settings().turn_bound;
    assert_eq!(bound, seconds(60));
    world.wait(bound.saturating_sub(Nanos(1)));
    assert!(holds(&world, 1));
    world.wait(Nanos(1));
    assert!(!holds(&world, 1));
}

#[test]
fn who_grows_leaves_before_the_turns_of_others_end() {
    let mut world = world();
    for who in [1, 2] {
        comes(&mut world, who, 6, 0, 0);
        asks(&mut world, who);
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
    has(&mut world, 2, 12, 6, 0);
    assert!(holds(&world, 1) && !holds(&world, 2));
    world.apply(&Op::Release { who: 2, lease: Lease::Its, evicted: 0 });
    world.wait(SECOND);
    assert!(!holds(&world, 1), "it has its turn after the other's");
}

#[test]
fn who_grows_when_the_turns_of_others_are_over_stays() {
    let mut world = world();
    for who in [1, 2] {
        comes(&mut world, who, 6, 0, 0);
        asks(&mut world, who);
        world.apply(&Op::Ready { who, lease: Lease::Its });
    }
    world.wait(seconds(2));
    has(&mut world, 2, 12, 6, 0);
    assert!(!holds(&world, 1) && holds(&world, 2));
}

#[test]
fn a_card_is_as_large_as_is_known_best_and_to_nobody_larger_than_it_says() {
    let mut world = world();
    let comes = |world: &mut World, who, capacity| {
        world.apply(&Op::Join { who, holds: false });
        let (tenant, device) = (tenant(who), device(1));
        world.tell(Event::Device { tenant, device, capacity });
    };
    comes(&mut world, 1, Bytes(1));
    comes(&mut world, 2, gib(16));
    world.tell(Event::Capacity { device: device(1), capacity: gib(16) });
    assert_eq!(budget::budget(&world.core.engine.model, tenant(2))[0].bytes, gib(15));
    assert_eq!(budget::budget(&world.core.engine.model, tenant(1))[0].bytes, Bytes(1));
    world.tell(Event::Capacity { device: device(1), capacity: gib(1 << 16) });
    assert_eq!(
        budget::budget(&world.core.engine.model, tenant(2))[0].bytes,
        gib(15),
        "no more than the tenant's own word"
    );
    world.tell(Event::Capacity { device: device(1), capacity: gib(8) });
    assert_eq!(budget::budget(&world.core.engine.model, tenant(2))[0].bytes, gib(7));
}

#[test]
fn what_tenants_told_counts_again_when_the_card_turns_out_larger() {
    let mut world = world();
    world.apply(&Op::Join { who: 1, holds: false });
    world.tell(Event::Device { tenant: tenant(1), device: device(0), capacity: Bytes(1) });
    has(&mut world, 1, 4, 4, 1);
    assert_eq!(world.core.engine.model.memory_of(tenant(1), device(0)).resident, Bytes(1));
    world.apply(&Op::Size { device: 0, gib: 16 });
    let memory = world.core.engine.model.memory_of(tenant(1), device(0));
    assert_eq!((memory.resident, memory.immovable), (gib(4), gib(1)));
}

#[test]
fn a_stopped_holder_is_put_aside_as_soon_as_somebody_waits() {
    let mut world = world();
    comes(&mut world, 1, 12, 12, 0);
    asks(&mut world, 1);
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.apply(&Op::Stop { who: 1, stopped: true });
    assert!(holds(&world, 1), "nobody waits");
    comes(&mut world, 2, 2, 0, 0);
    asks(&mut world, 2);
    assert!(holds(&world, 2));
    comes(&mut world, 3, 14, 0, 0);
    let actions = world.tell(Event::Requested { tenant: tenant(3) });
    let told = |action: &Action| matches!(action, Action::Stuck { why: Stuck::Stopped, .. });
    assert!(actions.iter().any(told), "{actions:?}");
    assert_eq!(state(&world, 1), State::Stopped);
    world.apply(&Op::Stop { who: 1, stopped: false });
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 12 * GIB });
    asks(&mut world, 1);
    assert_ne!(state(&world, 1), State::Idle);
}

#[test]
fn one_that_waits_and_is_stopped_is_not_granted_anything() {
    let mut world = world();
    for who in [1, 2, 3] {
        comes(&mut world, who, 12, 0, 0);
        asks(&mut world, who);
    }
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.apply(&Op::Stop { who: 2, stopped: true });
    world.wait(SECOND);
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 3) && !holds(&world, 2));
    world.apply(&Op::Stop { who: 2, stopped: false });
    world.apply(&Op::Ready { who: 3, lease: Lease::Its });
    world.wait(SECOND);
    world.apply(&Op::Release { who: 3, lease: Lease::Its, evicted: 0 });
    assert!(holds(&world, 2));
}

#[test]
fn what_a_disconnected_process_has_stays_in_the_book_until_it_ends() {
    let mut world = world();
    comes(&mut world, 1, 12, 12, 0);
    world.apply(&Op::Disconnect { who: 1 });
    assert_eq!(world.core.snapshot().devices[0].resident, gib(12));
    assert_eq!(state(&world, 1), State::Disconnected);
    comes(&mut world, 2, 12, 0, 0);
    asks(&mut world, 2);
    world.wait(SECOND);
    assert!(!holds(&world, 2), "there is no room beside it");
    world.apply(&Op::Leave { who: 1 });
    assert!(holds(&world, 2));
}
