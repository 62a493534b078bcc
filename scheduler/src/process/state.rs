//! Whether a process can do anything: one that is stopped, or whose control group is frozen, cannot.
use crate::identity::cgroup::mounts;
use std::fs;
use std::path::{Component, Path};

/// Why a process does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// By a signal.
    Stopped,
    /// By a debugger, perhaps for a moment.
    Traced,
    /// Its control group, or one around that, is frozen.
    Frozen,
}

impl Halt {
    /// As operators read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped (SIGSTOP)",
            Self::Traced => "stopped (by a debugger)",
            Self::Frozen => "frozen (docker pause or the like)",
        }
    }
}

/// Where this machine shows its processes.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    pub proc: &'a Path,
    pub cgroups: &'a Path,
}

/// Whether the process is halted, and how; none where it goes on, has ended, or cannot be seen.
#[must_use]
pub fn halted(pid: u32, roots: Roots<'_>) -> Option<Halt> {
    let directory = roots.proc.join(pid.to_string());
    match field(&stat(&directory)?, 3)?.chars().next()? {
        'T' => Some(Halt::Stopped),
        't' => Some(Halt::Traced),
        // A frozen process does not run.
        'R' | 'Z' | 'X' => None,
        _ => {
            let text = fs::read_to_string(directory.join("cgroup")).ok()?;
            text.lines().any(|line| is_frozen(line, roots.cgroups)).then_some(Halt::Frozen)
        }
    }
}

/// So many threads of a process are looked at: the end of a process comes to all of them.
const THREADS: usize = 64;

/// Whether a process is about to end: each of its threads is on its way out, or has a SIGKILL before it. The kernel may
/// take seconds for that, as while the driver gives memory back. Its connections are closed early on the way.
#[must_use]
pub fn is_ending(pid: u32, proc: &Path) -> bool {
    let Ok(threads) = fs::read_dir(proc.join(pid.to_string()).join("task")) else { return false };
    let mut threads = threads.flatten().map(|thread| thread.path()).take(THREADS).peekable();
    threads.peek().is_some() && threads.all(|thread| leaves(&thread).unwrap_or(true))
}

/// Whether this thread is on its way out; none: it is gone already. The leader alone may leave while others go on.
fn leaves(thread: &Path) -> Option<bool> {
    let stat = stat(thread)?;
    // Field 9 has the kernel's flags of the thread (include/linux/sched.h).
    const PF_EXITING: u64 = 4;
    let flags = field(&stat, 9)?.parse::<u64>().ok()?;
    Some(flags & PF_EXITING != 0 || is_killed(&fs::read_to_string(thread.join("status")).ok()?))
}

/// Whether a SIGKILL is pending, by the lines of `/proc/PID/task/TID/status`. exit_group(2) sends one to each thread.
fn is_killed(status: &str) -> bool {
    const SIGKILL: u64 = 1 << (9 - 1);
    let pending =
        status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    pending.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & SIGKILL != 0)
}

/// The text of a process's `stat`; a program's name may be any bytes.
pub(crate) fn stat(directory: &Path) -> Option<String> {
    let bytes = fs::read(directory.join("stat")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    parent: u32,
    group: u32,
}

impl Family {
    /// Whether one process that lives has started both.
    #[must_use]
    pub fn are_siblings(self, other: Self) -> bool {
        self.parent > 1 && self.parent == other.parent
    }

    /// Whether two processes have been started together: by one process that lives, or as one command of a shell.
    #[must_use]
    pub fn is_of(self, other: Self) -> bool {
        // The first process takes over whoever has lost its parent.
        self.parent > 1 && self.parent == other.parent || self.group > 1 && self.group == other.group
    }
}

/// None: there is no such process.
pub(super) fn family(directory: &Path) -> Option<Family> {
    let stat = stat(directory)?;
    Some(Family { parent: field(&stat, 4)?.parse().ok()?, group: field(&stat, 5)?.parse().ok()? })
}

/// A field of `/proc/PID/stat` by its number in proc(5), from 3 on. The second is the program's name in brackets, which may
/// hold anything.
pub(crate) fn field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

/// Whether the control group of a line of `/proc/PID/cgroup` is frozen, with the hierarchies mounted at `root`.
fn is_frozen(line: &str, root: &Path) -> bool {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return false };
    let path = Path::new(path.trim_start_matches('/'));
    if path.components().any(|part| part == Component::ParentDir) {
        return false;
    }
    let mounts = mounts(controllers, root);
    if controllers.is_empty() {
        // The last of a path's ancestors is the root, which cannot be frozen.
        return mounts.iter().any(|mount| path.ancestors().any(|path| events(&mount.join(path))));
    }
    let freezer = controllers.split(',').any(|name| name == "freezer");
    freezer && mounts.iter().any(|mount| freezer_state(&mount.join(path)))
}

/// Version 2.
fn events(directory: &Path) -> bool {
    let text = fs::read_to_string(directory.join("cgroup.events"));
    text.is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

/// Version 1, whose word for a group is also that for those around it. `FREEZING`: not all of it has come to rest.
fn freezer_state(directory: &Path) -> bool {
    let text = fs::read_to_string(directory.join("freezer.state"));
    text.is_ok_and(|text| matches!(text.trim_end(), "FROZEN" | "FREEZING"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with one process, number 7.
    struct World(tempfile::TempDir);

    impl World {
        fn new(stat: &[u8], cgroup: &str) -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            world.put("proc/7/stat", stat);
            world.put("proc/7/cgroup", cgroup.as_bytes());
            world
        }

        fn put(&self, path: &str, text: &[u8]) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn says(&self) -> Option<Halt> {
            let (proc, cgroups) = (self.0.path().join("proc"), self.0.path().join("cgroup"));
            halted(7, Roots { proc: &proc, cgroups: &cgroups })
        }
    }

    #[test]
    fn processes_are_of_one_family_by_their_parent_or_their_group() {
        let of = |stat: &[u8]| {
            let world = World::new(stat, "0::/\n");
            family(&world.0.path().join("proc/7")).unwrap()
        };
        let rank = of(b"7 (a b) R 100 7 7 0");
        assert!(rank.is_of(of(b"7 (c) S 100 9 9 0")), "of one launcher");
        assert!(rank.is_of(of(b"7 (c) S 3 7 9 0")), "of one command");
        assert!(!rank.is_of(of(b"7 (c) S 101 9 7 0")));
        let orphan = of(b"7 (a) R 1 5 5 0");
        assert!(!orphan.is_of(of(b"7 (a) R 1 6 6 0")), "everybody's parent");
        assert!(!of(b"7 (a) R 0 0 0 0").is_of(of(b"7 (a) R 0 0 0 0")), "of another pid namespace");
    }

    #[test]
    fn the_state_stands_behind_any_name() {
        for (stat, expected) in [
            (&b"7 (python3) T 1 7 7"[..], Some(Halt::Stopped)),
            (b"7 (a) S 1 (b) t 1 7 7", Some(Halt::Traced)),
            (b"7 (T) S 1 7 7", None),
            (b"7 (\xff\xfe) T 1 7 7", Some(Halt::Stopped)),
            (b"7 (python3) R 1 7 7", None),
            (b"nonsense", None),
            (b"", None),
        ] {
            assert_eq!(World::new(stat, "0::/\n").says(), expected, "{}", String::from_utf8_lossy(stat));
        }
    }

    #[test]
    fn a_group_or_one_around_it_may_be_frozen() {
        let world = World::new(b"7 (a) S 1", "0::/system.slice/docker-1.scope/inside\n");
        assert_eq!(world.says(), None, "it cannot be seen");
        let own = "cgroup/system.slice/docker-1.scope/inside/cgroup.events";
        world.put(own, b"populated 1\nfrozen 0\n");
        assert_eq!(world.says(), None);
        world.put("cgroup/system.slice/docker-1.scope/cgroup.events", b"populated 1\nfrozen 1\n");
        assert_eq!(world.says(), Some(Halt::Frozen));
        world.put("cgroup/system.slice/docker-1.scope/cgroup.events", b"populated 1\nfrozen 0\n");
        assert_eq!(world.says(), None);
        world.put(own, b"populated 1\nfrozen 1\n");
        assert_eq!(world.says(), Some(Halt::Frozen));
        world.put("proc/7/stat", b"7 (a) R 1");
        assert_eq!(world.says(), None, "it runs again already");
    }

    #[test]
    fn version_1_has_a_hierarchy_for_it() {
        let world = World::new(b"7 (a) D 1", "12:cpu:/docker/1\n6:freezer:/docker/1\n0::/\n");
        for (text, expected) in [
            ("THAWED\n", None),
            ("FROZEN\n", Some(Halt::Frozen)),
            ("FREEZING\n", Some(Halt::Frozen)),
            ("", None),
        ] {
            world.put("cgroup/freezer/docker/1/freezer.state", text.as_bytes());
            assert_eq!(world.says(), expected, "{text}");
        }
        world.put("cgroup/cpu/docker/1/freezer.state", b"FROZEN\n");
        assert_eq!(world.says(), None, "another hierarchy says nothing of it");
    }

    #[test]
    fn a_process_ends_when_all_its_threads_do() {
        let world = World::new(b"7 (a) Z 1", "0::/\n");
        let ends = || is_ending(7, &world.0.path().join("proc"));
        assert!(!ends(), "nothing is known of its threads");
        let exiting = b"7 (a) Z) R 1 7 7 0 -1 4194572 0 0";
        let alive = b"8 (a) S 1 7 7 0 -1 4194560 0 0";
        let pending = |mask: &str| format!("Name:\ta\nSigPnd:\t{mask}\nShdPnd:\t0000000000000000\n");
        world.put("proc/7/task/7/stat", exiting);
        world.put("proc/7/task/7/status", pending("0000000000000000").as_bytes());
        assert!(ends());
        // A program whose main thread has left by pthread_exit(3).
        world.put("proc/7/task/8/stat", alive);
        world.put("proc/7/task/8/status", pending("0000000000004000").as_bytes());
        assert!(!ends(), "SIGTERM is pending, which it may refuse");
        world.put("proc/7/task/8/status", pending("0000000000000100").as_bytes());
        assert!(ends());
        fs::remove_file(world.0.path().join("proc/7/task/8/stat")).unwrap();
        assert!(ends(), "that thread is gone");
    }

    #[test]
    fn the_kernel_says_so_of_a_real_process() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let proc = Path::new("/proc");
        assert!(!is_ending(child.id(), proc));
        child.kill().unwrap();
        // It has a SIGKILL before it, or is on its way out, or waits to be reaped.
        assert!(is_ending(child.id(), proc));
        child.wait().unwrap();
        assert!(!is_ending(std::process::id(), proc));
    }

    #[test]
    fn paths_that_lead_elsewhere_say_nothing() {
        let world = World::new(b"7 (a) S 1", "0::/../other\n6:freezer:/../other\nodd\n");
        world.put("other/cgroup.events", b"frozen 1\n");
        world.put("cgroup/other/freezer.state", b"FROZEN\n");
        assert_eq!(world.says(), None);
    }
}
