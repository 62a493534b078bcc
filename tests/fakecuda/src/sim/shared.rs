//! The state of the simulated devices, in one file that every process maps.
//!
//! Locks are `fcntl` locks: the kernel drops them when a process dies, however it dies, and a forked child does
//! not inherit them. One byte is the state's lock; one byte for each process says that it lives. A process
//! killed in the middle of a change leaves at worst a wrong total, and totals are counted anew when its
//! memory is reclaimed.
use crate::settings::Settings;
use crate::sim::{clock, residency};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::{Mutex, MutexGuard};

/// At most so many devices, processes and blocks of 2 MiB (1 TiB of managed memory).
pub const DEVICES: usize = 8;
pub const PROCESSES: usize = 128;
pub const BLOCKS: usize = 1 << 19;
/// The unit of residency, in simulated bytes.
pub const BLOCK: u64 = 2 << 20;

const READY: u64 = 0x6661_6b65_6375_6461;
const STATE_LOCK: i64 = 1 << 40;
const LIFE_LOCKS: i64 = 1 << 41;

/// When an engine is free again (simulated nanoseconds), and whose work it does until then.
#[repr(C)]
pub struct Engine {
    pub free_at: u64,
    pub slot: u64,
}

#[repr(C)]
pub struct Device {
    pub compute: Engine,
    pub copy_in: Engine,
    pub copy_out: Engine,
    /// Simulated bytes of plain allocations, of all processes.
    pub plain: u64,
    /// Blocks of managed memory that are on the device.
    pub resident: u64,
}

#[repr(C)]
pub struct Process {
    pub pid: u64,
    /// Simulated bytes of plain allocations on each device.
    pub plain: [u64; DEVICES],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Block {
    /// Grows with each use; the smallest is evicted first.
    pub last_use: u64,
    /// The slot of the process that it belongs to, plus one; 0 is a free block.
    pub owner: u16,
    pub device: u8,
    pub resident: u8,
    /// Touched before: has contents that must move with it.
    pub populated: u8,
    unused: [u8; 3],
}

/// All of it. Zeroes are a valid state, which the first process completes.
#[repr(C)]
pub struct Shared {
    ready: u64,
    /// Monotonic nanoseconds at simulated time zero.
    pub epoch: u64,
    pub uses: u64,
    /// No block from here on was ever used.
    pub high_water: u64,
    pub devices: [Device; DEVICES],
    pub processes: [Process; PROCESSES],
    pub blocks: [Block; BLOCKS],
}

/// This process's view of the shared state.
pub struct World {
    map: *mut Shared,
    file: File,
    pub slot: usize,
    epoch: u64,
    local: Mutex<()>,
}

// SAFETY: the mapping stays for the life of the process and is only reached under both locks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

/// The state, locked against threads and processes.
pub struct Locked<'a> {
    world: &'a World,
    _local: MutexGuard<'a, ()>,
}

impl World {
    /// Joins the world that the settings name, or makes it.
    pub fn join(settings: &Settings) -> io::Result<Self> {
        let file = match &settings.dir {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                let path = dir.join("devices");
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?
            }
            None => {
                // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
                let fd = unsafe { libc::memfd_create(c"fakecuda".as_ptr(), libc::MFD_CLOEXEC) };
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                // SAFETY: as above.
                unsafe { File::from_raw_fd(fd) }
            }
        };
        lock(&file, libc::F_WRLCK, libc::F_SETLKW, STATE_LOCK)?;
        let size = size_of::<Shared>();
        if file.metadata()?.len() < size as u64 {
            file.set_len(size as u64)?;
        }
        // SAFETY: a shared mapping of a file that is long enough and is never shortened.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut world = Self { map: map.cast(), file, slot: usize::MAX, epoch: 0, local: Mutex::new(()) };
        // SAFETY: mapped above, aligned to a page, and locked against the other processes.
        let shared = unsafe { &mut *world.map };
        if shared.ready != READY {
            shared.epoch = clock::monotonic();
            shared.ready = READY;
        }
        world.reap(shared);
        let slot = (0..PROCESSES).find(|slot| shared.processes[*slot].pid == 0);
        let Some(slot) = slot else { return Err(io::Error::other("too many processes")) };
        lock(&world.file, libc::F_WRLCK, libc::F_SETLK, LIFE_LOCKS + slot as i64)?;
        shared.processes[slot] = Process { pid: u64::from(std::process::id()), plain: [0; DEVICES] };
        world.slot = slot;
        world.epoch = shared.epoch;
        lock(&world.file, libc::F_UNLCK, libc::F_SETLK, STATE_LOCK)?;
        Ok(world)
    }

    /// Simulated nanoseconds since the devices came to be.
    pub fn now(&self) -> u64 {
        clock::since(self.epoch)
    }

    /// Takes both locks.
    pub fn lock(&self) -> Locked<'_> {
        let local = self.local.lock().unwrap_or_else(|e| e.into_inner());
        lock(&self.file, libc::F_WRLCK, libc::F_SETLKW, STATE_LOCK).expect("lock the shared state");
        Locked { world: self, _local: local }
    }

    /// Reclaims what dead processes left.
    fn reap(&self, shared: &mut Shared) {
        let dead: Vec<_> = (0..PROCESSES)
            .filter(|slot| *slot != self.slot && shared.processes[*slot].pid != 0)
            .filter(|slot| !is_locked(&self.file, LIFE_LOCKS + *slot as i64))
            .collect();
        if !dead.is_empty() {
            residency::bury(shared, &dead, clock::since(shared.epoch));
        }
    }
}

impl Locked<'_> {
    /// Reclaims what dead processes left.
    pub fn reap(&mut self) {
        let world = self.world;
        world.reap(self);
    }
}

impl std::ops::Deref for Locked<'_> {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        // SAFETY: mapped for the life of the process; both locks are held.
        unsafe { &*self.world.map }
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Shared {
        // SAFETY: as above, and the borrow of `self` is exclusive.
        unsafe { &mut *self.world.map }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = lock(&self.world.file, libc::F_UNLCK, libc::F_SETLK, STATE_LOCK);
    }
}

fn byte(kind: libc::c_int, at: i64) -> libc::flock {
    // SAFETY: a plain structure for which zeroes are valid.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = at;
    range.l_len = 1;
    range
}

fn lock(file: &File, kind: libc::c_int, how: libc::c_int, at: i64) -> io::Result<()> {
    let range = byte(kind, at);
    loop {
        // SAFETY: an open descriptor and a pointer to a local.
        if unsafe { libc::fcntl(file.as_raw_fd(), how, &range) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Whether another process holds the lock.
fn is_locked(file: &File, at: i64) -> bool {
    let mut range = byte(libc::F_WRLCK, at);
    // SAFETY: an open descriptor and a pointer to a local.
    let ok = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut range) } == 0;
    ok && i32::from(range.l_type) != libc::F_UNLCK
}
