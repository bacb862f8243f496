//! Glyphs of one line, from left to right, become text: spaces at gaps, order of reading, super-
//! and subscripts. Pure.

use super::bidi::logical;
use super::frame::{Frame, Span};
use super::glyphs::{Glyph, Sign};
use super::scripts::{Level, is_ideographic, mirrored, push_typed};
use crate::engine::paddle::line::{Line, Source};

/// A gap between two characters separates words from this part of their mean advance on (a space of
/// common fonts is half of it, kerning a tenth) ...
const GAP: f32 = 0.25;
/// ... but never below, and always above these parts of the font size.
const GAP_SIZES: [f32; 2] = [0.1, 0.17];
/// Between ideographs, parts of the font size: justified lines have gaps.
const WIDE_GAP: f32 = 0.6;
/// A space that pdfium put in counts from this gap on, part of the font size, and between characters
/// of one size and baseline: it puts spaces beside super- and subscripts too.
const GUESS: f32 = 0.02;
/// From this median gap on, part of the font size, a line is set with its letters apart.
const LETTERS_APART: f32 = 0.12;
/// Glyphs that a line must have before its letters count as set apart.
const APART_LEAST: usize = 5;
/// Size of super- and subscripts at most, and how far their baseline lies off, parts of the line's
/// font size (TeX: 0.7, up by 0.36, down by 0.15; office programs: 0.58 to 0.66, up by 0.33, down
/// by 0.08 to 0.14).
const SCRIPT_SIZE: f32 = 0.85;
const RAISED: f32 = 0.2;
const LOWERED: f32 = 0.07;
/// Sizes that differ by less than this part count as one.
const SAME_SIZE: f32 = 0.08;

/// One character or mark of the text, and where it stands: `u` in pixels.
struct Piece {
    text: String,
    u: [f32; 2],
    level: Level,
}

/// The line of glyphs that are sorted along it; `None` when nothing is to be said.
pub fn line(glyphs: &[&Glyph], frame: &Frame) -> Option<Line> {
    let shown: Vec<&Glyph> = glyphs.iter().copied().filter(|g| !g.is_space()).collect();
    let main = main(&shown)?;
    let from = shown.iter().map(|g| g.span.u[0]).fold(f32::MAX, f32::min);
    let to = shown.iter().map(|g| g.span.u[1]).fold(f32::MIN, f32::max);
    let width = to - from;
    if width <= 0.0 {
        return None;
    }
    let pieces = with_spaces(glyphs, &shown, &main);
    let texts: Vec<&str> = pieces.iter().map(|p| p.text.as_str()).collect();
    let order = logical(&texts);
    let mut out = Line {
        at: frame.slanted([from, to], main.v),
        text: String::new(),
        score: 1.0,
        extents: Vec::new(),
        source: Source::Layer,
    };
    let mut i = 0;
    while i < order.len() {
        let level = pieces[order[i].0].level;
        let mut end = i + 1;
        while end < order.len() && pieces[order[end].0].level == level {
            end += 1;
        }
        let run: Vec<(String, [f32; 2])> = order[i..end]
            .iter()
            .map(|&(at, turned)| {
                let piece = &pieces[at];
                let extent = piece.u.map(|u| ((u - from) / width).clamp(0.0, 1.0));
                (typed(&piece.text, turned), extent)
            })
            .collect();
        push_run(&mut out, level, &run);
        i = end;
    }
    (!out.text.trim().is_empty()).then_some(out)
}

/// Size, baseline and height of most of the line: those of the size that takes most room.
fn main(shown: &[&Glyph]) -> Option<Span> {
    let mut sizes: Vec<(f32, f32)> = Vec::new(); // size, room
    for glyph in shown {
        let (size, room) = (glyph.span.size, glyph.span.width());
        match sizes
            .iter_mut()
            .find(|(s, _)| (*s - size).abs() <= SAME_SIZE * s.max(size))
        {
            Some((_, sum)) => *sum += room,
            None => sizes.push((size, room)),
        }
    }
    let (size, _) = *sizes
        .iter()
        .max_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)))?;
    let of: Vec<&Span> = shown
        .iter()
        .map(|g| &g.span)
        .filter(|s| (s.size - size).abs() <= SAME_SIZE * s.size.max(size))
        .collect();
    let median = |value: fn(&Span) -> f32| {
        let mut all: Vec<f32> = of.iter().map(|s| value(s)).collect();
        all.sort_by(f32::total_cmp);
        all.get(all.len() / 2).copied()
    };
    Some(Span {
        u: [0.0, 0.0],
        v: [median(|s| s.v[0])?, median(|s| s.v[1])?],
        base: median(|s| s.base)?,
        size,
    })
}

fn level(span: &Span, main: &Span) -> Level {
    if span.size > SCRIPT_SIZE * main.size {
        return Level::Line;
    }
    let up = (main.base - span.base) / main.size.max(1e-3);
    if up >= RAISED {
        Level::Raised
    } else if up <= -LOWERED {
        Level::Lowered
    } else {
        Level::Line
    }
}

/// The glyphs that show, in order, and the spaces between them.
fn with_spaces(glyphs: &[&Glyph], shown: &[&Glyph], main: &Span) -> Vec<Piece> {
    let mut spaces: Vec<(f32, bool)> = glyphs
        .iter()
        .filter(|g| g.is_space())
        .map(|g| (g.span.middle(), g.sign == Sign::Space))
        .collect();
    spaces.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gaps: Vec<Between> = shown
        .windows(2)
        .map(|pair| Between::of(pair[0], pair[1], &spaces))
        .collect();
    let apart = letters_apart(&gaps);
    let mut out = Vec::with_capacity(shown.len() * 2);
    for (i, glyph) in shown.iter().enumerate() {
        if let Some(before) = i.checked_sub(1)
            && gaps[before].is_space(apart)
        {
            let at = [shown[before].span.u[1], glyph.span.u[0]];
            out.push(Piece {
                text: " ".into(),
                u: [at[0].min(at[1]), at[0].max(at[1])],
                level: Level::Line,
            });
        }
        if let Sign::Text(text) = &glyph.sign {
            out.push(Piece {
                text: text.clone(),
                u: glyph.span.u,
                level: level(&glyph.span, main),
            });
        }
    }
    out
}

/// What lies between two glyphs that follow one another.
struct Between {
    /// Parts of the font size.
    gap: f32,
    /// From where on it separates words.
    limit: f32,
    /// Whether the file has a space there.
    space: bool,
    /// Whether pdfium put one there.
    guess: bool,
}

impl Between {
    /// `spaces`: middles along the line, and whether they are the file's own.
    fn of(a: &Glyph, b: &Glyph, spaces: &[(f32, bool)]) -> Self {
        let size = a.span.size.max(b.span.size).max(1e-3);
        let first = spaces.partition_point(|s| s.0 < a.span.middle());
        let there = spaces[first..]
            .iter()
            .take_while(|s| s.0 <= b.span.middle());
        let (mut space, mut guess) = (false, false);
        for &(_, own) in there {
            space |= own;
            guess |= !own;
        }
        let wide = |g: &Glyph| match &g.sign {
            Sign::Text(text) => text.chars().next_back().is_some_and(is_ideographic),
            _ => false,
        };
        let limit = if wide(a) && wide(b) {
            WIDE_GAP
        } else {
            let advance = (a.span.width() + b.span.width()) / 2.0 / size;
            (GAP * advance).clamp(GAP_SIZES[0], GAP_SIZES[1])
        };
        let (small, large) = (a.span.size.min(b.span.size), size);
        let alike = small > (1.0 - SAME_SIZE) * large
            && (a.span.base - b.span.base).abs() < LOWERED * large;
        Self {
            gap: (b.span.u[0] - a.span.u[1]) / size,
            limit,
            space,
            guess: guess && alike && !(wide(a) && wide(b)),
        }
    }

    /// `apart`: the gap between letters that are set apart.
    fn is_space(&self, apart: Option<f32>) -> bool {
        self.space
            || match apart {
                Some(median) => self.gap > (1.8 * median).max(self.limit),
                None => self.gap > self.limit || self.guess && self.gap > GUESS,
            }
    }
}

/// The usual gap of a line whose letters are set apart.
fn letters_apart(gaps: &[Between]) -> Option<f32> {
    let mut sorted: Vec<f32> = gaps.iter().filter(|g| !g.space).map(|g| g.gap).collect();
    if sorted.len() + 1 < APART_LEAST || gaps.iter().any(|g| g.limit == WIDE_GAP) {
        return None;
    }
    sorted.sort_by(f32::total_cmp);
    // Not a row of single letters or numbers that stand far apart.
    Some(sorted[sorted.len() / 2]).filter(|m| (LETTERS_APART..WIDE_GAP).contains(m))
}

fn typed(text: &str, turned: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_typed(&mut out, if turned { mirrored(c) } else { c });
    }
    out
}

/// Appends what stands at one level.
fn push_run(line: &mut Line, level: Level, run: &[(String, [f32; 2])]) {
    let mut push = |text: &str, extent: [f32; 2]| {
        let count = text.chars().count().max(1) as f32;
        for (i, c) in text.chars().enumerate() {
            let at = |i: usize| extent[0] + (extent[1] - extent[0]) * i as f32 / count;
            line.text.push(c);
            line.extents.push([at(i), at(i + 1)]);
        }
    };
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return;
    };
    // Signs alone are no script, but for those of charges: an asterisk, a hyphen of another size.
    let says = run.iter().any(|(t, _)| {
        t.chars()
            .any(|c| c.is_alphanumeric() || matches!(c, '+' | '\u{2212}'))
    });
    if level == Level::Line || !says {
        for (text, extent) in run {
            push(text, *extent);
        }
        return;
    }
    let all: Option<String> = run
        .iter()
        .flat_map(|(t, _)| t.chars())
        .map(|c| level.typed(c))
        .collect();
    if all.is_some() {
        for (text, extent) in run {
            let text: String = text.chars().filter_map(|c| level.typed(c)).collect();
            push(&text, *extent);
        }
        return;
    }
    let (open, close) = level.marks();
    push(open, [first.1[0]; 2]);
    for (text, extent) in run {
        push(text, *extent);
    }
    push(close, [last.1[1]; 2]);
}
