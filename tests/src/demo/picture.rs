//! The timeline as an SVG: a lane per tenant, a block per run.
use super::{Card, Outcome};
use anyhow::Result;
use std::path::Path;
use svg::node::element::{Rectangle, Text, Title};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const LANE: f64 = 26.0;
const KINDS: [(&str, &str); 4] =
    [("run", "#4c956c"), ("fetch", "#2274a5"), ("drain", "#e9c46a"), ("evict", "#d1495b")];

pub fn draw(card: &Card, outcomes: &[Outcome], file: &Path) -> Result<()> {
    let mut document = svg::Document::new().set("font-family", "sans-serif").set("font-size", 12);
    let mut top = 24.0;
    for outcome in outcomes {
        let shown: Vec<_> =
            outcome.spans.iter().filter(|span| KINDS.iter().any(|(kind, _)| *kind == span.kind)).collect();
        let first = shown.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
        let last = shown.iter().filter_map(|span| span.end).fold(first, f64::max);
        let x = |at: f64| LEFT + (at - first) / (last - first).max(1e-9) * (WIDTH - LEFT - 20.0);
        document = document.add(text(
            10.0,
            top,
            &format!(
                "{}{}: {:.2} s a hand-over, {:.0} % useful",
                outcome.name,
                if card.is_simulated() { " (simulated)" } else { "" },
                outcome.hand_over,
                outcome.useful * 100.0
            ),
        ));
        let mut tenants: Vec<_> = shown.iter().map(|span| span.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for (lane, tenant) in tenants.iter().enumerate() {
            let y = top + 10.0 + lane as f64 * LANE;
            document = document.add(text(10.0, y + 14.0, &format!("tenant {}", lane + 1)));
            for span in shown.iter().filter(|span| span.tenant == *tenant) {
                let end = span.end.unwrap_or(last);
                let colour = KINDS.iter().find(|(kind, _)| *kind == span.kind).map_or("grey", |(_, c)| c);
                let seconds = card.card_seconds(end - span.start);
                let label = format!("{}: {seconds:.2} s, {:.2} GiB", span.kind, card.gib(span.bytes));
                document = document.add(
                    Rectangle::new()
                        .set("x", x(span.start))
                        .set("y", y)
                        .set("width", (x(end) - x(span.start)).max(0.5))
                        .set("height", LANE - 6.0)
                        .set("fill", colour)
                        .add(Title::new(label)),
                );
            }
        }
        top += 10.0 + tenants.len() as f64 * LANE;
        document =
            document.add(text(LEFT, top + 8.0, &format!("0 to {:.0} s", card.card_seconds(last - first))));
        top += 44.0;
    }
    for (place, (kind, colour)) in KINDS.iter().enumerate() {
        let left = LEFT + place as f64 * 90.0;
        let swatch = Rectangle::new().set("x", left).set("y", top - 18.0).set("width", 12).set("height", 12);
        document = document.add(swatch.set("fill", *colour)).add(text(left + 16.0, top - 8.0, kind));
    }
    svg::save(file, &document.set("viewBox", (0.0, 0.0, WIDTH, top)))?;
    Ok(())
}

fn text(x: f64, y: f64, words: &str) -> Text {
    Text::new(words).set("x", x).set("y", y)
}
