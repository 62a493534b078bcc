//! What would become of a container, and why: the decisions that a start makes, in words.

use crate::bundle::JsonFile;
use crate::plan::{self, Preview};
use crate::selection::{self, Verdict};
use crate::settings::{self, OnError};
use crate::{constants, edit, image_annotations, spec, wishes};
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
    for wrong in &selection.wrong {
        println!("wrong     {}", wrong.text);
    }
    let otherwise = match settings.on_error {
        OnError::Fail => "it does not start (on_error = \"fail\")",
        OnError::RunUnmanaged => "it starts unmanaged (on_error = \"run-unmanaged\")",
    };
    if settings.on_error == OnError::Fail && !selection.wrong.is_empty() {
        println!("decision  {otherwise}: {}", wishes::joined(&selection.wrong));
        return Ok(());
    }
    match plan::preview(&selection.spec, &bundle, &settings) {
        Ok(Preview::Managed { method, place }) => {
            println!("decision  managed, by {method}, with our files at {place}")
        }
        Ok(Preview::Unmanaged(reason)) => println!("decision  {otherwise}: {reason}"),
        Err(error) => println!("decision  {otherwise}: {error:#}"),
    }
    Ok(())
}

/// Takes an earlier edit of ours out of the document.
fn take_mark(spec: &mut Value) -> Option<String> {
    let mark = spec::annotation(spec, constants::INJECTED_ANNOTATION)
        .filter(|_| spec::is_injected(spec))?
        .to_owned();
    *spec = edit::without(spec);
    Some(mark)
}
