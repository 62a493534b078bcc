//! `make soak`: tenants that come and go for a long time, and whether anything grows by it.
use anyhow::Result;
use clap::Parser;
use nvshare_tests::soak;
use std::time::Duration;

#[derive(Parser)]
struct Args {
    /// How long, in seconds.
    #[arg(long, default_value_t = 1800)]
    seconds: u64,
    /// Of the random numbers; printed by every run.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    soak::run(Duration::from_secs(args.seconds), args.seed.unwrap_or_else(|| std::process::id().into()))
}
