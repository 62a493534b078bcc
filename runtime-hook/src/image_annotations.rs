//! Which annotations of a container come from its image's manifest, by the records of containers/storage, where podman and
//! CRI-O keep images and containers. podman before 4.5.1 hands an image's annotations on as if the user had given them.
//!
//! Below a storage root, `DRIVER-containers/containers.json` names each container's layer and image, and
//! `DRIVER-images/IMAGE` holds the image's manifests. Files are read with a bound, beneath the root, and through no
//! symlink; of what they say nothing is trusted but that it is JSON.

use crate::constants;
use crate::spec;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The records of some ten thousand containers.
const RECORDS_LIMIT: u64 = 16 << 20;
/// What registries take for a manifest.
const MANIFEST_LIMIT: u64 = 4 << 20;
/// An image has one for each way that it was pulled by.
const MANIFESTS: usize = 64;
/// Files of records: of all containers, and of those that are removed when they end.
const RECORDS: [&str; 2] = ["containers.json", "volatile-containers.json"];
/// The names of manifests in an image's directory; the second is `manifest-`, with the digest to follow, in base64.
const MANIFEST: &str = "manifest";
const MANIFEST_BY_DIGEST: &str = "=bWFuaWZlc3Qt";
/// Files of a container's own that podman mounts from its directory, unless told otherwise.
const OWN_FILES: [&str; 2] = ["/run/.containerenv", "/dev/shm"];

/// What the image's manifest says among the annotations of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageAnnotations {
    /// The engine hands no annotation of an image on.
    NotHandedOn,
    /// The manifests' annotations: for each name, its values.
    Known(BTreeMap<String, BTreeSet<String>>),
    /// It cannot be found out, and why: each annotation may be the image's.
    Unknown(String),
}

/// The annotations of the container's image. No file is read if the container has no annotation of ours, or if nothing
/// hints at containers/storage: other engines hand no annotations of images on.
pub fn of_container(spec: &Value, bundle: &Path) -> ImageAnnotations {
    if !has_our_annotations(spec) {
        return ImageAnnotations::NotHandedOn;
    }
    let locations = locations(spec, bundle);
    if !is_from_podman(spec) && !locations.iter().any(RecordLocation::is_of_a_storage) {
        return ImageAnnotations::NotHandedOn;
    }
    let mut why = "its record is not found".to_owned();
    for location in &locations {
        match location.annotations() {
            Ok(Some(said)) => return ImageAnnotations::Known(said),
            Ok(None) => {}
            Err(error) => why = error.to_string(),
        }
    }
    ImageAnnotations::Unknown(why)
}

/// Whether an annotation has our prefix.
fn has_our_annotations(spec: &Value) -> bool {
    spec::annotations(spec).any(|(name, _)| name.starts_with(constants::ANNOTATIONS))
}

fn is_from_podman(spec: &Value) -> bool {
    spec::annotation(spec, "io.container.manager") == Some("libpod")
        || spec::annotations(spec).any(|(name, _)| name.starts_with("io.podman."))
        || spec::mounts(spec).any(|(destination, _)| destination == OWN_FILES[0])
}

/// Where the record of a container may be, and how it is known there.
#[derive(Debug, PartialEq, Eq)]
struct RecordLocation {
    root: PathBuf,
    driver: String,
    /// The field of the record, and its value.
    field: &'static str,
    value: String,
}

/// All that the document and the bundle's path hint at.
fn locations(spec: &Value, bundle: &Path) -> Vec<RecordLocation> {
    let root = spec::root_path(spec);
    let own = spec::mounts(spec).filter(|(destination, _)| OWN_FILES.contains(destination));
    let paths = [bundle, Path::new(root)].into_iter();
    let paths = paths.chain(own.map(|(_, mount)| Path::new(spec::text(mount, "source"))));
    let mut locations = Vec::new();
    for path in paths.filter(|path| path.is_absolute()) {
        for location in by_layer(path).into_iter().chain(by_id(path)) {
            if !locations.contains(&location) {
                locations.push(location);
            }
        }
    }
    locations
}

/// `ROOT/DRIVER/LAYER/merged` (overlay), `ROOT/vfs/dir/LAYER` or `ROOT/btrfs/subvolumes/LAYER`.
fn by_layer(path: &Path) -> Option<RecordLocation> {
    let (parent, name) = (path.parent()?, path.file_name()?.to_str()?);
    let (layer, home) = match (name, parent.file_name()?.to_str()?) {
        ("merged", layer) => (layer, parent.parent()?),
        (layer, "dir" | "subvolumes") => (layer, parent.parent()?),
        _ => return None,
    };
    let driver = home.file_name()?.to_str()?.to_owned();
    let root = home.parent()?.to_owned();
    is_id(layer).then(|| RecordLocation { root, driver, field: "layer", value: layer.to_owned() })
}

/// `ROOT/DRIVER-containers/ID/userdata`, and what is below it.
fn by_id(path: &Path) -> Option<RecordLocation> {
    let own = path.ancestors().find(|path| path.file_name().is_some_and(|name| name == "userdata"))?;
    let container = own.parent()?;
    let records = container.parent()?;
    let driver = records.file_name()?.to_str()?.strip_suffix("-containers")?.to_owned();
    let id = container.file_name()?.to_str()?;
    let root = records.parent()?.to_owned();
    is_id(id).then(|| RecordLocation { root, driver, field: "id", value: id.to_owned() })
}

fn is_id(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// By name, each value that one of the image's manifests has.
type Annotations = BTreeMap<String, BTreeSet<String>>;

impl RecordLocation {
    /// Whether the path is one of containers/storage. docker keeps layers by the same names (`overlay2/LAYER/merged`,
    /// `vfs/dir/LAYER`) and no such records; an own directory of a container is there with no other engine.
    fn is_of_a_storage(&self) -> bool {
        self.field == "id" || self.root.join(format!("{}-containers", self.driver)).is_dir()
    }

    /// What the container's image says of us; none if there is no record of the container.
    fn annotations(&self) -> io::Result<Option<Annotations>> {
        let root =
            openat(CWD, &self.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let Some(image) = self.image(&root)? else { return Ok(None) };
        if image.is_empty() {
            // The container runs on a rootfs that the user gave.
            return Ok(Some(Annotations::new()));
        }
        if !is_id(&image) {
            return Err(io::Error::other("its record names no image"));
        }
        manifests(&root, &format!("{}-images/{image}", self.driver)).map(Some)
    }

    fn image(&self, root: &OwnedFd) -> io::Result<Option<String>> {
        for file in RECORDS {
            let path = format!("{}-containers/{file}", self.driver);
            let records = match read_json(root, &path, RECORDS_LIMIT) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read?,
            };
            let mut records = records.as_array().into_iter().flatten();
            if let Some(record) = records.find(|record| spec::text(record, self.field) == self.value) {
                return Ok(Some(spec::text(record, "image").to_owned()));
            }
        }
        Ok(None)
    }
}

fn manifests(root: &OwnedFd, directory: &str) -> io::Result<Annotations> {
    let opened = open_beneath(root, directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(opened)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == MANIFEST || name.starts_with(MANIFEST_BY_DIGEST) {
            names.push(name);
        }
    }
    if names.is_empty() || names.len() > MANIFESTS {
        return Err(io::Error::other(format!("its image has {} manifests", names.len())));
    }
    let mut all = Annotations::new();
    for name in names {
        let manifest = read_json(root, &format!("{directory}/{name}"), MANIFEST_LIMIT)?;
        let said = manifest.get("annotations").and_then(Value::as_object).into_iter().flatten();
        for (name, value) in said.filter(|(name, _)| name.starts_with(constants::ANNOTATIONS)) {
            if let Some(value) = value.as_str() {
                all.entry(name.clone()).or_default().insert(value.to_owned());
            }
        }
    }
    Ok(all)
}

/// Opens a path beneath `root`, name by name and through no symlink; `flags` are those of the last one.
fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut here: Option<OwnedFd> = None;
    let open = |here: &Option<OwnedFd>, name: &str, flags| match name {
        "." | ".." => Err(rustix::io::Errno::XDEV),
        name => openat(
            here.as_ref().unwrap_or(root),
            name,
            flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ),
    };
    for directory in directories.split('/').filter(|name| !name.is_empty()) {
        here = Some(open(&here, directory, OFlags::PATH | OFlags::DIRECTORY)?);
    }
    open(&here, name, flags)
}

fn read_json(root: &OwnedFd, path: &str, limit: u64) -> io::Result<Value> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    let file =
        open_beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(|error| named(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(named)?;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(named(io::Error::other("not a file of a size that is believed")));
    }
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).map_err(named)?;
    serde_json::from_slice(&text).map_err(|error| named(error.into()))
}

#[cfg(test)]
mod tests;
