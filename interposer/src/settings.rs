//! The library's settings: environment variables, read once when the process initialises CUDA.
#![allow(unsafe_code)] // getauxval
use crate::log::{self, Level};
use core::ffi::CStr;
use nvshare_protocol::{Bytes, paths};
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
        let (settings, faults) = read(|name| if secure { None } else { std::env::var(name).ok() }, container);
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
