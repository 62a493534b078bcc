//! One line a GPU.
use super::column::{compact, fitting, percent};
use super::graph;
use super::history::used;
use super::model::{Focus, Model};
use super::view::{aligned, cursor};
use crate::cli::columns::width;
use crate::cli::words::{cost, or_dash, rate, short};
use crate::text::clean;
use nvshare_protocol::control::DeviceStatus;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table};

/// Cells that a graph has at least.
const GRAPH: u16 = 5;
/// From here on there is room for three.
const THREE_GRAPHS: u16 = 3 * 12 + 2;

struct Column<'a> {
    head: &'static str,
    width: u16,
    rank: u8,
    right: bool,
    cell: Box<dyn Fn(&DeviceStatus) -> String + 'a>,
}

pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let devices = &model.status.devices;
    if devices.is_empty() {
        let known = "no GPU: no tenant has named one yet";
        let text = if model.is_known { known } else { "nothing is known of GPUs and tenants yet" };
        return frame.render_widget(Line::from(text), area);
    }
    if area.height == 0 {
        return;
    }
    let mut columns = columns(model);
    let places: Vec<(u16, u8)> = columns.iter().map(|column| (column.width, column.rank)).collect();
    let shown = fitting(&places, area.width.saturating_sub(GRAPH + 1));
    let mut keep = shown.iter();
    columns.retain(|_| keep.next() == Some(&true));
    let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
    columns.extend(graphs(model, area.width.saturating_sub(taken)));

    let room = usize::from(area.height.saturating_sub(1));
    let first = model.first_line(Focus::Gpus, devices.len(), room);
    let rows = devices.iter().enumerate().skip(first).take(room).map(|(line, device)| {
        let cells = columns.iter().map(|column| aligned((column.cell)(device), column.right));
        let color = if device.holders.is_empty() { Color::Reset } else { Color::Green };
        Row::new(cells).style(cursor(model, Focus::Gpus, line).fg(color))
    });
    let heads = columns.iter().map(|column| aligned(column.head.into(), column.right));
    let widths = columns.iter().map(|column| Constraint::Length(column.width));
    let style = Style::new().add_modifier(Modifier::REVERSED);
    let table = Table::new(rows, widths).header(Row::new(heads).style(style)).column_spacing(1);
    frame.render_widget(table, area);
}

fn columns(model: &Model) -> Vec<Column<'_>> {
    let devices = &model.status.devices;
    let longest = |cell: fn(&DeviceStatus) -> String, least: usize, most: usize| {
        let lengths = devices.iter().map(|device| width(&cell(device)));
        lengths.max().unwrap_or(0).clamp(least, most) as u16
    };
    let text = |head, width, rank, cell: fn(&DeviceStatus) -> String| Column {
        head,
        width,
        rank,
        right: false,
        cell: Box::new(cell),
    };
    let number = |head, width, rank, cell| Column { right: true, ..text(head, width, rank, cell) };
    vec![
        number("GPU", 3, 0, |row| or_dash(row.index.map(|index| index.to_string()))),
        text("UUID", 12, 0, |row| clean(short(&row.uuid), 12)),
        text("BUS-ID", longest(bus, 6, 16), 4, bus),
        text("NAME", longest(name, 4, 24), 5, name),
        number("UTIL", 4, 3, |row| {
            or_dash(row.utilization_percent.map(|busy| percent(f64::from(busy) / 100.0)))
        }),
        Column {
            cell: Box::new(|row| or_dash(model.history.gpu_held(row).map(percent))),
            ..number("HELD", 4, 0, |_| String::new())
        },
        number("USED", 6, 0, |row| compact(used(row))),
        number("RES", 6, 1, |row| compact(row.resident_bytes)),
        number("ALLOC", 6, 1, |row| compact(row.allocated_bytes)),
        number("SIZE", 6, 0, |row| compact(row.capacity_bytes)),
        number("HOLD", 4, 0, |row| row.holders.len().to_string()),
        number("WAIT", 4, 0, |row| row.waiting.len().to_string()),
        Column {
            cell: Box::new(|row| or_dash(model.history.handovers(row).map(|rate| format!("{rate:.1}")))),
            ..number("HO/MIN", 6, 0, |_| String::new())
        },
        number("H-OVERS", 7, 2, |row| row.handovers.to_string()),
        number("COST", 7, 6, |row| or_dash(cost(row))),
        number("RATE", 9, 7, |row| or_dash(rate(row))),
    ]
}

/// What has been, in the room that is left.
fn graphs(model: &Model, room: u16) -> Vec<Column<'_>> {
    let history = &model.history;
    let held = move |row: &DeviceStatus, width| {
        graph::line(history.points(&row.uuid).map(|point| point.held), width)
    };
    let memory = move |row: &DeviceStatus, width| {
        graph::line(history.points(&row.uuid).map(|point| point.memory), width)
    };
    let handovers = move |row: &DeviceStatus, width| {
        let points: Vec<_> = history.points(&row.uuid).take(width).collect();
        graph::line(graph::handovers(points.into_iter()), width)
    };
    if room < THREE_GRAPHS {
        let width = room.max(GRAPH);
        return vec![plain("HELD", width, move |row| held(row, width.into()))];
    }
    let width = (room - 2) / 3;
    vec![
        plain("HELD", width, move |row| held(row, width.into())),
        plain("USED", width, move |row| memory(row, width.into())),
        plain("HAND-OVERS", width, move |row| handovers(row, width.into())),
    ]
}

fn plain<'a>(head: &'static str, width: u16, cell: impl Fn(&DeviceStatus) -> String + 'a) -> Column<'a> {
    Column { head, width, rank: 0, right: false, cell: Box::new(cell) }
}

fn name(row: &DeviceStatus) -> String {
    or_dash(Some(clean(&row.name, 64)))
}

/// Without the domain that nearly every host's devices are in.
fn bus(row: &DeviceStatus) -> String {
    let short = row.bus_id.strip_prefix("00000000:").unwrap_or(&row.bus_id);
    or_dash(Some(clean(short, 16)))
}
