//! Containers that run, and containers that have ended.
use super::ground::*;
use nvshare_runtime_hook::constants;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

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

/// `docker exec -e`: what is dropped was told to nobody.
#[test]
fn an_exec_hears_of_what_it_does_not_get() {
    let ground = Ground::new("");
    let mut spec = ours();
    spec["process"]["env"].as_array_mut().unwrap().push(json!("NVSHARE_PRIORITY=low"));
    spec["annotations"] = json!({"io.nvshare.mem-limit": "8g"});
    ground.document(&spec);
    ground.create();
    ground.state("running");
    let _ = fs::remove_file(ground.at("log"));
    let process = ground.at("process.json").display().to_string();
    let exec = |more: &[&str]| {
        let env: Vec<_> = ["NVSHARE_PRIORITY=low"].iter().chain(more).collect();
        fs::write(&process, json!({"args": ["sh"], "env": env, "cwd": "/"}).to_string()).unwrap();
        let output = ground.run(RUNTIME, &["exec", "--process", &process, "c1"], b"");
        assert_eq!(output.status.code(), Some(7));
        (ground.text("process.json"), ground.text("log"))
    };
    let (told, log) = exec(&[]);
    assert!(!told.contains("REMARKS") && log.is_empty(), "its start has told that: {told} {log}");
    let (told, log) = exec(&["NVSHARE_PRIORITY=high", "NVSHARE_MEM_LIMIT=16g"]);
    for words in [
        "NVSHARE_PRIORITY=high of an exec is dropped: variables count as the image's",
        "NVSHARE_MEM_LIMIT=16g of an exec is dropped: the container's annotation io.nvshare.mem-limit=8g holds",
    ] {
        assert!(log.contains(words), "{log}");
        assert!(told.contains(words) && told.contains("NVSHARE_EXEC_REMARKS="), "{told}");
    }
}

/// GUEST: every image built so gets an empty file; RUN echo ... >> /etc/ld.so.preload.
#[test]
fn a_container_that_has_ended_keeps_what_it_wrote_and_nothing_of_ours() {
    let long = "#".repeat(70_000);
    for (status, written, left) in [
        ("stopped", "", None),
        ("running", "", None),
        ("stopped", "/mine.so\n", Some("/mine.so\n")),
        ("running", "/mine.so\n", Some("/mine.so\n")),
        ("stopped", &long, None),
    ] {
        let ground = Ground::new("");
        ground.create();
        // The runtime below makes what it mounts over.
        ground.put_below("");
        let text = fs::read_to_string(ground.copy()).unwrap();
        assert_eq!(text, "/dev/nvshare/libnvshare.so\n");
        fs::write(ground.copy(), text + written).unwrap();
        assert_eq!(ground.delete(status), Some(0));
        assert_eq!(ground.below().as_deref(), left, "{status}, {}", written.len());
        assert!(ground.text("started").contains("delete\n--force\nc1"), "the runtime below deletes it");
        let log = ground.text("log");
        assert_eq!(log.contains("at most 64 KiB"), written == long, "{log}");
        assert_eq!(log.is_empty(), written != long, "{log}");
    }
}

/// A breaker's: root's shim wrote for a container's root who has no rights over the host root's file.
#[test]
fn a_root_of_its_own_writes_only_what_is_its_own() {
    let ground = Ground::new("");
    let mut spec = ours();
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    spec["linux"] = json!({"uidMappings": mapping, "gidMappings": mapping});
    ground.document(&spec);
    ground.put_below("/image.so\n");
    let below = ground.at("rootfs/etc/ld.so.preload");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let before = mode(&below);
    ground.create();
    let edited: Value = serde_json::from_str(&ground.text("config.json")).unwrap();
    let mut mounts = edited["mounts"].as_array().unwrap().iter();
    let mount = mounts.find(|mount| mount["destination"] == constants::ETC_PRELOAD).unwrap();
    assert!(mount["options"].as_array().unwrap().contains(&json!("ro")), "{mount}");
    assert_ne!(fs::metadata(ground.copy()).unwrap().uid(), 100_000);
    fs::write(ground.copy(), "/mine.so\n").unwrap();
    assert_eq!(ground.delete("stopped"), Some(0));
    assert_eq!((ground.below().as_deref(), mode(&below)), (Some("/image.so\n"), before));
    assert!(ground.text("log").contains("it is not the container's root's"), "{}", ground.text("log"));
}

#[test]
fn a_mode_is_kept_but_for_what_gives_rights() {
    let ground = Ground::new("");
    ground.put_below("/image.so\n");
    ground.create();
    fs::write(ground.copy(), "/mine.so\n").unwrap();
    fs::set_permissions(ground.copy(), fs::Permissions::from_mode(0o6755)).unwrap();
    assert_eq!(ground.delete("stopped"), Some(0));
    assert_eq!(ground.below().as_deref(), Some("/mine.so\n"));
    let mode = fs::metadata(ground.at("rootfs/etc/ld.so.preload")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

/// A breaker's: `docker cp` into a container that runs, a program that puts a new `/etc` in place.
#[test]
fn what_somebody_has_put_below_our_mount_stays() {
    for (image, written) in [(None, ""), (None, "/mine.so\n"), (Some("/image.so\n"), "")] {
        let ground = Ground::new("");
        image.iter().for_each(|text| ground.put_below(text));
        ground.create();
        let text = fs::read_to_string(ground.copy()).unwrap();
        fs::write(ground.copy(), text + written).unwrap();
        ground.put_below("# site\n");
        assert_eq!(ground.delete("stopped"), Some(0));
        assert_eq!(ground.below().as_deref(), Some("# site\n"));
        assert_eq!(ground.text("log").contains("another file was put in its place"), !written.is_empty());
    }
}

#[test]
fn a_container_that_is_not_deleted_keeps_everything() {
    let ground = Ground::new("");
    ground.create();
    ground.put_below("");
    fs::write(ground.at("stays"), "").unwrap();
    let edited = ground.text("config.json");
    assert_eq!(ground.delete("running"), Some(7), "what the runtime below says");
    assert_eq!((ground.text("config.json"), ground.below()), (edited, Some(String::new())));
}

/// A breaker's: waitpid of a caller that ignores SIGCHLD says ECHILD.
#[test]
fn a_caller_that_ignores_its_childrens_end_is_cleaned_up_after() {
    for (stays, code) in [(false, 0), (true, 1)] {
        let ground = Ground::new("");
        ground.create();
        ground.put_below("");
        ground.state("running");
        if stays {
            fs::write(ground.at("stays"), "").unwrap();
        }
        let words = ["--ignore-signal=CHLD", RUNTIME, "delete", "c1"];
        assert_eq!(ground.run("/usr/bin/env", &words, b"").status.code(), Some(code));
        assert_eq!(ground.below().is_none(), !stays);
    }
}

/// A build that copies `/etc` and puts the copy in its place has our line in the image itself.
#[test]
fn our_line_does_not_stay_where_a_program_has_copied_it() {
    let ground = Ground::new("");
    ground.create();
    let merged = fs::read_to_string(ground.copy()).unwrap();
    ground.put_below(&(merged + "# mine\n"));
    assert_eq!(ground.delete("stopped"), Some(0));
    assert_eq!(ground.below().as_deref(), Some("# mine\n"));
}

/// A breaker's: the second start of a bundle fails, for its document names a copy that has gone.
#[test]
fn a_bundle_is_its_users_again_once_its_container_is_deleted() {
    let ground = Ground::new("");
    let document = ground.text("config.json");
    let files = || {
        let names = fs::read_dir(ground.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("nvshare")).count()
    };
    for _ in 0..2 {
        ground.create();
        assert!(is_injected(ground.text("config.json").as_bytes()));
        ground.put_below("");
        ground.delete("stopped");
        assert_eq!((ground.text("config.json"), files()), (document.clone(), 0), "to the byte");
    }
    // A document that lies elsewhere.
    fs::create_dir(ground.at("elsewhere")).unwrap();
    fs::rename(ground.at("config.json"), ground.at("elsewhere/real")).unwrap();
    symlink("elsewhere/real", ground.at("config.json")).unwrap();
    ground.create();
    assert!(ground.copy().exists());
    ground.delete("stopped");
    assert_eq!((ground.text("config.json"), files()), (document.clone(), 0));
    fs::remove_file(ground.at("config.json")).unwrap();
    fs::write(ground.at("config.json"), &document).unwrap();
    ground.create();
    // As NVIDIA's runtime does, after us.
    let mut by_others: Value = serde_json::from_str(&ground.text("config.json")).unwrap();
    by_others["hooks"] = json!({"prestart": []});
    ground.document(&by_others);
    ground.delete("stopped");
    let mut left = ours();
    left["hooks"] = json!({"prestart": []});
    left["annotations"] = json!({});
    assert_eq!(serde_json::from_str::<Value>(&ground.text("config.json")).unwrap(), left);
}

/// A container that `run` started in the foreground, or that another runtime deleted.
#[test]
fn a_bundle_that_was_never_deleted_is_edited_anew() {
    let ground = Ground::new("");
    let document = ground.text("config.json");
    ground.create();
    ground.put_below("");
    fs::write(ground.copy(), "/mine.so\n").unwrap();
    ground.create();
    assert_eq!(ground.below().as_deref(), Some("/mine.so\n"));
    assert_eq!(fs::read_to_string(ground.copy()).unwrap(), "/dev/nvshare/libnvshare.so\n/mine.so\n");
    fs::remove_file(ground.copy()).unwrap();
    fs::remove_file(ground.at(constants::ORIGINAL_DOCUMENT_NAME)).unwrap();
    ground.create();
    assert!(ground.copy().exists(), "its document is edited anew where our files have gone");
    let edited: Value = serde_json::from_str(&ground.text("config.json")).unwrap();
    let destinations = edited["mounts"].as_array().unwrap().iter().map(|mount| &mount["destination"]);
    assert_eq!(destinations.filter(|at| **at == "/etc/ld.so.preload").count(), 1, "{edited}");
    fs::write(ground.at("config.json"), &document).unwrap();
    ground.create();
    fs::remove_dir(ground.at("tenants")).unwrap();
    ground.create();
    assert_eq!(ground.text("config.json"), document, "it starts as without us where it cannot be managed");
}

/// A reviewer's: the document then named a copy that was just removed, and the container did not start.
#[test]
fn a_start_that_cannot_be_edited_again_has_the_original() {
    let ground = Ground::new("");
    let mut spec = ours();
    spec["process"]["args"] = json!(["#".repeat(20_000)]);
    ground.document(&spec);
    let document = ground.text("config.json");
    ground.create();
    assert!(is_injected(ground.text("config.json").as_bytes()));
    // The copy fits, the document does not.
    let words = format!("ulimit -f 16; exec {RUNTIME} create --bundle {} c1", ground.0.path().display());
    assert_eq!(ground.run("/bin/sh", &["-c", &words], b"").status.code(), Some(7));
    assert!(ground.text("log").contains("RLIMIT_FSIZE"), "{}", ground.text("log"));
    assert!(ground.text("config.json") == document);
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
