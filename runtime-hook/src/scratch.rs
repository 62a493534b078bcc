//! Where the small files of a container lie on the host: beside its bundle's files, or in a directory of all containers.

use crate::bundle::write_atomically;
use crate::constants;
use crate::preload::EtcPreload;
use crate::settings::RuntimeSettings;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a merged `/etc/ld.so.preload` and a policy may be written.
#[derive(Clone, Copy, Debug)]
pub enum Scratch<'a> {
    /// Beside the bundle's files; removed with the bundle.
    Bundle(&'a Path),
    /// In a directory that all containers share, one file for each text.
    Shared(&'a Path),
}

/// Writes the merged preload file, at `copy` if the container's programs may write it. Returns its path.
///
/// # Errors
/// It cannot be written.
pub fn write_preload_file(
    text: &str,
    file: &EtcPreload,
    copy: Option<PathBuf>,
    scratch: Scratch,
    settings: &RuntimeSettings,
) -> Result<PathBuf> {
    let writable = copy.is_some();
    let prepared = settings.library.with_file_name(constants::PRELOAD_NAME);
    if !writable && std::fs::read_to_string(&prepared).is_ok_and(|prepared| prepared == text) {
        return Ok(prepared);
    }
    let path = copy.map_or_else(|| path_for(scratch, constants::MERGED_PRELOAD_NAME, text), Ok)?;
    let owner = Some(file.owner).filter(|_| writable);
    let write = |owner| write_atomically(&path, text.as_bytes(), 0o644, owner);
    // Without the right to change owners, we are the container's root ourselves, or it has no other root.
    write(owner).or_else(|error| if owner.is_some() { write(None) } else { Err(error) })?;
    Ok(path)
}

/// Where the copy goes that a container's programs may write. It is always on a disk: a copy in memory could exhaust the
/// host's memory. `copies` is the directory for containers whose bundle lies in memory. None: there is no disk.
pub fn writable_copy_path(bundle: &Path, copies: &Path) -> Option<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // tmpfs and ramfs (linux/magic.h).
    let in_memory = |directory: &Path| {
        rustix::fs::statfs(directory).is_ok_and(|of| matches!(of.f_type as u64, 0x0102_1994 | 0x8584_58f6))
    };
    if !in_memory(bundle) {
        return Some(bundle.join(constants::MERGED_PRELOAD_NAME));
    }
    let mut hasher = DefaultHasher::new();
    bundle.hash(&mut hasher);
    let id = bundle.file_name()?.to_str()?;
    sweep(copies);
    let own = copies.join(format!("{:.64}-{:016x}", id, hasher.finish()));
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&own).ok()?;
    let path = own.join(constants::MERGED_PRELOAD_NAME);
    let named = write_atomically(&own.join(BUNDLE_NAME), bundle.as_os_str().as_bytes(), 0o600, None);
    if in_memory(&own) || named.is_err() {
        remove_copy(&path, copies);
        return None;
    }
    Some(path)
}

/// The file beside a copy that says which bundle it is for.
const BUNDLE_NAME: &str = "bundle";
/// The most copies that a start looks at, and the most that it lists to choose from.
const SWEPT: usize = 64;
const LISTED: usize = 4096;

/// Removes copies whose bundle has gone: a start that failed, or a container that nobody deleted through us, leaves one.
fn sweep(copies: &Path) {
    let listed = std::fs::read_dir(copies).into_iter().flatten().flatten().take(LISTED);
    let all: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    // Each start begins at another one, so that none is passed over for ever.
    let first = std::process::id() as usize % all.len().max(1);
    for own in all.iter().cycle().skip(first).take(all.len().min(SWEPT)) {
        let Ok(bundle) = std::fs::read(own.join(BUNDLE_NAME)) else { continue };
        let gone = std::fs::symlink_metadata(OsStr::from_bytes(&bundle));
        if !bundle.is_empty() && gone.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            remove_copy(&own.join(constants::MERGED_PRELOAD_NAME), copies);
        }
    }
}

/// Where a small file with this text goes on the host. In a shared directory its name is a hash of the text.
pub fn path_for(scratch: Scratch, name: &str, text: &str) -> Result<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    match scratch {
        Scratch::Bundle(bundle) => Ok(bundle.join(name)),
        Scratch::Shared(directory) => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let made = std::fs::create_dir_all(directory);
            made.with_context(|| format!("cannot make {}", directory.display()))?;
            Ok(directory.join(format!("{:016x}.{name}", hasher.finish())))
        }
    }
}

/// Removes a copy that lies in a directory of its own in `copies`.
pub fn remove_copy(copy: &Path, copies: &Path) {
    if let Some(own) = copy.parent().filter(|own| own.parent() == Some(copies)) {
        for name in [constants::MERGED_PRELOAD_NAME, BUNDLE_NAME] {
            let _ = std::fs::remove_file(own.join(name));
        }
        let _ = std::fs::remove_dir(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_writes_to_a_disk_and_not_to_the_hosts_memory() {
        let (memory, disk) = (tempfile::tempdir_in("/dev/shm").unwrap(), tempfile::tempdir().unwrap());
        let copies = disk.path().join("copies");
        let copy = |bundle: &Path| writable_copy_path(bundle, &copies).unwrap();
        let bundle = memory.path().join("c1");
        std::fs::create_dir(&bundle).unwrap();
        let own = copy(&bundle);
        assert!(own.starts_with(&copies) && own.ends_with(constants::MERGED_PRELOAD_NAME), "{own:?}");
        assert_eq!(own, copy(&bundle), "at each start of the container");
        assert_ne!(own, copy(memory.path()));
        std::fs::write(&own, "text").unwrap();
        remove_copy(&own, &copies);
        assert!(!own.parent().unwrap().exists() && copies.exists());
        assert_eq!(writable_copy_path(&bundle, memory.path()), None, "no disk to be had");
        let other = memory.path().join("c2");
        std::fs::create_dir(&other).unwrap();
        let gone = copy(&other);
        std::fs::write(&gone, "text").unwrap();
        std::fs::remove_dir(other).unwrap();
        let there = copy(&bundle);
        assert!(there.parent().unwrap().exists(), "its bundle is there");
        assert!(!gone.parent().unwrap().exists(), "its bundle has gone");
        let beside = copy(disk.path());
        assert_eq!(beside, disk.path().join(constants::MERGED_PRELOAD_NAME));
        std::fs::write(&beside, "text").unwrap();
        remove_copy(&beside, &copies);
        assert!(beside.exists(), "it goes with its bundle");
    }
}
