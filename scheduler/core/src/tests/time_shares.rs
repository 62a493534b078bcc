//! Tenants that may hold only so much of a device's time.
use super::figures::{per_mille, seconds, settings};
use super::operations::{Lease, Op, World};
use super::world::World as Cards;
use super::world::card::{H200, Model, SMALL};
use super::world::client::{Load, Spec};
use super::{gib, tenant};
use crate::event::{Action, Event, EvictMode};
use crate::model::settings::Settings;
use crate::trace::snapshot::State;
use nvshare_protocol::Nanos;

const TIME: Nanos = seconds(1200);

fn limited(group: u64, percent: u32, spec: Spec) -> Spec {
    Spec { time_share: Some((group, percent)), ..spec }
}

fn run(settings: Settings, model: Model, specs: &[Spec]) -> Cards {
    let mut world = Cards::new(settings, &[model], 1);
    for spec in specs {
        let at = world.some(Nanos::from_millis(100));
        world.add(spec.clone(), at);
    }
    world.run(TIME);
    assert!(world.clients.iter().all(|client| client.figures.refused == 0), "granted without room");
    world
}

/// Of the time, each one's with its devices, in thousandths.
fn held(world: &Cards) -> Vec<u64> {
    let snapshot = world.core.as_ref().unwrap().snapshot();
    snapshot.tenants.iter().map(|tenant| per_mille(tenant.held, world.now)).collect()
}

fn computed(world: &Cards, c: usize) -> u64 {
    per_mille(world.clients[c].figures.computed, world.now)
}

#[test]
fn alone_it_has_its_share_and_its_memory_stays() {
    for (percent, evict) in
        [(30, EvictMode::Pressure), (30, EvictMode::Always), (5, EvictMode::Pressure), (90, EvictMode::Never)]
    {
        let settings = Settings { evict, ..settings() };
        let world = run(settings, SMALL, &[limited(1, percent, Spec::batch(12))]);
        let expected = u64::from(percent) * 10;
        assert!(held(&world)[0].abs_diff(expected) <= 30, "{percent} %: {:?}", held(&world));
        assert!(computed(&world, 0).abs_diff(expected) <= 30, "{percent} %: {}", computed(&world, 0));
        assert_eq!(world.cards[0].moved, [0, 0], "{evict:?}");
        assert!(world.clients[0].figures.longest_wait <= seconds(2));
    }
}

#[test]
fn beside_one_without_a_limit_the_other_has_the_rest() {
    for (model, size, percent) in [(SMALL, 12, 30), (SMALL, 12, 10), (H200, 100, 30)] {
        let specs = [limited(1, percent, Spec::batch(size)), Spec::batch(size)];
        let world = run(settings(), model, &specs);
        let (own, other) = (computed(&world, 0), computed(&world, 1));
        let most = u64::from(percent) * 10;
        assert!(own <= most + 30 && own >= most * 8 / 10, "{percent} %: {own} and {other}");
        // The rest are the hand-overs'.
        assert!(own + other >= 880, "{percent} %: {own} and {other}");
    }
}

#[test]
fn a_limit_above_its_weights_share_changes_nothing_between_two() {
    let world = run(settings(), SMALL, &[limited(1, 80, Spec::batch(12)), Spec::batch(12)]);
    assert!(computed(&world, 0).abs_diff(computed(&world, 1)) <= 60, "{:?}", held(&world));
}

/// One that mostly sleeps comes first elsewhere; here it would use up what its mate waits for.
#[test]
fn one_that_mostly_sleeps_leaves_its_mates_their_part() {
    let load = Load::Bursts { work: Nanos::from_millis(250), every: seconds(1) };
    let specs =
        [limited(1, 30, Spec { load, ..Spec::batch(12) }), limited(1, 30, Spec::batch(12)), Spec::batch(12)];
    let world = run(settings(), SMALL, &specs);
    let parts: Vec<u64> = (0..3).map(|c| computed(&world, c)).collect();
    assert!(parts[1] >= 60, "{parts:?}");
    assert!(parts[0] + parts[1] <= 330 && parts.iter().sum::<u64>() >= 800, "{parts:?}");
}

#[test]
fn those_that_fit_beside_it_are_never_disturbed() {
    let world = run(settings(), SMALL, &[limited(1, 30, Spec::batch(7)), Spec::batch(7)]);
    let figures = &world.clients[1].figures;
    assert_eq!((figures.grants, figures.revokes, figures.told_contended), (1, 0, 0));
    assert!(computed(&world, 0).abs_diff(300) <= 30, "{}", computed(&world, 0));
    assert_eq!(world.cards[0].moved, [0, 0]);
}

#[test]
fn the_tenants_of_a_group_are_counted_together() {
    // What holds at the same time counts once, and one after the other adds up.
    let world = run(settings(), SMALL, &[limited(1, 30, Spec::batch(6)), limited(1, 30, Spec::batch(6))]);
    let useful = per_mille(world.cards[0].useful(world.now), world.now);
    assert!(useful.abs_diff(300) <= 30, "{useful}");
    let world = run(settings(), SMALL, &[limited(1, 30, Spec::batch(12)), limited(1, 30, Spec::batch(12))]);
    let sum = computed(&world, 0) + computed(&world, 1);
    assert!((200..=330).contains(&sum), "{sum}");
    assert!(computed(&world, 0) >= sum / 4 && computed(&world, 1) >= sum / 4, "{:?}", held(&world));
    let world = run(settings(), SMALL, &[limited(1, 30, Spec::batch(6)), limited(2, 30, Spec::batch(6))]);
    assert!((0..2).all(|c| computed(&world, c).abs_diff(300) <= 30), "{:?}", held(&world));
}

#[test]
fn one_that_uses_less_than_its_share_is_not_kept_waiting() {
    let load = Load::Bursts { work: Nanos::from_millis(50), every: Nanos::from_millis(500) };
    let world = run(settings(), SMALL, &[limited(1, 30, Spec::new(4, load))]);
    let mut bursts = world.clients[0].figures.bursts.clone();
    bursts.sort_unstable();
    assert!(bursts.len() >= 2390 && bursts[bursts.len() - 1] <= Nanos::from_millis(60), "{}", bursts.len());
}

#[test]
fn the_least_quota_of_a_group_holds_for_all_of_it_while_that_one_is_there() {
    let mut world = World::new(Settings { reserve: gib(1), ..settings() });
    let share = |world: &World, at: usize| world.core.snapshot().tenants[at].time_share;
    runs(&mut world, 1, 50);
    world.wait(Nanos::from_millis(200));
    world.apply(&Op::Join { who: 2, holds: false });
    world.apply(&Op::LimitTime { who: 2, group: 1, percent: 10 });
    assert!(world.core.engine.model.lease(tenant(1)).unwrap().is_revoked(), "it has used more than that");
    assert_eq!((share(&world, 0), share(&world, 1)), (Some(10), Some(10)));
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    world.apply(&Op::Request { who: 1 });
    assert!(world.core.engine.model.lease(tenant(1)).is_none());
    world.apply(&Op::Leave { who: 2 });
    assert!(world.core.engine.model.lease(tenant(1)).is_some(), "the rest of its 50 %");
}

/// One on device 0 that runs.
fn runs(world: &mut World, who: u64, percent: u32) {
    world.apply(&Op::Join { who, holds: false });
    world.apply(&Op::LimitTime { who, group: 1, percent });
    world.apply(&Op::Name { who, device: 0 });
    world.apply(&Op::Request { who });
    world.apply(&Op::Ready { who, lease: Lease::Its });
}

#[test]
fn without_a_limit_nothing_is_ever_due() {
    let mut world = World::new(Settings { reserve: gib(1), ..settings() });
    runs(&mut world, 1, 100);
    assert_eq!(world.core.next_deadline(), None);
    let mut world = World::new(Settings { reserve: gib(1), ..settings() });
    runs(&mut world, 1, 30);
    assert_eq!(world.core.next_deadline(), Some(Nanos::from_millis(300)));
}

#[test]
fn who_has_used_it_up_leaves_without_moving_and_waits_for_the_next_period() {
    let mut world = World::new(Settings { reserve: gib(1), ..settings() });
    world.apply(&Op::Join { who: 1, holds: false });
    world.apply(&Op::LimitTime { who: 1, group: 1, percent: 30 });
    world.apply(&Op::Name { who: 1, device: 0 });
    world.apply(&Op::Report { who: 1, device: 0, allocated: 12 << 30, resident: 12 << 30, immovable: 0 });
    let granted = world.tell(Event::Requested { tenant: tenant(1) });
    assert!(matches!(&granted[..], [Action::Grant { grant, .. }] if grant.contended), "{granted:?}");
    world.apply(&Op::Ready { who: 1, lease: Lease::Its });
    world.now = Nanos::from_millis(300);
    let revoked = world.tell(Event::Tick);
    assert!(
        matches!(&revoked[..], [Action::Revoke { revoke, .. }] if revoke.evict[0].bytes.0 == 0),
        "{revoked:?}"
    );
    // Its drain counts: 0.36 s are 30 % of 1.2 s.
    world.now = Nanos::from_millis(360);
    world.apply(&Op::Release { who: 1, lease: Lease::Its, evicted: 0 });
    assert_eq!(world.tell(Event::Requested { tenant: tenant(1) }), []);
    assert_eq!(world.core.snapshot().tenants[0].state, State::Throttled);
    assert_eq!(world.core.next_deadline(), Some(Nanos::from_millis(1_200)));
    world.wait(Nanos::from_millis(839));
    assert!(world.core.engine.model.lease(tenant(1)).is_none());
    world.wait(Nanos::from_millis(1));
    assert!(world.core.engine.model.lease(tenant(1)).is_some());
}

#[test]
fn another_process_of_the_group_has_only_what_is_left() {
    let mut world = World::new(Settings { reserve: gib(1), ..settings() });
    runs(&mut world, 1, 30);
    world.wait(Nanos::from_millis(300));
    world.apply(&Op::Leave { who: 1 });
    runs(&mut world, 2, 30);
    assert!(world.core.engine.model.lease(tenant(2)).is_none());
    world.wait(Nanos::from_millis(700));
    assert!(world.core.engine.model.lease(tenant(2)).is_some());
    // Nothing is kept of a group that has gone and whose period is over.
    world.apply(&Op::Leave { who: 2 });
    world.wait(seconds(10));
    runs(&mut world, 3, 100);
    assert!(world.core.engine.model.usages.is_empty());
}
