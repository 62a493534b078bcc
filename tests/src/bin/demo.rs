//! `make demo`: the report's table as it comes out, demand paging beside bulk prefetch.
use anyhow::{Result, bail};
use nvshare_tests::demo;

const HELP: &str = "\
Two tenants of 12 GiB take turns on one GPU: what a hand-over costs by page faults and by bulk prefetch. It runs on a
simulated card, in under a minute, or on the real GPU with NVSHARE_TEST_GPU=1.

Usage: demo [PICTURE]

  PICTURE     where the timeline is drawn (SVG) [default: demo-timeline.svg beside the programs' directory]
  -h, --help  print this
";

fn main() -> Result<()> {
    let word = std::env::args().nth(1);
    match word.as_deref() {
        Some("-h" | "--help") => Ok(nvshare_protocol::console::print(HELP)?),
        Some(option) if option.starts_with('-') => bail!("{option} is no option\n\n{HELP}"),
        _ => demo::run(&word.map_or_else(demo::default_picture, Into::into)),
    }
}
