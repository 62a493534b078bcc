//! The OCI hook, for each of its stages. Only `precreate` can set environment variables: the runtime parses config.json
//! before it starts the other stages, so these use `/etc/ld.so.preload`.

mod attach;
mod capabilities;
pub(crate) mod detached_mount;
mod namespaces;
mod precreate;
mod stages;
pub mod state;

use nvshare_protocol::console;
use std::process::ExitCode;

const HELP: &str = "An OCI hook: the engine starts it, and gives it the container's document or state on standard input.\n\n\
    Usage: nvshare-hook STAGE\n\n\
    Stages:\n  \
      precreate        podman's, before the runtime starts: the document comes back on standard output\n  \
      createContainer  in the container's mount namespace, for the CDI device nvshare.io/gpu=shared\n  \
      createRuntime    the same from the host's side\n  \
      prestart         the same, as older engines call it\n\n\
    Options:\n  \
      -h, --help       Print help\n  \
      -V, --version    Print version\n\n\
    Its settings are in section [runtime] of /etc/nvshare/config.toml. What is wrong: nvshare-ctk doctor.\n";

/// The whole of `nvshare-hook`.
pub fn main() -> ExitCode {
    let stage = std::env::args_os().nth(1).unwrap_or_default();
    let stage = stage.to_string_lossy();
    match &*stage {
        "precreate" => precreate::run(),
        "createContainer" => stages::run(stages::Where::Inside),
        "createRuntime" | "prestart" => stages::run(stages::Where::Host),
        "--version" | "-V" => print(concat!("nvshare-hook ", env!("CARGO_PKG_VERSION"), "\n")),
        "--help" | "-h" => print(HELP),
        _ => {
            console::complain(&format!("nvshare-hook: unknown stage `{stage}`\n{HELP}"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    match console::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("nvshare-hook: standard output cannot be written to: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
