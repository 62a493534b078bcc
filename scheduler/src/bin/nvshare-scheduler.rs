//! The daemon that hands GPUs round.
use std::process::ExitCode;

fn main() -> ExitCode {
    nvshare_scheduler::command_line::main()
}
