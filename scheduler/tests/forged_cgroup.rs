//! A control group that is named as a victim's container: it is its maker's, by its directory, and not the victim's.
//!
//! The test moves itself between control groups, so that it is alone in its file.
mod common;
use common::{Daemon, Tenant, hello};
use nvshare_protocol::control::{Reply, Request, Target, TenantChange, TenantStatus};
use std::fs;
use std::path::{Path, PathBuf};

const ID: &str = "4f1d3c0b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001";
const OTHER: u32 = 60_001;

/// Control groups that are gone with this, and the test back where it was.
struct Groups {
    base: PathBuf,
    home: PathBuf,
    made: Vec<PathBuf>,
}

impl Groups {
    /// None, with a word about it, where they cannot be made.
    fn make() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap();
        let here = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let made = here.zip(mount).and_then(|(here, mount)| {
            let base = mount.join(format!("nvshare-test-{}", std::process::id()));
            fs::create_dir(&base).ok()?;
            Some(Self { made: vec![base.clone()], base, home: mount.join(here) })
        });
        if made.is_none() {
            common::skip("no control group can be made here");
        }
        made
    }

    fn container(&mut self, parent: &str, owner: u32) -> PathBuf {
        let parent = self.base.join(parent);
        let path = parent.join(format!("docker-{ID}.scope"));
        for dir in [&parent, &path] {
            fs::create_dir(dir).unwrap();
            std::os::unix::fs::chown(dir, Some(owner), None).unwrap();
            self.made.push(dir.clone());
        }
        path
    }

    /// The test, and whoever it makes from now on.
    fn enter(group: &Path) {
        fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        Self::enter(&self.home);
        for dir in self.made.iter().rev() {
            // A process that was just killed may be counted there for a moment.
            while fs::remove_dir(dir).is_err_and(|error| error.raw_os_error() == Some(nix::libc::EBUSY)) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn a_control_group_named_as_a_victims_container_is_not_the_victims() {
    let Some(mut groups) = Groups::make() else { return };
    let mut daemon = Daemon::start("[limits]\ntenants_per_container = 2\nmemory_per_container = \"8GiB\"\n");
    let (victim, worn) = (groups.container("system.slice", 0), groups.container("user.slice", OTHER));
    let join = |group: &Path, uid| {
        Groups::enter(group);
        let mut tenant = Tenant::of_user(&daemon.tenant_socket(), uid);
        tenant.greets(hello("p"));
        tenant
    };
    let attackers = [join(&worn, Some(OTHER)), join(&worn, Some(OTHER))];
    let honest = [join(&victim, None), join(&victim, None)];
    let status = daemon.status().tenants;
    let shown = |row: &TenantStatus| (row.container.clone().unwrap_or_default(), row.limit_bytes);
    let rows: Vec<_> = status.iter().map(shown).collect();
    let (a_users, engines) = ("4f1d3c0b5a69 of uid 60001".to_owned(), "4f1d3c0b5a69".to_owned());
    assert_eq!(
        rows,
        [
            (a_users.clone(), Some(8 << 30)),
            (a_users, Some(0)),
            (engines.clone(), Some(8 << 30)),
            (engines, Some(0))
        ]
    );
    daemon.logs("container 4f1d3c0b5a69 of uid 60001) joined: uid 60001");
    let mut third = Tenant::silent(&daemon.tenant_socket());
    assert!(third.refused().contains("tenants_per_container = 2"));
    // What operators set for the victim's container is the victim's.
    let target = || Target::Container(ID[..12].into());
    let set = |daemon: &Daemon| {
        let change = TenantChange::Weight(Some(3));
        daemon.operator().ask(&Request::SetTenant { target: target(), change })
    };
    let Reply::Done { message } = set(&daemon) else { panic!("{:?}", set(&daemon)) };
    assert!(
        message.starts_with("container 4f1d3c0b5a69 (2 tenants, and those that join): weight 3"),
        "{message}"
    );
    let weights: Vec<u32> = daemon.status().tenants.iter().map(|row| row.weight).collect();
    assert_eq!(weights, [1, 1, 3, 3]);
    // It can be taken back when nobody is in the container.
    let pause = daemon.operator().ask(&Request::Pause { target: target() });
    assert!(matches!(pause, Reply::Done { .. }), "{pause:?}");
    drop(honest);
    while daemon.status().tenants.len() > 2 {
        std::thread::yield_now();
    }
    let Reply::Done { message } = daemon.operator().ask(&Request::Resume { target: target() }) else {
        panic!()
    };
    assert!(message.starts_with("container 4f1d3c0b5a69 (0 tenants"), "{message}");
    drop((attackers, third));
}
