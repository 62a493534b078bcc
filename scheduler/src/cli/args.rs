//! The command line of `nvsharectl`.
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use nvshare_protocol::control::{
    EVENT_KINDS, EventQuery, Grouping, QuantumSetting, Request, Target, TenantChange,
};
use nvshare_protocol::paths::{CONTROL_SOCKET, READER_SOCKET, RUNTIME_DIR, USER_SOCKET};
use nvshare_protocol::quantity;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    Status(StatusArgs),
    /// Watch GPUs and tenants, on a terminal; ? shows the keys
    Top {
        /// Time between two pictures, 0.1 to 3600
        #[arg(short = 'd', long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
        interval: Duration,
    },
    /// Change a rule, for all or for one tenant, until the scheduler is restarted
    Set {
        #[command(subcommand)]
        setting: Setting,
    },
    /// Say what tenants wait for, who has it, and what could be done
    Why {
        #[command(flatten)]
        whom: Whom,
        /// As JSON: the tenants of `status --json`, with `why` (reference/json.md in /usr/share/doc/nvshare)
        #[arg(long)]
        json: bool,
    },
    /// Let a tenant have no more turns; its memory stays until others need the room
    Pause(Whom),
    /// Let a tenant have turns again
    Resume(Whom),
    /// Move what a tenant has out of its GPUs, once; it comes back with its next turn
    Evict(Whom),
    /// Read the configuration file again, as `systemctl reload nvshare-scheduler` does
    Reload,
    /// Take turns
    On,
    /// Let everybody run
    Off,
    /// Show what has happened, and follow what happens until stopped, one line each
    Events {
        /// As JSON, one object a line (reference/json.md in /usr/share/doc/nvshare)
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        choice: EventChoice,
    },
    /// Sum up what users, containers and programs have used
    Report {
        /// Since so long ago (2h, 7d), or since a time (2026-11-30T16:15:00Z)
        #[arg(long, value_name = "DURATION|TIME", value_parser = since, default_value = "7d")]
        since: f64,
        /// One row for each of these
        #[arg(long, value_enum, default_value_t = By::Tenant)]
        by: By,
        /// As JSON (reference/json.md in /usr/share/doc/nvshare)
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// csv: for a spreadsheet
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Print what can be named, one a line, for the shells' completions
    #[command(hide = true)]
    Names { of: Named },
    /// Write who held which GPU, and every hand-over, for ui.perfetto.dev
    Trace {
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// What has names that an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Named {
    Gpus,
    Tenants,
    Containers,
    Users,
}

/// What is shown of the status, and how.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// As JSON, with every field (reference/json.md in /usr/share/doc/nvshare)
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// table: what fits into the terminal's width, or into 80 columns; wide: every column
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Output,
    /// This GPU alone, and who uses it
    #[arg(long, value_name = "INDEX|UUID")]
    pub gpu: Option<String>,
    /// The tenant of this number alone, and its GPUs
    #[arg(long, value_name = "NUMBER")]
    pub tenant: Option<u64>,
    /// The tenants of the container of this name, or whose id begins so, and their GPUs
    #[arg(long, value_name = "NAME|ID")]
    pub container: Option<String>,
    /// The tenants of this user of the host, and their GPUs
    #[arg(long, value_name = "NAME|UID")]
    pub user: Option<String>,
}

/// How a status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Wide,
    /// As `--json`, which is how all commands are asked for it.
    #[value(hide = true)]
    Json,
}

impl StatusArgs {
    /// Whether some tenants alone are meant.
    pub const fn names_tenants(&self) -> bool {
        self.tenant.is_some() || self.container.is_some() || self.user.is_some()
    }

    pub fn output(&self) -> Output {
        if self.json { Output::Json } else { self.output }
    }
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
    /// Of this container: its name, or the beginning of its id
    #[arg(long, value_name = "NAME|ID")]
    pub container: Option<String>,
    /// On this GPU: its index, or its UUID or how that begins
    #[arg(long, value_name = "INDEX|UUID")]
    pub gpu: Option<String>,
    /// Of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(EVENT_KINDS))]
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
        #[arg(long, value_name = "INDEX|UUID")]
        gpu: Option<String>,
    },
    /// What a tenant moves out of the GPU at the end of its turn
    Evict {
        /// pressure, always or never
        mode: String,
    },
    /// The most that a tenant may allocate on each GPU: a size such as 8GiB, or default
    ///
    /// A tenant that has more keeps it; its next allocation fails as out of memory.
    Limit(TenantSetting),
    /// How many times as long as those of others a tenant's turns last: 1 to 1000, or default
    Weight(TenantSetting),
    /// Whose work comes first: low, normal, high, or default
    Priority(TenantSetting),
    /// The most of each GPU's time that a tenant may hold: 1% to 100%, or default
    TimeShare(TenantSetting),
}

/// Whom a command is about.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Whom {
    /// The tenant's number, as status shows it
    #[arg(value_name = "TENANT", conflicts_with = "container")]
    tenant: Option<u64>,
    /// All tenants of this container: its name, or the first characters of its id
    #[arg(long, value_name = "NAME|ID")]
    container: Option<String>,
}

impl Whom {
    pub fn target(&self) -> Option<Target> {
        let container = self.container.clone().map(Target::Container);
        self.tenant.map(Target::Tenant).or(container)
    }
}

/// Reads a value, or says what is allowed.
type ReadChange = fn(&str) -> Result<TenantChange, String>;

/// A value for one tenant, or for a container's.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct TenantSetting {
    /// The tenant's number, as status shows it, and the value; default: what the settings and its own wish say
    #[arg(value_name = "TENANT VALUE", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// All tenants of this container, and those that join it later: its name, or the first characters of its id
    #[arg(long, value_name = "NAME|ID")]
    container: Option<String>,
}

impl TenantSetting {
    /// Whom it is for, and the value.
    fn split(&self) -> Result<(Target, &str), String> {
        match (&self.words[..], &self.container) {
            ([value], Some(container)) => Ok((Target::Container(container.clone()), value)),
            ([tenant, value], None) => {
                let tenant = quantity::whole(tenant).ok_or_else(|| {
                    format!("{tenant:?} is no tenant (allowed: a number as `nvsharectl status` shows it)")
                })?;
                Ok((Target::Tenant(tenant.into()), value))
            }
            ([_], None) => Err("it needs a tenant and a value, or --container ID and a value".into()),
            _ => Err("it is for a tenant or for a container, not for both".into()),
        }
    }
}

impl Setting {
    /// What a setting of one tenant asks for; none: it is one of all.
    ///
    /// # Errors
    /// What is wrong with the words.
    pub fn of_tenant(&self) -> Result<Option<Request>, String> {
        let (setting, change): (_, ReadChange) = match self {
            Self::Tq { .. } | Self::Evict { .. } => return Ok(None),
            Self::Limit(setting) => (setting, |value| {
                let read = |text: &str| quantity::size(text).map(|bytes| bytes.0);
                or_default(value, read, quantity::SIZE).map(TenantChange::Limit)
            }),
            Self::Weight(setting) => {
                (setting, |value| or_default(value, quantity::whole, "1 to 1000").map(TenantChange::Weight))
            }
            Self::Priority(setting) => (setting, |value| {
                let read = |text: &str| Some(text.to_ascii_lowercase());
                or_default(value, read, "low, normal or high").map(TenantChange::Priority)
            }),
            Self::TimeShare(setting) => (setting, |value| {
                or_default(value, quantity::percent, quantity::PERCENT).map(TenantChange::TimeShare)
            }),
        };
        let (target, value) = setting.split()?;
        Ok(Some(Request::SetTenant { target, change: change(value)? }))
    }
}

fn or_default<T>(value: &str, read: impl Fn(&str) -> Option<T>, allowed: &str) -> Result<Option<T>, String> {
    if value == "default" {
        return Ok(None);
    }
    read(value).map(Some).ok_or_else(|| format!("{value:?} is not allowed (allowed: {allowed}, or default)"))
}

/// How long turns are to last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Quantum(QuantumSetting),
    /// On one GPU: as on the others.
    Default,
}

/// What a row of a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A program of a user in a container, or outside of all
    Tenant,
    Container,
    User,
    Gpu,
}

impl By {
    pub const fn grouping(self) -> Grouping {
        match self {
            Self::Tenant => Grouping::Tenant,
            Self::Container => Grouping::Container,
            Self::User => Grouping::User,
            Self::Gpu => Grouping::Gpu,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    /// As `--json`, which is how all commands are asked for it.
    #[value(hide = true)]
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "no number of seconds from 0.1 to 3600".into())
}

fn length(text: &str) -> Result<Length, String> {
    if text == "default" { Ok(Length::Default) } else { quantum(text).map(Length::Quantum) }
}

fn quantum(text: &str) -> Result<QuantumSetting, String> {
    if text == "auto" {
        return Ok(QuantumSetting::Auto);
    }
    let seconds = quantity::time(text).map(|time| time.as_secs_f64());
    // The scheduler says which numbers are allowed; JSON has no others than finite ones.
    let number = || text.parse().ok().filter(|seconds: &f64| seconds.is_finite());
    seconds
        .or_else(number)
        .map(QuantumSetting::Seconds)
        .ok_or_else(|| "neither a number of seconds, or a time such as 500ms, nor auto".into())
}

impl Args {
    /// What clap cannot tell.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let wrong = |kind, what: String| Err(Self::command().error(kind, what));
        match &self.command {
            Some(Command::Set { setting }) => {
                if let Err(what) = setting.of_tenant() {
                    return wrong(ErrorKind::ValueValidation, what);
                }
            }
            Some(Command::Pause(whom) | Command::Resume(whom) | Command::Evict(whom))
                if whom.target().is_none() =>
            {
                return wrong(
                    ErrorKind::MissingRequiredArgument,
                    "it needs a tenant as `nvsharectl status` shows it, or --container ID".into(),
                );
            }
            _ => {}
        }
        let general = Setting::Tq { length: Length::Default, gpu: None };
        match &self.command {
            Some(Command::Set { setting }) if *setting == general => wrong(
                ErrorKind::MissingRequiredArgument,
                "`set tq default` needs the GPU that it is for: --gpu INDEX|UUID".into(),
            ),
            _ => Ok(self),
        }
    }

    /// Where operators ask.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.runtime_dir.join(CONTROL_SOCKET))
    }

    /// Where this can be seen, the socket that shows the most first.
    pub fn sockets_to_see(&self) -> Vec<PathBuf> {
        match &self.socket {
            Some(socket) => vec![socket.clone()],
            None => {
                [CONTROL_SOCKET, READER_SOCKET, USER_SOCKET].map(|name| self.runtime_dir.join(name)).to_vec()
            }
        }
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
            assert!(
                said.contains("neither a number of seconds, or a time such as 500ms, nor auto"),
                "{word}: {said}"
            );
        }
    }

    #[test]
    fn a_status_is_written_in_one_form() {
        let form = |line: &[&str]| match Args::try_parse_from(line).map(|args| args.command) {
            Ok(Some(Command::Status(args))) => Some(args.output()),
            _ => None,
        };
        assert_eq!(form(&["nvsharectl", "status"]), Some(Output::Table));
        assert_eq!(form(&["nvsharectl", "status", "-o", "wide"]), Some(Output::Wide));
        assert_eq!(form(&["nvsharectl", "status", "-ojson"]), Some(Output::Json));
        assert_eq!(form(&["nvsharectl", "status", "--json"]), Some(Output::Json));
        assert_eq!(form(&["nvsharectl", "status", "--json", "-o", "wide"]), None);
        assert_eq!(form(&["nvsharectl", "status", "-o", "yaml"]), None);
    }

    /// There were `--json`, `-o json` and `--format json`: the first works everywhere, the others as before.
    #[test]
    fn json_is_asked_for_in_one_way() {
        let is_json = |line: &[&str]| match Args::try_parse_from([&["nvsharectl"], line].concat())
            .map(|args| args.command)
        {
            Ok(Some(Command::Status(args))) => Some(args.output() == Output::Json),
            Ok(Some(Command::Why { json, .. } | Command::Events { json, .. })) => Some(json),
            Ok(Some(Command::Report { json, format, .. })) => Some(json || format == Format::Json),
            _ => None,
        };
        for command in ["status", "why", "events", "report"] {
            assert_eq!(is_json(&[command, "--json"]), Some(true), "{command}");
            assert_eq!(is_json(&[command]), Some(false), "{command}");
        }
        assert_eq!(is_json(&["status", "-o", "json"]), Some(true));
        assert_eq!(is_json(&["report", "--format", "json"]), Some(true));
        assert_eq!(is_json(&["report", "--format", "csv"]), Some(false));
        assert_eq!(is_json(&["report", "--format", "csv", "--json"]), None);
        let mut args = Args::command();
        for command in ["status", "report"] {
            let help = args.find_subcommand_mut(command).unwrap().render_long_help().to_string();
            assert_eq!(help.to_lowercase().matches("json").count(), 3, "the other way is not shown: {help}");
        }
    }

    #[test]
    fn a_kind_of_event_that_there_is_not_is_refused_with_those_that_there_are() {
        let line = |kind: &str| Args::try_parse_from(["nvsharectl", "events", "--kind", kind]);
        let said = line("typo").unwrap_err().to_string();
        assert!(EVENT_KINDS.iter().all(|kind| said.contains(kind)), "{said}");
        assert!(EVENT_KINDS.iter().all(|kind| line(kind).is_ok()));
    }

    #[test]
    fn pictures_come_every_tenth_of_a_second_at_most() {
        let interval = |line: &[&str]| match Args::try_parse_from(line).map(|args| args.command) {
            Ok(Some(Command::Top { interval })) => Ok(interval.as_secs_f64()),
            other => Err(other.unwrap_err().to_string()),
        };
        assert_eq!(interval(&["nvsharectl", "top"]), Ok(1.0));
        assert_eq!(interval(&["nvsharectl", "top", "-d", "0.1"]), Ok(0.1));
        assert_eq!(interval(&["nvsharectl", "top", "--interval=3600"]), Ok(3600.0));
        for word in ["0", "0.05", "3601", "nan", "soon"] {
            let words = interval(&["nvsharectl", "top", "--interval", word]).unwrap_err();
            assert!(words.contains("no number of seconds from 0.1 to 3600"), "{words}");
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
