//! Tenants that start, allocate, launch, end or are killed, and schedulers that are stopped, killed and started
//! again, for a long time; beside them a scheduler and tenants that stay, which must not grow by it.
mod churn;
mod place;
mod table;

use anyhow::Result;
use churn::Dice;
use place::Place;
use std::time::{Duration, Instant};
use table::Table;

/// How often everything is left to itself and measured.
const ROUNDS: u32 = 10;
/// The first rounds, in which caches fill and heaps find their size.
const WARM_UP: usize = 3;

/// Soaks for `length`, not counting the rests in which it measures, and prints what there was.
///
/// # Errors
/// If something has grown, or a tenant that was not killed did not end well.
pub fn run(length: Duration, seed: u64) -> Result<()> {
    println!("seed {seed}");
    let mut places = [Place::new("stays", false)?, Place::new("restarts", true)?];
    let mut table = Table::default();
    let start = Instant::now();
    for round in 0..ROUNDS {
        let end = Instant::now() + length / ROUNDS;
        std::thread::scope(|scope| -> Result<()> {
            let parts = places.iter_mut().enumerate().map(|(at, place)| {
                let dice = Dice::new(seed ^ (u64::from(round) << 32) ^ (at as u64) << 40);
                scope.spawn(move || place.churn(end, dice))
            });
            let parts: Vec<_> = parts.collect();
            parts.into_iter().try_for_each(|part| part.join().expect("a panic of the soak's own"))
        })?;
        for place in &places {
            place.measure(&mut table)?;
        }
        let counts = places.each_ref().map(|place| place.counts.to_string());
        println!("{:5} s  {}", start.elapsed().as_secs(), counts.join("; "));
    }
    println!("\n{table}");
    for place in places {
        place.finish()?;
    }
    println!("The tenants that stayed ended with right data.");
    table.judge(WARM_UP)
}
