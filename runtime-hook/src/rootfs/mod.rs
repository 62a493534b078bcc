//! Looks into a container's files before it starts.

mod libc_kind;
mod program;
mod requirements;
mod view;

pub use libc_kind::{Libc, Loader, detect_loader, found_or_none};
pub use requirements::{Requirements, newest_glibc};
pub use view::{Found, View, Volume, open_directory};

use std::io::{self, Read};

/// The most bytes of an `/etc/ld.so.preload` that are believed to be one.
pub(crate) const PRELOAD_LIMIT: u64 = 64 * 1024;

/// What lies at `/etc/ld.so.preload`.
#[derive(Debug, PartialEq, Eq)]
pub enum Preload {
    /// Nothing. Whether a mount point can be made depends on the directory.
    Missing,
    /// A file with this text, the host's own where it lies in a volume.
    Text { text: String, volume: Option<Volume> },
    /// Something that we will not mount over, with the reason.
    Unusable(String),
}

pub fn etc_preload(view: &View) -> Preload {
    match view.find(crate::constants::ETC_PRELOAD) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Preload::Missing,
        Err(error) => Preload::Unusable(error.to_string()),
        Ok(found) => read_preload(&found),
    }
}

/// The same of a file that was found.
pub fn read_preload(found: &Found) -> Preload {
    match read_text(found) {
        Ok(text) => Preload::Text { text, volume: found.volume },
        Err(error) => Preload::Unusable(error.to_string()),
    }
}

fn read_text(found: &Found) -> io::Result<String> {
    let mut text = String::new();
    let read = found.open()?.take(PRELOAD_LIMIT + 1).read_to_string(&mut text)?;
    if read as u64 > PRELOAD_LIMIT {
        return Err(io::Error::other("longer than 64 KiB"));
    }
    Ok(text)
}

/// The text of a merged `/etc/ld.so.preload`: ours first, every entry and comment of the image behind it.
pub fn merged_preload(text: &str, library: &str) -> String {
    let listed = text.lines().any(|line| {
        let entries = line.split('#').next().unwrap_or_default();
        entries.split([':', ' ', '\t']).any(|entry| entry == library)
    });
    match (listed, text.is_empty()) {
        (true, _) => text.to_owned(),
        (false, true) => format!("{library}\n"),
        (false, false) => format!("{library}\n{text}"),
    }
}

/// `text` without `library`: what a program has made of a merged `/etc/ld.so.preload`.
pub fn without_entry(text: &str, library: &str) -> String {
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        let (entries, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
        let separators = [':', ' ', '\t', '\n'];
        if !entries.split(separators).any(|entry| entry == library) {
            kept.push_str(line);
            continue;
        }
        let others: Vec<_> =
            entries.split(separators).filter(|entry| !entry.is_empty() && *entry != library).collect();
        let rest = format!("{}{comment}", others.join(":"));
        if !rest.is_empty() {
            kept.push_str(&rest);
            if line.ends_with('\n') && !rest.ends_with('\n') {
                kept.push('\n');
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests;
