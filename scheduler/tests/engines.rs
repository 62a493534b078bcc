//! The engine that moves a tenant's memory, and who is told of it.
mod common;
use common::{Daemon, Tenant, hello};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};

fn auto(name: &str) -> Hello {
    Hello { version: 4, engine: "auto".into(), ..hello(name) }
}

fn joined(daemon: &Daemon, hello: Hello) -> Tenant {
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(hello);
    tenant
}

fn engines(daemon: &Daemon) -> Vec<String> {
    daemon.status().tenants.into_iter().map(|tenant| tenant.engine_in_use).collect()
}

#[test]
fn who_finds_no_swap_space_is_told_and_its_operator_too() {
    let mut daemon = Daemon::start("[swap]\nbudget = \"2MiB\"\n[limits]\nswap_per_user = \"2MiB\"\n");
    let mut rich = joined(&daemon, auto("rich"));
    rich.has(Bytes(0), Bytes(0));
    assert_eq!(rich.swaps(2 << 20), 2 << 20);
    rich.tells_with(Bytes(1 << 20), Bytes(0), Some(0));
    let mut poor = joined(&daemon, auto("poor"));
    poor.has(Bytes(0), Bytes(0));
    assert_eq!(engines(&daemon), ["swap", "undecided"]);
    assert_eq!(poor.swaps(2 << 20), 0);
    poor.tells_with(Bytes(1 << 20), Bytes(0), Some(1));
    let ToTenant::Notice(said) = poor.hear() else { panic!("a notice") };
    assert!(said.contains("engine managed") && said.contains("[swap] budget"), "{said}");
    let line = daemon.logs("uses the engine managed");
    assert!(line.contains("WARN") && line.contains("poor"), "{line}");
    assert_eq!(engines(&daemon), ["swap", "managed"]);
    // It is said once, and another word changes nothing.
    poor.tells_with(Bytes(2 << 20), Bytes(0), Some(0));
    poor.tells_with(Bytes(2 << 20), Bytes(0), Some(9));
    poor.swaps(0);
    assert_eq!(engines(&daemon), ["swap", "managed"]);
    assert_eq!(daemon.count("uses the engine"), 1);
}

#[test]
fn a_library_that_names_no_engine_is_judged_by_what_it_has() {
    let daemon = Daemon::start("");
    let mut managed = joined(&daemon, hello("managed"));
    managed.has(Bytes(1 << 20), Bytes(0));
    let mut plain = joined(&daemon, Hello { engine: "plain".into(), ..hello("plain") });
    plain.has(Bytes(1 << 20), Bytes(0));
    let mut swaps = joined(&daemon, Hello { version: 2, ..auto("swaps") });
    swaps.has(Bytes(1 << 20), Bytes(0));
    assert!(swaps.swaps(2 << 20) > 0);
    let mut auto = joined(&daemon, auto("unserved"));
    auto.has(Bytes(1 << 20), Bytes(0));
    let _idle = joined(&daemon, hello("idle"));
    // The answer to a request comes after what was said before it.
    for tenant in [&mut managed, &mut plain, &mut swaps, &mut auto] {
        tenant.say(&ToScheduler::Request);
        tenant.granted();
    }
    assert_eq!(engines(&daemon), ["managed", "plain", "swap", "managed", "undecided"]);
}
