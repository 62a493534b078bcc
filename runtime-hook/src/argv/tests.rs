use super::*;
use proptest::prelude::*;

fn read(line: &str) -> Call {
    parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
}

fn started(bundle: Option<&str>, config: Option<&str>) -> Action {
    Action::Start { bundle: bundle.map(PathBuf::from), config: config.map(PathBuf::from) }
}

#[test]
fn starts_are_found_in_every_spelling() {
    for (line, bundle, config) in [
        ("--root /r --log /l --log-format json create --bundle /b --pid-file /p c1", Some("/b"), None),
        ("create --bundle /b --pid-file /p c1", Some("/b"), None),
        ("-root=/r create -bundle=/b c1", Some("/b"), None),
        ("--root create create -b /b create", Some("/b"), None),
        ("run c1", None, None),
        ("run --detach --bundle /b c1", Some("/b"), None),
        ("run -d -b/b c1", Some("/b"), None),
        ("run -db /b c1", Some("/b"), None),
        ("create -f other.json c1", None, Some("other.json")),
        ("create --config=/x/y.json -b /b c1", Some("/b"), Some("/x/y.json")),
        ("create c1 --bundle /b", Some("/b"), None),
        ("create -b /a -b /b c1", Some("/b"), None),
        ("restore --image-path /i --bundle /b c1", Some("/b"), None),
        ("--systemd-cgroup --debug create --no-pivot --no-new-keyring c1", None, None),
        ("--rootless true create c1", None, None),
        ("-s -r /r create -p /pid -c /sock -b /b c1", Some("/b"), None),
        ("create -- c1", None, None),
        ("--platform kvm --root /r create --bundle /b c1", Some("/b"), None),
        ("-platform kvm --network host --strace create --bundle /b c1", Some("/b"), None),
        ("--strace create --bundle /b c1", Some("/b"), None),
        ("create --annotate x --bundle /b c1", Some("/b"), None),
        ("--debug=true run --keep=false --bundle /b c1", Some("/b"), None),
    ] {
        assert_eq!(read(line).action, started(bundle, config), "{line}");
    }
}

#[test]
fn what_is_no_start_is_left_alone() {
    for line in [
        "",
        "--version",
        "-v",
        "--root /r --version",
        "create",
        "create -h",
        "create --help c1",
        "-h create c1",
        "run -h",
        "run --bundle",
        "start create",
        "features",
        "--root create state c1",
        "--log create",
        "delete --regex run",
        "delete --help run",
        "kill create 9",
        "update --resources - create",
        "--bogus",
        "exec c1 create",
        "exec --process",
        "exec -h --process /p c1",
        "--",
    ] {
        assert_eq!(read(line).action, Action::Other, "{line}");
    }
}

#[test]
fn an_exec_of_a_document_names_its_container() {
    for line in [
        "--root /r exec --process /p --detach --pid-file /pid c1",
        "exec -p /p -d c1",
        "exec -dp /p c1",
        "exec -t --process=/p c1 --process /other",
        "exec -p/p -e A=b --cap CAP_X c1 create --bundle /b",
        "--platform kvm exec -p /p c1",
        "exec --new value --process /p c1",
    ] {
        let expected = Action::Exec { process: "/p".into(), container: "c1".into() };
        assert_eq!(read(line).action, expected, "{line}");
    }
}

#[test]
fn an_engine_that_debugs_is_known() {
    for (line, debug) in [
        ("--debug create c1", true),
        ("--log-level debug create c1", true),
        ("--log-level=info create c1", false),
        ("--debug=false create c1", false),
        ("create c1", false),
    ] {
        assert_eq!(read(line).debug, debug, "{line}");
    }
}

#[test]
fn a_delete_names_its_container() {
    for line in ["delete c1", "--root /r delete --force c1", "delete c1 -f"] {
        assert_eq!(read(line).action, Action::Delete { container: "c1".into() }, "{line}");
    }
}

#[test]
fn the_log_and_the_scope_are_kept() {
    let call = read("--root /r --log=/l --log-format json --systemd-cgroup --log-level debug exec -p /p c1");
    assert_eq!(call.log, Some("/l".into()));
    assert!(call.log_json);
    assert_eq!(call.scope, ["--root", "/r", "--systemd-cgroup"].map(OsString::from));
}

fn word() -> impl Strategy<Value = OsString> {
    use std::os::unix::ffi::OsStringExt;
    let known = prop::sample::select(vec![
        "create",
        "run",
        "restore",
        "exec",
        "start",
        "-h",
        "--help",
        "--",
        "-",
        "",
        "--root",
        "-root",
        "-r",
        "--log",
        "--log=",
        "--log-format=json",
        "--bundle",
        "-b",
        "-b=",
        "-f",
        "-fx",
        "-db",
        "--process",
        "-p",
        "-dp",
        "delete",
        "--process=/p",
        "c1",
        "/x",
        "-=",
        "--=",
        "---",
    ]);
    prop_oneof![
        4 => known.prop_map(OsString::from),
        1 => prop::collection::vec(1u8..=255, 0..6).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn no_line_panics_and_what_is_found_was_given(words in prop::collection::vec(word(), 0..10)) {
        let call = parse(&words);
        match call.action {
            Action::Start { .. } => {
                let a_start = |word: &OsString| word == "create" || word == "run" || word == "restore";
                prop_assert!(words.iter().any(a_start));
            }
            Action::Exec { container, .. } | Action::Delete { container } => prop_assert!(words.contains(&container)),
            Action::Other => {}
        }
    }
}
