//! The picture of a [`Model`].
use super::model::{Focus, Model, Overlay};
use super::{details, gpu_table, graph, tenant_table};
use crate::cli::words::switch;
use crate::text::{clean, quantum, time};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::Cell;

/// Tenants that are shown before there is room for graphs.
const TENANTS: usize = 10;
/// Lines of the graphs, at least and at most.
const GRAPHS: (u16, u16) = (5, 10);

pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let gpus = gpu_lines(model, area.height);
    // The head, the tenants' two heads and the foot.
    let taken = 1 + gpus + 2 + 1;
    let tenants = model.tenants().len().min(TENANTS) as u16;
    let left = area.height.saturating_sub(taken);
    let graphs = match model.graphs {
        Some(false) => 0,
        Some(true) => left.saturating_sub(3).min(GRAPHS.1),
        None => left.saturating_sub(tenants).min(GRAPHS.1),
    };
    let graphs = if graphs < GRAPHS.0 || model.status.devices.is_empty() { 0 } else { graphs };
    let parts = [
        Constraint::Length(1),
        Constraint::Length(gpus),
        Constraint::Length(graphs),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [head, gpus, history, tenants, foot] = Layout::vertical(parts).areas(area);
    draw_head(frame, model, head);
    gpu_table::draw(frame, model, gpus);
    if let Some(device) = model.selected_gpu().filter(|_| graphs > 0) {
        graph::draw(frame, model, device, history);
    }
    tenant_table::draw(frame, model, tenants);
    draw_foot(frame, model, foot);
    match &model.overlay {
        Overlay::Help => details::draw_help(frame, area),
        Overlay::Details => details::draw_line(frame, model, area),
        Overlay::Confirm(action) => details::draw_question(frame, action, area),
        Overlay::None | Overlay::Filter | Overlay::Entry(_) => {}
    }
}

/// Lines for the GPUs, with their heads: as many as there are GPUs, at most half of the terminal.
fn gpu_lines(model: &Model, height: u16) -> u16 {
    let gpus = u16::try_from(model.status.devices.len()).unwrap_or(u16::MAX);
    match gpus {
        0 => 1,
        gpus => 1 + gpus.min((height.saturating_sub(4) / 2).max(1)),
    }
}

/// The rules in force at the left, how old the picture is at the right.
fn draw_head(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let status = &model.status;
    let age = time(model.age.as_secs_f64().floor());
    let alarm = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    let old = if model.is_known { format!("picture {age} old") } else { format!("no picture for {age}") };
    let (text, sign, style) = match &model.fault {
        Some(fault) => (clean(fault, 512), old, alarm),
        None if model.is_stale() => ("the scheduler does not answer".to_owned(), old, alarm),
        None => {
            let rules = format!(
                "nvshare {} {}, quantum {}, evict {}, up {}",
                clean(&status.version, 32),
                switch(status),
                quantum(status.quantum_seconds, status.quantum_auto),
                clean(&status.evict, 16),
                time(status.uptime_seconds),
            );
            let sign = if model.paused {
                format!("HELD for {age}")
            } else {
                format!("every {} s", model.interval.as_secs_f64())
            };
            (rules, sign, Style::new())
        }
    };
    frame.render_widget(Line::styled(text, style), area);
    let width = (sign.chars().count() as u16 + 1).min(area.width);
    let right = Rect { x: area.right() - width, width, ..area };
    let style = if model.paused { style.add_modifier(Modifier::REVERSED) } else { style };
    frame.render_widget(Line::styled(format!(" {sign}"), style), right);
}

fn draw_foot(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let text = match (&model.overlay, &model.answer) {
        (_, Some((answer, done))) => {
            let style = Style::new().fg(if *done { Color::Green } else { Color::Red });
            return frame.render_widget(Line::styled(clean(answer, 512), style), area);
        }
        (Overlay::Entry(entry), _) => return frame.render_widget(Line::from(entry.prompt()), area),
        (Overlay::Filter, _) => {
            let text = format!("/{}▏  Enter keeps, Esc ends", clean(&model.filter, 256));
            return frame.render_widget(Line::from(text), area);
        }
        (_, None) if !model.filter.is_empty() => {
            "Esc end the filter   ? keys   / filter   ← → sort   Enter details   q quit"
        }
        (_, None) => "? keys   / filter   ← → sort   Enter details   Tab GPUs   Space hold   q quit",
    };
    frame.render_widget(Line::styled(text, Style::new().add_modifier(Modifier::DIM)), area);
}

/// Quantities to the right.
pub fn aligned<'a>(text: String, right: bool) -> Cell<'a> {
    let text = Text::from(text);
    if right { text.right_aligned().into() } else { text.into() }
}

/// The style of a line of a table.
pub fn cursor(model: &Model, of: Focus, line: usize) -> Style {
    if model.focus == of && model.line(of) == line {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    } else {
        Style::new()
    }
}
