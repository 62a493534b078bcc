//! What becomes of the request of a tenant that is next.
use crate::memory::headroom;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::request::Throttle;
use crate::policy::{admission, bandwidth, fairness, families};
use nvshare_protocol::Nanos;

/// What becomes of a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It waits for tenants that may hold since before this run, or for the word who belongs to one that cannot end its
    /// work.
    Wait,
    /// It waits in no queue until then.
    Throttle { until: Nanos, why: Throttle },
    /// It waits in no queue until there can be room for the tenant.
    Park,
    /// Holders are in its way.
    Blocked,
    /// No holder is in its way: it is granted as soon as there is room.
    Clear,
}

/// For a tenant that is next.
pub(crate) fn verdict(model: &Model, id: TenantId) -> Verdict {
    if admission::grace_until(model, id).is_some() || families::stalled_until(model, id).is_some() {
        return Verdict::Wait;
    }
    let quota = bandwidth::quota_blocks_until(model, id);
    // What one costs that cannot leave, its owner pays when it has left.
    let goes_first = model.tenants.get(&id).is_some_and(|tenant| tenant.goes_first);
    let debt = fairness::debt_blocks_until(model, id).filter(|_| !goes_first);
    if let Some(until) = quota.max(debt) {
        let why = if debt > quota { Throttle::Debt } else { Throttle::Quota };
        return Verdict::Throttle { until, why };
    }
    let swaps = model.tenants.get(&id).is_some_and(|tenant| tenant.swaps);
    if swaps && !headroom::can_ever_fit(model, id) {
        return Verdict::Park;
    }
    match admission::conflicting_holders(model, id).is_empty() {
        true => Verdict::Clear,
        false => Verdict::Blocked,
    }
}
