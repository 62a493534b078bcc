//! Random mixes of tenants, on one card and on several: whoever waits is served, and those that use several devices
//! have all of them or none.
use super::figures::seconds;
use super::gib;
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Load, Spec};
use crate::event::EvictMode;
use crate::settings::Quantum;
use crate::{Priority, Settings};
use nvshare_protocol::Nanos;

/// Bounds that are short beside a run.
fn settings(world: &mut World) -> Settings {
    // What was left behind can be asked for with `overlap` only, and is nobody's to evict where there are no page faults.
    let evict = if world.roll(4) == 0 { EvictMode::Always } else { EvictMode::Pressure };
    let fixed = Quantum::Fixed(Nanos::from_millis(200 + world.roll(2_000)));
    Settings {
        reserve: gib(1),
        quantum: if world.roll(2) == 0 { Quantum::Auto } else { fixed },
        share: world.roll(4) > 0,
        overlap: evict == EvictMode::Pressure || world.roll(2) == 0,
        evict,
        fetch_bound: seconds(5),
        drain_bound: seconds(1),
        evict_bound: seconds(5),
        patience: seconds(2),
        starvation: seconds(20),
        ..Settings::default()
    }
}

/// The same with a priority, and some with a share of the time.
fn ruled(world: &mut World, spec: Spec) -> Spec {
    let priority = Priority::ALL[usize::try_from(world.roll(3)).unwrap()];
    let share = (world.roll(2), 20 + u32::try_from(world.roll(70)).unwrap());
    Spec { priority, time_share: (world.roll(2) == 0).then_some(share), ..spec }
}

/// A tenant of up to 12 GiB on up to as many of the cards. Calm ones end their work in time, and have at the end what
/// they had at the start.
fn spec(world: &mut World, cards: u64, calm: bool) -> Spec {
    let load = match world.roll(4) {
        0 => Load::Batch,
        1 => Load::Bursts { work: world.some(seconds(1)), every: seconds(1) },
        _ => Load::Random { work: world.some(seconds(4)), pause: world.some(seconds(4)) },
    };
    let first = world.roll(cards);
    let wide = 1 + world.roll(cards);
    let mut cards: Vec<usize> = (first..first + wide).map(|card| (card % cards) as usize).collect();
    cards.sort_unstable();
    Spec {
        cards,
        memory: (1 + world.roll(48)) << 28,
        // Together they must leave room for the largest.
        immovable: if calm { 0 } else { world.roll(2) * (32 << 20) },
        weight: 1 + u32::try_from(world.roll(3)).unwrap(),
        // Some do not end their work within the bound of a drain.
        unfinished: if !calm && world.roll(8) == 0 { seconds(2) } else { Nanos::from_millis(50) },
        grows: !calm && world.roll(3) == 0,
        ..Spec::new(0, load)
    }
}

/// A world of random tenants, with the longest that any of them may wait.
fn mix(seed: u64, cards: u64, tenants: u64, calm: bool, rules: bool) -> (World, Nanos) {
    let mut dice = World::new(Settings::default(), &[SMALL], seed);
    let settings = settings(&mut dice);
    let mut world = World::new(settings.clone(), &vec![SMALL; cards as usize], seed);
    for _ in 0..tenants {
        let mut spec = spec(&mut dice, cards, calm);
        if rules {
            spec = ruled(&mut dice, spec);
        }
        let at = world.some(seconds(5));
        world.add(spec, at);
    }
    // Those before it, as many interactive ones again, and itself.
    let bound = Nanos(settings.wait_bound(3).0 * (2 * tenants + 1));
    // For each turn, a fifth of the time may be its group's quota, and each may have to starve before it is served.
    let bound = if rules { Nanos(5 * bound.0).saturating_add(settings.starvation) } else { bound };
    (world, bound)
}

/// Runs it, and returns how many turns were granted.
fn everybody_is_served(seed: u64, cards: u64, rules: bool) -> u64 {
    let calm = seed.is_multiple_of(2);
    let (mut world, bound) = mix(seed, cards, 3 + seed % 6, calm, rules);
    let end = seconds(600);
    while world.next_time() <= end {
        world.step();
        if world.steps.is_multiple_of(64) {
            nobody_waits_too_long(&world, seed, bound);
        }
    }
    for (c, client) in world.clients.iter().enumerate() {
        let figures = &client.figures;
        // A process that never found room for what it has from the start has not come to the scheduler at all: the cards
        // are kept full to the byte, and nobody makes room for what nobody has heard of.
        assert!(
            !client.alive || figures.computed > Nanos::ZERO || client.computes.is_some(),
            "seed {seed}: {c} was never served"
        );
        assert!(figures.longest_wait <= bound, "seed {seed}: {c} waited for {:?}", figures.longest_wait);
        assert!(!calm || figures.refused == 0, "seed {seed}: {c} was granted without room");
    }
    world.clients.iter().map(|client| client.figures.grants).sum()
}

fn nobody_waits_too_long(world: &World, seed: u64, bound: Nanos) {
    for (c, client) in world.clients.iter().enumerate() {
        let waits = client.figures.wants_since.map_or(Nanos::ZERO, |since| world.now.saturating_sub(since));
        assert!(waits <= bound, "seed {seed}: {c} has been waiting for {waits:?} of {bound:?}");
    }
}

#[test]
fn random_mixes_on_one_card_are_all_served_within_the_bound() {
    let grants: u64 = (0..60).map(|seed| everybody_is_served(seed, 1, false)).sum();
    assert!(grants > 10_000, "{grants}");
}

#[test]
fn random_sets_of_devices_are_granted_whole_and_without_deadlock() {
    let grants: u64 = (100..160).map(|seed| everybody_is_served(seed, 2 + seed % 3, false)).sum();
    assert!(grants > 10_000, "{grants}");
}

#[test]
fn with_priorities_and_shares_of_time_all_are_served_too() {
    let grants: u64 = (200..260).map(|seed| everybody_is_served(seed, 1 + seed % 3, true)).sum();
    assert!(grants > 10_000, "{grants}");
}
