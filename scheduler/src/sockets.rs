//! The runtime directory: who owns it, and the sockets in it.
use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::Backlog;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Group, chown};
use nvshare_protocol::paths::{CONTROL_SOCKET, READER_SOCKET, TENANT_SOCKET, TENANTS_DIR, USER_SOCKET};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The lock file. It lies in the directory, so that two daemons with the same directory meet.
const LOCK: &str = "scheduler.lock";

/// Connections that wait at everybody's socket.
const USERS_BACKLOG: i32 = 64;

/// The group of operators where no other is set.
const GROUP: &str = "nvshare";

/// A runtime directory that is this process's until it is dropped.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    /// Whether another scheduler had it before.
    pub inherited: bool,
    _lock: Flock<File>,
}

/// An open socket; dropped, its file is gone.
#[derive(Debug)]
pub struct Listening {
    pub listener: UnixListener,
    pub file: SocketFile,
}

/// A socket's file; dropped, it is removed.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl RuntimeDir {
    /// Makes the directory where it is missing, and claims it.
    ///
    /// # Errors
    /// Where it cannot be made, or another scheduler has it.
    pub fn claim(path: &Path) -> Result<Self> {
        directory(path)?;
        let lock = path.join(LOCK);
        let mut options = OpenOptions::new();
        // Whoever may open it may lock it, and so keep the next daemon from starting.
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.with_context(|| format!("{} cannot be opened", lock.display()))?;
        file.set_permissions(Permissions::from_mode(0o600))
            .with_context(|| format!("{} cannot be closed to others", lock.display()))?;
        let mut held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = fs::read_to_string(&lock).unwrap_or_default();
                bail!(
                    "another nvshare-scheduler (pid {}) serves {}: stop it, or give this one another --runtime-dir",
                    pid.trim(),
                    path.display()
                );
            }
            Err((_, error)) => bail!("{} cannot be locked: {error}", lock.display()),
        };
        // Each daemon leaves its pid.
        let inherited = held.metadata().is_ok_and(|found| found.len() > 0);
        held.set_len(0)
            .and_then(|()| writeln!(held, "{}", std::process::id()))
            .with_context(|| format!("{} cannot be written", lock.display()))?;
        Ok(Self { path: path.to_owned(), inherited, _lock: held })
    }

    /// The tenants' socket.
    ///
    /// # Errors
    /// Where something stands in its place, or it cannot be made.
    pub fn tenants(&self, mode: u32) -> Result<Listening> {
        let tenants = self.path.join(TENANTS_DIR);
        directory(&tenants)?;
        listen(&tenants.join(TENANT_SOCKET), mode, None)
    }

    /// Everybody's socket, where users see their own tenants.
    ///
    /// # Errors
    /// As [`Self::tenants`].
    pub fn users(&self) -> Result<Listening> {
        let users = listen(&self.path.join(USER_SOCKET), 0o666, None)?;
        // Else who connects without end makes a line in which others wait for long.
        nix::sys::socket::listen(&users.listener, Backlog::new(USERS_BACKLOG)?)
            .with_context(|| format!("the line before {USER_SOCKET} cannot be made shorter"))?;
        Ok(users)
    }

    /// The socket of those who may see all, for root, the daemon's user and `group`; none: there is none, and one that
    /// an earlier scheduler has left is gone.
    ///
    /// # Errors
    /// As [`Self::operators`].
    pub fn readers(&self, group: Option<&str>) -> Result<Option<Listening>> {
        let path = self.path.join(READER_SOCKET);
        let Some(name) = group else {
            clear(&path)?;
            return Ok(None);
        };
        if let Some(fault) = missing_group("reader_group", name) {
            bail!("{fault}");
        }
        let found = Group::from_name(name).ok().flatten();
        listen(&path, 0o660, found.map(|found| (found, true))).map(Some)
    }

    /// The operators' socket, for root, the daemon's user and `group`.
    ///
    /// # Errors
    /// As [`Self::tenants`], and a named group that does not exist.
    pub fn operators(&self, group: Option<&str>) -> Result<Listening> {
        shared(&self.path.join(CONTROL_SOCKET), group)
    }
}

/// What is wrong with the setting `key`, which names this group.
#[must_use]
pub fn missing_group(key: &str, name: &str) -> Option<String> {
    let found = Group::from_name(name).ok().flatten();
    found
        .is_none()
        .then(|| format!("[sockets] {key} = {name:?} is not allowed: this machine has no such group"))
}

/// A socket for root, the daemon's user and `group`.
///
/// # Errors
/// Where something stands in its place, it cannot be made, or a named group does not exist.
pub fn shared(path: &Path, group: Option<&str>) -> Result<Listening> {
    if let Some(fault) = group.and_then(|name| missing_group("control_group", name)) {
        bail!("{fault}");
    }
    let found = Group::from_name(group.unwrap_or(GROUP)).ok().flatten();
    listen(path, 0o660, found.map(|found| (found, group.is_some())))
}

fn directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be opened to others", path.display()))
}

/// Whether the file is to have a group, and whether it must.
type Owner = Option<(Group, bool)>;

fn listen(path: &Path, mode: u32, group: Owner) -> Result<Listening> {
    clear(path)?;
    // Nobody may connect before the mode and the group are what they should be.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.with_context(|| format!("{} cannot be opened", path.display()))?;
    let file = SocketFile(path.to_owned());
    if let Some((group, must)) = group
        && let Err(error) = chown(path, None, Some(group.gid))
    {
        let line = format!("{} cannot be given to the group {}: {error}", path.display(), group.name);
        if must {
            bail!(line);
        }
        tracing::warn!("{line}; only its owner can use it");
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
        .and_then(|()| listener.set_nonblocking(true))
        .with_context(|| format!("{} cannot be given mode {mode:04o}", path.display()))?;
    Ok(Listening { listener, file })
}

/// Makes room for a socket: removes a dead one, or an empty directory, which `docker -v` makes where a source is missing.
/// Anything else is left alone.
fn clear(path: &Path) -> Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be seen", path.display())),
    };
    let shown = path.display();
    if kind.is_socket() {
        match UnixStream::connect(path) {
            Ok(_) => bail!(
                "{shown}: another process answers on this socket: stop it, or use another --runtime-dir"
            ),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error).with_context(|| format!("{shown} cannot be tried")),
        }
        tracing::info!("{shown}: removing the socket of a scheduler that is gone");
        return fs::remove_file(path).with_context(|| format!("{shown} cannot be removed"));
    }
    if kind.is_dir() {
        fs::remove_dir(path).with_context(|| {
            format!("{shown} is a directory and not empty, where the socket should be: move it away")
        })?;
        tracing::warn!(
            "{shown}: removed an empty directory where the socket should be; a container was started \
             with this path while no scheduler ran. Bind the directory above it instead"
        );
        return Ok(());
    }
    bail!("{shown} is neither a socket nor a directory: move it away");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_dead_socket_and_an_empty_directory_make_room() {
        let dir = temp();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(listen(&path, 0o666, None).unwrap());
        assert!(!path.exists(), "a socket's file goes with it");
        fs::create_dir(&path).unwrap();
        let open = listen(&path, 0o640, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        drop(open);
    }

    #[test]
    fn what_is_somebodys_stays() {
        let dir = temp();
        let path = dir.path().join("s");
        fs::create_dir_all(path.join("data")).unwrap();
        let error = listen(&path, 0o666, None).unwrap_err().to_string();
        assert!(
            error.ends_with("is a directory and not empty, where the socket should be: move it away"),
            "{error}"
        );
        let path = dir.path().join("f");
        fs::write(&path, "x").unwrap();
        let error = listen(&path, 0o666, None).unwrap_err().to_string();
        assert!(error.ends_with("is neither a socket nor a directory: move it away"), "{error}");
        let path = dir.path().join("live");
        let _alive = UnixListener::bind(&path).unwrap();
        let error = listen(&path, 0o666, None).unwrap_err().to_string();
        assert!(error.contains("another process answers on this socket"), "{error}");
    }

    #[test]
    fn a_directory_has_one_scheduler() {
        let dir = temp();
        let first = RuntimeDir::claim(dir.path()).unwrap();
        let error = RuntimeDir::claim(dir.path()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("another nvshare-scheduler (pid {}) serves", std::process::id())),
            "{error}"
        );
        assert!(!first.inherited);
        drop(first);
        assert!(RuntimeDir::claim(dir.path()).unwrap().inherited);
    }

    #[test]
    fn nobody_else_may_open_the_lock() {
        let dir = temp();
        let lock = dir.path().join(LOCK);
        fs::write(&lock, "7\n").unwrap();
        fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
        let _claimed = RuntimeDir::claim(dir.path()).unwrap();
        assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_group_that_is_named_must_exist() {
        let dir = temp();
        let claimed = RuntimeDir::claim(dir.path()).unwrap();
        let error = claimed.operators(Some("no-such-group-here")).unwrap_err().to_string();
        assert_eq!(
            error,
            "[sockets] control_group = \"no-such-group-here\" is not allowed: this machine has no such group"
        );
        claimed.operators(None).unwrap();
    }
}
