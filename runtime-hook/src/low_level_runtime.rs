//! The low-level runtime: the first of a list that exists, is not this program, and has not started this program.

mod chain;

use crate::constants;
use crate::settings::RuntimeSettings;
use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Searched after the engine's own `PATH`, which may be empty.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The runtime below, and the guard to hand to it.
#[derive(Debug)]
pub struct LowLevelRuntime {
    path: PathBuf,
    chain: Vec<PathBuf>,
}

/// Finds the low-level runtime. A guard variable lists the runtimes that this start has passed through, so that two shims
/// that name each other do not start each other for ever.
///
/// # Errors
/// None is left; the message lists what was looked for.
pub fn find(settings: &RuntimeSettings) -> Result<LowLevelRuntime> {
    let mut passed = chain::from_variable();
    for path in chain::from_memfd() {
        if !passed.contains(&path) {
            passed.push(path);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> =
        std::env::split_paths(&path).chain(DIRECTORIES.iter().map(PathBuf::from)).collect();
    let refused: Vec<_> = passed.iter().filter_map(|path| identity(path)).collect();
    let ourselves = identity(Path::new("/proc/self/exe"));
    match choose(&settings.low_level_runtimes, &directories, |file| {
        ourselves == Some(file) || refused.contains(&file)
    }) {
        Some(path) => {
            passed.push(path.clone());
            Ok(LowLevelRuntime { path, chain: passed })
        }
        None => bail!(
            "no low-level runtime found: looked for {} in PATH and the usual directories{}; install one or set \
             `low_level_runtimes`",
            settings.low_level_runtimes.join(", "),
            if passed.is_empty() {
                String::new()
            } else {
                format!(", leaving out {}", chain::display(&passed))
            }
        ),
    }
}

/// A file's device and inode.
type Identity = (u64, u64);

fn choose(names: &[String], directories: &[PathBuf], refused: impl Fn(Identity) -> bool) -> Option<PathBuf> {
    let fits = |path: &PathBuf| identity(path).is_some_and(|file| !refused(file));
    names.iter().find_map(|name| {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(fits);
        }
        directories.iter().filter(|directory| directory.is_absolute()).map(|dir| dir.join(name)).find(fits)
    })
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    let runs = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    runs.then(|| (metadata.dev(), metadata.ino()))
}

impl LowLevelRuntime {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env(constants::CHAIN_VARIABLE, chain::encode(&self.chain));
        command
    }

    /// Executes the low-level runtime in this process, with its descriptors, signals and arguments. Returns only if that
    /// fails.
    pub fn exec(&self, words: &[OsString]) -> io::Error {
        chain::hand_to_script(&self.path, &self.chain);
        match self.execve(words) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Runs the low-level runtime as a child, with our descriptors, signals and arguments, to its end. None: its end cannot
    /// be known, because the engine ignores SIGCHLD.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, words: &[OsString]) -> io::Result<Option<u8>> {
        chain::hand_to_script(&self.path, &self.chain);
        let (path, words, variables) = self.image(words)?;
        let (actions, attributes) = (PosixSpawnFileActions::init()?, PosixSpawnAttr::init()?);
        let child = posix_spawn(path.as_c_str(), &actions, &attributes, &words, &variables)?;
        loop {
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, code)) => return Ok(Some(code as u8)),
                // As a shell would tell it.
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Some(128 + signal as u8)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    fn execve(&self, words: &[OsString]) -> io::Result<std::convert::Infallible> {
        let (path, words, variables) = self.image(words)?;
        nix::unistd::execve(&path, &words, &variables).map_err(io::Error::from)
    }

    /// The program, its words and its environment. (`Command` would reset what the engine ignores and blocks among signals.)
    fn image(&self, words: &[OsString]) -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
        let of = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let path = of(self.path.as_os_str().as_bytes())?;
        let words: io::Result<Vec<_>> =
            std::iter::once(Ok(path.clone())).chain(words.iter().map(|word| of(word.as_bytes()))).collect();
        let entry = |name: &OsStr, value: &OsStr| of(&[name.as_bytes(), b"=", value.as_bytes()].concat());
        let others = std::env::vars_os().filter(|(name, _)| name != constants::CHAIN_VARIABLE);
        let mut variables =
            others.map(|(name, value)| entry(&name, &value)).collect::<io::Result<Vec<_>>>()?;
        variables.push(entry(OsStr::new(constants::CHAIN_VARIABLE), &chain::encode(&self.chain))?);
        Ok((path, words?, variables))
    }

    /// What the runtime below says about a container, quietly.
    pub fn state(&self, scope: &[OsString], container: &OsStr) -> Option<serde_json::Value> {
        let mut command = self.command();
        command.args(scope).arg("state").arg(container).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
        let mut said = Vec::new();
        let read = child.stdout.take()?.read_to_end(&mut said);
        // Where the engine ignores SIGCHLD, its end cannot be known.
        let failed = child.wait().is_ok_and(|status| !status.success());
        if failed || read.is_err() { None } else { serde_json::from_slice(&said).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &Path) {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_that_exists_and_is_not_refused() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(&a.path().join("runc"));
        program(&b.path().join("runc"));
        program(&b.path().join("crun"));
        std::fs::write(a.path().join("crun"), "no program").unwrap();
        let directories = [a.path().to_owned(), b.path().to_owned(), PathBuf::from("relative")];
        let names = ["missing", "runc", "crun"].map(String::from);
        assert_eq!(choose(&names, &directories, |_| false), Some(a.path().join("runc")));
        let ours = identity(&a.path().join("runc")).unwrap();
        assert_eq!(choose(&names, &directories, |file| file == ours), Some(b.path().join("runc")));
        let link = a.path().join("alias");
        std::os::unix::fs::symlink(a.path().join("runc"), &link).unwrap();
        let absolute = [link.display().to_string(), "crun".into()];
        assert_eq!(choose(&absolute, &directories, |file| file == ours), Some(b.path().join("crun")));
        assert_eq!(choose(&names, &[], |_| false), None);
    }
}
