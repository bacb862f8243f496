//! Which sizes of steps are recorded, and when the next one is.
//!
//! Recording a size takes the time of a hundred steps, and most sizes are only passed on the way to
//! another: a step runs in the next larger size that is recorded until its own was wanted often
//! enough. The largest is recorded before the first step, so that there always is one.

use super::fixed::Fixed;
use super::schedule::Step;

/// Steps that want a size before it is recorded: on an H100 recording one takes 0.4 s, a step that is
/// filled up to a larger size a few milliseconds more than in its own.
pub const PATIENCE: u32 = 100;

/// What a size is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its tensors are there; so many steps wanted it.
    Ready(u32),
    Recorded,
    /// Its recording failed, and is not tried again.
    Failed,
}

/// Steps of fixed sizes, ascending.
pub struct Records {
    steps: Vec<(Fixed, State)>,
    /// See [`PATIENCE`].
    patience: u32,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            patience: PATIENCE,
        }
    }
}

impl Records {
    /// Steps that want a size before it is recorded.
    pub fn set_patience(&mut self, steps: u32) {
        self.patience = steps;
    }

    /// Takes over steps whose tensors are there, ascending by size; none is recorded yet.
    pub fn replace(&mut self, steps: Vec<Fixed>) {
        let ready = steps.into_iter().map(|fixed| (fixed, State::Ready(0)));
        self.steps = ready.collect();
    }

    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// Sizes that are there, recorded or not.
    pub fn sizes(&self) -> usize {
        self.steps.len()
    }

    /// How many sizes are recorded.
    pub fn recorded(&self) -> usize {
        let recorded = |(_, state): &&(Fixed, State)| *state == State::Recorded;
        self.steps.iter().filter(recorded).count()
    }

    /// Places of the sizes that are neither recorded nor given up, the largest first.
    pub fn missing(&self) -> Vec<usize> {
        let places = (0..self.steps.len()).rev();
        places
            .filter(|&i| matches!(self.steps[i].1, State::Ready(_)))
            .collect()
    }

    pub fn get(&mut self, place: usize) -> &mut Fixed {
        &mut self.steps[place].0
    }

    /// Notes what came of recording the size at `place`.
    pub fn note(&mut self, place: usize, recorded: bool) {
        self.steps[place].1 = if recorded {
            State::Recorded
        } else {
            State::Failed
        };
    }

    /// The place of the size that is to be recorded with `step`, if that time has come.
    pub fn due(&mut self, step: &Step) -> Option<usize> {
        let place = self.fitting(step).next()?;
        let State::Ready(wanted) = &mut self.steps[place].1 else {
            return None;
        };
        *wanted += 1;
        (*wanted >= self.patience).then_some(place)
    }

    /// The place of the smallest recorded size that holds `step`.
    pub fn holding(&self, step: &Step) -> Option<usize> {
        self.fitting(step)
            .find(|&place| self.steps[place].1 == State::Recorded)
    }

    /// Places of the sizes that hold `step`, ascending.
    fn fitting(&self, step: &Step) -> impl Iterator<Item = usize> {
        let rows = step.sequences();
        let first = self.steps.partition_point(|(fixed, _)| fixed.size() < rows);
        (first..self.steps.len()).filter(|&place| self.steps[place].0.holds(step))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::steps;
    use super::*;

    #[test]
    fn a_size_is_recorded_when_it_was_wanted_often_and_larger_ones_serve_meanwhile() {
        let mut records = Records::default();
        records.set_patience(3);
        records.replace([1, 2, 4, 8].map(|size| Fixed::new(size, 5, 4)).into());
        assert_eq!(records.missing(), [3, 2, 1, 0]);
        let (prompts, step) = steps(3);
        for _ in 0..5 {
            assert_eq!(records.due(&prompts), None, "no step of fixed size");
        }
        records.note(3, true);
        assert_eq!(records.holding(&prompts), None);
        assert_eq!([records.due(&step), records.due(&step)], [None; 2]);
        assert_eq!(records.holding(&step), Some(3));
        assert_eq!(records.due(&step), Some(2));
        records.note(2, true);
        assert_eq!(records.due(&step), None);
        assert_eq!(records.holding(&step), Some(2));
        assert_eq!((records.recorded(), records.missing()), (2, vec![1, 0]));

        // What cannot be recorded is not tried again, and the next larger one serves.
        let (_, two) = steps(2);
        assert_eq!(records.due(&two), None);
        records.note(1, false);
        for _ in 0..5 {
            assert_eq!(records.due(&two), None);
        }
        assert_eq!(records.holding(&two), Some(2));
        let (_, nine) = steps(9);
        assert_eq!((records.due(&nine), records.holding(&nine)), (None, None));
        assert_eq!(records.sizes(), 4);
    }
}
