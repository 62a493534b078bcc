//! The status for people: aligned columns, no frames, so that it can be cut and searched.
use super::columns::{Column, lines};
use super::gpus::called;
use super::words::{container, cost, engine, gang, or_dash, own_quantum, program, rate, short, switch, user};
use crate::text::{clean, memory, quantum, time};
use nvshare_protocol::control::{DeviceStatus, Status, TenantMoves, TenantStatus};

/// So many ids are shown of those who hold or wait, and the number of the rest.
const IDS: usize = 4;

/// So many characters are shown of the name of a gang.
const GANG: usize = 24;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// So many cells in a line; what does not fit is left out.
    Cells(usize),
    /// For every column, and for whole UUIDs.
    Wide,
}

/// What `nvsharectl status` prints.
pub fn status(status: &Status, room: Room) -> String {
    let mut out = format!(
        "scheduler {}, quantum {}, evict {}, up {}, version {}\n\n",
        switch(status),
        quantum(status.quantum_seconds, status.quantum_auto),
        status.evict,
        time(status.uptime_seconds),
        status.version
    );
    out.push_str(&devices(status, room));
    out.push('\n');
    out.push_str(&tenants(status, room));
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

impl Room {
    const fn cells(self) -> Option<usize> {
        match self {
            Self::Cells(most) => Some(most),
            Self::Wide => None,
        }
    }

    fn is_wide(self) -> bool {
        self == Self::Wide
    }
}

fn devices(status: &Status, room: Room) -> String {
    let rows = &status.devices;
    if rows.is_empty() {
        return "no GPU: no tenant has named one yet\n".into();
    }
    let column = |head, rank, cell: &dyn Fn(&DeviceStatus) -> String| Column::new(head, rank, rows, cell);
    let number = |head, rank, cell: &dyn Fn(&DeviceStatus) -> String| column(head, rank, cell).right();
    let uuid =
        |row: &DeviceStatus| if room.is_wide() { row.uuid.clone() } else { short(&row.uuid).to_owned() };
    let ids = |list: &[u64]| if room.is_wide() { ids(list, usize::MAX) } else { ids(list, IDS) };
    let mut all = vec![
        number("GPU", 0, &|row| or_dash(row.index.map(|index| index.to_string()))),
        column("UUID", 0, &uuid),
        column("BUS-ID", 10, &|row| or_dash(Some(row.bus_id.clone()))),
        column("NAME", 6, &|row| or_dash(Some(clean(&row.name, 96)))),
        number("UTIL", 7, &|row| or_dash(row.utilization_percent.map(|percent| format!("{percent} %")))),
        number("MEMORY", 0, &|row| memory(row.capacity_bytes)),
        number("ALLOCATED", 2, &|row| memory(row.allocated_bytes)),
        number("RESIDENT", 1, &|row| memory(row.resident_bytes)),
        number("OUTSIDE", 4, &|row| memory(row.outside_bytes)),
        column("HOLD", 0, &|row| ids(&row.holders)),
        column("WAIT", 0, &|row| ids(&row.waiting)),
        number("HAND-OVERS", 5, &|row| row.handovers.to_string()),
        number("COST", 8, &|row| or_dash(cost(row))),
        number("RATE", 9, &|row| or_dash(rate(row))),
    ];
    if rows.iter().any(|device| device.quantum_setting.is_some()) {
        all.push(number("QUANTUM", 3, &|row| or_dash(own_quantum(row))));
    }
    if rows.iter().any(|device| device.capacity_from == "tenants") {
        all.push(column("MEMORY-FROM", 3, &|row| or_dash(Some(clean(&row.capacity_from, 16)))));
    }
    lines(all, room.cells())
}

fn tenants(status: &Status, room: Room) -> String {
    let rows = &status.tenants;
    if rows.is_empty() {
        return "no tenant\n".into();
    }
    let column = |head, rank, cell: &dyn Fn(&TenantStatus) -> String| Column::new(head, rank, rows, cell);
    let number = |head, rank, cell: &dyn Fn(&TenantStatus) -> String| column(head, rank, cell).right();
    let gpus = |row: &TenantStatus| {
        or_dash(Some(
            row.devices.iter().map(|uuid| called(&status.devices, uuid)).collect::<Vec<_>>().join(","),
        ))
    };
    let contained = rows.iter().any(|row| row.container.is_some());
    let mut all = vec![
        number("TENANT", 0, &|row| row.id.to_string()),
        number("PID", 7, &|row| row.pid.to_string()),
        column("USER", 4, &user),
        number("UID", 15, &|row| row.uid.to_string()),
        column("PROGRAM", 0, &|row| program(row, 64)),
        column("CONTAINER", if contained { 3 } else { 14 }, &|row| or_dash(container(row))),
        column("STATE", 0, &|row| row.state.clone()),
        column("GPU", 1, &gpus),
        column("ENGINE", 11, &|row| or_dash(Some(engine(row)))),
        number("ALLOCATED", 2, &|row| memory(row.allocated_bytes)),
        number("RESIDENT", 3, &|row| memory(row.resident_bytes)),
        number("LIMIT", 9, &|row| or_dash(row.limit_bytes.map(memory))),
        number("SWAP", 6, &|row| memory(row.moved_out_bytes)),
        number("SWAP-MAX", 12, &|row| memory(row.swap_bytes)),
        number("HELD", 8, &|row| time(row.held_seconds)),
        number("WAITED", 10, &|row| time(row.waited_seconds)),
        number("GRANTS", 16, &|row| row.grants.to_string()),
        number("WEIGHT", 13, &|row| row.weight.to_string()),
    ];
    if rows.iter().any(|tenant| !matches!(&tenant.priority[..], "" | "normal")) {
        all.push(column("PRIORITY", 12, &|row| or_dash(Some(clean(&row.priority, 16)))));
    }
    if rows.iter().any(|tenant| tenant.time_share_percent.is_some()) {
        let share =
            |row: &TenantStatus| or_dash(row.time_share_percent.map(|percent| format!("{percent} %")));
        all.push(number("TIME-SHARE", 12, &share));
    }
    if rows.iter().any(|tenant| tenant.moves.is_some()) {
        let moves = |part: fn(&TenantMoves) -> u64| {
            move |row: &TenantStatus| or_dash(row.moves.as_ref().map(|moves| memory(part(moves))))
        };
        all.push(number("COPIED", 11, &moves(|m| m.copied_out_bytes.saturating_add(m.copied_in_bytes))));
        all.push(number("UNCHANGED", 11, &moves(|m| m.unchanged_bytes)));
        all.push(number("ZERO", 11, &moves(|m| m.zero_out_bytes.saturating_add(m.zero_in_bytes))));
    }
    if rows.iter().any(|tenant| tenant.gang.is_some()) {
        let most = if room.is_wide() { 128 } else { GANG };
        all.push(column("GANG", 5, &|row| or_dash(gang(row, most))));
    }
    lines(all, room.cells())
}

fn ids(ids: &[u64], most: usize) -> String {
    let mut shown: Vec<String> = ids.iter().take(most).map(u64::to_string).collect();
    if ids.len() > most {
        shown.push(format!("+{}", ids.len() - most));
    }
    or_dash(Some(shown.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::{DeviceStatus, QuantumSetting, SCHEMA, TenantStatus};

    fn wide(of: &Status) -> String {
        status(of, Room::Wide)
    }

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
                used_bytes: None,
                utilization_percent: Some(37),
                holders: vec![1],
                waiting: vec![2, 13],
                handovers: 7,
                held_seconds: 40.0,
                quantum_seconds: 2.0,
                quantum_setting: None,
                fetch_cost_seconds: 0.26,
                release_cost_seconds: 0.16,
                fetch_bytes_per_second: 50_000_000_000,
            }],
            tenants: vec![
                TenantStatus {
                    id: 1,
                    pid: 4711,
                    uid: 101_000,
                    user_uid: 1000,
                    user: Some("anna".into()),
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
                    engine: "auto".into(),
                    engine_in_use: "swap".into(),
                    moved_out_bytes: 5 << 20,
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
        insta::assert_snapshot!(status(&full, Room::Wide));
        insta::assert_snapshot!(status(&full, Room::Cells(120)));
        insta::assert_snapshot!(status(&full, Room::Cells(80)));
        for most in 40..300 {
            let text = status(&full, Room::Cells(most));
            let longest = text.lines().skip(1).map(str::len).max().unwrap();
            assert!(longest <= most.max(60), "{most}: {text}");
        }
    }

    #[test]
    fn of_many_who_wait_some_are_shown() {
        assert_eq!(ids(&[1, 2, 3, 4], IDS), "1,2,3,4");
        assert_eq!(ids(&[1, 2, 3, 4, 5, 60], IDS), "1,2,3,4,+2");
        assert_eq!(ids(&[], IDS), "-");
    }

    #[test]
    fn a_gpu_with_a_quantum_of_its_own_shows_it() {
        let device = |quantum_setting| DeviceStatus {
            uuid: "GPU-1".into(),
            quantum_seconds: 5.0,
            quantum_setting,
            ..DeviceStatus::default()
        };
        let of = |list: &[Option<QuantumSetting>]| {
            let devices = list.iter().copied().map(device).collect();
            let text = wide(&Status { devices, ..Status::default() });
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
            let text = wide(&Status { devices: sources.iter().map(device).collect(), ..Status::default() });
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
            let text = wide(&Status { tenants, ..Status::default() });
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
        let text = wide(&Status { tenants: tenants.to_vec(), ..Status::default() });
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("TENANT")).collect();
        assert!(
            rows[0].ends_with("WEIGHT  TIME-SHARE") && rows[1].ends_with(" -") && rows[2].ends_with(" 30 %"),
            "{text}"
        );
    }

    #[test]
    fn what_hand_overs_did_not_copy_is_shown_where_somebody_tells() {
        let moves = TenantMoves {
            copied_out_bytes: 1 << 30,
            copied_in_bytes: 2 << 30,
            unchanged_bytes: 4 << 30,
            zero_out_bytes: 8 << 30,
            zero_in_bytes: 16 << 30,
            ..TenantMoves::default()
        };
        let last = |tellers: &[Option<TenantMoves>]| {
            let tenant = |moves: &Option<TenantMoves>| TenantStatus {
                moves: moves.clone(),
                ..TenantStatus::default()
            };
            let tenants = tellers.iter().map(tenant).collect();
            let text = wide(&Status { tenants, ..Status::default() });
            let rows = text.lines().skip_while(|line| !line.starts_with("TENANT"));
            let end = |line: &str| {
                line.split("  ")
                    .filter(|cell| !cell.is_empty())
                    .map(|cell| cell.trim().to_owned())
                    .collect::<Vec<_>>()
            };
            rows.map(|line| end(line).into_iter().rev().take(4).rev().collect::<Vec<_>>().join("|"))
                .collect::<Vec<_>>()
        };
        assert!(last(&[None])[0].ends_with("|WEIGHT"));
        assert_eq!(
            last(&[None, Some(moves)]),
            ["WEIGHT|COPIED|UNCHANGED|ZERO", "0|-|-|-", "0|3.0 GiB|4.0 GiB|24.0 GiB"]
        );
    }

    #[test]
    fn gangs_are_shown_where_somebody_is_of_one() {
        let tenant =
            |gang: &Option<&str>| TenantStatus { gang: gang.map(str::to_owned), ..TenantStatus::default() };
        let last = |gangs: &[Option<&str>], room| {
            let status = Status { tenants: gangs.iter().map(tenant).collect(), ..Status::default() };
            let text = super::status(&status, room);
            let rows = text.lines().skip_while(|line| !line.starts_with("TENANT"));
            rows.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let name = "torch:127.0.0.1:29500@4711";
        assert_eq!(last(&[None, None], Room::Wide), ["WEIGHT", "0", "0"]);
        assert_eq!(last(&[None, Some(name)], Room::Wide), ["GANG", "-", name]);
        assert_eq!(last(&[Some("a\u{1b}b")], Room::Wide), ["GANG", "a?b"]);
        let short = format!("…{}", &name[name.len() - 23..]);
        assert_eq!(last(&[Some("mine"), Some(name)], Room::Cells(200)), ["GANG", "mine", &short]);
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
        let text = wide(&full);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn an_empty_status_says_so() {
        let text = wide(&Status { evict: "never".into(), version: "1".into(), ..Status::default() });
        let expected = "scheduler off, quantum 0 s, evict never, up 0.0 s, version 1\n\n\
                        no GPU: no tenant has named one yet\n\nno tenant\n";
        assert_eq!(text, expected);
    }
}
