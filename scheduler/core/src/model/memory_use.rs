//! What a tenant has on one device.
use nvshare_protocol::Bytes;

/// A tenant's bytes on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub allocated: Bytes,
    pub resident: Bytes,
    /// Part of `resident`.
    pub immovable: Bytes,
}

impl MemoryUse {
    /// A report as far as it is possible: nothing beyond what the device has, the parts within the whole.
    pub(crate) fn plausible(told: Self, capacity: Bytes) -> Self {
        let Self { allocated, resident, immovable } = told;
        let immovable = immovable.min(allocated).min(capacity);
        let resident = resident.min(allocated).min(capacity).max(immovable);
        Self { allocated, resident, immovable }
    }

    pub(crate) fn lacks(&self) -> Bytes {
        self.allocated.saturating_sub(self.resident)
    }

    pub(crate) fn movable(&self) -> Bytes {
        self.resident.saturating_sub(self.immovable)
    }
}
