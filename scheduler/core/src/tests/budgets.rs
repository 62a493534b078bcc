//! How much a tenant may bring: a card of 16 GiB with a reserve of 1, tenant 1 is granted, tenant 2 idle.
use super::{device, gib, tenant};
use crate::event::{Action, Event};
use crate::{Core, Settings};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// Allocated, resident, immovable, in GiB.
type Has = (u64, u64, u64);

fn budget(own: Has, other: Has) -> Bytes {
    let mut core = Core::new(Settings { reserve: gib(1), ..Settings::default() });
    for (who, (allocated, resident, immovable)) in [(1, own), (2, other)] {
        let (tenant, device) = (tenant(who), device(1));
        core.handle(Nanos::ZERO, Event::Joined { tenant, holds: false });
        core.handle(Nanos::ZERO, Event::Device { tenant, device, capacity: gib(16) });
        let (allocated, resident, immovable) = (gib(allocated), gib(resident), gib(immovable));
        core.handle(Nanos::ZERO, Event::Memory { tenant, device, allocated, resident, immovable });
    }
    let mut actions = core.handle(Nanos::ZERO, Event::Requested { tenant: tenant(1) });
    if let [Action::Evict { .. }] = &actions[..] {
        // Nothing of it moves.
        actions = core.handle(Nanos::ZERO, Event::Evicted { tenant: tenant(2) });
    }
    let [Action::Grant { grant, .. }] = &actions[..] else { panic!("{actions:?}") };
    grant.budget[0].bytes
}

#[test]
fn a_budget_is_the_card_less_what_cannot_be_moved() {
    for (own, other, expected) in [
        ((12, 0, 0), (12, 0, 0), 15),
        // What another has left behind can be moved by the driver, but for its immovable part.
        ((12, 0, 0), (12, 12, 0), 15),
        ((12, 0, 0), (12, 12, 4), 11),
        // Its own immovable part is its own.
        ((12, 5, 5), (12, 0, 0), 15),
        // What it has already it may keep.
        ((12, 12, 0), (12, 4, 4), 12),
        // A tenant cannot have more on the card than the card has.
        ((99, 99, 0), (99, 99, 99), 16),
        ((12, 0, 0), (99, 99, 99), 0),
    ] {
        assert_eq!(budget(own, other), gib(expected), "{own:?} beside {other:?}");
    }
}

/// What tenant 1 has to move out for tenant 2, beside tenant 3, which is idle.
fn eviction(outgoing: Has, next: Has, idle: Has) -> Bytes {
    let mut core = Core::new(Settings { reserve: gib(1), ..Settings::default() });
    for (who, (allocated, resident, immovable)) in [(1, outgoing), (2, next), (3, idle)] {
        let (tenant, device) = (tenant(who), device(1));
        core.handle(Nanos::ZERO, Event::Joined { tenant, holds: false });
        core.handle(Nanos::ZERO, Event::Device { tenant, device, capacity: gib(16) });
        let (allocated, resident, immovable) = (gib(allocated), gib(resident), gib(immovable));
        core.handle(Nanos::ZERO, Event::Memory { tenant, device, allocated, resident, immovable });
        core.handle(Nanos::ZERO, if who < 3 { Event::Requested { tenant } } else { Event::Tick });
    }
    let lease = LeaseId(1);
    let actions = core.handle(Nanos::ZERO, Event::Idle { tenant: tenant(1), lease });
    let [Action::Revoke { revoke, .. }] = &actions[..] else { panic!("{actions:?}") };
    revoke.evict[0].bytes
}

#[test]
fn the_outgoing_tenant_moves_what_the_next_one_lacks_beyond_what_is_free() {
    for (outgoing, next, idle, expected) in [
        ((12, 12, 0), (12, 0, 0), (0, 0, 0), 9),
        ((12, 12, 0), (12, 3, 0), (0, 0, 0), 9),
        ((12, 12, 0), (3, 0, 0), (0, 0, 0), 0),
        ((12, 12, 0), (3, 3, 0), (12, 5, 0), 0),
        // No more than can be moved.
        ((12, 12, 10), (12, 0, 0), (0, 0, 0), 2),
        ((4, 4, 0), (12, 0, 0), (8, 8, 8), 4),
        // Bytes of idle tenants are in the way too; they cannot be asked.
        ((6, 6, 0), (8, 0, 0), (4, 4, 0), 3),
        ((6, 6, 0), (12, 0, 0), (9, 9, 0), 6),
    ] {
        assert_eq!(eviction(outgoing, next, idle), gib(expected), "{outgoing:?} {next:?} {idle:?}");
    }
}
