//! What `nvshare-ctk doctor` says of Slurm.

use super::files::{Paths, includes, value, words};
use super::plugin::{self, Version};
use nvshare_protocol::check::{Check, State};
use std::path::Path;

const NAME: &str = "slurm";
const CONFIGURE: &str = "nvshare-ctk slurm configure";

fn bad(text: impl Into<String>, advice: impl Into<String>) -> Check {
    Check::new(NAME, State::Error, text).advise(advice)
}

/// One row for each thing that is wrong, one if nothing is, and none where Slurm has not been told of us.
pub fn checks() -> Vec<Check> {
    of(Path::new("/etc/slurm"), || Version::installed().ok())
}

fn of(directory: &Path, installed: impl Fn() -> Option<Version>) -> Vec<Check> {
    let paths = Paths::of(directory);
    let Ok(ours) = std::fs::read_to_string(&paths.drop_in) else { return Vec::new() };
    let shown = paths.drop_in.display();
    let line = ours.lines().find(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let Some(plugin) = line.and_then(|line| line.split_whitespace().nth(1)) else {
        return vec![bad(format!("{shown} names no plugin"), CONFIGURE)];
    };
    let mut wrong = Vec::new();
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
