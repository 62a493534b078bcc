//! Slurm: the plugin in its place, for the Slurm that is installed, and the lines that its administrator adds.

mod check;
mod files;
mod lines;
mod places;
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
use nvshare_protocol::plugin_arguments::Arguments;
use nvshare_protocol::quantity::exact_size;
use plugin::Version;
use std::collections::BTreeSet;
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
    /// The directory of slurm.conf, if not /etc/slurm. To take the plugin out: if not where it was put in.
    #[arg(long, value_name = "DIRECTORY")]
    config: Option<PathBuf>,
    /// Where the plugin goes.
    #[arg(long, value_name = "FILE", default_value = SPANK_PLUGIN)]
    plugin: PathBuf,
    /// The plugin as the package has it.
    #[arg(long, value_name = "FILE", default_value = SPANK_PLUGIN_TEMPLATE, hide = true)]
    template: PathBuf,
    /// Where it is remembered which configuration names the plugin.
    #[arg(long, value_name = "FILE", default_value = places::RECORD, hide = true)]
    record: PathBuf,
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
    let directory = std::path::absolute(place.config.as_deref().unwrap_or(Path::new(places::USUAL)))?;
    let paths = Paths::of(&directory);
    let plugin = plugin::made_for(&place.template, version)?;
    let ours = files::drop_in(&place.plugin, &arguments, asked.on_error == "fail");
    ensure_whole(&ours, &place.plugin, &arguments)?;
    let before = read(&paths.stack)?;
    let stack = Stack::with_include(before.as_deref(), &paths);
    let is_named = stack.as_deref().is_none_or(|stack| files::includes(stack, &paths.drop_in));
    ensure!(is_named, "{}: Slurm allows no blank and no # in a path", paths.drop_in.display());
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
        // Before Slurm is told of anything: whoever removes the package has to find it.
        places::add(&place.record, &directory)?;
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

/// Slurm splits a line at blanks and cuts it at a `#`: what would not arrive whole is refused.
fn ensure_whole(drop_in: &str, plugin: &Path, arguments: &[String]) -> Result<()> {
    let (named, words) = files::plugin_line(drop_in).context("no line for plugstack.conf")?;
    ensure!(Path::new(named) == plugin, "{}: Slurm allows no blank and no # in a path", plugin.display());
    for argument in arguments {
        let is_word = words.contains(&argument.as_str());
        ensure!(is_word, "{argument:?}: Slurm allows no blank and no # in an argument of a plugin");
    }
    let (_, faults) = Arguments::parse(words);
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// The plugin's arguments, judged as the plugin does.
fn arguments(asked: &Configure) -> Result<Vec<String>> {
    let settings = settings::load(&settings::path()).settings;
    let each = &asked.mem_per_shard;
    let size = mem_per_shard(each)
        .with_context(|| format!("--mem-per-shard={each}: not understood (allowed: {PER_SHARD})"))?;
    // As it is written everywhere: people write blanks.
    let mut arguments = vec![format!("mem_per_shard={}", size.map_or("none".into(), exact_size))];
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

/// What `unconfigure` does, and what it calls it.
#[derive(Clone, Copy, Debug)]
struct Doing {
    dry_run: bool,
}

impl Doing {
    fn word(self) -> &'static str {
        if self.dry_run { "would be removed" } else { "removed" }
    }

    fn remove(self, path: &Path) -> Result<()> {
        if !self.dry_run {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        console::complain(&format!("{}: {}\n", path.display(), self.word()));
        Ok(())
    }
}

/// Takes everything out again that `configure` has put there. The plugin goes last, and only if no file of Slurm's can name
/// it still: where one does and says `required`, Slurm starts no job without it.
pub fn unconfigure(asked: &Unconfigure) -> Result<()> {
    let place = &asked.place;
    let doing = Doing { dry_run: place.dry_run };
    let told = places::told(&place.record)?;
    let directories = match &place.config {
        Some(directory) => vec![std::path::absolute(directory)?],
        None => places::known(&place.record)?,
    };
    let (mut taken_out, mut is_changed) = (Vec::new(), false);
    for directory in directories {
        let found = take_out(&Paths::of(&directory), doing)?;
        is_changed |= found.is_changed;
        if found.had_ours {
            taken_out.push(directory);
        }
    }
    if plugin::is_ours(&place.plugin) {
        let left = places::left(&told, &taken_out);
        if left.is_empty() {
            doing.remove(&place.plugin)?;
            is_changed = true;
        }
        for directory in left {
            console::complain(&format!(
                "{} stays: {} is not there, and another file of Slurm's may name it. If none does, remove it and {}.\n",
                place.plugin.display(),
                Paths::of(directory).drop_in.display(),
                place.record.display()
            ));
        }
    }
    if !is_changed {
        console::complain("Slurm: nothing to change\n");
        return Ok(());
    }
    if !place.dry_run {
        places::remove(&place.record, &taken_out)?;
        // Steps that run have their files in it until they end.
        let _ = fs::remove_dir(SLURM_JOBS_DIR);
        console::complain(
            "Jobs that run stay managed until they end. Take the lines with `shard` out of slurm.conf and gres.conf if no \
             other program hands shards out.\n",
        );
    }
    Ok(())
}

/// What was found in a directory of Slurm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// Our file.
    had_ours: bool,
    /// That, or our line in plugstack.conf.
    is_changed: bool,
}

/// Takes Slurm's word of the plugin out of one directory.
fn take_out(paths: &Paths, doing: Doing) -> Result<Found> {
    let had_ours = read(&paths.drop_in)?.is_some();
    let rest = read(&paths.stack)?.and_then(|text| Stack::without_include(&text, paths));
    match &rest {
        Some(rest) if rest.trim().is_empty() => doing.remove(&paths.stack)?,
        Some(rest) => {
            if !doing.dry_run {
                super::write(&paths.stack, rest)?;
            }
            console::complain(&format!("{}: our line {}\n", paths.stack.display(), doing.word()));
        }
        None => {}
    }
    if had_ours {
        doing.remove(&paths.drop_in)?;
    }
    // Slurm's own packages include the whole directory, which is theirs then.
    if rest.is_some() && !doing.dry_run {
        let _ = paths.drop_in.parent().map(fs::remove_dir);
    }
    Ok(Found { had_ours, is_changed: had_ours || rest.is_some() })
}

/// Makes the plugin anew where it is in use.
pub fn refresh() -> Result<()> {
    let template = Path::new(SPANK_PLUGIN_TEMPLATE);
    let plugins = named_plugins(&places::known(Path::new(places::RECORD))?)?;
    let in_use: Vec<PathBuf> = plugins.into_iter().filter(|plugin| plugin::is_ours(plugin)).collect();
    if in_use.is_empty() {
        return Ok(());
    }
    let version = Version::installed()?;
    let made = plugin::made_for(template, version)?;
    for plugin in in_use {
        write_atomically(&plugin, &made, 0o644, None)?;
        console::complain(&format!("{}: made for Slurm {version}\n", plugin.display()));
    }
    Ok(())
}

/// The plugins that Slurm may load: in the usual place, and those that our files name.
fn named_plugins(directories: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut plugins = BTreeSet::from([PathBuf::from(SPANK_PLUGIN)]);
    for directory in directories {
        let text = read(&Paths::of(directory).drop_in)?.unwrap_or_default();
        plugins.extend(files::plugin_line(&text).map(|(plugin, _)| PathBuf::from(plugin)));
    }
    Ok(plugins)
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        configure: Configure,
    }

    fn said(words: &[&str]) -> Configure {
        Words::parse_from(["configure"].iter().chain(words)).configure
    }

    #[test]
    fn a_size_with_a_blank_is_one_word_for_slurm() {
        for (size, word) in [
            ("2 GiB", "mem_per_shard=2GiB"),
            ("1024", "mem_per_shard=1GiB"),
            ("96", "mem_per_shard=96MiB"),
            ("none", "mem_per_shard=none"),
        ] {
            let arguments = arguments(&said(&["--mem-per-shard", size])).unwrap();
            assert_eq!(arguments[0], word);
            let plugin = Path::new("/x.so");
            ensure_whole(&files::drop_in(plugin, &arguments, false), plugin, &arguments).unwrap();
        }
        assert!(arguments(&said(&["--mem-per-shard", "much"])).is_err());
    }

    #[test]
    fn what_slurm_would_not_hand_on_whole_is_refused() {
        for (plugin, argument) in [
            ("/x.so", "library=/a b.so"),
            ("/x.so", "library=/a#b.so"),
            ("/x.so", "priority_qos=a#b:low"),
            ("/x.so", "colour=blue"),
            ("/x y.so", "weight=1"),
            ("/x#y.so", "weight=1"),
        ] {
            let (plugin, arguments) = (Path::new(plugin), [argument.to_owned()]);
            let ours = files::drop_in(plugin, &arguments, false);
            assert!(ensure_whole(&ours, plugin, &arguments).is_err(), "{plugin:?} {argument}");
        }
    }

    #[test]
    fn our_file_is_taken_out_of_the_directory_that_it_was_put_in() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::of(dir.path());
        fs::create_dir(paths.drop_in.parent().unwrap()).unwrap();
        fs::write(&paths.drop_in, files::drop_in(Path::new("/opt/x.so"), &[], true)).unwrap();
        fs::write(&paths.stack, Stack::with_include(Some("optional /y.so\n"), &paths).unwrap()).unwrap();
        let named = named_plugins(&[dir.path().to_owned()]).unwrap();
        assert_eq!(named, BTreeSet::from([SPANK_PLUGIN.into(), "/opt/x.so".into()]));
        for (dry_run, found) in [(true, true), (false, true), (false, false)] {
            let expected = Found { had_ours: found, is_changed: found };
            assert_eq!(take_out(&paths, Doing { dry_run }).unwrap(), expected, "{dry_run}");
        }
        assert_eq!(fs::read_to_string(&paths.stack).unwrap(), "optional /y.so\n");
        assert!(!paths.drop_in.exists());
    }
}
