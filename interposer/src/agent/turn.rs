//! What the scheduler tells us, and what we do about it.
use super::idle::Idleness;
use super::{Agent, OWN_DRAIN, Phase, RETRY_REFUSED};
use crate::process::Process;
use crate::{clock, log, residency};
use nvshare_protocol::tenant::{Grant, Ready, Released, Revoke, Share, ToScheduler, ToTenant, Welcome};
use nvshare_protocol::{LeaseId, Nanos};
use std::io;
use std::time::Duration;

impl Agent {
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        for message in link.receive()? {
            log::debug!("hears {message:?}");
            match message {
                ToTenant::Welcome(welcome) => self.welcome(&welcome)?,
                ToTenant::Grant(grant) => self.granted(&grant)?,
                ToTenant::Revoke(revoke) => self.revoked(&revoke)?,
                ToTenant::Contended(contended) => self.set_contended(contended),
                ToTenant::Enabled(true) => self.switched_on()?,
                ToTenant::Enabled(false) => self.go_free(),
                ToTenant::Refused(why) => {
                    log::warning!("the scheduler refused this process: {why}; running unmanaged");
                    self.disconnect();
                    self.next_attempt = clock::instant() + RETRY_REFUSED;
                    self.go_free();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_contended(&mut self, contended: bool) {
        self.contended = contended;
        self.told_idle = false;
        self.idleness = Idleness::default();
    }

    fn welcome(&mut self, welcome: &Welcome) -> io::Result<()> {
        self.process.set_terms(welcome.reserve, welcome.limit);
        self.welcomed = true;
        self.welcomed_at = clock::instant();
        self.told.clear();
        self.lost_at = None;
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
        self.process.greet();
        Ok(())
    }

    /// From running freely to taking turns. Work that does not end in time keeps its place: we come
    /// back as somebody who holds.
    fn switched_on(&mut self) -> io::Result<()> {
        if self.phase == Phase::Free {
            if !self.stop(OWN_DRAIN) {
                self.process.gate.open();
                return Err(io::Error::other("work goes on that cannot be stopped; joining again with it"));
            }
            self.phase = Phase::Idle;
        }
        Ok(())
    }

    fn granted(&mut self, grant: &Grant) -> io::Result<()> {
        let Process { gate, contexts, ledger, engine, settings, .. } = self.process;
        let start = clock::instant();
        let fetched = match self.phase {
            Phase::Held => Vec::new(),
            _ => residency::fetch(engine.as_ref(), contexts, ledger, &grant.budget, settings.prefetch),
        };
        gate.open();
        let took = clock::since(start);
        self.phase = Phase::Held;
        self.lease = grant.lease;
        self.set_contended(grant.contended);
        log::info!("granted: {} in {:.3} s", Amount(&fetched), took.as_secs_f64());
        self.report()?;
        self.send(&ToScheduler::Ready(Ready { lease: grant.lease, fetched, took }))
    }

    fn revoked(&mut self, revoke: &Revoke) -> io::Result<()> {
        let Process { gate, contexts, ledger, engine, .. } = self.process;
        let start = clock::instant();
        if !self.stop(Duration::from_nanos(revoke.drain_within.0)) {
            gate.open();
            self.set_contended(self.contended);
            log::warning!(
                "work did not end within {:.1} s of a revocation: it keeps the GPU for now",
                revoke.drain_within.as_secs_f64()
            );
            return self.send(&ToScheduler::DrainCancelled(revoke.lease));
        }
        let drain = clock::since(start);
        let evicted = residency::evict(engine.as_ref(), contexts, ledger, &revoke.evict);
        let evict = Nanos(clock::since(start).0 - drain.0);
        self.phase = Phase::Idle;
        self.contended = false;
        log::info!(
            "released: drained in {:.3} s, {} out in {:.3} s",
            drain.as_secs_f64(),
            Amount(&evicted),
            evict.as_secs_f64()
        );
        self.report()?;
        self.send(&ToScheduler::Released(Released { lease: revoke.lease, evicted, drain, evict }))
    }

    /// Shuts the gate and waits until nothing of this process is in flight; false after `bound`, with the
    /// gate still shut.
    fn stop(&self, bound: Duration) -> bool {
        let deadline = crate::gate::Deadline::after(bound);
        self.process.gate.shut();
        self.process.gate.wait_until_empty(bound)
            && deadline.left().is_some_and(|left| self.drain.finish(self.drain.begin(), left))
    }
}

/// For people.
struct Amount<'a>(&'a [Share]);

impl std::fmt::Display for Amount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: u64 = self.0.iter().map(|share| share.bytes.0).sum();
        write!(f, "{:.2} GiB", bytes as f64 / (1 << 30) as f64)
    }
}
