//! nvshare-runtime at the start of a container.
use super::ground::*;
use nvshare_runtime_hook::constants;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

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

/// A newcomer's: a section that stands twice turned `fail` into the default, and a mistake stopped containers of others.
#[test]
fn a_mistake_in_the_settings_concerns_our_containers_alone() {
    for (more, starts) in [("", true), ("on_error = \"fail\"", false)] {
        for mistake in ["no_such_key = 1", "[metrics]\n[metrics]"] {
            let ground = Ground::new("");
            ground.settings(&format!("{more}\n{mistake}"));
            // The list of runtimes is not read out of a broken file.
            let is_toml = !mistake.starts_with('[');
            let started = |ground: &Ground| is_toml && ground.create().status.code() == Some(7);
            assert_eq!(started(&ground), is_toml && starts, "{more}, {mistake}");
            let not_ours = json!({"root": {"path": "rootfs"}});
            ground.document(&not_ours);
            let _ = fs::remove_file(ground.at("log"));
            assert_eq!(started(&ground), is_toml, "{more}, {mistake}");
            assert_eq!(ground.text("log"), "");
            let input = not_ours.to_string();
            let output = ground.run(HOOK, &["precreate"], input.as_bytes());
            assert_eq!((output.status.success(), &*output.stdout), (true, input.as_bytes()));
            let input = ours().to_string();
            let output = ground.run(HOOK, &["precreate"], input.as_bytes());
            assert_eq!(output.status.success(), starts, "{more}, {mistake}");
            assert!(ground.text("log").contains("precreate: not managed"), "it is told where the file says");
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

/// OPERATOR: a mistyped limit meant no limit at all, also under `on_error = "fail"`; `-e` was dropped without a word.
#[test]
fn a_wrong_wish_is_told_and_stops_a_container_under_fail() {
    for (more, starts) in [("", true), ("on_error = \"fail\"", false)] {
        for (variable, annotation, told) in [
            ("NVSHARE_MEM_LIMIT=8 parsecs", "", "is not understood (allowed: a size such as 8GiB"),
            ("NVSHARE_MEM_LIMIT=50%", "", "is not understood (allowed: a size such as 8GiB"),
            ("A=b", "io.nvshare.mem-limit", "io.nvshare.mem-limit=lots is not understood"),
            ("A=b", "io.nvshare.memlimit", "did you mean io.nvshare.mem-limit?"),
            ("NVSHARE_MEMLIMIT=8GiB", "", "did you mean NVSHARE_MEM_LIMIT?"),
            ("NVSHARE_PRIORITY=high", "", "--annotation io.nvshare.priority=high"),
        ] {
            let ground = Ground::new(more);
            let mut spec = ours();
            spec["process"]["env"].as_array_mut().unwrap().push(json!(variable));
            if !annotation.is_empty() {
                spec["annotations"] = json!({annotation: "lots"});
            }
            ground.document(&spec);
            let output = ground.create();
            assert_eq!(output.status.code(), Some(if starts { 7 } else { 1 }), "{variable}{annotation}");
            assert_eq!(ground.at("started").exists(), starts);
            let heard = ground.text(if starts { "log" } else { "engine.log" });
            assert!(heard.contains(told), "{heard}");
            assert_eq!(heard.lines().count(), 1, "{heard}");
            assert_eq!(is_managed(&ground), starts);
            ground.document(&spec);
            let output = ground.run(HOOK, &["precreate"], spec.to_string().as_bytes());
            assert_eq!(output.status.success(), starts, "precreate: {variable}{annotation}");
            let explained = said(&ground.run(CTK, &["explain", &ground.0.path().display().to_string()], b""));
            assert!(explained.contains("wrong  "), "{explained}");
        }
    }
    // What the library cannot see, it is told.
    let ground = Ground::new("");
    let mut spec = ours();
    spec["annotations"] = json!({"io.nvshare.memlimit": "8GiB"});
    ground.document(&spec);
    ground.create();
    let policy = ground.text(constants::POLICY_NAME);
    assert!(policy.starts_with("!the annotation io.nvshare.memlimit is none of nvshare's"), "{policy}");
}

/// OPERATOR: 8GB, 30 and HIGH were not understood.
#[test]
fn wishes_are_understood_as_people_write_them() {
    let ground = Ground::new("on_error = \"fail\"");
    let mut spec = ours();
    let variables = ["NVSHARE_MEM_LIMIT=8GB", "NVSHARE_TIME_SHARE=30"];
    spec["process"]["env"].as_array_mut().unwrap().extend(variables.map(|variable| json!(variable)));
    spec["annotations"] = json!({"io.nvshare.priority": "HIGH"});
    ground.document(&spec);
    assert_eq!(ground.create().status.code(), Some(7), "{}", ground.text("engine.log"));
    assert_eq!(ground.text("log"), "");
}

fn is_managed(ground: &Ground) -> bool {
    let spec: Value = serde_json::from_str(&ground.text("config.json")).unwrap();
    spec["annotations"][constants::INJECTED_ANNOTATION].is_string()
}

/// OPERATOR: runc's help alone.
#[test]
fn help_is_ours_and_then_that_of_the_runtime_below() {
    let ground = Ground::new("on_error = \"fail\"");
    fs::write(ground.at("below"), "#!/bin/sh\necho help of the runtime below: \"$@\"\n").unwrap();
    for word in ["--help", "-h", "help"] {
        let output = ground.run(RUNTIME, &[word], b"");
        let text = said(&output);
        assert!(text.starts_with("nvshare-runtime ") && output.status.success(), "{text}");
        assert!(text.contains("\n  on_error = \"fail\"\n"), "{text}");
        assert!(
            text.contains(&format!("The low-level runtime is {}.", ground.at("below").display())),
            "{text}"
        );
        assert!(text.ends_with(&format!("help of the runtime below: {word}\n")), "{text}");
    }
    let text = said(&ground.run(RUNTIME, &["create", "--help"], b""));
    assert_eq!(
        text, "help of the runtime below: create --help\n",
        "a command's help is that of the runtime below"
    );
}
