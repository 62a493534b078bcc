//! The library's kernel that looks at memory, by itself: every change is found, and nothing else. Single bits and words
//! of granules are changed at random places; the hash is compared with what the definition says.
#![allow(unsafe_code)] // launches the kernel, and reads what it has found
#[path = "../../fakecuda/src/sim/content.rs"]
#[allow(dead_code)] // the simulated driver uses more of it
mod content;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use fastrand::Rng;
use nvshare_tests::cuda::{Cuda, Lookup};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::time::Instant;

const PTX: &str = include_str!("../../../interposer/src/memory/migrate/look/content.ptx");
const WORDS: u64 = content::WORDS as u64;

#[derive(Parser)]
struct Args {
    /// Granules of memory, of 2 MiB each.
    #[arg(long, default_value_t = 8)]
    granules: usize,
    /// How often a word of each is changed.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// How many hashes are compared with the definition, which is computed here.
    #[arg(long, default_value_t = 2)]
    compared: usize,
    /// How often the time of the kernel is taken, over all granules.
    #[arg(long, default_value_t = 1)]
    timed: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

struct Kernel<'a> {
    cuda: &'a Cuda,
    function: usize,
    granules: *mut c_void,
    found: *mut c_void,
    count: usize,
    keys: [u64; 24],
}

impl Kernel<'_> {
    fn look(&mut self) -> Result<Vec<[u64; 4]>> {
        let mut count = self.count as u64;
        let mut arguments: [*mut c_void; 4] = [
            (&raw mut self.granules).cast(),
            (&raw mut self.found).cast(),
            (&raw mut count).cast(),
            (&raw mut self.keys).cast(),
        ];
        // SAFETY: what `content.cu` takes.
        unsafe { self.cuda.launch_blocks(self.function, self.count as u32, &mut arguments)? };
        self.cuda.synchronize()?;
        // SAFETY: the kernel has written so many, and has ended.
        Ok(unsafe { std::slice::from_raw_parts(self.found.cast::<[u64; 4]>(), self.count) }.to_vec())
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cuda = Cuda::load(Lookup::default())?;
    cuda.begin_on(0)?;
    let mut random = Rng::with_seed(args.seed);
    let fill = cuda.function("fill")?;
    let memory = cuda.allocate(args.granules * content::GRANULE as usize)?;
    cuda.launch(fill, &mut [memory, 0, args.granules as u64 * WORDS])?;
    let place = |granule: usize| memory + granule as u64 * content::GRANULE;
    let granules = cuda.host_memory(8 * args.granules)?;
    // SAFETY: what was just allocated, which nothing else uses yet.
    let listed = unsafe { std::slice::from_raw_parts_mut(granules.cast::<u64>(), args.granules) };
    listed.iter_mut().enumerate().for_each(|(granule, at)| *at = place(granule));
    let mut kernel = Kernel {
        cuda: &cuda,
        function: cuda.function_of(PTX, "nvshare_content")?,
        granules,
        found: cuda.host_memory(32 * args.granules)?,
        count: args.granules,
        keys: std::array::from_fn(|_| random.u64(..) >> 3),
    };
    let mut before = kernel.look()?;
    ensure!(before.iter().all(|found| found[3] == 0), "memory that is zero was not found zero");
    let (mut checked, mut words) = (0_u64, vec![BTreeMap::<u64, u32>::new(); args.granules]);
    for round in 0..args.rounds {
        let mut changed = Vec::new();
        for (granule, words) in words.iter_mut().enumerate() {
            // One in eight stays as it is.
            if random.u64(..8) == 0 {
                changed.push(false);
                continue;
            }
            let at = random.u64(..WORDS);
            let old = words.get(&at).copied().unwrap_or(0);
            let new = if round % 2 == 0 { old ^ 1 << random.u32(..32) } else { random.u32(..) };
            words.insert(at, new);
            cuda.write(place(granule) + 4 * at, &[new])?;
            changed.push(old != new);
        }
        let now = kernel.look()?;
        for granule in 0..args.granules {
            ensure!(
                (now[granule] != before[granule]) == changed[granule],
                "granule {granule}, round {round}"
            );
            let any = words[granule].values().any(|word| *word != 0);
            ensure!((now[granule][3] != 0) == any, "granule {granule}, round {round}: zero or not");
            checked += 1;
        }
        before = now;
    }
    let keys = content::Keys::from_words(&kernel.keys).context("keys")?;
    for granule in (0..args.granules).take(args.compared) {
        let mut is = vec![0; content::WORDS];
        cuda.read(place(granule), &mut is)?;
        ensure!(content::look(&is, &keys) == before[granule], "granule {granule} has another hash");
    }
    let mut rates = Vec::new();
    for _ in 0..args.timed {
        let start = Instant::now();
        kernel.look()?;
        rates.push(args.granules as f64 * content::GRANULE as f64 / start.elapsed().as_secs_f64() / 1e12);
    }
    rates.sort_by(f64::total_cmp);
    let best = rates.last().copied();
    println!(
        "{}",
        json!({ "checked": checked, "compared": args.compared.min(args.granules), "terabytes_per_second": best })
    );
    Ok(())
}
