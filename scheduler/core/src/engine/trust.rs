//! Claims are believed for a while, then tried, and the result is shared with the owner's other tenants.
use crate::model::Model;
use crate::model::ids::{Owner, TenantId};
use crate::model::report::ClaimTrust;
use crate::model::settings::seconds;
use crate::policy::{claims, run_queue};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// The longest time between two trials.
const MAX_PATIENCE: Nanos = seconds(320);

/// The tenant is next. If claims of others that nothing confirms keep it from room, it believes them for so long.
pub(crate) fn note_blocked_by_claims(model: &mut Model, id: TenantId) {
    let blocked = claims::is_blocked_by_claims(model, id);
    let (now, patience) = (model.now, model.settings().claim_bound());
    let Some(trust) = model.tenants.get(&id).map(|tenant| tenant.trust) else { return };
    if trust.blocked_since.is_some() == blocked || trust.ignores_claims {
        return;
    }
    model.update(id, |tenant| {
        tenant.trust.blocked_since = blocked.then_some(now);
        tenant.trust.patience = trust.patience.max(patience);
    });
}

/// The tenant was asked for a sign of life then, and has given none: whoever is next on its devices and has no room
/// because of its claims has believed them since.
pub(crate) fn doubt_claims_since(model: &mut Model, silent: TenantId, since: Nanos) {
    let devices: BTreeSet<DeviceId> = model.devices_of(silent).into_iter().collect();
    for id in run_queue::next_tenants(model, &devices) {
        note_blocked_by_claims(model, id);
        model.update(id, |tenant| {
            let began = &mut tenant.trust.blocked_since;
            *began = began.map(|began| since.min(began));
        });
    }
}

/// Tenants that have believed claims for long enough ignore them.
pub(crate) fn expire_trust(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) = model.devices.get(&device).and_then(|at| at.index().trust_timers.first())
            && at <= model.now
        {
            ignore_claims(model, id);
        }
    }
}

/// The tenant goes by what the driver shows, and not by what others say.
pub(crate) fn ignore_claims(model: &mut Model, id: TenantId) {
    let patience = model.settings().claim_bound();
    model.update(id, |tenant| {
        tenant.trust.ignores_claims = true;
        tenant.trust.patience = tenant.trust.patience.max(patience);
    });
}

/// A turn of one that ignores claims has begun with all its memory there, or has ended without.
pub(crate) fn conclude_trial(model: &mut Model, id: TenantId, succeeded: bool) {
    let (now, first) = (model.now, model.settings().claim_bound());
    model.update(id, |tenant| {
        let doubled = Nanos(tenant.trust.patience.0.saturating_mul(2)).clamp(first, MAX_PATIENCE);
        let patience = if succeeded { first } else { doubled };
        tenant.trust = ClaimTrust { blocked_since: Some(now), patience, ignores_claims: succeeded };
    });
    if succeeded {
        share_verdict(model, id);
    }
}

/// The owner's other tenants need not find out again what this one has found out.
fn share_verdict(model: &mut Model, id: TenantId) {
    let owner = model.owner_of(id);
    if matches!(owner, Owner::Tenant(_)) {
        return;
    }
    let kin = model
        .tenants
        .iter()
        .filter(|(_, tenant)| tenant.owner == Some(owner) && !tenant.trust.ignores_claims);
    let kin: Vec<TenantId> = kin.map(|(id, _)| *id).collect();
    kin.into_iter().for_each(|id| ignore_claims(model, id));
}
