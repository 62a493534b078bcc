use super::*;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

const ID: &str = "c0ffee";
const LAYER: &str = "1a7e4";
const IMAGE: &str = "1338";

/// A storage as podman keeps one, with a container whose image says `weight` is 9, and 8 by another of its manifests.
struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        let store = Self(tempfile::tempdir().unwrap());
        for made in ["overlay-containers", "overlay-images/1338", "elsewhere"] {
            fs::create_dir_all(store.at(made)).unwrap();
        }
        store.record("containers.json", &json!([{"id": "other", "layer": "x", "image": "y"}]));
        store.record("volatile-containers.json", &json!([{}, 3, {"id": ID, "layer": LAYER, "image": IMAGE}]));
        let by_digest = format!("{MANIFEST_BY_DIGEST}c2hhMjU2OmE=");
        store.manifest(MANIFEST, &json!({"annotations": {"io.nvshare.weight": "9", "org.other": "x"}}));
        store.manifest(&by_digest, &json!({"annotations": {"io.nvshare.weight": "8"}}));
        store
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn record(&self, file: &str, records: &Value) {
        fs::write(self.at("overlay-containers").join(file), records.to_string()).unwrap();
    }

    fn manifest(&self, name: &str, manifest: &Value) {
        fs::write(self.at("overlay-images/1338").join(name), manifest.to_string()).unwrap();
    }

    /// As the shim sees the container.
    fn said(&self) -> ImageAnnotations {
        let bundle = self.at(&format!("overlay-containers/{ID}/userdata"));
        of_container(&json!({"annotations": {"io.nvshare.weight": "9"}}), &bundle)
    }

    fn unknown(&self) -> String {
        match self.said() {
            ImageAnnotations::Unknown(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn weights() -> ImageAnnotations {
    let values = ["8", "9"].map(String::from).into();
    ImageAnnotations::Known(BTreeMap::from([("io.nvshare.weight".to_owned(), values)]))
}

#[test]
fn the_image_is_found_from_all_that_engines_give() {
    let store = Store::new();
    assert_eq!(store.said(), weights());
    fs::create_dir_all(store.at("vfs-images/1338")).unwrap();
    fs::create_dir(store.at("vfs-containers")).unwrap();
    for copied in
        ["containers/containers.json", "containers/volatile-containers.json", "images/1338/manifest"]
    {
        fs::copy(store.at(&format!("overlay-{copied}")), store.at(&format!("vfs-{copied}"))).unwrap();
    }
    let nine =
        ImageAnnotations::Known(BTreeMap::from([("io.nvshare.weight".to_owned(), ["9".to_owned()].into())]));
    let own = format!("overlay-containers/{ID}/userdata");
    for (root, mount, said) in [
        (format!("overlay/{LAYER}/merged"), String::new(), weights()),
        (format!("vfs/dir/{LAYER}"), String::new(), nine),
        (format!("{own}/rootfs"), String::new(), weights()),
        ("elsewhere".to_owned(), format!("{own}/shm"), weights()),
    ] {
        let spec = json!({
            "annotations": {"io.nvshare.weight": "9"},
            "root": {"path": store.at(&root)},
            "mounts": [{"destination": "/dev/shm", "source": store.at(&mount)}],
        });
        assert_eq!(of_container(&spec, Path::new("/")), said, "{root} {mount}");
    }
}

#[test]
fn nothing_is_read_where_nothing_hints_at_podman_or_nothing_is_said() {
    let docker = json!({"annotations": {"io.nvshare.weight": "9"}, "root": {"path": "rootfs"}});
    assert_eq!(
        of_container(&docker, Path::new("/run/containerd/io.containerd.runtime.v2.task/moby/c0ffee")),
        ImageAnnotations::NotHandedOn
    );
    // docker's drivers name their layers as containers/storage does.
    let place = tempfile::tempdir().unwrap();
    for root in ["overlay2/1a7e4/merged", "vfs/dir/1a7e4", "btrfs/subvolumes/1a7e4"] {
        let docker =
            json!({"annotations": {"io.nvshare.weight": "9"}, "root": {"path": place.path().join(root)}});
        let said = of_container(&docker, Path::new("/run/docker/containerd/daemon/moby/c0ffee"));
        assert_eq!(said, ImageAnnotations::NotHandedOn, "{root}");
    }
    let store = Store::new();
    let bundle = store.at(&format!("overlay-containers/{ID}/userdata"));
    for quiet in [json!({}), json!({"annotations": {"org.other": "x"}}), json!({"annotations": 3})] {
        assert_eq!(of_container(&quiet, &bundle), ImageAnnotations::NotHandedOn);
    }
    for hint in [
        json!({"annotations": {"io.nvshare.weight": "9", "io.container.manager": "libpod"}}),
        json!({"annotations": {"io.nvshare.weight": "9", "io.podman.annotations.init": "FALSE"}}),
        json!({"annotations": {"io.nvshare.weight": "9"}, "mounts": [{"destination": "/run/.containerenv"}]}),
    ] {
        assert!(matches!(of_container(&hint, Path::new("/bundle")), ImageAnnotations::Unknown(_)), "{hint}");
    }
}

#[test]
fn a_container_without_an_image_is_the_users() {
    let store = Store::new();
    store.record("volatile-containers.json", &json!([{"id": ID, "layer": LAYER, "image": ""}]));
    assert_eq!(store.said(), ImageAnnotations::Known(BTreeMap::new()));
}

#[test]
fn what_cannot_be_read_or_leads_out_of_the_storage_is_not_believed() {
    let spoil = |spoil: &dyn Fn(&Store), why: &str| {
        let store = Store::new();
        spoil(&store);
        let said = store.unknown();
        assert!(said.contains(why), "{why}: {said}");
    };
    let records = "overlay-containers/volatile-containers.json";
    let manifest = "overlay-images/1338/manifest";
    spoil(&|store| fs::remove_file(store.at(records)).unwrap(), "its record is not found");
    spoil(&|store| fs::write(store.at(records), "[{").unwrap(), records);
    spoil(
        &|store| store.record("volatile-containers.json", &json!([{"id": ID, "image": "../x"}])),
        "names no image",
    );
    spoil(&|store| store.record("volatile-containers.json", &json!([{"id": ID, "image": "gone"}])), "");
    spoil(&|store| fs::remove_dir_all(store.at("overlay-containers")).unwrap(), "its record is not found");
    spoil(&|store| fs::write(store.at(manifest), "{").unwrap(), manifest);
    spoil(
        &|store| fs::File::create(store.at(manifest)).unwrap().set_len(MANIFEST_LIMIT + 1).unwrap(),
        "size",
    );
    spoil(&|store| fs::File::create(store.at(records)).unwrap().set_len(RECORDS_LIMIT + 1).unwrap(), "size");
    for linked in [manifest, records, "overlay-images/1338", "overlay-images"] {
        spoil(
            &|store| {
                let (at, elsewhere) = (store.at(linked), store.at("elsewhere/linked"));
                fs::rename(&at, &elsewhere).unwrap();
                symlink(&elsewhere, &at).unwrap();
            },
            "",
        );
    }
    spoil(
        &|store| {
            let name = |nth| format!("{MANIFEST_BY_DIGEST}{nth}");
            (0..=MANIFESTS).for_each(|nth| store.manifest(&name(nth), &json!({})));
        },
        "manifests",
    );
    spoil(
        &|store| {
            fs::remove_file(store.at(manifest)).unwrap();
            let made = std::process::Command::new("mkfifo").arg(store.at(manifest)).status().unwrap();
            assert!(made.success());
        },
        "not a file",
    );
}
