//! What was reported of a tenant on a device: by the tenant, by the driver, and by refusals.
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, Nanos};

/// How far a tenant believes the claims of others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClaimTrust {
    /// Since when it is blocked by the claims of others.
    pub blocked_since: Option<Nanos>,
    /// How long it believes them. Zero: as long as the settings say.
    pub patience: Nanos,
    pub ignores_claims: bool,
}

/// What was reported of a tenant on a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceReport {
    /// The device's capacity as the tenant named it: its budget never exceeds that.
    pub capacity: Bytes,
    /// Its memory there, as it reported it.
    pub memory: MemoryUse,
    /// How that moves, as it told; none: every byte is copied.
    pub moves: Option<Moves>,
    /// What the driver shows of its process, where it shows anything.
    pub observed: Option<Observation>,
    /// What it was refused although it should be free.
    pub unaccounted: Unaccounted,
}

/// What the driver shows of a tenant's process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub bytes: Bytes,
    /// How many times in a row it had nothing there: the first time its context may have been too new.
    pub times_absent: u8,
}

impl Observation {
    /// Whether it has no context there, and therefore cannot use the device.
    pub fn is_absent(&self) -> bool {
        self.times_absent > 1
    }
}

impl ClaimTrust {
    /// When it begins to ignore claims, if nothing changes.
    pub fn expires_at(&self) -> Option<Nanos> {
        self.blocked_since.filter(|_| !self.ignores_claims).map(|since| since.saturating_add(self.patience))
    }
}

/// Memory of a device that is taken although neither a tenant nor NVML reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unaccounted {
    pub bytes: Bytes,
    /// Until when that is believed, and for how long it has been.
    pub until: Nanos,
    pub lasts: Nanos,
}

impl Unaccounted {
    /// When it is believed no more.
    pub fn expires_at(&self) -> Option<Nanos> {
        (self.bytes > Bytes::ZERO).then_some(self.until)
    }
}
