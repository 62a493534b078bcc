//! Mounts our files in a container's rootfs, following its symlinks one by one.

use super::detached_mount::{Access, MountSource};
use crate::rootfs::{self, Found, Preload, Requirements, View, open_directory};
use crate::settings::RuntimeSettings;
use crate::unmanageable::{Failure, PreloadFileError, Unmanageable};
use crate::{constants, preload, spec};
use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs, mkdirat, openat};
use serde_json::Value;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What is mounted from the host, opened before its mount namespace is left.
#[derive(Debug)]
pub struct Sources {
    library: MountSource,
    tenants: MountSource,
}

impl Sources {
    pub fn of_host(settings: &RuntimeSettings) -> Result<Sources> {
        let tenants = &settings.tenants_dir;
        if !tenants.is_dir() {
            bail!("the socket's directory {} is missing; start nvshare-scheduler", tenants.display());
        }
        Ok(Sources {
            library: MountSource::of_host_path(&settings.library)?,
            tenants: MountSource::of_host_path(tenants)?,
        })
    }
}

/// Puts the sources below `place` (without sources they are there already) and the merged `/etc/ld.so.preload` over the
/// image's.
///
/// # Errors
/// The image cannot load the library, or something cannot be mounted.
pub fn attach(
    root: &Path,
    spec: &Value,
    place: &str,
    sources: Option<Sources>,
    requirements: &Requirements,
    policy: &str,
) -> Result<(), Failure> {
    let view = View::of_root(open_directory(root).context("cannot look into the container's rootfs")?);
    let loader =
        rootfs::detect_loader(&view, Some(spec)).context("cannot look into the container's rootfs")?;
    preload::check(&view, &loader, requirements)?;
    if !loader.reads_preload_file {
        return Err(unusable(PreloadFileError::IgnoredByLoader));
    }
    let (old, in_volume) = match rootfs::etc_preload(&view) {
        Preload::Missing => (String::new(), false),
        Preload::Text { text, .. } => {
            let found = view.find(constants::ETC_PRELOAD).context(constants::ETC_PRELOAD)?;
            let in_volume = is_elsewhere(&view, &found)?;
            let flags = fstatvfs(&found.fd).context(constants::ETC_PRELOAD)?.f_flag;
            // What would be written to the host's own file must not end in a copy, nor be refused.
            if in_volume && !flags.contains(StatVfsMountFlags::RDONLY) {
                return Err(unusable(PreloadFileError::InAVolume));
            }
            (text, in_volume)
        }
        Preload::Unusable(reason) => return Err(unusable(PreloadFileError::Unreadable(reason))),
    };
    let target = preload_target(&view)?;
    if let Some(sources) = sources {
        let directory = make_directories(&view, place)?;
        let library = make_file(&directory, constants::LIBRARY_NAME)?;
        sources.library.mount_over(library.as_fd(), Access::Map)?;
        let run = make_directory(&directory, constants::PLACE_RUN)?;
        sources.tenants.mount_over(run.as_fd(), Access::Read)?;
    }
    if !policy.is_empty() {
        let directory = make_directories(&view, place)?;
        let target = make_file(&directory, constants::CONTAINER_POLICY)?;
        MountSource::of_text(policy, constants::POLICY_NAME, || Ok(directory))?
            .mount_over(target.as_fd(), Access::Read)?;
    }
    let merged = rootfs::merged_preload(&old, &format!("{place}/{}", constants::LIBRARY_NAME));
    if merged != old {
        let directory = || make_directories(&view, place);
        // Programs may write it if they could without us.
        let read_only = spec::is_root_read_only(spec) || in_volume;
        let access = if read_only { Access::Read } else { Access::Write };
        MountSource::of_text(&merged, constants::PRELOAD_NAME, directory)?
            .mount_over(target.as_fd(), access)?;
    }
    Ok(())
}

fn unusable(reason: PreloadFileError) -> Failure {
    Unmanageable::PreloadFile(reason).into()
}

/// The file to mount over, created if it is missing and its directory is the image's own.
fn preload_target(view: &View) -> Result<OwnedFd, Failure> {
    let found = rootfs::found_or_none(view.find(constants::ETC_PRELOAD)).context(constants::ETC_PRELOAD)?;
    if let Some(found) = found {
        return Ok(found.fd);
    }
    let (directory, name) =
        constants::ETC_PRELOAD.rsplit_once('/').expect("the constant is an absolute path");
    let inaccessible = |path, error| unusable(PreloadFileError::Inaccessible { path, error });
    let etc: Found = match view.find(directory) {
        Ok(found) if found.is_directory() => found,
        Ok(_) => return Err(unusable(PreloadFileError::NotADirectory(directory))),
        Err(error) => return Err(inaccessible(directory, error.to_string())),
    };
    if is_elsewhere(view, &etc)? {
        return Err(unusable(PreloadFileError::InAVolume));
    }
    make_file(&etc.fd, name).map_err(|error| inaccessible(constants::ETC_PRELOAD, format!("{error:#}")))
}

/// Whether something lies on another filesystem than the root, so that it may be the host's own.
fn is_elsewhere(view: &View, found: &Found) -> Result<bool> {
    Ok(fstat(&found.fd)?.st_dev != fstat(view.root())?.st_dev)
}

/// Walks to `path` in the image, making what is missing below the last directory that exists.
fn make_directories(view: &View, path: &str) -> Result<OwnedFd> {
    let (parent, name) = path.rsplit_once('/').context("not an absolute path")?;
    let parent = if parent.is_empty() { "/" } else { parent };
    let found = view.find(parent).with_context(|| format!("{parent} in the container"))?;
    make_directory(&found.fd, name)
}

fn make_directory(parent: &OwnedFd, name: &str) -> Result<OwnedFd> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {name} in the container")),
    }
    open_beneath(parent, name, OFlags::PATH | OFlags::DIRECTORY)
}

/// Makes a mount point; one that is there must not be a symlink.
fn make_file(parent: &OwnedFd, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    match openat(parent, name, flags, mode) {
        Ok(_) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {name} in the container")),
    }
    open_beneath(parent, name, OFlags::PATH)
}

/// Opens one name, which must not be a symlink.
fn open_beneath(parent: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd> {
    openat(parent, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open {name} in the container"))
}
