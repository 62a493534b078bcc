//! Everything that reads bytes from outside, as functions of arbitrary bytes: [`TARGETS`].
//!
//! A target panics where the reader does, and where it breaks a promise that its comment names. With every
//! `cargo test`, `tests/corpus.rs` gives each the files of `corpus/NAME`, and for some seconds changed ones; `make fuzz`
//! looks for more by coverage, which takes minutes to build. What is found is kept in the corpus, so that it stays found.
#![forbid(unsafe_code)]

pub mod mutate;
mod targets;

use targets::{container, engines, image, operators, settings, tenants};

/// Something that reads bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As its directory in `corpus`.
    pub name: &'static str,
    /// Whose bytes they are, and who reads them.
    pub reads: &'static str,
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:literal $run:path, $reads:literal;)*) => {
        &[$(Target { name: $name, reads: $reads, run: $run }),*]
    };
}

pub const TARGETS: &[Target] = targets![
    "to-scheduler"      tenants::to_scheduler,     "a tenant's stream, by the scheduler";
    "to-tenant"         tenants::to_tenant,        "the scheduler's stream, by the library";
    "trace"             tenants::trace,            "a trace file, by `nvshare-scheduler --replay`";
    "cgroup"            tenants::cgroup,           "/proc/PID/cgroup, by the scheduler";
    "request"           operators::request,        "an operator's line, by the scheduler";
    "reply"             operators::reply,          "the scheduler's line, by nvsharectl";
    "scheduler-config"  settings::scheduler,       "config.toml, by the scheduler";
    "runtime-config"    settings::runtime,         "config.toml, by the container programs";
    "config-json"       container::document,       "a container's config.json, by shim and hook";
    "process-json"      container::process,        "the document of an `exec`, by the shim";
    "arguments"         container::arguments,      "an engine's command line, by the shim";
    "oci-state"         container::state,          "a container's state, by the hook";
    "ld-so-preload"     image::preload,            "an image's /etc/ld.so.preload";
    "libc"              image::libc,               "an image's libc.so.6";
    "elf"               image::elf,                "the library's own file, by shim, hook and doctor";
    "engine-config"     engines::change,           "engines' configurations, by nvshare-ctk";
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
