//! Keeps documents in work, as many as may be at once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{self, JoinError, JoinSet};

use super::document::{self, DEATHS, End};
use super::{AgentError, Context, filing};
use crate::job::{LedgerError, State};
use crate::observe::event;

/// First and longest pause after a fault of the machine.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Faults of the machine in one job after which it stands back for the others.
const OFTEN: u32 = 3;

pub struct Runner {
    ctx: Arc<Context>,
    tasks: JoinSet<End>,
    /// The jobs of the tasks.
    jobs: HashMap<task::Id, (i64, PathBuf)>,
    running: HashSet<i64>,
    later: HashMap<i64, Instant>,
    /// Long documents that wait for a place.
    long: HashSet<i64>,
    paused: Option<Instant>,
    faults: Faults,
}

/// What faults of the machine ask for. A machine that is at fault pauses everything; a job that
/// meets faults again and again while others get through waits alone.
struct Faults {
    of: HashMap<i64, u32>,
    /// Jobs that met one since a document last got through.
    since: HashSet<i64>,
    pause: Duration,
}

impl Faults {
    fn new() -> Self {
        Self {
            of: HashMap::new(),
            since: HashSet::new(),
            pause: PAUSE,
        }
    }

    /// A document got through.
    fn good(&mut self, id: i64) {
        self.of.remove(&id);
        self.since.clear();
        self.pause = PAUSE;
    }

    /// A job met a fault: for how long it waits, and for how long all do.
    fn fault(&mut self, id: i64, paused: bool) -> (Option<Duration>, Option<Duration>) {
        let count = self.of.entry(id).or_default();
        *count += 1;
        self.since.insert(id);
        let often = *count >= OFTEN;
        let back_off = PAUSE * (1 << (*count).saturating_sub(OFTEN).min(8));
        // Longer than the pause of all, so that others get their turn first.
        let job = often.then(|| 2 * back_off.min(LONGEST_PAUSE).max(self.pause));
        // One fault of the machine meets all documents in work: it counts once.
        let alone = often && self.since.len() == 1;
        let all = (!paused && !alone).then_some(self.pause);
        if all.is_some() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        (job, all)
    }
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
            jobs: HashMap::new(),
            running: HashSet::new(),
            later: HashMap::new(),
            long: HashSet::new(),
            paused: None,
            faults: Faults::new(),
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
        let slots = self.ctx.config().watch.documents;
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
            let named = (job.id, job.source.clone());
            let task = self
                .tasks
                .spawn(async move { document::run(&ctx, job).await });
            self.jobs.insert(task.id(), named);
        }
        Ok(())
    }

    /// When a job that was put off, or a pause, is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.later.values().copied().chain(self.paused).min()
    }

    /// Waits for the next document to leave; for ever when none is in work.
    pub async fn next(&mut self) -> Result<Left, AgentError> {
        let Some(joined) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let task = joined
            .as_ref()
            .map_or_else(JoinError::id, |(task, _)| *task);
        let (id, source) = self
            .jobs
            .remove(&task)
            .ok_or_else(|| AgentError::Machine("a task without a job ended".into()))?;
        self.running.remove(&id);
        let end = match joined {
            Ok((_, end)) => end,
            Err(e) => {
                let why = panicked(e);
                event::panicked(&source, &why);
                blame(&self.ctx, id, why).unwrap_or_else(End::Machine)
            }
        };
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
                self.faults.good(id);
            }
            End::Later(wait) => {
                self.later.insert(id, Instant::now() + wait);
            }
            End::Long => {
                self.long.insert(id);
            }
            End::Again => {
                self.faults.of.remove(&id);
            }
            End::Stopped => {}
            End::Machine(why) => {
                let now = Instant::now();
                let paused = self.paused.is_some_and(|until| until > now);
                let (job, all) = self.faults.fault(id, paused);
                if let Some(wait) = job {
                    event::later(&left.source, &why, wait.as_secs_f64());
                    self.later.insert(id, now + wait);
                }
                if let Some(wait) = all {
                    event::paused(&why, wait.as_secs_f64());
                    self.paused = Some(now + wait);
                }
                left.fault = Some(why);
            }
        }
        Ok(left)
    }
}

/// What a task that panicked said.
fn panicked(error: JoinError) -> String {
    let what = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default(),
        Err(e) => e.to_string(),
    };
    format!("reading it met a bug of dropleaf ({what})")
}

/// A panic over a document counts as a death of its child; what was decided before stays so.
fn blame(ctx: &Context, id: i64, why: String) -> Result<End, String> {
    let text = |e: LedgerError| e.to_string();
    let Some(job) = ctx.ledger.job(id).map_err(text)? else {
        return Ok(End::Again);
    };
    match job.state {
        State::Waiting => {}
        State::Publishing | State::Failing => return Err(why),
        State::Done => return Ok(End::Done),
        State::Failed => return Ok(End::Failed),
    }
    let deaths = ctx.ledger.child_died(id).map_err(text)?;
    if deaths < DEATHS {
        return Ok(End::Again);
    }
    filing::fail(
        ctx,
        &job,
        &format!("{why}, {deaths} times"),
        filing::Reached::nothing(Instant::now()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_meets_faults_alone_does_not_hold_up_the_others() {
        let mut faults = Faults::new();
        assert_eq!(faults.fault(1, false), (None, Some(PAUSE)));
        assert_eq!(faults.fault(1, false), (None, Some(2 * PAUSE)));
        let (job, all) = faults.fault(1, false);
        assert!(job.is_some_and(|wait| wait > 4 * PAUSE) && all.is_none());
        faults.good(2);
        let (job, all) = faults.fault(1, false);
        assert!(
            job.is_some() && all.is_none(),
            "others got through meanwhile"
        );
    }

    #[test]
    fn a_panic_is_told_in_words() {
        let told = |work: fn()| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async move {
                panicked(tokio::spawn(async move { work() }).await.unwrap_err())
            })
        };
        assert!(told(|| panic!("of a word")).contains("(of a word)"));
        assert!(told(|| panic!("of {}", 2)).contains("(of 2)"));
    }

    #[test]
    fn a_fault_that_meets_all_pauses_all_however_often() {
        let mut faults = Faults::new();
        for _ in 0..20 {
            assert!(faults.fault(1, false).1.is_some() || faults.since.len() == 1);
            assert!(faults.fault(2, false).1.is_some(), "two jobs met it");
            assert_eq!(faults.fault(3, true).1, None, "the pause is on already");
        }
        assert_eq!(faults.pause, LONGEST_PAUSE);
        assert!(
            faults
                .fault(1, false)
                .0
                .is_some_and(|wait| wait > LONGEST_PAUSE)
        );
    }
}
