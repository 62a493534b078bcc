//! Takes our edit out of a bundle whose container has ended, and our files out of its rootfs, before its engine keeps the
//! rootfs: a built image holds nothing of ours. What programs wrote into `/etc/ld.so.preload`, which was a copy, goes into
//! the rootfs.

mod preload_file;

use crate::bundle::JsonFile;
use crate::rootfs::{self, View};
use crate::start_record::{self, StartRecord};
use crate::{constants, edit, scratch, spec};
use anyhow::{Context, Result};
use preload_file::WritableCopy;
use rustix::fs::{AtFlags, FileType, fstat, statat, unlinkat};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Cleans up after a container that has ended.
///
/// # Errors
/// Something of ours stays; the message says what and why.
pub fn clean_up(bundle: &Path) -> Result<()> {
    clean_up_with(bundle, Path::new(constants::WRITABLE_PRELOADS))
}

/// `copies` is the directory for copies of containers whose bundle lies in memory.
fn clean_up_with(bundle: &Path, copies: &Path) -> Result<()> {
    let file = JsonFile::read(&bundle.join("config.json"))?;
    if !spec::is_injected(&file.value) {
        return Ok(());
    }
    let remove_copy =
        |copy: &Option<PathBuf>| copy.iter().for_each(|copy| scratch::remove_copy(copy, copies));
    let record = StartRecord::of(&file);
    let ended = Ended::look_at(bundle, &file.value).inspect_err(|_| {
        // Nobody will look for it again.
        remove_copy(&edit::remove_mounts(&mut file.value.clone()));
    })?;
    let kept = ended.write_back(record.as_ref());
    if ended.is_in_use {
        // Another container runs on this rootfs: it would lose the library with its mount points.
        return kept;
    }
    let removed = ended.remove_mountpoints(record.as_ref());
    let restored = restore(&file, record.as_ref());
    // Programs can make it as long as the disk is; one that lies in the bundle goes with it.
    remove_copy(&ended.copy);
    if kept.is_ok() {
        for name in [constants::MERGED_PRELOAD_NAME, constants::POLICY_NAME, constants::STUB_NAME] {
            let _ = fs::remove_file(bundle.join(name));
        }
    }
    kept.and(removed).and(restored)
}

/// Writes into the rootfs what the programs of an earlier container of this bundle wrote, which ended without `delete`.
/// Returns whether it has ended.
///
/// # Errors
/// What they wrote cannot be kept.
pub fn catch_up(bundle: &Path, file: &JsonFile, record: &StartRecord) -> Result<bool> {
    let earlier = Ended::look_at(bundle, &file.value)?;
    if earlier.is_in_use {
        return Ok(false);
    }
    earlier.write_back(Some(record)).map(|()| true)
}

/// Puts the bundle's document back as it was before the start.
fn restore(file: &JsonFile, record: Option<&StartRecord>) -> Result<()> {
    let unchanged = record.is_some_and(|record| record.is_last_to_write(file));
    if !unchanged || start_record::restore(file).is_err() {
        file.replace_by(&edit::without(&file.value))?;
    }
    start_record::forget(file.directory());
    Ok(())
}

/// A container that has ended.
struct Ended {
    place: String,
    /// None: its engine has unmounted the rootfs already, and has kept it.
    view: Option<View>,
    /// Its copy of `/etc/ld.so.preload` on the host, if it had one of its own.
    copy: Option<PathBuf>,
    is_in_use: bool,
    /// The host's user that the container's root was.
    root: u32,
}

impl Ended {
    fn look_at(bundle: &Path, spec: &Value) -> Result<Ended> {
        let mut spec = spec.clone();
        let place = spec::injected_place(&spec).context("the mark names no place")?.to_owned();
        let copy = edit::remove_mounts(&mut spec);
        let view = rootfs::found_or_none(View::of_spec(bundle, &spec))
            .context("cannot look into the container's rootfs")?;
        let is_in_use = view.as_ref().is_some_and(is_root_of_a_process);
        let (root, _) = spec::host_ids_of_root(&spec);
        Ok(Ended { place, view, copy, is_in_use, root })
    }

    fn write_back(&self, record: Option<&StartRecord>) -> Result<()> {
        let (Some(view), Some(copy), Some(record)) = (&self.view, &self.copy, record) else { return Ok(()) };
        let entries = [
            format!("{}/{}", self.place, constants::LIBRARY_NAME),
            constants::library_by_platform(&self.place),
        ];
        let read = WritableCopy::read(copy).with_context(|| format!("cannot read {}", copy.display()));
        read.and_then(|copy| copy.write_back(view, record.preload.as_deref(), &entries, self.root))
            .with_context(|| format!("what programs wrote into {} is not kept", constants::ETC_PRELOAD))
    }

    /// Removes what the runtime below made in the rootfs itself to mount over. Only empty files and directories are ours.
    fn remove_mountpoints(&self, record: Option<&StartRecord>) -> Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        remove_place(view, &self.place);
        match record {
            Some(StartRecord { preload: None, .. }) if self.copy.is_some() => {
                preload_file::remove_created_file(view)
                    .with_context(|| format!("{} stays in the rootfs", constants::ETC_PRELOAD))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a container runs on this rootfs: a process has it as its root.
fn is_root_of_a_process(view: &View) -> bool {
    let Ok(root) = fstat(view.root()) else { return false };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut processes =
        processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    processes.any(|process| {
        // One that has ended has none; others may not be looked at.
        let its = fs::metadata(process.path().join("root"));
        its.is_ok_and(|its| (its.dev(), its.ino()) == (root.st_dev, root.st_ino))
    })
}

/// Removes our place, where `/dev` is no tmpfs.
fn remove_place(view: &View, place: &str) -> Option<()> {
    let (parent, name) = place.rsplit_once('/')?;
    let place = view.find(place).ok().filter(|found| found.is_directory() && found.volume.is_none())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A breaker's: `cat /dev/zero > /etc/ld.so.preload` filled the host's disk for good.
    #[test]
    fn a_copy_goes_with_its_container_whatever_is_in_it() {
        for (rootfs, said) in [("rootfs", "is not kept"), ("file", "cannot look into")] {
            let ground = tempfile::tempdir().unwrap();
            let at = |name: &str| ground.path().join(name);
            let copy = at("copies/c1").join(constants::MERGED_PRELOAD_NAME);
            for made in ["bundle", "rootfs", "copies/c1"] {
                fs::create_dir_all(at(made)).unwrap();
            }
            fs::write(at("file"), "").unwrap();
            fs::write(&copy, [0; 70_000]).unwrap();
            let library = "/dev/nvshare/libnvshare.so";
            let spec = json!({
                "root": {"path": at(rootfs)},
                "annotations": {constants::INJECTED_ANNOTATION: "file /dev/nvshare"},
                "mounts": [{"destination": library, "type": "bind", "source": "/x/libnvshare.so"},
                    {"destination": constants::ETC_PRELOAD, "type": "bind", "source": copy}],
            });
            fs::write(at("bundle/config.json"), spec.to_string()).unwrap();
            let record = json!({"document": "", "preload": null}).to_string();
            fs::write(at("bundle").join(constants::START_RECORD_NAME), record).unwrap();
            let error = format!("{:#}", clean_up_with(&at("bundle"), &at("copies")).unwrap_err());
            assert!(error.contains(said), "{error}");
            assert!(!at("copies/c1").exists(), "{said}");
        }
    }
}
