//! Honest tenants beside liars: they get their shares all the same.
use super::figures::{seconds, settings};
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Client, Load, Spec};
use super::world::liar::Trick;
use nvshare_protocol::Nanos;

const TIME: Nanos = seconds(300);

/// Honest tenants, each of its own user, and what part of what they do by themselves is fair with one user more, in
/// thousandths.
fn honest() -> [(Vec<Spec>, u64); 3] {
    let bursts = Load::Bursts { work: Nanos::from_millis(50), every: seconds(1) };
    [
        // They run together, and in turns with the others.
        (vec![Spec::batch(4), Spec::batch(6)], 500),
        (vec![Spec::batch(10), Spec::batch(10)], 667),
        (vec![Spec::batch(10), Spec::new(2, bursts)], 500),
    ]
}

/// What each honest tenant has computed beside liars that are all one user's, in thousandths of the time.
fn computed(specs: &[Spec], tricks: &[Trick], seed: u64, shown: bool) -> Vec<u64> {
    let mut world = World::new(settings(), &[SMALL], seed);
    for spec in specs {
        world.add(spec.clone(), Nanos::ZERO);
    }
    world.run(Nanos::from_millis(100));
    tricks.iter().for_each(|trick| world.add_liar(*trick, 0));
    if shown {
        world.show();
    }
    world.run(TIME);
    let done = |client: &Client| {
        let running = client.computes.map_or(Nanos::ZERO, |since| TIME.saturating_sub(since));
        client.figures.computed.saturating_add(running).0 * 1000 / TIME.0
    };
    world.clients.iter().map(done).collect()
}

/// Each honest tenant does at least so much of what it does without liars, in thousandths.
fn get_their_shares(tricks: &[Trick], seed: u64, shown: bool, least: fn(u64) -> u64) {
    for (specs, fair) in honest() {
        let alone = computed(&specs, &[], seed, false);
        let beside = computed(&specs, tricks, seed, shown);
        for (alone, beside) in alone.iter().zip(&beside) {
            let least = alone * least(fair) / 1000;
            assert!(*beside >= least, "seed {seed}: {beside} of {alone} beside {tricks:?}, at least {least}");
        }
    }
}

/// Where the driver shows nothing: three fifths of what is fair. Where it shows who has a context: nearly all, but for
/// connections that come and go, which are believed for a moment each.
const BY_WORDS: fn(u64) -> u64 = |fair| fair * 3 / 5;
const SHOWN: fn(u64) -> u64 = |_| 850;
const SHOWN_OF_ANY: fn(u64) -> u64 = |_| 700;

#[test]
fn no_trick_takes_more_than_a_fair_share() {
    for trick in Trick::ALL {
        for liars in [1, 8] {
            get_their_shares(&vec![trick; liars], 1, false, BY_WORDS);
        }
    }
}

#[test]
fn no_mix_of_tricks_takes_more_than_a_fair_share() {
    for seed in 0..16 {
        get_their_shares(&mix(seed), seed, false, BY_WORDS);
    }
}

/// A liar that keeps the whole card by its word is left out: how long that is believed decides there, with any other one
/// beside it, whatever is said of content.
#[test]
fn what_is_said_of_content_beside_another_trick_takes_no_more() {
    for trick in Trick::ALL.into_iter().filter(|trick| *trick != Trick::Keeps) {
        get_their_shares(&[Trick::Weighs, trick], 1, false, BY_WORDS);
    }
}

#[test]
fn liars_without_a_context_take_nothing_where_the_driver_shows_it() {
    for trick in Trick::ALL {
        get_their_shares(&[trick; 8], 1, true, SHOWN);
    }
    for seed in 100..108 {
        get_their_shares(&mix(seed), seed, true, SHOWN_OF_ANY);
    }
}

fn mix(seed: u64) -> Vec<Trick> {
    let mut dice = World::new(settings(), &[SMALL], seed);
    let count = 1 + dice.roll(24);
    // What `Trick::Weighs` does beside others has its own test.
    let mixed = Trick::ALL.len() as u64 - 1;
    let any = |_| Trick::ALL[usize::try_from(dice.roll(mixed)).unwrap()];
    (0..count).map(any).collect()
}
