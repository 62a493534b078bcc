//! Contexts that the driver is ending: what was submitted in them may still run.
use crate::sys::sync::ignore_poison;
use std::sync::{Condvar, Mutex};

#[derive(Debug, Default)]
pub struct Endings {
    count: Mutex<usize>,
    none: Condvar,
}

/// While it lives the driver may be ending a context.
#[must_use]
#[derive(Debug)]
pub struct Ending<'a>(&'a Endings);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *ignore_poison(self.0.count.lock()) -= 1;
        self.0.none.notify_all();
    }
}

impl Endings {
    /// To be called before a context that is about to end is taken out, so that its work is waited for in one way or
    /// the other.
    pub fn begin(&self) -> Ending<'_> {
        *ignore_poison(self.count.lock()) += 1;
        Ending(self)
    }

    pub fn is_any(&self) -> bool {
        *ignore_poison(self.count.lock()) > 0
    }

    pub fn wait_for_none(&self) {
        let mut count = ignore_poison(self.count.lock());
        while *count > 0 {
            count = ignore_poison(self.none.wait(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_endings_waits_for_all_of_them() {
        let endings = Endings::default();
        endings.wait_for_none();
        let both = (endings.begin(), endings.begin());
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                endings.wait_for_none();
                said.send(()).expect("the test listens");
            });
            drop(both.0);
            assert!(heard.recv_timeout(std::time::Duration::from_millis(20)).is_err(), "one is not over");
            drop(both.1);
            heard.recv().expect("it is over");
        });
    }
}
