//! Operator and scheduler: one JSON value a line, a request and its reply in turn: `"status"`,
//! `{"set-quantum":{"seconds":2.5}}`.
use serde::{Deserialize, Serialize};

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    /// The time quantum, in seconds: more than 0, at most 86,400.
    SetQuantum {
        seconds: f64,
    },
    /// What a tenant that loses its turn moves out: `pressure`, `always` or `never`.
    SetEvict {
        mode: String,
    },
    On,
    Off,
    /// What was recorded of holds and hand-overs.
    Trace,
}

/// What the scheduler answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Status(Status),
    Trace(Trace),
    Done { message: String },
    Error { message: String },
}

/// A picture of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub enabled: bool,
    pub quantum_seconds: f64,
    pub evict: String,
    pub uptime_seconds: f64,
    pub devices: Vec<DeviceStatus>,
    pub tenants: Vec<TenantStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    pub uuid: String,
    pub name: String,
    pub capacity_bytes: u64,
    pub allocated_bytes: u64,
    pub resident_bytes: u64,
    pub holders: Vec<u64>,
    pub waiting: Vec<u64>,
    pub handovers: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TenantStatus {
    pub id: u64,
    /// Host pid.
    pub pid: u32,
    pub uid: u32,
    pub program: String,
    /// The container's name or id; none: a process of the host.
    pub container: Option<String>,
    /// `idle`, `waiting`, `fetching`, `running`, `draining`, `unresponsive`.
    pub state: String,
    pub devices: Vec<String>,
    pub allocated_bytes: u64,
    pub resident_bytes: u64,
    pub immovable_bytes: u64,
    /// Device time really held.
    pub held_seconds: f64,
    pub grants: u64,
    pub library: String,
    pub engine: String,
    /// What the tenant reported last, for instance CUDA calls made around the library.
    pub report: Option<String>,
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
    pub devices: Vec<String>,
    /// `wait`, `fetch`, `run`, `drain`, `evict`.
    pub kind: String,
    pub start: f64,
    /// None: still going on.
    pub end: Option<f64>,
    /// What was moved in it.
    pub bytes: u64,
}
