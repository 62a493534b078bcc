//! Bounds the work that is submitted and unfinished, so that a revocation is short: only while somebody waits.
//!
//! Marks everything submitted so far, and lets a ration of calls pass beyond it; when the mark has been reached, the
//! next one is set. How long that took says whether the ration was too large. Nothing of this is in the way of a launch.
use crate::driver::context::{Context, Purpose};
use crate::process::Process;
use nvshare_abi::CUresult;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is submitted between two marks should be done within this time: with what passes beyond the second, twice as
/// much work can be unfinished.
const STRIDE: Duration = Duration::from_millis(20);
/// The ration of a process of which nothing is known, and the largest.
const FIRST: u32 = 8;
const LARGEST: u32 = 1 << 20;

#[derive(Debug)]
pub struct Pace {
    mark: Option<Mark>,
    ration: u32,
}

/// Everything that was submitted until then.
#[derive(Debug)]
struct Mark {
    contexts: Vec<Arc<Context>>,
    /// Since when its end is awaited.
    since: Instant,
    /// Whether all of the ration before it had been used.
    used: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { mark: None, ration: FIRST }
    }
}

impl Pace {
    /// One look, while the gate is ours to open: where the mark has been reached, the next ration may pass.
    pub fn look(&mut self, process: &Process, now: Instant) {
        if let Some(Mark { contexts, since, used }) = &self.mark {
            if contexts.iter().any(|context| context.is_unfinished(Purpose::Pace)) {
                return;
            }
            self.ration = next(self.ration, now.duration_since(*since), *used);
        }
        let contexts = process.contexts.all();
        let mark = |context: &Arc<Context>| context.record(Purpose::Pace) == CUresult::SUCCESS;
        // Beside a capture nothing can be marked: what is captured is no work yet.
        let marked = process.captures.while_none(|| contexts.into_iter().filter(mark).collect());
        let used = self.mark.is_some() && process.gate.is_shut();
        self.mark = Some(Mark { contexts: marked.unwrap_or_default(), since: now, used });
        process.gate.open_with_credits(self.ration);
    }

    /// What was marked counts no more; the gate is as it was.
    pub fn release(&mut self) {
        self.mark = None;
    }
}

/// The ration after one that took so long, all of which was used or not.
fn next(ration: u32, took: Duration, used: bool) -> u32 {
    // A look that comes late on a busy host is no reason.
    if took > STRIDE * 3 / 2 {
        let part = u128::from(ration) * STRIDE.as_nanos() / took.as_nanos().max(1);
        return u32::try_from(part).unwrap_or(LARGEST).max(1);
    }
    // So much more is then done within the stride too.
    let more = if took < STRIDE / 8 { 4 } else { 2 };
    if used && took < STRIDE / 2 { ration.saturating_mul(more).min(LARGEST) } else { ration }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ration_follows_what_calls_take() {
        // What takes 10 ms each is brought to two at a time, what takes 5 us to thousands.
        for (each, range) in [(Duration::from_millis(10), 1..=2), (Duration::from_micros(5), 2000..=4000)] {
            let mut ration = FIRST;
            for _ in 0..20 {
                ration = next(ration, each * ration, true);
            }
            assert!(range.contains(&ration), "{each:?}: {ration}");
        }
    }

    #[test]
    fn what_was_not_used_grows_nothing_and_one_call_always_passes() {
        assert_eq!(next(FIRST, Duration::ZERO, false), FIRST);
        assert_eq!(next(LARGEST, Duration::ZERO, true), LARGEST);
        assert_eq!(next(1, Duration::from_secs(5), true), 1);
    }
}
