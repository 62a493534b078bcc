//! Looks at the installation as a container's start would and says in plain words what is wrong.

use super::engines::Engine;
use super::podman_hook;
use super::slurm;
use crate::rootfs::{self, Libc, Requirements, View, open_directory};
use crate::settings::{self, Loaded, RuntimeSettings};
use crate::{constants, low_level_runtime, preload};
use anyhow::{Context, Result};
use nvshare_protocol::check::{Check, Checks, State};
use nvshare_protocol::console;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

fn good(name: &str, text: impl Into<String>) -> Check {
    Check::new(name, State::Ok, text)
}

/// Worth a look; containers start all the same.
fn note(name: &str, text: impl Into<String>) -> Check {
    Check::new(name, State::Warning, text)
}

/// Containers will not be managed, or the scheduler does not start.
fn bad(name: &str, text: impl Into<String>) -> Check {
    Check::new(name, State::Error, text)
}

/// Prints every check; fails if something is wrong.
///
/// # Errors
/// Standard output cannot be written to.
pub fn run(root: Option<&Path>, json: bool) -> Result<ExitCode> {
    let checks = look(root);
    let text = if json { serde_json::to_string_pretty(&checks)? + "\n" } else { shown(&checks) };
    console::print(&text).context("standard output cannot be written to")?;
    Ok(if checks.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at everything.
pub fn look(root: Option<&Path>) -> Checks {
    let loaded = settings::load(&settings::path());
    let mut checks = of_settings(&loaded, &settings::path());
    let settings = loaded.settings;
    checks.push(library(&settings));
    checks.push(socket(&settings));
    checks.push(match low_level_runtime::find(&settings) {
        Ok(found) => good("low-level runtime", found.path().display().to_string()),
        Err(error) => bad("low-level runtime", format!("{error:#}")),
    });
    checks.push(driver());
    checks.push(hook_of_podman());
    checks.extend(
        Engine::ALL.into_iter().filter(|engine| *engine != Engine::PodmanHook).filter_map(runtime_of),
    );
    checks.extend(slurm::checks());
    checks.extend(kernel());
    checks.extend(selinux());
    checks.extend(root.map(|root| image(root, &settings)));
    Checks::new("nvshare-ctk doctor", checks)
}

/// For people, a line each.
pub fn shown(checks: &Checks) -> String {
    let line = |check: &Check| {
        let mark = match check.state {
            State::Ok => "ok   ",
            State::Warning => "note ",
            State::Error => "BAD  ",
        };
        let advice = check.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{mark} {}: {}{advice}\n", check.name, check.text)
    };
    let lines: String = checks.checks.iter().map(line).collect();
    match checks.errors() {
        0 => lines + "Nothing is wrong.\n",
        wrong => lines + &format!("{wrong} to correct.\n"),
    }
}

/// The whole file: our section by us, the others by the program that reads them.
fn of_settings(loaded: &Loaded, path: &Path) -> Vec<Check> {
    let file = path.display();
    if !path.exists() {
        return vec![
            note("settings", format!("{file} is missing: the defaults hold"))
                .advise("install nvshare again, or write the file: nvshare-scheduler --sample-config >/etc/nvshare/config.toml"),
        ];
    }
    let mut checks = vec![match &loaded.error {
        Some(error) => bad("settings", error).advise("correct the file"),
        None => good("settings", file.to_string()),
    }];
    match of_scheduler(path) {
        Ok(found) => {
            // Its word on our section is ours too.
            let others = found.checks.into_iter().filter(|check| check.name != "runtime-settings");
            let wrong = others.filter(|check| check.state != State::Ok);
            let wrong: Vec<_> =
                wrong.map(|check| Check { name: "scheduler settings".into(), ..check }).collect();
            match wrong.is_empty() {
                true => checks.push(good("scheduler settings", "the other sections are right")),
                false => checks.extend(wrong),
            }
        }
        Err(error) => checks.push(
            note("scheduler settings", format!("the other sections are not checked: {error:#}"))
                .advise("install nvshare again"),
        ),
    }
    checks
}

/// What the scheduler says of the file.
fn of_scheduler(path: &Path) -> Result<Checks> {
    let program = beside("nvshare-scheduler");
    let output = Command::new(&program)
        .args(["--check", "--json", "--config"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} --check --json cannot be understood", program.display()))
}

/// A program of the same package: beside this one, else where `PATH` has it.
pub fn beside(name: &str) -> PathBuf {
    let ours = std::env::current_exe().ok().map(|ourselves| ourselves.with_file_name(name));
    ours.filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

fn library(settings: &RuntimeSettings) -> Check {
    const NAME: &str = "library";
    let path = settings.library.display();
    let requirements = match Requirements::of(&settings.library) {
        Ok(requirements) => requirements,
        Err(error) => return bad(NAME, format!("{error:#}")).advise("install nvshare or set `library`"),
    };
    match statvfs(&settings.library) {
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::NOEXEC) => {
            bad(NAME, format!("{path} lies on a filesystem mounted noexec"))
                .advise("move it and set `library`")
        }
        Ok(_) => good(
            NAME,
            format!("{path}, loads with glibc {}.{} or newer", requirements.glibc.0, requirements.glibc.1),
        ),
        Err(error) => bad(NAME, format!("{path}: {error}")),
    }
}

fn socket(settings: &RuntimeSettings) -> Check {
    const NAME: &str = "scheduler";
    let path = settings.tenants_dir.join(constants::TENANT_SOCKET);
    let shown = path.display();
    let start = "systemctl start nvshare-scheduler";
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && settings.tenants_dir.is_dir() => {
            return bad(NAME, format!("{shown} is missing")).advise(start);
        }
        Err(error) => return bad(NAME, format!("{shown}: {error}")).advise(start),
        Ok(found) if found.is_dir() => {
            let why = "an engine made it for a bind whose source was missing";
            return bad(NAME, format!("{shown} is a directory where a socket should be: {why}"))
                .advise("rmdir it and restart nvshare-scheduler");
        }
        Ok(found) if !found.file_type().is_socket() => {
            return bad(NAME, format!("{shown} is no socket"))
                .advise("remove it and restart nvshare-scheduler");
        }
        Ok(_) => {}
    }
    match UnixStream::connect(&path) {
        Ok(_) => good(NAME, format!("answers at {shown}")),
        Err(error) => bad(NAME, format!("{shown}: {error}")).advise("systemctl restart nvshare-scheduler"),
    }
}

fn driver() -> Check {
    let directories = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib",
        "/usr/local/lib",
    ];
    let found =
        directories.iter().map(|directory| Path::new(directory).join("libcuda.so.1")).find(|f| f.exists());
    match found {
        Some(path) => good("driver", path.display().to_string()),
        None => note("driver", "no libcuda.so.1 in the usual directories")
            .advise("install NVIDIA's driver, or ignore this if it lies elsewhere"),
    }
}

/// What an engine that was told of the runtime makes of it.
fn runtime_of(engine: Engine) -> Option<Check> {
    let file = engine.usual_file();
    let text = std::fs::read_to_string(file).ok()?;
    let path = shim_in(&text)?;
    let name = format!("{engine:?}").to_lowercase();
    Some(if Path::new(path).exists() {
        good(&name, format!("{file} names {path}"))
    } else {
        bad(&name, format!("{file} names {path}, which is missing"))
            .advise("install nvshare, or take the entry out")
    })
}

/// The shim's path in a configuration of JSON or TOML.
fn shim_in(text: &str) -> Option<&str> {
    let name = Path::new(constants::SHIM).file_name();
    text.split('"').find(|word| word.starts_with('/') && Path::new(word).file_name() == name)
}

fn hook_of_podman() -> Check {
    const NAME: &str = "podman";
    let file = format!("{}/50-nvshare.json", podman_hook::DIRECTORY);
    let elsewhere = format!("{}/50-nvshare.json", podman_hook::USUAL);
    if Path::new(&elsewhere).exists() {
        let why = "lies where buildah, CRI-O and others look for hooks, and stops them";
        return bad(NAME, format!("{elsewhere} {why}")).advise("remove it");
    }
    let Ok(text) = std::fs::read_to_string(&file) else {
        let missing = format!("{file} is missing");
        return note(NAME, missing).advise("only `--runtime nvshare` manages podman's containers");
    };
    let path = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|hook| hook.pointer("/hook/path")?.as_str().map(String::from));
    match path {
        None => bad(NAME, format!("{file} is broken, which stops every container of podman"))
            .advise("install it again"),
        Some(path) if !Path::new(&path).exists() => {
            bad(NAME, format!("{path} is missing, so podman passes over {file}"))
                .advise("install nvshare again")
        }
        Some(_) if !podman_hook::named(None).iter().any(|named| named == podman_hook::DIRECTORY) => {
            note(NAME, format!("`hooks_dir` does not name {}", podman_hook::DIRECTORY))
                .advise("nvshare-ctk runtime configure --runtime=podman-hook")
        }
        Some(_) => good(NAME, file),
    }
}

fn kernel() -> Option<Check> {
    let (call, error) = crate::hook::detached_mount::unsupported_call()?;
    let text = format!(
        "{call} is refused here ({error}), so the hooks mount in the older way; containers are managed all the same"
    );
    Some(note("kernel", text))
}

fn selinux() -> Option<Check> {
    let enforcing = std::fs::read_to_string("/sys/fs/selinux/enforce").ok()?.trim() == "1";
    enforcing.then(|| {
        note("selinux", "SELinux is enforcing: containers may be denied `connectto` on the scheduler's socket")
            .advise(
                "see `ausearch -m avc` and run those containers with --security-opt label=disable, or add a policy \
                 module",
            )
    })
}

fn image(root: &Path, settings: &RuntimeSettings) -> Check {
    const NAME: &str = "rootfs";
    let shown = root.display();
    let view = match open_directory(root) {
        Ok(root) => View::of_root(root),
        Err(error) => return bad(NAME, error.to_string()),
    };
    let loader = match rootfs::detect_loader(&view, None) {
        Ok(loader) => loader,
        Err(error) => return bad(NAME, format!("cannot look into {shown}: {error}")),
    };
    // A library that cannot be read has a row of its own.
    let requirements = Requirements::of(&settings.library).unwrap_or_default();
    let (major, minor) = match preload::check(&view, &loader, &requirements) {
        Ok(version) => version,
        Err(reason) => return bad(NAME, format!("{shown}: {reason}")).advise("use another image"),
    };
    let musl = match loader.libc {
        Libc::GlibcAndMusl(_) => " and musl; programs of glibc are managed",
        _ => "",
    };
    good(NAME, format!("{shown} has glibc {major}.{minor}{musl}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctk::change::Change;

    #[test]
    fn the_shim_is_found_in_every_engines_file() {
        let change = Change::Configure { path: "/opt/x/nvshare-runtime".into(), set_as_default: true };
        for engine in [Engine::Docker, Engine::Containerd, Engine::Crio, Engine::Podman] {
            let text = engine.change("", &change).unwrap();
            assert_eq!(shim_in(&text), Some("/opt/x/nvshare-runtime"), "{text}");
        }
        assert_eq!(shim_in("{\"runtimes\": {\"nvshare-runtime\": {\"path\": \"/usr/bin/runc\"}}}"), None);
    }
}
