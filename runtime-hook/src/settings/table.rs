//! Every setting of the programs that container engines start.

use super::RuntimeSettings;
use super::value::{
    absolute, method, on_error, policy_words, runtimes, show_method, show_on_error, show_path, show_strings,
};
use nvshare_protocol::runtime_settings as shared;
use toml_edit::Value;

/// One setting of section `[runtime]`.
#[derive(Debug)]
pub struct Setting {
    pub key: &'static str,
    /// What it does, for the sample file.
    pub about: &'static str,
    /// What it may be, for errors.
    pub allowed: &'static str,
    /// Takes a value that is allowed; none: it is not.
    pub set: fn(&mut RuntimeSettings, &Value) -> Option<()>,
    /// The value in force, as TOML.
    pub show: fn(&RuntimeSettings) -> String,
}

/// Hands a parsed value to its place.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// In the order of the sample file.
pub const TABLE: &[Setting] = &[
    Setting {
        key: shared::ON_ERROR.key,
        about: "What happens to a container that should be managed and cannot be, because something is wrong on this\n\
                machine or because its image cannot load the library: it does not start and the engine shows why\n\
                (fail), or it starts as if nvshare were not there and the reason goes to the log (run-unmanaged).",
        allowed: shared::ON_ERROR.allowed,
        set: |s, v| put(&mut s.on_error, on_error(v)),
        show: |s| show_on_error(s.on_error),
    },
    Setting {
        key: shared::PRELOAD.key,
        about: "How a container's dynamic loader is told of the library: by /etc/ld.so.preload (file), which reaches\n\
                every program that can load it and no other, by LD_PRELOAD (env), or by the file where it can be had\n\
                and else by LD_PRELOAD (auto).",
        allowed: shared::PRELOAD.allowed,
        set: |s, v| put(&mut s.preload, method(v)),
        show: |s| show_method(s.preload),
    },
    Setting {
        key: shared::LOW_LEVEL_RUNTIMES.key,
        about: "The runtimes below nvshare-runtime; the first that is installed starts the container.",
        allowed: shared::LOW_LEVEL_RUNTIMES.allowed,
        set: |s, v| put(&mut s.low_level_runtimes, runtimes(v)),
        show: |s| show_strings(&s.low_level_runtimes),
    },
    Setting {
        key: shared::MAY_SET.key,
        about: "What an image decides: by the environment, with NVSHARE_ENABLE and the other NVSHARE_ variables, and by\n\
                annotations io.nvshare.* of its manifest, which podman before 4.5.1 hands on. Annotations that the\n\
                engine's user gives may always decide. \"weight\" and \"priority\" are at the expense of others.",
        allowed: shared::MAY_SET.allowed,
        set: |s, v| put(&mut s.image_may_set, policy_words(v)),
        show: |s| show_strings(&s.image_may_set),
    },
    Setting {
        key: shared::LIBRARY.key,
        about: "The library on this machine. Its filesystem must not be mounted noexec.",
        allowed: shared::LIBRARY.allowed,
        set: |s, v| put(&mut s.library, absolute(v)),
        show: |s| show_path(&s.library),
    },
    Setting {
        key: shared::TENANTS_DIR.key,
        about: "The directory of the scheduler's socket for tenants, which is bound into containers.",
        allowed: shared::TENANTS_DIR.allowed,
        set: |s, v| put(&mut s.tenants_dir, absolute(v)),
        show: |s| show_path(&s.tenants_dir),
    },
    Setting {
        key: shared::LOG_FILE.key,
        about: "Warnings about single containers, one line of JSON each; syslog takes those that cannot be written here.",
        allowed: shared::LOG_FILE.allowed,
        set: |s, v| put(&mut s.log_file, absolute(v)),
        show: |s| show_path(&s.log_file),
    },
];

/// The setting of this name.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|row| row.key == key)
}
