//! Swap space: one file in memory for each tenant, owned by this process, within one budget.
//!
//! The pages are allocated here, so that they count against the daemon's control group and not against the container's,
//! and cleared here, because the tenant's driver would do that slowly and with its locks held when it registers them.
//! That takes 0.2 s a GiB (one H200 host, 2026-11-24), so it is done behind the tenant's back, by a thread of its own;
//! a page that is used before it has been allocated counts against whoever uses it.
#![allow(unsafe_code)] // maps the pages in order to clear them
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};
use nvshare_protocol::Bytes;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Grants are multiples of this: the granularity of device memory.
const GRANULE: u64 = 2 << 20;
/// Allocated between two looks at whether the tenant is still there.
const STEP: u64 = 64 << 20;
/// No tenant wants more than this, bytes.
const MOST: u64 = 16 << 40;

/// What all tenants together may have.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    used: u64,
}

/// What one tenant has.
#[derive(Debug, Default)]
pub struct Swap {
    file: Option<Arc<OwnedFd>>,
    granted: u64,
    /// What it still has from a daemon before this one.
    inherited: u64,
}

/// The answer to a wish.
#[derive(Debug)]
pub struct Granted {
    /// The tenant's file is now so long.
    pub bytes: Bytes,
    /// The file, if the tenant does not have it yet.
    pub file: Option<Arc<OwnedFd>>,
    /// Whether that is less than it wanted.
    pub refused: bool,
}

/// Half of the host's memory, bytes; 0 where `/proc/meminfo` cannot be read.
#[must_use]
pub fn half_of_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default();
    kib * 1024 / 2
}

impl Budget {
    #[must_use]
    pub fn new(total: Bytes) -> Self {
        Self { total: total.0, used: 0 }
    }

    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(self.total)
    }

    #[must_use]
    pub fn used(&self) -> Bytes {
        Bytes(self.used)
    }

    /// A tenant that comes from a daemon before this one keeps what it has.
    #[must_use]
    pub fn inherit(&mut self, bytes: Option<Bytes>) -> Swap {
        let inherited = bytes.map_or(0, |bytes| bytes.0.min(MOST));
        self.used = self.used.saturating_add(inherited);
        Swap { inherited, ..Swap::default() }
    }

    /// The tenant is gone, and its file with its last mapping.
    pub fn take_back(&mut self, swap: &Swap) {
        self.used = self.used.saturating_sub(swap.granted + swap.inherited);
    }

    /// Lengthens the tenant's file to `wanted`, or as far as the budget goes.
    ///
    /// # Errors
    /// The kernel's, with nothing granted beyond what the tenant had.
    pub fn grant(&mut self, swap: &mut Swap, wanted: Bytes) -> io::Result<Granted> {
        let wanted = wanted.0.min(MOST).next_multiple_of(GRANULE);
        let more =
            wanted.saturating_sub(swap.granted).min(self.total.saturating_sub(self.used)) / GRANULE * GRANULE;
        let refused = swap.granted + more < wanted;
        if more == 0 {
            return Ok(Granted { bytes: Bytes(swap.granted), file: None, refused });
        }
        let new = swap.file.is_none();
        let file = match &swap.file {
            Some(file) => Arc::clone(file),
            None => {
                Arc::new(memfd_create("nvshare-swap", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?)
            }
        };
        let length = swap.granted + more;
        nix::unistd::ftruncate(&*file, length as i64)?;
        if new {
            // Else a tenant could make the daemon's own pages vanish under another mapping of them.
            nix::fcntl::fcntl(
                &*file,
                nix::fcntl::FcntlArg::F_ADD_SEALS(nix::fcntl::SealFlag::F_SEAL_SHRINK),
            )?;
        }
        swap.file = Some(Arc::clone(&file));
        allocate(&file, swap.granted, length);
        swap.granted = length;
        self.used += more;
        Ok(Granted { bytes: Bytes(length), file: new.then_some(file), refused })
    }
}

impl Swap {
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes(self.granted + self.inherited)
    }
}

/// Allocates the pages of a part, until the tenant is gone.
fn allocate(file: &Arc<OwnedFd>, mut at: u64, end: u64) {
    let file = Arc::downgrade(file);
    let work = move || {
        while at < end
            && let Some(file) = file.upgrade()
        {
            let step = STEP.min(end - at);
            if let Err(error) = populate(&file, at, step) {
                tracing::warn!("swap space of {step} bytes cannot be allocated ahead: {error}");
                return;
            }
            at += step;
        }
    };
    if let Err(error) = std::thread::Builder::new().name("nvshare-swap".into()).spawn(work) {
        tracing::warn!("no thread to allocate swap space ahead: {error}");
    }
}

/// Makes the kernel allocate and clear those pages that are not there yet. Nothing is written to those that are in use.
fn populate(file: &OwnedFd, at: u64, bytes: u64) -> nix::Result<()> {
    let Some(length) = usize::try_from(bytes).ok().and_then(NonZeroUsize::new) else { return Ok(()) };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice, which nobody else knows of and nothing is read from or
    // written to; its file cannot be shortened.
    let mapped = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, at as i64) }?;
    // SAFETY: the mapping just made; populating it changes no byte.
    let done = unsafe { madvise(mapped, length.get(), MmapAdvise::MADV_POPULATE_WRITE) };
    // SAFETY: the mapping just made, which has been given to nobody.
    unsafe { munmap(mapped, length.get()) }?;
    if done != Err(Errno::EINVAL) {
        return done;
    }
    // Kernels before 5.14 cannot: the pages are only allocated, and cleared when the tenant uses them.
    fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, at as i64, bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_granted_as_far_as_the_budget_goes() {
        let mut budget = Budget::new(Bytes(10 << 20));
        let (mut one, mut two) = (budget.inherit(None), budget.inherit(None));
        let granted = budget.grant(&mut one, Bytes(3 << 20)).unwrap();
        assert_eq!((granted.bytes, granted.refused), (Bytes(4 << 20), false));
        let file = granted.file.expect("the first grant brings the file");
        assert_eq!(nix::sys::stat::fstat(&*file).unwrap().st_size, 4 << 20);
        let granted = budget.grant(&mut two, Bytes(8 << 20)).unwrap();
        assert_eq!((granted.bytes, granted.refused), (Bytes(6 << 20), true));
        let granted = budget.grant(&mut one, Bytes(6 << 20)).unwrap();
        assert_eq!((granted.bytes, granted.refused, granted.file.is_none()), (Bytes(4 << 20), true, true));
        budget.take_back(&two);
        let granted = budget.grant(&mut one, Bytes(6 << 20)).unwrap();
        assert_eq!((granted.bytes, granted.refused), (Bytes(6 << 20), false));
        assert_eq!(budget.used(), Bytes(6 << 20));
    }

    #[test]
    fn what_is_inherited_counts() {
        let mut budget = Budget::new(Bytes(4 << 20));
        let mut swap = budget.inherit(Some(Bytes(4 << 20)));
        assert!(budget.grant(&mut swap, Bytes(2 << 20)).unwrap().refused);
        budget.take_back(&swap);
        assert_eq!(budget.used(), Bytes::ZERO);
    }

    #[test]
    fn a_tenant_cannot_shorten_its_file() {
        let mut budget = Budget::new(Bytes(4 << 20));
        let mut swap = budget.inherit(None);
        let file = budget.grant(&mut swap, Bytes(4 << 20)).unwrap().file.unwrap();
        assert_eq!(nix::unistd::ftruncate(&*file, 0), Err(nix::errno::Errno::EPERM));
    }

    #[test]
    fn allocating_ahead_changes_no_byte_and_fills_every_page() {
        use std::os::unix::fs::FileExt as _;
        let mut budget = Budget::new(Bytes(8 << 20));
        let mut swap = budget.inherit(None);
        let file = budget.grant(&mut swap, Bytes(8 << 20)).unwrap().file.unwrap();
        let file: std::fs::File = file.try_clone().unwrap().into();
        file.write_all_at(b"the tenant's", 5000).unwrap();
        let file: OwnedFd = file.into();
        populate(&file, 0, 8 << 20).unwrap();
        assert_eq!(nix::sys::stat::fstat(&file).unwrap().st_blocks * 512, 8 << 20);
        let mut read = [0; 12];
        std::fs::File::from(file).read_exact_at(&mut read, 5000).unwrap();
        assert_eq!(&read, b"the tenant's");
    }

    #[test]
    fn half_of_this_hosts_memory_is_something() {
        assert!(half_of_memory() > 1 << 20);
    }
}
