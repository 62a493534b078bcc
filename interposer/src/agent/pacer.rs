//! Bounds the work that is submitted and unfinished, so that a revocation is short: only while somebody waits.
//!
//! Marks everything submitted so far, and gives credits for calls beyond it. When the mark has been reached, the
//! next one is set. How long that took says whether there were too many credits. Nothing of this is in the way of a launch.
use crate::driver::context::{Context, Purpose};
use crate::process::Process;
use nvshare_abi::CUresult;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is submitted between two marks should be done within this time. Twice as much can be unfinished, with what is
/// submitted beyond the second mark.
const STRIDE: Duration = Duration::from_millis(20);
/// The credits of a process of which nothing is known, and the most.
const FIRST: u32 = 8;
const MOST: u32 = 1 << 20;

#[derive(Debug)]
pub struct Pacer {
    mark: Option<Mark>,
    credits: u32,
}

/// Everything that was submitted until then.
#[derive(Debug)]
struct Mark {
    contexts: Vec<Arc<Context>>,
    /// Since when its end is awaited.
    since: Instant,
    /// Whether all credits before it had been used.
    used: bool,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { mark: None, credits: FIRST }
    }
}

impl Pacer {
    /// To be called again and again while the gate is ours to open: gives the next credits when the mark has been reached.
    pub fn pace(&mut self, process: &Process, now: Instant) {
        if let Some(Mark { contexts, since, used }) = &self.mark {
            if contexts.iter().any(|context| context.is_unfinished(Purpose::Pace)) {
                return;
            }
            self.credits = next(self.credits, now.duration_since(*since), *used);
        }
        let contexts = process.contexts.all();
        let mark = |context: &Arc<Context>| context.record(Purpose::Pace) == CUresult::SUCCESS;
        // Beside a capture nothing can be marked: what is captured is no work yet.
        let marked = process.captures.while_none(|| contexts.into_iter().filter(mark).collect());
        let used = self.mark.is_some() && process.gate.is_shut();
        self.mark = Some(Mark { contexts: marked.unwrap_or_default(), since: now, used });
        process.gate.open_with_credits(self.credits);
    }

    /// Forgets the mark. The gate stays as it is.
    pub fn release(&mut self) {
        self.mark = None;
    }
}

/// How many credits are next: after `credits` took so long, and all of them were `used` or not.
fn next(credits: u32, took: Duration, used: bool) -> u32 {
    // A look that comes late on a busy host is no reason.
    if took > STRIDE * 3 / 2 {
        let part = u128::from(credits) * STRIDE.as_nanos() / took.as_nanos().max(1);
        return u32::try_from(part).unwrap_or(MOST).max(1);
    }
    // So many more calls are done within the stride too.
    let more = if took < STRIDE / 8 { 4 } else { 2 };
    if used && took < STRIDE / 2 { credits.saturating_mul(more).min(MOST) } else { credits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_follow_what_calls_take() {
        // What takes 10 ms each is brought to two at a time, what takes 5 us to thousands.
        for (each, range) in [(Duration::from_millis(10), 1..=2), (Duration::from_micros(5), 2000..=4000)] {
            let mut credits = FIRST;
            for _ in 0..20 {
                credits = next(credits, each * credits, true);
            }
            assert!(range.contains(&credits), "{each:?}: {credits}");
        }
    }

    #[test]
    fn what_was_not_used_grows_nothing_and_one_call_always_passes() {
        assert_eq!(next(FIRST, Duration::ZERO, false), FIRST);
        assert_eq!(next(MOST, Duration::ZERO, true), MOST);
        assert_eq!(next(1, Duration::from_secs(5), true), 1);
    }
}
