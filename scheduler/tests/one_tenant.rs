//! What operators set for single tenants while they run, and the settings read again.
mod common;
use common::{Daemon, GPU, Tenant, hello};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{Reply, Request, Target, TenantChange, TenantStatus};
use nvshare_protocol::tenant::{Hello, Share, Terms, ToScheduler, ToTenant};
use std::process::Output;

const GIB: u64 = 1 << 30;

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn row(daemon: &Daemon, id: u64) -> TenantStatus {
    daemon.status().tenants.into_iter().find(|row| row.id == id).unwrap()
}

/// A tenant of today's library with so much on the card, that holds it.
fn runs(daemon: &Daemon, program: &str, gib: u64) -> (Tenant, nvshare_protocol::LeaseId) {
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(Hello { version: nvshare_protocol::VERSION, ..hello(program) });
    tenant.has(Bytes(gib * GIB), Bytes(0));
    tenant.say(&ToScheduler::Request);
    let lease = tenant.granted().lease;
    tenant.tells(Bytes(gib * GIB), Bytes(gib * GIB));
    tenant.ready(lease);
    (tenant, lease)
}

/// Hears until this comes.
fn hears(tenant: &mut Tenant, what: &ToTenant) {
    while tenant.hear() != *what {}
}

fn write_config(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.setup.path("config.toml"), format!("{text}\n[memory]\nnvml = \"\"\n")).unwrap();
}

#[test]
fn a_limit_is_told_at_once_and_takes_nothing_away() {
    let daemon = Daemon::start("[limits]\nmemory_per_tenant = \"14GiB\"\n");
    let (mut tenant, _) = runs(&daemon, "train", 12);
    assert_eq!(row(&daemon, 1).limit_from.as_deref(), Some("memory_per_tenant"));
    let said = done(&daemon.ctl(&["set", "limit", "1", "8g"]));
    assert!(said.contains(": limit 8.0 GiB, until it leaves or the scheduler is restarted"), "{said}");
    assert!(
        said.contains("tenant 1 has 12.0 GiB now: its next allocation fails, nothing else happens"),
        "{said}"
    );
    let terms = |limit| ToTenant::Terms(Terms { reserve: Bytes(GIB), limit: Some(Bytes(limit)) });
    hears(&mut tenant, &terms(8 * GIB));
    let now = row(&daemon, 1);
    assert_eq!((now.limit_bytes, now.limit_from.as_deref()), (Some(8 * GIB), Some("operator")));
    assert_eq!((now.allocated_bytes, &now.state[..]), (12 * GIB, "running"));
    // What it says that it has is still believed.
    tenant.tells(Bytes(11 * GIB), Bytes(11 * GIB));
    tenant.say(&ToScheduler::Idle(nvshare_protocol::LeaseId(9)));
    while row(&daemon, 1).allocated_bytes != 11 * GIB {}
    done(&daemon.ctl(&["set", "limit", "1", "default"]));
    hears(&mut tenant, &terms(14 * GIB));
    let (code, said) = error(&daemon.ctl(&["set", "limit", "1", "8 apples"]));
    assert!(
        code == 2 && said.contains("\"8 apples\" is not allowed (allowed: a size such as 8GiB"),
        "{said}"
    );
    let (code, said) = error(&daemon.ctl(&["set", "limit", "1", "5"]));
    assert_eq!(
        (code, said.contains("limit = 5 B is not allowed (allowed: 1MiB to 16384GiB")),
        (3, true),
        "{said}"
    );
    let (code, said) = error(&daemon.ctl(&["set", "limit", "7", "8g"]));
    assert_eq!((code, said.contains("there is no tenant 7")), (3, true), "{said}");
}

#[test]
fn an_older_library_is_not_told_what_it_does_not_know() {
    let daemon = Daemon::start("");
    let _old = Tenant::join(&daemon.tenant_socket(), "old");
    let (code, said) = error(&daemon.ctl(&["set", "limit", "1", "8g"]));
    assert_eq!((code, said.contains("its library is older and hears of no new limit")), (3, true), "{said}");
}

#[test]
fn weight_priority_and_share_hold_above_wishes_and_limits() {
    let daemon = Daemon::start("");
    let _tenant = Tenant::join(&daemon.tenant_socket(), "one");
    assert!(done(&daemon.ctl(&["set", "weight", "1", "7"])).contains(": weight 7, until it leaves"));
    assert!(done(&daemon.ctl(&["set", "priority", "1", "HIGH"])).contains(": priority high, "));
    assert!(done(&daemon.ctl(&["set", "time-share", "1", "30%"])).contains(": time share 30 %, "));
    let now = row(&daemon, 1);
    assert_eq!((now.weight, &now.priority[..], now.time_share_percent), (7, "high", Some(30)));
    for setting in ["weight", "priority", "time-share"] {
        let said = done(&daemon.ctl(&["set", setting, "1", "default"]));
        assert!(said.contains("as the settings and its own wish say"), "{said}");
    }
    let now = row(&daemon, 1);
    assert_eq!((now.weight, &now.priority[..], now.time_share_percent), (1, "normal", None));
    for (words, code) in [
        (&["set", "weight", "1", "0"][..], 3),
        (&["set", "weight", "1", "many"], 2),
        (&["set", "priority", "1", "urgent"], 3),
        (&["set", "time-share", "1", "101%"], 2),
        (&["set", "weight", "7"], 2),
        (&["set", "weight", "--container", "4f1d", "1", "7"], 2),
        (&["set", "weight", "--container", "4f1d", "7"], 3),
        (&["pause"], 2),
    ] {
        assert_eq!(error(&daemon.ctl(words)).0, code, "{words:?}");
    }
}

#[test]
fn a_paused_tenant_leaves_and_comes_back_when_it_is_resumed() {
    let daemon = Daemon::start("");
    let (mut tenant, lease) = runs(&daemon, "train", 6);
    let said = done(&daemon.ctl(&["pause", "1"]));
    assert!(
        said.contains("paused: no turns, and its memory stays until others need the room; until it leaves")
    );
    assert_eq!(tenant.revoked().lease, lease);
    tenant.say(&ToScheduler::Request);
    tenant.released(lease);
    while row(&daemon, 1).state != "paused" {}
    let why = row(&daemon, 1).why;
    assert_eq!(
        (&why.reason[..], why.advice),
        ("paused", vec!["`nvsharectl resume 1` lets it have turns again".into()])
    );
    // A connection of the same process, as after a restart of the library's agent, is as paused as before.
    done(&daemon.ctl(&["resume", "1"]));
    tenant.granted();
}

#[test]
fn what_a_tenant_has_moves_out_when_an_operator_wants_it() {
    let daemon = Daemon::start("");
    let (mut tenant, lease) = runs(&daemon, "train", 6);
    let everything = vec![Share { device: GPU, bytes: Bytes::MAX }];
    assert!(done(&daemon.ctl(&["evict", "1"])).contains("its memory moves out, once"));
    assert_eq!(tenant.revoked().evict, everything);
    tenant.tells(Bytes(6 * GIB), Bytes(0));
    tenant.released(lease);
    while row(&daemon, 1).moved_out_bytes != 6 * GIB {}
    tenant.say(&ToScheduler::Request);
    tenant.granted();
}

#[test]
fn the_settings_are_read_again_all_or_nothing() {
    let mut daemon = Daemon::start("[scheduler]\nquantum = 7\n");
    let (mut tenant, _) = runs(&daemon, "train", 6);
    assert_eq!(done(&daemon.ctl(&["reload"])), "reloaded: nothing that holds at once has changed\n");
    write_config(
        &daemon,
        "[scheduler]\nquantum = 3\ntrace_spans = 9\n[limits]\nmemory_per_tenant = \"8GiB\"\nweight = 5\n\
         [metrics]\nlisten = \"127.0.0.1:9\"",
    );
    let said = done(&daemon.ctl(&["reload"]));
    assert_eq!(
        said,
        "reloaded: [scheduler] quantum = 3, [limits] weight = 5, [limits] memory_per_tenant = \"8GiB\"; after a \
         restart of the scheduler: [scheduler] trace_spans = 9, [metrics] listen = \"127.0.0.1:9\"\n"
    );
    assert_eq!(daemon.status().quantum_seconds, 3.0);
    hears(&mut tenant, &ToTenant::Terms(Terms { reserve: Bytes(GIB), limit: Some(Bytes(8 * GIB)) }));
    // What an operator has set holds until the file says something new about it.
    done(&daemon.ctl(&["set", "tq", "5"]));
    write_config(&daemon, "[scheduler]\nquantum = 3\n[limits]\nmemory_per_tenant = \"9GiB\"");
    done(&daemon.ctl(&["reload"]));
    assert_eq!((daemon.status().quantum_seconds, row(&daemon, 1).limit_bytes), (5.0, Some(9 * GIB)));
    write_config(&daemon, "[scheduler]\nquantum = 1\n[limits]\nmemory_per_tenant = \"lots\"");
    let (code, said) = error(&daemon.ctl(&["reload"]));
    assert!(code == 3 && said.contains("the settings stay as they are: "), "{said}");
    assert!(said.contains("[limits] memory_per_tenant = \"lots\" is not allowed"), "{said}");
    assert_eq!((daemon.status().quantum_seconds, row(&daemon, 1).limit_bytes), (5.0, Some(9 * GIB)));
    let hangup = || {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.pid() as i32), nix::sys::signal::SIGHUP)
            .unwrap();
    };
    hangup();
    daemon.logs_times("the settings stay as they are: ", 2);
    write_config(&daemon, "[scheduler]\nquantum = 2\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.pid() as i32), nix::sys::signal::SIGHUP)
        .unwrap();
    daemon.logs("reloaded: [scheduler] quantum = 2");
    assert_eq!(daemon.status().quantum_seconds, 2.0);
}

#[test]
fn requests_for_one_tenant_are_json_like_the_others() {
    let daemon = Daemon::start("");
    let _tenant = Tenant::join(&daemon.tenant_socket(), "one");
    let mut operator = daemon.operator();
    operator.send(b"{\"set-tenant\":{\"target\":{\"tenant\":1},\"change\":{\"weight\":3}}}\n");
    assert!(matches!(operator.receive(), Reply::Done { .. }));
    let request = Request::SetTenant { target: Target::Tenant(1), change: TenantChange::Weight(None) };
    assert!(matches!(operator.ask(&request), Reply::Done { .. }));
    assert!(matches!(
        operator.ask(&Request::Pause { target: Target::Container("x".into()) }),
        Reply::Error { .. }
    ));
}
