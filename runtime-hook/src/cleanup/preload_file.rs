//! What programs made of `/etc/ld.so.preload`, which was a mount of a copy, and what lies below that mount.

use crate::rootfs::{self, Found, Preload, View};
use crate::{constants, fsize_limit};
use anyhow::{Result, bail};
use rustix::fs::{AtFlags, FileType, OFlags, statat, unlinkat};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The copy that the container's programs could write.
pub(super) struct WritableCopy {
    text: String,
    permissions: fs::Permissions,
}

impl WritableCopy {
    pub fn read(path: &Path) -> Result<WritableCopy> {
        const PLAIN: i32 = (OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()) as i32;
        let file = OpenOptions::new().read(true).custom_flags(PLAIN).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > rootfs::PRELOAD_LIMIT {
            bail!("it is no file of at most 64 KiB");
        }
        let mut text = String::new();
        file.take(rootfs::PRELOAD_LIMIT).read_to_string(&mut text)?;
        Ok(WritableCopy { text, permissions: metadata.permissions() })
    }

    /// Writes what programs made of the copy into the rootfs, without `entries`, our own. `before` is what lay there at the
    /// start. What a program, or the engine's user (`docker cp`), has put there since is theirs: it stays. So does what the
    /// container's root, who is the user `root` on the host, could not write.
    pub fn write_back(self, view: &View, before: Option<&str>, entries: &[String], root: u32) -> Result<()> {
        let without = |text: &str| {
            entries.iter().fold(text.to_owned(), |text, entry| rootfs::without_entry(&text, entry))
        };
        let merged = |text: &str| rootfs::merged_preload(text, &entries[0]);
        let wanted = without(&self.text);
        let before = before.unwrap_or_default();
        // But for white space, which goes with our entry.
        let is_unchanged = without(&merged(before)) == wanted;
        // Looked up once: a process that is still there could put a device in its place.
        let Some(found) = rootfs::found_or_none(view.find(constants::ETC_PRELOAD))? else { return Ok(()) };
        match rootfs::read_preload(&found) {
            Preload::Missing => Ok(()),
            Preload::Unusable(reason) => bail!("{reason}"),
            Preload::Text { volume: Some(_), .. } => Ok(()),
            Preload::Text { text, .. } if text == before && is_unchanged && without(&text) == text => Ok(()),
            Preload::Text { text, .. } if text == before => {
                write(&found, &wanted, Some(&self.permissions), root)
            }
            // A copy of the file that was made while it was ours, with our entry in it.
            Preload::Text { text, .. } if without(&text) != text => {
                write(&found, &without(&text), None, root)
            }
            Preload::Text { .. } if is_unchanged => Ok(()),
            Preload::Text { .. } => bail!("another file was put in its place"),
        }
    }
}

/// Removes the empty file that was made to mount over, if it is empty still.
pub(super) fn remove_created_file(view: &View) -> Result<()> {
    let (directory, name) =
        constants::ETC_PRELOAD.rsplit_once('/').expect("the constant is an absolute path");
    let Some(directory) = rootfs::found_or_none(view.find(directory))?.filter(|found| found.volume.is_none())
    else {
        return Ok(());
    };
    let Ok(there) = statat(&directory.fd, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    if FileType::from_raw_mode(there.st_mode) == FileType::RegularFile && there.st_size == 0 {
        unlinkat(&directory.fd, name, AtFlags::empty())?;
    }
    Ok(())
}

/// Writes a text, with the mode that programs gave their file, but for what would let others run it with its owner's rights.
fn write(target: &Found, text: &str, permissions: Option<&fs::Permissions>, root: u32) -> Result<()> {
    if !target.is_file() || target.volume.is_some() {
        bail!("it is not the rootfs's own file");
    }
    if !target.is_of_root(root)? {
        bail!("it is not the container's root's");
    }
    let path = format!("/proc/self/fd/{}", target.fd.as_raw_fd());
    let _limit = fsize_limit::raise_for(text.len() as u64)?;
    let mut file = OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    // Written before it is shortened, so that a full disk does not leave an empty file.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    if let Some(permissions) = permissions {
        file.set_permissions(fs::Permissions::from_mode(permissions.mode() & 0o777))?;
    }
    Ok(())
}
