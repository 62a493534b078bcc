//! Pieces of filesystem in hand: opened where they are visible, set down where they are wanted, by descriptor
//! alone, so that no path of an image is ever followed by the kernel on our behalf.

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree,
};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A detached mount.
#[derive(Debug)]
pub struct Tree(OwnedFd);

impl Tree {
    /// A copy of what is mounted at a path of the host.
    pub fn of_host(path: &Path) -> Result<Tree> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree =
            open_tree(CWD, path, flags).with_context(|| format!("cannot take hold of {}", path.display()))?;
        Ok(Tree(tree))
    }

    /// One file with a text, in a filesystem of its own: nothing has to be cleaned up later.
    pub fn of_text(text: &str) -> Result<Tree> {
        let make = || -> rustix::io::Result<OwnedFd> {
            let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(filesystem.as_fd(), "mode", "0755")?;
            fsconfig_set_string(filesystem.as_fd(), "size", "1m")?;
            fsconfig_create(filesystem.as_fd())?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            fsmount(filesystem.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        let mount = make().context("cannot make a small tmpfs")?;
        let name = crate::names::PRELOAD_NAME;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file =
            openat(&mount, name, flags, Mode::from_raw_mode(0o644)).context("cannot make a file in it")?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        File::from(file).write_all(text.as_bytes()).context("cannot write the merged ld.so.preload")?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(Tree(open_tree(&mount, name, flags).context("cannot take hold of the merged ld.so.preload")?))
    }

    /// Mounts it over what `target` is open on, then makes it read-only. `exec`: programs may map it.
    pub fn set_down(self, target: BorrowedFd, exec: bool) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, "", target, "", flags).context("cannot mount into the container")?;
        let mut attributes = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        if !exec {
            attributes |= MountFlags::NOEXEC;
        }
        mount_remount(format!("/proc/self/fd/{}", self.0.as_raw_fd()), attributes, "")
            .context("cannot make the mount read-only")
    }
}
