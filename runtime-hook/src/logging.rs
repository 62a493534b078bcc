//! Where failures are reported. Never on standard output or error while a container starts: without a terminal those
//! belong to the container.

use crate::argv::Call;
use crate::fsize_limit;
use crate::settings::RuntimeSettings;
use nvshare_protocol::console;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::SystemTime;

/// Tells the engine why the container does not start: one line in the `--log` file, in the form that the
/// runtime below would use. Without such a file standard error is all there is.
pub fn fatal(call: &Call, message: &str) {
    let message = format!("nvshare-runtime: {message}");
    let line = line("error", &message, call.log_json);
    match &call.log {
        Some(log) if append(log, &line) => {}
        _ => console::complain(&format!("{message}\n")),
    }
}

/// Reports a decision to an engine that runs with `--debug`, in its `--log` file.
pub fn debug(call: &Call, message: &str) {
    if let (true, Some(log)) = (call.debug, &call.log) {
        append(log, &line("debug", &format!("nvshare-runtime: {message}"), call.log_json));
    }
}

/// A warning about one container, to our own log, whose directory is made if need be; where that cannot be
/// written (the hook of a user's podman, say), to syslog. A container must not fail over a log.
pub fn warn(settings: &RuntimeSettings, container: &str, message: &str) {
    warn_at(&settings.log_file, Path::new(SYSLOG), container, message);
}

/// Where syslog or systemd's journal takes datagrams.
const SYSLOG: &str = "/dev/log";
/// Facility user, severity warning, in the notation of RFC 3164.
const WARNING: &str = "<12>";

fn warn_at(log: &Path, syslog: &Path, container: &str, message: &str) {
    let text = if container.is_empty() { message.to_owned() } else { format!("{container}: {message}") };
    let line = line("warning", &text, true);
    if append(log, &line) {
        return;
    }
    let made = log.parent().is_some_and(|directory| std::fs::create_dir_all(directory).is_ok());
    if made && append(log, &line) {
        return;
    }
    let send = || -> std::io::Result<usize> {
        let socket = UnixDatagram::unbound()?;
        // A syslog that does not keep up must not hold up a container.
        socket.set_nonblocking(true)?;
        socket.send_to(format!("{WARNING}nvshare: {text}").as_bytes(), syslog)
    };
    // Nothing can be done if that fails too.
    let _ = send();
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
    let write = |mut file: std::fs::File| {
        let _limit = fsize_limit::raise_for(file.metadata()?.len() + line.len() as u64)?;
        file.write_all(line.as_bytes())
    };
    file.and_then(write).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_directory_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a/b/runtime.log");
        warn_at(&log, Path::new("/nonexistent"), "/bundle", "not managed: x");
        warn_at(&log, Path::new("/nonexistent"), "", "y");
        let lines: Vec<serde_json::Value> = std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["msg"], "/bundle: not managed: x");
        assert_eq!(lines[1]["level"], "warning");
    }

    #[test]
    fn syslog_hears_what_the_log_cannot_take() {
        let dir = tempfile::tempdir().unwrap();
        let syslog = UnixDatagram::bind(dir.path().join("log")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        warn_at(&dir.path().join("file/x/runtime.log"), &dir.path().join("log"), "c", "not managed: x");
        let mut text = [0; 100];
        let length = syslog.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"<12>nvshare: c: not managed: x");
    }
}
