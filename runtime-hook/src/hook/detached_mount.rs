//! Mounts by descriptor: the source is opened where it is visible and mounted where it is wanted. The kernel never resolves
//! a path of an image for us.
//!
//! Kernels before 5.2 do not have the calls for detached mounts, and some sandboxes refuse them. `mount` does the same
//! there, with the source opened in the container's mount namespace, which still has the host's tree.

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_bind, mount_remount, move_mount, open_tree,
    unmount,
};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Something to mount.
#[derive(Debug)]
pub enum MountSource {
    /// A detached mount.
    Detached(OwnedFd),
    /// A path of the host, opened when it is mounted.
    AtPath(PathBuf),
    /// A file of this name in a directory.
    Named(OwnedFd, &'static str),
}

/// What programs may do with a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Read, and map as a library.
    Map,
    /// Read and write.
    Write,
}

/// Whether an error says that the kernel or a sandbox does not offer a call.
pub fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP)
}

/// The first of the calls for detached mounts that is not offered here, for `doctor`.
pub fn unsupported_call() -> Option<(&'static str, Errno)> {
    open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .err()
        .filter(|error| is_unsupported(*error))
        .map(|error| ("open_tree", error))
}

impl MountSource {
    /// What is mounted at a path of the host.
    ///
    /// # Errors
    /// The path cannot be opened.
    pub fn of_host_path(path: &Path) -> Result<MountSource> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        match open_tree(CWD, path, flags) {
            Ok(tree) => Ok(MountSource::Detached(tree)),
            Err(error) if is_unsupported(error) => Ok(MountSource::AtPath(path.to_owned())),
            Err(error) => Err(error).with_context(|| format!("cannot take hold of {}", path.display())),
        }
    }

    /// A file with this text, in a tmpfs of its own, so that nothing has to be removed later. Where that is not offered, in
    /// `directory`, which the caller makes in the container.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn of_text(
        text: &str,
        name: &'static str,
        directory: impl FnOnce() -> Result<OwnedFd>,
    ) -> Result<MountSource> {
        let mount = match small_tmpfs() {
            Ok(mount) => mount,
            Err(error) if is_unsupported(error) => {
                let directory = directory()?;
                // The file of an earlier start.
                let _ = rustix::fs::unlinkat(&directory, name, rustix::fs::AtFlags::empty());
                write_file(&directory, name, text)?;
                return Ok(MountSource::Named(directory, name));
            }
            Err(error) => return Err(error).context("cannot make a small tmpfs"),
        };
        write_file(&mount, name, text)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(&mount, name, flags).with_context(|| format!("cannot take hold of {name}"))?;
        Ok(MountSource::Detached(tree))
    }

    /// Mounts it over what `target` is open on.
    ///
    /// # Errors
    /// The kernel's, with what was tried.
    pub fn mount_over(self, target: BorrowedFd, access: Access) -> Result<()> {
        let attributes = MountFlags::BIND
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | match access {
                Access::Read => MountFlags::RDONLY | MountFlags::NOEXEC,
                Access::Map => MountFlags::RDONLY,
                Access::Write => MountFlags::NOEXEC,
            };
        match &self {
            MountSource::Detached(tree) => {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
                move_mount(tree, "", target, "", flags).context("cannot mount into the container")?;
                mount_remount(fd_path(tree), attributes, "").context("cannot restrict the mount")
            }
            MountSource::AtPath(path) => bind(|| openat(CWD, path, OPEN, Mode::empty()), target, attributes)
                .with_context(|| format!("cannot mount {} into the container", path.display())),
            MountSource::Named(directory, name) => {
                bind(|| openat(directory, *name, OPEN | OFlags::NOFOLLOW, Mode::empty()), target, attributes)
                    .with_context(|| format!("cannot mount {name} into the container"))
            }
        }
    }
}

const OPEN: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn fd_path(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Binds what `open` opens at the target, with these attributes. A descriptor of the target leads below the new mount, so
/// its attributes cannot be set there: the source is first mounted over itself with them, and that mount is copied.
fn bind(
    open: impl Fn() -> rustix::io::Result<OwnedFd>,
    target: BorrowedFd,
    attributes: MountFlags,
) -> rustix::io::Result<()> {
    let source = open()?;
    mount_bind(fd_path(&source), fd_path(&source))?;
    let above = open()?;
    let done = mount_remount(fd_path(&above), attributes, "")
        .and_then(|()| mount_bind(fd_path(&above), fd_path(&target)));
    let undone = unmount(fd_path(&above), UnmountFlags::DETACH);
    done.and(undone)
}

fn small_tmpfs() -> rustix::io::Result<OwnedFd> {
    let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(filesystem.as_fd(), "mode", "0755")?;
    fsconfig_set_string(filesystem.as_fd(), "size", "1m")?;
    fsconfig_create(filesystem.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(filesystem.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn write_file(directory: &OwnedFd, name: &str, text: &str) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from_raw_mode(0o644))
        .with_context(|| format!("cannot make {name}"))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(text.as_bytes()).with_context(|| format!("cannot write {name}"))
}
