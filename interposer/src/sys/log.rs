//! What we say on the application's stderr: `nvshare[PID] level: text`, one write a line, so that those of several
//! threads and processes do not mix.
//!
//! `error`: something of ours does not work as asked. `warn`: a person should look. Both stand by default.
use super::stderr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Warn as u8);

pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Relaxed);
}

pub fn enabled(level: Level) -> bool {
    LEVEL.load(Relaxed) >= level as u8
}

pub fn write(level: Level, text: std::fmt::Arguments<'_>) {
    let name = ["", "error", "warn", "info", "debug"][level as usize];
    let line = format!("nvshare[{}] {name}: {text}\n", std::process::id());
    stderr::write(line.as_bytes());
}

macro_rules! say {
    ($level:ident, $($text:tt)*) => {
        if $crate::sys::log::enabled($crate::sys::log::Level::$level) {
            $crate::sys::log::write($crate::sys::log::Level::$level, format_args!($($text)*))
        }
    };
}
macro_rules! error { ($($t:tt)*) => { $crate::sys::log::say!(Error, $($t)*) }; }
macro_rules! warning { ($($t:tt)*) => { $crate::sys::log::say!(Warn, $($t)*) }; }
macro_rules! info { ($($t:tt)*) => { $crate::sys::log::say!(Info, $($t)*) }; }
macro_rules! debug { ($($t:tt)*) => { $crate::sys::log::say!(Debug, $($t)*) }; }
pub(crate) use {debug, error, info, say, warning};
