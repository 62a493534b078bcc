//! nvshare-hook.
use super::ground::*;
use serde_json::json;
use std::fs;

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

/// OPERATOR: -V failed.
#[test]
fn the_hook_says_what_it_is() {
    let ground = Ground::new("");
    for (word, expected) in [
        ("-V", concat!("nvshare-hook ", env!("CARGO_PKG_VERSION"), "\n")),
        ("--version", concat!("nvshare-hook ", env!("CARGO_PKG_VERSION"), "\n")),
        ("-h", "Usage: nvshare-hook STAGE"),
        ("--help", "Usage: nvshare-hook STAGE"),
    ] {
        let output = ground.run(HOOK, &[word], b"");
        assert!(output.status.success() && said(&output).contains(expected), "{word}: {}", said(&output));
    }
}

/// OPERATOR: a mistyped limit meant no limit, with CDI's hook too.
#[test]
fn a_wrong_wish_stops_a_stage_under_fail() {
    for (more, succeeds) in [("", true), ("on_error = \"fail\"", false)] {
        let ground = Ground::new(more);
        let mut spec = ours();
        spec["annotations"] = json!({"io.nvshare.memlimit": "8GiB"});
        ground.document(&spec);
        let state = json!({"id": "c1", "bundle": ground.0.path()}).to_string();
        let output = ground.run(HOOK, &["createRuntime"], state.as_bytes());
        assert_eq!(output.status.success(), succeeds, "{more}");
        let log = ground.text("log");
        assert_eq!(log.matches("did you mean io.nvshare.mem-limit?").count(), 1, "{log}");
    }
}
