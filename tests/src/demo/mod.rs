//! The demonstration: two tenants of 12 GiB take turns on one GPU, their memory coming back once by page
//! faults and once in bulk.
mod card;
mod picture;

use crate::world::{Tenant, World, built};
use anyhow::{Context as _, Result};
pub use card::Card;
use nvshare_protocol::control::Span;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What came out of one run, in seconds of the card's own time.
#[derive(Debug)]
pub struct Outcome {
    pub name: &'static str,
    /// Memory back on the device after a grant: the median over the turns.
    pub hand_over: f64,
    /// What the two tenants did, in the time that one alone needs for it, over the time that passed.
    pub useful: f64,
    pub turns: usize,
    pub words_checked: u64,
    spans: Vec<Span>,
}

/// Where the timeline is drawn unless an argument says otherwise.
#[must_use]
pub fn default_picture() -> PathBuf {
    built().map_or_else(|_| PathBuf::new(), |dir| dir.join("..")).join("demo-timeline.svg")
}

/// Runs it all and prints the table.
///
/// # Errors
/// If a process does not do its part, or data is wrong.
pub fn run(picture: &Path) -> Result<()> {
    let card = Card::at_hand();
    println!("{}\n", card.describe());
    let outcomes = measure(&card)?;
    println!(
        "{:<16} {:>14} {:>13} {:>7} {:>22}",
        "memory by", "s / hand-over", "useful share", "turns", "data"
    );
    for outcome in &outcomes {
        println!(
            "{:<16} {:>14.2} {:>11.1} % {:>7} {:>10} words right",
            outcome.name,
            outcome.hand_over,
            outcome.useful * 100.0,
            outcome.turns,
            outcome.words_checked
        );
    }
    picture::draw(&card, &outcomes, picture)?;
    let shown = picture.canonicalize().unwrap_or_else(|_| picture.to_path_buf());
    println!("\ntimeline: {}", shown.display());
    Ok(())
}

/// Demand paging, then bulk prefetch.
///
/// # Errors
/// If a process does not do its part, or data is wrong.
pub fn measure(card: &Card) -> Result<[Outcome; 2]> {
    let alone = step_alone(card)?;
    Ok([turns(card, "demand paging", "off", alone)?, turns(card, "bulk prefetch", "on", alone)?])
}

/// The GPU's seconds for one step of a tenant that is alone, without nvshare.
fn step_alone(card: &Card) -> Result<f64> {
    let world = World::new(&card.settings())?;
    let mut command = world.native(built()?.join("load"))?;
    command.args(["--bytes", &card.tenant_bytes().to_string(), "--steps", "5"]);
    let lines = Tenant::spawn(command)?.finish_with_lines()?;
    median(lines.iter().filter_map(|(_, line)| line.get("gpu_seconds")?.as_f64()))
        .context("no step was timed")
}

fn turns(card: &Card, name: &'static str, prefetch: &str, alone: f64) -> Result<Outcome> {
    let world = World::new(&card.settings())?;
    // One thing after the other, so that a hand-over can be told from what goes on beside it.
    let config = "[scheduler]\noverlap = false\n";
    let quantum = card.wall(card.quantum).to_string();
    let scheduler = world.scheduler_with(config, &["--quantum", &quantum, "--evict", "always"])?;
    let arguments = [
        "--bytes".to_owned(),
        card.tenant_bytes().to_string(),
        "--seconds".to_owned(),
        card.wall(card.length).to_string(),
    ];
    let arguments = arguments.each_ref().map(String::as_str);
    let tenants = [(); 2]
        .map(|()| world.load(&arguments, &[("NVSHARE_ENGINE", "managed"), ("NVSHARE_PREFETCH", prefetch)]));
    let mut lines = Vec::new();
    for tenant in tenants {
        lines.push(tenant?.finish_with_lines()?);
    }
    let spans = scheduler.trace()?.spans;
    let steps: Vec<Vec<(Instant, f64)>> = lines.iter().map(|lines| steps(lines)).collect();
    // Turns as they go on: from the end of the later tenant's first turn, whose memory was new and had not
    // to come back, to the earlier one's last step.
    let begin = steps.iter().filter_map(|steps| first_turn_ends(steps, card.wall(card.quantum) / 2.0)).max();
    let begin = begin.context("no turns were taken")?;
    let end = steps.iter().filter_map(|steps| steps.last()).map(|s| s.0).min().context("no step was made")?;
    let inside = |at: Instant| at > begin && at <= end;
    let made = steps.iter().flatten().filter(|(at, _)| inside(*at)).count();
    let passed = card.card_seconds(end.saturating_duration_since(begin).as_secs_f64());
    let hand_over = if prefetch == "on" {
        // The first grant finds nothing to bring.
        median(
            spans
                .iter()
                .filter(|span| span.kind == "fetch" && span.bytes > 0)
                .filter_map(|span| Some(card.card_seconds(span.end? - span.start))),
        )
    } else {
        median(steps.iter().flatten().map(|(_, seconds)| seconds - alone).filter(|more| *more > alone))
    };
    Ok(Outcome {
        name,
        hand_over: hand_over.context("no memory was handed over: were there turns?")?,
        useful: made as f64 * alone / passed,
        turns: spans.iter().filter(|span| span.kind == "run").count(),
        words_checked: lines.iter().filter_map(|lines| lines.last()?.1.get("words")?.as_u64()).sum(),
        spans,
    })
}

/// The step before the first rest longer than `rest` seconds.
fn first_turn_ends(steps: &[(Instant, f64)], rest: f64) -> Option<Instant> {
    steps.windows(2).find(|pair| (pair[1].0 - pair[0].0).as_secs_f64() > rest).map(|pair| pair[0].0)
}

fn steps(lines: &[(Instant, Value)]) -> Vec<(Instant, f64)> {
    lines.iter().filter_map(|(at, line)| Some((*at, line.get("gpu_seconds")?.as_f64()?))).collect()
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
