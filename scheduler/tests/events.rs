//! What happens, followed by operators.
mod common;
use common::{Daemon, Operator, Tenant};
use nvshare_protocol::control::{AuditEvent, EventQuery, Reply, Request};
use nvshare_protocol::tenant::{Hello, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId, InstanceId, frame};
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

/// It was followed without a word for ever.
#[test]
fn a_kind_that_there_is_not_is_refused_with_those_that_there_are() {
    let daemon = Daemon::start("");
    let query = EventQuery { follow: true, kind: Some("no_room".into()), ..EventQuery::default() };
    let Reply::Error { message } = daemon.operator().ask(&Request::EventsSince(query)) else { panic!() };
    assert!(message.starts_with("there are no events of kind \"no_room\" (kinds: joined, "), "{message}");
    let output = daemon.ctl(&["events", "--kind", "no_room"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no-room") && said.contains("memory-refused"), "{said}");
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
    for (flags, expected) in [(&[][..], "): evict is never"), (&["--json"][..], "\"kind\":\"set\"")] {
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
fn the_past_is_shown_by_time_and_choice() {
    let daemon = Daemon::start("");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    daemon.operator().ask(&Request::SetEvict { mode: "never".into() });
    let past = |args: &[&str]| -> Vec<AuditEvent> {
        let output = daemon.ctl(&[&["events", "--no-follow", "--json"], args].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let kinds = |args: &[&str]| past(args).into_iter().map(|event| event.kind).collect::<Vec<_>>();
    let all = past(&[]);
    let joined = all.iter().find(|event| event.kind == "joined").unwrap();
    assert!(
        joined.time.ends_with('Z') && joined.time.len() == "2026-11-30T16:15:54.123Z".len(),
        "{joined:?}"
    );
    let set = all.iter().find(|event| event.kind == "set").unwrap();
    assert_eq!(set.text.as_deref(), Some("evict is never"));
    let uid = format!("uid {}", nix::unistd::getuid());
    assert!(set.by.as_ref().is_some_and(|by| by.contains(&uid)), "{set:?}");
    assert_eq!(kinds(&["--kind", "joined"]), ["joined"]);
    assert!(kinds(&["--gpu", "gpu-3031"]).contains(&"ready".to_owned()));
    assert_eq!(kinds(&["--gpu", "GPU-4", "--since", "1h"]), [""; 0]);
    let session = joined.session.clone().unwrap();
    let of_one = kinds(&["--tenant", &session]);
    assert_eq!((of_one.first().map(String::as_str), of_one.contains(&"set".into())), (Some("joined"), false));
    assert_eq!(kinds(&["--tenant", "1"]), of_one);
    assert_eq!(kinds(&["--since", "2999-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(daemon.ctl(&["events", "--since", "soon"]).status.code(), Some(2));
    assert_eq!(daemon.status().tenants[0].session, session);
}

#[test]
fn who_follows_since_a_time_gets_the_past_and_then_the_rest() {
    let daemon = Daemon::start("");
    for mode in ["never", "always"] {
        daemon.operator().ask(&Request::SetEvict { mode: mode.into() });
    }
    let query = EventQuery { since: Some(0.0), follow: true, ..EventQuery::default() };
    let mut operator = daemon.operator();
    assert_eq!(operator.ask(&Request::EventsSince(query)), Reply::Done { message: "following".into() });
    let mut follower = Follower(operator);
    daemon.operator().ask(&Request::SetEvict { mode: "pressure".into() });
    let texts: Vec<String> = (0..3).filter_map(|_| follower.next().text).collect();
    assert_eq!(texts, ["evict is never", "evict is always", "evict is pressure"]);
}

#[test]
fn an_operator_may_ask_on_after_the_past() {
    let daemon = Daemon::start("");
    let mut operator = daemon.operator();
    let query = Request::EventsSince(EventQuery { since: Some(0.0), ..EventQuery::default() });
    assert_eq!(operator.ask(&query), Reply::Done { message: "past events".into() });
    assert_eq!(operator.receive(), Reply::Done { message: "no more".into() });
    assert!(matches!(operator.ask(&Request::Status), Reply::Status(_)));
}

#[test]
fn a_process_keeps_its_session_over_a_restart() {
    let daemon = Daemon::start("");
    let first = Tenant::join(&daemon.tenant_socket(), "first");
    let mut second = Tenant::of_this_process(&daemon.tenant_socket());
    second.greets(common::hello("second"));
    let session = |daemon: &Daemon, pid: u32| {
        let tenants = daemon.status().tenants.into_iter();
        tenants.filter(|tenant| tenant.pid == pid).map(|tenant| tenant.session).collect::<Vec<_>>()
    };
    let (pid, other) = (first.pid(), second.pid());
    let before = session(&daemon, other);
    assert_eq!(before.len(), 1);
    assert_ne!(before, session(&daemon, pid));
    let setup = daemon.kill();
    let daemon = setup.start();
    let mut again = Tenant::of_this_process(&daemon.tenant_socket());
    again.greets(common::hello("second"));
    assert_eq!(session(&daemon, other), before, "its number is now that of the first");
    // A second connection of one process is another tenant.
    let mut beside = Tenant::of_this_process(&daemon.tenant_socket());
    beside.greets(Hello { instance: InstanceId([8; 16]), ..common::hello("second") });
    let both = session(&daemon, other);
    assert_eq!(both, [before[0].clone(), format!("{}-2", before[0])]);
}

#[test]
fn the_log_has_no_names_of_modules_and_says_who_changed_what() {
    let mut daemon = Daemon::start("");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.tells(Bytes(12 << 30), Bytes(12 << 30));
    one.ready(lease);
    daemon.operator().ask(&Request::SetEvict { mode: "never".into() });
    let line = daemon.logs("evict is never");
    assert!(line.contains(&format!("uid {}", nix::unistd::getuid())), "{line}");
    let (code, _, log) = daemon.stop();
    assert_eq!(code, 0);
    assert!(log.iter().all(|line| !line.contains("nvshare_scheduler")), "{log:?}");
    assert!(log.iter().all(|line| !line.contains("has the GPU")), "hand-overs are many: {log:?}");
}

#[test]
fn the_end_of_the_scheduler_is_the_end_of_following() {
    let daemon = Daemon::start("");
    let mut follower = Follower::new(&daemon);
    daemon.stop();
    assert!(follower.0.is_closed());
}
