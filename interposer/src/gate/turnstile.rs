//! Where the application's submissions pass, and where they are held up.
//!
//! One atomic word says whether the way is open, how many calls are inside the driver, and how many
//! have come. Whoever enters adds itself first and looks afterwards, so that shutting and entering are
//! ordered by that one word: either the call sees the shut gate, or whoever shuts it sees the call.
//! While the gate is open a passage is two atomic additions: no lock, no system call, no allocation.
//!
//! It can be opened for so many calls only, and the first one beyond shuts it.
use crate::sys::sync::{self, AtomicU32, AtomicU64, Condvar, Mutex, Ordering::*, ignore_poison};
use std::time::{Duration, Instant};

/// The calls inside the driver: bits 0 to 29.
const INSIDE: u64 = (1 << 30) - 1;
/// It is open up to a call only.
const RATIONED: u64 = 1 << 30;
const SHUT: u64 = 1 << 31;
/// The calls that ever came, modulo 2^32: the upper half.
const PASSAGE: u64 = 1 << 32;

#[derive(Debug)]
pub struct Turnstile {
    word: AtomicU64,
    /// The first call that does not pass a rationed gate, as they are counted in the word.
    last: AtomicU32,
    waiting: Mutex<Waiting>,
    opened: Condvar,
    emptied: Condvar,
}

/// The threads that wait for the opening.
#[derive(Debug, Default)]
struct Waiting {
    threads: u32,
    /// When the first of them came to the shut gate.
    since: Option<Instant>,
}

/// A call on its way through the driver. Counted until dropped.
#[must_use]
#[derive(Debug)]
pub struct Passage<'a>(&'a Turnstile);

impl Drop for Passage<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Turnstile {
    pub fn new_shut() -> Self {
        Self {
            word: AtomicU64::new(SHUT),
            last: AtomicU32::new(0),
            waiting: Mutex::new(Waiting::default()),
            opened: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// Passes if the gate is open.
    #[inline]
    pub fn try_pass(&self) -> Option<Passage<'_>> {
        let passage = Passage(self);
        let before = self.word.fetch_add(PASSAGE + 1, Acquire);
        (before & (SHUT | RATIONED) == 0 || self.is_within(before)).then_some(passage)
    }

    /// Whether a call may pass that found the gate shut or rationed. The first that may not shuts it, unless it is not
    /// rationed any more.
    #[cold]
    fn is_within(&self, before: u64) -> bool {
        if before & SHUT != 0 {
            return false;
        }
        let left = self.last.load(Acquire).wrapping_sub((before >> 32) as u32);
        let within = left.cast_signed() > 0;
        if !within {
            let shut = |word| (word & RATIONED != 0).then_some(word | SHUT);
            let _ = self.word.fetch_update(AcqRel, Acquire, shut);
        }
        within
    }

    /// Passes, after the opening if the gate is shut; `knock` is called before each wait, for somebody
    /// has to hear that work is waiting. None if the gate is shut and the call `gives_up`, which is asked again after
    /// [`Self::wake`].
    pub fn pass_or_give_up(&self, knock: impl Fn(), gives_up: impl Fn() -> bool) -> Option<Passage<'_>> {
        loop {
            if let Some(passage) = self.try_pass() {
                return Some(passage);
            }
            let mut waiting = ignore_poison(self.waiting.lock());
            if self.is_shut() {
                waiting.threads += 1;
                waiting.since.get_or_insert_with(crate::sys::clock::instant);
                drop(waiting);
                knock();
                waiting = ignore_poison(self.waiting.lock());
                let mut given_up = false;
                while self.is_shut() {
                    given_up = gives_up();
                    if given_up {
                        break;
                    }
                    // An opening that was over before this thread saw it.
                    waiting.since.get_or_insert_with(crate::sys::clock::instant);
                    waiting = ignore_poison(self.opened.wait(waiting));
                }
                waiting.threads -= 1;
                if given_up {
                    return None;
                }
            }
        }
    }

    /// Passes, however long that takes.
    #[cfg(test)]
    fn pass(&self, knock: impl Fn()) -> Passage<'_> {
        self.pass_or_give_up(knock, || false).expect("it never gives up")
    }

    /// Lets calls that wait look whether they give up.
    pub fn wake(&self) {
        let _order = ignore_poison(self.waiting.lock());
        self.opened.notify_all();
    }

    #[inline]
    fn leave(&self) {
        let before = self.word.fetch_sub(1, Release);
        if before & SHUT != 0 && before & INSIDE == 1 {
            let _order = ignore_poison(self.waiting.lock());
            self.emptied.notify_all();
        }
    }

    pub fn is_shut(&self) -> bool {
        self.word.load(Acquire) & SHUT != 0
    }

    pub fn shut(&self) {
        self.word.fetch_or(SHUT, AcqRel);
    }

    pub fn open(&self) {
        let mut waiting = ignore_poison(self.waiting.lock());
        waiting.since = None;
        self.word.fetch_and(!(SHUT | RATIONED), AcqRel);
        self.opened.notify_all();
    }

    /// Opens for about so many calls from now on, less than 2^31.
    pub fn open_for(&self, calls: u32) {
        let mut waiting = ignore_poison(self.waiting.lock());
        waiting.since = None;
        let come = (self.word.load(Acquire) >> 32) as u32;
        self.last.store(come.wrapping_add(calls), Release);
        self.word.fetch_or(RATIONED, AcqRel);
        self.word.fetch_and(!SHUT, AcqRel);
        self.opened.notify_all();
    }

    /// Waits, with the gate shut, until no call is inside the driver; false after `bound`.
    #[must_use]
    pub fn wait_until_empty(&self, bound: Duration) -> bool {
        let deadline = sync::Deadline::after(bound);
        let mut order = ignore_poison(self.waiting.lock());
        while self.word.load(Acquire) & INSIDE != 0 {
            let Some(left) = deadline.left() else { return false };
            order = sync::wait_timeout(&self.emptied, order, left);
        }
        true
    }

    /// Whether a call waits for the opening.
    pub fn is_wanted(&self) -> bool {
        ignore_poison(self.waiting.lock()).threads > 0
    }

    /// When the first call came that waits for the opening.
    pub fn wanted_since(&self) -> Option<Instant> {
        let waiting = ignore_poison(self.waiting.lock());
        waiting.since.filter(|_| waiting.threads > 0)
    }

    /// How many calls have come so far (modulo 2^32), or none while one is inside the driver.
    pub fn quiet_at(&self) -> Option<u32> {
        let word = self.word.load(Acquire);
        (word & INSIDE == 0).then_some((word >> 32) as u32)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_open_gate_counts_and_lets_pass() {
        let gate = Turnstile::new_shut();
        gate.open();
        let passage = gate.pass(|| unreachable!("open"));
        assert_eq!(gate.quiet_at(), None);
        drop(passage);
        assert_eq!(gate.quiet_at(), Some(1));
    }

    #[test]
    fn a_shut_gate_knocks_and_passes_after_the_opening() {
        let gate = Turnstile::new_shut();
        let (knocked, knocks) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| drop(gate.pass(|| knocked.send(()).unwrap())));
            knocks.recv_timeout(LONG).unwrap();
            assert!(gate.is_wanted());
            gate.open();
            thread.join().unwrap();
        });
        assert!(!gate.is_wanted());
    }

    #[test]
    fn a_gate_knows_since_when_it_is_wanted_however_late_it_is_asked() {
        let gate = Turnstile::new_shut();
        assert_eq!(gate.wanted_since(), None);
        for _ in 0..2 {
            let before = crate::sys::clock::instant();
            let (knocked, knocks) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let call =
                    |knocked: std::sync::mpsc::Sender<()>| drop(gate.pass(|| knocked.send(()).unwrap()));
                let first = scope.spawn({
                    let knocked = knocked.clone();
                    move || call(knocked)
                });
                knocks.recv_timeout(LONG).unwrap();
                let came = gate.wanted_since().unwrap();
                assert!(came >= before && came <= crate::sys::clock::instant());
                let second = scope.spawn(move || call(knocked));
                knocks.recv_timeout(LONG).unwrap();
                assert_eq!(gate.wanted_since(), Some(came), "the first counts");
                gate.open();
                first.join().unwrap();
                second.join().unwrap();
                assert_eq!(gate.wanted_since(), None);
                gate.shut();
            });
        }
    }

    #[test]
    fn a_rationed_gate_shuts_behind_the_last_call() {
        let gate = Turnstile::new_shut();
        gate.open_for(3);
        (0..3).for_each(|_| drop(gate.pass(|| panic!("they pass"))));
        assert!(!gate.is_shut());
        assert!(gate.try_pass().is_none() && gate.is_shut());
        gate.open_for(1);
        assert!(gate.try_pass().is_some());
        gate.open();
        (0..10).for_each(|_| drop(gate.pass(|| panic!("nothing is rationed"))));
    }

    #[test]
    fn a_call_beyond_the_ration_knocks_and_passes_after_the_opening() {
        let gate = Turnstile::new_shut();
        gate.open_for(1);
        drop(gate.pass(|| ()));
        let (knocked, knocks) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| drop(gate.pass(|| knocked.send(()).unwrap())));
            knocks.recv_timeout(LONG).unwrap();
            gate.open_for(4);
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_call_gives_up_when_it_is_woken_for_that_and_not_at_an_open_gate() {
        let gate = Turnstile::new_shut();
        let over = std::sync::atomic::AtomicBool::new(false);
        let (knocked, knocks) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let call = scope
                .spawn(|| gate.pass_or_give_up(|| knocked.send(()).unwrap(), || over.load(SeqCst)).is_none());
            knocks.recv_timeout(LONG).unwrap();
            gate.wake();
            over.store(true, SeqCst);
            gate.wake();
            assert!(call.join().unwrap());
        });
        assert!(!gate.is_wanted());
        gate.open();
        assert!(gate.pass_or_give_up(|| (), || true).is_some());
    }

    #[test]
    fn shutting_waits_for_the_calls_inside() {
        let gate = Turnstile::new_shut();
        gate.open();
        let passage = gate.pass(|| ());
        gate.shut();
        assert!(!gate.wait_until_empty(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.wait_until_empty(LONG));
            drop(passage);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn nothing_is_inside_after_a_shutting_that_became_empty() {
        let gate = Turnstile::new_shut();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let _passage = gate.pass(|| ());
                        inside.fetch_add(1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                    }
                });
            }
            for _ in 0..200 {
                gate.open();
                std::thread::yield_now();
                gate.shut();
                assert!(gate.wait_until_empty(LONG));
                assert_eq!(inside.load(SeqCst), 0);
            }
            gate.open();
        });
    }
}

/// The interleavings, with up to two preemptions, of two calls with a shutting and an opening.
#[cfg(loom)]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

    #[test]
    fn after_a_shutting_that_became_empty_nothing_is_inside_and_nobody_is_forgotten() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let gate = Arc::new(Turnstile::new_shut());
            gate.open();
            let inside = Arc::new(AtomicU32::new(0));
            let released = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let (gate, inside, released) = (gate.clone(), inside.clone(), released.clone());
                    loom::thread::spawn(move || {
                        let _passage = gate.pass(|| ());
                        inside.fetch_add(1, SeqCst);
                        assert!(!released.load(SeqCst), "work reached the GPU after released was said");
                        inside.fetch_sub(1, SeqCst);
                    })
                })
                .collect();
            gate.shut();
            assert!(gate.wait_until_empty(Duration::MAX));
            released.store(true, SeqCst);
            assert_eq!(inside.load(SeqCst), 0);
            released.store(false, SeqCst);
            gate.open();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
    }

    /// A gate that shuts itself, while it is opened again and for good.
    #[test]
    fn nobody_is_forgotten_at_a_rationed_gate() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let gate = Arc::new(Turnstile::new_shut());
            gate.open_for(1);
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let gate = gate.clone();
                    loom::thread::spawn(move || drop(gate.pass(|| ())))
                })
                .collect();
            gate.open_for(1);
            gate.open();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            assert!(!gate.is_shut(), "it was opened for good");
        });
    }
}
