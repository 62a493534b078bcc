//! What has to be copied, and not what a tenant has, is what its hand-overs cost: by its own word, as far as that is
//! possible.
use super::figures::{seconds, settings};
use super::world::World;
use super::world::card::{H200, Model};
use super::world::client::Spec;
use super::{device, gib, tenant};
use crate::event::{Action, Event};
use crate::settings::Quantum;
use crate::{Core, Settings};
use nvshare_protocol::tenant::{Moves, Ready, Share};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

const CAPACITY: u64 = 140;

/// A core with a card of 140 GiB in virtual time.
struct Card {
    core: Core,
    now: Nanos,
}

impl Card {
    /// Tenants 1 and 2 with 80 GiB each, all of which is away. The first is granted the card, and has told this before.
    fn granted(told: Option<Moves>) -> Self {
        let quantum = Quantum::Fixed(seconds(10));
        let mut card = Self { core: Core::new(Settings { quantum, ..settings() }), now: Nanos::ZERO };
        for who in [1, 2] {
            let tenant = tenant(who);
            card.tell(Event::Joined { tenant, holds: false });
            card.tell(Event::Swaps { tenant });
            card.tell(Event::Device { tenant, device: device(1), capacity: gib(CAPACITY) });
            card.has(who, 80, 0);
        }
        told.into_iter().for_each(|told| card.says(1, told));
        card.tell(Event::Requested { tenant: tenant(1) });
        card
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.core.handle(self.now, event)
    }

    fn has(&mut self, who: u64, allocated: u64, resident: u64) {
        let (tenant, device) = (tenant(who), device(1));
        let (allocated, resident, immovable) = (gib(allocated), gib(resident), Bytes::ZERO);
        self.tell(Event::Memory { tenant, device, allocated, resident, immovable });
    }

    fn says(&mut self, who: u64, moves: Moves) {
        self.tell(Event::Moves { tenant: tenant(who), moves: Moves { device: device(1), ..moves } });
    }

    fn ready(&mut self, who: u64, lease: u64, fetched: u64, took: Nanos) {
        let fetched = vec![Share { device: device(1), bytes: gib(fetched) }];
        let ready = Ready { lease: LeaseId(lease), fetched, took };
        self.tell(Event::Ready { tenant: tenant(who), ready });
    }

    /// The first has brought in all its memory in so long, of which so much was copied.
    fn begins(&mut self, copied: u64, took: Nanos) {
        self.now = self.now.saturating_add(took);
        self.has(1, 80, 80);
        self.says(1, Moves { copied_in: gib(copied), zero_in: gib(80 - copied), ..Moves::default() });
        self.ready(1, 1, 80, took);
    }

    fn rate(&self) -> u64 {
        self.core.snapshot().devices[0].rate
    }

    /// When the second is told to prefetch, before the end of the first one's turn; none: it is not.
    fn prefetches_before_end(&mut self) -> Option<Nanos> {
        let end = self.now.saturating_add(seconds(10));
        let mut actions = self.tell(Event::Requested { tenant: tenant(2) });
        loop {
            if actions.iter().any(|action| matches!(action, Action::Fetch { tenant, .. } if tenant.0 == 2)) {
                return Some(end.saturating_sub(self.now));
            }
            self.now = self.core.next_deadline().filter(|due| *due < end)?;
            actions = self.tell(Event::Tick);
        }
    }
}

fn away(gibs: u64) -> Moves {
    Moves { away_content: gib(gibs), ..Moves::default() }
}

#[test]
fn what_was_cleared_is_not_what_the_link_moved() {
    let mut card = Card::granted(Some(away(8)));
    card.begins(8, Nanos::from_millis(200));
    assert_eq!(card.rate(), gib(8).0 * 5);
}

#[test]
fn a_fetch_of_too_little_content_says_nothing_of_the_link() {
    let mut card = Card::granted(Some(away(0)));
    card.begins(0, Nanos::from_millis(20));
    assert_eq!(card.rate(), 0, "nothing was measured");
}

#[test]
fn no_counter_makes_a_link_faster_than_what_came_says() {
    for (before, after) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        let mut card = Card::granted(Some(Moves { copied_in: Bytes(before), ..away(80) }));
        card.now = Nanos::from_millis(1_000);
        card.has(1, 80, 80);
        card.says(1, Moves { copied_in: Bytes(after), ..Moves::default() });
        card.ready(1, 1, 80, Nanos::from_millis(1_000));
        assert!(card.rate() <= gib(80).0, "{before} to {after}: {}", card.rate());
    }
    // Of one that tells for the first time nobody knows since when it counts.
    let mut card = Card::granted(None);
    card.begins(80, seconds(1));
    assert_eq!(card.rate(), 0);
}

#[test]
fn who_lacks_little_content_prefetches_as_late_as_one_that_is_small() {
    let begins = |told: Option<u64>| {
        let mut card = Card::granted(Some(away(80)));
        card.begins(80, Nanos::from_millis(1_600));
        if let Some(content) = told {
            card.says(2, away(content));
        }
        card.prefetches_before_end().unwrap()
    };
    let (all, little, none) = (begins(None), begins(Some(8)), begins(Some(0)));
    // At 50 GiB/s, half as long again and a margin.
    assert!((2_400..2_500).contains(&(all.0 / 1_000_000)), "{all:?}");
    assert!((240..600).contains(&(little.0 / 1_000_000)), "{little:?}");
    assert!(none < little && none > Nanos::from_millis(30), "clearing takes time too: {none:?}");
    assert_eq!(begins(Some(u64::MAX >> 30)), all, "no more content is away than memory");
}

#[test]
fn a_silent_tenant_is_waited_for_as_its_content_takes() {
    let waited = |told: Option<u64>| {
        let mut card = Card::granted(None);
        card.begins(80, seconds(1));
        if let Some(content) = told {
            card.says(2, away(content));
        }
        card.tell(Event::Requested { tenant: tenant(2) });
        card.tell(Event::Left { tenant: tenant(1) });
        let lease = card.core.engine.model.lease(tenant(2)).expect("it is granted");
        lease.alive_until.saturating_sub(lease.granted_at)
    };
    let (all, little) = (waited(None), waited(Some(8)));
    assert!(little < all && little >= Settings::default().silence, "{little:?} of {all:?}");
}

#[test]
fn the_record_says_what_was_not_copied() {
    let mut card = Card::granted(Some(away(8)));
    card.begins(8, Nanos::from_millis(200));
    card.tell(Event::Requested { tenant: tenant(2) });
    card.now = card.now.saturating_add(seconds(11));
    card.tell(Event::Tick);
    card.has(1, 80, 10);
    let (copied_in, zero_in) = (gib(8), gib(72));
    let moves = Moves { copied_out: gib(5), unchanged: gib(2), zero_out: gib(63), ..away(7) };
    card.says(1, Moves { copied_in, zero_in, ..moves });
    let evicted = vec![Share { device: device(1), bytes: gib(70) }];
    let (lease, drain, evict) = (LeaseId(1), Nanos::ZERO, Nanos::from_millis(100));
    let released = nvshare_protocol::tenant::Released { lease, evicted, drain, evict };
    card.tell(Event::Released { tenant: tenant(1), released });
    let spans = card.core.spans().filter(|span| span.tenant == tenant(1) && span.bytes > Bytes::ZERO);
    let said: Vec<_> =
        spans.map(|span| (span.kind.as_str(), span.bytes, span.unchanged, span.zero)).collect();
    assert_eq!(
        said,
        [("fetch", gib(80), Bytes::ZERO, gib(72)), ("evict", gib(70), gib(2), gib(63))],
        "the rest was copied"
    );
}

/// Two tenants in turns for ten minutes: each one's computing, the card's useful time in thousandths, and the turns.
fn in_turns(model: Model, specs: &[Spec]) -> (Vec<u64>, u64, u64, Nanos) {
    let mut world = World::new(settings(), &[model], 1);
    for spec in specs {
        world.add(spec.clone(), Nanos::ZERO);
    }
    world.run(seconds(600));
    let figures = |of: fn(&super::world::client::Figures) -> u64| {
        world.clients.iter().map(|client| of(&client.figures)).collect::<Vec<u64>>()
    };
    let turn = world.core.as_ref().unwrap().snapshot().devices[0].quantum;
    let turns = figures(|figures| figures.grants).iter().sum();
    let useful = world.cards[0].useful(world.now).0 * 1000 / world.now.0;
    (figures(|figures| figures.computed.0 / 1_000_000), useful, turns, turn)
}

/// The card has room for one of the two in each case.
#[test]
fn a_tenant_with_little_content_has_turns_as_a_small_one_has() {
    let large = Spec { zero: 56 << 30, ..Spec::batch(64) };
    let (_, useful, turns, turn) = in_turns(Model { capacity: gib(67), ..H200 }, &[large.clone(), large]);
    let small = Model { capacity: gib(11), ..H200 };
    let (_, useful_small, turns_small, turn_small) = in_turns(small, &[Spec::batch(8), Spec::batch(8)]);
    assert!(
        turns.abs_diff(turns_small) <= turns_small / 10,
        "{turns} turns, {turns_small} of the small ones"
    );
    assert!(turn.0.abs_diff(turn_small.0) <= turn_small.0 / 10, "{turn:?} {turn_small:?}");
    assert!(useful.abs_diff(useful_small) <= 10, "{useful} and {useful_small}");
}

/// Whatever a tenant says of its content, it takes no time from the one beside it.
#[test]
fn saying_that_memory_has_no_content_or_all_takes_nothing_from_others() {
    let honest = in_turns(H200, &[Spec::batch(80), Spec::batch(80)]).0;
    let share = |done: &[u64]| done[0] * 1000 / done.iter().sum::<u64>();
    assert!(share(&honest).abs_diff(500) <= 15, "{honest:?}");
    let empty = in_turns(H200, &[Spec::batch(80), Spec { zero: 80 << 30, ..Spec::batch(80) }]).0;
    assert!(share(&empty).abs_diff(500) <= 15, "{empty:?}");
}

/// What the engine takes for the content of what a gang lacks, in GiB.
fn lacks_of_gang(core: &Core) -> u64 {
    let gang =
        core.engine.model.tenants.iter().map(|(_, tenant)| tenant).find(|tenant| tenant.gang.is_some());
    gang.expect("a gang").lacks_content(device(1)).0 >> 30
}

#[test]
fn a_gang_lacks_what_its_members_lack() {
    let mut card = Card { core: Core::new(settings()), now: Nanos::ZERO };
    for (who, late) in [(1, false), (2, true)] {
        let tenant = tenant(who);
        if !late {
            card.tell(Event::Gang { tenant, gang: 7, expected: None });
        }
        card.tell(Event::Joined { tenant, holds: false });
        card.tell(Event::Device { tenant, device: device(1), capacity: gib(CAPACITY) });
        card.has(who, 40, 0);
    }
    card.says(1, away(8));
    card.says(2, away(5));
    assert_eq!(lacks_of_gang(&card.core), 8);
    // One that has told before it becomes a member.
    card.tell(Event::Gang { tenant: tenant(2), gang: 7, expected: None });
    assert_eq!(lacks_of_gang(&card.core), 13);
    card.says(1, away(u64::MAX >> 30));
    assert_eq!(lacks_of_gang(&card.core), 45, "a member lacks no more than it has");
    // One that tells nothing: all of it counts, also when it has changed.
    card.tell(Event::Gang { tenant: tenant(3), gang: 7, expected: None });
    card.tell(Event::Joined { tenant: tenant(3), holds: false });
    card.tell(Event::Device { tenant: tenant(3), device: device(1), capacity: gib(CAPACITY) });
    card.has(3, 20, 20);
    assert_eq!(lacks_of_gang(&card.core), 45);
    card.has(3, 20, 2);
    assert_eq!(lacks_of_gang(&card.core), 63);
    card.tell(Event::Left { tenant: tenant(1) });
    assert_eq!(lacks_of_gang(&card.core), 23);
}
