//! Memory that a tenant was asked to move out beside its turns.
use nvshare_protocol::Nanos;

/// A tenant moves memory out beside its turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eviction {
    /// Until when it is waited for at most, and by when it gives a sign of life.
    pub deadline: Nanos,
    pub alive_until: Nanos,
    /// What it had on all devices when it was asked.
    pub resident_at_start: u128,
    /// The least that it has had there since.
    pub least_resident: u128,
}

impl Eviction {
    pub fn expires_at(&self) -> Nanos {
        self.deadline.min(self.alive_until)
    }
}
