//! Makes a plan from a container's document and files, and carries it out on the document.

use crate::bundle::write_atomically;
use crate::constants;
use crate::edit::{self, Plan};
use crate::image_annotations::{self, ImageAnnotations};
use crate::preload::methods;
use crate::rootfs::{self, View};
use crate::scratch::{Scratch, path_for, writable_copy_path, write_preload_file};
use crate::selection::{self, Selection, Verdict};
use crate::settings::{OnError, RuntimeSettings};
use crate::unmanageable::{Failure, Unmanageable};
use crate::wishes::{self, Wrong};
use crate::{place, stub_library};
use anyhow::{Context, Result, bail};
use rustix::fs::{StatVfsMountFlags, statvfs};
use serde_json::Value;
use std::path::Path;

/// What became of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not to be managed; the document is unchanged.
    NotSelected(&'static str),
    /// It cannot load the library, and why; the document is unchanged.
    Unmanaged(Unmanageable),
    /// The document has been edited. `preload`: the text of the image's `/etc/ld.so.preload`, if it has one. `degraded`:
    /// what the container has to do without, for the log once the edit is in use.
    Managed { plan: Plan, preload: Option<String>, degraded: Option<String> },
}

/// What became of a container, and what of its annotations and variables is not followed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    pub outcome: Outcome,
    pub ignored: Vec<String>,
}

/// Edits `spec` if the container is to be managed.
///
/// # Errors
/// Something is wrong on this host or with the document, or, where `on_error` is `fail`, with what the container wishes.
/// The document must then be dropped.
pub fn inject(
    spec: &mut Value,
    bundle: &Path,
    scratch: Scratch,
    settings: &RuntimeSettings,
) -> Result<Injection> {
    let annotations = image_annotations::of_container(spec, bundle);
    inject_with(spec, &annotations, bundle, scratch, settings)
}

fn inject_with(
    spec: &mut Value,
    annotations: &ImageAnnotations,
    bundle: &Path,
    scratch: Scratch,
    settings: &RuntimeSettings,
) -> Result<Injection> {
    let Selection { verdict, spec: settled, mut ignored, wrong } =
        selection::select(spec, annotations, settings);
    let outcome = match verdict {
        // The earlier edit has logged them.
        Verdict::AlreadyInjected => {
            return Ok(Injection { outcome: Outcome::NotSelected("already injected"), ignored: Vec::new() });
        }
        Verdict::Skipped(reason) => Outcome::NotSelected(reason),
        Verdict::Selected(_) => {
            if settings.on_error == OnError::Fail
                && let Some(why) = wishes::refusal(&wrong)
            {
                bail!("{why}");
            }
            let mut edited = settled;
            let outcome = manage(&mut edited, bundle, scratch, settings, &wrong)?;
            ignored.extend(wrong.into_iter().map(|wrong| wrong.text));
            if matches!(outcome, Outcome::Managed { .. }) {
                *spec = edited;
            }
            outcome
        }
    };
    Ok(Injection { outcome, ignored })
}

/// Edits a document in which the annotations of ours are the user's.
fn manage(
    spec: &mut Value,
    bundle: &Path,
    scratch: Scratch,
    settings: &RuntimeSettings,
    wrong: &[Wrong],
) -> Result<Outcome> {
    let view = View::of_spec(bundle, spec).context("cannot look into the container's rootfs")?;
    let methods = match methods(&view, spec, settings) {
        Ok(methods) => methods,
        Err(Failure::Container(reason)) => return Ok(Outcome::Unmanaged(reason)),
        Err(Failure::Host(error)) => return Err(error),
    };
    host_is_ready(settings)?;
    let mut plan = Plan {
        library: utf8(&settings.library)?,
        tenants_dir: utf8(&settings.tenants_dir)?,
        place: place::choose(spec).path.into(),
        env: methods.file.is_none(),
        preload_file: None,
        stub: None,
        policy_file: None,
        preload_writable: false,
    };
    let policy = wishes::policy(spec, wrong, settings);
    if !policy.is_empty() {
        let path = path_for(scratch, constants::POLICY_NAME, &policy)?;
        write_atomically(&path, policy.as_bytes(), 0o644, None)?;
        plan.policy_file = Some(utf8(&path)?);
    }
    let (mut preload, mut degraded) = (None, None);
    if let Some(file) = methods.file {
        // Only below a tmpfs of the container: elsewhere five mount points would stay in the rootfs.
        if has_32_bits(&view)? && plan.place == constants::PLACE {
            let bytes = stub_library::bytes();
            let path = path_for(scratch, constants::STUB_NAME, "")?;
            write_atomically(&path, &bytes, 0o644, None)?;
            plan.stub = Some(utf8(&path)?);
        }
        let merged = rootfs::merged_preload(&file.text, &plan.preload_entry());
        let copy = match scratch {
            Scratch::Bundle(bundle) if !file.read_only => {
                writable_copy_path(bundle, Path::new(constants::WRITABLE_PRELOADS))
            }
            _ => None,
        };
        plan.preload_writable = copy.is_some();
        let written = write_preload_file(&merged, &file, copy, scratch, settings);
        preload = Some(file.text).filter(|_| !file.made);
        match written.and_then(|path| utf8(&path)) {
            Ok(path) => plan.preload_file = Some(path),
            Err(error) if !methods.env => return Err(error),
            // LD_PRELOAD alone reaches all but setuid programs, podman's `exec` and an emptied environment.
            Err(error) => {
                plan.env = true;
                degraded = Some(format!("managed by LD_PRELOAD alone: {error:#}"));
            }
        }
    }
    edit::inject(spec, &plan, settings).context("config.json")?;
    Ok(Outcome::Managed { plan, preload, degraded })
}

/// What a start would do.
#[derive(Debug)]
pub enum Preview {
    Managed { method: &'static str, place: &'static str },
    Unmanaged(Unmanageable),
}

/// What [`inject`] would do with a selected document; nothing is written.
///
/// # Errors
/// As [`inject`].
pub fn preview(spec: &Value, bundle: &Path, settings: &RuntimeSettings) -> Result<Preview> {
    let view = View::of_spec(bundle, spec).context("cannot look into the container's rootfs")?;
    let methods = match methods(&view, spec, settings) {
        Ok(methods) => methods,
        Err(Failure::Container(reason)) => return Ok(Preview::Unmanaged(reason)),
        Err(Failure::Host(error)) => return Err(error),
    };
    host_is_ready(settings)?;
    let method = if methods.file.is_some() { constants::ETC_PRELOAD } else { "LD_PRELOAD" };
    Ok(Preview::Managed { method, place: place::choose(spec).path })
}

/// Whether the image has the loader of 32-bit programs.
fn has_32_bits(view: &View) -> Result<bool> {
    let found = || view.find("/lib/ld-linux.so.2");
    Ok(cfg!(target_arch = "x86_64")
        && rootfs::found_or_none(found()).context("cannot look into the container's rootfs")?.is_some())
}

/// Checks the library and the socket's directory on the host.
fn host_is_ready(settings: &RuntimeSettings) -> Result<()> {
    let library = &settings.library;
    let flags = statvfs(library).with_context(|| format!("the library {}", library.display()))?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        bail!(
            "the library {} lies on a filesystem mounted noexec; move it and set `library`",
            library.display()
        );
    }
    let tenants = &settings.tenants_dir;
    if !tenants.is_dir() {
        bail!(
            "the socket's directory {} is missing; start nvshare-scheduler or set `tenants_dir`",
            tenants.display()
        );
    }
    Ok(())
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(String::from).with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::symlink;

    const LIBC: &str = "GNU C Library stable release version 2.40.\n";

    struct Ground {
        dir: tempfile::TempDir,
        settings: RuntimeSettings,
    }

    impl Ground {
        /// A host with everything in place and a rootfs with a new glibc. The library is this test itself,
        /// the one ELF file that is sure to be here.
        fn new() -> Ground {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("rootfs");
            for made in ["etc", "lib", "lib64"] {
                fs::create_dir_all(root.join(made)).unwrap();
            }
            let libraries = ["lib/libc.so.6", "lib/libgcc_s.so.1", "lib/libm.so.6"];
            for file in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"].iter().chain(&libraries) {
                fs::write(root.join(file), LIBC).unwrap();
            }
            fs::create_dir(dir.path().join("tenants")).unwrap();
            let settings = RuntimeSettings {
                library: std::env::current_exe().unwrap(),
                tenants_dir: dir.path().join("tenants"),
                ..RuntimeSettings::default()
            };
            Ground { dir, settings }
        }

        fn spec(&self) -> Value {
            json!({
                "root": {"path": "rootfs"},
                "process": {"env": ["NVIDIA_VISIBLE_DEVICES=all"]},
                "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
            })
        }

        fn inject(&self, spec: &mut Value) -> Result<Outcome> {
            let scratch = Scratch::Bundle(self.dir.path());
            inject(spec, self.dir.path(), scratch, &self.settings).map(|done| done.outcome)
        }
    }

    #[test]
    fn the_file_alone_where_it_can_be_had_and_a_copy_that_may_be_written() {
        let ground = Ground::new();
        fs::write(ground.dir.path().join("rootfs/etc/ld.so.preload"), "/image.so\n").unwrap();
        let Outcome::Managed { plan, preload, .. } = ground.inject(&mut ground.spec()).unwrap() else {
            panic!()
        };
        assert_eq!(plan.mark(), "file /dev/nvshare");
        assert!(plan.preload_writable);
        assert_eq!(preload.as_deref(), Some("/image.so\n"));
        let merged = fs::read_to_string(plan.preload_file.unwrap()).unwrap();
        assert_eq!(merged, "/dev/nvshare/libnvshare.so\n/image.so\n");
    }

    /// GUEST: 32-bit programs: ERROR lines of ld.so for each program.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn programs_of_32_bits_get_a_library_of_their_kind() {
        let ground = Ground::new();
        let none = ground.spec();
        fs::write(ground.dir.path().join("rootfs/lib/ld-linux.so.2"), "").unwrap();
        let mut spec = none.clone();
        let Outcome::Managed { plan, .. } = ground.inject(&mut spec).unwrap() else { panic!() };
        let merged = fs::read_to_string(plan.preload_file.unwrap()).unwrap();
        assert_eq!(merged, "/dev/nvshare/$PLATFORM/libnvshare.so\n");
        let source = |platform: &str| {
            let destination = format!("/dev/nvshare/{platform}/libnvshare.so");
            let mount = spec::mounts(&spec).find(|(known, _)| *known == destination).unwrap().1;
            std::path::PathBuf::from(mount["source"].as_str().unwrap())
        };
        assert_eq!(source("haswell"), ground.settings.library);
        assert_eq!(fs::read(source("i686")).unwrap(), stub_library::bytes());
        assert!(spec::is_injected(&spec));
        let mut spec = none;
        spec["mounts"] = json!([]);
        let Outcome::Managed { plan, .. } = ground.inject(&mut spec).unwrap() else { panic!() };
        assert_eq!(plan.stub, None, "mount points would stay in the image");
    }

    #[test]
    fn nobody_writes_where_nobody_could() {
        let ground = Ground::new();
        let mut spec = ground.spec();
        spec["root"]["readonly"] = json!(true);
        let Outcome::Managed { plan, .. } = ground.inject(&mut spec).unwrap() else { panic!() };
        assert!(!plan.preload_writable);
        let etc = ground.dir.path().join("host-etc");
        fs::create_dir(&etc).unwrap();
        fs::write(etc.join("ld.so.preload"), "").unwrap();
        // A volume that may be written is written as without us.
        for (options, mark) in
            [(json!(["ro"]), "file /dev/nvshare"), (json!(["ro", "rw"]), "env /dev/nvshare")]
        {
            let mut spec = ground.spec();
            let bind = json!({"destination": "/etc", "type": "bind", "source": etc, "options": options});
            spec["mounts"].as_array_mut().unwrap().push(bind);
            let Outcome::Managed { plan, .. } = ground.inject(&mut spec).unwrap() else { panic!() };
            assert_eq!((plan.mark().as_str(), plan.preload_writable), (mark, false));
        }
    }

    #[test]
    fn env_alone_where_the_file_would_be_made_on_the_host_or_nowhere() {
        let ground = Ground::new();
        let etc = ground.dir.path().join("host-etc");
        fs::create_dir(&etc).unwrap();
        let mut spec = ground.spec();
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": "/etc", "type": "bind", "source": etc}));
        let Outcome::Managed { plan, .. } = ground.inject(&mut spec).unwrap() else { panic!() };
        assert_eq!(plan.mark(), "env /dev/nvshare");
        let dangling = Ground::new();
        symlink("/elsewhere/x", dangling.dir.path().join("rootfs/etc/ld.so.preload")).unwrap();
        let Outcome::Managed { plan, .. } = dangling.inject(&mut dangling.spec()).unwrap() else { panic!() };
        assert_eq!(plan.mark(), "env /dev/nvshare");
    }

    #[test]
    fn file_alone_where_musl_lives_beside_glibc() {
        let ground = Ground::new();
        fs::write(ground.dir.path().join("rootfs/lib/ld-musl-x86_64.so.1"), "").unwrap();
        let Outcome::Managed { plan, .. } = ground.inject(&mut ground.spec()).unwrap() else { panic!() };
        assert_eq!(plan.mark(), "file /dev/nvshare");
    }

    #[test]
    fn what_cannot_load_the_library_is_left_alone() {
        let ground = Ground::new();
        fs::write(ground.dir.path().join("rootfs/lib/libc.so.6"), LIBC.replace("2.40", "2.2")).unwrap();
        let mut spec = ground.spec();
        let Outcome::Unmanaged(reason) = ground.inject(&mut spec).unwrap() else { panic!() };
        assert!(matches!(reason, Unmanageable::GlibcTooOld { found: (2, 2), .. }), "{reason}");
        let text = reason.to_string();
        assert!(text.starts_with("the image's glibc 2.2 is older than the library needs, 2."), "{text}");
        assert_eq!(spec, ground.spec());
        let ground = Ground::new();
        fs::remove_file(ground.dir.path().join("rootfs/lib/libgcc_s.so.1")).unwrap();
        let Outcome::Unmanaged(reason) = ground.inject(&mut ground.spec()).unwrap() else { panic!() };
        assert_eq!(reason.to_string(), "the library needs libgcc_s.so.1, which the image lacks");
    }

    #[test]
    fn what_is_wrong_on_the_host_is_an_error_with_advice() {
        let mut ground = Ground::new();
        ground.settings.tenants_dir = "/nonexistent".into();
        let error = format!("{:#}", ground.inject(&mut ground.spec()).unwrap_err());
        assert!(error.contains("/nonexistent is missing; start nvshare-scheduler"), "{error}");
        ground.settings.library = "/nonexistent.so".into();
        let error = format!("{:#}", ground.inject(&mut ground.spec()).unwrap_err());
        assert!(error.contains("/nonexistent.so") && error.contains("install nvshare"), "{error}");
        assert_eq!(ground.inject(&mut json!({})).unwrap(), Outcome::NotSelected("no sign of a GPU"));
    }
}
