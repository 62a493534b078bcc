//! libFuzzer over one target: `NVSHARE_FUZZ_TARGET=NAME fuzz CORPUS -max_total_time=60`. `make fuzz` does this for all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nvshare_fuzz::{TARGETS, Target, target};
use std::sync::LazyLock;

static CHOSEN: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("NVSHARE_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        for target in TARGETS {
            eprintln!("NVSHARE_FUZZ_TARGET={:<18} {}", target.name, target.reads);
        }
        std::process::exit(2)
    })
});

fuzz_target!(|bytes: &[u8]| (CHOSEN.run)(bytes));
