//! Claims are believed for a while, tried, and the verdict is shared.
use crate::model::Model;
use crate::model::ids::{Owner, TenantId};
use crate::model::report::ClaimTrust;
use crate::model::settings::seconds;
use crate::policy::{claims, run_queue};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// The longest time between two attempts.
const MAX_PATIENCE: Nanos = seconds(320);

/// The tenant is next in line. If words of others that nothing confirms keep it from room, it believes them for so long.
pub(crate) fn note_blocked_by_claims(model: &mut Model, id: TenantId) {
    let cramped = claims::is_blocked_by_claims(model, id);
    let (now, patience) = (model.now, model.settings.claim_bound());
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    let doubt = &mut tenant.trust;
    if doubt.blocked_since.is_some() == cramped || doubt.ignores_claims {
        return;
    }
    doubt.blocked_since = cramped.then_some(now);
    doubt.patience = doubt.patience.max(patience);
    model.reindex(id);
}

/// The tenant was asked for a sign of life then, and has given none: whoever is next on its devices and has no room
/// because of its words has believed them since.
pub(crate) fn doubt_claims_since(model: &mut Model, silent: TenantId, since: Nanos) {
    let Some(tenant) = model.tenants.get(&silent) else { return };
    let devices: BTreeSet<DeviceId> = tenant.devices.keys().copied().collect();
    for id in run_queue::next_tenants(model, &devices) {
        note_blocked_by_claims(model, id);
        if let Some(began) = model.tenants.get_mut(&id).and_then(|tenant| tenant.trust.blocked_since.as_mut())
        {
            *began = since.min(*began);
        }
        model.reindex(id);
    }
}

/// Those whose patience is over insist.
pub(crate) fn expire_trust(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) = model.devices.get(&device).and_then(|at| at.index.trust_timers.first())
            && at <= model.now
        {
            ignore_claims(model, id);
        }
    }
}

pub(crate) fn ignore_claims(model: &mut Model, id: TenantId) {
    let patience = model.settings.claim_bound();
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.trust.ignores_claims = true;
        tenant.trust.patience = tenant.trust.patience.max(patience);
    }
    model.reindex(id);
}

/// A turn of one that insists has begun with all its memory there, or has ended without.
pub(crate) fn conclude_trial(model: &mut Model, id: TenantId, there: bool) {
    let (now, first) = (model.now, model.settings.claim_bound());
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    let doubt = &mut tenant.trust;
    let patience =
        if there { first } else { Nanos(doubt.patience.0.saturating_mul(2)).clamp(first, MAX_PATIENCE) };
    *doubt = ClaimTrust { blocked_since: Some(now), patience, ignores_claims: there };
    model.reindex(id);
    if there {
        share_verdict(model, id);
    }
}

/// What one tenant has found out, the others of its owner need not find out again.
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
