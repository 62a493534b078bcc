//! Whether the scheduler admits this process: what `cuInit` and calls that make memory wait for.
use crate::sys::lock::{Condvar, Mutex, rank};
use crate::sys::sync::Deadline;
use nvshare_abi::CUresult;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The scheduler has not answered yet.
    #[default]
    Unknown,
    /// It is admitted, or there is no scheduler that could refuse it.
    Admitted,
    /// Refused: calls wait.
    Waits,
    /// Refused: calls fail.
    Fails,
}

#[derive(Debug, Default)]
pub struct Admission {
    state: Mutex<State, { rank::LEAF }>,
    changed: Condvar,
    /// Whether it is refused: for calls that would rather not take the lock.
    refused: AtomicBool,
}

impl Admission {
    fn set(&self, state: State) {
        let mut now = self.state.lock();
        *now = state;
        self.refused.store(matches!(state, State::Waits | State::Fails), Release);
        self.changed.notify_all();
    }

    pub fn admit(&self) {
        self.set(State::Admitted);
    }

    pub fn refuse(&self, fails: bool) {
        self.set(if fails { State::Fails } else { State::Waits });
    }

    /// The scheduler that refused is gone.
    pub fn forget_refusal(&self) {
        if self.refused.load(Acquire) {
            self.admit();
        }
    }

    /// Waits for the scheduler's first answer, but not for long.
    pub fn wait_for_answer(&self, bound: Duration) {
        let deadline = Deadline::after(bound);
        let mut state = self.state.lock();
        while *state == State::Unknown {
            let Some(left) = deadline.left() else { return };
            state = state.wait_timeout(&self.changed, left);
        }
    }

    /// Whether calls fail instead of waiting.
    pub fn fails(&self) -> bool {
        self.refused.load(Acquire) && *self.state.lock() == State::Fails
    }

    /// Waits for admission, if it has been refused: without it there is nobody who counts memory, or has swap space.
    ///
    /// # Errors
    /// `SYSTEM_NOT_READY` where the operator chose that calls fail.
    pub fn wait(&self) -> Result<(), CUresult> {
        if !self.refused.load(Acquire) {
            return Ok(());
        }
        let mut state = self.state.lock();
        while *state == State::Waits {
            state = state.wait(&self.changed);
        }
        if *state == State::Fails { Err(CUresult::ERROR_SYSTEM_NOT_READY) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn calls_wait_only_where_admission_was_refused() {
        let admission = Admission::default();
        assert_eq!(admission.wait(), Ok(()), "only cuInit waits for the first answer");
        admission.refuse(false);
        assert!(!admission.fails());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| admission.wait());
            admission.wait_for_answer(LONG);
            admission.admit();
            assert_eq!(waits.join().unwrap(), Ok(()));
            admission.refuse(false);
            let waits = scope.spawn(|| admission.wait());
            admission.refuse(true);
            assert_eq!(waits.join().unwrap(), Err(CUresult::ERROR_SYSTEM_NOT_READY));
        });
        assert!(admission.fails());
        admission.forget_refusal();
        assert!(!admission.fails());
        assert_eq!(admission.wait(), Ok(()));
    }
}
