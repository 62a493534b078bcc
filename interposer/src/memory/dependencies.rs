//! What memory management needs of the rest of the library, handed in by `process.rs`.
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::sys::waker::Waker;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Dependencies {
    pub contexts: Arc<Contexts>,
    pub captures: Arc<Captures>,
    pub gate: Arc<Gate>,
    pub limits: Arc<Limits>,
    /// Wakes the agent.
    pub waker: Arc<Waker>,
}

#[cfg(test)]
impl Default for Dependencies {
    fn default() -> Self {
        Self {
            contexts: Arc::default(),
            captures: Arc::default(),
            gate: Arc::new(Gate::new_shut()),
            limits: Arc::new(Limits::new(None, true)),
            waker: Arc::default(),
        }
    }
}
