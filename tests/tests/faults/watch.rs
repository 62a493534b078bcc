//! What the scheduler tells of what happens, as `nvsharectl events` reads it.
use anyhow::{Context as _, Result, bail, ensure};
use nvshare_protocol::control::{AuditEvent, Reply, Request};
use nvshare_protocol::paths;
use nvshare_tests::world::World;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// One scheduler's events, until it ends.
pub struct Watch {
    events: mpsc::Receiver<AuditEvent>,
    /// The last word about each process, but for those that say nothing about its turn.
    last: HashMap<u32, String>,
}

impl Watch {
    /// From now on.
    pub fn follow(world: &World) -> Result<Self> {
        let mut stream = UnixStream::connect(world.runtime_dir().join(paths::CONTROL_SOCKET))?;
        stream.write_all(format!("{}\n", serde_json::to_string(&Request::Events)?).as_bytes())?;
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next().context("the scheduler answers")?;
        ensure!(matches!(serde_json::from_str(&first)?, Reply::Done { .. }), "{first}");
        let (send, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                let Ok(Reply::Event(event)) = serde_json::from_str(&line) else { break };
                if send.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Self { events, last: HashMap::new() })
    }

    fn note(&mut self, event: &AuditEvent) {
        if let Some(pid) = event.pid.filter(|_| !matches!(event.kind.as_str(), "report" | "left" | "device"))
        {
            self.last.insert(pid, event.kind.clone());
        }
    }

    /// Until one of these is told of the process; which one it was.
    ///
    /// # Errors
    /// If it is not within `bound`, or the scheduler ends before.
    pub fn until(&mut self, pid: u32, kinds: &[&str], bound: Duration) -> Result<String> {
        let end = Instant::now() + bound;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.note(&event);
                    if event.pid == Some(pid) && kinds.contains(&event.kind.as_str()) {
                        return Ok(event.kind);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("not within {bound:?}: {kinds:?} of process {pid}; last: {:?}", self.last)
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the scheduler has ended"),
            }
        }
    }

    /// What has come so far, without waiting.
    pub fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(&event);
        }
    }

    /// The last word about a process that has been killed, or whose scheduler has.
    ///
    /// # Errors
    /// If the end is not told within `bound`.
    pub fn last_word(&mut self, pid: u32, bound: Duration) -> Result<String> {
        let end = Instant::now() + bound;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) if event.pid == Some(pid) && event.kind == "left" => break,
                Ok(event) => self.note(&event),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the end of {pid} is not told within {bound:?}")
                }
            }
        }
        self.last.get(&pid).cloned().with_context(|| format!("nothing was told of {pid}"))
    }
}
