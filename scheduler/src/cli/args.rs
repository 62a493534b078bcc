//! The command line of `nvsharectl`.
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use nvshare_protocol::control::QuantumSetting;
use nvshare_protocol::paths::{CONTROL_SOCKET, RUNTIME_DIR};
use std::path::PathBuf;

/// Shows and steers the scheduler that hands GPUs round.
///
/// Exit codes: 0 done; 1 no scheduler can be reached, or its answer cannot be understood or written;
/// 2 the command line is wrong; 3 the scheduler refused.
#[derive(Debug, Parser)]
#[command(name = "nvsharectl", version)]
pub struct Args {
    /// The scheduler's runtime directory
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR, global = true)]
    runtime_dir: PathBuf,
    /// The scheduler's control socket, instead of control.sock in the runtime directory
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// Set the time quantum, as the C nvshare's nvsharectl does
    #[arg(short = 'T', long, value_name = "SECONDS|auto", value_parser = quantum, allow_negative_numbers = true)]
    pub set_tq: Option<QuantumSetting>,
    /// Switch the scheduler on or off, as the C nvshare's nvsharectl does
    #[arg(short = 'S', long, value_name = "on|off")]
    pub anti_thrash: Option<Switch>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show GPUs and tenants
    Status {
        /// As JSON, with every field
        #[arg(long)]
        json: bool,
    },
    /// Watch GPUs and tenants, on a terminal
    Top,
    /// Change a rule until the scheduler is restarted
    Set {
        #[command(subcommand)]
        setting: Setting,
    },
    /// Take turns
    On,
    /// Let everybody run
    Off,
    /// Follow what happens, one line each, until stopped
    Events {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Write who held which GPU, and every hand-over, for ui.perfetto.dev
    Trace {
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, PartialEq, Subcommand)]
pub enum Setting {
    /// The time quantum: how long a turn lasts while somebody else waits
    Tq {
        /// 0.001 to 86400; auto: 20 times what a hand-over has cost lately, from 1 to 30 s; default: on
        /// this GPU as on the others
        #[arg(value_name = "SECONDS|auto|default", value_parser = length, allow_negative_numbers = true)]
        length: Length,
        /// On this GPU alone
        #[arg(long, value_name = "UUID")]
        gpu: Option<String>,
    },
    /// What a tenant moves out of the GPU at the end of its turn
    Evict {
        /// pressure, always or never
        mode: String,
    },
}

/// How long turns are to last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Quantum(QuantumSetting),
    /// On one GPU: as on the others.
    Default,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

fn length(text: &str) -> Result<Length, String> {
    if text == "default" { Ok(Length::Default) } else { quantum(text).map(Length::Quantum) }
}

fn quantum(text: &str) -> Result<QuantumSetting, String> {
    if text == "auto" {
        return Ok(QuantumSetting::Auto);
    }
    let time = nvshare_protocol::quantity::time(text);
    let seconds = time.map(|time| QuantumSetting::Seconds(time.as_secs_f64()));
    seconds.ok_or_else(|| "neither a number of seconds, or a time such as 500ms, nor auto".into())
}

impl Args {
    /// What clap cannot tell.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let general = Setting::Tq { length: Length::Default, gpu: None };
        match &self.command {
            Some(Command::Set { setting }) if *setting == general => Err(Self::command().error(
                ErrorKind::MissingRequiredArgument,
                "`set tq default` needs the GPU that it is for: --gpu UUID",
            )),
            _ => Ok(self),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.runtime_dir.join(CONTROL_SOCKET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_forms_of_the_c_nvshare_are_understood() {
        for line in [&["nvsharectl", "-T", "15"][..], &["nvsharectl", "--set-tq=15"], &["nvsharectl", "-T15"]]
        {
            assert_eq!(Args::parse_from(line).set_tq, Some(QuantumSetting::Seconds(15.0)), "{line:?}");
        }
        assert_eq!(Args::parse_from(["nvsharectl", "-Tauto"]).set_tq, Some(QuantumSetting::Auto));
        for line in [&["nvsharectl", "-S", "off"][..], &["nvsharectl", "--anti-thrash=off"]] {
            assert_eq!(Args::parse_from(line).anti_thrash, Some(Switch::Off), "{line:?}");
        }
    }

    #[test]
    fn a_quantum_is_a_number_of_seconds() {
        for word in ["nan", "inf", "soon"] {
            let line = ["nvsharectl", "set", "tq", word];
            let said = Args::try_parse_from(line).unwrap_err().to_string();
            assert!(
                said.contains("neither a number of seconds, or a time such as 500ms, nor auto"),
                "{word}: {said}"
            );
        }
    }

    #[test]
    fn the_socket_is_in_the_runtime_directory_unless_it_is_named() {
        let socket = |line: &[&str]| Args::parse_from(line).socket();
        assert_eq!(socket(&["nvsharectl", "on"]), PathBuf::from("/run/nvshare/control.sock"));
        assert_eq!(socket(&["nvsharectl", "on", "--runtime-dir", "/x"]), PathBuf::from("/x/control.sock"));
        assert_eq!(socket(&["nvsharectl", "--socket", "/y.sock", "on"]), PathBuf::from("/y.sock"));
    }
}
