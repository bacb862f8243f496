//! Documents drawn here, whose text, order and structure are therefore known, read by the whole
//! program and scored. `tests/bench/markdown.rs` prints all scores, `tests/quality.rs` holds floors.
#![allow(dead_code, clippy::unwrap_used)]

mod code;
pub mod ideal;
pub mod kinds;
#[path = "../pictures.rs"]
mod pictures;
pub mod program;
pub mod scan;
pub mod score;
pub mod source;
pub mod truth;
pub mod typeset;
pub mod words;

use std::path::PathBuf;

use self::scan::Scan;
use self::source::Style;
use self::truth::{Block, Furniture};

/// A document and how it is drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub name: &'static str,
    pub style: Style,
    pub furniture: Furniture,
    pub blocks: Vec<Block>,
    /// Pages that it must have: text that ran over would stand elsewhere than the truth says.
    pub pages: usize,
    /// The pages as pictures; without it they are drawn as they are and have a text layer.
    pub scan: Option<Scan>,
}

/// Why a document is not drawn.
#[derive(Debug)]
pub enum NotDrawn {
    /// This machine has no font for it.
    NoFont(String),
    Fault(String),
}

impl Drawn {
    /// The document as a PDF with a text layer, before any scan. Fonts that the assets lack are
    /// looked for under `fonts`.
    pub fn pdf(&self, fonts: &[PathBuf]) -> Result<Vec<u8>, NotDrawn> {
        let mut style = self.style.clone();
        let mut other = None;
        if matches!(style.language, "zh" | "ja") {
            let units = truth::units(&self.blocks);
            let text: String = units.iter().map(|unit| unit.text.as_str()).collect();
            let found = typeset::font_for(&text, fonts);
            let found = found.ok_or_else(|| {
                NotDrawn::NoFont(format!("{}: no font here has its characters", self.name))
            })?;
            style.font = Box::leak(found.family.clone().into_boxed_str());
            other = Some(found);
        }
        let markup = source::source(&style, &self.furniture, &self.blocks);
        let (pdf, pages) = typeset::pdf(&markup, other.as_ref())
            .map_err(|why| NotDrawn::Fault(format!("{}: {why}", self.name)))?;
        if pages != self.pages {
            return Err(NotDrawn::Fault(format!(
                "{}: {pages} pages instead of {}",
                self.name, self.pages
            )));
        }
        Ok(pdf)
    }

    /// What is printed on the pages and is not text of the document: one string an appearance.
    pub fn furniture_strings(&self) -> Vec<String> {
        let mut strings = Vec::new();
        for page in 0..self.pages {
            let number = self.furniture.number.unwrap_or(1) as usize + page;
            if let Some([odd, even]) = &self.furniture.head {
                strings.push(if number % 2 == 1 { odd } else { even }.clone());
            }
            strings.extend(self.furniture.foot.clone());
            if self.furniture.number.is_some() {
                strings.push(number.to_string());
            }
        }
        strings
    }
}
