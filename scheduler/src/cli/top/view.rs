//! The picture of a [`Model`].
use super::model::{Model, Sort};
use crate::cli::words::{cost, or_dash, own_quantum, program, rate, short, switch};
use crate::text::{clean, memory, quantum, time};
use nvshare_protocol::control::{DeviceStatus, TenantStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

/// Lines of one GPU, with the empty one after it.
const GPU_LINES: u16 = 4;
const KEYS: &str = "q quit   ← → sort   r reverse   ↑ ↓ scroll";

pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let gpus = model.status.devices.len().max(1) as u16;
    let room = (frame.area().height / 2).max(GPU_LINES) / GPU_LINES;
    let shown = gpus.min(room);
    let cut = u16::from(gpus > shown);
    let areas = [
        Constraint::Length(2),
        Constraint::Length(shown * GPU_LINES + cut),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [head, devices, tenants, foot] = Layout::vertical(areas).areas(frame.area());
    frame.render_widget(Paragraph::new(headline(model)), head);
    draw_devices(frame, model, devices, shown.into());
    draw_tenants(frame, model, tenants);
    frame.render_widget(Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)), foot);
}

fn headline(model: &Model) -> Line<'static> {
    if let Some(fault) = &model.fault {
        return Line::styled(clean(fault, 512), Style::new().fg(Color::Red));
    }
    let status = &model.status;
    Line::from(format!(
        "nvshare {}: {}, quantum {}, evict {}, up {}",
        status.version,
        switch(status),
        quantum(status.quantum_seconds, status.quantum_auto),
        status.evict,
        time(status.uptime_seconds),
    ))
}

fn draw_devices(frame: &mut Frame<'_>, model: &Model, area: Rect, shown: usize) {
    let devices = &model.status.devices;
    if devices.is_empty() {
        return frame.render_widget(Line::from("no GPU: no tenant has named one yet"), area);
    }
    let mut lines = Vec::new();
    for device in devices.iter().take(shown) {
        let used = format!(
            "{} of {}, {} allocated, {} outside",
            memory(device.resident_bytes),
            memory(device.capacity_bytes),
            memory(device.allocated_bytes),
            memory(device.outside_bytes)
        );
        let name = format!("{} {}", short(&device.uuid), clean(&device.name, 40));
        lines.push(Line::from(vec![
            Span::styled(name, Style::new().add_modifier(Modifier::BOLD)),
            "  ".into(),
            used.into(),
        ]));
        lines.push(bar(device, area.width));
        lines.push(turns(model, device));
        lines.push(Line::default());
    }
    let cut = devices.len() - shown.min(devices.len());
    if cut > 0 {
        lines.push(Line::from(format!("and {cut} more: the terminal is too low for them")));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What lies on the device: the tenants' memory, that of programs outside, and what is free.
fn bar(device: &DeviceStatus, width: u16) -> Line<'static> {
    let cells = u64::from(width);
    let part = |bytes: u64| match device.capacity_bytes {
        0 => 0,
        // At least one cell for what is not zero.
        capacity => {
            (u128::from(bytes) * u128::from(cells)).div_ceil(u128::from(capacity)).min(cells.into()) as u64
        }
    };
    let outside = part(device.outside_bytes);
    let resident = part(device.resident_bytes).min(cells - outside);
    let cell = |sign: &str, n: u64, color| Span::styled(sign.repeat(n as usize), Style::new().fg(color));
    Line::from(vec![
        cell("█", resident, Color::Green),
        cell("▒", outside, Color::Magenta),
        cell("░", cells - outside - resident, Color::DarkGray),
    ])
}

/// Who holds the device, who waits for it, and what a hand-over costs.
fn turns(model: &Model, device: &DeviceStatus) -> Line<'static> {
    let names = |ids: &[u64]| {
        let name = |id: &u64| {
            let row = model.status.tenants.iter().find(|row| row.id == *id);
            row.map_or_else(|| id.to_string(), |row| format!("{id} {}", program(row, 20)))
        };
        if ids.is_empty() { "nobody".into() } else { ids.iter().map(name).collect::<Vec<_>>().join(", ") }
    };
    let mut parts =
        vec![format!("holds: {}", names(&device.holders)), format!("waits: {}", names(&device.waiting))];
    parts.extend(model.handovers(device).map(|n| format!("{n:.1} hand-overs/min")));
    parts.extend(cost(device).map(|cost| format!("{cost} each")));
    parts.extend(own_quantum(device).map(|quantum| format!("quantum {quantum}")));
    parts.extend(rate(device).map(|rate| format!("{rate} in")));
    Line::from(parts.join("   "))
}

const HEADS: [&str; 7] = ["TENANT", "CONTAINER", "PROGRAM", "STATE", "HELD", "ALLOCATED", "RESIDENT"];

fn draw_tenants(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let rows = model.tenants();
    if rows.is_empty() {
        return frame.render_widget(Line::from("no tenant"), area);
    }
    let heads = HEADS.iter().zip(Sort::ALL).map(|(head, column)| {
        let mark = if column != model.sort {
            ""
        } else if model.reversed {
            "▲"
        } else {
            "▼"
        };
        Cell::from(format!("{head}{mark}"))
    });
    let style = Style::new().add_modifier(Modifier::REVERSED);
    let widths =
        [7, 14, 0, 13, 6, 11, 10].map(|n| if n == 0 { Constraint::Min(12) } else { Constraint::Length(n) });
    let table = Table::new(rows.into_iter().skip(model.above).map(|row| tenant(model, row)), widths)
        .header(Row::new(heads).style(style))
        .column_spacing(1);
    frame.render_widget(table, area);
}

fn tenant<'a>(model: &Model, row: &TenantStatus) -> Row<'a> {
    let color = match &row.state[..] {
        "running" => Color::Green,
        "waiting" | "throttled" | "fetching" | "draining" => Color::Yellow,
        "unresponsive" => Color::Red,
        _ => Color::Reset,
    };
    let held = or_dash(model.held(row).map(|share| format!("{:.0} %", share * 100.0)));
    let texts = [
        row.id.to_string(),
        or_dash(row.container.clone()),
        format!("{} ({})", program(row, 64), row.pid),
        row.state.clone(),
        held,
        memory(row.allocated_bytes),
        memory(row.resident_bytes),
    ];
    let cells = Sort::ALL.into_iter().zip(texts).map(|(column, text)| aligned(column, text));
    Row::new(cells).style(Style::new().fg(color))
}

/// Quantities to the right.
fn aligned<'a>(column: Sort, text: String) -> Cell<'a> {
    let text = Text::from(text);
    match column {
        Sort::Held | Sort::Allocated | Sort::Resident => text.right_aligned().into(),
        Sort::Tenant | Sort::Container | Sort::Program | Sort::State => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::{SCHEMA, Status};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn gpu(uuid: &str) -> DeviceStatus {
        DeviceStatus {
            uuid: uuid.into(),
            name: "NVIDIA H200".into(),
            capacity_bytes: 16 << 30,
            allocated_bytes: 24 << 30,
            resident_bytes: 12 << 30,
            outside_bytes: 2 << 30,
            holders: vec![1],
            waiting: vec![2, 13],
            handovers: 7,
            fetch_cost_seconds: 0.26,
            release_cost_seconds: 0.16,
            fetch_rate: 50_000_000_000,
            ..DeviceStatus::default()
        }
    }

    fn tenant(id: u64, program: &str, state: &str, held_seconds: f64) -> TenantStatus {
        TenantStatus {
            id,
            pid: 4700 + id as u32,
            program: program.into(),
            container: (id == 1).then(|| "4f1d3c0b5a69".into()),
            state: state.into(),
            allocated_bytes: id << 30,
            resident_bytes: id << 29,
            held_seconds,
            ..TenantStatus::default()
        }
    }

    fn status(at: f64, devices: Vec<DeviceStatus>) -> Status {
        Status {
            schema: SCHEMA,
            version: "0.1.0".into(),
            enabled: true,
            quantum_seconds: 8.4,
            quantum_auto: true,
            evict: "pressure".into(),
            uptime_seconds: at,
            devices,
            tenants: vec![
                tenant(1, "python3", "running", at / 2.0),
                tenant(2, "train", "waiting", at / 4.0),
                tenant(13, "odd\u{1b}[31m", "unresponsive", 9.0),
            ],
        }
    }

    fn picture(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn gpus_and_tenants_are_drawn() {
        let mut model = Model::default();
        model.add(status(100.0, vec![DeviceStatus { handovers: 4, ..gpu("GPU-30313233-3435") }]));
        model.add(status(130.0, vec![gpu("GPU-30313233-3435")]));
        (model.sort, model.reversed) = (Sort::Held, false);
        insta::assert_snapshot!(picture(&model, 100, 14));
    }

    #[test]
    fn what_a_low_terminal_has_no_room_for_is_counted() {
        let mut model = Model::default();
        let gpus = ["GPU-a", "GPU-b", "GPU-c", "GPU-d"].map(gpu).to_vec();
        model.add(status(100.0, gpus));
        model.above = 1;
        insta::assert_snapshot!(picture(&model, 80, 20));
    }

    #[test]
    fn nobody_and_nothing_is_said_and_so_is_a_fault() {
        let mut model = Model::default();
        model.add(Status::default());
        model.fault = Some("no scheduler at /run/nvshare/control.sock".into());
        insta::assert_snapshot!(picture(&model, 60, 9));
    }
}
