//! Reads and replaces a bundle's files. Whatever happens, a file has either its whole old text or its whole new one.

use crate::{fsize_limit, json};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A config.json is some tens of KiB.
const LIMIT: u64 = 64 << 20;
/// Opening a FIFO in the place of config.json must not block.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// A JSON file that may be replaced.
#[derive(Debug)]
pub struct JsonFile {
    /// Without symlinks, so that the file and not a link to it is replaced.
    path: PathBuf,
    metadata: fs::Metadata,
    pub value: Value,
    text: Vec<u8>,
    is_reset: bool,
}

impl JsonFile {
    pub fn read(path: &Path) -> Result<JsonFile> {
        let real = fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
        let named = || format!("cannot read {}", real.display());
        let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&real).with_context(named)?;
        let metadata = file.metadata().with_context(named)?;
        if !metadata.is_file() || metadata.len() > LIMIT {
            bail!("{} is not a file of less than 64 MiB", real.display());
        }
        let mut text = Vec::with_capacity(metadata.len() as usize);
        file.take(LIMIT).read_to_end(&mut text).with_context(named)?;
        let value =
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", real.display()))?;
        Ok(JsonFile { path: real, metadata, value, text, is_reset: false })
    }

    /// Replaces the file by `value`, with the same owner and mode.
    ///
    /// # Errors
    /// It cannot be written, or a key of it would be lost.
    pub fn replace(&self) -> Result<()> {
        self.replace_by(&self.value)
    }

    /// Replaces the file by another value.
    ///
    /// # Errors
    /// As [`JsonFile::replace`].
    pub fn replace_by(&self, value: &Value) -> Result<()> {
        if let Some(reason) = json::duplicate_key(&self.text) {
            bail!("{}: {reason}", self.path.display());
        }
        let text = serde_json::to_vec(value)?;
        let mode = self.metadata.permissions().mode() & 0o7777;
        let owner = (self.metadata.uid(), self.metadata.gid());
        write_atomically(&self.path, &text, mode, Some(owner))
    }

    /// What [`JsonFile::replace`] would write.
    pub fn rendered(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.value)?)
    }

    /// Takes the value of an earlier version of this file, which lies beside it.
    pub fn reset(&mut self, earlier: JsonFile) {
        (self.value, self.is_reset) = (earlier.value, true);
    }

    pub fn is_reset(&self) -> bool {
        self.is_reset
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text that was read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// Writes a file beside its final name and renames it there.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let name = path.file_name().context("a path without a file name")?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.nvshare-{}", std::process::id()));
    let written = write_beside(&beside, bytes, mode, owner)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    // A leftover of an earlier process with our pid; create_new refuses anything that is put there meanwhile.
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some((uid, gid)) = owner {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (uid, gid) {
            fchown(&file, Some(uid), Some(gid))?;
        }
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    let _limit = fsize_limit::raise_for(bytes.len() as u64)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mode_survives_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, "{\"a\":1}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let mut file = JsonFile::read(&path).unwrap();
        file.value["b"] = json!(2);
        file.replace().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1,\"b\":2}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o604);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_keeps_being_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "{}").unwrap();
        let link = dir.path().join("config.json");
        std::os::unix::fs::symlink("real", &link).unwrap();
        let mut file = JsonFile::read(&link).unwrap();
        file.value["x"] = json!(true);
        file.replace().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(dir.path().join("real")).unwrap(), "{\"x\":true}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let said = |path: &Path| format!("{:#}", JsonFile::read(path).unwrap_err());
        assert!(said(&path).contains("cannot read"));
        fs::write(&path, "{\"a\":").unwrap();
        assert!(said(&path).contains("config.json is not JSON"));
        assert!(said(dir.path()).contains("is not a file"));
    }
}
