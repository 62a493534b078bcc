//! Which containers an engine still needs `nvshare-runtime` for. An engine calls the runtime that started a container
//! for each command of the container's life, by the name or path that it had then.

use super::change::NAME;
use super::engines::Engine;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// The shim's file name.
const PROGRAM: &str = "nvshare-runtime";

/// The names or ids of an engine's containers that need the shim: those that run, and of docker's and podman's also
/// those that could be started again.
pub fn containers(engine: Engine) -> Vec<String> {
    let mut found: Vec<String> = processes()
        .filter_map(|(directory, words)| needed_by(&directory, &words))
        .filter(|(of, _)| *of == engine)
        .map(|(_, container)| container)
        .collect();
    // An engine that was never told of it has none, and is not started to say so.
    let told = std::fs::read(engine.usual_file())
        .is_ok_and(|text| text.windows(PROGRAM.len()).any(|window| window == PROGRAM.as_bytes()));
    match engine {
        _ if !told => {}
        Engine::Docker => found.extend(known("docker", "{{.HostConfig.Runtime}} {{.Id}}")),
        Engine::Podman => found.extend(known("podman", "{{.OCIRuntime}} {{.Id}}")),
        Engine::Containerd | Engine::Crio | Engine::PodmanHook => {}
    }
    found.sort();
    found.dedup();
    found
}

/// The directories in /proc and the command lines of root's processes on this host: those of containers and of other users
/// may call themselves anything.
pub fn processes() -> impl Iterator<Item = (std::path::PathBuf, Vec<String>)> {
    let same = |process: &Path, space: &str| {
        let of = |process: &Path| std::fs::read_link(process.join("ns").join(space)).ok();
        of(process) == of(Path::new("/proc/self"))
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let directory = entry.path();
        let is_root = std::fs::metadata(&directory).is_ok_and(|process| process.uid() == 0);
        if !is_root || !same(&directory, "pid") || !same(&directory, "user") {
            return None;
        }
        let line = std::fs::read(directory.join("cmdline")).ok().filter(|line| !line.is_empty())?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        Some((directory, words.collect()))
    })
}

/// The engine and the container that a process watches over with our shim: conmon names the runtime on its command
/// line, a shim of containerd's in the file `runtime` of its bundle, where it runs.
fn needed_by(process: &Path, words: &[String]) -> Option<(Engine, String)> {
    let program = Path::new(words.first()?).file_name().and_then(OsStr::to_str)?;
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

/// The containers that an engine's own command knows of, running or not. None if it does not answer in time.
fn known(command: &str, format: &str) -> Vec<String> {
    let said = |words: &[&str]| {
        let done = Command::new("timeout").args(["10", command]).args(words).stdin(Stdio::null()).output();
        // A container that goes meanwhile makes the whole command fail, which tells of the others all the same.
        done.ok().map(|done| String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let Some(all) = said(&["ps", "--all", "--quiet", "--no-trunc"]) else { return Vec::new() };
    let ids: Vec<&str> = all.split_whitespace().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let lines = said(&[&["inspect", "--format", format][..], &ids].concat()).unwrap_or_default();
    let ours = |line: &str| {
        let (runtime, container) = line.split_once(' ')?;
        (runtime == NAME || is_ours(runtime.as_bytes())).then(|| container.to_owned())
    };
    lines.lines().filter_map(ours).collect()
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
        assert_eq!(needed_by(nowhere, &podman), Some((Engine::Podman, "c1".into())));
        assert_eq!(needed_by(nowhere, &words(line)), Some((Engine::Crio, "c1".into())));
        assert_eq!(needed_by(nowhere, &words("/usr/bin/conmon -c c1 -r /usr/bin/runc")), None);
        assert_eq!(needed_by(nowhere, &words("/usr/bin/vi /usr/bin/nvshare-runtime")), None);
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
            needed_by(&ground.path().join(format!("process-{bundle}")), &words(&line))
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
