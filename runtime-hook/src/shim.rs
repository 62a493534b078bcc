//! The shim: edit what has to be edited, then become the runtime below.

use crate::argv::{self, Action, Call};
use crate::bundle::JsonFile;
use crate::low_level_runtime::{self, LowLevelRuntime};
use crate::plan::{self, Injection, Outcome};
use crate::scratch::Scratch;
use crate::selection::Verdict;
use crate::settings::{self, OnError, RuntimeSettings};
use crate::start_record::{self, StartRecord};
use crate::{
    cleanup, constants, edit, image_annotations, logging, panic_guard, scratch, selection, spec, wishes,
};
use anyhow::{Context, Result, bail};
use nvshare_protocol::console;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The whole of `nvshare-runtime`. Returns what it is to end with: where the runtime below could not be started or must not
/// be, and after a container of ours has been deleted.
pub fn main() -> u8 {
    panic_guard::silence_panics();
    let mut words = std::env::args_os();
    let _ourselves = words.next();
    let words: Vec<OsString> = words.collect();
    let call = argv::parse(&words);
    let loaded = settings::load(&settings::path());
    let settings = loaded.settings;
    let become_runtime = || -> Result<u8> {
        if matches!(&words[..], [only] if HELP.iter().any(|word| only == word)) {
            console::print(&help(&settings)).context("standard output cannot be written to")?;
        }
        let low_level = low_level_runtime::find(&settings)?;
        if let Action::Delete { container } = &call.action
            && let Some(code) = delete(container, &call, &words, &settings, &low_level)
        {
            return Ok(code);
        }
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
    become_runtime().unwrap_or_else(|error| {
        logging::fatal(&call, &format!("{error:#}"));
        1
    })
}

/// How runtimes are asked for help. Their own follows ours.
const HELP: [&str; 3] = ["--help", "-h", "help"];

fn help(settings: &RuntimeSettings) -> String {
    let rows = settings::table::TABLE.iter().map(|row| format!("  {} = {}\n", row.key, (row.show)(settings)));
    let below = match low_level_runtime::find(settings) {
        Ok(found) => format!("{}. Its own help:", found.path().display()),
        Err(_) => "none of them is installed.".into(),
    };
    format!(
        "nvshare-runtime {}: an OCI runtime for containers that share a GPU.\n\n\
         A container engine starts it in the place of runc or crun (docker run --runtime=nvshare). Before create, run\n\
         and exec it edits the container's document if the container has a GPU. Then it becomes the low-level runtime,\n\
         which has every command and option.\n\n  \
           nvshare-ctk runtime configure   tells an engine of it\n  \
           nvshare-ctk explain BUNDLE      says what becomes of a container, and why\n  \
           nvshare-ctk doctor              says what is wrong, and what to do\n\n\
         Settings in force, of section [{}] of {}:\n\n{}\n\
         The low-level runtime is {below}\n\n",
        env!("CARGO_PKG_VERSION"),
        settings::SECTION,
        settings::path().display(),
        rows.collect::<String>(),
    )
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
    if matches!(call.action, Action::Delete { .. } | Action::Other) {
        return Ok(());
    }
    let work = || match &call.action {
        Action::Start { bundle, config } => {
            start(bundle.as_deref(), config.as_deref(), call, settings, settings_error)
        }
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
    settings_error: Option<String>,
) -> Result<()> {
    let bundle = bundle.unwrap_or(Path::new("."));
    let named = config.map_or_else(|| bundle.join("config.json"), Path::to_owned);
    let mut file = JsonFile::read(&named)?;
    let bundle = std::path::absolute(bundle)?;
    if let Some(error) = settings_error {
        let said = image_annotations::of_container(&file.value, &bundle);
        // It concerns no container that is not ours.
        return match selection::select(&file.value, &said, settings).verdict {
            Verdict::Selected(_) => bail!("{error}"),
            Verdict::Skipped(_) | Verdict::AlreadyInjected => Ok(()),
        };
    }
    if spec::is_injected(&file.value)
        && let Err(error) = start_again(&mut file, &named, &bundle)
    {
        logging::warn(settings, &file.directory().display().to_string(), &format!("{error:#}"));
    }
    let done = plan::inject(&mut file.value, &bundle, Scratch::Bundle(&bundle), settings);
    if file.is_reset() && !matches!(&done, Ok(Injection { outcome: Outcome::Managed { .. }, .. })) {
        start_record::restore(&file).context("cannot restore config.json")?;
    }
    let done = done?;
    let name = file.directory().display().to_string();
    done.ignored.iter().for_each(|ignored| logging::warn(settings, &name, ignored));
    match done.outcome {
        Outcome::NotSelected(reason) => logging::debug(call, &format!("{name} is left as it is: {reason}")),
        Outcome::Unmanaged(reason) if settings.on_error == OnError::Fail => bail!("{name}: {reason}"),
        Outcome::Unmanaged(reason) => logging::warn(settings, &name, &format!("not managed: {reason}")),
        Outcome::Managed { degraded, preload, plan } => {
            if let Err(error) = start_record::replace(&file, preload.as_deref()) {
                if file.is_reset() {
                    // The document of the earlier start names the copy.
                    start_record::restore(&file).context("cannot restore config.json")?;
                }
                if let Some(copy) = &plan.preload_file {
                    scratch::remove_copy(Path::new(copy), Path::new(constants::WRITABLE_PRELOADS));
                }
                return Err(error);
            }
            logging::debug(call, &format!("{name} is managed: {}", plan.mark()));
            if let Some(degraded) = degraded {
                logging::warn(settings, &name, &degraded);
            }
        }
    }
    Ok(())
}

/// A bundle that was edited for an earlier container is edited anew, where that container has ended or our files have gone.
fn start_again(file: &mut JsonFile, named: &Path, bundle: &Path) -> Result<()> {
    let original = JsonFile::read(&file.directory().join(constants::ORIGINAL_DOCUMENT_NAME));
    let record = StartRecord::of(file).filter(|record| record.is_last_to_write(file));
    let gone = edit::sources(&file.value).any(|source| !Path::new(source).exists());
    if let (Ok(original), Some(record)) = (original, record) {
        let caught_up = if gone { Ok(true) } else { cleanup::catch_up(bundle, file, &record) };
        if !matches!(caught_up, Ok(false)) {
            file.reset(original);
        }
        return caught_up.map(drop);
    }
    if gone {
        file.replace_by(&edit::without(&file.value))?;
        *file = JsonFile::read(named)?;
    }
    Ok(())
}

/// Cleans up after a container of ours that has ended, and deletes one that has not before that. Returns what to end with;
/// none: the runtime below has still to delete it. Whatever goes wrong, the container must be deleted.
fn delete(
    container: &OsStr,
    call: &Call,
    words: &[OsString],
    settings: &RuntimeSettings,
    low_level: &LowLevelRuntime,
) -> Option<u8> {
    let state = || low_level.state(&call.scope, container);
    let before = state().filter(|state| spec::annotation(state, constants::INJECTED_ANNOTATION).is_some())?;
    let clean_up = || {
        let bundle = Path::new(spec::text(&before, "bundle"));
        if let Err(error) = panic_guard::catch("nvshare-runtime", || cleanup::clean_up(bundle)) {
            logging::warn(settings, &bundle.display().to_string(), &format!("{error:#}"));
        }
    };
    // The engine may not wait for our end, so what can be done first is.
    if spec::text(&before, "status") == "stopped" {
        clean_up();
        return None;
    }
    let ended = low_level.run(words).ok()?;
    let code = ended.unwrap_or_else(|| u8::from(state().is_some()));
    // One that was not deleted may run still.
    if code == 0 {
        clean_up();
    }
    Some(code)
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
    let begun = JsonFile::read(&bundle.join(constants::ORIGINAL_DOCUMENT_NAME));
    let begun = begun.map_or(selection.spec, |file| file.value);
    let remarks = wishes::of_exec(&file.value, &begun, &annotations, settings);
    let heading = container.display().to_string();
    remarks.iter().for_each(|remark| logging::warn(settings, &heading, remark));
    let edited = edit::inject_exec(&mut file.value, &annotations, settings, &remarks)
        .with_context(|| process.display().to_string())?;
    if edited { file.replace() } else { Ok(()) }
}
