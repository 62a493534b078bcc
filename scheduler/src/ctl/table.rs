//! The status for people: aligned columns, no frames, so that it can be cut and searched.
use crate::text::{clean, memory};
use comfy_table::{CellAlignment, Table};
use nvshare_protocol::control::Status;

/// What `nvsharectl status` prints.
pub fn status(status: &Status) -> String {
    let word = if status.enabled { "on" } else { "off" };
    let mut out = format!(
        "scheduler {word}, quantum {} s, evict {}, up {}, version {}\n\n",
        status.quantum_seconds,
        status.evict,
        time(status.uptime_seconds),
        status.version
    );
    out.push_str(&devices(status));
    out.push('\n');
    out.push_str(&tenants(status));
    for tenant in &status.tenants {
        if let Some(report) = &tenant.report {
            out.push_str(&format!("\ntenant {} reports: {}", tenant.id, clean(report, 256)));
        }
    }
    if status.tenants.iter().any(|tenant| tenant.report.is_some()) {
        out.push('\n');
    }
    out
}

fn devices(status: &Status) -> String {
    if status.devices.is_empty() {
        return "no GPU: no tenant has named one yet\n".into();
    }
    let head = ["GPU", "NAME", "MEMORY", "ALLOCATED", "RESIDENT", "HOLD", "WAIT", "HAND-OVERS"];
    let rows = status.devices.iter().map(|device| {
        vec![
            device.uuid.clone(),
            or_dash(clean(&device.name, 96)),
            memory(device.capacity_bytes),
            memory(device.allocated_bytes),
            memory(device.resident_bytes),
            ids(&device.holders),
            ids(&device.waiting),
            device.handovers.to_string(),
        ]
    });
    aligned(&head, &[2, 3, 4, 7], rows)
}

fn tenants(status: &Status) -> String {
    if status.tenants.is_empty() {
        return "no tenant\n".into();
    }
    let head = [
        "TENANT",
        "PID",
        "UID",
        "PROGRAM",
        "CONTAINER",
        "STATE",
        "GPU",
        "ALLOCATED",
        "RESIDENT",
        "HELD",
        "GRANTS",
    ];
    let rows = status.tenants.iter().map(|tenant| {
        let devices: Vec<&str> = tenant.devices.iter().map(|uuid| uuid.get(..12).unwrap_or(uuid)).collect();
        vec![
            tenant.id.to_string(),
            tenant.pid.to_string(),
            tenant.uid.to_string(),
            clean(&tenant.program, 64),
            or_dash(tenant.container.clone().unwrap_or_default()),
            tenant.state.clone(),
            or_dash(devices.join(",")),
            memory(tenant.allocated_bytes),
            memory(tenant.resident_bytes),
            time(tenant.held_seconds),
            tenant.grants.to_string(),
        ]
    });
    aligned(&head, &[0, 1, 2, 7, 8, 9, 10], rows)
}

/// Columns two blanks apart; those in `right` hold numbers.
fn aligned(head: &[&str], right: &[usize], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.iter().copied());
    rows.for_each(|row| {
        table.add_row(row);
    });
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn ids(ids: &[u64]) -> String {
    or_dash(ids.iter().map(u64::to_string).collect::<Vec<_>>().join(","))
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// To the tenth of a second below a minute; then in two units.
fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::{DeviceStatus, TenantStatus};

    #[test]
    fn a_status_reads_like_a_table() {
        let uuid = "GPU-30313233-3435-3637-3839-616263646566";
        let full = Status {
            version: "0.1.0".into(),
            enabled: true,
            quantum_seconds: 0.5,
            evict: "pressure".into(),
            uptime_seconds: 3725.0,
            devices: vec![DeviceStatus {
                uuid: uuid.into(),
                name: "NVIDIA H200".into(),
                capacity_bytes: 16 << 30,
                allocated_bytes: 24 << 30,
                resident_bytes: 12 << 30,
                holders: vec![1],
                waiting: vec![2, 13],
                handovers: 7,
            }],
            tenants: vec![
                TenantStatus {
                    id: 1,
                    pid: 4711,
                    uid: 1000,
                    program: "python3".into(),
                    container: Some("4f1d3c0b5a69".into()),
                    state: "running".into(),
                    devices: vec![uuid.into()],
                    allocated_bytes: 12 << 30,
                    resident_bytes: 12 << 30,
                    held_seconds: 61.0,
                    grants: 4,
                    report: Some("37 launches met no gate".into()),
                    ..TenantStatus::default()
                },
                TenantStatus {
                    id: 13,
                    pid: 9,
                    program: "train".into(),
                    state: "waiting".into(),
                    ..TenantStatus::default()
                },
            ],
        };
        let expected = "\
scheduler on, quantum 0.5 s, evict pressure, up 1 h 2 min, version 0.1.0

GPU                                       NAME           MEMORY  ALLOCATED  RESIDENT  HOLD  WAIT  HAND-OVERS
GPU-30313233-3435-3637-3839-616263646566  NVIDIA H200  16.0 GiB   24.0 GiB  12.0 GiB  1     2,13           7

TENANT   PID   UID  PROGRAM  CONTAINER     STATE    GPU           ALLOCATED  RESIDENT       HELD  GRANTS
     1  4711  1000  python3  4f1d3c0b5a69  running  GPU-30313233   12.0 GiB  12.0 GiB  1 min 1 s       4
    13     9     0  train    -             waiting  -                     0         0      0.0 s       0

tenant 1 reports: 37 launches met no gate
";
        assert_eq!(status(&full), expected);
    }

    #[test]
    fn an_empty_status_says_so() {
        let text = status(&Status { evict: "never".into(), version: "1".into(), ..Status::default() });
        let expected = "scheduler off, quantum 0 s, evict never, up 0.0 s, version 1\n\n\
                        no GPU: no tenant has named one yet\n\nno tenant\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in
            [(59.94, "59.9 s"), (61.0, "1 min 1 s"), (7322.0, "2 h 2 min"), (90_000.0, "1 d 1 h")]
        {
            assert_eq!(time(seconds), text);
        }
    }
}
