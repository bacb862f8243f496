//! What was read from one leaf.

use serde::{Deserialize, Serialize};

use super::PageBox;

/// How much a page's content is turned clockwise against upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rotation {
    #[default]
    #[serde(rename = "0")]
    None,
    #[serde(rename = "90")]
    Quarter,
    #[serde(rename = "180")]
    Half,
    #[serde(rename = "270")]
    ThreeQuarter,
}

impl Rotation {
    pub fn degrees(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Quarter => 90,
            Self::Half => 180,
            Self::ThreeQuarter => 270,
        }
    }

    pub fn from_degrees(degrees: u16) -> Option<Self> {
        Some(match degrees {
            0 => Self::None,
            90 => Self::Quarter,
            180 => Self::Half,
            270 => Self::ThreeQuarter,
            _ => return None,
        })
    }
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageStatus {
    Ok,
    /// Nothing is on the page.
    Blank,
    /// The model repeated itself; what it said before is kept.
    Looped,
    /// The model ran out of tokens.
    Truncated,
    /// Another reader than the chosen one read the page.
    Fallback,
    /// The page could not be read: its place is kept by a visible mark.
    Failed,
}

impl PageStatus {
    pub const ALL: [PageStatus; 6] = [
        Self::Ok,
        Self::Blank,
        Self::Looped,
        Self::Truncated,
        Self::Fallback,
        Self::Failed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blank => "blank",
            Self::Looped => "looped",
            Self::Truncated => "truncated",
            Self::Fallback => "fallback",
            Self::Failed => "failed",
        }
    }
}

/// What a block is to the Markdown, whatever the engine called it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Title,
    Heading,
    Text,
    List,
    Table,
    Figure,
    Caption,
    Formula,
    FormulaNumber,
    Footnote,
    Code,
    Reference,
    /// Running header, footer, page number, margin text: boxes, but not in the Markdown.
    Furniture,
}

impl Role {
    /// The role of an engine's label. An unknown label is text, so that nothing is lost.
    pub fn of(label: &str) -> Role {
        Self::known(label).unwrap_or(Role::Text)
    }

    /// The role of a label that an engine is known to write: PP-DocLayoutV3's 25 labels, and those
    /// of DeepSeek-OCR and models of its kind.
    pub fn known(label: &str) -> Option<Role> {
        Some(match label {
            "doc_title" | "title" => Role::Title,
            "paragraph_title" | "sub_title" | "section_title" => Role::Heading,
            "text" | "paragraph" | "abstract" | "content" | "vertical_text" | "inline_formula" => {
                Role::Text
            }
            "list" | "list_item" => Role::List,
            "table" => Role::Table,
            "image" | "figure" | "chart" | "seal" => Role::Figure,
            "figure_title" | "image_caption" | "figure_caption" | "table_caption"
            | "table_title" | "chart_title" | "code_caption" | "caption" => Role::Caption,
            "display_formula" | "equation" | "formula" => Role::Formula,
            "formula_number" => Role::FormulaNumber,
            "footnote" | "vision_footnote" | "table_footnote" | "image_footnote"
            | "page_footnote" => Role::Footnote,
            "algorithm" | "code" => Role::Code,
            "reference" | "reference_content" | "ref_text" => Role::Reference,
            "header" | "footer" | "number" | "header_image" | "footer_image" | "aside_text"
            | "page_header" | "page_footer" | "page_number" => Role::Furniture,
            _ => return None,
        })
    }
}

/// What tells the level of a heading beside its words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heading {
    /// The em of its letters, in points.
    pub size: f32,
    /// How deep its number goes, from 1: that of "2" is 1, that of "2.1" is 2.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub depth: Option<u8>,
}

/// One region of a page and what stands in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The engine's own label; [`Role::of`] says what it means.
    pub label: String,
    /// One box, or several where a reference covers several; never empty.
    pub boxes: Vec<PageBox>,
    /// Markdown of the block's content without its marks; empty for a figure.
    pub content: String,
    /// Of a heading that is no title, where the engine knows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heading: Option<Heading>,
}

impl Block {
    pub fn role(&self) -> Role {
        Role::of(&self.label)
    }

    /// Whether a picture of the block is kept: of a figure, and of what was not put into Markdown:
    /// a table that could not be rebuilt, a display formula that is not LaTeX.
    pub fn has_picture(&self) -> bool {
        let rule = |line: &str| line.starts_with('|') && line.contains("---");
        match self.role() {
            Role::Figure => true,
            Role::Table => !self.content.contains("<table") && !self.content.lines().any(rule),
            // Only the label of the layout model: other engines write formulas as they see fit.
            Role::Formula => self.label == "display_formula" && !self.content.starts_with("$$"),
            _ => false,
        }
    }
}

/// One attempt at a page that took several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Who or what tried.
    pub with: String,
    /// What came of it.
    pub outcome: String,
}

/// Whence the text of a page comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextSource {
    /// The PDF's own characters.
    Layer,
    /// Read from the page image.
    Image,
    /// Some of either.
    Both,
}

/// Whence the text of a page comes, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageText {
    pub source: TextSource,
    /// What was found of the text layer; one sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// What was read from one leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub status: PageStatus,
    /// Why the status is not `ok`; one sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// How the content was turned in the displayed page. Boxes are in the displayed page all the same.
    pub rotation: Rotation,
    /// In reading order.
    pub blocks: Vec<Block>,
    /// The page as grounded text, as the engine wrote it.
    pub grounded: String,
    /// Seconds that the reader spent on the page.
    pub seconds: f64,
    /// Tokens generated, for readers that generate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens: Option<u32>,
    /// The attempts, where the first was not enough.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tried: Vec<Tried>,
    /// Whence its text comes, for readers that may use a text layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<PageText>,
}

impl Reading {
    /// A reading of `blocks`, `blank` when there are none.
    pub fn of_blocks(blocks: Vec<Block>, rotation: Rotation, seconds: f64) -> Self {
        let status = if blocks.is_empty() {
            PageStatus::Blank
        } else {
            PageStatus::Ok
        };
        let grounded = super::write_grounded(&blocks);
        Self {
            status,
            reason: None,
            rotation,
            blocks,
            grounded,
            seconds,
            tokens: None,
            tried: Vec::new(),
            text: None,
        }
    }

    /// The mark of a page that could not be read.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            status: PageStatus::Failed,
            reason: Some(reason.into()),
            rotation: Rotation::None,
            blocks: Vec::new(),
            grounded: String::new(),
            seconds: 0.0,
            tokens: None,
            tried: Vec::new(),
            text: None,
        }
    }

    /// The blocks with pictures, in the order in which the Markdown numbers these.
    pub fn figures(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|b| b.has_picture())
    }
}
