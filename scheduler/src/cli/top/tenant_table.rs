//! One line a tenant.
use super::column::{Column, fitting};
use super::model::{Focus, Model};
use super::view::{aligned, cursor};
use crate::cli::columns::width;
use nvshare_protocol::control::TenantStatus;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table};

pub fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let tenants = model.tenants();
    let places = Column::ALL.map(|column| model.place(column));
    let shown = fitting(&places, area.width);
    let mut columns: Vec<(Column, u16)> = Column::ALL
        .into_iter()
        .zip(places)
        .zip(shown)
        .filter_map(|((column, (width, _)), shown)| (shown && width > 0).then_some((column, width)))
        .collect();
    let taken: u16 = columns.iter().map(|(_, width)| width + 1).sum();
    let longest = tenants.iter().map(|row| width(&model.cell(Column::Program, row))).max().unwrap_or(0);
    if let Some((_, cells)) = columns.iter_mut().find(|(column, _)| *column == Column::Program) {
        // What it calls itself may be long: it gets what is left.
        let most = *cells + area.width.saturating_sub(taken.saturating_sub(1));
        *cells = u16::try_from(longest).unwrap_or(u16::MAX).clamp(*cells, most);
    }
    let [head, table] = [
        Rect { height: area.height.min(1), ..area },
        Rect { y: area.y + area.height.min(1), height: area.height.saturating_sub(1), ..area },
    ];
    let room = usize::from(table.height.saturating_sub(1));
    let first = model.first_line(Focus::Tenants, tenants.len(), room);
    let hidden = columns.iter().all(|(column, _)| *column != model.sort);
    frame.render_widget(Line::from(summary(model, &tenants, (first, room), hidden)), head);

    let heads = columns.iter().map(|(column, _)| {
        let mark = match (*column == model.sort, model.reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        aligned(format!("{}{mark}", column.head()), column.is_number())
    });
    let rows = tenants.iter().enumerate().skip(first).take(room).map(|(line, row)| {
        let cells = columns.iter().map(|(column, _)| aligned(model.cell(*column, row), column.is_number()));
        Row::new(cells).style(cursor(model, Focus::Tenants, line).fg(color(row)))
    });
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let style = Style::new().add_modifier(Modifier::REVERSED);
    let widget = Table::new(rows, widths).header(Row::new(heads).style(style)).column_spacing(1);
    frame.render_widget(widget, table);
}

/// `10 tenants: 2 running, 7 waiting; 1-8 of 10`
fn summary(model: &Model, shown: &[&TenantStatus], (first, room): (usize, usize), hidden: bool) -> String {
    let all = &model.status.tenants;
    if all.is_empty() {
        return if model.is_known { "no tenant".into() } else { String::new() };
    }
    let number = |state: &str| all.iter().filter(|row| row.state == state).count();
    let states = [
        "running",
        "fetching",
        "draining",
        "waiting",
        "throttled",
        "deferred",
        "paused",
        "unresponsive",
        "stopped",
    ];
    let states: Vec<String> = states
        .into_iter()
        .filter(|state| number(state) > 0)
        .map(|state| format!("{} {state}", number(state)))
        .collect();
    let mut parts = vec![match (all.len(), &states[..]) {
        (1, []) => "1 tenant".into(),
        (n, []) => format!("{n} tenants"),
        (1, states) => format!("1 tenant: {}", states.join(", ")),
        (n, states) => format!("{n} tenants: {}", states.join(", ")),
    }];
    if !model.filter.is_empty() {
        parts.push(format!("{} with {:?}", shown.len(), model.filter));
    }
    if shown.len() > room {
        parts.push(format!("{} to {} of {}", first + 1, (first + room).min(shown.len()), shown.len()));
    }
    if hidden {
        parts.push(format!("by {}{}", model.sort.head(), if model.reversed { ", reversed" } else { "" }));
    }
    parts.join("; ")
}

fn color(row: &TenantStatus) -> Color {
    match &row.state[..] {
        "running" => Color::Green,
        "waiting" | "throttled" | "fetching" | "draining" => Color::Yellow,
        "unresponsive" | "stopped" | "disconnected" => Color::Red,
        _ => Color::Reset,
    }
}
