//! Tenants whose processes are stopped or frozen keep nobody waiting, and take part again when they go on.
mod common;
use common::{Daemon, GPU, Tenant};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{Reply, Request};
use nvshare_protocol::tenant::{ToScheduler, ToTenant};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A silent one is given up on after ten seconds here, one that is known to be stopped at once.
const CONFIG: &str = "[scheduler]\nshare = false\noverlap = false\nquantum = 0.05\nsilence_seconds = 10\ndrain_seconds = 10\nevict_seconds = 10\n";
/// Far less than that.
const SOON: Duration = Duration::from_secs(4);

fn state(daemon: &Daemon, tenant: usize) -> String {
    daemon.status().tenants[tenant].state.clone()
}

/// What does `work` take? Less than it would take others to give somebody up.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed() < SOON, "{what} after {:?}", start.elapsed());
    done
}

/// One with 4 GiB, so that others fit beside it.
fn small(daemon: &Daemon, program: &str) -> Tenant {
    let mut tenant = Tenant::join(&daemon.tenant_socket(), program);
    tenant.has(Bytes(4 << 30), Bytes(0));
    tenant
}

#[test]
fn a_holder_that_is_stopped_keeps_nobody_waiting_and_comes_back() {
    let mut daemon = Daemon::verbose(CONFIG);
    let mut follower = daemon.operator();
    follower.ask(&Request::Events);
    let mut holder = small(&daemon, "holder");
    holder.say(&ToScheduler::Request);
    let lease = holder.granted().lease;
    holder.ready(lease);
    holder.tells(Bytes(4 << 30), Bytes(4 << 30));
    daemon.logs("has the GPU: fetched");
    holder.peer.as_ref().unwrap().signal(SIGSTOP);
    let mut other = small(&daemon, "other");
    let lease = soon("the other one is granted", || {
        other.say(&ToScheduler::Request);
        other.granted().lease
    });
    other.ready(lease);
    let line = daemon.logs("is stopped (SIGSTOP); ");
    let named =
        format!("tenant 1 (holder, pid {}) is stopped (SIGSTOP); its 4.0 GiB stay on {GPU}: ", holder.pid());
    assert!(line.contains(&named), "{line}");
    assert_eq!(state(&daemon, 0), "stopped");
    assert_eq!(daemon.count("gave no sign of life"), 0);
    // It hears that it was told to leave when it goes on, and asks again.
    holder.peer.as_ref().unwrap().signal(SIGCONT);
    let revoked = holder.revoked().lease;
    holder.released(revoked);
    holder.say(&ToScheduler::Request);
    other.say(&ToScheduler::Idle(lease));
    while !matches!(other.hear(), ToTenant::Revoke(_)) {}
    other.released(lease);
    let lease = holder.granted().lease;
    holder.ready(lease);
    daemon.logs(&format!("(holder, pid {}) goes on after it was stopped", holder.pid()));
    soon("it has its turn", || while state(&daemon, 0) != "running" {});
    for (kind, text) in [("stopped", Some("stopped (SIGSTOP)")), ("resumed", None)] {
        let event = loop {
            match follower.receive() {
                Reply::Event(event) if event.kind == kind => break event,
                _ => {}
            }
        };
        assert_eq!((event.tenant, event.text.as_deref()), (Some(1), text));
    }
}

#[test]
fn one_that_waits_and_is_stopped_loses_no_turn_of_others() {
    let mut daemon = Daemon::start(CONFIG);
    let mut first = small(&daemon, "first");
    first.say(&ToScheduler::Request);
    let lease = first.granted().lease;
    first.ready(lease);
    let mut waits = small(&daemon, "waits");
    waits.say(&ToScheduler::Request);
    while first.hear() != ToTenant::Contended(true) {}
    waits.peer.as_ref().unwrap().signal(SIGSTOP);
    let mut last = small(&daemon, "last");
    let revoked = first.revoked().lease;
    soon("the last one is granted", || {
        last.say(&ToScheduler::Request);
        first.released(revoked);
        let lease = last.granted().lease;
        last.ready(lease);
    });
    daemon.logs(&format!("(waits, pid {}) is stopped (SIGSTOP); others go on", waits.pid()));
    assert_eq!(state(&daemon, 1), "stopped");
    waits.peer.as_ref().unwrap().signal(SIGCONT);
    // What it has missed meanwhile is its grant, and that this was taken back.
    let lease = waits.granted().lease;
    waits.released(lease);
    waits.say(&ToScheduler::Request);
    let revoked = last.revoked().lease;
    last.released(revoked);
    let lease = waits.granted().lease;
    waits.ready(lease);
    daemon.logs(&format!("(waits, pid {}) goes on after it was stopped", waits.pid()));
}

#[test]
fn nobody_is_looked_at_while_nobody_waits() {
    let mut daemon = Daemon::start(CONFIG);
    let mut holder = small(&daemon, "holder");
    holder.say(&ToScheduler::Request);
    let lease = holder.granted().lease;
    holder.ready(lease);
    holder.peer.as_ref().unwrap().signal(SIGSTOP);
    // Long enough for several looks, by the daemon's own clock.
    let begin = daemon.status().uptime_seconds;
    while daemon.status().uptime_seconds < begin + 1.0 {
        std::thread::yield_now();
    }
    assert_eq!((daemon.count("is stopped"), &state(&daemon, 0)[..]), (0, "running"));
    let mut other = Tenant::join(&daemon.tenant_socket(), "other");
    other.has(Bytes(1 << 30), Bytes(0));
    other.say(&ToScheduler::Request);
    soon("the other one is granted", || other.granted());
}

/// A control group that can be frozen; removed at the end.
struct Group {
    directory: PathBuf,
    /// The file that freezes it, and the words for that and for the contrary.
    file: &'static str,
    words: [&'static str; 2],
}

impl Group {
    /// None where this machine lets nobody make one.
    fn make(name: &str) -> Option<Self> {
        let v1 = ("/sys/fs/cgroup/freezer", "freezer.state", ["FROZEN", "THAWED"]);
        let v2 = ("/sys/fs/cgroup", "cgroup.freeze", ["1", "0"]);
        [v1, v2].into_iter().find_map(|(root, file, words)| {
            let directory = PathBuf::from(root).join(format!("nvshare-test-{name}-{}", std::process::id()));
            fs::create_dir(&directory).ok()?;
            let group = Self { directory, file, words };
            group.directory.join(file).exists().then_some(group)
        })
    }

    fn takes(&self, pid: u32) -> bool {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).is_ok()
    }

    fn freeze(&self, frozen: bool) {
        fs::write(self.directory.join(self.file), self.words[usize::from(!frozen)]).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.directory.join(self.file), self.words[1]);
        let end = Instant::now() + SOON;
        // Its process ends before.
        while fs::remove_dir(&self.directory).is_err() && Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_frozen_container_is_found_out_too() {
    let mut daemon = Daemon::start(CONFIG);
    let group = Group::make("frozen");
    let mut holder = small(&daemon, "holder");
    let Some(group) = group.as_ref().filter(|group| group.takes(holder.pid())) else {
        common::skip("no control group can be made here that can be frozen");
        return;
    };
    holder.say(&ToScheduler::Request);
    let lease = holder.granted().lease;
    holder.ready(lease);
    group.freeze(true);
    let mut other = small(&daemon, "other");
    other.say(&ToScheduler::Request);
    soon("the other one is granted", || other.granted());
    daemon.logs(&format!("(holder, pid {}) is frozen (docker pause or the like); ", holder.pid()));
    assert_eq!(state(&daemon, 0), "stopped");
    group.freeze(false);
    let revoked = holder.revoked().lease;
    holder.released(revoked);
    daemon.logs(&format!("(holder, pid {}) goes on after it was stopped", holder.pid()));
}
