//! Where a request stands in a queue.
use crate::model::priority::Priority;
use std::cmp::Reverse;

/// What moves a request ahead of others of its priority. Requests of the first two classes stand up to [`LEAD`] rounds
/// ahead of regular ones, and not before those that have been passed over for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Of a tenant that mostly sleeps.
    Interactive,
    /// For the rest of a turn that was preempted.
    Continuing,
    Regular,
}

/// By how many rounds interactive and continuing requests stand ahead of regular ones.
const LEAD: u64 = 4;

impl Class {
    const fn lead(self) -> u64 {
        match self {
            Self::Interactive | Self::Continuing => LEAD,
            Self::Regular => 0,
        }
    }
}

/// The order of requests: by priority, then round (with the class's lead), then class, then arrival. The least is
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    rank: Reverse<Priority>,
    /// The round less the class's lead. Counted from [`LEAD`], so that there is always room before it.
    effective_round: u64,
    class: Class,
    arrival: u64,
}

impl QueueKey {
    pub fn new(priority: Priority, class: Class, round: u64, arrival: u64) -> Self {
        Self { rank: Reverse(priority), effective_round: round + LEAD - class.lead(), class, arrival }
    }

    /// Before all others of this priority, for one that has been waiting in the middle of its work.
    pub fn first(priority: Priority, arrival: u64) -> Self {
        Self { rank: Reverse(priority), effective_round: 0, class: Class::Interactive, arrival }
    }

    pub fn priority(self) -> Priority {
        self.rank.0
    }

    /// In which round the request is served.
    pub fn round(self) -> u64 {
        self.effective_round + self.class.lead() - LEAD
    }

    /// The same place among those of another priority.
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { rank: Reverse(priority), ..self }
    }

    /// Its place among regular requests of high priority.
    pub fn promoted(self) -> Self {
        Self::new(Priority::High, Class::Regular, self.round(), self.arrival)
    }
}
