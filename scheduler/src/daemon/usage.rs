//! What is counted of what tenants use, for the report and the metrics of users and containers.
use crate::metrics::counts::Moved;
use crate::usage::Totals;
use crate::usage::file::Usage;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// How often what all tenants use is counted.
const EVERY: Nanos = Nanos::from_millis(60_000);

/// What of a tenant's usage is counted already, and what was moved since.
#[derive(Debug, Default)]
pub struct Counted {
    pub held: Nanos,
    pub waited: Nanos,
    pub moved: BTreeMap<DeviceId, Moved>,
}

/// The sums, and when they were last brought up to date.
pub struct Meter {
    pub usage: Usage,
    pub totals: Totals,
    pub at: Nanos,
}

impl Meter {
    pub fn new(usage: Usage) -> Self {
        Self { usage, totals: Totals::default(), at: Nanos::ZERO }
    }

    /// When all tenants are to be counted; none: there is nobody.
    pub fn due(&self, nobody: bool) -> Option<Nanos> {
        (!nobody).then(|| self.at.saturating_add(EVERY))
    }
}
