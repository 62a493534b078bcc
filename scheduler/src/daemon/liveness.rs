//! Tenants whose processes are stopped or frozen: the kernel is asked about those that others wait for, a few times a
//! second, and about nobody while nobody waits.
use super::Daemon;
use crate::process::state::{Halt, Roots, halted};
use crate::text;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::{Bytes, Nanos};
use std::path::Path;

/// Between two looks.
const EVERY: Nanos = Nanos::from_millis(250);
/// So many tenants are looked at at a time. More take turns.
const AT_A_TIME: usize = 64;

/// When those that others wait for are looked at.
#[derive(Debug)]
pub(super) struct PollSchedule {
    /// None: nobody waits.
    next: Option<Nanos>,
    /// The last one that was looked at.
    last: TenantId,
}

impl Default for PollSchedule {
    fn default() -> Self {
        Self { next: None, last: TenantId(0) }
    }
}

impl PollSchedule {
    /// When the next one is.
    pub fn next(&self) -> Option<Nanos> {
        self.next
    }

    /// Something happened after which somebody may wait for another.
    pub fn begin(&mut self, now: Nanos) {
        self.next.get_or_insert(now.saturating_add(EVERY));
    }
}

/// What was seen of one tenant's process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Liveness {
    /// It is known as halted.
    halted: bool,
    /// It was in a debugger's hands at the last look: a single look may meet one that goes on at once.
    traced: bool,
}

impl Liveness {
    /// Whether it is known as halted.
    pub fn is_halted(self) -> bool {
        self.halted
    }

    /// Takes a look: whether it is halted from now on, or goes on; none: as before.
    fn sees(&mut self, halt: Option<Halt>) -> Option<bool> {
        let traced = std::mem::replace(&mut self.traced, halt == Some(Halt::Traced));
        let halted = halt.is_some_and(|halt| halt != Halt::Traced || traced || self.halted);
        (std::mem::replace(&mut self.halted, halted) != halted).then_some(halted)
    }
}

impl Daemon {
    /// Looks at those that others wait for.
    pub(super) fn look(&mut self) {
        let awaited = self.core.awaited();
        let after = TenantId(self.polls.last.0 + 1);
        let due: Vec<TenantId> =
            awaited.range(after..).chain(awaited.range(..after)).take(AT_A_TIME).copied().collect();
        self.polls.next = None;
        if let Some(&last) = due.last() {
            self.polls.last = last;
            self.polls.begin(self.clock.now());
        }
        due.into_iter().for_each(|tenant| self.look_at(tenant));
    }

    /// Those that are known as stopped, for whoever asks.
    pub(super) fn look_at_the_stopped(&mut self) {
        let stopped = self.members.all().filter(|(_, member)| member.liveness.is_halted());
        let stopped: Vec<TenantId> = stopped.map(|(tenant, _)| tenant).collect();
        stopped.into_iter().for_each(|tenant| self.look_at(tenant));
    }

    /// Looks at one: whether its process can do anything.
    pub(super) fn look_at(&mut self, tenant: TenantId) {
        let roots = Roots { proc: Path::new("/proc"), cgroups: &self.shared.host.cgroups };
        let Some(member) = self.members.get_mut(tenant) else { return };
        let Some(process) = &member.who.process else { return };
        let halt = halted(process.key.pid, roots);
        // Else the number may be another's by now; its end is on its way to us.
        if process.has_ended() {
            return;
        }
        let Some(stopped) = member.liveness.sees(halt) else { return };
        match halt {
            Some(halt) => self.say_stopped(tenant, halt),
            None => self.say_resumed(tenant),
        }
        self.tell(Event::Stopped { tenant, stopped });
    }

    fn say_stopped(&self, tenant: TenantId, halt: Halt) {
        let (name, how) = (self.members.name(tenant), halt.as_str());
        let devices = self.members.get(tenant).into_iter().flat_map(|member| &member.devices);
        let there = devices.filter(|(_, seen)| seen.resident > Bytes::ZERO);
        let there: Vec<String> = there
            .map(|(device, seen)| format!("{} stay on {device}", text::memory(seen.resident.0)))
            .collect();
        let what = if there.is_empty() {
            "others go on".into()
        } else {
            format!("its {}: others run beside it where there is room", there.join(", "))
        };
        self.warn_of(tenant, &format!("{name} is {how}; {what}"));
        self.news("stopped", tenant, |event| event.text = Some(how.into()));
    }

    fn say_resumed(&self, tenant: TenantId) {
        self.info_of(tenant, &format!("{} goes on after it was stopped", self.members.name(tenant)));
        self.news("resumed", tenant, |_| {});
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
            (Some(Halt::Traced), Some(true)),
            (Some(Halt::Stopped), None),
            (Some(Halt::Traced), None),
            (None, Some(false)),
            (Some(Halt::Frozen), Some(true)),
            (Some(Halt::Frozen), None),
            (None, Some(false)),
            (Some(Halt::Stopped), Some(true)),
        ] {
            assert_eq!(liveness.sees(halt), news, "{halt:?} {liveness:?}");
        }
    }
}
