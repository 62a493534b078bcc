//! Priorities: who stands before whom, whose turns give way at once, and how nobody starves by that.
use crate::Core;
use crate::event::TenantId;
use crate::model::lease::Lease;
use crate::model::tenant::{Request, Stage, Tenant};
use crate::policy::fairness::Owner;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// Whose work comes first where not all fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The word for it, as operators read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The one that an operator means by this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

/// Within one priority: the eager stand before the others, and whose turn was broken off comes after them. Both only as
/// long as no more than [`AHEAD`] rounds have been served since another asked: that one stands before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Interactive,
    Continuing,
    Regular,
}

/// So many rounds stand those before others that are eager, or go on.
const CLASS_LEAD: u64 = 4;
/// From its lowest bit on, a place tells: the order of arrival, which may begin anew within a round; the class; the round;
/// and the priority.
const CLASS_SHIFT: u32 = 22;
const ROUND_SHIFT: u32 = 24;
const PRIORITY_SHIFT: u32 = 62;
const ROUNDS: u64 = (1 << (PRIORITY_SHIFT - ROUND_SHIFT)) - 1;

const fn class_lead(class: u64) -> u64 {
    if class < Class::Regular as u64 { CLASS_LEAD } else { 0 }
}

/// In which round who stands there is served.
pub(crate) const fn round_of(place: u64) -> u64 {
    let shown = (place >> ROUND_SHIFT & ROUNDS) + class_lead(place >> CLASS_SHIFT & 3);
    // Rounds begin with this one, so that there is always room before them.
    shown - CLASS_LEAD
}

/// A place in line: those with the least stand first.
pub(crate) const fn queue_key(priority: Priority, class: Class, round: u64, arrival: u64) -> u64 {
    let round = round + CLASS_LEAD - class_lead(class as u64);
    let arrival = arrival & ((1 << CLASS_SHIFT) - 1);
    priority_bits(priority) | (round & ROUNDS) << ROUND_SHIFT | (class as u64) << CLASS_SHIFT | arrival
}

const fn priority_bits(priority: Priority) -> u64 {
    let before = match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    };
    before << PRIORITY_SHIFT
}

/// The priority of who stands there.
const fn priority_of(place: u64) -> Priority {
    match place >> PRIORITY_SHIFT {
        0 => Priority::High,
        1 => Priority::Normal,
        _ => Priority::Low,
    }
}

impl Core {
    /// Of the tenant, for its present request or turn as for those to come.
    pub(crate) fn on_priority(&mut self, id: TenantId, priority: Priority) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.priority = priority;
        match &mut tenant.stage {
            Stage::Idle => {}
            Stage::Waiting(request) if request.starved => {}
            Stage::Waiting(request) => {
                request.priority = priority;
                self.rekey(id, |was| priority_bits(priority) | was & ((1 << PRIORITY_SHIFT) - 1));
            }
            Stage::Leased(lease) => lease.priority = priority,
        }
        self.reindex(id);
    }

    /// Until when the holder goes on, with this tenant waiting for its device, if their priorities say anything about it:
    /// to a higher one it gives way at once, or when its memory is there, and to a lower one when that has starved.
    pub(crate) fn preempted_by_priority_at(
        &self,
        holder: &Lease,
        waiter: TenantId,
        request: &Request,
    ) -> Option<Nanos> {
        let own = self.tenants.get(&waiter)?.priority;
        if own > holder.priority {
            // What is still coming in could not be told from what the next one may bring.
            let back = holder.ready_at.unwrap_or(holder.ready_deadline);
            let whole = holder.turn_end();
            return Some(if holder.non_preemptible { whole } else { whole.min(request.since.max(back)) });
        }
        let end = request.requested_at.saturating_add(self.settings.starvation);
        (request.priority < holder.priority && holder.idle_since.is_none())
            .then(|| holder.turn_end().max(end))
    }

    /// The highest priority among the holders of the device and those who wait for it.
    fn highest_at(&self, id: DeviceId) -> Option<Priority> {
        let device = self.devices.get(&id)?;
        let waits = device.queue.first_key().map(priority_of);
        let holds = device.index.preemption_order.last().filter(|turn| turn.0).map(|turn| turn.1);
        waits.max(holds)
    }

    /// Those who would be the first of their priority to have starved at the device, and when, while higher ones are
    /// before them.
    fn starving_at(&self, id: DeviceId) -> impl Iterator<Item = (Nanos, TenantId)> {
        let highest = self.highest_at(id).unwrap_or_default();
        let lower = Priority::ALL.into_iter().filter(move |priority| *priority < highest);
        let first = move |priority| {
            let of_it = (priority, Nanos::ZERO, TenantId(0))..=(priority, Nanos::MAX, TenantId(u64::MAX));
            self.devices.get(&id)?.index.starvable.range(of_it).next()
        };
        let at = |asked: Nanos| asked.saturating_add(self.settings.starvation);
        lower.filter_map(first).map(move |(_, asked, id)| (at(*asked), *id))
    }

    /// When somebody at the device has starved.
    pub(crate) fn starves_at(&self, id: DeviceId) -> Option<Nanos> {
        self.starving_at(id).map(|(at, _)| at).min()
    }

    /// Those who have waited for too long while higher ones were served count as high for this request.
    pub(crate) fn promote_starved(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            loop {
                let due = self.starving_at(device).find(|(at, _)| *at <= self.now);
                let Some((_, id)) = due else { break };
                self.promote(id);
            }
        }
    }

    /// One of an owner's tenants at a time on a device: for the others there the time of starving begins anew.
    fn restart_starvation_of_kin(&mut self, id: TenantId) {
        let (now, owner) = (self.now, self.owner_of(id));
        let Owner::Named(_) = owner else { return };
        let Some(raised) = self.tenants.get(&id) else { return };
        let shares =
            |tenant: &Tenant| tenant.devices.keys().any(|device| raised.devices.contains_key(device));
        let kin = self.tenants.iter().filter(|(other, tenant)| **other != id && tenant.owner == Some(owner));
        let kin = kin.filter(|(_, tenant)| shares(tenant));
        let kin: Vec<TenantId> = kin.map(|(id, _)| *id).collect();
        for other in kin {
            let tenant = self.tenants.get_mut(&other);
            if let Some(Stage::Waiting(request)) = tenant.map(|tenant| &mut tenant.stage)
                && !request.starved
            {
                request.requested_at = now;
                self.reindex(other);
            }
        }
    }

    fn promote(&mut self, id: TenantId) {
        let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) else {
            return;
        };
        (request.priority, request.starved, request.interactive, request.continues) =
            (Priority::High, true, false, None);
        self.rekey(id, |was| queue_key(Priority::High, Class::Regular, round_of(was), was));
        self.restart_starvation_of_kin(id);
        self.reindex(id);
    }
}
