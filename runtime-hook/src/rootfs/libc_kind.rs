//! Which C library a container's programs are loaded by.

use super::view::View;
use memchr::memmem;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// The answer. A version is (major, minor).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    Glibc((u32, u32)),
    Musl,
    /// Both are installed; which one a program uses is its own affair.
    GlibcAndMusl((u32, u32)),
    /// A loader of glibc's name whose version cannot be told.
    Unknown,
    /// Nothing that could load a library.
    Neither,
}

#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "x86_64")]
pub(super) const DIRECTORIES: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib", "/usr/lib"];
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";
#[cfg(target_arch = "aarch64")]
pub(super) const DIRECTORIES: [&str; 6] =
    ["/lib/aarch64-linux-gnu", "/lib64", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib", "/usr/lib"];

/// A glibc is about 2 MB; more than this is not one.
const LIBC_LIMIT: u64 = 64 << 20;

pub fn look(view: &View) -> Libc {
    let musl = has_musl(view);
    if view.find(LOADER).is_err() {
        return if musl { Libc::Musl } else { Libc::Neither };
    }
    let libraries = DIRECTORIES.iter().map(|directory| format!("{directory}/libc.so.6"));
    let version = libraries.chain([LOADER.to_string()]).find_map(|path| version_of(view, &path));
    match (version, musl) {
        (Some(version), false) => Libc::Glibc(version),
        (Some(version), true) => Libc::GlibcAndMusl(version),
        (None, true) => Libc::Musl,
        (None, false) => Libc::Unknown,
    }
}

fn has_musl(view: &View) -> bool {
    let names = view.find("/lib").and_then(|lib| lib.names()).unwrap_or_default();
    names.iter().any(|name| {
        let name = name.as_bytes();
        name.starts_with(b"ld-musl-") && name.ends_with(b".so.1")
    })
}

fn version_of(view: &View, path: &str) -> Option<(u32, u32)> {
    let mut bytes = Vec::new();
    view.find(path).ok()?.open().ok()?.take(LIBC_LIMIT).read_to_end(&mut bytes).ok()?;
    version_in(&bytes)
}

/// "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36." in the library's own bytes.
pub(super) fn version_in(bytes: &[u8]) -> Option<(u32, u32)> {
    const TEXT: &[u8] = b" release version ";
    memmem::find_iter(bytes, TEXT).find_map(|at| {
        let rest = &bytes[at + TEXT.len()..];
        let digit = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
        let end = rest.iter().take(16).take_while(digit).count();
        let (major, minor) = std::str::from_utf8(&rest[..end]).ok()?.trim_end_matches('.').split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}
