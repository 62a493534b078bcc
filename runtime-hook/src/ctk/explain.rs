//! What would become of a container, and why: the decisions that a start makes, in words.

use crate::bundle::JsonFile;
use crate::plan::{self, Preview};
use crate::selection::{self, Verdict};
use crate::settings::{self, OnError};
use crate::{constants, edit, image_annotations, spec, wishes};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// The decision about the container of a bundle, or of its config.json.
///
/// # Errors
/// There is no config.json that can be read.
pub fn explain(path: &Path) -> Result<String> {
    let mut out = String::new();
    let named = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let file = JsonFile::read(&named)?;
    let bundle = file.directory().to_owned();
    let mut spec = file.value;
    out += &format!("document  {}\n", named.display());
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    if let Some(error) = &loaded.error {
        out += &format!("settings  {error}: no container is managed until the file is corrected\n");
    }
    if let Some(mark) = take_mark(&mut spec) {
        out += &format!("edited    by nvshare: {mark}; below, what it was without that\n");
    }
    let selection = selection::select(&spec, &image_annotations::of_container(&spec, &bundle), &settings);
    for ignored in &selection.ignored {
        out += &format!("ignored   {ignored}\n");
    }
    let sign = match selection.verdict {
        Verdict::Selected(sign) => sign,
        Verdict::Skipped(reason) => {
            out += &format!("decision  not ours: {reason}\n");
            return Ok(out);
        }
        Verdict::AlreadyInjected => {
            out += "decision  managed already\n";
            return Ok(out);
        }
    };
    out += &format!("ours      {sign}\n");
    for wrong in &selection.wrong {
        out += &format!("wrong     {}\n", wrong.text);
    }
    let otherwise = match settings.on_error {
        OnError::Fail => "it does not start (on_error = \"fail\")",
        OnError::RunUnmanaged => "it starts unmanaged (on_error = \"run-unmanaged\")",
    };
    if settings.on_error == OnError::Fail
        && let Some(why) = wishes::refusal(&selection.wrong)
    {
        out += &format!("decision  {otherwise}: {why}\n");
        return Ok(out);
    }
    match plan::preview(&selection.spec, &bundle, &settings) {
        Ok(Preview::Managed { method, place }) => {
            out += &format!("decision  managed, by {method}, with our files at {place}\n")
        }
        Ok(Preview::Unmanaged(reason)) => out += &format!("decision  {otherwise}: {reason}\n"),
        Err(error) => out += &format!("decision  {otherwise}: {error:#}\n"),
    }
    Ok(out)
}

/// Takes an earlier edit of ours out of the document.
fn take_mark(spec: &mut Value) -> Option<String> {
    let mark = spec::annotation(spec, constants::INJECTED_ANNOTATION)
        .filter(|_| spec::is_injected(spec))?
        .to_owned();
    *spec = edit::without(spec);
    Some(mark)
}
