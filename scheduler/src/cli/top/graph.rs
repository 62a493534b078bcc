//! The history of a GPU as lines of bars, the latest at the right.
use super::column::{compact, percent};
use super::history::{Point, used};
use super::model::Model;
use crate::cli::words::short;
use crate::text::clean;
use nvshare_protocol::control::DeviceStatus;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::widgets::{Block, RenderDirection, Sparkline};

/// Bars from nothing to full.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Steps of a graph's height.
const STEPS: f64 = 1000.0;

/// A graph of one line, `width` cells wide. What is not nothing can be seen.
pub fn line(points: impl Iterator<Item = f64>, width: usize) -> String {
    let bar = |share: f64| BARS[(share.clamp(0.0, 1.0) * 8.0).ceil() as usize];
    let mut bars: Vec<char> = points.take(width).map(bar).collect();
    bars.resize(width, ' ');
    bars.iter().rev().collect()
}

/// The part that hand-overs are of the most that there were.
pub fn handovers(points: impl Iterator<Item = Point> + Clone) -> impl Iterator<Item = f64> {
    let most = points.clone().map(|point| point.handovers).fold(0.0, f64::max);
    points.map(move |point| if most > 0.0 { point.handovers / most } else { 0.0 })
}

/// The graphs of one GPU beside each other.
pub fn draw(frame: &mut Frame<'_>, model: &Model, device: &DeviceStatus, area: Rect) {
    let points: Vec<Point> = model.history.points(&device.uuid).collect();
    let last = points.first().copied().unwrap_or_default();
    let most = points.iter().map(|point| point.handovers).fold(0.0, f64::max);
    let index = device.index.map_or_else(|| clean(short(&device.uuid), 12), |index| index.to_string());
    let mut graphs = vec![(
        format!("GPU {index} held {}", percent(last.held)),
        1.0,
        points.iter().map(|point| Some(point.held)).collect(),
    )];
    if points.iter().any(|point| point.busy.is_some()) {
        let now = last.busy.map_or_else(|| "-".into(), percent);
        graphs.push((format!("computing {now}"), 1.0, points.iter().map(|point| point.busy).collect()));
    }
    let memory = format!("memory {} of {}", compact(used(device)), compact(device.capacity_bytes));
    graphs.push((memory, 1.0, points.iter().map(|point| Some(point.memory)).collect()));
    graphs.push((
        format!("hand-overs {:.0}/min, most {most:.0}", last.handovers),
        most,
        points.iter().map(|point| Some(point.handovers)).collect::<Vec<_>>(),
    ));
    let areas = Layout::horizontal(vec![Constraint::Fill(1); graphs.len()]).split(area);
    let colors = [Color::Green, Color::Cyan, Color::Magenta, Color::Yellow];
    for (((title, full, values), area), color) in graphs.into_iter().zip(areas.iter()).zip(colors) {
        let step = |value: f64| if full > 0.0 { (value / full * STEPS).round() as u64 } else { 0 };
        let data: Vec<Option<u64>> = values.into_iter().map(|value| value.map(step)).collect();
        let graph = Sparkline::default()
            .block(Block::bordered().title(title))
            .data(data)
            .max(STEPS as u64)
            .direction(RenderDirection::RightToLeft)
            .style(Style::new().fg(color));
        frame.render_widget(graph, *area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_at_the_right_and_little_is_not_nothing() {
        assert_eq!(line([1.0, 0.5, 0.001, 0.0].into_iter(), 6), "   ▁▄█");
        assert_eq!(line([1.0, 0.5, 0.25].into_iter(), 2), "▄█");
        assert_eq!(line([2.0, -1.0].into_iter(), 2), " █");
    }

    #[test]
    fn hand_overs_are_drawn_beside_the_most() {
        let points = [4.0, 0.0, 8.0].map(|handovers| Point { handovers, ..Point::default() });
        assert_eq!(handovers(points.into_iter()).collect::<Vec<_>>(), [0.5, 0.0, 1.0]);
        assert_eq!(handovers([Point::default()].into_iter()).collect::<Vec<_>>(), [0.0]);
    }
}
