//! What a start found in a bundle and what it wrote there, kept beside config.json until the container is deleted: the
//! bundle is its user's, who may start it again, with nvshare or without.

use crate::bundle::{JsonFile, write_atomically};
use crate::constants;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// What the end of a container has to know of its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRecord {
    /// The digest of the config.json that the start wrote.
    document: String,
    /// The text of the image's `/etc/ld.so.preload`, which our mount covers; none if there was no file.
    pub preload: Option<String>,
}

impl StartRecord {
    /// The record of the last start of a bundle that was edited.
    pub fn of(file: &JsonFile) -> Option<StartRecord> {
        let record = JsonFile::read(&file.directory().join(constants::START_RECORD_NAME)).ok()?.value;
        let word = |key: &str| record.get(key).and_then(Value::as_str).map(String::from);
        Some(StartRecord { document: word("document")?, preload: word("preload") })
    }

    /// Whether nobody has changed the document since the start. NVIDIA's runtime, for one, edits it after us.
    pub fn is_last_to_write(&self, file: &JsonFile) -> bool {
        self.document == digest(file.text())
    }
}

/// Writes an edited document, and keeps the record and the original beside it. The original is a second link to the same
/// file. Without one (a filesystem without links) the edit can still be taken out, but not to the byte.
///
/// # Errors
/// As [`JsonFile::replace`]; nothing is left beside the document then.
pub fn replace(file: &JsonFile, preload: Option<&str>) -> Result<()> {
    let original = file.directory().join(constants::ORIGINAL_DOCUMENT_NAME);
    let record = file.directory().join(constants::START_RECORD_NAME);
    // The original of an earlier start is the original still.
    if !file.is_reset() {
        let _ = fs::remove_file(&original);
        let _ = fs::hard_link(file.path(), &original);
    }
    let text = json!({"document": digest(&file.rendered()?), "preload": preload}).to_string();
    let written = write_atomically(&record, text.as_bytes(), 0o600, None)
        .with_context(|| format!("cannot edit {}", file.path().display()))
        .and_then(|()| file.replace());
    if written.is_err() && !file.is_reset() {
        forget(file.directory());
    }
    written
}

/// Puts the original back in the document's place.
///
/// # Errors
/// There is none.
pub fn restore(file: &JsonFile) -> std::io::Result<()> {
    fs::rename(file.directory().join(constants::ORIGINAL_DOCUMENT_NAME), file.path())?;
    forget(file.directory());
    Ok(())
}

/// Removes record and original.
pub fn forget(directory: &Path) {
    for name in [constants::START_RECORD_NAME, constants::ORIGINAL_DOCUMENT_NAME] {
        let _ = fs::remove_file(directory.join(name));
    }
}

fn digest(text: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
