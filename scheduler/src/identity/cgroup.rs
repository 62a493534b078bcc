//! The container of a process, or the job of a batch system that it is of, by its control group.
use super::slurm;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A container, as the kernel knows it. A job of Slurm is one too: its processes are bounded and counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its full id, for people; of a job `job_42`. It is a name in a path, which anybody who makes a control group can
    /// choose.
    pub id: String,
    /// The step, if it is a job; the directory is root's then.
    pub step: Option<slurm::Step>,
    /// None: its directory cannot be seen from here.
    pub place: Option<CgroupDir>,
}

/// The directory of a container's control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupDir {
    /// Its device and inode, which no other directory can have while it exists.
    pub key: (u64, u64),
    /// Its owner: root for the engines of the host, a user for the user's own containers.
    pub owner: u32,
}

impl Container {
    /// Whether an engine of the host has made it, as root.
    #[must_use]
    pub fn is_engines(&self) -> bool {
        self.place.is_some_and(|place| place.owner == 0)
    }

    /// The container of the text of a `/proc/PID/cgroup`, with the control groups of this machine mounted at `root`.
    ///
    /// A job comes first: in version 1 its processes may be in a control group of their own in hierarchies that Slurm does
    /// not use, and name that as a container.
    #[must_use]
    pub fn find(text: &str, root: &Path) -> Option<Self> {
        Self::of_job(text, root).or_else(|| Self::of_engine(text, root))
    }

    fn of_job(text: &str, root: &Path) -> Option<Self> {
        text.lines().find_map(|line| {
            let (controllers, path) = fields(line)?;
            let (directory, step) =
                slurm::find(path).filter(|_| !leaves(path) && of_engine(path).is_none())?;
            let places = mounts(controllers, root);
            let place = places.iter().find_map(|mount| place(&mount.join(directory)))?;
            (place.owner == 0).then(|| Self { id: step.job_name(), step: Some(step), place: Some(place) })
        })
    }

    fn of_engine(text: &str, root: &Path) -> Option<Self> {
        let mut id = None;
        for line in text.lines() {
            let Some((controllers, path, found)) = hierarchy(line) else { continue };
            let place = mounts(controllers, root).iter().find_map(|mount| place(&mount.join(path)));
            if place.is_some() {
                return Some(Self { id: found.to_owned(), step: None, place });
            }
            id.get_or_insert(found);
        }
        id.map(|id| Self { id: id.to_owned(), step: None, place: None })
    }

    /// The id as `docker ps` shows it; with its owner where that is not root, so that it cannot be read as a container
    /// of the host's engine.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.step.is_some() {
            return self.id.clone();
        }
        let short = &self.id[..12];
        match self.place {
            Some(CgroupDir { owner: owner @ 1.., .. }) => format!("{short} of uid {owner}"),
            _ => short.to_owned(),
        }
    }

    /// For words: `container 4f1d3c0b5a69`, `job 42.batch`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.step {
            Some(step) => format!("job {step}"),
            None => format!("container {}", self.shown()),
        }
    }

    /// Whether an operator means it by these characters: the first ones of a container's id, the whole name of a job.
    #[must_use]
    pub fn is_meant(&self, by: &str) -> bool {
        if self.step.is_some() { self.id == by } else { self.id.starts_with(by) }
    }
}

fn place(directory: &Path) -> Option<CgroupDir> {
    let found = fs::symlink_metadata(directory).ok().filter(fs::Metadata::is_dir)?;
    Some(CgroupDir { key: (found.dev(), found.ino()), owner: found.uid() })
}

/// Where a hierarchy may be mounted: version 2 at the root or beside version 1, version 1 under the names of its
/// controllers.
pub(crate) fn mounts(controllers: &str, root: &Path) -> Vec<PathBuf> {
    if controllers.is_empty() {
        return vec![root.to_owned(), root.join("unified")];
    }
    let named = controllers.strip_prefix("name=").unwrap_or(controllers);
    let names = std::iter::once(named).chain(named.split(','));
    names.filter(|name| !name.contains(['/', '.'])).map(|name| root.join(name)).collect()
}

/// The controllers of a line of `/proc/PID/cgroup`, the path of the container's directory under their mount, and its id.
///
/// The outermost component that is an id counts: a process in a container can make containers inside of it, and none around
/// it.
fn hierarchy(line: &str) -> Option<(&str, &str, &str)> {
    let (controllers, path) = fields(line)?;
    let (directory, id) = of_engine(path).filter(|_| !leaves(path))?;
    Some((controllers, directory, id))
}

/// The controllers of a line and its path, below where these are mounted.
fn fields(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.splitn(3, ':').skip(1);
    Some((fields.next()?, fields.next()?.trim_start_matches('/')))
}

/// Whether a control group is outside of the part of the tree that we see.
fn leaves(path: &str) -> bool {
    path.split('/').any(|name| name == "..")
}

/// The outermost component that is a container's id: the path so far, and the id.
fn of_engine(path: &str) -> Option<(&str, &str)> {
    let mut end = 0;
    path.split('/').find_map(|name| {
        end += name.len() + 1;
        component(name).map(|id| (&path[..end - 1], id))
    })
}

/// The container's id in the text of a `/proc/PID/cgroup`, version 1 or 2.
///
/// The outermost component that is an id of 64 hexadecimal digits counts: bare, as cgroupfs drivers
/// name it (`/docker/ID`, `/kubepods/burstable/podUID/ID`), or as the systemd drivers do
/// (`docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, and
/// containerd's `SLICE:cri-containerd:ID`).
#[must_use]
pub fn container(text: &str) -> Option<String> {
    text.lines().find_map(hierarchy).map(|(.., id)| id.to_owned())
}

fn component(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").or_else(|| name.strip_suffix(".service")).unwrap_or(name);
    let at = name.rfind(['-', ':']).map_or(0, |i| i + 1);
    let (engine, id) = name.split_at(at);
    // conmon watches a container from outside, on the host.
    let is_id = id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && !engine.contains("conmon")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1d3c0b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001";

    #[test]
    fn containers_are_known_by_their_cgroup() {
        let kube = "kubepods-burstable-pod2f2b9c1e_1a5b_4a4e_9a2f_0123456789ab.slice";
        let table = [
            (format!("0::/system.slice/docker-{ID}.scope"), true),
            (format!("0::/docker/{ID}"), true),
            (format!("12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n"), true),
            (format!("0::/machine.slice/libpod-{ID}.scope"), true),
            (format!("0::/machine.slice/libpod-{ID}.scope/container"), true),
            (format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"), true),
            (format!("0::/kubepods.slice/kubepods-burstable.slice/{kube}/cri-containerd-{ID}.scope"), true),
            (format!("0::/system.slice/containerd.service/{kube}:cri-containerd:{ID}"), true),
            (format!("0::/kubepods.slice/kubepods-besteffort.slice/{kube}/crio-{ID}.scope"), true),
            (format!("0::/kubepods/burstable/pod2f2b9c1e-1a5b-4a4e-9a2f-0123456789ab/{ID}"), true),
            (format!("0::/system.slice/docker-{ID}.scope/init.scope"), true),
            (format!("0::/machine.slice/libpod-conmon-{ID}.scope"), false),
            (format!("0::/kubepods.slice/crio-conmon-{ID}.scope"), false),
            ("0::/user.slice/user-1000.slice/session-3.scope".into(), false),
            ("0::/".into(), false),
            (String::new(), false),
            ("nonsense".into(), false),
            (format!("0::/docker/{}", &ID[..63]), false),
            (format!("0::/docker/{}", ID.replace('4', "g")), false),
        ];
        for (cgroup, is_container) in table {
            assert_eq!(container(&cgroup).as_deref(), is_container.then_some(ID), "{cgroup}");
        }
    }

    #[test]
    fn a_container_in_a_container_is_the_outer_one() {
        let inner = ID.replace('0', "e");
        let cgroup = format!("0::/docker/{ID}/docker/{inner}");
        assert_eq!(container(&cgroup).as_deref(), Some(ID));
    }

    #[test]
    fn a_container_is_its_directory_and_not_its_name() {
        let root = tempfile::tempdir().unwrap();
        let (engine, user) = ("system.slice/docker-", "user.slice/docker-");
        for parent in [engine, user] {
            fs::create_dir_all(root.path().join(format!("{parent}{ID}.scope/inside"))).unwrap();
        }
        let find =
            |path: &str| Container::find(&format!("0::/{path}{ID}.scope/inside"), root.path()).unwrap();
        let (real, worn) = (find(engine), find(user));
        assert_eq!(real.id, worn.id);
        assert_ne!(real.place.unwrap().key, worn.place.unwrap().key);
        let outer = Container::find(&format!("0::/{engine}{ID}.scope"), root.path());
        assert_eq!(outer, Some(real), "whatever it makes inside");
    }

    #[test]
    fn a_job_comes_before_what_its_processes_name_a_container() {
        let root = tempfile::tempdir().unwrap();
        let job = "slurm_node1/uid_1000/job_42";
        for directory in
            [&format!("freezer/{job}/step_0")[..], &format!("systemd/user.slice/libpod-{ID}.scope")]
        {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let text = format!("9:name=systemd:/user.slice/libpod-{ID}.scope\n6:freezer:/{job}/step_0\n");
        let found = Container::find(&text, root.path()).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert_eq!((&found.id[..], found.label()), ("job_42", "job 42.0".to_owned()));
            assert_eq!(found.shown(), "job_42");
            assert!(found.is_engines() && found.is_meant("job_42") && !found.is_meant("job_4"));
            // Whoever is not root makes no job.
            std::os::unix::fs::chown(root.path().join("freezer").join(job), Some(1000), None).unwrap();
        }
        assert_eq!(Container::find(&text, root.path()).unwrap().id, ID);
        let inside = format!("0::/docker/{ID}/system.slice/slurmstepd.scope/job_42/step_0");
        fs::create_dir_all(root.path().join(inside.trim_start_matches("0::/"))).unwrap();
        assert_eq!(Container::find(&inside, root.path()).unwrap().id, ID, "a container's own Slurm");
    }

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        let root = tempfile::tempdir().unwrap();
        for mount in ["unified/docker", "memory/docker", "cpu,cpuacct/lxc", "systemd/podman"] {
            fs::create_dir_all(root.path().join(mount).join(ID)).unwrap();
        }
        let found = |text: String| Container::find(&text, root.path()).unwrap().place.is_some();
        assert!(found(format!("0::/docker/{ID}")));
        assert!(found(format!("4:memory:/docker/{ID}\n0::/")));
        assert!(found(format!("2:cpu,cpuacct:/lxc/{ID}")));
        assert!(found(format!("9:name=systemd:/podman/{ID}")));
        assert!(found(format!("3:cpuset:/docker/{ID}\n4:memory:/docker/{ID}")), "the first that can be seen");
        for unseen in [format!("0::/elsewhere/{ID}"), format!("3:../memory:/docker/{ID}")] {
            assert!(!found(unseen));
        }
        assert_eq!(Container::find(&format!("0::/../docker/{ID}"), root.path()), None);
    }

    #[test]
    fn a_users_container_is_shown_as_the_users() {
        let shown = |owner| {
            Container { id: ID.into(), step: None, place: Some(CgroupDir { key: (1, 2), owner }) }.shown()
        };
        assert_eq!((&shown(0)[..], &shown(1000)[..]), ("4f1d3c0b5a69", "4f1d3c0b5a69 of uid 1000"));
        assert_eq!(Container { id: ID.into(), step: None, place: None }.shown(), "4f1d3c0b5a69");
    }
}
