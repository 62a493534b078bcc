//! What the device did, one line each, appended to the file that `FAKECUDA_LOG` names.
//!
//! `START-SECONDS PID OPERATION BYTES DURATION-SECONDS`, separated by tabs; time and bytes are simulated.
use crate::settings::settings;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

/// Appends one line. `start` and `nanos` are simulated nanoseconds.
pub fn note(start: u64, operation: &str, bytes: u64, nanos: u64) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = settings().log.as_ref()?;
        OpenOptions::new().create(true).append(true).open(path).ok()
    });
    if let Some(mut file) = file.as_ref() {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let pid = std::process::id();
        let line = format!("{:.6}\t{pid}\t{operation}\t{bytes}\t{:.6}\n", seconds(start), seconds(nanos));
        // One write is one line, also beside other processes. A log that cannot be written is not a failure.
        let _ = file.write_all(line.as_bytes());
    }
}
