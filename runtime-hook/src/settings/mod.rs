//! The `[runtime]` section of the settings file: one table ([`table::TABLE`]) from which the file is read, the sample is
//! written and errors say what is allowed. The other sections belong to other programs.

mod file;
pub mod table;
mod value;

pub use file::{Loaded, SECTION, load, parse, path};

use crate::constants;
use std::path::{Path, PathBuf};

/// What happens to a container that should have been managed and cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The engine reports the error and the container does not start.
    Fail,
    /// It starts as if nvshare were not there; the reason goes to our log.
    RunUnmanaged,
}

/// How the loader is told of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `/etc/ld.so.preload` alone where it can be had, else `LD_PRELOAD`.
    Auto,
    /// `/etc/ld.so.preload` alone.
    File,
    /// `LD_PRELOAD` alone.
    Env,
}

/// The settings, one field a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeSettings {
    pub on_error: OnError,
    pub preload: Method,
    /// Names or paths, the first that exists and is not ourselves is used.
    pub low_level_runtimes: Vec<String>,
    /// What variables and an image's annotations may say; annotations of the user's may say everything.
    /// Of `enable`, `disable` and the words of [`constants::TENANT_OPTIONS`]. By itself none of `AT_OTHERS_EXPENSE`.
    pub image_may_set: Vec<String>,
    /// The library on the host.
    pub library: PathBuf,
    /// The directory on the host that holds the tenants' socket.
    pub tenants_dir: PathBuf,
    /// Where warnings about single containers go.
    pub log_file: PathBuf,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        RuntimeSettings {
            on_error: OnError::RunUnmanaged,
            preload: Method::Auto,
            low_level_runtimes: ["nvidia-container-runtime", "runc", "crun"].map(String::from).to_vec(),
            image_may_set: may_set_words()
                .filter(|word| !AT_OTHERS_EXPENSE.contains(word))
                .map(String::from)
                .collect(),
            library: constants::LIBRARY.into(),
            tenants_dir: Path::new(constants::RUNTIME_DIR).join(constants::TENANTS_DIR),
            log_file: "/var/log/nvshare/runtime.log".into(),
        }
    }
}

impl RuntimeSettings {
    pub fn may_set(&self, word: &str) -> bool {
        self.image_may_set.iter().any(|allowed| allowed == word)
    }
}

/// What an image may set only if the operator says so: it gives its containers more, and others less.
const AT_OTHERS_EXPENSE: [&str; 2] = ["weight", "priority"];

/// The words that `image_may_set` may hold.
pub fn may_set_words() -> impl Iterator<Item = &'static str> {
    ["enable", "disable"].into_iter().chain(constants::TENANT_OPTIONS.iter().map(|option| option.word))
}

/// The section as it ships: every setting with its meaning, what is allowed, and its default commented out.
#[must_use]
pub fn sample() -> String {
    let defaults = RuntimeSettings::default();
    let row = |row: &table::Setting| {
        let about: String = row.about.lines().map(|line| format!("# {line}\n")).collect();
        format!("\n{about}# Allowed: {}.\n#{} = {}\n", row.allowed, row.key, (row.show)(&defaults))
    };
    let rows: String = table::TABLE.iter().map(row).collect();
    format!("[{SECTION}]\n{rows}")
}
