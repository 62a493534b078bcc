//! What a limit of ours has refused the program: told once, to its user and to the scheduler's operator.
use crate::sys::lock::{Condvar, Mutex, rank};
use crate::sys::log;
use crate::sys::sync::Deadline;
use nvshare_protocol::quantity::show_size;
use nvshare_protocol::{Bytes, DeviceId};
use std::fmt;
use std::time::Duration;

/// A program that ends because of the refusal still tells the operator: the refused call waits so long for the agent.
pub const SENT_WITHIN: Duration = Duration::from_millis(100);

/// What has refused memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The process's own setting, which its container's policy may have lowered.
    Own(u64),
    /// The operator's limit for this process.
    Operator(u64),
    /// What applications may have of the device.
    Device(u64),
    /// The scheduler has no more swap space for this process.
    Swap,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "the limit NVSHARE_MEM_LIMIT (annotation io.nvshare.mem-limit)",
            Self::Operator(_) => {
                "the operator's limit ([limits] memory_per_tenant, _per_user, _per_container)"
            }
            Self::Device(_) => "the device's size less the operator's [memory] reserve",
            Self::Swap => "lack of swap space ([swap] budget and its limits)",
        })
    }
}

/// One refusal.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    pub by: By,
    pub device: DeviceId,
    /// Bytes.
    pub asked: u64,
    pub used: u64,
}

impl fmt::Display for Refusal {
    /// Up to the colon is what a report of the scheduler's is about.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, device, asked, used } = *self;
        write!(
            f,
            "out of memory by {by}: {} more were asked for on {device}, where {}",
            show_size(Bytes(asked)),
            show_size(Bytes(used))
        )?;
        match by {
            By::Own(all) | By::Operator(all) | By::Device(all) => {
                write!(f, " of {} are in use", show_size(Bytes(all)))
            }
            By::Swap => f.write_str(" are in use"),
        }
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    /// The user was told; the scheduler was not.
    Unsent(String),
    Told,
}

#[derive(Debug, Default)]
pub struct Refusals {
    state: Mutex<State, { rank::LEAF }>,
    sent: Condvar,
}

impl Refusals {
    /// Tells the user of the process's first refusal; whether it is that.
    pub fn tell(&self, refusal: impl FnOnce() -> Refusal) -> bool {
        if !matches!(*self.state.lock(), State::Nothing) {
            return false;
        }
        let refusal = refusal();
        let text = refusal.to_string();
        if matches!(refusal.by, By::Device(_)) {
            // A full device is no news to a program that tries how much there is.
            log::info!("{text}");
            return false;
        }
        {
            let mut state = self.state.lock();
            if !matches!(*state, State::Nothing) {
                return false;
            }
            *state = State::Unsent(text.clone());
        }
        log::warning!("{text} (said once)");
        true
    }

    /// What the scheduler is to be told.
    pub fn unsent(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Unsent(text) => Some(text.clone()),
            State::Nothing | State::Told => None,
        }
    }

    /// It was.
    pub fn note_sent(&self) {
        *self.state.lock() = State::Told;
        self.sent.notify_all();
    }

    pub fn wait_until_sent(&self, bound: Duration) {
        let deadline = Deadline::after(bound);
        let mut state = self.state.lock();
        while matches!(*state, State::Unsent(_)) {
            let Some(left) = deadline.left() else { return };
            state = state.wait_timeout(&self.sent, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: Refusal =
        Refusal { by: By::Own(16 << 20), device: DeviceId([1; 16]), asked: 12 << 20, used: 3 << 30 };

    #[test]
    fn the_first_refusal_by_a_limit_is_told_once() {
        let refusals = Refusals::default();
        assert!(!refusals.tell(|| Refusal { by: By::Device(1 << 30), ..REFUSAL }), "the device is full");
        assert_eq!(refusals.unsent(), None);
        assert!(refusals.tell(|| REFUSAL));
        assert!(!refusals.tell(|| unreachable!("it was told")));
        let text = refusals.unsent().unwrap();
        assert!(text.starts_with("out of memory by the limit NVSHARE_MEM_LIMIT"), "{text}");
        assert!(
            text.contains(": 12 MiB more") && text.ends_with("where 3.0 GiB of 16 MiB are in use"),
            "{text}"
        );
        refusals.wait_until_sent(Duration::from_millis(1));
        refusals.note_sent();
        refusals.wait_until_sent(Duration::from_secs(20));
        assert_eq!(refusals.unsent(), None);
        assert!(!refusals.tell(|| unreachable!("it was told")));
    }
}
