//! The runtimes that a start has passed through, so that none is started twice. A variable carries the list. A script that
//! clears its environment keeps its descriptors, so for scripts a memfd carries the list as well.

use crate::{constants, fsize_limit};
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the kernel calls the file in memory.
const LINK: &str = "/memfd:nvshare-runtime-chain";
const NAME: &str = "nvshare-runtime-chain";

pub(super) fn from_variable() -> Vec<PathBuf> {
    decode(&std::env::var_os(constants::CHAIN_VARIABLE).unwrap_or_default())
}

pub(super) fn from_memfd() -> Vec<PathBuf> {
    let text = descriptor().and_then(|path| fs::read(path).ok()).unwrap_or_default();
    decode(&OsString::from_vec(text))
}

/// The inherited file in memory, by its name among our descriptors.
fn descriptor() -> Option<PathBuf> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| {
        fs::read_link(path).is_ok_and(|target| target.as_os_str().as_bytes().starts_with(LINK.as_bytes()))
    })
}

/// Hands the chain to a script by descriptor. Other runtimes get only the descriptors that they would get without us.
pub(super) fn hand_to_script(below: &Path, chain: &[PathBuf]) {
    if !is_script(below) {
        return;
    }
    let there = descriptor();
    // Without it a script that clears its environment and leads back to us is started again.
    let path = there.or_else(|| {
        let made = memfd_create(NAME, MemfdFlags::empty()).ok()?;
        let path = format!("/proc/self/fd/{}", made.as_raw_fd());
        let _stays_open = made.into_raw_fd();
        Some(path.into())
    });
    let text = encode(chain);
    if let (Some(path), Ok(_limit)) = (path, fsize_limit::raise_for(text.len() as u64)) {
        let _ = fs::write(path, text.as_bytes());
    }
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// The chain as one string: colons separate the paths.
pub(super) fn encode(chain: &[PathBuf]) -> OsString {
    let mut text = Vec::new();
    for path in chain {
        if !text.is_empty() {
            text.push(b':');
        }
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b':' => text.extend(b"%3A"),
                b'%' => text.extend(b"%25"),
                other => text.push(*other),
            }
        }
    }
    OsString::from_vec(text)
}

fn decode(text: &OsStr) -> Vec<PathBuf> {
    let words = text.as_bytes().split(|byte| *byte == b':').filter(|word| !word.is_empty());
    words.map(|word| PathBuf::from(OsString::from_vec(unescape(word)))).collect()
}

fn unescape(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let known =
            [(&b"%3A"[..], b':'), (b"%25", b'%')].into_iter().find(|(escape, _)| rest.starts_with(escape));
        match known {
            Some((escape, byte)) => {
                bytes.push(byte);
                rest = &rest[escape.len()..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

pub(super) fn display(chain: &[PathBuf]) -> String {
    chain.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_comes_back() {
        let chain: Vec<PathBuf> =
            ["/a:b/runc", "/%3A", "/%25:", "/plain"].iter().map(PathBuf::from).collect();
        assert_eq!(decode(&encode(&chain)), chain);
        assert_eq!(decode(OsStr::new("/a::/b")), ["/a", "/b"].map(PathBuf::from));
        assert!(decode(OsStr::new("")).is_empty());
    }
}
