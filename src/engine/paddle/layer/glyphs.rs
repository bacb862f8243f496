//! Characters of a text layer as glyphs, by the direction in which they read. Pure.
//!
//! What shows nothing is left out: characters outside the page, those printed again at the same
//! place (bold type faked by printing twice, shadows). Parts of one glyph (a ligature that the file
//! maps to two letters), and marks that stand over a letter, come together.

use std::collections::HashMap;

use super::frame::{Frame, Page, Span};
use super::scripts::{Direction, direction, is_combining, is_invisible, is_unmapped, symbol};
use crate::page::{CharKind, PageChar, PageChars};

/// What a glyph stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// One letter, or several that are one glyph.
    Text(String),
    /// The file's own space.
    Space,
    /// A space that pdfium put in at a gap.
    Guess,
    /// The file does not say.
    Unmapped,
}

#[derive(Clone, Debug)]
pub struct Glyph {
    pub sign: Sign,
    pub span: Span,
    pub invisible: bool,
}

impl Glyph {
    pub fn is_space(&self) -> bool {
        matches!(self.sign, Sign::Space | Sign::Guess)
    }
}

/// Glyphs of one direction, in the file's order.
pub struct Group {
    pub frame: Frame,
    pub glyphs: Vec<Glyph>,
}

/// Difference of directions within which characters read along one line, radians: a degree.
const ALIKE: f32 = 0.02;
/// Directions of a page at most: text along a curve has one for each letter, and is read from the
/// image.
const MAX_DIRECTIONS: usize = 16;
/// Two of the same character nearer than this part of their advance are one, printed twice.
const TWICE: f32 = 0.25;
/// A mark whose middle lies further than this from a letter's box, in letter sizes, is not over it.
const OVER: f32 = 0.15;

/// The glyphs of a page, by direction.
pub fn groups(chars: &PageChars, page: &Page) -> Vec<Group> {
    let mut groups: Vec<(Group, Seen)> = Vec::new();
    for c in &chars.chars {
        let inside = |a: f32, b: f32| {
            (0.0..=1.0).contains(&((a + b) / 2.0)) && b - a <= 1.0 && c.size <= 1.0
        };
        if !inside(c.x1, c.x2) || !inside(c.y1, c.y2) {
            continue;
        }
        let Some(sign) = sign(c) else { continue };
        let angle = page.angle(c);
        let known = groups
            .iter()
            .position(|(g, _)| (g.frame.angle - angle).abs() < ALIKE);
        let at = known.unwrap_or(groups.len());
        if at == MAX_DIRECTIONS {
            continue;
        }
        if at == groups.len() {
            let group = Group {
                frame: Frame::new(angle),
                glyphs: Vec::new(),
            };
            groups.push((group, Seen::default()));
        }
        let (group, seen) = &mut groups[at];
        let span = group.frame.span(c, page);
        let glyph = Glyph {
            sign,
            span,
            invisible: c.kind == CharKind::Invisible,
        };
        let new = glyph.is_space()
            || !joined(&mut group.glyphs, c.ch, &glyph) && !seen.is_twice(c.ch, &span);
        if new {
            group.glyphs.push(glyph);
        }
    }
    for (group, _) in &mut groups {
        group.glyphs.iter_mut().for_each(turn);
        part(&mut group.glyphs);
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

/// Puts spaces that pdfium guessed into the middle of their gaps. They come between the right
/// characters, but stand as far behind the one before as a space is wide: in a narrow gap behind the
/// middle of an `l`.
fn part(glyphs: &mut [Glyph]) {
    for i in 1..glyphs.len().saturating_sub(1) {
        let (before, after) = (&glyphs[i - 1], &glyphs[i + 1]);
        let (a, b) = (&before.span, &after.span);
        let apart = (a.base - b.base).abs() > 0.5 * a.size.max(b.size);
        if glyphs[i].sign != Sign::Guess || before.is_space() || after.is_space() || apart {
            continue;
        }
        let gap = if a.middle() <= b.middle() {
            (a.u[1] + b.u[0]) / 2.0
        } else {
            (b.u[1] + a.u[0]) / 2.0
        };
        glyphs[i].span.u = [gap; 2];
    }
}

/// What a character stands for; `None` for what shows nothing.
fn sign(c: &PageChar) -> Option<Sign> {
    let ch = symbol(c.ch);
    Some(match ch {
        // pdfium's mark of a hyphen that divides a word, and the soft hyphen, which shows where a
        // file draws it.
        '\u{2}' | '\u{ad}' => Sign::Text("-".into()),
        // Ligatures of TeX's fonts, where a file does not map them.
        '\u{b}'..='\u{d}' if c.kind != CharKind::Generated && c.x2 > c.x1 => Sign::Unmapped,
        '\n' | '\r' => return None,
        c if is_invisible(c) => return None,
        ch if ch.is_whitespace() && c.kind == CharKind::Generated => Sign::Guess,
        ch if ch.is_whitespace() => Sign::Space,
        _ if c.kind == CharKind::Generated => return None,
        ch if is_unmapped(ch) => Sign::Unmapped,
        ch => Sign::Text(ch.into()),
    })
}

/// Puts a part of a glyph, or a mark over it, to the glyph before; false where it is neither.
fn joined(glyphs: &mut [Glyph], ch: char, glyph: &Glyph) -> bool {
    let (Sign::Text(text), Some(before)) = (&glyph.sign, glyphs.last_mut()) else {
        return false;
    };
    let (span, last) = (&glyph.span, &before.span);
    let size = last.size.max(1e-3);
    let near = |a: f32, b: f32| (a - b).abs() < 0.01 * size;
    let same = near(span.base, last.base) && near(span.u[0], last.u[0]);
    let part = same && (near(span.u[1], last.u[1]) || near(span.width(), 0.0));
    let mark = is_combining(ch)
        && span.middle() > last.u[0] - OVER * size
        && span.middle() < last.u[1] + OVER * size
        && (span.base - last.base).abs() < 1.2 * size;
    match &mut before.sign {
        Sign::Text(letters) if part || mark => {
            // The same letter in the same place is a ligature's, or printed twice.
            let twice = part && letters.ends_with(ch) && ch != 'f' && !is_leftward(ch);
            if !twice {
                letters.push_str(text);
            }
            true
        }
        _ => false,
    }
}

fn is_leftward(ch: char) -> bool {
    direction(ch) == Direction::Left
}

/// Brings letters of one glyph that are read from right to left into their order: pdfium has turned
/// them, as if they stood beside each other.
fn turn(glyph: &mut Glyph) {
    if let Sign::Text(letters) = &mut glyph.sign
        && letters
            .chars()
            .filter(|&c| is_leftward(c) && !is_combining(c))
            .count()
            > 1
    {
        *letters = letters.chars().rev().collect();
    }
}

/// Side of the cells in which characters are looked up, pixels.
const CELL: f32 = 16.0;
/// Equal characters of a cell that one is compared with at most.
const MAX_LOOKED_AT: usize = 64;

/// Where each character was seen, by cells.
#[derive(Default)]
struct Seen(HashMap<(char, i32, i32), Vec<(f32, f32)>>);

impl Seen {
    fn is_twice(&mut self, ch: char, span: &Span) -> bool {
        let (u, v) = (span.middle(), span.base);
        let (near, low) = (TWICE * span.width(), TWICE * 0.5 * span.size);
        let (near, low) = (near.min(2.0 * CELL), low.min(2.0 * CELL));
        let cell = |x: f32| (x / CELL).floor() as i32;
        let known = (cell(u - near)..=cell(u + near)).any(|i| {
            (cell(v - low)..=cell(v + low)).any(|j| {
                self.0.get(&(ch, i, j)).is_some_and(|at| {
                    at.iter()
                        .rev()
                        .take(MAX_LOOKED_AT)
                        .any(|&(a, b)| (a - u).abs() < near && (b - v).abs() < low)
                })
            })
        });
        if !known {
            self.0
                .entry((ch, cell(u), cell(v)))
                .or_default()
                .push((u, v));
        }
        known
    }
}
