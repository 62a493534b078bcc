//! Members that have left, for the spans that are remembered of their gangs.
use super::Member;
use crate::model::ids::TenantId;
use crate::model::span::Span;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::VecDeque;

/// So many are remembered, the latest.
const MOST: usize = 1024;

#[derive(Clone, Debug)]
struct Left {
    /// The engine's number for its gang.
    unit: TenantId,
    tenant: TenantId,
    devices: Vec<DeviceId>,
    at: Nanos,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Past(VecDeque<Left>);

impl Past {
    /// From now on the tenant is no member of this gang any more, or the engine knows the gang by another number.
    pub fn note(&mut self, now: Nanos, unit: TenantId, tenant: TenantId, member: &Member) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Left { unit, tenant, devices: member.devices.keys().copied().collect(), at: now });
    }

    /// Those that were members when the span began, with their devices.
    pub fn members_in<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = (TenantId, &'a [DeviceId])> {
        let was_in = |left: &&Left| left.unit == span.tenant && span.start < left.at;
        self.0.iter().filter(was_in).map(|left| (left.tenant, &left.devices[..]))
    }
}
