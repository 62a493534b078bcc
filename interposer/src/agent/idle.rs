//! Whether this process has nothing to do: a pure judgement of its submissions, and of how long it paused between them
//! before.
use super::drain::Wait;
use std::time::{Duration, Instant};

/// How often to look while somebody waits.
pub const TICK: Duration = Duration::from_millis(5);
/// A process without a submission for so long is idle, once its work has ended.
const GRACE: Duration = Duration::from_millis(20);
/// And not before so long after the work's end, in which the next work would come.
const REST: Duration = Duration::from_millis(5);
/// No pause is waited for beyond this: a holder without work gives way within 100 ms.
const MOST: Duration = Duration::from_millis(80);
/// After so many right verdicts, a process is found idle by its own pauses alone.
const KNOWN_AFTER: u32 = 2;
/// An idle verdict that is contradicted within this time was wrong.
const WRONG_WITHIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum Stage {
    Busy,
    /// No submission since then, but perhaps unfinished work. From the second such look on its end is awaited.
    Quiet {
        count: u32,
        since: Instant,
        wait: Option<Wait>,
    },
    /// The work has ended at that time.
    Ended {
        count: u32,
        since: Instant,
        ended: Instant,
    },
    /// It has been found idle, and nothing was submitted since.
    Idle {
        count: u32,
    },
}

/// What a look at the process shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unchanged,
    /// It has become idle.
    Idle,
    /// It was found idle, and has work again.
    Busy,
}

#[derive(Debug)]
pub struct Idleness {
    stage: Stage,
    /// The longest recent pause between the end of its work and its next submission. A hand-over usually costs more than
    /// such a pause.
    pause: Duration,
    /// How many verdicts were right since the last wrong one.
    found: u32,
    /// When the last verdict was, and when the work had ended by then.
    found_at: Option<(Instant, Instant)>,
}

impl Default for Idleness {
    fn default() -> Self {
        Self { stage: Stage::Busy, pause: Duration::ZERO, found: 0, found_at: None }
    }
}

impl Idleness {
    /// One look. `count`: how many calls have arrived. None while one is in flight.
    pub fn judge(
        &mut self,
        now: Instant,
        count: Option<u32>,
        begin: impl FnOnce() -> Wait,
        is_done: impl FnOnce(Wait) -> bool,
    ) -> Verdict {
        let quiet = |seen: u32| count == Some(seen);
        match self.stage {
            Stage::Quiet { count, since, wait } if quiet(count) => {
                let wait = wait.unwrap_or_else(begin);
                self.stage = if is_done(wait) {
                    Stage::Ended { count, since, ended: now }
                } else {
                    Stage::Quiet { count, since, wait: Some(wait) }
                };
            }
            Stage::Ended { count, since, ended } if quiet(count) => {
                if now >= self.idle_at(since, ended) {
                    self.stage = Stage::Idle { count };
                    self.found += 1;
                    self.found_at = Some((now, ended));
                    self.pause = self.pause * 3 / 4;
                    return Verdict::Idle;
                }
            }
            Stage::Idle { count } if quiet(count) => {}
            stage => {
                if let Stage::Ended { ended, .. } = stage {
                    self.pause = self.pause.max(now.duration_since(ended));
                }
                self.stage =
                    count.map_or(Stage::Busy, |count| Stage::Quiet { count, since: now, wait: None });
                if let Stage::Idle { .. } = stage {
                    self.wakes(now);
                    return Verdict::Busy;
                }
            }
        }
        Verdict::Unchanged
    }

    fn idle_at(&self, since: Instant, ended: Instant) -> Instant {
        let known = ended + (self.pause * 3 / 2).clamp(REST, MOST);
        if self.found >= KNOWN_AFTER { known } else { known.max(since + GRACE) }
    }

    /// When the next look is due. The end of the work may come before.
    pub fn due(&self, now: Instant) -> Instant {
        match self.stage {
            Stage::Ended { since, ended, .. } => self.idle_at(since, ended).min(now + TICK),
            _ => now + TICK,
        }
    }

    /// Starts anew, with what is known of the process's pauses.
    pub fn restart(&mut self) {
        self.stage = Stage::Busy;
    }

    /// The process has wanted the GPU since `then`.
    pub fn wakes(&mut self, then: Instant) {
        let Some((found_at, ended)) = self.found_at.take() else { return };
        if then.saturating_duration_since(found_at) < WRONG_WITHIN {
            self.found = 0;
            self.pause = self.pause.max(then.saturating_duration_since(ended));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks whenever that is due; returns after how many milliseconds the process was found idle, if at all.
    fn found_by(
        idleness: &mut Idleness,
        counts: impl Fn(u64) -> Option<u32>,
        is_done: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let start = crate::sys::clock::instant();
        idleness.restart();
        let mut now = start;
        loop {
            let millis = now.duration_since(start).as_millis() as u64;
            if millis > 500 {
                return None;
            }
            if idleness.judge(now, counts(millis), Wait::default, |_| is_done(millis)) == Verdict::Idle {
                return Some(millis);
            }
            now = idleness.due(now);
        }
    }

    fn found_idle(counts: impl Fn(u64) -> Option<u32>, work_ends_at: u64) -> Option<u64> {
        found_by(&mut Idleness::default(), counts, |millis| millis >= work_ends_at)
    }

    #[test]
    fn a_process_without_work_is_idle_within_a_tenth_of_a_second() {
        assert!(found_idle(|_| Some(3), 0).unwrap() < 100);
    }

    #[test]
    fn unfinished_work_is_waited_for_and_its_end_is_rested_on() {
        assert_eq!(found_idle(|_| Some(3), 200), Some(205));
    }

    #[test]
    fn a_process_that_submits_or_is_in_the_driver_is_not_idle() {
        assert_eq!(found_idle(|millis| Some((millis / 15) as u32), 0), None);
        assert_eq!(found_idle(|_| None, 0), None);
    }

    /// Submits every 10 ms, each time 6 ms after the end of its work, until 100 ms.
    fn with_pauses(idleness: &mut Idleness) -> u64 {
        let counts = |millis: u64| Some((millis.min(100) / 10) as u32);
        found_by(idleness, counts, |millis| millis >= 100 || millis % 10 >= 5).unwrap()
    }

    #[test]
    fn a_process_without_pauses_is_found_sooner_once_that_is_known() {
        let mut idleness = Idleness::default();
        let burst = |idleness: &mut Idleness| {
            // The last of its work is submitted just before the end.
            found_by(idleness, |millis| Some((millis.min(38) / 2) as u32), |millis| millis >= 40).unwrap()
        };
        let first = burst(&mut idleness);
        assert!((58..=65).contains(&first), "{first}");
        burst(&mut idleness);
        let known = burst(&mut idleness);
        assert!((45..=50).contains(&known), "{known}");
    }

    #[test]
    fn a_process_with_pauses_is_not_found_within_one() {
        let mut idleness = Idleness::default();
        let times: Vec<u64> = (0..3).map(|_| with_pauses(&mut idleness)).collect();
        assert!(times.iter().all(|time| *time >= 105), "{times:?}");
    }

    #[test]
    fn a_wrong_judgement_is_made_once() {
        // A step of 10 ms, of which the last work ends after 5, and 40 ms until the next.
        let mut idleness = Idleness::default();
        let step = |idleness: &mut Idleness| {
            let counts = |millis: u64| Some(u32::from(millis >= 2));
            found_by(idleness, counts, |millis| millis >= 5).unwrap()
        };
        let first = step(&mut idleness);
        assert!(first < 40, "{first}: nothing is known of its pauses");
        let (found_at, ended) = idleness.found_at.unwrap();
        idleness.wakes(ended + Duration::from_millis(40));
        assert_eq!((idleness.found, idleness.pause), (0, Duration::from_millis(40)));
        let next = step(&mut idleness);
        assert!((60..=75).contains(&next), "{next}: one and a half of its pauses");
        idleness.wakes(found_at + Duration::from_secs(1));
        assert_eq!(idleness.found, 1, "who sleeps for long was idle");
        idleness.pause = Duration::from_secs(1);
        assert!(step(&mut idleness) < 100, "the promise holds whatever its pauses are");
    }

    #[test]
    fn who_goes_on_after_all_is_busy_again_and_teaches_as_much() {
        let mut idleness = Idleness::default();
        found_by(&mut idleness, |_| Some(3), |_| true).unwrap();
        let (found_at, ended) = idleness.found_at.unwrap();
        let mut look = |after, count| {
            idleness.judge(found_at + Duration::from_millis(after), count, Wait::default, |_| true)
        };
        assert_eq!(look(5, Some(3)), Verdict::Unchanged);
        assert_eq!(look(30, Some(4)), Verdict::Busy);
        assert_eq!(look(35, Some(4)), Verdict::Unchanged);
        assert_eq!((idleness.found, idleness.pause), (0, found_at - ended + Duration::from_millis(30)));
    }
}
