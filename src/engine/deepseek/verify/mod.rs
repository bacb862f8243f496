//! A loaded pack against recorded values, stage by stage: views, prompt, vision towers, image rows,
//! first logits, tokens.
//!
//! Each stage gets what the stages before it made of the page, not what was recorded, so that the
//! numbers say what a reading rests on. On the CPU the arithmetic is that of 32-bit floats and the
//! tokens are the model's own; in bfloat16 single logits move, so there the recorded tokens are fed
//! and the choice after each is compared.

mod agreement;
mod set;

use std::collections::BTreeMap;

use super::guard::Rule;
use super::model::Model;
use super::preprocess::{self, Views};
use super::rows::Rows;
use super::schedule::{Finished, Request, Settings};
use super::tokens::{FIRST_ROW, Prompt};
use crate::engine::session::RunError;
use crate::pack::Geometry;

pub use self::agreement::{Agreement, Tolerances};
use self::agreement::{ids, numbers, pixels, tokens};
use self::set::Values;
pub use self::set::{Set, SetError};

/// One stage of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub case: String,
    /// As the recorded values call it.
    pub stage: String,
    pub agreement: Agreement,
}

/// All stages of all cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub compared: usize,
    /// Stages outside their tolerance.
    pub out: usize,
    /// By case, the stages that the set leaves out.
    pub absent: BTreeMap<String, Vec<String>>,
    /// Recorded values that no stage is known for.
    pub unknown: Vec<String>,
}

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Most tokens of a case, prompt and answer: what the cache must hold, where it is recorded.
pub fn tokens_needed(set: &Set) -> Result<usize, SetError> {
    let values = set.values()?;
    let mut most = 0;
    for case in set.cases() {
        let mut length = 0;
        for name in ["input_ids", "tokens", "tokens_unguarded"] {
            length += values
                .i64(&format!("{case}.{name}"))?
                .map_or(0, |v| v.len());
        }
        most = most.max(length);
    }
    Ok(most)
}

/// Compares everything that `set` has; `tell` sees each stage when it is done. `tolerances`: those
/// of the model's place, or others.
pub fn compare(
    model: &mut Model,
    set: &Set,
    tolerances: Tolerances,
    tell: &mut dyn FnMut(&Row),
) -> Result<Summary, VerifyError> {
    let geometry = set.geometry(&model.geometry)?;
    if let Some((_, stated)) = set.rule() {
        let mut own = model.tokenizer.whitelist();
        let mut stated: Vec<u32> = stated
            .iter()
            .filter_map(|t| model.tokenizer.id(t))
            .collect();
        own.sort_unstable();
        stated.sort_unstable();
        if own != stated {
            return Err(VerifyError::Set(SetError {
                what: "reference.json".into(),
                why: format!(
                    "its n-gram rule lets the tokens {stated:?} repeat, the engine's {own:?}"
                ),
            }));
        }
    }
    let values = set.values()?;
    let mut comparison = Comparison {
        model,
        set,
        values: &values,
        geometry,
        tolerances,
        tell,
        summary: Summary::default(),
        case: "",
    };
    for case in set.cases() {
        comparison.case = case;
        comparison.all()?;
    }
    let mut summary = comparison.summary;
    summary.unknown = values.unasked();
    if summary.compared == 0 {
        return Err(VerifyError::Set(SetError {
            what: "the reference set".into(),
            why: "it holds nothing that could be compared".into(),
        }));
    }
    Ok(summary)
}

struct Comparison<'a> {
    model: &'a mut Model,
    set: &'a Set,
    values: &'a Values<'a>,
    geometry: Geometry,
    tolerances: Tolerances,
    tell: &'a mut dyn FnMut(&Row),
    summary: Summary,
    case: &'a str,
}

impl Comparison<'_> {
    /// Every stage of the case.
    fn all(&mut self) -> Result<(), VerifyError> {
        let image = self.set.image(self.case)?;
        let views = preprocess::prepare(&image, crate::config::Mode::Gundam, &self.geometry);
        self.views(&views)?;
        let prompt = self.model.tokenizer.prompt(self.set.prompt(), &views);
        match self.integers("input_ids")? {
            Some(recorded) => self.row("input_ids", ids(&prompt.ids, &recorded)),
            None => self.absent("input_ids"),
        }
        self.towers("global", &[&views.global])?;
        let rows = self.model.rows(&[(&views).into()])?;
        let rows = rows
            .into_iter()
            .next()
            .ok_or_else(|| RunError("the page gave no image rows".into()))?;
        self.rows(&views, &prompt, &rows)?;
        self.decode(&prompt, rows)
    }

    fn row(&mut self, stage: &str, agreement: Agreement) {
        let row = Row {
            case: self.case.to_owned(),
            stage: stage.to_owned(),
            agreement,
        };
        self.summary.compared += 1;
        self.summary.out += usize::from(!row.agreement.holds());
        (self.tell)(&row);
    }

    fn absent(&mut self, stage: &str) {
        let of_case = self.summary.absent.entry(self.case.to_owned());
        of_case.or_default().push(stage.to_owned());
    }

    fn floats(&self, stage: &str) -> Result<Option<Vec<f32>>, SetError> {
        self.values.f32(&format!("{}.{stage}", self.case))
    }

    fn integers(&self, stage: &str) -> Result<Option<Vec<i64>>, SetError> {
        self.values.i64(&format!("{}.{stage}", self.case))
    }

    /// Compares numbers, where there are any.
    fn numbers(&mut self, stage: &str, found: &[f32]) -> Result<(), SetError> {
        match self.floats(stage)? {
            Some(recorded) => self.row(stage, numbers(found, &recorded, self.tolerances.relative)),
            None => self.absent(stage),
        }
        Ok(())
    }

    fn views(&mut self, views: &Views) -> Result<(), SetError> {
        let tile = |i: usize| format!("tile{i}.png");
        let named = views
            .tiles
            .iter()
            .enumerate()
            .map(|(i, view)| (tile(i), view));
        for (name, view) in named.chain([("global.png".to_owned(), &views.global)]) {
            match self.set.view(&format!("{}.{name}", self.case))? {
                Some(recorded) => self.row(&name, pixels(view, &recorded)),
                None => self.absent(&name),
            }
        }
        let mut recorded = views.tiles.len();
        while self
            .set
            .view(&format!("{}.{}", self.case, tile(recorded)))?
            .is_some()
        {
            recorded += 1;
        }
        if recorded > views.tiles.len() {
            let found = views.tiles.len();
            self.row("tiles", Agreement::Size { found, recorded });
        }
        Ok(())
    }

    /// The towers' outputs for some views of one size, where any is recorded.
    fn towers(&mut self, which: &str, views: &[&preprocess::View]) -> Result<(), VerifyError> {
        let names = ["sam", "clip", "projected"].map(|stage| format!("{which}.{stage}"));
        let mut recorded = false;
        for name in &names {
            recorded |= self.floats(name)?.is_some();
        }
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        if recorded {
            for view in views {
                let stages = self.model.vision.stages(view)?;
                for (all, one) in found
                    .iter_mut()
                    .zip([stages.sam, stages.clip, stages.projected])
                {
                    all.extend(one);
                }
            }
        }
        for (name, found) in names.iter().zip(&found) {
            self.numbers(name, found)?;
        }
        Ok(())
    }

    /// The page's own rows: of the tiles, and all in the order of the prompt. The rows of the
    /// newlines and of the separator are the decoder's own; the first logits rest on them.
    fn rows(&mut self, views: &Views, prompt: &Prompt, rows: &Rows) -> Result<(), VerifyError> {
        let (width, floats) = (rows.width, rows.to_f32()?);
        if let Some(tile) = views.tiles.first() {
            let side = tile.side as usize / self.geometry.view_stride;
            let of_tiles = views.tiles.len() * side * side * width;
            let found = floats.get(..of_tiles).unwrap_or(&floats);
            self.numbers("tiles.projected", found)?;
        }
        let Some(recorded) = self.floats("image_embeds")? else {
            self.absent("image_embeds");
            return Ok(());
        };
        let places = prompt.image_rows.iter().filter(|&&row| row >= 0);
        let of_prompt = places.clone().count() * width;
        if recorded.len() != of_prompt {
            let (found, recorded) = (of_prompt, recorded.len());
            self.row("image_embeds", Agreement::Size { found, recorded });
            return Ok(());
        }
        let (mut found, mut wanted) = (Vec::new(), Vec::new());
        for (&place, recorded) in places.zip(recorded.chunks_exact(width.max(1))) {
            if let Ok(row) = usize::try_from(place - FIRST_ROW) {
                found.extend(floats.get(row * width..(row + 1) * width).unwrap_or(&[]));
                wanted.extend_from_slice(recorded);
            }
        }
        let agreement = numbers(&found, &wanted, self.tolerances.relative);
        self.row("image_embeds", agreement);
        Ok(())
    }

    fn decode(&mut self, prompt: &Prompt, rows: Rows) -> Result<(), VerifyError> {
        let rows = BTreeMap::from([(0, rows)]);
        match self.floats("first_logits")? {
            Some(recorded) => {
                let (_, logits) = self.generate(prompt, &rows, None, 1, Vec::new())?;
                let agreement = numbers(&logits, &recorded, self.tolerances.relative);
                self.row("first_logits", agreement);
            }
            None => self.absent("first_logits"),
        }
        let rule = self.set.rule().map(|(rule, _)| rule);
        for (suffix, rule) in [("", rule), ("_unguarded", None)] {
            let (stage, margins) = (format!("tokens{suffix}"), format!("margins{suffix}"));
            let recorded = (self.integers(&stage)?, self.floats(&margins)?);
            let (Some(recorded), Some(margins)) = recorded else {
                self.absent(&stage);
                continue;
            };
            if recorded.len() != margins.len() || recorded.is_empty() {
                let name = format!("{}.{stage}", self.case);
                let why = format!("{} tokens, {} margins", recorded.len(), margins.len());
                return Err(self.values.fault(&name, why).into());
            }
            let known = recorded
                .iter()
                .map(|&id| u32::try_from(id).unwrap_or(u32::MAX));
            let known: Vec<u32> = known.collect();
            let forced = if self.tolerances.fed {
                known.clone()
            } else {
                Vec::new()
            };
            let (finished, _) = self.generate(prompt, &rows, rule, known.len(), forced)?;
            let found = tokens(&finished.chosen, &known, &margins, &self.tolerances);
            if found.compared == 0 {
                let least = self.tolerances.margin;
                self.absent(&format!("{stage} (no margin of {least} or more)"));
            } else {
                self.row(&stage, Agreement::Tokens(found));
            }
        }
        Ok(())
    }

    /// An answer of at most `tokens` tokens, and the logits of its last step.
    fn generate(
        &mut self,
        prompt: &Prompt,
        rows: &BTreeMap<u64, Rows>,
        rule: Option<Rule>,
        tokens: usize,
        forced: Vec<u32>,
    ) -> Result<(Finished, Vec<f32>), VerifyError> {
        let wants_logits = tokens == 1;
        let request = Request {
            key: 0,
            prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
            image_rows: prompt.image_rows.clone(),
            settings: Settings {
                max_tokens: prompt.ids.len() + tokens,
                rule,
                watch_loops: false,
                stop: forced.is_empty(),
            },
            forced,
        };
        let mut logits = Vec::new();
        let finished =
            self.model
                .generate(vec![request], rows, wants_logits, &mut |_, chosen| {
                    logits.clone_from(&chosen.logits);
                })?;
        match finished.into_iter().next() {
            Some(finished) => Ok((finished, logits)),
            None => Err(RunError("the answer never ended".into()).into()),
        }
    }
}
