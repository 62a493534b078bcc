//! The edit of a config.json: a plan goes in, a document comes out. No I/O, no judgement.

mod env;
mod mounts;

pub use env::preload_list;

use crate::settings::RuntimeSettings;
use crate::{constants, spec};
use serde_json::{Map, Value, json};
use std::fmt;

/// What to put into a container. All paths of the host are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The library on the host.
    pub library: String,
    /// The tenants' directory on the host.
    pub tenants_dir: String,
    /// Where both go in the container.
    pub place: String,
    /// Set `LD_PRELOAD`.
    pub env: bool,
    /// The merged `/etc/ld.so.preload` on the host.
    pub preload_file: Option<String>,
    /// A library of nothing on the host, for the image's programs of 32 bits.
    pub stub: Option<String>,
    /// What the container's processes may, a file on the host.
    pub policy_file: Option<String>,
    /// `preload_file` is this container's alone, and its programs may write it as they could their image's own.
    pub preload_writable: bool,
}

impl Plan {
    pub fn library_inside(&self) -> String {
        format!("{}/{}", self.place, constants::LIBRARY_NAME)
    }

    /// The library's line in `/etc/ld.so.preload`.
    pub fn preload_entry(&self) -> String {
        if self.stub.is_some() { constants::library_by_platform(&self.place) } else { self.library_inside() }
    }

    pub fn socket_inside(&self) -> String {
        socket_inside(&self.place)
    }

    /// The value of `io.nvshare.injected`.
    pub fn mark(&self) -> String {
        let methods = match (self.env, &self.preload_file) {
            (true, Some(_)) => "env+file",
            (true, None) => "env",
            (false, _) => "file",
        };
        format!("{methods} {}", self.place)
    }
}

fn socket_inside(place: &str) -> String {
    format!("{place}/{}/{}", constants::PLACE_RUN, constants::TENANT_SOCKET)
}

/// A part of a document that has to be edited is not what the OCI specification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    NotAnObject(&'static str),
    NotAList(&'static str),
    /// Our annotation, with this value.
    UnknownPlace(String),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::NotAnObject(part) => write!(f, "{part} is not an object"),
            Malformed::NotAList(part) => write!(f, "{part} is not a list"),
            Malformed::UnknownPlace(mark) => {
                write!(f, "annotation {} names no place: `{mark}`", constants::INJECTED_ANNOTATION)
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Carries out the plan on a config.json. On an error the document may be half edited and must be dropped.
/// Doing it twice is doing it once.
///
/// # Errors
/// A part of the document that has to be extended is not what the OCI specification says; the message names it.
pub fn inject(spec: &mut Value, plan: &Plan, settings: &RuntimeSettings) -> Result<(), Malformed> {
    let annotations = spec::annotation_map(spec);
    let top = spec.as_object_mut().ok_or(Malformed::NotAnObject("the document"))?;
    mounts::add(top, plan)?;
    if let Some(process) = top.get_mut("process") {
        let process = process.as_object_mut().ok_or(Malformed::NotAnObject("`process`"))?;
        process_env(process, plan.env.then(|| plan.library_inside()), &plan.place, &annotations, settings)?;
    }
    let annotations = top.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    let annotations = annotations.as_object_mut().ok_or(Malformed::NotAnObject("`annotations`"))?;
    annotations.insert(constants::INJECTED_ANNOTATION.into(), plan.mark().into());
    Ok(())
}

/// Edits the process document of an `exec` in a container whose annotations are `annotations`. Returns false
/// if there is nothing to do: the container is not ours, or its programs are reached without environment.
pub fn inject_exec(
    process: &mut Value,
    annotations: &Map<String, Value>,
    settings: &RuntimeSettings,
) -> Result<bool, Malformed> {
    let Some(mark) = annotations.get(constants::INJECTED_ANNOTATION).and_then(Value::as_str) else {
        return Ok(false);
    };
    let (methods, place) = mark.split_once(' ').unwrap_or((mark, constants::PLACE));
    if !constants::is_place(place) {
        return Err(Malformed::UnknownPlace(mark.to_owned()));
    }
    let library = methods
        .split('+')
        .any(|method| method == "env")
        .then(|| format!("{place}/{}", constants::LIBRARY_NAME));
    let process = process.as_object_mut().ok_or(Malformed::NotAnObject("the process document"))?;
    process_env(process, library, place, annotations, settings)?;
    Ok(true)
}

fn process_env(
    process: &mut Map<String, Value>,
    library: Option<String>,
    place: &str,
    annotations: &Map<String, Value>,
    settings: &RuntimeSettings,
) -> Result<(), Malformed> {
    let entries = process.entry("env").or_insert_with(|| json!([]));
    if entries.is_null() {
        *entries = json!([]);
    }
    let entries = entries.as_array_mut().ok_or(Malformed::NotAList("`process.env`"))?;
    if let Some(library) = library {
        env::preload(entries, &library);
    }
    env::set(entries, constants::SOCKET_VARIABLE, &socket_inside(place));
    for option in &constants::TENANT_OPTIONS {
        match annotations.get(option.annotation).and_then(Value::as_str) {
            Some(value) => env::set(entries, option.variable, value),
            None if !settings.may_set(option.word) => env::remove(entries, option.variable),
            None => {}
        }
    }
    Ok(())
}

/// What the container's processes may, as the library reads it; empty if nobody has said anything. An environment does
/// not reach all of them: `podman exec`, `su -` and `sshd` begin with one of their own.
pub fn policy(spec: &Value, settings: &RuntimeSettings) -> String {
    let said = |option: &constants::TenantOption| {
        let by_variable = || spec::variable(spec, option.variable).filter(|_| settings.may_set(option.word));
        spec::annotation(spec, option.annotation).or_else(by_variable)
    };
    let line = |option: &constants::TenantOption| {
        let value = said(option).filter(|value| !value.is_empty() && !value.contains(['\n', '\r']))?;
        Some(format!("{}={value}\n", option.variable))
    };
    constants::TENANT_OPTIONS.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests;
