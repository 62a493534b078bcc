//! What happens to one call of the application's: asks its handler, calls the driver at most once, and lets the handler
//! see the result. The one place where the driver is called on the application's behalf.
use crate::entry::Entry;
use core::cell::Cell;
use nvshare_abi::CUresult;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a handler decides about one call of the application's.
#[must_use]
pub enum Disposition<After> {
    /// Goes to the driver, and is nothing to us.
    Passthrough,
    /// Goes to the driver. `After` sees the driver's answer and may change it.
    Forward(After),
    /// Does not go to the driver: this is the application's answer.
    Complete(CUresult),
}

/// The `After` of a handler that has none.
pub type NoAfter = fn(CUresult) -> CUresult;
/// The `After` of a handler that has several kinds of them.
pub type BoxedAfter = Box<dyn FnOnce(CUresult) -> CUresult>;

thread_local! { static IN_CALL: Cell<bool> = const { Cell::new(false) }; }

/// Marks this thread as inside one of the application's calls. A driver that calls itself is let through unseen: it
/// would wait at a gate whose shutting waits for it.
struct InCall;

impl InCall {
    #[inline]
    fn enter() -> Option<Self> {
        // Made only on success: its end clears the mark, which a call within a call must leave.
        IN_CALL.try_with(|in_call| (!in_call.replace(true)).then(|| InCall)).ok().flatten()
    }
}

impl Drop for InCall {
    #[inline]
    fn drop(&mut self) {
        let _ = IN_CALL.try_with(|in_call| in_call.set(false));
    }
}

/// Asks `handler` what to do, calls the driver at most once, and lets `After` see the result.
/// A panic of ours is never the customer's: the call then goes to the driver as if we were not here.
#[inline]
pub fn call<After: FnOnce(CUresult) -> CUresult>(
    entry: Entry,
    driver: impl FnOnce() -> CUresult,
    handler: impl FnOnce() -> Disposition<After>,
) -> CUresult {
    let Some(_in_call) = InCall::enter() else { return driver() };
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Disposition::Passthrough) => driver(),
        Ok(Disposition::Complete(code)) => code,
        Ok(Disposition::Forward(after)) => {
            let result = driver();
            catch_unwind(AssertUnwindSafe(|| after(result))).unwrap_or(result)
        }
        Err(_) => {
            crate::sys::log::error!(
                "{}: a fault of nvshare's own; the call goes on without it",
                entry.name()
            );
            driver()
        }
    }
}
