//! What is drawn: the last status, and rates over the last minute.
use nvshare_protocol::control::{DeviceStatus, Status, TenantStatus};
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

/// Rates are those of the last minute, seconds.
const WINDOW: f64 = 60.0;

#[derive(Debug, Default)]
pub struct Model {
    pub status: Status,
    /// Why the status is not the latest.
    pub fault: Option<String>,
    pub sort: Sort,
    pub reversed: bool,
    /// Tenants above the first one that is drawn.
    pub above: usize,
    samples: VecDeque<Sample>,
}

/// Counts at one time.
#[derive(Debug)]
struct Sample {
    at: f64,
    handovers: HashMap<String, u64>,
    held: HashMap<u64, f64>,
}

/// The column by which tenants are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Tenant,
    Container,
    Program,
    State,
    Held,
    Allocated,
    Resident,
}

impl Sort {
    pub const ALL: [Self; 7] = [
        Self::Tenant,
        Self::Container,
        Self::Program,
        Self::State,
        Self::Held,
        Self::Allocated,
        Self::Resident,
    ];

    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

impl Model {
    /// The latest status.
    pub fn add(&mut self, status: Status) {
        let at = status.uptime_seconds;
        if self.samples.back().is_some_and(|last| last.at > at) {
            // Another scheduler, which counts from the beginning.
            self.samples.clear();
        }
        let handovers = status.devices.iter().map(|row| (row.uuid.clone(), row.handovers)).collect();
        let held = status.tenants.iter().map(|row| (row.id, row.held_seconds)).collect();
        self.samples.push_back(Sample { at, handovers, held });
        while self.samples.front().is_some_and(|first| first.at < at - WINDOW) {
            self.samples.pop_front();
        }
        (self.status, self.fault) = (status, None);
        self.scroll(0);
    }

    pub fn scroll(&mut self, rows: isize) {
        let last = self.status.tenants.len().saturating_sub(1);
        self.above = self.above.saturating_add_signed(rows).min(last);
    }

    /// Hand-overs a minute; none as long as there is only one sample.
    pub fn handovers(&self, device: &DeviceStatus) -> Option<f64> {
        self.rate(|sample| sample.handovers.get(&device.uuid).map(|n| *n as f64)).map(|rate| rate * 60.0)
    }

    /// The part of the time for which a tenant has held its devices.
    pub fn held(&self, tenant: &TenantStatus) -> Option<f64> {
        self.rate(|sample| sample.held.get(&tenant.id).copied()).map(|share| share.min(1.0))
    }

    /// The rate of a count, per second, since the first sample that has it.
    fn rate(&self, count: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let mut counts = self.samples.iter().filter_map(|sample| Some((sample.at, count(sample)?)));
        let (from, least) = counts.next()?;
        let (to, most) = counts.next_back()?;
        (to > from).then(|| (most - least).max(0.0) / (to - from))
    }

    /// Sorted; numbers begin with the largest.
    pub fn tenants(&self) -> Vec<&TenantStatus> {
        let mut rows: Vec<&TenantStatus> = self.status.tenants.iter().collect();
        let held = |row: &TenantStatus| self.held(row).unwrap_or(0.0);
        rows.sort_by(|a, b| {
            let order = match self.sort {
                Sort::Tenant => Ordering::Equal,
                Sort::Container => a.container.cmp(&b.container),
                Sort::Program => a.program.cmp(&b.program),
                Sort::State => a.state.cmp(&b.state),
                Sort::Held => held(b).total_cmp(&held(a)),
                Sort::Allocated => b.allocated_bytes.cmp(&a.allocated_bytes),
                Sort::Resident => b.resident_bytes.cmp(&a.resident_bytes),
            };
            let order = order.then(a.id.cmp(&b.id));
            if self.reversed { order.reverse() } else { order }
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(at: f64, handovers: u64, held: &[(u64, f64)]) -> Status {
        let device = DeviceStatus { uuid: "GPU-a".into(), handovers, ..DeviceStatus::default() };
        let tenant = |&(id, held_seconds)| TenantStatus { id, held_seconds, ..TenantStatus::default() };
        let tenants = held.iter().map(tenant).collect();
        Status { uptime_seconds: at, devices: vec![device], tenants, ..Status::default() }
    }

    fn figures(model: &Model) -> (Option<f64>, Vec<Option<f64>>) {
        let handovers = model.handovers(&model.status.devices[0]);
        (handovers, model.status.tenants.iter().map(|row| model.held(row)).collect())
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let mut model = Model::default();
        model.add(status(100.0, 5, &[(1, 50.0)]));
        assert_eq!(figures(&model), (None, vec![None]));
        model.add(status(110.0, 7, &[(1, 55.0), (2, 0.0)]));
        assert_eq!(figures(&model), (Some(12.0), vec![Some(0.5), None]));
        model.add(status(130.0, 7, &[(2, 10.0)]));
        assert_eq!(figures(&model), (Some(4.0), vec![Some(0.5)]));
        model.add(status(165.0, 8, &[(2, 45.0)]));
        assert_eq!(figures(&model).0, Some(60.0 / 55.0), "what is older than a minute is forgotten");
    }

    #[test]
    fn another_scheduler_counts_from_the_beginning() {
        let mut model = Model::default();
        model.add(status(500.0, 900, &[(1, 50.0)]));
        model.add(status(1.0, 0, &[(1, 0.5)]));
        assert_eq!(figures(&model), (None, vec![None]));
        model.add(status(2.0, 1, &[(1, 1.5)]));
        assert_eq!(figures(&model), (Some(60.0), vec![Some(1.0)]));
    }

    #[test]
    fn tenants_are_sorted_by_any_column_both_ways() {
        let tenant = |id, program: &str, state: &str, allocated_bytes| TenantStatus {
            id,
            program: program.into(),
            state: state.into(),
            allocated_bytes,
            ..TenantStatus::default()
        };
        let tenants =
            vec![tenant(1, "b", "idle", 5), tenant(2, "a", "waiting", 9), tenant(3, "c", "idle", 7)];
        let mut model = Model::default();
        model.add(Status { tenants, ..Status::default() });
        let mut order = |sort, reversed| {
            (model.sort, model.reversed) = (sort, reversed);
            model.tenants().iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(order(Sort::Tenant, false), [1, 2, 3]);
        assert_eq!(order(Sort::Program, false), [2, 1, 3]);
        assert_eq!(order(Sort::State, false), [1, 3, 2]);
        assert_eq!(order(Sort::Allocated, false), [2, 3, 1]);
        assert_eq!(order(Sort::Allocated, true), [1, 3, 2]);
    }

    #[test]
    fn scrolling_ends_with_the_last_tenant() {
        let mut model = Model::default();
        model.add(status(1.0, 0, &[(1, 0.0), (2, 0.0), (3, 0.0)]));
        model.scroll(10);
        assert_eq!(model.above, 2);
        model.scroll(-1);
        assert_eq!(model.above, 1);
        model.add(status(2.0, 0, &[(1, 0.0)]));
        assert_eq!(model.above, 0);
    }
}
