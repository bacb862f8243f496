//! What systemd is told; nothing happens without it.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {e}");
    }
}

pub fn ready() {
    tell(&[NotifyState::Ready]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Half of the time within which systemd wants a sign of life.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
