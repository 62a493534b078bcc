//! The mounts. Listed in config.json they are resolved by the runtime, inside the rootfs, in this order.

use super::{Malformed, Plan};
use crate::{constants, spec};
use serde_json::{Map, Value, json};

/// Appends the plan's mounts, leaving out what is there already.
///
/// A bind in a user namespace must keep the restrictions of the filesystem that it comes from; asking for
/// all of them (but `noexec` for the library) keeps them whatever they are.
pub fn add(spec: &mut Map<String, Value>, plan: &Plan) -> Result<(), Malformed> {
    let mounts = spec.entry("mounts").or_insert_with(|| json!([]));
    if mounts.is_null() {
        *mounts = json!([]);
    }
    let mounts = mounts.as_array_mut().ok_or(Malformed::NotAList("`mounts`"))?;
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
        spec::text(mount, "destination") == destination
            && (spec::text(mount, "source") == source || destination != constants::ETC_PRELOAD)
    };
    if !mounts.iter().any(there) {
        mounts
            .push(json!({"destination": destination, "type": "bind", "source": source, "options": options}));
    }
}
