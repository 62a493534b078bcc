//! What happens to one call of the application's: asks its handler, calls the driver at most once, and lets the handler
//! see the result. The one place where the driver is called on the application's behalf.
use crate::process::{self, Process};
use crate::symbols::entry::Entry;
use core::cell::Cell;
use nvshare_abi::CUresult;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a handler decides about one call of the application's.
#[must_use]
pub enum Disposition<After> {
    /// Goes to the driver as if we were not here.
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

/// Marks this thread as inside one of the application's calls. A driver that calls itself is let through unmanaged: it
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

/// What a handler needs of a call, its first argument.
pub trait FromCall: Sized {
    /// None where there is no such thing: the call then goes to the driver unmanaged.
    fn from_call(entry: Entry) -> Option<Self>;
}

/// For handlers that act before CUDA is initialised, and on nothing of ours.
impl FromCall for Entry {
    #[inline]
    fn from_call(entry: Entry) -> Option<Self> {
        Some(entry)
    }
}

impl FromCall for &'static Process {
    #[inline]
    fn from_call(_: Entry) -> Option<Self> {
        process::current()
    }
}

/// For handlers of several entries that are not quite alike.
#[derive(Clone, Copy)]
pub struct Call {
    pub process: &'static Process,
    pub entry: Entry,
}

impl FromCall for Call {
    #[inline]
    fn from_call(entry: Entry) -> Option<Self> {
        process::current().map(|process| Self { process, entry })
    }
}

/// Asks `handler` what to do, calls the driver at most once, and lets `After` see the result.
/// A panic of ours is never the application's: the call then goes to the driver as if we were not here.
#[inline]
pub fn call<Needs: FromCall, After: FnOnce(CUresult) -> CUresult>(
    entry: Entry,
    driver: impl FnOnce() -> CUresult,
    handler: impl FnOnce(Needs) -> Disposition<After>,
) -> CUresult {
    let Some(_in_call) = InCall::enter() else { return driver() };
    let Some(needs) = Needs::from_call(entry) else { return driver() };
    match catch_unwind(AssertUnwindSafe(|| handler(needs))) {
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
