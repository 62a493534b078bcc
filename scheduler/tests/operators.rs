//! The control socket and `nvsharectl`.
mod common;
use common::{Daemon, GPU, Tenant, ctl, hello};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{QuantumSetting, Reply, Request, Status};
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};
use serde_json::Value;
use std::process::Output;

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn requests_are_answered_one_by_one_and_garbage_with_an_error() {
    let daemon = Daemon::start("");
    let mut operator = daemon.operator();
    assert!(matches!(operator.ask(&Request::Status), Reply::Status(_)));
    for garbage in ["{}\n", "\n", "\u{0}\n", "\"fly\"\n", "[1,2\n"] {
        operator.send(garbage.as_bytes());
        let Reply::Error { message } = operator.receive() else { panic!() };
        assert!(message.starts_with("this is no request: "), "{message}");
    }
    operator.send(b"\"on\"\n\"off\"\n");
    assert_eq!(operator.receive(), Reply::Done { message: "the scheduler is on: turns are taken".into() });
    assert_eq!(operator.receive(), Reply::Done { message: "the scheduler is off: everybody runs".into() });
    let Reply::Error { message } = operator.ask(&Request::SetQuantum(QuantumSetting::Seconds(0.0))) else {
        panic!()
    };
    assert_eq!(
        message,
        "quantum = 0 is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)"
    );
    operator.send(&[b'x'; 70_000]);
    let Reply::Error { message } = operator.receive() else { panic!() };
    assert_eq!(message, "a request is longer than 65536 bytes, the most that is allowed");
    assert!(operator.is_closed());
    assert!(matches!(daemon.operator().ask(&Request::Status), Reply::Status(_)));
}

#[test]
fn status_is_a_table_or_json() {
    let mut daemon = Daemon::verbose("");
    let text = out(&daemon.ctl(&["status"]));
    assert!(text.starts_with("scheduler on, quantum auto (2.0 s), evict pressure, up "), "{text}");
    assert!(text.ends_with("\nno GPU: no tenant has named one yet\n\nno tenant\n"), "{text}");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "train");
    let lease = tenant.granted().lease;
    tenant.ready(lease);
    daemon.logs("has the GPU: fetched");
    let narrow = out(&daemon.ctl(&["status"]));
    assert!(narrow.lines().skip(1).all(|line| line.len() <= 80), "{narrow}");
    let text = out(&daemon.ctl(&["status", "-o", "wide"]));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let uuid = GPU.to_string();
    let words = [
        &["-", &uuid[..], "-", "Test", "Card", "-", "16.0", "GiB"][..],
        &["12.0", "GiB", "0", "0", "1", "-", "0", "-"],
    ]
    .concat();
    let (first, rest) = rows[3].split_at(words.len());
    assert_eq!(first, words, "{text}");
    // What the tenant says that it brought in, in the time that has really passed, which is less than it says.
    let [rate, "GB/s", "tenants"] = rest else { panic!("{text}") };
    assert!((50.0..=1000.0).contains(&rate.parse::<f64>().unwrap()), "{text}");
    let pid = tenant.pid().to_string();
    assert_eq!((rows[6][0], rows[6][1], rows[6][4]), ("1", &pid[..], "train"), "{text}");
    let json = out(&daemon.ctl(&["status", "--json"]));
    assert_eq!(out(&daemon.ctl(&["status", "-o", "json"])).lines().count(), json.lines().count());
    let status: Status = serde_json::from_str(&json).unwrap();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().map(|user| user.name);
    assert_eq!((status.tenants[0].user_uid, &status.tenants[0].user), (nix::unistd::getuid().as_raw(), &own));
    assert_eq!(out(&daemon.ctl(&["names", "gpus"])), format!("{GPU}\n"));
    let empty = out(&daemon.ctl(&["status", "--tenant", "2"]));
    assert_eq!(empty, "no tenant that you may see is meant: `nvsharectl status` shows all of them\n");
    assert_eq!((status.tenants[0].pid, &status.tenants[0].program[..]), (tenant.pid(), "train"));
    assert_eq!((status.devices[0].capacity_bytes, status.devices[0].allocated_bytes), (16 << 30, 12 << 30));
}

#[test]
fn status_tells_a_tenants_wishes_and_what_hand_overs_cost() {
    let mut daemon = Daemon::verbose("[limits]\nweight = 5\npriority = \"high\"\n");
    // A first grant takes the GPU over from nobody. Out at most 0.161 s and in 0.258 s, as the tenants say: less, where less
    // time has really passed.
    let mut other = Tenant::with_work(&daemon.tenant_socket(), "other");
    let lease = other.granted().lease;
    other.ready(lease);
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    let (weight, limit, swap) = (Some(3), Some(Bytes(14 << 30)), Some(Bytes(6 << 30)));
    tenant.say(&ToScheduler::Hello(Hello {
        weight,
        limit,
        swap,
        priority: Some(2),
        time_share: Some(90),
        ..hello("wishes")
    }));
    tenant.has(Bytes(12 << 30), Bytes(0));
    tenant.say(&ToScheduler::Request);
    while other.hear() != ToTenant::Contended(true) {}
    other.say(&ToScheduler::Idle(lease));
    let lease = other.revoked().lease;
    other.released(lease);
    let lease = tenant.granted().lease;
    tenant.ready(lease);
    daemon.logs(&format!("(wishes, pid {}) has the GPU: fetched", tenant.pid()));
    let status = daemon.status();
    let row = &status.tenants[1];
    assert_eq!((row.weight, row.limit_bytes, row.swap_bytes), (3, Some(14 << 30), 0));
    assert_eq!((row.time_share_percent, status.tenants[0].time_share_percent), (Some(90), None));
    assert_eq!((&row.priority[..], &status.tenants[0].priority[..]), ("high", "normal"));
    let gpu = &status.devices[0];
    let (fetch, release) = (gpu.fetch_cost_seconds, gpu.release_cost_seconds);
    assert!(fetch > 0.0 && release > 0.0 && release <= 0.161, "{gpu:?}");
    assert!((12_000_000_000..=1_000_000_000_000).contains(&gpu.fetch_bytes_per_second), "{gpu:?}");
    let turn = (20.0 * (fetch + release)).clamp(1.0, 30.0);
    assert!((gpu.quantum_seconds - turn).abs() < 0.001, "{gpu:?}");
    assert_eq!((status.quantum_seconds, status.quantum_auto), (gpu.quantum_seconds, true));
}

#[test]
fn rules_are_changed_by_new_commands_and_old_flags() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "one");
    let quantum = || daemon.status().quantum_seconds;
    assert_eq!(out(&daemon.ctl(&["set", "tq", "0.25"])), "the quantum is 0.25 s\n");
    assert_eq!(quantum(), 0.25);
    assert_eq!(out(&daemon.ctl(&["-T", "15"])), "the quantum is 15 s\n");
    assert_eq!(quantum(), 15.0);
    assert_eq!(out(&daemon.ctl(&["--set-tq=16"])), "the quantum is 16 s\n");
    assert_eq!(quantum(), 16.0);
    let auto = "the quantum is auto: it follows the cost of a hand-over\n";
    for args in [&["set", "tq", "auto"][..], &["-T", "auto"]] {
        out(&daemon.ctl(&["-T", "15"]));
        assert_eq!(out(&daemon.ctl(args)), auto);
        assert!(daemon.status().quantum_auto);
    }
    rules_of_one_gpu(&daemon, &mut tenant);
    assert_eq!(out(&daemon.ctl(&["set", "evict", "never"])), "evict is never\n");
    assert_eq!(daemon.status().evict, "never");
    assert_eq!(out(&daemon.ctl(&["-S", "off"])), "the scheduler is off: everybody runs\n");
    assert_eq!(tenant.hear(), ToTenant::Enabled(false));
    assert_eq!(out(&daemon.ctl(&["--anti-thrash=on"])), "the scheduler is on: turns are taken\n");
    assert_eq!(tenant.hear(), ToTenant::Enabled(true));
    out(&daemon.ctl(&["off"]));
    assert!(!daemon.status().enabled);
    out(&daemon.ctl(&["on"]));
    assert!(daemon.status().enabled);
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    let daemon = Daemon::start("");
    let allowed = "is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)";
    for args in [&["set", "tq", "-1"][..], &["-T", "-1"]] {
        assert_eq!(
            error(&daemon.ctl(args)),
            (3, format!("nvsharectl: the scheduler refused: quantum = -1 {allowed}\n"))
        );
    }
    assert_eq!(
        error(&daemon.ctl(&["set", "evict", "sometimes"])),
        (
            3,
            "nvsharectl: the scheduler refused: evict = \"sometimes\" is not allowed (allowed: pressure, always or never)\n"
                .into()
        )
    );
    assert_eq!(error(&daemon.ctl(&["-S", "maybe"])).0, 2);
    assert_eq!(error(&daemon.ctl(&["set", "tq", "soon"])).0, 2);
    assert_eq!(error(&daemon.ctl(&["fly"])).0, 2);
    assert_eq!(daemon.ctl(&[]).status.code(), Some(2));
}

#[test]
fn without_a_scheduler_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (code, words) = error(&ctl(dir.path(), &["status"]));
    assert_eq!(code, 1);
    let expected = format!(
        "nvsharectl: no scheduler at {}/control.sock: is nvshare-scheduler running (systemctl status nvshare-scheduler)? \
         If it has another directory, name it by --runtime-dir\n",
        dir.path().display()
    );
    assert_eq!(words, expected);
}

#[test]
fn a_completion_gets_no_error_where_there_is_no_scheduler() {
    let output = ctl(tempfile::tempdir().unwrap().path(), &["names", "gpus"]);
    assert_eq!((out(&output), output.stderr), (String::new(), Vec::new()));
}

#[test]
fn a_trace_has_the_spans_of_every_turn() {
    let mut daemon = Daemon::verbose("[scheduler]\nquantum = 0.02\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    let lease = one.granted().lease;
    one.ready(lease);
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    let lease = one.revoked().lease;
    one.released(lease);
    let lease = two.granted().lease;
    two.ready(lease);
    daemon.logs_times("has the GPU", 2);
    let pid = one.pid();
    drop(one);
    let file = daemon.setup.path("trace.json");
    let words = out(&daemon.ctl(&["trace", "--output", file.to_str().unwrap()]));
    assert_eq!(words, format!("{}: open it in https://ui.perfetto.dev\n", file.display()));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let events = document["traceEvents"].as_array().unwrap();
    let of = |tenant: u64| -> Vec<&str> {
        let spans = events.iter().filter(|event| event["ph"] == "X" && event["tid"] == tenant);
        spans.map(|event| event["name"].as_str().unwrap()).collect()
    };
    // One asked for a free GPU, so that it has not waited; its last moment may be a span of nothing.
    assert_eq!(
        of(1).iter().filter(|kind| **kind != "wait").collect::<Vec<_>>(),
        [&"fetch", &"run", &"drain", &"evict"]
    );
    assert_eq!(of(2), ["wait", "fetch", "run"]);
    let fetch = events.iter().find(|event| event["name"] == "fetch").unwrap();
    assert_eq!(fetch["args"]["bytes"], 12_900_000_000u64);
    assert!(fetch["args"]["GB/s"].is_number());
    let names: Vec<_> = events.iter().filter_map(|event| event["args"]["name"].as_str()).collect();
    assert!(names.contains(&&format!("{GPU} Test Card")[..]), "{names:?}");
    assert!(
        names.contains(&&format!("tenant 1: one, pid {pid}")[..]),
        "a name outlives its process: {names:?}"
    );
    assert_eq!(out(&daemon.ctl(&["trace"])).lines().count(), 1);
}

fn rules_of_one_gpu(daemon: &Daemon, tenant: &mut Tenant) {
    let refused = |gpu| error(&daemon.ctl(&["set", "tq", "5", "--gpu", gpu]));
    let words = "nvsharectl: there is no GPU \"GPU-1\": no GPU is known, for no tenant has named one yet\n";
    assert_eq!(refused("GPU-1"), (2, words.into()));
    tenant.has(Bytes(1 << 30), Bytes(0));
    let gpu = GPU.to_string();
    let set = |length| daemon.ctl(&["set", "tq", length, "--gpu", &gpu]);
    while daemon.status().devices.is_empty() {
        std::thread::yield_now();
    }
    let device = || (daemon.status().devices[0].quantum_seconds, daemon.status().devices[0].quantum_setting);
    assert_eq!(out(&set("5")), format!("the quantum on {gpu} is 5 s\n"));
    assert_eq!(device(), (5.0, Some(QuantumSetting::Seconds(5.0))));
    assert_eq!(out(&set("auto")), format!("the quantum on {gpu} is auto\n"));
    assert_eq!(device(), (2.0, Some(QuantumSetting::Auto)));
    assert_eq!(out(&set("default")), format!("the quantum on {gpu} is as on the others\n"));
    assert_eq!(device().1, None);
    // The beginning of the UUID is enough; what is meant is told in full.
    let short = daemon.ctl(&["set", "tq", "6", "--gpu", &gpu[4..12]]);
    assert_eq!(out(&short), format!("the quantum on {gpu} is 6 s\n"));
    let words = format!("nvsharectl: there is no GPU \"7\" (known: {gpu})\n");
    assert_eq!(refused("7"), (2, words));
    out(&set("default"));
    let (code, text) = error(&set("0"));
    let words = "nvsharectl: the scheduler refused: quantum = 0 is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)\n";
    assert_eq!((code, &text[..]), (3, words));
    let (code, text) = error(&daemon.ctl(&["set", "tq", "default"]));
    assert!(code == 2 && text.contains("needs the GPU that it is for: --gpu INDEX|UUID"), "{text}");
}
