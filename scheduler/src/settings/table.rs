//! Every setting of the daemon.
use super::Settings;
use super::value::{
    boolean, count, duration, mode, name, octal, quoted, seconds, show_name, size, whole_size,
};
use nvshare_core::{parse, print::evict_word};
use toml::Value;

/// One setting.
pub struct Setting {
    pub section: &'static str,
    pub key: &'static str,
    /// What it does, for the sample file.
    pub about: &'static str,
    /// What it may be, for errors.
    pub allowed: &'static str,
    /// Takes a value that is allowed; none: it is not.
    pub set: fn(&mut Settings, &Value) -> Option<()>,
    /// The value in force, as TOML.
    pub show: fn(&Settings) -> String,
}

const SECONDS: &str = "a number of seconds from 0.001 to 86400";
const COUNT: &str = "a whole number from 1 to 65536";

/// Hands a parsed value to its place.
fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// In the order of the sample file, by section.
pub const TABLE: &[Setting] = &[
    Setting {
        section: "scheduler",
        key: "quantum",
        about: "How long a turn lasts while somebody else waits, counted from the moment the memory is back.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.quantum, duration(v)),
        show: |s| seconds(s.core.quantum),
    },
    Setting {
        section: "scheduler",
        key: "evict",
        about: "What a tenant moves out of the GPU when its turn ends: what the next one lacks (pressure),\n\
                everything (always), or nothing, leaving it to the driver (never).",
        allowed: "\"pressure\", \"always\" or \"never\"",
        set: |s, v| put(&mut s.core.evict, v.as_str().and_then(parse::evict)),
        show: |s| quoted(evict_word(s.core.evict)),
    },
    Setting {
        section: "scheduler",
        key: "enabled",
        about: "Whether turns are taken from the start; `nvsharectl on` and `off` change it later.",
        allowed: "true or false",
        set: |s, v| put(&mut s.enabled, boolean(v)),
        show: |s| s.enabled.to_string(),
    },
    Setting {
        section: "scheduler",
        key: "fetch_seconds",
        about: "A tenant whose memory is not back this long after its grant begins its turn all the same.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.fetch_bound, duration(v)),
        show: |s| seconds(s.core.fetch_bound),
    },
    Setting {
        section: "scheduler",
        key: "drain_seconds",
        about: "How long a tenant waits for the end of its own work before it gives up leaving the GPU.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.drain_bound, duration(v)),
        show: |s| seconds(s.core.drain_bound),
    },
    Setting {
        section: "scheduler",
        key: "evict_seconds",
        about: "What a tenant has beyond that to move its memory out and answer. One that does not is put down\n\
                as unresponsive and the others go on beside it.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.evict_bound, duration(v)),
        show: |s| seconds(s.core.evict_bound),
    },
    Setting {
        section: "scheduler",
        key: "patience_seconds",
        about: "How long the others wait for a tenant that tries to leave and cannot.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.patience, duration(v)),
        show: |s| seconds(s.core.patience),
    },
    Setting {
        section: "scheduler",
        key: "trace_spans",
        about: "How many finished holds and hand-overs are remembered for `nvsharectl trace`.",
        allowed: COUNT,
        set: |s, v| put(&mut s.core.record, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.core.record.to_string(),
    },
    Setting {
        section: "memory",
        key: "reserve",
        about: "What is kept back of every GPU for contexts and the driver: applications see the card less this.",
        allowed: "a size such as \"512MiB\" or \"1.5GiB\", at most \"64GiB\"",
        set: |s, v| put(&mut s.core.reserve, size(v)),
        show: |s| whole_size(s.core.reserve),
    },
    Setting {
        section: "limits",
        key: "connections",
        about: "The most connections of tenants at a time.",
        allowed: COUNT,
        set: |s, v| put(&mut s.connections.total, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.connections.total.to_string(),
    },
    Setting {
        section: "limits",
        key: "connections_per_user",
        about: "The most of them by one user of the host.",
        allowed: COUNT,
        set: |s, v| put(&mut s.connections.per_user, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.connections.per_user.to_string(),
    },
    Setting {
        section: "limits",
        key: "connections_per_container",
        about: "The most of them by one container.",
        allowed: COUNT,
        set: |s, v| put(&mut s.connections.per_container, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.connections.per_container.to_string(),
    },
    Setting {
        section: "limits",
        key: "hello_timeout_seconds",
        about: "A connection that says nothing for so long, or ends a message no sooner, is closed.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.hello_timeout, duration(v)),
        show: |s| seconds(s.hello_timeout),
    },
    Setting {
        section: "limits",
        key: "messages_per_second",
        about: "A tenant that goes on sending more loses its connection.",
        allowed: "a whole number from 10 to 1000000",
        set: |s, v| put(&mut s.messages_per_second, count(v, 10..=1_000_000)),
        show: |s| s.messages_per_second.to_string(),
    },
    Setting {
        section: "sockets",
        key: "tenant_mode",
        about: "Mode of the tenants' socket. With less, containers of other users cannot connect.",
        allowed: "an octal mode from \"0600\" to \"0666\", in quotes",
        set: |s, v| put(&mut s.tenant_mode, mode(v)),
        show: |s| octal(s.tenant_mode),
    },
    Setting {
        section: "sockets",
        key: "control_group",
        about: "The group whose members may use nvsharectl; the daemon's user must be one of them, or root.\n\
                Empty: nvshare where that group exists.",
        allowed: "the name of a group of this machine, or \"\"",
        set: |s, v| put(&mut s.control_group, name(v)),
        show: |s| show_name(s.control_group.as_deref()),
    },
];

/// The setting `[section] key`.
#[must_use]
pub fn find(section: &str, key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|row| row.section == section && row.key == key)
}
