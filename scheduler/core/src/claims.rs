//! What tenants say that they keep on a device, and how far that is believed.
//!
//! What the driver shows of a process ([`crate::event::Event::Seen`]) bounds what it can keep. Where nothing is shown, a
//! tenant that has no room because of what others say they keep waits for [`crate::Settings::claim_bound`]; then it
//! insists: it is granted its devices as if nobody kept anything but those that run, and finds out by the driver. If that
//! works, it goes on insisting, and so do the other tenants of its owner (its kin); if not, what was said is true, and it
//! waits twice as long before it tries again.
use crate::Core;
use crate::Memory;
use crate::event::TenantId;
use crate::owners::Owner;
use crate::settings::seconds;
use crate::standing::Standing;
use crate::tenant::Tenant;
use crate::unseen::Unseen;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeSet;

/// The longest time between two attempts.
const MOST: Nanos = seconds(320);

/// A tenant's opinion of what others say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubt {
    /// Since when it has no room because of others' words.
    since: Option<Nanos>,
    /// How long it believes them; zero: as the settings say.
    patience: Nanos,
    pub insists: bool,
}

/// What was said of a tenant and a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words {
    /// How large the device is, by the tenant's own word: nothing beyond that is given to it.
    pub capacity: Bytes,
    /// What it has there as it has told it.
    pub memory: Memory,
    /// What the driver shows of its process, where it does.
    pub seen: Option<Seen>,
    /// What it was refused though it should be there.
    pub unseen: Unseen,
}

/// What the driver shows of a tenant's process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub bytes: Bytes,
    /// How often in a row it had nothing there: the first time its context may have been too new.
    absent: u8,
}

impl Seen {
    /// It has no context there, so that it cannot use the device.
    pub fn is_absent(&self) -> bool {
        self.absent > 1
    }
}

impl Doubt {
    /// When it begins to insist, if nothing changes.
    pub fn ends(&self) -> Option<Nanos> {
        self.since.filter(|_| !self.insists).map(|since| since.saturating_add(self.patience))
    }
}

impl Core {
    pub(crate) fn seen(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|t| t.devices.contains_key(&device)) else {
            return;
        };
        let Some(words) = tenant.words.get_mut(&device) else { return };
        let seen = words.seen.get_or_insert_default();
        seen.bytes = bytes;
        seen.absent = if bytes == Bytes::ZERO { seen.absent.saturating_add(1) } else { 0 };
        self.changed(id);
    }

    /// The tenant is next in line. If words of others that nothing confirms keep it from room, it believes them for so long.
    pub(crate) fn note_cramped(&mut self, id: TenantId) {
        let cramped = self.is_cramped(id);
        let (now, patience) = (self.now, self.settings.claim_bound());
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let doubt = &mut tenant.doubt;
        if doubt.since.is_some() == cramped || doubt.insists {
            return;
        }
        doubt.since = cramped.then_some(now);
        doubt.patience = doubt.patience.max(patience);
        self.changed(id);
    }

    /// The tenant was asked for a sign of life then, and has given none: whoever is next on its devices and has no room
    /// because of its words has believed them since.
    pub(crate) fn doubt_since(&mut self, silent: TenantId, since: Nanos) {
        let Some(tenant) = self.tenants.get(&silent) else { return };
        let devices: BTreeSet<DeviceId> = tenant.devices.keys().copied().collect();
        for id in self.next_at(&devices) {
            self.note_cramped(id);
            if let Some(began) = self.tenants.get_mut(&id).and_then(|tenant| tenant.doubt.since.as_mut()) {
                *began = since.min(*began);
            }
            self.changed(id);
        }
    }

    /// Whether it would have room if nothing were kept there but what is shown, and what runs.
    fn is_cramped(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        tenant.devices.keys().any(|&device| {
            let own = self.standing(id, device);
            let (all, shown) = (self.kept(own, device), self.shown(own, device));
            let others = self.devices[&device].standings.allocated;
            let (wants, needs) = (others + u128::from(own.allocated.0), u128::from(own.needs.0));
            let usable = u128::from(self.usable_by(own, device).0);
            all > shown && wants + all > usable && needs + shown <= usable
        })
    }

    /// What others than this one and the holders say that they keep on the device.
    pub(crate) fn kept(&self, own: &Standing, device: DeviceId) -> u128 {
        let standings = &self.devices[&device].standings;
        let own = if own.holds() { Bytes::ZERO } else { own.fixed };
        standings.fixed.saturating_sub(standings.immovable + u128::from(own.0))
    }

    /// As much of that as the driver shows.
    pub(crate) fn shown(&self, own: &Standing, device: DeviceId) -> u128 {
        self.devices[&device].standings.shown - u128::from(own.shown.0)
    }

    /// What of it counts for this tenant.
    pub(crate) fn believed(&self, own: &Standing, device: DeviceId) -> u128 {
        if own.insists { self.shown(own, device) } else { self.kept(own, device) }
    }

    /// Those whose patience is over insist.
    pub(crate) fn lose_faith(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            while let Some(&(at, id)) = self.devices.get(&device).and_then(|at| at.standings.doubting.first())
                && at <= self.now
            {
                self.insist(id);
            }
        }
    }

    pub(crate) fn insist(&mut self, id: TenantId) {
        let patience = self.settings.claim_bound();
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.doubt.insists = true;
            tenant.doubt.patience = tenant.doubt.patience.max(patience);
        }
        self.changed(id);
    }

    /// A turn of one that insists has begun with all its memory there, or has ended without.
    pub(crate) fn tried(&mut self, id: TenantId, there: bool) {
        let (now, first) = (self.now, self.settings.claim_bound());
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let doubt = &mut tenant.doubt;
        let patience =
            if there { first } else { Nanos(doubt.patience.0.saturating_mul(2)).clamp(first, MOST) };
        *doubt = Doubt { since: Some(now), patience, insists: there };
        self.changed(id);
        if there {
            self.tell_kin(id);
        }
    }

    /// What one tenant has found out, the others of its owner need not find out again.
    fn tell_kin(&mut self, id: TenantId) {
        let owner = self.owner(id);
        if matches!(owner, Owner::Tenant(_)) {
            return;
        }
        let kin =
            self.tenants.iter().filter(|(_, tenant)| tenant.owner == Some(owner) && !tenant.doubt.insists);
        let kin: Vec<TenantId> = kin.map(|(id, _)| *id).collect();
        kin.into_iter().for_each(|id| self.insist(id));
    }
}

impl Tenant {
    /// What of its memory is there whatever others need, as far as the driver shows it.
    pub(crate) fn fixed(&self, device: DeviceId) -> Bytes {
        self.fixed_and_shown(device).0
    }

    /// That, and as much of it as the driver shows.
    pub(crate) fn fixed_and_shown(&self, device: DeviceId) -> (Bytes, Bytes) {
        let told = self.told_fixed(device);
        let seen = self.words.get(&device).and_then(|words| words.seen);
        let shown = seen.map(|seen| told.min(seen.bytes));
        (shown.unwrap_or(told), shown.unwrap_or_default())
    }
}
