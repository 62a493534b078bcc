//! Waits for submitted work on a thread of its own: the driver's wait cannot be cancelled, ours can.
use crate::driver::captures::{self, is_refusal};
use crate::driver::context::{Context, Purpose};
use crate::process::Process;
use crate::sys::lock::{Condvar, Mutex, rank};
use crate::sys::sync::Deadline;
use crate::sys::thread;
use nvshare_abi::CUresult;
use std::sync::Arc;
use std::time::Duration;

/// A context with a capture that we did not see begin is asked again after this long: nothing tells of its end.
const CAPTURE_PAUSE: Duration = Duration::from_millis(2);

/// Waits for everything submitted in the context, between captures.
fn finish(process: &Process, context: &Context) {
    loop {
        process.captures.wait_for_none();
        match process.captures.while_none(|| context.record(Purpose::Drain)) {
            None => {}
            Some(CUresult::SUCCESS) => return context.finish(Purpose::Drain),
            // The driver is older than CUDA 12.5. A capture that is about to begin waits for us.
            Some(CUresult::ERROR_NOT_FOUND | CUresult::ERROR_NOT_SUPPORTED) => {
                match process.captures.while_none(|| context.synchronize()) {
                    Some(code) if is_refusal(code) => std::thread::sleep(CAPTURE_PAUSE),
                    Some(_) => return,
                    None => {}
                }
            }
            Some(code) if is_refusal(code) => std::thread::sleep(CAPTURE_PAUSE),
            // The application sees it at its own next call: a context in error has nothing unfinished.
            Some(_) => return,
        }
    }
}

/// A wait that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(u64);

#[derive(Debug, Default)]
struct Board {
    asked: u64,
    done: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Drain {
    board: Arc<(Mutex<Board, { rank::LEAF }>, Condvar)>,
}

impl Drain {
    pub fn spawn(process: &'static Process) -> std::io::Result<Self> {
        let drain = Self::default();
        let worker = drain.clone();
        thread::spawn("nvshare-drain", move || worker.work(process))?;
        Ok(drain)
    }

    fn work(&self, process: &'static Process) {
        captures::relax_mode();
        let (board, changed) = &*self.board;
        loop {
            let asked = {
                let mut guard = board.lock();
                while guard.asked == guard.done {
                    guard = guard.wait(changed);
                }
                guard.asked
            };
            process.contexts.all().iter().for_each(|context| finish(process, context));
            process.contexts.endings.wait_for_none();
            board.lock().done = asked;
            changed.notify_all();
            // So that idleness is judged at once.
            process.waker.wake();
        }
    }

    /// Begins to wait for everything submitted so far.
    pub fn begin(&self) -> Wait {
        let (board, changed) = &*self.board;
        let mut guard = board.lock();
        guard.asked += 1;
        changed.notify_all();
        Wait(guard.asked)
    }

    pub fn is_done(&self, wait: Wait) -> bool {
        self.board.0.lock().done >= wait.0
    }

    /// Waits for the wait; false after `bound`.
    #[must_use]
    pub fn finish(&self, wait: Wait, bound: Duration) -> bool {
        let (board, changed) = &*self.board;
        let deadline = Deadline::after(bound);
        let mut guard = board.lock();
        while guard.done < wait.0 {
            let Some(left) = deadline.left() else { return false };
            guard = guard.wait_timeout(changed, left);
        }
        true
    }
}
