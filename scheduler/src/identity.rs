//! Who is at the other end of a socket: told by the kernel, never by the peer.
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fmt;
use std::os::fd::AsFd;

/// The peer of a connection, as the host sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// 0: the peer lives in a pid namespace that this process cannot see.
    pub pid: u32,
    pub uid: u32,
    /// The container's full id; none: a process of the host.
    pub container: Option<String>,
}

impl Identity {
    /// Asks the kernel.
    ///
    /// The container is read from `/proc/PID/cgroup`. It is a label for people and a key for limits,
    /// not a right: a process that ends at this moment may lend its number to another.
    ///
    /// # Errors
    /// Where the socket has no credentials.
    pub fn of(socket: &impl AsFd) -> nix::Result<Self> {
        let peer = getsockopt(socket, PeerCredentials)?;
        let pid = u32::try_from(peer.pid()).unwrap_or(0);
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        Ok(Self { pid, uid: peer.uid(), container: container(&cgroup) })
    }

    /// The container's id as `docker ps` shows it.
    #[must_use]
    pub fn short(&self) -> Option<&str> {
        self.container.as_deref().map(|id| &id[..12])
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}, uid {}", self.pid, self.uid)?;
        self.short().map_or(Ok(()), |id| write!(f, ", container {id}"))
    }
}

/// The container's id in the text of a `/proc/PID/cgroup`, version 1 or 2.
///
/// The innermost component that is an id of 64 hexadecimal digits counts: bare, as cgroupfs drivers
/// name it (`/docker/ID`, `/kubepods/burstable/podUID/ID`), or as the systemd drivers do
/// (`docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, and
/// containerd's `SLICE:cri-containerd:ID`).
#[must_use]
pub fn container(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(component).map(str::to_owned)
    })
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
    fn a_container_in_a_container_is_the_inner_one() {
        let inner = ID.replace('0', "e");
        let cgroup = format!("0::/docker/{ID}/docker/{inner}");
        assert_eq!(container(&cgroup), Some(inner));
    }

    #[test]
    fn logs_name_the_container() {
        let who = Identity { pid: 7, uid: 1000, container: Some(ID.into()) };
        assert_eq!(who.to_string(), "pid 7, uid 1000, container 4f1d3c0b5a69");
        assert_eq!(Identity { container: None, ..who }.to_string(), "pid 7, uid 1000");
    }

    #[test]
    fn the_peer_of_our_own_socket_is_ourselves() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let peer = Identity::of(&one).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, nix::unistd::getuid().as_raw());
    }
}
