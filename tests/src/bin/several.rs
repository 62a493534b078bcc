//! A tenant of several devices: in every step it adds one to every word that it has on each of them, and it checks them
//! all at the end.
use anyhow::{Result, ensure};
use clap::Parser;
use nvshare_tests::cuda::{Cuda, Lookup};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    /// The numbers of the devices, by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    devices: Vec<i32>,
    /// Memory to work on, on each of them, in bytes.
    #[arg(long)]
    bytes: usize,
    /// Stop after so many seconds.
    #[arg(long)]
    seconds: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cuda = Cuda::load(Lookup::default())?;
    let words = args.bytes / 4;
    // All contexts before any work: the first grant is of all devices then.
    let contexts = args.devices.iter().map(|device| cuda.begin_on(*device)).collect::<Result<Vec<_>>>()?;
    let mut parts = Vec::new();
    for (&device, &context) in args.devices.iter().zip(&contexts) {
        cuda.make_current(context)?;
        let (fill, add_one) = (cuda.function("fill")?, cuda.function("add_one")?);
        let block = cuda.allocate(words * 4)?;
        cuda.launch(fill, &mut [block, device as u64, words as u64])?;
        cuda.synchronize()?;
        parts.push((device, context, add_one, block));
    }
    let (begun, mut steps) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        for &(_, context, add_one, block) in &parts {
            cuda.make_current(context)?;
            cuda.launch(add_one, &mut [block, words as u64])?;
        }
        for &(_, context, ..) in &parts {
            cuda.make_current(context)?;
            cuda.synchronize()?;
        }
        steps += 1;
    }
    let mut wrong = 0;
    for &(device, context, _, block) in &parts {
        cuda.make_current(context)?;
        wrong += cuda.count_wrong(block, words, u32::try_from(device)? + steps)?;
    }
    println!("{{\"steps\":{steps},\"wrong\":{wrong}}}");
    ensure!(wrong == 0, "{wrong} words are wrong");
    Ok(())
}
