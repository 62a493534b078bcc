//! Every setting of the library.
use super::gang::GangChoice;
use super::value::{choice, switch};
use super::{DEEPBIND, EngineChoice, Settings};
use crate::sys::log::Level;
use nvshare_protocol::quantity;
use nvshare_protocol::wishes::{
    self, ENGINE, GANG, MEM_LIMIT, PRIORITIES, PRIORITY, TIME_SHARE, WEIGHT, one_of,
};
use std::path::{Path, PathBuf};

/// One setting: an environment variable.
pub struct Setting {
    pub name: &'static str,
    pub about: &'static str,
    /// What it may be, for faults.
    pub allowed: &'static str,
    /// Takes a value that is allowed. None: it is not.
    pub set: fn(&mut Settings, &str) -> Option<()>,
    /// The value in force.
    pub show: fn(&Settings) -> String,
    /// How the container's policy bounds the value, where the process has one itself or not. None: a container has no say.
    pub bound: Option<Bound>,
}

/// Changes what the process has by what the policy says, given whether the process has a value itself.
pub type Bound = fn(&mut Settings, &Settings, bool);

const LEVELS: [(&str, Level); 5] = [
    ("off", Level::Off),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

/// Hands a parsed value to its place.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> String {
    words.iter().find(|(_, known)| known == value).map_or_else(String::new, |(word, _)| (*word).to_owned())
}

fn shown<T: ToString>(value: Option<T>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), |value| value.to_string())
}

fn flag(on: bool) -> String {
    u8::from(on).to_string()
}

/// A number that both may set is the lesser of the two.
fn least<T: Ord + Copy>(asked: &mut Option<T>, policy: Option<T>) {
    *asked = asked.iter().copied().chain(policy).min();
}

/// In the order of the documentation.
pub const TABLE: &[Setting] = &[
    Setting {
        name: "NVSHARE_SOCKET",
        about: "the scheduler's socket for tenants",
        allowed: "an absolute path",
        set: |s, v| put(&mut s.socket, Some(PathBuf::from(v)).filter(|path: &PathBuf| path.is_absolute())),
        show: |s| Path::display(&s.socket).to_string(),
        bound: None,
    },
    Setting {
        name: "NVSHARE_LOG",
        about: "what the library says on stderr",
        allowed: "off, error, warn, info, debug",
        set: |s, v| put(&mut s.level, choice(&LEVELS, v)),
        show: |s| word(&LEVELS, &s.level),
        bound: None,
    },
    Setting {
        name: ENGINE.variable,
        about: "how memory is moved out and back; auto: swap where device and scheduler offer it, else managed; plain: not at all",
        allowed: ENGINE.allowed,
        set: |s, v| put(&mut s.engine, one_of(&wishes::ENGINES, v).map(|at| EngineChoice::ALL[at])),
        show: |s| s.engine.name().to_owned(),
        // An engine gives nobody more.
        bound: Some(|s, policy, has_one| s.engine = if has_one { s.engine } else { policy.engine }),
    },
    Setting {
        name: MEM_LIMIT.variable,
        about: "the most that the process may allocate on each device",
        allowed: MEM_LIMIT.allowed,
        set: |s, v| put(&mut s.limit, wishes::memory_limit(v).map(Some)),
        show: |s| shown(s.limit.map(quantity::show_size), "none"),
        bound: Some(|s, policy, _| least(&mut s.limit, policy.limit)),
    },
    Setting {
        name: WEIGHT.variable,
        about: "how many times as long its turns last as those of others",
        allowed: WEIGHT.allowed,
        set: |s, v| put(&mut s.weight, wishes::weight(v).map(Some)),
        show: |s| shown(s.weight, "1"),
        bound: Some(|s, policy, _| least(&mut s.weight, policy.weight)),
    },
    Setting {
        name: PRIORITY.variable,
        about: "who comes first where not all fit on the GPU",
        allowed: PRIORITY.allowed,
        set: |s, v| put(&mut s.priority, wishes::priority(v).map(Some)),
        show: |s| PRIORITIES[s.priority.unwrap_or(1) as usize].to_owned(),
        bound: Some(|s, policy, _| least(&mut s.priority, policy.priority)),
    },
    Setting {
        name: TIME_SHARE.variable,
        about: "the most of each GPU's time that the container's processes may hold together, or this one on the host",
        allowed: TIME_SHARE.allowed,
        set: |s, v| put(&mut s.time_share, quantity::percent(v).map(Some)),
        show: |s| format!("{}%", s.time_share.unwrap_or(100)),
        bound: Some(|s, policy, _| least(&mut s.time_share, policy.time_share)),
    },
    Setting {
        name: GANG.variable,
        about: "the job of several processes that it is of, which get their GPUs together; auto: what torchrun, mpirun or srun says; learn: what the scheduler finds out; experimental",
        allowed: GANG.allowed,
        set: |s, v| put(&mut s.gang_choice, GangChoice::parse(v)),
        show: |s| s.gang_choice.show(),
        // Of those of its own container alone.
        bound: Some(|s, policy, has_one| {
            if !has_one {
                s.gang_choice = policy.gang_choice.clone();
            }
        }),
    },
    Setting {
        name: "NVSHARE_PREFETCH",
        about: "off: memory comes back by page faults, for comparison",
        allowed: "on, off",
        set: |s, v| put(&mut s.prefetch, switch("on", "off", v)),
        show: |s| if s.prefetch { "on".to_owned() } else { "off".to_owned() },
        bound: None,
    },
    Setting {
        name: "NVSHARE_MOVE",
        about: "changed: a hand-over leaves out memory that is zero, or as its copy on the host; all: it moves everything, for comparison",
        allowed: "changed, all",
        set: |s, v| put(&mut s.moves_all, switch("all", "changed", v)),
        show: |s| if s.moves_all { "all".to_owned() } else { "changed".to_owned() },
        bound: None,
    },
    // After NVSHARE_LOG, which it overrules.
    Setting {
        name: "NVSHARE_DEBUG",
        about: "1: as NVSHARE_LOG=debug (the C nvshare's name)",
        allowed: "0, 1",
        set: |s, v| {
            let debug = switch("1", "0", v)?;
            s.level = if debug { Level::Debug } else { s.level };
            Some(())
        },
        show: |s| flag(s.level == Level::Debug),
        bound: None,
    },
    Setting {
        name: "NVSHARE_ENABLE_SINGLE_OVERSUB",
        about: "1: the process may allocate more than the card has (the C nvshare's name)",
        allowed: "0, 1",
        set: |s, v| put(&mut s.oversubscribe, switch("1", "0", v)),
        show: |s| flag(s.oversubscribe),
        bound: None,
    },
    Setting {
        name: match DEEPBIND.to_str() {
            Ok(name) => name,
            Err(_) => unreachable!(),
        },
        about: "1: what the program loads with RTLD_DEEPBIND keeps its own names first, and may make calls that are not managed",
        allowed: "0, 1",
        set: |s, v| put(&mut s.deepbind, switch("1", "0", v)),
        show: |s| flag(s.deepbind),
        bound: None,
    },
];
