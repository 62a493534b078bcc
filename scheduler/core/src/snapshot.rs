//! A picture of one moment, for whoever asks.
use crate::Core;
use crate::event::{Evict, TenantId};
use crate::record::{Span, SpanKind};
use crate::tenant::{Memory, Stage, Step, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

/// Everything at the time of the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub now: Nanos,
    pub enabled: bool,
    pub quantum: Nanos,
    pub evict: Evict,
    pub devices: Vec<DeviceView>,
    pub tenants: Vec<TenantView>,
    /// The spans that have not ended, by tenant.
    pub open: Vec<Span>,
    /// Finished spans that the bounded record has forgotten.
    pub dropped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    pub id: DeviceId,
    pub capacity: Bytes,
    /// The sum over its tenants; may exceed the capacity.
    pub allocated: Bytes,
    pub resident: Bytes,
    pub immovable: Bytes,
    pub holders: Vec<TenantId>,
    /// Who has a lease and does not keep it from others: stuck, or on the way out.
    pub beside: Vec<TenantId>,
    /// In the order of their requests.
    pub waiting: Vec<TenantId>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    pub id: TenantId,
    pub state: State,
    /// 0: it holds since before this run.
    pub lease: Option<LeaseId>,
    pub memory: Vec<(DeviceId, Memory)>,
    /// Time with a lease, the present one included.
    pub held: Nanos,
    pub grants: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Waiting,
    Fetching,
    Running,
    Draining,
    Unresponsive,
}

impl State {
    /// The word for it, as operators read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Unresponsive => "unresponsive",
        }
    }
}

impl Core {
    /// The picture after the last event. Costs time in proportion to the number of tenants.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            now: self.now,
            enabled: self.enabled,
            quantum: self.settings.quantum,
            evict: self.settings.evict,
            devices: self.device_views(),
            tenants: self.tenants.iter().map(|(&id, tenant)| self.tenant_view(id, tenant)).collect(),
            open: self.tenants.iter().filter_map(|(&id, tenant)| open_span(id, tenant)).collect(),
            dropped: self.record.dropped(),
        }
    }

    fn device_views(&self) -> Vec<DeviceView> {
        let bytes = |sum: u128| Bytes(u64::try_from(sum).unwrap_or(u64::MAX));
        let view = |(&id, device): (&DeviceId, &crate::device::Device)| DeviceView {
            id,
            capacity: device.capacity,
            allocated: bytes(device.allocated),
            resident: bytes(device.resident),
            immovable: bytes(device.immovable),
            holders: device.holders.iter().copied().collect(),
            beside: device.beside.iter().copied().collect(),
            waiting: device.queue.iter().map(|&(_, tenant)| tenant).collect(),
            handovers: device.handovers,
        };
        self.devices.iter().map(view).collect()
    }

    fn tenant_view(&self, id: TenantId, tenant: &Tenant) -> TenantView {
        let now_held = tenant.lease().map_or(Nanos::ZERO, |lease| self.now.saturating_sub(lease.granted));
        TenantView {
            id,
            state: state(tenant),
            lease: tenant.lease().map(|lease| lease.id),
            memory: tenant.devices.iter().map(|(&device, &memory)| (device, memory)).collect(),
            held: tenant.held.saturating_add(now_held),
            grants: tenant.grants,
        }
    }
}

fn state(tenant: &Tenant) -> State {
    match &tenant.stage {
        Stage::Idle => State::Idle,
        Stage::Waiting(_) => State::Waiting,
        Stage::Leased(lease) if lease.stuck => State::Unresponsive,
        Stage::Leased(lease) => match lease.revocation.map(|revocation| revocation.step) {
            Some(Step::Asked(_)) => State::Draining,
            _ if lease.phase.kind == SpanKind::Fetch => State::Fetching,
            _ => State::Running,
        },
    }
}

fn open_span(id: TenantId, tenant: &Tenant) -> Option<Span> {
    let (lease, kind, start) = match &tenant.stage {
        Stage::Idle => return None,
        Stage::Waiting(request) => (None, SpanKind::Wait, request.since),
        Stage::Leased(lease) => (Some(lease.id), lease.phase.kind, lease.phase.start),
    };
    let devices = tenant.devices.keys().copied().collect();
    Some(Span { tenant: id, lease, devices, kind, start, end: None, bytes: Bytes::ZERO })
}
