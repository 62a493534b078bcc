//! What tenants answer to grants and revocations.
use crate::Core;
use crate::event::TenantId;
use crate::model::lease::{Lease, Step};
use crate::model::span::SpanKind;
use nvshare_protocol::tenant::{Ready, Released, total};
use nvshare_protocol::{LeaseId, Nanos};
use std::collections::BTreeSet;

/// No link is faster, bytes a second.
const MAX_LINK_RATE: u64 = 1_000_000_000_000;

impl Core {
    /// The lease that an answer speaks of, if the tenant has it.
    fn answered_lease(&mut self, id: TenantId, lease: LeaseId) -> Option<&mut Lease> {
        self.tenants.get_mut(&id)?.lease_mut().filter(|held| held.answers_to(lease))
    }

    pub(crate) fn on_ready(&mut self, id: TenantId, ready: &Ready) {
        let now = self.now;
        let Some(lease) = self.answered_lease(id, ready.lease).filter(|lease| lease.ready_at.is_none())
        else {
            return;
        };
        lease.idle_since = None;
        lease.ready_at = Some(now);
        // What it costs is measured here. A rate is taken from the tenant, as far as it is possible.
        let took = now.saturating_sub(lease.granted_at);
        let (held, tries) = (lease.devices.clone(), lease.is_trial);
        let (moved, within) = (total(&ready.fetched).0, ready.took.min(took));
        // One with a quota comes back again and again, with all its memory there.
        let takes_over = lease.is_switch && !(lease.has_quota && moved == 0);
        for device in held {
            if let Some(device) = self.devices.get_mut(&device) {
                if takes_over {
                    device.cost.0 = average(device.cost.0, took);
                }
                if moved >= 256 << 20 && within > Nanos::ZERO {
                    let moved = u128::from(moved.min(device.capacity.0));
                    let rate = moved * 1_000_000_000 / u128::from(within.0);
                    device.fetch_rate = u64::try_from(rate).unwrap_or(u64::MAX).min(MAX_LINK_RATE);
                }
            }
        }
        if tries {
            self.conclude_trial(id, true);
        }
        self.start_charging(id);
        self.update_turn(id);
        let Some(lease) = self.answered_lease(id, ready.lease) else { return };
        if lease.phase.kind == SpanKind::Fetch {
            self.enter_phase(id, SpanKind::Run, total(&ready.fetched));
        }
    }

    /// Its turn is over as long as somebody waits, or will be soon. A cancelled drain is tried again at once.
    pub(crate) fn on_idle(&mut self, id: TenantId, lease: LeaseId) {
        self.mark_dirty(id);
        let now = self.now;
        let contended = self.lease(id).is_some_and(|lease| self.is_contended(lease));
        let kept = self.lease(id).map_or(Nanos::ZERO, |lease| self.hold_idle_until(lease));
        let Some(lease) = self.answered_lease(id, lease) else { return };
        match lease.revocation.as_mut().map(|revocation| &mut revocation.step) {
            None => {
                lease.idle_since = lease.idle_since.or(Some(now)).filter(|_| contended);
                lease.hold_until = kept;
                lease.went_idle |= contended && kept <= now;
            }
            Some(Step::Cancelled(retry)) => *retry = now.min(*retry),
            Some(Step::Asked(_)) => {}
        }
        for device in lease.devices.clone() {
            if let Some(device) = self.devices.get_mut(&device).filter(|_| kept <= now) {
                device.boost.end(id, now);
            }
        }
        self.reindex(id);
    }

    pub(crate) fn on_released(&mut self, id: TenantId, released: &Released) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.claims_hold = false;
        }
        let now = self.now;
        let Some(lease) = self.answered_lease(id, released.lease) else { return };
        let again = lease.rerequested;
        let throttled = lease.throttled;
        // Who leaves for its quota hands nothing over where nothing moves.
        let hands_over = !throttled || total(&released.evicted).0 > 0;
        let costs = lease.revocation.is_some() && hands_over;
        let since = lease.revocation.map_or(now, |revocation| revocation.first_at);
        let told = released.drain.saturating_add(released.evict).min(now.saturating_sub(since));
        let held = if costs { lease.devices.clone() } else { BTreeSet::new() };
        for device in held {
            if let Some(device) = self.devices.get_mut(&device) {
                device.cost.1 = average(device.cost.1, told);
            }
        }
        if !throttled && self.settings.overlap && self.settings.evict == crate::event::EvictMode::Always {
            self.deferred_evictions.insert(id);
        }
        self.end_stage(id, Some(released));
        if again {
            self.request_turn(id);
        }
    }

    pub(crate) fn on_weight(&mut self, id: TenantId, weight: u32) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.weight = weight.clamp(1, crate::model::settings::MAX_WEIGHT);
        }
        self.update_turn(id);
        self.reindex(id);
    }

    /// It keeps its lease; it is asked again after a while, unless by then nobody waits.
    pub(crate) fn on_drain_cancelled(&mut self, id: TenantId, lease: LeaseId) {
        self.mark_dirty(id);
        let now = self.now;
        let Some(lease) = self.answered_lease(id, lease) else { return };
        let Some(revocation) = lease.revocation.as_mut() else { return };
        lease.idle_since = None;
        if matches!(revocation.step, Step::Cancelled(_)) {
            return;
        }
        revocation.cancelled_drains = revocation.cancelled_drains.saturating_add(1);
        revocation.step = Step::Cancelled(now.saturating_add(revocation.backoff()));
        self.cancel_eviction(id);
        self.enter_phase(id, SpanKind::Run, nvshare_protocol::Bytes::ZERO);
    }
}

/// Three parts of what was, one of what is new; the first as it is.
fn average(was: Nanos, new: Nanos) -> Nanos {
    if was == Nanos::ZERO { new } else { Nanos(was.0 / 4 * 3 + new.0 / 4) }
}
