//! A daemon, from its start to its end.
use super::PATIENCE;
use nvshare_protocol::control::{Reply, Request, Status, Trace};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const DAEMON: &str = env!("CARGO_BIN_EXE_nvshare-scheduler");
const CTL: &str = env!("CARGO_BIN_EXE_nvsharectl");

/// How a daemon is to be started.
pub struct Setup {
    pub config: String,
    pub args: Vec<String>,
    /// The most file descriptors that it may have.
    pub open_files: Option<u32>,
    pub dir: tempfile::TempDir,
}

impl Setup {
    pub fn new(config: &str) -> Self {
        Self { config: config.into(), args: Vec::new(), open_files: None, dir: tempfile::tempdir().unwrap() }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self) -> Command {
        let config = self.path("config.toml");
        std::fs::write(&config, &self.config).unwrap();
        let mut command = Command::new(DAEMON);
        if let Some(most) = self.open_files {
            command = Command::new("sh");
            command.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\"")).arg(DAEMON);
        }
        command.arg("--runtime-dir").arg(self.path("run")).arg("--config").arg(config);
        // Daemons of other tests serve the same simulated GPUs.
        if !self.args.iter().any(|arg| arg == "--gpus-lock") {
            command.args(["--gpus-lock", "none"]);
        }
        command.args(&self.args);
        command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Started, and ready. Without an NVML, where the settings name none: this machine's knows other GPUs.
    pub fn start(mut self) -> Daemon {
        let silent = "[memory]\nnvml = \"\"\n";
        self.config = match self.config.split_once("[memory]\n") {
            _ if self.config.contains("nvml = ") => self.config,
            Some((before, after)) => format!("{before}{silent}{after}"),
            None => format!("{}\n{silent}", self.config),
        };
        let mut child = self.command().spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, log) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut daemon = Daemon { child, setup: self, log, seen: Vec::new() };
        daemon.logs("ready: ");
        daemon
    }

    /// Its words and its end, where it does not start.
    pub fn fails(&self) -> (i32, String) {
        let output = self.command().output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

pub struct Daemon {
    child: Child,
    pub setup: Setup,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Daemon {
    pub fn start(config: &str) -> Self {
        Setup::new(config).start()
    }

    /// One whose log has every hand-over.
    pub fn verbose(config: &str) -> Self {
        Setup::new(config).args(&["--log", "debug"]).start()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn run_dir(&self) -> PathBuf {
        self.setup.path("run")
    }

    pub fn tenant_socket(&self) -> PathBuf {
        self.run_dir().join("tenants/scheduler.sock")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    /// The first line of the log, from the beginning, with `words` in it; waits for it.
    pub fn logs(&mut self, words: &str) -> String {
        self.logs_times(words, 1)
    }

    /// The `nth` such line, counted from 1.
    pub fn logs_times(&mut self, words: &str, nth: usize) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.seen.iter().filter(|line| line.contains(words)).nth(nth - 1) {
                return line.clone();
            }
            let Ok(line) = self.log.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("no log line with {words:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line);
        }
    }

    /// The number of lines so far with `words` in them.
    pub fn count(&mut self, words: &str) -> usize {
        self.seen.extend(self.log.try_iter());
        self.seen.iter().filter(|line| line.contains(words)).count()
    }

    pub fn operator(&self) -> Operator {
        Operator::connect(&self.control_socket())
    }

    pub fn status(&self) -> Status {
        match self.operator().ask(&Request::Status) {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub fn trace(&self) -> Trace {
        match self.operator().ask(&Request::Trace) {
            Reply::Trace(trace) => trace,
            other => panic!("{other:?}"),
        }
    }

    pub fn ctl(&self, args: &[&str]) -> Output {
        ctl(&self.run_dir(), args)
    }

    /// Stopped by SIGTERM: its exit code, its directory and its whole log.
    pub fn stop(mut self) -> (i32, Setup, Vec<String>) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.log.iter());
        let setup = std::mem::replace(&mut self.setup, Setup::new(""));
        (status.code().unwrap(), setup, seen)
    }

    pub fn kill(mut self) -> Setup {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.setup, Setup::new(""))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `nvsharectl` with the sockets of `run_dir`.
pub fn ctl(run_dir: &Path, args: &[&str]) -> Output {
    Command::new(CTL).arg("--runtime-dir").arg(run_dir).args(args).output().unwrap()
}

/// An operator's connection.
pub struct Operator(BufReader<UnixStream>);

impl Operator {
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub fn receive(&mut self) -> Reply {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    pub fn ask(&mut self, request: &Request) -> Reply {
        self.send(&[serde_json::to_vec(request).unwrap(), b"\n".to_vec()].concat());
        self.receive()
    }

    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]), Ok(0) | Err(_))
    }
}
