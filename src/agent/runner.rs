//! Keeps documents in work, as many as may be at once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::document::{self, End};
use super::{AgentError, Context};
use crate::observe::event;

/// First and longest pause after a fault of the machine.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

pub struct Runner {
    ctx: Arc<Context>,
    tasks: JoinSet<(i64, PathBuf, End)>,
    running: HashSet<i64>,
    later: HashMap<i64, Instant>,
    /// Long documents that wait for a place.
    long: HashSet<i64>,
    paused: Option<Instant>,
    pause: Duration,
}

/// A document that has left the rooms.
pub struct Left {
    pub source: PathBuf,
    /// `done` or `failed` now.
    pub finished: bool,
    pub success: bool,
    /// The machine's fault that stopped it.
    pub fault: Option<String>,
}

impl Runner {
    pub fn new(ctx: &Arc<Context>) -> Self {
        Self {
            ctx: Arc::clone(ctx),
            tasks: JoinSet::new(),
            running: HashSet::new(),
            later: HashMap::new(),
            long: HashSet::new(),
            paused: None,
            pause: PAUSE,
        }
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Starts waiting jobs in free slots, oldest first.
    pub fn fill(&mut self) -> Result<(), AgentError> {
        let now = Instant::now();
        self.later.retain(|_, at| *at > now);
        if self.paused.is_some_and(|until| until > now) || self.ctx.stop.asked() {
            return Ok(());
        }
        if self.paused.take().is_some() {
            event::going_on();
        }
        let slots = self.ctx.config.watch.documents;
        let free = slots.saturating_sub(self.running.len());
        if free == 0 {
            return Ok(());
        }
        let long_full = self.ctx.long.load(Ordering::Acquire) + 1 >= slots && slots > 1;
        let passed_over = self.running.len() + self.later.len() + self.long.len();
        let jobs = self.ctx.ledger.oldest(free + passed_over)?;
        let ready: Vec<_> = jobs
            .into_iter()
            .filter(|j| !self.running.contains(&j.id) && !self.later.contains_key(&j.id))
            .filter(|j| !long_full || !self.long.contains(&j.id))
            .take(free)
            .collect();
        for job in ready {
            self.running.insert(job.id);
            self.long.remove(&job.id);
            let ctx = Arc::clone(&self.ctx);
            self.tasks.spawn(async move {
                let (id, source) = (job.id, job.source.clone());
                (id, source, document::run(&ctx, job).await)
            });
        }
        Ok(())
    }

    /// When a job that was put off, or a pause, is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.later.values().copied().chain(self.paused).min()
    }

    /// Waits for the next document to leave; for ever when none is in work.
    pub async fn next(&mut self) -> Result<Left, AgentError> {
        let Some(joined) = self.tasks.join_next().await else {
            return std::future::pending().await;
        };
        let (id, source, end) =
            joined.map_err(|e| AgentError::Machine(format!("a document's task ended: {e}")))?;
        self.running.remove(&id);
        let mut left = Left {
            source,
            finished: false,
            success: false,
            fault: None,
        };
        match end {
            End::Done | End::Failed => {
                left.finished = true;
                left.success = matches!(end, End::Done);
                self.pause = PAUSE;
            }
            End::Later(wait) => {
                self.later.insert(id, Instant::now() + wait);
            }
            End::Long => {
                self.long.insert(id);
            }
            End::Again | End::Stopped => {}
            End::Machine(why) => {
                event::paused(&why, self.pause.as_secs_f64());
                self.paused = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                left.fault = Some(why);
            }
        }
        Ok(left)
    }
}
