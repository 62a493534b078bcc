//! The lines of [`crate::print`] read back: settings and events.
use crate::event::{Event, EvictMode, TenantId};
use crate::model::priority::Priority;
use crate::model::settings::Settings;
use crate::model::settings::{Quantum, seconds};
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeMap;
use std::fmt;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Settings(Settings),
    Event(Nanos, Event),
    /// What was done then; not read further.
    Action,
    /// Nothing, or a remark (`# …`).
    Remark,
}

/// Why a line is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Fault {}

/// One line of a log, without its end.
///
/// # Errors
/// [`Fault`] names the word that is wrong, missing or too much.
pub fn line(text: &str) -> Result<Line, Fault> {
    let mut words = text.split_whitespace();
    let Some(time) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(Line::Remark) };
    let now = nanos(time).ok_or_else(|| Fault(format!("`{time}` is no time in seconds")))?;
    let kind = words.next().unwrap_or_default();
    match kind {
        "action" => Ok(Line::Action),
        "settings" => Ok(Line::Settings(settings(&mut Fields::new(words)?)?)),
        "event" => {
            let name = words.next().unwrap_or_default();
            Ok(Line::Event(now, event(name, &mut Fields::new(words)?)?))
        }
        _ => Err(Fault(format!("`{kind}` is none of `settings`, `event`, `action`"))),
    }
}

fn settings(f: &mut Fields<'_>) -> Result<Settings, Fault> {
    let settings = Settings {
        quantum: f.take("quantum", nanos)?,
        evict: f.take("evict", evict)?,
        reserve: f.take("reserve", bytes)?,
        fetch_bound: f.take("fetch-bound", nanos)?,
        drain_bound: f.take("drain-bound", nanos)?,
        evict_bound: f.take("evict-bound", nanos)?,
        patience: f.take("patience", nanos)?,
        record: f.take("record", |word| word.parse().ok())?,
        // Not in logs of the first version.
        auto: f.take_or("auto", boolean, false)?,
        share: f.take_or("share", boolean, false)?,
        overlap: f.take_or("overlap", boolean, false)?,
        most: f.take_or("most", bytes, Bytes::MAX)?,
        grace: f.take_or("grace", nanos, Nanos::ZERO)?,
        starvation: f.take_or("starvation", nanos, seconds(60))?,
        turn_bound: f.take_or("turn-bound", nanos, seconds(86_400))?,
        silence: f.take_or("silence", nanos, seconds(86_400))?,
        quanta: f.take_or("quanta", quanta, BTreeMap::new())?,
    };
    f.end().map(|()| settings)
}

fn event(name: &str, f: &mut Fields<'_>) -> Result<Event, Fault> {
    let event = match name {
        "joined" => Event::Joined { tenant: f.tenant()?, holds: f.take("holds", boolean)? },
        "left" => Event::Left { tenant: f.tenant()? },
        "disconnected" => Event::Disconnected { tenant: f.tenant()? },
        "stopped" => Event::Stopped { tenant: f.tenant()?, stopped: f.take("stopped", boolean)? },
        "owner" => Event::Owner { tenant: f.tenant()?, owner: f.take("owner", number)? },
        "device" => Event::Device {
            tenant: f.tenant()?,
            device: f.take("device", device)?,
            capacity: f.take("capacity", bytes)?,
        },
        "capacity" => {
            Event::Capacity { device: f.take("device", device)?, capacity: f.take("capacity", bytes)? }
        }
        "seen" => Event::Seen {
            tenant: f.tenant()?,
            device: f.take("device", device)?,
            bytes: f.take("bytes", bytes)?,
        },
        "memory" => Event::Memory {
            tenant: f.tenant()?,
            device: f.take("device", device)?,
            allocated: f.take("allocated", bytes)?,
            resident: f.take("resident", bytes)?,
            immovable: f.take("immovable", bytes)?,
        },
        "requested" => Event::Requested { tenant: f.tenant()? },
        "ready" => {
            let tenant = f.tenant()?;
            let (lease, fetched) = (f.lease()?, f.take("fetched", shares)?);
            Event::Ready { tenant, ready: Ready { lease, fetched, took: f.take("took", nanos)? } }
        }
        "released" => {
            let tenant = f.tenant()?;
            let (lease, evicted) = (f.lease()?, f.take("evicted", shares)?);
            let (drain, evict) = (f.take("drain", nanos)?, f.take("evict", nanos)?);
            Event::Released { tenant, released: Released { lease, evicted, drain, evict } }
        }
        "drain-cancelled" => Event::DrainCancelled { tenant: f.tenant()?, lease: f.lease()? },
        "idle" => Event::Idle { tenant: f.tenant()?, lease: f.lease()? },
        "evicted" => Event::Evicted { tenant: f.tenant()? },
        "weight" => {
            Event::Weight { tenant: f.tenant()?, weight: f.take("weight", |word| word.parse().ok())? }
        }
        "priority" => Event::Priority { tenant: f.tenant()?, priority: f.take("priority", Priority::named)? },
        "time-share" => Event::TimeShare {
            tenant: f.tenant()?,
            group: f.take("group", number)?,
            percent: f.take("percent", |word| word.parse().ok())?,
        },
        "swaps" => Event::Swaps { tenant: f.tenant()? },
        "outside" => Event::Outside { device: f.take("device", device)?, bytes: f.take("bytes", bytes)? },
        "memory-refused" => Event::MemoryRefused {
            tenant: f.tenant()?,
            device: f.take("device", device)?,
            bytes: f.take("bytes", bytes)?,
        },
        "set-auto" => Event::SetAuto,
        "set-quantum" => Event::SetQuantum(f.take("quantum", nanos)?),
        "set-device-quantum" => {
            let quantum = |word: &str| if word == "none" { Some(None) } else { quantum(word).map(Some) };
            Event::SetDeviceQuantum {
                device: f.take("device", device)?,
                quantum: f.take("quantum", quantum)?,
            }
        }
        "set-evict" => Event::SetEvict(f.take("evict", evict)?),
        "set-enabled" => Event::SetEnabled(f.take("enabled", boolean)?),
        "tick" => Event::Tick,
        _ => return Err(Fault(format!("`{name}` is no event"))),
    };
    f.end().map(|()| event)
}

/// The `name=value` words of a line that have not been taken yet.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        let split = |word: &'a str| word.split_once('=').ok_or_else(|| Fault(format!("`{word}` has no `=`")));
        words.map(split).collect::<Result<_, _>>().map(Self)
    }

    fn take<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
        let at = self.0.iter().position(|field| field.0 == name);
        let (_, value) = self.0.swap_remove(at.ok_or_else(|| Fault(format!("`{name}` is missing")))?);
        read(value).ok_or_else(|| Fault(format!("`{name}` cannot be `{value}`")))
    }

    fn take_or<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
        absent: T,
    ) -> Result<T, Fault> {
        if self.0.iter().any(|field| field.0 == name) { self.take(name, read) } else { Ok(absent) }
    }

    fn tenant(&mut self) -> Result<TenantId, Fault> {
        self.take("tenant", number).map(TenantId)
    }

    fn lease(&mut self) -> Result<LeaseId, Fault> {
        self.take("lease", number).map(LeaseId)
    }

    fn end(&self) -> Result<(), Fault> {
        match self.0.first() {
            Some((name, _)) => Err(Fault(format!("`{name}` does not belong here"))),
            None => Ok(()),
        }
    }
}

/// The mode of eviction that an operator means by this word: `pressure`, `always` or `never`.
#[must_use]
pub fn evict(word: &str) -> Option<EvictMode> {
    [EvictMode::Pressure, EvictMode::Always, EvictMode::Never]
        .into_iter()
        .find(|&e| crate::trace::print::evict_word(e) == word)
}

/// `GPU-` and 32 hexadecimal digits in five groups, as `nvidia-smi -L` writes it; of a MIG instance `MIG-` and the
/// same, as an operator has it.
#[must_use]
pub fn gpu(word: &str) -> Option<DeviceId> {
    let digits = word.strip_prefix("GPU-").or_else(|| word.strip_prefix("MIG-"))?;
    device(&format!("GPU-{}", digits.to_ascii_lowercase()))
}

/// The same as the core itself writes it, with `GPU-`.
#[must_use]
pub fn device(word: &str) -> Option<DeviceId> {
    let digits: String = word.strip_prefix("GPU-")?.chars().filter(|&c| c != '-').collect();
    let value = u128::from_str_radix(&digits, 16).ok()?;
    let device = DeviceId(value.to_be_bytes());
    (device.to_string() == word).then_some(device)
}

fn nanos(word: &str) -> Option<Nanos> {
    let (whole, rest) = word.split_once('.').unwrap_or((word, "0"));
    if rest.is_empty() || rest.len() > 9 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest: u64 = format!("{rest:0<9}").parse().ok()?;
    number(whole)?.checked_mul(Nanos::SECOND.0)?.checked_add(rest).map(Nanos)
}

fn quantum(word: &str) -> Option<Quantum> {
    if word == "auto" { Some(Quantum::Auto) } else { nanos(word).map(Quantum::Fixed) }
}

fn quanta(word: &str) -> Option<BTreeMap<DeviceId, Quantum>> {
    let inner = word.strip_prefix('[')?.strip_suffix(']')?;
    let one = |word: &str| {
        let (id, length) = word.split_once(':')?;
        Some((device(id)?, quantum(length)?))
    };
    inner.split(',').filter(|_| !inner.is_empty()).map(one).collect()
}

fn number(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok())?
}

fn bytes(word: &str) -> Option<Bytes> {
    if word == "max" { Some(Bytes::MAX) } else { number(word).map(Bytes) }
}

fn boolean(word: &str) -> Option<bool> {
    word.parse().ok()
}

fn shares(word: &str) -> Option<Vec<Share>> {
    let inner = word.strip_prefix('[')?.strip_suffix(']')?;
    let share = |word: &str| {
        let (id, n) = word.split_once(':')?;
        Some(Share { device: device(id)?, bytes: bytes(n)? })
    };
    inner.split(',').filter(|_| !inner.is_empty()).map(share).collect()
}
