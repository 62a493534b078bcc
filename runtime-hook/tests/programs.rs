//! The three programs as engines and operators start them, with a script for the runtime below. No container is made.
use nvshare_runtime_hook::constants;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const RUNTIME: &str = env!("CARGO_BIN_EXE_nvshare-runtime");
const HOOK: &str = env!("CARGO_BIN_EXE_nvshare-hook");
const CTK: &str = env!("CARGO_BIN_EXE_nvshare-ctk");

/// Tells what it was started with, answers `state`, ends with 7.
const BELOW: &str = r#"#!/bin/sh
here=$(dirname "$0")
for word; do
  if [ "$word" = state ]; then cat "$here/state.json"; exit; fi
done
{ echo "$NVSHARE_RUNTIME_CHAIN"; for word; do echo "$word"; done; } >"$here/started"
exit 7
"#;

/// A host, and a bundle whose image has a glibc. One at a time: a process that another test is just starting would
/// keep a script open for writing, or a socket for listening.
struct Ground(tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Ground {
    /// `more` goes to the settings' section of the runtime.
    fn new(more: &str) -> Self {
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

    fn settings(&self, more: &str) {
        let library = std::env::current_exe().unwrap(); // The one ELF file that is sure to be here.
        let text = format!(
            "[runtime]\nlibrary = {library:?}\ntenants_dir = {:?}\nlog_file = {:?}\nlow_level_runtimes = [{:?}]\n{more}\n",
            self.at("tenants"),
            self.at("log"),
            self.at("below"),
        );
        fs::write(self.at("settings.toml"), text).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn document(&self, spec: &Value) {
        fs::write(self.at("config.json"), spec.to_string()).unwrap();
    }

    fn run(&self, program: &str, words: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(program)
            .args(words)
            .current_dir(self.0.path())
            .env(constants::CONFIG_VARIABLE, self.at("settings.toml"))
            .env_remove(constants::GUARD_VARIABLE)
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

    fn create(&self) -> Output {
        let (bundle, log) =
            (self.0.path().display().to_string(), self.at("engine.log").display().to_string());
        self.run(RUNTIME, &["--log", &log, "create", "--bundle", &bundle, "c1"], b"")
    }
}

fn ours() -> Value {
    json!({
        "root": {"path": "rootfs"},
        "process": {"args": ["sh"], "env": ["NVIDIA_VISIBLE_DEVICES=all"]},
        "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn is_injected(document: &[u8]) -> bool {
    let spec: Value = serde_json::from_slice(document).unwrap();
    spec["annotations"].get(constants::INJECTED_ANNOTATION).is_some()
}

#[test]
fn the_shim_edits_the_document_and_becomes_the_runtime_below() {
    let ground = Ground::new("");
    let output = ground.create();
    assert_eq!((output.status.code(), said(&output)), (Some(7), String::new()));
    assert!(is_injected(ground.text("config.json").as_bytes()));
    let started: Vec<String> = ground.text("started").lines().map(String::from).collect();
    assert_eq!(started[0], ground.at("below").display().to_string(), "the chain");
    assert_eq!(started[3..], ["create", "--bundle", &ground.0.path().display().to_string(), "c1"]);
}

#[test]
fn what_goes_wrong_stops_a_container_only_where_the_settings_say_so() {
    for (more, starts) in [("", true), ("on_error = \"fail\"", false)] {
        for spoil in ["tenants", "settings"] {
            let ground = Ground::new(more);
            match spoil {
                "tenants" => fs::remove_dir(ground.at("tenants")).unwrap(),
                _ => ground.settings(&format!("{more}\nno_such_key = 1")),
            }
            let before = ground.text("config.json");
            let output = ground.create();
            assert_eq!(ground.text("config.json"), before, "{spoil}");
            assert_eq!(ground.at("started").exists(), starts, "{spoil}, {more}");
            assert_eq!(output.status.code(), Some(if starts { 7 } else { 1 }), "{spoil}, {more}");
            let heard = ground.text(if starts { "log" } else { "engine.log" });
            assert!(heard.contains(if spoil == "tenants" { "tenants" } else { "no_such_key" }), "{heard}");
        }
    }
}

/// GUEST: with `on_error = "fail"` and an explicit wish they start unmanaged all the same; EMFILE in the shim.
#[test]
fn whatever_the_reason_is_fail_means_it() {
    for (more, starts) in [("", true), ("on_error = \"fail\"", false)] {
        for spoil in ["loader", "rootfs"] {
            let ground = Ground::new(more);
            let mut spec = ours();
            match spoil {
                "loader" => {
                    fs::remove_dir_all(ground.at("rootfs/lib64")).unwrap();
                    fs::remove_file(ground.at("rootfs/lib/ld-linux-aarch64.so.1")).unwrap();
                }
                _ => spec["root"]["path"] = json!("nowhere"),
            }
            ground.document(&spec);
            let output = ground.create();
            assert_eq!(output.status.code(), Some(if starts { 7 } else { 1 }), "{spoil}, {more}");
            assert_eq!(ground.at("started").exists(), starts, "{spoil}, {more}");
            let heard = ground.text(if starts { "log" } else { "engine.log" });
            assert!(
                heard.contains(if spoil == "loader" { "no dynamic loader" } else { "nowhere" }),
                "{heard}"
            );
            let output = ground.run(HOOK, &["precreate"], spec.to_string().as_bytes());
            assert_eq!(output.status.success(), starts, "precreate: {spoil}, {more}");
        }
    }
}

/// GUEST: EMFILE in the shim: "no dynamic loader", starts unmanaged.
#[test]
fn too_few_descriptors_are_told_as_what_they_are() {
    let ground = Ground::new("on_error = \"fail\"");
    let document = ground.text("config.json");
    // A script's shell needs descriptors of its own.
    fs::copy("/bin/true", ground.at("below")).unwrap();
    let (mut refused, mut managed) = (0, 0);
    for descriptors in 4..20 {
        fs::write(ground.at("config.json"), &document).unwrap();
        let _ = fs::remove_file(ground.at("engine.log"));
        let words = format!(
            "ulimit -n {descriptors}; exec {RUNTIME} --log {} create --bundle {} c1",
            ground.at("engine.log").display(),
            ground.0.path().display()
        );
        let output = ground.run("/bin/sh", &["-c", &words], b"");
        let edited: Value = serde_json::from_str(&ground.text("config.json")).unwrap();
        let mark = &edited["annotations"][constants::INJECTED_ANNOTATION];
        if output.status.code() == Some(0) {
            assert_eq!(mark, "file /dev/nvshare", "{descriptors} descriptors");
            managed += 1;
        } else {
            let told = ground.text("engine.log") + &said(&output);
            // The loader of the shim may be what fails.
            let expected = told.contains("Too many open files") || told.contains("Error 24");
            assert!(mark.is_null() && expected, "{descriptors} descriptors: {told}");
            refused += 1;
        }
    }
    assert!(refused > 0 && managed > 0, "{refused} refused, {managed} managed");
}

/// GUEST: "not ours" leaves no trace.
#[test]
fn a_decision_can_be_seen() {
    let ground = Ground::new("");
    let bundle = ground.0.path().display().to_string();
    let explain = || said(&ground.run(CTK, &["explain", &bundle], b""));
    let said = explain();
    assert!(said.contains("ours      variable NVIDIA_VISIBLE_DEVICES"), "{said}");
    assert!(
        said.contains("decision  managed, by /etc/ld.so.preload, with our files at /dev/nvshare"),
        "{said}"
    );
    ground.create();
    let again = explain();
    assert!(again.contains("edited    by nvshare: file /dev/nvshare"), "{again}");
    assert!(again.contains("ours      variable NVIDIA_VISIBLE_DEVICES"), "{again}");
    fs::remove_dir(ground.at("tenants")).unwrap();
    assert!(
        explain()
            .contains("decision  it starts unmanaged (on_error = \"run-unmanaged\"): the socket's directory")
    );
    ground.document(&json!({"root": {"path": "rootfs"}}));
    assert!(explain().contains("decision  not ours: no sign of a GPU"));
    let log = ground.at("engine.log").display().to_string();
    ground.run(RUNTIME, &["--log", &log, "create", "--bundle", &bundle, "c1"], b"");
    assert_eq!(ground.text("engine.log"), "");
    ground.run(RUNTIME, &["--debug", "--log", &log, "create", "--bundle", &bundle, "c1"], b"");
    let told = ground.text("engine.log");
    assert!(told.contains("level=debug") && told.contains("is left as it is: no sign of a GPU"), "{told}");
}

/// GUEST: RLIMIT_FSIZE in the shim's engine: rc 153 and no container.
#[test]
fn a_limit_on_the_size_of_files_ends_no_container() {
    for (limits, managed) in [("ulimit -S -f 0", true), ("ulimit -f 0", false)] {
        let ground = Ground::new("");
        let words = format!("{limits}; exec {RUNTIME} create --bundle {} c1", ground.0.path().display());
        // The script below writes a file too.
        fs::write(ground.at("below"), "#!/bin/sh\nulimit -S -f >&2\nexit 7\n").unwrap();
        let output = ground.run("/bin/sh", &["-c", &words], b"");
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(7), "0\n"), "{limits}");
        assert_eq!(is_injected(ground.text("config.json").as_bytes()), managed, "{limits}");
    }
}

/// GUEST: ignored SIGPIPE is not ignored below any more.
#[test]
fn signals_are_as_the_engine_has_them() {
    let ground = Ground::new("");
    fs::write(ground.at("below"), "#!/bin/sh\nexec grep -E '^Sig(Blk|Ign)' /proc/self/status\n").unwrap();
    for trap in ["", "trap '' PIPE; ", "trap '' PIPE HUP INT; "] {
        let natively =
            ground.run("/bin/sh", &["-c", &format!("{trap}exec {}", ground.at("below").display())], b"");
        let words = format!("{trap}exec {RUNTIME} create --bundle {} c1", ground.0.path().display());
        let ours = ground.run("/bin/sh", &["-c", &words], b"");
        assert!(said(&natively).contains("SigIgn"));
        assert_eq!(said(&ours), said(&natively), "{trap}");
    }
}

/// GUEST: a wrapper below whose path has a colon or that clears the environment: an endless exec loop.
#[test]
fn a_wrapper_that_leads_back_is_passed_by() {
    let script = |how: &str| format!("#!/bin/sh\nexec {how} {RUNTIME} \"$@\"\n");
    let forking =
        format!("#!/bin/sh\nenv -i NVSHARE_CONFIG_FILE=\"$NVSHARE_CONFIG_FILE\" {RUNTIME} \"$@\"\n");
    let clearing = script("env -i NVSHARE_CONFIG_FILE=\"$NVSHARE_CONFIG_FILE\"");
    for (name, text) in [("wrap:per", script("")), ("clearing", clearing), ("forking", forking)] {
        let ground = Ground::new("");
        let wrapper = ground.at(name);
        fs::write(&wrapper, text).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = ground.text("settings.toml");
        let below = format!("low_level_runtimes = [{:?}", ground.at("below"));
        let with = format!("low_level_runtimes = [{wrapper:?}, {:?}", ground.at("below"));
        assert!(settings.contains(&below));
        fs::write(ground.at("settings.toml"), settings.replace(&below, &with)).unwrap();
        let words = format!("exec timeout 20 {RUNTIME} create --bundle {} c1", ground.0.path().display());
        let output = ground.run("/bin/sh", &["-c", &words], b"");
        assert_eq!(output.status.code(), Some(7), "{name}: {}", said(&output));
        assert!(is_injected(ground.text("config.json").as_bytes()));
    }
}

/// GUEST: duplicate JSON keys: one dropped.
#[test]
fn a_document_that_would_lose_a_key_is_not_written_again() {
    for (more, starts) in [("", true), ("on_error = \"fail\"", false)] {
        let ground = Ground::new(more);
        let twice = ours().to_string().replacen('{', "{\"hostname\":\"a\",\"hostname\":\"b\",", 1);
        fs::write(ground.at("config.json"), &twice).unwrap();
        assert_eq!(ground.create().status.code(), Some(if starts { 7 } else { 1 }));
        assert_eq!(ground.text("config.json"), twice);
        let heard = ground.text(if starts { "log" } else { "engine.log" });
        assert!(heard.contains("the key `hostname` stands twice"), "{heard}");
        let output = ground.run(HOOK, &["precreate"], twice.as_bytes());
        assert_eq!(output.status.success(), starts);
        assert_eq!(output.stdout, if starts { twice.as_bytes() } else { b"" });
        let not_ours = "{\"a\":1,\"a\":2,\"root\":{\"path\":\"rootfs\"}}";
        fs::write(ground.at("config.json"), not_ours).unwrap();
        assert_eq!(ground.create().status.code(), Some(7), "what is not ours is not judged");
        assert_eq!(ground.text("config.json"), not_ours);
    }
}

#[test]
fn without_a_runtime_below_the_engine_is_told_what_was_looked_for() {
    let ground = Ground::new("");
    fs::remove_file(ground.at("below")).unwrap();
    assert_eq!(ground.create().status.code(), Some(1));
    assert!(
        ground.text("engine.log").contains("no low-level runtime found"),
        "{}",
        ground.text("engine.log")
    );
}

#[test]
fn a_program_that_is_started_later_gets_what_its_container_has() {
    let marked = json!({constants::INJECTED_ANNOTATION: "env+file /dev/nvshare"});
    let library = |place: &str| json!([{"destination": format!("{place}/libnvshare.so"), "source": "/x"}]);
    for (annotations, mounts, managed) in [
        (&marked, library("/dev/nvshare"), true),
        (&marked, library("/dev/other"), false),
        (&marked, json!([]), false),
        (&json!({}), library("/dev/nvshare"), false),
    ] {
        let ground = Ground::new("");
        let state = json!({"id": "c1", "bundle": ground.0.path(), "annotations": annotations});
        fs::write(ground.at("state.json"), state.to_string()).unwrap();
        ground.document(&json!({"annotations": annotations, "mounts": mounts}));
        let process = ground.at("process.json").display().to_string();
        fs::write(&process, json!({"args": ["sh"], "env": ["A=b"], "cwd": "/"}).to_string()).unwrap();
        let output = ground.run(RUNTIME, &["exec", "--process", &process, "c1"], b"");
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(ground.text("process.json").contains("LD_PRELOAD=/dev/nvshare/libnvshare.so"), managed);
    }
}

/// GUEST: every image built so gets an empty file; RUN echo ... >> /etc/ld.so.preload.
#[test]
fn a_container_that_has_ended_keeps_what_it_wrote_and_nothing_of_ours() {
    let file = "rootfs/etc/ld.so.preload";
    let long = "#".repeat(70_000);
    for (status, written, left) in [
        ("stopped", "", None),
        ("stopped", "/mine.so\n", Some("/mine.so\n")),
        ("running", "", Some("")),
        ("stopped", &long, Some("")),
    ] {
        let ground = Ground::new("");
        ground.create();
        // The runtime below makes what it mounts over.
        fs::write(ground.at(file), "").unwrap();
        let merged = ground.at(constants::MERGED_PRELOAD_NAME);
        let text = fs::read_to_string(&merged).unwrap();
        assert_eq!(text, "/dev/nvshare/libnvshare.so\n");
        fs::write(&merged, text + written).unwrap();
        let annotations = json!({constants::INJECTED_ANNOTATION: "file /dev/nvshare"});
        let state =
            json!({"id": "c1", "status": status, "bundle": ground.0.path(), "annotations": annotations});
        fs::write(ground.at("state.json"), state.to_string()).unwrap();
        assert_eq!(ground.run(RUNTIME, &["delete", "c1"], b"").status.code(), Some(7));
        assert_eq!(fs::read_to_string(ground.at(file)).ok().as_deref(), left, "{status}, {}", written.len());
        assert!(ground.text("started").contains("delete\nc1"), "the runtime below deletes it");
        let log = ground.text("log");
        assert_eq!(log.contains("at most 64 KiB"), written == long, "{log}");
        assert_eq!(log.is_empty(), written != long, "{log}");
    }
}

/// A build that copies `/etc` and puts the copy in its place has our line in the image itself.
#[test]
fn our_line_does_not_stay_where_a_program_has_copied_it() {
    let ground = Ground::new("");
    ground.create();
    let merged = fs::read_to_string(ground.at(constants::MERGED_PRELOAD_NAME)).unwrap();
    fs::write(ground.at("rootfs/etc/ld.so.preload"), &merged).unwrap();
    let annotations = json!({constants::INJECTED_ANNOTATION: "file /dev/nvshare"});
    let state =
        json!({"id": "c1", "status": "stopped", "bundle": ground.0.path(), "annotations": annotations});
    fs::write(ground.at("state.json"), state.to_string()).unwrap();
    ground.run(RUNTIME, &["delete", "c1"], b"");
    assert_eq!(ground.text("rootfs/etc/ld.so.preload"), "");
}

/// A container of podman's whose image was built with annotations that would be at others' expense.
#[test]
fn an_image_does_not_speak_as_the_user() {
    let ground = Ground::new("");
    let said = json!({"io.nvshare.priority": "high", "io.nvshare.weight": "1000", "io.nvshare.injected": "x",
        "io.nvshare.mem-limit": "1GiB"});
    let store = ground.at("store");
    for made in ["vfs-containers/c1/userdata", "vfs-images/1338", "vfs/dir"] {
        fs::create_dir_all(store.join(made)).unwrap();
    }
    let record = json!([{"id": "c1", "layer": "1a7e4", "image": "1338"}]).to_string();
    fs::write(store.join("vfs-containers/containers.json"), record).unwrap();
    fs::write(store.join("vfs-images/1338/manifest"), json!({"annotations": said}).to_string()).unwrap();
    let mut spec = ours();
    fs::rename(ground.at("rootfs"), store.join("vfs/dir/1a7e4")).unwrap();
    spec["root"]["path"] = json!(store.join("vfs/dir/1a7e4"));
    spec["annotations"] = said;
    spec["annotations"]["io.nvshare.time-share"] = json!("30%");
    let bundle = store.join("vfs-containers/c1/userdata");
    fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
    let words = ["create", "--bundle", bundle.to_str().unwrap(), "c1"];
    assert_eq!(ground.run(RUNTIME, &words, b"").status.code(), Some(7));
    let by_shim = fs::read_to_string(bundle.join("config.json")).unwrap();
    let by_hook = ground.run(HOOK, &["precreate"], spec.to_string().as_bytes()).stdout;
    for edited in [by_shim.as_bytes(), &by_hook] {
        assert!(is_injected(edited));
        let edited: Value = serde_json::from_slice(edited).unwrap();
        let env: Vec<&str> =
            edited["process"]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(
            env.contains(&"NVSHARE_MEM_LIMIT=1GiB") && env.contains(&"NVSHARE_TIME_SHARE=30%"),
            "{env:?}"
        );
        assert!(!env.iter().any(|entry| entry.contains("PRIORITY") || entry.contains("WEIGHT")), "{env:?}");
        assert_eq!(edited["annotations"]["io.nvshare.priority"], Value::Null);
    }
    let log = ground.text("log");
    for name in ["priority", "weight", "injected"] {
        let lines =
            log.lines().filter(|line| line.contains(&format!("annotation io.nvshare.{name} is ignored")));
        assert_eq!(lines.count(), 2, "once by each way: {log}");
    }
}

#[test]
fn what_precreate_does_not_edit_it_gives_back_to_the_byte() {
    let ground = Ground::new("");
    let ask = |input: &[u8]| {
        let output = ground.run(HOOK, &["precreate"], input);
        assert!(output.status.success() && output.stderr.is_empty());
        output.stdout
    };
    // Where podman keeps a container's small files, and so do we.
    let mut spec = ours();
    let own = json!({"destination": "/run/.containerenv", "source": ground.at("containerenv")});
    spec["mounts"].as_array_mut().unwrap().push(own);
    assert!(is_injected(&ask(spec.to_string().as_bytes())));
    for document in ["", "nonsense", "[ 1,\n 2 ]", "{ \"process\": {\"env\": [\"A=b\"]} }"] {
        assert_eq!(ask(document.as_bytes()), document.as_bytes());
    }
    fs::remove_dir(ground.at("tenants")).unwrap();
    let document = ours().to_string();
    assert_eq!(ask(document.as_bytes()), document.as_bytes());
    assert!(ground.text("log").contains("precreate: not managed"));
    ground.settings("on_error = \"fail\"");
    let output = ground.run(HOOK, &["precreate"], document.as_bytes());
    assert!(!output.status.success() && output.stdout.is_empty() && !output.stderr.is_empty());
}

#[test]
fn a_stage_without_a_process_to_enter_is_logged_and_fails_only_where_the_settings_say_so() {
    for (more, succeeds) in [("", true), ("on_error = \"fail\"", false)] {
        let ground = Ground::new(more);
        let state = json!({"id": "c1", "bundle": ground.0.path()}).to_string();
        for stage in ["createRuntime", "prestart"] {
            let output = ground.run(HOOK, &[stage], state.as_bytes());
            assert_eq!(output.status.success(), succeeds, "{stage}, {more}");
        }
        assert!(ground.text("log").contains("c1: not managed: the engine's state names no process to enter"));
        ground.document(&json!({"root": {"path": "rootfs"}}));
        assert!(ground.run(HOOK, &["createRuntime"], state.as_bytes()).status.success(), "it is not ours");
    }
    assert!(!Ground::new("").run(HOOK, &["poststop"], b"").status.success(), "an unknown stage");
}

#[test]
fn an_engines_file_is_changed_once_and_back() {
    let ground = Ground::new("");
    let file = ground.at("daemon.json");
    let change = |words: &[&str]| {
        let config = ["--runtime", "docker", "--config", file.to_str().unwrap()];
        let output = ground.run(CTK, &[&["runtime"], words, &config].concat(), b"");
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    assert!(change(&["configure", "--dry-run"]).contains("nvshare-runtime"));
    assert!(!Path::new(&file).exists(), "nothing is changed by a dry run");
    assert!(change(&["configure"]).contains("changed"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(change(&["configure"]).contains("nothing to change"));
    assert!(change(&["configure", "--set-as-default"]).contains("changed"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ground.text("daemon.json").contains("default-runtime"));
    change(&["unconfigure"]);
    assert!(!ground.text("daemon.json").contains("nvshare"));
    let output = ground.run(CTK, &["cdi", "generate", "--output", "-"], b"");
    assert!(said(&output).contains(&ground.at("tenants").display().to_string()), "{}", said(&output));
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let ground = Ground::new("");
    let rootfs = ground.at("rootfs").display().to_string();
    let ask = || {
        let output = ground.run(CTK, &["doctor", "--rootfs", &rootfs], b"");
        (output.status.success(), said(&output))
    };
    let has =
        |said: &str, start: &str, word: &str| said.lines().any(|l| l.starts_with(start) && l.contains(word));
    let (well, text) = ask();
    assert!(!well && has(&text, "BAD", "systemctl start nvshare-scheduler"), "{text}");
    assert!(has(&text, "ok", "has glibc 2.40") && has(&text, "ok", "low-level runtime"), "{text}");
    let socket = ground.at("tenants").join(constants::TENANT_SOCKET);
    fs::create_dir(&socket).unwrap();
    assert!(has(&ask().1, "BAD", "is a directory where a socket should be"));
    fs::remove_dir(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    assert!(has(&ask().1, "BAD", "is no socket"));
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    assert!(has(&ask().1, "ok", "scheduler: answers"));
    drop(listener);
    assert!(has(&ask().1, "BAD", "systemctl restart nvshare-scheduler"));
    fs::write(ground.at("rootfs/lib/libc.so.6"), "GNU C Library stable release version 2.5.\n").unwrap();
    assert!(has(&ask().1, "BAD", "use another image"));
    fs::remove_dir_all(ground.at("rootfs/lib64")).unwrap();
    fs::remove_dir_all(ground.at("rootfs/lib")).unwrap();
    assert!(has(&ask().1, "BAD", "no dynamic loader"));
    ground.settings("no_such_key = 1");
    assert!(has(&ask().1, "BAD", "correct the file"));
}
