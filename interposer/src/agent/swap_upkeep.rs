//! Swap space for later: it is made ready for a hand-over that may come, and given to memory that has none.
use crate::memory::Memory;
use crate::process::Process;
use crate::sys::clock;
use std::time::{Duration, Instant};

/// How soon to look again for swap space whose pages the scheduler has made meanwhile.
const REGISTER_AGAIN: Duration = Duration::from_millis(100);
/// Registration waits this long after the process asked for the GPU, or had memory prefetched. It is likely to get another
/// message then, and the agent has to be free for it.
const DEFER_REGISTRATION: Duration = Duration::from_millis(100);
/// How soon to ask again for swap space that the scheduler did not have.
const ASSIGN_AGAIN: Duration = Duration::from_secs(10);

pub struct SwapUpkeep {
    /// When the next part of the swap space may be registered.
    register_due: Instant,
    /// When memory without swap space is looked for again, if there may be any.
    assign_due: Option<Instant>,
}

impl SwapUpkeep {
    pub fn new(now: Instant) -> Self {
        Self { register_due: now, assign_due: None }
    }

    /// Puts registration off: a hand-over to this process may begin or go on at any moment.
    pub fn defer_registration(&mut self) {
        self.register_due = self.register_due.max(clock::instant() + DEFER_REGISTRATION);
    }

    pub fn register_due(&self) -> Instant {
        self.register_due
    }

    pub fn assign_due(&self) -> Option<Instant> {
        self.assign_due
    }

    /// Gives swap space to memory that was made while there was no scheduler to ask, so that it can leave from then on;
    /// asks for what is lacking, if `ask`, or else later.
    pub fn assign(&mut self, memory: &Memory, ask: bool) {
        let lacking = memory.pieces.assign_slots();
        if let Some((bytes, largest)) = lacking.filter(|_| ask) {
            memory.swap.request(bytes, largest);
        }
        self.assign_due = lacking.map(|_| clock::instant() + ASSIGN_AGAIN);
    }

    /// Registers a part of the swap space. The application's calls wait meanwhile: `pause` tells how long the pause
    /// before the next part is to be, by how long this one took.
    pub fn register(&mut self, process: &Process, pause: impl FnOnce(Duration) -> Duration) {
        let Process { contexts, memory, .. } = process;
        let start = clock::instant();
        let done = contexts
            .all()
            .first()
            .and_then(|context| context.enter())
            .is_some_and(|entered| memory.swap.register_next(&entered));
        let took = clock::instant().duration_since(start);
        self.register_due = clock::instant() + if done { pause(took) } else { REGISTER_AGAIN };
    }
}
