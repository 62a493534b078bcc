//! What would become of a container, and why: the decisions that a start makes, in words.

use crate::bundle::JsonFile;
use crate::plan::{self, Preview};
use crate::selection::{self, Verdict};
use crate::settings::{self, OnError};
use crate::{constants, image_annotations, spec};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Prints the decision about the container of a bundle, or of its config.json.
///
/// # Errors
/// There is no config.json that can be read.
pub fn run(path: &Path) -> Result<()> {
    let named = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let file = JsonFile::read(&named)?;
    let bundle = file.directory().to_owned();
    let mut spec = file.value;
    println!("document  {}", named.display());
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    if let Some(error) = &loaded.error {
        println!("settings  {error}: no container is managed until the file is corrected");
    }
    if let Some(mark) = take_mark(&mut spec) {
        println!("edited    by nvshare: {mark}; below, what it was without that");
    }
    let selection = selection::select(&spec, &image_annotations::of_container(&spec, &bundle), &settings);
    for ignored in &selection.ignored {
        println!("ignored   {ignored}");
    }
    let sign = match selection.verdict {
        Verdict::Selected(sign) => sign,
        Verdict::Skipped(reason) => {
            println!("decision  not ours: {reason}");
            return Ok(());
        }
        Verdict::AlreadyInjected => {
            println!("decision  managed already");
            return Ok(());
        }
    };
    println!("ours      {sign}");
    let otherwise = match settings.on_error {
        OnError::Fail => "it does not start (on_error = \"fail\")",
        OnError::RunUnmanaged => "it starts unmanaged (on_error = \"run-unmanaged\")",
    };
    match plan::preview(&selection.spec, &bundle, &settings) {
        Ok(Preview::Managed { method, place }) => {
            println!("decision  managed, by {method}, with our files at {place}")
        }
        Ok(Preview::Unmanaged(reason)) => println!("decision  {otherwise}: {reason}"),
        Err(error) => println!("decision  {otherwise}: {error:#}"),
    }
    Ok(())
}

/// Takes an earlier pass of ours out of the document.
fn take_mark(spec: &mut Value) -> Option<String> {
    if !spec::is_injected(spec) {
        return None;
    }
    let mark = spec::remove_annotation(spec, constants::INJECTED_ANNOTATION)?;
    let mark = mark.as_str()?.to_owned();
    let place = format!("{}/", mark.split_once(' ')?.1);
    if let Some(mounts) = spec.get_mut("mounts").and_then(Value::as_array_mut) {
        mounts.retain(|mount| {
            let destination = spec::text(mount, "destination");
            !destination.starts_with(&place) && destination != constants::ETC_PRELOAD
        });
    }
    Some(mark)
}
