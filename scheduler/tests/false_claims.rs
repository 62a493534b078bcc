//! Tenants that lie: what they were handed out, what they say that they have, and who they are.
mod common;
use common::{Daemon, Setup, Tenant, hello};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, InstanceId};
use std::os::fd::OwnedFd;

const MIB: u64 = 1 << 20;
/// Somebody who is neither root nor whoever runs the tests.
const OTHER: u32 = 60_001;

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + common::PATIENCE;
    while !is() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn made(file: &OwnedFd) -> u64 {
    nix::sys::stat::fstat(file).unwrap().st_blocks as u64 * 512
}

/// Whether processes of other users can be made; said where not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        common::skip("only root can be another user");
    }
    root
}

fn other(daemon: &Daemon) -> Tenant {
    let mut tenant = Tenant::of_user(&daemon.tenant_socket(), Some(OTHER));
    tenant.greets(hello("other"));
    tenant
}

#[test]
fn swap_space_is_charged_until_the_process_has_ended_and_then_really_back() {
    let daemon = Daemon::start("[swap]\nbudget = \"256MiB\"\n[limits]\nswap_per_user = \"none\"\n");
    let (mut peer, mut tenants) = Tenant::of_one_process(&daemon.tenant_socket(), None, 8);
    let mut got = Vec::new();
    for tenant in &mut tenants {
        tenant.greets(hello("keeper"));
        got.push(tenant.swaps(256 * MIB));
    }
    assert_eq!(got.iter().sum::<u64>(), 256 * MIB, "{got:?}");
    let kept: Vec<OwnedFd> = tenants.iter_mut().flat_map(|tenant| tenant.files.drain(..)).collect();
    drop(tenants);
    until("it stands for what it has", || {
        let status = daemon.status();
        let [row] = &status.tenants[..] else { return false };
        (&row.state[..], row.swap_bytes) == ("disconnected", 256 * MIB)
    });
    let mut next = Tenant::join(&daemon.tenant_socket(), "next");
    assert_eq!(next.swaps(32 * MIB), 0);
    peer.kill();
    until("the process has ended", || next.swaps(32 * MIB) == 32 * MIB);
    until("nobody keeps a page", || kept.iter().all(|file| made(file) == 0));
    assert_eq!(daemon.status().tenants.len(), 1);
}

#[test]
fn what_a_tenant_says_that_it_has_of_swap_space_is_not_believed() {
    let daemon = Daemon::start("[swap]\nbudget = \"64MiB\"\n");
    let mut liar = Tenant::silent(&daemon.tenant_socket());
    liar.greets(Hello { swap: Some(Bytes(1 << 44)), ..hello("liar") });
    assert_eq!(daemon.status().tenants[0].swap_bytes, 0);
    let mut honest = Tenant::join(&daemon.tenant_socket(), "honest");
    assert_eq!(honest.swaps(32 * MIB), 32 * MIB);
}

#[test]
fn without_a_device_a_tenant_gets_little_and_another_user_something() {
    let mut daemon = Daemon::start("[swap]\nbudget = \"1GiB\"\n");
    let mut greedy = Tenant::join(&daemon.tenant_socket(), "greedy");
    assert_eq!(greedy.swaps(1 << 62), 256 * MIB);
    assert_eq!(greedy.swaps(1 << 62), 256 * MIB);
    daemon.logs("(greedy, pid ");
    daemon.logs("[limits] swap_per_tenant is reached with 256 MiB");
    let mut more: Vec<Tenant> = (0..4).map(|_| Tenant::join(&daemon.tenant_socket(), "more")).collect();
    let sum: u64 = more.iter_mut().map(|tenant| tenant.swaps(1 << 40)).sum();
    assert_eq!(sum, 640 * MIB, "seven eighths of the budget, less what the first has");
    assert!(daemon.logs("[limits] swap_per_user is reached").contains("(more, pid "));
    assert_eq!(daemon.count("swap_per_tenant"), 3, "once for each");
    if is_root() {
        assert_eq!(other(&daemon).swaps(64 * MIB), 64 * MIB);
    }
}

#[test]
fn a_tenant_cannot_seal_its_file_and_wishes_fill_no_log() {
    let mut daemon = Daemon::start("[swap]\nbudget = \"64MiB\"\n[limits]\nmessages_per_second = 100000\n");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "sealer");
    assert_eq!(tenant.swaps(2 * MIB), 2 * MIB);
    // F_SEAL_FUTURE_WRITE
    let sealed = fcntl(&tenant.files[0], FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(0x10)));
    assert_eq!(sealed, Err(nix::errno::Errno::EPERM));
    for n in 2..2000 {
        tenant.swaps(n * 2 * MIB);
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count();
    assert!(threads <= 8, "{threads}");
    assert!(daemon.count("(sealer, ") <= 4);
}

#[test]
fn after_a_restart_what_was_handed_out_is_known_whatever_is_said() {
    let config = "[swap]\nbudget = \"64MiB\"\n[limits]\nswap_per_user = \"none\"\n";
    let daemon = Daemon::start(config);
    let mut keeper = Tenant::join(&daemon.tenant_socket(), "keeper");
    assert_eq!(keeper.swaps(40 * MIB), 40 * MIB);
    let ledger = daemon.run_dir().join("ledger");
    until("it is written down", || std::fs::read_to_string(&ledger).unwrap().contains(" 41943040\n"));
    let setup = daemon.kill();
    let daemon = setup.start();
    let mut next = Tenant::join(&daemon.tenant_socket(), "next");
    assert_eq!(next.swaps(64 * MIB), 24 * MIB, "the keeper has not even said hello");
    let mut liar = Tenant::silent(&daemon.tenant_socket());
    liar.greets(Hello { swap: Some(Bytes(1 << 30)), ..hello("liar") });
    keeper.dies();
    until("what it had is free", || next.swaps(64 * MIB) == 64 * MIB);
    let rows = daemon.status().tenants;
    assert_eq!(rows.iter().map(|row| row.swap_bytes / MIB).collect::<Vec<_>>(), [64, 0]);
}

#[test]
fn after_a_scheduler_that_wrote_nothing_down_claims_are_believed_within_the_limits() {
    let daemon = Daemon::start("[swap]\nbudget = \"64MiB\"\n");
    let ledger = daemon.run_dir().join("ledger");
    until("it is written", || ledger.exists());
    let setup = daemon.kill();
    std::fs::remove_file(&ledger).unwrap();
    let daemon = setup.start();
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(Hello { swap: Some(Bytes(1 << 44)), ..hello("old") });
    assert_eq!(daemon.status().tenants[0].swap_bytes, 56 * MIB);
    let setup = daemon.kill();
    std::fs::write(&ledger, "nonsense").unwrap();
    let mut daemon = setup.start();
    daemon.logs("the ledger of swap space is not used: it is no ledger of nvshare-scheduler");
}

#[test]
fn a_tenant_ends_with_its_process_though_a_child_keeps_the_connection() {
    let mut daemon = Daemon::start("[scheduler]\nquantum = 3600\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "one");
    one.granted();
    let mut two = Tenant::with_work(&daemon.tenant_socket(), "two");
    while one.hear() != ToTenant::Contended(true) {}
    // The test itself is who has the connection still.
    one.dies();
    two.granted();
    assert!(daemon.logs(" left").contains("(one, pid "));
    while one.next().is_some() {}
}

#[test]
fn what_a_process_has_stays_when_it_closes_its_connection_until_it_joins_again() {
    let mut daemon = Daemon::start("");
    let (mut peer, mut tenants) = Tenant::of_one_process(&daemon.tenant_socket(), None, 5);
    let mut anew = tenants.pop().unwrap();
    let states = |daemon: &Daemon| -> Vec<String> {
        daemon.status().tenants.into_iter().map(|row| row.state).collect()
    };
    for (n, mut tenant) in tenants.into_iter().enumerate() {
        tenant.greets(hello("one"));
        tenant.has(Bytes(12 << 30), Bytes(12 << 30));
        tenant.say(&ToScheduler::Request);
        tenant.granted();
        drop(tenant);
        daemon.logs_times("what it has stays until its process ends", n + 1);
        assert_eq!(states(&daemon), ["disconnected"]);
    }
    anew.greets(Hello { instance: InstanceId([8; 16]), ..hello("one") });
    until("the old one is over", || states(&daemon) == ["idle"]);
    anew.has(Bytes(1 << 30), Bytes(0));
    drop(anew);
    daemon.logs_times("what it has stays until its process ends", 5);
    peer.kill();
    until("nobody is left", || states(&daemon).is_empty());
}

#[test]
fn a_connection_of_the_same_instance_takes_the_place_of_the_one_before() {
    let mut daemon = Daemon::start("");
    let (_peer, mut tenants) = Tenant::of_one_process(&daemon.tenant_socket(), None, 2);
    tenants[0].greets(hello("first"));
    tenants[1].greets(hello("second"));
    assert!(tenants[0].next().is_none());
    daemon.logs("lost its connection: its process has connected anew");
    assert_eq!(daemon.status().tenants.len(), 1);
}

#[test]
fn one_that_does_not_read_stays_and_is_told_the_newest_when_it_does() {
    let daemon = Daemon::start("[scheduler]\nquantum = 3600\n[limits]\nmessages_per_second = 100000\n");
    let mut one = Tenant::with_work(&daemon.tenant_socket(), "deaf");
    let lease = one.granted().lease;
    one.ready(lease);
    for _ in 0..320 {
        // It comes, waits, and goes: the holder would be told twice.
        let mut other = Tenant::with_work(&daemon.tenant_socket(), "comes");
        other.say(&ToScheduler::SwapWanted(Bytes(0)));
        while !matches!(other.hear(), ToTenant::Swap(_)) {}
    }
    let mut last = Tenant::with_work(&daemon.tenant_socket(), "last");
    last.say(&ToScheduler::SwapWanted(Bytes(0)));
    while !matches!(last.hear(), ToTenant::Swap(_)) {}
    let rows = daemon.status().tenants;
    assert_eq!(rows[0].state, "running", "it holds still: {rows:?}");
    one.say(&ToScheduler::SwapWanted(Bytes(0)));
    let mut contended = Vec::new();
    loop {
        match one.hear() {
            ToTenant::Contended(word) => contended.push(word),
            ToTenant::Swap(_) => break,
            _ => {}
        }
    }
    assert_eq!(contended.last(), Some(&true));
    assert!(contended.len() < 300, "{}", contended.len());
}

#[test]
fn a_flood_that_is_never_read_is_kept_in_little_memory() {
    let daemon = Daemon::start("[limits]\nmessages_per_second = 1000000\n");
    let mut deaf = Tenant::join(&daemon.tenant_socket(), "deaf");
    deaf.has(Bytes(1 << 20), Bytes(0));
    let mut out = Vec::new();
    for lease in 1..=20_000 {
        nvshare_protocol::frame::write(&ToScheduler::Request, &mut out);
        let (lease, zero) = (nvshare_protocol::LeaseId(lease), nvshare_protocol::Nanos(0));
        let released =
            nvshare_protocol::tenant::Released { lease, evicted: Vec::new(), drain: zero, evict: zero };
        nvshare_protocol::frame::write(&ToScheduler::Released(released), &mut out);
    }
    std::io::Write::write_all(&mut deaf.stream, &out).unwrap();
    until("all of it is heard", || daemon.status().tenants[0].grants == 20_000);
    let mut alive = Tenant::join(&daemon.tenant_socket(), "alive");
    alive.has(Bytes(1 << 20), Bytes(0));
    alive.say(&ToScheduler::Request);
    alive.granted();
}

#[test]
fn a_program_cannot_be_named_as_another_tenant() {
    let mut daemon = Daemon::start("");
    let name = "python3, pid 1, container 4f1d3c0b5a69) left; tenant 9 (bash";
    let mut tenant = Tenant::join(&daemon.tenant_socket(), name);
    tenant.say(&ToScheduler::Report("a\" tenant 9 (bash".into()));
    let pid = tenant.pid();
    daemon.logs(&format!("tenant 1 ({name:?}, pid {pid}) joined"));
    daemon.logs(&format!("tenant 1 ({name:?}, pid {pid}) reports: \"a\\\" tenant 9 (bash\""));
    let text = String::from_utf8(daemon.ctl(&["status"]).stdout).unwrap();
    assert!(text.contains(&format!("{name:?}")), "{text}");
}

#[test]
fn one_owners_lines_leave_room_for_another() {
    let mut daemon = Daemon::start("[limits]\ntenants = 4\ntenants_per_user = 2\n");
    let _kept = [Tenant::join(&daemon.tenant_socket(), "a"), Tenant::join(&daemon.tenant_socket(), "b")];
    for _ in 0..300 {
        assert!(Tenant::silent(&daemon.tenant_socket()).refused().contains("tenants_per_user = 2"));
    }
    assert!(daemon.count("is reached") < 200);
    if is_root() {
        let other = other(&daemon);
        daemon.logs(&format!("(other, pid {}) joined", other.pid()));
    }
}

#[test]
fn one_for_whom_there_is_no_place_is_told_so_in_words_old_and_new() {
    for (config, fails) in [("", false), ("when_full = \"fail\"\n", true)] {
        let daemon = Daemon::start(&format!("[limits]\ntenants_per_user = 1\n{config}"));
        let _one = Tenant::silent(&daemon.tenant_socket());
        let mut two = Tenant::silent(&daemon.tenant_socket());
        let why = "the limit [limits] tenants_per_user = 1 is reached";
        let no_place = nvshare_protocol::tenant::NoPlace { why: why.into(), fails };
        assert_eq!(two.hear(), ToTenant::NoPlace(no_place));
        assert_eq!(two.hear(), ToTenant::Refused(why.into()));
        assert!(two.next().is_none());
        if is_root() {
            other(&daemon);
        }
    }
}

#[test]
fn wishes_beyond_what_the_operator_allows_are_cut_and_said() {
    let mut daemon = Daemon::start("");
    let mut eager = Tenant::silent(&daemon.tenant_socket());
    eager.greets(Hello { version: 4, weight: Some(1000), priority: Some(2), ..hello("eager") });
    let ToTenant::Notice(priority) = eager.hear() else { panic!() };
    assert_eq!(priority, "priority high is more than [limits] priority = \"normal\" allows: it is normal");
    let ToTenant::Notice(weight) = eager.hear() else { panic!() };
    assert_eq!(weight, "weight 1000 is more than [limits] weight = 1 allows: it is 1");
    daemon.logs(&format!("wishes too much: {weight}"));
    let row = &daemon.status().tenants[0];
    assert_eq!((row.weight, &row.priority[..]), (1, "normal"));
    let mut old = Tenant::silent(&daemon.tenant_socket());
    old.greets(Hello { version: 3, weight: Some(1000), ..hello("old") });
    assert_eq!(old.swaps(0), 0);
}

#[test]
fn a_limit_bounds_what_a_tenant_is_believed_to_have() {
    let daemon = Setup::new("[limits]\nmemory_per_tenant = \"1GiB\"\n").start();
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "boaster");
    tenant.has(Bytes(12 << 30), Bytes(12 << 30));
    tenant.swaps(0);
    let row = &daemon.status().tenants[0];
    assert_eq!((row.allocated_bytes, row.resident_bytes), (1 << 30, 1 << 30));
}

#[test]
fn a_connection_whose_process_has_ended_already_is_nobodys() {
    let daemon = Daemon::start("");
    // The daemon does not see it before its process has ended.
    let pid = nix::unistd::Pid::from_raw(daemon.pid() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).unwrap();
    let mut orphan = Tenant::silent(&daemon.tenant_socket());
    orphan.dies();
    nix::sys::signal::kill(pid, nix::sys::signal::SIGCONT).unwrap();
    assert!(orphan.next().is_none());
    assert_eq!(daemon.status().tenants.len(), 0);
}
