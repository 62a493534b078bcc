//! `make demo`: the report's table as it comes out, demand paging beside bulk prefetch.
use anyhow::Result;
use nvshare_tests::demo;

fn main() -> Result<()> {
    demo::run(&std::env::args().nth(1).map_or_else(demo::default_picture, Into::into))
}
