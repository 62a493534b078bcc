//! The contexts of this process, and its devices.
#![allow(unsafe_code)] // it asks the driver for contexts and makes some
use super::context::Context;
use super::device::{Device, describe, is_primary_active};
use super::teardown::Endings;
use crate::driver;
use crate::sys::detached::{Detached, Transaction};
use crate::sys::lock::{Mutex, rank};
use crate::sys::waker::Waker;
use core::ptr::null_mut;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct Contexts {
    list: Mutex<Vec<Arc<Context>>, { rank::CONTEXT_LIST }>,
    /// Handles of contexts that have ended, or are about to. They may still be current on a thread, and the driver still
    /// says which device they are of.
    ended: Mutex<BTreeSet<usize>, { rank::LEAF }>,
    /// Green contexts and the contexts made of them.
    green: Mutex<Vec<(usize, usize)>, { rank::LEAF }>,
    devices: Mutex<Vec<Arc<Device>>, { rank::LEAF }>,
    /// How many of these there are.
    used: AtomicUsize,
    /// Whether the last attempt to bring memory to a device without a context failed, for another reason than room.
    unusable: AtomicBool,
    waker: Arc<Waker>,
    pub endings: Endings,
}

/// A context that the driver is about to destroy.
#[derive(Debug)]
pub struct DetachedContext<'a> {
    contexts: &'a Contexts,
    context: Arc<Context>,
}

impl Transaction for DetachedContext<'_> {
    fn commit(self) {}

    /// Others may still hold the one that was made invalid: a new one takes its place.
    fn rollback(self) {
        let removed = self.context;
        let again = Context::new(removed.raw, removed.device.clone());
        again.users.store(removed.users.load(Relaxed), Relaxed);
        self.contexts.ended.lock().remove(&removed.raw);
        let mut list = self.contexts.list.lock();
        list.retain(|context| context.raw != removed.raw);
        list.push(Arc::new(again));
    }
}

impl Contexts {
    /// `waker`: to be woken when a device is used for the first time.
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { waker, ..Self::default() }
    }

    /// The device at `ordinal`.
    pub fn device(&self, ordinal: CUdevice) -> Option<Arc<Device>> {
        let mut devices = self.devices.lock();
        if let Some(device) = devices.iter().find(|device| device.ordinal == ordinal) {
            return Some(device.clone());
        }
        let device = Arc::new(describe(ordinal)?);
        devices.push(device.clone());
        self.used.store(devices.len(), Relaxed);
        self.waker.wake();
        Some(device)
    }

    /// Whether this process uses more than one device.
    #[inline]
    pub fn are_several(&self) -> bool {
        self.used.load(Relaxed) > 1
    }

    /// Notes a context.
    pub fn add(&self, raw: CUcontext, ordinal: CUdevice) {
        let raw = raw as usize;
        let Some(device) = self.device(ordinal).filter(|_| raw != 0) else { return };
        self.ended.lock().remove(&raw);
        let mut list = self.list.lock();
        if !list.iter().any(|context| context.raw == raw) {
            list.push(Arc::new(Context::new(raw, device)));
        }
    }

    /// Notes one more user of a device's primary context.
    pub fn retain_primary(&self, raw: CUcontext, ordinal: CUdevice) {
        self.add(raw, ordinal);
        let list = self.list.lock();
        if let Some(context) = list.iter().find(|context| context.raw == raw as usize) {
            context.device.primary.store(context.raw, Relaxed);
            context.users.fetch_add(1, Relaxed);
        }
    }

    /// Forgets a context, before the driver destroys it; waits while we work in it.
    pub fn detach(&self, raw: CUcontext) -> Option<Detached<DetachedContext<'_>>> {
        let context = self.take(|context| context.raw == raw as usize)?;
        Some(Detached::new(DetachedContext { contexts: self, context }))
    }

    /// Notes what context was made of a green one.
    pub fn add_green(&self, green: CUgreenCtx, raw: CUcontext) {
        self.ended.lock().remove(&(raw as usize));
        self.green.lock().push((green as usize, raw as usize));
    }

    /// The contexts made of a green one.
    pub fn of_green(&self, green: CUgreenCtx) -> Vec<usize> {
        let all = self.green.lock();
        all.iter().filter(|(known, _)| *known == green as usize).map(|(_, raw)| *raw).collect()
    }

    /// A green context is gone.
    pub fn forget_green(&self, green: CUgreenCtx) {
        self.green.lock().retain(|(known, _)| *known != green as usize);
    }

    /// Forgets a device's primary context, before the driver ends it; waits while we work in it.
    pub fn detach_primary(&self, ordinal: CUdevice) -> Option<(usize, Detached<DetachedContext<'_>>)> {
        let context = self.take(|context| context.is_primary() && context.device.ordinal == ordinal)?;
        Some((context.raw, Detached::new(DetachedContext { contexts: self, context })))
    }

    /// Whether the primary context's next release is its last, so far as this process's own calls tell.
    pub fn is_last_user(&self, ordinal: CUdevice) -> bool {
        let list = self.list.lock();
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
            let mut list = self.list.lock();
            let at = list.iter().position(|context| which(context))?;
            self.ended.lock().insert(list[at].raw);
            list.swap_remove(at)
        };
        taken.invalidate();
        Some(taken)
    }

    /// The context of that handle, if we know it.
    pub fn named(&self, raw: usize) -> Option<Arc<Context>> {
        self.list.lock().iter().find(|context| context.raw == raw).cloned()
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
            // SAFETY: pushed above on this thread; the pointer is to a local.
            unsafe { driver::cuCtxPopCurrent_v2(&mut popped) };
            current
        })
    }

    pub fn all(&self) -> Vec<Arc<Context>> {
        self.list.lock().clone()
    }

    /// Whether no context takes work any more. Then no memory can be brought back, and no kernel misses it, and the
    /// application must see its error.
    pub fn are_broken(&self) -> bool {
        let all = self.all();
        if all.is_empty() {
            self.unusable.load(Relaxed)
        } else {
            all.iter().all(|context| context.is_broken())
        }
    }

    /// Notes whether memory could be brought to a device without a context.
    pub fn note_use(&self, done: Result<(), CUresult>) {
        self.unusable.store(done.is_err_and(|code| code != CUresult::ERROR_OUT_OF_MEMORY), Relaxed);
    }

    /// Whether no context is known to be alive.
    pub fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    pub fn devices(&self) -> Vec<Arc<Device>> {
        self.devices.lock().clone()
    }

    /// A context on the device, to work in.
    pub fn on(&self, device: DeviceId) -> Option<Arc<Context>> {
        self.list.lock().iter().find(|context| context.device.id == device).cloned()
    }

    /// Does `act` in a context of our own on the device, for memory that has outlived the application's contexts. Else the
    /// driver's error.
    pub fn lend<R>(&self, device: &Arc<Device>, act: impl FnOnce(&Context) -> R) -> Result<R, CUresult> {
        let (mut raw, mut popped): (CUcontext, CUcontext) = (null_mut(), null_mut());
        // SAFETY: pointers to locals. What is made is current on this thread, and taken off it at once.
        unsafe {
            driver::cuCtxCreate_v2(&mut raw, 0, device.ordinal).ok()?;
            driver::cuCtxPopCurrent_v2(&mut popped);
        }
        let context = Context::new_lent(raw as usize, device.clone());
        let done = act(&context);
        context.invalidate();
        // SAFETY: made above; nobody else knows of it.
        unsafe { driver::cuCtxDestroy_v2(raw) };
        Ok(done)
    }

    /// Whether the handle is of a context that has ended. A primary one may have been retained again where we did not
    /// see it.
    fn has_ended(&self, raw: usize) -> bool {
        if !self.ended.lock().contains(&raw) {
            return false;
        }
        let devices = self.devices();
        let primary_of = devices.iter().find(|device| device.primary.load(Relaxed) == raw);
        !primary_of.is_some_and(|device| is_primary_active(device.ordinal))
    }

    /// The context current on this thread, noted if it was made where we did not see it; none if it has ended.
    pub fn current(&self) -> Option<Arc<Context>> {
        let mut raw: CUcontext = null_mut();
        // SAFETY: the pointer is to a local.
        if unsafe { driver::cuCtxGetCurrent(&mut raw) } != CUresult::SUCCESS || raw.is_null() {
            return None;
        }
        let known = |list: &[Arc<Context>]| list.iter().find(|c| c.raw == raw as usize).cloned();
        if let Some(context) = known(&self.list.lock()) {
            return Some(context);
        }
        if self.has_ended(raw as usize) {
            return None;
        }
        let mut ordinal = 0;
        // SAFETY: a context is current and the pointer is to a local.
        if unsafe { driver::cuCtxGetDevice(&mut ordinal) } != CUresult::SUCCESS {
            return None;
        }
        self.add(raw, ordinal);
        known(&self.list.lock())
    }
}
