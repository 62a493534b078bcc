//! Running without a scheduler's leave: all memory comes back first.
use super::{Agent, Phase, RETRY_ROOM};
use crate::driver::contexts::Contexts;
use crate::process::Process;
use crate::sys::random::random;
use crate::sys::{clock, log};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::Share;

impl Agent {
    pub(super) fn go_free(&mut self) {
        self.orphaned = None;
        // Who runs has what it needs, but for allocations that wait for room on their own.
        let runs = self.runs();
        let back = runs || self.everything_back();
        self.found_room(back);
        self.phase = if back { Phase::Free } else { Phase::Short };
        if self.phase == Phase::Free {
            self.process.gate.open();
        } else {
            self.make_way();
        }
        self.process.admission.admit();
    }

    /// Two that lack room without a scheduler must not keep half of the device each: what came in goes, for a time that
    /// is not the same for both.
    fn make_way(&mut self) {
        let Process { contexts, memory, .. } = self.process;
        memory.evict(&everything(contexts), |_| {});
        let pause = u32::from(random().unwrap_or_default()[0]) * RETRY_ROOM / 25;
        self.not_before = Some(clock::instant() + RETRY_ROOM + pause);
    }

    /// Brings all memory back, as far as there is room; true if what kernels need is there.
    pub(super) fn everything_back(&self) -> bool {
        let Process { contexts, memory, settings, .. } = self.process;
        memory.allow_placement() || {
            memory.restore(&everything(contexts), settings.prefetch, || {});
            memory.allow_placement() || contexts.are_broken()
        }
    }

    /// Whether the memory is back, said once when it first is not.
    pub(super) fn found_room(&mut self, back: bool) {
        if !back && !self.told_short {
            let away = self.process.memory.evicted_bytes();
            log::warning!("{away} bytes of memory find no room on the device: waiting until there is some");
        }
        self.told_short = !back;
    }
}

/// From now on nobody takes the GPU away from this process, and nobody brings memory back: it comes back first, as soon
/// as there is room.
pub(super) fn abandon(process: &'static Process) {
    let Process { contexts, memory, settings, .. } = process;
    memory.set_scheduler_attached(false);
    memory.space.scheduler_lost();
    while !memory.allow_placement() {
        memory.restore(&everything(contexts), settings.prefetch, || {});
        if contexts.are_broken() {
            break;
        }
        if !memory.allow_placement() {
            // Nothing tells of room that others make.
            std::thread::sleep(RETRY_ROOM);
        }
    }
    process.gate.open();
    process.admission.admit();
}

fn everything(contexts: &Contexts) -> Vec<Share> {
    contexts.devices().iter().map(|device| Share { device: device.id, bytes: Bytes::MAX }).collect()
}
