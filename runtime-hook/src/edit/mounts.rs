//! The mounts. Listed in config.json they are resolved by the runtime, inside the rootfs, in this order.

use super::Plan;
use crate::{constants, selection};
use serde_json::{Map, Value, json};

/// Appends the plan's mounts, leaving out what is there already.
///
/// A bind in a user namespace must keep the restrictions of the filesystem that it comes from; asking for
/// all of them (but `noexec` for the library) keeps them whatever they are.
pub fn add(spec: &mut Map<String, Value>, plan: &Plan) -> Result<(), String> {
    let mounts = spec.entry("mounts").or_insert_with(|| json!([]));
    if mounts.is_null() {
        *mounts = json!([]);
    }
    let mounts = mounts.as_array_mut().ok_or("`mounts` is not a list")?;
    let library = ["bind", "ro", "nosuid", "nodev", "private"];
    add_one(mounts, &plan.library, &plan.library_inside(), &library);
    if let Some(stub) = &plan.stub {
        let of_64 = constants::PLATFORMS.iter().map(|platform| (platform, &plan.library));
        for (platform, source) in of_64.chain(constants::PLATFORMS_32.iter().map(|platform| (platform, stub)))
        {
            add_one(
                mounts,
                source,
                &format!("{}/{platform}/{}", plan.place, constants::LIBRARY_NAME),
                &library,
            );
        }
    }
    let run = format!("{}/{}", plan.place, constants::PLACE_RUN);
    let quiet = ["rbind", "ro", "nosuid", "nodev", "noexec", "rprivate"];
    add_one(mounts, &plan.tenants_dir, &run, &quiet);
    if let Some(file) = &plan.policy_file {
        let policy = format!("{}/{}", plan.place, constants::CONTAINER_POLICY);
        add_one(mounts, file, &policy, &["bind", "ro", "nosuid", "nodev", "noexec", "private"]);
    }
    if let Some(file) = &plan.preload_file {
        let access = if plan.preload_writable { "rw" } else { "ro" };
        let options = ["bind", access, "nosuid", "nodev", "noexec", "private"];
        add_one(mounts, file, constants::ETC_PRELOAD, &options);
    }
    Ok(())
}

fn add_one(mounts: &mut Vec<Value>, source: &str, destination: &str, options: &[&str]) {
    let there = |mount: &Value| {
        selection::text(mount, "destination") == destination
            && (selection::text(mount, "source") == source || destination != constants::ETC_PRELOAD)
    };
    if !mounts.iter().any(there) {
        mounts
            .push(json!({"destination": destination, "type": "bind", "source": source, "options": options}));
    }
}

/// Where our mounts can go without touching what is not the container's own: `/dev/nvshare` where a tmpfs
/// lies at `/dev`, else the first other place that is not below somebody's mount.
pub fn free_place(spec: &Value) -> &'static str {
    if kind_at(spec, constants::PLACE) == Some("tmpfs") {
        return constants::PLACE;
    }
    constants::OTHER_PLACES
        .into_iter()
        .find(|place| may_hold_mountpoint(spec, place))
        .unwrap_or(constants::OTHER_PLACES[1])
}

/// Whether a missing mount point at `path` would be made in the rootfs or a tmpfs, and not in a directory
/// that the container shares with the host.
pub fn may_hold_mountpoint(spec: &Value, path: &str) -> bool {
    matches!(kind_at(spec, path), None | Some("tmpfs"))
}

/// The type of the mount that `path` lies below, the last one to be mounted.
fn kind_at<'a>(spec: &'a Value, path: &str) -> Option<&'a str> {
    let below = |destination: &str| {
        path.strip_prefix(destination)
            .is_some_and(|rest| !rest.is_empty() && (destination == "/" || rest.starts_with('/')))
    };
    selection::mounts(spec)
        .filter(|(destination, _)| below(destination))
        .last()
        .map(|(_, mount)| if is_bind(mount) { "bind" } else { selection::text(mount, "type") })
}

/// A bind by its type or by its options; the OCI specification lets either say it.
pub fn is_bind(mount: &Value) -> bool {
    let options = mount.get("options").and_then(Value::as_array).into_iter().flatten();
    selection::text(mount, "type") == "bind"
        || options.filter_map(Value::as_str).any(|option| option == "bind" || option == "rbind")
}
