//! Against thrashing: if tenants that were revoked for being idle often come back before the hand-over has paid, idle
//! holders keep their devices for a while.
use crate::model::Model;
use crate::model::decay::ThrashMeter;
use crate::model::lease::Lease;
use nvshare_protocol::Nanos;

/// Where devices thrash, an idle holder keeps them for this many times the cost of a hand-over.
const MIN_RESIDENCY: u64 = 2;

/// Until when the holder keeps its devices although it is idle. Zero unless wasted hand-overs took more than a third of
/// the recent time of one of its devices.
pub(crate) fn hold_idle_until(model: &Model, lease: &Lease) -> Nanos {
    let held = lease.devices.iter().map(|device| &model.devices[device]);
    let thrashed = held.filter(|device| device.thrash.at(model.now) > Nanos(ThrashMeter::ALWAYS.0 / 3));
    let cost = thrashed.map(|device| device.cost()).max();
    cost.map_or(Nanos::ZERO, |cost| {
        lease.granted_at.saturating_add(Nanos(cost.0.saturating_mul(MIN_RESIDENCY)))
    })
}
