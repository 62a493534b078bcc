//! Tenants that are there and can do nothing: stopped, or without a connection.
use crate::Core;
use crate::event::TenantId;

impl Core {
    /// Nobody can ask it for anything any more, and what it has stays until its process ends.
    pub(crate) fn disconnected(&mut self, id: TenantId) {
        self.left(id);
    }

    /// It can do nothing that it is asked for, or can again.
    pub(crate) fn stopped(&mut self, _id: TenantId, _stopped: bool) {}

    pub(crate) fn owned(&mut self, _id: TenantId, _owner: u64) {}
    pub(crate) fn sized(&mut self, _device: nvshare_protocol::DeviceId, _capacity: nvshare_protocol::Bytes) {}
    pub(crate) fn seen(
        &mut self,
        _id: TenantId,
        _device: nvshare_protocol::DeviceId,
        _bytes: nvshare_protocol::Bytes,
    ) {
    }
}
