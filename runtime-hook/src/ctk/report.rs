//! A file for whoever helps with this installation: what can be known of it, bounded in size and time, without secrets.

use super::doctor;
use super::masking::{self, LEFT_OUT};
use crate::settings::{self, RuntimeSettings};
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use nvshare_protocol::{Bytes, quantity, wishes};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most of one entry.
const ENTRY: u64 = 4 << 20;
/// The most of a log: its end.
const LOG: u64 = 1 << 20;
/// The most files of one directory.
const FILES: usize = 32;
/// All commands together, and each.
const TIME: Duration = Duration::from_secs(60);
const COMMAND: Duration = Duration::from_secs(10);
/// For a command that is ended to be gone.
const GRACE: Duration = Duration::from_secs(3);
/// Where everything lies in the archive.
const DIRECTORY: &str = "nvshare-report";

/// One file of the report.
#[derive(Debug)]
struct Entry {
    name: String,
    about: &'static str,
    text: String,
}

/// Writes the report to a file that is not there yet. Returns what is in it, for people.
///
/// # Errors
/// The file is there already, or cannot be written; then it is removed.
pub fn write(output: &Path) -> Result<String> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(output);
    let file = file.with_context(|| format!("cannot make {}", output.display()))?;
    let entries = collect(Path::new("/"));
    let written = archive(&entries, file).with_context(|| format!("cannot write {}", output.display()));
    if written.is_err() {
        let _ = fs::remove_file(output);
    }
    written.map(|()| contents(&entries, output))
}

/// Everything, with the files of the system below `root`.
fn collect(root: &Path) -> Vec<Entry> {
    let mut gathering = Gathering { entries: Vec::new(), until: Instant::now() + TIME };
    let path = settings::path();
    let settings = settings::load(&path).settings;
    gathering.text("about.txt", "versions, kernel, distribution, variables NVSHARE_*", about(root));
    let checks = serde_json::to_string_pretty(&doctor::look(None)).unwrap_or_default();
    gathering.text("doctor.json", "what nvshare-ctk doctor finds", checks + "\n");
    gathering.text(
        "settings.txt",
        "the settings in force",
        in_force(&mut Output::new(gathering.until), &path, &settings),
    );
    gathering.file("config.toml", "the settings file", &path, masking_of(&path));
    gathering.gpus(root);
    gathering.engines(root);
    gathering.command(
        "unit.txt",
        "the unit and its state",
        &["systemctl", "--no-pager", "status", "-n", "0", "nvshare-scheduler"],
    );
    gathering.command(
        "unit-file.txt",
        "the unit's files",
        &["systemctl", "--no-pager", "cat", "nvshare-scheduler"],
    );
    gathering.command(
        "journal.txt",
        "the daemon's last 2000 lines",
        &["journalctl", "--no-pager", "-o", "short-iso-precise", "-n", "2000", "-u", "nvshare-scheduler"],
    );
    gathering.log("runtime.log", "the container programs' last lines", &settings.log_file);
    let operator = doctor::beside("nvsharectl").display().to_string();
    gathering.command(
        "status.json",
        "GPUs and tenants: programs, users, containers",
        &[&operator, "status", "--json"],
    );
    gathering.command("trace.json", "the last turns and hand-overs", &[&operator, "trace"]);
    gathering.entries
}

/// How the secrets of a configuration are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Masking {
    Json,
    Toml,
    Lines,
}

fn masking_of(path: &Path) -> Masking {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Masking::Json,
        Some("toml" | "conf") => Masking::Toml,
        _ => Masking::Lines,
    }
}

struct Gathering {
    entries: Vec<Entry>,
    until: Instant,
}

impl Gathering {
    fn text(&mut self, name: &str, about: &'static str, text: String) {
        self.entries.push(Entry { name: name.into(), about, text });
    }

    /// What a command says. One that does not succeed is an entry of another name.
    fn command(&mut self, name: &str, about: &'static str, words: &[&str]) {
        let mut output = Output::new(self.until);
        let well = output.run(words);
        let text = if name.ends_with(".json") && well { output.text } else { masking::lines(&output.text) };
        let name = if well { name.to_owned() } else { format!("{name}.failed") };
        self.text(&name, about, text);
    }

    fn file(&mut self, name: &str, about: &'static str, path: &Path, masking: Masking) {
        let Ok(file) = File::open(path) else { return };
        let mut text = Vec::new();
        if file.take(ENTRY).read_to_end(&mut text).is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&text);
        let masked = match masking {
            Masking::Json => masking::json(&text).map_err(|error| error.to_string()),
            Masking::Toml => masking::toml(&text).map_err(|error| error.message().to_owned()),
            Masking::Lines => Ok(masking::lines(&text)),
        };
        let text = masked.unwrap_or_else(|error| {
            format!(
                "{LEFT_OUT}: {} cannot be understood ({error}), nor its secrets told from the rest\n",
                path.display()
            )
        });
        self.text(name, about, text);
    }

    fn log(&mut self, name: &str, about: &'static str, path: &Path) {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG)))?;
            let mut text = Vec::new();
            file.take(LOG).read_to_end(&mut text)?;
            Ok(text)
        };
        if let Ok(text) = read() {
            self.text(name, about, masking::lines(&String::from_utf8_lossy(&text)));
        }
    }

    fn gpus(&mut self, root: &Path) {
        self.file("gpus/driver.txt", "the driver", &root.join("proc/driver/nvidia/version"), Masking::Lines);
        self.command("gpus/list.txt", "the GPUs", &["nvidia-smi", "-L"]);
        self.command("gpus/state.txt", "their memory and use", &["nvidia-smi"]);
    }

    /// The configurations of the engines, wherever we or their packages put them.
    fn engines(&mut self, root: &Path) {
        for path in [
            "etc/docker/daemon.json",
            "etc/containerd/config.toml",
            "etc/crio/crio.conf",
            "etc/containers/containers.conf",
            "usr/share/containers/containers.conf",
            "etc/cdi/nvshare.json",
        ] {
            self.engine(root, Path::new(path));
        }
        for directory in [
            "etc/containerd/conf.d",
            "etc/crio/crio.conf.d",
            "etc/containers/containers.conf.d",
            "etc/containers/oci/hooks.d",
            "usr/share/containers/oci/hooks.d",
            "usr/share/nvshare/hooks.d",
        ] {
            let Ok(found) = fs::read_dir(root.join(directory)) else { continue };
            let mut names: Vec<PathBuf> = found.flatten().map(|entry| entry.file_name().into()).collect();
            names.sort();
            for name in names.into_iter().take(FILES) {
                self.engine(root, &Path::new(directory).join(name));
            }
        }
    }

    fn engine(&mut self, root: &Path, path: &Path) {
        let name = format!("engines/{}", path.display());
        self.file(&name, "a container engine's configuration", &root.join(path), masking_of(path));
    }
}

/// What commands say, within a bound.
struct Output {
    text: String,
    until: Instant,
}

impl Output {
    fn new(until: Instant) -> Self {
        Self { text: String::new(), until }
    }

    /// Adds what a command says on both outputs; whether it succeeded.
    fn run(&mut self, words: &[&str]) -> bool {
        let left = self.until.saturating_duration_since(Instant::now()).min(COMMAND);
        let seconds = format!("{:.1}", left.as_secs_f64().max(0.1));
        let (sender, receiver) = mpsc::channel();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        // What hangs in a driver is not even ended by SIGKILL: the thread is left to it.
        thread::spawn(move || sender.send(ended(&seconds, &words)));
        let (text, well) = match receiver.recv_timeout(left + GRACE) {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => (error.to_string(), false),
            Err(_) => ("it does not end\n".into(), false),
        };
        self.text += &text;
        well
    }
}

/// Runs a command to its end; what it said, and whether it succeeded.
fn ended(seconds: &str, words: &[String]) -> io::Result<(String, bool)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new("timeout");
    command.args(["-k", "1", seconds]).args(words);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It has the ends of the pipe that are written to.
    drop(command);
    let mut text = Vec::new();
    reader.take(ENTRY).read_to_end(&mut text)?;
    Ok((String::from_utf8_lossy(&text).into_owned(), child.wait()?.success()))
}

fn about(root: &Path) -> String {
    let mut output = Output::new(Instant::now() + COMMAND);
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    output.text = format!("{now}\nnvshare-ctk {} ({})\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    for program in ["nvshare-scheduler", "nvsharectl", "nvshare-runtime", "nvshare-hook"] {
        let path = doctor::beside(program).display().to_string();
        match program {
            // Its version is that of the runtime below.
            "nvshare-runtime" => output.text += &format!("{path}\n"),
            _ => drop(output.run(&[&path, "--version"])),
        }
    }
    for file in ["proc/version", "etc/os-release"] {
        output.text += &fs::read_to_string(root.join(file)).unwrap_or_default();
    }
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with(wishes::PREFIX) {
            output.text += &format!("{name}={}\n", value.to_string_lossy());
        }
    }
    masking::lines(&output.text)
}

fn in_force(output: &mut Output, path: &Path, settings: &RuntimeSettings) -> String {
    let scheduler = doctor::beside("nvshare-scheduler").display().to_string();
    let file = path.display().to_string();
    let words: &[&str] =
        if path.exists() { &[&scheduler, "--check", "--config", &file] } else { &[&scheduler, "--check"] };
    output.run(words);
    let rows = settings::table::TABLE.iter().map(|row| format!("{} = {}\n", row.key, (row.show)(settings)));
    masking::lines(&format!("{}\n[{}]\n{}", output.text, settings::SECTION, rows.collect::<String>()))
}

fn archive(entries: &[Entry], file: File) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for Entry { name, text, .. } in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{DIRECTORY}/{name}"), text.as_bytes())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()
}

fn contents(entries: &[Entry], output: &Path) -> String {
    let line = |entry: &Entry| {
        let size = quantity::show_size(Bytes(entry.text.len() as u64));
        format!("  {:<48} {size:>8}  {}\n", entry.name, entry.about)
    };
    let lines: String = entries.iter().map(line).collect();
    let output = output.display();
    format!(
        "{output} has:\n{lines}\
         Left out: variables other than NVSHARE_*, passwords, tokens and credentials of configurations and addresses.\n\
         Look through it before you hand it on: tar -xzOf {output} | less\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    fn unpacked(path: &Path) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).unwrap()));
        let read = |entry: io::Result<tar::Entry<'_, GzDecoder<File>>>| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn a_report_has_the_engines_files_without_their_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "etc/docker/daemon.json",
            r#"{"proxies": {"https-proxy": "http://me:s3cret@p"}, "auths": {"r": "s3cret"}}"#,
        );
        put("etc/containers/containers.conf", "[engine]\nenv = [\"TOKEN=s3cret\"]\nruntime = \"nvshare\"\n");
        put("etc/containers/containers.conf.d/broken.conf", "password = s3cret\n");
        put(
            "usr/share/nvshare/hooks.d/50-nvshare.json",
            r#"{"hook": {"path": "/usr/bin/nvshare-hook", "env": ["A=s3cret"]}}"#,
        );
        put("etc/os-release", "ID=debian\n");
        let output = dir.path().join("report.tar.gz");
        let entries = collect(dir.path());
        archive(&entries, File::create(&output).unwrap()).unwrap();
        let found = unpacked(&output);
        let all = found.values().fold(String::new(), |all, text| all + text);
        assert!(!all.contains("s3cret"), "{found:#?}");
        let of = |name: &str| {
            found.get(&format!("{DIRECTORY}/{name}")).unwrap_or_else(|| panic!("{name}: {found:#?}"))
        };
        assert!(of("engines/etc/docker/daemon.json").contains("http://(left out)@p"));
        assert!(of("engines/etc/containers/containers.conf").contains("runtime = \"nvshare\""));
        assert!(of("engines/etc/containers/containers.conf.d/broken.conf").starts_with("(left out): "));
        assert!(of("engines/usr/share/nvshare/hooks.d/50-nvshare.json").contains("/usr/bin/nvshare-hook"));
        assert!(of("about.txt").contains("ID=debian") && of("about.txt").contains("nvshare-ctk "));
        assert!(of("doctor.json").contains("\"schema\": 1"));
        assert!(of("settings.txt").contains("[runtime]\non_error = "));
        let told = contents(&entries, &output);
        assert!(entries.iter().all(|entry| told.contains(&entry.name)), "{told}");
    }

    #[test]
    fn a_command_is_bounded_in_size_and_time() {
        let mut output = Output::new(Instant::now() + COMMAND);
        assert!(!output.run(&["cat", "/dev/zero"]), "it is ended by a closed pipe");
        assert_eq!(output.text.len() as u64, ENTRY);
        let mut output = Output::new(Instant::now() + Duration::from_millis(200));
        let begun = Instant::now();
        assert!(!output.run(&["sleep", "60"]));
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(!output.run(&["/nonexistent"]) && output.text.contains("/nonexistent"), "{}", output.text);
    }

    #[test]
    fn a_report_is_its_owners_and_takes_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("report.tar.gz");
        let told = write(&output).unwrap();
        assert!(told.contains("doctor.json") && told.contains("Look through it"), "{told}");
        assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(unpacked(&output).contains_key("nvshare-report/doctor.json"));
        let error = format!("{:#}", write(&output).unwrap_err());
        assert!(error.contains("report.tar.gz: File exists"), "{error}");
        assert!(!unpacked(&output).is_empty(), "the old one stays");
    }
}
