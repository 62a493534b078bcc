//! `nvsharectl`: asks the scheduler and shows the answer.
pub mod args;
mod client;
mod events;
mod perfetto;
pub mod table;
mod top;
mod words;

use crate::stdout;
use args::{Args, Command, Length, Setting, Switch};
use clap::{CommandFactory, Parser};
use client::{Client, Failed};
use nvshare_protocol::control::{Reply, Request};
use std::process::ExitCode;

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse().checked().unwrap_or_else(|error| error.exit());
    match run(&args) {
        Ok(code) => code,
        Err(failed) => {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("nvsharectl: {failed}\n").as_bytes(),
            );
            ExitCode::from(failed.code())
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Failed> {
    let requests = changes(args);
    if requests.is_empty() && args.command.is_none() {
        let _ = stdout::print(&Args::command().render_help().to_string());
        return Ok(ExitCode::from(2));
    }
    if let Some(Command::Top) = args.command {
        return top::run(&args.socket()).map(|()| ExitCode::SUCCESS);
    }
    let mut client = Client::connect(&args.socket())?;
    for request in requests {
        if let Reply::Done { message } = client.ask(&request)? {
            print(&format!("{message}\n"))?;
        }
    }
    match &args.command {
        Some(Command::Status { json }) => {
            let status = client.status()?;
            print(&if *json { pretty(&status)? } else { table::status(&status) })?;
        }
        Some(Command::Trace { output }) => {
            let trace = client.trace()?;
            let text = serde_json::to_string(&perfetto::events(&trace, &client.status()?));
            let text = text.map_err(|error| Failed::Broken(error.to_string()))? + "\n";
            match output {
                None => print(&text)?,
                Some(file) => {
                    std::fs::write(file, text).map_err(|error| {
                        Failed::Output(format!("{}: cannot be written: {error}", file.display()))
                    })?;
                    print(&format!("{}: open it in https://ui.perfetto.dev\n", file.display()))?;
                }
            }
        }
        Some(Command::Events { json, choice }) => events::follow(&mut client, &choice.request(), *json)?,
        Some(Command::On | Command::Off | Command::Set { .. } | Command::Top) | None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What the command line wants changed: flags of the C nvshare first, then a command.
fn changes(args: &Args) -> Vec<Request> {
    let switch = |to: Switch| if to == Switch::On { Request::On } else { Request::Off };
    let command = match &args.command {
        Some(Command::On) => Some(Request::On),
        Some(Command::Off) => Some(Request::Off),
        Some(Command::Set { setting: Setting::Tq { length, gpu } }) => match (length, gpu) {
            (Length::Quantum(quantum), None) => Some(Request::SetQuantum(*quantum)),
            (Length::Quantum(quantum), Some(gpu)) => {
                Some(Request::SetGpuQuantum { gpu: gpu.clone(), quantum: Some(*quantum) })
            }
            (Length::Default, gpu) => gpu.clone().map(|gpu| Request::SetGpuQuantum { gpu, quantum: None }),
        },
        Some(Command::Set { setting: Setting::Evict { mode } }) => {
            Some(Request::SetEvict { mode: mode.clone() })
        }
        Some(Command::Status { .. } | Command::Trace { .. } | Command::Events { .. } | Command::Top)
        | None => None,
    };
    let quantum = args.set_tq.map(Request::SetQuantum);
    quantum.into_iter().chain(args.anti_thrash.map(switch)).chain(command).collect()
}

fn pretty(value: &impl serde::Serialize) -> Result<String, Failed> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failed::Broken(error.to_string()))
}

fn print(text: &str) -> Result<(), Failed> {
    stdout::print(text)
        .map_err(|error| Failed::Output(format!("standard output cannot be written to: {error}")))
}
