//! What users notice, as numbers: in the simulated world, with the settings that the daemon has by itself.
use super::gib;
use super::world::World;
use super::world::card::{H200, Model, SMALL};
use super::world::client::{Load, Spec};
use crate::Settings;
use crate::event::EvictMode;
use crate::settings::Quantum;
use nvshare_protocol::Nanos;

pub const fn seconds(n: u64) -> Nanos {
    Nanos(n * Nanos::SECOND.0)
}

/// As the daemon has them by itself.
pub fn settings() -> Settings {
    Settings { reserve: gib(1), quantum: Quantum::Auto, share: true, overlap: true, ..Settings::default() }
}

fn world(settings: Settings, model: Model, specs: &[Spec]) -> World {
    let mut world = World::new(settings, &[model], 1);
    for spec in specs {
        let at = world.some(Nanos::from_millis(100));
        world.add(spec.clone(), at);
    }
    world
}

/// Thousandths.
pub fn per_mille(part: Nanos, whole: Nanos) -> u64 {
    part.0 * 1000 / whole.0
}

fn useful(world: &World) -> u64 {
    per_mille(world.cards[0].useful(world.now), world.now)
}

/// Each one's part of the time in which anybody computed, in thousandths.
fn shares(world: &World) -> Vec<u64> {
    let all: u64 = world.clients.iter().map(|client| client.figures.computed.0).sum();
    assert!(world.clients.iter().all(|client| client.figures.refused == 0), "granted without room");
    world.clients.iter().map(|client| per_mille(client.figures.computed, Nanos(all))).collect()
}

#[test]
fn three_tenants_of_half_a_card_share_it_by_their_weights() {
    for model in [SMALL, Model { bandwidth: H200.bandwidth, ..SMALL }] {
        for evict in [EvictMode::Pressure, EvictMode::Always] {
            let specs = [2, 1, 1].map(|weight| Spec { weight, ..Spec::batch(8) });
            let mut world = world(Settings { evict, ..settings() }, model, &specs);
            world.run(seconds(600));
            for (share, expected) in shares(&world).into_iter().zip([500, 250, 250]) {
                assert!(share.abs_diff(expected) <= expected * 3 / 100, "{evict:?} {:?}", shares(&world));
            }
            assert!(useful(&world) > 900, "{evict:?} {}", useful(&world));
            let [brought, moved_out] = world.cards[0].moved;
            let lacked: u64 = world.clients.iter().map(|client| client.figures.lacked_in_all).sum();
            assert!(brought <= lacked / 10 * 11, "{evict:?}: {brought} bytes came in, {lacked} were lacking");
            assert!(
                moved_out <= lacked / 10 * 11,
                "{evict:?}: {moved_out} bytes left, {lacked} were lacking"
            );
        }
    }
}

#[test]
fn two_tenants_of_three_quarters_of_a_card_leave_it_useful() {
    // What these have moves under `never` too: no driver can move it.
    let evicts = [EvictMode::Pressure, EvictMode::Always, EvictMode::Never];
    for (evict, model) in evicts.into_iter().flat_map(|e| [(e, SMALL), (e, H200)]) {
        let size = (model.capacity.0 / 4 * 3) >> 30;
        let mut world =
            world(Settings { evict, ..settings() }, model, &[Spec::batch(size), Spec::batch(size)]);
        world.run(seconds(600));
        assert!(useful(&world) >= 900, "{evict:?} on {model:?}: {}", useful(&world));
        assert!(shares(&world)[0].abs_diff(500) <= 15, "{evict:?}: {:?}", shares(&world));
    }
}

#[test]
fn tenants_that_fit_together_are_never_disturbed() {
    let random = Load::Random { work: seconds(1), pause: seconds(1) };
    let bursts = Load::Bursts { work: Nanos::from_millis(50), every: seconds(1) };
    let specs = [Spec::batch(7), Spec::new(6, random), Spec::new(1, bursts)];
    let mut world = world(settings(), SMALL, &specs);
    world.run(seconds(600));
    assert_eq!(world.cards[0].moved, [0, 0]);
    for client in &world.clients {
        let figures = &client.figures;
        assert_eq!((figures.grants, figures.revokes, figures.told_contended), (1, 0, 0));
        assert!(figures.longest_wait <= Nanos::from_millis(5), "{:?}", figures.longest_wait);
    }
}
