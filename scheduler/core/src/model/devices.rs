//! All devices, by id. Everybody may read them; only the model changes them.
use crate::model::device::Device;
use nvshare_protocol::DeviceId;
use std::collections::BTreeMap;
use std::ops::Index;

#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceTable(BTreeMap<DeviceId, Device>);

impl DeviceTable {
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.0.get(id)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn keys(&self) -> impl Iterator<Item = &DeviceId> {
        self.0.keys()
    }

    pub fn values(&self) -> impl Iterator<Item = &Device> {
        self.0.values()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Device)> {
        self.0.iter()
    }

    pub(super) fn get_mut(&mut self, id: &DeviceId) -> Option<&mut Device> {
        self.0.get_mut(id)
    }

    pub(super) fn entry(&mut self, id: DeviceId) -> &mut Device {
        self.0.entry(id).or_default()
    }

    pub(super) fn remove(&mut self, id: &DeviceId) {
        self.0.remove(id);
    }
}

impl Index<&DeviceId> for DeviceTable {
    type Output = Device;

    fn index(&self, id: &DeviceId) -> &Device {
        &self.0[id]
    }
}
