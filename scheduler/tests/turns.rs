//! Tenants that behave, and one that dies.
mod common;
use common::{Daemon, Setup, Tenant, device, hello};
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId};
use std::time::{Duration, Instant};

const FAST: &str = "[scheduler]\nquantum = 0.05\n";

#[test]
fn two_tenants_take_turns() {
    let mut daemon = Daemon::start(FAST);
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let first = one.granted();
    one.ready(first.lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let mut leases = vec![first.lease];
    for turn in 0..6 {
        let (out, next) = if turn % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        let begun = Instant::now();
        let revoke = out.revoked();
        assert_eq!(revoke.lease, *leases.last().unwrap());
        if turn > 0 {
            assert!(begun.elapsed() >= Duration::from_millis(45), "a turn lasts its quantum");
        }
        out.released(revoke.lease);
        out.say(&ToScheduler::Request);
        let grant = next.granted();
        next.ready(grant.lease);
        leases.push(grant.lease);
    }
    leases.dedup();
    assert_eq!(leases.len(), 7, "every grant has a number of its own");
    let line = daemon.logs("fetched 12.0 GiB in 0.258 s (50.0 GB/s)");
    assert!(line.contains("tenant 1 (one, pid "), "{line}");
    assert!(daemon.logs("moved out 7.5 GiB in 0.160 s (50.0 GB/s)").contains("tenant 1 (one"));
}

#[test]
fn a_holder_of_lower_priority_gives_way_at_once() {
    let mut daemon = Daemon::start("[scheduler]\nquantum = 3600\n[limits]\npriority = \"high\"\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::silent(&daemon.tenant_socket());
    two.say(&ToScheduler::Hello(Hello { priority: Some(2), ..hello("two") }));
    two.has(Bytes(12 << 30), Bytes(0));
    two.say(&ToScheduler::Request);
    let revoke = one.revoked();
    one.released(revoke.lease);
    two.granted();
    assert!(daemon.logs("(two, pid").contains("priority high"));
}

#[test]
fn a_tenant_holds_no_more_than_its_share_of_the_time() {
    let mut daemon = Daemon::start("[limits]\ntime_share_per_tenant = \"30%\"\n");
    let mut one = Tenant::silent(&daemon.tenant_socket());
    one.say(&ToScheduler::Hello(Hello { time_share: Some(50), ..hello("one") }));
    one.has(Bytes(12 << 30), Bytes(12 << 30));
    let begun = Instant::now();
    let mut held = Duration::ZERO;
    for _ in 0..3 {
        one.say(&ToScheduler::Request);
        let lease = one.granted().lease;
        let granted = Instant::now();
        one.ready(lease);
        let revoke = one.revoked();
        assert_eq!(revoke.evict[0].bytes, Bytes(0), "nobody needs the room");
        one.released(revoke.lease);
        held += granted.elapsed();
    }
    let passed = begun.elapsed();
    assert!(held >= Duration::from_millis(890) && held < Duration::from_millis(1_200), "{held:?}");
    assert!(passed >= Duration::from_secs(2), "{passed:?}");
    assert!(daemon.logs("joined").contains("at most 30 % of the time"));
    one.say(&ToScheduler::Request);
    while daemon.status().tenants[0].state != "throttled" {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn a_holder_that_dies_is_followed_at_once() {
    let mut daemon = Daemon::start("[scheduler]\nquantum = 3600\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    daemon.logs("(two, pid");
    // The scheduler has put the request in line once it tells the holder that somebody waits.
    while one.hear() != ToTenant::Contended(true) {}
    let killed = Instant::now();
    drop(one);
    two.granted();
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    assert!(daemon.logs(" left").contains("tenant 1 (one, pid "));
}

#[test]
fn after_a_crash_the_next_scheduler_knows_who_holds() {
    let daemon = Daemon::start("[scheduler]\nquantum = 3600\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    one.granted();
    let setup = daemon.kill();
    while one.next().is_some() {}
    let mut daemon = setup.start();
    daemon.logs("removing the socket of a scheduler that is gone");
    let mut one = Tenant::silent(&daemon.tenant_socket());
    one.say(&ToScheduler::Hello(Hello { holds: true, ..hello("one") }));
    one.has(Bytes(12 << 30), Bytes(12 << 30));
    while !matches!(one.hear(), ToTenant::Welcome(_)) {}
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    while one.hear() != ToTenant::Contended(true) {}
    let status = daemon.status();
    assert_eq!((&status.devices[0].holders, &status.devices[0].waiting), (&vec![1], &vec![2]));
    drop(one);
    two.granted();
}

#[test]
fn after_a_restart_those_who_wait_do_not_come_before_those_who_hold() {
    let start: [fn(Daemon) -> Setup; 2] = [Daemon::kill, |daemon| daemon.stop().1];
    for end in start {
        let daemon = end(Daemon::start("[scheduler]\nquantum = 3600\n")).start();
        // The one that waited is back first.
        let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
        let mut one = Tenant::silent(&daemon.tenant_socket());
        one.say(&ToScheduler::Hello(Hello { holds: true, ..hello("one") }));
        one.has(Bytes(12 << 30), Bytes(12 << 30));
        while one.hear() != ToTenant::Contended(true) {}
        let status = daemon.status();
        assert_eq!((&status.devices[0].holders, &status.devices[0].waiting), (&vec![2], &vec![1]));
        drop(one);
        two.granted();
        // Where nobody comes back, it waits for the grace alone.
        let setup = end(daemon);
        let begun = Instant::now();
        let daemon = setup.start();
        Tenant::with_work(&daemon.tenant_socket(), "two").granted();
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_holder_with_nothing_to_do_gives_way() {
    let daemon = Daemon::start("[scheduler]\nquantum = 3600\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    while one.hear() != ToTenant::Contended(true) {}
    one.say(&ToScheduler::Idle(lease));
    assert_eq!(one.revoked().lease, lease);
    one.released(lease);
    two.granted();
}

#[test]
fn a_library_of_the_first_version_is_not_asked_to_move_out_beside_its_turns() {
    let daemon = Daemon::start(FAST);
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.has(Bytes(12 << 30), Bytes(12 << 30));
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let revoke = one.revoked();
    // It moves nothing, and the driver has to.
    let begun = Instant::now();
    one.released(revoke.lease);
    two.granted();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_tenant_that_never_answers_is_passed_by() {
    let config =
        "[scheduler]\nquantum = 0.01\ndrain_seconds = 0.05\nevict_seconds = 0.05\npatience_seconds = 0.05\n";
    let mut daemon = Daemon::start(config);
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    two.granted();
    let line = daemon.logs("did not answer its revocation in time");
    assert!(line.contains("WARN") && line.contains("tenant 1 (one"), "{line}");
    let states: Vec<_> = daemon.status().tenants.into_iter().map(|tenant| tenant.state).collect();
    assert_eq!(states, ["unresponsive", "fetching"]);
}

#[test]
fn one_that_swaps_is_not_granted_what_a_tenant_that_does_not_leave_keeps_and_an_operator_reads_who_that_is() {
    let config = "[scheduler]\nquantum = 0.01\ndrain_seconds = 0.05\nevict_seconds = 0.05\npatience_seconds = 0.05\n\
         [swap]\nbudget = \"1GiB\"\n";
    let mut daemon = Daemon::start(config);
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.tells(Bytes(12 << 30), Bytes(12 << 30));
    one.ready(lease);
    let mut two = Tenant::silent(&daemon.tenant_socket());
    let engine = "swap".into();
    two.say(&ToScheduler::Hello(Hello { version: 2, engine, ..hello("two") }));
    two.say(&ToScheduler::SwapWanted(Bytes(1 << 30)));
    two.has(Bytes(8 << 30), Bytes(0));
    two.say(&ToScheduler::Request);
    let line = daemon.logs("do not fit on");
    let names = [
        "WARN",
        "tenant 2 (two, pid ",
        "8.0 GiB do not fit on GPU-",
        "; tenant 1 (one, pid ",
        "keeps 12.0 GiB",
    ];
    assert!(names.iter().all(|name| line.contains(name)), "{line}");
    let states: Vec<_> = daemon.status().tenants.into_iter().map(|tenant| tenant.state).collect();
    assert_eq!(states, ["unresponsive", "waiting"]);
    // What fits beside it runs, and is not disturbed.
    let mut three = Tenant::join(&daemon.tenant_socket(), "three");
    three.has(Bytes(1 << 30), Bytes(0));
    three.say(&ToScheduler::Request);
    let lease = three.granted().lease;
    three.ready(lease);
    drop((one, three));
    two.granted();
    assert_eq!(daemon.count("do not fit on"), 1);
}

#[test]
fn a_tenant_that_runs_since_before_keeps_its_device() {
    let daemon = Daemon::start("[scheduler]\nquantum = 3600\n");
    let mut one = Tenant::silent(&daemon.tenant_socket());
    one.say(&ToScheduler::Hello(Hello { holds: true, ..hello("one") }));
    one.has(Bytes(12 << 30), Bytes(12 << 30));
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    while one.hear() != ToTenant::Contended(true) {}
    one.has(Bytes(12 << 30), Bytes(0));
    one.released(LeaseId(0));
    two.granted();
}

#[test]
fn switched_off_from_the_start_tenants_are_told() {
    let daemon = Daemon::start("[scheduler]\nenabled = false\n[memory]\nreserve = \"2GiB\"\n");
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.say(&ToScheduler::Hello(hello("one")));
    let ToTenant::Welcome(welcome) = tenant.hear() else { panic!() };
    assert_eq!(
        (welcome.version, welcome.enabled, welcome.reserve),
        (nvshare_protocol::VERSION, false, Bytes(2 << 30))
    );
}

#[test]
fn a_small_word_about_a_devices_size_is_warned_of_and_counts_for_nobody_else() {
    let mut daemon = Daemon::start("");
    let _one = Tenant::with_work(&daemon.tenant_socket(), "one");
    daemon.logs("tenant 1 (one");
    let mut two = Tenant::join(&daemon.tenant_socket(), "two");
    let mut small = device(common::GPU);
    small.capacity = Bytes(1);
    two.say(&ToScheduler::Device(small));
    daemon
        .logs("says that GPU-30313233-3435-3637-3839-616263646566 has 1 bytes; it is known with 17179869184 (tenants)");
    assert_eq!(daemon.status().devices[0].capacity_bytes, 16 << 30);
}

#[test]
fn a_trace_replays_to_the_same_actions() {
    let setup = Setup::new(FAST);
    let file = setup.path("trace.log");
    let daemon = setup.args(&["--trace", file.to_str().unwrap()]).start();
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let lease = one.revoked().lease;
    one.released(lease);
    let lease = two.granted().lease;
    two.ready(lease);
    assert!(daemon.ctl(&["set", "tq", "7"]).status.success());
    drop((one, two));
    let (code, setup, _) = daemon.stop();
    assert_eq!(code, 0);
    let trace = std::fs::read_to_string(&file).unwrap();
    assert!(trace.contains(" action grant ") && trace.contains(" action revoke "), "{trace}");
    let mut replay = Setup { dir: setup.dir, ..Setup::new("") };
    replay.args = vec!["--replay".into(), file.to_str().unwrap().into()];
    let output = replay.command().output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), trace);
}

#[test]
fn devices_are_bounded() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "one");
    for n in 0..65 {
        tenant.say(&ToScheduler::Device(device(DeviceId([n; 16]))));
    }
    assert_eq!(tenant.refused(), "the limit of 64 devices a process is reached");
}
