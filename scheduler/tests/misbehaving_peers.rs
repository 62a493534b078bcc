//! Tenants that do not behave: each costs its own connection, and nobody else notices.
mod common;
use common::{Daemon, GPU, Tenant, device, hello};
use nvshare_protocol::frame::MAX_BODY;
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, DeviceId};
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// Somebody else is served.
fn serves(daemon: &Daemon) {
    let mut other = Tenant::join(&daemon.tenant_socket(), "other");
    other.say(&ToScheduler::Device(device(DeviceId([9; 16]))));
    other.say(&ToScheduler::Request);
    other.granted();
}

#[test]
fn what_is_no_message_is_answered_with_the_reason_and_closed() {
    let mut daemon = Daemon::start("");
    let long = ((MAX_BODY + 1) as u32).to_le_bytes();
    let table: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 542393671 bytes (allowed: 1 to 16384)"),
        (&long, "a frame of 16385 bytes (allowed: 1 to 16384)"),
        (&[0; 8], "a frame of 0 bytes (allowed: 1 to 16384)"),
        (&[1, 0, 0, 0, 0xff], "a frame that cannot be decoded: "),
    ];
    for (bytes, why) in table {
        let mut tenant = Tenant::silent(&daemon.tenant_socket());
        tenant.stream.write_all(bytes).unwrap();
        assert!(tenant.refused().starts_with(why));
        let line = daemon.logs(why);
        assert!(line.contains("WARN") && line.contains("closed a connection of pid"), "{line}");
        assert_eq!(daemon.count(why), 1);
    }
    serves(&daemon);
}

#[test]
fn a_member_that_breaks_the_rules_leaves_with_a_reason() {
    let mut daemon = Daemon::start("");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "odd");
    tenant.granted();
    tenant.say(&ToScheduler::Hello(hello("again")));
    assert_eq!(tenant.refused(), "a second hello");
    let line = daemon.logs("lost its connection: a second hello");
    assert!(line.contains("tenant 1 (odd, pid "), "{line}");
    let mut next = Tenant::with_work(&daemon.tenant_socket(), "next");
    next.granted();
}

#[test]
fn the_first_message_is_a_hello_of_a_real_version() {
    let daemon = Daemon::start("");
    let mut early = Tenant::silent(&daemon.tenant_socket());
    early.say(&ToScheduler::Request);
    assert_eq!(early.refused(), "the first message is no hello");
    let mut nobody = Tenant::silent(&daemon.tenant_socket());
    nobody.say(&ToScheduler::Hello(Hello { version: 0, ..hello("x") }));
    assert_eq!(nobody.refused(), "a hello of version 0 (allowed: 1 and more)");
}

#[test]
fn a_message_of_a_newer_library_is_skipped() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "newer");
    // CBOR: [99, ["news"]].
    let body = [0x82, 0x18, 99, 0x81, 0x64, b'n', b'e', b'w', b's'];
    tenant.stream.write_all(&[&(body.len() as u32).to_le_bytes()[..], &body].concat()).unwrap();
    tenant.say(&ToScheduler::Device(device(GPU)));
    tenant.say(&ToScheduler::Request);
    tenant.granted();
}

#[test]
fn a_message_that_comes_in_halves_is_understood_and_half_a_message_is_not_waited_for() {
    let mut daemon = Daemon::start("[limits]\nhello_timeout_seconds = 0.2\n");
    let mut out = Vec::new();
    nvshare_protocol::frame::write(&ToScheduler::Hello(hello("slow")), &mut out);
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    for byte in &out {
        tenant.stream.write_all(&[*byte]).unwrap();
    }
    assert!(matches!(tenant.hear(), ToTenant::Welcome(_)));
    tenant.stream.write_all(&out[..7]).unwrap();
    assert_eq!(tenant.refused(), "a message was not ended within 0.200 s");

    let mut cut = Tenant::join(&daemon.tenant_socket(), "cut");
    cut.stream.write_all(&out[..7]).unwrap();
    cut.stream.shutdown(Shutdown::Write).unwrap();
    while cut.next().is_some() {}
    daemon.logs("lost its connection: closed within a message");
}

#[test]
fn a_hundred_silent_connections_stop_nobody_and_are_closed() {
    let mut daemon = Daemon::start("[limits]\nhello_timeout_seconds = 1\n");
    let begun = Instant::now();
    let mut silent: Vec<Tenant> = (0..100).map(|_| Tenant::silent(&daemon.tenant_socket())).collect();
    serves(&daemon);
    for tenant in &mut silent {
        assert_eq!(tenant.refused(), "no hello within 1.000 s");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    daemon.logs("no hello within 1.000 s");
    serves(&daemon);
}

#[test]
fn unknown_messages_are_no_hello() {
    let daemon = Daemon::start("[limits]\nhello_timeout_seconds = 0.3\n");
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    let begun = Instant::now();
    // As often as it may, and for longer than the bound.
    while begun.elapsed() < Duration::from_millis(600) {
        if tenant.stream.write_all(&[3, 0, 0, 0, 0x82, 0x18, 99]).is_err() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the connection is still open");
}

#[test]
fn a_flood_ends_the_connection_with_one_line() {
    let mut daemon = Daemon::start("[limits]\nmessages_per_second = 100\n");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "flood");
    let mut out = Vec::new();
    (0..1000).for_each(|_| nvshare_protocol::frame::write(&ToScheduler::Request, &mut out));
    let _ = tenant.stream.write_all(&out);
    assert_eq!(tenant.refused(), "more than [limits] messages_per_second = 100");
    daemon.logs("lost its connection: more than [limits] messages_per_second = 100");
    serves(&daemon);
    assert_eq!(daemon.count("messages_per_second"), 1);
}

/// The loop has an event for each of them.
#[test]
fn a_message_about_many_devices_counts_as_many() {
    let daemon = Daemon::start("[limits]\nmessages_per_second = 100\n");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "flood");
    let moves = vec![nvshare_protocol::tenant::Moves::default(); 64];
    (0..5).for_each(|_| tenant.say(&ToScheduler::Moves(moves.clone())));
    assert_eq!(tenant.refused(), "more than [limits] messages_per_second = 100");
    serves(&daemon);
}

#[test]
fn the_limit_that_is_reached_is_named() {
    let mut daemon = Daemon::start("[limits]\ntenants = 3\ntenants_per_user = 2\n");
    let one = Tenant::join(&daemon.tenant_socket(), "one");
    let _two = Tenant::join(&daemon.tenant_socket(), "two");
    let why = "the limit [limits] tenants_per_user = 2 is reached";
    assert_eq!(Tenant::silent(&daemon.tenant_socket()).refused(), why);
    assert!(daemon.logs(why).contains("refused pid"));
    drop(one);
    daemon.logs("tenant 1 (one");
    daemon.logs(" left");
    // Its place is free as soon as its task has ended, which is no later than its line.
    Tenant::join(&daemon.tenant_socket(), "three");
}

#[test]
fn what_a_tenant_may_allocate_is_the_least_of_its_wish_and_the_operators_limits() {
    let mut daemon = Daemon::start("[limits]\nmemory_per_tenant = \"8GiB\"\nmemory_per_user = \"10GiB\"\n");
    let socket = daemon.tenant_socket();
    let join = |program: &str, wish: Option<u64>| {
        let mut tenant = Tenant::silent(&socket);
        let limit = wish.map(|gib| Bytes(gib << 30));
        tenant.say(&ToScheduler::Hello(Hello { limit, ..hello(program) }));
        let ToTenant::Welcome(welcome) = tenant.hear() else { panic!() };
        (tenant, welcome.limit.map(|limit| limit.0 >> 30))
    };
    let (modest, limit) = join("modest", Some(1));
    assert_eq!(limit, Some(1));
    let (_first, limit) = join("first", None);
    assert_eq!(limit, Some(8));
    assert!(daemon.logs("(first, ").contains(", limit 8.0 GiB"));
    let (_second, limit) = join("second", Some(64));
    assert_eq!(limit, Some(1), "what is left for the user");
    let (_third, limit) = join("third", None);
    assert_eq!(limit, Some(0));
    let line = daemon.logs("cannot allocate: [limits] memory_per_user = \"10GiB\" is used up by others");
    assert!(line.contains("WARN") && line.contains("(third, "), "{line}");
    let limits: Vec<_> = daemon.status().tenants.iter().map(|tenant| tenant.limit_bytes).collect();
    assert_eq!(limits, [Some(1 << 30), Some(8 << 30), Some(1 << 30), Some(0)]);
    drop(modest);
    daemon.logs(" left");
    assert_eq!(join("fourth", None).1, Some(1));
}

#[test]
fn words_of_tenants_cannot_forge_the_log() {
    let mut daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "x\u{1b}[2J\nready: forged");
    tenant.say(&ToScheduler::Report("37 launches\nmet no gate".into()));
    assert!(
        daemon
            .logs("reports: \"37 launches?met no gate\"")
            .contains("tenant 1 (\"x?[2J?ready: forged\", pid ")
    );
}
