//! Every metric but the histogram, with what it is read from.
use super::exposition::{Picture, Sample};
use nvshare_protocol::control::{DeviceStatus, TenantMoves, TenantStatus};
use prometheus_client::metrics::MetricType;

/// One metric: its name without `nvshare_` and without the `_total` that counters get.
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricType,
    pub samples: fn(&Picture) -> Vec<Sample>,
}

const GAUGE: MetricType = MetricType::Gauge;
const COUNTER: MetricType = MetricType::Counter;

/// In the order of the exposition.
pub const TABLE: &[Metric] = &[
    Metric {
        name: "build_info",
        help: "The version of the scheduler; always 1",
        kind: GAUGE,
        samples: |p| vec![Sample::new([("version", p.status.version.clone())], 1.0)],
    },
    Metric {
        name: "enabled",
        help: "Whether turns are taken",
        kind: GAUGE,
        samples: |p| vec![Sample::bare(u8::from(p.status.enabled))],
    },
    Metric {
        name: "uptime_seconds",
        help: "Time since the scheduler's start",
        kind: GAUGE,
        samples: |p| vec![Sample::bare(p.status.uptime_seconds)],
    },
    Metric {
        name: "swap_budget_bytes",
        help: "Host memory that tenants may move their memory to, together",
        kind: GAUGE,
        samples: |p| vec![Sample::bare(p.swap_budget as f64)],
    },
    Metric {
        name: "swap_used_bytes",
        help: "What tenants have of that",
        kind: GAUGE,
        samples: |p| vec![Sample::bare(p.swap_used as f64)],
    },
    Metric { name: "tenants", help: "Tenants by state", kind: GAUGE, samples: |p| p.states() },
    Metric {
        name: "gpu_info",
        help: "What else the device is called, as the DCGM exporter labels it; always 1",
        kind: GAUGE,
        samples: |p| p.status.devices.iter().map(info).collect(),
    },
    Metric {
        name: "gpu_capacity_bytes",
        help: "The whole memory of the device",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.capacity_bytes as f64),
    },
    Metric {
        name: "gpu_allocated_bytes",
        help: "What its tenants have allocated; may exceed the capacity",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.allocated_bytes as f64),
    },
    Metric {
        name: "gpu_resident_bytes",
        help: "What of that lies on the device",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.resident_bytes as f64),
    },
    Metric {
        name: "gpu_outside_bytes",
        help: "What programs outside of nvshare use",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.outside_bytes as f64),
    },
    Metric {
        name: "gpu_holders",
        help: "Tenants that hold the device",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.holders.len() as f64),
    },
    Metric {
        name: "gpu_waiting",
        help: "Tenants that wait for the device",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.waiting.len() as f64),
    },
    Metric {
        name: "gpu_quantum_seconds",
        help: "How long a turn of weight 1 lasts",
        kind: GAUGE,
        samples: |p| devices(p, |d| d.quantum_seconds),
    },
    Metric {
        name: "gpu_handovers",
        help: "Grants to another tenant than the last",
        kind: COUNTER,
        samples: |p| devices(p, |d| d.handovers as f64),
    },
    Metric {
        name: "gpu_held_seconds",
        help: "Time for which somebody has held the device",
        kind: COUNTER,
        samples: |p| devices(p, |d| d.held_seconds),
    },
    Metric {
        name: "gpu_moved_bytes",
        help: "Bytes moved into the device and out of it",
        kind: COUNTER,
        samples: |p| p.moved_by_device(),
    },
    Metric {
        name: "gpu_skipped_bytes",
        help: "Bytes that went into the device and out of it without a copy: unchanged since the last one, or zero",
        kind: COUNTER,
        samples: |p| p.skipped_by_device(),
    },
    Metric {
        name: "gpu_tenants",
        help: "Tenants of the device by the engine that moves their memory",
        kind: GAUGE,
        samples: |p| p.engines(),
    },
    Metric {
        name: "tenant_engine",
        help: "The engine that moves the tenant's memory; always 1",
        kind: GAUGE,
        samples: |p| {
            p.status.tenants.iter().map(|t| Sample::of(t, 1.0).and("engine", &t.engine_in_use)).collect()
        },
    },
    Metric {
        name: "gangs",
        help: "Jobs of several processes that get their devices together",
        kind: GAUGE,
        samples: |p| vec![Sample::bare(p.gangs as f64)],
    },
    Metric {
        name: "tenant_gang",
        help: "The job of several processes that the tenant is of, if it is of one; always 1",
        kind: GAUGE,
        samples: |p| {
            let rows = p.status.tenants.iter().filter_map(|row| Some((row, row.gang.as_deref()?)));
            rows.map(|(row, gang)| Sample::of(row, 1.0).and("gang", gang)).collect()
        },
    },
    Metric {
        name: "tenant_allocated_bytes",
        help: "What the tenant has allocated",
        kind: GAUGE,
        samples: |p| tenants(p, |t| t.allocated_bytes as f64),
    },
    Metric {
        name: "tenant_resident_bytes",
        help: "What of that lies on devices",
        kind: GAUGE,
        samples: |p| tenants(p, |t| t.resident_bytes as f64),
    },
    Metric {
        name: "tenant_swap_bytes",
        help: "Host memory that the tenant may move its memory to",
        kind: GAUGE,
        samples: |p| tenants(p, |t| t.swap_bytes as f64),
    },
    Metric {
        name: "tenant_moved_out_bytes",
        help: "What the tenant has allocated and is not on devices",
        kind: GAUGE,
        samples: |p| tenants(p, |t| t.moved_out_bytes as f64),
    },
    Metric {
        name: "tenant_held_seconds",
        help: "Time for which the tenant has held its devices",
        kind: COUNTER,
        samples: |p| tenants(p, |t| t.held_seconds),
    },
    Metric {
        name: "tenant_waited_seconds",
        help: "Time for which the tenant has waited for its devices",
        kind: COUNTER,
        samples: |p| tenants(p, |t| t.waited_seconds),
    },
    Metric {
        name: "tenant_grants",
        help: "Turns that the tenant has had",
        kind: COUNTER,
        samples: |p| tenants(p, |t| t.grants as f64),
    },
    Metric {
        name: "tenant_moved_bytes",
        help: "Bytes of the tenant moved into devices and out of them",
        kind: COUNTER,
        samples: |p| p.moved_by_tenant(),
    },
    Metric {
        name: "tenant_skipped_bytes",
        help: "Bytes of the tenant that went into a device and out of it without a copy, where its library tells",
        kind: COUNTER,
        samples: |p| p.skipped_by_tenant(),
    },
    Metric {
        name: "tenant_moved_out_content_bytes",
        help: "What of the tenant's memory that is not on devices a return has to copy, where its library tells",
        kind: GAUGE,
        samples: |p| content(p, |moves| moves.away_content_bytes),
    },
    Metric {
        name: "tenant_clean_bytes",
        help: "What of the tenant's resident memory may leave without a copy, where its library tells",
        kind: GAUGE,
        samples: |p| content(p, |moves| moves.clean_bytes),
    },
    Metric {
        name: "user_held_seconds",
        help: "Time of devices that the user's processes have held since the scheduler's start",
        kind: COUNTER,
        samples: |p| p.sums("uid", |s| s.held.as_secs_f64()),
    },
    Metric {
        name: "user_waited_seconds",
        help: "Time of devices that the user's processes have waited for since then",
        kind: COUNTER,
        samples: |p| p.sums("uid", |s| s.waited.as_secs_f64()),
    },
    Metric {
        name: "user_moved_bytes",
        help: "Bytes of the user's processes moved into devices and out of them since then",
        kind: COUNTER,
        samples: |p| p.moved_by("uid"),
    },
    Metric {
        name: "container_held_seconds",
        help: "Time of devices that the container's processes have held since the scheduler's start",
        kind: COUNTER,
        samples: |p| p.sums("container", |s| s.held.as_secs_f64()),
    },
    Metric {
        name: "container_waited_seconds",
        help: "Time of devices that the container's processes have waited for since then",
        kind: COUNTER,
        samples: |p| p.sums("container", |s| s.waited.as_secs_f64()),
    },
    Metric {
        name: "container_moved_bytes",
        help: "Bytes of the container's processes moved into devices and out of them since then",
        kind: COUNTER,
        samples: |p| p.moved_by("container"),
    },
];

/// Index and place are known once NVML has answered: labels of the other metrics must not change then.
fn info(device: &DeviceStatus) -> Sample {
    let labels = [
        ("gpu", device.uuid.clone()),
        ("UUID", device.uuid.clone()),
        ("gpu_index", device.index.map(|index| index.to_string()).unwrap_or_default()),
        ("pci_bus_id", device.bus_id.clone()),
        ("modelName", device.name.clone()),
    ];
    Sample::new(labels, 1.0)
}

fn devices(picture: &Picture, value: fn(&DeviceStatus) -> f64) -> Vec<Sample> {
    let rows = picture.status.devices.iter();
    rows.map(|row| Sample::new([("gpu", row.uuid.clone())], value(row))).collect()
}

fn content(picture: &Picture, value: fn(&TenantMoves) -> u64) -> Vec<Sample> {
    let rows = picture.status.tenants.iter().filter_map(|row| Some((row, row.moves.as_ref()?)));
    rows.map(|(row, moves)| Sample::of(row, value(moves) as f64)).collect()
}

fn tenants(picture: &Picture, value: fn(&TenantStatus) -> f64) -> Vec<Sample> {
    picture.status.tenants.iter().map(|row| Sample::of(row, value(row))).collect()
}
