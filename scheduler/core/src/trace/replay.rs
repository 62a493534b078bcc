//! Runs the events of a recorded log through a new core.
use crate::Core;
use crate::trace::parse::{self, Line};
use crate::trace::print;
use nvshare_protocol::Nanos;
use std::fmt;

/// A line of a log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1.
    pub line: usize,
    pub why: parse::Fault,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}
impl std::error::Error for Unreadable {}

/// The settings, events and remarks of `log`, with the actions that this core takes instead of those
/// in it. Equal to `log` if it decides as the core that wrote it. A settings line starts a new core;
/// without one it has the default settings.
///
/// # Errors
/// [`Unreadable`], with the first line that is none.
pub fn replay(log: &str) -> Result<String, Unreadable> {
    let mut core = Core::new(crate::Settings::default());
    let mut transcript = String::new();
    let mut say = |line: &str| {
        transcript.push_str(line);
        transcript.push('\n');
    };
    for (at, text) in log.lines().enumerate() {
        match parse::line(text).map_err(|why| Unreadable { line: at + 1, why })? {
            Line::Action => {}
            Line::Remark => say(text),
            Line::Settings(settings) => {
                core = Core::new(settings);
                say(&print::settings(Nanos::ZERO, core.settings()));
            }
            Line::Event(now, event) => {
                say(&print::event(now, &event));
                let actions = core.handle(now, event);
                actions.iter().for_each(|action| say(&print::action(now, action)));
            }
        }
    }
    Ok(transcript)
}
