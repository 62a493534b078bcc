//! Contexts that the driver is ending: what was submitted in them may still run.
use crate::sys::lock::{Condvar, Mutex, rank};

#[derive(Debug, Default)]
pub struct Endings {
    count: Mutex<usize, { rank::LEAF }>,
    none: Condvar,
}

/// While it lives the driver may be ending a context.
#[must_use]
#[derive(Debug)]
pub struct Ending<'a>(&'a Endings);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.none.notify_all();
    }
}

impl Endings {
    /// To be called before a context that is about to end is taken out of the list: a drain then waits for it here.
    pub fn begin(&self) -> Ending<'_> {
        *self.count.lock() += 1;
        Ending(self)
    }

    pub fn is_any(&self) -> bool {
        *self.count.lock() > 0
    }

    pub fn wait_for_none(&self) {
        let mut count = self.count.lock();
        while *count > 0 {
            count = count.wait(&self.none);
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
