//! The library's settings: environment variables, read once when the process initialises CUDA, and in a container its
//! policy, which holds for processes that have none of them.
#![allow(unsafe_code)] // getauxval
use crate::sys::log::{self, Level};
use core::ffi::CStr;
use nvshare_protocol::{Bytes, paths};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// One row for the reader of the debug output and of the documentation.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub allowed: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

const SOCKET: &str = "NVSHARE_SOCKET";
const LOG: &str = "NVSHARE_LOG";
const ENGINE: &str = "NVSHARE_ENGINE";
const MEM_LIMIT: &str = "NVSHARE_MEM_LIMIT";
const PREFETCH: &str = "NVSHARE_PREFETCH";
const WEIGHT: &str = "NVSHARE_WEIGHT";
const PRIORITY: &str = "NVSHARE_PRIORITY";
const TIME_SHARE: &str = "NVSHARE_TIME_SHARE";
const DEBUG: &str = "NVSHARE_DEBUG";
const OVERSUB: &str = "NVSHARE_ENABLE_SINGLE_OVERSUB";
/// Read where files are opened.
pub const DEEPBIND: &CStr = c"NVSHARE_DEEPBIND";

#[rustfmt::skip]
pub const TABLE: &[Setting] = &[
    Setting { name: SOCKET, allowed: "an absolute path", default: "/dev/nvshare/run/scheduler.sock in a container, else /run/nvshare/tenants/scheduler.sock", meaning: "the scheduler's socket for tenants" },
    Setting { name: LOG, allowed: "off, error, warn, info, debug", default: "warn", meaning: "what the library says on stderr" },
    Setting { name: ENGINE, allowed: "auto, swap, managed, plain", default: "auto", meaning: "how memory is moved out and back; auto: swap where device and scheduler offer it, else managed; plain: not at all" },
    Setting { name: MEM_LIMIT, allowed: "bytes, or a number with KiB, MiB, GiB or TiB", default: "none", meaning: "the most that the process may allocate on each device" },
    Setting { name: WEIGHT, allowed: "1 to 1000", default: "1", meaning: "how many times as long its turns last as those of others" },
    Setting { name: PRIORITY, allowed: "low, normal, high", default: "normal", meaning: "who comes first where not all fit on the GPU" },
    Setting { name: TIME_SHARE, allowed: "a whole number of per cent, 1% to 100%", default: "100%", meaning: "the most of each GPU's time that the container's processes may hold together, or this one on the host" },
    Setting { name: PREFETCH, allowed: "on, off", default: "on", meaning: "off: memory comes back by page faults, for comparison" },
    Setting { name: DEBUG, allowed: "0, 1", default: "0", meaning: "1: as NVSHARE_LOG=debug (the C nvshare's name)" },
    Setting { name: OVERSUB, allowed: "0, 1", default: "0", meaning: "1: the process may allocate more than the card has (the C nvshare's name)" },
    Setting { name: "NVSHARE_DEEPBIND", allowed: "0, 1", default: "0", meaning: "1: what the program loads with RTLD_DEEPBIND keeps its own names first, and may make calls that are not managed" },
];

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
    pub oversubscribe: bool,
}

/// The settings by `get`, and a line for each value that is not allowed (its default then holds). `container`: the
/// directory of the socket, in a container.
pub fn read(get: impl Fn(&str) -> Option<String>, container: Option<&Path>) -> (Settings, Vec<String>) {
    let mut faults = Vec::new();
    let parse = |name: &str| get(name).filter(|value| !value.is_empty());
    let mut fault = |name: &str, value: &str| {
        let setting = TABLE.iter().find(|setting| setting.name == name).expect("a setting of the table");
        faults.push(format!(
            "{name}={value:?} is not allowed (allowed: {}); using the default: {}",
            setting.allowed, setting.default
        ));
    };
    let socket = match parse(SOCKET) {
        Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
        other => {
            if let Some(value) = other {
                fault(SOCKET, &value);
            }
            let bound = container.map(|directory| directory.join(paths::TENANT_SOCKET));
            bound.unwrap_or_else(|| paths::DEFAULT_TENANT_SOCKET.into())
        }
    };
    let mut switch = |name: &str, on: &str, off: &str, default: bool| match parse(name) {
        Some(value) if value == on => true,
        Some(value) if value == off => false,
        Some(value) => {
            fault(name, &value);
            default
        }
        None => default,
    };
    let prefetch = switch(PREFETCH, "on", "off", true);
    let debug = switch(DEBUG, "1", "0", false);
    let oversubscribe = switch(OVERSUB, "1", "0", false);
    switch("NVSHARE_DEEPBIND", "1", "0", false);
    let level = match parse(LOG).as_deref() {
        Some("off") => Level::Off,
        Some("error") => Level::Error,
        Some("warn") => Level::Warn,
        Some("info") => Level::Info,
        Some("debug") => Level::Debug,
        Some(value) => {
            fault(LOG, value);
            Level::Warn
        }
        None => Level::Warn,
    };
    let limit = parse(MEM_LIMIT).and_then(|value| {
        let bytes = bytes(&value);
        if bytes.is_none() {
            fault(MEM_LIMIT, &value);
        }
        bytes
    });
    let weight = parse(WEIGHT).and_then(|value| {
        let weight = value.parse().ok().filter(|weight| (1..=1000).contains(weight));
        if weight.is_none() {
            fault(WEIGHT, &value);
        }
        weight
    });
    let priority = parse(PRIORITY).and_then(|value| {
        let words = ["low", "normal", "high"];
        let priority = (0..).zip(words).find(|(_, word)| *word == value).map(|(number, _)| number);
        if priority.is_none() {
            fault(PRIORITY, &value);
        }
        priority
    });
    let time_share = parse(TIME_SHARE).and_then(|value| {
        let percent = value.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let percent = percent.filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            fault(TIME_SHARE, &value);
        }
        percent
    });
    let engine = match parse(ENGINE) {
        None => EngineChoice::Auto,
        Some(value) => {
            EngineChoice::ALL.into_iter().find(|choice| choice.name() == value).unwrap_or_else(|| {
                fault(ENGINE, &value);
                EngineChoice::Auto
            })
        }
    };
    let level = if debug { Level::Debug } else { level };
    (Settings { socket, level, limit, engine, weight, priority, time_share, prefetch, oversubscribe }, faults)
}

/// The least of what a process asks for and what its container may: a policy's numbers bound it where it asks, and hold
/// where it does not.
fn within(asked: Settings, policy: &Settings, has_engine: bool) -> Settings {
    fn least<T: Ord + Copy>(asked: Option<T>, policy: Option<T>) -> Option<T> {
        asked.into_iter().chain(policy).min()
    }
    Settings {
        limit: least(asked.limit, policy.limit),
        weight: least(asked.weight, policy.weight),
        priority: least(asked.priority, policy.priority),
        time_share: least(asked.time_share, policy.time_share),
        engine: if has_engine { asked.engine } else { policy.engine },
        ..asked
    }
}

/// Reads settings by `get`, within the container's policy: lines `NAME=value`, of which only those that a container may
/// be given are followed.
fn read_within(
    get: impl Fn(&str) -> Option<String>,
    container: Option<&Path>,
    policy: &str,
) -> (Settings, Vec<String>) {
    let said = |name: &str| {
        let mut lines = policy.lines().filter_map(|line| line.split_once('='));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    let has_engine = get(ENGINE).is_some_and(|value| !value.is_empty());
    let (asked, mut faults) = read(get, container);
    let of_containers = [MEM_LIMIT, WEIGHT, PRIORITY, TIME_SHARE, ENGINE];
    let (policy, of_policy) = read(|name| said(name).filter(|_| of_containers.contains(&name)), container);
    for fault in of_policy {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    (within(asked, &policy, has_engine), faults)
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

/// `1536`, `1536MiB`, `1.5 GiB`: more than 0, at most 2^62.
fn bytes(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (1.0..=(1_u64 << 62) as f64).contains(&value).then_some(Bytes(value as u64))
}

impl Settings {
    /// The process's own, with every fault said on stderr. A program that runs with more privileges
    /// than its caller has (`AT_SECURE`) takes none of them from the caller.
    pub fn of_this_process() -> Self {
        // SAFETY: getauxval reads the auxiliary vector and has no other effect.
        let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // Not every program of a container has the variable: `podman exec` gives it a fresh environment.
        let container = paths::CONTAINER_TENANTS_DIRS.map(Path::new).into_iter().find(|path| path.is_dir());
        let get = |name: &str| if secure { None } else { std::env::var(name).ok() };
        let (settings, faults) = read_within(get, container, &policy(container));
        log::set_level(settings.level);
        for fault in faults {
            log::error!("{fault}");
        }
        log::debug!("{settings:?}");
        for Setting { name, allowed, default, meaning } in TABLE {
            log::debug!("setting {name}: {meaning} (allowed: {allowed}; default: {default})");
        }
        settings
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
                "NVSHARE_PREFETCH=\"yes\" is not allowed (allowed: on, off); using the default: on",
                "NVSHARE_MEM_LIMIT=\"4 parsecs\" is not allowed (allowed: bytes, or a number with KiB, MiB, GiB or TiB); using the default: none",
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
        let (settings, _) = with(&more, POLICY);
        assert_eq!(numbers(&settings), (Some(1024), Some(3), Some(0), Some(30)));
        assert_eq!(settings.engine, EngineChoice::Plain, "an engine gives nobody more");
        let (settings, _) = with(&[("NVSHARE_MEM_LIMIT", "512MiB"), ("NVSHARE_WEIGHT", "2")], POLICY);
        assert_eq!(numbers(&settings), (Some(512), Some(2), Some(0), Some(30)));
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

    #[test]
    fn a_priority_is_one_of_three_words() {
        for (word, expected) in [("low", Some(0)), ("normal", Some(1)), ("high", Some(2)), ("2", None)] {
            let (settings, faults) = with(&[("NVSHARE_PRIORITY", word)]);
            assert_eq!((settings.priority, faults.is_empty()), (expected, expected.is_some()), "{word}");
        }
    }

    #[test]
    fn a_share_of_time_is_in_whole_per_cent() {
        for (word, expected) in [
            ("30%", Some(30)),
            ("100 %", Some(100)),
            ("30", None),
            ("0%", None),
            ("101%", None),
            ("2.5%", None),
        ] {
            let (settings, faults) = with(&[("NVSHARE_TIME_SHARE", word)]);
            assert_eq!((settings.time_share, faults.is_empty()), (expected, expected.is_some()), "{word}");
        }
    }

    #[test]
    fn quantities_have_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("1.5 GiB", Some(3 << 29)),
            ("512MiB", Some(512 << 20)),
            ("0", None),
            ("-1", None),
            ("1e9", None),
        ] {
            assert_eq!(bytes(text), expected.map(Bytes), "{text}");
        }
    }

    #[test]
    fn the_c_nvshares_names_work() {
        let (settings, faults) = with(&[("NVSHARE_DEBUG", "1"), ("NVSHARE_ENABLE_SINGLE_OVERSUB", "1")]);
        assert!(settings.level == Level::Debug && settings.oversubscribe && faults.is_empty());
    }
}
