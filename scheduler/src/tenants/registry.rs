//! The devices that tenants have named: what they are called and how large they are.
use crate::metrics::counts::Counts;
use nvshare_protocol::tenant::Device;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;

/// The most devices known at a time.
pub const MOST: usize = 4096;

/// What is known of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    pub capacity: Bytes,
    /// What has happened on it.
    pub counts: Counts,
    /// Tenants that have named it.
    users: usize,
}

#[derive(Debug, Default)]
pub struct Registry {
    devices: BTreeMap<DeviceId, Known>,
}

/// What became of a naming.
#[derive(Debug, PartialEq, Eq)]
pub enum Naming {
    /// The capacity to go by.
    Known(Bytes),
    /// The same, which is not what this tenant said.
    Differs(Bytes),
    /// [`MOST`] devices are in use.
    Full,
}

impl Registry {
    /// One tenant names `device`. The first one's word for its capacity counts as long as anybody uses
    /// it: a tenant cannot shrink the device under another.
    pub fn name(&mut self, device: &Device) -> Naming {
        if !self.devices.contains_key(&device.device) && self.devices.len() >= MOST {
            self.devices.retain(|_, known| known.users > 0);
            if self.devices.len() >= MOST {
                return Naming::Full;
            }
        }
        let Device { capacity, ref name, .. } = *device;
        let told = || Known { name: name.clone(), capacity, counts: Counts::default(), users: 0 };
        let known = self.devices.entry(device.device).or_insert_with(told);
        if known.users == 0 {
            *known = Known { counts: std::mem::take(&mut known.counts), ..told() };
        }
        known.users += 1;
        if known.capacity == capacity { Naming::Known(capacity) } else { Naming::Differs(known.capacity) }
    }

    /// One tenant that named `device` is gone. Whether it was the last.
    pub fn release(&mut self, device: DeviceId) -> bool {
        let Some(known) = self.devices.get_mut(&device) else { return false };
        known.users = known.users.saturating_sub(1);
        known.users == 0
    }

    /// What is counted of a device that is known.
    pub fn counts(&mut self, device: DeviceId) -> Option<&mut Counts> {
        self.devices.get_mut(&device).map(|known| &mut known.counts)
    }

    #[must_use]
    pub fn get(&self, device: DeviceId) -> Option<&Known> {
        self.devices.get(&device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u64, capacity: u64) -> Device {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_le_bytes());
        Device { device: DeviceId(id), capacity: Bytes(capacity), name: format!("GPU {n}") }
    }

    #[test]
    fn the_first_word_counts_while_anybody_uses_it() {
        let mut registry = Registry::default();
        assert_eq!(registry.name(&device(1, 10)), Naming::Known(Bytes(10)));
        assert_eq!(registry.name(&device(1, 3)), Naming::Differs(Bytes(10)));
        assert!(!registry.release(device(1, 0).device));
        assert!(registry.release(device(1, 0).device), "the last one");
        assert_eq!(registry.name(&device(1, 3)), Naming::Known(Bytes(3)));
    }

    #[test]
    fn devices_are_bounded_and_the_unused_make_room() {
        let mut registry = Registry::default();
        for n in 0..MOST as u64 {
            assert_eq!(registry.name(&device(n, 1)), Naming::Known(Bytes(1)));
        }
        assert_eq!(registry.name(&device(9999, 1)), Naming::Full);
        registry.release(device(7, 1).device);
        assert_eq!(registry.name(&device(9999, 1)), Naming::Known(Bytes(1)));
        assert_eq!(registry.name(&device(7, 1)), Naming::Full);
    }
}
