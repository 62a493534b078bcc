//! A scheduler that is there and does not want this process, for now. That sets nobody loose.
use super::{Agent, OWN_DRAIN, Phase, RETRY_LATER, RETRY_REFUSED};
use crate::sys::{clock, log};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::{NoPlace, Share};
use std::io;

/// The version of the scheduler's language since which a refusal for want of a place has words of its own.
const NO_PLACE_SINCE: u32 = 4;
/// Notices are compared with so many before them; what comes beyond is not said.
const NOTICES: usize = 32;

/// Why the gate stays shut although there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All places are taken.
    NoPlace,
    /// For a fault of our own.
    Fault,
}

impl Agent {
    /// All places are taken: nothing of this process runs until it is asked again and there is one.
    pub(super) fn no_place(&mut self, said: &NoPlace) {
        let what = if said.fails { "fail" } else { "wait until there is one" };
        if self.refusal != Some(Refusal::NoPlace) {
            log::warning!("the scheduler has no place for this process: {}; its GPU calls {what}", said.why);
        }
        self.disconnect();
        self.refusal = Some(Refusal::NoPlace);
        if self.stop_running() {
            self.process.admission.refuse(said.fails);
            // Calls that wait already.
            self.process.gate.wake();
        } else {
            self.process.admission.admit();
        }
        self.next_attempt = clock::instant() + RETRY_LATER;
    }

    /// From running to waiting, with the memory out of the way. False if its work cannot be stopped, which goes on: it
    /// is tried again with the next answer.
    fn stop_running(&mut self) -> bool {
        if matches!(self.phase, Phase::Free | Phase::Held) {
            if !self.stop(OWN_DRAIN) {
                self.process.gate.open();
                return false;
            }
            let devices = self.process.contexts.devices();
            let all: Vec<Share> =
                devices.iter().map(|device| Share { device: device.id, bytes: Bytes::MAX }).collect();
            // Nobody is connected who could not be told.
            let _ = self.move_out(&all);
        }
        self.phase = Phase::Idle;
        true
    }

    /// The connection is refused for a reason that waiting may not change. Whoever waits goes on waiting, and whoever runs
    /// is as without a scheduler. One of before version 4 tells nothing of places: whoever it refuses runs.
    pub(super) fn refused(&mut self, why: &str) {
        let is_new = self.speaks >= NO_PLACE_SINCE || self.refusal.is_some();
        self.disconnect();
        self.next_attempt = clock::instant() + RETRY_REFUSED;
        if is_new {
            let seconds = RETRY_REFUSED.as_secs();
            log::warning!("the scheduler refused this process: {why}; it is asked again in {seconds} s");
            self.lost_at = Some(clock::instant());
            self.refusal = Some(Refusal::Fault);
        } else {
            log::warning!("the scheduler refused this process: {why}; running unmanaged");
            self.go_free();
        }
    }

    /// The scheduler cannot be reached. One that is gone refuses nobody; one that is only busy still does.
    pub(super) fn unreached(&mut self, error: &io::Error) {
        if self.refusal.is_some() && error.kind() != io::ErrorKind::WouldBlock {
            self.refusal = None;
            self.lost_at = Some(clock::instant());
            self.process.admission.forget_refusal();
        }
    }

    /// What the scheduler has to say to the program's user: once.
    pub(super) fn notice(&mut self, text: String) {
        if self.notices.len() < NOTICES && !self.notices.contains(&text) {
            log::warning!("the scheduler says: {text}");
            self.notices.push(text);
        }
    }
}
