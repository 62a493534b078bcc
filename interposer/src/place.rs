//! Whether the scheduler has a place for this process: what `cuInit` and calls that make memory wait for.
use crate::sys::sync::ignore_poison;
use nvshare_abi::CUresult;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    /// The scheduler has not spoken yet.
    #[default]
    None,
    /// There is one, or no scheduler that could refuse it.
    Given,
    /// There is none: calls wait.
    Waits,
    /// There is none: calls fail.
    Fails,
}

#[derive(Debug, Default)]
pub struct Place {
    word: Mutex<Word>,
    changed: Condvar,
    /// Whether there is none: for calls that would rather not take the lock.
    lacks: AtomicBool,
}

impl Place {
    fn set(&self, word: Word) {
        let mut now = ignore_poison(self.word.lock());
        *now = word;
        self.lacks.store(matches!(word, Word::Waits | Word::Fails), Release);
        self.changed.notify_all();
    }

    pub fn give(&self) {
        self.set(Word::Given);
    }

    pub fn refuse(&self, fails: bool) {
        self.set(if fails { Word::Fails } else { Word::Waits });
    }

    /// Who refused is gone.
    pub fn forget_refusal(&self) {
        if self.lacks.load(Acquire) {
            self.give();
        }
    }

    /// Waits for the scheduler's first word, but not for long.
    pub fn greeting(&self, bound: Duration) {
        let word = ignore_poison(self.word.lock());
        drop(ignore_poison(self.changed.wait_timeout_while(word, bound, |word| *word == Word::None)));
    }

    /// Whether calls fail instead of waiting.
    pub fn fails(&self) -> bool {
        self.lacks.load(Acquire) && *ignore_poison(self.word.lock()) == Word::Fails
    }

    /// Waits for a place, if it has been refused: without one there is nobody who counts memory, or has swap space.
    ///
    /// # Errors
    /// `SYSTEM_NOT_READY` where the operator chose that calls fail.
    pub fn wait(&self) -> Result<(), CUresult> {
        if !self.lacks.load(Acquire) {
            return Ok(());
        }
        let word = ignore_poison(self.word.lock());
        let word = ignore_poison(self.changed.wait_while(word, |word| *word == Word::Waits));
        if *word == Word::Fails { Err(CUresult::ERROR_SYSTEM_NOT_READY) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn calls_wait_for_a_place_that_was_refused_and_for_no_other() {
        let place = Place::default();
        assert_eq!(place.wait(), Ok(()), "the first word is awaited by the greeting alone");
        place.refuse(false);
        assert!(!place.fails());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| place.wait());
            place.greeting(LONG);
            place.give();
            assert_eq!(waits.join().unwrap(), Ok(()));
            place.refuse(false);
            let waits = scope.spawn(|| place.wait());
            place.refuse(true);
            assert_eq!(waits.join().unwrap(), Err(CUresult::ERROR_SYSTEM_NOT_READY));
        });
        assert!(place.fails());
        place.forget_refusal();
        assert!(!place.fails());
        assert_eq!(place.wait(), Ok(()));
    }
}
