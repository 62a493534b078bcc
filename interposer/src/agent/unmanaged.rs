//! Without a scheduler's grant: the process runs unmanaged, all of its memory comes back first; or the scheduler refuses
//! it, and it waits.
use super::link::{Refusal, retry_refused_seconds};
use super::reactor::{Agent, OWN_DRAIN, Phase, RETRY_ROOM};
use crate::driver::contexts::Contexts;
use crate::process::Process;
use crate::sys::random::random;
use crate::sys::{clock, log};
use nvshare_protocol::Bytes;
use nvshare_protocol::quantity::show_size;
use nvshare_protocol::tenant::{NoPlace, Share};

impl Agent {
    /// Opens the gate, once all memory is back.
    pub(super) fn run_unmanaged(&mut self) {
        self.orphaned = None;
        // Who runs has what it needs, but for allocations that wait for room on their own.
        let back = self.phase.runs() || self.restore_all();
        self.note_room(back);
        if back {
            self.phase = Phase::Unmanaged;
            self.process.gate.open();
        } else {
            self.phase = Phase::UnmanagedBlocked;
            self.evict_and_retry();
        }
        self.process.admission.admit();
    }

    /// Two processes that lack room without a scheduler must not keep half of the device each. So what came in is evicted,
    /// and tried again after a time that differs between them.
    fn evict_and_retry(&mut self) {
        let Process { contexts, memory, .. } = self.process;
        memory.migrator.evict(&all_devices(contexts), |_| {});
        let pause = u32::from(random().unwrap_or_default()[0]) * RETRY_ROOM / 25;
        self.retry_room_at = Some(clock::instant() + RETRY_ROOM + pause);
    }

    /// Brings all memory back, as far as there is room; true if what kernels need is there.
    pub(super) fn restore_all(&self) -> bool {
        let Process { contexts, memory, settings, .. } = self.process;
        memory.residency.allow_placement() || {
            memory.migrator.restore(&all_devices(contexts), settings.prefetch, || {});
            memory.residency.allow_placement() || contexts.are_broken()
        }
    }

    /// Whether the memory is back, said once when it first is not.
    pub(super) fn note_room(&mut self, back: bool) {
        if !back && !self.reported_no_room {
            let away = self.process.memory.residency.evicted_bytes();
            let away = show_size(Bytes(away));
            log::warning!("{away} of memory find no room on the device: waiting until there is some");
        }
        self.reported_no_room = !back;
    }

    /// The scheduler does not admit this process for now: nothing of it runs until it is asked again and does.
    pub(super) fn on_not_admitted(&mut self, refusal: &NoPlace) {
        let Process { gate, admission, .. } = self.process;
        let what = if refusal.fails { "fail" } else { "wait until there is one" };
        if self.link.refusal() != Some(Refusal::NotAdmitted) {
            log::warning!(
                "the scheduler has no place for this process: {}; its GPU calls {what}",
                refusal.why
            );
        }
        self.link.refuse(Refusal::NotAdmitted);
        self.on_disconnected();
        if self.stop_running() {
            admission.refuse(refusal.fails);
            // Calls that wait already.
            gate.wake();
        } else {
            admission.admit();
        }
        self.link.hang_up(Refusal::NotAdmitted);
    }

    /// From running to waiting, with the memory evicted. False if its work cannot be stopped, which goes on: it
    /// is tried again with the next answer.
    fn stop_running(&mut self) -> bool {
        if self.phase.runs() {
            if !self.stop(OWN_DRAIN) {
                self.process.gate.open();
                return false;
            }
            let all = all_devices(&self.process.contexts);
            // Nobody is connected to whom it could be reported.
            let _ = self.evict(&all);
        }
        self.phase = Phase::Idle;
        true
    }

    /// The connection is refused for a reason that waiting may not change. Whoever waits goes on waiting, and whoever runs
    /// is as without a scheduler. One of before version 4 tells nothing of admission: whoever it refuses runs.
    pub(super) fn on_refused(&mut self, why: &str) {
        if self.link.distinguishes_faults() {
            let seconds = retry_refused_seconds();
            log::warning!("the scheduler refused this process: {why}; it is asked again in {seconds} s");
            self.link.refuse(Refusal::Fault);
            self.on_disconnected();
        } else {
            log::warning!("the scheduler refused this process: {why}; running unmanaged");
            self.link.hang_up(Refusal::Fault);
            self.on_disconnected();
            self.run_unmanaged();
        }
    }
}

/// From now on nobody takes the GPU away from this process, and nobody brings memory back: it comes back first, as soon
/// as there is room.
pub fn abandon(process: &'static Process) {
    let Process { contexts, memory, settings, .. } = process;
    memory.ledger.set_scheduler_attached(false);
    memory.scheduler_lost();
    while !memory.residency.allow_placement() {
        memory.migrator.restore(&all_devices(contexts), settings.prefetch, || {});
        if contexts.are_broken() {
            break;
        }
        if !memory.residency.allow_placement() {
            // Nothing tells of room that others make.
            std::thread::sleep(RETRY_ROOM);
        }
    }
    process.gate.open();
    process.admission.admit();
}

fn all_devices(contexts: &Contexts) -> Vec<Share> {
    contexts.devices().iter().map(|device| Share { device: device.id, bytes: Bytes::MAX }).collect()
}
