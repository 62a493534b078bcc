//! Memory that other processes are to open is made anew for that, between the application's calls.
use super::{Agent, OWN_DRAIN, Phase};
use crate::process::Process;
use std::io;

impl Agent {
    /// Whether the application's work runs.
    pub(super) fn runs(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Free)
    }

    pub(super) fn remake(&mut self) -> io::Result<()> {
        let Process { memory, captures, .. } = self.process;
        if self.runs() {
            self.pace.release();
            if !self.stop(OWN_DRAIN) {
                self.open_gate();
                memory.refuse_conversions();
                return Ok(());
            }
        }
        memory.forbid_placement();
        memory.recreate_exportable();
        if self.runs() && captures.while_none(|| memory.convert_managed()).is_none() {
            memory.refuse_conversions();
        }
        match self.phase {
            Phase::Held if self.everything_back() => self.open_gate(),
            Phase::Held => return self.no_room(self.lease),
            Phase::Free => {
                self.phase = Phase::Short;
                self.go_free();
            }
            // It comes back with the next grant.
            Phase::Idle | Phase::Waiting | Phase::Short => {}
        }
        self.report()
    }
}
