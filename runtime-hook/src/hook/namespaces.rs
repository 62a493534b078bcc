//! Entering a container's namespaces. The hook has one thread, which both `setns` calls require.

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_res_gid, set_thread_res_uid};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Enters the mount namespace of a process, and its user namespace first if that is another one: files in
/// the container can then be made by the container's own root.
pub fn enter(pid: u32) -> Result<()> {
    let open = |of: &str, name: &str| {
        let path = format!("/proc/{of}/ns/{name}");
        File::open(&path).with_context(|| format!("cannot open {path}"))
    };
    let pid = pid.to_string();
    let (user, mounts) = (open(&pid, "user")?, open(&pid, "mnt")?);
    if user.metadata()?.ino() != open("self", "user")?.metadata()?.ino() {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))
            .context("cannot enter the container's user namespace")?;
        set_thread_res_gid(rustix::fs::Gid::ROOT, rustix::fs::Gid::ROOT, rustix::fs::Gid::ROOT)
            .and_then(|()| {
                set_thread_res_uid(rustix::fs::Uid::ROOT, rustix::fs::Uid::ROOT, rustix::fs::Uid::ROOT)
            })
            .context("the container's user namespace has no root")?;
    }
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))
        .context("cannot enter the container's mount namespace")
}
