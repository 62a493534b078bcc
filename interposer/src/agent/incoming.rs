//! What the scheduler says, and what we do about it: a turn is granted, revoked, and memory moves for it.
use super::link::SWAP_SINCE;
use super::reactor::{Agent, OWN_DRAIN, Phase, RETRY_ROOM};
use crate::driver::context::Purpose;
use crate::memory::SwapGrant;
use crate::process::Process;
use crate::sys::{clock, log};
use crate::transport::Incoming;
use nvshare_protocol::tenant::{
    Grant, Ready, Released, Revoke, Share, ToScheduler, ToTenant, Welcome, total,
};
use nvshare_protocol::{Bytes, LeaseId, Nanos};
use std::io;
use std::time::Duration;

/// With the gate shut and nothing of ours in flight, the devices are idle within this time.
const IDLE_WITHIN: Duration = Duration::from_millis(20);

impl Agent {
    /// Reads what the scheduler has sent, and acts on it.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let mut messages = self.link.receive()?.into_iter().peekable();
        while let Some(Incoming { message, mapped }) = messages.next() {
            log::debug!("hears {message:?}");
            let next = messages.peek().map(|next| &next.message);
            if matches!((&message, next), (ToTenant::Fetch(_), Some(ToTenant::Fetch(_)))) {
                // The next one says all that this one does.
                continue;
            }
            match message {
                ToTenant::Welcome(welcome) => self.on_welcome(&welcome)?,
                ToTenant::Grant(grant) => self.on_grant(&grant)?,
                ToTenant::Revoke(revoke) => self.on_revoke(&revoke)?,
                ToTenant::Contended(contended) => {
                    self.set_contended(contended);
                    self.prepare_looking();
                }
                ToTenant::Evict(shares) => self.on_evict(&shares)?,
                ToTenant::Fetch(shares) => self.on_fetch(&shares)?,
                ToTenant::Swap(bytes) => self.on_swap_space(bytes, mapped),
                ToTenant::Notice(text) => self.link.show_notice(text),
                ToTenant::Terms(terms) => self.process.limits.set_terms(terms.reserve, terms.limit),
                ToTenant::NoPlace(refusal) => {
                    self.on_not_admitted(&refusal);
                    return Ok(());
                }
                ToTenant::Enabled(true) => self.take_turns()?,
                ToTenant::Enabled(false) => self.run_unmanaged(),
                ToTenant::Refused(why) => {
                    self.on_refused(&why);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn set_contended(&mut self, contended: bool) {
        if contended || self.contended {
            self.contended_at = Some(clock::instant());
        }
        self.contended = contended;
        if !contended {
            self.stop_pacing();
        }
        self.idleness.restart();
    }

    /// Somebody waits for the GPU while we run: memory will be looked at before it leaves. The driver may need the loader's
    /// lock for that, which a program may hold while its work waits for credits: there is no end to them meanwhile.
    fn prepare_looking(&mut self) {
        let Process { memory, captures, .. } = self.process;
        let is_time = self.contended && self.phase == Phase::Held && !captures.any();
        if is_time && memory.pieces.lacks_looking() {
            self.stop_pacing();
            memory.pieces.prepare_looking();
            self.open_gate();
        }
    }

    // --- joining ---

    fn on_welcome(&mut self, welcome: &Welcome) -> io::Result<()> {
        let Process { settings, memory, admission, .. } = self.process;
        self.process.limits.set_terms(welcome.reserve, welcome.limit);
        self.reporter.forget();
        if self.link.welcomed(welcome.version) {
            log::info!("joined the scheduler at {}", settings.socket.display());
        }
        if !welcome.enabled {
            self.run_unmanaged();
        } else if self.link.reported_holding() {
            self.phase = Phase::Held;
            self.lease = LeaseId(0);
            self.set_contended(false);
        } else {
            self.take_turns()?;
        }
        memory.ledger.set_scheduler_attached(welcome.enabled);
        // The process is admitted with the answer about swap space.
        if !self.link.supports(SWAP_SINCE) || !memory.swap.scheduler_connected() {
            self.assign_swap(true);
            admission.admit();
        }
        Ok(())
    }

    fn on_swap_space(&mut self, bytes: Bytes, swap: SwapGrant) {
        let Process { memory, admission, .. } = self.process;
        let all = memory.swap.on_grant(bytes.0, swap).unwrap_or_else(|error| {
            log::warning!("swap space cannot be mapped: {error}");
            false
        });
        // Also for what has none yet. What was refused is not asked for at once.
        self.assign_swap(all);
        admission.admit();
    }

    /// From running unmanaged to taking turns. Work that does not end in time goes on: we come back as somebody who
    /// holds.
    fn take_turns(&mut self) -> io::Result<()> {
        let Process { memory, gate, .. } = self.process;
        if self.phase == Phase::Unmanaged {
            if !self.stop(OWN_DRAIN) {
                gate.open();
                return Err(io::Error::other("work goes on that cannot be stopped; joining again with it"));
            }
            memory.residency.forbid_placement();
            self.phase = Phase::Idle;
        }
        if self.phase == Phase::UnmanagedBlocked {
            self.phase = Phase::Idle;
        }
        memory.ledger.set_scheduler_attached(true);
        Ok(())
    }

    // --- a turn begins ---

    fn on_grant(&mut self, grant: &Grant) -> io::Result<()> {
        let start = clock::instant();
        let Process { memory, contexts, .. } = self.process;
        let before = memory.ledger.spared();
        let mut fetched = Vec::new();
        if self.phase != Phase::Held {
            fetched = self.fetch(&grant.budget)?;
            // What was allocated meanwhile.
            while !memory.residency.allow_placement() {
                let more = self.fetch(&grant.budget)?;
                if more.iter().all(|share| share.bytes == Bytes::ZERO) {
                    if contexts.are_broken() {
                        break;
                    }
                    return self.release_for_lack_of_room(grant.lease);
                }
                add(&mut fetched, &more);
            }
        }
        self.note_room(true);
        self.set_contended(grant.contended);
        self.open_gate();
        let took = clock::since(start);
        self.phase = Phase::Held;
        self.lease = grant.lease;
        let spared = memory.ledger.spared().since(before);
        log::info!("granted: {}{spared} in {:.3} s", Amount(&fetched), took.as_secs_f64());
        self.report()?;
        self.link.send(&ToScheduler::Ready(Ready { lease: grant.lease, fetched, took }))?;
        self.prepare_looking();
        Ok(())
    }

    /// Kernels must not run while memory is away. The turn is given back, and asked for again soon.
    fn release_for_lack_of_room(&mut self, lease: LeaseId) -> io::Result<()> {
        self.note_room(false);
        self.phase = Phase::Idle;
        self.retry_room_at = Some(clock::instant() + RETRY_ROOM);
        self.report()?;
        self.reporter.report_refusals(&self.process.memory, &self.link)?;
        let (evicted, drain, evict) = (Vec::new(), Nanos(0), Nanos(0));
        self.link.send(&ToScheduler::Released(Released { lease, evicted, drain, evict }))
    }

    // --- a turn ends ---

    fn on_revoke(&mut self, revoke: &Revoke) -> io::Result<()> {
        let start = clock::instant();
        if self.phase != Phase::Held {
            // It crossed our own giving back of the lease.
            let (lease, drain, evict) = (revoke.lease, Nanos(0), Nanos(0));
            let released = Released { lease, evicted: Vec::new(), drain, evict };
            return self.link.send(&ToScheduler::Released(released));
        }
        self.pacer.release();
        if !self.stop(Duration::from_nanos(revoke.drain_within.0)) {
            self.set_contended(self.contended);
            self.open_gate();
            let gang = self.process.settings.gang.as_ref();
            if let Some(text) = self.late_drain.warning(gang, revoke, clock::instant()) {
                log::warning!("{text}");
                if let Some(text) = self.late_drain.report(gang) {
                    self.link.send(&ToScheduler::Report(text))?;
                }
            }
            return self.link.send(&ToScheduler::DrainCancelled(revoke.lease));
        }
        // Also if the scheduler is lost while memory moves.
        self.phase = Phase::Idle;
        self.contended = false;
        let drain = clock::since(start);
        self.process.memory.deferred.reclaim_all();
        let before = self.process.memory.ledger.spared();
        let evicted = self.evict(&revoke.evict)?;
        let evict = Nanos(clock::since(start).0 - drain.0);
        self.look_for_bypassing_work();
        log::info!(
            "released: drained in {:.3} s, {}{} out in {:.3} s",
            drain.as_secs_f64(),
            Amount(&evicted),
            self.process.memory.ledger.spared().since(before),
            evict.as_secs_f64()
        );
        self.report()?;
        self.link.send(&ToScheduler::Released(Released { lease: revoke.lease, evicted, drain, evict }))
    }

    /// Work that runs on the devices though the gate is shut and nothing of ours is in flight did not come through us.
    fn look_for_bypassing_work(&self) {
        if self.drain.finish(self.drain.begin(), IDLE_WITHIN) {
            return;
        }
        let Process { contexts, captures, bypass, .. } = self.process;
        // On a busy host our own thread may be late. Beside a capture nothing can be asked of a context.
        let contexts = contexts.all();
        let works = || contexts.iter().any(|context| context.is_unfinished(Purpose::Drain));
        if captures.while_none(works) == Some(true) {
            bypass.bypassed_work();
        }
    }

    // --- memory moves ---

    /// Memory comes in before the grant, or beside it.
    fn on_fetch(&mut self, budget: &[Share]) -> io::Result<()> {
        let (start, before) = (clock::instant(), self.process.memory.ledger.spared());
        let fetched = self.fetch(budget)?;
        let (spared, took) = (self.process.memory.ledger.spared().since(before), clock::since(start));
        log::info!("fetched ahead: {}{spared} in {:.3} s", Amount(&fetched), took.as_secs_f64());
        self.swap.defer_registration();
        self.report()
    }

    fn fetch(&mut self, budget: &[Share]) -> io::Result<Vec<Share>> {
        let Process { memory, settings, .. } = self.process;
        let mut reported = Ok(());
        let progress = || keep_error(&mut reported, || self.report());
        let fetched = memory.migrator.restore(budget, settings.prefetch, progress);
        reported.map(|()| fetched)
    }

    /// Memory that this process left on the devices goes, while it does not hold them.
    fn on_evict(&mut self, wanted: &[Share]) -> io::Result<()> {
        let mut evicted = Vec::new();
        if self.phase.needs_grant() {
            let (start, before) = (clock::instant(), self.process.memory.ledger.spared());
            evicted = self.evict(wanted)?;
            let (spared, took) = (self.process.memory.ledger.spared().since(before), clock::since(start));
            log::info!("moved out: {}{spared} in {:.3} s", Amount(&evicted), took.as_secs_f64());
        }
        self.report()?;
        self.link.send(&ToScheduler::Evicted(evicted))
    }

    pub(super) fn evict(&mut self, wanted: &[Share]) -> io::Result<Vec<Share>> {
        let Process { memory, .. } = self.process;
        memory.residency.forbid_placement();
        let mut reported = Ok(());
        let evicted = memory.migrator.evict(wanted, |totals| {
            keep_error(&mut reported, || self.reporter.report_totals(totals, &memory.engine, &self.link));
        });
        reported.map(|()| evicted)
    }

    /// Memory that other processes are to open is made anew for that, between the application's calls.
    pub(super) fn convert(&mut self) -> io::Result<()> {
        let Process { memory, captures, .. } = self.process;
        if self.phase.runs() {
            self.pacer.release();
            if !self.stop(OWN_DRAIN) {
                self.open_gate();
                memory.exporter.refuse_conversions();
                return Ok(());
            }
        }
        memory.residency.forbid_placement();
        memory.exporter.recreate_exportable();
        if self.phase.runs() && captures.while_none(|| memory.converter.convert_managed()).is_none() {
            memory.exporter.refuse_conversions();
        }
        match self.phase {
            Phase::Held if self.restore_all() => self.open_gate(),
            Phase::Held => return self.release_for_lack_of_room(self.lease),
            Phase::Unmanaged => {
                self.phase = Phase::UnmanagedBlocked;
                self.run_unmanaged();
            }
            // It comes back with the next grant.
            Phase::Idle | Phase::Waiting | Phase::UnmanagedBlocked => {}
        }
        self.report()
    }
}

/// Keeps the first error of those that a callback cannot return.
fn keep_error(first: &mut io::Result<()>, act: impl FnOnce() -> io::Result<()>) {
    if first.is_ok() {
        *first = act();
    }
}

fn add(sum: &mut Vec<Share>, more: &[Share]) {
    for share in more {
        match sum.iter_mut().find(|known| known.device == share.device) {
            Some(known) => known.bytes.0 += share.bytes.0,
            None => sum.push(*share),
        }
    }
}

/// For people.
struct Amount<'a>(&'a [Share]);

impl std::fmt::Display for Amount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} GiB", total(self.0).0 as f64 / (1 << 30) as f64)
    }
}
