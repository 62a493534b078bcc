//! Which directories of Slurm's configuration name the plugin. `configure --config` is said once; what undoes it, renews
//! it or judges it later has to find the same place.

use super::read;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the list lies: one directory a line.
pub const RECORD: &str = "/etc/nvshare/slurm-places";
/// Where Slurm's configuration usually is.
pub const USUAL: &str = "/etc/slurm";

const REMARK: &str = "# Where nvshare-ctk slurm configure has named the plugin. Written by it.\n";

/// The directories in which `configure` has named the plugin, and `unconfigure` has not taken it out yet.
pub fn told(record: &Path) -> Result<Vec<PathBuf>> {
    let text = read(record)?.unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('/'));
    Ok(lines.map(PathBuf::from).collect())
}

/// Those and the usual one.
pub fn known(record: &Path) -> Result<Vec<PathBuf>> {
    let mut all = told(record)?;
    if !all.iter().any(|directory| directory == Path::new(USUAL)) {
        all.push(USUAL.into());
    }
    Ok(all)
}

/// Adds one.
pub fn add(record: &Path, directory: &Path) -> Result<()> {
    let mut all = told(record)?;
    if all.iter().any(|one| one == directory) {
        return Ok(());
    }
    all.push(directory.to_owned());
    write(record, &all)
}

/// Takes some away.
pub fn remove(record: &Path, gone: &[PathBuf]) -> Result<()> {
    let all = told(record)?;
    let kept: Vec<PathBuf> = all.iter().filter(|one| !gone.contains(one)).cloned().collect();
    if kept.len() == all.len() {
        return Ok(());
    }
    if kept.is_empty() {
        return fs::remove_file(record).with_context(|| format!("cannot remove {}", record.display()));
    }
    write(record, &kept)
}

fn write(record: &Path, all: &[PathBuf]) -> Result<()> {
    let lines: String = all.iter().map(|directory| format!("{}\n", directory.display())).collect();
    crate::ctk::write(record, &format!("{REMARK}{lines}"))
}

/// Those of `told` where the plugin may be named still: nothing of ours was found there to take out.
pub fn left<'a>(told: &'a [PathBuf], taken_out: &[PathBuf]) -> Vec<&'a Path> {
    told.iter().filter(|one| !taken_out.contains(one)).map(PathBuf::as_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_remembered_until_they_are_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("nvshare/slurm-places");
        let (one, two) = (PathBuf::from("/opt/slurm"), PathBuf::from("/srv/slurm"));
        assert_eq!(known(&record).unwrap(), [PathBuf::from(USUAL)]);
        for directory in [&one, &two, &one] {
            add(&record, directory).unwrap();
        }
        assert_eq!(told(&record).unwrap(), [one.clone(), two.clone()]);
        assert_eq!(known(&record).unwrap(), [one.clone(), two.clone(), USUAL.into()]);
        assert_eq!(left(&told(&record).unwrap(), std::slice::from_ref(&two)), [one.as_path()]);
        remove(&record, std::slice::from_ref(&one)).unwrap();
        assert_eq!(told(&record).unwrap(), std::slice::from_ref(&two));
        remove(&record, &[two]).unwrap();
        assert!(!record.exists());
        remove(&record, &[one]).unwrap();
    }
}
