//! Removes our files from the rootfs of a container that has ended, before its engine keeps the rootfs: a built image holds
//! nothing of ours. What the build wrote into `/etc/ld.so.preload`, which was a copy, goes into the rootfs.

use crate::bundle::JsonFile;
use crate::rootfs::{self, Found, Preload, View};
use crate::{constants, fsize_limit, scratch, spec};
use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, OFlags, statat, unlinkat};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Cleans up the rootfs of a bundle whose programs have all ended.
///
/// # Errors
/// Something of ours stays; the message says what and why.
pub fn clean_up(bundle: &Path) -> Result<()> {
    let mut spec = JsonFile::read(&bundle.join("config.json"))?.value;
    if !spec::is_injected(&spec) || !has_own_rootfs(bundle, &spec) {
        return Ok(());
    }
    let own = remove_our_mounts(&mut spec);
    // An engine that has unmounted the rootfs already has kept it.
    let Some(view) = rootfs::found_or_none(View::of_spec(bundle, &spec))
        .context("cannot look into the container's rootfs")?
    else {
        return Ok(());
    };
    remove_mountpoints(&view, &spec);
    let Some(merged) = own else { return Ok(()) };
    let made = merged.with_file_name(constants::CREATED_MARKER_NAME).exists();
    let place = spec::injected_place(&spec).context("the mark names no place")?;
    let entries = [format!("{place}/{}", constants::LIBRARY_NAME), constants::library_by_platform(place)];
    let without =
        |text: &str| entries.iter().fold(text.to_owned(), |text, entry| rootfs::without_entry(&text, entry));
    let _copies = RemoveCopyOnDrop(&merged);
    let copy = WritableCopy::read(&merged).with_context(|| format!("cannot read {}", merged.display()))?;
    let wanted = without(&copy.text);
    // Looked up once: a process that is still there could put a device in its place.
    let Some(found) = rootfs::found_or_none(view.find(constants::ETC_PRELOAD))
        .context("cannot look for the preload file")?
    else {
        return Ok(());
    };
    match rootfs::read_preload(&found) {
        Preload::Missing => Ok(()),
        Preload::Unusable(reason) => bail!("{}: {reason}", constants::ETC_PRELOAD),
        Preload::Text { in_bind: true, .. } => Ok(()),
        Preload::Text { text, .. } if text.is_empty() && wanted.is_empty() && made => {
            remove_created_file(&view)
        }
        // Unchanged but for white space, once our entry is removed. A file that was copied while ours was mounted has the
        // entry itself.
        Preload::Text { text, .. }
            if without(&text) == text && without(&rootfs::merged_preload(&text, &entries[0])) == wanted =>
        {
            Ok(())
        }
        Preload::Text { .. } => write_back(&found, &wanted, copy.permissions),
    }
    .with_context(|| format!("{} stays in {}", constants::ETC_PRELOAD, bundle.display()))
}

/// Removes a copy that lies outside of the bundle when it is dropped.
struct RemoveCopyOnDrop<'a>(&'a Path);

impl Drop for RemoveCopyOnDrop<'_> {
    fn drop(&mut self) {
        scratch::remove_copy(self.0, Path::new(constants::WRITABLE_PRELOADS));
    }
}

/// Whether the rootfs is this container's alone. A user may run several containers on one rootfs: they would lose the
/// library with its mount points.
fn has_own_rootfs(bundle: &Path, spec: &Value) -> bool {
    let root = bundle.join(spec.pointer("/root/path").and_then(Value::as_str).unwrap_or("rootfs"));
    root.starts_with(bundle) || root.ends_with("merged") || root.to_string_lossy().contains("/vfs/dir/")
}

/// The copy that the container's programs could write.
struct WritableCopy {
    text: String,
    permissions: fs::Permissions,
}

impl WritableCopy {
    fn read(path: &Path) -> Result<WritableCopy> {
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
}

/// Removes our mounts from the document, so that it shows the rootfs without us. Returns the copy of the preload file on
/// the host, if this container has one of its own.
fn remove_our_mounts(spec: &mut Value) -> Option<PathBuf> {
    let place = format!("{}/", spec::injected_place(spec)?);
    let mounts = spec.get_mut("mounts")?.as_array_mut()?;
    mounts.retain(|mount| !spec::text(mount, "destination").starts_with(&place));
    let at = mounts.iter().rposition(|mount| spec::text(mount, "destination") == constants::ETC_PRELOAD)?;
    let source = PathBuf::from(spec::text(&mounts[at], "source"));
    (source.file_name()? == constants::MERGED_PRELOAD_NAME).then(|| {
        mounts.remove(at);
        source
    })
}

/// Removes the mount points that the runtime below made in the rootfs itself, where `/dev` is no tmpfs. Only empty files
/// and directories are ours.
fn remove_mountpoints(view: &View, spec: &Value) -> Option<()> {
    let (parent, name) = spec::injected_place(spec)?.rsplit_once('/')?;
    let place =
        view.find(spec::injected_place(spec)?).ok().filter(|found| found.is_directory() && !found.in_bind)?;
    for file in [constants::LIBRARY_NAME, constants::CONTAINER_POLICY] {
        let is_empty = |stat: rustix::fs::Stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0
        };
        if statat(&place.fd, file, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_empty) {
            let _ = unlinkat(&place.fd, file, AtFlags::empty());
        }
    }
    let _ = unlinkat(&place.fd, constants::PLACE_RUN, AtFlags::REMOVEDIR);
    let parent = view.find(if parent.is_empty() { "/" } else { parent }).ok()?;
    unlinkat(&parent.fd, name, AtFlags::REMOVEDIR).ok()
}

/// Removes the empty file that was made to mount over.
fn remove_created_file(view: &View) -> Result<()> {
    let (directory, name) =
        constants::ETC_PRELOAD.rsplit_once('/').expect("the constant is an absolute path");
    let directory = view.find(directory)?;
    let there = statat(&directory.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(there.st_mode) == FileType::RegularFile && there.st_size == 0 {
        unlinkat(&directory.fd, name, AtFlags::empty())?;
    }
    Ok(())
}

/// Writes what the container's programs wrote, with the mode that they gave it.
fn write_back(target: &Found, text: &str, permissions: fs::Permissions) -> Result<()> {
    if !target.is_file() || target.in_bind {
        bail!("it is not the rootfs's own file");
    }
    let path = format!("/proc/self/fd/{}", target.fd.as_raw_fd());
    let _limit = fsize_limit::raise_for(text.len() as u64)?;
    let mut file = OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    // Written before it is shortened, so that a full disk does not leave an empty file.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.set_permissions(permissions)?;
    Ok(())
}
