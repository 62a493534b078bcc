//! Every setting of the daemon.
use super::DaemonSettings;
use super::gpus;
use super::value::{
    address, boolean, budget, ceiling, count, duration, fails, library, limit, mode, name, octal, percent,
    priority, quoted, seconds, show_address, show_ceiling, show_limit, show_name, show_percent, size,
    whole_size,
};
use nvshare_core::settings::EvictMode;
use nvshare_protocol::Bytes;
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
    pub set: fn(&mut DaemonSettings, &Value) -> Option<()>,
    /// The value in force, as TOML.
    pub show: fn(&DaemonSettings) -> String,
}

impl Setting {
    /// Whether a change holds only from the daemon's next start: sockets and what is made once. All else holds as soon
    /// as the file is read again.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        matches!(
            (self.section, self.key),
            ("sockets" | "metrics" | "accounting", _) | ("scheduler", "trace_spans") | ("memory", "nvml")
        )
    }
}

const SECONDS: &str = "a number of seconds from 0.001 to 86400";
/// What a quantum may be.
pub const QUANTUM: &str = "\"auto\" or a number of seconds from 0.001 to 86400";
const CEILING: &str = "\"none\" or a size such as \"8GiB\", from \"1MiB\" to \"16384GiB\"";
const LIMIT: &str = "\"auto\", \"none\" or a size such as \"8GiB\", from \"1MiB\" to \"16384GiB\"";
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
        about: "How long a turn lasts while somebody else waits, counted from the moment the memory is back.\n\
                auto: 20 times what a hand-over has cost on that GPU lately, from 1 to 30 s; 2 s until that is known.",
        allowed: QUANTUM,
        set: |s, v| put(&mut s.core.quantum, gpus::quantum(v)),
        show: |s| gpus::show(s.core.quantum),
    },
    Setting {
        section: "scheduler",
        key: "share",
        about: "Whether tenants that fit on a GPU together run together instead of taking turns.",
        allowed: "true or false",
        set: |s, v| put(&mut s.core.share, boolean(v)),
        show: |s| s.core.share.to_string(),
    },
    Setting {
        section: "scheduler",
        key: "overlap",
        about: "Whether memory moves while others compute: ahead of a turn, after it, and out of the way of the next\n\
                one; and whether a tenant that has used little lately is served before turns are over.",
        allowed: "true or false",
        set: |s, v| put(&mut s.core.overlap, boolean(v)),
        show: |s| s.core.overlap.to_string(),
    },
    Setting {
        section: "scheduler",
        key: "evict",
        about: "What a tenant moves out of the GPU when its turn ends: what the next one lacks (pressure),\n\
                everything (always), or nothing, leaving it to the driver (never). The driver moves managed memory only:\n\
                what a tenant of the swap engine has moves under never as under pressure.",
        allowed: "\"pressure\", \"always\" or \"never\"",
        set: |s, v| put(&mut s.core.evict, v.as_str().and_then(EvictMode::named)),
        show: |s| quoted(s.core.evict.as_str()),
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
        key: "gangs",
        about: "Experimental: whether processes that say that they are of one job (NVSHARE_GANG), or turn out to be, get their\n\
                GPUs together. Holds for those that join from then on.",
        allowed: "true or false",
        set: |s, v| put(&mut s.gangs, boolean(v)),
        show: |s| s.gangs.to_string(),
    },
    Setting {
        section: "scheduler",
        key: "fetch_seconds",
        about: "A tenant that brings memory in and does not have it back this long after its grant begins its turn all the same.",
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
        about: "What a tenant has beyond that to move its memory out and answer, as long as some of it goes\n\
                (silence_seconds). One that does not is put down as unresponsive and the others go on beside it.",
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
        key: "longest_turn_seconds",
        about: "The longest turn that a weight can make (NVSHARE_WEIGHT). The quantum may be longer.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.turn_bound, duration(v)),
        show: |s| seconds(s.core.turn_bound),
    },
    Setting {
        section: "scheduler",
        key: "silence_seconds",
        about: "One that was granted a GPU, or told to leave it or to move memory, and gives no sign of life for so long is\n\
                not waited for any longer. To bring memory back it has a second more for each GB, and to end its own work\n\
                drain_seconds more. One that is seen to be stopped or frozen is not waited for at all.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.silence, duration(v)),
        show: |s| seconds(s.core.silence),
    },
    Setting {
        section: "scheduler",
        key: "starvation_seconds",
        about: "How long a tenant waits while others of higher priority (NVSHARE_PRIORITY) are served; then it has a turn.",
        allowed: SECONDS,
        set: |s, v| put(&mut s.core.starvation, duration(v)),
        show: |s| seconds(s.core.starvation),
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
        section: "memory",
        key: "usable",
        about: "What all tenants together may have of every GPU at a time, and each tenant of its own, where something\n\
                else needs the rest. auto: all but the reserve and what programs outside of nvshare use.",
        allowed: "\"auto\" or a size such as \"32GiB\", at most \"16384GiB\"",
        set: |s, v| put(&mut s.core.most, budget(v).map(|most| most.unwrap_or(Bytes::MAX))),
        show: |s| if s.core.most == Bytes::MAX { quoted("auto") } else { whole_size(s.core.most) },
    },
    Setting {
        section: "memory",
        key: "nvml",
        about: "The library of NVIDIA's driver that tells which GPUs there are, how large each is, what each tenant really\n\
                uses of it, and what programs outside of nvshare use, which tenants then do without. Empty: it is not\n\
                asked, and tenants are believed ([gpu.\"UUID\"] memory).",
        allowed: "a library's name or its absolute path, or \"\"",
        set: |s, v| put(&mut s.nvml, library(v)),
        show: |s| show_name(s.nvml.as_deref()),
    },
    Setting {
        section: "swap",
        key: "budget",
        about: "The most host memory that all tenants together may move their memory to. It counts against the\n\
                daemon, not against the containers. auto: half of the host's; 0B: none, tenants use managed memory.",
        allowed: "\"auto\" or a size such as \"64GiB\", at most \"16384GiB\"",
        set: |s, v| put(&mut s.swap, budget(v)),
        show: |s| s.swap.map_or_else(|| quoted("auto"), whole_size),
    },
    Setting {
        section: "limits",
        key: "tenants",
        about: "The most tenants at a time: connections, from their beginning until their processes have ended.",
        allowed: COUNT,
        set: |s, v| put(&mut s.tenants.total, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.tenants.total.to_string(),
    },
    Setting {
        section: "limits",
        key: "tenants_per_user",
        about: "The most of them by one user of the host. A subordinate uid (/etc/subuid) and a container of the user's own\n\
                count for the user; a container of the host's engine counts for itself.",
        allowed: COUNT,
        set: |s, v| put(&mut s.tenants.per_user, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.tenants.per_user.to_string(),
    },
    Setting {
        section: "limits",
        key: "tenants_per_container",
        about: "The most of them by one container.",
        allowed: COUNT,
        set: |s, v| put(&mut s.tenants.per_container, count(v, 1..=65_536).map(|n| n as usize)),
        show: |s| s.tenants.per_container.to_string(),
    },
    Setting {
        section: "limits",
        key: "when_full",
        about: "What becomes of a process for which there is no place because others have taken all: its calls wait until\n\
                there is one, or fail. Older libraries run unmanaged.",
        allowed: "\"wait\" or \"fail\"",
        set: |s, v| put(&mut s.full_fails, fails(v)),
        show: |s| quoted(if s.full_fails { "fail" } else { "wait" }),
    },
    Setting {
        section: "limits",
        key: "weight",
        about: "The largest weight that a tenant may wish for itself (NVSHARE_WEIGHT). A larger wish counts as this.",
        allowed: "a whole number from 1 to 1000",
        set: |s, v| put(&mut s.weight, count(v, 1..=1000).map(|n| n as u32)),
        show: |s| s.weight.to_string(),
    },
    Setting {
        section: "limits",
        key: "priority",
        about: "The highest priority that a tenant may wish for itself (NVSHARE_PRIORITY). A higher wish counts as this.",
        allowed: "\"low\", \"normal\" or \"high\"",
        set: |s, v| put(&mut s.priority, priority(v)),
        show: |s| quoted(s.priority.as_str()),
    },
    Setting {
        section: "limits",
        key: "swap_per_tenant",
        about: "The most swap space that one tenant may have. auto: twice what its GPUs hold, and 256 MiB before it has\n\
                named one.",
        allowed: LIMIT,
        set: |s, v| put(&mut s.swap_limits.per_tenant, limit(v)),
        show: |s| show_limit(s.swap_limits.per_tenant),
    },
    Setting {
        section: "limits",
        key: "swap_per_user",
        about: "The most that the tenants of one user of the host may have together, the user's own containers included.\n\
                What counts for a container of the host's engine does not count for the user that it runs as.\n\
                auto: half of [swap] budget; seven eighths for processes of root's on the host.",
        allowed: LIMIT,
        set: |s, v| put(&mut s.swap_limits.per_user, limit(v)),
        show: |s| show_limit(s.swap_limits.per_user),
    },
    Setting {
        section: "limits",
        key: "swap_per_container",
        about: "The same for the tenants of one container.",
        allowed: LIMIT,
        set: |s, v| put(&mut s.swap_limits.per_container, limit(v)),
        show: |s| show_limit(s.swap_limits.per_container),
    },
    Setting {
        section: "limits",
        key: "memory_per_tenant",
        about: "The most that one tenant may allocate on each GPU, if it does not wish for less (NVSHARE_MEM_LIMIT).",
        allowed: CEILING,
        set: |s, v| put(&mut s.memory.per_tenant, ceiling(v)),
        show: |s| show_ceiling(s.memory.per_tenant),
    },
    Setting {
        section: "limits",
        key: "memory_per_user",
        about: "The most that the tenants of one user of the host may allocate on each GPU together. Each is promised\n\
                its part when it joins: what it wishes or memory_per_tenant, otherwise all that is left; one for which\n\
                nothing is left cannot allocate.",
        allowed: CEILING,
        set: |s, v| put(&mut s.memory.per_user, ceiling(v)),
        show: |s| show_ceiling(s.memory.per_user),
    },
    Setting {
        section: "limits",
        key: "memory_per_container",
        about: "The same for the tenants of one container.",
        allowed: CEILING,
        set: |s, v| put(&mut s.memory.per_container, ceiling(v)),
        show: |s| show_ceiling(s.memory.per_container),
    },
    Setting {
        section: "limits",
        key: "time_share_per_tenant",
        about: "The most of each GPU's time that one tenant may hold, also when nobody else wants it, if it does not wish\n\
                for less (NVSHARE_TIME_SHARE). The tenants of one container are counted together.",
        allowed: "\"none\" or a whole number of per cent such as \"30%\", from \"1%\" to \"100%\"",
        set: |s, v| put(&mut s.time_share, percent(v)),
        show: |s| show_percent(s.time_share),
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
    Setting {
        section: "sockets",
        key: "reader_group",
        about: "The group whose members see all tenants, and may set nothing (reader.sock in the runtime directory); the\n\
                daemon's user must be one of them, or root. Empty: operators alone see all. Everybody sees their own\n\
                tenants (user.sock).",
        allowed: "the name of a group of this machine, or \"\"",
        set: |s, v| put(&mut s.reader_group, name(v)),
        show: |s| show_name(s.reader_group.as_deref()),
    },
    Setting {
        section: "metrics",
        key: "listen",
        about: "Where numbers for Prometheus are served (/metrics): an address and port, for which the unit's sandbox must\n\
                be opened, or the path of a socket for the control group. Empty: nowhere.",
        allowed: "an address such as \"127.0.0.1:9835\" or \"[::1]:9835\", an absolute path, or \"\"",
        set: |s, v| put(&mut s.metrics, address(v)),
        show: |s| show_address(s.metrics.as_ref()),
    },
    Setting {
        section: "accounting",
        key: "days",
        about: "For how many days it is kept what users, containers and programs have used (nvsharectl report): by hour\n\
                for two days, by day before that.",
        allowed: "a whole number from 1 to 366",
        set: |s, v| put(&mut s.usage_days, count(v, 1..=366)),
        show: |s| s.usage_days.to_string(),
    },
];

/// The setting `[section] key`.
#[must_use]
pub fn find(section: &str, key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|row| row.section == section && row.key == key)
}
