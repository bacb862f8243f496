//! When a file has settled. Pure: time is an argument.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::job::Stamp;

/// What the events told about who holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// No event was seen: it was there before, or the file system sends none.
    Unknown,
    /// Written to and not closed since.
    Writing,
    /// Closed after writing, or moved in whole.
    Closed,
}

/// A file whose writer was not seen to close it must also be this old: programs that write in
/// bursts pause for seconds.
pub const CAUTION: Duration = Duration::from_secs(10);
/// A file that is open for writing but silent for so long counts as settled.
pub const SILENCE: Duration = Duration::from_secs(60);

/// One file of a scan.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: PathBuf,
    pub stamp: Stamp,
    pub hand: Hand,
    /// Since its last modification, by the clock of the wall; zero when that lies in the future.
    pub age: Duration,
}

struct Known {
    stamp: Stamp,
    since: Instant,
    told: bool,
}

/// The memory between scans.
pub struct Settle {
    quiet: Duration,
    known: HashMap<PathBuf, Known>,
}

impl Settle {
    pub fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            known: HashMap::new(),
        }
    }

    /// Another quiet time, for files that have not settled.
    pub fn set_quiet(&mut self, quiet: Duration) {
        self.quiet = quiet;
    }

    /// Takes a whole scan; returns the files that have settled since the last one, each once for
    /// each stamp, and how long until another could.
    pub fn observe(
        &mut self,
        now: Instant,
        seen: &[Seen],
    ) -> (Vec<(PathBuf, Stamp)>, Option<Duration>) {
        let mut settled = Vec::new();
        let mut next: Option<Duration> = None;
        let mut known = HashMap::with_capacity(seen.len());
        for file in seen {
            let mut entry = self
                .known
                .remove(&file.path)
                .filter(|k| k.stamp == file.stamp)
                .unwrap_or(Known {
                    stamp: file.stamp,
                    since: now,
                    told: false,
                });
            if !entry.told {
                let left = self.left(now.duration_since(entry.since), file);
                if left.is_zero() {
                    entry.told = true;
                    settled.push((file.path.clone(), file.stamp));
                } else {
                    next = Some(next.map_or(left, |n| n.min(left)));
                }
            }
            known.insert(file.path.clone(), entry);
        }
        self.known = known;
        (settled, next)
    }

    /// Time until a file that has been the same for `same` settles.
    fn left(&self, same: Duration, file: &Seen) -> Duration {
        let quiet = self.quiet.saturating_sub(same);
        match file.hand {
            Hand::Closed => quiet,
            Hand::Writing => SILENCE.max(self.quiet).saturating_sub(same),
            // A modification time in the future tells nothing: the watched time counts then.
            Hand::Unknown => quiet.max(CAUTION.saturating_sub(file.age.max(same))),
        }
    }

    /// Makes a file an arrival once more when it next settles.
    pub fn forget(&mut self, path: &Path) {
        self.known.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(size: u64, hand: Hand, age: u64) -> Seen {
        let stamp = Stamp {
            size,
            mtime_ns: 0,
            inode: 1,
        };
        Seen {
            path: "a.pdf".into(),
            stamp,
            hand,
            age: Duration::from_secs(age),
        }
    }

    #[test]
    fn a_file_settles_once_after_quiet_time_and_again_when_it_changes() {
        let (mut settle, start) = (Settle::new(Duration::from_secs(2)), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        let (out, next) = settle.observe(at(0), &[seen(1, Hand::Closed, 0)]);
        assert!(out.is_empty() && next == Some(Duration::from_secs(2)));
        assert!(
            settle
                .observe(at(1), &[seen(2, Hand::Closed, 0)])
                .0
                .is_empty(),
            "it grew"
        );
        assert!(
            settle
                .observe(at(2), &[seen(2, Hand::Closed, 0)])
                .0
                .is_empty()
        );
        assert_eq!(
            settle.observe(at(3), &[seen(2, Hand::Closed, 0)]).0.len(),
            1
        );
        assert!(
            settle
                .observe(at(9), &[seen(2, Hand::Closed, 0)])
                .0
                .is_empty(),
            "told once"
        );
        settle.observe(at(10), &[]);
        settle.observe(at(11), &[seen(2, Hand::Closed, 0)]);
        assert_eq!(
            settle.observe(at(13), &[seen(2, Hand::Closed, 0)]).0.len(),
            1,
            "it came again"
        );
    }

    #[test]
    fn a_pause_of_a_writer_is_not_the_end() {
        let (mut settle, start) = (Settle::new(Duration::from_secs(2)), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        settle.observe(at(0), &[seen(1, Hand::Writing, 0)]);
        assert!(
            settle
                .observe(at(5), &[seen(1, Hand::Writing, 5)])
                .0
                .is_empty()
        );
        assert_eq!(
            settle
                .observe(at(60), &[seen(1, Hand::Writing, 60)])
                .0
                .len(),
            1
        );
        let mut settle = Settle::new(Duration::from_secs(2));
        settle.observe(at(0), &[seen(1, Hand::Unknown, 3)]);
        assert!(
            settle
                .observe(at(5), &[seen(1, Hand::Unknown, 8)])
                .0
                .is_empty()
        );
        assert_eq!(
            settle.observe(at(7), &[seen(1, Hand::Unknown, 10)]).0.len(),
            1
        );
    }
}
