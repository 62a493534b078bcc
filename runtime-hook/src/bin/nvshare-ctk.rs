//! The set-up tool: see `nvshare_runtime_hook::ctk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nvshare_runtime_hook::ctk::main()
}
