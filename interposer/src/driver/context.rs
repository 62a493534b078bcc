//! One context: working in it, and waiting for its work.
#![allow(unsafe_code)] // it enters contexts and records events
use super::captures::is_refusal;
use super::device::Device;
use super::kernel::OwnKernel;
use crate::driver;
use crate::sys::lock::{Mutex, MutexGuard, ReadGuard, RwLock, rank};
use core::ptr::null_mut;
use nvshare_abi::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One context, until it is destroyed.
#[derive(Debug)]
pub struct Context {
    pub(super) raw: usize,
    pub device: Arc<Device>,
    /// How often a primary context was retained and not released.
    pub(super) users: AtomicU32,
    /// Whether we have made it, for a moment.
    pub(super) lent: bool,
    /// Whether it still exists: read while we work or wait in it, written when it is to be destroyed.
    life: RwLock<bool, { rank::CONTEXT_LIFE }>,
    /// Held while we work in the context.
    inner: Mutex<Inner, { rank::CONTEXT_WORK }>,
}

/// What we make in a context when it is first needed.
#[derive(Debug, Default)]
struct Inner {
    /// Our own stream.
    stream: Option<usize>,
    /// Events that are not in use.
    events: Vec<usize>,
    /// One event for each [`Purpose`].
    recorded: [Option<usize>; 2],
    /// The kernel that looks at memory, once it was loaded; the driver's error if it cannot be had here.
    kernel: Option<Result<OwnKernel, CUresult>>,
}

/// Why all work of a context is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To wait for its end.
    Drain,
    /// To see how long it takes.
    Pace,
}

/// A context that is current on this thread until dropped.
pub struct Entered<'a> {
    inner: MutexGuard<'a, Inner>,
    _life: ReadGuard<'a, bool>,
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

    /// Our kernel in this context, if it has been loaded.
    pub fn kernel(&self) -> Option<OwnKernel> {
        self.inner.kernel?.ok()
    }

    /// Loads our kernel, if it is not there yet. What the driver refuses is not asked for again, unless there was no room,
    /// or a capture.
    ///
    /// # Errors
    /// The driver's.
    pub fn load_kernel(
        &mut self,
        load: impl FnOnce() -> Result<OwnKernel, CUresult>,
    ) -> Result<(), CUresult> {
        if self.inner.kernel.is_none() {
            let made = load();
            let passes = |code: CUresult| is_refusal(code) || code == CUresult::ERROR_OUT_OF_MEMORY;
            if made.is_err_and(passes) {
                return made.map(|_| ());
            }
            self.inner.kernel = Some(made);
        }
        self.inner.kernel.map_or(Ok(()), |kernel| kernel.map(|_| ()))
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

    /// Marks the point up to which our stream has been given work.
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

    /// Waits until the stream has reached the mark.
    pub fn reached(&mut self, mark: Mark, stream: CUstream) -> CUresult {
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

    pub(super) fn new(raw: usize, device: Arc<Device>) -> Self {
        let (users, life) = (AtomicU32::new(0), RwLock::new(true));
        Self { raw, device, users, lent: false, life, inner: Mutex::default() }
    }

    pub(super) fn new_lent(raw: usize, device: Arc<Device>) -> Self {
        Self { lent: true, ..Self::new(raw, device) }
    }

    /// Whether we have made it for a moment, and it ends after that.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// Whether our kernel was never asked for here, or is to be asked for again.
    pub fn lacks_kernel(&self) -> bool {
        self.inner.lock().kernel.is_none()
    }

    /// Alive until the guard is dropped; `None` once it is gone.
    fn alive(&self) -> Option<ReadGuard<'_, bool>> {
        Some(self.life.read()).filter(|alive| **alive)
    }

    /// Makes the context current on this thread; `None` once it is gone.
    pub fn enter(&self) -> Option<Entered<'_>> {
        let life = self.alive()?;
        let inner = self.inner.lock();
        // Made only on success: dropping it takes the context off this thread again.
        // SAFETY: the context is alive, and stays so while `life` is held.
        (unsafe { driver::cuCtxPushCurrent_v2(self.raw as CUcontext) } == CUresult::SUCCESS)
            .then(|| Entered { inner, _life: life })
    }

    /// Marks all work submitted in this context so far, whatever stream it is in. Not beside a capture: see
    /// [`super::captures`].
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
        let event = self.inner.lock().recorded[purpose as usize];
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
    pub(super) fn is_broken(&self) -> bool {
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

    pub(super) fn invalidate(&self) {
        *self.life.write() = false;
    }
}
