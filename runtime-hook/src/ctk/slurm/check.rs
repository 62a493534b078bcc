//! What `nvshare-ctk doctor` says of Slurm.

use super::files::{Paths, includes, plugin_line, value, words};
use super::places;
use super::plugin::{self, Version};
use nvshare_protocol::check::{Check, State};
use nvshare_protocol::paths::SLURM_JOBS_DIR;
use nvshare_protocol::plugin_arguments::Arguments;
use std::path::Path;

const NAME: &str = "slurm";
const CONFIGURE: &str = "nvshare-ctk slurm configure";

fn bad(text: impl Into<String>, advice: impl Into<String>) -> Check {
    Check::new(NAME, State::Error, text).advise(advice)
}

/// One row for each thing that is wrong, one if nothing is, and none where Slurm has not been told of us.
pub fn checks() -> Vec<Check> {
    everywhere(Path::new(places::RECORD), || Version::installed().ok())
}

fn everywhere(record: &Path, installed: impl Fn() -> Option<Version>) -> Vec<Check> {
    let (told, known) = match places::told(record).and_then(|told| Ok((told, places::known(record)?))) {
        Ok(both) => both,
        Err(error) => return vec![bad(format!("{error:#}"), "run doctor as root")],
    };
    let rows = known.iter().flat_map(|directory| {
        let mut rows = of(directory, &installed);
        if rows.is_empty() && told.contains(directory) {
            let file = Paths::of(directory).drop_in;
            let text = format!("{} was written and is missing: jobs run unmanaged", file.display());
            rows.push(bad(text, format!("{CONFIGURE} --config {}", directory.display())));
        }
        rows
    });
    rows.collect()
}

fn of(directory: &Path, installed: impl Fn() -> Option<Version>) -> Vec<Check> {
    let paths = Paths::of(directory);
    let Ok(ours) = std::fs::read_to_string(&paths.drop_in) else { return Vec::new() };
    let shown = paths.drop_in.display();
    let Some((plugin, arguments)) = plugin_line(&ours) else {
        return vec![bad(format!("{shown} names no plugin"), CONFIGURE)];
    };
    let mut wrong = Vec::new();
    let (arguments, faults) = Arguments::parse(arguments);
    let then = if arguments.fails { "no step with shards starts" } else { "it does not hold" };
    wrong.extend(faults.iter().map(|fault| bad(format!("{shown}: {fault}: {then}"), CONFIGURE)));
    if arguments.jobs != Path::new(SLURM_JOBS_DIR) {
        let jobs = arguments.jobs.display();
        let text = format!(
            "{shown} says jobs_dir={jobs}, the scheduler reads {SLURM_JOBS_DIR}: no limit of a job holds"
        );
        wrong.push(bad(text, format!("take jobs_dir={jobs} out")));
    }
    match (plugin::version_of(Path::new(plugin)), installed()) {
        (Err(error), _) => wrong.push(bad(format!("{error:#}: jobs run unmanaged"), CONFIGURE)),
        (Ok(made), Some(found)) if !found.loads(made) => wrong.push(bad(
            format!("{plugin} was made for Slurm {made} and this is Slurm {found}, which does not load it"),
            CONFIGURE,
        )),
        _ => {}
    }
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    if !includes(&text(&paths.stack), &paths.drop_in) {
        wrong.push(bad(
            format!("{} does not include {shown}: jobs run unmanaged", paths.stack.display()),
            CONFIGURE,
        ));
    }
    let slurm = text(&paths.slurm);
    let has = |key: &str, word: &str| {
        value(&slurm, key).is_some_and(|value| value.split(',').any(|one| one == word))
    };
    for (key, word, why) in [
        ("GresTypes", "shard", "no job can ask for shards"),
        (
            "ProctrackType",
            "proctrack/cgroup",
            "the scheduler does not know jobs, and their limits do not hold",
        ),
        ("TaskPlugin", "task/cgroup", "jobs reach GPUs that they do not have"),
    ] {
        if !has(key, word) {
            let line = format!("add {word} to {key} in {}", paths.slurm.display());
            wrong.push(bad(format!("{} has no {key}={word}: {why}", paths.slurm.display()), line));
        }
    }
    let gres = text(&paths.gres);
    if !words(&gres).any(|(key, value)| key.eq_ignore_ascii_case("Name") && value == "shard") {
        let file = paths.gres.display();
        wrong.push(bad(
            format!("{file} has no Name=shard"),
            format!("{CONFIGURE} --dry-run prints the lines"),
        ));
    }
    if !value(&text(&paths.cgroup), "ConstrainDevices").is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    {
        let file = paths.cgroup.display();
        let why = "a job reaches GPUs that it does not have";
        wrong.push(
            Check::new(NAME, State::Warning, format!("{file} has no ConstrainDevices=yes: {why}"))
                .advise("add it"),
        );
    }
    if wrong.is_empty() {
        wrong.push(Check::new(NAME, State::Ok, format!("{shown} names {plugin}")));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn nothing_is_said_where_slurm_was_not_told_of_us() {
        let dir = tempfile::tempdir().unwrap();
        assert!(of(dir.path(), || None).is_empty());
    }

    #[test]
    fn the_plugins_arguments_are_judged_as_it_does() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugstack.conf.d")).unwrap();
        let said = |arguments: &str| {
            let line = format!("optional /nowhere/x.so {arguments}\n");
            fs::write(dir.path().join("plugstack.conf.d/nvshare.conf"), line).unwrap();
            let rows = of(dir.path(), || None);
            let texts: Vec<String> = rows.into_iter().map(|row| row.text).collect();
            texts.join("\n")
        };
        for (arguments, word) in [
            ("on_error=fial", "\"on_error=fial\""),
            ("mem_per_shard=2 GiB", "\"GiB\""),
            ("weight=x", "it does not hold"),
            ("on_error=fail weight=x", "no step with shards starts"),
            ("jobs_dir=/run/other", "jobs_dir=/run/other, the scheduler reads /run/nvshare-slurm"),
        ] {
            assert!(said(arguments).contains(word), "{arguments}: {}", said(arguments));
        }
        let right = said("weight=2 jobs_dir=/run/nvshare-slurm # x");
        assert!(!right.contains("not understood") && !right.contains("jobs_dir"), "{right}");
    }

    #[test]
    fn a_configuration_that_was_told_elsewhere_is_judged_too() {
        let dir = tempfile::tempdir().unwrap();
        let (record, config) = (dir.path().join("record"), dir.path().join("slurm"));
        places::add(&record, &config).unwrap();
        let rows = |word: &str| {
            let rows = everywhere(&record, || None);
            rows.iter().filter(|row| row.text.contains(word)).count()
        };
        assert_eq!(rows("was written and is missing"), 1);
        fs::create_dir_all(config.join("plugstack.conf.d")).unwrap();
        fs::write(config.join("plugstack.conf.d/nvshare.conf"), "optional /nowhere/x.so\n").unwrap();
        assert_eq!((rows("was written and is missing"), rows("/nowhere/x.so")), (0, 1));
    }

    #[test]
    fn each_thing_that_is_missing_is_a_row() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugstack.conf.d")).unwrap();
        fs::write(dir.path().join("plugstack.conf.d/nvshare.conf"), "# x\noptional /nowhere/x.so a=b\n")
            .unwrap();
        let rows = of(dir.path(), || None);
        for word in [
            "/nowhere/x.so",
            "does not include",
            "GresTypes=shard",
            "proctrack/cgroup",
            "task/cgroup",
            "Name=shard",
        ] {
            assert_eq!(rows.iter().filter(|row| row.text.contains(word)).count(), 1, "{word}: {rows:?}");
        }
        assert!(rows.iter().all(|row| row.advice.is_some()));
    }
}
