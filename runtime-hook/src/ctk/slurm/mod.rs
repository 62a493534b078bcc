//! Slurm: the plugin in its place, for the Slurm that is installed, and the lines that its administrator adds.

mod check;
mod files;
mod lines;
mod plugin;

pub use check::checks;

use crate::bundle::write_atomically;
use crate::settings;
use anyhow::{Context, Result, ensure};
use clap::Args;
use files::{Paths, Stack};
use nvshare_protocol::console;
use nvshare_protocol::job_rules::{
    PER_SHARD, PRIORITY_MAP, SHARDS_PER_WEIGHT, mem_per_shard, priority_map, shards_per_weight,
};
use nvshare_protocol::paths::{SLURM_JOBS_DIR, SPANK_PLUGIN, SPANK_PLUGIN_TEMPLATE};
use plugin::Version;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What `slurm configure` is told.
#[derive(Debug, Args)]
pub struct Configure {
    #[command(flatten)]
    place: Place,
    /// How much of a GPU's memory one shard is, in MiB, or a size such as 2GiB; none: shards limit nothing.
    #[arg(long, value_name = "MIB", default_value = "1024")]
    mem_per_shard: String,
    /// Jobs of a partition have this priority: NAME:low, NAME:normal or NAME:high, several with commas between.
    #[arg(long, value_name = "NAME:PRIORITY")]
    priority_partition: Option<String>,
    /// Jobs of a QOS have this priority, whatever their partition.
    #[arg(long, value_name = "NAME:PRIORITY")]
    priority_qos: Option<String>,
    /// Turns are one time longer for each so many shards of a job (a job of 8 with 4 here: twice as long); none: all are
    /// alike.
    #[arg(long, value_name = "SHARDS", default_value = "none")]
    weight: String,
    /// What becomes of a job that cannot be managed. With `fail`, no job starts while the plugin is broken.
    #[arg(long, value_name = "WORD", default_value = "run-unmanaged", value_parser = ["run-unmanaged", "fail"])]
    on_error: String,
    /// The version of Slurm, if not what `slurmd -V` or `srun --version` says.
    #[arg(long, value_name = "VERSION")]
    slurm_version: Option<String>,
}

/// What `slurm unconfigure` is told.
#[derive(Debug, Args)]
pub struct Unconfigure {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The directory of slurm.conf.
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/slurm")]
    config: PathBuf,
    /// Where the plugin goes.
    #[arg(long, value_name = "FILE", default_value = SPANK_PLUGIN)]
    plugin: PathBuf,
    /// The plugin as the package has it.
    #[arg(long, value_name = "FILE", default_value = SPANK_PLUGIN_TEMPLATE, hide = true)]
    template: PathBuf,
    /// Print what would be written and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Puts the plugin in place and tells Slurm of it.
pub fn configure(asked: &Configure) -> Result<()> {
    let place = &asked.place;
    let version = match &asked.slurm_version {
        Some(text) => Version::parse(text).with_context(|| format!("{text:?} is no version of Slurm"))?,
        None => Version::installed()?,
    };
    let arguments = arguments(asked)?;
    let paths = Paths::of(&place.config);
    let plugin = plugin::made_for(&place.template, version)?;
    let ours = files::drop_in(&place.plugin, &arguments, asked.on_error == "fail");
    let before = read(&paths.stack)?;
    let stack = Stack::with_include(before.as_deref(), &paths);
    if place.dry_run {
        console::complain(&format!("{} would be, for Slurm {version}\n", place.plugin.display()));
        console::complain(&format!("{} would be:\n", paths.drop_in.display()));
        super::print(&ours)?;
        if let Some(stack) = &stack {
            console::complain(&format!("{} would be:\n", paths.stack.display()));
            super::print(stack)?;
        }
    } else {
        if let Some(directory) = place.plugin.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        // Steps that run have the old file loaded; it is replaced and not written over.
        write_atomically(&place.plugin, &plugin, 0o644, None)?;
        super::write(&paths.drop_in, &ours)?;
        if let Some(stack) = &stack {
            super::write(&paths.stack, stack)?;
        }
        console::complain(&format!(
            "{}: made for Slurm {version}\n{}: written. Jobs that start from now on are managed; no daemon has to be restarted.\n",
            place.plugin.display(),
            paths.drop_in.display()
        ));
    }
    super::print(&lines::advice(&paths, &asked.mem_per_shard))
}

/// The plugin's arguments, judged as the plugin does.
fn arguments(asked: &Configure) -> Result<Vec<String>> {
    let settings = settings::load(&settings::path()).settings;
    let mut arguments = vec![format!("mem_per_shard={}", asked.mem_per_shard)];
    let each = &asked.mem_per_shard;
    ensure!(mem_per_shard(each).is_some(), "--mem-per-shard={each}: not understood (allowed: {PER_SHARD})");
    for (name, map) in [("partition", &asked.priority_partition), ("qos", &asked.priority_qos)] {
        let Some(map) = map else { continue };
        ensure!(
            priority_map(map).is_some(),
            "--priority-{name}={map}: not understood (allowed: {PRIORITY_MAP})"
        );
        arguments.push(format!("priority_{name}={map}"));
    }
    let weight = &asked.weight;
    ensure!(
        shards_per_weight(weight).is_some(),
        "--weight={weight}: not understood (allowed: {SHARDS_PER_WEIGHT})"
    );
    if weight != "none" {
        arguments.push(format!("weight={weight}"));
    }
    if asked.on_error == "fail" {
        arguments.push("on_error=fail".into());
    }
    if settings.library != Path::new(crate::constants::LIBRARY) {
        arguments.push(format!("library={}", settings.library.display()));
    }
    let socket = settings.tenants_dir.join(crate::constants::TENANT_SOCKET);
    if socket != Path::new(nvshare_protocol::paths::DEFAULT_TENANT_SOCKET) {
        arguments.push(format!("socket={}", socket.display()));
    }
    Ok(arguments)
}

/// Takes everything out again that `configure` has put there.
pub fn unconfigure(asked: &Unconfigure) -> Result<()> {
    let place = &asked.place;
    let paths = Paths::of(&place.config);
    let (mut gone, mut changed) = (Vec::new(), None);
    // First Slurm's word of the plugin, then the plugin.
    if read(&paths.drop_in)?.is_some() {
        gone.push(&paths.drop_in);
    }
    let mut was_included = false;
    if let Some(text) = read(&paths.stack)? {
        was_included = Stack::without_include(&text).is_some();
        match Stack::without_include(&text) {
            Some(rest) if rest.trim().is_empty() => gone.push(&paths.stack),
            Some(rest) => changed = Some(rest),
            None => {}
        }
    }
    if plugin::is_ours(&place.plugin) {
        gone.push(&place.plugin);
    }
    if gone.is_empty() && changed.is_none() {
        console::complain("Slurm: nothing to change\n");
        return Ok(());
    }
    let word = if place.dry_run { "would be removed" } else { "removed" };
    if let Some(rest) = changed {
        if !place.dry_run {
            super::write(&paths.stack, &rest)?;
        }
        console::complain(&format!("{}: our line {word}\n", paths.stack.display()));
    }
    for path in gone {
        if !place.dry_run {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        console::complain(&format!("{}: {word}\n", path.display()));
    }
    if !place.dry_run {
        // Slurm's own packages include the whole directory, which is theirs then.
        if was_included {
            let _ = paths.drop_in.parent().map(fs::remove_dir);
        }
        // Steps that run have their files in it until they end.
        let _ = fs::remove_dir(SLURM_JOBS_DIR);
        console::complain(
            "Jobs that run stay managed until they end. Take the lines with `shard` out of slurm.conf and gres.conf if no \
             other program hands shards out.\n",
        );
    }
    Ok(())
}

/// Makes the plugin anew where it is in use.
pub fn refresh() -> Result<()> {
    let (plugin, template) = (Path::new(SPANK_PLUGIN), Path::new(SPANK_PLUGIN_TEMPLATE));
    if !plugin::is_ours(plugin) {
        return Ok(());
    }
    let version = Version::installed()?;
    write_atomically(plugin, &plugin::made_for(template, version)?, 0o644, None)?;
    console::complain(&format!("{}: made for Slurm {version}\n", plugin.display()));
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
