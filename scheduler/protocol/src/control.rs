//! Operator and scheduler: one JSON value a line, a request and its reply in turn: `"status"`,
//! `{"set-quantum":{"seconds":2.5}}`.
//!
//! A field that a peer of another version does not send has its default.
use serde::{Deserialize, Serialize};

/// The version of what is answered. A field that is added leaves it as it is; one that is removed, or means something
/// else, raises it.
pub const SCHEMA: u32 = 1;

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    SetQuantum(QuantumSetting),
    /// On one GPU, by its UUID; none: as on the others.
    SetGpuQuantum {
        gpu: String,
        quantum: Option<QuantumSetting>,
    },
    /// What a tenant that loses its turn moves out: `pressure`, `always` or `never`.
    SetEvict {
        mode: String,
    },
    /// What holds for these tenants alone, above what the settings allow and what they wish for.
    SetTenant {
        target: Target,
        change: TenantChange,
    },
    /// These have no turns until they are resumed. Their memory stays until others need the room.
    Pause {
        target: Target,
    },
    Resume {
        target: Target,
    },
    /// What these have on their GPUs is moved out, once; it comes back with their next turns.
    Evict {
        target: Target,
    },
    /// The configuration file is read again.
    Reload,
    On,
    Off,
    /// What was recorded of holds and hand-overs.
    Trace,
    /// What happens from now on: answered by a [`Reply::Done`], then by one [`Reply::Event`] after the other until
    /// the operator closes the connection.
    Events,
    /// Past events, and those from now on where they are followed: answered as [`Request::Events`]; not followed, a
    /// second [`Reply::Done`] ends them.
    EventsSince(EventQuery),
    /// What was used.
    Report(ReportQuery),
}

/// Which sums of usage an operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportQuery {
    /// The first moment, in seconds since 1970 (UTC): what is known of its hour, or day, counts whole.
    pub since: f64,
    pub by: Grouping,
}

/// What a row of a report is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// All processes of one program of one user in one container, or outside of all.
    #[default]
    Tenant,
    Container,
    User,
    Gpu,
}

/// What was used, the most first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The version of this structure: [`SCHEMA`].
    pub schema: u32,
    pub by: Grouping,
    /// The first hour or day that counts, in seconds since 1970; none: nothing was used.
    pub since: Option<f64>,
    pub rows: Vec<ReportRow>,
}

/// One user, container, program or GPU: what the report is not by is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportRow {
    pub uid: Option<u32>,
    /// That user's name. The scheduler leaves it out, nvsharectl fills it in; none: the number has no name here.
    pub user: Option<String>,
    pub container: Option<String>,
    pub program: Option<String>,
    pub gpu: Option<String>,
    /// The time of GPUs held: two for a second are two.
    pub held_seconds: f64,
    pub waited_seconds: f64,
    pub moved_in_bytes: u64,
    pub moved_out_bytes: u64,
}

/// Which events an operator wants to see. A field that is none chooses all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// The first moment, in seconds since 1970 (UTC); none: no past event.
    pub since: Option<f64>,
    pub follow: bool,
    /// Its number or its session.
    pub tenant: Option<String>,
    /// Its name or id as the event shows it, or the whole id.
    pub container: Option<String>,
    /// A UUID, or how one begins.
    pub gpu: Option<String>,
    /// One of [`EVENT_KINDS`].
    pub kind: Option<String>,
}

/// Whom a request is about: `{"tenant":3}` or `{"container":"4f1d3c0b5a69"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Tenant(u64),
    /// The first characters of a container's id, as many as tell it from others: its tenants, and those that join later.
    Container(String),
}

/// What is set for a tenant; none: what the settings and its own wish say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TenantChange {
    /// The most that it may allocate on each GPU, bytes.
    Limit(Option<u64>),
    /// 1 to 1000.
    Weight(Option<u32>),
    /// `low`, `normal` or `high`.
    Priority(Option<String>),
    /// The most of each GPU's time, 1 to 100 per cent.
    TimeShare(Option<u32>),
}

/// How long turns last: `{"seconds":2.5}` or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuantumSetting {
    /// 0.001 to 86,400.
    Seconds(f64),
    /// Computed from what hand-overs cost.
    Auto,
}

/// What the scheduler answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Status(Status),
    Trace(Trace),
    Event(AuditEvent),
    Report(Report),
    Done { message: String },
    Error { message: String },
}

/// A picture of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The version of these structures: [`SCHEMA`].
    pub schema: u32,
    pub version: String,
    pub enabled: bool,
    /// How long a turn lasts. Where it is computed from the cost of hand-overs: the longest of all devices that have no quantum
    /// of their own.
    pub quantum_seconds: f64,
    /// Whether it is computed from the cost of hand-overs.
    pub quantum_auto: bool,
    pub evict: String,
    pub uptime_seconds: f64,
    #[serde(rename = "gpus")]
    pub devices: Vec<DeviceStatus>,
    pub tenants: Vec<TenantStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceStatus {
    pub uuid: String,
    /// Its number in the order of the PCI bus, as nvidia-smi counts; none: NVML does not know the device.
    pub index: Option<u32>,
    /// Where it is, as nvidia-smi writes it: `00000000:19:00.0`; empty: NVML does not know the device.
    pub bus_id: String,
    pub name: String,
    pub capacity_bytes: u64,
    /// The source of the capacity: `configured`, `nvml`, or `tenants` where no better source knows the device.
    pub capacity_from: String,
    pub allocated_bytes: u64,
    pub resident_bytes: u64,
    /// What programs outside of nvshare use.
    pub outside_bytes: u64,
    /// What is in use by anybody, the driver's own included; none: NVML does not tell.
    pub used_bytes: Option<u64>,
    /// How much of the last moments somebody computed on it, in per cent; none: NVML does not tell.
    pub utilization_percent: Option<u32>,
    pub holders: Vec<u64>,
    pub waiting: Vec<u64>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
    /// The time for which somebody has held it.
    pub held_seconds: f64,
    /// How long a turn of weight 1 lasts on it.
    pub quantum_seconds: f64,
    /// What is set for it alone.
    pub quantum_setting: Option<QuantumSetting>,
    /// What bringing memory in has cost lately, and what draining and moving out has; 0: not known.
    pub fetch_cost_seconds: f64,
    pub release_cost_seconds: f64,
    /// How fast memory came in last; 0: not known.
    pub fetch_bytes_per_second: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantStatus {
    pub id: u64,
    /// As the id, and the same after a restart of the scheduler.
    pub session: String,
    /// Host pid.
    pub pid: u32,
    pub uid: u32,
    /// Its user on the host: whose range of uids (/etc/subuid) its own is in, or its own.
    pub user_uid: u32,
    /// That user's name. The scheduler leaves it out, nvsharectl fills it in; none: the number has no name here.
    pub user: Option<String>,
    pub program: String,
    /// The beginning of its container's id, followed by its owner where that is not root; `job_42` in a job of Slurm;
    /// none: a process of the host.
    pub container: Option<String>,
    /// The step of a Slurm job that it is of, as `sacct` names it: `42.batch`.
    pub slurm_step: Option<String>,
    /// That container's name. The scheduler leaves it out, nvsharectl fills it in; none: no engine of the host tells it.
    pub container_name: Option<String>,
    /// `idle`, `waiting`, `throttled`, `fetching`, `running`, `draining`, `deferred` (it stands back for the time that its
    /// owner's tenants have kept from others), `unresponsive`, `stopped` (its process is, or frozen), `disconnected` (its
    /// connection is gone and its process is not, nor what it has).
    pub state: String,
    /// The UUIDs of its GPUs.
    #[serde(rename = "gpus")]
    pub devices: Vec<String>,
    pub allocated_bytes: u64,
    pub resident_bytes: u64,
    pub immovable_bytes: u64,
    /// The time for which it has held its devices.
    pub held_seconds: f64,
    /// The time for which it has waited.
    pub waited_seconds: f64,
    pub grants: u64,
    /// Its turns last so many times as long as those of others.
    pub weight: u32,
    /// `low`, `normal` or `high`.
    pub priority: String,
    /// The most of each GPU's time that it may hold, in per cent; none: all of it.
    pub time_share_percent: Option<u32>,
    /// The most that it may allocate on each device; none: the device less the reserve.
    pub limit_bytes: Option<u64>,
    /// Host memory that it may move its memory to.
    pub swap_bytes: u64,
    /// What it has allocated and is not on its devices: moved out, or not brought in yet.
    pub moved_out_bytes: u64,
    /// How its memory moves, where its library tells; none: every byte is copied.
    pub moves: Option<TenantMoves>,
    pub library: String,
    /// What was asked for: `auto`, `swap`, `managed` or `plain`.
    pub engine: String,
    /// What moves its memory: `swap`, `managed`, `plain`, or `undecided` while it has no memory.
    pub engine_in_use: String,
    /// Where the limit comes from: `operator` (set by one), the setting's name such as `memory_per_tenant`, `slurm` (its
    /// part of what its job may), `wish` (its own), or none: there is no limit.
    pub limit_from: Option<String>,
    /// An operator has paused it.
    pub paused: bool,
    /// The job of several processes that it is of, which get their GPUs together.
    pub gang: Option<String>,
    /// How many processes of that job its launcher has started on this host; none: it does not say.
    pub gang_size: Option<u32>,
    pub why: Why,
    /// What the tenant has reported, for instance CUDA calls made around the library, the latest last.
    pub reports: Vec<String>,
}

/// How a tenant's memory moves on all its devices, by its own word: since it joined, and what is where now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantMoves {
    /// Moved out and brought in by copies.
    pub copied_out_bytes: u64,
    pub copied_in_bytes: u64,
    /// Moved out without a copy, because the last one was still right.
    pub unchanged_bytes: u64,
    /// Moved out and brought in without a copy, because it was zero.
    pub zero_out_bytes: u64,
    pub zero_in_bytes: u64,
    /// Of [`TenantStatus::moved_out_bytes`], what a return has to copy.
    pub away_content_bytes: u64,
    /// Of [`TenantStatus::resident_bytes`], what may leave without a copy: nothing had changed when it came in.
    pub clean_bytes: u64,
}

/// Why a tenant is in the state that it is in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Why {
    /// `running`, `idle`, `off` (the scheduler is), `paused`, `stopped` (its process is, or frozen), `disconnected`,
    /// `unresponsive`, `no-device` (it has named none that the host knows), `restart` (of the scheduler: those that held
    /// before come first), `quota` (its share of the time is used up), `debt` (its owner's tenants have kept a GPU from
    /// others), `no-room` (it cannot fit beside what others keep), `outside` (programs outside of nvshare fill the GPU),
    /// `queue` (others are before it), `turn` (it is next, and others have their turns), `leaving` (it is next, and one
    /// that has to leave does not), `moving` (it is next, and memory of others is still moving out),
    /// `gang` (its job waits for processes that are still to come).
    pub reason: String,
    /// In words.
    pub text: String,
    /// For how long it has been so; none: not known.
    pub seconds: Option<f64>,
    /// In how long its turn can be expected, if all keep to their turns; none: nothing says so.
    pub expected_seconds: Option<f64>,
    /// The tenants that have what it needs.
    pub holders: Vec<u64>,
    /// What else slows it down.
    pub remarks: Vec<String>,
    /// What could be done about it.
    pub advice: Vec<String>,
}

/// Finished and running spans, oldest first, in seconds since the scheduler's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    pub spans: Vec<Span>,
    /// Spans that were dropped because the record is bounded.
    pub dropped: u64,
}

/// One stretch of one tenant's time with its devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub tenant: u64,
    pub pid: u32,
    pub label: String,
    /// The job of several processes that the tenant is of.
    pub gang: Option<String>,
    #[serde(rename = "gpus")]
    pub devices: Vec<String>,
    /// `wait`, `fetch`, `run`, `drain`, `evict`.
    pub kind: String,
    #[serde(rename = "start_seconds")]
    pub start: f64,
    /// None: still going on.
    #[serde(rename = "end_seconds")]
    pub end: Option<f64>,
    /// What was moved in it.
    pub bytes: u64,
    /// The parts of that which were not copied: the last copy was still right, or it was zero.
    pub unchanged_bytes: u64,
    pub zero_bytes: u64,
}

/// What an event may be.
pub const EVENT_KINDS: [&str; 31] = [
    // Of a tenant.
    "joined",
    "left",
    "device",
    "requested",
    "granted",
    "ready",
    "idle",
    "revoked",
    "released",
    "drain-cancelled",
    // Ahead of its grant, or more than before.
    "bring-in",
    // Beside its turns.
    "move-out",
    "moved-out",
    // What it has does not fit beside what others keep.
    "no-room",
    // By the driver, within its budget.
    "memory-refused",
    "unresponsive",
    // Its process is, or frozen: `text` says which.
    "stopped",
    "resumed",
    "disconnected",
    // What moves its memory.
    "engine",
    "report",
    // A job of several processes.
    "gang-joined",
    "gang-left",
    // It is the last of its job.
    "gang-formed",
    // The others of its job wait for it.
    "gang-held-up",
    // The processes of its job do not fit together, and take turns.
    "gang-parted",
    // A connection.
    "refused",
    // What programs outside of nvshare use has changed.
    "outside",
    // A device, by another scheduler too.
    "served-twice",
    // By an operator.
    "set",
    // Events that were not read in time.
    "missed",
];

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditEvent {
    /// Since the scheduler's start.
    pub seconds: f64,
    /// The time of day (UTC), as RFC 3339 writes it: `2026-11-30T16:15:54.123Z`.
    pub time: String,
    /// One of [`EVENT_KINDS`].
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u64>,
    /// As the tenant's number, and the same after a restart of the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The operator who did it: `root (uid 0)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The job of several processes that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gang: Option<String>,
    #[serde(rename = "gpus", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// What it may have (`granted`, `bring-in`), has moved or has to move, on all devices together; none of the latter:
    /// everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
