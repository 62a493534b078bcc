//! `nvsharectl why`: the reason for a wait, in situations that are made here.
mod common;
use common::{Daemon, GPU, Nvml, Tenant, hello, on_gpu};
use nvshare_protocol::control::{TenantStatus, Why};
use nvshare_protocol::tenant::{Hello, MemoryReport, ToScheduler};
use nvshare_protocol::{Bytes, LeaseId};

const GIB: u64 = 1 << 30;

/// Joins with so much on the card and asks for it.
fn asks(daemon: &Daemon, gib: u64, hello: Hello) -> Tenant {
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(hello);
    tenant.has(Bytes(gib * GIB), Bytes(0));
    tenant.say(&ToScheduler::Request);
    tenant
}

fn runs(daemon: &Daemon, gib: u64, hello: Hello) -> (Tenant, LeaseId) {
    let mut tenant = asks(daemon, gib, hello);
    let lease = tenant.granted().lease;
    tenant.tells(Bytes(gib * GIB), Bytes(gib * GIB));
    tenant.ready(lease);
    (tenant, lease)
}

/// The tenant, once it is in this state for this reason.
fn because(daemon: &Daemon, id: u64, reason: &str) -> TenantStatus {
    let end = std::time::Instant::now() + common::PATIENCE;
    loop {
        let row = daemon.status().tenants.into_iter().find(|row| row.id == id).unwrap();
        if row.why.reason == reason {
            return row;
        }
        assert!(std::time::Instant::now() < end, "not {reason}: {:?}", row.why);
    }
}

fn says_so(why: &Why, words: &str) {
    assert!(why.text.contains(words), "{why:?}");
}

/// The program of docs/reference/json.md, as it stands there.
#[test]
fn the_program_of_the_document_tells_who_waits() {
    let page = include_str!("../../docs/reference/json.md");
    let program = page.split("```python json\n").nth(1).unwrap().split("```").next().unwrap();
    let daemon = Daemon::start("[scheduler]\nquantum = 20\n");
    let (_one, _) = runs(&daemon, 12, hello("one"));
    let two = asks(&daemon, 12, Hello { instance: nvshare_protocol::InstanceId([2; 16]), ..hello("two") });
    because(&daemon, 2, "turn");
    let ours = std::path::Path::new(env!("CARGO_BIN_EXE_nvsharectl")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path)));
    let run = std::process::Command::new("python3")
        .args(["-c", program, "--runtime-dir"])
        .arg(daemon.run_dir())
        .env("PATH", path.unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.starts_with(&format!("{} two turn [1] in ", two.pid())), "{run:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn turns_of_others_and_places_in_the_queue() {
    let daemon = Daemon::start("[scheduler]\nquantum = 20\n");
    let (_holder, _) = runs(&daemon, 12, hello("first"));
    assert_eq!(because(&daemon, 1, "running").why.text, "it has its turn");
    let _next = asks(&daemon, 12, Hello { instance: nvshare_protocol::InstanceId([2; 16]), ..hello("next") });
    let _last = asks(&daemon, 12, hello("last"));
    let why = because(&daemon, 2, "turn").why;
    says_so(&why, "it is next: tenant 1 (first, pid ");
    assert_eq!(why.holders, [1]);
    assert!((0.1..=20.0).contains(&why.expected_seconds.unwrap()), "{why:?}");
    let why = because(&daemon, 3, "queue").why;
    says_so(&why, "1 tenant is before it on GPU-");
    assert!(why.expected_seconds.unwrap() > 20.0, "{why:?}");
    let said = String::from_utf8(daemon.ctl(&["why"]).stdout).unwrap();
    assert_eq!(said.matches("\ntenant ").count() + 1, 3, "{said}");
}

#[test]
fn who_waits_behind_a_higher_priority_is_told_of_one_that_is_higher_still() {
    let daemon = Daemon::start("[scheduler]\nquantum = 20\n[limits]\npriority = \"high\"\n");
    let of = |priority, name: &str, id| Hello {
        version: 5,
        priority: Some(priority),
        instance: nvshare_protocol::InstanceId([id; 16]),
        ..hello(name)
    };
    let (_high, _) = runs(&daemon, 12, of(2, "high", 1));
    let _normal = asks(&daemon, 12, of(1, "normal", 2));
    let why = because(&daemon, 2, "turn").why;
    says_so(&why, "tenants of higher priority come first");
    let priorities: Vec<_> = why.advice.iter().filter(|line| line.contains("set priority")).collect();
    assert_eq!(priorities, ["`nvsharectl set priority 2 high` lets it come before others"]);
}

#[test]
fn a_share_of_the_time_that_is_used_up() {
    let daemon = Daemon::start("");
    let (mut tenant, lease) = runs(&daemon, 4, Hello { version: 5, time_share: Some(1), ..hello("slow") });
    assert_eq!(tenant.revoked().lease, lease);
    tenant.say(&ToScheduler::Request);
    tenant.released(lease);
    let why = because(&daemon, 1, "quota").why;
    says_so(&why, "its share of the time is used up (1 %): the next period begins in ");
    assert!(why.expected_seconds.unwrap() > 0.0);
    assert_eq!(why.advice, ["`nvsharectl set time-share 1 100` lifts its share of the time"]);
}

#[test]
fn no_room_beside_what_another_keeps() {
    let daemon = Daemon::start("");
    let (mut holder, _) = runs(&daemon, 9, hello("keeper"));
    let all = Bytes(9 * GIB);
    holder.say(&ToScheduler::Memory(MemoryReport {
        device: GPU,
        allocated: all,
        resident: all,
        immovable: all,
        engine: None,
    }));
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(Hello { version: 5, engine: "swap".into(), ..hello("big") });
    tenant.has(Bytes(10 * GIB), Bytes(0));
    assert!(tenant.swaps(10 * GIB) > 0);
    tenant.say(&ToScheduler::Request);
    let why = because(&daemon, 2, "no-room").why;
    says_so(&why, "its 10.0 GiB do not fit on GPU-");
    says_so(&why, "tenant 1 (keeper, pid ");
    says_so(&why, "keeps 9.0 GiB that cannot be moved");
}

#[test]
fn a_holder_that_does_not_leave() {
    let daemon = Daemon::start(
        "[scheduler]\nquantum = 0.1\ndrain_seconds = 30\npatience_seconds = 30\nsilence_seconds = 60\n",
    );
    let (_holder, _) = runs(&daemon, 12, hello("stuck"));
    let _next = asks(&daemon, 12, hello("next"));
    let why = because(&daemon, 2, "leaving").why;
    says_so(&why, "it is next: tenant 1 (stuck, pid ");
    says_so(&why, "has had to leave for ");
}

#[test]
fn paused_off_and_stopped() {
    let daemon = Daemon::start("");
    let (mut tenant, lease) = runs(&daemon, 4, hello("one"));
    assert!(daemon.ctl(&["pause", "1"]).status.success());
    tenant.revoked();
    tenant.say(&ToScheduler::Request);
    tenant.released(lease);
    says_so(&because(&daemon, 1, "paused").why, "an operator has paused it");
    assert!(daemon.ctl(&["off"]).status.success());
    says_so(&because(&daemon, 1, "off").why, "the scheduler is off");
    assert!(daemon.ctl(&["on"]).status.success());
    let process = nix::unistd::Pid::from_raw(tenant.pid() as i32);
    nix::sys::signal::kill(process, nix::sys::signal::SIGSTOP).unwrap();
    let _other = asks(&daemon, 4, hello("other"));
    let row = because(&daemon, 1, "paused");
    assert!(row.paused);
    nix::sys::signal::kill(process, nix::sys::signal::SIGCONT).unwrap();
}

#[test]
fn a_limit_that_is_nearly_used_up_is_a_remark() {
    let daemon = Daemon::start("[limits]\nmemory_per_tenant = \"8GiB\"\n");
    let (_tenant, _) = runs(&daemon, 8, hello("full"));
    let why = because(&daemon, 1, "running").why;
    assert_eq!(
        why.remarks,
        [
            "it has allocated 8.0 GiB of its limit of 8.0 GiB by [limits] memory_per_tenant = \"8GiB\": what does not \
          fit fails as out of memory"
        ]
    );
}

#[test]
fn no_swap_space_is_a_remark() {
    let daemon = Daemon::start("[swap]\nbudget = \"1GiB\"\n");
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(Hello { version: 5, engine: "auto".into(), ..hello("late") });
    tenant.has(Bytes(4 * GIB), Bytes(0));
    assert!((1..=GIB).contains(&tenant.swaps(4 * GIB)));
    let why = because(&daemon, 1, "idle").why;
    assert!(why.remarks[0].contains(" gives it no more swap space"), "{why:?}");
}

#[test]
fn higher_priority_first_and_for_how_long() {
    let daemon = Daemon::start("[limits]\npriority = \"high\"\n");
    let (_holder, _) = runs(&daemon, 12, Hello { version: 5, priority: Some(2), ..hello("high") });
    let _low = asks(&daemon, 12, Hello { version: 5, priority: Some(0), ..hello("low") });
    let why = because(&daemon, 2, "turn").why;
    says_so(&why, "; tenants of higher priority come first, for ");
    assert!(
        why.advice.contains(&"`nvsharectl set priority 2 normal` lets it come sooner".to_owned()),
        "{why:?}"
    );
}

#[test]
fn programs_outside_of_nvshare_that_fill_the_gpu() {
    let mut world = Nvml::start(&on_gpu("compute 1 9000000000\n"));
    let mut tenant = Tenant::silent(&world.daemon.tenant_socket());
    tenant.greets(Hello { version: 5, engine: "swap".into(), ..hello("late") });
    let says = format!("compute {} 600000000\ncompute 1 9000000000\n", tenant.pid());
    world.say(&on_gpu(&says));
    tenant.has(Bytes(10 * GIB), Bytes(0));
    world.outside(GPU, 9_000_000_000);
    assert!(tenant.swaps(10 * GIB) > 0);
    tenant.say(&ToScheduler::Request);
    let why = because(&world.daemon, 1, "outside").why;
    says_so(&why, ": programs outside of nvshare use 8.4 GiB");
    assert!(why.advice[0].contains("nvidia-smi"), "{why:?}");
}
