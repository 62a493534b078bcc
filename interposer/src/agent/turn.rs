//! What the scheduler tells us, and what we do about it.
use super::{Agent, OWN_DRAIN, Phase, RETRY_ROOM, STRAY};
use crate::driver::context::Purpose;
use crate::process::Process;
use crate::sys::{clock, log};
use crate::transport::{Heard, SwapGrant};
use nvshare_protocol::tenant::{
    Grant, Ready, Released, Revoke, Share, ToScheduler, ToTenant, Welcome, total,
};
use nvshare_protocol::{Bytes, LeaseId, Nanos};
use std::io;
use std::time::Duration;

/// The version of the scheduler's language that has swap space, and the one that knows of refused memory.
const SWAP_SINCE: u32 = 2;
pub(super) const REFUSED_SINCE: u32 = 3;

impl Agent {
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        let mut messages = link.receive()?.into_iter().peekable();
        while let Some(Heard { message, mapped }) = messages.next() {
            log::debug!("hears {message:?}");
            let next = messages.peek().map(|next| &next.message);
            if matches!((&message, next), (ToTenant::Fetch(_), Some(ToTenant::Fetch(_)))) {
                // The next one says all that this one does.
                continue;
            }
            match message {
                ToTenant::Welcome(welcome) => self.welcome(&welcome)?,
                ToTenant::Grant(grant) => self.granted(&grant)?,
                ToTenant::Revoke(revoke) => self.revoked(&revoke)?,
                ToTenant::Contended(contended) => self.set_contended(contended),
                ToTenant::Evict(shares) => self.evict(&shares)?,
                ToTenant::Fetch(shares) => self.fetch_ahead(&shares)?,
                ToTenant::Swap(bytes) => self.swap_granted(bytes, mapped),
                ToTenant::Notice(text) => self.notice(text),
                ToTenant::NoPlace(said) => {
                    self.no_place(&said);
                    return Ok(());
                }
                ToTenant::Enabled(true) => self.switched_on()?,
                ToTenant::Enabled(false) => self.go_free(),
                ToTenant::Refused(why) => {
                    self.refused(&why);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_contended(&mut self, contended: bool) {
        if contended || self.contended {
            self.contended_at = Some(clock::instant());
        }
        self.contended = contended;
        if !contended {
            self.unpace();
        }
        self.idleness.restart();
    }

    fn welcome(&mut self, welcome: &Welcome) -> io::Result<()> {
        self.process.limits.set_terms(welcome.reserve, welcome.limit);
        self.welcomed = true;
        self.speaks = welcome.version;
        self.welcomed_at = clock::instant();
        self.told.clear();
        self.lost_at = None;
        self.refusal = None;
        if self.warned {
            log::info!("joined the scheduler at {}", self.process.settings.socket.display());
        }
        self.warned = false;
        if !welcome.enabled {
            self.go_free();
        } else if self.said_holds {
            self.phase = Phase::Held;
            self.lease = LeaseId(0);
            self.set_contended(false);
        } else {
            self.switched_on()?;
        }
        self.process.memory.set_scheduler_attached(welcome.enabled);
        // The greeting is over with the answer about swap space.
        if welcome.version < SWAP_SINCE || !self.process.memory.space.scheduler_connected() {
            self.lodge(true);
            self.process.admission.admit();
        }
        Ok(())
    }

    fn swap_granted(&mut self, bytes: Bytes, mapped: SwapGrant) {
        let all = self.process.memory.space.on_grant(bytes.0, mapped).unwrap_or_else(|error| {
            log::warning!("swap space cannot be mapped: {error}");
            false
        });
        // Also for what has none yet. What was refused is not asked for at once.
        self.lodge(all);
        self.process.admission.admit();
    }

    /// From running freely to taking turns. Work that does not end in time keeps its place: we come
    /// back as somebody who holds.
    fn switched_on(&mut self) -> io::Result<()> {
        if self.phase == Phase::Free {
            if !self.stop(OWN_DRAIN) {
                self.process.gate.open();
                return Err(io::Error::other("work goes on that cannot be stopped; joining again with it"));
            }
            self.process.memory.forbid_placement();
            self.phase = Phase::Idle;
        }
        if self.phase == Phase::Short {
            self.phase = Phase::Idle;
        }
        self.process.memory.set_scheduler_attached(true);
        Ok(())
    }

    fn granted(&mut self, grant: &Grant) -> io::Result<()> {
        let start = clock::instant();
        let mut fetched = Vec::new();
        if self.phase != Phase::Held {
            fetched = self.fetch(&grant.budget)?;
            // What was allocated meanwhile.
            while !self.process.memory.allow_placement() {
                let more = self.fetch(&grant.budget)?;
                if more.iter().all(|share| share.bytes == Bytes::ZERO) {
                    if self.process.contexts.are_broken() {
                        break;
                    }
                    return self.no_room(grant.lease);
                }
                add(&mut fetched, &more);
            }
        }
        self.found_room(true);
        self.set_contended(grant.contended);
        self.open_gate();
        let took = clock::since(start);
        self.phase = Phase::Held;
        self.lease = grant.lease;
        log::info!("granted: {} in {:.3} s", Amount(&fetched), took.as_secs_f64());
        self.report()?;
        self.send(&ToScheduler::Ready(Ready { lease: grant.lease, fetched, took }))
    }

    /// Kernels must not run while memory is away. The turn is given back, and asked for again soon.
    pub(super) fn no_room(&mut self, lease: LeaseId) -> io::Result<()> {
        self.found_room(false);
        self.phase = Phase::Idle;
        self.not_before = Some(clock::instant() + RETRY_ROOM);
        self.report()?;
        self.tell_refusals()?;
        let (evicted, drain, evict) = (Vec::new(), Nanos(0), Nanos(0));
        self.send(&ToScheduler::Released(Released { lease, evicted, drain, evict }))
    }

    /// Memory comes in before the grant, or beside it.
    fn fetch_ahead(&mut self, budget: &[Share]) -> io::Result<()> {
        let start = clock::instant();
        let fetched = self.fetch(budget)?;
        log::info!("fetched ahead: {} in {:.3} s", Amount(&fetched), clock::since(start).as_secs_f64());
        self.expect();
        self.report()
    }

    fn fetch(&mut self, budget: &[Share]) -> io::Result<Vec<Share>> {
        let Process { memory, settings, .. } = self.process;
        let mut told = Ok(());
        let fetched = memory.restore(budget, settings.prefetch, || tell(&mut told, || self.report()));
        told.map(|()| fetched)
    }

    /// Memory that this process left on the devices goes, while it does not hold them.
    fn evict(&mut self, wanted: &[Share]) -> io::Result<()> {
        let mut evicted = Vec::new();
        if matches!(self.phase, Phase::Idle | Phase::Waiting) {
            let start = clock::instant();
            evicted = self.move_out(wanted)?;
            log::info!("moved out: {} in {:.3} s", Amount(&evicted), clock::since(start).as_secs_f64());
        }
        self.report()?;
        self.send(&ToScheduler::Evicted(evicted))
    }

    pub(super) fn move_out(&mut self, wanted: &[Share]) -> io::Result<Vec<Share>> {
        let Process { memory, .. } = self.process;
        memory.forbid_placement();
        let mut told = Ok(());
        let evicted = memory.evict(wanted, |sums| tell(&mut told, || self.report_sums(sums)));
        told.map(|()| evicted)
    }

    fn revoked(&mut self, revoke: &Revoke) -> io::Result<()> {
        let start = clock::instant();
        if self.phase != Phase::Held {
            // It crossed our own giving back of the lease.
            let (lease, drain, evict) = (revoke.lease, Nanos(0), Nanos(0));
            return self.send(&ToScheduler::Released(Released { lease, evicted: Vec::new(), drain, evict }));
        }
        self.pace.release();
        if !self.stop(Duration::from_nanos(revoke.drain_within.0)) {
            self.set_contended(self.contended);
            self.open_gate();
            log::warning!(
                "work did not end within {:.1} s of a revocation: it keeps the GPU for now",
                revoke.drain_within.as_secs_f64()
            );
            return self.send(&ToScheduler::DrainCancelled(revoke.lease));
        }
        // Also if the scheduler is lost while memory moves.
        self.phase = Phase::Idle;
        self.contended = false;
        let drain = clock::since(start);
        self.process.memory.reclaim_all();
        let evicted = self.move_out(&revoke.evict)?;
        let evict = Nanos(clock::since(start).0 - drain.0);
        self.look_for_strays();
        log::info!(
            "released: drained in {:.3} s, {} out in {:.3} s",
            drain.as_secs_f64(),
            Amount(&evicted),
            evict.as_secs_f64()
        );
        self.report()?;
        self.send(&ToScheduler::Released(Released { lease: revoke.lease, evicted, drain, evict }))
    }

    /// Work on the devices, though the gate is shut and nothing of ours is under way, came around us.
    fn look_for_strays(&self) {
        if self.drain.finish(self.drain.begin(), STRAY) {
            return;
        }
        // On a busy host our own thread may be late. Beside a capture nothing can be asked of a context.
        let contexts = self.process.contexts.all();
        let works = || contexts.iter().any(|context| context.is_unfinished(Purpose::Drain));
        if self.process.captures.while_none(works) == Some(true) {
            self.process.bypass.bypassed_work();
        }
    }

    /// Shuts the gate and waits until nothing of this process is in flight; false after `bound`, with the
    /// gate still shut.
    pub(super) fn stop(&self, bound: Duration) -> bool {
        let deadline = crate::sys::sync::Deadline::after(bound);
        self.process.gate.shut();
        self.process.gate.wait_until_empty(bound)
            && deadline.left().is_some_and(|left| self.drain.finish(self.drain.begin(), left))
    }
}

/// Keeps the first error of those that a callback cannot return.
fn tell(told: &mut io::Result<()>, report: impl FnOnce() -> io::Result<()>) {
    if told.is_ok() {
        *told = report();
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
