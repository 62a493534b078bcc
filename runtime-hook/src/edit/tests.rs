use super::*;
use crate::image_annotations::ImageAnnotations;
use crate::{selection, spec};
use oci_spec::runtime::Spec;
use proptest::prelude::*;

fn plan() -> Plan {
    Plan {
        library: "/usr/lib/nvshare/libnvshare.so".into(),
        tenants_dir: "/run/nvshare/tenants".into(),
        place: "/dev/nvshare".into(),
        env: true,
        preload_file: Some("/bundle/nvshare-ld.so.preload".into()),
        stub: None,
        policy_file: None,
        preload_writable: true,
    }
}

fn typical() -> Value {
    let mut spec = serde_json::to_value(Spec::default()).unwrap();
    spec["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
    spec
}

#[test]
fn an_edited_document_is_still_a_runtime_specification() {
    let mut spec = typical();
    inject(&mut spec, &plan(), &RuntimeSettings::default()).unwrap();
    let read: Spec = serde_json::from_value(spec.clone()).unwrap();
    let mounts = read.mounts().as_ref().unwrap();
    let ours: Vec<_> = mounts.iter().rev().take(3).map(|m| m.destination().display().to_string()).collect();
    assert_eq!(ours, ["/etc/ld.so.preload", "/dev/nvshare/run", "/dev/nvshare/libnvshare.so"]);
    let env = read.process().as_ref().unwrap().env().clone().unwrap();
    assert!(env.contains(&"LD_PRELOAD=/dev/nvshare/libnvshare.so".to_string()));
    assert!(env.contains(&"NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock".to_string()));
    assert_eq!(spec::annotation(&spec, constants::INJECTED_ANNOTATION), Some("env+file /dev/nvshare"));
}

#[test]
fn a_users_preload_is_kept_behind_ours() {
    let mut spec = typical();
    spec["process"]["env"] = json!(["LD_PRELOAD=/a.so /b.so", "X=1", "LD_PRELOAD=/c.so"]);
    inject(&mut spec, &plan(), &RuntimeSettings::default()).unwrap();
    assert_eq!(
        spec["process"]["env"],
        json!([
            "LD_PRELOAD=/dev/nvshare/libnvshare.so:/a.so /b.so",
            "X=1",
            "LD_PRELOAD=/dev/nvshare/libnvshare.so:/c.so",
            "NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock",
        ])
    );
}

#[test]
fn a_sanitizer_stays_in_front() {
    for (list, expected) in [
        ("libasan.so.8", "libasan.so.8:/l"),
        ("/usr/lib/libasan.so.8 /a.so", "/usr/lib/libasan.so.8:/l /a.so"),
        (
            ": /x/libtsan.so.2:libclang_rt.ubsan_standalone-x86_64.so:/a.so",
            ": /x/libtsan.so.2:libclang_rt.ubsan_standalone-x86_64.so:/l:/a.so",
        ),
        ("/a.so:libasan.so.8", "/l:/a.so:libasan.so.8"),
        ("/libasan.so/a.so", "/l:/libasan.so/a.so"),
        ("", "/l"),
        (":", "/l::"),
    ] {
        assert_eq!(preload_list(list, "/l"), expected);
    }
}

#[test]
fn annotations_set_the_tenant_and_overrule_variables() {
    let mut spec = typical();
    spec["process"]["env"] = json!(["NVSHARE_MEM_LIMIT=1GiB", "NVSHARE_WEIGHT=9", "NVSHARE_MEM_LIMIT=2GiB"]);
    spec["annotations"] = json!({"io.nvshare.mem-limit": "8GiB"});
    let settings = RuntimeSettings { image_may_set: vec![], ..RuntimeSettings::default() };
    inject(&mut spec, &Plan { env: false, ..plan() }, &settings).unwrap();
    assert_eq!(
        spec["process"]["env"],
        json!(["NVSHARE_MEM_LIMIT=8GiB", "NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock"])
    );
}

#[test]
fn an_image_gives_itself_no_priority_unless_it_may() {
    let value = |spec: &Value, settings: &RuntimeSettings| {
        let mut spec = spec.clone();
        inject(&mut spec, &Plan { env: false, ..plan() }, settings).unwrap();
        let env = spec["process"]["env"].as_array().unwrap().clone();
        env.iter()
            .filter_map(|entry| entry.as_str()?.strip_prefix("NVSHARE_PRIORITY=").map(str::to_owned))
            .next()
    };
    let mut spec = typical();
    spec["process"]["env"] = json!(["NVSHARE_PRIORITY=high"]);
    assert_eq!(value(&spec, &RuntimeSettings::default()), None);
    let may = RuntimeSettings { image_may_set: vec!["priority".into()], ..RuntimeSettings::default() };
    assert_eq!(value(&spec, &may).as_deref(), Some("high"));
    spec["annotations"] = json!({"io.nvshare.priority": "low"});
    assert_eq!(value(&spec, &RuntimeSettings::default()).as_deref(), Some("low"));
}

#[test]
fn a_policy_is_what_holds_and_nothing_else() {
    let mut spec = typical();
    let settings = RuntimeSettings::default();
    assert_eq!(policy(&spec, &settings), "");
    spec["process"]["env"] = json!([
        "NVSHARE_MEM_LIMIT=4GiB",
        "NVSHARE_PRIORITY=high",
        "NVSHARE_TIME_SHARE=",
        "NVSHARE_ENGINE=a\nb=c"
    ]);
    spec["annotations"] = json!({
        "io.nvshare.weight": "3", "io.nvshare.mem-limit": "1GiB", "io.nvshare.gang": "auto"
    });
    let expected = "NVSHARE_MEM_LIMIT=1GiB\nNVSHARE_WEIGHT=3\nNVSHARE_GANG=auto\n";
    assert_eq!(policy(&spec, &settings), expected);
    let with = Plan { policy_file: Some("/bundle/nvshare-policy".into()), ..plan() };
    inject(&mut spec, &with, &settings).unwrap();
    let mounts = spec["mounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["destination"] == "/dev/nvshare/policy"
        && mount["options"].as_array().unwrap().contains(&json!("ro"))));
}

#[test]
fn exec_gets_what_the_container_got() {
    let mut spec = typical();
    spec["annotations"] = json!({"io.nvshare.weight": "3"});
    inject(&mut spec, &plan(), &RuntimeSettings::default()).unwrap();
    let annotations = spec["annotations"].as_object().unwrap().clone();
    let mut process = json!({"args": ["sh"], "env": ["LD_PRELOAD=/u.so"]});
    assert_eq!(inject_exec(&mut process, &annotations, &RuntimeSettings::default(), &[]), Ok(true));
    let expected = json!([
        "LD_PRELOAD=/dev/nvshare/libnvshare.so:/u.so",
        "NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock",
        "NVSHARE_WEIGHT=3"
    ]);
    assert_eq!(process["env"], expected);
    let mut told = json!({"env": ["NVSHARE_EXEC_REMARKS=forged"]});
    let remarks = ["one".to_owned(), "two".to_owned()];
    assert_eq!(inject_exec(&mut told, &annotations, &RuntimeSettings::default(), &remarks), Ok(true));
    assert_eq!(told["env"].as_array().unwrap().last(), Some(&json!("NVSHARE_EXEC_REMARKS=one\ntwo")));
    assert!(!told.to_string().contains("forged"));
    assert_eq!(inject_exec(&mut process, &Map::new(), &RuntimeSettings::default(), &[]), Ok(false));
}

#[test]
fn a_mark_that_names_no_place_of_ours_is_refused() {
    for place in ["/elsewhere", "/dev/nvshare/..", "/run/nvshare\t", "/run/nvshare\0", "relative", ""] {
        let annotations = json!({"io.nvshare.injected": format!("env {place}")});
        let mut process = json!({"env": []});
        let refused =
            inject_exec(&mut process, annotations.as_object().unwrap(), &RuntimeSettings::default(), &[]);
        assert!(matches!(refused, Err(Malformed::UnknownPlace(_))), "{place:?}");
    }
    for place in ["/dev/nvshare", "/run/nvshare", "/.nvshare"] {
        let annotations = json!({"io.nvshare.injected": format!("env {place}")});
        let mut process = json!({"env": []});
        assert_eq!(
            inject_exec(&mut process, annotations.as_object().unwrap(), &RuntimeSettings::default(), &[]),
            Ok(true)
        );
    }
}

#[test]
fn numbers_and_fields_that_we_do_not_know_survive() {
    let text = r#"{"zz":{"deep":[18446744073709551615,-9223372036854775808,1e400,1.10,123456789012345678901234567890]},"process":{"env":[]},"aa":null}"#;
    let mut spec: Value = serde_json::from_str(text).unwrap();
    inject(&mut spec, &plan(), &RuntimeSettings::default()).unwrap();
    let after = spec.to_string();
    let unknown = r#"{"zz":{"deep":[18446744073709551615,-9223372036854775808,1e+400,1.10,123456789012345678901234567890]},"#;
    assert!(after.starts_with(unknown) || after.starts_with(&unknown.replace("1e+400", "1e400")), "{after}");
    assert!(after.contains(r#""aa":null"#));
}

#[test]
fn what_is_not_a_specification_is_an_error_and_names_the_part() {
    for (spec, part) in [
        (json!([]), "the document"),
        (json!({"mounts": 3}), "`mounts`"),
        (json!({"process": "x"}), "`process`"),
        (json!({"process": {"env": {}}}), "`process.env`"),
        (json!({"annotations": []}), "`annotations`"),
    ] {
        let error = inject(&mut spec.clone(), &plan(), &RuntimeSettings::default()).unwrap_err();
        assert!(error.to_string().starts_with(part), "{spec}: {error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "mounts",
        "destination",
        "options",
        "type",
        "process",
        "env",
        "annotations",
        "hooks",
        "prestart",
        "linux",
        "devices",
        "path",
        "root",
        "source",
        "io.nvshare.injected",
        "io.nvshare.weight",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec!["/dev", "bind", "LD_PRELOAD=", "LD_PRELOAD=x:y", "NVSHARE_WEIGHT=1", ""])
            .prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn twice_is_once_and_nothing_panics(spec in any_json()) {
        let settings = RuntimeSettings::default();
        let _ = selection::select(&spec, &ImageAnnotations::Unknown(String::new()), &settings);
        let _ = crate::place::free_place(&spec);
        let mut once = spec.clone();
        if inject(&mut once, &plan(), &settings).is_ok() {
            let mut twice = once.clone();
            prop_assert!(inject(&mut twice, &plan(), &settings).is_ok());
            prop_assert_eq!(twice, once);
        }
        let mut process = spec.clone();
        let marked = json!({"io.nvshare.injected": "env /dev/nvshare"});
        let _ = inject_exec(&mut process, marked.as_object().unwrap(), &settings, &[]);
    }
}
