//! nvshare-ctk.
use super::ground::*;
use nvshare_runtime_hook::constants;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// OPERATOR: a file that was not there was ok, and the scheduler's sections were not looked at.
#[test]
fn the_doctor_says_that_there_is_no_file() {
    let ground = Ground::new("");
    fs::remove_file(ground.at("settings.toml")).unwrap();
    let text = said(&ground.run(CTK, &["doctor"], b""));
    let file = ground.at("settings.toml").display().to_string();
    assert!(text.contains(&format!("note  settings: {file} is missing: the defaults hold")), "{text}");
}

#[test]
fn what_the_doctor_found_is_printed_as_json_of_one_schema() {
    let ground = Ground::new("no_such_key = 1");
    let output = ground.run(CTK, &["doctor", "--json"], b"");
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["schema"], &found["program"]), (&1.into(), &"nvshare-ctk doctor".into()));
    let rows = found["checks"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(
        (&row("settings")["state"], &row("settings")["advice"]),
        (&"error".into(), &"correct the file".into())
    );
    assert!(row("settings")["text"].as_str().unwrap().contains("no_such_key is no setting"), "{found}");
    assert_eq!(row("scheduler")["advice"], "systemctl start nvshare-scheduler");
    assert_eq!(row("low-level runtime")["state"], "ok");
}

/// OPERATOR: `nvshare-ctk doctor | head -1` and `>/dev/full` panicked (rc 101).
#[test]
fn nobody_who_stops_reading_makes_a_program_panic() {
    for (program, words) in [
        (CTK, vec!["doctor"]),
        (CTK, vec!["doctor", "--json"]),
        (CTK, vec!["explain", "."]),
        (CTK, vec!["cdi", "generate", "--output", "-"]),
        (HOOK, vec!["--help"]),
        (HOOK, vec!["--version"]),
    ] {
        let ground = Ground::new("");
        let run = |stdout: Stdio, stderr: Stdio| {
            let mut command = Command::new(program);
            command
                .args(&words)
                .current_dir(ground.0.path())
                .stdin(Stdio::null())
                .stdout(stdout)
                .stderr(stderr);
            let output =
                command.env(constants::CONFIG_VARIABLE, ground.at("settings.toml")).output().unwrap();
            (output.status.code(), said(&output))
        };
        let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
        let well = run(Stdio::null(), Stdio::null()).0;
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(writer.into(), Stdio::piped()), (well, String::new()), "{words:?}");
        let (code, text) = run(full(), Stdio::piped());
        assert_eq!(code, Some(1), "{words:?}");
        assert!(
            text.contains("standard output cannot be written to") && !text.contains("panicked"),
            "{text}"
        );
        assert_eq!(run(full(), full()).0, Some(1), "{words:?}");
    }
}

#[test]
fn a_report_says_what_is_in_it_and_holds_no_secret_of_the_environment() {
    let ground = Ground::new("");
    let report = |file: &str| {
        let mut command = Command::new(CTK);
        command.args(["doctor", "--report", file]).current_dir(ground.0.path());
        command.env(constants::CONFIG_VARIABLE, ground.at("settings.toml"));
        command.env("NVSHARE_LOG", "info").env("REGISTRY_PASSWORD", "s3cret").output().unwrap()
    };
    let output = report("report.tar.gz");
    assert!(output.status.success(), "{}", said(&output));
    let listed = said(&output);
    assert!(listed.starts_with("report.tar.gz has:\n  about.txt "), "{listed}");
    assert!(listed.contains("Look through it before you hand it on"), "{listed}");
    assert_eq!(fs::metadata(ground.at("report.tar.gz")).unwrap().permissions().mode() & 0o777, 0o600);
    let unpacked = ground.run("/bin/tar", &["-xzOf", "report.tar.gz"], b"");
    let text = said(&unpacked);
    assert!(unpacked.status.success() && !text.contains("s3cret"), "{text}");
    assert!(text.contains("NVSHARE_LOG=info") && text.contains("low_level_runtimes = "), "{text}");
    let again = report("report.tar.gz");
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("cannot make report.tar.gz: File exists"), "{}", said(&again));
    assert!(!report("/nonexistent/x").status.success());
}
