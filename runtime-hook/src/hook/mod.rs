//! The OCI hook, for each of its stages. Only `precreate` can set environment variables: the runtime parses config.json
//! before it starts the other stages, so these use `/etc/ld.so.preload`.

mod attach;
mod capabilities;
pub(crate) mod detached_mount;
mod namespaces;
mod precreate;
mod stages;
pub mod state;

use std::process::ExitCode;

const USAGE: &str = "usage: nvshare-hook precreate | createContainer | createRuntime | prestart\n\n\
    An OCI hook: the engine starts it, and gives it the container's document or state on standard input.\n";

/// The whole of `nvshare-hook`.
pub fn main() -> ExitCode {
    let stage = std::env::args_os().nth(1).unwrap_or_default();
    let stage = stage.to_string_lossy();
    match &*stage {
        "precreate" => precreate::run(),
        "createContainer" => stages::run(stages::Where::Inside),
        "createRuntime" | "prestart" => stages::run(stages::Where::Host),
        "--version" => {
            println!("nvshare-hook {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        "--help" | "-h" => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("nvshare-hook: unknown stage `{stage}`\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}
