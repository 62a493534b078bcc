//! What a tenant may bring in ahead of its grant, and when it begins.
use crate::memory::{budget, headroom};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::policy::liveness::transfer_time;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, Nanos};

/// A tenant is told to prefetch more when this much more fits.
const PREFETCH_STEP: Bytes = Bytes(128 << 20);

/// How fast memory comes in where that has not been measured, in bytes a second.
const DEFAULT_FETCH_RATE: u64 = 20_000_000_000;

/// How fast memory without content comes back, in bytes a second: it is mapped, and cleared on the GPU.
const CLEAR_RATE: u64 = 400_000_000_000;

/// Prefetching begins this much earlier than it has to, because of messages and other delays.
const PREFETCH_MARGIN: Nanos = Nanos::from_millis(30);

/// When the tenant has to begin to prefetch so that it ends with the turns in its way. None: there is nothing to
/// prefetch yet.
pub(crate) fn prefetch_starts_at(
    model: &Model,
    id: TenantId,
    preemptible_at: Option<Nanos>,
) -> Option<Nanos> {
    prefetch_shares(model, id)?;
    // All holders in its way have been revoked: at once.
    let Some(preemptible_at) = preemptible_at else { return Some(model.now) };
    let tenant = model.tenants.get(&id)?;
    let time = tenant.devices.iter().map(|(device, memory)| {
        let rate =
            Some(model.devices[device].fetch_rate).filter(|rate| *rate > 0).unwrap_or(DEFAULT_FETCH_RATE);
        let content = tenant.lacks_content(*device);
        let zero = memory.lacks().saturating_sub(content);
        let alone = transfer_time(u128::from(content.0), u128::from(rate))
            .saturating_add(transfer_time(u128::from(zero.0), u128::from(rate.max(CLEAR_RATE))));
        // Half as much again as it takes alone, because the holder computes and others may move memory too.
        alone.0.saturating_add(alone.0 / 2)
    });
    Some(preemptible_at.saturating_sub(Nanos(time.max().unwrap_or(0))).saturating_sub(PREFETCH_MARGIN))
}

/// What the tenant may prefetch, if that is more than it was told before.
pub(crate) fn prefetch_shares(model: &Model, id: TenantId) -> Option<Vec<Share>> {
    let tenant = model.tenants.get(&id)?;
    let may = model.settings().overlap || tenant.lease().is_some();
    if !may || !budget::evicts_itself(model, id) || tenant.eviction.is_some() {
        return None;
    }
    let mut is_news = false;
    let shares = tenant.devices.iter().map(|(&device, memory)| {
        let most =
            memory.resident.0.saturating_add(headroom::free_for(model, id, device).0).min(memory.allocated.0);
        let told = tenant.prefetch.get(&device).copied().unwrap_or(memory.resident);
        let more = most.saturating_sub(told.max(memory.resident).0);
        is_news |= more >= PREFETCH_STEP.0 || more > 0 && most == memory.allocated.0;
        Share { device, bytes: Bytes(most) }
    });
    let shares: Vec<Share> = shares.collect();
    is_news.then_some(shares)
}
