//! A host for the programs: a bundle, settings, and a runtime below that says what it was given.
use nvshare_runtime_hook::constants;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const RUNTIME: &str = env!("CARGO_BIN_EXE_nvshare-runtime");
pub const HOOK: &str = env!("CARGO_BIN_EXE_nvshare-hook");
pub const CTK: &str = env!("CARGO_BIN_EXE_nvshare-ctk");

/// Tells what it was started with, answers `state`, deletes the container (and the state), ends with 7 otherwise.
pub const BELOW: &str = r#"#!/bin/sh
here=$(dirname "$0")
for word; do
  if [ "$word" = state ]; then exec cat "$here/state.json"; fi
done
{ echo "$NVSHARE_RUNTIME_CHAIN"; for word; do echo "$word"; done; } >"$here/started"
for word; do
  if [ "$word" = delete ] && [ ! -e "$here/stays" ]; then rm -f "$here/state.json"; exit 0; fi
done
exit 7
"#;

/// A host, and a bundle whose image has a glibc. One at a time: a process that another test is just starting would
/// keep a script open for writing, or a socket for listening.
pub struct Ground(pub tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Ground {
    /// `more` goes to the settings' section of the runtime.
    pub fn new(more: &str) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ground = Self(tempfile::tempdir().unwrap(), one);
        for made in ["rootfs/etc", "rootfs/lib", "rootfs/lib64", "tenants"] {
            fs::create_dir_all(ground.at(made)).unwrap();
        }
        let libraries =
            ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "lib/libgcc_s.so.1", "lib/libm.so.6"];
        for file in libraries.iter().chain(&["lib/libc.so.6"]) {
            let text = "GNU C Library stable release version 2.40.\n";
            fs::write(ground.at("rootfs").join(file), text).unwrap();
        }
        fs::write(ground.at("below"), BELOW).unwrap();
        fs::set_permissions(ground.at("below"), fs::Permissions::from_mode(0o755)).unwrap();
        ground.settings(more);
        ground.document(&ours());
        ground
    }

    pub fn settings(&self, more: &str) {
        let library = std::env::current_exe().unwrap(); // The one ELF file that is sure to be here.
        let text = format!(
            "[runtime]\nlibrary = {library:?}\ntenants_dir = {:?}\nlog_file = {:?}\nlow_level_runtimes = [{:?}]\n{more}\n",
            self.at("tenants"),
            self.at("log"),
            self.at("below"),
        );
        fs::write(self.at("settings.toml"), text).unwrap();
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    pub fn document(&self, spec: &Value) {
        fs::write(self.at("config.json"), spec.to_string()).unwrap();
    }

    pub fn run(&self, program: &str, words: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(program)
            .args(words)
            .current_dir(self.0.path())
            .env(constants::CONFIG_VARIABLE, self.at("settings.toml"))
            .env_remove(constants::CHAIN_VARIABLE)
            .env("XDG_RUNTIME_DIR", self.at("user"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read it may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub fn create(&self) -> Output {
        let (bundle, log) =
            (self.0.path().display().to_string(), self.at("engine.log").display().to_string());
        self.run(RUNTIME, &["--log", &log, "create", "--bundle", &bundle, "c1"], b"")
    }

    /// Deletes a container that was managed, as an engine does. Returns what that ended with.
    pub fn delete(&self, status: &str) -> Option<i32> {
        self.state(status);
        self.run(RUNTIME, &["delete", "--force", "c1"], b"").status.code()
    }

    /// What the runtime below says of the container.
    pub fn state(&self, status: &str) {
        let annotations = json!({constants::INJECTED_ANNOTATION: "file /dev/nvshare"});
        let state =
            json!({"id": "c1", "status": status, "bundle": self.0.path(), "annotations": annotations});
        fs::write(self.at("state.json"), state.to_string()).unwrap();
    }

    /// The container's `/etc/ld.so.preload` on the host, which its programs write.
    pub fn copy(&self) -> PathBuf {
        self.at(constants::MERGED_PRELOAD_NAME)
    }

    /// The rootfs's own file, below the mount.
    pub fn below(&self) -> Option<String> {
        fs::read_to_string(self.at("rootfs/etc/ld.so.preload")).ok()
    }

    pub fn put_below(&self, text: &str) {
        fs::write(self.at("rootfs/etc/ld.so.preload"), text).unwrap();
    }
}

pub fn ours() -> Value {
    json!({
        "root": {"path": "rootfs"},
        "process": {"args": ["sh"], "env": ["NVIDIA_VISIBLE_DEVICES=all"]},
        "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
    })
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

pub fn is_injected(document: &[u8]) -> bool {
    let spec: Value = serde_json::from_slice(document).unwrap();
    spec["annotations"].get(constants::INJECTED_ANNOTATION).is_some()
}
