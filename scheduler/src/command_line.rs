//! The daemon's command line, and the way from it to a running daemon.
use crate::settings::{self, DEFAULT_FILE, DaemonSettings, Flag, Wrong};
use crate::{daemon, logging};
use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nvshare_protocol::paths::RUNTIME_DIR;
use std::path::PathBuf;
use std::process::ExitCode;

/// Hands GPUs round between the processes that share them.
///
/// Exit codes: 0 stopped by a signal, or --check found everything right; 1 it cannot run;
/// 2 a flag or a setting is wrong.
#[derive(Debug, Parser)]
#[command(name = "nvshare-scheduler", version)]
pub struct Args {
    /// Directory of the sockets: tenants/scheduler.sock and control.sock
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    runtime_dir: PathBuf,
    /// Configuration file [default: /etc/nvshare/config.toml where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings in force, or everything that is wrong with them, and exit (section runtime: nvshare-ctk doctor)
    #[arg(long)]
    check: bool,
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
    let (settings, file) = effective(&args)?;
    if args.check {
        let file = file.map_or("no file".into(), |file| file.display().to_string());
        return print(&format!(
            "# {file}; runtime directory {}\n# Section [runtime] is not checked here, but by: nvshare-ctk doctor\n{}",
            args.runtime_dir.display(),
            settings.print()
        ));
    }
    let _log = logging::start(args.log.as_deref()).map_err(|why| Wrong(vec![why]))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // An error is told by `main`, whatever the log's filter is.
    runtime.context("the event loop cannot be started")?.block_on(async {
        file_descriptors(&settings);
        let (runtime_dir, trace) = (args.runtime_dir.clone(), args.trace.clone());
        let source = move || Ok(effective(&args)?.0);
        daemon::open(&runtime_dir, trace.as_deref(), Box::new(source))?.serve().await;
        Ok(())
    })
}

/// The one path to the settings, for `--check` and for running.
fn effective(args: &Args) -> Result<(DaemonSettings, Option<PathBuf>), Wrong> {
    let text = settings::source(args.config.as_deref())?;
    let path = args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let flags: Vec<Flag> = [
        ("--quantum", ("scheduler", "quantum"), &args.quantum),
        ("--evict", ("scheduler", "evict"), &args.evict),
    ]
    .into_iter()
    .filter_map(|(flag, setting, given)| Some((flag, setting, given.as_deref()?)))
    .collect();
    let settings = settings::load(text.as_deref().unwrap_or(""), &path.display().to_string(), &flags)?;
    Ok((settings, text.map(|_| path)))
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
