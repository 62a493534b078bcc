//! The command line of `nvsharectl`.
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use nvshare_protocol::control::{EventQuery, QuantumSetting, Request};
use nvshare_protocol::paths::{CONTROL_SOCKET, RUNTIME_DIR};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Show what has happened, and follow what happens until stopped, one line each
    Events {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        choice: EventChoice,
    },
    /// Write who held which GPU, and every hand-over, for ui.perfetto.dev
    Trace {
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which events are shown.
#[derive(Debug, Default, clap::Args)]
pub struct EventChoice {
    /// Past events too: since so long ago (90s, 10m, 2h, 7d), or since a time (2026-11-30T16:15:00Z)
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub since: Option<f64>,
    /// Past events only; all that are remembered, unless --since says less
    #[arg(long)]
    pub no_follow: bool,
    /// Of this tenant: its number, or its session
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// Of this container: its name or id
    #[arg(long, value_name = "ID")]
    pub container: Option<String>,
    /// On this GPU: its UUID, or how that begins
    #[arg(long, value_name = "UUID")]
    pub gpu: Option<String>,
    /// Of this kind, for instance joined or no-room
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
}

impl EventChoice {
    /// As the scheduler is asked. A scheduler of an older version understands only the plain request.
    pub fn request(&self) -> Request {
        let Self { since, no_follow, tenant, container, gpu, kind } = self;
        let query = EventQuery {
            since: since.or(no_follow.then_some(0.0)),
            follow: !no_follow,
            tenant: tenant.clone(),
            container: container.clone(),
            gpu: gpu.clone(),
            kind: kind.clone(),
        };
        let all = EventQuery { follow: true, ..EventQuery::default() };
        if query == all { Request::Events } else { Request::EventsSince(query) }
    }
}

/// A moment, in seconds since 1970: so long ago, or a time of day with its date (UTC).
pub fn since(text: &str) -> Result<f64, String> {
    let moment = match humantime::parse_duration(text) {
        Ok(ago) => SystemTime::now().checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    let after = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    after.map(|after| after.as_secs_f64()).ok_or_else(|| {
        "neither a duration such as 10m, 2h or 7d nor a time such as 2026-11-30T16:15:00Z".into()
    })
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
    // JSON has no other numbers.
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite());
    seconds.map(QuantumSetting::Seconds).ok_or_else(|| "neither a number of seconds nor auto".into())
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
    fn a_moment_is_so_long_ago_or_a_time() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        for (text, ago) in [("90s", 90.0), ("10m", 600.0), ("7d", 604_800.0)] {
            assert!((now - ago - since(text).unwrap()).abs() < 60.0, "{text}");
        }
        for text in ["2001-09-09T01:46:40Z", "2001-09-09 01:46:40"] {
            assert_eq!(since(text), Ok(1e9), "{text}");
        }
        for text in ["", "soon", "-1h", "1969-01-01T00:00:00Z", "10000000000000000000000y"] {
            assert!(since(text).is_err(), "{text}");
        }
        assert_eq!(EventChoice::default().request(), Request::Events);
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
            assert!(said.contains("neither a number of seconds nor auto"), "{word}: {said}");
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
