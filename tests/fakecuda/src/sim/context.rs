//! Contexts: primary and made ones, and which is current on a thread.
use crate::settings::settings;
use crate::sim::process::{Inner, Process};
use nvshare_abi::CUresult;
use std::cell::RefCell;
use std::collections::BTreeMap;

pub struct Context {
    pub device: usize,
}

#[derive(Default)]
pub struct Contexts {
    pub live: BTreeMap<usize, Context>,
    /// By device: the handle, which every life of the primary context has, and how often it was retained.
    primary: BTreeMap<usize, (usize, u32)>,
}

impl Contexts {
    /// The device whose primary context has that handle, alive or not.
    pub fn primary_on(&self, handle: usize) -> Option<usize> {
        self.primary.iter().find(|(_, (known, _))| *known == handle).map(|(device, _)| *device)
    }

    /// Whether the device's primary context is alive.
    pub fn is_active(&self, device: usize) -> bool {
        self.primary.get(&device).is_some_and(|(handle, _)| self.live.contains_key(handle))
    }
}

thread_local! {
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The handle of the context that is current on this thread; 0 is none.
pub fn current() -> usize {
    CURRENT.try_with(|stack| stack.borrow().last().copied().unwrap_or(0)).unwrap_or(0)
}

/// Replaces the top of this thread's stack; 0 removes it.
pub fn set_current(context: usize) {
    CURRENT.with_borrow_mut(|stack| {
        stack.pop();
        if context != 0 {
            stack.push(context);
        }
    });
}

pub fn push(context: usize) {
    CURRENT.with_borrow_mut(|stack| stack.push(context));
}

pub fn pop() -> Option<usize> {
    CURRENT.with_borrow_mut(Vec::pop)
}

impl Inner {
    /// The current context and its device.
    pub fn context(&self) -> Result<(usize, usize), CUresult> {
        let current = current();
        match self.contexts.live.get(&current) {
            Some(context) => Ok((current, context.device)),
            None if current == 0 => Err(CUresult::ERROR_INVALID_CONTEXT),
            None => Err(CUresult::ERROR_CONTEXT_IS_DESTROYED),
        }
    }
}

impl Process {
    /// The current context and its device.
    pub fn context(&self) -> Result<(usize, usize), CUresult> {
        self.inner().context()
    }

    pub fn create_context(&self, device: usize) -> Result<usize, CUresult> {
        let handle = self.inner().handle();
        self.bring_to_life(handle, device)?;
        Ok(handle)
    }

    fn bring_to_life(&self, handle: usize, device: usize) -> Result<(), CUresult> {
        self.take(device, settings().context)?;
        self.inner().contexts.live.insert(handle, Context { device });
        Ok(())
    }

    /// Ends a context: waits for its work, then frees what it allocated; with `reset` also what it took of pools.
    pub fn destroy_context(&self, context: usize, reset: bool) -> Result<(), CUresult> {
        if !self.inner().contexts.live.contains_key(&context) {
            return Err(CUresult::ERROR_INVALID_CONTEXT);
        }
        let _ = self.synchronize(context);
        let allocations = self.inner().memory.of_context(context, reset);
        self.inner().arrays.forget(&allocations);
        for start in allocations {
            self.free(start)?;
        }
        let mut inner = self.inner();
        if let Some(Context { device }) = inner.contexts.live.remove(&context) {
            self.give(device, settings().context);
        }
        inner.streams.forget(context);
        inner.memory.peers.forget(context);
        Ok(())
    }

    pub fn retain_primary(&self, device: usize) -> Result<usize, CUresult> {
        let (known, active) = {
            let inner = self.inner();
            (inner.contexts.primary.get(&device).copied(), inner.contexts.is_active(device))
        };
        let (handle, count) = known.unwrap_or_else(|| (self.inner().handle(), 0));
        if !active {
            self.bring_to_life(handle, device)?;
        }
        self.inner().contexts.primary.insert(device, (handle, count + 1));
        Ok(handle)
    }

    pub fn release_primary(&self, device: usize) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let active = inner.contexts.is_active(device);
        let known = inner.contexts.primary.get_mut(&device).filter(|(_, count)| *count > 0);
        let (handle, count) = known.ok_or(CUresult::ERROR_INVALID_CONTEXT)?;
        *count -= 1;
        if *count > 0 || !active {
            return Ok(());
        }
        let handle = *handle;
        drop(inner);
        self.destroy_context(handle, true)
    }

    /// Ends the primary context whoever holds it. It stays retained, by CUDA's documentation.
    pub fn reset_primary(&self, device: usize) -> Result<(), CUresult> {
        let handle = {
            let inner = self.inner();
            inner
                .contexts
                .primary
                .get(&device)
                .filter(|_| inner.contexts.is_active(device))
                .map(|(handle, _)| *handle)
        };
        handle.map_or(Ok(()), |handle| self.destroy_context(handle, true))
    }
}
