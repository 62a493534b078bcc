//! The edit of a config.json: a plan goes in, a document comes out. No I/O, no judgement.

mod env;
mod mounts;

pub use env::preload_list;

use crate::settings::RuntimeSettings;
use crate::{constants, spec};
use nvshare_protocol::wishes;
use serde_json::{Map, Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

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
/// if there is nothing to do: the container is not ours, or its programs are reached without environment. `remarks`: what
/// its user is to be told, by the library.
pub fn inject_exec(
    process: &mut Value,
    annotations: &Map<String, Value>,
    settings: &RuntimeSettings,
    remarks: &[String],
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
    let entries = process_env(process, library, place, annotations, settings)?;
    if !remarks.is_empty() {
        env::set(entries, wishes::EXEC_REMARKS, &remarks.join("\n"));
    }
    Ok(true)
}

fn process_env<'a>(
    process: &'a mut Map<String, Value>,
    library: Option<String>,
    place: &str,
    annotations: &Map<String, Value>,
    settings: &RuntimeSettings,
) -> Result<&'a mut Vec<Value>, Malformed> {
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
    // None but ours.
    env::remove(entries, wishes::EXEC_REMARKS);
    Ok(entries)
}

/// What the container's processes may, as the library reads it; empty if nobody has said anything. An environment does
/// not reach all of them: `podman exec`, `su -` and `sshd` begin with one of their own.
pub fn policy(spec: &Value, settings: &RuntimeSettings) -> String {
    let given = |option: &constants::TenantOption| {
        let by_variable = || spec::variable(spec, option.variable).filter(|_| settings.may_set(option.word));
        spec::annotation(spec, option.annotation).or_else(by_variable)
    };
    let line = |option: &constants::TenantOption| {
        let value = given(option).filter(|value| !value.is_empty() && !value.contains(['\n', '\r']))?;
        Some(format!("{}={value}\n", option.variable))
    };
    constants::TENANT_OPTIONS.iter().filter_map(line).collect()
}

/// Removes our mounts, so that the document shows the container without us. Returns the merged preload file on the host.
pub fn remove_mounts(spec: &mut Value) -> Option<PathBuf> {
    let place = format!("{}/", spec::injected_place(spec)?);
    let mounts = spec.get_mut("mounts")?.as_array_mut()?;
    let library = mounts
        .iter()
        .find(|mount| spec::text(mount, "destination").strip_prefix(&place) == Some(constants::LIBRARY_NAME));
    // Images that have no file of their own share one.
    let prepared = Path::new(spec::text(library?, "source")).with_file_name(constants::PRELOAD_NAME);
    mounts.retain(|mount| !spec::text(mount, "destination").starts_with(&place));
    let at = mounts.iter().rposition(|mount| spec::text(mount, "destination") == constants::ETC_PRELOAD)?;
    let source = PathBuf::from(spec::text(&mounts[at], "source"));
    let is_ours = source.file_name()? == constants::MERGED_PRELOAD_NAME || source == prepared;
    is_ours.then(|| {
        mounts.remove(at);
        source
    })
}

/// A document without the edit, as far as the edit can be told from what others wrote.
pub fn without(edited: &Value) -> Value {
    let mut spec = edited.clone();
    remove_mounts(&mut spec);
    spec::remove_annotation(&mut spec, constants::INJECTED_ANNOTATION);
    let place = spec::injected_place(edited);
    let entries = spec.pointer_mut("/process/env").and_then(Value::as_array_mut);
    if let (Some(place), Some(entries)) = (place, entries) {
        env::remove(entries, constants::SOCKET_VARIABLE);
        env::remove_preload(entries, &format!("{place}/{}", constants::LIBRARY_NAME));
    }
    spec
}

/// What our mounts show, on the host.
pub fn sources(spec: &Value) -> impl Iterator<Item = &str> {
    let place = spec::injected_place(spec).map(|place| format!("{place}/")).unwrap_or_default();
    let ours = move |destination: &str, mount: &Value| {
        let source = Path::new(spec::text(mount, "source")).file_name();
        let is_file = source
            .is_some_and(|name| name == constants::MERGED_PRELOAD_NAME || name == constants::PRELOAD_NAME);
        (!place.is_empty() && destination.starts_with(&place))
            || (destination == constants::ETC_PRELOAD && is_file)
    };
    spec::mounts(spec)
        .filter(move |(at, mount)| ours(at, mount))
        .map(|(_, mount)| spec::text(mount, "source"))
}

#[cfg(test)]
mod tests;
