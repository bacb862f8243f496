//! A formula recognition model of the user's own: an image encoder and a text decoder, as Hugging
//! Face's Optimum exports a `VisionEncoderDecoderModel` without a cache of the past
//! (`optimum-cli export onnx`; pix2text-mfr is published so).
//!
//! | graph | input | output |
//! |---|---|---|
//! | encoder | `pixel_values` f32 `[n, channels, height, width]` | `last_hidden_state` f32 `[n, tokens, width]` |
//! | decoder | `input_ids` i64 `[n, length]`, `encoder_hidden_states` f32, perhaps `encoder_attention_mask` i64 `[n, tokens]` | `logits` f32 `[n, length, vocabulary]` |
//!
//! The numbers around them stand in the pack ([`Formula`]).

mod decode;
mod latex;
mod picture;
mod tokens;

use std::path::Path;

use tokenizers::Tokenizer;

use self::decode::{Decoder, Ended, Hidden};
use super::super::layout::Region;
use super::super::pixels::Pixels;
use crate::engine::EngineError;
use crate::engine::session::{Graph, OrtGraph, Place, RunError, Runtime, View};
use crate::pack::{COMPLETE, Formula, Pack};

/// Formulas decoded together at most ..
const BATCH: usize = 8;
/// .. and numbers in the logits of a step (256 MiB), as long as there is more than one formula.
const MOST_LOGITS: usize = 64 << 20;
/// Formulas of a page that are read; sheets of nothing else have about 60.
const MOST_FORMULAS: usize = 100;

const PIXELS: &str = "pixel_values";
const HIDDEN: &str = "last_hidden_state";

/// A loaded formula model.
pub struct Model {
    encoder: Box<dyn Graph>,
    decoder: Decoder,
    tokens: Tokenizer,
    spec: Formula,
    /// Formulas decoded together at most.
    batch: usize,
}

impl Model {
    /// Loads the files `encoder`, `decoder` and `tokenizer` of a pack and runs them once. What is no
    /// such model is an error of the configuration that names the file.
    pub fn load(runtime: &Runtime, pack: &Pack, place: Place) -> Result<Self, EngineError> {
        let spec = pack
            .formula
            .clone()
            .ok_or_else(|| config(&pack.folder, "it has no table [formula]".into()))?;
        let session = |role: &str, output: &str, needs: &[&str], may: &[&str]| {
            let file = pack.file(role)?;
            let graph = runtime
                .session(&file, place, &[output])
                .map_err(|e| match e {
                    EngineError::Machine { why, .. } => blame(&file, RunError(why)),
                    e => e,
                })?;
            let inputs = inputs(&graph, needs, may).map_err(|why| config(&file, why))?;
            Ok::<_, EngineError>((Box::new(graph), inputs))
        };
        let (encoder, _) = session("encoder", HIDDEN, &[PIXELS], &[])?;
        let (decoder, inputs) =
            session("decoder", decode::LOGITS, &decode::INPUTS, &[decode::MASK])?;
        let mask = inputs.iter().any(|name| name == decode::MASK);
        let tokens = tokens::load(&pack.file("tokenizer")?, &spec)?;
        let mut model = Self::new(encoder, Decoder::new(decoder, mask, &spec), tokens, spec);
        model.try_out().map_err(|e| blame(&pack.folder, e))?;
        Ok(model)
    }

    fn new(encoder: Box<dyn Graph>, decoder: Decoder, tokens: Tokenizer, spec: Formula) -> Self {
        Self {
            encoder,
            decoder,
            tokens,
            spec,
            batch: 1,
        }
    }

    /// The first run, on white: shows that the graphs take several pictures at once and fit each
    /// other and the pack, and how many formulas may be decoded together.
    fn try_out(&mut self) -> Result<(), RunError> {
        let [height, width] = self.spec.size;
        let white = Pixels {
            width,
            height,
            rgb: vec![255; width as usize * height as usize * 3].into(),
        };
        let whole = [0.0, 0.0, f64::from(width), f64::from(height)];
        let hidden = self.encode(&white, &[whole, whole])?;
        let vocabulary = self.decoder.vocabulary(&hidden)?;
        for (name, id) in [("start", self.spec.start), ("end", self.spec.end)] {
            if id as usize >= vocabulary {
                return Err(RunError(format!(
                    "formula.{name} is {id}, but the decoder knows {vocabulary} tokens"
                )));
            }
        }
        let one = vocabulary.saturating_mul(self.spec.max_tokens);
        self.batch = (MOST_LOGITS / one).clamp(1, BATCH);
        Ok(())
    }

    /// Puts the Markdown of formulas (`$$`, LaTeX, `$$` in lines) into `rebuilt`, for regions that are
    /// labelled `display_formula` and have nothing there yet, where the model reads one. `dpi`: pixels
    /// of the upright `page` an inch.
    pub fn read_rest(
        &mut self,
        page: &Pixels<'_>,
        regions: &[Region],
        dpi: f32,
        rebuilt: &mut [Option<String>],
    ) -> Result<(), RunError> {
        let wanted: Vec<(usize, [f64; 4])> = regions
            .iter()
            .enumerate()
            .filter(|&(i, region)| {
                region.label == "display_formula" && rebuilt.get(i).is_some_and(Option::is_none)
            })
            .filter_map(|(i, region)| Some((i, picture::part(page, region.at, dpi)?)))
            .take(MOST_FORMULAS)
            .collect();
        let mut rest = &wanted[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(self.batch.min(rest.len()));
            let parts: Vec<_> = batch.iter().map(|&(_, part)| part).collect();
            match self.read(page, &parts) {
                Ok(texts) => {
                    for (&(region, _), text) in batch.iter().zip(texts) {
                        rebuilt[region] = text.map(|latex| format!("$$\n{latex}\n$$"));
                    }
                    rest = after;
                }
                Err(e) if e.is_memory() && batch.len() > 1 => {
                    self.batch = batch.len() / 2;
                    tracing::warn!(
                        "memory is short, {} formulas at most are read together from now on: {e}",
                        self.batch
                    );
                }
                Err(e) if e.is_machine() => return Err(e),
                // The page's text must not be lost for it.
                Err(e) => {
                    tracing::warn!(
                        "formulas are left as they are, the model cannot read them: {e}"
                    );
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// The LaTeX of the formulas in `parts` of an image (x, y, width, height in pixels).
    fn read(
        &mut self,
        page: &Pixels<'_>,
        parts: &[[f64; 4]],
    ) -> Result<Vec<Option<String>>, RunError> {
        let hidden = self.encode(page, parts)?;
        let ended = self.decoder.greedy(hidden)?;
        let text = |(ended, part): (Ended, &[f64; 4])| {
            let why = match ended {
                Ended::Whole(ids) => match self.tokens.decode(&ids, true) {
                    Ok(text) => match latex::clean(&text) {
                        Some(latex) => return Some(latex),
                        None => format!("{text:?} is no formula"),
                    },
                    Err(e) => e.to_string(),
                },
                Ended::Looped => "the model goes in circles".into(),
                Ended::Long => format!("it has not ended after {} tokens", self.spec.max_tokens),
            };
            tracing::debug!("the formula at {part:.0?} is not taken from the model: {why}");
            None
        };
        Ok(ended.into_iter().zip(parts).map(text).collect())
    }

    fn encode(&mut self, page: &Pixels<'_>, parts: &[[f64; 4]]) -> Result<Hidden, RunError> {
        let [height, width] = self.spec.size;
        let mut values = Vec::new();
        for &part in parts {
            picture::append(page, part, &self.spec, &mut values);
        }
        let count = parts.len() as i64;
        let channels = self.spec.channels as i64;
        let shape = [count, channels, i64::from(height), i64::from(width)];
        let mut hidden = Err(RunError("the encoder gave nothing".into()));
        let pixels = [(PIXELS, View::new(&shape, &values))];
        self.encoder.run(&pixels, &[HIDDEN], &mut |out| {
            if let Some(view) = out.first() {
                hidden = Hidden::of(view, parts.len());
            }
        })?;
        hidden
    }
}

/// The names of a graph's inputs: all that it `needs`, and of others only those that it `may` have.
fn inputs(graph: &OrtGraph, needs: &[&str], may: &[&str]) -> Result<Vec<String>, String> {
    let found = graph.inputs();
    if let Some(missing) = needs.iter().find(|n| !found.iter().any(|f| f == **n)) {
        return Err(format!(
            "it has no input \"{missing}\", it has {}",
            found.join(", ")
        ));
    }
    let known = |f: &&String| needs.iter().chain(may).any(|n| f == n);
    match found.iter().find(|f| !known(f)) {
        // Of `decoder_model_merged.onnx` and `decoder_with_past_model.onnx`.
        Some(more) => Err(format!(
            "it has an input \"{more}\": this is a decoder with a cache, decoder_model.onnx is one without"
        )),
        None => Ok(found),
    }
}

fn config(what: &Path, why: String) -> EngineError {
    EngineError::Config {
        what: format!("formula model {}", what.display()),
        why,
        hint: COMPLETE.into(),
    }
}

/// A run or a loading that failed at start: the pack is to blame, unless the words are the
/// machine's.
fn blame(what: &Path, error: RunError) -> EngineError {
    if error.is_machine() {
        EngineError::Machine {
            what: format!("formula model {}", what.display()),
            why: error.0,
        }
    } else {
        config(what, error.0)
    }
}

#[cfg(test)]
mod tests;
