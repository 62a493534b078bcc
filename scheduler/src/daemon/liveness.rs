//! Tenants whose processes are stopped or frozen. The kernel is asked about those that others wait for, a few times a
//! second, and about nobody while nobody waits.
use crate::identity::Identity;
use crate::process::state::{Halt, Roots, halted};
use nvshare_core::event::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;
use std::path::Path;

/// Between two polls.
const EVERY: Nanos = Nanos::from_millis(250);
/// How many tenants one poll looks at. More take turns.
const AT_A_TIME: usize = 64;

/// When those that others wait for are polled.
#[derive(Debug)]
pub struct PollSchedule {
    /// None: nobody waits.
    next: Option<Nanos>,
    /// The last one that was polled.
    last: TenantId,
}

impl Default for PollSchedule {
    fn default() -> Self {
        Self { next: None, last: TenantId(0) }
    }
}

impl PollSchedule {
    /// When the next poll is.
    pub fn next(&self) -> Option<Nanos> {
        self.next
    }

    /// Something happened after which somebody may wait for another.
    pub fn begin(&mut self, now: Nanos) {
        self.next.get_or_insert(now.saturating_add(EVERY));
    }

    /// Those of the `awaited` whose turn it is now.
    pub fn due(&mut self, awaited: &BTreeSet<TenantId>, now: Nanos) -> Vec<TenantId> {
        let after = TenantId(self.last.0 + 1);
        let due: Vec<TenantId> =
            awaited.range(after..).chain(awaited.range(..after)).take(AT_A_TIME).copied().collect();
        self.next = None;
        if let Some(&last) = due.last() {
            self.last = last;
            self.begin(now);
        }
        due
    }
}

/// What a poll has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Halted(Halt),
    Resumed,
}

/// What is known of one tenant's process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Liveness {
    /// It is known as halted.
    halted: bool,
    /// It was in a debugger's hands at the last poll: a single poll may meet one that goes on at once.
    traced: bool,
}

impl Liveness {
    /// Whether it is known as halted.
    pub fn is_halted(self) -> bool {
        self.halted
    }

    /// Asks the kernel about the process; none: as before.
    pub fn poll(&mut self, who: &Identity, cgroups: &Path) -> Option<Transition> {
        let process = who.process.as_ref()?;
        let halt = halted(process.key.pid, Roots { proc: Path::new("/proc"), cgroups });
        // Else the number may be another's by now; its end is on its way to us.
        if process.has_ended() {
            return None;
        }
        self.update(halt)
    }

    fn update(&mut self, halt: Option<Halt>) -> Option<Transition> {
        let traced = std::mem::replace(&mut self.traced, halt == Some(Halt::Traced));
        let halted = halt.filter(|halt| *halt != Halt::Traced || traced || self.halted);
        let before = std::mem::replace(&mut self.halted, halted.is_some());
        match halted {
            Some(halt) if !before => Some(Transition::Halted(halt)),
            None if before => Some(Transition::Resumed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debugger_is_seen_twice_and_all_else_at_once() {
        let mut liveness = Liveness::default();
        for (halt, news) in [
            (None, None),
            (Some(Halt::Traced), None),
            (None, None),
            (Some(Halt::Traced), None),
            (Some(Halt::Traced), Some(Transition::Halted(Halt::Traced))),
            (Some(Halt::Stopped), None),
            (Some(Halt::Traced), None),
            (None, Some(Transition::Resumed)),
            (Some(Halt::Frozen), Some(Transition::Halted(Halt::Frozen))),
            (Some(Halt::Frozen), None),
            (None, Some(Transition::Resumed)),
            (Some(Halt::Stopped), Some(Transition::Halted(Halt::Stopped))),
        ] {
            assert_eq!(liveness.update(halt), news, "{halt:?} {liveness:?}");
        }
    }
}
