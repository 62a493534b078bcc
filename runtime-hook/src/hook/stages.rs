//! The stages that work on a container whose mounts are made and whose root is not changed yet.
//! `createContainer` runs in its namespaces; `createRuntime` and `prestart` run on the host and enter them.

use super::attach::{self, Sources};
use super::{capabilities, namespaces, state};
use crate::bundle::JsonFile;
use crate::selection::{self, Selection, Verdict};
use crate::settings::{self, OnError, RuntimeSettings};
use crate::unmanageable::Failure;
use crate::{image_annotations, logging, panic_guard, place, preload, spec, wishes};
use anyhow::{Context, Result, bail};
use caps::Capability as Cap;
use nvshare_protocol::console;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Where the engine starts the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Host,
    Inside,
}

pub fn run(side: Where) -> ExitCode {
    panic_guard::silence_panics();
    let mut input = Vec::new();
    let _ = std::io::stdin().take(1 << 20).read_to_end(&mut input);
    match side {
        Where::Inside => {
            capabilities::keep(&[Cap::CAP_SYS_ADMIN, Cap::CAP_DAC_OVERRIDE, Cap::CAP_DAC_READ_SEARCH])
        }
        Where::Host => capabilities::keep(&[
            Cap::CAP_SYS_ADMIN,
            Cap::CAP_DAC_OVERRIDE,
            Cap::CAP_DAC_READ_SEARCH,
            Cap::CAP_SYS_CHROOT,
            Cap::CAP_SYS_PTRACE,
            Cap::CAP_SETUID,
            Cap::CAP_SETGID,
        ]),
    }
    let state = state::parse(&input);
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    let done = panic_guard::catch("nvshare-hook", || work(side, &state, &settings, loaded.error));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::warn(&settings, &state.container, &format!("not managed: {error:#}"));
            match settings.on_error {
                OnError::RunUnmanaged => ExitCode::SUCCESS,
                OnError::Fail => {
                    console::complain(&format!("nvshare-hook: {error:#}\n"));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn work(
    side: Where,
    state: &state::State,
    settings: &RuntimeSettings,
    settings_error: Option<String>,
) -> Result<()> {
    let bundle = state.bundle.clone().map_or_else(std::env::current_dir, Ok)?;
    let spec = JsonFile::read(&bundle.join("config.json"))?.value;
    let Selection { verdict, spec, ignored, wrong } =
        selection::select(&spec, &image_annotations::of_container(&spec, &bundle), settings);
    if !matches!(verdict, Verdict::Selected(_)) {
        return Ok(());
    }
    if let Some(error) = settings_error {
        bail!("{error}");
    }
    if settings.on_error == OnError::Fail
        && let Some(why) = wishes::refusal(&wrong)
    {
        bail!("{why}");
    }
    let ignored = ignored.iter().chain(wrong.iter().map(|wrong| &wrong.text));
    ignored.for_each(|ignored| logging::warn(settings, &state.container, ignored));
    let root = Some(spec::root_path(&spec)).filter(|path| !path.is_empty());
    let root = bundle.join(root.context("config.json names no root")?);
    let requirements = preload::requirements(settings)?;
    let place = place::choose(&spec);
    let sources = if place.by_cdi { None } else { Some(Sources::of_host(settings)?) };
    if side == Where::Host {
        match state.pid {
            Some(pid) if pid > 1 => namespaces::enter(pid)?,
            other => bail!("the engine's state names no process to enter (pid {other:?})"),
        }
        capabilities::keep(&[Cap::CAP_SYS_ADMIN, Cap::CAP_DAC_OVERRIDE, Cap::CAP_DAC_READ_SEARCH]);
    }
    attach::attach(
        Path::new(&root),
        &spec,
        place.path,
        sources,
        &requirements,
        &wishes::policy(&spec, &wrong, settings),
    )
    .map_err(Failure::into_error)
}
