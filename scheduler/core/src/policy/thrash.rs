//! Holders that want a device again before their going has paid: where that is frequent, idle ones are kept for a while.
use crate::model::Model;
use crate::model::decay::ThrashMeter;
use crate::model::lease::Lease;
use nvshare_protocol::Nanos;

/// A holder has its device for so many times the cost of a hand-over before it is taken from it for idleness.
const MIN_RESIDENCY: u64 = 2;

/// Until when the holder keeps its devices although it is idle: where more than a third of the time is lost to
/// hand-overs that would better not have been.
pub(crate) fn hold_idle_until(model: &Model, lease: &Lease) -> Nanos {
    let held = lease.devices.iter().map(|device| &model.devices[device]);
    let thrashed = held.filter(|device| device.thrash.at(model.now) > Nanos(ThrashMeter::ALWAYS.0 / 3));
    let cost = thrashed.map(|device| device.cost()).max();
    cost.map_or(Nanos::ZERO, |cost| {
        lease.granted_at.saturating_add(Nanos(cost.0.saturating_mul(MIN_RESIDENCY)))
    })
}
