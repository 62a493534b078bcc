//! How the loader of a container's programs can be told of the library, or why it cannot.

use crate::rootfs::{self, Found, Libc, Loader, Preload, Requirements, View, Volume};
use crate::settings::{Method, RuntimeSettings};
use crate::unmanageable::{Failure, PreloadFileError, Unmanageable};
use crate::{constants, spec};
use anyhow::{Context, Result, anyhow};
use rustix::fs::{StatVfsMountFlags, fstatvfs};
use serde_json::Value;

/// What reaches this container's programs.
#[derive(Debug)]
pub struct Methods {
    /// `LD_PRELOAD` would harm none of them.
    pub env: bool,
    /// `/etc/ld.so.preload`, where it can be had. It is taken alone then: an environment also reaches programs that the
    /// library is not for (of musl, of 32 bits, below another root), which complain or do not start.
    pub file: Option<EtcPreload>,
}

/// The container's `/etc/ld.so.preload` as its programs would find it without us.
#[derive(Debug)]
pub struct EtcPreload {
    /// Empty if there is none.
    pub text: String,
    /// There is none, so that the runtime below makes an empty file to mount over.
    pub made: bool,
    /// Nobody in the container could write it.
    pub read_only: bool,
    /// The host's ids of the container's root.
    pub owner: (u32, u32),
}

/// The methods that reach this container's programs without harming any.
///
/// # Errors
/// There are none, or the host does not let us find out.
pub fn methods(view: &View, spec: &Value, settings: &RuntimeSettings) -> Result<Methods, Failure> {
    let loader =
        rootfs::detect_loader(view, Some(spec)).context("cannot look into the container's rootfs")?;
    check(view, &loader, &requirements(settings)?)?;
    // What cannot be looked at is no reason for the other method.
    let found = rootfs::found_or_none(view.find(constants::ETC_PRELOAD))
        .context("cannot look into the container's rootfs")?;
    // A program of musl would not start with a library of glibc in LD_PRELOAD; it ignores the file.
    let env = matches!(loader.libc, Libc::Glibc(_)) && settings.preload != Method::File;
    let file = match settings.preload {
        Method::Env => Err(PreloadFileError::SwitchedOff),
        _ if !loader.reads_preload_file => Err(PreloadFileError::IgnoredByLoader),
        _ => etc_preload(view, found.as_ref(), spec),
    };
    match file {
        Err(reason) if !env => Err(Unmanageable::NoMethod(reason).into()),
        file => Ok(Methods { env, file: file.ok() }),
    }
}

/// Whether this loader can load the library; if it can, the version of its glibc.
///
/// # Errors
/// It cannot.
pub fn check(view: &View, loader: &Loader, requirements: &Requirements) -> Result<(u32, u32), Unmanageable> {
    match loader.libc {
        Libc::Glibc(version) | Libc::GlibcAndMusl(version) => {
            requirements.check(view, version, &loader.library_dirs).map(|()| version)
        }
        Libc::Musl => Err(Unmanageable::Musl),
        Libc::Unknown => Err(Unmanageable::UnknownGlibc),
        Libc::Neither => Err(Unmanageable::NoLoader),
    }
}

/// What the library needs of an image.
///
/// # Errors
/// The library cannot be read; the message says what to do.
pub fn requirements(settings: &RuntimeSettings) -> Result<Requirements> {
    Requirements::of(&settings.library)
        .map_err(|error| anyhow!("the library cannot be used: {error:#}; install nvshare or set `library`"))
}

/// What was `found` at `/etc/ld.so.preload`, or why nothing can be mounted there.
fn etc_preload(view: &View, found: Option<&Found>, spec: &Value) -> Result<EtcPreload, PreloadFileError> {
    let owner = spec::host_ids_of_root(spec);
    let is_read_only =
        |found: &Found| spec::is_root_read_only(spec) || !found.is_of_root(owner.0).unwrap_or(false);
    match found.map(|found| (found, rootfs::read_preload(found))) {
        // What would be written to the host's own file must not end in a copy, nor be refused.
        Some((_, Preload::Text { volume: Some(Volume::Writable), .. })) => Err(PreloadFileError::InAVolume),
        Some((found, Preload::Text { text, volume })) => {
            Ok(EtcPreload { text, made: false, read_only: volume.is_some() || is_read_only(found), owner })
        }
        Some((_, Preload::Unusable(reason))) => Err(PreloadFileError::Unreadable(reason)),
        Some((_, Preload::Missing)) | None => {
            let directory = can_be_created(view)?;
            let read_only = is_read_only(&directory);
            Ok(EtcPreload { text: String::new(), made: true, read_only, owner })
        }
    }
}

/// The deepest directory that is there on the way to the missing `/etc/ld.so.preload`, if the runtime below can create the
/// rest.
fn can_be_created(view: &View) -> Result<Found, PreloadFileError> {
    let failed =
        |path| move |error: std::io::Error| PreloadFileError::Inaccessible { path, error: error.to_string() };
    let mut directory = view.find("/").map_err(failed("/"))?;
    for (name, path) in [("etc", "/etc"), ("ld.so.preload", constants::ETC_PRELOAD)] {
        match rootfs::found_or_none(view.find(path)).map_err(failed(path))? {
            Some(found) if found.is_directory() => directory = found,
            Some(_) => return Err(PreloadFileError::NotADirectory(path)),
            None if directory.names().map_err(failed(path))?.iter().any(|known| known == name) => {
                return Err(PreloadFileError::DanglingSymlink(path));
            }
            None => break,
        }
    }
    if directory.volume.is_some() {
        return Err(PreloadFileError::OnTheHost);
    }
    let flags = fstatvfs(&directory.fd).map_err(|error| failed("/etc")(error.into()))?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(PreloadFileError::ReadOnlyRootfs);
    }
    Ok(directory)
}
