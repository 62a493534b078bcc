//! The status for people: aligned columns, no frames, so that it can be cut and searched.
use super::words::{cost, or_dash, own_quantum, program, rate, short, switch};
use crate::text::{clean, memory, quantum, time};
use comfy_table::{CellAlignment, Table};
use nvshare_protocol::control::Status;

/// What `nvsharectl status` prints.
pub fn status(status: &Status) -> String {
    let mut out = format!(
        "scheduler {}, quantum {}, evict {}, up {}, version {}\n\n",
        switch(status),
        quantum(status.quantum_seconds, status.quantum_auto),
        status.evict,
        time(status.uptime_seconds),
        status.version
    );
    out.push_str(&devices(status));
    out.push('\n');
    out.push_str(&tenants(status));
    for tenant in &status.tenants {
        for report in &tenant.reports {
            out.push_str(&format!("\ntenant {} reports: {:?}", tenant.id, clean(report, 256)));
        }
    }
    if status.tenants.iter().any(|tenant| !tenant.reports.is_empty()) {
        out.push('\n');
    }
    // The scheduler may be of another version, with another idea of what it cleans.
    out.lines().map(|line| clean(line, usize::MAX) + "\n").collect()
}

fn devices(status: &Status) -> String {
    if status.devices.is_empty() {
        return "no GPU: no tenant has named one yet\n".into();
    }
    let mut head = vec![
        "GPU",
        "NAME",
        "MEMORY",
        "ALLOCATED",
        "RESIDENT",
        "OUTSIDE",
        "HOLD",
        "WAIT",
        "HAND-OVERS",
        "COST",
        "RATE",
    ];
    let own = status.devices.iter().any(|device| device.own_quantum.is_some());
    head.extend(own.then_some("QUANTUM"));
    let believed = status.devices.iter().any(|device| device.capacity_from == "tenants");
    head.extend(believed.then_some("MEMORY-FROM"));
    let rows = status.devices.iter().map(|device| {
        let mut row = vec![
            device.uuid.clone(),
            or_dash(Some(clean(&device.name, 96))),
            memory(device.capacity_bytes),
            memory(device.allocated_bytes),
            memory(device.resident_bytes),
            memory(device.outside_bytes),
            ids(&device.holders),
            ids(&device.waiting),
            device.handovers.to_string(),
            or_dash(cost(device)),
            or_dash(rate(device)),
        ];
        row.extend(own.then(|| or_dash(own_quantum(device))));
        row.extend(believed.then(|| or_dash(Some(clean(&device.capacity_from, 16)))));
        row
    });
    aligned(&head, &[2, 3, 4, 5, 8, 9, 10, 11], rows)
}

fn tenants(status: &Status) -> String {
    if status.tenants.is_empty() {
        return "no tenant\n".into();
    }
    let mut head = vec![
        "TENANT",
        "PID",
        "UID",
        "PROGRAM",
        "CONTAINER",
        "STATE",
        "GPU",
        "ALLOCATED",
        "RESIDENT",
        "LIMIT",
        "SWAP",
        "HELD",
        "GRANTS",
        "WEIGHT",
    ];
    let prioritised = status.tenants.iter().any(|tenant| !matches!(&tenant.priority[..], "" | "normal"));
    head.extend(prioritised.then_some("PRIORITY"));
    let limited = status.tenants.iter().any(|tenant| tenant.time_share_percent.is_some());
    head.extend(limited.then_some("TIME-SHARE"));
    let rows = status.tenants.iter().map(|tenant| {
        let devices: Vec<&str> = tenant.devices.iter().map(|uuid| short(uuid)).collect();
        let mut row = vec![
            tenant.id.to_string(),
            tenant.pid.to_string(),
            tenant.uid.to_string(),
            program(tenant, 64),
            or_dash(tenant.container.clone()),
            tenant.state.clone(),
            or_dash(Some(devices.join(","))),
            memory(tenant.allocated_bytes),
            memory(tenant.resident_bytes),
            or_dash(tenant.limit_bytes.map(memory)),
            memory(tenant.swap_bytes),
            time(tenant.held_seconds),
            tenant.grants.to_string(),
            tenant.weight.to_string(),
        ];
        row.extend(prioritised.then(|| or_dash(Some(clean(&tenant.priority, 16)))));
        let share = tenant.time_share_percent.map(|percent| format!("{percent} %"));
        row.extend(limited.then(|| or_dash(share)));
        row
    });
    aligned(&head, &[0, 1, 2, 7, 8, 9, 10, 11, 12, 13], rows)
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
    or_dash(Some(ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::{DeviceStatus, QuantumSetting, SCHEMA, TenantStatus};

    #[test]
    fn a_status_reads_like_a_table() {
        let uuid = "GPU-30313233-3435-3637-3839-616263646566";
        let full = Status {
            schema: SCHEMA,
            version: "0.1.0".into(),
            enabled: true,
            quantum_seconds: 2.0,
            quantum_auto: true,
            evict: "pressure".into(),
            uptime_seconds: 3725.0,
            devices: vec![DeviceStatus {
                uuid: uuid.into(),
                index: Some(0),
                bus_id: "00000000:19:00.0".into(),
                name: "NVIDIA H200".into(),
                capacity_bytes: 16 << 30,
                capacity_from: "nvml".into(),
                allocated_bytes: 24 << 30,
                resident_bytes: 12 << 30,
                outside_bytes: 1 << 30,
                holders: vec![1],
                waiting: vec![2, 13],
                handovers: 7,
                quantum_seconds: 2.0,
                own_quantum: None,
                fetch_cost_seconds: 0.26,
                release_cost_seconds: 0.16,
                fetch_rate: 50_000_000_000,
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
                    weight: 2,
                    limit_bytes: Some(14 << 30),
                    swap_bytes: 6 << 30,
                    reports: vec!["37 launches met no gate".into()],
                    ..TenantStatus::default()
                },
                TenantStatus {
                    id: 13,
                    pid: 9,
                    program: "train".into(),
                    state: "waiting".into(),
                    weight: 1,
                    ..TenantStatus::default()
                },
            ],
        };
        let expected = "\
scheduler on, quantum auto (2.0 s), evict pressure, up 1 h 2 min, version 0.1.0

GPU                                       NAME           MEMORY  ALLOCATED  RESIDENT  OUTSIDE  HOLD  WAIT  HAND-OVERS    COST       RATE
GPU-30313233-3435-3637-3839-616263646566  NVIDIA H200  16.0 GiB   24.0 GiB  12.0 GiB  1.0 GiB  1     2,13           7  0.42 s  50.0 GB/s

TENANT   PID   UID  PROGRAM  CONTAINER     STATE    GPU           ALLOCATED  RESIDENT     LIMIT     SWAP       HELD  GRANTS  WEIGHT
     1  4711  1000  python3  4f1d3c0b5a69  running  GPU-30313233   12.0 GiB  12.0 GiB  14.0 GiB  6.0 GiB  1 min 1 s       4       2
    13     9     0  train    -             waiting  -                     0         0         -        0      0.0 s       0       1

tenant 1 reports: \"37 launches met no gate\"
";
        assert_eq!(status(&full), expected);
    }

    #[test]
    fn a_gpu_with_a_quantum_of_its_own_shows_it() {
        let device = |own_quantum| DeviceStatus {
            uuid: "GPU-1".into(),
            quantum_seconds: 5.0,
            own_quantum,
            ..DeviceStatus::default()
        };
        let of = |list: &[Option<QuantumSetting>]| {
            let devices = list.iter().copied().map(device).collect();
            let text = status(&Status { devices, ..Status::default() });
            text.lines()
                .skip(2)
                .take(1 + list.len())
                .map(|line| line.rsplit(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[None]), ["RATE", "-"]);
        assert_eq!(of(&[None, Some(QuantumSetting::Auto)]), ["QUANTUM", "-", "s)"]);
        assert_eq!(of(&[Some(QuantumSetting::Seconds(5.0))]), ["QUANTUM", "s"]);
    }

    #[test]
    fn whose_word_a_gpus_memory_is_shows_where_it_is_that_of_tenants() {
        let last = |sources: &[&str]| {
            let device =
                |from: &&str| DeviceStatus { capacity_from: (*from).into(), ..DeviceStatus::default() };
            let text = status(&Status { devices: sources.iter().map(device).collect(), ..Status::default() });
            let rows = text.lines().skip(2).take(1 + sources.len());
            rows.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(last(&["nvml", "configured", ""]), ["RATE", "-", "-", "-"]);
        assert_eq!(last(&["nvml", "tenants", ""]), ["MEMORY-FROM", "nvml", "tenants", "-"]);
    }

    #[test]
    fn priorities_are_shown_where_somebody_has_one() {
        let last = |priorities: &[&str]| {
            let tenant =
                |priority: &&str| TenantStatus { priority: (*priority).into(), ..TenantStatus::default() };
            let tenants = priorities.iter().map(tenant).collect();
            let text = status(&Status { tenants, ..Status::default() });
            let rows = text.lines().skip_while(|line| !line.starts_with("TENANT"));
            rows.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(last(&["normal", ""]), ["WEIGHT", "0", "0"]);
        assert_eq!(last(&["normal", "low"]), ["PRIORITY", "normal", "low"]);
    }

    #[test]
    fn shares_of_time_are_shown_where_somebody_has_one() {
        let tenants = [None, Some(30)]
            .map(|time_share_percent| TenantStatus { time_share_percent, ..TenantStatus::default() });
        let text = status(&Status { tenants: tenants.to_vec(), ..Status::default() });
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("TENANT")).collect();
        assert!(
            rows[0].ends_with("WEIGHT  TIME-SHARE") && rows[1].ends_with(" -") && rows[2].ends_with(" 30 %"),
            "{text}"
        );
    }

    #[test]
    fn nothing_in_it_steers_a_terminal() {
        let evil = || String::from("a\u{1b}[2J\u{7f}b");
        let device = DeviceStatus { uuid: evil(), name: evil(), ..DeviceStatus::default() };
        let tenant = TenantStatus {
            program: evil(),
            container: Some(evil()),
            state: evil(),
            devices: vec![evil()],
            reports: vec![evil()],
            ..TenantStatus::default()
        };
        let full = Status {
            schema: SCHEMA,
            version: evil(),
            evict: evil(),
            devices: vec![device],
            tenants: vec![tenant],
            ..Status::default()
        };
        let text = status(&full);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn an_empty_status_says_so() {
        let text = status(&Status { evict: "never".into(), version: "1".into(), ..Status::default() });
        let expected = "scheduler off, quantum 0 s, evict never, up 0.0 s, version 1\n\n\
                        no GPU: no tenant has named one yet\n\nno tenant\n";
        assert_eq!(text, expected);
    }
}
