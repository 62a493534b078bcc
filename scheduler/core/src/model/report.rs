//! What was said of a tenant and a device: by itself, by the driver, and by refusals.
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::{Bytes, Nanos};

/// A tenant's opinion of what others say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClaimTrust {
    /// Since when it has no room because of others' words.
    pub blocked_since: Option<Nanos>,
    /// How long it believes them; zero: as the settings say.
    pub patience: Nanos,
    pub ignores_claims: bool,
}

/// What was said of a tenant and a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceReport {
    /// How large the device is, by the tenant's own word: nothing beyond that is given to it.
    pub capacity: Bytes,
    /// What it has there as it has told it.
    pub memory: MemoryUse,
    /// What the driver shows of its process, where it does.
    pub observed: Option<Observation>,
    /// What it was refused though it should be there.
    pub unaccounted: Unaccounted,
}

/// What the driver shows of a tenant's process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub bytes: Bytes,
    /// How often in a row it had nothing there: the first time its context may have been too new.
    pub times_absent: u8,
}

impl Observation {
    /// It has no context there, so that it cannot use the device.
    pub fn is_absent(&self) -> bool {
        self.times_absent > 1
    }
}

impl ClaimTrust {
    /// When it begins to insist, if nothing changes.
    pub fn expires_at(&self) -> Option<Nanos> {
        self.blocked_since.filter(|_| !self.ignores_claims).map(|since| since.saturating_add(self.patience))
    }
}

/// What is taken of a device that neither a tenant nor NVML has told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unaccounted {
    pub bytes: Bytes,
    /// Until when that is believed, and for how long it was.
    pub until: Nanos,
    pub lasts: Nanos,
}

impl Unaccounted {
    /// When it is believed no more.
    pub fn expires_at(&self) -> Option<Nanos> {
        (self.bytes > Bytes::ZERO).then_some(self.until)
    }
}
