//! Where the time of the reader's thread goes: each moment of it belongs to one stage.

use std::time::{Duration, Instant};

/// What the thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is nothing to do: no page has come, or none is prepared yet.
    Waiting,
    /// Pages are taken in and ordered, cancelled ones dropped.
    Intake,
    /// The vision graph runs.
    Vision,
    /// Pages that the vision graph has seen become sequences.
    Entering,
    Planning,
    /// A step is repeated from its record.
    Repeated,
    /// A step that records its size.
    Recording,
    /// A step with prompts, or of a size that has no record.
    Ordinary,
    /// The sequences get the tokens that were chosen.
    Advancing,
    /// What sequences said is handed on, pages are answered or tried again.
    Answers,
}

impl Stage {
    const ALL: [Stage; 10] = [
        Stage::Waiting,
        Stage::Intake,
        Stage::Vision,
        Stage::Entering,
        Stage::Planning,
        Stage::Repeated,
        Stage::Recording,
        Stage::Ordinary,
        Stage::Advancing,
        Stage::Answers,
    ];

    fn words(self) -> &'static str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Intake => "intake",
            Stage::Vision => "vision",
            Stage::Entering => "entering",
            Stage::Planning => "planning",
            Stage::Repeated => "repeated steps",
            Stage::Recording => "recording steps",
            Stage::Ordinary => "other steps",
            Stage::Advancing => "taking tokens",
            Stage::Answers => "answers",
        }
    }
}

/// Pages from which on an account is worth telling at once; fewer wait for [`PAUSE`].
const MANY: u64 = 100;
/// Time between two accounts of few pages.
const PAUSE: Duration = Duration::from_secs(60);

/// Times and counts of all stages since the last account.
pub struct StageTimes {
    /// End of the last stage.
    last: Instant,
    /// When the last account was given.
    told: Instant,
    /// By stage, in the order of [`Stage::ALL`].
    times: [(u64, Duration); Stage::ALL.len()],
    pages: u64,
    tokens: u64,
}

impl StageTimes {
    pub fn new(now: Instant) -> Self {
        Self {
            last: now,
            told: now,
            times: Default::default(),
            pages: 0,
            tokens: 0,
        }
    }

    /// What was before `now` belongs to no stage.
    pub fn resume(&mut self, now: Instant) {
        self.last = now;
    }

    /// The time since the end of the last stage was spent on `stage`.
    pub fn lap(&mut self, stage: Stage, now: Instant) {
        let took = now.saturating_duration_since(self.last);
        self.add(stage, took);
        self.last = now;
    }

    fn add(&mut self, stage: Stage, took: Duration) {
        let (count, sum) = &mut self.times[stage as usize];
        *count += 1;
        *sum += took;
    }

    /// A sequence has ended after so many tokens.
    pub fn sequence(&mut self, tokens: usize) {
        self.tokens += tokens as u64;
    }

    /// A page has left.
    pub fn page(&mut self) {
        self.pages += 1;
    }

    /// The account of what was done since the last one, to be asked for when there is nothing to do.
    /// `None` where it is too little.
    pub fn account(&mut self, now: Instant) -> Option<String> {
        let pause = now.saturating_duration_since(self.told);
        if self.pages == 0 || self.pages < MANY && pause < PAUSE {
            return None;
        }
        let all: Duration = self.times.iter().map(|(_, sum)| *sum).sum();
        let stages: Vec<String> = Stage::ALL
            .iter()
            .zip(&self.times)
            .filter(|(_, (count, _))| *count > 0)
            .map(|(stage, (count, sum))| {
                let ms = sum.as_secs_f64() * 1e3 / self.pages as f64;
                format!("{} {ms:.2} ({count})", stage.words())
            })
            .collect();
        let account = format!(
            "pages read {}, tokens {}, seconds {:.1}; ms a page (times): {}",
            self.pages,
            self.tokens,
            all.as_secs_f64(),
            stages.join(", ")
        );
        *self = Self::new(now);
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_belongs_to_a_stage_and_the_account_begins_anew() {
        for (i, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, i);
        }
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut times = StageTimes::new(began);
        times.resume(at(1000));
        times.lap(Stage::Waiting, at(1200));
        times.lap(Stage::Vision, at(1500));
        times.lap(Stage::Repeated, at(1600));
        times.lap(Stage::Repeated, at(2000));
        times.sequence(700);
        assert_eq!(times.account(at(90_000)), None, "no page");
        (0..100).for_each(|_| times.page());
        assert_eq!(
            times.account(at(2000)).unwrap(),
            "pages read 100, tokens 700, seconds 1.0; ms a page (times): waiting 2.00 (1), \
             vision 3.00 (1), repeated steps 5.00 (2)"
        );
        // Few pages are told of once a minute.
        times.lap(Stage::Planning, at(2010));
        times.page();
        assert_eq!(times.account(at(61_000)), None);
        assert_eq!(
            times.account(at(62_000)).unwrap(),
            "pages read 1, tokens 0, seconds 0.0; ms a page (times): planning 10.00 (1)"
        );
    }
}
