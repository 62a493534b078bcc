//! The submission gate: it lets the application's submissions through to the driver, or holds them up.
//!
//! One atomic word says whether the gate is open, how many calls are in flight (inside the driver), and how many
//! have arrived. A call adds itself first and looks afterwards, so that shutting and entering are
//! ordered by that one word: either the call sees the shut gate, or whoever shuts it sees the call.
//! While the gate is open, entering and leaving are two atomic additions: no lock, no system call, no allocation.
//!
//! It can be opened with credits, for so many calls. The first call beyond them shuts it.
use crate::sys::lock::{Condvar, Mutex, rank};
use crate::sys::sync::{AtomicU32, AtomicU64, Deadline, Ordering::*};
use std::time::{Duration, Instant};

/// How many calls are in flight: bits 0 to 29.
const IN_FLIGHT: u64 = (1 << 30) - 1;
/// It is open for as many calls as there are credits.
const CREDITED: u64 = 1 << 30;
const SHUT: u64 = 1 << 31;
/// One call in the count of those that ever arrived, modulo 2^32: the upper half.
const ARRIVAL: u64 = 1 << 32;

#[derive(Debug)]
pub struct Gate {
    word: AtomicU64,
    /// The first call for which there is no credit, as the word counts arrivals.
    credit_limit: AtomicU32,
    waiting: Mutex<Waiting, { rank::GATE }>,
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

/// A call inside the driver. Counted until dropped.
#[must_use]
#[derive(Debug)]
pub struct InFlight<'a>(&'a Gate);

impl Drop for InFlight<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Gate {
    pub fn new_shut() -> Self {
        Self {
            word: AtomicU64::new(SHUT),
            credit_limit: AtomicU32::new(0),
            waiting: Mutex::new(Waiting::default()),
            opened: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// Enters if the gate is open.
    #[inline]
    pub fn try_enter(&self) -> Option<InFlight<'_>> {
        let in_flight = InFlight(self);
        let before = self.word.fetch_add(ARRIVAL + 1, Acquire);
        (before & (SHUT | CREDITED) == 0 || self.has_credit(before)).then_some(in_flight)
    }

    /// Whether there is a credit for a call that found the gate shut or open with credits. The first call without one
    /// shuts it, unless it has been opened for good meanwhile.
    #[cold]
    fn has_credit(&self, before: u64) -> bool {
        if before & SHUT != 0 {
            return false;
        }
        let left = self.credit_limit.load(Acquire).wrapping_sub((before >> 32) as u32);
        let has_credit = left.cast_signed() > 0;
        if !has_credit {
            let shut = |word| (word & CREDITED != 0).then_some(word | SHUT);
            let _ = self.word.fetch_update(AcqRel, Acquire, shut);
        }
        has_credit
    }

    /// Enters, after waiting for the opening if the gate is shut. `on_wait` is called before each wait: somebody
    /// has to hear that work is waiting. None if the gate is shut and the call `gives_up`, which is asked again after
    /// [`Self::wake`].
    pub fn enter_or_give_up(&self, on_wait: impl Fn(), gives_up: impl Fn() -> bool) -> Option<InFlight<'_>> {
        loop {
            if let Some(in_flight) = self.try_enter() {
                return Some(in_flight);
            }
            let mut waiting = self.waiting.lock();
            if self.is_shut() {
                waiting.threads += 1;
                waiting.since.get_or_insert_with(crate::sys::clock::instant);
                drop(waiting);
                on_wait();
                waiting = self.waiting.lock();
                let mut given_up = false;
                while self.is_shut() {
                    given_up = gives_up();
                    if given_up {
                        break;
                    }
                    // The gate was opened, and shut again before this thread saw it.
                    waiting.since.get_or_insert_with(crate::sys::clock::instant);
                    waiting = waiting.wait(&self.opened);
                }
                waiting.threads -= 1;
                if given_up {
                    return None;
                }
            }
        }
    }

    /// Enters, however long that takes.
    #[cfg(test)]
    fn enter(&self, on_wait: impl Fn()) -> InFlight<'_> {
        self.enter_or_give_up(on_wait, || false).expect("it never gives up")
    }

    /// Wakes the calls that wait, so that they look whether they give up.
    pub fn wake(&self) {
        let _order = self.waiting.lock();
        self.opened.notify_all();
    }

    #[inline]
    fn leave(&self) {
        let before = self.word.fetch_sub(1, Release);
        if before & SHUT != 0 && before & IN_FLIGHT == 1 {
            let _order = self.waiting.lock();
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
        let mut waiting = self.waiting.lock();
        waiting.since = None;
        self.word.fetch_and(!(SHUT | CREDITED), AcqRel);
        self.opened.notify_all();
    }

    /// Opens for about so many calls from now on (less than 2^31).
    pub fn open_with_credits(&self, calls: u32) {
        let mut waiting = self.waiting.lock();
        waiting.since = None;
        let arrived = (self.word.load(Acquire) >> 32) as u32;
        self.credit_limit.store(arrived.wrapping_add(calls), Release);
        self.word.fetch_or(CREDITED, AcqRel);
        self.word.fetch_and(!SHUT, AcqRel);
        self.opened.notify_all();
    }

    /// Waits, with the gate shut, until no call is in flight. False after `bound`.
    #[must_use]
    pub fn wait_until_empty(&self, bound: Duration) -> bool {
        let deadline = Deadline::after(bound);
        let mut order = self.waiting.lock();
        while self.word.load(Acquire) & IN_FLIGHT != 0 {
            let Some(left) = deadline.left() else { return false };
            order = order.wait_timeout(&self.emptied, left);
        }
        true
    }

    /// Whether a call waits for the opening.
    pub fn has_waiters(&self) -> bool {
        self.waiting.lock().threads > 0
    }

    /// When the first of the calls arrived that wait for the opening.
    pub fn waiting_since(&self) -> Option<Instant> {
        let waiting = self.waiting.lock();
        waiting.since.filter(|_| waiting.threads > 0)
    }

    /// How many calls have arrived so far (modulo 2^32). None while one is in flight.
    pub fn epoch_if_idle(&self) -> Option<u32> {
        let word = self.word.load(Acquire);
        (word & IN_FLIGHT == 0).then_some((word >> 32) as u32)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_open_gate_counts_and_lets_calls_enter() {
        let gate = Gate::new_shut();
        gate.open();
        let in_flight = gate.enter(|| unreachable!("open"));
        assert_eq!(gate.epoch_if_idle(), None);
        drop(in_flight);
        assert_eq!(gate.epoch_if_idle(), Some(1));
    }

    #[test]
    fn a_call_at_a_shut_gate_enters_after_the_opening() {
        let gate = Gate::new_shut();
        let (waiting, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| drop(gate.enter(|| waiting.send(()).unwrap())));
            waits.recv_timeout(LONG).unwrap();
            assert!(gate.has_waiters());
            gate.open();
            thread.join().unwrap();
        });
        assert!(!gate.has_waiters());
    }

    #[test]
    fn a_gate_knows_since_when_a_call_waits() {
        let gate = Gate::new_shut();
        assert_eq!(gate.waiting_since(), None);
        for _ in 0..2 {
            let before = crate::sys::clock::instant();
            let (waiting, waits) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let call =
                    |waiting: std::sync::mpsc::Sender<()>| drop(gate.enter(|| waiting.send(()).unwrap()));
                let first = scope.spawn({
                    let waiting = waiting.clone();
                    move || call(waiting)
                });
                waits.recv_timeout(LONG).unwrap();
                let came = gate.waiting_since().unwrap();
                assert!(came >= before && came <= crate::sys::clock::instant());
                let second = scope.spawn(move || call(waiting));
                waits.recv_timeout(LONG).unwrap();
                assert_eq!(gate.waiting_since(), Some(came), "the first counts");
                gate.open();
                first.join().unwrap();
                second.join().unwrap();
                assert_eq!(gate.waiting_since(), None);
                gate.shut();
            });
        }
    }

    #[test]
    fn a_gate_without_credits_left_shuts() {
        let gate = Gate::new_shut();
        gate.open_with_credits(3);
        (0..3).for_each(|_| drop(gate.enter(|| panic!("they have credits"))));
        assert!(!gate.is_shut());
        assert!(gate.try_enter().is_none() && gate.is_shut());
        gate.open_with_credits(1);
        assert!(gate.try_enter().is_some());
        gate.open();
        (0..10).for_each(|_| drop(gate.enter(|| panic!("they need no credits"))));
    }

    #[test]
    fn a_call_without_a_credit_enters_after_the_opening() {
        let gate = Gate::new_shut();
        gate.open_with_credits(1);
        drop(gate.enter(|| ()));
        let (waiting, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| drop(gate.enter(|| waiting.send(()).unwrap())));
            waits.recv_timeout(LONG).unwrap();
            gate.open_with_credits(4);
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_call_gives_up_when_it_is_woken_for_that_and_not_at_an_open_gate() {
        let gate = Gate::new_shut();
        let over = std::sync::atomic::AtomicBool::new(false);
        let (waiting, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let call = scope.spawn(|| {
                gate.enter_or_give_up(|| waiting.send(()).unwrap(), || over.load(SeqCst)).is_none()
            });
            waits.recv_timeout(LONG).unwrap();
            gate.wake();
            over.store(true, SeqCst);
            gate.wake();
            assert!(call.join().unwrap());
        });
        assert!(!gate.has_waiters());
        gate.open();
        assert!(gate.enter_or_give_up(|| (), || true).is_some());
    }

    #[test]
    fn shutting_waits_for_the_calls_inside() {
        let gate = Gate::new_shut();
        gate.open();
        let in_flight = gate.enter(|| ());
        gate.shut();
        assert!(!gate.wait_until_empty(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.wait_until_empty(LONG));
            drop(in_flight);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn nothing_is_inside_after_a_shutting_that_became_empty() {
        let gate = Gate::new_shut();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let _in_flight = gate.enter(|| ());
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
            let gate = Arc::new(Gate::new_shut());
            gate.open();
            let inside = Arc::new(AtomicU32::new(0));
            let released = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let (gate, inside, released) = (gate.clone(), inside.clone(), released.clone());
                    loom::thread::spawn(move || {
                        let _in_flight = gate.enter(|| ());
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
    fn nobody_is_forgotten_at_a_gate_with_credits() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let gate = Arc::new(Gate::new_shut());
            gate.open_with_credits(1);
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let gate = gate.clone();
                    loom::thread::spawn(move || drop(gate.enter(|| ())))
                })
                .collect();
            gate.open_with_credits(1);
            gate.open();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            assert!(!gate.is_shut(), "it was opened for good");
        });
    }
}
