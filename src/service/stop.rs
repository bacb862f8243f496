//! Stop signals: the first drains, the second ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Whether the process was asked to stop.
#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: AtomicBool,
    notify: Notify,
}

/// Exit status of a process that a second signal ended.
const ENDED: i32 = 130;

impl Stop {
    /// Listens to SIGTERM and SIGINT.
    pub fn listen() -> io::Result<Self> {
        let stop = Self::default();
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let told = stop.clone();
        tokio::spawn(async move {
            let mut first = true;
            loop {
                let got = tokio::select! { s = term.recv() => s, s = int.recv() => s };
                if got.is_none() {
                    return;
                }
                if !first {
                    std::process::exit(ENDED);
                }
                first = false;
                told.ask();
            }
        });
        Ok(stop)
    }

    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::Acquire)
    }

    /// Returns when the process was asked to stop.
    pub async fn wait(&self) {
        let notified = self.0.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.asked() {
            notified.await;
        }
    }
}
