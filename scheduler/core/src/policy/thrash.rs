//! Holders that want a device again before their going has paid: where that is frequent, idle ones are kept for a while.
use crate::Core;
use crate::event::TenantId;
use crate::model::lease::Lease;
use crate::policy::interactive::{DecayingSum, PreemptedTurn};
use nvshare_protocol::Nanos;

/// A holder has its device for so many times the cost of a hand-over before it is taken from it for idleness.
const MIN_RESIDENCY: u64 = 2;

/// What hand-overs of late have cost that would better not have been: those of tenants that were told to leave because
/// they were idle, and that asked again before one and a half times as long had passed as their leaving took.
pub(crate) type ThrashMeter = DecayingSum<3>;

impl Core {
    /// Until when the holder keeps its devices although it is idle: where more than a third of the time is lost to
    /// hand-overs that would better not have been.
    pub(crate) fn hold_idle_until(&self, lease: &Lease) -> Nanos {
        let held = lease.devices.iter().map(|device| &self.devices[device]);
        let thrashed = held.filter(|device| device.thrash.at(self.now) > Nanos(ThrashMeter::ALWAYS.0 / 3));
        let cost = thrashed.map(|device| device.cost()).max();
        cost.map_or(Nanos::ZERO, |cost| {
            lease.granted_at.saturating_add(Nanos(cost.0.saturating_mul(MIN_RESIDENCY)))
        })
    }

    /// The tenant asks for its devices, after a turn that was ended.
    pub(crate) fn note_early_return(&mut self, id: TenantId, turn: PreemptedTurn) {
        let (went, since) =
            (turn.ended_at.saturating_sub(turn.revoked_at), self.now.saturating_sub(turn.revoked_at));
        if !turn.was_idle || since.0 / 3 > went.0 / 2 {
            return;
        }
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| tenant.devices.keys());
        for device in devices {
            if let Some(device) = self.devices.get_mut(device) {
                device.thrash.add(self.now, went);
            }
        }
    }
}
