//! `nvsharectl`: asks the scheduler and shows the answer.
pub mod args;
mod client;
mod columns;
mod containers;
mod events;
mod filter;
mod gpus;
mod names;
mod naming;
mod perfetto;
mod report;
pub mod table;
mod top;
mod users;
mod why;
mod words;

use crate::stdout;
use args::{Args, Command, Format, Length, Output, Setting, StatusArgs, Switch};
use clap::{CommandFactory, Parser};
use client::{Client, Failed};
use naming::Naming;
use nvshare_protocol::control::{EventQuery, Reply, ReportQuery, Request, Status, Target};
use ratatui::crossterm::terminal;
use std::io::IsTerminal;
use std::process::ExitCode;
use table::Room;
use users::Users;

/// The width of a table that goes to no terminal.
const NARROW: usize = 80;

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
    if let Some(Command::Top { interval }) = args.command {
        return top::run(&args.socket(), args.sockets_to_see(), interval).map(|()| ExitCode::SUCCESS);
    }
    if let Some(Command::Names { of }) = args.command {
        return print(&names::lines(&args.sockets_to_see(), of)).map(|()| ExitCode::SUCCESS);
    }
    let mut client = match requests.is_empty() {
        true => Client::connect_to_see(&args.sockets_to_see())?,
        false => Client::connect(&args.socket())?,
    };
    for request in requests {
        let request = with_ids(request, &mut client)?;
        if let Reply::Done { message } = client.ask(&request)? {
            print(&format!("{message}\n"))?;
        }
    }
    match &args.command {
        Some(Command::Status(args)) => print(&status(client.status()?, args)?)?,
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
        Some(Command::Events { json, choice }) => {
            let request = with_ids(choice.request(), &mut client)?;
            events::follow(&mut client, &request, *json)?;
        }
        Some(Command::Report { since, by, json, format }) => {
            let mut report = client.report(ReportQuery { since: *since, by: by.grouping() })?;
            Users::default().name_rows(&mut report);
            print(&match if *json { Format::Json } else { *format } {
                Format::Table => report::table(&report),
                Format::Csv => report::csv(&report),
                Format::Json => pretty(&report)?,
            })?;
        }
        Some(Command::Why { whom, json }) => {
            let status = named(client.status()?);
            let tenants = why::of(&status, whom.target().as_ref()).map_err(Failed::Refused)?;
            print(&if *json { pretty(&tenants)? } else { why::text(&tenants) })?;
        }
        Some(
            Command::On
            | Command::Off
            | Command::Set { .. }
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Evict(_)
            | Command::Reload
            | Command::Top { .. }
            | Command::Names { .. },
        )
        | None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The part of the status that was asked for, as it was asked for.
fn status(mut status: Status, args: &StatusArgs) -> Result<String, Failed> {
    status = named(status);
    filter::reduce(&mut status, args).map_err(Failed::Usage)?;
    let room = match args.output() {
        Output::Json => return pretty(&status),
        _ if status.tenants.is_empty() && args.names_tenants() => {
            return Ok("no tenant that you may see is meant: `nvsharectl status` shows all of them\n".into());
        }
        Output::Wide => Room::Wide,
        Output::Table => Room::Cells(width()),
    };
    Ok(table::status(&status, room))
}

fn width() -> usize {
    let size = std::io::stdout().is_terminal().then(terminal::size);
    size.and_then(Result::ok).map_or(NARROW, |(columns, _)| columns.into())
}

/// With the names of users and containers.
fn named(status: Status) -> Status {
    Naming::default().of(status)
}

/// With GPUs and containers as the scheduler knows them.
fn with_ids(mut request: Request, client: &mut Client) -> Result<Request, Failed> {
    match &mut request {
        Request::SetGpuQuantum { gpu, .. } => {
            *gpu = gpus::find(&client.status()?.devices, gpu).map_err(Failed::Usage)?.uuid.clone();
        }
        Request::EventsSince(EventQuery { gpu, container, .. }) if gpu.is_some() || container.is_some() => {
            let status = named(client.status()?);
            // Of one that has gone there are events still: it is asked for as it stands.
            if let Some((gpu, found)) =
                gpu.as_mut().and_then(|gpu| gpus::find(&status.devices, gpu).ok().map(|found| (gpu, found)))
            {
                *gpu = found.uuid.clone();
            }
            if let Some(container) = container {
                *container = containers::shown(&status, container).to_owned();
            }
        }
        Request::SetTenant { target: Target::Container(container), .. }
        | Request::Pause { target: Target::Container(container) }
        | Request::Resume { target: Target::Container(container) }
        | Request::Evict { target: Target::Container(container) } => {
            // Its owner stands behind the id.
            let status = named(client.status()?);
            let id = containers::shown(&status, container).split(' ').next().unwrap_or_default();
            *container = id.to_owned();
        }
        _ => {}
    }
    Ok(request)
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
        // `checked` has seen that it can be read.
        Some(Command::Set { setting }) => setting.of_tenant().ok().flatten(),
        Some(Command::Pause(whom)) => whom.target().map(|target| Request::Pause { target }),
        Some(Command::Resume(whom)) => whom.target().map(|target| Request::Resume { target }),
        Some(Command::Evict(whom)) => whom.target().map(|target| Request::Evict { target }),
        Some(Command::Reload) => Some(Request::Reload),
        Some(
            Command::Status(_)
            | Command::Trace { .. }
            | Command::Events { .. }
            | Command::Report { .. }
            | Command::Why { .. }
            | Command::Top { .. }
            | Command::Names { .. },
        )
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
