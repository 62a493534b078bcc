//! The daemon's command line, and the way from it to a running daemon.
use crate::settings::{self, DEFAULT_FILE, DaemonSettings, Flag, Wrong};
use crate::{daemon, logging, sockets};
use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nvshare_protocol::check::{Check, Checks, State};
use nvshare_protocol::paths::RUNTIME_DIR;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// In a directory that is the same for all, whatever their runtime directories are.
const GPUS_LOCK: &str = "/run/nvshare/gpus.lock";
/// As the unit's `StateDirectory=`.
const STATE_DIR: &str = "/var/lib/nvshare-scheduler";

/// Hands GPUs round between the processes that share them.
///
/// Exit codes: 0 stopped by a signal, or --check found everything right; 1 it cannot run;
/// 2 a flag or a setting is wrong.
#[derive(Debug, Parser)]
#[command(name = "nvshare-scheduler", version)]
pub struct Args {
    /// Directory of the sockets: tenants/scheduler.sock, control.sock, reader.sock and user.sock
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    runtime_dir: PathBuf,
    /// Directory of what outlasts a restart: who has used how much [default: STATE_DIRECTORY of the unit, or
    /// /var/lib/nvshare-scheduler with the default runtime directory, or none]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// File in which all schedulers of the host say which GPUs they serve, to notice that two serve the same; none: nowhere
    #[arg(long, value_name = "FILE", default_value = GPUS_LOCK)]
    gpus_lock: PathBuf,
    /// Configuration file [default: /etc/nvshare/config.toml where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings in force, or everything that is wrong with the file, and exit
    #[arg(long)]
    check: bool,
    /// With --check: print what was found as JSON
    #[arg(long, requires = "check")]
    json: bool,
    /// Append every event and action to this file, from which the run can be replayed
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Length of a turn in seconds, instead of the configuration's
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    quantum: Option<String>,
    /// What a tenant moves out at the end of its turn: pressure, always or never
    #[arg(long, value_name = "MODE")]
    evict: Option<String>,
    /// What to log, as RUST_LOG: error, warn, info, debug, trace, or TARGET=LEVEL, by commas
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Run the core on a trace and print what it decides now
    #[arg(long, value_name = "FILE", hide = true)]
    replay: Option<PathBuf>,
    /// Print a configuration file with every setting and its default
    #[arg(long, hide = true)]
    sample_config: bool,
}

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let wrong = error.is::<Wrong>();
            // Without eprintln, which panics where standard error is closed.
            let lines = format!("{error:#}")
                .lines()
                .map(|line| format!("nvshare-scheduler: {line}\n"))
                .collect::<String>();
            let _ = std::io::Write::write_all(&mut std::io::stderr(), lines.as_bytes());
            ExitCode::from(if wrong { 2 } else { 1 })
        }
    }
}

fn run(args: Args) -> Result<()> {
    if args.sample_config {
        return print(&settings::sample());
    }
    if let Some(file) = &args.replay {
        return print(&replay(file)?);
    }
    let source = Source::read(&args);
    if args.check {
        return check(&args, source);
    }
    let source = source?;
    let settings = source.effective(&args)?;
    let _log = logging::start(args.log.as_deref()).map_err(|why| Wrong(vec![why]))?;
    for fault in source.runtime_faults() {
        tracing::warn!("{fault}: it concerns the container programs alone");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // An error is told by `main`, whatever the log's filter is.
    runtime.context("the event loop cannot be started")?.block_on(async {
        file_descriptors(&settings);
        let (runtime_dir, trace) = (args.runtime_dir.clone(), args.trace.clone());
        let places = places(&args);
        let had_file = source.text.is_some();
        let source = move || {
            let source = Source::read(&args)?;
            if had_file && source.text.is_none() {
                // Another program may be writing it anew at this moment.
                return Err(Wrong(vec![format!("{}: is missing", source.path)]));
            }
            source.effective(&args)
        };
        daemon::open(&runtime_dir, trace.as_deref(), places, Box::new(source))?.serve().await;
        Ok(())
    })
}

/// Where the daemon keeps what does not lie in its runtime directory.
fn places(args: &Args) -> daemon::Places {
    let of_the_unit = || {
        let dirs = std::env::var("STATE_DIRECTORY").ok()?;
        dirs.split(':').next().filter(|dir| !dir.is_empty()).map(PathBuf::from)
    };
    let is_usual = args.runtime_dir == Path::new(RUNTIME_DIR);
    let state = args.state_dir.clone().or_else(of_the_unit).or_else(|| is_usual.then(|| STATE_DIR.into()));
    let gpus_lock = Some(args.gpus_lock.clone()).filter(|file| file != Path::new("none"));
    daemon::Places { state, gpus_lock }
}

/// The settings file: the one path to the settings, for `--check` and for running.
struct Source {
    path: String,
    /// None: there is no file, and the defaults hold.
    text: Option<String>,
}

impl Source {
    fn read(args: &Args) -> Result<Self, Wrong> {
        let path = args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        Ok(Self { text: settings::source(args.config.as_deref())?, path: path.display().to_string() })
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }

    fn effective(&self, args: &Args) -> Result<DaemonSettings, Wrong> {
        let flags: Vec<Flag> = [
            ("--quantum", ("scheduler", "quantum"), &args.quantum),
            ("--evict", ("scheduler", "evict"), &args.evict),
        ]
        .into_iter()
        .filter_map(|(flag, setting, given)| Some((flag, setting, given.as_deref()?)))
        .collect();
        settings::load(self.text(), &self.path, &flags)
    }

    fn runtime_faults(&self) -> Vec<String> {
        settings::runtime_faults(self.text(), &self.path)
    }
}

/// Prints the settings in force, or everything that would stop the daemon or a container program.
fn check(args: &Args, source: Result<Source, Wrong>) -> Result<()> {
    let mut checks = Vec::new();
    let mut tell = |name: &str, faults: Vec<String>, right: String| {
        if faults.is_empty() {
            checks.push(Check::new(name, State::Ok, right));
        }
        let advice = "correct the file";
        checks.extend(faults.into_iter().map(|fault| Check::new(name, State::Error, fault).advise(advice)));
    };
    let mut in_force = None;
    match source {
        Err(Wrong(faults)) => tell("settings", faults, String::new()),
        Ok(source) => {
            let file = if source.text.is_some() { source.path.as_str() } else { "no file" };
            match source.effective(args) {
                Ok(settings) => {
                    tell("settings", Vec::new(), format!("{file} is right"));
                    let groups = [
                        ("control_group", settings.control_group.as_deref()),
                        ("reader_group", settings.reader_group.as_deref()),
                    ];
                    let missing =
                        groups.iter().filter_map(|(key, name)| sockets::missing_group(key, (*name)?));
                    let faults = missing.map(|fault| format!("{}: {fault}", source.path)).collect();
                    tell("groups", faults, "those that are named exist".into());
                    let directory = args.runtime_dir.display();
                    in_force = Some(format!("# {file}; runtime directory {directory}\n{}", settings.print()));
                }
                Err(Wrong(faults)) => tell("settings", faults, String::new()),
            }
            tell("runtime-settings", source.runtime_faults(), "section [runtime] is right".into());
        }
    }
    let checks = Checks::new("nvshare-scheduler", checks);
    let faults = checks.checks.iter().filter(|check| check.state == State::Error);
    let faults: Vec<String> = faults.map(|check| check.text.clone()).collect();
    if args.json {
        print(&(serde_json::to_string_pretty(&checks)? + "\n"))?;
    } else if let Some(settings) = in_force.filter(|_| faults.is_empty()) {
        print(&settings)?;
    }
    match (faults.is_empty(), args.json) {
        (true, _) => Ok(()),
        // They are told.
        (false, true) => Err(Wrong(Vec::new()).into()),
        (false, false) => Err(Wrong(faults).into()),
    }
}

fn replay(file: &PathBuf) -> Result<String> {
    let log = std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    // The last line of a trace may have been cut by a full disk or a power failure.
    let whole = log.rfind('\n').map_or("", |end| &log[..=end]);
    nvshare_core::replay(whole).with_context(|| format!("{}: cannot be replayed", file.display()))
}

/// Every connection is a file descriptor, its process two and one more while it ends, and every tenant's swap space; the
/// limit is what the service manager allows.
fn file_descriptors(settings: &DaemonSettings) {
    /// Sockets, log, trace, event loop, operators, clients of the metrics, NVML.
    const OTHERS: u64 = 256;
    let wanted = 5 * settings.tenants.total as u64 + OTHERS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).is_err() {
        tracing::debug!("the number of file descriptors stays at {soft}");
    }
    if hard < wanted {
        tracing::warn!(
            "[limits] tenants = {} needs {wanted} file descriptors and only {hard} are allowed (LimitNOFILE= of the unit)",
            settings.tenants.total
        );
    }
}

fn print(text: &str) -> Result<()> {
    crate::stdout::print(text).context("standard output cannot be written to")
}
