//! Cards that are fuller than anybody has told.
use super::figures::{per_mille, seconds, settings};
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Load, Spec};
use super::{device, gib, tenant};
use crate::event::Event;
use crate::{Core, UNSEEN_FOR};
use nvshare_protocol::{Bytes, Nanos};

const MIB: u64 = 1 << 20;
const CONTEXT: u64 = 600 * MIB;

#[test]
fn tenants_that_would_fit_but_for_their_contexts_take_turns() {
    // 15 GiB are for tenants; these want just that, and their contexts more than is left.
    let mut world = World::new(settings(), &[SMALL], 1);
    for memory in [8, 7] {
        world.add(Spec { context: CONTEXT, ..Spec::batch(memory) }, Nanos::ZERO);
    }
    world.run(seconds(300));
    let shares: Vec<u64> =
        world.clients.iter().map(|client| per_mille(client.figures.computed, seconds(300))).collect();
    assert!(shares.iter().all(|share| *share >= 400), "{shares:?}");
    // Each finds out by itself, and again when what it believes has passed, which is twice as long each time: 5, 15, 35,
    // ... seconds.
    let refused: u64 = world.clients.iter().map(|client| client.figures.refused).sum();
    assert!((6..=20).contains(&refused), "{refused}");
}

#[test]
fn many_notebooks_with_contexts_of_their_own_are_all_served() {
    let mut world = World::new(settings(), &[SMALL], 2);
    let bursts = Load::Bursts { work: Nanos::from_millis(50), every: seconds(1) };
    for _ in 0..6 {
        world.add(Spec { context: CONTEXT, ..Spec::new(2, bursts) }, Nanos::ZERO);
    }
    world.run(seconds(300));
    for client in &world.clients {
        assert!(client.figures.bursts.len() >= 150, "{}", client.figures.bursts.len());
    }
}

#[test]
fn a_holder_that_grows_into_what_is_not_there_gets_it_from_others() {
    let mut world = World::new(settings(), &[SMALL], 3);
    world.add(Spec { context: CONTEXT, ..Spec::batch(9) }, Nanos::ZERO);
    let sleeper = Load::Bursts { work: Nanos::from_millis(50), every: seconds(1000) };
    world.add(Spec { context: CONTEXT, ..Spec::new(5, sleeper) }, Nanos::ZERO);
    world.run(seconds(5));
    // 14 of 15 GiB are told of; 15,1 with the contexts.
    world.grow(0, 0, 900 * MIB);
    world.run(seconds(15));
    assert!(world.clients[0].everything_there() && world.clients[0].computes.is_some());
    assert_eq!(world.clients[0].holdings[0].totals().allocated, Bytes((9 << 30) + 900 * MIB));
}

/// A tenant with 8 of 15 GiB, and the core's time.
fn core() -> Core {
    let mut core = Core::new(settings());
    let id = tenant(1);
    core.handle(Nanos(0), Event::Joined { tenant: id, holds: false });
    core.handle(Nanos(0), Event::Device { tenant: id, device: device(1), capacity: gib(16) });
    let (allocated, resident) = (gib(10), gib(8));
    let memory = Event::Memory { tenant: id, device: device(1), allocated, resident, immovable: Bytes(0) };
    core.handle(Nanos(0), memory);
    core
}

fn refuse(core: &mut Core, at: Nanos, bytes: Bytes) -> Bytes {
    core.handle(at, Event::MemoryRefused { tenant: tenant(1), device: device(1), bytes });
    core.unseen(tenant(1), device(1))
}

#[test]
fn what_is_refused_is_not_there_for_a_while() {
    let mut core = core();
    let granule = Bytes(2 * MIB);
    let believed = refuse(&mut core, Nanos(1), gib(1));
    assert_eq!(believed, gib(6).saturating_add(granule), "less than 1 GiB is free of 7");
    assert_eq!(refuse(&mut core, seconds(3), gib(1)), believed, "no news");
    let ends = |core: &mut Core, begin: Nanos| {
        let still = |core: &mut Core, second| {
            core.handle(seconds(second), Event::Tick);
            core.unseen(tenant(1), device(1)) > Bytes(0)
        };
        (begin.0 / Nanos::SECOND.0..).find(|second| !still(core, *second)).unwrap()
    };
    assert_eq!(ends(&mut core, seconds(3)), 6, "5 s after it was learned");
    refuse(&mut core, seconds(8), gib(1));
    assert_eq!(ends(&mut core, seconds(8)), 18, "learned again soon, it holds for 10 s");
    refuse(&mut core, seconds(100), gib(1));
    assert_eq!(ends(&mut core, seconds(100)), 105, "learned again long after, for 5 s");
    assert_eq!(UNSEEN_FOR.0, seconds(5));
}

#[test]
fn it_goes_with_a_tenant_and_nonsense_changes_nothing() {
    let mut core = core();
    assert_eq!(refuse(&mut core, Nanos(1), Bytes(0)), Bytes(0));
    assert_eq!(refuse(&mut core, Nanos(1), gib(8)), Bytes(0), "the core knows that");
    core.handle(Nanos(2), Event::MemoryRefused { tenant: tenant(9), device: device(1), bytes: gib(1) });
    core.handle(Nanos(2), Event::MemoryRefused { tenant: tenant(1), device: device(2), bytes: gib(1) });
    assert_eq!(core.unseen(tenant(1), device(1)), Bytes(0));
    assert!(refuse(&mut core, Nanos(3), gib(1)) > Bytes(0));
    core.handle(Nanos(4), Event::Left { tenant: tenant(1) });
    assert_eq!(core.unseen(tenant(1), device(1)), Bytes(0));
}
