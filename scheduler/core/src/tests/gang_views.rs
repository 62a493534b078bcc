//! What operators see of gangs.
use super::{device, gib};
use crate::event::{Action, Event, TenantId};
use crate::model::settings::{Quantum, seconds};
use crate::trace::snapshot::{State, TenantView};
use crate::{Core, Settings};
use nvshare_protocol::tenant::Ready;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeSet;

fn core() -> Core {
    Core::new(Settings { quantum: Quantum::Fixed(seconds(20)), reserve: Bytes::ZERO, ..Settings::default() })
}

/// A process with 12 of a card's 16 GiB.
fn join(core: &mut Core, now: Nanos, id: u64, on: DeviceId, gang: Option<(u64, Option<u32>)>) {
    let tenant = TenantId(id);
    if let Some((gang, expected)) = gang {
        core.handle(now, Event::Gang { tenant, gang, expected });
    }
    core.handle(now, Event::Joined { tenant, holds: false });
    core.handle(now, Event::Device { tenant, device: on, capacity: gib(16) });
    let (allocated, resident, immovable) = (gib(12), Bytes::ZERO, Bytes::ZERO);
    core.handle(now, Event::Memory { tenant, device: on, allocated, resident, immovable });
}

/// It asks for a turn, and whoever is granted one has its memory at once.
fn request(core: &mut Core, now: Nanos, id: u64) {
    let actions = core.handle(now, Event::Requested { tenant: TenantId(id) });
    for action in actions {
        if let Action::Grant { tenant, grant } = action {
            let ready = Ready { lease: grant.lease, fetched: Vec::new(), took: Nanos::ZERO };
            core.handle(now, Event::Ready { tenant, ready });
        }
    }
}

fn view(core: &Core, id: u64) -> TenantView {
    core.snapshot().tenants.into_iter().find(|view| view.id == TenantId(id)).unwrap()
}

/// A gang's spans were those of a tenant that nobody knows, once its last member had left.
#[test]
fn spans_name_members_that_have_left() {
    let mut core = core();
    join(&mut core, seconds(0), 1, device(0), Some((7, Some(2))));
    join(&mut core, seconds(0), 2, device(1), Some((7, Some(2))));
    request(&mut core, seconds(1), 1);
    request(&mut core, seconds(1), 2);
    core.handle(seconds(2), Event::Tick);
    core.handle(seconds(3), Event::Left { tenant: TenantId(2) });
    core.handle(seconds(4), Event::Left { tenant: TenantId(1) });
    core.handle(seconds(5), Event::Tick);
    let spans: Vec<_> = core.spans().collect();
    let of: BTreeSet<_> = spans.iter().map(|span| (span.tenant, span.devices.clone())).collect();
    let expected = [(TenantId(1), vec![device(0)]), (TenantId(2), vec![device(1)])];
    assert_eq!(of, BTreeSet::from(expected), "{spans:?}");
    let late = |span: &&crate::span::Span| span.tenant == TenantId(2) && span.start >= seconds(3);
    assert_eq!(spans.iter().find(late), None);
}

#[test]
fn a_member_whose_gang_gathers_waits() {
    let mut core = core();
    join(&mut core, seconds(0), 1, device(0), None);
    request(&mut core, seconds(0), 1);
    join(&mut core, seconds(1), 2, device(0), Some((7, Some(2))));
    assert_eq!((view(&core, 2).state, view(&core, 2).gathers_until), (State::Idle, None));
    request(&mut core, seconds(1), 2);
    let gathers = view(&core, 2);
    assert_eq!((gathers.state, gathers.gathers_until), (State::Waiting, Some(seconds(2))));
    assert!(gathers.wait.is_none(), "the gang stands in no queue yet: {gathers:?}");
    core.handle(seconds(2), Event::Tick);
    let waits = view(&core, 2);
    assert_eq!((waits.state, waits.gathers_until), (State::Waiting, None));
    assert!(waits.wait.is_some());
}
