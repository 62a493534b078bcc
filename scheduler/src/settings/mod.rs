//! What an operator may set: one table ([`table::TABLE`]) from which the file is read, the sample is
//! written, the flags are checked and the effective settings are printed.
mod file;
mod gpus;
pub mod table;
mod value;

pub use file::{DEFAULT_FILE, Flag, load, runtime_faults, source};
pub use gpus::MEMORY as GPU_MEMORY;
pub use value::{from_seconds, whole_size};

use crate::metrics::listen::Address;
use crate::swap::ledger;
use crate::tenants::permits::Limits;
use crate::tenants::reservations::Ceilings;
use nvshare_core::Priority;
use nvshare_core::settings::Quantum;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;
use std::fmt;

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// The settings of the core.
    pub core: nvshare_core::Settings,
    /// Whether turns are taken from the start.
    pub enabled: bool,
    /// Whether processes may say that they are of one job.
    pub gangs: bool,
    pub tenants: Limits,
    /// What tenants may allocate on each device.
    pub memory: Ceilings,
    /// The most of each device's time that one may hold, in per cent.
    pub time_share: Option<u32>,
    /// How long a connection may take to say hello, and to end a message that it has begun.
    pub hello_timeout: Nanos,
    pub messages_per_second: u64,
    /// The most swap space of all tenants together; none: half of the host's memory.
    pub swap: Option<Bytes>,
    /// The most swap space of one owner.
    pub swap_limits: ledger::Limits,
    /// The largest weight and the highest priority that a tenant may wish for itself.
    pub weight: u32,
    pub priority: Priority,
    /// Whether the calls of a process without a permit fail, instead of waiting.
    pub full_fails: bool,
    /// The NVML library; none: it is not asked.
    pub nvml: Option<String>,
    /// The memory of devices, where an operator knows it better than NVML or tenants.
    pub capacities: BTreeMap<DeviceId, Bytes>,
    /// Mode of the tenants' socket.
    pub tenant_mode: u32,
    /// The group whose members are operators; none: `nvshare` where there is one, else the daemon's own.
    pub control_group: Option<String>,
    /// The group whose members see everything and set nothing; none: nobody beside operators does.
    pub reader_group: Option<String>,
    /// Where metrics are served; none: nowhere.
    pub metrics: Option<Address>,
    /// For how many days what tenants use is kept.
    pub usage_days: u64,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            core: nvshare_core::Settings {
                reserve: Bytes(1 << 30),
                quantum: Quantum::Auto,
                share: true,
                overlap: true,
                ..nvshare_core::Settings::default()
            },
            enabled: true,
            gangs: false,
            tenants: Limits { total: 1024, per_user: 512, per_container: 256 },
            memory: Ceilings::default(),
            time_share: None,
            hello_timeout: Nanos::from_millis(5_000),
            messages_per_second: 1000,
            swap: None,
            swap_limits: ledger::Limits {
                per_tenant: ledger::Limit::Auto,
                per_user: ledger::Limit::Auto,
                per_container: ledger::Limit::Auto,
            },
            weight: 1,
            priority: Priority::Normal,
            full_fails: false,
            nvml: Some("libnvidia-ml.so.1".into()),
            capacities: BTreeMap::new(),
            tenant_mode: 0o666,
            control_group: None,
            reader_group: None,
            metrics: None,
            usage_days: 30,
        }
    }
}

/// Reads the settings as the start did.
pub type Source = Box<dyn Fn() -> Result<DaemonSettings, Wrong>>;

/// One setting that two files set differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// As a line of the file: what the second one says.
    pub text: String,
    /// Whether it can hold only from the daemon's next start.
    pub needs_restart: bool,
}

/// What `new` sets differently than `old`, in the order of the sample file.
#[must_use]
pub fn differences(old: &DaemonSettings, new: &DaemonSettings) -> Vec<Difference> {
    let changed = table::TABLE.iter().filter(|row| (row.show)(old) != (row.show)(new));
    let rows = changed.map(|row| Difference {
        text: format!("[{}] {} = {}", row.section, row.key, (row.show)(new)),
        needs_restart: row.needs_restart(),
    });
    rows.chain(gpus::differences(old, new)).collect()
}

/// Everything that is wrong, each with what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub Vec<String>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
impl std::error::Error for Wrong {}

impl DaemonSettings {
    /// The effective settings as a configuration file.
    #[must_use]
    pub fn print(&self) -> String {
        sections(|row| format!("{} = {}\n", row.key, (row.show)(self))) + &gpus::print(self)
    }
}

/// The file that is shipped: every setting with its meaning, what is allowed and its default.
#[must_use]
pub fn sample() -> String {
    let defaults = DaemonSettings::default();
    let head = "# The settings of nvshare-scheduler. What is commented out is the default.\n\
                # `nvshare-scheduler --check` tells whether this file is right; so does `nvshare-ctk doctor`, with the rest\n\
                # of the installation.\n\n";
    let body = sections(|row| {
        let about: String = row.about.lines().map(|line| format!("# {line}\n")).collect();
        format!("\n{about}# Allowed: {}.\n#{} = {}\n", row.allowed, row.key, (row.show)(&defaults))
    });
    format!("{head}{body}{}", gpus::SAMPLE)
}

fn sections(line: impl Fn(&table::Setting) -> String) -> String {
    let mut out = String::new();
    let mut section = "";
    for row in table::TABLE {
        if row.section != section {
            section = row.section;
            let gap = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}[{section}]\n"));
        }
        out.push_str(&line(row));
    }
    out
}
