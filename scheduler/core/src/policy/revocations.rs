//! What becomes of a revocation that is not answered, or was answered with a cancelled drain.
use crate::event::Stuck;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Step;
use crate::policy::{admission, families};

/// What becomes of a revoked lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not revoked, or nothing is due.
    Wait,
    /// There is no reason for the revocation any more, and the tenant cancelled its drain: the turn goes on.
    GoOn,
    /// Something is due: the tenant loses its turn, its revocation is sent again, or both.
    Due { quarantine: Option<Stuck>, retry: bool },
}

pub(crate) fn verdict(model: &Model, id: TenantId) -> Verdict {
    let holder = model.tenants.get(&id).zip(model.lease(id));
    let Some((tenant, lease)) = holder else { return Verdict::Wait };
    let Some(revocation) = lease.revocation() else { return Verdict::Wait };
    let must_leave = || {
        tenant.evicts_all
            || lease.devices.len() < tenant.devices.len()
            || lease.devices.iter().any(|device| admission::is_overcommitted(model, *device))
            || admission::is_contended(model, tenant, lease)
            || families::are_waited_for(model, tenant)
    };
    if matches!(revocation.step, Step::Cancelled(_)) && !must_leave() {
        return Verdict::GoOn;
    }
    if lease.next_timer(model.settings()).is_none_or(|due| due > model.now) {
        return Verdict::Wait;
    }
    let patience_ends = revocation.first_at.saturating_add(model.settings().patience);
    let quarantine = match revocation.step {
        _ if lease.is_unresponsive() => None,
        Step::Asked(_) if revocation.cancelled_drains == 0 => Some(Stuck::NoAnswer),
        _ if patience_ends <= model.now => Some(Stuck::CannotDrain),
        Step::Asked(_) => Some(Stuck::NoAnswer),
        Step::Cancelled(_) => None,
    };
    let retry = matches!(revocation.step, Step::Cancelled(retry) if retry <= model.now);
    Verdict::Due { quarantine, retry }
}
