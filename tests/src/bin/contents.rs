//! A tenant whose memory has little that changes, as one that serves a model has: a part with content (weights), a part
//! that every step changes, and the rest, which was never written (a pool). Single words and bits of the whole are changed
//! between steps, at random places. Every word is checked at the end, those that were changed at each step.
use anyhow::{Result, ensure};
use clap::Parser;
use fastrand::Rng;
use nvshare_tests::cuda::{Cuda, Lookup};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Words of a part that is filled at once.
const PART: u64 = 1 << 19;

#[derive(Parser)]
struct Args {
    /// Memory in all, in bytes; each of the parts is rounded to 2 MiB.
    #[arg(long)]
    bytes: u64,
    /// Of it, what has content that stays.
    #[arg(long, default_value_t = 0)]
    content: u64,
    /// Of it, what each step changes.
    #[arg(long, default_value_t = 0)]
    changing: u64,
    /// Words that are changed before each step, anywhere but in what each step changes.
    #[arg(long, default_value_t = 0)]
    flips: usize,
    /// As many allocations of the same size.
    #[arg(long, default_value_t = 1)]
    blocks: u64,
    #[arg(long, default_value_t = u32::MAX)]
    steps: u32,
    #[arg(long, default_value_t = f64::INFINITY)]
    seconds: f64,
    /// Let the GPU work so long in each step, in nanoseconds of its own time.
    #[arg(long, default_value_t = 0)]
    spin: u64,
    /// Rest so long after each step, in milliseconds.
    #[arg(long, default_value_t = 0)]
    rest_ms: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn say(line: &serde_json::Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// What a word of the part of that number is, where it has content.
fn pattern(part: u64) -> u32 {
    (part.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1
}

struct Memory {
    /// Where each part lies.
    parts: Vec<u64>,
    /// The parts with content, and those that change.
    content: usize,
    changing: usize,
    /// The words that were changed, by part and place, and what they are.
    changed: BTreeMap<(usize, u64), u32>,
}

impl Memory {
    fn expected(&self, part: usize, step: u32) -> u32 {
        if part < self.content {
            pattern(part as u64)
        } else if part < self.content + self.changing {
            step
        } else {
            0
        }
    }

    /// Changes a word: a single bit of it, or all of it.
    fn flip(&mut self, cuda: &Cuda, random: &mut Rng) -> Result<()> {
        let part = random.usize(..self.parts.len());
        if (self.content..self.content + self.changing).contains(&part) {
            return Ok(());
        }
        let at = (part, random.u64(..PART));
        let old = self.changed.get(&at).copied().unwrap_or_else(|| self.expected(part, 0));
        let new = if random.bool() { old ^ 1 << random.u32(..32) } else { random.u32(..) };
        self.changed.insert(at, new);
        cuda.write(self.parts[part] + 4 * at.1, &[new])
    }

    /// The changed words that are not what they were set to.
    fn wrong_changes(&self, cuda: &Cuda) -> Result<usize> {
        let mut wrong = 0;
        for ((part, word), value) in &self.changed {
            let mut now = [!*value];
            cuda.read(self.parts[*part] + 4 * word, &mut now)?;
            wrong += usize::from(now != [*value]);
        }
        Ok(wrong)
    }

    /// The words of all memory that are not right.
    fn wrong(&self, cuda: &Cuda, step: u32) -> Result<usize> {
        // In halves: a copy of a whole part is a hand-over's.
        let (half, mut wrong, mut words) = (PART / 2, 0, vec![0; PART as usize / 2]);
        for (part, at) in self.parts.iter().enumerate() {
            let expected = self.expected(part, step);
            for from in [0, half] {
                cuda.read(at + 4 * from, &mut words)?;
                for ((_, word), value) in self.changed.range((part, from)..(part, from + half)) {
                    let is = std::mem::replace(&mut words[(word - from) as usize], expected);
                    wrong += usize::from(is != *value);
                }
                wrong += words.iter().filter(|word| **word != expected).count();
            }
        }
        Ok(wrong)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cuda = Cuda::load(Lookup::default())?;
    cuda.begin_on(0)?;
    let (fill, spin) = (cuda.function("fill")?, cuda.function("spin")?);
    let parts = |bytes: u64| bytes / (4 * PART);
    let in_block = parts(args.bytes / args.blocks);
    let mut places = Vec::new();
    for _ in 0..args.blocks {
        let block = cuda.allocate((in_block * 4 * PART) as usize)?;
        places.extend((0..in_block).map(|part| block + part * 4 * PART));
    }
    let (content, changing) = (parts(args.content) as usize, parts(args.changing) as usize);
    ensure!(content + changing <= places.len(), "the parts are larger than the whole");
    let mut memory = Memory { parts: places, content, changing, changed: BTreeMap::new() };
    for part in 0..memory.parts.len() {
        // Also zero: memory of the driver's is whatever it was.
        cuda.launch(fill, &mut [memory.parts[part], u64::from(memory.expected(part, 0)), PART])?;
    }
    cuda.synchronize()?;
    say(&json!({ "allocated": memory.parts.len() as u64 * 4 * PART }))?;
    let (mut random, start) = (Rng::with_seed(args.seed), Instant::now());
    let (mut step, mut wrong) = (0, 0);
    while step < args.steps && start.elapsed().as_secs_f64() < args.seconds {
        let begun = Instant::now();
        step += 1;
        for _ in 0..args.flips {
            memory.flip(&cuda, &mut random)?;
        }
        for part in content..content + changing {
            cuda.launch(fill, &mut [memory.parts[part], u64::from(step), PART])?;
        }
        cuda.launch(spin, &mut [args.spin])?;
        cuda.synchronize()?;
        wrong += memory.wrong_changes(&cuda)?;
        let (took, since) = (begun.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
        say(&json!({ "step": step, "took": took, "seconds": since, "wrong": wrong }))?;
        std::thread::sleep(Duration::from_millis(args.rest_ms));
    }
    wrong += memory.wrong(&cuda, step)?;
    say(&json!({ "steps": step, "wrong": wrong, "changed": memory.changed.len() }))?;
    ensure!(wrong == 0, "{wrong} words are wrong");
    Ok(())
}
