//! Settings, events and actions as one stable line each: what golden transcripts and the daemon's trace
//! log are made of. [`crate::parse`] reads settings and events back.
//!
//! ```text
//! 0.000000000 settings quantum=30.000000000 evict=pressure reserve=536870912 …
//! 12.345678901 event requested tenant=3
//! 12.345678901 action grant tenant=3 lease=7 budget=[GPU-00000000-0000-0000-0000-000000000001:1234] contended=false
//! ```
//!
//! A line is: the time in seconds, what it is, its name, its fields. Durations are in seconds with nine
//! digits, bytes in bytes (`max`: all of them). A log that is to be replayed needs the settings first and
//! every event, ticks included.
use crate::event::{Action, Event, EvictMode, Stuck};
use crate::model::settings::Quantum;
use crate::model::settings::Settings;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, Nanos};

/// The line for an event.
#[must_use]
pub fn event(now: Nanos, event: &Event) -> String {
    format!("{} event {}", Seconds(now), event_words(event))
}

/// The line for an action.
#[must_use]
pub fn action(now: Nanos, action: &Action) -> String {
    format!("{} action {}", Seconds(now), action_words(action))
}

/// The line for the settings, with which a log begins.
#[must_use]
pub fn settings(now: Nanos, settings: &Settings) -> String {
    let Settings {
        quantum,
        auto,
        quanta,
        share,
        overlap,
        evict,
        reserve,
        most,
        fetch_bound,
        drain_bound,
        evict_bound,
        patience,
        turn_bound,
        silence,
        starvation,
        grace,
        record,
    } = settings;
    let quanta: Vec<String> =
        quanta.iter().map(|(device, quantum)| format!("{device}:{}", quantum_word(*quantum))).collect();
    format!(
        "{} settings quantum={} evict={} reserve={} fetch-bound={} drain-bound={} evict-bound={} patience={} record={record} auto={auto} share={share} overlap={overlap} most={} grace={} quanta=[{}] starvation={} turn-bound={} silence={}",
        Seconds(now),
        Seconds(*quantum),
        evict_word(*evict),
        reserve.0,
        Seconds(*fetch_bound),
        Seconds(*drain_bound),
        Seconds(*evict_bound),
        Seconds(*patience),
        bytes_word(*most),
        Seconds(*grace),
        quanta.join(","),
        Seconds(*starvation),
        Seconds(*turn_bound),
        Seconds(*silence),
    )
}

fn bytes_word(bytes: Bytes) -> String {
    if bytes == Bytes::MAX { "max".into() } else { bytes.0.to_string() }
}

fn quantum_word(quantum: Quantum) -> String {
    match quantum {
        Quantum::Fixed(length) => Seconds(length).to_string(),
        Quantum::Auto => "auto".into(),
    }
}

fn event_words(event: &Event) -> String {
    match event {
        Event::Joined { tenant, holds } => format!("joined tenant={} holds={holds}", tenant.0),
        Event::Left { tenant } => format!("left tenant={}", tenant.0),
        Event::Disconnected { tenant } => format!("disconnected tenant={}", tenant.0),
        Event::Stopped { tenant, stopped } => format!("stopped tenant={} stopped={stopped}", tenant.0),
        Event::Owner { tenant, owner } => format!("owner tenant={} owner={owner}", tenant.0),
        Event::Device { tenant, device, capacity } => {
            format!("device tenant={} device={device} capacity={}", tenant.0, capacity.0)
        }
        Event::Capacity { device, capacity } => format!("capacity device={device} capacity={}", capacity.0),
        Event::Seen { tenant, device, bytes } => {
            format!("seen tenant={} device={device} bytes={}", tenant.0, bytes.0)
        }
        Event::Memory { tenant, device, allocated, resident, immovable } => format!(
            "memory tenant={} device={device} allocated={} resident={} immovable={}",
            tenant.0, allocated.0, resident.0, immovable.0
        ),
        Event::Requested { tenant } => format!("requested tenant={}", tenant.0),
        Event::Ready { tenant, ready } => format!(
            "ready tenant={} lease={} fetched={} took={}",
            tenant.0,
            ready.lease.0,
            Shares(&ready.fetched),
            Seconds(ready.took)
        ),
        Event::Released { tenant, released } => format!(
            "released tenant={} lease={} evicted={} drain={} evict={}",
            tenant.0,
            released.lease.0,
            Shares(&released.evicted),
            Seconds(released.drain),
            Seconds(released.evict)
        ),
        Event::DrainCancelled { tenant, lease } => {
            format!("drain-cancelled tenant={} lease={}", tenant.0, lease.0)
        }
        Event::Idle { tenant, lease } => format!("idle tenant={} lease={}", tenant.0, lease.0),
        Event::Evicted { tenant } => format!("evicted tenant={}", tenant.0),
        Event::Weight { tenant, weight } => format!("weight tenant={} weight={weight}", tenant.0),
        Event::Priority { tenant, priority } => {
            format!("priority tenant={} priority={}", tenant.0, priority.as_str())
        }
        Event::TimeShare { tenant, group, percent } => {
            format!("time-share tenant={} group={group} percent={percent}", tenant.0)
        }
        Event::Swaps { tenant } => format!("swaps tenant={}", tenant.0),
        Event::Outside { device, bytes } => format!("outside device={device} bytes={}", bytes.0),
        Event::MemoryRefused { tenant, device, bytes } => {
            format!("memory-refused tenant={} device={device} bytes={}", tenant.0, bytes.0)
        }
        Event::SetAuto => "set-auto".to_owned(),
        Event::SetQuantum(quantum) => format!("set-quantum quantum={}", Seconds(*quantum)),
        Event::SetDeviceQuantum { device, quantum } => {
            let quantum = quantum.map_or_else(|| "none".into(), quantum_word);
            format!("set-device-quantum device={device} quantum={quantum}")
        }
        Event::SetEvict(evict) => format!("set-evict evict={}", evict_word(*evict)),
        Event::SetEnabled(enabled) => format!("set-enabled enabled={enabled}"),
        Event::Tick => "tick".to_owned(),
    }
}

fn action_words(action: &Action) -> String {
    match action {
        Action::Grant { tenant, grant } => format!(
            "grant tenant={} lease={} budget={} contended={}",
            tenant.0,
            grant.lease.0,
            Shares(&grant.budget),
            grant.contended
        ),
        Action::Revoke { tenant, revoke } => format!(
            "revoke tenant={} lease={} evict={} drain-within={}",
            tenant.0,
            revoke.lease.0,
            Shares(&revoke.evict),
            Seconds(revoke.drain_within)
        ),
        Action::Evict { tenant, shares } => format!("evict tenant={} bytes={}", tenant.0, Shares(shares)),
        Action::Fetch { tenant, shares } => format!("fetch tenant={} budget={}", tenant.0, Shares(shares)),
        Action::Contended { tenant, contended } => {
            format!("contended tenant={} contended={contended}", tenant.0)
        }
        Action::Enabled { tenant, enabled } => format!("enabled tenant={} enabled={enabled}", tenant.0),
        Action::NoRoom { tenant, device, wants, usable, kept } => {
            let kept: Vec<String> = kept.iter().map(|(id, bytes)| format!("{}:{}", id.0, bytes.0)).collect();
            let (tenant, wants, usable, kept) = (tenant.0, wants.0, usable.0, kept.join(","));
            format!("no-room tenant={tenant} device={device} wants={wants} usable={usable} kept=[{kept}]")
        }
        Action::Stuck { tenant, lease, why } => {
            format!("stuck tenant={} lease={} why={}", tenant.0, lease.0, stuck_word(*why))
        }
    }
}

/// The operator's word for a mode of eviction.
#[must_use]
pub const fn evict_word(evict: EvictMode) -> &'static str {
    match evict {
        EvictMode::Pressure => "pressure",
        EvictMode::Always => "always",
        EvictMode::Never => "never",
    }
}

const fn stuck_word(why: Stuck) -> &'static str {
    match why {
        Stuck::NoAnswer => "no-answer",
        Stuck::CannotDrain => "cannot-drain",
        Stuck::Silent => "silent",
        Stuck::Stopped => "stopped",
    }
}

struct Seconds(Nanos);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0.0 / Nanos::SECOND.0, self.0.0 % Nanos::SECOND.0);
        write!(f, "{whole}.{rest:09}")
    }
}

struct Shares<'a>(&'a [Share]);

impl std::fmt::Display for Shares<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, share) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match share.bytes {
                Bytes::MAX => write!(f, "{comma}{}:max", share.device)?,
                Bytes(bytes) => write!(f, "{comma}{}:{bytes}", share.device)?,
            }
        }
        f.write_str("]")
    }
}
