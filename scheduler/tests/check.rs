//! The settings: what `--check` says is what the start says.
mod common;
use common::Setup;
use std::process::Output;

fn check(config: &str, args: &[&str]) -> (Setup, Output) {
    let setup = Setup::new(config).args(&["--check"]).args(args);
    let output = setup.command().output().unwrap();
    (setup, output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn right_settings_are_printed_as_they_are_in_force() {
    let (setup, output) = check("[scheduler]\nquantum = 7\n", &["--evict", "always", "--quantum", "0.5"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = format!(
        "# {}; runtime directory {}\n\
         [scheduler]\nquantum = 0.5\nshare = true\noverlap = true\nevict = \"always\"\nenabled = true\ngangs = false\nfetch_seconds = 60\ndrain_seconds = 5\n\
         evict_seconds = 30\npatience_seconds = 10\nlongest_turn_seconds = 60\nsilence_seconds = 5\nstarvation_seconds = 60\ntrace_spans = 4096\n\
         \n[memory]\nreserve = \"1GiB\"\nusable = \"auto\"\nnvml = \"libnvidia-ml.so.1\"\n\
         \n[swap]\nbudget = \"auto\"\n\
         \n[limits]\ntenants = 1024\ntenants_per_user = 512\ntenants_per_container = 256\nwhen_full = \"wait\"\nweight = 1\npriority = \"normal\"\n\
         swap_per_tenant = \"auto\"\nswap_per_user = \"auto\"\nswap_per_container = \"auto\"\n\
         memory_per_tenant = \"none\"\nmemory_per_user = \"none\"\nmemory_per_container = \"none\"\ntime_share_per_tenant = \"none\"\n\
         hello_timeout_seconds = 5\nmessages_per_second = 1000\n\
         \n[sockets]\ntenant_mode = \"0666\"\ncontrol_group = \"\"\nreader_group = \"\"\n\
         \n[metrics]\nlisten = \"\"\n\
         \n[accounting]\ndays = 30\n",
        setup.path("config.toml").display(),
        setup.path("run").display()
    );
    assert_eq!(text(&output.stdout), expected);
    assert!(!setup.path("run").exists(), "a check opens nothing");
}

#[test]
fn wrong_settings_are_all_named_and_stop_the_start_in_the_same_words() {
    let config = "[scheduler]\nquantum = \"soon\"\nquantom = 3\n[limits]\ntenants = 0\n";
    let (setup, output) = check(config, &["--evict", "sometimes"]);
    let file = setup.path("config.toml").display().to_string();
    let expected = format!(
        "nvshare-scheduler: {file}: [limits] tenants = 0 is not allowed (allowed: a whole number from 1 to 65536)\n\
         nvshare-scheduler: {file}: [scheduler] quantom is no setting (known: quantum, share, overlap, evict, enabled, gangs, fetch_seconds, drain_seconds, evict_seconds, patience_seconds, longest_turn_seconds, silence_seconds, starvation_seconds, trace_spans)\n\
         nvshare-scheduler: {file}: [scheduler] quantum = \"soon\" is not allowed (allowed: \"auto\" or a number of seconds from 0.001 to 86400)\n\
         nvshare-scheduler: --evict sometimes is not allowed (allowed: \"pressure\", \"always\" or \"never\")\n"
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), expected.clone()));
    let start = Setup { args: vec!["--evict".into(), "sometimes".into()], ..setup };
    assert_eq!(start.fails(), (2, expected));
}

/// OPERATOR: rc 0, then the daemon did not start, or containers were not managed.
#[test]
fn the_whole_file_is_checked_and_that_the_group_is_there() {
    let config = "[sockets]\ncontrol_group = \"no-such-group-here\"\nreader_group = \"nor-this\"\n[runtime]\non_error = \"fial\"\n";
    let (setup, output) = check(config, &[]);
    let file = setup.path("config.toml").display().to_string();
    let expected = format!(
        "nvshare-scheduler: {file}: [sockets] control_group = \"no-such-group-here\" is not allowed: this machine has no such group\n\
         nvshare-scheduler: {file}: [sockets] reader_group = \"nor-this\" is not allowed: this machine has no such group\n\
         nvshare-scheduler: {file}: [runtime] on_error = \"fial\" is not allowed (allowed: \"fail\" or \"run-unmanaged\")\n"
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), expected));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn what_was_checked_is_printed_as_json_of_one_schema() {
    for (config, code, states) in [
        ("", 0, [("settings", "ok"), ("groups", "ok"), ("runtime-settings", "ok")]),
        (
            "[runtime]\non_error = \"fial\"\n",
            2,
            [("settings", "ok"), ("groups", "ok"), ("runtime-settings", "error")],
        ),
    ] {
        let (_, output) = check(config, &["--json"]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(code), String::new()));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&found["schema"], &found["program"]), (&1.into(), &"nvshare-scheduler".into()));
        let rows = found["checks"].as_array().unwrap();
        let rows: Vec<_> =
            rows.iter().map(|row| (row["name"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
        assert_eq!(rows, states);
        let wrong = found["checks"].as_array().unwrap().iter().filter(|row| row["state"] == "error");
        assert!(wrong.clone().all(|row| row["advice"] == "correct the file"), "{found}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_shown_where_it_is_wrong() {
    let (setup, output) = check("[scheduler]\nquantum = \n", &[]);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        words.contains(&format!("{}: TOML parse error at line 2", setup.path("config.toml").display())),
        "{words}"
    );
}

#[test]
fn a_file_that_was_named_must_exist() {
    let (setup, _) = check("", &[]);
    std::fs::remove_file(setup.path("config.toml")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nvshare-scheduler"));
    let output = command.arg("--check").arg("--config").arg(setup.path("config.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        format!(
            "nvshare-scheduler: {}: cannot be read: No such file or directory (os error 2)\n",
            setup.path("config.toml").display()
        )
    );
}

#[test]
fn the_shipped_file_is_the_sample_and_is_right() {
    let shipped =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config.toml")).unwrap();
    assert_eq!(
        shipped,
        nvshare_scheduler::settings::sample(),
        "write it anew: nvshare-scheduler --sample-config"
    );
    let (_, output) = check(&shipped, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (_, defaults) = check("", &[]);
    let settings =
        |output: &Output| text(&output.stdout).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(settings(&output), settings(&defaults));
}

#[test]
fn a_filter_of_the_log_that_is_wrong_is_named() {
    let (code, words) = Setup::new("").args(&["--log", "loud=very"]).fails();
    assert_eq!(code, 2);
    assert!(words.contains("--log or RUST_LOG = \"loud=very\" is not allowed"), "{words}");
}
