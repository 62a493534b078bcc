//! Which C library a container's programs are loaded by.

use super::program;
use super::view::View;
use memchr::memmem;
use serde_json::Value;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// The answer for one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    pub libc: Libc,
    /// The directory of glibc's loader, with its own libraries, if it is none of the usual ones.
    pub library_dirs: Vec<String>,
    /// That loader reads `/etc/ld.so.preload`: Nix has another name for it.
    pub reads_preload_file: bool,
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

/// Looks at the loader that the container's program names, and at the one in its usual place for all others.
///
/// # Errors
/// The files could not be looked at. What is not there is an answer.
pub fn detect_loader(view: &View, spec: Option<&Value>) -> io::Result<Loader> {
    let named = spec.and_then(|spec| program::loader_of(view, spec));
    let of_musl = |path: &String| is_musl(path.rsplit('/').next().unwrap_or_default().as_bytes());
    let musl = named.as_ref().is_some_and(of_musl) || has_musl(view)?;
    let mut loading = Loader { libc: Libc::Neither, library_dirs: Vec::new(), reads_preload_file: true };
    let mut version = None;
    for loader in named.iter().filter(|path| !of_musl(path)).map(String::as_str).chain([LOADER]) {
        let Some(found) = found_or_none(view.find(loader))? else { continue };
        let library_dirs = [found.path().parent(), Path::new(loader).parent()].into_iter().flatten();
        loading.library_dirs = library_dirs.filter_map(Path::to_str).map(String::from).collect();
        let directories = loading.library_dirs.iter().map(String::as_str).chain(DIRECTORIES);
        let mut libraries: Vec<_> = directories.map(|directory| format!("{directory}/libc.so.6")).collect();
        libraries.push(loader.to_owned());
        for library in libraries {
            version = version_in(&content(view, &library)?);
            if version.is_some() {
                break;
            }
        }
        loading.reads_preload_file = reads_preload_file(&content(view, loader)?);
        loading.libc = Libc::Unknown;
        if version.is_some() {
            break;
        }
    }
    loading.libc = match (loading.libc, version, musl) {
        (Libc::Neither, _, false) => Libc::Neither,
        (_, Some(version), false) => Libc::Glibc(version),
        (_, Some(version), true) => Libc::GlibcAndMusl(version),
        (_, None, true) => Libc::Musl,
        (_, None, false) => Libc::Unknown,
    };
    Ok(loading)
}

fn has_musl(view: &View) -> io::Result<bool> {
    let Some(lib) = found_or_none(view.find("/lib"))? else { return Ok(false) };
    let Some(names) = found_or_none(lib.names())? else { return Ok(false) };
    Ok(names.iter().any(|name| is_musl(name.as_bytes())))
}

fn is_musl(name: &[u8]) -> bool {
    name.starts_with(b"ld-musl-") && name.ends_with(b".so.1")
}

/// What is not there, told from what could not be looked at.
///
/// # Errors
/// Any but those by which a path leads nowhere.
pub fn found_or_none<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    use rustix::io::Errno;
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The bytes of a file; none for what is no file.
fn content(view: &View, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(found) = found_or_none(view.find(path))?.filter(super::Found::is_file) {
        found.open()?.take(LIBC_LIMIT).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Whether a loader reads the file by its usual name, as far as its text tells.
pub(super) fn reads_preload_file(loader: &[u8]) -> bool {
    memmem::find(loader, b"/etc/ld.so.preload\0").is_some()
        || memmem::find(loader, b".so.preload\0").is_none()
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
