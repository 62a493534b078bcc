//! `nvsharectl top` on a terminal.
mod common;
use common::{Daemon, PATIENCE, Tenant, device};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};
use nix::sys::termios::tcgetattr;
use nix::unistd::Pid;
use nvshare_protocol::DeviceId;
use nvshare_protocol::tenant::ToScheduler;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A `top` and the terminal that it draws on.
struct Top {
    child: Child,
    keys: File,
    drawn: Receiver<Vec<u8>>,
    /// All that it has drawn since the last key, without what steers the terminal.
    text: String,
    rest: Vec<u8>,
    slave: OwnedFd,
}

impl Top {
    fn start(daemon: &Daemon, args: &[&str]) -> Self {
        Self::start_in(&daemon.run_dir(), args)
    }

    fn start_in(run_dir: &Path, args: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 110, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_nvsharectl"));
        command.arg("--runtime-dir").arg(run_dir).arg("top").args(args).env("TERM", "xterm");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (send, drawn) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, drawn, text: String::new(), rest: Vec::new(), slave }
    }

    /// Waits until all of these have been drawn; the parts of a picture come in any order and pieces.
    fn shows(&mut self, words: &[&str]) {
        let end = Instant::now() + PATIENCE;
        while !words.iter().all(|word| self.text.contains(word)) {
            let Ok(bytes) = self.drawn.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("{words:?} is not in {:?}", self.text);
            };
            self.rest.extend(bytes);
            self.text.push_str(&plain(&mut self.rest));
        }
    }

    fn press(&mut self, keys: &str) {
        self.text.clear();
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Of its process, so far.
    fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap() as f64
    }

    fn quits(&mut self) {
        self.press("q");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text in `bytes` up to the last sequence that is not complete; a move of the cursor is a blank.
fn plain(bytes: &mut Vec<u8>) -> String {
    let mut text = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != 0x1b {
            text.push(bytes[at]);
            at += 1;
            continue;
        }
        let Some(length) = bytes[at..].iter().skip(2).position(u8::is_ascii_alphabetic) else { break };
        let last = at + 2 + length;
        if bytes[last] != b'm' {
            text.push(b' ');
        }
        at = last + 1;
    }
    bytes.drain(..at);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn it_draws_until_a_key_ends_it_and_leaves_the_terminal_as_it_was() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "train");
    tenant.granted();
    let mut top = Top::start(&daemon, &[]);
    top.shows(&["train", "ALLOC", "HO/MIN", "quit"]);
    top.press("?");
    top.shows(&["Esc closes"]);
    top.press("q");
    top.press("\r");
    top.shows(&["asked for"]);
    top.press("q");
    top.quits();
    let fresh = openpty(None, None).unwrap();
    let (before, after) = (tcgetattr(&fresh.slave).unwrap(), tcgetattr(&top.slave).unwrap());
    assert_eq!((before.local_flags, before.input_flags), (after.local_flags, after.input_flags));
}

#[test]
fn a_tenant_is_paused_resumed_and_given_a_weight_after_a_yes() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "train");
    tenant.granted();
    let row = || daemon.status().tenants.remove(0);
    let mut top = Top::start(&daemon, &[]);
    top.shows(&["train", "quit"]);
    top.press("p");
    top.shows(&["Pause tenant 1"]);
    assert!(!row().paused, "nobody has said yes");
    top.press("y");
    top.shows(&["paused: no turns"]);
    assert!(row().paused);
    top.press("p");
    top.shows(&["Resume tenant 1"]);
    top.press("y");
    top.shows(&["has turns again"]);
    assert!(!row().paused);
    top.press("w5\ry");
    top.shows(&["weight 5, until it leaves"]);
    assert_eq!(row().weight, 5);
    top.press("w5000\ry");
    top.shows(&["the scheduler refused: weight = 5000 is not allowed"]);
    top.quits();
}

#[test]
fn a_scheduler_that_hangs_is_told_of_and_keys_work() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "train");
    tenant.granted();
    let mut top = Top::start(&daemon, &["--interval", "0.2"]);
    top.shows(&["train", "every 0.2 s"]);
    let pid = Pid::from_raw(daemon.pid() as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    top.shows(&["does not answer", "old"]);
    top.press("?");
    top.shows(&["Esc closes"]);
    top.press("q/idle\r");
    top.shows(&["Esc end the filter"]);
    kill(pid, Signal::SIGCONT).unwrap();
    top.press("\u{1b}");
    top.shows(&["every 0.2 s"]);
    kill(pid, Signal::SIGSTOP).unwrap();
    top.shows(&["does not answer"]);
    top.quits();
    kill(pid, Signal::SIGCONT).unwrap();
}

/// It was silent for 30 s, and neither q nor Ctrl-C ended it.
#[test]
fn a_scheduler_that_never_answers_is_told_of_at_once_and_keys_work() {
    let dir = tempfile::tempdir().unwrap();
    // The kernel accepts for it.
    let listener = UnixListener::bind(dir.path().join("control.sock")).unwrap();
    let quits_with = |key: &str| {
        let mut top = Top::start_in(dir.path(), &[]);
        top.shows(&["does not answer", "no picture for", "nothing is known of GPUs"]);
        top.press("?");
        top.shows(&["Esc closes"]);
        top.press("q");
        top.press(" \r");
        top.press("q");
        top.press(key);
        assert!(top.child.wait().unwrap().success(), "{key:?}");
    };
    quits_with("q");
    quits_with("\u{3}");
    // With no room for one more, even `connect` waits.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    quits_with("q");
}

/// `cargo test --release -p nvshare-scheduler --test top -- --ignored --nocapture`
#[test]
#[ignore = "takes 30 s"]
fn at_rest_it_takes_a_hundredth_of_a_core_at_most() {
    const SECONDS: u64 = 30;
    let daemon = Daemon::start("");
    let gpus: Vec<DeviceId> = (1..=8).map(|n| DeviceId([n; 16])).collect();
    let tenants: Vec<Tenant> = (0..10)
        .map(|n| {
            let mut tenant = Tenant::join(&daemon.tenant_socket(), "train");
            tenant.say(&ToScheduler::Device(device(gpus[n % gpus.len()])));
            tenant.say(&ToScheduler::Request);
            tenant
        })
        .collect();
    while daemon.status().devices.len() < gpus.len() {
        std::thread::yield_now();
    }
    let mut top = Top::start(&daemon, &[]);
    top.shows(&["10 tenants"]);
    let before = top.cpu_seconds();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    while top.drawn.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
    let share = (top.cpu_seconds() - before) / SECONDS as f64;
    println!("top at rest, 8 GPUs, {} tenants: {:.2} % of a core", tenants.len(), share * 100.0);
    assert!(share <= 0.01, "{share}");
}

#[test]
fn without_a_terminal_it_says_what_does_the_same() {
    let daemon = Daemon::start("");
    let output = daemon.ctl(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(words, "nvsharectl: top draws on a terminal; `nvsharectl status` prints the same once\n");
}
