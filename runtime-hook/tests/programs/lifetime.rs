//! Containers that run, and containers that have ended.
use super::ground::*;
use nvshare_runtime_hook::constants;
use serde_json::{Value, json};
use std::fs;

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
