//! A tenant: fills memory, adds one to every word of it over and over, checks every word at the end.
use anyhow::Result;
use clap::Parser;
use nvshare_tests::cuda::{Cuda, Lookup};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    /// Memory to work on, in bytes, in `--blocks` allocations.
    #[arg(long)]
    bytes: usize,
    #[arg(long, default_value_t = 3)]
    blocks: usize,
    /// The number of the device.
    #[arg(long, default_value_t = 0)]
    device: i32,
    /// Stop after so many steps (a step adds one to every word).
    #[arg(long, default_value_t = u32::MAX)]
    steps: u32,
    /// Stop after so many seconds of wall time.
    #[arg(long, default_value_t = f64::INFINITY)]
    seconds: f64,
    /// Rest so long after each step, in milliseconds.
    #[arg(long, default_value_t = 0)]
    rest_ms: u64,
    /// Let the GPU spin so long before each step's work, in nanoseconds of its own time. Counts as the step's.
    #[arg(long, default_value_t = 0)]
    spin: u64,
    /// Submit so many steps before waiting for their end.
    #[arg(long, default_value_t = 1)]
    ahead: u32,
    /// Allocate, fill and free so many bytes more in each step.
    #[arg(long, default_value_t = 0)]
    extra: usize,
    /// After the steps, stay without work until stdin closes.
    #[arg(long)]
    stay: bool,
    /// Stop when stdin closes.
    #[arg(long)]
    until_closed: bool,
    #[arg(long, value_enum, default_value_t)]
    lookup: Lookup,
}

/// One line of JSON on stdout.
fn say(line: &serde_json::Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cuda = Cuda::load(args.lookup)?;
    cuda.begin_on(args.device)?;
    let (fill, add_one) = (cuda.function("fill")?, cuda.function("add_one")?);
    let spin = cuda.function("spin")?;
    let words = args.bytes / args.blocks / 4;
    let blocks = (0..args.blocks).map(|_| cuda.allocate(words * 4)).collect::<Result<Vec<_>>>()?;
    let (free, total) = cuda.memory()?;
    say(&json!({ "allocated": words * 4 * args.blocks, "free": free, "total": total }))?;
    for (seed, block) in blocks.iter().enumerate() {
        cuda.launch(fill, &mut [*block, seed as u64, words as u64])?;
    }
    cuda.synchronize()?;
    let (before, after) = (cuda.event()?, cuda.event()?);
    let start = Instant::now();
    let closed = Arc::new(AtomicBool::new(false));
    if args.until_closed {
        let closed = Arc::clone(&closed);
        std::thread::spawn(move || {
            // However it ends, nobody is there to say more.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            closed.store(true, Relaxed);
        });
    }
    let mut steps = 0;
    while steps < args.steps && start.elapsed().as_secs_f64() < args.seconds && !closed.load(Relaxed) {
        // A launch without work first: what is timed then begins after the wait at nvshare's gate.
        cuda.launch(fill, &mut [blocks[0], 0, 0])?;
        cuda.record(before)?;
        for _ in 0..args.ahead {
            if args.spin > 0 {
                cuda.launch(spin, &mut [args.spin])?;
            }
            for block in &blocks {
                cuda.launch(add_one, &mut [*block, words as u64])?;
            }
        }
        if args.extra > 0 {
            let extra = cuda.allocate(args.extra)?;
            cuda.launch(fill, &mut [extra, 0, args.extra as u64 / 4])?;
            cuda.free(extra)?;
        }
        cuda.record(after)?;
        cuda.synchronize()?;
        steps += args.ahead;
        let gpu = cuda.seconds_between(before, after)?;
        say(&json!({ "step": steps, "seconds": start.elapsed().as_secs_f64(), "gpu_seconds": gpu }))?;
        std::thread::sleep(Duration::from_millis(args.rest_ms));
    }
    if args.stay {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    }
    let mut wrong = 0;
    for (seed, block) in blocks.iter().enumerate() {
        wrong += cuda.count_wrong(*block, words, seed as u32 + steps)?;
    }
    // Only now: what has to come back is the whole until all is checked.
    blocks.iter().try_for_each(|block| cuda.free(*block))?;
    say(&json!({ "steps": steps, "wrong": wrong, "words": words * args.blocks }))?;
    anyhow::ensure!(wrong == 0, "{wrong} words are wrong");
    Ok(())
}
