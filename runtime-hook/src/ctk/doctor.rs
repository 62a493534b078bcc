//! Looks at the installation as a container's start would and says in plain words what is wrong.

use super::engines::Engine;
use super::podman_hook;
use crate::rootfs::{self, Libc, Requirements, View, open_directory};
use crate::settings::{self, RuntimeSettings};
use crate::{constants, low_level_runtime, preload};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

/// What a check found.
#[derive(Debug)]
enum Finding {
    Good(String),
    /// Worth a look; containers start all the same.
    Note(String),
    /// Containers will not be managed.
    Bad(String),
}
use Finding::{Bad, Good, Note};

/// Prints every finding; fails if one is bad.
pub fn run(root: Option<&Path>) -> ExitCode {
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    let mut findings = vec![match loaded.error {
        Some(error) => Bad(format!("settings: {error}; correct the file")),
        None => Good(format!("settings: {}", settings::path().display())),
    }];
    findings.push(library(&settings));
    findings.push(socket(&settings));
    findings.push(match low_level_runtime::find(&settings) {
        Ok(found) => Good(format!("low-level runtime: {}", found.path().display())),
        Err(error) => Bad(format!("{error:#}")),
    });
    findings.push(driver());
    findings.push(hook_of_podman());
    findings.extend(
        Engine::ALL.into_iter().filter(|engine| *engine != Engine::PodmanHook).filter_map(runtime_of),
    );
    findings.extend(kernel());
    findings.extend(selinux());
    findings.extend(root.map(|root| image(root, &settings)));
    let mut bad = 0;
    for finding in &findings {
        match finding {
            Good(text) => println!("ok    {text}"),
            Note(text) => println!("note  {text}"),
            Bad(text) => {
                bad += 1;
                println!("BAD   {text}")
            }
        }
    }
    println!("{}", if bad == 0 { "Nothing is wrong.".into() } else { format!("{bad} to correct.") });
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn library(settings: &RuntimeSettings) -> Finding {
    let path = settings.library.display();
    let requirements = match Requirements::of(&settings.library) {
        Ok(requirements) => requirements,
        Err(error) => return Bad(format!("library: {error:#}; install nvshare or set `library`")),
    };
    match statvfs(&settings.library) {
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::NOEXEC) => {
            Bad(format!("library: {path} lies on a filesystem mounted noexec; move it and set `library`"))
        }
        Ok(_) => Good(format!(
            "library: {path}, loads with glibc {}.{} or newer",
            requirements.glibc.0, requirements.glibc.1
        )),
        Err(error) => Bad(format!("library: {path}: {error}")),
    }
}

fn socket(settings: &RuntimeSettings) -> Finding {
    let path = settings.tenants_dir.join(constants::TENANT_SOCKET);
    let shown = path.display();
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && settings.tenants_dir.is_dir() => {
            return Bad(format!("scheduler: {shown} is missing; systemctl start nvshare-scheduler"));
        }
        Err(error) => {
            return Bad(format!("scheduler: {shown}: {error}; systemctl start nvshare-scheduler"));
        }
        Ok(found) if found.is_dir() => {
            return Bad(format!(
                "scheduler: {shown} is a directory where a socket should be: an engine made it for a bind whose \
                 source was missing; rmdir it and restart nvshare-scheduler"
            ));
        }
        Ok(found) if !found.file_type().is_socket() => {
            return Bad(format!("scheduler: {shown} is no socket; remove it and restart nvshare-scheduler"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(&path) {
        Ok(_) => Good(format!("scheduler: answers at {shown}")),
        Err(error) => Bad(format!("scheduler: {shown}: {error}; systemctl restart nvshare-scheduler")),
    }
}

fn driver() -> Finding {
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
        Some(path) => Good(format!("driver: {}", path.display())),
        None => Note(
            "driver: no libcuda.so.1 in the usual directories; install NVIDIA's driver, or ignore this if it \
             lies elsewhere"
                .into(),
        ),
    }
}

/// What an engine that was told of the runtime makes of it.
fn runtime_of(engine: Engine) -> Option<Finding> {
    let file = engine.usual_file();
    let text = std::fs::read_to_string(file).ok()?;
    let path = shim_in(&text)?;
    Some(if Path::new(path).exists() {
        Good(format!("{engine:?}: {file} names {path}"))
    } else {
        Bad(format!(
            "{engine:?}: {file} names {path}, which is missing; install nvshare, or take the entry out"
        ))
    })
}

/// The shim's path in a configuration of JSON or TOML.
fn shim_in(text: &str) -> Option<&str> {
    let name = Path::new(constants::SHIM).file_name();
    text.split('"').find(|word| word.starts_with('/') && Path::new(word).file_name() == name)
}

fn hook_of_podman() -> Finding {
    let file = format!("{}/50-nvshare.json", podman_hook::DIRECTORY);
    let elsewhere = format!("{}/50-nvshare.json", podman_hook::USUAL);
    if Path::new(&elsewhere).exists() {
        return Bad(format!(
            "podman: {elsewhere} lies where buildah, CRI-O and others look for hooks, and stops them; remove it"
        ));
    }
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Note(format!(
            "podman: {file} is missing; only `--runtime nvshare` manages podman's containers"
        ));
    };
    let path = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|hook| hook.pointer("/hook/path")?.as_str().map(String::from));
    match path {
        None => {
            Bad(format!("podman: {file} is broken, which stops every container of podman; install it again"))
        }
        Some(path) if !Path::new(&path).exists() => {
            Bad(format!("podman: {path} is missing, so podman passes over {file}; install nvshare again"))
        }
        Some(_) if !podman_hook::named(None).iter().any(|named| named == podman_hook::DIRECTORY) => {
            Note(format!(
                "podman: `hooks_dir` does not name {}; nvshare-ctk runtime configure --runtime=podman-hook",
                podman_hook::DIRECTORY
            ))
        }
        Some(_) => Good(format!("podman: {file}")),
    }
}

fn kernel() -> Option<Finding> {
    let (call, error) = crate::hook::detached_mount::unsupported_call()?;
    Some(Note(format!(
        "kernel: {call} is refused here ({error}), so the hooks mount in the older way; containers are managed all the same"
    )))
}

fn selinux() -> Option<Finding> {
    let enforcing = std::fs::read_to_string("/sys/fs/selinux/enforce").ok()?.trim() == "1";
    enforcing.then(|| {
        Note(
            "SELinux is enforcing: containers may be denied `connectto` on the scheduler's socket; see `ausearch -m \
             avc` and run those containers with --security-opt label=disable, or add a policy module"
                .into(),
        )
    })
}

fn image(root: &Path, settings: &RuntimeSettings) -> Finding {
    let shown = root.display();
    let view = match open_directory(root) {
        Ok(root) => View::of_root(root),
        Err(error) => return Bad(format!("rootfs: {error}")),
    };
    let loader = match rootfs::detect_loader(&view, None) {
        Ok(loader) => loader,
        Err(error) => return Bad(format!("rootfs: cannot look into {shown}: {error}")),
    };
    // A library that cannot be read has a finding of its own.
    let requirements = Requirements::of(&settings.library).unwrap_or_default();
    let (major, minor) = match preload::check(&view, &loader, &requirements) {
        Ok(version) => version,
        Err(reason) => return Bad(format!("rootfs: {shown}: {reason}; use another image")),
    };
    let musl = match loader.libc {
        Libc::GlibcAndMusl(_) => " and musl; programs of glibc are managed",
        _ => "",
    };
    Good(format!("rootfs: {shown} has glibc {major}.{minor}{musl}"))
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
