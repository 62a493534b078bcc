//! The devices this process uses, and its contexts on them.
#![allow(unsafe_code)] // it asks the driver about devices and enters contexts
use crate::captures::is_refusal;
use crate::real::driver;
use crate::sys::sync::ignore_poison;
use core::ptr::null_mut;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

mod device;
mod ending;
use device::describe;
pub use device::{Device, is_primary_active};
pub use ending::{Ending, Endings};

/// One context, until it is destroyed.
#[derive(Debug)]
pub struct Context {
    raw: usize,
    pub device: Arc<Device>,
    /// How often a primary context was retained and not released.
    users: AtomicU32,
    /// Whether it is one that we have made for a moment.
    lent: bool,
    /// Whether it still exists: read while we work or wait in it, written when it is to be destroyed.
    life: RwLock<bool>,
    /// Held while we work in the context.
    inner: Mutex<Inner>,
}

/// What we have made in a context, at first need.
#[derive(Debug, Default)]
struct Inner {
    /// Our own stream.
    stream: Option<usize>,
    /// Events that are free.
    events: Vec<usize>,
    /// One event for each [`Purpose`].
    recorded: [Option<usize>; 2],
}

/// Why all work of a context is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To wait for its end.
    Drain,
    /// To see how long it takes.
    Pace,
}

#[derive(Debug, Default)]
pub struct Contexts {
    list: Mutex<Vec<Arc<Context>>>,
    /// Handles of contexts that have ended, or are about to: they may still be current on a thread, and the driver says
    /// of which device they are.
    ended: Mutex<BTreeSet<usize>>,
    /// Green contexts and the contexts made of them.
    green: Mutex<Vec<(usize, usize)>>,
    devices: Mutex<Vec<Arc<Device>>>,
    /// How many of these there are.
    used: AtomicUsize,
    /// Whether memory could last not be brought to a device without a context, and not for want of room.
    unusable: AtomicBool,
    pub endings: Endings,
}

/// A context that is current on this thread until dropped.
pub struct Entered<'a> {
    inner: MutexGuard<'a, Inner>,
    _life: RwLockReadGuard<'a, bool>,
}

/// A point in a stream of ours.
#[derive(Clone, Copy, Debug)]
pub struct Mark(Option<usize>);

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

    fn event(&mut self) -> Result<usize, CUresult> {
        if let Some(event) = self.inner.events.pop() {
            return Ok(event);
        }
        let mut event: CUevent = null_mut();
        // A thread that waits for it sleeps, and does not take a core from the application.
        // SAFETY: the context is current and the pointer is to a local.
        match unsafe { driver::cuEventCreate(&mut event, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC) } {
            CUresult::SUCCESS => Ok(event as usize),
            code => Err(code),
        }
    }

    /// Marks the point that our stream has been given work to.
    pub fn mark(&mut self, stream: CUstream) -> Mark {
        let Ok(event) = self.event() else { return Mark(None) };
        // SAFETY: an event and a stream of the context that is current.
        match unsafe { driver::cuEventRecord(event as CUevent, stream) } {
            CUresult::SUCCESS => Mark(Some(event)),
            _ => {
                self.inner.events.push(event);
                Mark(None)
            }
        }
    }

    /// Waits until the stream has passed the mark.
    pub fn passed(&mut self, mark: Mark, stream: CUstream) -> CUresult {
        let Some(event) = mark.0 else {
            // SAFETY: our own stream of the context that is current.
            return unsafe { driver::cuStreamSynchronize(stream) };
        };
        self.inner.events.push(event);
        // SAFETY: an event of ours that was recorded.
        unsafe { driver::cuEventSynchronize(event as CUevent) }
    }
}

impl Context {
    pub fn raw(&self) -> usize {
        self.raw
    }

    fn new(raw: usize, device: Arc<Device>) -> Self {
        let (users, life) = (AtomicU32::new(0), RwLock::new(true));
        Self { raw, device, users, lent: false, life, inner: Mutex::default() }
    }

    /// Whether it ends as soon as what it was made for is done.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// Alive until the guard is dropped; `None` once it is gone.
    fn alive(&self) -> Option<RwLockReadGuard<'_, bool>> {
        Some(ignore_poison(self.life.read())).filter(|alive| **alive)
    }

    /// Makes the context current on this thread; `None` once it is gone.
    pub fn enter(&self) -> Option<Entered<'_>> {
        let life = self.alive()?;
        let inner = ignore_poison(self.inner.lock());
        // Made only on success: its end takes the context off this thread again.
        // SAFETY: the context is alive, and stays so while `life` is held.
        (unsafe { driver::cuCtxPushCurrent_v2(self.raw as CUcontext) } == CUresult::SUCCESS)
            .then(|| Entered { inner, _life: life })
    }

    /// Marks all work submitted in this context so far, whatever stream it is in. Not beside a capture: see
    /// [`crate::captures`].
    pub fn record(&self, purpose: Purpose) -> CUresult {
        let Some(mut entered) = self.enter() else { return CUresult::ERROR_CONTEXT_IS_DESTROYED };
        let event = match entered.inner.recorded[purpose as usize] {
            Some(event) => event,
            None => match entered.event() {
                Ok(event) => event,
                Err(code) => return code,
            },
        };
        entered.inner.recorded[purpose as usize] = Some(event);
        // SAFETY: a live context and an event of it.
        unsafe { driver::cuCtxRecordEvent(self.raw as CUcontext, event as CUevent) }
    }

    /// Asks (`cuEventQuery`) or waits (`cuEventSynchronize`) for what was last recorded, without keeping others out.
    fn recorded(&self, purpose: Purpose, ask: unsafe fn(CUevent) -> CUresult) -> CUresult {
        let Some(_life) = self.alive() else { return CUresult::SUCCESS };
        let event = ignore_poison(self.inner.lock()).recorded[purpose as usize];
        // SAFETY: an event of a live context.
        event.map_or(CUresult::SUCCESS, |event| unsafe { ask(event as CUevent) })
    }

    /// Whether what was last recorded is still unfinished.
    pub fn is_unfinished(&self, purpose: Purpose) -> bool {
        self.recorded(purpose, driver::cuEventQuery) == CUresult::ERROR_NOT_READY
    }

    /// Waits for the end of what was last recorded. A context in error has nothing unfinished.
    pub fn finish(&self, purpose: Purpose) {
        self.recorded(purpose, driver::cuEventSynchronize);
    }

    /// Waits for all work submitted in this context, without keeping others out.
    pub fn synchronize(&self) -> CUresult {
        // SAFETY: no arguments; a context is current.
        self.within(|| unsafe { driver::cuCtxSynchronize() }).unwrap_or(CUresult::SUCCESS)
    }

    /// Does `act` while this context is current on this thread, without keeping others out; the driver's error if it
    /// cannot be, none if it is gone.
    pub fn within(&self, act: impl FnOnce() -> CUresult) -> Option<CUresult> {
        let _life = self.alive()?;
        // SAFETY: the context is alive while `_life` is held.
        let pushed = unsafe { driver::cuCtxPushCurrent_v2(self.raw as CUcontext) };
        if pushed != CUresult::SUCCESS {
            return Some(pushed);
        }
        let done = act();
        let mut popped = null_mut();
        // SAFETY: pushed above, on this thread.
        unsafe { driver::cuCtxPopCurrent_v2(&mut popped) };
        Some(done)
    }

    /// Whether the driver refuses all work here since an error of the application's.
    fn is_broken(&self) -> bool {
        let Some(mut entered) = self.enter() else { return false };
        let code = match entered.stream() {
            // SAFETY: our own stream of the context that is current.
            Ok(stream) => unsafe { driver::cuStreamQuery(stream) },
            Err(code) => code,
        };
        code != CUresult::SUCCESS && code != CUresult::ERROR_NOT_READY && !is_refusal(code)
    }

    /// Whether it is known to be its device's primary context.
    pub fn is_primary(&self) -> bool {
        self.device.primary.load(Relaxed) == self.raw
    }

    fn bury(&self) {
        *ignore_poison(self.life.write()) = false;
    }
}

impl Contexts {
    /// The device at `ordinal`, and whether this is the first time that it is used.
    pub fn device(&self, ordinal: CUdevice) -> Option<(Arc<Device>, bool)> {
        let mut devices = ignore_poison(self.devices.lock());
        if let Some(device) = devices.iter().find(|device| device.ordinal == ordinal) {
            return Some((device.clone(), false));
        }
        let device = Arc::new(describe(ordinal)?);
        devices.push(device.clone());
        self.used.store(devices.len(), Relaxed);
        Some((device, true))
    }

    /// Whether this process uses more than one device.
    #[inline]
    pub fn are_several(&self) -> bool {
        self.used.load(Relaxed) > 1
    }

    /// Notes a context; true if its device is new to us.
    pub fn add(&self, raw: CUcontext, ordinal: CUdevice) -> bool {
        let raw = raw as usize;
        let Some((device, new)) = self.device(ordinal).filter(|_| raw != 0) else { return false };
        ignore_poison(self.ended.lock()).remove(&raw);
        let mut list = ignore_poison(self.list.lock());
        if !list.iter().any(|context| context.raw == raw) {
            list.push(Arc::new(Context::new(raw, device)));
        }
        new
    }

    /// Notes one more user of a device's primary context; true if the device is new to us.
    pub fn retain_primary(&self, raw: CUcontext, ordinal: CUdevice) -> bool {
        let new = self.add(raw, ordinal);
        let list = ignore_poison(self.list.lock());
        if let Some(context) = list.iter().find(|context| context.raw == raw as usize) {
            context.device.primary.store(context.raw, Relaxed);
            context.users.fetch_add(1, Relaxed);
        }
        new
    }

    /// Forgets a context, before the driver destroys it; waits while we work in it.
    pub fn remove(&self, raw: CUcontext) -> Option<Arc<Context>> {
        self.take(|context| context.raw == raw as usize)
    }

    /// The driver has not destroyed what was removed.
    pub fn put_back(&self, removed: &Context) {
        let again = Context::new(removed.raw, removed.device.clone());
        again.users.store(removed.users.load(Relaxed), Relaxed);
        ignore_poison(self.ended.lock()).remove(&removed.raw);
        let mut list = ignore_poison(self.list.lock());
        list.retain(|context| context.raw != removed.raw);
        list.push(Arc::new(again));
    }

    /// Notes what context was made of a green one.
    pub fn add_green(&self, green: CUgreenCtx, raw: CUcontext) {
        ignore_poison(self.ended.lock()).remove(&(raw as usize));
        ignore_poison(self.green.lock()).push((green as usize, raw as usize));
    }

    /// The contexts made of a green one.
    pub fn of_green(&self, green: CUgreenCtx) -> Vec<usize> {
        let all = ignore_poison(self.green.lock());
        all.iter().filter(|(known, _)| *known == green as usize).map(|(_, raw)| *raw).collect()
    }

    /// A green context is gone.
    pub fn forget_green(&self, green: CUgreenCtx) {
        ignore_poison(self.green.lock()).retain(|(known, _)| *known != green as usize);
    }

    /// Forgets a device's primary context, before the driver ends it; waits while we work in it.
    pub fn remove_primary(&self, ordinal: CUdevice) -> Option<Arc<Context>> {
        self.take(|context| context.is_primary() && context.device.ordinal == ordinal)
    }

    /// Whether the primary context's next release is its last, so far as this process's own calls tell.
    pub fn is_last_user(&self, ordinal: CUdevice) -> bool {
        let list = ignore_poison(self.list.lock());
        let Some(primary) = list.iter().find(|c| c.is_primary() && c.device.ordinal == ordinal) else {
            return false;
        };
        primary
            .users
            .fetch_update(Relaxed, Relaxed, |users| Some(users.saturating_sub(1)))
            .is_ok_and(|users| users <= 1)
    }

    fn take(&self, which: impl Fn(&Context) -> bool) -> Option<Arc<Context>> {
        let taken = {
            let mut list = ignore_poison(self.list.lock());
            let at = list.iter().position(|context| which(context))?;
            ignore_poison(self.ended.lock()).insert(list[at].raw);
            list.swap_remove(at)
        };
        taken.bury();
        Some(taken)
    }

    /// The context of that handle, if we know it.
    pub fn named(&self, raw: usize) -> Option<Arc<Context>> {
        ignore_poison(self.list.lock()).iter().find(|context| context.raw == raw).cloned()
    }

    /// The context of that handle, noted if it was made where we did not see it.
    pub fn known(&self, raw: CUcontext) -> Option<Arc<Context>> {
        let known = self.named(raw as usize);
        known.or_else(|| {
            let mut popped = null_mut();
            // SAFETY: the application's own handle, which the driver checks; it is popped where it was pushed.
            if unsafe { driver::cuCtxPushCurrent_v2(raw) } != CUresult::SUCCESS {
                return None;
            }
            let current = self.current();
            // SAFETY: as above.
            unsafe { driver::cuCtxPopCurrent_v2(&mut popped) };
            current.map(|(context, _)| context)
        })
    }

    pub fn all(&self) -> Vec<Arc<Context>> {
        ignore_poison(self.list.lock()).clone()
    }

    /// Whether no context takes work any more: then no memory can be brought back, and no kernel misses it. The
    /// application must get to hear of its error.
    pub fn are_broken(&self) -> bool {
        let all = self.all();
        if all.is_empty() {
            self.unusable.load(Relaxed)
        } else {
            all.iter().all(|context| context.is_broken())
        }
    }

    /// What the driver has said of memory on a device without a context.
    pub fn note_use(&self, done: Result<(), CUresult>) {
        self.unusable.store(done.is_err_and(|code| code != CUresult::ERROR_OUT_OF_MEMORY), Relaxed);
    }

    /// Whether no context is known to be alive.
    pub fn is_empty(&self) -> bool {
        ignore_poison(self.list.lock()).is_empty()
    }

    pub fn devices(&self) -> Vec<Arc<Device>> {
        ignore_poison(self.devices.lock()).clone()
    }

    /// A context on the device, to work in.
    pub fn on(&self, device: DeviceId) -> Option<Arc<Context>> {
        ignore_poison(self.list.lock()).iter().find(|context| context.device.id == device).cloned()
    }

    /// Does `act` in a context of our own on the device: for memory that has outlived the application's. The driver's
    /// error if there can be none.
    pub fn lend<R>(&self, device: &Arc<Device>, act: impl FnOnce(&Context) -> R) -> Result<R, CUresult> {
        let (mut raw, mut popped): (CUcontext, CUcontext) = (null_mut(), null_mut());
        // SAFETY: pointers to locals. What is made is current on this thread, and taken off it at once.
        unsafe {
            driver::cuCtxCreate_v2(&mut raw, 0, device.ordinal).ok()?;
            driver::cuCtxPopCurrent_v2(&mut popped);
        }
        let context = Context { lent: true, ..Context::new(raw as usize, device.clone()) };
        let done = act(&context);
        context.bury();
        // SAFETY: made above; nobody else knows of it.
        unsafe { driver::cuCtxDestroy_v2(raw) };
        Ok(done)
    }

    /// Whether the handle is of a context that has ended. A primary one may have been retained again where we did not
    /// see it.
    fn has_ended(&self, raw: usize) -> bool {
        if !ignore_poison(self.ended.lock()).contains(&raw) {
            return false;
        }
        let devices = self.devices();
        let primary_of = devices.iter().find(|device| device.primary.load(Relaxed) == raw);
        !primary_of.is_some_and(|device| is_primary_active(device.ordinal))
    }

    /// The context current on this thread, noted if it was made where we did not see it; none if it has ended. The
    /// flag says whether its device is new to us.
    pub fn current(&self) -> Option<(Arc<Context>, bool)> {
        let mut raw: CUcontext = null_mut();
        // SAFETY: the pointer is to a local.
        if unsafe { driver::cuCtxGetCurrent(&mut raw) } != CUresult::SUCCESS || raw.is_null() {
            return None;
        }
        let known = |list: &[Arc<Context>]| list.iter().find(|c| c.raw == raw as usize).cloned();
        if let Some(context) = known(&ignore_poison(self.list.lock())) {
            return Some((context, false));
        }
        if self.has_ended(raw as usize) {
            return None;
        }
        let mut ordinal = 0;
        // SAFETY: a context is current and the pointer is to a local.
        if unsafe { driver::cuCtxGetDevice(&mut ordinal) } != CUresult::SUCCESS {
            return None;
        }
        let new = self.add(raw, ordinal);
        known(&ignore_poison(self.list.lock())).map(|context| (context, new))
    }
}
