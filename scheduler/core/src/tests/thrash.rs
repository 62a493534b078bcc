//! Holders that pause so often that giving way at each pause would leave everybody waiting for copies.
use super::figures::{per_mille, seconds, settings};
use super::tenant;
use super::world::World;
use super::world::card::Model;
use super::world::client::{Load, Spec};
use crate::Settings;
use crate::policy::quantum;
use crate::policy::thrash;
use crate::settings::Quantum;
use nvshare_protocol::Nanos;

/// An H100 of which 32 GiB are for tenants: two of 24 lack 16, which move in a third of a second.
const CARD: Model = Model { capacity: nvshare_protocol::Bytes(33 << 30), bandwidth: 50_000_000_000 };

fn steps(gib: u64, work: u64, pause: u64) -> Spec {
    let [work, pause] = [work, pause].map(Nanos::from_millis);
    Spec { unfinished: Nanos::from_millis(5), ..Spec::new(gib, Load::Steps { work, pause }) }
}

fn run(settings: Settings, specs: &[Spec], time: Nanos) -> World {
    let mut world = World::new(settings, &[CARD], 1);
    for spec in specs {
        let at = world.some(Nanos::from_millis(100));
        world.add(spec.clone(), at);
    }
    world.run(seconds(20));
    world.clients.iter_mut().for_each(|client| client.figures = Default::default());
    let now = world.now;
    world.run(now.saturating_add(time));
    world
}

fn useful(world: &World, time: Nanos) -> u64 {
    world.clients.iter().map(|client| per_mille(client.figures.computed, time)).sum()
}

#[test]
fn tenants_that_pause_do_most_of_what_one_alone_would() {
    let time = seconds(120);
    for (work, pause) in [(20, 40), (20, 100), (20, 150), (20, 300), (60, 150)] {
        let world = run(settings(), &[steps(24, work, pause), steps(24, work, pause)], time);
        let alone = work * 1000 / (work + pause);
        let done = useful(&world, time) * 100 / alone;
        assert!(done >= 60, "{work} + {pause} ms: {done} % of one alone");
        for client in &world.clients {
            assert!(client.figures.longest_wait < seconds(10), "{:?}", client.figures.longest_wait);
        }
        let [one, other] = [0, 1].map(|c| world.clients[c].figures.computed.0);
        assert!(one.abs_diff(other) * 10 <= one, "{one} {other}");
    }
}

#[test]
fn pausing_tenants_do_not_starve_one_that_always_computes() {
    let time = seconds(300);
    let batch = Spec { unfinished: Nanos::from_millis(5), ..Spec::batch(24) };
    let world = run(settings(), &[steps(24, 20, 150), steps(24, 20, 150), batch], time);
    assert!(per_mille(world.clients[2].figures.computed, time) >= 250, "{:?}", world.clients[2].figures);
    let core = world.core.as_ref().unwrap();
    let quantum = core
        .engine
        .model
        .devices
        .keys()
        .map(|device| quantum::device_quantum(&core.engine.model, Some(*device)))
        .max()
        .unwrap();
    for client in &world.clients {
        assert!(client.figures.longest_wait.0 < 4 * quantum.0, "{quantum:?}: {:?}", client.figures);
    }
}

#[test]
fn bursts_beside_a_tenant_that_always_computes_are_no_thrashing() {
    for (own, work) in [(4, 38), (12, 50), (20, 50)] {
        let burst = Load::Bursts { work: Nanos::from_millis(work), every: seconds(1) };
        let batch = Spec { unfinished: Nanos::from_millis(4), ..Spec::batch(30) };
        let mut world = run(settings(), &[batch, Spec::new(own, burst)], seconds(1));
        for _ in 0..120 {
            world.run(world.now.saturating_add(seconds(1)));
            let core = world.core.as_ref().unwrap();
            let kept = core.engine.model.tenants.iter().filter_map(|(_, tenant)| tenant.lease());
            assert!(
                kept.into_iter()
                    .all(|lease| thrash::hold_idle_until(&core.engine.model, lease) == Nanos::ZERO),
                "{own} GiB"
            );
        }
    }
}

mod by_hand {
    use super::super::device;
    use super::super::operations::{Lease, Op, World};
    use super::*;
    use crate::model::decay::ThrashMeter;

    /// 1 holds, 2 waits, and a hand-over costs 0.4 s; whether the device thrashes.
    fn held(thrashed: bool) -> World {
        let mut world = World::new(Settings::default());
        for who in [1, 2] {
            world.apply(&Op::Join { who, holds: false });
            world.apply(&Op::Name { who, device: 0 });
            world.apply(&Op::Request { who });
        }
        world.apply(&Op::Ready { who: 1, lease: Lease::Its });
        let now = world.core.engine.model.now;
        world.core.engine.model.update_device(device(0), |device| {
            device.cost = (Nanos::ZERO, Nanos::from_millis(400));
            if thrashed {
                device.thrash.add(now, Nanos(ThrashMeter::ALWAYS.0 / 2));
            }
        });
        world
    }

    fn idle(world: &mut World) {
        world.apply(&Op::Idle { who: 1, lease: Lease::Its });
    }

    fn is_revoked(world: &World) -> bool {
        world.core.engine.model.lease(tenant(1)).is_some_and(|lease| lease.is_revoked())
    }

    #[test]
    fn an_idle_holder_goes_at_once_where_nothing_is_regretted() {
        let mut world = held(false);
        idle(&mut world);
        assert!(is_revoked(&world));
    }

    #[test]
    fn one_is_kept_for_two_hand_overs_where_much_is() {
        let mut world = held(true);
        idle(&mut world);
        world.wait(Nanos::from_millis(790));
        assert!(!is_revoked(&world));
        world.wait(Nanos::from_millis(20));
        assert!(is_revoked(&world), "without another word");
    }

    #[test]
    fn one_that_has_work_again_is_not_idle() {
        let mut world = held(true);
        idle(&mut world);
        world.wait(Nanos::from_millis(300));
        world.apply(&Op::Request { who: 1 });
        world.wait(Nanos::from_millis(600));
        assert!(!is_revoked(&world));
        idle(&mut world);
        assert!(is_revoked(&world), "its tenure is over");
    }

    #[test]
    fn nobody_is_kept_beyond_the_quantum() {
        let mut world = held(true);
        let Quantum::Fixed(quantum) = world.core.settings().quantum else { unreachable!() };
        world.core.engine.model.update_device(device(0), |device| device.cost = (Nanos::ZERO, quantum));
        idle(&mut world);
        world.wait(quantum.saturating_add(Nanos::from_millis(10)));
        assert!(is_revoked(&world));
    }

    #[test]
    fn who_comes_back_at_once_is_regretted_and_who_sleeps_is_not() {
        for (after, wasted) in [(190, true), (210, false)] {
            let mut world = held(false);
            idle(&mut world);
            world.wait(Nanos::from_millis(400));
            world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 1 });
            world.wait(Nanos::from_millis(after));
            world.apply(&Op::Request { who: 1 });
            let thrash = world.core.engine.model.devices.values().next().unwrap().thrash.at(world
                .core
                .engine
                .model
                .now);
            assert_eq!(thrash > Nanos::ZERO, wasted, "after {after} ms");
        }
    }
}
