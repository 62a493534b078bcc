//! Writes a snapshot in the OpenMetrics format, which Prometheus reads.
use super::counts::{Counts, Durations, Moved, Skipped};
use super::table::TABLE;
use crate::usage::{Sums, Totals};
use nvshare_core::snapshot::State;
use nvshare_protocol::control::{Status, TenantStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;

/// The type of the text, as HTTP names it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What may move memory, as the status says it.
const ENGINES: [&str; 4] = ["swap", "managed", "plain", "undecided"];

/// Everything of one moment.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub status: Status,
    pub swap_budget: u64,
    pub swap_used: u64,
    /// How many gangs there are.
    pub gangs: usize,
    /// Of users and containers.
    pub totals: Totals,
    /// By UUID.
    pub devices: Vec<(String, Counts)>,
    /// Of the tenants, in the status's order.
    pub tenants: Vec<Moved>,
    /// The same, by device, of those that tell it.
    pub skipped: Vec<Vec<(String, Skipped)>>,
}

/// One value and what it belongs to.
#[derive(Clone, Debug)]
pub struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    pub fn new<const N: usize>(labels: [(&'static str, String); N], value: f64) -> Self {
        Self { labels: labels.into(), value }
    }

    pub fn bare(value: impl Into<f64>) -> Self {
        Self { labels: Vec::new(), value: value.into() }
    }

    /// Of a tenant.
    pub fn of(tenant: &TenantStatus, value: f64) -> Self {
        let labels = [
            ("tenant", tenant.session.clone()),
            ("program", tenant.program.clone()),
            ("container", tenant.container.clone().unwrap_or_default()),
            ("uid", tenant.uid.to_string()),
        ];
        Self::new(labels, value)
    }

    pub(super) fn and(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

impl Picture {
    /// The text.
    #[must_use]
    pub fn text(self) -> String {
        let mut registry = Registry::with_prefix("nvshare");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // A string takes everything.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    pub(super) fn states(&self) -> Vec<Sample> {
        let number = |state: &State| {
            let rows = self.status.tenants.iter();
            let count = rows.filter(|row| row.state == state.as_str()).count();
            Sample::new([("state", state.as_str().to_owned())], count as f64)
        };
        State::ALL.iter().map(number).collect()
    }

    /// Of users by uid, or of containers.
    pub(super) fn sums(&self, label: &'static str, value: fn(&Sums) -> f64) -> Vec<Sample> {
        self.series(label).map(|(name, sums)| Sample::new([(label, name.clone())], value(sums))).collect()
    }

    pub(super) fn moved_by(&self, label: &'static str) -> Vec<Sample> {
        let moved = |(name, sums): (&String, &Sums)| {
            both_ways(&Sample::new([(label, name.clone())], 0.0), sums.moved)
        };
        self.series(label).flat_map(moved).collect()
    }

    fn series(&self, label: &str) -> impl Iterator<Item = (&String, &Sums)> {
        let Totals { users, containers } = &self.totals;
        if label == "uid" { users.iter() } else { containers.iter() }
    }

    pub(super) fn engines(&self) -> Vec<Sample> {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for (device, _) in &self.devices {
            counts.extend(ENGINES.map(|engine| ((&device[..], engine), 0)));
        }
        for row in &self.status.tenants {
            for device in &row.devices {
                *counts.entry((device, &row.engine_in_use)).or_default() += 1;
            }
        }
        let sample = |((gpu, engine), count): ((&str, &str), u32)| {
            Sample::new([("gpu", gpu.to_owned()), ("engine", engine.to_owned())], f64::from(count))
        };
        counts.into_iter().map(sample).collect()
    }

    pub(super) fn moved_by_device(&self) -> Vec<Sample> {
        let rows = self.devices.iter();
        rows.flat_map(|(uuid, counts)| both_ways(&Sample::new([("gpu", uuid.clone())], 0.0), counts.moved))
            .collect()
    }

    pub(super) fn moved_by_tenant(&self) -> Vec<Sample> {
        let rows = self.status.tenants.iter().zip(&self.tenants);
        rows.flat_map(|(row, moved)| both_ways(&Sample::of(row, 0.0), *moved)).collect()
    }

    pub(super) fn skipped_by_device(&self) -> Vec<Sample> {
        let rows = self.devices.iter();
        rows.flat_map(|(uuid, counts)| by_kind(&Sample::new([("gpu", uuid.clone())], 0.0), counts.skipped))
            .collect()
    }

    pub(super) fn skipped_by_tenant(&self) -> Vec<Sample> {
        let rows = self.status.tenants.iter().zip(&self.skipped);
        let of = |(row, by_device): (&TenantStatus, &Vec<(String, Skipped)>)| {
            let samples = by_device
                .iter()
                .flat_map(|(uuid, skipped)| by_kind(&Sample::of(row, 0.0).and("gpu", uuid), *skipped));
            samples.collect::<Vec<_>>()
        };
        rows.flat_map(of).collect()
    }

    fn handovers(&self) -> impl Iterator<Item = (Sample, &Durations)> {
        self.devices.iter().flat_map(|(uuid, counts)| {
            let phases = [("fetch", &counts.fetch), ("drain", &counts.drain), ("evict", &counts.evict)];
            let labels = |phase: &str| [("gpu", uuid.clone()), ("phase", phase.to_owned())];
            phases.map(|(phase, durations)| (Sample::new(labels(phase), 0.0), durations))
        })
    }
}

fn both_ways(sample: &Sample, moved: Moved) -> [Sample; 2] {
    [("in", moved.into), ("out", moved.out)].map(|(direction, bytes)| {
        let sample = sample.clone().and("direction", direction);
        Sample { value: bytes.0 as f64, ..sample }
    })
}

fn by_kind(sample: &Sample, skipped: Skipped) -> [Sample; 3] {
    let Skipped { unchanged, zero_out, zero_in } = skipped;
    [("out", "unchanged", unchanged), ("out", "zero", zero_out), ("in", "zero", zero_in)].map(
        |(direction, kind, bytes)| {
            let sample = sample.clone().and("direction", direction).and("kind", kind);
            Sample { value: bytes.0 as f64, ..sample }
        },
    )
}

impl Collector for Picture {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in TABLE {
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for Sample { labels, value } in (metric.samples)(self) {
                let mut one = family.encode_family(&labels)?;
                match metric.kind {
                    MetricType::Counter => one.encode_counter::<NoLabelSet, f64, f64>(&value, None)?,
                    _ => one.encode_gauge(&value)?,
                }
            }
        }
        let help = "How long the parts of a hand-over took, as tenants measured them";
        let mut family = encoder.encode_descriptor("handover_seconds", help, None, MetricType::Histogram)?;
        for (Sample { labels, .. }, durations) in self.handovers() {
            let (sum, count) = (durations.sum_seconds(), durations.count());
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, count, &durations.buckets(), None)?;
        }
        Ok(())
    }
}
