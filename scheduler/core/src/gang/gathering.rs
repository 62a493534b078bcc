//! A gang's first turn waits a little for members that are still to come: one that begins without the others may wait for
//! them in its kernels, on a device that it then cannot leave.
use super::stage::Gathering;
use super::{Gang, Gangs};
use crate::event::Event;
use crate::model::Model;
use crate::model::ids::TenantId;
use nvshare_protocol::Nanos;

/// How long. Processes that are started together come within this time; one that never uses a GPU holds its gang up for no
/// longer.
const PATIENCE: Nanos = Nanos::SECOND;

impl Gang {
    /// Until when it waits for members that are still to come.
    pub(super) fn gathers_until(&self) -> Option<Nanos> {
        match self.gathering {
            Gathering::Until(until) => Some(until),
            Gathering::Before | Gathering::Over => None,
        }
    }

    /// Whether all members that are to be expected are there and have named their devices.
    fn is_complete(&self) -> bool {
        let there = self.members.values().filter(|member| !member.devices.is_empty()).count();
        self.expected.is_none_or(|expected| there as u64 >= u64::from(expected))
    }
}

/// The gang asks for a turn, at once or when it has come together. It does not wait where nobody else is.
pub(super) fn request(gangs: &mut Gangs, unit: TenantId, model: &Model) {
    let now = gangs.now;
    let is_alone = gangs.gangs.len() == 1 && is_alone(gangs, unit, model);
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let waits = gang.gathering != Gathering::Over && gang.turn.is_none() && !gang.is_complete() && !is_alone;
    if !waits {
        gang.gathering = Gathering::Over;
        return gangs.events.push_back(Event::Requested { tenant: unit });
    }
    if gang.gathering == Gathering::Before {
        let until = now.saturating_add(PATIENCE);
        gang.gathering = Gathering::Until(until);
        gangs.timers.insert((until, unit));
    }
}

/// A member has come, or time has passed.
pub(super) fn check(gangs: &mut Gangs, unit: TenantId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let Gathering::Until(until) = gang.gathering else { return };
    if gang.is_complete() || until <= now {
        gang.gathering = Gathering::Over;
        gangs.events.push_back(Event::Requested { tenant: unit });
    }
}

/// Whether nobody else uses the gang's devices.
fn is_alone(gangs: &Gangs, unit: TenantId, model: &Model) -> bool {
    let Some(gang) = gangs.gangs.get(&unit) else { return false };
    let is_free = |device| {
        let at = model.devices.get(device);
        at.is_none_or(|at| at.queue().is_empty() && at.index().holders.is_empty())
    };
    gang.devices().iter().all(is_free)
}
