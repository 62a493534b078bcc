//! What a gang may do to others, and what it leaves behind.
use super::*;
use crate::Priority;

#[test]
fn a_gang_that_stands_aside_pays_for_it() {
    let wait = wait_after_standing_aside(true, 100);
    assert!(matches!(wait, Some(WaitReason::Debt { .. })), "{wait:?}");
}

/// Its last period begins with its turn of 2 s, at 4.25 s. It has run for 2 s beside the turn of another, too.
#[test]
fn a_share_of_time_counts_what_a_gang_runs_aside() {
    let wait = wait_after_standing_aside(false, 80);
    let Some(WaitReason::Quota { until }) = wait else { panic!("{wait:?}") };
    assert_eq!(until, Nanos::from_millis(4_250 + 5_000));
}

/// Why a gang waits that has stood aside for one turn of another tenant, and had two.
fn wait_after_standing_aside(of_two_owners: bool, percent: u32) -> Option<WaitReason> {
    let mut core = Core::new(Settings { share: false, ..settings() });
    let mut now = Nanos::ZERO;
    let [first, second, other] = [1, 2, 3].map(TenantId);
    let device = device(0);
    let mut tell = |core: &mut Core, after: Nanos, event: Event| {
        now = now.saturating_add(after);
        core.handle(now, event)
    };
    let lease_of = |actions: &[Action], of: TenantId| {
        actions.iter().find_map(|action| match action {
            Action::Grant { tenant, grant } if *tenant == of => Some(grant.lease),
            _ => None,
        })
    };
    let none = Nanos::ZERO;
    let released = |lease| Released { lease, evicted: Vec::new(), drain: none, evict: none };
    let mut granted = None;
    for (tenant, gang) in [(first, Some(1)), (second, Some(1)), (other, None)] {
        gang.into_iter()
            .for_each(|gang| drop(tell(&mut core, none, Event::Gang { tenant, gang, expected: None })));
        tell(&mut core, none, Event::Joined { tenant, holds: false });
        tell(&mut core, none, Event::Owner { tenant, owner: u64::from(of_two_owners && gang.is_none()) });
        if gang.is_some() {
            tell(&mut core, none, Event::TimeShare { tenant, group: 7, percent });
        }
        tell(&mut core, none, Event::Device { tenant, device, capacity: gib(16) });
        if tenant != second {
            let actions = tell(&mut core, none, Event::Requested { tenant });
            granted = granted.or(lease_of(&actions, first));
        }
    }
    let lease = granted.unwrap();
    let ready = |lease| Ready { lease, fetched: Vec::new(), took: none };
    tell(&mut core, none, Event::Ready { tenant: first, ready: ready(lease) });
    // Its work does not end, and the other member asks for a turn.
    tell(&mut core, seconds(2), Event::Tick);
    tell(&mut core, Nanos::from_millis(250), Event::DrainCancelled { tenant: first, lease });
    let actions = tell(&mut core, none, Event::Requested { tenant: second });
    let lease = lease_of(&actions, other).expect("the other's turn");
    tell(&mut core, none, Event::Ready { tenant: other, ready: ready(lease) });
    tell(&mut core, seconds(2), Event::Tick);
    tell(&mut core, none, Event::Requested { tenant: other });
    let actions = tell(&mut core, none, Event::Released { tenant: other, released: released(lease) });
    let lease = lease_of(&actions, first).expect("a turn for both");
    assert_eq!(lease_of(&actions, second), Some(lease));
    for tenant in [first, second] {
        tell(&mut core, none, Event::Ready { tenant, ready: ready(lease) });
    }
    tell(&mut core, seconds(2), Event::Tick);
    for tenant in [first, second] {
        tell(&mut core, none, Event::Released { tenant, released: released(lease) });
        tell(&mut core, none, Event::Requested { tenant });
    }
    let snapshot = core.snapshot();
    let view = snapshot.tenants.iter().find(|view| view.id == first).unwrap();
    view.wait.as_ref().map(|wait| wait.reason.clone())
}

/// A gang that gathers, and whose only process ends, leaves nothing to be looked at.
#[test]
fn a_gang_that_ends_while_it_gathers_leaves_no_deadline() {
    let mut world = World::new(settings(), gib(16), 17);
    world.job(&[0], gib(12), None);
    let job = world.growing(&[0, 0], gib(2), Nanos::from_millis(1), Some(1));
    let first = world.jobs[job].members[0];
    world.start(first);
    world.run(Nanos::from_millis(10));
    world.kill(first);
    // Each tell checks that no deadline has passed.
    world.run(seconds(3));
    assert!(world.core.snapshot().tenants.iter().all(|view| view.gang.is_none()));
}

#[test]
fn a_gang_that_loses_a_device_while_it_gathers_asks_all_the_same() {
    let mut world = World::new(settings(), gib(16), 19);
    world.job(&[0, 1], gib(12), None);
    let job = world.growing(&[0, 1, 2], gib(2), Nanos::from_millis(1), Some(1));
    let [first, second, _] = world.jobs[job].members[..] else { unreachable!() };
    let tenant = World::id(first);
    world.tell(Event::Gang { tenant, gang: 1, expected: Some(3) });
    world.tell(Event::Joined { tenant, holds: false });
    world.tell(Event::Device { tenant, device: device(0), capacity: gib(16) });
    world.tell(Event::Swaps { tenant });
    world.start(second);
    world.kill(second);
    world.tell(Event::Requested { tenant });
    world.run(seconds(8));
    let snapshot = world.core.snapshot();
    let view = snapshot.tenants.iter().find(|view| view.id == tenant).unwrap();
    assert!(view.grants > 0, "{view:?}");
}

#[test]
fn who_has_left_has_paused_nobody() {
    let mut world = World::new(settings(), gib(16), 23);
    let job = world.job(&[0, 1], gib(2), Some(1));
    world.run(seconds(1));
    let [first, second] = world.jobs[job].members[..] else { unreachable!() };
    world.tell(Event::Paused { tenant: World::id(first), paused: true });
    world.run(seconds(1));
    let paused = |world: &World| world.core.snapshot().tenants.iter().any(|view| view.is_paused);
    assert!(paused(&world));
    world.kill(first);
    assert!(!paused(&world), "only the one that has left was");
    assert!(world.processes[second].alive);
}

/// It says that it has grown whenever it is beside another, and has not.
#[test]
fn a_gang_that_pushes_others_out_pays_for_it() {
    let mut world = World::new(settings(), gib(16), 25);
    let honest = world.job(&[0], gib(12), None);
    let liar = world.prepare(&[0], gib(1), Some(1));
    let process = world.jobs[liar].members[0];
    world.tell(Event::Owner { tenant: World::id(world.jobs[honest].members[0]), owner: 1 });
    world.start(process);
    world.tell(Event::Owner { tenant: World::id(process), owner: 2 });
    for _ in 0..6_000 {
        world.run(Nanos::from_millis(10));
        let (tenant, open) = (World::id(process), world.processes[process].open);
        let allocated = if open { gib(16) } else { gib(1) };
        let resident = world.processes[process].resident;
        let immovable = Bytes::ZERO;
        world.tell(Event::Memory { tenant, device: device(0), allocated, resident, immovable });
    }
    let of = world.jobs[honest].done;
    assert!(of > 1_300, "{of} of 4000 alone");
}

/// A member beside the others' turns is asked again, also when the engine has come to know its gang by another name.
#[test]
fn who_stands_aside_is_asked_again_after_a_device_of_the_gang_has_gone() {
    let mut core = Core::new(Settings { share: false, ..settings() });
    let [first, second, gone, other] = [1, 2, 3, 4].map(TenantId);
    let mut now = Nanos::ZERO;
    let mut tell = |core: &mut Core, after: Nanos, event: Event| {
        now = now.saturating_add(after);
        core.handle(now, event)
    };
    let none = Nanos::ZERO;
    for (tenant, at) in [(first, 0), (second, 0), (gone, 1), (other, 0)] {
        if tenant != other {
            tell(&mut core, none, Event::Gang { tenant, gang: 1, expected: None });
        }
        tell(&mut core, none, Event::Joined { tenant, holds: false });
        tell(&mut core, none, Event::Device { tenant, device: device(at), capacity: gib(16) });
        if tenant == gone || tenant == other {
            let tenant = if tenant == gone { first } else { other };
            tell(&mut core, none, Event::Requested { tenant });
        }
    }
    let lease = LeaseId(1);
    let ready = Ready { lease, fetched: Vec::new(), took: none };
    tell(&mut core, none, Event::Ready { tenant: first, ready: ready.clone() });
    let released = Released { lease, evicted: Vec::new(), drain: none, evict: none };
    for tenant in [second, gone] {
        tell(&mut core, none, Event::Ready { tenant, ready: ready.clone() });
    }
    tell(&mut core, seconds(2), Event::Tick);
    for tenant in [second, gone] {
        tell(&mut core, none, Event::Released { tenant, released: released.clone() });
    }
    tell(&mut core, none, Event::Left { tenant: second });
    let tenant = second;
    tell(&mut core, none, Event::Gang { tenant, gang: 1, expected: None });
    tell(&mut core, none, Event::Joined { tenant, holds: false });
    tell(&mut core, none, Event::Device { tenant, device: device(0), capacity: gib(16) });
    tell(&mut core, none, Event::Requested { tenant });
    tell(&mut core, Nanos::from_millis(50), Event::DrainCancelled { tenant: first, lease });
    tell(&mut core, none, Event::Left { tenant: gone });
    let asked = (0..24).any(|_| {
        let actions = tell(&mut core, Nanos::from_millis(500), Event::Tick);
        actions.iter().any(|action| matches!(action, Action::Revoke { tenant, .. } if *tenant == first))
    });
    assert!(asked, "{:?}", core.snapshot());
}

/// What the core has for the gang of these, in whatever order they have said so.
fn rules_of_gang(world: &World) -> (u32, Priority, Option<u32>) {
    let snapshot = world.core.snapshot();
    let view = snapshot.tenants.iter().find(|view| view.gang.is_some()).unwrap();
    (view.weight, view.priority, view.time_share)
}

#[test]
fn the_largest_weight_the_highest_priority_and_the_least_share_hold_for_a_gang() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::new(settings(), gib(16), 29);
        let job = world.job(&[0, 1], gib(2), Some(1));
        let members = world.jobs[job].members.clone();
        let wishes = [(4, Priority::Low, 30), (1, Priority::High, 100)];
        for at in order {
            let tenant = World::id(members[at]);
            let (weight, priority, percent) = wishes[at];
            world.tell(Event::Weight { tenant, weight });
            world.tell(Event::Priority { tenant, priority });
            world.tell(Event::TimeShare { tenant, group: 7, percent });
        }
        assert_eq!(rules_of_gang(&world), (4, Priority::High, Some(30)), "{order:?}");
        // An operator lowers one: the others' still hold.
        let first = World::id(members[0]);
        world.tell(Event::Weight { tenant: first, weight: 2 });
        assert_eq!(rules_of_gang(&world).0, 2);
        world.tell(Event::TimeShare { tenant: first, group: 7, percent: 100 });
        assert_eq!(rules_of_gang(&world).2, None);
        // Who has left counts no more.
        world.kill(members[1]);
        assert_eq!(rules_of_gang(&world), (2, Priority::Low, None), "{order:?}");
    }
}
