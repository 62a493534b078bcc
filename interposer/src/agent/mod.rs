//! Who speaks with the scheduler: one thread that holds the lease, moves the memory and works the gate.
//!
//! It does one thing after the other. What it must not wait for without a bound, the end of submitted
//! work, a thread of its own waits for (`drain`).
#![allow(unsafe_code)] // one driver call, on our own threads
mod drain;
mod free;
mod idle;
mod pace;
mod prepare;
mod refused;
mod remake;
mod tell;
mod turn;

use crate::driver;
use crate::memory::Totals;
use crate::process::Process;
use crate::sys::random::random;
use crate::sys::{clock, log, thread};
use crate::transport::{Link, Transport};
use drain::Drain;
use free::abandon;
use idle::{Idleness, News};
use nvshare_protocol::tenant::{Hello, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, VERSION};
use pace::Pace;
use refused::Refusal;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// With the scheduler gone, calls wait at the shut gate so long before they run unmanaged.
pub const ORPHAN_BOUND: Duration = Duration::from_secs(10);
/// How often a scheduler that was there a moment ago is looked for, and one that was not.
const RETRY_SOON: Duration = Duration::from_millis(100);
const RETRY_LATER: Duration = Duration::from_secs(1);
/// After a refusal that does not speak of places, which waiting alone seldom changes.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
/// At most one report of changed memory in this time.
const REPORT: Duration = Duration::from_millis(5);
/// How soon memory that did not come back is tried again: somebody outside nvshare may use the card.
const RETRY_ROOM: Duration = Duration::from_millis(100);
/// At most one word about what stays on a device in this time.
const STAYING: Duration = Duration::from_secs(10);
/// With the gate shut and nothing of ours under way, the devices are idle within this time.
const STRAY: Duration = Duration::from_millis(20);
/// The bound of a drain that no revocation asked for.
const OWN_DRAIN: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The gate is open and nobody is asked: no scheduler, or switched off.
    Free,
    /// The gate is shut, nothing waits at it.
    Idle,
    /// The gate is shut, the grant is asked for.
    Waiting,
    /// The gate is open by a grant.
    Held,
    /// As free, but memory is still away: the gate is shut until it is back.
    Short,
}

struct Agent {
    process: &'static Process,
    instance: InstanceId,
    transport: Transport,
    drain: Drain,
    link: Option<Link>,
    /// The version of the scheduler's language, and whether and when it has answered our hello.
    speaks: u32,
    welcomed: bool,
    welcomed_at: Instant,
    /// What the hello said of our running work.
    said_holds: bool,
    phase: Phase,
    lease: LeaseId,
    contended: bool,
    /// When it last was.
    contended_at: Option<Instant>,
    idleness: Idleness,
    pace: Pace,
    /// When the grant may be asked for again, after one for which the memory did not come back.
    not_before: Option<Instant>,
    told: BTreeMap<DeviceId, Option<Totals>>,
    report_due: Instant,
    /// When swap space is looked after again.
    prepare_due: Instant,
    /// When memory without swap space is looked for again, if there may be any.
    lodge_due: Option<Instant>,
    /// That memory finds no room has been said, and it is not back yet.
    told_short: bool,
    /// When it may be said again what stays on a device, and why.
    staying_due: Instant,
    /// What stays has changed.
    staying_owed: bool,
    /// A look at the memory's sums was put off until then.
    report_owed: bool,
    next_attempt: Instant,
    lost_at: Option<Instant>,
    /// Since when calls have waited without a scheduler.
    orphaned: Option<Instant>,
    warned: bool,
    /// The scheduler that is there has refused us, last.
    refusal: Option<Refusal>,
    /// What it had to say to the user.
    notices: Vec<String>,
}

/// Starts the agent. If it cannot start, or ever fails, the application runs as if we were not here.
pub fn spawn(process: &'static Process) {
    let run = move || {
        process.waker.attach();
        relax_capture();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (transport, drain) =
                match Transport::spawn(process).and_then(|to| Ok((to, Drain::spawn(process)?))) {
                    Ok(spawned) => spawned,
                    Err(error) => return error,
                };
            Agent::new(process, transport, drain).run()
        }));
        log::error!("the agent ended ({ended:?}): this process runs unmanaged");
        abandon(process);
    };
    if let Err(error) = thread::spawn("nvshare-agent", run) {
        log::error!("cannot start a thread ({error}): this process runs unmanaged");
        abandon(process);
    }
}

/// What this thread calls is then never a prohibited call of a capture that another thread has begun.
fn relax_capture() {
    let mut mode = nvshare_abi::CU_STREAM_CAPTURE_MODE_RELAXED;
    // SAFETY: the pointer is to a local; the mode is this thread's own.
    unsafe { driver::cuThreadExchangeStreamCaptureMode(&mut mode) };
}

impl Agent {
    fn new(process: &'static Process, transport: Transport, drain: Drain) -> Self {
        let now = clock::instant();
        Self {
            process,
            // Without random bytes two processes of one name are told apart by their connections all the same.
            instance: InstanceId(random().unwrap_or_default()),
            transport,
            drain,
            link: None,
            speaks: 0,
            welcomed: false,
            welcomed_at: now,
            said_holds: false,
            phase: Phase::Idle,
            lease: LeaseId(0),
            contended: false,
            contended_at: None,
            idleness: Idleness::default(),
            pace: Pace::default(),
            not_before: None,
            told_short: false,
            told: BTreeMap::new(),
            report_due: now,
            prepare_due: now,
            lodge_due: None,
            staying_due: now,
            staying_owed: false,
            report_owed: false,
            next_attempt: now,
            lost_at: None,
            orphaned: None,
            warned: false,
            refusal: None,
            notices: Vec::new(),
        }
    }

    fn run(mut self) -> ! {
        loop {
            self.look_for_scheduler();
            if let Err(error) = self.tell() {
                self.lose(&error);
            }
            self.watch();
            let bound = self.next_wake();
            if !self.has_news() {
                self.process.waker.wait(bound);
            }
            if self.has_news()
                && let Err(error) = self.listen()
            {
                self.lose(&error);
            }
        }
    }

    fn has_news(&self) -> bool {
        self.link.as_ref().is_some_and(Link::has_news)
    }

    // --- the connection ---

    fn look_for_scheduler(&mut self) {
        let now = clock::instant();
        if self.link.is_some() || now < self.next_attempt {
            return;
        }
        let socket = &self.process.settings.socket;
        let recent = self.lost_at.is_some_and(|lost| now.duration_since(lost) < ORPHAN_BOUND);
        self.next_attempt = now + if recent { RETRY_SOON } else { RETRY_LATER };
        match self.transport.connect() {
            Ok(link) => self.greet_scheduler(link),
            Err(error) => {
                log::debug!("no scheduler at {}: {error}", socket.display());
                self.unreached(&error);
                // One that is only busy is awaited as one that was lost.
                if self.lost_at.is_none() && error.kind() != io::ErrorKind::WouldBlock {
                    if !self.warned {
                        self.warned = true;
                        log::warning!(
                            "no scheduler at {} ({error}): running unmanaged until there is one",
                            socket.display()
                        );
                    }
                    self.go_free();
                }
            }
        }
    }

    fn greet_scheduler(&mut self, link: Link) {
        self.said_holds = !self.process.gate.is_shut() && !self.process.contexts.devices().is_empty();
        let said = link.send(&ToScheduler::Hello(self.hello()));
        self.link = Some(link);
        self.welcomed = false;
        if let Err(error) = said {
            self.lose(&error);
        }
    }

    fn hello(&self) -> Hello {
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
        Hello {
            version: VERSION,
            instance: self.instance,
            program: program.to_string_lossy().chars().take(16).collect(),
            library: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.process.memory.engine_name().to_owned(),
            holds: self.said_holds,
            pid: std::process::id(),
            weight: self.process.settings.weight,
            limit: self.process.settings.limit,
            priority: self.process.settings.priority,
            time_share: self.process.settings.time_share,
            swap: Some(Bytes(self.process.memory.space.capacity())).filter(|held| *held != Bytes::ZERO),
        }
    }

    /// The scheduler is gone. Who holds goes on; who waits, waits a bounded time for the next one.
    fn lose(&mut self, error: &io::Error) {
        let now = clock::instant();
        self.lost_at = Some(now);
        // Who waits in line may have slept since the welcome.
        if self.is_steady(now) {
            self.orphaned = None;
        }
        // A scheduler that never welcomes us is not asked at every turn of the loop.
        self.next_attempt = if self.welcomed { now } else { now + RETRY_SOON };
        self.disconnect();
        log::info!("lost the scheduler: {error}");
    }

    /// Whether the scheduler has been there for so long that its absence, should it go, is one of its own. One that comes
    /// and goes is as good as none.
    fn is_steady(&self, now: Instant) -> bool {
        self.welcomed && now.duration_since(self.welcomed_at) >= ORPHAN_BOUND
    }

    fn disconnect(&mut self) {
        self.link = None;
        self.welcomed = false;
        self.contended = false;
        self.lease = LeaseId(0);
        self.process.memory.space.scheduler_lost();
        self.process.memory.set_scheduler_attached(false);
        self.unpace();
        if self.phase == Phase::Waiting {
            self.phase = Phase::Idle;
        }
    }

    fn unpace(&mut self) {
        self.pace.release();
        if self.phase == Phase::Held {
            self.process.gate.open();
        }
    }

    /// Opens the gate to who holds: for a ration at a time, while somebody waits.
    fn open_gate(&mut self) {
        self.pace.release();
        if self.contended {
            self.pace.look(self.process, clock::instant());
        } else {
            self.process.gate.open();
        }
    }

    fn send(&self, message: &ToScheduler) -> io::Result<()> {
        log::debug!("says {message:?}");
        self.link.as_ref().map_or(Ok(()), |link| link.send(message))
    }

    // --- what passes with time ---

    fn watch(&mut self) {
        let now = clock::instant();
        if self.phase == Phase::Short && self.not_before.is_none_or(|at| now >= at) {
            self.go_free();
        }
        if self.phase == Phase::Held && self.contended && self.welcomed {
            self.pace.look(self.process, now);
        }
        if self.process.memory.has_conversions(self.runs())
            && let Err(error) = self.remake()
        {
            self.lose(&error);
        }
        if self.prepares() && now >= self.prepare_due {
            self.prepare_swap_space();
        }
        if self.welcomed && self.lodge_due.is_some_and(|at| now >= at) {
            self.lodge(true);
        }
        if self.phase == Phase::Held && self.contended && self.welcomed && !self.process.gate.is_shut() {
            let (gate, drain) = (&self.process.gate, &self.drain);
            let news =
                self.idleness.look(now, gate.epoch_if_idle(), || drain.begin(), |wait| drain.is_done(wait));
            let said = match news {
                News::Nothing => Ok(()),
                News::Idle => self.report().and_then(|()| self.send(&ToScheduler::Idle(self.lease))),
                News::Busy => self.send(&ToScheduler::Request),
            };
            if let Err(error) = said {
                self.lose(&error);
            }
        }
        let waits = matches!(self.phase, Phase::Idle | Phase::Waiting) && self.process.gate.has_waiters();
        if self.is_steady(now) || !waits {
            self.orphaned = None;
        }
        // The bound is for schedulers that are gone.
        if self.refusal.is_some() {
            self.orphaned = None;
            return;
        }
        if self.welcomed || !waits {
            return;
        }
        let since = *self.orphaned.get_or_insert(now);
        if now.duration_since(since) >= ORPHAN_BOUND {
            log::warning!(
                "no scheduler at {} for {} s: running unmanaged until there is one",
                self.process.settings.socket.display(),
                ORPHAN_BOUND.as_secs()
            );
            self.go_free();
        }
    }

    fn next_wake(&self) -> Duration {
        let now = clock::instant();
        let until = |at: Instant| at.saturating_duration_since(now);
        let mut bound = FOREVER;
        if self.link.is_none() {
            bound = bound.min(until(self.next_attempt));
        }
        if let Some(since) = self.orphaned.filter(|_| !self.welcomed) {
            bound = bound.min(until(since + ORPHAN_BOUND));
        }
        if self.welcomed && self.report_owed {
            bound = bound.min(until(self.report_due));
        }
        if let Some(at) =
            self.not_before.filter(|_| self.phase == Phase::Short || self.process.gate.has_waiters())
        {
            bound = bound.min(until(at));
        }
        if self.phase == Phase::Held && self.contended {
            bound = bound.min(until(self.idleness.due(now)));
        }
        if self.prepares() {
            bound = bound.min(until(self.prepare_due));
        }
        if let Some(at) = self.lodge_due.filter(|_| self.welcomed) {
            bound = bound.min(until(at));
        }
        bound
    }
}
