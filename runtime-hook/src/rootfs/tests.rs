use super::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const GLIBC: &str = "xxGNU C Library (Debian GLIBC 2.31-13) stable release version 2.31.\nyy";

fn glibc_tree(root: &Path) {
    fs::create_dir_all(root.join("usr/lib/x86_64-linux-gnu")).unwrap();
    fs::create_dir_all(root.join("usr/lib64")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("usr/lib64", root.join("lib64")).unwrap();
    symlink("/lib/x86_64-linux-gnu/ld-2.31.so", root.join("usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    fs::write(root.join("usr/lib/x86_64-linux-gnu/ld-2.31.so"), "loader").unwrap();
    fs::write(root.join("usr/lib/x86_64-linux-gnu/libc.so.6"), GLIBC).unwrap();
    symlink("x86_64-linux-gnu/libc.so.6", root.join("usr/lib/libc.so.6")).unwrap();
    // The same tree serves the other architecture's names.
    symlink("x86_64-linux-gnu/ld-2.31.so", root.join("usr/lib/ld-linux-aarch64.so.1")).unwrap();
}

fn spec(root: &Path, mounts: Value) -> Value {
    json!({"root": {"path": root}, "mounts": mounts})
}

fn view(root: &Path, mounts: Value) -> View {
    View::of_spec(Path::new("/"), &spec(root, mounts)).unwrap()
}

#[test]
fn a_rootfs_that_podman_mounts_later_is_found_in_its_storage() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, bundle) = (dir.path().join("empty"), dir.path().join("overlay-containers/c1/userdata"));
    fs::create_dir_all(&empty).unwrap();
    fs::create_dir_all(&bundle).unwrap();
    glibc_tree(&dir.path().join("overlay/abc1/merged"));
    let look_from = || look(&View::of_spec(&bundle, &spec(&empty, json!([]))).unwrap());
    assert_eq!(look_from(), Libc::Neither);
    let records = |layer| json!([{"id": "c0", "layer": "x"}, {"id": "c1", "layer": layer}]).to_string();
    let file = dir.path().join("overlay-containers/volatile-containers.json");
    for (layer, found) in
        [("abc1", Libc::Glibc((2, 31))), ("../overlay/abc1", Libc::Neither), ("", Libc::Neither)]
    {
        fs::write(&file, records(layer)).unwrap();
        assert_eq!(look_from(), found, "{layer}");
    }
    fs::write(&file, "[{").unwrap();
    assert_eq!(look_from(), Libc::Neither);
}

#[test]
fn the_libc_of_an_image_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(look(&view(dir.path(), json!([]))), Libc::Neither);
    glibc_tree(dir.path());
    assert_eq!(look(&view(dir.path(), json!([]))), Libc::Glibc((2, 31)));
    fs::write(dir.path().join("usr/lib/ld-musl-x86_64.so.1"), "").unwrap();
    assert_eq!(look(&view(dir.path(), json!([]))), Libc::GlibcAndMusl((2, 31)));
    fs::write(dir.path().join("usr/lib/x86_64-linux-gnu/libc.so.6"), "gcompat").unwrap();
    assert_eq!(look(&view(dir.path(), json!([]))), Libc::Musl);
    fs::remove_file(dir.path().join("usr/lib/ld-musl-x86_64.so.1")).unwrap();
    assert_eq!(look(&view(dir.path(), json!([]))), Libc::Unknown);
}

#[test]
fn the_hosts_directories_as_volumes_are_looked_into() {
    let (host, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    glibc_tree(host.path());
    let bind =
        |path: &str| json!({"destination": path, "type": "bind", "source": host.path().join(&path[1..])});
    let volumes = json!([bind("/usr"), bind("/lib"), bind("/lib64")]);
    assert_eq!(look(&view(image.path(), volumes)), Libc::Glibc((2, 31)));
    let hidden =
        json!([bind("/usr"), bind("/lib"), bind("/lib64"), {"destination": "/lib64", "type": "tmpfs"}]);
    assert_eq!(look(&view(image.path(), hidden)), Libc::Neither);
}

#[test]
fn no_symlink_leads_out_of_the_image() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "host").unwrap();
    for target in [
        format!("{}/secret", outside.path().display()),
        format!("../../../../../../..{}/secret", outside.path().display()),
    ] {
        let image = tempfile::tempdir().unwrap();
        fs::create_dir(image.path().join("etc")).unwrap();
        symlink(&target, image.path().join("etc/ld.so.preload")).unwrap();
        assert_eq!(preload(&view(image.path(), json!([]))), Preload::Missing, "{target}");
    }
    let image = tempfile::tempdir().unwrap();
    symlink("/proc/self/root", image.path().join("etc")).unwrap();
    assert_eq!(preload(&view(image.path(), json!([]))), Preload::Missing);
    let image = tempfile::tempdir().unwrap();
    symlink("etc", image.path().join("etc")).unwrap();
    assert!(matches!(preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
}

#[test]
fn what_is_no_text_file_is_not_read() {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir_all(image.path().join("etc/ld.so.preload")).unwrap();
    assert!(matches!(preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
    fs::remove_dir(image.path().join("etc/ld.so.preload")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        image.path().join("etc/ld.so.preload"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    assert!(matches!(preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
    fs::remove_file(image.path().join("etc/ld.so.preload")).unwrap();
    fs::write(image.path().join("etc/ld.so.preload"), vec![b'x'; 70_000]).unwrap();
    assert!(matches!(preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
    fs::write(image.path().join("etc/ld.so.preload"), "/a.so\n").unwrap();
    assert_eq!(
        preload(&view(image.path(), json!([]))),
        Preload::Text { text: "/a.so\n".into(), in_bind: false }
    );
}

#[test]
fn a_destination_behind_a_symlink_is_met() {
    let (host, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(host.path().join("ld.so.preload"), "/h.so\n").unwrap();
    fs::create_dir_all(image.path().join("private/etc")).unwrap();
    symlink("/private/etc", image.path().join("etc")).unwrap();
    let view = view(image.path(), json!([{"destination": "/etc", "type": "bind", "source": host.path()}]));
    assert_eq!(preload(&view), Preload::Text { text: "/h.so\n".into(), in_bind: true });
    assert!(view.find("/private/etc/ld.so.preload").unwrap().in_bind);
}

#[test]
fn the_images_entries_are_kept_behind_ours() {
    assert_eq!(merged_preload("", "/l"), "/l\n");
    assert_eq!(merged_preload("# why\n/a.so:/b.so", "/l"), "/l\n# why\n/a.so:/b.so");
    assert_eq!(merged_preload("/a /l", "/l"), "/a /l");
    assert_eq!(merged_preload("# /l\n", "/l"), "/l\n# /l\n");
}

#[test]
fn our_entry_is_taken_out_again() {
    for text in ["", "/a.so\n", "# why\n/a.so:/b.so", "/a /b # /l\n\n", "# only\n"] {
        assert_eq!(without_entry(&merged_preload(text, "/l"), "/l"), text);
    }
    assert_eq!(without_entry("/a /l\t/b # c\n/l\n/l # d\n", "/l"), "/a:/b# c\n# d\n");
}

#[test]
fn a_version_is_read_from_the_librarys_text() {
    assert_eq!(libc_kind::version_in(GLIBC.as_bytes()), Some((2, 31)));
    assert_eq!(libc_kind::version_in(b" development release version 2.42.9000."), Some((2, 42)));
    assert_eq!(libc_kind::version_in(b" release version x release version "), None);
    let names: [&[u8]; 4] = [b"GLIBC_2.2.5", b"GLIBC_2.14", b"GLIBC_PRIVATE", b"GCC_3.0"];
    assert_eq!(newest_glibc(names), Some((2, 14)));
}
