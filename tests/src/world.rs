//! A scheduler and tenants in processes of their own, in a directory of their own.
use anyhow::{Context as _, Result, bail, ensure};
use nvshare_protocol::control::{Reply, Request, Status, Trace};
use nvshare_protocol::paths;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the built files lie: beside, or one above, the running test or program.
///
/// # Errors
/// If the library is not built.
pub fn built() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    exe.ancestors()
        .skip(1)
        .find(|dir| dir.join("libnvshare.so").is_file() && dir.join("nvshare-scheduler").is_file())
        .map(Path::to_path_buf)
        .with_context(|| {
            format!("no libnvshare.so and nvshare-scheduler above {}: run `make build`", exe.display())
        })
}

/// True when the real driver is to be used.
#[must_use]
pub fn real_gpu() -> bool {
    std::env::var_os("NVSHARE_TEST_GPU").is_some_and(|value| value == "1")
}

/// A directory with sockets in it, and a card.
pub struct World {
    dir: tempfile::TempDir,
    built: PathBuf,
    /// The simulated card's settings; empty on a real GPU.
    card: Vec<(String, String)>,
}

impl World {
    /// # Errors
    /// If something is not built or no directory can be made.
    pub fn new(card: &[(&str, &str)]) -> Result<Self> {
        let built = built()?;
        let dir = tempfile::Builder::new().prefix("nvshare-world-").tempdir()?;
        let mut settings = Vec::new();
        if !real_gpu() {
            let lib = dir.path().join("lib");
            std::fs::create_dir(&lib)?;
            std::os::unix::fs::symlink(built.join("libfakecuda.so"), lib.join("libcuda.so.1"))?;
            let state = dir.path().join("card");
            std::fs::create_dir(&state)?;
            settings.push(("LD_LIBRARY_PATH".to_owned(), lib.display().to_string()));
            settings.push(("FAKECUDA_DIR".to_owned(), state.display().to_string()));
            settings.extend(card.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        }
        Ok(Self { dir, built, card: settings })
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir().join(paths::TENANTS_DIR).join(paths::TENANT_SOCKET)
    }

    /// A program of ours or of the tests.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.built.join(name))
    }

    /// Starts the scheduler with a configuration of its own and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub fn scheduler_with(&self, config: &str, arguments: &[&str]) -> Result<Scheduler> {
        let file = self.dir().join("config.toml");
        std::fs::write(&file, self.on_this_card(config))?;
        let file = file.display().to_string();
        self.scheduler(&[&["--config", &file], arguments].concat())
    }

    /// The configuration, without NVML where the card is simulated: this machine's would know other ones.
    fn on_this_card(&self, config: &str) -> String {
        let silent = "[memory]\nnvml = \"\"\n";
        match config.split_once("[memory]\n") {
            _ if self.card.is_empty() || config.contains("nvml = ") => config.to_owned(),
            Some((before, after)) => format!("{before}{silent}{after}"),
            None => format!("{config}\n{silent}"),
        }
    }

    /// Starts the scheduler and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub fn scheduler(&self, arguments: &[&str]) -> Result<Scheduler> {
        if !self.card.is_empty() && !arguments.contains(&"--config") {
            return self.scheduler_with("", arguments);
        }
        std::fs::create_dir_all(self.runtime_dir())?;
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("scheduler.log"))?;
        let child = self
            .program("nvshare-scheduler")
            .arg("--runtime-dir")
            .arg(self.runtime_dir())
            // Daemons of other tests serve the same simulated GPUs.
            .args(["--gpus-lock", "none"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut scheduler = Scheduler {
            child,
            control: self.runtime_dir().join(paths::CONTROL_SOCKET),
            log: self.dir().join("scheduler.log"),
        };
        until("the scheduler answers", || {
            if let Some(status) = scheduler.child.try_wait()? {
                bail!("the scheduler ended ({status}): {}", scheduler.log());
            }
            Ok(scheduler.status().is_ok())
        })?;
        Ok(scheduler)
    }

    /// A tenant's command: under nvshare, on the world's card. Its stderr goes to the world's directory.
    ///
    /// # Errors
    /// If the file for stderr cannot be made.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = self.native(program)?;
        command.env("LD_PRELOAD", self.built.join("libnvshare.so")).env("NVSHARE_SOCKET", self.socket());
        Ok(command)
    }

    /// The same without nvshare.
    ///
    /// # Errors
    /// If the file for stderr cannot be made.
    pub fn native(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        let stderr =
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("tenants.log"))?;
        command.envs(self.card.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        Ok(command)
    }

    /// Starts the load program under nvshare.
    ///
    /// # Errors
    /// If it does not start.
    pub fn load(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Result<Tenant> {
        let mut command = self.command(self.built.join("load"))?;
        command.args(arguments).envs(settings.iter().copied());
        Tenant::spawn(command)
    }

    /// What the tenants have said on stderr.
    #[must_use]
    pub fn tenants_log(&self) -> String {
        std::fs::read_to_string(self.dir().join("tenants.log")).unwrap_or_default()
    }
}

/// Asks again, with short rests, until `holds`: for states that can only be asked for.
///
/// # Errors
/// If it never does, or asking fails.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A running daemon; killed when dropped.
pub struct Scheduler {
    child: Child,
    control: PathBuf,
    log: PathBuf,
}

impl Scheduler {
    /// # Errors
    /// If the daemon does not answer, or answers with an error.
    pub fn ask(&self, request: &Request) -> Result<Reply> {
        let mut stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// # Errors
    /// As [`Self::ask`].
    pub fn status(&self) -> Result<Status> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => bail!("{other:?}"),
        }
    }

    /// # Errors
    /// As [`Self::ask`].
    pub fn trace(&self) -> Result<Trace> {
        match self.ask(&Request::Trace)? {
            Reply::Trace(trace) => Ok(trace),
            other => bail!("{other:?}"),
        }
    }

    /// # Errors
    /// If there is no such process.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a service manager does.
    ///
    /// # Errors
    /// If it does not end well.
    pub fn stop(&mut self) -> Result<()> {
        let told = Command::new("kill").arg(self.pid().to_string()).status()?;
        let ended = self.child.wait()?;
        ensure!(told.success() && ended.success(), "the scheduler ended with {ended}: {}", self.log());
        Ok(())
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Grants to another tenant than the last, of all devices.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn handovers(&self) -> Result<u64> {
        Ok(self.status()?.devices.iter().map(|device| device.handovers).sum())
    }

    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A running tenant and its lines of JSON; killed when dropped.
pub struct Tenant {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<(Instant, Value)>,
}

impl Tenant {
    /// # Errors
    /// If it does not start.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command.process_group(0).spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let stdin = child.stdin.take();
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send((Instant::now(), value)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, stdin, lines })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says something on its stdin.
    ///
    /// # Errors
    /// If it has ended.
    pub fn write(&self, text: &str) -> Result<()> {
        Ok(self.stdin.as_ref().context("stdin is piped")?.write_all(text.as_bytes())?)
    }

    /// The next line that has the field `key`.
    ///
    /// # Errors
    /// If the tenant ends or is silent before.
    pub fn next(&self, key: &str) -> Result<Value> {
        loop {
            let (_, line) =
                self.lines.recv_timeout(PATIENCE).with_context(|| format!("waiting for {key:?}"))?;
            if let Some(value) = line.get(key) {
                return Ok(value.clone());
            }
        }
    }

    /// How many lines with the field `key` it says from now to `end`.
    #[must_use]
    pub fn count(&self, key: &str, end: Instant) -> usize {
        let mut count = 0;
        while let Ok((at, line)) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
            && at <= end
        {
            count += usize::from(line.get(key).is_some());
        }
        count
    }

    /// Forgets what it has said so far.
    pub fn pass_over(&self) {
        self.lines.try_iter().for_each(drop);
    }

    /// Closes stdin, waits for the end, and returns the last line.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub fn finish(self) -> Result<Value> {
        self.finish_with_lines()?.pop().map(|(_, line)| line).context("the tenant has said nothing")
    }

    /// As [`Self::finish`], with every line not yet taken and when it came.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub fn finish_with_lines(mut self) -> Result<Vec<(Instant, Value)>> {
        drop(self.stdin.take());
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE * 4) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the tenant does not end; last: {:?}", lines.last())
                }
            }
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the tenant ended with {status}; last: {:?}", lines.last());
        Ok(lines)
    }

    /// # Errors
    /// If there is no such process.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
