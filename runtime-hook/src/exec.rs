//! The shim: edit what has to be edited, then become the runtime below.

use crate::argv::{self, Action, Call};
use crate::bundle::JsonFile;
use crate::config::{self, OnError, Settings};
use crate::inject::{self, Outcome, Scratch};
use crate::lowlevel::{self, LowLevel};
use crate::{defects, edit, report};
use anyhow::{Result, anyhow, bail};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// The whole of `nvshare-runtime`. Returns only if the runtime below could not be started or must not be.
pub fn main() -> ExitCode {
    defects::silence();
    let mut words = std::env::args_os();
    let _ourselves = words.next();
    let words: Vec<OsString> = words.collect();
    let call = argv::parse(&words);
    let loaded = config::load(&config::path());
    let settings = loaded.settings;
    let become_it = || -> Result<()> {
        let low_level = lowlevel::find(&settings)?;
        if let Err(error) = prepare(&call, &settings, loaded.error, &low_level) {
            match settings.on_error {
                OnError::Fail => return Err(error),
                OnError::RunUnmanaged => {
                    report::warn(&settings, &named(&call), &format!("not managed: {error:#}"));
                }
            }
        }
        let error = low_level.exec(&words);
        bail!("cannot start {}: {error}", low_level.path().display())
    };
    if let Err(error) = become_it() {
        report::fatal(&call, &format!("{error:#}"));
    }
    ExitCode::FAILURE
}

/// What a warning about this call is headed with: the bundle, as far as the command line tells it.
fn named(call: &Call) -> String {
    match &call.action {
        Action::Start { bundle, .. } => {
            let bundle = bundle.as_deref().unwrap_or(Path::new("."));
            std::path::absolute(bundle).unwrap_or_else(|_| bundle.to_owned()).display().to_string()
        }
        Action::Exec { container, .. } => container.display().to_string(),
        Action::Other => String::new(),
    }
}

fn prepare(call: &Call, settings: &Settings, misread: Option<String>, low_level: &LowLevel) -> Result<()> {
    if call.action == Action::Other {
        return Ok(());
    }
    if let Some(error) = misread {
        bail!("{error}");
    }
    let work = || match &call.action {
        Action::Start { bundle, config } => start(bundle.as_deref(), config.as_deref(), settings),
        Action::Exec { process, container } => exec(process, container, call, settings, low_level),
        Action::Other => Ok(()),
    };
    defects::caught("nvshare-runtime", work)
}

fn start(bundle: Option<&Path>, config: Option<&Path>, settings: &Settings) -> Result<()> {
    let bundle = bundle.unwrap_or(Path::new("."));
    let named = config.map_or_else(|| bundle.join("config.json"), Path::to_owned);
    let mut file = JsonFile::read(&named)?;
    let bundle = std::path::absolute(bundle)?;
    match inject::inject(&mut file.value, &bundle, Scratch::Bundle(&bundle), settings)? {
        Outcome::Untouched(_) => {}
        Outcome::Unmanaged(reason) => {
            report::warn(settings, &file.directory().display().to_string(), &format!("not managed: {reason}"))
        }
        Outcome::Managed { lacks, .. } => {
            file.replace()?;
            if let Some(lacks) = lacks {
                report::warn(settings, &file.directory().display().to_string(), &lacks);
            }
        }
    }
    Ok(())
}

fn exec(
    process: &Path,
    container: &OsStr,
    call: &Call,
    settings: &Settings,
    low_level: &LowLevel,
) -> Result<()> {
    let Some(state) = low_level.state(&call.scope, container) else {
        return Ok(()); // The runtime below will say the same, better.
    };
    let Some(annotations) = state.get("annotations").and_then(|annotations| annotations.as_object()) else {
        return Ok(());
    };
    if !annotations.contains_key(crate::names::INJECTED_ANNOTATION) {
        return Ok(());
    }
    let mut file = JsonFile::read(process)?;
    let edited = edit::inject_exec(&mut file.value, annotations, settings)
        .map_err(|error| anyhow!("{}: {error}", process.display()))?;
    if edited { file.replace() } else { Ok(()) }
}
