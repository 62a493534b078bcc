//! What tenants say that they keep on a device, and how far that is believed.
//!
//! What the driver shows of a process ([`crate::event::Event::Seen`]) bounds what it can keep. Where nothing is shown, a
//! tenant that has no room because of what others say they keep waits for [`crate::Settings::claim_bound`]; then it
//! insists: it is granted its devices as if nobody kept anything but those that run, and finds out by the driver. If that
//! works, it goes on insisting, and so do the other tenants of its owner (its kin); if not, what was said is true, and it
//! waits twice as long before it tries again.
use crate::Core;
use crate::MemoryUse;
use crate::event::TenantId;
use crate::memory::unaccounted::Unaccounted;
use crate::model::index::TenantFacts;
use crate::model::settings::seconds;
use crate::model::tenant::Tenant;
use crate::policy::fairness::Owner;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeSet;

/// The longest time between two attempts.
const MAX_PATIENCE: Nanos = seconds(320);

/// A tenant's opinion of what others say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClaimTrust {
    /// Since when it has no room because of others' words.
    blocked_since: Option<Nanos>,
    /// How long it believes them; zero: as the settings say.
    patience: Nanos,
    pub ignores_claims: bool,
}

/// What was said of a tenant and a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceReport {
    /// How large the device is, by the tenant's own word: nothing beyond that is given to it.
    pub capacity: Bytes,
    /// What it has there as it has told it.
    pub memory: MemoryUse,
    /// What the driver shows of its process, where it does.
    pub observed: Option<Observation>,
    /// What it was refused though it should be there.
    pub unaccounted: Unaccounted,
}

/// What the driver shows of a tenant's process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub bytes: Bytes,
    /// How often in a row it had nothing there: the first time its context may have been too new.
    times_absent: u8,
}

impl Observation {
    /// It has no context there, so that it cannot use the device.
    pub fn is_absent(&self) -> bool {
        self.times_absent > 1
    }
}

impl ClaimTrust {
    /// When it begins to insist, if nothing changes.
    pub fn expires_at(&self) -> Option<Nanos> {
        self.blocked_since.filter(|_| !self.ignores_claims).map(|since| since.saturating_add(self.patience))
    }
}

impl Core {
    pub(crate) fn on_seen(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|t| t.devices.contains_key(&device)) else {
            return;
        };
        let Some(words) = tenant.reports.get_mut(&device) else { return };
        let seen = words.observed.get_or_insert_default();
        seen.bytes = bytes;
        seen.times_absent = if bytes == Bytes::ZERO { seen.times_absent.saturating_add(1) } else { 0 };
        self.reindex(id);
    }

    /// The tenant is next in line. If words of others that nothing confirms keep it from room, it believes them for so long.
    pub(crate) fn note_blocked_by_claims(&mut self, id: TenantId) {
        let cramped = self.is_blocked_by_claims(id);
        let (now, patience) = (self.now, self.settings.claim_bound());
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let doubt = &mut tenant.trust;
        if doubt.blocked_since.is_some() == cramped || doubt.ignores_claims {
            return;
        }
        doubt.blocked_since = cramped.then_some(now);
        doubt.patience = doubt.patience.max(patience);
        self.reindex(id);
    }

    /// The tenant was asked for a sign of life then, and has given none: whoever is next on its devices and has no room
    /// because of its words has believed them since.
    pub(crate) fn doubt_claims_since(&mut self, silent: TenantId, since: Nanos) {
        let Some(tenant) = self.tenants.get(&silent) else { return };
        let devices: BTreeSet<DeviceId> = tenant.devices.keys().copied().collect();
        for id in self.next_tenants(&devices) {
            self.note_blocked_by_claims(id);
            if let Some(began) =
                self.tenants.get_mut(&id).and_then(|tenant| tenant.trust.blocked_since.as_mut())
            {
                *began = since.min(*began);
            }
            self.reindex(id);
        }
    }

    /// Whether it would have room if nothing were kept there but what is shown, and what runs.
    fn is_blocked_by_claims(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        tenant.devices.keys().any(|&device| {
            let own = self.facts(id, device);
            let (all, shown) =
                (self.claimed_unevictable(own, device), self.verified_unevictable(own, device));
            let others = self.devices[&device].index.held_allocated;
            let (wants, needs) = (others + u128::from(own.allocated.0), u128::from(own.needs.0));
            let usable = u128::from(self.usable_for(own, device).0);
            all > shown && wants + all > usable && needs + shown <= usable
        })
    }

    /// What others than this one and the holders say that they keep on the device.
    pub(crate) fn claimed_unevictable(&self, own: &TenantFacts, device: DeviceId) -> u128 {
        let standings = &self.devices[&device].index;
        let own = if own.holds() { Bytes::ZERO } else { own.unevictable };
        standings.unevictable.saturating_sub(standings.held_unevictable + u128::from(own.0))
    }

    /// As much of that as the driver shows.
    pub(crate) fn verified_unevictable(&self, own: &TenantFacts, device: DeviceId) -> u128 {
        self.devices[&device].index.verified - u128::from(own.verified.0)
    }

    /// What of it counts for this tenant.
    pub(crate) fn credited_unevictable(&self, own: &TenantFacts, device: DeviceId) -> u128 {
        if own.ignores_claims {
            self.verified_unevictable(own, device)
        } else {
            self.claimed_unevictable(own, device)
        }
    }

    /// Those whose patience is over insist.
    pub(crate) fn expire_trust(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            while let Some(&(at, id)) = self.devices.get(&device).and_then(|at| at.index.trust_timers.first())
                && at <= self.now
            {
                self.ignore_claims(id);
            }
        }
    }

    pub(crate) fn ignore_claims(&mut self, id: TenantId) {
        let patience = self.settings.claim_bound();
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.trust.ignores_claims = true;
            tenant.trust.patience = tenant.trust.patience.max(patience);
        }
        self.reindex(id);
    }

    /// A turn of one that insists has begun with all its memory there, or has ended without.
    pub(crate) fn conclude_trial(&mut self, id: TenantId, there: bool) {
        let (now, first) = (self.now, self.settings.claim_bound());
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let doubt = &mut tenant.trust;
        let patience =
            if there { first } else { Nanos(doubt.patience.0.saturating_mul(2)).clamp(first, MAX_PATIENCE) };
        *doubt = ClaimTrust { blocked_since: Some(now), patience, ignores_claims: there };
        self.reindex(id);
        if there {
            self.share_verdict(id);
        }
    }

    /// What one tenant has found out, the others of its owner need not find out again.
    fn share_verdict(&mut self, id: TenantId) {
        let owner = self.owner_of(id);
        if matches!(owner, Owner::Tenant(_)) {
            return;
        }
        let kin = self
            .tenants
            .iter()
            .filter(|(_, tenant)| tenant.owner == Some(owner) && !tenant.trust.ignores_claims);
        let kin: Vec<TenantId> = kin.map(|(id, _)| *id).collect();
        kin.into_iter().for_each(|id| self.ignore_claims(id));
    }
}

impl Tenant {
    /// What of its memory is there whatever others need, as far as the driver shows it.
    pub(crate) fn unevictable(&self, device: DeviceId) -> Bytes {
        self.unevictable_and_verified(device).0
    }

    /// That, and as much of it as the driver shows.
    pub(crate) fn unevictable_and_verified(&self, device: DeviceId) -> (Bytes, Bytes) {
        let told = self.claimed_unevictable(device);
        let seen = self.reports.get(&device).and_then(|words| words.observed);
        let shown = seen.map(|seen| told.min(seen.bytes));
        (shown.unwrap_or(told), shown.unwrap_or_default())
    }
}
