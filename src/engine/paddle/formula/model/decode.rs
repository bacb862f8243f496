//! Greedy decoding of several formulas at once, without a cache: each step gives the decoder all
//! tokens so far and takes the likeliest next one of each text.

use crate::engine::session::{Graph, RunError, View};
use crate::pack::Formula;

pub const LOGITS: &str = "logits";
pub const INPUTS: [&str; 2] = [IDS, STATES];
/// Some decoders want to know which of the encoder's tokens are real; all are.
pub const MASK: &str = "encoder_attention_mask";

const IDS: &str = "input_ids";
const STATES: &str = "encoder_hidden_states";
/// Number of the inputs held on the device.
const SET: usize = 0;

/// Tokens that must repeat exactly, and copies of them, before a text goes in circles: more than
/// the zeros of a printed matrix.
const REPEATED: usize = 100;
const COPIES: usize = 4;
/// Longest n-gram that is looked for.
const LONGEST: usize = 32;

/// What the encoder saw of some formulas: `[formulas, tokens, width]`.
pub struct Hidden {
    shape: [i64; 3],
    values: Vec<f32>,
}

impl Hidden {
    /// The encoder's output for `count` pictures; an error where it is nothing of the kind.
    pub fn of(view: &View<'_>, count: usize) -> Result<Self, RunError> {
        let values = view.f32();
        match *view.shape {
            [n, tokens, width]
                if n == count as i64
                    && !values.is_empty()
                    && values.len() as i64 == n * tokens * width =>
            {
                Ok(Self {
                    shape: [n, tokens, width],
                    values: values.to_vec(),
                })
            }
            _ => Err(RunError(format!(
                "last_hidden_state of {count} pictures is {:?}, not {count} times tokens times width of 32-bit floats",
                view.shape
            ))),
        }
    }

    /// Those of the formulas at `rows`, which ascend.
    fn keep(&mut self, rows: &[usize]) {
        let size = (self.shape[1] * self.shape[2]) as usize;
        for (to, &from) in rows.iter().enumerate() {
            self.values
                .copy_within(from * size..(from + 1) * size, to * size);
        }
        self.values.truncate(rows.len() * size);
        self.shape[0] = rows.len() as i64;
    }
}

/// How a text ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With the end token, which is left out, as the start token is.
    Whole(Vec<u32>),
    /// One n-gram stands at its end again and again.
    Looped,
    /// At the bound.
    Long,
}

/// The decoder's graph and its numbers.
pub struct Decoder {
    graph: Box<dyn Graph>,
    /// It wants [`MASK`].
    mask: bool,
    start: u32,
    end: u32,
    max_tokens: usize,
}

impl Decoder {
    pub fn new(graph: Box<dyn Graph>, mask: bool, spec: &Formula) -> Self {
        Self {
            graph,
            mask,
            start: spec.start,
            end: spec.end,
            max_tokens: spec.max_tokens,
        }
    }

    /// Tokens that the decoder can say, by a first step.
    pub fn vocabulary(&mut self, hidden: &Hidden) -> Result<usize, RunError> {
        let texts = vec![vec![self.start]; hidden.shape[0] as usize];
        let mut vocabulary = 0;
        self.step(hidden, &texts, false, &mut |scores| {
            vocabulary = scores.len()
        })?;
        Ok(vocabulary)
    }

    /// The texts of the formulas, in order.
    pub fn greedy(&mut self, mut hidden: Hidden) -> Result<Vec<Ended>, RunError> {
        let count = hidden.shape[0] as usize;
        let mut ended = vec![Ended::Long; count];
        let mut texts = vec![vec![self.start]; count];
        // The formula of each text that has not ended.
        let mut open: Vec<usize> = (0..count).collect();
        let mut held = self.hold(&hidden)?;
        for _ in 0..self.max_tokens {
            let mut next = Vec::with_capacity(open.len());
            self.step(&hidden, &texts, held, &mut |scores| next.push(best(scores)))?;
            let mut rows = Vec::with_capacity(open.len());
            for (row, (text, &next)) in texts.iter_mut().zip(&next).enumerate() {
                if next == self.end {
                    ended[open[row]] = Ended::Whole(text.split_off(1));
                    continue;
                }
                text.push(next);
                if is_looped(&text[1..]) {
                    ended[open[row]] = Ended::Looped;
                } else {
                    rows.push(row);
                }
            }
            if rows.is_empty() {
                break;
            }
            if rows.len() < open.len() {
                open = rows.iter().map(|&row| open[row]).collect();
                texts = rows
                    .iter()
                    .map(|&row| std::mem::take(&mut texts[row]))
                    .collect();
                hidden.keep(&rows);
                held = self.hold(&hidden)?;
            }
        }
        Ok(ended)
    }

    /// Puts what every step needs onto the device; false where that would win nothing.
    fn hold(&mut self, hidden: &Hidden) -> Result<bool, RunError> {
        let ones = vec![1; (hidden.shape[0] * hidden.shape[1]) as usize];
        let shape = [hidden.shape[0], hidden.shape[1]];
        let states = (STATES, View::new(&hidden.shape, &hidden.values));
        let mask = (MASK, View::new::<i64>(&shape, &ones));
        let inputs = if self.mask {
            &[states, mask][..]
        } else {
            &[states]
        };
        self.graph.hold(SET, inputs)
    }

    /// Gives `take` the scores of the next token of each text, in order. `held`: [`Self::hold`] has
    /// put `hidden` onto the device.
    fn step(
        &mut self,
        hidden: &Hidden,
        texts: &[Vec<u32>],
        held: bool,
        take: &mut dyn FnMut(&[f32]),
    ) -> Result<(), RunError> {
        let length = texts.first().map_or(0, Vec::len);
        let ids: Vec<i64> = texts.iter().flatten().map(|&id| i64::from(id)).collect();
        let shape = [texts.len() as i64, length as i64];
        let of_mask = [hidden.shape[0], hidden.shape[1]];
        let ones;
        let mut inputs = vec![(IDS, View::new(&shape, &ids))];
        if !held {
            inputs.push((STATES, View::new(&hidden.shape, &hidden.values)));
            if self.mask {
                ones = vec![1i64; (of_mask[0] * of_mask[1]) as usize];
                inputs.push((MASK, View::new(&of_mask, &ones)));
            }
        }
        let mut fault = Some("the decoder gave nothing".to_owned());
        let mut took = |out: &[View<'_>]| {
            let Some(view) = out.first() else { return };
            let scores = view.f32();
            match *view.shape {
                [n, l, vocabulary]
                    if [n, l] == shape
                        && !scores.is_empty()
                        && scores.len() as i64 == n * l * vocabulary =>
                {
                    let vocabulary = vocabulary as usize;
                    for text in scores.chunks_exact(length * vocabulary) {
                        take(&text[(length - 1) * vocabulary..]);
                    }
                    fault = None;
                }
                _ => {
                    fault = Some(format!(
                        "logits of {shape:?} tokens are {:?}, not one row of 32-bit floats for each",
                        view.shape
                    ));
                }
            }
        };
        if held {
            self.graph.run_with(SET, &inputs, &[LOGITS], &mut took)?;
        } else {
            self.graph.run(&inputs, &[LOGITS], &mut took)?;
        }
        fault.map_or(Ok(()), |why| Err(RunError(why)))
    }
}

/// The first of the highest scores; what is no number is none.
fn best(scores: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (id as u32, score);
        }
    }
    best.0
}

/// Whether one n-gram stands at the end of a text again and again.
fn is_looped(text: &[u32]) -> bool {
    (1..=LONGEST).any(|period| {
        let repeated = REPEATED.max(period * (COPIES - 1));
        text.len() >= repeated + period
            && (text.iter().rev())
                .zip(text.iter().rev().skip(period))
                .take(repeated)
                .all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scripted, spec};
    use super::*;

    /// Pictures of which the encoder saw these.
    fn hidden(values: &[f32]) -> Hidden {
        Hidden::of(
            &View::new(&[values.len() as i64, 1, 1], values),
            values.len(),
        )
        .unwrap()
    }

    #[test]
    fn each_text_ends_for_itself_and_the_others_go_on() {
        // What is seen is the number of tokens to say.
        for (mask, held) in [(false, false), (true, false), (true, true)] {
            let graph = Scripted::new(mask, held);
            let widths = std::sync::Arc::clone(&graph.batches);
            let mut decoder = Decoder::new(Box::new(graph), mask, &spec());
            let said = decoder.greedy(hidden(&[3.0, 0.0, 900.0, 3.0])).unwrap();
            let whole = Ended::Whole(vec![5, 6, 7]);
            assert_eq!(
                said,
                [whole.clone(), Ended::Whole(vec![]), Ended::Long, whole]
            );
            let widths = widths.lock().unwrap();
            assert_eq!(widths[..5], [4, 3, 3, 3, 1]);
            assert_eq!(widths.len(), spec().max_tokens);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_told() {
        let mut graph = Scripted::new(false, false);
        graph.shape = Some(vec![1, 1, 300]);
        let mut decoder = Decoder::new(Box::new(graph), false, &spec());
        let why = decoder.greedy(hidden(&[1.0, 1.0])).unwrap_err().0;
        assert!(why.contains("[1, 1, 300]"), "{why}");
        let flat = View::new(&[2, 4], &[0.0f32; 8]);
        assert!(Hidden::of(&flat, 2).is_err());
        let short = View::new(&[2, 1, 4], &[0.0f32; 8]);
        assert!(Hidden::of(&short, 3).is_err());
        let whole = View::new(&[2, 1, 4], &[0i64; 8]);
        assert!(Hidden::of(&whole, 2).is_err());
    }

    #[test]
    fn a_text_goes_in_circles_when_much_of_it_repeats() {
        let cycle = |period: u32, tokens: usize| -> Vec<u32> {
            let start = [90, 91, 92].into_iter();
            start.chain((0..period).cycle().take(tokens)).collect()
        };
        assert!(is_looped(&cycle(1, 101)) && is_looped(&cycle(7, 107)));
        assert!(is_looped(&cycle(32, 132)) && !is_looped(&cycle(32, 131)));
        // A row of a matrix, six rows of zeros.
        assert!(!is_looped(&cycle(1, 100)) && !is_looped(&cycle(14, 84)));
        assert!(!is_looped(&cycle(40, 400)) && !is_looped(&[]));
        let mut broken = cycle(2, 200);
        broken[150] = 77;
        assert!(!is_looped(&broken));
    }

    #[test]
    fn the_first_of_the_best_is_taken_and_no_number_never() {
        assert_eq!(best(&[1.0, f32::NAN, 3.0, 3.0]), 2);
        assert_eq!(best(&[f32::NAN; 3]), 0);
    }
}
