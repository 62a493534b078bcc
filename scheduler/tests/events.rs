//! What happens, followed by operators.
mod common;
use common::{Daemon, Operator, Tenant};
use nvshare_protocol::control::{AuditEvent, Reply, Request};
use nvshare_protocol::tenant::ToScheduler;
use nvshare_protocol::{Bytes, DeviceId, frame};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// An operator that follows.
struct Follower(Operator);

impl Follower {
    fn new(daemon: &Daemon) -> Self {
        let mut operator = daemon.operator();
        assert_eq!(operator.ask(&Request::Events), Reply::Done { message: "following".into() });
        Self(operator)
    }

    fn next(&mut self) -> AuditEvent {
        match self.0.receive() {
            Reply::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Kinds and tenants of the next so many.
    fn kinds(&mut self, n: usize) -> Vec<(String, Option<u64>)> {
        (0..n).map(|_| self.next()).map(|event| (event.kind, event.tenant)).collect()
    }
}

#[test]
fn a_turn_is_told_step_by_step() {
    let daemon = Daemon::start("[scheduler]\nquantum = 0.02\nshare = false\noverlap = false\n");
    let mut follower = Follower::new(&daemon);
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    // As the library does: what came back is told before the turn begins, what left before it is given back.
    one.tells(Bytes(12 << 30), Bytes(12 << 30));
    one.ready(lease);
    let start: Vec<AuditEvent> = (0..5).map(|_| follower.next()).collect();
    let kinds: Vec<&str> = start.iter().map(|event| &event.kind[..]).collect();
    assert_eq!(kinds, ["joined", "device", "requested", "granted", "ready"]);
    let (joined, ready) = (&start[0], &start[4]);
    assert_eq!((joined.tenant, joined.pid), (Some(1), Some(one.pid())));
    assert_eq!(joined.program.as_deref(), Some("one"));
    assert!(joined.text.as_deref().is_some_and(|text| text.contains("engine managed")), "{joined:?}");
    assert_eq!((ready.bytes, ready.took_seconds), (Some(12_900_000_000), Some(0.258)));
    assert_eq!(ready.devices, [common::GPU.to_string()]);
    assert!(start.is_sorted_by(|a, b| a.seconds <= b.seconds), "{start:?}");

    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let lease = one.revoked().lease;
    one.tells(Bytes(12 << 30), Bytes(0));
    one.released(lease);
    two.granted();
    one.say(&ToScheduler::Report("37 launches met no gate".into()));
    let expected =
        [("joined", 2), ("device", 2), ("requested", 2), ("revoked", 1), ("released", 1), ("granted", 2)];
    assert_eq!(follower.kinds(6), expected.map(|(kind, tenant)| (kind.to_owned(), Some(tenant))));
    let report = follower.next();
    assert_eq!((&report.kind[..], report.text.as_deref()), ("report", Some("37 launches met no gate")));
    daemon.operator().ask(&Request::Off);
    assert_eq!(follower.next().text.as_deref(), Some("the scheduler is off: everybody runs"));
    drop(two);
    assert_eq!(follower.kinds(1), [("left".into(), Some(2))]);
}

#[test]
fn nothing_is_told_of_a_tenant_that_has_left() {
    let daemon = Daemon::start("");
    let mut follower = Follower::new(&daemon);
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "greedy");
    // One more than is allowed, and words that wait in the queue when the tenant is dismissed for it.
    let devices = (0..=64).map(|n| ToScheduler::Device(common::device(DeviceId([n; 16]))));
    let reports = (0..64).map(|n| ToScheduler::Report(format!("report {n}")));
    let mut frames = Vec::new();
    devices.chain(reports).for_each(|message| frame::write(&message, &mut frames));
    tenant.stream.write_all(&frames).unwrap();
    while follower.next().kind != "left" {}
    daemon.operator().ask(&Request::Off);
    assert_eq!(follower.kinds(1), [("set".into(), None)]);
}

#[test]
fn a_refused_connection_is_an_event() {
    let daemon = Daemon::start("[limits]\ntenants = 1\n");
    let _one = Tenant::join(&daemon.tenant_socket(), "one");
    let mut follower = Follower::new(&daemon);
    let why = Tenant::silent(&daemon.tenant_socket()).refused();
    let event = follower.next();
    assert_eq!((&event.kind[..], event.text), ("refused", Some(why)));
}

#[test]
fn a_follower_that_does_not_read_is_told_what_it_missed_and_holds_up_nobody() {
    const EVENTS: u64 = 40_000;
    let daemon = Daemon::start("[limits]\nmessages_per_second = 1000000\n");
    let mut lazy = Follower::new(&daemon);
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "busy");
    for _ in 0..EVENTS {
        tenant.say(&ToScheduler::Request);
    }
    tenant.has(Bytes(1 << 30), Bytes(0));
    tenant.granted();
    let (mut read, mut missed) = (0, 0);
    loop {
        let event = lazy.next();
        match &event.kind[..] {
            "requested" => read += 1,
            "missed" => {
                let text = event.text.unwrap();
                missed += text.split(' ').next().unwrap().parse::<u64>().unwrap();
            }
            "granted" => break,
            _ => {}
        }
    }
    assert!(missed > EVENTS / 2 && read > 1000, "{read} were read and {missed} missed");
    // What was missed may have been another event than a request: it joined, and named its device.
    assert!((EVENTS..=EVENTS + 2).contains(&(read + missed)), "{read} were read and {missed} missed");
}

#[test]
fn followers_leave_room_for_other_operators() {
    let daemon = Daemon::start("");
    let followers: Vec<Follower> = (0..16).map(|_| Follower::new(&daemon)).collect();
    let mut one_more = daemon.operator();
    let message = "16 operators follow already, the most that are allowed".to_owned();
    assert_eq!(one_more.ask(&Request::Events), Reply::Error { message });
    assert!(matches!(one_more.ask(&Request::Status), Reply::Status(_)), "it can still ask");
    drop(followers);
    while !matches!(one_more.ask(&Request::Events), Reply::Done { .. }) {}
}

#[test]
fn the_command_prints_each_as_a_line_for_people_or_as_json() {
    let daemon = Daemon::start("");
    for (flags, expected) in
        [(&[][..], "set              evict is never"), (&["--json"][..], "\"kind\":\"set\"")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nvsharectl"));
        command.arg("--runtime-dir").arg(daemon.run_dir()).arg("events").args(flags);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // It may not be following yet at the first of them.
        let asked = std::thread::scope(|scope| {
            let reader = scope.spawn(|| lines.read_line(&mut line));
            while !reader.is_finished() {
                daemon.operator().ask(&Request::SetEvict { mode: "never".into() });
            }
            reader.join().unwrap()
        });
        assert!(asked.unwrap() > 0 && line.contains(expected), "{line}");
        drop(lines);
        while child.try_wait().unwrap().is_none() {
            daemon.operator().ask(&Request::SetEvict { mode: "never".into() });
        }
        assert!(child.wait().unwrap().success(), "it ends well when nobody reads it");
    }
}

#[test]
fn the_end_of_the_scheduler_is_the_end_of_following() {
    let daemon = Daemon::start("");
    let mut follower = Follower::new(&daemon);
    daemon.stop();
    assert!(follower.0.is_closed());
}
