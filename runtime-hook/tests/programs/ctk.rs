//! nvshare-ctk.
use super::ground::*;
use nvshare_runtime_hook::constants;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

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
