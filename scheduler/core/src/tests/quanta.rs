//! Turns of one length on one device and of another on the next.
use super::operations::{Lease, Op, World};
use super::{device, tenant};
use crate::Settings;
use crate::event::Event;
use crate::model::settings::{Quantum, seconds};
use nvshare_protocol::Nanos;
use std::collections::BTreeMap;

fn world(quanta: &[(u8, Quantum)]) -> World {
    let quanta: BTreeMap<_, _> = quanta.iter().map(|(n, quantum)| (device(*n), *quantum)).collect();
    World::new(Settings { quantum: Quantum::Fixed(seconds(8)), quanta, ..Settings::default() })
}

/// One holds these devices, and another waits for the first of them.
fn contended(world: &mut World, who: u64, devices: &[u8]) {
    for (who, devices) in [(who, devices), (who + 1, &devices[..1])] {
        world.apply(&Op::Join { who, holds: false });
        devices.iter().for_each(|&device| world.apply(&Op::Name { who, device }));
        world.apply(&Op::Request { who });
    }
    world.apply(&Op::Ready { who, lease: Lease::Its });
}

/// How long the holder's turn lasts from now on.
fn turn(world: &World, who: u64) -> Nanos {
    world.core.engine.model.lease(tenant(who)).unwrap().turn_end().saturating_sub(world.now)
}

#[test]
fn a_device_has_its_own_quantum_or_the_general_one() {
    let mut world = world(&[(1, Quantum::Fixed(seconds(3))), (2, Quantum::Auto)]);
    for (who, n, expected) in [(0, 0, 8), (2, 1, 3), (4, 2, 2)] {
        contended(&mut world, who, &[n]);
        assert_eq!(turn(&world, who), seconds(expected), "device {n}");
    }
    world.wait(seconds(3));
    let revoked = |who| world.core.engine.model.lease(tenant(who)).unwrap().is_revoked();
    assert!(!revoked(0) && revoked(2) && revoked(4));
}

#[test]
fn a_tenant_of_several_devices_has_the_longest_of_their_quanta_times_its_weight() {
    let mut world = world(&[(1, Quantum::Fixed(seconds(3))), (2, Quantum::Fixed(seconds(11)))]);
    contended(&mut world, 0, &[1, 0]);
    assert_eq!(turn(&world, 0), seconds(8));
    world.apply(&Op::Weigh { who: 0, weight: 2 });
    assert_eq!(turn(&world, 0), seconds(16));
    contended(&mut world, 2, &[2, 3]);
    assert_eq!(turn(&world, 2), seconds(11));
}

#[test]
fn an_operators_word_holds_at_once_and_on_that_device_alone() {
    let mut world = world(&[]);
    contended(&mut world, 0, &[0]);
    contended(&mut world, 2, &[1]);
    let set = |world: &mut World, quantum| {
        world.tell(Event::SetDeviceQuantum { device: device(1), quantum });
    };
    set(&mut world, Some(Quantum::Fixed(seconds(5))));
    assert_eq!((turn(&world, 0), turn(&world, 2)), (seconds(8), seconds(5)));
    world.tell(Event::SetQuantum { quantum: seconds(20) });
    assert_eq!((turn(&world, 0), turn(&world, 2)), (seconds(20), seconds(5)));
    set(&mut world, None);
    assert_eq!((turn(&world, 0), turn(&world, 2)), (seconds(20), seconds(20)));
}

#[test]
fn the_bound_counts_the_longest_quantum_of_all() {
    let settings =
        |quantum| Settings { quanta: BTreeMap::from([(device(1), quantum)]), ..Settings::default() };
    let general = Settings::default().wait_bound(1);
    let longer = settings(Quantum::Fixed(seconds(40))).wait_bound(1);
    assert_eq!(longer.saturating_sub(general), seconds(10));
    assert_eq!(
        settings(Quantum::Fixed(Nanos(0))).checked().quanta[&device(1)],
        Quantum::Fixed(Nanos::from_millis(1))
    );
}
