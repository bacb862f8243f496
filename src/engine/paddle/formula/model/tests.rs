use std::sync::{Arc, Mutex};

use super::*;
use crate::pack::Fit;

pub fn spec() -> Formula {
    Formula {
        size: [16, 16],
        channels: 1,
        mean: vec![0.0],
        std: vec![1.0],
        fit: Fit::Pad,
        start: 1,
        end: 2,
        max_tokens: 40,
    }
}

/// A decoder that says as many tokens (5, 6, 7, ..) as the encoder's number of each formula says,
/// then the end.
pub struct Scripted {
    mask: bool,
    /// What is held, where it holds.
    held: Option<Vec<f32>>,
    /// Answers with this shape.
    pub shape: Option<Vec<i64>>,
    /// Formulas of each step.
    pub batches: Arc<Mutex<Vec<i64>>>,
}

impl Scripted {
    pub fn new(mask: bool, held: bool) -> Self {
        Self {
            mask,
            held: held.then(Vec::new),
            shape: None,
            batches: Arc::default(),
        }
    }

    fn states(&self, inputs: &[(&str, View<'_>)]) -> Vec<f32> {
        assert_eq!(inputs[0].0, "encoder_hidden_states");
        let states = inputs[0].1;
        if self.mask {
            assert_eq!(inputs[1].0, "encoder_attention_mask");
            assert_eq!(inputs[1].1.shape, &states.shape[..2]);
            assert!(inputs[1].1.i64().iter().all(|&v| v == 1));
        }
        states.f32().to_vec()
    }

    fn answer(&self, ids: &View<'_>, states: &[f32], take: &mut dyn FnMut(&[View<'_>])) {
        let &[n, length] = ids.shape else { panic!() };
        assert_eq!(states.len() as i64, n);
        self.batches.lock().unwrap().push(n);
        let vocabulary = 60;
        let mut scores = vec![0.0; (n * length * vocabulary) as usize];
        for ((text, words), scores) in (ids.i64().chunks(length as usize))
            .zip(states)
            .zip(scores.chunks_mut((length * vocabulary) as usize))
        {
            assert_eq!(text[0], 1);
            let said = length - 1;
            let next = if said as f32 >= *words { 2 } else { 5 + said };
            scores[((length - 1) * vocabulary + next) as usize] = 1.0;
        }
        let shape = [n, length, vocabulary];
        take(&[View::new(self.shape.as_deref().unwrap_or(&shape), &scores)]);
    }
}

impl Graph for Scripted {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        _: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let states = self.states(&inputs[1..]);
        self.answer(&inputs[0].1, &states, take);
        Ok(())
    }

    fn hold(&mut self, _: usize, inputs: &[(&str, View<'_>)]) -> Result<bool, RunError> {
        if self.held.is_some() {
            self.held = Some(self.states(inputs));
        }
        Ok(self.held.is_some())
    }

    fn run_with(
        &mut self,
        _: usize,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        assert_eq!(outputs, ["logits"]);
        let states = self.held.clone().unwrap();
        self.answer(&inputs[0].1, &states, take);
        Ok(())
    }
}

/// Sees the darkest pixel of each picture; more than `most` pictures are too many for its memory.
struct Darkest {
    most: i64,
}

impl Graph for Darkest {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        _: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let (name, view) = inputs[0];
        assert_eq!(name, "pixel_values");
        let n = view.shape[0];
        assert_eq!(view.shape[1..], [1, 16, 16]);
        if n > self.most {
            return Err(RunError("out of memory".into()));
        }
        let darkest = |picture: &[f32]| picture.iter().copied().fold(1.0, f32::min);
        let seen: Vec<f32> = view
            .f32()
            .chunks(256)
            .map(|p| (darkest(p) * 10.0).round())
            .collect();
        take(&[View::new(&[n, 1, 1], &seen)]);
        Ok(())
    }
}

/// Words of one letter, and the two tokens around them.
fn tokens() -> Tokenizer {
    let mut json = String::from("{\"version\": \"1.0\", \"added_tokens\": [");
    let added: Vec<String> = ["<s>", "</s>"]
        .iter()
        .zip(1..)
        .map(|(token, id)| {
            format!("{{\"id\": {id}, \"content\": \"{token}\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}}")
        })
        .collect();
    json.push_str(&added.join(", "));
    json.push_str("], \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"<s>\": 1, \"</s>\": 2, \"{\": 5, \"a\": 6, \"}\": 7, \"b\": 8}}}");
    Tokenizer::from_bytes(json.as_bytes()).unwrap()
}

#[test]
fn regions_of_formulas_are_read_and_others_are_not() {
    // Stripes of 40 rows: 0 white, 1 in which four words are seen, 2 black, 3 three words.
    let shades = [255, 102, 0, 77];
    let rgb = (shades.iter())
        .flat_map(|&shade| std::iter::repeat_n(shade, 100 * 40 * 3))
        .collect();
    let page = Pixels {
        width: 100,
        height: 160,
        rgb,
    };
    let region = |label, stripe: f32| Region {
        label,
        score: 0.9,
        at: [0.1, stripe / 4.0 + 0.05, 0.9, stripe / 4.0 + 0.2],
    };
    let regions = [
        region("display_formula", 1.0),
        region("text", 1.0),
        region("display_formula", 2.0),
        region("display_formula", 3.0),
        Region {
            at: [0.5; 4],
            ..region("display_formula", 0.0)
        },
    ];
    for most in [8, 2, 1] {
        let decoder = Decoder::new(Box::new(Scripted::new(false, false)), false, &spec());
        let encoder = Box::new(Darkest { most });
        let mut model = Model::new(encoder, decoder, tokens(), spec());
        model.batch = 3;
        let mut read = vec![None; regions.len()];
        model.read_rest(&page, &regions, 100.0, &mut read).unwrap();
        let text = |t: &str| Some(format!("$$\n{t}\n$$"));
        // Nothing said is no formula, neither is a brace alone.
        assert_eq!(
            read,
            [text("{ a } b"), None, None, text("{ a }"), None],
            "{most}"
        );
        assert_eq!(
            model.batch,
            [3, 1, 1][[8, 2, 1].iter().position(|m| *m == most).unwrap()]
        );
    }
}

#[test]
fn the_first_run_bounds_the_batch_and_finds_tokens_that_are_none() {
    let model = |spec: Formula| {
        let decoder = Decoder::new(Box::new(Scripted::new(false, false)), false, &spec);
        let mut model = Model::new(Box::new(Darkest { most: 8 }), decoder, tokens(), spec);
        model.try_out().map(|()| model.batch)
    };
    assert_eq!(model(spec()), Ok(BATCH));
    let end = Formula { end: 60, ..spec() };
    let why = model(end).unwrap_err().0;
    assert!(why.contains("formula.end is 60"), "{why}");
    let long = Formula {
        max_tokens: MOST_LOGITS / 60 / 2,
        ..spec()
    };
    assert_eq!(model(long), Ok(2));
}
