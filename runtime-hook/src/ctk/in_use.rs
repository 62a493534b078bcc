//! Which containers an engine still needs `nvshare-runtime` for. An engine calls the runtime that started a container
//! for each command of the container's life, by the name or path that it had then.

use super::change::NAME;
use super::engines::Engine;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The shim's file name.
const PROGRAM: &str = "nvshare-runtime";

/// The containers of an engine that need the shim.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Names or ids of those that run, and of docker's and podman's also those that could be started again.
    pub containers: Vec<String>,
    /// Ids of those that other users run, with the user: what a user's process says of itself.
    pub of_users: Vec<String>,
    /// Why the engine does not tell of those that do not run.
    pub unknown: Option<String>,
}

impl InUse {
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.of_users.is_empty() && self.unknown.is_none()
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.containers.iter().chain(&self.of_users).map(String::as_str).collect();
        f.write_str(&all.join(" "))?;
        match &self.unknown {
            None => Ok(()),
            Some(reason) if all.is_empty() => write!(f, "{reason}"),
            Some(reason) => write!(f, "; and {reason}"),
        }
    }
}

/// The containers for which an engine still needs the shim.
pub fn of(engine: Engine) -> InUse {
    let mut of_users: Vec<String> = processes_of_users()
        .filter_map(|(uid, words)| of_user(engine, uid, &words))
        .take(MOST_OF_USERS)
        .collect();
    of_users.sort();
    of_users.dedup();
    let mut found: Vec<String> = processes()
        .filter_map(|(directory, program, words)| needed_by(&directory, &program, &words))
        .filter(|(of, _)| *of == engine)
        .map(|(_, container)| container)
        .collect();
    // An engine that was never told of it has none, and is not started to say so.
    let told = std::fs::read(engine.usual_file())
        .is_ok_and(|text| text.windows(PROGRAM.len()).any(|window| window == PROGRAM.as_bytes()));
    let known = match engine {
        _ if !told => Ok(Vec::new()),
        Engine::Docker => known(&["docker"], "dockerd", "{{.HostConfig.Runtime}} {{.Id}}"),
        Engine::Podman => known(&["podman"], "podman", "{{.OCIRuntime}} {{.Id}}"),
        Engine::Containerd | Engine::Crio | Engine::PodmanHook => Ok(Vec::new()),
    };
    let unknown = known.map(|known| found.extend(known)).err();
    found.sort();
    found.dedup();
    InUse { containers: found, of_users, unknown }
}

/// The most containers of other users that are named.
const MOST_OF_USERS: usize = 64;

/// What conmon of a user without rights (rootless podman) watches over with our shim.
fn of_user(engine: Engine, uid: u32, words: &[String]) -> Option<String> {
    let (of, container) = needed_by(Path::new("/nonexistent"), "conmon", words)?;
    (of == engine && engine == Engine::Podman).then(|| format!("{:.64} (of uid {uid})", container))
}

/// Owner and command line of the processes of other users that are conmon, the program that root installed.
fn processes_of_users() -> impl Iterator<Item = (u32, Vec<String>)> {
    all_processes().filter_map(|(directory, uid)| {
        let ours = uid != 0 && shares_namespace(&directory, "pid") && program_of(&directory)? == "conmon";
        ours.then(|| Some((uid, command_line(&directory)?)))?
    })
}

/// The name of the program that a process runs, if root installed it and it has the rights of who started it: one that has
/// its owner's shows what any user writes on its command line.
fn program_of(process: &Path) -> Option<String> {
    let program = process.join("exe");
    let file = std::fs::metadata(&program).ok()?;
    name_of(&std::fs::read_link(program).ok()?, file.uid(), file.mode())
}

/// The name of a program by its path, as the kernel tells it, its owner and its mode.
fn name_of(path: &Path, owner: u32, mode: u32) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    // After an upgrade.
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let gives_rights = Mode::from_raw_mode(mode).intersects(Mode::SUID | Mode::SGID);
    (owner == 0 && !gives_rights).then(|| name.to_owned())
}

fn all_processes() -> impl Iterator<Item = (PathBuf, u32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), std::fs::metadata(entry.path()).ok()?.uid())))
}

fn shares_namespace(process: &Path, space: &str) -> bool {
    let of = |process: &Path| std::fs::read_link(process.join("ns").join(space)).ok();
    of(process) == of(Path::new("/proc/self"))
}

fn command_line(process: &Path) -> Option<Vec<String>> {
    let line = std::fs::read(process.join("cmdline")).ok().filter(|line| !line.is_empty())?;
    Some(line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// The directories in /proc, the programs and the command lines of root's processes on this host: those of containers and
/// of other users may call themselves anything.
pub fn processes() -> impl Iterator<Item = (PathBuf, String, Vec<String>)> {
    all_processes().filter_map(|(directory, uid)| {
        let ours = uid == 0 && shares_namespace(&directory, "pid") && shares_namespace(&directory, "user");
        let program = if ours { program_of(&directory)? } else { return None };
        let words = command_line(&directory)?;
        Some((directory, program, words))
    })
}

/// The engine and the container that a process watches over with our shim: conmon names the runtime on its command
/// line, a shim of containerd's in the file `runtime` of its bundle, where it runs.
fn needed_by(process: &Path, program: &str, words: &[String]) -> Option<(Engine, String)> {
    let after = |option: &str| {
        let place = words.iter().position(|word| word.trim_start_matches('-') == option)?;
        words.get(place + 1).cloned()
    };
    if program == "conmon" {
        let ours = after("r").is_some_and(|runtime| is_ours(runtime.as_bytes()));
        let engine =
            if words.iter().any(|word| word.ends_with("podman")) { Engine::Podman } else { Engine::Crio };
        return ours
            .then(|| after("c"))
            .flatten()
            .filter(|id| is_id(id))
            .map(|container| (engine, container));
    }
    if program.starts_with("containerd-shim") {
        // One shim may serve all containers of a pod, each with a bundle beside its own.
        let bundles = std::fs::read_dir(process.join("cwd/..")).ok()?.flatten();
        let own = std::fs::read_link(process.join("cwd")).ok()?;
        let shared = after("namespace").is_some_and(|name| name == "k8s.io");
        let ours = bundles
            .filter(|bundle| shared || Some(bundle.file_name().as_os_str()) == own.file_name())
            .any(|bundle| first_of(&bundle.path().join("runtime")).is_some_and(|path| is_ours(&path)));
        let moby = after("namespace").is_some_and(|name| name == "moby");
        let engine = if moby { Engine::Docker } else { Engine::Containerd };
        return ours
            .then(|| after("id"))
            .flatten()
            .filter(|id| is_id(id))
            .map(|container| (engine, container));
    }
    None
}

/// The first bytes of a file, which must be one.
fn first_of(path: &Path) -> Option<Vec<u8>> {
    const PLAIN: i32 = (OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()) as i32;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(PLAIN).open(path).ok()?;
    let mut bytes = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(4096).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether engines call containers so.
fn is_id(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_ours(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path.trim_ascii())).file_name() == Some(OsStr::new(PROGRAM))
}

/// The containers that an engine's own command knows of, running or not.
///
/// # Errors
/// It does not answer, which is no answer: the engine may be stopped, and its containers start with it.
fn known(command: &[&str], engine: &str, format: &str) -> Result<Vec<String>, String> {
    let name = command[0];
    let output = |words: &[&str]| {
        let done = Command::new("timeout").arg("10").args(command).args(words).stdin(Stdio::null()).output();
        done.map_err(|error| format!("{name} cannot be asked: {error}"))
    };
    let silent = |stderr: &[u8]| {
        let stderr = String::from_utf8_lossy(stderr);
        format!(
            "{name} does not tell of its containers ({})",
            stderr.lines().last().unwrap_or("it does not say why")
        )
    };
    let mut unanswered = Vec::new();
    // A container that goes between the two commands makes the second one fail, and is not in the next answer.
    for _ in 0..2 {
        let all = output(&["ps", "--all", "--quiet", "--no-trunc"])?;
        match all.status.code() {
            Some(0) => {}
            // Neither the command nor the engine is installed.
            Some(127) if !is_installed(engine) => return Ok(Vec::new()),
            _ => return Err(silent(&all.stderr)),
        }
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = output(&[&["inspect", "--format", format][..], &ids].concat())?;
        let lines = String::from_utf8_lossy(&inspected.stdout).into_owned();
        let told: Vec<(&str, &str)> = lines
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, id)| !id.is_empty() && is_id(id))
            .collect();
        if inspected.status.success() || told.len() >= ids.len() {
            let ours = told.iter().filter(|(runtime, _)| *runtime == NAME || is_ours(runtime.as_bytes()));
            return Ok(ours.map(|(_, container)| (*container).to_owned()).collect());
        }
        unanswered = inspected.stderr;
    }
    Err(silent(&unanswered))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).any(|directory| directory.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn conmon_names_the_runtime_on_its_command_line() {
        let nowhere = Path::new("/nonexistent");
        let line = "/usr/bin/conmon --api-version 1 -c c1 -u c1 -r /usr/bin/nvshare-runtime -b /b";
        let podman = words(&format!("{line} --exit-command /usr/bin/podman"));
        let needed_by = |program: &str, words: &[String]| needed_by(nowhere, program, words);
        assert_eq!(needed_by("conmon", &podman), Some((Engine::Podman, "c1".into())));
        assert_eq!(needed_by("conmon", &words(line)), Some((Engine::Crio, "c1".into())));
        assert_eq!(needed_by("conmon", &words("/usr/bin/conmon -c c1 -r /usr/bin/runc")), None);
        assert_eq!(needed_by("vi", &words(line)), None);
    }

    #[test]
    fn a_program_is_known_by_its_file() {
        let name = |path: &str, owner, mode| name_of(Path::new(path), owner, mode);
        assert_eq!(name("/usr/bin/conmon", 0, 0o100_755).as_deref(), Some("conmon"));
        let upgraded = name("/usr/bin/conmon (deleted)", 0, 0o100_755);
        assert_eq!(upgraded.as_deref(), Some("conmon"));
        assert_eq!(name("/home/u/conmon", 1000, 0o100_755), None);
        for mode in [0o104_755, 0o102_755] {
            assert_eq!(name("/usr/bin/conmon", 0, mode), None);
        }
    }

    /// A reviewer's: `exec -a conmon su root -- -c c1 -r /x/nvshare-runtime podman`.
    #[test]
    fn what_a_process_calls_itself_is_no_program() {
        use std::os::unix::process::CommandExt;
        let words = ["-c", "read line"];
        let mut other =
            Command::new("/bin/sh").arg0("conmon").args(words).stdin(Stdio::piped()).spawn().unwrap();
        let found = processes().find(|(directory, ..)| directory.ends_with(other.id().to_string()));
        let program = program_of(&Path::new("/proc").join(other.id().to_string()));
        other.kill().and_then(|()| other.wait()).unwrap();
        // Whoever runs this test may not be root.
        assert!(found.is_none_or(|(_, program, words)| program != "conmon" && words[0] == "conmon"));
        assert!(program.is_some_and(|program| program != "conmon"));
    }

    #[test]
    fn a_users_container_is_named_with_its_user() {
        let line = words("/usr/bin/conmon -c c1 -r /usr/bin/nvshare-runtime --exit-command /usr/bin/podman");
        assert_eq!(of_user(Engine::Podman, 1000, &line).as_deref(), Some("c1 (of uid 1000)"));
        assert_eq!(of_user(Engine::Crio, 1000, &line), None);
        assert_eq!(
            of_user(Engine::Podman, 1000, &words("conmon -c \x1b[2J -r /usr/bin/nvshare-runtime podman")),
            None
        );
    }

    #[test]
    fn an_engine_that_fails_to_answer_has_not_said_none() {
        let unanswered = known(&["false"], "false", "").unwrap_err();
        assert_eq!(unanswered, "false does not tell of its containers (it does not say why)");
        assert_eq!(known(&["no-such-command"], "no-such-engine", ""), Ok(Vec::new()));
        assert!(known(&["no-such-command"], "sh", "").is_err());
        let in_use = InUse { unknown: Some("x".into()), ..InUse::default() };
        assert!(!in_use.is_empty());
    }

    /// Asks an engine that lists the containers `c1` and `c2` and whose `inspect` is this script, and counts how often.
    fn known_by(inspect: &str) -> (Result<Vec<String>, String>, usize) {
        let ground = tempfile::tempdir().unwrap();
        let (asked, command) = (ground.path().join("asked"), ground.path().join("engine"));
        let script = format!(
            "case $1 in ps) echo c1; echo c2; exit ;; esac\necho >>{0}; asked=$(wc -l <{0})\n{inspect}\n",
            asked.display()
        );
        std::fs::write(&command, script).unwrap();
        // A shell reads it: another test may be starting a process, which keeps it open for writing.
        let known = known(&["sh", command.to_str().unwrap()], "sh", "");
        (known, std::fs::read_to_string(asked).unwrap().lines().count())
    }

    /// A reviewer's: docker without its daemon prints an empty line and fails.
    #[test]
    fn half_an_answer_is_asked_for_again() {
        let ours = Ok(vec!["c1".to_owned()]);
        let both = "echo nvshare c1; echo runc c2";
        assert_eq!(known_by(both), (ours.clone(), 1));
        assert_eq!(known_by(&format!("{both}; exit 1")), (ours.clone(), 1), "the answer is whole");
        let one = format!("[ $asked = 1 ] && {{ echo nvshare c1; exit 1; }}; {both}");
        assert_eq!(known_by(&one), (ours, 2));
        for broken in ["echo; exit 1", "echo nvshare c1; echo; exit 1"] {
            let (known, asked) = known_by(broken);
            assert_eq!(asked, 2);
            assert_eq!(known.unwrap_err(), "sh does not tell of its containers (it does not say why)");
        }
    }

    #[test]
    fn what_a_process_says_of_itself_is_read_with_bounds() {
        let ground = tempfile::tempdir().unwrap();
        let at = |name: &str| ground.path().join(name);
        let fifo = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("link")).unwrap();
        std::fs::write(at("long"), [b'x'; 10_000]).unwrap();
        assert!(fifo.success() && first_of(&at("fifo")).is_none() && first_of(&at("link")).is_none());
        assert_eq!(first_of(&at("long")).unwrap().len(), 4096);
        assert!(is_id("c1.a_b-2") && !is_id("\x1b[2J") && !is_id("../a"));
    }

    #[test]
    fn a_shim_of_containerd_runs_in_a_bundle_that_names_the_runtime() {
        let ground = tempfile::tempdir().unwrap();
        for (bundle, runtime) in [("a", "/usr/bin/nvshare-runtime"), ("b", "/usr/sbin/runc")] {
            std::fs::create_dir_all(ground.path().join(bundle)).unwrap();
            std::fs::write(ground.path().join(bundle).join("runtime"), runtime).unwrap();
            let process = ground.path().join(format!("process-{bundle}"));
            std::fs::create_dir(&process).unwrap();
            std::os::unix::fs::symlink(ground.path().join(bundle), process.join("cwd")).unwrap();
        }
        let asked = |bundle: &str, namespace: &str| {
            let line = format!("/usr/bin/containerd-shim-runc-v2 -namespace {namespace} -id {bundle}");
            needed_by(
                &ground.path().join(format!("process-{bundle}")),
                "containerd-shim-runc-v2",
                &words(&line),
            )
        };
        assert_eq!(asked("a", "moby"), Some((Engine::Docker, "a".into())));
        assert_eq!(asked("b", "moby"), None);
        assert_eq!(asked("a", "default"), Some((Engine::Containerd, "a".into())));
        assert_eq!(
            asked("b", "k8s.io"),
            Some((Engine::Containerd, "b".into())),
            "its pod has one that is ours"
        );
    }
}
