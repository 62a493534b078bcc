//! `nvsharectl top` on a terminal.
mod common;
use common::{Daemon, Tenant};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn it_draws_until_a_key_ends_it_and_leaves_the_terminal_as_it_was() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "train");
    tenant.granted();
    let size = Winsize { ws_row: 24, ws_col: 110, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let before = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    let end = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvsharectl"));
    command.arg("--runtime-dir").arg(daemon.run_dir()).arg("top").env("TERM", "xterm");
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    let mut master = File::from(pty.master);
    let mut text = String::new();
    // The parts of a picture come in any order and pieces.
    while !(text.contains("train (") && text.contains("ALLOCATED") && text.contains("scroll")) {
        let mut bytes = [0; 4096];
        let n = master.read(&mut bytes).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    master.write_all(b"q").unwrap();
    // It may still have something to write, and waits while nobody reads it.
    std::thread::spawn(move || std::io::copy(&mut master, &mut std::io::sink()));
    assert!(child.wait().unwrap().success());
    let after = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    assert_eq!((before.local_flags, before.input_flags), (after.local_flags, after.input_flags));
}

#[test]
fn without_a_terminal_it_says_what_does_the_same() {
    let daemon = Daemon::start("");
    let output = daemon.ctl(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(words, "nvsharectl: top draws on a terminal; `nvsharectl status` prints the same once\n");
}
