//! Starting, refusing to start, and stopping.
mod common;
use common::{Daemon, GPU, Setup, Tenant};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{Reply, Request};
use nvshare_protocol::tenant::ToScheduler;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_sockets_are_for_whom_they_should_be_and_go_at_the_end() {
    let daemon = Daemon::start("");
    assert_eq!(mode(&daemon.run_dir()), 0o755);
    assert_eq!(mode(daemon.tenant_socket().parent().unwrap()), 0o755);
    assert_eq!(mode(&daemon.tenant_socket()), 0o666);
    assert_eq!(mode(&daemon.control_socket()), 0o660);
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "one");
    let (tenants, control) = (daemon.tenant_socket(), daemon.control_socket());
    let (code, setup, log) = daemon.stop();
    assert_eq!(code, 0);
    assert!(log.iter().any(|line| line.contains("stopping: tenants go on")), "{log:?}");
    assert!(!tenants.exists() && !control.exists());
    assert!(tenants.parent().unwrap().is_dir(), "containers have it bound");
    while tenant.next().is_some() {}
    setup.start();
}

#[test]
fn the_mode_of_the_tenants_socket_can_be_set() {
    let daemon = Daemon::start("[sockets]\ntenant_mode = \"0660\"\n");
    assert_eq!(mode(&daemon.tenant_socket()), 0o660);
}

#[test]
fn a_second_scheduler_is_refused_and_the_first_goes_on() {
    let first = Daemon::start("");
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_nvshare-scheduler"));
    let output = second.arg("--runtime-dir").arg(first.run_dir()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "nvshare-scheduler: another nvshare-scheduler (pid {}) serves {}: stop it, or give this one another --runtime-dir\n",
        first.pid(),
        first.run_dir().display()
    );
    assert_eq!(words, expected);
    Tenant::join(&first.tenant_socket(), "one");
}

#[test]
fn what_docker_made_of_a_missing_source_is_removed_with_a_warning() {
    let setup = Setup::new("");
    let path = setup.path("run/tenants/scheduler.sock");
    fs::create_dir_all(&path).unwrap();
    let mut daemon = setup.start();
    let line = daemon.logs("removed an empty directory where the socket should be");
    assert!(line.contains("WARN") && line.contains(path.to_str().unwrap()), "{line}");
    Tenant::join(&daemon.tenant_socket(), "one");
}

#[test]
fn what_is_not_ours_is_named_and_left_alone() {
    let setup = Setup::new("");
    let path = setup.path("run/control.sock");
    fs::create_dir_all(path.join("somebodys")).unwrap();
    let (code, words) = setup.fails();
    assert_eq!(code, 1);
    let expected =
        format!("{} is a directory and not empty, where the socket should be: move it away", path.display());
    assert!(words.contains(&expected), "{words}");
    assert!(path.join("somebodys").is_dir());

    let setup = Setup::new("");
    fs::create_dir_all(setup.path("run")).unwrap();
    let _other = UnixListener::bind(setup.path("run/control.sock")).unwrap();
    let (code, words) = setup.fails();
    assert_eq!(code, 1);
    assert!(words.contains("run/control.sock: another process answers on this socket"), "{words}");
}

#[test]
fn systemd_is_told_of_the_start_the_life_and_the_end() {
    let setup = Setup::new("");
    let path = setup.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut command = setup.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let hear = || {
        let mut bytes = [0; 512];
        let n = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    };
    assert!(hear().starts_with("READY=1\nSTATUS=ready: the scheduler is on, quantum auto (2.0 s)"));
    assert!(hear().starts_with("WATCHDOG=1"));
    assert!(hear().starts_with("WATCHDOG=1"));
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).unwrap();
    while !hear().starts_with("STOPPING=1") {}
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let setup = Setup::new("").args(&["--log", "trace"]);
    let mut child = setup.command().stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Closed: every write fails with EPIPE.
    drop(child.stderr.take());
    let socket = setup.path("run/tenants/scheduler.sock");
    let end = std::time::Instant::now() + common::PATIENCE;
    while !socket.exists() && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    for n in 0..50 {
        Tenant::with_work(&socket, &format!("tenant {n}")).granted();
    }
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_trace_on_a_full_disk_is_given_up_with_one_warning() {
    let mut daemon = Setup::new("").args(&["--trace", "/dev/full"]).start();
    Tenant::with_work(&daemon.tenant_socket(), "one").granted();
    daemon.logs("--trace /dev/full: cannot be written to");
    assert_eq!(daemon.count("cannot be written to"), 1);
}

#[test]
fn without_file_descriptors_new_connections_wait_and_old_ones_are_served() {
    let mut setup = Setup::new("[limits]\nhello_timeout_seconds = 60\n");
    setup.open_files = Some(40);
    let mut daemon = setup.start();
    daemon.logs("[limits] tenants = 1024 needs 5376 file descriptors and only 40 are allowed");
    let mut member = Tenant::join(&daemon.tenant_socket(), "member");
    let silent: Vec<Tenant> = (0..60).map(|_| Tenant::silent(&daemon.tenant_socket())).collect();
    daemon.logs("a tenant's connection cannot be accepted yet");
    member.say(&ToScheduler::Device(common::device(common::GPU)));
    member.say(&ToScheduler::Request);
    member.granted();
    assert!(daemon.count("cannot be accepted yet") < 20, "it does not spin");
    drop(silent);
    Tenant::join(&daemon.tenant_socket(), "late");
}

#[test]
fn two_daemons_that_serve_one_gpu_say_so() {
    let common = tempfile::tempdir().unwrap();
    let lock = common.path().join("gpus.lock").display().to_string();
    let start = || Setup::new("").args(&["--gpus-lock", &lock]).start();
    let (mut first, mut second) = (start(), start());
    let mut one = Tenant::with_work(&first.tenant_socket(), "one");
    one.granted();
    let mut follower = second.operator();
    follower.ask(&Request::Events);
    let mut two = Tenant::with_work(&second.tenant_socket(), "two");
    two.granted();
    let line = second.logs("another nvshare-scheduler");
    assert!(line.contains(&format!("(pid {})", first.pid())) && line.contains(&GPU.to_string()), "{line}");
    let kinds = (0..4).map(|_| match follower.receive() {
        Reply::Event(event) => event.kind,
        other => panic!("{other:?}"),
    });
    assert!(kinds.collect::<Vec<_>>().contains(&"served-twice".to_owned()));
    assert_eq!(first.count("another nvshare-scheduler"), 0, "it was first");
    // The GPU is the second one's when the first has ended.
    first.kill();
    let mut three = Tenant::join(&second.tenant_socket(), "three");
    three.has(Bytes(1 << 30), Bytes(0));
    three.say(&ToScheduler::Request);
    three.granted();
    let mut third = start();
    let mut four = Tenant::with_work(&third.tenant_socket(), "four");
    four.granted();
    let line = third.logs("another nvshare-scheduler");
    assert!(line.contains(&format!("(pid {})", second.pid())), "{line}");
    assert_eq!(second.count("another nvshare-scheduler"), 1, "it was said once");
}
