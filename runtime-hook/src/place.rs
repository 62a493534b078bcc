//! Where our files go in a container. A decision on the document alone.

use crate::{constants, spec};
use serde_json::Value;

/// Where our mounts lie in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// A directory in the container.
    pub path: &'static str,
    /// The engine mounts the library and the socket's directory there, by our CDI device.
    pub by_cdi: bool,
}

/// The mount point for a container that has not been edited yet.
pub fn choose(spec: &Value) -> MountPoint {
    let by_cdi = spec::has_cdi_mounts(spec);
    MountPoint { path: if by_cdi { constants::PLACE } else { free_place(spec) }, by_cdi }
}

/// Where our mounts can go without touching what is not the container's own: `/dev/nvshare` where a tmpfs lies at
/// `/dev`, else the first other place that is not below somebody's mount.
pub fn free_place(spec: &Value) -> &'static str {
    if mount_type_above(spec, constants::PLACE) == Some("tmpfs") {
        return constants::PLACE;
    }
    constants::OTHER_PLACES
        .into_iter()
        .find(|place| may_hold_mountpoint(spec, place))
        .unwrap_or(constants::OTHER_PLACES[1])
}

/// Whether a missing mount point at `path` would be made in the rootfs or a tmpfs, and not in a directory that the
/// container shares with the host.
fn may_hold_mountpoint(spec: &Value, path: &str) -> bool {
    matches!(mount_type_above(spec, path), None | Some("tmpfs"))
}

/// The type of the mount that `path` lies below, the last one to be mounted.
fn mount_type_above<'a>(spec: &'a Value, path: &str) -> Option<&'a str> {
    let is_above = |destination: &str| {
        path.strip_prefix(destination)
            .is_some_and(|rest| !rest.is_empty() && (destination == "/" || rest.starts_with('/')))
    };
    spec::mounts(spec)
        .filter(|(destination, _)| is_above(destination))
        .last()
        .map(|(_, mount)| if spec::is_bind(mount) { "bind" } else { spec::text(mount, "type") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_place_avoids_what_is_shared_with_the_host() {
        let at = |mounts: Value| free_place(&json!({ "mounts": mounts }));
        let dev = json!({"destination": "/dev", "type": "tmpfs"});
        let bind = |path: &str| json!({"destination": path, "type": "bind", "source": path});
        assert_eq!(at(json!([dev])), "/dev/nvshare");
        assert_eq!(at(json!([dev, bind("/dev/shm")])), "/dev/nvshare");
        assert_eq!(at(json!([dev, bind("/dev")])), "/run/nvshare");
        assert_eq!(at(json!([bind("/dev/"), bind("/run")])), "/.nvshare");
        assert_eq!(
            at(json!([{"destination": "/dev", "type": "none", "options": ["rbind"]}])),
            "/run/nvshare"
        );
        assert_eq!(at(json!([])), "/run/nvshare");
    }
}
