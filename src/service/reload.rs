//! The signal to read the settings again. A process that listens does not die of it.
//!
//! What is read and what of it is applied is the agent's; nothing is read here.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, heard from [`Reload::listen`] on: one that comes before it is waited for is not lost.
pub struct Reload(Signal);

impl Reload {
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Returns when the signal came; several count as one.
    pub async fn asked(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}
