//! A formula as a tree: what stands beside, above, below and within what. Pure.

use super::bands::bands;
use super::glyphs::Glyph;
use super::ink::Rule;
use super::row::row;
use super::signs;
use super::table;
use crate::engine::paddle::layout::union;
use crate::page::CharStyle;

/// Structures within one another at most; beyond, a formula is not understood.
const MAX_DEPTH: usize = 12;
/// Height of the axis, on which fractions and operators are centred, above the baseline: TeX's
/// sigma 22 of cmsy10, which other fonts keep to within a few hundredths. Font sizes.
pub const AXIS: f32 = 0.25;

/// A row smaller than this part of the formula's size is of the smallest size, which TeX gives to
/// scripts of scripts and all beyond.
const SMALLEST: f32 = 0.66;

/// How deep within a formula a part of it stands.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    depth: usize,
    /// The formula's largest font size, pixels.
    size: f32,
}

impl Level {
    pub fn new(size: f32) -> Self {
        Self { depth: 0, size }
    }

    pub fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    pub fn is_too_deep(self) -> bool {
        self.depth > MAX_DEPTH
    }

    /// Whether scripts of a row of this font size have the row's own size.
    pub fn is_smallest(self, size: f32) -> bool {
        size <= SMALLEST * self.size
    }
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Sign(char, CharStyle),
    /// Upright letters that belong together.
    Word(String),
    /// A bar that nothing is made of yet; none is in a finished tree.
    Rule,
    Fraction {
        over: Vec<Piece>,
        under: Vec<Piece>,
    },
    Root {
        of: Vec<Piece>,
        degree: Option<Vec<Piece>>,
    },
    /// A base with what stands right of it, or centred above and below, lowered and raised.
    Scripts {
        base: Option<Box<Piece>>,
        sub: Option<Inner>,
        sup: Option<Inner>,
    },
    /// A command and what it stands over or under.
    Accent(&'static str, Vec<Piece>),
    /// What stands above or below a sign that takes no limits.
    Label {
        base: Box<Piece>,
        over: Option<Inner>,
        under: Option<Inner>,
    },
    /// Brackets that are higher than a line; no closing one where there is none.
    Fenced {
        open: char,
        close: Option<char>,
        inner: Inner,
    },
    /// A bracket higher than a line, without its other: its height in font sizes.
    Tall(char, f32),
}

/// What stands within something.
#[derive(Clone, Debug, PartialEq)]
pub enum Inner {
    Row(Vec<Piece>),
    /// Rows of cells.
    Table(Vec<Vec<Vec<Piece>>>),
}

/// A part of a formula and its place; pixels, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub node: Node,
    /// The box around what is seen: x1, y1, x2, y2.
    pub at: [f32; 4],
    /// The same with the room that its glyphs take along the line.
    pub x: [f32; 2],
    pub base: f32,
    /// Its largest font size.
    pub size: f32,
    /// Where it is centred, if it is not its baseline that is aligned.
    pub axis: Option<f32>,
}

impl Piece {
    pub fn of_glyph(glyph: &Glyph) -> Self {
        let tall = signs::is_fence(glyph.ch) && glyph.height() > 1.1 * glyph.size;
        let centred = tall || signs::is_big(glyph.ch);
        Self {
            node: Node::Sign(glyph.ch, glyph.style),
            at: glyph.ink,
            x: glyph.x,
            base: glyph.base,
            size: glyph.size,
            axis: centred.then_some((glyph.ink[1] + glyph.ink[3]) / 2.0),
        }
    }

    pub fn of_rule(rule: &Rule) -> Self {
        Self {
            node: Node::Rule,
            at: *rule,
            x: [rule[0], rule[2]],
            base: rule[3],
            size: 0.0,
            axis: None,
        }
    }

    /// A piece made of others; `parts` is not empty.
    pub fn of_parts(node: Node, parts: &[Piece], base: f32, axis: Option<f32>) -> Self {
        let at = parts.iter().map(|p| p.at).reduce(union);
        let x = parts
            .iter()
            .map(|p| p.x)
            .reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
        Self {
            node,
            at: at.unwrap_or_default(),
            x: x.unwrap_or_default(),
            base,
            size: largest(parts),
            axis,
        }
    }

    pub fn sign(&self) -> Option<char> {
        match self.node {
            Node::Sign(ch, _) => Some(ch),
            _ => None,
        }
    }

    pub fn is_rule(&self) -> bool {
        self.node == Node::Rule
    }

    /// Middle of what is seen.
    pub fn middle(&self) -> [f32; 2] {
        [
            (self.at[0] + self.at[2]) / 2.0,
            (self.at[1] + self.at[3]) / 2.0,
        ]
    }

    pub fn width(&self) -> f32 {
        self.at[2] - self.at[0]
    }

    pub fn height(&self) -> f32 {
        self.at[3] - self.at[1]
    }

    /// Whether its middle lies between two places along the line.
    pub fn is_within(&self, from: f32, to: f32) -> bool {
        (from..=to).contains(&self.middle()[0])
    }
}

/// The largest font size.
pub fn largest(pieces: &[Piece]) -> f32 {
    pieces.iter().map(|p| p.size).fold(0.0, f32::max)
}

/// The lines of a display, each a row of pieces from left to right; `None` where it is not
/// understood.
pub fn lines(pieces: Vec<Piece>) -> Option<Vec<Vec<Piece>>> {
    let level = Level::new(largest(&pieces));
    bands(pieces)
        .into_iter()
        .map(|band| row(band, level))
        .collect()
}

/// What stands within something, in one row or in several.
pub fn inner(pieces: Vec<Piece>, level: Level) -> Option<Inner> {
    if level.is_too_deep() {
        return None;
    }
    let mut bands = bands(pieces);
    if bands.len() > 1 {
        return table::table(bands, level).map(Inner::Table);
    }
    row(bands.pop().unwrap_or_default(), level).map(Inner::Row)
}

/// What stands within something in one row; `None` where there are several.
pub fn single(pieces: Vec<Piece>, level: Level) -> Option<Vec<Piece>> {
    match inner(pieces, level)? {
        Inner::Row(row) if !row.is_empty() => Some(row),
        _ => None,
    }
}
