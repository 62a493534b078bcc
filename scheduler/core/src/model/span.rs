//! What tenants' time was spent on, as spans: the source of the operator's trace.
use crate::model::ids::TenantId;
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::VecDeque;

/// What a tenant's time was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// From the request to the grant.
    Wait,
    /// From the grant until the memory was resident.
    Fetch,
    /// From then to the revocation, or to the release.
    Run,
    /// From the revocation until nothing was in flight, or the drain was cancelled.
    Drain,
    /// From then to the release.
    Evict,
}

impl SpanKind {
    /// The word for it: `wait`, `fetch`, `run`, `drain`, `evict`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Fetch => "fetch",
            Self::Run => "run",
            Self::Drain => "drain",
            Self::Evict => "evict",
        }
    }
}

/// One stretch of one tenant's time with its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub tenant: TenantId,
    /// None while it waits.
    pub lease: Option<LeaseId>,
    pub devices: Vec<DeviceId>,
    pub kind: SpanKind,
    pub start: Nanos,
    /// None: still going on.
    pub end: Option<Nanos>,
    /// What was moved in it, over all its devices.
    pub bytes: Bytes,
    /// The parts of it that were not copied, by the tenant's word: whose host copy was still right, and that was zero.
    pub unchanged: Bytes,
    pub zero: Bytes,
}

/// The latest finished spans, a bounded number.
#[derive(Clone, Debug)]
pub(crate) struct SpanLog {
    spans: VecDeque<Span>,
    bound: usize,
    dropped: u64,
}

impl SpanLog {
    pub fn new(bound: usize) -> Self {
        Self { spans: VecDeque::new(), bound, dropped: 0 }
    }

    pub fn push(&mut self, span: Span) {
        if self.spans.len() >= self.bound {
            self.dropped += 1;
            if self.spans.pop_front().is_none() {
                return;
            }
        }
        self.spans.push_back(span);
    }

    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    pub fn drain(&mut self) -> Vec<Span> {
        self.spans.drain(..).collect()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
