//! One tenant after the other, each of another kind, killed or left to end by itself.
use crate::world::World;
use anyhow::{Context as _, Result, ensure};
use std::time::{Duration, Instant};

/// Random numbers that a seed repeats (splitmix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn milliseconds(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// What came and went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tenants {
    pub ended: u64,
    pub killed: u64,
}

/// Tenants of up to `most` MiB until `end`.
///
/// # Errors
/// If one that was not killed did not end well with right data.
pub fn tenants(world: &World, most: u64, end: Instant, mut dice: Dice) -> Result<Tenants> {
    // Not plain: such a tenant is rightly refused where others have the card.
    const ENGINES: [&str; 3] = ["auto", "swap", "managed"];
    let mut count = Tenants::default();
    while Instant::now() < end {
        let bytes = (1 + dice.below(most)) << 20;
        let (blocks, engine) = (1 + dice.below(6), ENGINES[dice.below(3) as usize]);
        let (steps, rest) = (1 + dice.below(30), dice.below(20));
        let words = [("--bytes", bytes), ("--blocks", blocks), ("--steps", steps), ("--rest-ms", rest)];
        let words: Vec<String> = words.iter().flat_map(|(name, n)| [(*name).into(), n.to_string()]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut tenant = world.load(&words, &[("NVSHARE_ENGINE", engine)])?;
        if dice.below(2) == 0 {
            // At any moment of its life: that is the point.
            std::thread::sleep(dice.milliseconds(600));
            tenant.kill()?;
            count.killed += 1;
        } else {
            let last = tenant.finish().with_context(|| {
                let log = world.tenants_log();
                let said: Vec<&str> = log.lines().rev().take(20).collect();
                format!("load {words:?}, engine {engine}; tenants said, the last first: {said:#?}")
            })?;
            ensure!(last["wrong"] == 0, "{words:?} with {engine}: {last}");
            count.ended += 1;
        }
    }
    Ok(count)
}
