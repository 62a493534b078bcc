//! Whatever stands in the files that we read, nothing panics, and a document that is not edited is not written.

use nvshare_runtime_hook::bundle::JsonFile;
use nvshare_runtime_hook::plan::{self, Outcome};
use nvshare_runtime_hook::rootfs::{self, Requirements, View, open_directory};
use nvshare_runtime_hook::scratch::Scratch;
use nvshare_runtime_hook::settings::{self, RuntimeSettings};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const TYPICAL: &str = r#"{"ociVersion":"1.0.2","process":{"terminal":false,"user":{"uid":0,"gid":0},
 "args":["sh"],"env":["PATH=/bin","NVIDIA_VISIBLE_DEVICES=all","LD_PRELOAD=/a.so"],"cwd":"/","rlimits":
 [{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}]},"root":{"path":"rootfs","readonly":true},
 "hostname":"x","mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":
 "tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},{"destination":"/etc/x","type":"bind","source":"/tmp",
 "options":["rbind","ro"]}],"annotations":{"io.nvshare.weight":"2"},"linux":{"uidMappings":[{"containerID":0,
 "hostID":1000,"size":65536}],"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0}],
 "namespaces":[{"type":"mount"},{"type":"user"}]},"hooks":{"prestart":[{"path":"/usr/bin/nvidia-ctk"}]}}"#;

/// A text with a few bytes changed, cut out or repeated.
fn spoilt(text: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        &b"null"[..],
        b"[]",
        b"{}",
        b"\"",
        b"1e999",
        b"-1",
        b"\"\\u0000\"",
        b"\"..\"",
        b"\"/\"",
        b"\"rootfs/../..\"",
        b"\xff",
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, words), 0..6).prop_map(move |edits| {
        let mut bytes = text.to_vec();
        for (at, cut, word) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        bytes
    })
}

/// One value of the typical document replaced by another kind of value.
fn misshapen() -> impl Strategy<Value = Vec<u8>> {
    let pointers = [
        "/process",
        "/process/env",
        "/process/env/1",
        "/process/env/2",
        "/root",
        "/root/path",
        "/mounts",
        "/mounts/1",
        "/mounts/1/destination",
        "/mounts/1/type",
        "/mounts/2/source",
        "/mounts/2/options",
        "/mounts/2/options/0",
        "/annotations",
        "/annotations/io.nvshare.weight",
        "/linux",
        "/linux/uidMappings",
        "/linux/uidMappings/0",
        "/linux/uidMappings/0/size",
        "/linux/devices",
        "/linux/devices/0/path",
        "/linux/namespaces",
        "/hooks",
        "/hooks/prestart",
        "/hooks/prestart/0/path",
        "",
    ];
    let values = [
        "null",
        "true",
        "3",
        "-1",
        "1e400",
        "18446744073709551615",
        "\"\"",
        "\"/\"",
        "\"..\"",
        "\"a\\u0000b\"",
        "\"/dev\"",
        "\"LD_PRELOAD=\"",
        "\"/proc/self/fd/0\"",
        "[]",
        "[null]",
        "[[]]",
        "[\"x\", 1]",
        "{}",
        "{\"path\": 1}",
    ];
    let one = (prop::sample::select(pointers.to_vec()), prop::sample::select(values.to_vec()));
    prop::collection::vec(one, 1..4).prop_map(|changes| {
        let mut spec: serde_json::Value = serde_json::from_str(TYPICAL).unwrap();
        for (pointer, value) in changes {
            if let Some(place) = spec.pointer_mut(pointer) {
                *place = serde_json::from_str(value).unwrap();
            }
        }
        serde_json::to_vec(&spec).unwrap()
    })
}

/// A bundle whose image has a glibc, and a host with everything in place.
fn ground(directory: &Path) -> RuntimeSettings {
    let root = directory.join("rootfs");
    for made in ["etc", "lib", "lib64", "dev"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    for file in ["lib/libc.so.6", "lib64/ld-linux-x86-64.so.2", "lib/libgcc_s.so.1", "lib/libm.so.6"] {
        fs::write(root.join(file), "GNU C Library stable release version 2.40.\n").unwrap();
    }
    fs::create_dir_all(directory.join("tenants")).unwrap();
    RuntimeSettings {
        library: std::env::current_exe().unwrap(),
        tenants_dir: directory.join("tenants"),
        log_file: directory.join("log"),
        ..RuntimeSettings::default()
    }
}

fn start(directory: &Path, settings: &RuntimeSettings, document: &[u8]) {
    let path = directory.join("config.json");
    fs::write(&path, document).unwrap();
    let Ok(mut file) = JsonFile::read(&path) else { return };
    let before = file.value.clone();
    match plan::inject(&mut file.value, directory, Scratch::Bundle(directory), settings)
        .map(|done| done.outcome)
    {
        Ok(Outcome::Managed { .. }) => {
            // One that would lose a key is not written again.
            if file.replace().is_err() {
                assert_eq!(fs::read(&path).unwrap(), document);
            }
        }
        Ok(_) => assert_eq!(file.value, before),
        Err(_) => assert_eq!(fs::read(&path).unwrap(), document),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn documents_of_spoilt_bytes(document in spoilt(TYPICAL.as_bytes())) {
        let directory = tempfile::tempdir().unwrap();
        let settings = ground(directory.path());
        start(directory.path(), &settings, &document);
    }

    #[test]
    fn documents_of_the_wrong_shape(document in misshapen()) {
        let directory = tempfile::tempdir().unwrap();
        let settings = ground(directory.path());
        start(directory.path(), &settings, &document);
    }

    #[test]
    fn settings(text in spoilt(settings::sample().leak().as_bytes()), any in ".{0,200}") {
        let _ = settings::parse(&String::from_utf8_lossy(&text));
        let _ = settings::parse(&String::from_utf8_lossy(&text).replace("\n#", "\n"));
        let _ = settings::parse(&any);
    }

    #[test]
    fn images(libc in prop::collection::vec(any::<u8>(), 0..200), version in ".{0,20}", preload in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let _ = ground(directory.path());
        let root = directory.path().join("rootfs");
        fs::write(root.join("lib/libc.so.6"), [&libc[..], b"stable release version ", version.as_bytes()].concat()).unwrap();
        fs::write(root.join("etc/ld.so.preload"), &preload).unwrap();
        let view = View::of_root(open_directory(&root).unwrap());
        let _ = rootfs::detect_loader(&view, None);
        if let rootfs::Preload::Text { text, .. } = rootfs::etc_preload(&view) {
            let merged = rootfs::merged_preload(&text, "/dev/nvshare/libnvshare.so");
            prop_assert!(merged.ends_with(&text) && merged.contains("/dev/nvshare/libnvshare.so"));
        }
    }

    #[test]
    fn libraries(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40), length in 0..8192usize) {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; length];
        let mut own = fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let read = std::io::Read::read(&mut own, &mut bytes).unwrap();
        bytes.truncate(read);
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let path = directory.path().join("lib.so");
        fs::write(&path, &bytes).unwrap();
        let _ = Requirements::of(&path);
    }
}
