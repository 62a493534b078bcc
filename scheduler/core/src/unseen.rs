//! Memory that nobody has told of: each process's context takes some, and so do programs outside of nvshare where NVML is
//! silent. It shows when the driver refuses a tenant what should fit.
use crate::Core;
use crate::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// For how long a refusal is believed, the first time and at most: each time that it comes again soon after that, for
/// twice as long. The first may have met memory that was only on its way out, or tenants that had not come back yet.
pub const UNSEEN_FOR: (Nanos, Nanos) = (Nanos::from_millis(5_000), Nanos::from_millis(320_000));
/// The driver gives physical memory in multiples of this (every device so far).
const GRANULE: Bytes = Bytes(2 << 20);

/// What is taken of a device that neither a tenant nor NVML has told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    pub bytes: Bytes,
    /// Until when that is believed, and for how long it was.
    until: Nanos,
    span: Nanos,
}

impl Unseen {
    /// When it is believed no more, if that is still to come.
    pub fn ends_after(&self, now: Nanos) -> Option<Nanos> {
        Some(self.until).filter(|until| self.bytes > Bytes::ZERO && *until > now)
    }
}

impl Core {
    /// How much of the device is taken though neither a tenant nor NVML has told of it; zero for one that is not known.
    #[must_use]
    pub fn unseen(&self, device: DeviceId) -> Bytes {
        let believed = self.devices.get(&device).filter(|at| at.unseen.ends_after(self.now).is_some());
        believed.map_or(Bytes::ZERO, |at| at.unseen.bytes)
    }

    /// The driver refused memory of at least so many bytes: less than that is free.
    pub(crate) fn memory_refused(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        if bytes == Bytes::ZERO || !self.tenants.get(&id).is_some_and(|t| t.devices.contains_key(&device)) {
            return;
        }
        self.believe(id, device, bytes);
        // What it was told to bring in beyond that has not come. It is told again when there is room.
        let most = self.memory(id, device).resident.saturating_add(self.free(id, device));
        if let Some(told) = self.tenants.get_mut(&id).and_then(|tenant| tenant.fetching.get_mut(&device)) {
            *told = most.min(*told);
            self.changed(id);
        }
    }

    fn believe(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        let (now, free, believed) = (self.now, self.free(id, device), self.unseen(device));
        let Some(at) = self.devices.get_mut(&device).filter(|_| free >= bytes) else { return };
        let more = free.saturating_sub(bytes).saturating_add(GRANULE);
        let Unseen { until, span, .. } = at.unseen;
        let again = span > Nanos::ZERO && now < until.saturating_add(span);
        let span = match again {
            _ if now < until => span,
            true => Nanos(span.0.saturating_mul(2)).min(UNSEEN_FOR.1),
            false => UNSEEN_FOR.0,
        };
        let bytes = believed.saturating_add(more).min(at.capacity);
        at.unseen = Unseen { bytes, until: now.saturating_add(span), span };
        self.changed(id);
        self.shrunk(device);
    }
}
