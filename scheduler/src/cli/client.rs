//! The operator's end of the control socket.
use nix::unistd::{Gid, Group};
use nvshare_protocol::control::{AuditEvent, Reply, Report, ReportQuery, Request, SCHEMA, Status, Trace};
use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the scheduler may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes: a trace of every span that can be remembered.
const MAX_REPLY: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// The socket cannot be reached.
    NoScheduler(String),
    /// The answer cannot be understood.
    Broken(String),
    /// The answer cannot be written.
    Output(String),
    /// The command line names what there is not.
    Usage(String),
    /// The scheduler will not.
    Refused(String),
}

impl Failed {
    /// The process's exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoScheduler(_) | Self::Broken(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheduler(why) | Self::Output(why) | Self::Usage(why) => f.write_str(why),
            Self::Broken(why) => write!(
                f,
                "the scheduler's answer cannot be understood: {why}. Are nvsharectl and nvshare-scheduler of one version?"
            ),
            Self::Refused(why) => write!(f, "the scheduler refused: {why}"),
        }
    }
}

pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(path: &Path) -> Result<Self, Failed> {
        let stream = UnixStream::connect(path).map_err(|error| unreachable_socket(path, &error))?;
        let timeouts = [stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE))];
        timeouts.into_iter().collect::<Result<(), _>>().map_err(|error| unreachable_socket(path, &error))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects to the first of these that lets us: those that show less are for those who may see less. The error is
    /// that of the first.
    pub fn connect_to_see(paths: &[PathBuf]) -> Result<Self, Failed> {
        let mut first = None;
        for path in paths {
            match Self::connect(path) {
                Ok(client) => return Ok(client),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| Failed::NoScheduler("there is no socket to ask at".into())))
    }

    /// Waits for an answer no longer than this.
    pub fn within(self, patience: Duration) -> Result<Self, Failed> {
        self.stream.get_ref().set_read_timeout(Some(patience)).map_err(|error| silent(&error))?;
        Ok(self)
    }

    /// The answer to `request`, unless it is an error.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, Failed> {
        let mut line = serde_json::to_vec(request).map_err(|error| Failed::Broken(error.to_string()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|error| silent(&error))?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, Failed> {
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(MAX_REPLY).read_until(b'\n', &mut line);
        if read.map_err(|error| silent(&error))? == 0 {
            return Err(Failed::NoScheduler("the scheduler closed the connection: is it stopping?".into()));
        }
        match serde_json::from_slice(&line).map_err(|error| Failed::Broken(error.to_string()))? {
            Reply::Error { message } => Err(Failed::Refused(message)),
            reply => Ok(reply),
        }
    }

    /// Hands every event to `each` until that wants no more of them.
    pub fn follow(
        &mut self,
        request: &Request,
        mut each: impl FnMut(AuditEvent) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let mut reply = self.ask(request)?;
        let mut began = false;
        // Nothing may happen for hours.
        self.stream.get_ref().set_read_timeout(None).map_err(|error| silent(&error))?;
        loop {
            match reply {
                Reply::Done { .. } if std::mem::replace(&mut began, true) => return Ok(()),
                Reply::Done { .. } => {}
                Reply::Event(event) => {
                    if !each(event)? {
                        return Ok(());
                    }
                }
                _ => return Err(Failed::Broken("it answers something else than was asked".into())),
            }
            reply = self.reply()?;
        }
    }

    pub fn status(&mut self) -> Result<Status, Failed> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) if status.schema == SCHEMA => Ok(status),
            Reply::Status(status) => {
                Err(other_schema(status.schema, &format!(" (version {:?})", status.version)))
            }
            _ => Err(Failed::Broken("it answers something else than was asked".into())),
        }
    }

    pub fn report(&mut self, query: ReportQuery) -> Result<Report, Failed> {
        match self.ask(&Request::Report(query))? {
            Reply::Report(report) if report.schema == SCHEMA => Ok(report),
            Reply::Report(report) => Err(other_schema(report.schema, "")),
            _ => Err(Failed::Broken("it answers something else than was asked".into())),
        }
    }

    pub fn trace(&mut self) -> Result<Trace, Failed> {
        match self.ask(&Request::Trace)? {
            Reply::Trace(trace) => Ok(trace),
            _ => Err(Failed::Broken("it answers something else than was asked".into())),
        }
    }
}

fn other_schema(schema: u32, version: &str) -> Failed {
    Failed::Broken(format!("it is of schema {schema}{version}, and nvsharectl knows schema {SCHEMA}"))
}

fn silent(error: &std::io::Error) -> Failed {
    Failed::NoScheduler(match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("the scheduler has not answered within {} s", PATIENCE.as_secs())
        }
        _ => format!("the connection to the scheduler was lost: {error}"),
    })
}

fn unreachable_socket(path: &Path, error: &std::io::Error) -> Failed {
    let shown = path.display();
    Failed::NoScheduler(match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
            "no scheduler at {shown}: is nvshare-scheduler running (systemctl status nvshare-scheduler)? \
             If it has another directory, name it by --runtime-dir"
        ),
        ErrorKind::PermissionDenied => {
            let group = std::fs::metadata(path)
                .ok()
                .and_then(|found| Group::from_gid(Gid::from_raw(found.gid())).ok()?);
            let group = group
                .map_or_else(|| "the socket's group".into(), |group| format!("the group {}", group.name));
            format!("permission denied at {shown}: run nvsharectl as root or as a member of {group}")
        }
        _ => format!("{shown}: cannot be connected to: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Missing fields were taken for nothing: "no GPU", "no tenant".
    #[test]
    fn a_status_of_another_schema_is_not_understood() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
            stream.write_all(b"{\"status\":{\"schema\":2,\"version\":\"9.9\"}}\n").unwrap();
        });
        let failed = Client::connect(&path).unwrap().status().unwrap_err();
        assert_eq!(
            failed.to_string(),
            "the scheduler's answer cannot be understood: it is of schema 2 (version \"9.9\"), and nvsharectl knows \
             schema 1. Are nvsharectl and nvshare-scheduler of one version?"
        );
        daemon.join().unwrap();
    }
}
