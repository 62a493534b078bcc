//! Connections that say whatever the language has words for, at any time: no process with the library is behind them. All
//! of them are one user's.
use super::{World, card_id};
use crate::event::{Event, TenantId};
use nvshare_protocol::tenant::{Moves, Ready, Released, Share};
use nvshare_protocol::{Bytes, LeaseId, Nanos};
use std::collections::BTreeMap;

/// The user's number.
pub const USER: u64 = 666;

/// How a liar goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Anything at any time.
    Random,
    /// Asks, and says nothing when it is granted.
    Silent,
    /// Begins its turn and never leaves.
    Stays,
    /// Says again and again that its work does not end.
    Cancels,
    /// Brings its memory in byte by byte, and takes it away byte by byte.
    Drips,
    /// Fits, is granted, and then grows as large as the card.
    Grows,
    /// Keeps the whole card and cannot move it.
    Keeps,
    /// Says that the driver refuses it everything.
    Refused,
    /// Says that it is idle, and wants the device back at once.
    Sleeps,
    /// Comes and goes, and says each time that it is running.
    Returns,
    /// Stops its process when it is granted, and goes on later.
    Stops,
    /// Says that nothing of its memory has content, or all of it, and that any amount has moved.
    Weighs,
}

impl Trick {
    pub const ALL: [Self; 12] = [
        Self::Random,
        Self::Silent,
        Self::Stays,
        Self::Cancels,
        Self::Drips,
        Self::Grows,
        Self::Keeps,
        Self::Refused,
        Self::Sleeps,
        Self::Returns,
        Self::Stops,
        Self::Weighs,
    ];
}

#[derive(Clone, Debug)]
pub struct Liar {
    pub trick: Trick,
    card: usize,
    /// What it hears.
    pub lease: Option<LeaseId>,
    revoked: bool,
    said: Bytes,
    stopped: bool,
}

pub type Liars = BTreeMap<TenantId, Liar>;

impl World {
    /// A connection more.
    pub fn add_liar(&mut self, trick: Trick, card: usize) {
        self.number += 1;
        let tenant = TenantId(1_000_000 + self.number);
        let liar = Liar { trick, card, lease: None, revoked: false, said: Bytes::ZERO, stopped: false };
        self.liars.insert(tenant, liar);
        let holds = matches!(trick, Trick::Returns) || trick == Trick::Random && self.roll(4) == 0;
        self.tell_core(Event::Joined { tenant, holds });
        self.tell_core(Event::Owner { tenant, owner: USER });
        if self.roll(2) == 0 {
            self.tell_core(Event::Swaps { tenant });
        }
        let capacity = self.cards[card].model.capacity;
        self.tell_core(Event::Device { tenant, device: card_id(card), capacity });
        self.plan_lie(tenant);
    }

    /// What the driver shows of every process goes to the scheduler, from now on every two seconds. Liars have nothing.
    pub fn show(&mut self) {
        let shown: Vec<(TenantId, usize, Bytes)> = self
            .links
            .iter()
            .flat_map(|(tenant, link)| {
                self.clients[link.client].holdings.iter().map(move |held| (*tenant, held))
            })
            .map(|(tenant, held)| (tenant, held.card, held.shown()))
            .collect();
        for (tenant, card, bytes) in shown {
            self.tell_core(Event::Seen { tenant, device: card_id(card), bytes });
        }
        for (tenant, liar) in self.liars.clone() {
            self.tell_core(Event::Seen { tenant, device: card_id(liar.card), bytes: Bytes::ZERO });
        }
        self.plan(Nanos::from_millis(2_000), super::Deed::Show);
    }

    fn plan_lie(&mut self, tenant: TenantId) {
        let most = [Nanos::from_millis(5), Nanos::from_millis(200), Nanos::from_millis(2_000)];
        let most = most[usize::try_from(self.roll(3)).unwrap()];
        let after = self.some(most).max(Nanos::from_millis(1));
        self.plan(after, super::Deed::Lie(tenant));
    }

    pub(super) fn liar_hears(&mut self, tenant: TenantId, lease: Option<LeaseId>, revoked: bool) {
        if let Some(liar) = self.liars.get_mut(&tenant) {
            liar.lease = lease.or(liar.lease);
            liar.revoked = revoked;
        }
    }

    fn says_memory(&mut self, tenant: TenantId, allocated: u64, resident: u64, immovable: u64) {
        let device = card_id(self.liars[&tenant].card);
        let (allocated, resident, immovable) = (Bytes(allocated), Bytes(resident), Bytes(immovable));
        self.tell_core(Event::Memory { tenant, device, allocated, resident, immovable });
    }

    /// Counters from nowhere, and nothing or all of its memory with content.
    fn says_moves(&mut self, tenant: TenantId) {
        let device = card_id(self.liars[&tenant].card);
        let any = |world: &mut Self| match world.roll(4) {
            0 => Bytes::MAX,
            1 => Bytes::ZERO,
            _ => Bytes(world.roll(1 << 46)),
        };
        let moves = Moves {
            device,
            copied_out: any(self),
            unchanged: any(self),
            zero_out: any(self),
            copied_in: any(self),
            zero_in: any(self),
            away_content: any(self),
            clean: any(self),
        };
        self.tell_core(Event::Moves { tenant, moves });
    }

    fn says_released(&mut self, tenant: TenantId, lease: LeaseId) {
        let liar = &self.liars[&tenant];
        let evicted = vec![Share { device: card_id(liar.card), bytes: Bytes(u64::MAX) }];
        let released = Released { lease, evicted, drain: Nanos::MAX, evict: Nanos::MAX };
        self.tell_core(Event::Released { tenant, released });
        self.liar_hears(tenant, None, false);
        if let Some(liar) = self.liars.get_mut(&tenant) {
            liar.lease = None;
        }
    }

    fn says_ready(&mut self, tenant: TenantId, lease: LeaseId) {
        let took = Nanos(self.roll(u64::MAX));
        self.tell_core(Event::Ready { tenant, ready: Ready { lease, fetched: vec![], took } });
    }

    pub(super) fn lie(&mut self, tenant: TenantId) {
        let Some(liar) = self.liars.get(&tenant).cloned() else { return };
        let all = self.cards[liar.card].model.capacity.0;
        let granted = liar.lease;
        match (liar.trick, granted) {
            (Trick::Random, _) => self.says_anything(tenant, &liar),
            (Trick::Silent, Some(_)) => {}
            (Trick::Stays | Trick::Keeps, Some(lease)) => self.says_ready(tenant, lease),
            (Trick::Cancels, Some(lease)) if liar.revoked => {
                self.tell_core(Event::DrainCancelled { tenant, lease });
            }
            (Trick::Cancels, Some(lease)) => self.says_ready(tenant, lease),
            (Trick::Drips, Some(_)) => {
                let said = if liar.revoked { liar.said.0.saturating_sub(1) } else { liar.said.0 + 1 };
                self.liars.get_mut(&tenant).unwrap().said = Bytes(said);
                self.says_memory(tenant, all, said, 0);
            }
            (Trick::Grows, Some(lease)) if liar.revoked => {
                self.says_memory(tenant, 0, 0, 0);
                self.says_released(tenant, lease);
            }
            (Trick::Grows, Some(lease)) => {
                self.says_ready(tenant, lease);
                self.says_memory(tenant, all, 0, 0);
            }
            (Trick::Refused, Some(lease)) => {
                let device = card_id(liar.card);
                self.tell_core(Event::MemoryRefused { tenant, device, bytes: Bytes(1) });
                self.says_ready(tenant, lease);
            }
            (Trick::Sleeps, Some(lease)) if liar.revoked => {
                self.says_released(tenant, lease);
                self.tell_core(Event::Requested { tenant });
            }
            (Trick::Sleeps, Some(lease)) => {
                self.says_ready(tenant, lease);
                self.tell_core(Event::Idle { tenant, lease });
            }
            (Trick::Stops, Some(_)) => {
                let stopped = !liar.stopped;
                self.liars.get_mut(&tenant).unwrap().stopped = stopped;
                self.tell_core(Event::Stopped { tenant, stopped });
            }
            (Trick::Weighs, Some(lease)) if liar.revoked => {
                self.says_moves(tenant);
                self.says_released(tenant, lease);
            }
            (Trick::Weighs, Some(lease)) => {
                self.says_moves(tenant);
                let fetched = vec![Share { device: card_id(liar.card), bytes: Bytes(all) }];
                let took = Nanos(self.roll(Nanos::SECOND.0));
                self.tell_core(Event::Ready { tenant, ready: Ready { lease, fetched, took } });
            }
            (Trick::Returns, _) => {
                self.says_memory(tenant, all, all, 0);
                if self.roll(4) == 0 {
                    return self.liar_comes_back(tenant, liar.trick, liar.card);
                }
            }
            (trick, None) => {
                let (resident, immovable) = if trick == Trick::Keeps { (all, all) } else { (0, 0) };
                let allocated = if trick == Trick::Grows { 0 } else { all };
                self.says_memory(tenant, allocated, resident, immovable);
                if trick == Trick::Weighs {
                    self.says_moves(tenant);
                }
                self.tell_core(Event::Requested { tenant });
            }
        }
        if self.roll(2_000) == 0 {
            return self.liar_comes_back(tenant, liar.trick, liar.card);
        }
        self.plan_lie(tenant);
    }

    fn liar_comes_back(&mut self, tenant: TenantId, trick: Trick, card: usize) {
        self.liars.remove(&tenant);
        let gone = if self.roll(4) == 0 { Event::Disconnected { tenant } } else { Event::Left { tenant } };
        self.tell_core(gone);
        self.add_liar(trick, card);
    }

    fn says_anything(&mut self, tenant: TenantId, liar: &Liar) {
        let all = self.cards[liar.card].model.capacity.0;
        let device = card_id(liar.card);
        let lease = match self.roll(4) {
            0 => LeaseId(self.roll(100)),
            _ => liar.lease.unwrap_or_default(),
        };
        let bytes = |world: &mut Self| match world.roll(8) {
            0 => u64::MAX,
            1 => 0,
            2 => all,
            _ => world.roll(all),
        };
        match self.roll(11) {
            0 | 1 => {
                let (allocated, resident, immovable) = (bytes(self), bytes(self), bytes(self));
                self.says_memory(tenant, allocated, resident, immovable);
            }
            2 | 3 => self.tell_core(Event::Requested { tenant }),
            4 => self.says_ready(tenant, lease),
            5 => self.says_released(tenant, lease),
            6 => self.tell_core(Event::DrainCancelled { tenant, lease }),
            7 => self.tell_core(Event::Idle { tenant, lease }),
            8 => self.tell_core(Event::Evicted { tenant }),
            9 => self.says_moves(tenant),
            _ => {
                let bytes = Bytes(bytes(self));
                self.tell_core(Event::MemoryRefused { tenant, device, bytes });
            }
        }
    }
}
