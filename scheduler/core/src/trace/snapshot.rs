//! A picture of one moment, for operators.
use crate::event::EvictMode;
use crate::memory::headroom;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Step;
use crate::model::memory_use::MemoryUse;
use crate::model::priority::Priority;
use crate::model::request::{Throttle, Wait};
use crate::model::settings::Quantum;
use crate::model::span::{Span, SpanKind, SpanLog};
use crate::model::tenant::{Stage, Tenant};
use crate::policy::waits::{self, Positions, WaitView};
use crate::policy::{bandwidth, quantum};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

/// Everything at the time of the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub now: Nanos,
    pub enabled: bool,
    /// The length of a turn; where that follows from the cost of a hand-over, of one whose cost is not known.
    pub quantum: Nanos,
    /// Whether it follows from the cost of a hand-over: [`DeviceView::quantum`].
    pub auto: bool,
    pub evict: EvictMode,
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
    /// What external processes use.
    pub outside: Bytes,
    /// How long a turn of weight 1 lasts here.
    pub quantum: Nanos,
    /// The rule for it, where it has one of its own.
    pub own_quantum: Option<Quantum>,
    /// What hand-overs have cost lately: bringing in, and draining and moving out.
    pub cost: (Nanos, Nanos),
    /// How fast memory came in last, bytes a second; 0: not known.
    pub rate: u64,
    pub holders: Vec<TenantId>,
    /// Who has a lease and does not keep the device from others: unresponsive, or about to leave.
    pub beside: Vec<TenantId>,
    /// In the order of their requests.
    pub waiting: Vec<TenantId>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
    /// For how long somebody has had a lease on it.
    pub held: Nanos,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    pub id: TenantId,
    pub state: State,
    /// 0: it holds since before this run.
    pub lease: Option<LeaseId>,
    /// Since when it has had it, and since when it is to give it back.
    pub holds_since: Option<Nanos>,
    pub revoked_since: Option<Nanos>,
    pub memory: Vec<(DeviceId, MemoryUse)>,
    /// Time with leases, the present one included.
    pub held: Nanos,
    /// Time spent waiting, the present request included.
    pub waited: Nanos,
    pub grants: u64,
    /// Its turns last so many times as long as those of others.
    pub weight: u32,
    pub priority: Priority,
    /// The most of each device's time that it may hold, in per cent; none: all of it.
    pub time_share: Option<u32>,
    /// The gang that it is of.
    pub gang: Option<u64>,
    /// It asks for a turn, and its gang waits for members that are still to come, until then.
    pub gathers_until: Option<Nanos>,
    /// An operator lets it have no turns.
    pub is_paused: bool,
    /// Why it waits; none: it does not.
    pub wait: Option<WaitView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Waiting,
    /// It is throttled until the next period, because its quota is used up.
    Throttled,
    /// It is throttled for its owner's debt.
    Deferred,
    Fetching,
    Running,
    Draining,
    Unresponsive,
    /// Its process is stopped.
    Stopped,
    /// Its connection is gone and its process is not.
    Disconnected,
    /// An operator lets it have no turns, and it has none.
    Paused,
}

impl State {
    pub const ALL: [Self; 11] = [
        Self::Idle,
        Self::Waiting,
        Self::Throttled,
        Self::Deferred,
        Self::Fetching,
        Self::Running,
        Self::Draining,
        Self::Unresponsive,
        Self::Stopped,
        Self::Disconnected,
        Self::Paused,
    ];

    /// The word for it, as operators read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Throttled => "throttled",
            Self::Deferred => "deferred",
            Self::Fetching => "fetching",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Unresponsive => "unresponsive",
            Self::Stopped => "stopped",
            Self::Disconnected => "disconnected",
            Self::Paused => "paused",
        }
    }
}

fn state(tenant: &Tenant) -> State {
    match &tenant.stage {
        _ if tenant.is_disconnected => State::Disconnected,
        _ if tenant.is_stopped => State::Stopped,
        Stage::Idle | Stage::Waiting(_) if tenant.is_paused => State::Paused,
        Stage::Idle => State::Idle,
        Stage::Waiting(request) => match request.wait {
            Wait::Throttled { why: Throttle::Debt, .. } => State::Deferred,
            Wait::Throttled { why: Throttle::Quota, .. } => State::Throttled,
            Wait::Queued | Wait::Parked | Wait::Paused { .. } => State::Waiting,
        },
        Stage::Leased(lease) if lease.is_unresponsive() => State::Unresponsive,
        Stage::Leased(lease) => match lease.revocation().map(|revocation| revocation.step) {
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
    Some(Span {
        tenant: id,
        lease,
        devices,
        kind,
        start,
        end: None,
        bytes: Bytes::ZERO,
        unchanged: Bytes::ZERO,
        zero: Bytes::ZERO,
    })
}

/// The picture after the last event. Costs time in proportion to the number of tenants.
#[must_use]
pub(crate) fn snapshot(model: &Model, spans: &SpanLog) -> Snapshot {
    let positions = waits::positions(model);
    let tenants = model.tenants.iter();
    Snapshot {
        now: model.now,
        enabled: model.enabled,
        quantum: quantum::device_quantum(model, None),
        auto: model.settings().quantum == Quantum::Auto,
        evict: model.settings().evict,
        devices: device_views(model),
        tenants: tenants.map(|(&id, tenant)| tenant_view(model, id, tenant, &positions)).collect(),
        open: model.tenants.iter().filter_map(|(&id, tenant)| open_span(id, tenant)).collect(),
        dropped: spans.dropped(),
    }
}

fn device_views(model: &Model) -> Vec<DeviceView> {
    let bytes = |sum: u128| Bytes(u64::try_from(sum).unwrap_or(u64::MAX));
    let view = |(&id, device): (&DeviceId, &crate::model::device::Device)| DeviceView {
        id,
        capacity: device.capacity,
        allocated: bytes(device.index().allocated),
        resident: bytes(headroom::resident_on(model, id)),
        immovable: bytes(device.index().immovable),
        outside: device.external,
        quantum: quantum::device_quantum(model, Some(id)),
        own_quantum: model.settings().quanta.get(&id).copied(),
        cost: device.cost,
        rate: device.fetch_rate,
        holders: device.index().holders.iter().copied().collect(),
        beside: device.index().beside.iter().copied().collect(),
        waiting: device.queue().in_order().map(|(_, tenant)| tenant).collect(),
        handovers: device.handovers,
        held: device.held(model.now),
    };
    model.devices.iter().map(view).collect()
}

/// For how long the tenant has held its devices and waited for them, until the last event.
pub(crate) fn times(model: &Model, tenant: &Tenant) -> (Nanos, Nanos) {
    let now_held = tenant.lease().map_or(Nanos::ZERO, |lease| model.now.saturating_sub(lease.granted_at));
    let now_waited = match &tenant.stage {
        Stage::Waiting(request) => model.now.saturating_sub(request.since),
        _ => Nanos::ZERO,
    };
    (tenant.time_held.saturating_add(now_held), tenant.time_waited.saturating_add(now_waited))
}

fn tenant_view(model: &Model, id: TenantId, tenant: &Tenant, positions: &Positions) -> TenantView {
    let (held, waited) = times(model, tenant);
    TenantView {
        id,
        state: state(tenant),
        lease: tenant.lease().map(|lease| lease.id),
        holds_since: tenant.lease().map(|lease| lease.granted_at),
        revoked_since: tenant.lease().and_then(|lease| Some(lease.revocation()?.first_at)),
        memory: tenant.devices.iter().map(|(&device, &memory)| (device, memory)).collect(),
        held,
        waited,
        grants: tenant.grants,
        weight: tenant.weight.max(1),
        priority: tenant.priority,
        gang: None,
        gathers_until: None,
        is_paused: tenant.is_paused,
        wait: waits::view(model, id, positions),
        time_share: bandwidth::quota_of(model, tenant).map(|quota| quota.percent),
    }
}
