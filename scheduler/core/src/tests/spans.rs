//! The record: what a turn looks like in the trace.
use super::{device, gib, tenant};
use crate::event::Event;
use crate::model::span::SpanKind::{self, Drain, Evict, Fetch, Run, Wait};
use crate::settings::Quantum;
use crate::trace::snapshot::State;
use crate::{Core, Settings};
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

fn at(core: &mut Core, millis: u64, event: Event) {
    core.handle(Nanos::from_millis(millis), event);
}

fn join(core: &mut Core, millis: u64, who: u64) {
    at(core, millis, Event::Joined { tenant: tenant(who), holds: false });
    at(core, millis, Event::Device { tenant: tenant(who), device: device(1), capacity: gib(16) });
}

fn ready(lease: u64, bytes: Bytes) -> Ready {
    let fetched = vec![Share { device: device(1), bytes }];
    Ready { lease: LeaseId(lease), fetched, took: Nanos::from_millis(700) }
}

fn released(lease: u64, bytes: Bytes, drain: u64, evict: u64) -> Released {
    let evicted = vec![Share { device: device(1), bytes }];
    let (drain, evict) = (Nanos::from_millis(drain), Nanos::from_millis(evict));
    Released { lease: LeaseId(lease), evicted, drain, evict }
}

/// Kind, start and end in milliseconds, bytes.
fn spans(core: &Core, who: u64) -> Vec<(SpanKind, u64, u64, Bytes)> {
    let millis = |time: Nanos| time.0 / 1_000_000;
    let own = core.spans().filter(|span| span.tenant == tenant(who));
    own.map(|span| (span.kind, millis(span.start), millis(span.end.unwrap()), span.bytes)).collect()
}

#[test]
fn a_turn_is_wait_fetch_run_drain_evict() {
    let mut core = Core::new(Settings::default());
    join(&mut core, 0, 1);
    join(&mut core, 0, 2);
    at(&mut core, 1_000, Event::Requested { tenant: tenant(1) });
    at(&mut core, 1_750, Event::Ready { tenant: tenant(1), ready: ready(1, gib(12)) });
    at(&mut core, 2_000, Event::Requested { tenant: tenant(2) });
    at(&mut core, 31_750, Event::Tick);
    at(&mut core, 31_900, Event::DrainCancelled { tenant: tenant(1), lease: LeaseId(1) });
    at(&mut core, 32_900, Event::Tick);
    let picture = core.snapshot();
    assert_eq!(picture.tenants[1].waited, Nanos::from_millis(30_900), "it still waits");
    let open = picture.open;
    assert_eq!(
        open.iter().map(|span| (span.kind, span.end)).collect::<Vec<_>>(),
        [(Drain, None), (Wait, None)]
    );
    at(&mut core, 34_000, Event::Released { tenant: tenant(1), released: released(1, gib(9), 400, 600) });
    let none = Bytes::ZERO;
    let expected = [
        (Wait, 1_000, 1_000, none),
        (Fetch, 1_000, 1_750, gib(12)),
        (Run, 1_750, 31_750, none),
        (Drain, 31_750, 31_900, none),
        (Run, 31_900, 32_900, none),
        (Drain, 32_900, 33_400, none),
        (Evict, 33_400, 34_000, gib(9)),
    ];
    assert_eq!(spans(&core, 1), expected);
    assert_eq!(spans(&core, 2), [(Wait, 2_000, 34_000, none)]);

    let snapshot = core.snapshot();
    assert_eq!(snapshot.devices[0].handovers, 1);
    assert_eq!(snapshot.tenants[0].held, Nanos::from_millis(33_000));
    let waited: Vec<_> = snapshot.tenants.iter().map(|tenant| tenant.waited).collect();
    assert_eq!(waited, [Nanos::ZERO, Nanos::from_millis(32_000)]);
    assert_eq!(
        snapshot.devices[0].cost,
        (Nanos::ZERO, Nanos::from_millis(1_000)),
        "the first had it from nobody"
    );
    assert_eq!(
        (snapshot.auto, Quantum::Fixed(snapshot.devices[0].quantum)),
        (false, Settings::default().quantum)
    );
    assert_eq!(snapshot.tenants.iter().map(|t| t.state).collect::<Vec<_>>(), [State::Idle, State::Fetching]);
    assert_eq!(snapshot.tenants.iter().map(|t| t.grants).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_release_of_its_own_accord_is_split_as_the_tenant_measured_it() {
    let mut core = Core::new(Settings::default());
    join(&mut core, 0, 1);
    at(&mut core, 0, Event::Requested { tenant: tenant(1) });
    at(&mut core, 1_000, Event::Ready { tenant: tenant(1), ready: ready(1, gib(1)) });
    at(&mut core, 5_000, Event::Released { tenant: tenant(1), released: released(1, gib(1), 300, 700) });
    let expected =
        [(Run, 1_000, 4_000, Bytes::ZERO), (Drain, 4_000, 4_300, Bytes::ZERO), (Evict, 4_300, 5_000, gib(1))];
    assert_eq!(spans(&core, 1)[2..], expected);
    // A tenant that claims more time than there was gets what there was.
    at(&mut core, 6_000, Event::Requested { tenant: tenant(1) });
    at(
        &mut core,
        6_500,
        Event::Released { tenant: tenant(1), released: released(2, gib(0), 99_000, 99_000) },
    );
    let expected = [(Fetch, 6_000, 6_000, Bytes::ZERO), (Evict, 6_000, 6_500, gib(0))];
    assert_eq!(spans(&core, 1)[6..], expected);
}

#[test]
fn the_record_is_bounded_and_counts_what_it_forgets() {
    for (bound, kept) in [(0, 0), (3, 3), (4096, 8)] {
        let mut core = Core::new(Settings { record: bound, ..Settings::default() });
        for who in 0..4 {
            join(&mut core, 0, who);
            at(&mut core, 0, Event::Requested { tenant: tenant(who) });
            at(&mut core, 1, Event::Left { tenant: tenant(who) });
        }
        assert_eq!(core.spans().count(), kept);
        assert_eq!(core.snapshot().dropped, 8 - kept as u64);
        assert_eq!(core.drain_spans().len(), kept);
        assert_eq!(core.spans().count(), 0);
    }
}

#[test]
fn a_device_is_held_while_anybody_has_a_lease_on_it() {
    let mut core = Core::new(Settings::default());
    join(&mut core, 0, 1);
    join(&mut core, 0, 2);
    let held = |core: &Core| core.snapshot().devices[0].held.0 / 1_000_000;
    at(&mut core, 1_000, Event::Requested { tenant: tenant(1) });
    at(&mut core, 1_500, Event::Requested { tenant: tenant(2) });
    at(&mut core, 3_000, Event::Tick);
    assert_eq!(held(&core), 2_000, "two that run together hold it once");
    let none = |lease| released(lease, Bytes::ZERO, 0, 0);
    at(&mut core, 4_000, Event::Released { tenant: tenant(1), released: none(1) });
    at(&mut core, 5_000, Event::Released { tenant: tenant(2), released: none(2) });
    at(&mut core, 9_000, Event::Tick);
    assert_eq!(held(&core), 4_000);
    at(&mut core, 10_000, Event::Requested { tenant: tenant(1) });
    at(&mut core, 11_000, Event::Left { tenant: tenant(1) });
    at(&mut core, 12_000, Event::Tick);
    assert_eq!(held(&core), 5_000, "who leaves does not hold it any more");
}
