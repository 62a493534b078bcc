//! The files of steps, which the scheduler reads: what holds for a job whatever its environment says.
use nvshare_protocol::job_rules::{JobRules, file_name};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes the file of a step, whole or not at all.
///
/// # Errors
/// What was tried, and why it cannot be done.
pub fn write(directory: &Path, job: u32, step: &str, rules: &JobRules) -> Result<(), String> {
    let name = file_name(job, step).ok_or_else(|| format!("{step:?} is no step"))?;
    place(directory)?;
    let (file, new) = (directory.join(&name), directory.join(format!(".{name}")));
    let told = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    // Of a step that was killed here, or a link: not followed, not kept.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(told)?;
    let written = open
        .write_all(rules.text().as_bytes())
        // The scheduler is another user; the mode at opening is cut by a umask that is not ours.
        .and_then(|()| open.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&new, &file));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        told(error)
    })
}

/// Makes the directory, or makes sure that nobody else can write in it.
fn place(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    match DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755))
            .map_err(|error| format!("{shown} cannot be made: {error}")),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(directory).map_err(|error| format!("{shown}: {error}"))?;
            // SAFETY: geteuid has no argument and always succeeds.
            #[allow(unsafe_code)]
            let ourselves = unsafe { libc::geteuid() };
            let safe = found.is_dir() && found.uid() == ourselves && found.mode() & 0o022 == 0;
            if safe { Ok(()) } else { Err(format!("{shown} is not a directory that root alone writes in")) }
        }
        Err(error) => Err(format!("{shown} cannot be made: {error}")),
    }
}

/// Removes a step's file. The directory stays: others may be about to write in it.
pub fn remove(directory: &Path, job: u32, step: &str) {
    if let Some(name) = file_name(job, step) {
        let _ = fs::remove_file(directory.join(name));
    }
}

/// Removes the files of all steps of a job.
pub fn remove_all(directory: &Path, job: u32) {
    let (begins, hidden) = (format!("{job}."), format!(".{job}."));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&begins) || name.starts_with(&hidden) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::Bytes;

    const RULES: JobRules = JobRules { limit: Some(Bytes(1 << 30)), weight: Some(1), priority: None };

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_steps_file_is_there_while_the_step_is() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = dir.path().join("jobs");
        for (job, step) in [(4, "0"), (4, "batch"), (42, "0")] {
            write(&jobs, job, step, &RULES).unwrap();
        }
        write(&jobs, 4, "0", &JobRules { weight: Some(2), ..RULES }).unwrap();
        assert_eq!(names(&jobs), ["4.0", "4.batch", "42.0"]);
        let text = fs::read_to_string(jobs.join("4.0")).unwrap();
        assert_eq!(text, "NVSHARE_MEM_LIMIT=1GiB\nNVSHARE_WEIGHT=2\n");
        assert_eq!(fs::metadata(jobs.join("4.0")).unwrap().mode() & 0o777, 0o644);
        remove(&jobs, 4, "0");
        remove(&jobs, 4, "0");
        assert_eq!(names(&jobs), ["4.batch", "42.0"]);
        fs::write(jobs.join(".4.1"), "").unwrap();
        remove_all(&jobs, 4);
        assert_eq!(names(&jobs), ["42.0"]);
    }

    #[test]
    fn a_place_of_others_is_not_written_in() {
        let dir = tempfile::tempdir().unwrap();
        let (open, link) = (dir.path().join("open"), dir.path().join("link"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        for place in [&open, &link, &dir.path().join("none/jobs")] {
            assert!(write(place, 1, "0", &RULES).is_err(), "{}", place.display());
        }
        assert!(write(dir.path(), 1, "../x", &RULES).unwrap_err().contains("no step"));
        assert!(names(&open).is_empty());
    }

    #[test]
    fn what_lies_in_the_way_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (jobs, other) = (dir.path().join("jobs"), dir.path().join("other"));
        fs::create_dir(&jobs).unwrap();
        fs::set_permissions(&jobs, Permissions::from_mode(0o755)).unwrap();
        fs::write(&other, "mine").unwrap();
        for name in [".1.0", "1.0"] {
            std::os::unix::fs::symlink(&other, jobs.join(name)).unwrap();
        }
        write(&jobs, 1, "0", &RULES).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        assert!(fs::symlink_metadata(jobs.join("1.0")).unwrap().is_file());
    }
}
