//! Who is at the other end of a socket, by the kernel and never by the peer's own words.
pub mod cgroup;
pub mod slurm;
pub mod subordinate_ids;

use crate::process::{Key, Process};
use cgroup::Container;
pub use cgroup::container;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nvshare_protocol::paths;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use subordinate_ids::Subordinates;

/// Where this machine shows its processes.
#[derive(Debug)]
pub struct Host {
    /// Where control groups are mounted.
    pub cgroups: PathBuf,
    pub subordinates: Subordinates,
    pub jobs: slurm::JobFiles,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            cgroups: "/sys/fs/cgroup".into(),
            subordinates: Subordinates::new("/etc/subuid"),
            jobs: slurm::JobFiles::new(paths::SLURM_JOBS_DIR.into(), 0),
        }
    }
}

/// The peer of a connection, as the host sees it.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// 0: the peer lives in a pid namespace that this process cannot see.
    pub pid: u32,
    pub uid: u32,
    /// The user of the host for whom it counts: the one with this subordinate uid, or the owner of the container's control
    /// group.
    pub user: u32,
    /// None: a process of the host.
    pub container: Option<Container>,
    /// None: a peer without a pid that we can see.
    pub process: Option<Arc<Process>>,
}

/// What limits are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Everyone,
    User(u32),
    /// By the device and inode of its control group.
    Container(u64, u64),
}

impl Identity {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where the socket has no credentials, or the process has ended.
    pub fn of(socket: &impl AsFd, host: &Host) -> io::Result<Self> {
        let peer = getsockopt(socket, PeerCredentials)?;
        let (pid, uid) = (u32::try_from(peer.pid()).unwrap_or(0), peer.uid());
        if pid == 0 {
            return Ok(Self { uid, user: host.subordinates.user(uid), ..Self::default() });
        }
        Self::with(Process::of_peer(socket, pid)?, uid, host)
    }

    /// The process that has this key, if it lives.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn of_process(key: Key, host: &Host) -> io::Result<Self> {
        let process = Process::open(key.pid)?;
        if process.key != key {
            return Err(nix::errno::Errno::ESRCH.into());
        }
        let uid = std::fs::metadata(format!("/proc/{}", key.pid))?.uid();
        Self::with(process, uid, host)
    }

    fn with(process: Process, uid: u32, host: &Host) -> io::Result<Self> {
        let pid = process.key.pid;
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // Else the pid may be another process's by now.
        if process.has_ended() {
            return Err(nix::errno::Errno::ESRCH.into());
        }
        let container = Container::find(&text, &host.cgroups);
        let place = container.as_ref().and_then(|container| container.place);
        let owner = place.map(|place| place.owner).filter(|owner| *owner != 0);
        let user = host.subordinates.user(owner.unwrap_or(uid));
        Ok(Self { pid, uid, user, container, process: Some(Arc::new(process)) })
    }

    /// The container for people: its id as `docker ps` shows it, and whose it is if it is a user's.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        self.container.as_ref().map(Container::shown)
    }

    /// For words: `container 4f1d3c0b5a69`, `job 42.0`.
    #[must_use]
    pub fn container_label(&self) -> Option<String> {
        self.container.as_ref().map(Container::label)
    }

    /// The step of a Slurm job that it is of.
    #[must_use]
    pub fn step(&self) -> Option<&slurm::Step> {
        self.container.as_ref()?.step.as_ref()
    }

    /// The process, where it can be known.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        self.process.as_ref().map(|process| process.key)
    }

    /// Whether the process has ended; a peer whose process is not known ends with its connection.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.has_ended())
    }

    /// The user's key among limits.
    #[must_use]
    pub fn user_key(&self) -> Owner {
        Owner::User(self.user)
    }

    /// The container's key. None if its directory cannot be seen: a name alone proves nothing, and the process counts for its
    /// user alone.
    #[must_use]
    pub fn container_key(&self) -> Option<Owner> {
        let place = self.container.as_ref()?.place?;
        Some(Owner::Container(place.key.0, place.key.1))
    }

    /// The owner to whom its use is charged: the container, if the host's engine made it, else the user.
    #[must_use]
    pub fn charged_to(&self) -> Owner {
        let engines = self
            .container
            .as_ref()
            .and_then(|container| container.place)
            .is_some_and(|place| place.owner == 0);
        self.container_key().filter(|_| engines).unwrap_or(self.user_key())
    }

    /// [`Self::charged_to`] as a number.
    #[must_use]
    pub fn owner(&self) -> u64 {
        self.charged_to().number()
    }

    /// The name of that owner, for people.
    #[must_use]
    pub fn owner_name(&self) -> String {
        match (self.charged_to(), &self.container) {
            (Owner::Container(..), Some(Container { step: Some(step), .. })) => format!("job {}", step.job),
            (Owner::Container(..), Some(container)) => container.label(),
            _ => format!("uid {}", self.user),
        }
    }
}

impl Owner {
    /// A unique number: users below 2^32, containers above 2^63.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::User(uid) => u64::from(uid),
            Self::Everyone => u64::from(u32::MAX) + 1,
            Self::Container(..) => {
                let mut hasher = DefaultHasher::new();
                self.hash(&mut hasher);
                hasher.finish() | 1 << 63
            }
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}, uid {}", self.pid, self.uid)?;
        self.container_label().map_or(Ok(()), |label| write!(f, ", {label}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::identity::cgroup::CgroupDir;

    const ID: &str = "4f1d3c0b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001";

    /// Of the host's engine, by a number in place of its directory.
    pub(crate) fn who(uid: u32, container: Option<u64>) -> Identity {
        of(uid, container, 0)
    }

    fn of(uid: u32, container: Option<u64>, owner: u32) -> Identity {
        let place = |inode| Container {
            id: ID.into(),
            step: None,
            place: Some(CgroupDir { key: (1, inode), owner }),
        };
        let user = if owner == 0 || container.is_none() { uid } else { owner };
        Identity { pid: 1, uid, user, container: container.map(place), process: None }
    }

    #[test]
    fn logs_name_the_container_and_whose_it_is() {
        assert_eq!(who(1000, Some(1)).to_string(), "pid 1, uid 1000, container 4f1d3c0b5a69");
        assert_eq!(
            of(1001, Some(1), 1000).to_string(),
            "pid 1, uid 1001, container 4f1d3c0b5a69 of uid 1000"
        );
        assert_eq!(who(1000, None).to_string(), "pid 1, uid 1000");
    }

    #[test]
    fn a_container_of_the_engines_bears_what_it_takes_and_a_users_is_the_user() {
        assert_eq!(who(0, Some(5)).charged_to(), Owner::Container(1, 5));
        assert_eq!(of(100_000, Some(5), 1000).charged_to(), Owner::User(1000));
        assert_eq!(who(1000, None).owner(), 1000);
        let unseen = Identity {
            container: Some(Container { id: ID.into(), step: None, place: None }),
            ..who(7, None)
        };
        assert_eq!((unseen.charged_to(), unseen.container_key()), (Owner::User(7), None));
        assert_ne!(who(0, Some(5)).owner(), who(0, Some(6)).owner());
        assert_eq!(who(0, Some(5)).owner_name(), "container 4f1d3c0b5a69");
        assert_eq!(of(100_000, Some(5), 1000).owner_name(), "uid 1000");
    }

    #[test]
    fn the_peer_of_our_own_socket_is_ourselves() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let peer = Identity::of(&one, &Host::default()).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, nix::unistd::getuid().as_raw());
        let key = peer.key().unwrap();
        assert_eq!(Identity::of_process(key, &Host::default()).unwrap().key(), Some(key));
        let other = Key { start: key.start + 1, ..key };
        assert!(Identity::of_process(other, &Host::default()).is_err(), "a number that was used again");
    }
}
