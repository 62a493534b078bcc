//! The library's settings: environment variables, read once when the process initialises CUDA, and in a container its
//! policy, which holds for processes that have none of them.
#![allow(unsafe_code)] // getauxval
use crate::sys::log::{self, Level};
use core::ffi::CStr;
pub use gang::Gang;
pub use gang::GangChoice;
use nvshare_protocol::{Bytes, paths, wishes};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use table::{Setting, TABLE};

mod gang;
mod launcher;
mod table;
mod value;

/// Read where files are opened, too: before CUDA is initialised.
pub const DEEPBIND: &CStr = c"NVSHARE_DEEPBIND";

/// So many faults are told.
const MOST_FAULTS: usize = 8;
/// The characters of a remark that somebody else has written.
const LONGEST_REMARK: usize = 512;

/// What new allocations are to be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    Auto,
    Swap,
    Managed,
    Plain,
}

impl EngineChoice {
    const ALL: [Self; 4] = [Self::Auto, Self::Swap, Self::Managed, Self::Plain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Swap => "swap",
            Self::Managed => "managed",
            Self::Plain => "plain",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub socket: PathBuf,
    pub level: Level,
    pub limit: Option<Bytes>,
    pub engine: EngineChoice,
    pub weight: Option<u32>,
    /// As the scheduler is told: 0 low, 1 normal, 2 high.
    pub priority: Option<u32>,
    /// Per cent.
    pub time_share: Option<u32>,
    pub prefetch: bool,
    /// At a hand-over, also what is zero or has not changed.
    pub moves_all: bool,
    pub oversubscribe: bool,
    pub deepbind: bool,
    pub gang_choice: GangChoice,
    /// The job that it is of, by its own word or its launcher's.
    pub gang: Option<Gang>,
}

/// The settings by `get`, and a line for each value that is not allowed (its default then holds). `container`: the
/// directory of the socket, in a container.
pub fn read(get: impl Fn(&str) -> Option<String>, container: Option<&Path>) -> (Settings, Vec<String>) {
    let defaults = Settings::defaults(container);
    let (mut settings, mut faults) = (defaults.clone(), Vec::new());
    for Setting { name, allowed, set, show, .. } in TABLE {
        let Some(value) = get(name).filter(|value| !value.is_empty()) else { continue };
        if set(&mut settings, &value).is_none() {
            let default = show(&defaults);
            faults.push(format!(
                "{name}={value:?} is not allowed (allowed: {allowed}); using the default: {default}"
            ));
        }
    }
    (settings, faults)
}

/// Reads settings by `get`, within the container's policy: lines `NAME=value`, of which only those that a container may
/// be given are followed. A number is the least of what the process asks for and what its container may.
fn read_within(
    get: impl Fn(&str) -> Option<String>,
    container: Option<&Path>,
    policy: &str,
) -> (Settings, Vec<String>) {
    let said = |name: &str| {
        TABLE.iter().find(|setting| setting.name == name && setting.bound.is_some())?;
        let mut lines = policy.lines().filter_map(|line| line.split_once('='));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    let (mut settings, mut faults) = read(&get, container);
    let of_exec = get(wishes::EXEC_REMARKS).unwrap_or_default();
    let remarks = policy.lines().filter_map(|line| line.strip_prefix(wishes::POLICY_REMARK));
    let remarks = remarks.chain(of_exec.lines()).filter(|line| !line.is_empty());
    let remarks: Vec<String> = remarks.map(|line| line.chars().take(LONGEST_REMARK).collect()).collect();
    let (policy, of_policy) = read(said, container);
    for fault in of_policy.into_iter().chain(remarks) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    for setting in TABLE {
        let Some(bound) = setting.bound else { continue };
        let own = get(setting.name).filter(|value| !value.is_empty());
        let wished = (setting.show)(&settings);
        bound(&mut settings, &policy, own.is_some());
        let given = (setting.show)(&settings);
        // One that is not understood is told already.
        let is_understood = |value: &String| (setting.set)(&mut settings.clone(), value).is_some();
        if let Some(value) = own.filter(|value| wished != given && is_understood(value)) {
            faults.push(format!(
                "{}={value:?} is more than its container may have: {given} holds",
                setting.name
            ));
        }
    }
    (settings, faults)
}

/// A line for each variable that seems to have been meant as one of ours.
fn misspelt(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    names.filter_map(|name| {
        let meant = wishes::meant(&name)?;
        Some(format!("{name} is no setting of nvshare and is not followed: did you mean {meant}?"))
    })
}

/// The policy beside the directory of a container's socket, if it has one.
fn policy(container: Option<&Path>) -> String {
    /// Some hundred bytes; more is none of ours.
    const LIMIT: u64 = 64 * 1024;
    let Some(place) = container.and_then(Path::parent) else { return String::new() };
    let mut text = String::new();
    match File::open(place.join(paths::CONTAINER_POLICY)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => {
            if let Err(error) = opened.and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
                log::error!("the container's policy in {} cannot be read: {error}", place.display());
            }
        }
    }
    text
}

impl Settings {
    /// Those of a process that sets none.
    fn defaults(container: Option<&Path>) -> Self {
        let socket = container.map(|directory| directory.join(paths::TENANT_SOCKET));
        Self {
            socket: socket.unwrap_or_else(|| paths::DEFAULT_TENANT_SOCKET.into()),
            level: Level::Warn,
            limit: None,
            engine: EngineChoice::Auto,
            weight: None,
            priority: None,
            time_share: None,
            prefetch: true,
            moves_all: false,
            oversubscribe: false,
            deepbind: false,
            gang_choice: GangChoice::Learn,
            gang: None,
        }
    }

    /// The process's own, and what is wrong with them, which is said on stderr and is for the scheduler too. A program
    /// that runs with more privileges than its caller has (`AT_SECURE`) takes none of them from the caller.
    pub fn of_this_process() -> (Self, Vec<String>) {
        // SAFETY: getauxval reads the auxiliary vector and has no other effect.
        let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // Not every program of a container has the variable: `podman exec` gives it a fresh environment.
        let container = paths::CONTAINER_TENANTS_DIRS.map(Path::new).into_iter().find(|path| path.is_dir());
        let get = |name: &str| if secure { None } else { std::env::var(name).ok() };
        let (mut settings, mut faults) = read_within(get, container, &policy(container));
        settings.gang = gang::gang(&settings.gang_choice, get);
        if !secure {
            faults.extend(misspelt(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())));
        }
        faults.truncate(MOST_FAULTS);
        log::set_level(settings.level);
        for fault in &faults {
            log::error!("{fault}");
        }
        for Setting { name, about, allowed, show, .. } in TABLE {
            log::debug!("setting {name}={}: {about} (allowed: {allowed})", show(&settings));
        }
        (settings, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()), None)
    }

    #[test]
    fn nothing_set_is_the_default() {
        let (settings, faults) = with(&[]);
        assert_eq!(settings.socket, Path::new("/run/nvshare/tenants/scheduler.sock"));
        assert!(settings.prefetch && !settings.oversubscribe && settings.limit.is_none());
        assert!(faults.is_empty());
    }

    #[test]
    fn a_container_has_its_own_default_socket() {
        for directory in paths::CONTAINER_TENANTS_DIRS.map(Path::new) {
            let (settings, _) = read(|_| None, Some(directory));
            assert_eq!(settings.socket, directory.join("scheduler.sock"));
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed_and_the_default_holds() {
        let (settings, faults) = with(&[("NVSHARE_PREFETCH", "yes"), ("NVSHARE_MEM_LIMIT", "4 parsecs")]);
        assert!(settings.prefetch && settings.limit.is_none());
        assert_eq!(
            faults,
            [
                "NVSHARE_MEM_LIMIT=\"4 parsecs\" is not allowed (allowed: a size such as 8GiB, 8g or 512MB, where k, m, g and t are powers of 1024; a number alone is bytes); using the default: none",
                "NVSHARE_PREFETCH=\"yes\" is not allowed (allowed: on, off); using the default: on",
            ]
        );
    }

    /// GUEST: limits by annotation or variable, then `podman exec`, or `env -i`, `su -`, sshd in the container.
    #[test]
    fn the_least_of_policy_and_environment_holds() {
        const POLICY: &str = "NVSHARE_MEM_LIMIT=1GiB\nNVSHARE_WEIGHT=3\nNVSHARE_PRIORITY=low\nNVSHARE_TIME_SHARE=30%\nNVSHARE_ENGINE=managed\n";
        let with = |pairs: &[(&str, &str)], policy: &str| {
            let get = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            read_within(get, None, policy)
        };
        let numbers = |settings: &Settings| {
            (
                settings.limit.map(|limit| limit.0 >> 20),
                settings.weight,
                settings.priority,
                settings.time_share,
            )
        };
        let (settings, faults) = with(&[], POLICY);
        assert_eq!(numbers(&settings), (Some(1024), Some(3), Some(0), Some(30)));
        assert_eq!((settings.engine, faults.len()), (EngineChoice::Managed, 0));
        let more = [
            ("NVSHARE_MEM_LIMIT", "2GiB"),
            ("NVSHARE_WEIGHT", "9"),
            ("NVSHARE_PRIORITY", "high"),
            ("NVSHARE_TIME_SHARE", "90%"),
            ("NVSHARE_ENGINE", "plain"),
        ];
        let (settings, faults) = with(&more, POLICY);
        assert_eq!(numbers(&settings), (Some(1024), Some(3), Some(0), Some(30)));
        assert_eq!(settings.engine, EngineChoice::Plain, "an engine gives nobody more");
        assert_eq!(
            faults,
            [
                "NVSHARE_MEM_LIMIT=\"2GiB\" is more than its container may have: 1.0 GiB holds",
                "NVSHARE_WEIGHT=\"9\" is more than its container may have: 3 holds",
                "NVSHARE_PRIORITY=\"high\" is more than its container may have: low holds",
                "NVSHARE_TIME_SHARE=\"90%\" is more than its container may have: 30% holds",
            ],
            "it is not given, and that is told"
        );
        let (settings, faults) = with(&[("NVSHARE_MEM_LIMIT", "512MiB"), ("NVSHARE_WEIGHT", "2")], POLICY);
        assert_eq!(numbers(&settings), (Some(512), Some(2), Some(0), Some(30)));
        assert_eq!(faults, [""; 0]);
        let (_, faults) = with(&[("NVSHARE_MEM_LIMIT", "all")], POLICY);
        assert!(faults.len() == 1 && faults[0].contains("is not allowed"), "{faults:?}");
        let (settings, _) = with(&more, "");
        assert_eq!(numbers(&settings), (Some(2048), Some(9), Some(2), Some(90)), "without a policy as ever");
        let (settings, faults) =
            with(&[], "NVSHARE_SOCKET=/x\nNVSHARE_DEBUG=1\nnonsense\nNVSHARE_WEIGHT=0\n");
        assert_eq!(
            (settings, faults.len()),
            (with(&[], "").0, 1),
            "of the rest only the wrong value is told"
        );
    }

    #[test]
    fn the_policy_lies_beside_the_socket() {
        let dir = std::env::temp_dir().join(format!("nvshare-policy-{}", std::process::id()));
        let run = dir.join("run");
        std::fs::create_dir_all(&run).unwrap();
        assert_eq!(policy(Some(&run)), "");
        std::fs::write(dir.join(paths::CONTAINER_POLICY), "NVSHARE_WEIGHT=2\n").unwrap();
        assert_eq!(policy(Some(&run)), "NVSHARE_WEIGHT=2\n");
        assert_eq!(policy(None), "");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// OPERATOR: 8GB, 8Gi and 8g meant no limit at all.
    #[test]
    fn a_limit_is_understood_as_people_write_it() {
        for text in ["8GB", "8Gi", "8g", "8192 MB"] {
            let (settings, faults) = with(&[("NVSHARE_MEM_LIMIT", text)]);
            assert_eq!((settings.limit, faults.len()), (Some(Bytes(8 << 30)), 0), "{text}");
        }
        let (_, faults) = with(&[("NVSHARE_MEM_LIMIT", "50%")]);
        assert!(faults[0].contains("\"50%\" is not allowed (allowed: a size such as 8GiB"), "{faults:?}");
    }

    #[test]
    fn the_policys_remarks_and_misspelt_variables_are_faults() {
        let (_, faults) =
            read_within(|_| None, None, "!the annotation io.nvshare.memlimit is none\nNVSHARE_WEIGHT=2\n");
        assert_eq!(faults, ["the annotation io.nvshare.memlimit is none"]);
        let long = "x".repeat(2 * LONGEST_REMARK);
        let of_exec = |name: &str| (name == wishes::EXEC_REMARKS).then(|| format!("it is dropped\n\n{long}"));
        let (_, faults) = read_within(of_exec, None, "!it is dropped\n");
        assert_eq!(faults, ["it is dropped", &long[..LONGEST_REMARK]], "each once, within bounds");
        let names = ["NVSHARE_MEMLIMIT", "NVSHARE_MEM_LIMIT", "NVSHARE_HOME", "PATH", "nvshare_mem_limit"];
        let names = names.map(String::from);
        let faults: Vec<String> = misspelt(names.into_iter()).collect();
        assert_eq!(
            faults,
            [
                "NVSHARE_MEMLIMIT is no setting of nvshare and is not followed: did you mean NVSHARE_MEM_LIMIT?",
                "nvshare_mem_limit is no setting of nvshare and is not followed: did you mean NVSHARE_MEM_LIMIT?"
            ]
        );
    }

    #[test]
    fn the_list_of_variables_is_complete() {
        let known: Vec<&str> = wishes::variables().collect();
        assert!(TABLE.iter().all(|setting| known.contains(&setting.name)), "{known:?}");
        assert_eq!(TABLE.len() + wishes::CONTAINER_VARIABLES.len(), known.len());
        let engines = EngineChoice::ALL.map(EngineChoice::name);
        assert_eq!(engines, wishes::ENGINES);
    }

    #[test]
    fn a_priority_is_one_of_three_words() {
        for (word, expected) in [("low", Some(0)), ("Normal", Some(1)), ("HIGH", Some(2)), ("2", None)] {
            let (settings, faults) = with(&[("NVSHARE_PRIORITY", word)]);
            assert_eq!((settings.priority, faults.is_empty()), (expected, expected.is_some()), "{word}");
        }
    }

    #[test]
    fn a_share_of_time_is_in_whole_per_cent() {
        for (word, expected) in [
            ("30%", Some(30)),
            ("100 %", Some(100)),
            ("30", Some(30)),
            ("0%", None),
            ("101%", None),
            ("2.5%", None),
        ] {
            let (settings, faults) = with(&[("NVSHARE_TIME_SHARE", word)]);
            assert_eq!((settings.time_share, faults.is_empty()), (expected, expected.is_some()), "{word}");
        }
    }

    /// The variables of README.md, in its order, with what it says of their defaults.
    #[test]
    fn the_readme_has_every_variable_and_its_default() {
        let readme = include_str!("../../../README.md");
        let rows = readme.lines().filter(|line| line.starts_with("| `NVSHARE_"));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
        let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches(['|', ' ', '`'])).collect();
        assert_eq!(names, TABLE.iter().map(|setting| setting.name).collect::<Vec<_>>());
        let defaults = Settings::defaults(None);
        for (setting, row) in TABLE.iter().zip(&rows) {
            let default = (setting.show)(&defaults);
            assert!(row[2].replace('`', "").split(' ').any(|word| word == default), "{row:?}: {default}");
        }
    }

    #[test]
    fn the_c_nvshares_names_work() {
        let (settings, faults) = with(&[("NVSHARE_DEBUG", "1"), ("NVSHARE_ENABLE_SINGLE_OVERSUB", "1")]);
        assert!(settings.level == Level::Debug && settings.oversubscribe && faults.is_empty());
    }
}
