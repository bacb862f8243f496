//! Hints from the file system: something happened, and who holds a file. Nothing depends on a
//! hint to arrive: scans find everything.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::settle::Hand;
use crate::config::Polling;

/// A running watch; dropping it ends it.
pub struct Watch {
    shared: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
}

#[derive(Default)]
struct Shared {
    hands: Mutex<HashMap<PathBuf, Hand>>,
    happened: Notify,
}

impl Watch {
    /// Watches `inbox` and all below it. Without events (network file systems, a watch limit of
    /// the kernel that is used up) it says so and [`Watch::has_events`] is false: the caller scans
    /// more often.
    pub fn start(inbox: &Path, polling: Polling) -> Self {
        let shared = Arc::new(Shared::default());
        let network = network(inbox);
        let wanted = match polling {
            Polling::Always => false,
            Polling::Never => true,
            Polling::Auto => network.is_none(),
        };
        let mut watcher = None;
        if wanted {
            let to = Arc::clone(&shared);
            let started =
                notify::recommended_watcher(move |event: notify::Result<Event>| to.take(event))
                    .and_then(|mut w| w.watch(inbox, RecursiveMode::Recursive).map(|()| w));
            match started {
                Ok(w) => watcher = Some(w),
                Err(e) => tracing::warn!(
                    "no events from {}: {e}; scanning it instead",
                    inbox.display()
                ),
            }
        } else if let Some(kind) = network {
            tracing::info!(
                "{} is on {kind}, which sends no events: scanning it",
                inbox.display()
            );
        }
        Self { shared, watcher }
    }

    pub fn has_events(&self) -> bool {
        self.watcher.is_some()
    }

    /// Waits for the next hint.
    pub async fn happened(&self) {
        self.shared.happened.notified().await;
    }

    /// What is known about who holds a file.
    pub fn hand(&self, path: &Path) -> Hand {
        self.shared
            .hands()
            .get(path)
            .copied()
            .unwrap_or(Hand::Unknown)
    }

    /// Forgets paths that `keep` does not name.
    pub fn retain(&self, keep: impl Fn(&Path) -> bool) {
        self.shared.hands().retain(|path, _| keep(path));
    }
}

impl Shared {
    fn hands(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Hand>> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(e) => {
                tracing::debug!("watching: {e}");
                self.happened.notify_one();
                return;
            }
        };
        let hand = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
                Some(Hand::Closed)
            }
            EventKind::Modify(ModifyKind::Data(_)) => Some(Hand::Writing),
            // A hard link is made whole; a new file is written to next.
            EventKind::Create(_) => Some(Hand::Unknown),
            // Reading and opening by others, our own children among them, are no news.
            EventKind::Access(_) => return,
            _ => None,
        };
        if let (Some(hand), Some(path)) = (hand, event.paths.last()) {
            self.hands().insert(path.clone(), hand);
        }
        self.happened.notify_one();
    }
}

/// The kind of a network file system, by its magic number (`statfs(2)`).
fn network(path: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    Some(match kind as u32 {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        _ => return None,
    })
}
