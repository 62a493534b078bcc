//! Why a selected container cannot be managed although nothing is wrong with the host. The shim, the hooks, `explain`
//! and `doctor` say it in the same words.

use crate::constants::ETC_PRELOAD;
use std::fmt;

/// A property of the image, or of the container's mounts, that keeps the library out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmanageable {
    /// The programs are loaded by musl's loader alone.
    Musl,
    /// There is a loader of glibc's name whose version is unknown.
    UnknownGlibc,
    /// No dynamic loader was found.
    NoLoader,
    /// Versions are (major, minor).
    GlibcTooOld { found: (u32, u32), required: (u32, u32) },
    /// The library is linked with this one.
    MissingLibrary(String),
    /// `LD_PRELOAD` is excluded, and the file as well.
    NoMethod(PreloadFileError),
    /// A hook, which has no other method, cannot use the file.
    PreloadFile(PreloadFileError),
}

impl fmt::Display for Unmanageable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmanageable::Musl => f.write_str("the image's programs use musl, which cannot load the library"),
            Unmanageable::UnknownGlibc => f.write_str("the version of the image's glibc cannot be told"),
            Unmanageable::NoLoader => f.write_str("the image has no dynamic loader that we know"),
            Unmanageable::GlibcTooOld { found, required } => write!(
                f,
                "the image's glibc {}.{} is older than the library needs, {}.{}",
                found.0, found.1, required.0, required.1
            ),
            Unmanageable::MissingLibrary(name) => {
                write!(f, "the library needs {name}, which the image lacks")
            }
            Unmanageable::NoMethod(reason) => {
                write!(f, "LD_PRELOAD cannot be used and {ETC_PRELOAD} cannot either: {reason}")
            }
            Unmanageable::PreloadFile(reason) => write!(f, "{ETC_PRELOAD} cannot be used: {reason}"),
        }
    }
}

/// Why nothing can be mounted over a container's `/etc/ld.so.preload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreloadFileError {
    /// By the setting `preload`.
    SwitchedOff,
    /// The image's loader has another name for it (Nix).
    IgnoredByLoader,
    /// It exists and cannot be read, or is not a list of libraries.
    Unreadable(String),
    /// A path that has to be a directory.
    NotADirectory(&'static str),
    /// Runtimes differ in what they make of one: crun 1.8 refuses to start.
    DanglingSymlink(&'static str),
    /// It is missing, and would be created in a directory that the container shares with the host.
    OnTheHost,
    /// It lies in a volume that programs may write, or would be created in one.
    InAVolume,
    /// It is missing, and cannot be created.
    ReadOnlyRootfs,
    /// The path cannot be examined, or the file cannot be created.
    Inaccessible { path: &'static str, error: String },
}

impl fmt::Display for PreloadFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PreloadFileError::SwitchedOff => f.write_str("it is switched off"),
            PreloadFileError::IgnoredByLoader => f.write_str("the image's loader does not read it"),
            PreloadFileError::Unreadable(reason) => f.write_str(reason),
            PreloadFileError::NotADirectory(path) => write!(f, "{path} is no directory"),
            PreloadFileError::DanglingSymlink(path) => write!(f, "{path} is a symlink that leads nowhere"),
            PreloadFileError::OnTheHost => f.write_str("it would be made in a directory of the host"),
            PreloadFileError::InAVolume => f.write_str("it is in a volume that programs may write"),
            PreloadFileError::ReadOnlyRootfs => f.write_str("the rootfs is read-only and lacks it"),
            PreloadFileError::Inaccessible { path, error } => write!(f, "{path}: {error}"),
        }
    }
}

/// Why a selected container is not managed.
#[derive(Debug)]
pub enum Failure {
    /// The image or the container's mounts keep the library out.
    Container(Unmanageable),
    /// Something is wrong on the host or with the document.
    Host(anyhow::Error),
}

impl std::error::Error for Unmanageable {}

impl Failure {
    /// For callers that treat both alike.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Failure::Container(reason) => reason.into(),
            Failure::Host(error) => error,
        }
    }
}

impl From<Unmanageable> for Failure {
    fn from(reason: Unmanageable) -> Self {
        Failure::Container(reason)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Host(error)
    }
}
