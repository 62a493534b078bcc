//! The devices this process uses, and its contexts on them.
#![allow(unsafe_code)] // it asks the driver about devices and enters contexts
use crate::gate::now_or_never;
use crate::real::driver;
use core::ptr::null_mut;
use nvshare_abi::*;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug)]
pub struct Device {
    pub ordinal: CUdevice,
    pub id: DeviceId,
    pub capacity: Bytes,
    pub name: String,
    /// Whether managed memory can be prefetched on this device.
    pub movable: bool,
    /// The handle of its primary context, which the driver gives out again after a reset.
    primary: AtomicUsize,
}

/// One context, until it is destroyed.
#[derive(Debug)]
pub struct Context {
    raw: usize,
    pub device: Arc<Device>,
    /// How often a primary context was retained and not released.
    users: AtomicU32,
    /// Held while we work in the context, and while it is being destroyed.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    alive: bool,
    /// Our own stream in it, made at first need.
    stream: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Contexts {
    list: Mutex<Vec<Arc<Context>>>,
    devices: Mutex<Vec<Arc<Device>>>,
}

/// A context that is current on this thread until dropped.
pub struct Entered<'a> {
    inner: MutexGuard<'a, Inner>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut popped = null_mut();
        // SAFETY: `enter` has pushed the context on this thread, and this value is not Send.
        unsafe { driver::cuCtxPopCurrent_v2(&mut popped) };
    }
}

impl Entered<'_> {
    /// Our own stream in this context, not ordered with the application's default stream.
    ///
    /// # Errors
    /// What the driver says when it cannot make one.
    pub fn stream(&mut self) -> Result<CUstream, CUresult> {
        if let Some(stream) = self.inner.stream {
            return Ok(stream as CUstream);
        }
        let mut stream: CUstream = null_mut();
        // SAFETY: the context is current and the pointer is to a local.
        match unsafe { driver::cuStreamCreate(&mut stream, CU_STREAM_NON_BLOCKING) } {
            CUresult::SUCCESS => {
                self.inner.stream = Some(stream as usize);
                Ok(stream)
            }
            code => Err(code),
        }
    }

    /// Waits for all work submitted in this context.
    pub fn synchronize(&self) -> CUresult {
        // SAFETY: the context is current.
        unsafe { driver::cuCtxSynchronize() }
    }
}

impl Context {
    pub fn raw(&self) -> usize {
        self.raw
    }

    /// Makes the context current on this thread; `None` once it is gone.
    pub fn enter(&self) -> Option<Entered<'_>> {
        let inner = now_or_never(self.inner.lock());
        if !inner.alive {
            return None;
        }
        // SAFETY: the context is alive, and stays so while `inner` is locked.
        (unsafe { driver::cuCtxPushCurrent_v2(self.raw as CUcontext) } == CUresult::SUCCESS)
            .then_some(Entered { inner })
    }

    fn is_primary(&self) -> bool {
        self.device.primary.load(Relaxed) == self.raw
    }

    fn bury(&self) {
        now_or_never(self.inner.lock()).alive = false;
    }
}

fn describe(ordinal: CUdevice) -> Option<Device> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    let (mut capacity, mut movable, mut name) = (0, 0, [0; 96]);
    // SAFETY: every pointer is to a local of the type and length that the call is given.
    let known = unsafe {
        let mut code = driver::cuDeviceGetUuid_v2(&mut uuid, ordinal);
        if code == CUresult::ERROR_NOT_FOUND {
            code = driver::cuDeviceGetUuid(&mut uuid, ordinal);
        }
        driver::cuDeviceGetAttribute(&mut movable, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, ordinal);
        driver::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, ordinal);
        code == CUresult::SUCCESS && driver::cuDeviceTotalMem_v2(&mut capacity, ordinal) == CUresult::SUCCESS
    };
    let name: Vec<u8> = name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    known.then(|| Device {
        ordinal,
        id: DeviceId(uuid.bytes.map(|byte| byte as u8)),
        capacity: Bytes(capacity as u64),
        name: String::from_utf8_lossy(&name).into_owned(),
        movable: movable != 0,
        primary: AtomicUsize::new(0),
    })
}

impl Contexts {
    /// The device at `ordinal`, and whether this is the first time that it is used.
    fn device(&self, ordinal: CUdevice) -> Option<(Arc<Device>, bool)> {
        let mut devices = now_or_never(self.devices.lock());
        if let Some(device) = devices.iter().find(|device| device.ordinal == ordinal) {
            return Some((device.clone(), false));
        }
        let device = Arc::new(describe(ordinal)?);
        devices.push(device.clone());
        Some((device, true))
    }

    /// Notes a context; true if its device is new to us.
    pub fn add(&self, raw: CUcontext, ordinal: CUdevice) -> bool {
        let raw = raw as usize;
        let Some((device, new)) = self.device(ordinal).filter(|_| raw != 0) else { return false };
        let mut list = now_or_never(self.list.lock());
        if !list.iter().any(|context| context.raw == raw) {
            let inner = Mutex::new(Inner { alive: true, stream: None });
            list.push(Arc::new(Context { raw, device, users: AtomicU32::new(0), inner }));
        }
        new
    }

    /// Notes one more user of a device's primary context; true if the device is new to us.
    pub fn retain_primary(&self, raw: CUcontext, ordinal: CUdevice) -> bool {
        let new = self.add(raw, ordinal);
        let list = now_or_never(self.list.lock());
        if let Some(context) = list.iter().find(|context| context.raw == raw as usize) {
            context.device.primary.store(context.raw, Relaxed);
            context.users.fetch_add(1, Relaxed);
        }
        new
    }

    /// Forgets a context, before the driver destroys it; waits while we work in it.
    pub fn remove(&self, raw: CUcontext) {
        self.take(|context| context.raw == raw as usize);
    }

    /// Forgets a device's primary context, and says which it was.
    pub fn remove_primary(&self, ordinal: CUdevice) -> Option<usize> {
        self.take(|context| context.is_primary() && context.device.ordinal == ordinal)
    }

    /// Whether the primary context's next release is its last, so far as this process's own calls tell.
    pub fn is_last_user(&self, ordinal: CUdevice) -> bool {
        let list = now_or_never(self.list.lock());
        let Some(primary) = list.iter().find(|c| c.is_primary() && c.device.ordinal == ordinal) else {
            return false;
        };
        primary
            .users
            .fetch_update(Relaxed, Relaxed, |users| Some(users.saturating_sub(1)))
            .is_ok_and(|users| users <= 1)
    }

    fn take(&self, which: impl Fn(&Context) -> bool) -> Option<usize> {
        let taken = {
            let mut list = now_or_never(self.list.lock());
            let at = list.iter().position(|context| which(context))?;
            list.swap_remove(at)
        };
        taken.bury();
        Some(taken.raw)
    }

    pub fn all(&self) -> Vec<Arc<Context>> {
        now_or_never(self.list.lock()).clone()
    }

    pub fn devices(&self) -> Vec<Arc<Device>> {
        now_or_never(self.devices.lock()).clone()
    }

    /// A context on the device, to work in.
    pub fn on(&self, device: DeviceId) -> Option<Arc<Context>> {
        now_or_never(self.list.lock()).iter().find(|context| context.device.id == device).cloned()
    }

    /// The context current on this thread, noted if it was made where we did not see it; the flag says
    /// whether its device is new to us.
    pub fn current(&self) -> Option<(Arc<Context>, bool)> {
        let mut raw: CUcontext = null_mut();
        // SAFETY: the pointer is to a local.
        if unsafe { driver::cuCtxGetCurrent(&mut raw) } != CUresult::SUCCESS || raw.is_null() {
            return None;
        }
        let known = |list: &[Arc<Context>]| list.iter().find(|c| c.raw == raw as usize).cloned();
        if let Some(context) = known(&now_or_never(self.list.lock())) {
            return Some((context, false));
        }
        let mut ordinal = 0;
        // SAFETY: a context is current and the pointer is to a local.
        if unsafe { driver::cuCtxGetDevice(&mut ordinal) } != CUresult::SUCCESS {
            return None;
        }
        let new = self.add(raw, ordinal);
        known(&now_or_never(self.list.lock())).map(|context| (context, new))
    }
}
