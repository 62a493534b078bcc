//! Says to the host's other daemons which GPUs this one serves, and notices that another one serves them too.
//!
//! All daemons lock one file, each GPU at a place that its UUID gives. The kernel names the process that has a lock, and
//! drops the locks of one that ends.
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The GPUs that this daemon serves.
#[derive(Debug, Default)]
pub struct Served {
    /// None: no daemon says anything here. Closed, all locks would be gone.
    file: Option<File>,
    locked: BTreeSet<DeviceId>,
    /// The last daemon that was met at a GPU.
    met: Option<(DeviceId, i32)>,
}

impl Served {
    /// Says it in `file`, which is made if its directory is there.
    #[must_use]
    pub fn say_in(file: &Path) -> Self {
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(file);
        if let Err(error) = &opened {
            tracing::debug!(
                "{}: {error}: whether another nvshare-scheduler serves the same GPUs cannot be known",
                file.display()
            );
        }
        Self { file: opened.ok(), ..Self::default() }
    }

    /// This daemon serves the GPU from now on. The process of another daemon that does, if that is news.
    pub fn begin(&mut self, device: DeviceId) -> Option<i32> {
        let file = self.file.as_ref().filter(|_| !self.locked.contains(&device))?;
        let mut lock = lock(device, libc::F_WRLCK);
        match fcntl(file, FcntlArg::F_SETLK(&lock)) {
            Ok(_) => {
                self.locked.insert(device);
                None
            }
            Err(Errno::EACCES | Errno::EAGAIN) => {
                fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
                let other = (device, lock.l_pid);
                let is_news = lock.l_type != libc::F_UNLCK as libc::c_short && self.met != Some(other);
                self.met = Some(other);
                is_news.then_some(lock.l_pid)
            }
            Err(_) => None,
        }
    }

    /// It serves it no more.
    pub fn end(&mut self, device: DeviceId) {
        if let Some(file) = self.file.as_ref().filter(|_| self.locked.remove(&device)) {
            let _ = fcntl(file, FcntlArg::F_SETLK(&lock(device, libc::F_UNLCK)));
        }
    }
}

/// A lock of one byte, at the place of the device.
fn lock(DeviceId(uuid): DeviceId, kind: libc::c_int) -> libc::flock {
    let place = uuid.iter().fold(0u64, |place, byte| place.rotate_left(7) ^ u64::from(*byte));
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (place >> 2).cast_signed(),
        l_len: 1,
        l_pid: 0,
    }
}
