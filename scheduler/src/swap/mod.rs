//! Swap space: files in memory, owned by this process, one for each connection of a tenant.
//!
//! The pages are allocated here ([`crate::swap::pages`]), so that they count against the daemon's control group and not against
//! the container's; a page that is used before it has been allocated counts against whoever uses it.
pub mod ledger;
pub mod ledger_file;
pub mod pages;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Grants are multiples of this: the granularity of device memory.
pub const GRANULE: u64 = 2 << 20;
/// No tenant wants more than this, bytes.
pub const MOST: u64 = 16 << 40;

/// One file, which only grows.
#[derive(Debug)]
pub struct SwapFile {
    /// Whose connection it was made for.
    pub tenant: TenantId,
    /// Never used twice.
    pub number: u64,
    pub granted: u64,
    pub fd: Arc<OwnedFd>,
}

/// The answer to a request for swap space.
#[derive(Debug)]
pub struct Granted {
    /// The tenant's file is now so long.
    pub bytes: Bytes,
    /// The file, if the tenant does not have it yet.
    pub file: Option<Arc<OwnedFd>>,
    /// The limit that was reached, if it got less than it wanted.
    pub refused: Option<&'static str>,
}

impl SwapFile {
    /// A new file of no length. Its seals keep tenants from shortening it, which would remove the daemon's pages, and from
    /// sealing it, which would keep the daemon from adding any.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(tenant: TenantId, number: u64) -> io::Result<Self> {
        let fd = memfd_create("nvshare-swap", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL))?;
        Ok(Self { tenant, number, granted: 0, fd: Arc::new(fd) })
    }

    /// # Errors
    /// The kernel's.
    pub fn lengthen(&mut self, length: u64) -> io::Result<()> {
        // Its tenant may have made it longer; those pages are charged to the tenant's container.
        let found = nix::sys::stat::fstat(&*self.fd)?.st_size;
        if found < length as i64 {
            nix::unistd::ftruncate(&*self.fd, length as i64)?;
        }
        self.granted = length;
        Ok(())
    }
}

/// Half of the host's memory, bytes; 0 where `/proc/meminfo` cannot be read.
#[must_use]
pub fn half_of_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default();
    kib * 1024 / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn a_tenant_cannot_shorten_its_file_nor_seal_it() {
        let mut file = SwapFile::make(TenantId(1), 1).unwrap();
        file.lengthen(4 << 20).unwrap();
        assert_eq!(nix::unistd::ftruncate(&*file.fd, 0), Err(Errno::EPERM));
        let seal = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW);
        assert_eq!(fcntl(&*file.fd, seal), Err(Errno::EPERM));
        nix::unistd::ftruncate(&*file.fd, 8 << 20).unwrap();
        file.lengthen(6 << 20).unwrap();
        assert_eq!(file.granted, 6 << 20);
    }

    #[test]
    fn half_of_this_hosts_memory_is_something() {
        assert!(half_of_memory() > 1 << 20);
    }
}
