//! What programs outside of nvshare use goes to the core.
use super::Daemon;
use crate::outside::Usage;
use nvshare_core::event::Event;
use nvshare_protocol::{Bytes, DeviceId, control};

impl Daemon {
    pub(super) fn usages(&mut self, usages: &[Usage]) {
        let tenants = self.members.all().map(|(_, member)| member.who.pid).collect();
        for usage in usages {
            let users: Vec<u32> = self
                .members
                .all()
                .filter(|(_, member)| member.devices.contains_key(&usage.device))
                .map(|(_, member)| member.who.pid)
                .collect();
            if let Some(bytes) = self.strangers.news(usage, &tenants, &users) {
                self.outside(usage.device, bytes);
            }
        }
    }

    /// The last tenant of a device has left: what others use of it is not followed any more.
    pub(super) fn unused(&mut self, device: DeviceId) {
        if self.strangers.forget(device) {
            self.outside(device, Bytes::ZERO);
        }
    }

    fn outside(&mut self, device: DeviceId, bytes: Bytes) {
        self.shared.feed.tell(|| control::Event {
            kind: "outside".into(),
            devices: vec![device.to_string()],
            bytes: Some(bytes.0),
            ..control::Event::default()
        });
        self.tell(Event::Outside { device, bytes });
    }
}
