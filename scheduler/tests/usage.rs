//! What tenants use, over restarts of the daemon.
mod common;
use common::{Daemon, GPU, Setup, Tenant};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{Grouping, Reply, Report, ReportQuery, Request, SCHEMA};

fn start(setup: Setup) -> Daemon {
    let dir = setup.path("state").display().to_string();
    Setup { args: vec!["--state-dir".into(), dir], ..setup }.start()
}

fn report(daemon: &Daemon, by: Grouping) -> Report {
    match daemon.operator().ask(&Request::Report(ReportQuery { since: 0.0, by })) {
        Reply::Report(report) => report,
        other => panic!("{other:?}"),
    }
}

/// One turn, in which 12.9 GB came; it ends with its process.
fn one_turn(daemon: &Daemon, program: &str) {
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), program);
    let lease = tenant.granted().lease;
    tenant.tells(Bytes(12 << 30), Bytes(12 << 30));
    tenant.ready(lease);
    let pid = tenant.pid();
    let mut follower = daemon.operator();
    assert!(matches!(follower.ask(&Request::Events), Reply::Done { .. }));
    drop(tenant);
    loop {
        match follower.receive() {
            Reply::Event(event) if event.kind == "left" && event.pid == Some(pid) => return,
            Reply::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_used_is_reported_after_restarts() {
    let daemon = start(Setup::new(""));
    assert_eq!(
        report(&daemon, Grouping::User),
        Report { schema: SCHEMA, by: Grouping::User, ..Report::default() }
    );
    one_turn(&daemon, "one");
    let first = report(&daemon, Grouping::Tenant);
    let row = &first.rows[0];
    assert_eq!((row.program.as_deref(), row.uid), (Some("one"), Some(nix::unistd::getuid().as_raw())));
    assert!(row.held_seconds > 0.0 && row.moved_in_bytes == 12_900_000_000, "{row:?}");
    let (code, setup, _) = daemon.stop();
    assert_eq!(code, 0);
    let daemon = start(setup);
    assert_eq!(report(&daemon, Grouping::Tenant), first);
    one_turn(&daemon, "one");
    // A tenant that runs counts too.
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    two.granted();
    let rows = report(&daemon, Grouping::Tenant).rows;
    let programs: Vec<&str> = rows.iter().filter_map(|row| row.program.as_deref()).collect();
    assert!(programs.len() == 2 && programs.contains(&"one") && programs.contains(&"two"), "{rows:?}");
    let by_gpu = report(&daemon, Grouping::Gpu).rows;
    assert_eq!(
        (by_gpu[0].gpu.clone(), by_gpu[0].moved_in_bytes),
        (Some(GPU.to_string()), 2 * 12_900_000_000)
    );
    let csv = daemon.ctl(&["report", "--since", "1h", "--by", "gpu", "--format", "csv"]);
    let text = String::from_utf8(csv.stdout).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with(&GPU.to_string()) && line.ends_with(",25800000000,0"), "{text}");
    for args in [&["report"][..], &["report", "--by", "container", "--format", "json"]] {
        assert!(daemon.ctl(args).status.success(), "{args:?}");
    }
}

#[test]
fn a_damaged_record_is_told_and_put_aside() {
    let setup = Setup::new("");
    std::fs::create_dir(setup.path("state")).unwrap();
    std::fs::write(setup.path("state/usage"), "nonsense").unwrap();
    let mut daemon = start(setup);
    daemon.logs("usage.damaged.1");
    one_turn(&daemon, "one");
    assert_eq!(report(&daemon, Grouping::Tenant).rows.len(), 1);
    let (code, setup, _) = daemon.stop();
    assert_eq!(code, 0);
    assert_eq!(std::fs::read_to_string(setup.path("state/usage.damaged.1")).unwrap(), "nonsense");
    assert!(std::fs::read_to_string(setup.path("state/usage")).unwrap().contains("\"one\""));
}
