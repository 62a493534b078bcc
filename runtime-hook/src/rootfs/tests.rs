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

fn libc_of(view: &View) -> Libc {
    super::detect_loader(view, None).unwrap().libc
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
    let look_from = || libc_of(&View::of_spec(&bundle, &spec(&empty, json!([]))).unwrap());
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
    assert_eq!(libc_of(&view(dir.path(), json!([]))), Libc::Neither);
    glibc_tree(dir.path());
    assert_eq!(libc_of(&view(dir.path(), json!([]))), Libc::Glibc((2, 31)));
    fs::write(dir.path().join("usr/lib/ld-musl-x86_64.so.1"), "").unwrap();
    assert_eq!(libc_of(&view(dir.path(), json!([]))), Libc::GlibcAndMusl((2, 31)));
    fs::write(dir.path().join("usr/lib/x86_64-linux-gnu/libc.so.6"), "gcompat").unwrap();
    assert_eq!(libc_of(&view(dir.path(), json!([]))), Libc::Musl);
    fs::remove_file(dir.path().join("usr/lib/ld-musl-x86_64.so.1")).unwrap();
    assert_eq!(libc_of(&view(dir.path(), json!([]))), Libc::Unknown);
}

#[test]
fn the_hosts_directories_as_volumes_are_looked_into() {
    let (host, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    glibc_tree(host.path());
    let bind =
        |path: &str| json!({"destination": path, "type": "bind", "source": host.path().join(&path[1..])});
    let volumes = json!([bind("/usr"), bind("/lib"), bind("/lib64")]);
    assert_eq!(libc_of(&view(image.path(), volumes)), Libc::Glibc((2, 31)));
    let hidden =
        json!([bind("/usr"), bind("/lib"), bind("/lib64"), {"destination": "/lib64", "type": "tmpfs"}]);
    assert_eq!(libc_of(&view(image.path(), hidden)), Libc::Neither);
}

/// The start of a 64-bit program that names its loader.
fn program(loader: &str) -> Vec<u8> {
    let path = [loader.as_bytes(), b"\0"].concat();
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([3_u16, machine].iter().flat_map(|half| half.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0_u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend([64_u16, 56, 1, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    bytes.extend([3_u32, 4].iter().flat_map(|word| word.to_le_bytes()));
    let length = path.len() as u64;
    bytes.extend([120_u64, 120, 120, length, length, 1].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(path);
    bytes
}

/// A path that is longer than the kernel takes is not read, however much of it a file says there is.
#[test]
fn a_program_that_names_a_loader_of_gigabytes_names_none() {
    let ground = tempfile::tempdir().unwrap();
    let file = ground.path().join("program");
    let mut bytes = program("/lib64/ld-linux-x86-64.so.2");
    let length = (1_u64 << 38).to_le_bytes();
    bytes[96..104].copy_from_slice(&length);
    fs::write(&file, &bytes).unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 39).unwrap();
    let spec =
        serde_json::json!({"process": {"args": ["/program"], "cwd": "/"}, "root": {"path": ground.path()}});
    let view = View::of_spec(ground.path(), &spec).unwrap();
    assert_eq!(super::program::loader_of(&view, &spec), None);
}

/// GUEST: images with the loader in /nix/store, glibc in /usr/glibc-compat.
#[test]
fn the_loader_is_the_one_that_the_program_names() {
    for (home, preload, reads) in [
        ("nix/store/abc-glibc-2.31/lib", "/etc/ld-nix.so.preload", false),
        ("gnu/store/abc-glibc-2.31/lib", "/etc/ld.so.preload", true),
        ("usr/glibc-compat/lib", "/etc/ld.so.preload", true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for made in [home, "bin", "lib", "opt"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        let loader = format!("/{home}/ld-linux-x86-64.so.2");
        fs::write(root.join(&loader[1..]), format!("x{preload}\0")).unwrap();
        fs::write(root.join(home).join("libc.so.6"), GLIBC).unwrap();
        fs::write(root.join(home).join("libm.so.6"), "").unwrap();
        fs::write(root.join("opt/train"), program(&loader)).unwrap();
        fs::write(root.join("opt/script"), "#! /opt/train -x\n").unwrap();
        fs::write(root.join("opt/static"), "no ELF").unwrap();
        for args in [
            json!(["/opt/train"]),
            json!(["train"]),
            json!(["../opt/script", "x"]),
            json!(["static", "--", "train"]),
        ] {
            let mut spec = spec(root, json!([]));
            spec["process"] = json!({"args": args, "cwd": "/bin", "env": ["PATH=/nowhere:/opt"]});
            let view = View::of_spec(Path::new("/"), &spec).unwrap();
            let loading = super::detect_loader(&view, Some(&spec)).unwrap();
            assert_eq!((loading.libc, loading.reads_preload_file), (Libc::Glibc((2, 31)), reads), "{args}");
            let requirements = Requirements { glibc: (2, 17), libraries: vec!["libm.so.6".into()] };
            assert_eq!(requirements.check(&view, (2, 31), &loading.library_dirs), Ok(()));
            fs::write(root.join("lib/ld-musl-x86_64.so.1"), "").unwrap();
            assert_eq!(super::detect_loader(&view, Some(&spec)).unwrap().libc, Libc::GlibcAndMusl((2, 31)));
            fs::remove_file(root.join("lib/ld-musl-x86_64.so.1")).unwrap();
        }
        assert_eq!(libc_of(&view(root, json!([]))), Libc::Neither, "no program names it");
    }
}

/// GUEST: a musl program in a container judged glibc.
#[test]
fn a_program_of_musl_is_known_by_its_own_word() {
    let dir = tempfile::tempdir().unwrap();
    glibc_tree(dir.path());
    fs::write(dir.path().join("program"), program("/opt/lib/ld-musl-x86_64.so.1")).unwrap();
    let mut spec = spec(dir.path(), json!([]));
    spec["process"] = json!({"args": ["/program"]});
    let view = View::of_spec(Path::new("/"), &spec).unwrap();
    assert_eq!(super::detect_loader(&view, Some(&spec)).unwrap().libc, Libc::GlibcAndMusl((2, 31)));
}

/// GUEST: an overlay volume over /usr.
#[test]
fn an_overlay_is_looked_through() {
    let (lower, upper, image) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    glibc_tree(lower.path());
    symlink("usr/lib", image.path().join("lib")).unwrap();
    symlink("usr/lib64", image.path().join("lib64")).unwrap();
    fs::create_dir(image.path().join("usr")).unwrap();
    let options = |lower: &str| {
        json!([
            format!("lowerdir=/nonexistent:{lower}"),
            format!("upperdir={}", upper.path().display()),
            "private"
        ])
    };
    let overlay = json!([{"destination": "/usr", "type": "overlay", "source": "overlay",
        "options": options(&lower.path().join("usr").display().to_string())}]);
    assert_eq!(libc_of(&view(image.path(), overlay.clone())), Libc::Glibc((2, 31)));
    fs::create_dir_all(upper.path().join("lib/x86_64-linux-gnu")).unwrap();
    fs::write(upper.path().join("lib/x86_64-linux-gnu/libc.so.6"), GLIBC.replace("2.31", "2.36")).unwrap();
    assert_eq!(libc_of(&view(image.path(), overlay.clone())), Libc::Glibc((2, 36)), "the upper one is seen");
    assert!(
        view(image.path(), overlay.clone())
            .find("/usr/lib/x86_64-linux-gnu/ld-2.31.so")
            .unwrap()
            .volume
            .is_some()
    );
    fs::write(upper.path().join("lib64"), "a file hides the directory below it").unwrap();
    assert_eq!(libc_of(&view(image.path(), overlay)), Libc::Neither);
}

/// GUEST: EMFILE in the shim.
#[test]
fn what_cannot_be_looked_at_is_not_missing() {
    use rustix::io::Errno;
    let error = |errno: Errno| found_or_none::<()>(Err(errno.into()));
    for nowhere in [Errno::NOENT, Errno::NOTDIR, Errno::LOOP] {
        assert!(matches!(error(nowhere), Ok(None)));
    }
    for unknown in [Errno::MFILE, Errno::PERM, Errno::NOSYS, Errno::IO, Errno::ACCESS] {
        assert!(error(unknown).is_err());
    }
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
        assert_eq!(etc_preload(&view(image.path(), json!([]))), Preload::Missing, "{target}");
    }
    let image = tempfile::tempdir().unwrap();
    symlink("/proc/self/root", image.path().join("etc")).unwrap();
    assert_eq!(etc_preload(&view(image.path(), json!([]))), Preload::Missing);
    let image = tempfile::tempdir().unwrap();
    symlink("etc", image.path().join("etc")).unwrap();
    assert!(matches!(etc_preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
}

#[test]
fn what_is_no_text_file_is_not_read() {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir_all(image.path().join("etc/ld.so.preload")).unwrap();
    assert!(matches!(etc_preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
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
    assert!(matches!(etc_preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
    fs::remove_file(image.path().join("etc/ld.so.preload")).unwrap();
    fs::write(image.path().join("etc/ld.so.preload"), vec![b'x'; 70_000]).unwrap();
    assert!(matches!(etc_preload(&view(image.path(), json!([]))), Preload::Unusable(_)));
    fs::write(image.path().join("etc/ld.so.preload"), "/a.so\n").unwrap();
    assert_eq!(
        etc_preload(&view(image.path(), json!([]))),
        Preload::Text { text: "/a.so\n".into(), volume: None }
    );
}

#[test]
fn a_destination_behind_a_symlink_is_met() {
    let (host, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(host.path().join("ld.so.preload"), "/h.so\n").unwrap();
    fs::create_dir_all(image.path().join("private/etc")).unwrap();
    symlink("/private/etc", image.path().join("etc")).unwrap();
    let view = view(image.path(), json!([{"destination": "/etc", "type": "bind", "source": host.path()}]));
    assert_eq!(etc_preload(&view), Preload::Text { text: "/h.so\n".into(), volume: Some(Volume::Writable) });
    assert!(view.find("/private/etc/ld.so.preload").unwrap().volume.is_some());
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
