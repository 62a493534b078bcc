//! podman's `precreate` stage: a config.json on standard input, the one to be used on standard output.
//!
//! An exit code other than 0, or empty output, stops every container of the machine. In doubt the output is the input, byte
//! for byte.

use super::capabilities;
use crate::plan::{self, Outcome};
use crate::scratch::Scratch;
use crate::selection::Verdict;
use crate::settings::{self, OnError, RuntimeSettings};
use crate::{constants, image_annotations, json, logging, panic_guard, selection, spec};
use anyhow::{Result, anyhow, bail};
use caps::Capability;
use nvshare_protocol::console;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub fn run() -> ExitCode {
    panic_guard::silence_panics();
    let mut input = Vec::new();
    let whole = std::io::stdin().read_to_end(&mut input).is_ok();
    capabilities::keep(&[Capability::CAP_DAC_READ_SEARCH, Capability::CAP_DAC_OVERRIDE]);
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    let edited = if !whole {
        Err(anyhow!("standard input ended early"))
    } else {
        panic_guard::catch("nvshare-hook", || edit(&input, &settings, loaded.error))
    };
    let output = match edited {
        Ok(Some(output)) => output,
        Ok(None) => input,
        Err(error) => {
            logging::warn(&settings, "", &format!("precreate: not managed: {error:#}"));
            if settings.on_error == OnError::Fail {
                console::complain(&format!("nvshare-hook: {error:#}\n"));
                return ExitCode::FAILURE;
            }
            input
        }
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&output).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The new document, or `None` for the old one.
fn edit(input: &[u8], settings: &RuntimeSettings, settings_error: Option<String>) -> Result<Option<Vec<u8>>> {
    // The engine reports a document that it cannot read.
    let Ok(mut spec) = serde_json::from_slice::<Value>(input) else {
        return Ok(None);
    };
    let bundle = std::env::current_dir()?;
    if let Some(error) = settings_error {
        let said = image_annotations::of_container(&spec, &bundle);
        return match selection::select(&spec, &said, settings).verdict {
            Verdict::Selected(_) => bail!("{error}"),
            Verdict::Skipped(_) | Verdict::AlreadyInjected => Ok(None),
        };
    }
    let (own, shared) = (containers_own(&spec), scratch());
    let scratch = own.as_deref().map_or(Scratch::Shared(&shared), Scratch::Bundle);
    let done = plan::inject(&mut spec, &bundle, scratch, settings)?;
    done.ignored.iter().for_each(|ignored| logging::warn(settings, spec::root_path(&spec), ignored));
    match done.outcome {
        Outcome::NotSelected(_) => Ok(None),
        Outcome::Unmanaged(reason) if settings.on_error == OnError::Fail => {
            Err(anyhow!("{}: {reason}", spec::root_path(&spec)))
        }
        Outcome::Unmanaged(reason) => {
            logging::warn(settings, spec::root_path(&spec), &format!("not managed: {reason}"));
            Ok(None)
        }
        Outcome::Managed { degraded, .. } => {
            if let Some(reason) = json::duplicate_key(input) {
                bail!("{reason}");
            }
            if let Some(degraded) = degraded {
                logging::warn(settings, spec::root_path(&spec), &degraded);
            }
            Ok(Some(serde_json::to_vec(&spec)?))
        }
    }
}

/// The directory in which podman keeps this container's own small files, to be removed with it.
fn containers_own(spec: &Value) -> Option<PathBuf> {
    let (_, mount) = spec::mounts(spec).find(|(destination, _)| *destination == "/run/.containerenv")?;
    let directory = Path::new(spec::text(mount, "source")).parent()?.to_owned();
    rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK).ok().map(|()| directory)
}

/// Where merged files of this user's containers go if podman says no better place.
fn scratch() -> PathBuf {
    if rustix::process::geteuid().is_root()
        && rustix::fs::access(constants::RUNTIME_DIR, rustix::fs::Access::WRITE_OK).is_ok()
    {
        return Path::new(constants::RUNTIME_DIR).join("preload");
    }
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(directory) if directory.is_absolute() => directory.join("nvshare"),
        _ => Path::new(constants::RUNTIME_DIR).join("preload"),
    }
}
