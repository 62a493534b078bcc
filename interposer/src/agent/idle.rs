//! Whether this process has nothing to do: a pure judgement over its own submissions.
use super::drain::Wait;
use std::time::{Duration, Instant};

/// How often to look while somebody waits.
pub const TICK: Duration = Duration::from_millis(5);
/// So long without a submission, before and again after its work has ended, makes a process idle.
const GRACE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum Stage {
    Busy,
    /// No submission since then, but perhaps unfinished work.
    Quiet {
        count: u32,
        since: Instant,
    },
    /// Waiting for the work's end.
    Ending {
        count: u32,
        wait: Wait,
    },
    /// The work has ended at that time.
    Ended {
        count: u32,
        since: Instant,
    },
}

#[derive(Debug)]
pub struct Idleness(Stage);

impl Default for Idleness {
    fn default() -> Self {
        Self(Stage::Busy)
    }
}

impl Idleness {
    /// One look. `count`: how many calls have come, or none while one is in the driver. True once when
    /// the process has become idle.
    pub fn look(
        &mut self,
        now: Instant,
        count: Option<u32>,
        begin: impl FnOnce() -> Wait,
        is_done: impl FnOnce(Wait) -> bool,
    ) -> bool {
        let quiet = |seen: u32| count == Some(seen);
        self.0 = match self.0 {
            Stage::Quiet { count, since } if quiet(count) => {
                if now.duration_since(since) < GRACE {
                    return false;
                }
                Stage::Ending { count, wait: begin() }
            }
            Stage::Ending { count, wait } if quiet(count) => {
                if !is_done(wait) {
                    return false;
                }
                Stage::Ended { count, since: now }
            }
            Stage::Ended { count, since } if quiet(count) => {
                if now.duration_since(since) < GRACE {
                    return false;
                }
                self.0 = Stage::Busy;
                return true;
            }
            _ => count.map_or(Stage::Busy, |count| Stage::Quiet { count, since: now }),
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every tick; returns after how many milliseconds the process was found idle, if at all.
    fn found_idle(counts: impl Fn(u64) -> Option<u32>, work_ends_at: u64) -> Option<u64> {
        let start = crate::clock::instant();
        let mut idleness = Idleness::default();
        (0..500).step_by(TICK.as_millis() as usize).find(|millis| {
            let now = start + Duration::from_millis(*millis);
            idleness.look(now, counts(*millis), Wait::default, |_| *millis >= work_ends_at)
        })
    }

    #[test]
    fn a_process_without_work_is_idle_within_a_tenth_of_a_second() {
        assert!(found_idle(|_| Some(3), 0).unwrap() < 100);
    }

    #[test]
    fn unfinished_work_is_waited_for() {
        let found = found_idle(|_| Some(3), 200).unwrap();
        assert!((200..300).contains(&found), "{found}");
    }

    #[test]
    fn a_process_that_submits_or_is_in_the_driver_is_not_idle() {
        assert_eq!(found_idle(|millis| Some((millis / 15) as u32), 0), None);
        assert_eq!(found_idle(|_| None, 0), None);
    }
}
