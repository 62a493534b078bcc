//! Who is connected, and the names of those who were.
use crate::identity::Identity;
use crate::tenants::told::{Joined, Outbound};
use nvshare_core::event::TenantId;
use nvshare_protocol::DeviceId;
use nvshare_protocol::tenant::Hello;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One tenant.
pub struct Member {
    pub who: Identity,
    pub hello: Hello,
    pub outbound: Outbound,
    pub devices: BTreeSet<DeviceId>,
    pub report: Option<String>,
}

impl Member {
    /// As logs and traces name it: `python3, pid 4711, container 4f1d3c0b5a69`.
    pub fn label(&self) -> String {
        let Self { who, hello, .. } = self;
        let container = who.short().map(|id| format!(", container {id}")).unwrap_or_default();
        format!("{}, pid {}{container}", hello.program, who.pid)
    }
}

/// All of them.
pub struct Members {
    present: BTreeMap<TenantId, Member>,
    /// The latest to leave, for the spans that the core remembers of them.
    past: VecDeque<(TenantId, u32, String)>,
    remembered: usize,
}

impl Members {
    /// Remembers the names of so many that have left.
    pub fn new(remembered: usize) -> Self {
        Self { present: BTreeMap::new(), past: VecDeque::new(), remembered }
    }

    pub fn join(&mut self, joined: Joined) {
        let Joined { tenant, who, hello, outbound } = joined;
        self.present.insert(tenant, Member { who, hello, outbound, devices: BTreeSet::new(), report: None });
    }

    pub fn leave(&mut self, tenant: TenantId) -> Option<Member> {
        let member = self.present.remove(&tenant)?;
        self.past.push_back((tenant, member.who.pid, member.label()));
        if self.past.len() > self.remembered {
            self.past.pop_front();
        }
        Some(member)
    }

    pub fn get(&self, tenant: TenantId) -> Option<&Member> {
        self.present.get(&tenant)
    }

    pub fn get_mut(&mut self, tenant: TenantId) -> Option<&mut Member> {
        self.present.get_mut(&tenant)
    }

    /// `tenant 3 (python3, pid 4711)`.
    pub fn name(&self, tenant: TenantId) -> String {
        match self.get(tenant) {
            Some(member) => format!("tenant {} ({})", tenant.0, member.label()),
            None => format!("tenant {}", tenant.0),
        }
    }

    /// Pid and label of one that is or was here.
    pub fn known(&self, tenant: TenantId) -> (u32, String) {
        if let Some(member) = self.get(tenant) {
            return (member.who.pid, member.label());
        }
        // They leave in any order, so that there is nothing to search by.
        let past = self.past.iter().rev().find(|(id, ..)| *id == tenant);
        past.map_or_else(|| (0, format!("tenant {}", tenant.0)), |(_, pid, label)| (*pid, label.clone()))
    }
}
