//! What lies in an image, and the library's own file.
use nvshare_runtime_hook::rootfs::{self, Libc, Preload, Requirements, View, open_directory};
use nvshare_runtime_hook::settings::RuntimeSettings;
use nvshare_runtime_hook::{constants, edit};
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

/// As a libc says it.
pub const LIBC: &str = "GNU C Library stable release version 2.40.\n";

/// A bundle whose image has a glibc, and a host with everything in place.
pub struct Ground {
    directory: tempfile::TempDir,
    settings: RuntimeSettings,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("rootfs");
        for made in ["etc", "lib", "lib64", "dev"] {
            fs::create_dir_all(root.join(made)).expect("a directory");
        }
        for file in ["lib/libc.so.6", "lib64/ld-linux-x86-64.so.2", "lib/libgcc_s.so.1", "lib/libm.so.6"] {
            fs::write(root.join(file), LIBC).expect("a file");
        }
        fs::create_dir_all(directory.path().join("tenants")).expect("a directory");
        let settings = RuntimeSettings {
            // Small, and an ELF file as the library is.
            library: directory.path().join("libnvshare.so"),
            tenants_dir: directory.path().join("tenants"),
            log_file: directory.path().join("log"),
            ..RuntimeSettings::default()
        };
        fs::write(&settings.library, LIBRARY).expect("a file");
        Self { directory, settings }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn settings(&self) -> &RuntimeSettings {
        &self.settings
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory().join(name), bytes).expect("a file");
    }

    fn view(&self) -> View {
        View::of_root(open_directory(&self.directory().join("rootfs")).expect("the rootfs"))
    }
}

/// The smallest shared library that `cc -shared` makes, as a library to inject.
const LIBRARY: &[u8] = include_bytes!("../../corpus/elf/shared-library");

/// One ground for all inputs of a process: making it anew each time would be all that a fuzzer does.
pub fn with<T>(act: impl FnOnce(&Ground) -> T) -> T {
    static GROUND: LazyLock<Mutex<Ground>> = LazyLock::new(|| Mutex::new(Ground::new()));
    act(&GROUND.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Promises: every word of the image's list stays, ours comes first and once; in `LD_PRELOAD` behind sanitizers alone.
pub fn preload(bytes: &[u8]) {
    const OURS: &str = "/dev/nvshare/libnvshare.so";
    with(|ground| {
        ground.put("rootfs/etc/ld.so.preload", bytes);
        let Preload::Text { text, .. } = rootfs::etc_preload(&ground.view()) else {
            assert!(std::str::from_utf8(bytes).is_err() || bytes.len() > 64 * 1024);
            return;
        };
        assert_eq!(text.as_bytes(), bytes);
        let merged = rootfs::merged_preload(&text, OURS);
        assert!(merged.ends_with(&text) && merged.contains(OURS));
        assert_eq!(rootfs::merged_preload(&merged, OURS), merged);
        let list = edit::preload_list(&text, OURS);
        let words = |list: &str| -> Vec<String> {
            let words = list.split([':', ' ', '\t', '\n']).filter(|word| !word.is_empty());
            words.map(String::from).collect()
        };
        let mut others = words(&list);
        let ours = others.iter().position(|word| word == OURS).expect("ours is in the list");
        if words(&text) != others {
            others.remove(ours);
        }
        assert_eq!(others, words(&text));
        assert_eq!(edit::preload_list(&list, OURS), list);
    });
}

pub fn libc(bytes: &[u8]) {
    with(|ground| {
        ground.put("rootfs/lib/libc.so.6", bytes);
        let view = ground.view();
        if let Libc::Glibc(version) =
            rootfs::detect_loader(&view, None).expect("the files can be looked at").libc
        {
            let requirements =
                Requirements { glibc: constants::GLIBC_FLOOR, libraries: vec!["libc.so.6".into()] };
            assert_eq!(requirements.check(&view, version, &[]).is_err(), version < constants::GLIBC_FLOOR);
        }
    });
}

/// Promise: no file needs less than the floor.
pub fn elf(bytes: &[u8]) {
    with(|ground| {
        ground.put("file.so", bytes);
        if let Ok(requirements) = Requirements::of(&ground.directory().join("file.so")) {
            assert!(requirements.glibc >= constants::GLIBC_FLOOR);
        }
    });
}
