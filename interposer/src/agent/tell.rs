//! What we tell the scheduler: devices, memory, and that work waits.
use super::{Agent, Phase, REPORT, STAYING, turn};
use crate::memory::{Totals, TotalsOf};
use crate::sys::clock;
use nvshare_protocol::tenant::{Device, Memory, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId};
use std::io;

impl Agent {
    pub(super) fn tell(&mut self) -> io::Result<()> {
        if !self.welcomed {
            return Ok(());
        }
        for device in self.process.contexts.devices() {
            if let std::collections::btree_map::Entry::Vacant(entry) = self.told.entry(device.id) {
                entry.insert(None);
                let name = device.name.chars().take(48).collect();
                self.send(&ToScheduler::Device(Device {
                    device: device.id,
                    capacity: device.capacity,
                    name,
                }))?;
            }
        }
        self.report_owed = clock::instant() < self.report_due;
        if !self.report_owed {
            self.report()?;
            self.tell_refusals()?;
        }
        for text in self.process.bypass.take_reports() {
            self.send(&ToScheduler::Report(text))?;
        }
        if let Some(bytes) = self.process.memory.space.next_request() {
            self.send(&ToScheduler::SwapWanted(Bytes(bytes)))?;
        }
        let may_ask = self.not_before.is_none_or(|at| clock::instant() >= at);
        if self.phase == Phase::Idle && may_ask && self.process.gate.has_waiters() {
            self.not_before = None;
            self.idleness.wakes(self.process.gate.waiting_since().unwrap_or_else(clock::instant));
            self.report()?;
            self.send(&ToScheduler::Request)?;
            self.phase = Phase::Waiting;
            self.expect();
        }
        Ok(())
    }

    /// That devices are fuller than the scheduler knows. What is there has been reported.
    pub(super) fn tell_refusals(&mut self) -> io::Result<()> {
        for share in self.process.memory.refused() {
            if self.speaks >= turn::REFUSED_SINCE {
                self.report_due = clock::instant() + REPORT;
                self.send(&ToScheduler::MemoryRefused(share))?;
            }
        }
        Ok(())
    }

    /// What this process has on each device, if it has changed, and what of it stays.
    pub(super) fn report(&mut self) -> io::Result<()> {
        let memory = &self.process.memory;
        self.report_sums(&|device| memory.totals(device))?;
        if !std::mem::take(&mut self.staying_owed) || clock::instant() < self.staying_due {
            return Ok(());
        }
        self.staying_due = clock::instant() + STAYING;
        let stays = |(device, told): (&DeviceId, &Option<Totals>)| {
            told.is_some_and(|told| told.unevictable > 0).then_some(*device)
        };
        let devices: Vec<DeviceId> = self.told.iter().filter_map(stays).collect();
        for device in devices {
            let parts = memory.unevictable_by_reason(device);
            let parts: Vec<String> =
                parts.iter().map(|(why, bytes)| format!("{why}: {bytes} bytes")).collect();
            self.send(&ToScheduler::Report(format!("stays on {device}: {}", parts.join(", "))))?;
        }
        Ok(())
    }

    /// The sums alone, by `sums`: the memory may be locked.
    pub(super) fn report_sums(&mut self, sums: TotalsOf<'_>) -> io::Result<()> {
        let mut changed = Vec::new();
        for (device, told) in &mut self.told {
            let now = sums(*device);
            if *told != Some(now) {
                *told = Some(now);
                changed.push(Memory {
                    device: *device,
                    allocated: Bytes(now.allocated),
                    resident: Bytes(now.resident),
                    immovable: Bytes(now.unevictable),
                });
            }
        }
        if !changed.is_empty() {
            self.report_due = clock::instant() + REPORT;
        }
        for memory in &changed {
            self.send(&ToScheduler::Memory(*memory))?;
        }
        self.staying_owed |= changed.iter().any(|memory| memory.immovable != Bytes::ZERO);
        Ok(())
    }
}
