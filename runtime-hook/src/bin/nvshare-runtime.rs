//! The OCI runtime shim: see `nvshare_runtime_hook::exec`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nvshare_runtime_hook::exec::main()
}
