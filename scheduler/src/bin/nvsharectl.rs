//! The operator's command line.
use std::process::ExitCode;

fn main() -> ExitCode {
    nvshare_scheduler::cli::main()
}
