//! Cards that are fuller than anybody has told.
use super::figures::{per_mille, seconds, settings};
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Load, Spec};
use super::{device, gib, tenant};
use crate::event::{Action, Event};
use crate::{Core, UNACCOUNTED_FOR};
use nvshare_protocol::tenant::{Ready, Released};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

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
    core.unaccounted(tenant(1), device(1))
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
            core.unaccounted(tenant(1), device(1)) > Bytes(0)
        };
        (begin.0 / Nanos::SECOND.0..).find(|second| !still(core, *second)).unwrap()
    };
    assert_eq!(ends(&mut core, seconds(3)), 6, "5 s after it was learned");
    refuse(&mut core, seconds(8), gib(1));
    assert_eq!(ends(&mut core, seconds(8)), 18, "learned again soon, it holds for 10 s");
    refuse(&mut core, seconds(100), gib(1));
    assert_eq!(ends(&mut core, seconds(100)), 105, "learned again long after, for 5 s");
    assert_eq!(UNACCOUNTED_FOR.0, seconds(5));
}

#[test]
fn it_goes_with_a_tenant_and_nonsense_changes_nothing() {
    let mut core = core();
    assert_eq!(refuse(&mut core, Nanos(1), Bytes(0)), Bytes(0));
    assert_eq!(refuse(&mut core, Nanos(1), gib(8)), Bytes(0), "the core knows that");
    core.handle(Nanos(2), Event::MemoryRefused { tenant: tenant(9), device: device(1), bytes: gib(1) });
    core.handle(Nanos(2), Event::MemoryRefused { tenant: tenant(1), device: device(2), bytes: gib(1) });
    assert_eq!(core.unaccounted(tenant(1), device(1)), Bytes(0));
    assert!(refuse(&mut core, Nanos(3), gib(1)) > Bytes(0));
    core.handle(Nanos(4), Event::Left { tenant: tenant(1) });
    assert_eq!(core.unaccounted(tenant(1), device(1)), Bytes(0));
}

/// Another tenant holds the device with all of its 12 GiB there; the first one waits for it with 8 that are not.
fn waiting() -> Core {
    let mut core = Core::new(settings());
    for (n, resident) in [(2, 12), (1, 0)] {
        let tenant = tenant(n);
        core.handle(Nanos(0), Event::Joined { tenant, holds: false });
        core.handle(Nanos(0), Event::Swaps { tenant });
        core.handle(Nanos(0), Event::Device { tenant, device: device(1), capacity: gib(16) });
        has(&mut core, n, Nanos(0), gib(12), gib(resident));
        core.handle(Nanos(0), Event::Requested { tenant });
        let ready = Ready { lease: LeaseId(1), fetched: Vec::new(), took: Nanos(1) };
        core.handle(Nanos(1), Event::Ready { tenant, ready });
    }
    core
}

fn has(core: &mut Core, n: u64, at: Nanos, allocated: Bytes, resident: Bytes) {
    let (tenant, device) = (tenant(n), device(1));
    core.handle(at, Event::Memory { tenant, device, allocated, resident, immovable: Bytes(0) });
}

#[test]
fn what_is_refused_while_others_move_out_was_on_its_way() {
    let mut core = waiting();
    let mut at = Nanos(0);
    let mut revoked = None;
    while revoked.is_none() {
        at = core.next_deadline().unwrap();
        let actions = core.handle(at, Event::Tick);
        revoked = actions.into_iter().find_map(|action| match action {
            Action::Revoke { tenant: id, revoke } if id == tenant(2) => Some(revoke.lease),
            _ => None,
        });
    }
    has(&mut core, 2, at, gib(12), gib(4));
    assert_eq!(refuse(&mut core, at, gib(1)), Bytes(0));
    let released =
        Released { lease: revoked.unwrap(), evicted: Vec::new(), drain: Nanos(1), evict: Nanos(1) };
    has(&mut core, 2, at, gib(12), Bytes(0));
    let actions = core.handle(at, Event::Released { tenant: tenant(2), released });
    assert!(
        actions.iter().any(|action| matches!(action, Action::Grant { tenant: id, .. } if *id == tenant(1)))
    );
    assert!(refuse(&mut core, at, gib(1)) > Bytes(0), "nobody moves any more");
}

#[test]
fn what_came_in_all_the_same_was_not_taken_by_others() {
    let mut core = core();
    let granule = Bytes(2 * MIB);
    assert_eq!(refuse(&mut core, Nanos(1), gib(1)), gib(6).saturating_add(granule));
    has(&mut core, 1, Nanos(2), gib(15), gib(10));
    assert_eq!(core.unaccounted(tenant(1), device(1)), gib(5));
    has(&mut core, 1, Nanos(3), gib(15), gib(15));
    assert_eq!(core.unaccounted(tenant(1), device(1)), Bytes(0));
}
