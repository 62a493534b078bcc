//! What has been: rates over the last minute, and a point a picture for the graphs.
use nvshare_protocol::control::{DeviceStatus, Status, TenantStatus};
use std::collections::{HashMap, VecDeque};

/// Rates are those of the last minute, seconds.
const WINDOW: f64 = 60.0;
/// Points of a graph: more than a wide terminal has cells.
const POINTS: usize = 600;

#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    points: HashMap<String, VecDeque<Point>>,
}

/// Counts at one time.
#[derive(Debug)]
struct Sample {
    at: f64,
    gpus: HashMap<String, Counts>,
    held: HashMap<u64, f64>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    handovers: f64,
    held: f64,
}

/// A GPU between two pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The part of the time in which somebody held it.
    pub held: f64,
    /// The part of the time in which somebody computed, by NVML.
    pub busy: Option<f64>,
    /// The part of its memory that is in use.
    pub memory: f64,
    /// A minute.
    pub handovers: f64,
}

impl History {
    /// The latest status.
    pub fn add(&mut self, status: &Status) {
        let at = status.uptime_seconds;
        if self.samples.back().is_some_and(|last| last.at > at) {
            // Another scheduler, which counts from the beginning.
            *self = Self::default();
        }
        let counts = |row: &DeviceStatus| Counts { handovers: row.handovers as f64, held: row.held_seconds };
        let gpus = status.devices.iter().map(|row| (row.uuid.clone(), counts(row))).collect();
        let held = status.tenants.iter().map(|row| (row.id, row.held_seconds)).collect();
        let sample = Sample { at, gpus, held };
        if let Some(last) = self.samples.back() {
            status.devices.iter().for_each(|row| note(&mut self.points, row, last, &sample));
        }
        self.points.retain(|uuid, _| sample.gpus.contains_key(uuid));
        self.samples.push_back(sample);
        // Pictures may be farther apart.
        while self.samples.len() > 2 && self.samples.front().is_some_and(|first| first.at < at - WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Hand-overs a minute; none as long as there is only one sample.
    pub fn handovers(&self, device: &DeviceStatus) -> Option<f64> {
        self.rate(|sample| Some(sample.gpus.get(&device.uuid)?.handovers)).map(|rate| rate * 60.0)
    }

    /// The part of the time for which somebody has held a GPU.
    pub fn gpu_held(&self, device: &DeviceStatus) -> Option<f64> {
        self.rate(|sample| Some(sample.gpus.get(&device.uuid)?.held)).map(|share| share.min(1.0))
    }

    /// The part of the time for which a tenant has held its devices.
    pub fn held(&self, tenant: &TenantStatus) -> Option<f64> {
        self.rate(|sample| sample.held.get(&tenant.id).copied()).map(|share| share.min(1.0))
    }

    /// The points of a GPU, the latest first.
    pub fn points(&self, uuid: &str) -> impl Iterator<Item = Point> {
        self.points.get(uuid).into_iter().flatten().rev().copied()
    }

    /// The rate of a count, per second, since the first sample that has it.
    fn rate(&self, count: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let mut counts = self.samples.iter().filter_map(|sample| Some((sample.at, count(sample)?)));
        let (from, least) = counts.next()?;
        let (to, most) = counts.next_back()?;
        (to > from).then(|| (most - least).max(0.0) / (to - from))
    }
}

/// The GPU's point between the two samples.
fn note(points: &mut HashMap<String, VecDeque<Point>>, row: &DeviceStatus, last: &Sample, now: &Sample) {
    let (Some(before), Some(counts)) = (last.gpus.get(&row.uuid), now.gpus.get(&row.uuid)) else { return };
    let took = now.at - last.at;
    if took <= 0.0 {
        return;
    }
    let point = Point {
        held: ((counts.held - before.held) / took).clamp(0.0, 1.0),
        busy: row.utilization_percent.map(|percent| f64::from(percent.min(100)) / 100.0),
        memory: if row.capacity_bytes == 0 { 0.0 } else { used(row) as f64 / row.capacity_bytes as f64 }
            .min(1.0),
        handovers: (counts.handovers - before.handovers).max(0.0) / took * 60.0,
    };
    let own = points.entry(row.uuid.clone()).or_default();
    own.push_back(point);
    if own.len() > POINTS {
        own.pop_front();
    }
}

/// What is in use of the GPU's memory, by anybody: as NVML tells, else as tenants do.
pub fn used(device: &DeviceStatus) -> u64 {
    device.used_bytes.unwrap_or(device.resident_bytes.saturating_add(device.outside_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(at: f64, handovers: u64, held: &[(u64, f64)]) -> Status {
        let held_seconds = held.iter().map(|(_, held)| held).sum();
        let device =
            DeviceStatus { uuid: "GPU-a".into(), handovers, held_seconds, ..DeviceStatus::default() };
        let tenant = |&(id, held_seconds)| TenantStatus { id, held_seconds, ..TenantStatus::default() };
        let tenants = held.iter().map(tenant).collect();
        Status { uptime_seconds: at, devices: vec![device], tenants, ..Status::default() }
    }

    /// Hand-overs a minute, and who has held how much, after these pictures.
    fn figures(history: &mut History, latest: &Status) -> (Option<f64>, Vec<Option<f64>>) {
        history.add(latest);
        let handovers = history.handovers(&latest.devices[0]);
        (handovers, latest.tenants.iter().map(|row| history.held(row)).collect())
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let mut history = History::default();
        let mut after = |latest: Status| figures(&mut history, &latest);
        assert_eq!(after(status(100.0, 5, &[(1, 50.0)])), (None, vec![None]));
        assert_eq!(after(status(110.0, 7, &[(1, 55.0), (2, 0.0)])), (Some(12.0), vec![Some(0.5), None]));
        assert_eq!(after(status(130.0, 7, &[(2, 10.0)])), (Some(4.0), vec![Some(0.5)]));
        let figures = after(status(165.0, 8, &[(2, 45.0)]));
        assert_eq!(figures.0, Some(60.0 / 55.0), "what is older than a minute is forgotten");
        let far = after(status(465.0, 18, &[(2, 45.0)]));
        assert_eq!(far.0, Some(2.0), "unless pictures are farther apart");
    }

    #[test]
    fn another_scheduler_counts_from_the_beginning() {
        let mut history = History::default();
        let mut after = |latest: Status| figures(&mut history, &latest);
        after(status(500.0, 900, &[(1, 50.0)]));
        assert_eq!(after(status(1.0, 0, &[(1, 0.5)])), (None, vec![None]));
        assert_eq!(after(status(2.0, 1, &[(1, 1.5)])), (Some(60.0), vec![Some(1.0)]));
    }

    #[test]
    fn a_graph_has_a_point_for_each_picture_but_the_first() {
        let mut history = History::default();
        history.add(&status(10.0, 0, &[(1, 0.0)]));
        assert_eq!(history.points("GPU-a").count(), 0);
        history.add(&status(12.0, 1, &[(1, 1.0)]));
        let mut latest = status(14.0, 1, &[(1, 3.0)]);
        let gpu = &mut latest.devices[0];
        (gpu.capacity_bytes, gpu.resident_bytes, gpu.outside_bytes) = (100, 20, 5);
        history.add(&latest);
        let gpu = &mut latest.devices[0];
        (gpu.used_bytes, gpu.utilization_percent) = (Some(60), Some(37));
        latest.uptime_seconds = 16.0;
        history.add(&latest);
        let points: Vec<Point> = history.points("GPU-a").collect();
        let expected = [
            Point { held: 0.0, busy: Some(0.37), memory: 0.6, handovers: 0.0 },
            Point { held: 1.0, busy: None, memory: 0.25, handovers: 0.0 },
            Point { held: 0.5, busy: None, memory: 0.0, handovers: 30.0 },
        ];
        assert_eq!(points, expected);
        (0..2000).for_each(|n| history.add(&status(20.0 + f64::from(n), 1, &[])));
        assert_eq!(history.points("GPU-a").count(), POINTS, "their number is bounded");
        history.add(&Status { uptime_seconds: 3000.0, ..Status::default() });
        assert_eq!(history.points("GPU-a").count(), 0, "a GPU that is gone is forgotten");
    }
}
