//! What is said, and where. Never on standard output or error while a container starts: without a terminal
//! those are the container's own.

use crate::argv::Call;
use crate::config::Settings;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

/// Tells the engine why the container does not start: one line in the `--log` file, in the form that the
/// runtime below would use. Without such a file standard error is all there is.
pub fn fatal(call: &Call, message: &str) {
    let message = format!("nvshare-runtime: {message}");
    let line = line("error", &message, call.log_json);
    match &call.log {
        Some(log) if append(log, &line) => {}
        _ => eprintln!("{message}"),
    }
}

/// A warning about one container, to our own log. Where that cannot be written nobody is told: a container
/// must not fail over a log.
pub fn warn(settings: &Settings, container: &str, message: &str) {
    let text = if container.is_empty() { message.to_owned() } else { format!("{container}: {message}") };
    append(&settings.log_file, &line("warning", &text, true));
}

fn line(level: &str, message: &str, as_json: bool) -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    if as_json {
        format!("{}\n", json!({"level": level, "msg": message, "time": time}))
    } else {
        format!("time={} level={level} msg={}\n", json!(time), json!(message))
    }
}

fn append(path: &Path, line: &str) -> bool {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).is_ok()
}
