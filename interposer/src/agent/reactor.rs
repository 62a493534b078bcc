//! The agent's loop: it looks for a scheduler, tells it of what has changed, and hears what it says.
use super::drain::Drain;
use super::idle::{Idleness, Verdict};
use super::late_drain::LateDrain;
use super::link::{Link, ORPHAN_BOUND};
use super::long_wait::{LongWait, SAY_AGAIN};
use super::pacer::Pacer;
use super::report::Reporter;
use super::swap_upkeep::SwapUpkeep;
use super::unmanaged;
use crate::driver::captures;
use crate::process::Process;
use crate::sys::sync::Deadline;
use crate::sys::{clock, log, thread};
use crate::transport::Transport;
use nvshare_protocol::tenant::ToScheduler;
use nvshare_protocol::{Bytes, LeaseId};
use std::io;
use std::time::{Duration, Instant};

/// The bound of a drain that no revocation asked for.
pub const OWN_DRAIN: Duration = Duration::from_secs(5);
/// How soon memory that did not come back is tried again: somebody outside nvshare may use the card.
pub const RETRY_ROOM: Duration = Duration::from_millis(100);
/// So long after somebody waited for the GPU, another hand-over is likely.
const RECENTLY: Duration = Duration::from_secs(10);
const FOREVER: Duration = Duration::from_secs(3600);

/// Whether the application's work may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The gate is open and nobody is asked: no scheduler, or switched off.
    Unmanaged,
    /// As unmanaged, but memory is still away: the gate is shut until it is back.
    UnmanagedBlocked,
    /// The gate is shut, nothing waits at it.
    Idle,
    /// The gate is shut, the grant is asked for.
    Waiting,
    /// The gate is open by a grant.
    Held,
}

impl Phase {
    /// Whether the application's work runs.
    pub fn runs(self) -> bool {
        matches!(self, Self::Held | Self::Unmanaged)
    }

    /// Whether the gate is shut, and opens by a grant only.
    pub fn needs_grant(self) -> bool {
        matches!(self, Self::Idle | Self::Waiting)
    }
}

pub struct Agent {
    pub(super) process: &'static Process,
    pub(super) link: Link,
    pub(super) drain: Drain,
    pub(super) phase: Phase,
    pub(super) lease: LeaseId,
    /// Whether another tenant waits for a device that is ours.
    pub(super) contended: bool,
    /// When one last did.
    pub(super) contended_at: Option<Instant>,
    pub(super) idleness: Idleness,
    pub(super) pacer: Pacer,
    pub(super) reporter: Reporter,
    pub(super) swap: SwapUpkeep,
    /// When memory for which there was no room may be tried again.
    pub(super) retry_room_at: Option<Instant>,
    /// The user was told that memory finds no room, and it is not back yet.
    pub(super) reported_no_room: bool,
    pub(super) long_wait: LongWait,
    pub(super) late_drain: LateDrain,
    /// Since when calls have waited without a scheduler.
    pub(super) orphaned: Option<Instant>,
}

/// Starts the agent. If it cannot start, or ever fails, the application runs as if we were not here.
pub fn spawn(process: &'static Process) {
    let run = move || {
        process.waker.attach();
        captures::relax_mode();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match Agent::new(process) {
            Ok(agent) => agent.run(),
            Err(error) => error,
        }));
        log::error!("the agent ended ({ended:?}): this process runs unmanaged");
        unmanaged::abandon(process);
    };
    if let Err(error) = thread::spawn("nvshare-agent", run) {
        log::error!("cannot start a thread ({error}): this process runs unmanaged");
        unmanaged::abandon(process);
    }
}

impl Agent {
    fn new(process: &'static Process) -> io::Result<Self> {
        let Process { settings, memory, waker, .. } = process;
        let transport = Transport::spawn(&settings.socket, memory.swap.clone(), waker.clone())?;
        let now = clock::instant();
        Ok(Self {
            process,
            link: Link::new(transport),
            drain: Drain::spawn(process)?,
            phase: Phase::Idle,
            lease: LeaseId(0),
            contended: false,
            contended_at: None,
            idleness: Idleness::default(),
            pacer: Pacer::default(),
            reporter: Reporter::new(now),
            swap: SwapUpkeep::new(now),
            retry_room_at: None,
            reported_no_room: false,
            long_wait: LongWait::default(),
            late_drain: LateDrain::default(),
            orphaned: None,
        })
    }

    fn run(mut self) -> ! {
        loop {
            self.look_for_scheduler();
            if let Err(error) = self.send_changes() {
                self.lose(&error);
            }
            if let Err(error) = self.on_time() {
                self.lose(&error);
            }
            self.run_unmanaged_if_orphaned();
            let bound = self.next_wake();
            if !self.link.has_messages() {
                self.process.waker.wait(bound);
            }
            if self.link.has_messages()
                && let Err(error) = self.receive()
            {
                self.lose(&error);
            }
        }
    }

    // --- the connection ---

    fn look_for_scheduler(&mut self) {
        let now = clock::instant();
        if self.link.retry_at().is_none_or(|at| now < at) {
            return;
        }
        let Process { settings, gate, contexts, admission, .. } = self.process;
        if let Err(error) = self.link.connect(now) {
            log::debug!("no scheduler at {}: {error}", settings.socket.display());
            if self.link.unreached(&error) {
                admission.forget_refusal();
            }
            if self.link.is_without_scheduler(&error) {
                self.link.warn_of_absence(self.process, &error);
                self.run_unmanaged();
            }
            return;
        }
        let holds = !gate.is_shut() && !contexts.devices().is_empty();
        if let Err(error) = self.link.send_hello(self.process, holds) {
            self.lose(&error);
        }
    }

    /// The scheduler is gone. A process that holds the GPU goes on. One that waits for it waits a bounded time for the next
    /// scheduler.
    fn lose(&mut self, error: &io::Error) {
        let now = clock::instant();
        // The agent of a waiting process may have slept since the welcome. Then nobody has noticed yet that the scheduler was
        // steady.
        if self.link.is_steady(now) {
            self.orphaned = None;
        }
        self.link.lose(now);
        self.on_disconnected();
        log::info!("lost the scheduler: {error}");
    }

    pub(super) fn on_disconnected(&mut self) {
        let Process { memory, .. } = self.process;
        self.contended = false;
        self.lease = LeaseId(0);
        memory.scheduler_lost();
        memory.ledger.set_scheduler_attached(false);
        self.stop_pacing();
        if self.phase == Phase::Waiting {
            self.phase = Phase::Idle;
        }
    }

    /// Sends what the scheduler does not know yet: devices, memory, and that work waits.
    fn send_changes(&mut self) -> io::Result<()> {
        if !self.link.is_up() {
            return Ok(());
        }
        let Process { contexts, memory, bypass, gate, limits, .. } = self.process;
        self.reporter.report_devices(contexts, &self.link)?;
        self.reporter.report_if_due(memory, &self.link)?;
        self.reporter.report_faults(&self.process.faults, &self.link)?;
        for text in bypass.take_reports() {
            self.link.send(&ToScheduler::Report(text))?;
        }
        if let Some(text) = limits.refusals.unsent() {
            self.link.send(&ToScheduler::Report(text))?;
            limits.refusals.note_sent();
        }
        if let Some(bytes) = memory.swap.next_request() {
            self.link.send(&ToScheduler::SwapWanted(Bytes(bytes)))?;
        }
        let may_ask = self.retry_room_at.is_none_or(|at| clock::instant() >= at);
        if self.phase == Phase::Idle && may_ask && gate.has_waiters() {
            self.retry_room_at = None;
            self.idleness.wakes(gate.waiting_since().unwrap_or_else(clock::instant));
            self.report()?;
            self.link.send(&ToScheduler::Request)?;
            self.phase = Phase::Waiting;
            self.swap.defer_registration();
        }
        Ok(())
    }

    pub(super) fn report(&mut self) -> io::Result<()> {
        self.reporter.report(&self.process.memory, &self.link)
    }

    // --- the gate ---

    /// Opens the gate to who holds: with a few credits at a time, while somebody waits.
    pub(super) fn open_gate(&mut self) {
        self.pacer.release();
        if self.contended {
            self.pacer.pace(self.process, clock::instant());
        } else {
            self.process.gate.open();
        }
    }

    pub(super) fn stop_pacing(&mut self) {
        self.pacer.release();
        if self.phase == Phase::Held {
            self.process.gate.open();
        }
    }

    /// Shuts the gate and waits until nothing of this process is in flight; false after `bound`, with the
    /// gate still shut.
    pub(super) fn stop(&self, bound: Duration) -> bool {
        let deadline = Deadline::after(bound);
        self.process.gate.shut();
        self.process.gate.wait_until_empty(bound)
            && deadline.left().is_some_and(|left| self.drain.finish(self.drain.begin(), left))
    }

    // --- what happens with time ---

    fn on_time(&mut self) -> io::Result<()> {
        let now = clock::instant();
        let Process { memory, .. } = self.process;
        if self.phase == Phase::UnmanagedBlocked && self.retry_room_at.is_none_or(|at| now >= at) {
            self.run_unmanaged();
        }
        if self.is_contended_holder() && self.link.is_up() {
            self.pacer.pace(self.process, now);
        }
        if memory.exporter.has_conversions(self.phase.runs()) {
            self.convert()?;
        }
        if self.may_register_swap() && now >= self.swap.register_due() {
            let (phase, contended) = (self.phase, self.contended);
            // That takes a tenth of the time at most if somebody waits, and otherwise a hundredth.
            self.swap.register(self.process, |took| match phase {
                Phase::Held if contended => 9 * took,
                Phase::Held => 99 * took,
                _ => Duration::ZERO,
            });
        }
        if self.link.is_up() && self.swap.assign_due().is_some_and(|at| now >= at) {
            self.assign_swap(true);
        }
        self.tell_of_a_long_wait(now);
        self.judge_idleness(now)
    }

    /// The user learns that the program waits, and does not hang.
    fn tell_of_a_long_wait(&mut self, now: Instant) {
        let Some(since) = self.turn_awaited_since() else { return };
        if self.long_wait.take_if_due(since, now) {
            let devices = self.process.contexts.devices();
            let names: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
            log::warning!(
                "this program has waited {} s for its turn on {}: others have the GPU. It goes on when its turn comes; \
                 `nvsharectl why` tells the reason (said every {} minutes at most)",
                now.duration_since(since).as_secs(),
                names.join(", "),
                SAY_AGAIN.as_secs() / 60
            );
        }
    }

    /// Since when calls wait for a turn that was asked for.
    fn turn_awaited_since(&self) -> Option<Instant> {
        let waits = self.phase == Phase::Waiting && self.link.is_up();
        self.process.gate.waiting_since().filter(|_| waits)
    }

    fn judge_idleness(&mut self, now: Instant) -> io::Result<()> {
        let (gate, drain) = (&self.process.gate, &self.drain);
        if !self.is_contended_holder() || !self.link.is_up() || gate.is_shut() {
            return Ok(());
        }
        let verdict =
            self.idleness.judge(now, gate.epoch_if_idle(), || drain.begin(), |wait| drain.is_done(wait));
        match verdict {
            Verdict::Unchanged => Ok(()),
            Verdict::Idle => {
                self.report()?;
                self.link.send(&ToScheduler::Idle(self.lease))
            }
            Verdict::Busy => self.link.send(&ToScheduler::Request),
        }
    }

    fn is_contended_holder(&self) -> bool {
        self.phase == Phase::Held && self.contended
    }

    /// Whether there is swap space to be made ready for a hand-over that may come.
    fn may_register_swap(&self) -> bool {
        let is_recent = |at: Instant| clock::instant().duration_since(at) < RECENTLY;
        let is_likely = match self.phase {
            Phase::Idle | Phase::Waiting => true,
            Phase::Held => self.contended || self.contended_at.is_some_and(is_recent),
            Phase::Unmanaged | Phase::UnmanagedBlocked => false,
        };
        let memory = &self.process.memory;
        is_likely && self.link.is_up() && memory.swap.has_unregistered() && memory.may_swap()
    }

    /// Gives swap space to memory without any; asks for what is lacking, if `ask`.
    pub(super) fn assign_swap(&mut self, ask: bool) {
        self.swap.assign(&self.process.memory, ask);
        // What can leave has changed, and what is wanted.
        self.reporter.mark_due();
    }

    /// Calls do not wait for ever for a scheduler that is gone.
    fn run_unmanaged_if_orphaned(&mut self) {
        let now = clock::instant();
        let waits = self.phase.needs_grant() && self.process.gate.has_waiters();
        // The bound is for schedulers that are gone.
        if self.link.is_steady(now) || !waits || self.link.refusal().is_some() {
            self.orphaned = None;
            return;
        }
        if self.link.is_up() {
            return;
        }
        let since = *self.orphaned.get_or_insert(now);
        if now.duration_since(since) >= ORPHAN_BOUND {
            log::warning!(
                "no scheduler at {} for {} s: running unmanaged until there is one",
                self.process.settings.socket.display(),
                ORPHAN_BOUND.as_secs()
            );
            self.run_unmanaged();
        }
    }

    fn next_wake(&self) -> Duration {
        let now = clock::instant();
        let is_up = self.link.is_up();
        let waits_for_room = self.phase == Phase::UnmanagedBlocked || self.process.gate.has_waiters();
        let due = [
            self.link.retry_at(),
            self.orphaned.filter(|_| !is_up).map(|since| since + ORPHAN_BOUND),
            self.reporter.due().filter(|_| is_up),
            self.retry_room_at.filter(|_| waits_for_room),
            self.is_contended_holder().then(|| self.idleness.due(now)),
            self.may_register_swap().then(|| self.swap.register_due()),
            self.swap.assign_due().filter(|_| is_up),
            self.turn_awaited_since().map(|since| self.long_wait.due(since)),
        ];
        let first = due.into_iter().flatten().min();
        first.map_or(FOREVER, |at| at.saturating_duration_since(now)).min(FOREVER)
    }
}
