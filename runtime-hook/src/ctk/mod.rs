//! The set-up tool, in the manner of nvidia-ctk: the same words do the same things.

mod cdi;
pub mod change;
mod containerd;
mod docker;
mod doctor;
pub mod engines;
mod explain;
mod in_use;
mod masking;
mod podman;
mod podman_hook;
mod report;
mod slurm;
mod toml_tables;
mod validate;

use crate::bundle::write_atomically;
use crate::low_level_runtime;
use anyhow::{Context, Result, bail};
use change::Change;
use clap::{Args, Parser, Subcommand};
use engines::Engine;
use in_use::InUse;
use nvshare_protocol::console;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sets up nvshare for container engines and for Slurm.
#[derive(Debug, Parser)]
#[command(name = "nvshare-ctk", version)]
pub struct Command {
    #[command(subcommand)]
    command: Top,
}

#[derive(Debug, Subcommand)]
enum Top {
    /// Register nvshare-runtime with an engine.
    #[command(subcommand)]
    Runtime(Runtime),
    /// The Container Device Interface.
    #[command(subcommand)]
    Cdi(Cdi),
    /// Slurm's jobs share GPUs by shards.
    #[command(subcommand)]
    Slurm(Slurm),
    /// Check the installation and say what is wrong and what to do.
    Doctor {
        /// Also judge whether the library loads in this root file system.
        #[arg(long, value_name = "DIRECTORY")]
        rootfs: Option<PathBuf>,
        /// As JSON, one object with a row for each check.
        #[arg(long, conflicts_with = "report")]
        json: bool,
        /// Write a report (.tar.gz) for whoever helps you, without passwords, and print what is in it.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Print whether a container is managed, and why.
    Explain {
        /// The container's bundle (`docker inspect -f '{{.Id}}'` names the one below
        /// /run/containerd/io.containerd.runtime.v2.task/moby), or its config.json.
        #[arg(value_name = "BUNDLE")]
        bundle: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Runtime {
    /// Add the runtime `nvshare` to an engine's configuration.
    Configure {
        #[command(flatten)]
        file: ConfigFile,
        /// Use it for containers that name no runtime.
        #[arg(long)]
        set_as_default: bool,
        /// The shim.
        #[arg(long, default_value = crate::constants::SHIM)]
        path: String,
    },
    /// Take it out again; while there are containers that were started by it, it only stops being the default.
    Unconfigure {
        #[command(flatten)]
        file: ConfigFile,
        /// Take it out whatever containers there are.
        #[arg(long)]
        force: bool,
        /// The package is being removed: say what to do without this tool.
        #[arg(long, hide = true)]
        removing: bool,
    },
    /// Write a script that takes the shim's place when the package goes, if containers need it.
    PassThrough { output: PathBuf },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The engine.
    #[arg(long, value_enum, default_value = "docker")]
    runtime: Engine,
    /// The engine's configuration file, if not in its usual place.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the file as it would be and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave it to you to have dockerd read its file again.
    #[arg(long)]
    no_reload: bool,
}

#[derive(Debug, Subcommand)]
enum Slurm {
    /// Put the plugin in place for the Slurm that is installed, tell Slurm of it, and print the lines for slurm.conf and
    /// gres.conf.
    Configure(slurm::Configure),
    /// Take the plugin out again.
    Unconfigure(slurm::Unconfigure),
    /// The package has another plugin: where Slurm was told of the old one, put the new one in its place.
    #[command(hide = true)]
    Refresh,
}

#[derive(Debug, Subcommand)]
enum Cdi {
    /// Write the specification of the device nvshare.io/gpu=shared.
    Generate {
        /// `-` prints it.
        #[arg(long, default_value = "/etc/cdi/nvshare.json")]
        output: PathBuf,
    },
}

/// The whole of `nvshare-ctk`.
pub fn main() -> ExitCode {
    match carry_out(Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            console::complain(&format!("nvshare-ctk: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> Result<ExitCode> {
    match command.command {
        Top::Runtime(Runtime::Configure { file, set_as_default, path }) => {
            change(&file, Change::Configure { path, set_as_default }, Asked::default())?
        }
        Top::Runtime(Runtime::Unconfigure { file, force, removing }) => {
            change(&file, Change::Unconfigure, Asked { force, removing })?
        }
        Top::Runtime(Runtime::PassThrough { output }) => pass_through(&output)?,
        Top::Cdi(Cdi::Generate { output }) => {
            let text = cdi::specification(&crate::settings::load(&crate::settings::path()).settings);
            if output.as_os_str() == "-" {
                print(&text)?;
            } else {
                write(&output, &text)?;
                console::complain(&format!("wrote {}\n", output.display()));
            }
        }
        Top::Slurm(Slurm::Configure(asked)) => slurm::configure(&asked)?,
        Top::Slurm(Slurm::Unconfigure(asked)) => slurm::unconfigure(&asked)?,
        Top::Slurm(Slurm::Refresh) => slurm::refresh()?,
        Top::Explain { bundle } => print(&explain::explain(&bundle)?)?,
        Top::Doctor { report: Some(file), .. } => print(&report::write(&file)?)?,
        Top::Doctor { rootfs, json, report: None } => return doctor::run(rootfs.as_deref(), json),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<()> {
    console::print(text).context("standard output cannot be written to")
}

/// How `unconfigure` is asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    force: bool,
    removing: bool,
}

fn change(file: &ConfigFile, change: Change, asked: Asked) -> Result<()> {
    let path = file.config.clone().unwrap_or_else(|| file.runtime.usual_file().into());
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let text = before.clone().unwrap_or_default();
    // An engine cannot stop a container whose runtime it does not find.
    let needing = match change {
        Change::Unconfigure if !asked.force && is_usual(file, &path) => in_use::of(file.runtime),
        _ => InUse::default(),
    };
    let change = if needing.is_empty() { change } else { Change::UnsetDefault };
    let after = file.runtime.change(&text, &change).with_context(|| path.display().to_string())?;
    if file.dry_run {
        console::complain(&format!("{} would be, without --dry-run:\n", path.display()));
        print(&after)?;
    } else if after == text && needing.is_empty() {
        console::complain(&format!("{}: nothing to change\n", path.display()));
    } else if after != text {
        if matches!(change, Change::Configure { .. }) {
            validate::check(file.runtime, &path, &after).with_context(|| path.display().to_string())?;
        }
        if after.trim().is_empty() && file.config.is_none() && file.runtime.usual_file_is_ours() {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        } else {
            write(&path, &after)?;
        }
        let told = file.config.is_none() && !file.no_reload && file.runtime.reload();
        let next = match (told, change) {
            (false, change) => file.runtime.advice(matches!(change, Change::Configure { .. })),
            (true, Change::Configure { .. }) => {
                "dockerd has been told. Next: docker run --runtime=nvshare --gpus all IMAGE ..."
            }
            (true, _) => "dockerd has been told.",
        };
        console::complain(&format!("{}: changed. {next}\n", path.display()));
    }
    if !needing.is_empty() {
        let next = if asked.removing {
            file.runtime.by_hand(&path)
        } else {
            "Remove them, then do this again (or with --force).".into()
        };
        bail!(
            "{}: the runtime stays known, but is no default: containers that it started can be neither entered nor \
             stopped without it: {needing}. {next}",
            path.display(),
        );
    }
    Ok(())
}

/// Whether a change is to the file that the engine on this machine reads.
fn is_usual(file: &ConfigFile, path: &std::path::Path) -> bool {
    let real = |path: &std::path::Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    file.config.is_none() || real(path) == real(std::path::Path::new(file.runtime.usual_file()))
}

/// The script that serves containers when the package is gone, with the runtime below that they were started with.
fn pass_through(output: &std::path::Path) -> Result<()> {
    if Engine::ALL.into_iter().all(|engine| in_use::of(engine).is_empty()) {
        return Ok(());
    }
    let below = low_level_runtime::find(&crate::settings::load(&crate::settings::path()).settings)?;
    let quoted = format!("'{}'", below.path().display().to_string().replace('\'', r"'\''"));
    let script = include_str!("pass-through.sh").replace("@BELOW@", &quoted);
    write_atomically(output, script.as_bytes(), 0o755, None)
}

/// Replaces a configuration file, keeping the mode of the old one.
fn write(path: &std::path::Path, text: &str) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let old = std::fs::metadata(&path).ok();
    let mode = old.as_ref().map_or(0o644, |old| old.permissions().mode() & 0o7777);
    write_atomically(&path, text.as_bytes(), mode, old.map(|old| (old.uid(), old.gid())))
}
