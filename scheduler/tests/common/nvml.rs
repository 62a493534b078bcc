//! A daemon with a small NVML of ours (`fake_nvml/nvml.c`).
use super::{Daemon, GPU, Setup};
use nvshare_protocol::DeviceId;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_nvml/nvml.c");

/// A daemon and its NVML.
pub struct Nvml {
    pub daemon: Daemon,
    library: PathBuf,
}

impl Nvml {
    /// One that says so.
    pub fn start(says: &str) -> Self {
        Self::start_with(Some(says), "")
    }

    /// A daemon whose NVML is not there yet; with more settings.
    pub fn without(settings: &str) -> Self {
        Self::start_with(None, settings)
    }

    pub fn start_with(says: Option<&str>, settings: &str) -> Self {
        let mut setup = Setup::new("").args(&["--log", "debug"]);
        let library = setup.path("libnvidia-ml.so.1");
        setup.config = format!("[memory]\nreserve = \"0B\"\nnvml = {library:?}\n{settings}");
        if let Some(says) = says {
            say(&library, says);
            install(&library);
        }
        Self { daemon: setup.start(), library }
    }

    /// Puts the library where the daemon looks for it, at once.
    pub fn install(&self) {
        install(&self.library);
    }

    /// What it says from now on.
    pub fn say(&self, says: &str) {
        say(&self.library, says);
    }

    /// Waits until the core has been told so.
    pub fn outside(&mut self, device: DeviceId, bytes: u64) {
        self.daemon.logs(&format!("event outside device={device} bytes={bytes}"));
    }

    /// What operators see of it.
    pub fn shown(&self) -> Vec<u64> {
        self.daemon.status().devices.iter().map(|device| device.outside_bytes).collect()
    }

    /// How often the library has been opened and closed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(beside(&self.library, ".log")).unwrap_or_default()
    }
}

fn install(library: &Path) {
    let new = library.with_extension("building");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&new).arg(SOURCE);
    assert!(compiler.status().unwrap().success(), "{SOURCE} does not compile");
    std::fs::rename(new, library).unwrap();
}

/// All at once, for it may be read at any time.
fn say(library: &Path, says: &str) {
    let new = library.with_extension("new");
    std::fs::write(&new, says).unwrap();
    std::fs::rename(new, beside(library, ".says")).unwrap();
}

fn beside(library: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", library.display()))
}

/// What is said of [`GPU`]; `OWN` is this process.
pub fn on_gpu(rest: &str) -> String {
    format!("device {GPU}\n{}", rest.replace("OWN", &std::process::id().to_string()))
}
