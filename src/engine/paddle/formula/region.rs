//! From the regions of a page to the LaTeX of its formulas.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::display::display;
use super::glyphs::Glyph;
use super::ink::rules;
use super::parts::joined;
use super::tree::Piece;
use crate::engine::paddle::deskew::Pose;
use crate::engine::paddle::layer::{Level, Upright, is_unmapped};
use crate::engine::paddle::layout::{Region, area, intersection, union};
use crate::engine::paddle::line::{Line, Source};
use crate::engine::paddle::pixels::Pixels;
use crate::page::{CharKind, PageChar, PageChars, Role};

/// Glyphs of a formula at most.
const MAX_GLYPHS: usize = 500;
/// How far a glyph may stand outside its region's box, in its formula's font size: the layout model
/// cuts off limits and brackets.
const OUTSIDE: f32 = 0.7;
/// How far a line of the region may reach beyond what became LaTeX, font sizes: a comma.
const BEYOND: f32 = 0.5;
/// Part of the characters of the region's lines that must be glyphs of the formula: both are of the
/// same layer then.
const SAME: f32 = 0.5;
/// How near such a glyph stands to one inside, font sizes: lines of text stand further apart.
const NEAR: f32 = 0.35;
/// Direction up to which a glyph is level, radians.
const LEVEL: f32 = 0.02;
/// Two of one sign nearer than this, font sizes, are one, printed twice.
const TWICE: f32 = 0.04;

/// Two glyphs nearer than this, font sizes, are in one place.
const SAME_PLACE: f32 = 0.005;

/// A formula that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// LaTeX between `$$`, each on a line of its own.
    pub markdown: String,
    /// Where its glyphs stand, and its region: x1, y1, x2, y2, fractions of the upright page.
    pub at: [f32; 4],
}

/// Formulas by region: of those that are formulas and whose characters are the PDF's own; `None` for
/// all others, and where a formula is not understood. `page` is the upright page image, `pose` how
/// it lies in the displayed page.
pub fn of_regions(
    page: &Pixels<'_>,
    regions: &[Region],
    lines: &[Line],
    chars: Option<&PageChars>,
    pose: &Pose,
) -> Vec<Option<Formula>> {
    let is_formula = |r: &Region| Role::of(r.label) == Role::Formula;
    let Some(chars) = chars.filter(|_| pose.is_level() && regions.iter().any(is_formula)) else {
        return vec![None; regions.len()];
    };
    let [width, height] = [page.width as f32, page.height as f32];
    let frame = Upright {
        rotation: pose.rotation,
        width,
        height,
    };
    let glyphs: Vec<Found> = chars
        .chars
        .iter()
        .filter_map(|c| found(c, &frame))
        .collect();
    let places: Vec<[f32; 4]> = regions.iter().map(|r| r.pixels(width, height)).collect();
    regions
        .iter()
        .enumerate()
        .map(|(i, region)| {
            if !is_formula(region) || !is_own(places[i], lines) {
                return None;
            }
            let others = || (0..places.len()).filter(|&j| j != i);
            // What stands in two regions would be written twice.
            let twice = |j: usize| {
                let is_part = regions[j].label == "inline_formula"
                    || Role::of(regions[j].label) == Role::FormulaNumber;
                let least = area(places[i]).min(area(places[j]));
                !is_part && intersection(places[i], places[j]) > 0.5 * least
            };
            if others().any(twice) {
                return None;
            }
            let others: Vec<[f32; 4]> = others().map(|j| places[j]).collect();
            let found = formula(page, places[i], &others, &glyphs, lines);
            tracing::trace!("formula at {:?}: {found:?}", places[i]);
            let (markdown, [x1, y1, x2, y2]) = found?;
            Some(Formula {
                markdown,
                at: [x1 / width, y1 / height, x2 / width, y2 / height],
            })
        })
        .collect()
}

/// Whether the PDF's own lines were taken in a place. What was read from the image beside them is no
/// matter: what the image shows must all be explained by glyphs.
fn is_own(at: [f32; 4], lines: &[Line]) -> bool {
    let mut own = lines.iter().filter(|l| l.source == Source::Layer);
    own.any(|l| is_in(l, at))
}

fn is_in(line: &Line, at: [f32; 4]) -> bool {
    contains(at, [line.at.cx, line.at.cy])
}

/// Whether the PDF's own lines are made of these glyphs: where a layer of somebody's OCR was taken
/// and the drawn one refused, they are not.
fn agree<'a>(lines: impl Iterator<Item = &'a Line>, glyphs: &[&Found]) -> bool {
    let folded = |c: char| c.nfkc().filter(|c| !c.is_whitespace());
    let mut there: HashMap<char, usize> = HashMap::new();
    for c in glyphs.iter().flat_map(|f| folded(f.glyph.ch)) {
        *there.entry(c).or_default() += 1;
    }
    let (mut all, mut same) = (0, 0);
    for line in lines.filter(|l| l.source == Source::Layer) {
        let mut text = line.text.clone();
        for level in [Level::Raised, Level::Lowered] {
            let (open, close) = level.marks();
            text = text.replace(open, "").replace(close, "");
        }
        for c in text.chars().flat_map(folded) {
            all += 1;
            if let Some(left) = there.get_mut(&c).filter(|left| **left > 0) {
                *left -= 1;
                same += 1;
            }
        }
    }
    same as f32 >= SAME * all as f32
}

fn contains(at: [f32; 4], [x, y]: [f32; 2]) -> bool {
    (at[0]..=at[2]).contains(&x) && (at[1]..=at[3]).contains(&y)
}

/// A glyph of the page.
struct Found {
    glyph: Glyph,
    /// Whether it can be part of a formula: mapped, level.
    good: bool,
}

fn middle(glyph: &Glyph) -> [f32; 2] {
    [
        (glyph.ink[0] + glyph.ink[2]) / 2.0,
        (glyph.ink[1] + glyph.ink[3]) / 2.0,
    ]
}

/// A drawn character on the upright page; `None` for what shows nothing.
fn found(c: &PageChar, page: &Upright) -> Option<Found> {
    let empty =
        matches!(c.ch, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}');
    if c.kind != CharKind::Drawn || c.ch.is_whitespace() || empty {
        return None;
    }
    let [x1, _, x2, _] = page.rect([c.x1, c.y1, c.x2, c.y2]);
    let [x, base] = page.point(c.origin);
    let size = c.size * page.displayed_height();
    let ink = c.ink.map(|ink| page.rect(ink));
    let angle = page.angle(c);
    let level = angle.sin().abs() <= LEVEL && angle.cos() > 0.0;
    // A glyph without room of its own (a stroke, an accent) is where its outline is.
    let from = if x2 - x1 > 0.0 { x.clamp(x1, x2) } else { x };
    Some(Found {
        glyph: Glyph::new(c.ch, c.style, [from, x2.max(from)], base, size, ink),
        good: level && size > 0.0 && !is_unmapped(c.ch),
    })
}

/// A formula's Markdown and where its glyphs stand, pixels. `at`: its region, `others`: those around.
fn formula(
    page: &Pixels<'_>,
    at: [f32; 4],
    others: &[[f32; 4]],
    glyphs: &[Found],
    lines: &[Line],
) -> Option<(String, [f32; 4])> {
    let inside = |g: &Glyph, at: [f32; 4]| contains(at, middle(g));
    let within: Vec<&Found> = glyphs.iter().filter(|f| inside(&f.glyph, at)).collect();
    if within.is_empty() || within.len() > MAX_GLYPHS {
        return None;
    }
    let size = within.iter().map(|f| f.glyph.size).fold(0.0, f32::max);
    let more = OUTSIDE * size;
    let wide = [at[0] - more, at[1] - more, at[2] + more, at[3] + more];
    let beside = |g: &Glyph| {
        let free = inside(g, wide) && !others.iter().any(|&other| inside(g, other));
        free && within.iter().any(|f| is_near(&f.glyph, g))
    };
    let (all, left): (Vec<&Found>, Vec<&Found>) = glyphs
        .iter()
        .partition(|f| inside(&f.glyph, at) || beside(&f.glyph));
    if all.len() > MAX_GLYPHS || all.iter().any(|f| !f.good) {
        return None;
    }
    // The rest of a word or row that was taken from outside would stay text.
    let outside = all.iter().filter(|f| !inside(&f.glyph, at));
    let torn = |a: &Glyph| {
        let goes_on = |b: &Glyph| (a.base - b.base).abs() < 0.1 * a.size && is_near(a, b);
        left.iter().any(|f| goes_on(&f.glyph))
    };
    if outside.clone().any(|f| torn(&f.glyph)) {
        return None;
    }
    if !agree(lines.iter().filter(|l| is_in(l, at)), &all) {
        return None;
    }
    let mut all = joined(once(all.into_iter().map(|f| &f.glyph)))?;
    let seen = all.iter().map(|g| g.ink).fold(at, union);
    // The text of a line whose middle is here goes with the region.
    let most = BEYOND * size;
    let reaches = |l: &Line| {
        let [x1, _, x2, _] = l.at.bounds();
        x1 < seen[0] - most || x2 > seen[2] + most
    };
    if lines.iter().any(|l| is_in(l, at) && reaches(l)) {
        return None;
    }
    let near: Vec<Glyph> = glyphs
        .iter()
        .map(|f| &f.glyph)
        .filter(|g| {
            let [x1, y1, x2, y2] = g.ink;
            x1 < seen[2] && x2 > seen[0] && y1 < seen[3] && y2 > seen[1]
        })
        .cloned()
        .collect();
    if near.len() > 4 * MAX_GLYPHS {
        return None;
    }
    let rules = rules(page, seen, &mut all, &near, size)?;
    let mut pieces: Vec<Piece> = all.iter().map(Piece::of_glyph).collect();
    pieces.extend(rules.iter().map(Piece::of_rule));
    let latex = display(pieces)?;
    (!latex.is_empty()).then(|| (format!("$$\n{latex}\n$$"), seen))
}

/// Whether two glyphs stand as near as a limit and its operator.
fn is_near(a: &Glyph, b: &Glyph) -> bool {
    let apart = |i: usize| (a.ink[i] - b.ink[i + 2]).max(b.ink[i] - a.ink[i + 2]);
    let size = a.size.max(b.size);
    apart(0) <= NEAR * size && apart(1) <= NEAR * size
}

/// Each glyph once: bold type is faked by printing twice; letters that one glyph stands for share
/// its room.
fn once<'a>(glyphs: impl Iterator<Item = &'a Glyph>) -> Vec<Glyph> {
    let mut out: Vec<Glyph> = Vec::new();
    // Where the letters of the last glyph begin.
    let mut start = 0;
    for glyph in glyphs {
        let near = |a: f32, b: f32| (a - b).abs() < TWICE * glyph.size;
        let twice =
            |g: &Glyph| g.ch == glyph.ch && near(g.x[0], glyph.x[0]) && near(g.base, glyph.base);
        let one = out.get(start).is_some_and(|first| {
            let last = out.last().map_or(first.x[1], |l| l.x[1]);
            near(first.x[0], glyph.x[0])
                && near(first.base, glyph.base)
                && near(last, glyph.x[1])
                && first.ch.is_alphabetic()
                && glyph.ch.is_alphabetic()
        });
        // Both letters of an ff are in the very same place; type that is bold by two prints is not.
        let ligature = |first: &Glyph| {
            glyph.ch == 'f' && (first.x[0] - glyph.x[0]).abs() < SAME_PLACE * glyph.size
        };
        let several = out.len() > start + 1;
        if one && (several || ligature(&out[start]) || !twice(&out[start])) {
            out.push(glyph.clone());
            let count = (out.len() - start) as f32;
            let (from, to) = (glyph.x[0], glyph.x[1]);
            for (i, part) in out[start..].iter_mut().enumerate() {
                part.x = [i, i + 1].map(|i| from + (to - from) * i as f32 / count);
                (part.ink[0], part.ink[2]) = (part.x[0], part.x[1]);
            }
            continue;
        }
        if out.iter().any(twice) {
            continue;
        }
        start = out.len();
        out.push(glyph.clone());
    }
    out
}
