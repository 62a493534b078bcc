//! Tenants that do not leave: what they keep is not there, and others find out by the driver, seldom, whether that is so.
use super::figures::seconds;
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Load, Spec};
use super::{device, gib, tenant};
use crate::event::{Event, EvictMode};
use crate::settings::Quantum;
use crate::{Core, Settings};
use nvshare_protocol::Nanos;

/// With 15 GiB for tenants, and short bounds.
fn settings(evict: EvictMode) -> Settings {
    Settings {
        reserve: gib(1),
        quantum: Quantum::Fixed(Nanos::from_millis(500)),
        share: true,
        overlap: true,
        evict,
        fetch_bound: seconds(5),
        drain_bound: seconds(1),
        evict_bound: seconds(5),
        patience: seconds(2),
        ..Settings::default()
    }
}

const LONG: Nanos = seconds(60);

/// One of 10 GiB that stops while it holds, quarantined because others of 8, 7 and 4 GiB wait.
fn beside_a_stuck_one(evict: EvictMode) -> World {
    let mut world = World::new(settings(evict), &[SMALL], 1);
    world.add(Spec::batch(10), Nanos::ZERO);
    world.run(seconds(1));
    world.stop(0);
    // One after the other, by more than a message takes.
    for (size, at) in [(8, 1_000), (7, 1_010), (4, 1_020)] {
        world.add(Spec::batch(size), Nanos::from_millis(at));
    }
    world.run(seconds(20));
    assert_eq!(world.stuck, [0]);
    world
}

fn computed(world: &World) -> Vec<Nanos> {
    world.clients.iter().map(|client| client.figures.computed).collect()
}

/// How often each was granted its devices and found no room.
fn refused(world: &World) -> Vec<u64> {
    world.clients.iter().map(|client| client.figures.refused).collect()
}

#[test]
fn those_for_whom_there_is_no_room_try_seldom_and_disturb_nobody() {
    for evict in [EvictMode::Pressure, EvictMode::Always, EvictMode::Never] {
        let mut world = beside_a_stuck_one(evict);
        let before = world.clients[3].figures.grants;
        world.run(world.now.saturating_add(LONG));
        // 10 s after they came to wait, 20 s after that, and 40 s after that.
        assert_eq!(refused(&world), [0, 3, 3, 0], "{evict:?}");
        let after = &world.clients[3];
        assert!(after.computes.is_some(), "{evict:?}");
        if evict != EvictMode::Always {
            assert_eq!(after.figures.grants, before, "{evict:?}: the one that fits goes on undisturbed");
        }
        assert_eq!(
            world.no_room,
            [(1, vec![0]), (2, vec![0])],
            "{evict:?}: told once, with who is in the way"
        );
    }
}

#[test]
fn all_are_served_when_it_leaves_or_dies() {
    let ends: [fn(&mut World); 2] = [|world| world.go_on_again(0), |world| world.kill_client(0, LONG)];
    for end in ends {
        let mut world = beside_a_stuck_one(EvictMode::Pressure);
        end(&mut world);
        let before = computed(&world);
        world.run(world.now.saturating_add(seconds(20)));
        for (c, (before, after)) in before.into_iter().zip(computed(&world)).enumerate().skip(1) {
            assert!(after > before, "{c} is served");
        }
        assert!(refused(&world).iter().all(|refused| *refused <= 1), "{:?}", refused(&world));
    }
}

#[test]
fn what_fits_beside_it_one_at_a_time_takes_turns() {
    // 5 GiB are left for two of 3.
    let mut world = World::new(settings(EvictMode::Pressure), &[SMALL], 1);
    world.add(Spec::batch(10), Nanos::ZERO);
    world.run(seconds(1));
    world.stop(0);
    world.add(Spec::batch(3), seconds(1));
    world.add(Spec::batch(3), seconds(1));
    world.add(Spec::batch(14), seconds(1));
    world.run(LONG);
    let figures = || world.clients[1..3].iter().map(|client| &client.figures);
    assert!(figures().all(|figures| figures.grants > 20 && figures.refused == 0));
    assert_eq!(world.no_room, [(3, vec![0])]);
}

#[test]
fn leftovers_that_do_not_leave_are_not_granted_to_another() {
    let mut world = World::new(settings(EvictMode::Pressure), &[SMALL], 1);
    let once = Load::Bursts { work: Nanos::from_millis(100), every: seconds(1000) };
    world.add(Spec::new(12, once), Nanos::ZERO);
    world.add(Spec::new(8, once), seconds(1));
    world.run(seconds(3));
    // Neither holds for long; the first has left 7 GiB there, and stops.
    world.stop(0);
    world.add(Spec::batch(10), seconds(4));
    world.run(LONG);
    assert_eq!((world.clients[2].figures.grants, world.clients[2].figures.refused), (0, 3), "tried in vain");
    assert_eq!((&world.stuck[..], &world.no_room[..]), (&[][..], &[(2, vec![0])][..]));
    world.go_on_again(0);
    world.run(LONG.saturating_add(seconds(20)));
    assert!(world.clients[2].computes.is_some());
}

#[test]
fn only_those_that_others_wait_for_are_worth_a_look() {
    let mut core = Core::new(settings(EvictMode::Always));
    let join = |core: &mut Core, n| {
        let (tenant, device) = (tenant(n), device(1));
        core.handle(Nanos(0), Event::Joined { tenant, holds: false });
        core.handle(Nanos(0), Event::Device { tenant, device, capacity: gib(16) });
        let (allocated, none) = (gib(6), gib(0));
        core.handle(Nanos(0), Event::Memory { tenant, device, allocated, resident: none, immovable: none });
        core.handle(Nanos(0), Event::Requested { tenant });
        core.awaited().into_iter().map(|tenant| tenant.0).collect::<Vec<_>>()
    };
    assert_eq!(join(&mut core, 1), []);
    assert_eq!(join(&mut core, 2), [1]);
    core.handle(Nanos(0), Event::Stopped { tenant: tenant(1), stopped: true });
    assert!(core.awaited().is_empty(), "the second one has it");
    assert_eq!(join(&mut core, 3), [1, 2]);
    core.handle(Nanos(0), Event::Stopped { tenant: tenant(3), stopped: true });
    assert_eq!(core.awaited().len(), 2, "the last one waits, and is stopped itself");
    core.handle(Nanos(0), Event::Left { tenant: tenant(3) });
    assert!(core.awaited().is_empty());
}
