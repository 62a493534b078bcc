//! Paths as the container will see them: in its rootfs, and below the binds of its config.json.
//!
//! A path is resolved one component at a time. Each component is opened below the one before it with `O_NOFOLLOW`, which
//! every kernel and every sandbox offers; a symlink is read, and its target resolved from the container's root. So no
//! symlink of an image leads out of the container. `openat2` with `RESOLVE_IN_ROOT` would not know of the binds.

use crate::spec;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

const SYMLINK_LIMIT: usize = 40;

/// A root directory and what will be mounted over it, in that order.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
    mounts: Vec<(PathBuf, Over)>,
}

#[derive(Debug)]
enum Over {
    Bind {
        source: PathBuf,
        read_only: bool,
    },
    /// Directories laid over each other, the topmost first.
    Overlay(Vec<PathBuf>),
    /// A filesystem that does not exist yet, so nothing is in it.
    Fresh,
}

/// A mount of config.json that shows files from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    ReadOnly,
    /// Programs may write it, by config.json.
    Writable,
}

/// A place in a view.
#[derive(Debug)]
pub struct Found {
    /// Opened with `O_PATH`.
    pub fd: OwnedFd,
    /// It lies in a volume of config.json, so it may be the host's own.
    pub volume: Option<Volume>,
    path: PathBuf,
    kind: FileType,
    below: Vec<OwnedFd>,
}

impl Found {
    /// Opens a regular file for reading.
    pub fn open(&self) -> io::Result<File> {
        if self.kind != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        File::open(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Whether the container's root, who is this user on the host, has rights over it. A root of its own has none over the
    /// files of the host's users.
    pub fn is_of_root(&self, root: u32) -> io::Result<bool> {
        Ok(root == 0 || fstat(&self.fd)?.st_uid == root)
    }

    /// Where it lies in the container, without symlinks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// The names in a directory.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for layer in std::iter::once(&self.fd).chain(&self.below) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            for entry in rustix::fs::Dir::new(openat(layer, ".", flags, Mode::empty())?)? {
                names.push(OsString::from_vec(entry?.file_name().to_bytes().to_vec()));
            }
        }
        Ok(names)
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Where podman has the rootfs of a bundle of its own, by the records of its storage: with `--uidmap`, since 5.0, it
/// lays it over `root.path` only after the `precreate` stage. The bundle is `GRAPH/DRIVER-containers/ID/userdata`, the
/// rootfs `GRAPH/DRIVER/LAYER/merged` (overlay) or `GRAPH/DRIVER/dir/LAYER` (vfs).
fn in_storage(bundle: &Path) -> Option<PathBuf> {
    let container = bundle.parent()?;
    let containers = container.parent()?;
    let driver = containers.file_name()?.to_str()?.strip_suffix("-containers")?;
    let id = container.file_name()?.to_str()?;
    // Those that are removed when they end have a file of their own.
    let layer = ["containers.json", "volatile-containers.json"].into_iter().find_map(|file| {
        let records = serde_json::from_slice::<Value>(&std::fs::read(containers.join(file)).ok()?).ok()?;
        let record = records.as_array()?.iter().find(|record| spec::text(record, "id") == id)?;
        Some(spec::text(record, "layer").to_owned())
    })?;
    if layer.is_empty() || !layer.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let graph = containers.parent()?.join(driver);
    [graph.join(&layer).join("merged"), graph.join("dir").join(&layer)].into_iter().find(|path| path.is_dir())
}

struct Step {
    fd: OwnedFd,
    /// The same directory in the layers below, in an overlay.
    below: Vec<OwnedFd>,
    path: PathBuf,
    /// How many of the mounts are below this step and can no longer be met.
    passed: usize,
    volume: Option<Volume>,
}

impl View {
    /// The tree below an open directory, as it is.
    pub fn of_root(root: OwnedFd) -> View {
        View { root, mounts: Vec::new() }
    }

    /// The container of a config.json in `bundle`, before any of its mounts has been made.
    pub fn of_spec(bundle: &Path, spec: &Value) -> io::Result<View> {
        let path = spec::root_path(spec);
        if path.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "config.json names no root.path"));
        }
        let path = bundle.join(path);
        let in_storage = if is_empty(&path) { in_storage(bundle) } else { None };
        let mut view = View::of_root(open_directory(&in_storage.unwrap_or(path))?);
        for (destination, mount) in spec::mounts(spec) {
            let over = if spec::is_bind(mount) {
                let source = bundle.join(spec::text(mount, "source"));
                Over::Bind { source, read_only: spec::is_read_only(mount) }
            } else if spec::text(mount, "type") == "overlay" {
                Over::Overlay(layers(mount).into_iter().map(|layer| bundle.join(layer)).collect())
            } else {
                Over::Fresh
            };
            let destination = view.real_path(destination);
            view.mounts.push((destination, over));
        }
        Ok(view)
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Follows a path, symlinks included.
    ///
    /// # Errors
    /// `NotFound` for what is not there, the kernel's words for the rest.
    pub fn find(&self, path: &str) -> io::Result<Found> {
        let (step, rest) = self.walk(Path::new(path))?;
        if let Some(missing) = rest {
            return Err(missing);
        }
        let kind = FileType::from_raw_mode(fstat(&step.fd)?.st_mode);
        Ok(Found { fd: step.fd, volume: step.volume, path: step.path, kind, below: step.below })
    }

    /// Where a mount's destination lies once the symlinks on its way are followed, as far as it exists.
    fn real_path(&self, destination: &str) -> PathBuf {
        let mut path = PathBuf::from(destination);
        let mut tail = PathBuf::new();
        loop {
            if let Ok((step, None)) = self.walk(&path) {
                return if tail.as_os_str().is_empty() { step.path } else { step.path.join(tail) };
            }
            let Some(name) = path.file_name().map(OsString::from) else {
                return PathBuf::from(destination);
            };
            tail = if tail.as_os_str().is_empty() { name.into() } else { Path::new(&name).join(tail) };
            path.pop();
        }
    }

    /// The step that a path leads to, or the deepest one and why it went no further.
    fn walk(&self, path: &Path) -> io::Result<(Step, Option<io::Error>)> {
        let mut todo: VecDeque<OsString> = names(path).collect();
        let mut steps = vec![self.start()?];
        let mut symlinks = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                if steps.len() > 1 {
                    steps.pop();
                }
                continue;
            }
            let here = steps.last().expect("the root is never popped");
            match self.enter(here, &name) {
                Err(error) => return Ok((steps.pop().expect("not empty"), Some(error))),
                Ok(step) => {
                    let is_link = FileType::from_raw_mode(fstat(&step.fd)?.st_mode) == FileType::Symlink;
                    if !is_link {
                        steps.push(step);
                        continue;
                    }
                    symlinks += 1;
                    if symlinks > SYMLINK_LIMIT {
                        return Err(rustix::io::Errno::LOOP.into());
                    }
                    let target = readlinkat(&step.fd, "", Vec::new())?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        steps = vec![self.start()?];
                    }
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        todo.push_front(name);
                    }
                }
            }
        }
        Ok((steps.pop().expect("not empty"), None))
    }

    fn start(&self) -> io::Result<Step> {
        let fd = self.root.try_clone()?;
        let root = Step { fd, below: Vec::new(), path: "/".into(), passed: 0, volume: None };
        self.mounted_over(root)
    }

    fn enter(&self, here: &Step, name: &OsString) -> io::Result<Step> {
        let path = here.path.join(name);
        if let Some(over) = self.over(&path, here.passed) {
            return self.open_over(over, path);
        }
        if name.as_bytes().contains(&0) {
            return Err(rustix::io::Errno::INVAL.into());
        }
        let layers = std::iter::once(&here.fd).chain(&here.below);
        let (fd, below) = merged(layers.map(|layer| open_name(layer, name.as_os_str())))?;
        Ok(Step { fd, below, path, passed: here.passed, volume: here.volume })
    }

    fn mounted_over(&self, step: Step) -> io::Result<Step> {
        match self.over(&step.path, step.passed) {
            Some(over) => self.open_over(over, step.path),
            None => Ok(step),
        }
    }

    /// The last mount exactly at `path`, if it comes after the one that we stand in.
    fn over(&self, path: &Path, passed: usize) -> Option<usize> {
        self.mounts.iter().rposition(|(at, _)| at == path).filter(|index| *index >= passed)
    }

    fn open_over(&self, index: usize, path: PathBuf) -> io::Result<Step> {
        match &self.mounts[index].1 {
            Over::Fresh => Err(io::ErrorKind::NotFound.into()),
            Over::Bind { source, read_only } => {
                let fd = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                let volume = if *read_only { Volume::ReadOnly } else { Volume::Writable };
                Ok(Step { fd, below: Vec::new(), path, passed: index + 1, volume: Some(volume) })
            }
            Over::Overlay(layers) => {
                let open =
                    |layer: &PathBuf| rustix::fs::open(layer, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                let (fd, below) = merged(layers.iter().map(open))?;
                Ok(Step { fd, below, path, passed: index + 1, volume: Some(Volume::Writable) })
            }
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Opens one name in a directory, a symlink as itself.
fn open_name(directory: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// What an overlay shows of one name, from the topmost layer down: the first that has it, and if that is a directory,
/// those of the layers below it.
fn merged(layers: impl Iterator<Item = rustix::io::Result<OwnedFd>>) -> io::Result<(OwnedFd, Vec<OwnedFd>)> {
    let mut all = Vec::new();
    for layer in layers {
        let fd = match layer {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => continue,
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {}
            // A whiteout hides what is below it.
            FileType::CharacterDevice if stat.st_rdev == 0 => break,
            _ if all.is_empty() => return Ok((fd, Vec::new())),
            _ => break,
        }
        let opaque = is_opaque(&fd);
        all.push(fd);
        if opaque {
            break;
        }
    }
    if all.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((all.remove(0), all))
}

/// A directory of an overlay that hides those of its name below it.
fn is_opaque(directory: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0_u8; 4];
        rustix::fs::getxattr(&path, *name, &mut value).is_ok_and(|length| &value[..length] == b"y")
    })
}

/// The layers of an overlay mount by its options, the topmost first.
fn layers(mount: &Value) -> Vec<String> {
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    for option in spec::mount_options(mount).flat_map(|option| option.split(',')) {
        if let Some(layer) = option.strip_prefix("upperdir=") {
            upper = vec![layer.to_owned()];
        } else if let Some(list) = option.strip_prefix("lowerdir=") {
            // A colon of a name is escaped.
            lower = list.replace("\\:", "\0").split(':').map(|layer| layer.replace('\0', ":")).collect();
        }
    }
    upper.append(&mut lower);
    upper
}

/// Opens a directory of the host for looking below it.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
        io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", path.display()))
    })
}
