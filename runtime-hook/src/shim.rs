//! The shim: edit what has to be edited, then become the runtime below.

use crate::argv::{self, Action, Call};
use crate::bundle::JsonFile;
use crate::low_level_runtime::{self, LowLevelRuntime};
use crate::plan::{self, Outcome};
use crate::scratch::Scratch;
use crate::settings::{self, OnError, RuntimeSettings};
use crate::{cleanup, constants, edit, image_annotations, logging, panic_guard, selection, spec};
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// The whole of `nvshare-runtime`. Returns only if the runtime below could not be started or must not be.
pub fn main() -> ExitCode {
    panic_guard::silence_panics();
    let mut words = std::env::args_os();
    let _ourselves = words.next();
    let words: Vec<OsString> = words.collect();
    let call = argv::parse(&words);
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    let become_runtime = || -> Result<()> {
        let low_level = low_level_runtime::find(&settings)?;
        if let Err(error) = prepare(&call, &settings, loaded.error, &low_level) {
            match settings.on_error {
                OnError::Fail => return Err(error),
                OnError::RunUnmanaged => {
                    logging::warn(&settings, &log_heading(&call), &format!("not managed: {error:#}"));
                }
            }
        }
        let error = low_level.exec(&words);
        bail!("cannot start {}: {error}", low_level.path().display())
    };
    if let Err(error) = become_runtime() {
        logging::fatal(&call, &format!("{error:#}"));
    }
    ExitCode::FAILURE
}

/// What a warning about this call is headed with: the bundle, as far as the command line tells it.
fn log_heading(call: &Call) -> String {
    match &call.action {
        Action::Start { bundle, .. } => {
            let bundle = bundle.as_deref().unwrap_or(Path::new("."));
            std::path::absolute(bundle).unwrap_or_else(|_| bundle.to_owned()).display().to_string()
        }
        Action::Exec { container, .. } | Action::Delete { container } => container.display().to_string(),
        Action::Other => String::new(),
    }
}

fn prepare(
    call: &Call,
    settings: &RuntimeSettings,
    settings_error: Option<String>,
    low_level: &LowLevelRuntime,
) -> Result<()> {
    if call.action == Action::Other {
        return Ok(());
    }
    if let Action::Delete { container } = &call.action {
        // Whatever goes wrong, the container must be deleted.
        if let Err(error) = panic_guard::catch("nvshare-runtime", || delete(container, call, low_level)) {
            logging::warn(settings, &log_heading(call), &format!("{error:#}"));
        }
        return Ok(());
    }
    if let Some(error) = settings_error {
        bail!("{error}");
    }
    let work = || match &call.action {
        Action::Start { bundle, config } => start(bundle.as_deref(), config.as_deref(), call, settings),
        Action::Exec { process, container } => exec(process, container, call, settings, low_level),
        Action::Delete { .. } | Action::Other => Ok(()),
    };
    panic_guard::catch("nvshare-runtime", work)
}

fn start(
    bundle: Option<&Path>,
    config: Option<&Path>,
    call: &Call,
    settings: &RuntimeSettings,
) -> Result<()> {
    let bundle = bundle.unwrap_or(Path::new("."));
    let named = config.map_or_else(|| bundle.join("config.json"), Path::to_owned);
    let mut file = JsonFile::read(&named)?;
    let bundle = std::path::absolute(bundle)?;
    let done = plan::inject(&mut file.value, &bundle, Scratch::Bundle(&bundle), settings)?;
    let name = file.directory().display().to_string();
    done.ignored.iter().for_each(|ignored| logging::warn(settings, &name, ignored));
    match done.outcome {
        Outcome::NotSelected(reason) => logging::debug(call, &format!("{name} is left as it is: {reason}")),
        Outcome::Unmanaged(reason) if settings.on_error == OnError::Fail => bail!("{name}: {reason}"),
        Outcome::Unmanaged(reason) => logging::warn(settings, &name, &format!("not managed: {reason}")),
        Outcome::Managed { degraded, plan } => {
            file.replace()?;
            logging::debug(call, &format!("{name} is managed: {}", plan.mark()));
            if let Some(degraded) = degraded {
                logging::warn(settings, &name, &degraded);
            }
        }
    }
    Ok(())
}

fn delete(container: &OsStr, call: &Call, low_level: &LowLevelRuntime) -> Result<()> {
    let Some(state) = low_level.state(&call.scope, container) else {
        return Ok(()); // The runtime below will say the same, better.
    };
    // In one that still runs, programs would lose the library with its mount point.
    if spec::text(&state, "status") != "stopped"
        || spec::annotation(&state, constants::INJECTED_ANNOTATION).is_none()
    {
        return Ok(());
    }
    cleanup::clean_up(Path::new(spec::text(&state, "bundle")))
}

fn exec(
    process: &Path,
    container: &OsStr,
    call: &Call,
    settings: &RuntimeSettings,
    low_level: &LowLevelRuntime,
) -> Result<()> {
    let Some(state) = low_level.state(&call.scope, container) else {
        return Ok(()); // The runtime below will say the same, better.
    };
    if spec::annotation(&state, constants::INJECTED_ANNOTATION).is_none() {
        return Ok(());
    }
    // The mark alone may be anybody's: what was started tells whether it is ours.
    let Some(bundle) = Some(spec::text(&state, "bundle")).filter(|bundle| !bundle.is_empty()) else {
        bail!("the runtime below names no bundle of {}", container.display());
    };
    let bundle = Path::new(bundle);
    let spec = JsonFile::read(&bundle.join("config.json"))?.value;
    let Some(mark) =
        Some(&spec["annotations"][constants::INJECTED_ANNOTATION]).filter(|_| spec::is_injected(&spec))
    else {
        return Ok(());
    };
    let selection = selection::select(&spec, &image_annotations::of_container(&spec, bundle), settings);
    let mut annotations = spec::annotation_map(&selection.spec);
    // An image may have brought the same.
    annotations.insert(constants::INJECTED_ANNOTATION.into(), mark.clone());
    let mut file = JsonFile::read(process)?;
    let edited = edit::inject_exec(&mut file.value, &annotations, settings)
        .with_context(|| process.display().to_string())?;
    if edited { file.replace() } else { Ok(()) }
}
