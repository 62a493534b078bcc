//! Notifies systemd (`Type=notify`, with a watchdog), if it has started the daemon.
use sd_notify::NotifyState;
use std::time::Duration;

/// The sockets are open.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// The loop goes round.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`alive`] has to be said: half of what the unit asks for.
#[must_use]
pub fn interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(10)))
}

fn send(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd was not told: {error}");
    }
}
