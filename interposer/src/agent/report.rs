//! What the scheduler is told of devices and memory: each change, but not too often.
use super::link::{Link, MOVES_SINCE, REFUSED_MEMORY_SINCE};
use crate::driver::contexts::Contexts;
use crate::memory::engine::EngineSelection;
use crate::memory::{Memory, Totals, TotalsOf};
use crate::sys::clock;
use nvshare_protocol::quantity::show_size;
use nvshare_protocol::tenant::{DeviceInfo, MemoryReport, Moves, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::time::{Duration, Instant};

/// At most one report of changed memory in this time.
const TOTALS_EVERY: Duration = Duration::from_millis(5);
/// At most one report of why memory cannot leave in this time.
const REASONS_EVERY: Duration = Duration::from_secs(10);

pub struct Reporter {
    /// What was last reported of each device's memory. None: the device alone.
    reported: BTreeMap<DeviceId, Option<Totals>>,
    /// What was last told of how it moves.
    moves: BTreeMap<DeviceId, Moves>,
    /// When memory may be reported again.
    totals_due: Instant,
    /// A report of it was put off until then.
    pending: bool,
    /// When the reasons may be reported again.
    reasons_due: Instant,
    /// What cannot leave has changed.
    reasons_pending: bool,
    /// The scheduler knows what is wrong with the settings.
    faults_reported: bool,
}

impl Reporter {
    pub fn new(now: Instant) -> Self {
        Self {
            reported: BTreeMap::new(),
            moves: BTreeMap::new(),
            totals_due: now,
            pending: false,
            reasons_due: now,
            reasons_pending: false,
            faults_reported: false,
        }
    }

    /// A scheduler has welcomed us, which knows nothing yet.
    pub fn forget(&mut self) {
        self.reported.clear();
        self.moves.clear();
        self.faults_reported = false;
    }

    /// What is wrong with the settings: a wish that is not followed must not be seen by the program's user alone.
    ///
    /// # Errors
    /// The connection's.
    pub fn report_faults(&mut self, faults: &[String], link: &Link) -> io::Result<()> {
        if !std::mem::replace(&mut self.faults_reported, true) {
            for fault in faults {
                link.send(&ToScheduler::Report(fault.clone()))?;
            }
        }
        Ok(())
    }

    /// Memory has changed, and nothing else shows it: a report is due.
    pub fn mark_due(&mut self) {
        self.pending = true;
    }

    /// When a report that was put off is due.
    pub fn due(&self) -> Option<Instant> {
        self.pending.then_some(self.totals_due)
    }

    /// Devices that are new.
    ///
    /// # Errors
    /// The connection's.
    pub fn report_devices(&mut self, contexts: &Contexts, link: &Link) -> io::Result<()> {
        for device in contexts.devices() {
            if let Entry::Vacant(entry) = self.reported.entry(device.id) {
                entry.insert(None);
                let name = device.name.chars().take(48).collect();
                let device = DeviceInfo { device: device.id, capacity: device.capacity, name };
                link.send(&ToScheduler::Device(device))?;
            }
        }
        Ok(())
    }

    /// Memory, and what was refused of it, unless that was reported a moment ago.
    ///
    /// # Errors
    /// The connection's.
    pub fn report_if_due(&mut self, memory: &Memory, link: &Link) -> io::Result<()> {
        self.pending = clock::instant() < self.totals_due;
        if self.pending {
            return Ok(());
        }
        self.report(memory, link)?;
        self.report_refusals(memory, link)
    }

    /// That devices are fuller than the scheduler knows. What is there has been reported.
    ///
    /// # Errors
    /// The connection's.
    pub fn report_refusals(&mut self, memory: &Memory, link: &Link) -> io::Result<()> {
        for share in memory.ledger.take_refusals() {
            if link.supports(REFUSED_MEMORY_SINCE) {
                self.totals_due = clock::instant() + TOTALS_EVERY;
                link.send(&ToScheduler::MemoryRefused(share))?;
            }
        }
        Ok(())
    }

    /// What this process has on each device and how it moves, if that has changed, and why some of it cannot leave.
    ///
    /// # Errors
    /// The connection's.
    pub fn report(&mut self, memory: &Memory, link: &Link) -> io::Result<()> {
        self.report_totals(&|device| memory.ledger.totals(device), &memory.engine, link)?;
        self.report_moves(memory, link)?;
        if !std::mem::take(&mut self.reasons_pending) || clock::instant() < self.reasons_due {
            return Ok(());
        }
        self.reasons_due = clock::instant() + REASONS_EVERY;
        let has_unevictable = |totals: &Option<Totals>| totals.is_some_and(|totals| totals.unevictable > 0);
        for (device, _) in self.reported.iter().filter(|(_, totals)| has_unevictable(totals)) {
            let reasons = memory.ledger.unevictable_by_reason(*device);
            let reasons: Vec<String> =
                reasons.iter().map(|(why, bytes)| format!("{why}: {}", show_size(Bytes(*bytes)))).collect();
            link.send(&ToScheduler::Report(format!("stays on {device}: {}", reasons.join(", "))))?;
        }
        Ok(())
    }

    fn report_moves(&mut self, memory: &Memory, link: &Link) -> io::Result<()> {
        if !link.supports(MOVES_SINCE) {
            return Ok(());
        }
        // Also of a device where nothing has moved yet: what is told next is compared with that.
        let mut changed = Vec::new();
        for device in self.reported.iter().filter(|(_, totals)| totals.is_some()).map(|(device, _)| *device) {
            let now = memory.ledger.lock().moves(device);
            if self.moves.insert(device, now) != Some(now) {
                changed.push(now);
            }
        }
        if changed.is_empty() { Ok(()) } else { link.send(&ToScheduler::Moves(changed)) }
    }

    /// The totals alone, by `totals`: the memory may be locked.
    ///
    /// # Errors
    /// The connection's.
    pub fn report_totals(
        &mut self,
        totals: TotalsOf<'_>,
        engine: &EngineSelection,
        link: &Link,
    ) -> io::Result<()> {
        let mut changed = Vec::new();
        for (device, reported) in &mut self.reported {
            let now = totals(*device);
            if *reported != Some(now) {
                *reported = Some(now);
                changed.push(MemoryReport {
                    device: *device,
                    allocated: Bytes(now.allocated),
                    resident: Bytes(now.resident),
                    immovable: Bytes(now.unevictable),
                    engine: engine.number(),
                });
            }
        }
        if !changed.is_empty() {
            self.totals_due = clock::instant() + TOTALS_EVERY;
        }
        for memory in &changed {
            link.send(&ToScheduler::Memory(*memory))?;
        }
        self.reasons_pending |= changed.iter().any(|memory| memory.immovable != Bytes::ZERO);
        Ok(())
    }
}
