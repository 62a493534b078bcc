//! The one place where the driver is called on the application's behalf.
use crate::entry::Entry;
use core::cell::Cell;
use nvshare_abi::CUresult;
use std::panic::{AssertUnwindSafe, catch_unwind};

mod turnstile;
pub use turnstile::{Passage, Turnstile};

/// What happens to one call of the application's.
#[must_use]
pub enum Gate<After> {
    /// Nothing to do with us.
    Pass,
    /// Goes to the driver; `After` sees the driver's answer and may change it.
    Admit(After),
    /// The driver never hears of this call: it has been answered, by refusal or by other means.
    Answer(CUresult),
}

/// The `After` of a policy that has none.
pub type Nothing = fn(CUresult) -> CUresult;
/// The `After` of a policy that has one for some calls, or several.
pub type Boxed = Box<dyn FnOnce(CUresult) -> CUresult>;

thread_local! { static INSIDE: Cell<bool> = const { Cell::new(false) }; }

/// Marks this thread as inside one of our calls; a driver that calls itself is let through unseen, for
/// it would wait at a gate whose shutting waits for it.
struct Inside;

impl Inside {
    #[inline]
    fn enter() -> Option<Self> {
        // Made only on success: its end clears the mark, which a call within a call must leave.
        INSIDE.try_with(|inside| (!inside.replace(true)).then(|| Inside)).ok().flatten()
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }
}

/// Asks `before` what to do, calls the driver at most once, and lets `After` see the result.
/// A panic of ours is never the customer's: the call then goes to the driver as if we were not here.
#[inline]
pub fn pass<After: FnOnce(CUresult) -> CUresult>(
    entry: Entry,
    driver: impl FnOnce() -> CUresult,
    before: impl FnOnce() -> Gate<After>,
) -> CUresult {
    let Some(_inside) = Inside::enter() else { return driver() };
    match catch_unwind(AssertUnwindSafe(before)) {
        Ok(Gate::Pass) => driver(),
        Ok(Gate::Answer(code)) => code,
        Ok(Gate::Admit(after)) => {
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
