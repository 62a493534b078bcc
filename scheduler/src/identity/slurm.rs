//! Jobs of Slurm: which one a process is of, by the path of its control group, and what it may, by the files that Slurm's
//! plugin writes as root.
use nvshare_protocol::job_rules::{JOB, JobRules, LONGEST, WHOLE_JOB, file_name, is_step};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub job: u32,
    /// `0`, `batch`; empty: a process of the job that is in no step.
    pub step: String,
}

impl fmt::Display for Step {
    /// As `sacct` names it: `42.batch`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, step } = self;
        if step.is_empty() { write!(f, "{job}") } else { write!(f, "{job}.{step}") }
    }
}

impl Step {
    /// What its job is called, as Slurm calls its control group.
    #[must_use]
    pub fn job_name(&self) -> String {
        format!("{JOB}{}", self.job)
    }
}

/// The directory of a job in a control group's path, and the step that the path is of.
///
/// Version 1: `slurm/uid_1000/job_42/step_0/task_0`, or `slurm_NODE/...` with several slurmd on a host. Version 2:
/// `system.slice/slurmstepd.scope/job_42/step_0/user/task_0`, or `NODE_slurmstepd.scope`. Anybody can make a control group
/// of such a name: only where root has made it, it is Slurm's. Root of a container of another kind makes such a path below
/// its own: Slurm's is at the top.
#[must_use]
pub fn find(path: &str) -> Option<(&str, Step)> {
    let names: Vec<&str> = path.split('/').collect();
    let slurm = |name: &str| name == "slurm" || name.starts_with("slurm_");
    let scope = |name: &str| name == "slurmstepd.scope" || name.ends_with("_slurmstepd.scope");
    let at = match names[..] {
        [first, user, ..] if slurm(first) && number(user, "uid_").is_some() => 2,
        [first, ..] if scope(first) => 1,
        ["system.slice", second, ..] if scope(second) => 2,
        _ => return None,
    };
    let job = number(names.get(at)?, JOB)?;
    let step = names.get(at + 1).and_then(|name| name.strip_prefix("step_")).filter(|step| is_step(step));
    let length = names[..=at].iter().map(|name| name.len() + 1).sum::<usize>() - 1;
    Some((&path[..length], Step { job, step: step.unwrap_or_default().to_owned() }))
}

fn number(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    (digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') || digits == "0")
        .then(|| digits.parse().ok())?
}

/// Where the files of steps lie.
#[derive(Debug)]
pub struct JobFiles {
    pub directory: PathBuf,
    /// Who alone may have written them: root, but in tests.
    pub writer: u32,
    /// When the log was last told of a file that is not read.
    told: Mutex<Option<Instant>>,
}

/// No more than one line in this time tells of files that are not read: each process that joins reads some.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// The most files of a job that are read for a process without one of its own.
const MOST_STEPS: usize = 1024;

impl JobFiles {
    #[must_use]
    pub fn new(directory: PathBuf, writer: u32) -> Self {
        Self { directory, writer, told: Mutex::default() }
    }

    /// What holds for a step and for its whole job; none: the plugin has said nothing of the job. A step without a file has
    /// the least of all of its job's: in version 1 a user can move processes between the steps of their job, also into
    /// Slurm's own (`extern`).
    #[must_use]
    pub fn rules(&self, step: &Step) -> Option<JobRules> {
        let rules = self.read(step.job, &step.step).or_else(|| self.least(step.job))?;
        // The step that has all of its job's says what the job may together; else this step does.
        let whole = self.of_whole_job(step);
        let limit = rules.limit.into_iter().chain(whole.and_then(|whole| whole.limit)).min();
        Some(JobRules { limit, ..rules })
    }

    /// What the whole job may on each GPU; none: nothing says so.
    #[must_use]
    pub fn of_whole_job(&self, step: &Step) -> Option<JobRules> {
        WHOLE_JOB.iter().find_map(|whole| self.read(step.job, whole))
    }

    fn least(&self, job: u32) -> Option<JobRules> {
        let begins = format!("{job}.");
        let names = fs::read_dir(&self.directory).ok()?.flatten().map(|entry| entry.file_name());
        let steps = names.filter_map(|name| Some(name.to_str()?.strip_prefix(&begins)?.to_owned()));
        steps.take(MOST_STEPS).filter_map(|step| self.read(job, &step)).reduce(JobRules::least)
    }

    /// Reads a step's file, if nobody but its writer can have changed it.
    fn read(&self, job: u32, step: &str) -> Option<JobRules> {
        let path = self.directory.join(file_name(job, step)?);
        let directory = fs::symlink_metadata(&self.directory).ok()?;
        if !directory.is_dir() || !self.is_safe(&directory) {
            return self.refuse(&self.directory, Refused::NotSafe);
        }
        // A fifo or a device in its place must not keep us waiting.
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || !self.is_safe(&found) {
            return self.refuse(&path, Refused::NotSafe);
        }
        if found.len() > LONGEST as u64 {
            return self.refuse(&path, Refused::Long);
        }
        let mut text = String::new();
        file.take(LONGEST as u64).read_to_string(&mut text).ok()?;
        Some(JobRules::parse(&text))
    }

    fn is_safe(&self, found: &fs::Metadata) -> bool {
        found.uid() == self.writer && found.mode() & 0o022 == 0
    }

    fn refuse(&self, path: &Path, why: Refused) -> Option<JobRules> {
        if self.may_tell(Instant::now()) {
            tracing::warn!("{}: not read, {}", path.display(), why.text(self.writer));
        }
        None
    }

    fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|before| now.saturating_duration_since(before) >= TOLD_EVERY);
        if may {
            *told = Some(now);
        }
        may
    }
}

/// Why a file is not read.
#[derive(Clone, Copy, Debug)]
enum Refused {
    NotSafe,
    Long,
}

impl Refused {
    fn text(self, writer: u32) -> String {
        match self {
            Self::NotSafe => format!("for others than uid {writer} could have written it"),
            Self::Long => format!("for it is longer than {LONGEST} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::Bytes;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_jobs_step_is_known_by_its_control_group() {
        for (path, directory, step) in [
            ("slurm/uid_1000/job_42/step_0/task_0", "slurm/uid_1000/job_42", "42.0"),
            ("slurm_node1/uid_0/job_7/step_batch", "slurm_node1/uid_0/job_7", "7.batch"),
            ("slurm_node1/uid_0/job_7", "slurm_node1/uid_0/job_7", "7"),
            (
                "system.slice/slurmstepd.scope/job_42/step_3/user/task_0",
                "system.slice/slurmstepd.scope/job_42",
                "42.3",
            ),
            ("slurmstepd.scope/job_42/step_3/user", "slurmstepd.scope/job_42", "42.3"),
            (
                "system.slice/node1_slurmstepd.scope/job_4294967290/step_interactive/user/task_special",
                "system.slice/node1_slurmstepd.scope/job_4294967290",
                "4294967290.interactive",
            ),
            ("slurm/uid_1/job_42/step_..", "slurm/uid_1/job_42", "42"),
        ] {
            let found = find(path).map(|(directory, step)| (directory, step.to_string()));
            assert_eq!(found, Some((directory, step.to_owned())), "{path}");
        }
        for path in [
            "",
            "slurm",
            "slurm/uid_1000",
            "slurm/uid_x/job_42",
            "slurm/job_42",
            "user.slice/slurm/uid_1/job_42",
            "system.slice/slurmstepd.scope/system",
            "system.slice/slurmstepd.scope/job_",
            "system.slice/slurmstepd.scope/job_-1",
            "system.slice/slurmstepd.scope/job_042",
            "system.slice/slurmstepd.scope/job_99999999999",
            "slurmish/uid_1/job_42",
            // Made by root of a container of another kind.
            "lxc.payload.one/system.slice/slurmstepd.scope/job_42/step_0",
            "lxc.payload.one/slurmstepd.scope/job_42/step_0",
            "machine.slice/systemd-nspawn@one.service/payload/x_slurmstepd.scope/job_42/step_0",
            "system.slice/lxc.service/slurmstepd.scope/job_42/step_0",
            "machine.slice/slurmstepd.scope/job_42",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    fn files(directory: &Path) -> JobFiles {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        JobFiles::new(directory.to_owned(), nix::unistd::geteuid().as_raw())
    }

    fn put(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn step(step: &str) -> Step {
        Step { job: 42, step: step.to_owned() }
    }

    #[test]
    fn a_step_has_the_least_of_its_own_and_its_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        assert_eq!(files.rules(&step("0")), None);
        put(dir.path(), "42.0", "NVSHARE_MEM_LIMIT=8GiB\nNVSHARE_WEIGHT=3\n");
        let rules = files.rules(&step("0")).unwrap();
        assert_eq!((rules.limit, rules.weight), (Some(Bytes(8 << 30)), Some(3)));
        assert_eq!(files.of_whole_job(&step("0")), None);
        put(dir.path(), "42.batch", "NVSHARE_MEM_LIMIT=4GiB\n");
        assert_eq!(files.rules(&step("0")).unwrap().limit, Some(Bytes(4 << 30)));
        assert_eq!(files.rules(&step("")).unwrap().limit, Some(Bytes(4 << 30)), "a process in no step");
        assert_eq!(files.of_whole_job(&step("0")).unwrap().limit, Some(Bytes(4 << 30)));
    }

    #[test]
    fn a_step_without_a_file_has_the_least_of_its_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        put(dir.path(), "42.0", "NVSHARE_MEM_LIMIT=8GiB\nNVSHARE_WEIGHT=3\nNVSHARE_PRIORITY=high\n");
        put(dir.path(), "42.1", "NVSHARE_MEM_LIMIT=2GiB\nNVSHARE_WEIGHT=4\nNVSHARE_PRIORITY=low\n");
        put(dir.path(), "4.0", "NVSHARE_MEM_LIMIT=1GiB\n");
        put(dir.path(), "421.0", "NVSHARE_MEM_LIMIT=1GiB\n");
        let least = JobRules { limit: Some(Bytes(2 << 30)), weight: Some(3), priority: Some(0) };
        for name in ["extern", "", "7"] {
            assert_eq!(files.rules(&step(name)), Some(least), "{name}");
        }
        put(dir.path(), "42.2", "");
        let free = JobRules { weight: None, ..least };
        assert_eq!(files.rules(&step("extern")), Some(free), "a file that says nothing is normal");
        assert_eq!(files.rules(&Step { job: 43, step: "0".into() }), None, "nor shards, nor rules");
    }

    #[test]
    fn the_log_is_told_seldom_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let (files, now) = (files(dir.path()), Instant::now());
        let told =
            [0, 1, 59, 60, 61, 119, 120].map(|second| files.may_tell(now + Duration::from_secs(second)));
        assert_eq!(told, [true, false, false, true, false, false, true]);
        assert!(Refused::Long.text(0).contains("longer than 4096 bytes"));
        assert!(Refused::NotSafe.text(0).contains("others than uid 0"));
    }

    #[test]
    fn a_file_that_others_could_have_written_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let path = dir.path().join("42.0");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        put(dir.path(), "42.0", "NVSHARE_WEIGHT=3\n");
        assert!(files.rules(&step("0")).is_some());
        mode(0o664);
        assert_eq!(files.rules(&step("0")), None);
        mode(0o644);
        let strangers = JobFiles::new(dir.path().to_owned(), files.writer + 1);
        assert_eq!(strangers.rules(&step("0")), None);
        put(dir.path(), "42.0", &"#".repeat(LONGEST + 1));
        assert_eq!(files.rules(&step("0")), None);
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert_eq!(files.rules(&step("0")), None);
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        assert_eq!(files.rules(&step("0")), None, "and nobody waits for it");
        put(dir.path(), "42.1", "NVSHARE_WEIGHT=3\n");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(files.rules(&step("1")), None);
    }
}
