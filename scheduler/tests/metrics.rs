//! Metrics, scraped as Prometheus does.
mod common;
use common::{Daemon, GPU, Nvml, PATIENCE, Tenant, hello, on_gpu};
use nvshare_protocol::control::TenantMoves;
use nvshare_protocol::tenant::{Hello, MemoryReport, Moves, Share, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId, LeaseId};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const LISTEN: &str =
    "[scheduler]\nquantum = 0.02\nshare = false\noverlap = false\n\n[metrics]\nlisten = \"127.0.0.1:0\"\n";

/// A daemon that serves metrics on a port of the kernel's choice.
fn start() -> (Daemon, String) {
    let mut daemon = Daemon::verbose(LISTEN);
    let line = daemon.logs("metrics are at http://");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    (daemon, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Head and body of what is answered to `request`.
fn ask(mut stream: impl Read + Write, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn get(stream: impl Read + Write) -> String {
    let (head, body) = ask(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");
    body
}

/// The value of the one sample that begins with `name` and has all `labels`.
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let is = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
    };
    let lines: Vec<&str> = text.lines().filter(is).collect();
    let [line] = lines[..] else { panic!("{name} {labels:?}: {lines:?} in\n{text}") };
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Two turns of two tenants; the second one waits for its next.
fn two_turns(daemon: &mut Daemon) -> (Tenant, Tenant) {
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "say \"hi\"");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let lease = one.revoked().lease;
    one.released(lease);
    two.granted();
    daemon.logs("gave the GPU back");
    (one, two)
}

#[test]
fn a_report_that_is_repeated_moves_nothing() {
    let mut daemon = Daemon::start(&format!("{LISTEN}\n[gpu.\"{GPU}\"]\nmemory = \"8GiB\"\n"));
    let line = daemon.logs("metrics are at http://");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "liar");
    tenant.has(Bytes(12 << 30), Bytes(12 << 30));
    for _ in 0..5 {
        tenant.tells(Bytes(12 << 30), Bytes(12 << 30));
    }
    // What is answered after this has been read after those.
    tenant.say(&ToScheduler::Request);
    tenant.granted();
    let text = get(connect(&address));
    assert_eq!(value(&text, "nvshare_tenant_moved_bytes_total", &["direction=\"in\""]), 0.0);
}

#[test]
fn what_happened_is_counted_by_device_and_tenant() {
    let (mut daemon, address) = start();
    let (_one, _two) = two_turns(&mut daemon);
    let text = get(connect(&address));
    let gpu = &format!("gpu=\"{GPU}\"")[..];
    let of = |name: &str, labels: &[&str]| value(&text, name, labels);
    assert_eq!(of("nvshare_gpu_capacity_bytes", &[gpu]), f64::from(1 << 30) * 16.0);
    assert_eq!(of("nvshare_gpu_allocated_bytes", &[gpu]), f64::from(1 << 30) * 24.0);
    assert_eq!(of("nvshare_gpu_handovers_total", &[gpu]), 1.0);
    assert_eq!(of("nvshare_gpu_moved_bytes_total", &[gpu, "direction=\"in\""]), 12.9e9);
    assert_eq!(of("nvshare_gpu_moved_bytes_total", &[gpu, "direction=\"out\""]), 8e9);
    assert_eq!(of("nvshare_gpu_holders", &[gpu]), 1.0);
    assert_eq!(of("nvshare_gpu_quantum_seconds", &[gpu]), 0.02);
    let bucket = |phase: &str, le: &str| {
        let labels = [gpu, &format!("phase=\"{phase}\""), &format!("le=\"{le}\"")];
        of("nvshare_handover_seconds_bucket", &labels)
    };
    assert_eq!([bucket("fetch", "0.25"), bucket("fetch", "0.5"), bucket("fetch", "+Inf")], [0.0, 1.0, 1.0]);
    assert_eq!([bucket("drain", "0.005"), bucket("evict", "0.1"), bucket("evict", "0.25")], [1.0, 0.0, 1.0]);
    assert_eq!(of("nvshare_handover_seconds_sum", &["phase=\"fetch\""]), 0.258);
    let one = ["program=\"say \\\"hi\\\"\"", "container=\"\""];
    assert_eq!(of("nvshare_tenant_moved_bytes_total", &[&one[..], &["direction=\"in\""]].concat()), 12.9e9);
    assert_eq!(of("nvshare_tenant_grants_total", &one), 1.0);
    assert!(of("nvshare_tenant_held_seconds_total", &one) >= 0.02);
    assert!(of("nvshare_tenant_waited_seconds_total", &["program=\"two\""]) > 0.0);
    assert_eq!(of("nvshare_tenants", &["state=\"fetching\""]), 1.0);
    assert_eq!(of("nvshare_tenants", &["state=\"idle\""]), 1.0);
    assert_eq!(of("nvshare_enabled", &[]), 1.0);
    let uid = &format!("uid=\"{}\"", nix::unistd::getuid())[..];
    assert_eq!(of("nvshare_user_moved_bytes_total", &[uid, "direction=\"in\""]), 12.9e9);
    assert!(of("nvshare_user_held_seconds_total", &[uid]) >= 0.02);
    assert!(of("nvshare_user_waited_seconds_total", &[uid]) > 0.0);
}

#[test]
fn memory_that_comes_ahead_of_a_grant_is_counted_and_what_is_allocated_is_not() {
    let (mut daemon, address) = start();
    let (_one, mut two) = two_turns(&mut daemon);
    two.released(LeaseId(2));
    let memory = |allocated: u64, resident: u64| {
        let (allocated, resident) = (Bytes(allocated << 30), Bytes(resident << 30));
        ToScheduler::Memory(MemoryReport {
            device: GPU,
            allocated,
            resident,
            immovable: Bytes(0),
            engine: None,
        })
    };
    two.say(&memory(12, 4));
    two.say(&memory(14, 7));
    two.say(&memory(14, 0));
    two.say(&ToScheduler::Evicted(vec![Share { device: GPU, bytes: Bytes(7 << 30) }]));
    two.say(&ToScheduler::Report("that was all".into()));
    daemon.logs("that was all");
    let text = get(connect(&address));
    let moved = |direction: &str| {
        let labels = ["program=\"two\"", &format!("direction=\"{direction}\"")];
        value(&text, "nvshare_tenant_moved_bytes_total", &labels) / f64::from(1 << 30)
    };
    // Four, and three less two that were allocated; the release of `Tenant` says 8 GB.
    assert_eq!((moved("in"), moved("out")), (5.0, 8e9 / f64::from(1 << 30) + 7.0));
}

/// Little enough to have moved in the time since the tenant joined.
const MIB: u64 = 1 << 20;

fn moves(copied: u64, unchanged: u64, zero: u64) -> Moves {
    Moves {
        device: GPU,
        copied_out: Bytes(copied * MIB),
        unchanged: Bytes(unchanged * MIB),
        zero_out: Bytes(zero * MIB),
        copied_in: Bytes(2 * copied * MIB),
        zero_in: Bytes(2 * zero * MIB),
        away_content: Bytes(3 * MIB),
        clean: Bytes(u64::MAX),
    }
}

#[test]
fn what_was_copied_and_what_was_not_is_told_apart() {
    let (mut daemon, address) = start();
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.say(&ToScheduler::Moves(vec![moves(0, 0, 0)]));
    one.tells(Bytes(12 << 30), Bytes(5 << 30));
    let elsewhere = Moves { device: DeviceId([9; 16]), ..moves(1, 1, 1) };
    // It falls, which counts nothing, and is at last what it was at most.
    for said in [moves(1, 2, 4), moves(0, 0, 0), moves(1, 2, 4)] {
        one.say(&ToScheduler::Moves(vec![said, elsewhere]));
    }
    // By its answer it has moved in much more: the counters are believed instead.
    one.ready(lease);
    one.say(&ToScheduler::Report("that was all".into()));
    daemon.logs("that was all");
    let text = get(connect(&address));
    let gpu = format!("gpu=\"{GPU}\"");
    let way = |direction: &str| format!("direction=\"{direction}\"");
    let skipped = |name: &str, direction: &str, kind: &str| {
        let labels = [&gpu[..], &way(direction), &format!("kind=\"{kind}\"")];
        value(&text, &format!("nvshare_{name}_skipped_bytes_total"), &labels) / MIB as f64
    };
    for name in ["gpu", "tenant"] {
        let parts = [("out", "unchanged"), ("out", "zero"), ("in", "zero")];
        assert_eq!(parts.map(|(direction, kind)| skipped(name, direction, kind)), [2.0, 4.0, 8.0], "{name}");
    }
    for name in ["gpu", "tenant", "user"] {
        let moved = |direction: &str| {
            value(&text, &format!("nvshare_{name}_moved_bytes_total"), &[&way(direction)]) / MIB as f64
        };
        assert_eq!([moved("in"), moved("out")], [2.0, 1.0], "{name}");
    }
    let gauge = |name: &str| value(&text, name, &["program=\"one\""]);
    assert_eq!(gauge("nvshare_tenant_moved_out_content_bytes"), (3 * MIB) as f64);
    assert_eq!(gauge("nvshare_tenant_clean_bytes"), f64::from(1 << 30) * 5.0, "no more than is resident");
    let status = daemon.status();
    let told = status.tenants[0].moves.clone().expect("it tells");
    let expected = TenantMoves {
        copied_out_bytes: MIB,
        copied_in_bytes: 2 * MIB,
        unchanged_bytes: 2 * MIB,
        zero_out_bytes: 4 * MIB,
        zero_in_bytes: 8 * MIB,
        away_content_bytes: 3 * MIB,
        clean_bytes: 5 << 30,
    };
    assert_eq!(told, expected);
}

#[test]
fn a_tenant_that_had_a_scheduler_before_counts_from_where_it_is() {
    let (mut daemon, address) = start();
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(Hello { version: 5, swap: Some(Bytes(MIB)), ..hello("back") });
    tenant.has(Bytes(12 << 30), Bytes(0));
    tenant.say(&ToScheduler::Moves(vec![moves(700, 700, 700)]));
    tenant.say(&ToScheduler::Moves(vec![moves(701, 702, 703)]));
    tenant.say(&ToScheduler::Report("that was all".into()));
    daemon.logs("that was all");
    let text = get(connect(&address));
    let out = value(&text, "nvshare_tenant_moved_bytes_total", &["direction=\"out\""]);
    assert_eq!(out, MIB as f64);
    assert_eq!(daemon.status().tenants[0].moves.clone().unwrap().zero_out_bytes, 3 * MIB);
}

#[test]
fn clients_that_do_not_ask_or_do_not_read_hold_up_nobody() {
    let (daemon, address) = start();
    let silent: Vec<TcpStream> = (0..20).map(|_| connect(&address)).collect();
    let half = connect(&address);
    (&half).write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").unwrap();
    let deaf: Vec<TcpStream> = (0..5).map(|_| connect(&address)).collect();
    for stream in &deaf {
        let mut stream = stream;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    get(connect(&address));
    Tenant::with_work(&daemon.tenant_socket(), "one").granted();
    drop((silent, half, deaf));
}

#[test]
fn two_hundred_clients_that_say_nothing_or_read_nothing_keep_nobody_waiting() {
    let (_daemon, address) = start();
    let clients: Vec<TcpStream> = (0..200).map(|_| connect(&address)).collect();
    for mut stream in clients.iter().skip(1).step_by(2) {
        // Its connection may have given way to a later one.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let begun = Instant::now();
    get(connect(&address));
    // At once; with a place for each and no way to get one, it took two lives of theirs.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    drop(clients);
}

/// How long the connection was open.
fn life(mut stream: TcpStream, begun: Instant) -> Duration {
    let _ = stream.read_to_end(&mut Vec::new());
    begun.elapsed()
}

#[test]
fn a_client_that_does_not_ask_is_closed_after_a_second_and_the_oldest_gives_way_at_once() {
    let (_daemon, address) = start();
    let begun = Instant::now();
    let alone = life(connect(&address), begun);
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&alone), "{alone:?}");
    let gave_way = || {
        let (begun, oldest) = (Instant::now(), connect(&address));
        let others: Vec<TcpStream> = (0..128).map(|_| connect(&address)).collect();
        let life = life(oldest, begun);
        drop(others);
        life < Duration::from_millis(800)
    };
    // Where this machine is busy, its second may be over before the others have come.
    assert!((0..10).any(|_| gave_way()), "the oldest kept its place");
}

#[test]
fn what_is_no_scrape_is_answered_as_http_says() {
    let (_daemon, address) = start();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
    ] {
        let (head, _) = ask(connect(&address), request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
    }
    let (head, body) = ask(connect(&address), "HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.0 200 OK") && body.is_empty(), "{head}");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let mut stream = connect(&address);
    // It may be closed before all of it is written.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "a head without end");
    get(connect(&address));
}

#[test]
fn a_socket_serves_the_same_for_the_control_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.sock");
    let daemon = Daemon::start(&format!("[metrics]\nlisten = {path:?}\n"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let text = get(UnixStream::connect(&path).unwrap());
    assert_eq!(value(&text, "nvshare_uptime_seconds", &[]).signum(), 1.0);
    daemon.stop();
    assert!(!path.exists());
}

#[test]
fn an_address_that_is_taken_stops_the_start_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, words) = common::Setup::new(&format!("[metrics]\nlisten = \"{address}\"\n")).fails();
    assert_eq!(code, 1);
    let expected = format!("nvshare-scheduler: [metrics] listen = \"{address}\" cannot be opened: ");
    assert!(words.contains(&expected), "{words}");
}

#[test]
fn metrics_for_the_network_are_warned_of() {
    let mut daemon = Daemon::start("[metrics]\nlisten = \"0.0.0.0:0\"\n");
    assert!(daemon.logs("metrics are open to the network").contains("WARN"));
}

#[test]
fn a_gpu_is_told_by_the_labels_of_the_dcgm_exporter_too() {
    let says = on_gpu("bus 00000000:3b:00.0\ntotal 17179869184\n");
    let mut nvml = Nvml::start_with(Some(&says), "[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let line = nvml.daemon.logs("metrics are at http://");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let mut tenant = Tenant::with_work(&nvml.daemon.tenant_socket(), "train");
    tenant.granted();
    while nvml.daemon.status().devices[0].index.is_none() {
        std::thread::yield_now();
    }
    let text = get(connect(&address));
    let (gpu, uuid) = (format!("gpu=\"{GPU}\""), format!("UUID=\"{GPU}\""));
    let place = "pci_bus_id=\"00000000:3b:00.0\"";
    let labels = [&gpu, &uuid[..], "gpu_index=\"0\"", place, "modelName=\"Test Card\""];
    assert_eq!(value(&text, "nvshare_gpu_info", &labels), 1.0);
    assert!(value(&text, "nvshare_gpu_held_seconds_total", &[&gpu]) > 0.0, "{text}");
    let held_out = value(&text, "nvshare_tenant_moved_out_bytes", &["program=\"train\""]);
    assert_eq!(held_out, (12u64 << 30) as f64);
}

/// Everything in `text` that looks like a metric of ours.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("nvshare_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_documentation_name_the_metrics_that_there_are() {
    let (mut daemon, address) = start();
    let (_one, _two) = two_turns(&mut daemon);
    let text = get(connect(&address));
    let samples: BTreeSet<String> =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    let read = |path: &str| {
        let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let dashboard = read("packaging/grafana/nvshare.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("the dashboard is JSON");
    let shown = names(&dashboard);
    assert!(shown.len() > 10, "{shown:?}");
    // As they are written in the exposition; a histogram by its own name.
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families: BTreeSet<String> = families
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    // Of those that no tenant here has there are no samples.
    let unknown: Vec<_> = shown.difference(&samples).filter(|name| !families.contains(*name)).collect();
    assert!(unknown.is_empty(), "the dashboard shows what there is not: {unknown:?}");
    for gangs in ["nvshare_gangs", "nvshare_tenant_gang"] {
        assert!(shown.contains(gangs), "the dashboard does not show {gangs}");
    }
    let described = names(&read("docs/guide/operating.md"));
    let missing: Vec<_> = families.difference(&described).collect();
    assert!(missing.is_empty(), "docs/guide/operating.md does not describe {missing:?}");
    let wrong: Vec<_> = described.difference(&families).collect();
    assert!(wrong.is_empty(), "docs/guide/operating.md describes what there is not: {wrong:?}");
}
