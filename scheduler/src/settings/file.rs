//! The configuration file and the flags that override it.
use super::table::{TABLE, find};
use super::{DaemonSettings, Wrong, gpus};
use nix::libc::O_NONBLOCK;
use nvshare_protocol::runtime_settings::{self, Given};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use toml::{Table, Value};

/// Read where it exists, unless `--config` names another.
pub const DEFAULT_FILE: &str = "/etc/nvshare/config.toml";

/// The longest file that is read, bytes. The loop reads it again while tenants wait.
const MOST: u64 = 1 << 20;

/// No fault of the file is told in more characters.
const MOST_OF_A_FAULT: usize = 500;

/// One flag that overrides a setting: its name, the setting, what was given.
pub type Flag<'a> = (&'static str, (&'static str, &'static str), &'a str);

/// The text of the file; none where the default file is missing.
///
/// # Errors
/// A file that was named and is missing, or cannot be read.
pub fn source(named: Option<&Path>) -> Result<Option<String>, Wrong> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let mut text = String::new();
    // Nobody is waited for: a pipe is no settings file.
    let opened = File::options().read(true).custom_flags(O_NONBLOCK).open(path);
    let readable = opened.and_then(|file| match file.metadata()?.file_type().is_fifo() {
        true => Err(io::Error::other("it is a pipe")),
        false => Ok(file),
    });
    match readable.and_then(|file| file.take(MOST + 1).read_to_string(&mut text)) {
        Ok(_) if text.len() as u64 > MOST => {
            Err(Wrong(vec![format!("{}: is longer than 1 MiB, the most that is read", path.display())]))
        }
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Wrong(vec![format!("{}: cannot be read: {error}", path.display())])),
    }
}

/// The settings of `text`, a file shown as `file` in errors, and of the flags.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load(text: &str, file: &str, flags: &[Flag<'_>]) -> Result<DaemonSettings, Wrong> {
    let mut settings = DaemonSettings::default();
    let mut wrong = Vec::new();
    match text.parse::<Table>() {
        Ok(document) => read(&mut settings, &document, file, &mut wrong),
        Err(error) => {
            // The parser quotes the line that is wrong, however long it is.
            let said: String = error.to_string().trim_end().chars().take(MOST_OF_A_FAULT).collect();
            wrong.push(format!("{file}: {said}"));
        }
    }
    for (flag, (section, key), given) in flags {
        let Some(row) = find(section, key) else { continue };
        let value = given
            .parse::<i64>()
            .map(Value::Integer)
            .or_else(|_| given.parse::<f64>().map(Value::Float))
            .unwrap_or_else(|_| Value::String((*given).to_owned()));
        if (row.set)(&mut settings, &value).is_none() {
            wrong.push(format!("{flag} {given} is not allowed (allowed: {})", row.allowed));
        }
    }
    if wrong.is_empty() { Ok(settings) } else { Err(Wrong(wrong)) }
}

fn read(settings: &mut DaemonSettings, document: &Table, file: &str, wrong: &mut Vec<String>) {
    for (section, entries) in document {
        if section == runtime_settings::SECTION {
            continue;
        }
        if section == gpus::SECTION {
            match entries {
                Value::Table(tables) => gpus::read(settings, tables, file, wrong),
                _ => wrong.push(format!(
                    "{file}: gpu = {entries} is not allowed (allowed: sections such as [gpu.\"GPU-465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11\"])"
                )),
            }
            continue;
        }
        let known: Vec<&str> = TABLE.iter().filter(|row| row.section == section).map(|row| row.key).collect();
        if known.is_empty() {
            wrong.push(format!("{file}: [{section}] is no section (known: {})", section_names()));
            continue;
        }
        let Value::Table(entries) = entries else {
            wrong.push(format!(
                "{file}: {section} = {entries} is not allowed (allowed: a section, [{section}])"
            ));
            continue;
        };
        for (key, value) in entries {
            match find(section, key) {
                None => wrong
                    .push(format!("{file}: [{section}] {key} is no setting (known: {})", known.join(", "))),
                Some(row) if (row.set)(settings, value).is_none() => wrong.push(format!(
                    "{file}: [{section}] {key} = {value} is not allowed (allowed: {})",
                    row.allowed
                )),
                Some(_) => {}
            }
        }
    }
}

/// What is wrong with the container programs' section of `text`. It stops no daemon.
#[must_use]
pub fn runtime_faults(text: &str, file: &str) -> Vec<String> {
    let document = text.parse::<Table>().unwrap_or_default();
    let faults = match document.get(runtime_settings::SECTION) {
        None => Vec::new(),
        Some(Value::Table(entries)) => entries
            .iter()
            .filter_map(|(key, value)| runtime_settings::fault(key, &given(value), &value.to_string()))
            .collect(),
        Some(_) => vec![format!("`{}` is not a section", runtime_settings::SECTION)],
    };
    faults.into_iter().map(|fault| format!("{file}: {fault}")).collect()
}

fn given(value: &Value) -> Given<'_> {
    match value {
        Value::String(text) => Given::Text(text),
        Value::Array(list) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().map_or(Given::Other, Given::Texts)
        }
        _ => Given::Other,
    }
}

fn section_names() -> String {
    let mut names: Vec<String> = TABLE.iter().map(|row| format!("[{}]", row.section)).collect();
    names.dedup();
    names.push("[gpu.\"UUID\"]".into());
    names.push(format!("[{}]", runtime_settings::SECTION));
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use nvshare_core::settings::Quantum;
    use nvshare_protocol::Nanos;

    #[test]
    fn a_file_that_is_no_settings_file_is_not_read_to_its_end() {
        let wrong = source(Some(Path::new("/dev/zero"))).unwrap_err().to_string();
        assert_eq!(wrong, "/dev/zero: is longer than 1 MiB, the most that is read");
        assert_eq!(source(Some(Path::new("/dev/null"))), Ok(Some(String::new())));
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let wrong = source(Some(&pipe)).unwrap_err().to_string();
        assert!(wrong.ends_with(": cannot be read: it is a pipe"), "{wrong}");
        let long = tempfile::NamedTempFile::new().unwrap();
        long.as_file().set_len(2 * MOST).unwrap();
        let wrong = source(Some(long.path())).unwrap_err().to_string();
        assert!(wrong.ends_with(": is longer than 1 MiB, the most that is read"), "{wrong}");
    }

    #[test]
    fn the_container_programs_section_is_theirs() {
        let document = "[runtime]\non_error = \"fail\"\n[scheduler]\nquantum = 7\n";
        assert!(load(document, "c.toml", &[]).is_ok());
        assert_eq!(runtime_faults(document, "c.toml"), [""; 0]);
    }

    /// OPERATOR: `on_error = "fial"` was right for `--check`.
    #[test]
    fn the_container_programs_section_is_judged_as_they_do() {
        let document = "[runtime]\non_error = \"fial\"\nlibary = \"/x\"\nlow_level_runtimes = []\n";
        assert_eq!(
            runtime_faults(document, "c.toml"),
            [
                "c.toml: [runtime] libary is no setting (known: on_error, preload, low_level_runtimes, image_may_set, library, tenants_dir, log_file)",
                "c.toml: [runtime] low_level_runtimes = [] is not allowed (allowed: at least one name, or absolute path, of an OCI runtime)",
                "c.toml: [runtime] on_error = \"fial\" is not allowed (allowed: \"fail\" or \"run-unmanaged\")",
            ]
        );
        assert_eq!(runtime_faults("runtime = 3", "c.toml"), ["c.toml: `runtime` is not a section"]);
    }

    #[test]
    fn what_is_printed_reads_back() {
        let printed = DaemonSettings::default().print();
        assert_eq!(load(&printed, "x", &[]).unwrap(), DaemonSettings::default());
    }

    #[test]
    fn the_sample_is_the_default_commented_or_not() {
        assert_eq!(load(&sample(), "x", &[]).unwrap(), DaemonSettings::default());
        let uncommented: String = sample()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(load(&uncommented, "x", &[]).unwrap(), DaemonSettings::default());
        assert_eq!(
            uncommented.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count(),
            TABLE.len()
        );
    }

    #[test]
    fn flags_override_the_file() {
        let flags: [Flag; 2] =
            [("--quantum", ("scheduler", "quantum"), "0.5"), ("--evict", ("scheduler", "evict"), "always")];
        let settings = load("[scheduler]\nquantum = 7\n", "x", &flags).unwrap();
        assert_eq!(settings.core.quantum, Quantum::Fixed(Nanos::from_millis(500)));
        assert_eq!(settings.core.evict.as_str(), "always");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = "limit = 3\n[scheduler]\nquantum = \"soon\"\nevict = \"sometimes\"\nquantom = 1\n\
                    [memory]\nreserve = \"1 bit\"\n[sockets]\ntenant_mode = \"0777\"\n";
        let flags: [Flag; 1] = [("--quantum", ("scheduler", "quantum"), "-1")];
        let wrong = load(text, "c.toml", &flags).unwrap_err().0;
        assert_eq!(
            wrong,
            [
                "c.toml: [limit] is no section (known: [scheduler], [memory], [swap], [limits], [sockets], [metrics], [accounting], [gpu.\"UUID\"], [runtime])",
                "c.toml: [memory] reserve = \"1 bit\" is not allowed (allowed: a size such as \"512MiB\" or \"1.5GiB\", at most \"64GiB\")",
                "c.toml: [scheduler] evict = \"sometimes\" is not allowed (allowed: \"pressure\", \"always\" or \"never\")",
                "c.toml: [scheduler] quantom is no setting (known: quantum, share, overlap, evict, enabled, gangs, fetch_seconds, drain_seconds, evict_seconds, patience_seconds, longest_turn_seconds, silence_seconds, starvation_seconds, trace_spans)",
                "c.toml: [scheduler] quantum = \"soon\" is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)",
                "c.toml: [sockets] tenant_mode = \"0777\" is not allowed (allowed: an octal mode from \"0600\" to \"0666\", in quotes)",
                "--quantum -1 is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)",
            ]
        );
    }
}
