//! How large a device is, by the best source.
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use std::collections::BTreeSet;

/// The source of a device's capacity, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `[gpu."UUID"] memory`.
    Configured,
    /// NVIDIA's management library.
    Nvml,
    /// The agreement of those who use it.
    Tenants,
}

impl Source {
    /// As operators read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Nvml => "nvml",
            Self::Tenants => "tenants",
        }
    }
}

/// What those who use a device say that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeSet<(Bytes, TenantId)>);

impl Claims {
    pub fn add(&mut self, tenant: TenantId, capacity: Bytes) {
        self.0.insert((capacity, tenant));
    }

    pub fn remove(&mut self, tenant: TenantId, capacity: Bytes) {
        self.0.remove(&(capacity, tenant));
    }

    /// The largest claim, so that no claim makes a device smaller for others.
    fn largest(&self) -> Option<Bytes> {
        self.0.last().map(|(capacity, _)| *capacity)
    }

    /// The largest one that is no more than that.
    fn largest_within(&self, most: Bytes) -> Option<Bytes> {
        self.0.range(..=(most, TenantId(u64::MAX))).next_back().map(|(capacity, _)| *capacity)
    }
}

/// The capacity, and its source; none: no source knows the device.
///
/// CUDA may report a little less than NVML. So the largest claim counts that is at most a tenth below NVML's total. A
/// smaller claim is a lie, or about a part of the device, and counts for its tenant alone.
pub fn capacity(configured: Option<Bytes>, total: Option<Bytes>, claims: &Claims) -> Option<(Bytes, Source)> {
    if let Some(capacity) = configured {
        return Some((capacity, Source::Configured));
    }
    let Some(total) = total.filter(|total| *total > Bytes::ZERO) else {
        return claims.largest().map(|capacity| (capacity, Source::Tenants));
    };
    let close = claims.largest_within(total).filter(|claim| *claim >= Bytes(total.0 - total.0 / 10));
    Some((close.unwrap_or(total), Source::Nvml))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(configured: Option<u64>, total: Option<u64>, claims: &[u64]) -> Option<(u64, Source)> {
        let mut all = Claims::default();
        for (n, claim) in claims.iter().enumerate() {
            all.add(TenantId(n as u64), Bytes(*claim));
        }
        let decided = capacity(configured.map(Bytes), total.map(Bytes), &all);
        decided.map(|(capacity, source)| (capacity.0, source))
    }

    #[test]
    fn configuration_comes_before_nvml_and_nvml_before_tenants() {
        assert_eq!(of(Some(80), Some(90), &[89]), Some((80, Source::Configured)));
        assert_eq!(of(None, Some(100), &[]), Some((100, Source::Nvml)));
        assert_eq!(of(None, None, &[16]), Some((16, Source::Tenants)));
        assert_eq!(of(None, None, &[]), None);
    }

    #[test]
    fn nobody_makes_a_device_smaller_for_another() {
        assert_eq!(of(None, None, &[1, 16, 1]), Some((16, Source::Tenants)));
        assert_eq!(of(None, Some(100), &[1, 97, 91]), Some((97, Source::Nvml)));
        assert_eq!(of(None, Some(100), &[1]), Some((100, Source::Nvml)), "a lie counts for nobody else");
    }

    #[test]
    fn beside_nvml_a_claim_is_close_and_not_beyond() {
        assert_eq!(of(None, Some(100), &[101, 1 << 46]), Some((100, Source::Nvml)));
        assert_eq!(of(None, Some(100), &[90]), Some((90, Source::Nvml)));
        assert_eq!(of(None, Some(100), &[89]), Some((100, Source::Nvml)));
        assert_eq!(of(None, Some(100), &[98, 101]), Some((98, Source::Nvml)));
        assert_eq!(of(None, Some(0), &[5]), Some((5, Source::Tenants)), "NVML that says nothing");
    }

    #[test]
    fn who_has_left_says_nothing() {
        let mut claims = Claims::default();
        claims.add(TenantId(1), Bytes(1 << 46));
        claims.add(TenantId(2), Bytes(16));
        claims.remove(TenantId(1), Bytes(1 << 46));
        assert_eq!(capacity(None, None, &claims), Some((Bytes(16), Source::Tenants)));
    }
}
