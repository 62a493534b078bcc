//! What we tell the scheduler: devices, memory, and that work waits.
use super::{Agent, Phase, REPORT, STAYING, turn};
use crate::clock;
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::{Device, Memory, ToScheduler};
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
        for text in self.process.around.news() {
            self.send(&ToScheduler::Report(text))?;
        }
        if let Some(bytes) = self.process.memory.space.to_ask() {
            self.send(&ToScheduler::SwapWanted(Bytes(bytes)))?;
        }
        let may_ask = self.not_before.is_none_or(|at| clock::instant() >= at);
        if self.phase == Phase::Idle && may_ask && self.process.gate.is_wanted() {
            self.not_before = None;
            self.idleness.wakes(self.process.gate.wanted_since().unwrap_or_else(clock::instant));
            self.report()?;
            self.send(&ToScheduler::Request)?;
            self.phase = Phase::Waiting;
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

    /// What this process has on each device, if it has changed.
    pub(super) fn report(&mut self) -> io::Result<()> {
        let mut changed = Vec::new();
        for (device, told) in &mut self.told {
            let now = self.process.memory.totals(*device);
            if *told != Some(now) {
                *told = Some(now);
                changed.push(Memory {
                    device: *device,
                    allocated: Bytes(now.allocated),
                    resident: Bytes(now.resident),
                    immovable: Bytes(now.immovable),
                });
            }
        }
        if !changed.is_empty() {
            self.report_due = clock::instant() + REPORT;
        }
        for memory in &changed {
            self.send(&ToScheduler::Memory(*memory))?;
        }
        let stays = changed.iter().any(|memory| memory.immovable != Bytes::ZERO);
        if stays && clock::instant() >= self.staying_due {
            self.staying_due = clock::instant() + STAYING;
            for memory in changed.iter().filter(|memory| memory.immovable != Bytes::ZERO) {
                let parts = self.process.memory.staying(memory.device);
                let parts: Vec<String> =
                    parts.iter().map(|(why, bytes)| format!("{why}: {bytes} bytes")).collect();
                self.send(&ToScheduler::Report(format!("stays on {}: {}", memory.device, parts.join(", "))))?;
            }
        }
        Ok(())
    }
}
