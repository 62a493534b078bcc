//! What rules a tenant's turns and memory, as far as operators set it for single tenants and containers.
use super::wishes::Wishes;
use crate::identity::cgroup::Container;
use crate::identity::{Identity, Owner};
use nvshare_core::Priority;
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use std::collections::VecDeque;

/// So many containers have rules of their own; the oldest are forgotten beyond.
const CONTAINERS: usize = 1024;

/// The group in which the tenant's time is counted: its container, or the tenant alone.
pub fn group(who: &Identity, tenant: TenantId) -> u64 {
    who.container_key().map_or(tenant.0, |key| key.number())
}

/// What operators have set for one; none: what settings and wish say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub limit: Option<Bytes>,
    pub weight: Option<u32>,
    pub priority: Option<Priority>,
    pub time_share: Option<u32>,
    pub paused: bool,
}

/// What a tenant's turns are ruled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnRules {
    pub weight: u32,
    pub priority: Priority,
    /// In per cent.
    pub time_share: u32,
    pub paused: bool,
}

impl Default for TurnRules {
    fn default() -> Self {
        Self { weight: 1, priority: Priority::Normal, time_share: 100, paused: false }
    }
}

impl TurnRules {
    pub fn of(wishes: &Wishes, overrides: &Overrides) -> Self {
        Self {
            weight: overrides.weight.or(wishes.weight).unwrap_or(1),
            priority: overrides.priority.or(wishes.priority).unwrap_or_default(),
            time_share: overrides.time_share.or(wishes.time_share).unwrap_or(100),
            paused: overrides.paused,
        }
    }
}

/// What is set for containers, the oldest first.
#[derive(Debug, Default)]
pub struct ContainerOverrides(VecDeque<(Owner, Container, Overrides)>);

impl ContainerOverrides {
    pub fn of(&self, container: Option<Owner>) -> Overrides {
        let found = self.0.iter().find(|(key, ..)| Some(*key) == container);
        found.map(|(.., overrides)| *overrides).unwrap_or_default()
    }

    /// The containers for which something is set.
    pub fn containers(&self) -> impl Iterator<Item = (Owner, &Container)> {
        self.0.iter().map(|(key, container, _)| (*key, container))
    }

    pub fn change(&mut self, key: Owner, container: Container, change: impl Fn(&mut Overrides)) {
        let mut overrides = self.of(Some(key));
        self.0.retain(|(of, ..)| *of != key);
        change(&mut overrides);
        if overrides != Overrides::default() {
            self.0.push_back((key, container, overrides));
        }
        if self.0.len() > CONTAINERS {
            self.0.pop_front();
        }
    }
}
