//! The lines of [`crate::print`] read back: settings and events.
use crate::event::Event;
use crate::model::settings::{Quantum, Settings, seconds};
use crate::trace::field::{self, Fields, MaxBytes, nanos};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;

pub use crate::trace::field::Fault;

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
        "settings" => {
            let mut fields = Fields::new(words)?;
            let settings = rules(&mut fields)?;
            fields.end().map(|()| Line::Settings(settings))
        }
        "event" => {
            let name = words.next().unwrap_or_default();
            Ok(Line::Event(now, event(name, &mut Fields::new(words)?)?))
        }
        _ => Err(Fault(format!("`{kind}` is none of `settings`, `event`, `action`"))),
    }
}

fn event(name: &str, fields: &mut Fields<'_>) -> Result<Event, Fault> {
    let event = Event::read(name, fields)?;
    fields.end().map(|()| event)
}

/// Every setting, as [`crate::print`] writes them.
pub(crate) fn rules(fields: &mut Fields<'_>) -> Result<Settings, Fault> {
    let length = fields.take("quantum")?;
    // What has a value here for its absence was not in logs of the first version.
    let auto = fields.take_or("auto", false)?;
    let MaxBytes(most) = fields.take_or("most", MaxBytes(Bytes::MAX))?;
    Ok(Settings {
        quantum: if auto { Quantum::Auto } else { Quantum::Fixed(length) },
        evict: fields.take("evict")?,
        reserve: fields.take("reserve")?,
        fetch_bound: fields.take("fetch-bound")?,
        drain_bound: fields.take("drain-bound")?,
        evict_bound: fields.take("evict-bound")?,
        patience: fields.take("patience")?,
        record: fields.take("record")?,
        share: fields.take_or("share", false)?,
        overlap: fields.take_or("overlap", false)?,
        most,
        grace: fields.take_or("grace", Nanos::ZERO)?,
        starvation: fields.take_or("starvation", seconds(60))?,
        turn_bound: fields.take_or("turn-bound", seconds(86_400))?,
        silence: fields.take_or("silence", seconds(86_400))?,
        quanta: fields.take_or("quanta", BTreeMap::new())?,
    })
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
    field::device(word)
}
