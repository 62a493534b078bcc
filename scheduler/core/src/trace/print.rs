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
use crate::event::{Action, Event};
use crate::model::settings::{DEFAULT_QUANTUM, Quantum, Settings};
use crate::trace::field::{Field, MaxBytes, seconds};
use nvshare_protocol::Nanos;

/// The line for an event.
#[must_use]
pub fn event(now: Nanos, event: &Event) -> String {
    let mut line = format!("{} event ", seconds(now));
    event.write(&mut line);
    line
}

/// The line for an action.
#[must_use]
pub fn action(now: Nanos, action: &Action) -> String {
    let mut line = format!("{} action ", seconds(now));
    action.write(&mut line);
    line
}

/// The line for the settings, with which a log begins.
#[must_use]
pub fn settings(now: Nanos, settings: &Settings) -> String {
    let mut line = format!("{} settings", seconds(now));
    rules(settings, &mut line);
    line
}

/// Every setting, as fields of a line.
pub(crate) fn rules(settings: &Settings, line: &mut String) {
    let Settings {
        quantum,
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
    // A length without a meaning stands beside `auto=true`.
    let (length, auto) = match *quantum {
        Quantum::Fixed(length) => (length, false),
        Quantum::Auto => (DEFAULT_QUANTUM, true),
    };
    length.write("quantum", line);
    evict.write("evict", line);
    reserve.write("reserve", line);
    fetch_bound.write("fetch_bound", line);
    drain_bound.write("drain_bound", line);
    evict_bound.write("evict_bound", line);
    patience.write("patience", line);
    record.write("record", line);
    auto.write("auto", line);
    share.write("share", line);
    overlap.write("overlap", line);
    MaxBytes(*most).write("most", line);
    grace.write("grace", line);
    quanta.write("quanta", line);
    starvation.write("starvation", line);
    turn_bound.write("turn_bound", line);
    silence.write("silence", line);
}
