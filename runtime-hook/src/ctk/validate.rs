//! What an engine itself says about a configuration before it is put in place: a file that reads well alone may be one
//! that the engine does not start with.

use super::change::NAME;
use super::engines::Engine;
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Asks the engine about the text that is to become `path`.
///
/// # Errors
/// The engine would refuse it; the message has the engine's words, or names the flag that it conflicts with.
pub fn check(engine: Engine, path: &Path, text: &str) -> Result<()> {
    match engine {
        Engine::Docker => {
            let flags = flags_of_dockerd(path);
            conflicts(&flags, text)?;
            validated(path, text, "dockerd", &["--validate", "--config-file"], &[])
        }
        Engine::Containerd => validated(path, text, "containerd", &["--config"], &["config", "dump"]),
        Engine::Crio | Engine::Podman | Engine::PodmanHook => Ok(()),
    }
}

/// dockerd refuses whatever stands both on its command line and in its file.
fn conflicts(flags: &[String], text: &str) -> Result<()> {
    let file: serde_json::Value = serde_json::from_str(text).context("not JSON")?;
    for (flag, key, instead) in [
        ("default-runtime", "default-runtime", "or leave out --set-as-default"),
        ("add-runtime", "runtimes", "or add --add-runtime=nvshare=/usr/bin/nvshare-runtime there"),
    ] {
        let given = flags
            .iter()
            .find(|word| word.strip_prefix("--").is_some_and(|word| word.split('=').next() == Some(flag)));
        if let (Some(given), Some(_)) = (given, file.get(key)) {
            bail!(
                "dockerd is started with {given:?}, and does not start with a file that says `{key}` too: move the flag \
                 into the file (systemctl edit docker), {instead}"
            );
        }
    }
    Ok(())
}

/// The words that dockerd runs with, or would be started with, if it reads this file.
fn flags_of_dockerd(path: &Path) -> Vec<String> {
    let running = super::in_use::processes().filter_map(|(_, program, words)| {
        (program == "dockerd").then(|| words[1..].iter().filter(|word| !word.is_empty()).cloned().collect())
    });
    let usual = Path::new(Engine::Docker.usual_file());
    let mut all: Vec<Vec<String>> = running.collect();
    if all.is_empty() {
        all.extend(started_by_systemd());
    }
    all.into_iter()
        .map(|words| without_file(&words))
        .find(|(file, _)| file.as_deref().unwrap_or(usual) == path)
        .map(|(_, words)| words)
        .unwrap_or_default()
}

fn started_by_systemd() -> Option<Vec<String>> {
    let asked = ["show", "--property=ExecStart", "--value", "docker.service"];
    let output =
        Command::new("systemctl").args(asked).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = stdout.split("argv[]=").nth(1)?.split(" ;").next()?;
    // What systemd would put for a variable is not known here.
    Some(line.split_whitespace().skip(1).filter(|word| !word.starts_with('$')).map(String::from).collect())
}

/// Takes `--config-file` out: its value, and the other words.
fn without_file(words: &[String]) -> (Option<PathBuf>, Vec<String>) {
    let (mut file, mut others) = (None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--config-file") {
            Some("") => file = words.next().map(PathBuf::from),
            Some(rest) if rest.starts_with('=') => file = Some(PathBuf::from(&rest[1..])),
            _ => others.push(word.clone()),
        }
    }
    (file, others)
}

/// Has the engine's own program read the text, where the program is there and can do that.
fn validated(path: &Path, text: &str, program: &str, before: &[&str], behind: &[&str]) -> Result<()> {
    // Beside the file, for what it names relative to itself.
    let beside = path.with_file_name(format!(".{NAME}-{}.check", std::process::id()));
    // The file may have passwords in it.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    if made.and_then(|mut file| file.write_all(text.as_bytes())).is_err() {
        return Ok(()); // The file itself cannot be written then either, which is said there.
    }
    let words = ["20", program];
    let done = Command::new("timeout")
        .args(words)
        .args(before)
        .arg(&beside)
        .args(behind)
        .stdin(Stdio::null())
        .output();
    let _ = std::fs::remove_file(&beside);
    let Ok(done) = done else { return Ok(()) };
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    // 124: no answer in time; 127: no such program. dockerd before 23 has no such flag.
    if done.status.success()
        || matches!(done.status.code(), Some(124 | 127))
        || stderr.contains("unknown flag: --validate")
    {
        return Ok(());
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
    bail!(
        "nothing is changed, for {program} would refuse the file: {}",
        last.replace(&beside.display().to_string(), &path.display().to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn what_stands_on_the_command_line_and_in_the_file_is_refused() {
        let both = "{\"default-runtime\": \"nvshare\", \"runtimes\": {}}";
        for (flags, text, expected) in [
            ("--default-runtime nvidia", both, "or leave out --set-as-default"),
            ("-D --default-runtime=nvidia", both, "--default-runtime=nvidia"),
            ("--default-runtime=\x1b[2J", both, r"\u{1b}[2J"),
            ("--add-runtime nvidia=/x", both, "or add --add-runtime=nvshare"),
            ("--default-runtime nvidia", "{\"runtimes\": {}}", ""),
            ("-H fd://", both, ""),
        ] {
            let error =
                conflicts(&words(flags), text).map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(
                error.contains(expected) && !error.is_empty(),
                !expected.is_empty(),
                "{flags}: {error}"
            );
        }
    }

    #[test]
    fn a_daemon_with_another_file_is_another_daemon() {
        for line in ["-D --config-file /f --bridge none", "-D --config-file=/f --bridge none"] {
            assert_eq!(without_file(&words(line)), (Some("/f".into()), words("-D --bridge none")));
        }
        assert_eq!(without_file(&words("-D")), (None, words("-D")));
    }
}
