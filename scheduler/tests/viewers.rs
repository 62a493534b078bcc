//! Who may see what: operators everything, readers everything and set nothing, users their own tenants.
mod common;
use common::{Daemon, Operator, Tenant, hello};
use nvshare_protocol::control::{Reply, Report, Request, SCHEMA, Status};
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const USER: u32 = 60_001;

/// `nvsharectl` as this user, with these groups.
fn ctl_as(daemon: &Daemon, uid: u32, gid: u32, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvsharectl"));
    command.arg("--runtime-dir").arg(daemon.run_dir()).args(args).uid(uid).gid(gid);
    command.output().unwrap()
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn status(output: &Output) -> Status {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        common::skip("only root can be another user");
    }
    root
}

/// A daemon that every user of the machine reaches; none: only root can be another user.
fn for_all(config: &str) -> Option<Daemon> {
    if !root() {
        return None;
    }
    let daemon = Daemon::start(config);
    open_to_all(daemon.setup.dir.path());
    Some(daemon)
}

/// A tenant of [`USER`]'s.
fn theirs(daemon: &Daemon) -> Tenant {
    let mut tenant = Tenant::of_user(&daemon.tenant_socket(), Some(USER));
    tenant.greets(hello("theirs"));
    tenant
}

#[test]
fn each_user_sees_their_own_tenants_and_sets_nothing() {
    let Some(daemon) = for_all("") else { return };
    let _theirs = theirs(&daemon);
    let _others = Tenant::with_work(&daemon.tenant_socket(), "secret");
    let seen = status(&ctl_as(&daemon, USER, USER, &["status", "--json"]));
    let programs: Vec<&str> = seen.tenants.iter().map(|tenant| &tenant.program[..]).collect();
    assert_eq!(programs, ["theirs"]);
    assert_eq!(daemon.status().tenants.len(), 2);
    for words in [&["off"][..], &["set", "weight", "1", "3"], &["pause", "1"], &["trace"], &["reload"]] {
        let output = ctl_as(&daemon, USER, USER, words);
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(!output.status.success(), "{words:?}");
        let expected =
            if words == ["trace"] { "users may see their own tenants" } else { "permission denied" };
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    assert!(daemon.status().enabled);
}

#[test]
fn another_users_tenant_has_no_name_for_a_user() {
    let Some(daemon) = for_all("[scheduler]\nshare = false\n") else { return };
    let mut holder = Tenant::with_work(&daemon.tenant_socket(), "secret");
    holder.granted();
    let mut theirs = theirs(&daemon);
    theirs.has(nvshare_protocol::Bytes(12 << 30), nvshare_protocol::Bytes(0));
    theirs.say(&nvshare_protocol::tenant::ToScheduler::Request);
    while daemon.status().tenants[1].state != "waiting" {}
    let output = ctl_as(&daemon, USER, USER, &["why", "2"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("it is next: a tenant of another user (for "), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let said = String::from_utf8(daemon.ctl(&["why", "2"]).stdout).unwrap();
    assert!(said.contains("tenant 1 (secret, pid "), "{said}");
}

#[test]
fn readers_see_everything_and_set_nothing() {
    // A group that every system has, and the daemon here, as root, may use.
    let Some(daemon) = for_all("[sockets]\nreader_group = \"daemon\"\n") else { return };
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    let _tenant = Tenant::join(&daemon.tenant_socket(), "anybodys");
    let seen = status(&ctl_as(&daemon, USER, group, &["status", "--json"]));
    assert_eq!(seen.tenants.len(), 1);
    assert!(ctl_as(&daemon, USER, group, &["trace"]).status.success());
    let mut reader = Operator::connect(&daemon.run_dir().join("reader.sock"));
    assert!(matches!(reader.ask(&Request::Status), Reply::Status(_)));
    assert_eq!(
        reader.ask(&Request::Off),
        Reply::Error { message: "readers may set nothing: run nvsharectl as an operator".into() }
    );
    assert!(daemon.status().enabled);
}

#[test]
fn without_a_group_there_is_no_readers_socket() {
    let daemon = Daemon::start("");
    assert!(!daemon.run_dir().join("reader.sock").exists());
    assert!(daemon.run_dir().join("user.sock").exists());
}

#[test]
fn each_user_is_told_what_their_own_tenants_have_used() {
    let Some(daemon) = for_all("") else { return };
    let mut theirs = theirs(&daemon);
    theirs.has(nvshare_protocol::Bytes(1 << 30), nvshare_protocol::Bytes(0));
    theirs.say(&nvshare_protocol::tenant::ToScheduler::Request);
    theirs.granted();
    let mut others = Tenant::join(&daemon.tenant_socket(), "secret");
    others.has(nvshare_protocol::Bytes(1 << 30), nvshare_protocol::Bytes(0));
    others.say(&nvshare_protocol::tenant::ToScheduler::Request);
    others.granted();
    let report = |uid| -> Report {
        let output = ctl_as(&daemon, uid, uid, &["report", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let programs = |report: &Report| -> Vec<String> {
        report.rows.iter().filter_map(|row| row.program.clone()).collect()
    };
    let own = report(USER);
    assert_eq!((own.schema, programs(&own)), (SCHEMA, vec!["theirs".to_owned()]));
    assert_eq!((own.rows[0].uid, own.rows[0].user.as_deref()), (Some(USER), None));
    let by_gpu = ctl_as(&daemon, USER, USER, &["report", "--by", "gpu", "--json"]);
    let by_gpu: Report = serde_json::from_slice(&by_gpu.stdout).unwrap();
    assert!(by_gpu.rows[0].held_seconds < 60.0 && by_gpu.rows.len() == 1, "{by_gpu:?}");
    let all = report(0);
    assert_eq!(all.rows.len(), 2);
    let roots = all.rows.iter().find(|row| row.uid == Some(0)).unwrap();
    assert_eq!((roots.user.as_deref(), roots.program.as_deref()), (Some("root"), Some("secret")));
    assert!(report(USER + 1).rows.is_empty());
}

/// A loop that connects took all of the daemon's time.
#[test]
fn who_connects_without_end_costs_little_and_others_are_served() {
    let Some(daemon) = for_all("") else { return };
    let socket = daemon.run_dir().join("user.sock");
    let (over, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let flood = || {
        let (socket, over) = (socket.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut ended = 0;
            while !over.load(Ordering::Relaxed) {
                let mut stream = UnixStream::connect(&socket).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                // Until the daemon is through with it.
                let _ = stream.read_to_end(&mut Vec::new());
                ended += 1;
            }
            ended
        })
    };
    let floods = [flood(), flood()];
    for _ in 0..4 {
        status(&ctl_as(&daemon, USER, USER, &["status", "--json"]));
    }
    while begun.elapsed() < Duration::from_secs(2) {
        std::thread::yield_now();
    }
    over.store(true, Ordering::Relaxed);
    let served: u32 = floods.map(|flood| flood.join().unwrap()).iter().sum();
    let most = 100.0 + 600.0 * begun.elapsed().as_secs_f64();
    assert!(f64::from(served) < most, "{served} connections, {most} at most");
}

#[test]
fn a_user_takes_neither_the_places_nor_the_time_of_others() {
    if !root() {
        return;
    }
    let daemon = Daemon::start("");
    let socket = daemon.run_dir().join("user.sock");
    let mut mine: Vec<Operator> = (0..4).map(|_| Operator::connect(&socket)).collect();
    for one in &mut mine {
        assert!(matches!(one.ask(&Request::Status), Reply::Status(_)));
    }
    let mut fifth = Operator::connect(&socket);
    let expected = Reply::Error { message: "a user has 4 connections at most: close another one".into() };
    assert_eq!(fifth.receive(), expected);
    assert!(fifth.is_closed());
    // As fast as it can.
    let asked = (0..100).take_while(|_| matches!(mine[0].ask(&Request::Status), Reply::Status(_))).count();
    assert!((4..60).contains(&asked), "{asked}");
    assert!(mine[0].is_closed());
    // Neither another connection nor a new one makes it faster.
    drop(mine);
    let anew = || matches!(Operator::connect(&socket).ask(&Request::Status), Reply::Status(_));
    let asked = (0..20).filter(|_| anew()).count();
    assert!(asked < 20, "{asked}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(anew(), "it may ask again");
}
