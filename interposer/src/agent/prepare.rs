//! Swap space is made ready for a hand-over that may come.
use super::{Agent, Phase};
use crate::process::Process;
use crate::sys::clock;
use std::time::{Duration, Instant};

/// How soon to look again for swap space whose pages the scheduler has made meanwhile.
const PREPARE: Duration = Duration::from_millis(100);
/// Who has asked for the GPU, or has just had memory brought in, is likely to be told of more within this time: nothing
/// else keeps the agent then.
const ATTENTIVE: Duration = Duration::from_millis(100);
/// So long after somebody waited for the GPU, another hand-over is likely.
const RECENT: Duration = Duration::from_secs(10);
/// How soon to ask again for swap space that the scheduler did not have.
const LODGE_AGAIN: Duration = Duration::from_secs(10);

impl Agent {
    /// Whether there is swap space to be made ready for a hand-over that may come.
    pub(super) fn prepares(&self) -> bool {
        let may = match self.phase {
            Phase::Idle | Phase::Waiting => true,
            Phase::Held => self.contended || self.contended_at.is_some_and(|at| elapsed(at) < RECENT),
            Phase::Free | Phase::Short => false,
        };
        let memory = &self.process.memory;
        may && self.welcomed && memory.space.has_unregistered() && memory.may_swap()
    }

    /// A hand-over to this process may begin or go on any moment.
    pub(super) fn expect(&mut self) {
        self.prepare_due = self.prepare_due.max(clock::instant() + ATTENTIVE);
    }

    /// Gives swap space to memory that was made while there was no scheduler to ask, so that it can leave from then on;
    /// asks for what is lacking, if `ask`, or else later.
    pub(super) fn lodge(&mut self, ask: bool) {
        let Process { memory, .. } = self.process;
        let lacking = memory.assign_slots();
        if let Some((bytes, largest)) = lacking.filter(|_| ask) {
            memory.space.request(bytes, largest);
        }
        self.lodge_due = lacking.map(|_| clock::instant() + LODGE_AGAIN);
        // What can leave has changed, and what is wanted.
        self.report_owed = true;
    }

    /// Registers a part of the swap space. The application's calls wait meanwhile: while it runs, that takes a tenth of
    /// the time at most if somebody waits, and otherwise a hundredth.
    pub(super) fn prepare_swap_space(&mut self) {
        let Process { contexts, memory, .. } = self.process;
        let start = clock::instant();
        let done = contexts
            .all()
            .first()
            .and_then(|context| context.enter())
            .is_some_and(|entered| memory.space.register_next(&entered));
        let pause = match self.phase {
            _ if !done => PREPARE,
            Phase::Held if self.contended => 9 * elapsed(start),
            Phase::Held => 99 * elapsed(start),
            _ => Duration::ZERO,
        };
        self.prepare_due = clock::instant() + pause;
    }
}

fn elapsed(since: Instant) -> Duration {
    clock::instant().duration_since(since)
}
