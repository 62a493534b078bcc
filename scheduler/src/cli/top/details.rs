//! Everything about one line, and the keys.
use super::actions::Action;
use super::keys::HELP;
use super::model::{Focus, Model};
use crate::cli::gpus::called;
use crate::cli::words::{cost, engine, or_dash, own_quantum, program, rate, user};
use crate::text::{clean, memory, time};
use nvshare_protocol::control::{DeviceStatus, TenantMoves, TenantStatus};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

pub fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let rows = HELP.iter().map(|(keys, does)| ((*keys).to_owned(), (*does).to_owned())).collect();
    draw(frame, area, "Keys", CLOSE, rows);
}

pub fn draw_question(frame: &mut Frame<'_>, action: &Action, area: Rect) {
    let rows = vec![
        (action.question.clone(), String::new()),
        (String::new(), String::new()),
        (action.means.to_owned(), String::new()),
    ];
    draw(frame, area, "Sure?", "y does it, any other key does not", rows);
}

/// Of the line under the cursor.
pub fn draw_line(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let (title, rows) = match model.focus {
        Focus::Gpus => ("GPU", model.selected_gpu().map(|device| gpu(model, device))),
        Focus::Tenants => ("Tenant", model.selected_tenant().map(|row| tenant(model, row))),
    };
    draw(frame, area, title, CLOSE, rows.unwrap_or_else(|| vec![("".into(), "there is none".into())]));
}

const CLOSE: &str = "Esc closes";

type Rows = Vec<(String, String)>;

fn draw(frame: &mut Frame<'_>, area: Rect, title: &str, below: &str, rows: Rows) {
    let left = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<Line<'_>> = rows
        .into_iter()
        .map(|(name, value)| {
            let name = format!("{name:left$}  ");
            Line::from(vec![Span::styled(name, Style::new().add_modifier(Modifier::BOLD)), value.into()])
        })
        .collect();
    let width = lines.iter().map(Line::width).max().unwrap_or(0).max(title.len()).max(below.len()) as u16 + 4;
    let (width, height) = (width.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let over = Rect { x, y, width, height };
    frame.render_widget(Clear, over);
    let block = Block::bordered().title(title.to_owned()).title_bottom(below.to_owned());
    frame.render_widget(Paragraph::new(lines).block(block), over);
}

fn rows<const N: usize>(rows: [(&str, String); N]) -> Rows {
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn gpu(model: &Model, row: &DeviceStatus) -> Rows {
    let names = |ids: &[u64]| {
        let name = |id: &u64| {
            let known = model.status.tenants.iter().find(|row| row.id == *id);
            known.map_or_else(|| id.to_string(), |row| format!("{id} {}", program(row, 20)))
        };
        if ids.is_empty() { "nobody".into() } else { ids.iter().map(name).collect::<Vec<_>>().join(", ") }
    };
    let source = if row.capacity_from.is_empty() { "-" } else { &row.capacity_from };
    rows([
        ("index", or_dash(row.index.map(|index| index.to_string()))),
        ("UUID", clean(&row.uuid, 64)),
        ("bus id", or_dash(Some(clean(&row.bus_id, 32)))),
        ("name", or_dash(Some(clean(&row.name, 96)))),
        ("memory", format!("{}, as {} says", memory(row.capacity_bytes), clean(source, 16))),
        ("in use", or_dash(row.used_bytes.map(memory))),
        (
            "of tenants",
            format!("{} of {} allocated", memory(row.resident_bytes), memory(row.allocated_bytes)),
        ),
        ("outside", memory(row.outside_bytes)),
        ("computing", or_dash(row.utilization_percent.map(|percent| format!("{percent} %")))),
        ("held", time(row.held_seconds)),
        ("holds", names(&row.holders)),
        ("waits", names(&row.waiting)),
        ("hand-overs", row.handovers.to_string()),
        ("cost of one", or_dash(cost(row))),
        ("fetches", or_dash(rate(row))),
        ("turn", or_dash(own_quantum(row).or_else(|| Some(format!("{:.1} s", row.quantum_seconds))))),
    ])
}

fn tenant(model: &Model, row: &TenantStatus) -> Rows {
    let gpus = row.devices.iter().map(|uuid| called(&model.status.devices, uuid)).collect::<Vec<_>>();
    let share = row.time_share_percent.map(|percent| format!("{percent} % of the time"));
    let mut all = rows([
        ("tenant", row.id.to_string()),
        ("process", format!("{}, pid {}", program(row, 64), row.pid)),
        ("user", format!("{} (uid {})", user(row), row.uid)),
        ("container", container_in_full(row)),
        ("state", clean(&row.state, 16)),
        ("GPUs", or_dash(Some(gpus.join(", ")))),
        ("engine", format!("{} (asked for: {})", or_dash(Some(engine(row))), clean(&row.engine, 16))),
        ("library", or_dash(Some(clean(&row.library, 32)))),
        ("priority", format!("{}, weight {}", or_dash(Some(clean(&row.priority, 16))), row.weight)),
        ("time share", or_dash(share)),
        ("limit", limit(row)),
        ("allocated", memory(row.allocated_bytes)),
        ("resident", format!("{}, {} cannot move", memory(row.resident_bytes), memory(row.immovable_bytes))),
        ("moved out", format!("{} of {} swap space", memory(row.moved_out_bytes), memory(row.swap_bytes))),
        ("held", format!("{} in {} turns", time(row.held_seconds), row.grants)),
        ("waited", time(row.waited_seconds)),
    ]);
    all.extend(gang_in_full(model, row));
    all.extend(why(row));
    all.extend(row.moves.iter().flat_map(moves));
    all.extend(row.reports.iter().map(|report| ("reports".into(), clean(report, 256))));
    all
}

/// How its memory moves, by its library's word.
fn moves(moves: &TenantMoves) -> Rows {
    let parts = |parts: &[(u64, &str)]| {
        let part = |(bytes, what): &(u64, &str)| format!("{} {what}", memory(*bytes));
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let TenantMoves { copied_out_bytes, unchanged_bytes, zero_out_bytes, .. } = *moves;
    let out = [(copied_out_bytes, "copied"), (unchanged_bytes, "unchanged"), (zero_out_bytes, "zero")];
    rows([
        ("went out", parts(&out)),
        ("came back", parts(&[(moves.copied_in_bytes, "copied"), (moves.zero_in_bytes, "zero")])),
        (
            "next time",
            parts(&[(moves.away_content_bytes, "to copy in"), (moves.clean_bytes, "need no copy out")]),
        ),
    ])
}

/// Its job of several processes, and who is of it too.
fn gang_in_full(model: &Model, row: &TenantStatus) -> Rows {
    let Some(name) = &row.gang else { return Rows::new() };
    let same = |other: &&TenantStatus| {
        let owner = |row: &TenantStatus| (row.uid, row.container.clone());
        other.gang == row.gang && owner(other) == owner(row)
    };
    let here: Vec<String> =
        model.status.tenants.iter().filter(same).map(|other| other.id.to_string()).collect();
    let size = row.gang_size.map(|size| format!(" of {size}")).unwrap_or_default();
    let value = format!("{}: {}{size} here, tenants {}", clean(name, 128), here.len(), here.join(", "));
    vec![("gang".into(), clean(&value, 256))]
}

fn container_in_full(row: &TenantStatus) -> String {
    let id = row.container.as_ref().map(|id| clean(id, 64));
    match (&row.container_name, id) {
        (Some(name), Some(id)) => format!("{} ({id})", clean(name, 64)),
        (_, id) => or_dash(id),
    }
}

/// What it may allocate, and who says so.
fn limit(row: &TenantStatus) -> String {
    match (row.limit_bytes.map(memory), &row.limit_from) {
        (Some(limit), Some(from)) => format!("{limit} by {}", clean(from, 32)),
        (limit, _) => or_dash(limit),
    }
}

/// Why it is in its state, and what could be done.
fn why(row: &TenantStatus) -> Rows {
    let why = &row.why;
    let mut rows = Rows::new();
    if !why.text.is_empty() {
        rows.push(("why".into(), clean(&why.text, 256)));
    }
    rows.extend(why.expected_seconds.map(|seconds| ("turn".into(), format!("in about {}", time(seconds)))));
    rows.extend(why.remarks.iter().map(|text| ("".into(), clean(text, 256))));
    rows.extend(why.advice.iter().map(|text| ("advice".into(), clean(text, 256))));
    rows
}
