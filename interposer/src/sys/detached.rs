//! State that is taken out before the driver is asked to end what it describes.
//!
//! Once the driver has ended an object, its handle and its addresses may be given to somebody else at once, before our
//! code runs again. So what we know of the object is taken out first. If the driver succeeds, what was taken out is
//! given up (commit); if it refuses, it is put back (rollback). One of both must follow.

/// What was taken out, and how either end is reached.
pub trait Transaction {
    /// The object is gone.
    fn commit(self);
    /// The object has stayed.
    fn rollback(self);
}

/// Something taken out that is not decided yet.
#[must_use = "it must be committed or rolled back"]
#[derive(Debug)]
pub struct Detached<T: Transaction>(Option<T>);

impl<T: Transaction> Detached<T> {
    pub fn new(taken: T) -> Self {
        Self(Some(taken))
    }

    /// Decides by the driver's answer: whether the object is gone.
    pub fn settle(self, gone: bool) {
        if gone { self.commit() } else { self.rollback() }
    }

    pub fn commit(mut self) {
        if let Some(taken) = self.0.take() {
            taken.commit();
        }
    }

    pub fn rollback(mut self) {
        if let Some(taken) = self.0.take() {
            taken.rollback();
        }
    }
}

/// In release builds what was forgotten stays taken out: the driver's state is unknown then.
impl<T: Transaction> Drop for Detached<T> {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        if self.0.is_some() && !std::thread::panicking() {
            let what = std::any::type_name::<T>();
            crate::sys::fault::fault(&format!("{what} was neither committed nor rolled back"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Counted<'a>(&'a Cell<i32>);

    impl Transaction for Counted<'_> {
        fn commit(self) {
            self.0.set(self.0.get() + 10);
        }
        fn rollback(self) {
            self.0.set(self.0.get() - 1);
        }
    }

    #[test]
    fn each_end_is_reached_once() {
        let sum = Cell::new(0);
        Detached::new(Counted(&sum)).commit();
        assert_eq!(sum.get(), 10);
        Detached::new(Counted(&sum)).rollback();
        assert_eq!(sum.get(), 9);
        Detached::new(Counted(&sum)).settle(true);
        assert_eq!(sum.get(), 19);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "neither committed nor rolled back")]
    fn what_is_left_undecided_is_noticed() {
        let sum = Cell::new(0);
        drop(Detached::new(Counted(&sum)));
    }
}
