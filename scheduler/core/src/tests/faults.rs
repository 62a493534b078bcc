//! Schedulers and clients that die at any moment of a hand-over: nobody hangs, nothing is lost, no grant is left over.
use super::figures::seconds;
use super::gib;
use super::world::World;
use super::world::card::SMALL;
use super::world::client::{Load, Phase, Spec, Task, Why};
use crate::Settings;
use crate::event::EvictMode;
use crate::settings::Quantum;
use nvshare_protocol::{LeaseId, Nanos};
use std::collections::BTreeMap;

const RUNS: u64 = 1000;
/// As the daemon has it after another scheduler.
const GRACE: Nanos = seconds(1);
/// How long holders may be more than fit, where two came back that both held before.
const CROWDED: Nanos = Nanos::from_millis(500);

/// The bounds of these runs are short, so that a wait that has none shows.
fn settings(world: &mut World) -> Settings {
    let evict = if world.roll(4) == 0 { EvictMode::Always } else { EvictMode::Pressure };
    Settings {
        reserve: gib(1),
        quantum: Quantum::Fixed(Nanos::from_millis(100 + world.roll(400))),
        share: world.roll(2) == 0,
        overlap: evict == EvictMode::Pressure || world.roll(2) == 0,
        evict,
        fetch_bound: seconds(5),
        drain_bound: seconds(1),
        evict_bound: seconds(5),
        patience: seconds(2),
        ..Settings::default()
    }
}

/// What the client was at when it or the scheduler died.
fn moment(world: &World, c: usize) -> &'static str {
    let client = &world.clients[c];
    match (&client.task, client.phase) {
        _ if !client.alive => "dead",
        (Some(Task::Drain { .. }), _) => "draining",
        (Some(Task::Move(task)), _) => match task.why {
            Why::Grant(_) => "fetching",
            Why::Ahead => "fetching ahead",
            Why::Revoke { .. } => "moving out",
            Why::Asked => "moving out beside its turn",
            Why::Freedom => "fetching without a scheduler",
        },
        (None, Phase::Waiting) => "waiting",
        (None, Phase::Held) if client.computes.is_some() => "computing",
        (None, Phase::Held) => "holding",
        (None, Phase::Idle) => "idle",
        (None, Phase::Free | Phase::Short) => "free",
    }
}

struct Campaign {
    world: World,
    settings: Settings,
    seed: u64,
    /// When the next scheduler starts.
    restart: Nanos,
    /// The longest that anybody may wait, restarts included.
    bound: Nanos,
    /// Since when holders do not fit together, by card.
    crowded: BTreeMap<usize, Nanos>,
    crowds: u64,
}

impl Campaign {
    fn new(seed: u64) -> Self {
        let mut dice = World::new(Settings::default(), &[SMALL], seed);
        let settings = settings(&mut dice);
        let cards = 1 + seed % 2;
        let mut world = World::new(settings.clone(), &vec![SMALL; cards as usize], seed);
        let tenants = 2 + dice.roll(3);
        for n in 0..tenants {
            let (work, pause) = (dice.some(seconds(1)), dice.some(seconds(1)));
            let load = if dice.roll(2) == 0 { Load::Batch } else { Load::Random { work, pause } };
            let first = dice.roll(cards) as usize;
            let cards = if cards == 2 && dice.roll(3) == 0 { vec![0, 1] } else { vec![first] };
            let spec = Spec { cards, weight: 1 + (n % 2) as u32, ..Spec::new(3 + dice.roll(11), load) };
            let at = world.some(seconds(1));
            world.add(spec, at);
        }
        let bound = Nanos(settings.wait_bound(2).0 * (2 * tenants + 1)).saturating_add(seconds(30));
        Self { world, settings, seed, restart: Nanos::MAX, bound, crowded: BTreeMap::new(), crowds: 0 }
    }

    /// One step of the world, or the start of the next scheduler.
    fn step(&mut self) {
        if self.restart.min(self.world.next_time()) == Nanos::MAX {
            // Nothing will ever happen by itself: all that have work run.
            return;
        }
        if self.restart <= self.world.next_time() {
            self.world.now = self.world.now.max(self.restart);
            self.world.start_scheduler(Settings { grace: GRACE, ..self.settings.clone() });
            self.restart = Nanos::MAX;
        } else {
            self.world.step();
        }
        self.nobody_waits_too_long();
        self.holders_fit();
    }

    fn run(&mut self, until: Nanos) {
        while self.world.next_time().min(self.restart) <= until {
            self.step();
        }
        self.world.now = until;
    }

    fn nobody_waits_too_long(&self) {
        for (c, client) in self.world.clients.iter().enumerate() {
            let since = client.figures.wants_since.unwrap_or(self.world.now);
            let waits = self.world.now.saturating_sub(since);
            assert!(waits <= self.bound, "seed {}: {c} has been waiting for {waits:?}", self.seed);
        }
    }

    /// Who holds, by its own account, fits together on each card. After a restart two may not that both held before;
    /// one of them has to leave at once.
    fn holders_fit(&mut self) {
        for card in 0..self.world.cards.len() {
            let held: u64 = self.world.clients.iter().map(|client| held_on(client, card)).sum();
            if held <= 15 << 30 {
                self.crowded.remove(&card);
                continue;
            }
            let now = self.world.now;
            let since = *self.crowded.entry(card).or_insert_with(|| {
                self.crowds += 1;
                now
            });
            let crowded = now.saturating_sub(since);
            assert!(crowded <= CROWDED, "seed {}: {held} bytes are held on card {card}", self.seed);
        }
    }

    /// Something dies now. What everybody was at then goes to `moments`.
    fn fault(&mut self, moments: &mut BTreeMap<&'static str, u64>) {
        let kind = self.world.roll(3);
        if kind != 1 && self.world.core.is_some() {
            for c in 0..self.world.clients.len() {
                *moments.entry(moment(&self.world, c)).or_default() += 1;
            }
            self.world.kill_scheduler();
            // Now and then it stays away until those who wait run without it.
            let away = if self.world.roll(10) == 0 { seconds(14) } else { seconds(1) };
            self.restart = self.world.now.saturating_add(self.world.some(away));
        }
        if kind != 0 {
            let c = self.world.roll(self.world.clients.len() as u64) as usize;
            *moments.entry(moment(&self.world, c)).or_default() += 1;
            let back = self.world.some(seconds(1));
            self.world.kill_client(c, back);
        }
    }

    /// What the scheduler believes is what the clients know.
    fn no_grant_is_left_over(&self) {
        let core = self.world.core.as_ref().expect("a scheduler runs");
        for (c, client) in self.world.clients.iter().enumerate().filter(|(_, client)| client.alive) {
            let id = client.connection.expect("all have come back");
            let lease = core.engine.model.lease(id).map(|lease| lease.id);
            let holds = (client.phase == Phase::Held).then_some(client.lease);
            let same = lease == holds || lease == Some(LeaseId(0)) && holds.is_some();
            assert!(same, "seed {}: {c} holds {holds:?}, and has {lease:?}", self.seed);
        }
        for (id, tenant) in core.engine.model.tenants.iter() {
            let known = self.world.clients.iter().any(|client| client.connection == Some(*id));
            assert!(known, "seed {}: {id:?} is nobody: {tenant:?}", self.seed);
        }
    }

    /// All work ends, and somebody who needs all the cards gets them.
    fn ends_well(&mut self) {
        let settled = self.world.now.saturating_add(seconds(30));
        self.run(settled);
        (0..self.world.clients.len()).for_each(|c| self.world.quit(c));
        self.run(settled.saturating_add(seconds(20)));
        assert!(self.world.clients.iter().all(|client| client.computes.is_none()), "seed {}", self.seed);
        self.no_grant_is_left_over();
        let cards = (0..self.world.cards.len()).collect();
        let last = self.world.add(Spec { cards, ..Spec::batch(15) }, Nanos::ZERO);
        self.run(self.world.now.saturating_add(seconds(20)));
        assert!(self.world.clients[last].computes.is_some(), "seed {}: the cards are not free", self.seed);
    }
}

/// What of a card the client holds, or was granted and is bringing in.
fn held_on(client: &super::world::client::Client, card: usize) -> u64 {
    let granted = matches!(&client.task, Some(Task::Move(task)) if matches!(task.why, Why::Grant(_)));
    let on = client.holdings.iter().filter(|holding| holding.card == card);
    if client.gate_open || granted { on.map(|holding| holding.totals().allocated.0).sum() } else { 0 }
}

#[test]
fn schedulers_and_clients_may_die_at_every_step_of_a_hand_over() {
    let (mut moments, mut crowds) = (BTreeMap::new(), 0);
    for seed in 0..RUNS {
        let mut campaign = Campaign::new(seed);
        for _ in 0..1 + seed % 3 {
            for _ in 0..campaign.world.roll(400) {
                campaign.step();
            }
            campaign.fault(&mut moments);
        }
        campaign.ends_well();
        crowds += campaign.crowds;
    }
    assert!(crowds <= RUNS / 50, "{crowds} times holders did not fit");
    for moment in [
        "draining",
        "fetching",
        "fetching ahead",
        "moving out",
        "moving out beside its turn",
        "waiting",
        "computing",
        "holding",
        "idle",
    ] {
        assert!(moments[moment] >= 20, "{moment}: {moments:?}");
    }
}
