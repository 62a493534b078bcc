//! What engines hand to the shim and to the hook.
use super::image::{self, LIBC};
use nvshare_runtime_hook::argv::{self, Action};
use nvshare_runtime_hook::edit::{self, Plan};
use nvshare_runtime_hook::hook::state;
use nvshare_runtime_hook::plan::{self, Outcome};
use nvshare_runtime_hook::scratch::Scratch;
use nvshare_runtime_hook::settings::RuntimeSettings;
use nvshare_runtime_hook::{place, spec};
use serde_json::{Map, Value, json};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A config.json: through the whole of what the shim does, then through the edit alone.
///
/// Promises: a document that is not managed is as it was; an edit made twice is made once; a container that has been
/// edited is not edited again.
pub fn document(bytes: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<Value>(bytes) else { return };
    image::with(|ground| {
        ground.put("rootfs/lib/libc.so.6", LIBC.as_bytes());
        let mut edited = spec.clone();
        let scratch = Scratch::Bundle(ground.directory());
        let inject = |spec: &mut Value| {
            plan::inject(spec, ground.directory(), scratch, ground.settings()).map(|done| done.outcome)
        };
        match inject(&mut edited) {
            Ok(Outcome::Managed { plan, .. }) => {
                assert!(plan.env || plan.preload_file.is_some());
                assert!(spec::has_mounts(&edited, &plan.place));
                let mut again = edited.clone();
                let outcome = inject(&mut again);
                assert!(matches!(outcome, Ok(Outcome::NotSelected(_))), "{outcome:?}");
                assert_eq!(again, edited);
            }
            Ok(Outcome::NotSelected(_) | Outcome::Unmanaged(_)) => assert_eq!(edited, spec),
            // Dropped by the caller.
            Err(_) => {}
        }
    });
    let plan = Plan {
        library: "/usr/lib/nvshare/libnvshare.so".into(),
        tenants_dir: "/run/nvshare/tenants".into(),
        place: place::free_place(&spec).into(),
        env: true,
        preload_file: Some("/bundle/nvshare-ld.so.preload".into()),
        stub: None,
        policy_file: None,
        preload_writable: true,
    };
    let settings = RuntimeSettings { image_may_set: Vec::new(), ..RuntimeSettings::default() };
    let mut once = spec;
    if edit::inject(&mut once, &plan, &settings).is_ok() {
        let mut twice = once.clone();
        edit::inject(&mut twice, &plan, &settings).expect("an edited document can be edited");
        assert_eq!(twice, once);
    }
}

/// A process document, in containers with every kind of mark: our own, and a line of the input as one.
pub fn process(bytes: &[u8]) {
    let (mark, document) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let Ok(process) = serde_json::from_slice::<Value>(document) else { return };
    let mark = String::from_utf8_lossy(mark);
    for mark in ["env+file /dev/nvshare", "file /.nvshare", &mark] {
        let Value::Object(annotations) = json!({"io.nvshare.injected": mark, "io.nvshare.weight": "2"})
        else {
            unreachable!("an object")
        };
        let mut once = process.clone();
        if edit::inject_exec(&mut once, &annotations, &RuntimeSettings::default(), &[]).is_ok() {
            let mut twice = once.clone();
            assert_eq!(
                edit::inject_exec(&mut twice, &annotations, &RuntimeSettings::default(), &[]),
                Ok(true)
            );
            assert_eq!(twice, once);
        }
    }
    let mut other = process.clone();
    assert_eq!(edit::inject_exec(&mut other, &Map::new(), &RuntimeSettings::default(), &[]), Ok(false));
    assert_eq!(other, process);
}

/// Words that end with a zero byte each.
///
/// Promise: what is handed on to the runtime below was given.
pub fn arguments(bytes: &[u8]) {
    let words: Vec<OsString> =
        bytes.split(|byte| *byte == 0).map(|w| OsStr::from_bytes(w).to_owned()).collect();
    let call = argv::parse(&words);
    assert!(call.scope.iter().all(|word| words.contains(word)));
    if let Action::Exec { container, .. } = &call.action {
        assert!(words.contains(container));
    }
}

pub fn state(bytes: &[u8]) {
    let state = state::parse(bytes);
    assert!(state.bundle.is_none_or(|bundle| !bundle.as_os_str().is_empty()));
}
