//! The OCI hook: see `nvshare_runtime_hook::hook`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nvshare_runtime_hook::hook::main()
}
