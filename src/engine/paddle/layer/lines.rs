//! Characters of a text layer become lines. Pure.
//!
//! By each direction of reading: characters that follow one another in the file along one baseline
//! make a run; runs of one baseline a row; a row is cut where it has a gap as between columns. What
//! stands raised or lowered beside a line goes into it. Ideographs below one another in the file are
//! lines that read downwards.

use super::frame::{Frame, Page};
use super::glyphs::{Glyph, Group, Sign, groups};
use super::scripts::is_ideographic;
use super::text;
use crate::engine::paddle::line::Line;
use crate::page::{PageChars, Rotation};

/// A line of the text layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub line: Line,
    /// Whether most of it is not drawn.
    pub invisible: bool,
    /// Glyphs of it, and those among them that the file does not map, or maps to what cannot be:
    /// two characters in one place are not both what is seen there.
    pub glyphs: usize,
    pub unmapped: usize,
    /// How many of `unmapped` are counted for standing in one place.
    pub piled: usize,
    /// Whether it stands in a formula.
    pub formula: bool,
}

/// A gap above this, in line heights, begins a new line: columns stand further apart, words do not.
const COLUMN: f32 = 1.5;
/// The same where the file has other text between the two.
const ELSEWHERE: f32 = 0.8;
/// How far a character may stand back in its own run, in font sizes.
const BACK: f32 = 1.0;
/// Difference of baselines within a run, of runs of one row: in font sizes.
const RUN_LEVEL: f32 = 0.35;
const ROW_LEVEL: f32 = 0.15;
/// What stands raised or lowered: its size in that of the line (an initial's is larger), where its baseline lies (up, down)
/// and how near it stands, in the line's font sizes.
const SCRIPT_SIZE: std::ops::Range<f32> = 0.4..0.85;
const SCRIPT_UP: f32 = 0.8;
const SCRIPT_DOWN: f32 = 0.4;
const SCRIPT_NEAR: f32 = 0.5;
/// Glyphs of such a part at most, and lines of a page up to which parts are looked for.
const SCRIPT_GLYPHS: usize = 8;
const SCRIPT_LINES: usize = 4000;
/// Part of the narrower by which two glyphs that stand in one place overlap: kerning and italics reach
/// over each other by less.
const PILED: f32 = 0.6;
/// A direction that is none of the page's four must have this many glyphs: text along a curve does
/// not.
const SLANTED_LEAST: usize = 4;

/// The lines of a page: `rotation` is how its content is turned in the displayed page, `width` and
/// `height` are those of the upright page image in pixels.
pub fn lines(chars: &PageChars, rotation: Rotation, width: f32, height: f32) -> Vec<Found> {
    let page = Page {
        rotation,
        width,
        height,
    };
    let mut out = Vec::new();
    for mut group in groups(chars, &page) {
        let quarters = group.frame.angle / std::f32::consts::FRAC_PI_2;
        if (quarters - quarters.round()).abs() > 0.02 && group.glyphs.len() < SLANTED_LEAST {
            continue;
        }
        let standing = downwards(&mut group.glyphs);
        out.extend(
            standing
                .iter()
                .filter_map(|line| column(line, &group.frame)),
        );
        out.extend(level(&group));
    }
    out
}

fn found(line: Line, glyphs: &[&Glyph]) -> Found {
    let shown: Vec<&&Glyph> = glyphs.iter().filter(|g| !g.is_space()).collect();
    let piled = shown.windows(2).filter(|p| is_piled(p[0], p[1])).count();
    let unmapped = shown.iter().filter(|g| g.sign == Sign::Unmapped).count();
    let all = (unmapped + 2 * piled).min(shown.len());
    Found {
        line,
        invisible: shown.iter().filter(|g| g.invisible).count() * 2 > shown.len(),
        glyphs: shown.len(),
        unmapped: all,
        piled: all - unmapped,
        formula: false,
    }
}

/// Whether two glyphs, one after the other along a line, stand in one place.
fn is_piled(a: &Glyph, b: &Glyph) -> bool {
    let (a, b) = (&a.span, &b.span);
    let across = a.u[1].min(b.u[1]) - a.u[0].max(b.u[0]);
    (a.base - b.base).abs() < 0.3 * a.size.min(b.size) && across > PILED * a.width().min(b.width())
}

/// Characters that follow one another along a baseline.
struct Run {
    glyphs: Vec<usize>,
    u: [f32; 2],
    base: f32,
    size: f32,
}

impl Run {
    fn of(i: usize, glyph: &Glyph) -> Self {
        Self {
            glyphs: vec![i],
            u: glyph.span.u,
            base: glyph.span.base,
            size: glyph.span.size,
        }
    }

    fn takes(&self, glyph: &Glyph) -> bool {
        let span = &glyph.span;
        let size = self.size.max(span.size);
        let gap = (span.u[0] - self.u[1]).max(self.u[0] - span.u[1]);
        gap <= COLUMN * size
            && gap >= -BACK * size
            && fits(self.size, self.base, span.size, span.base)
    }

    fn push(&mut self, i: usize, glyph: &Glyph) {
        let span = &glyph.span;
        self.glyphs.push(i);
        if glyph.is_space() {
            return;
        }
        self.u = [self.u[0].min(span.u[0]), self.u[1].max(span.u[1])];
        if span.size >= SCRIPT_SIZE.end * self.size {
            self.base = span.base;
            self.size = self.size.max(span.size);
        }
    }
}

/// Whether a glyph stands on a line, or raised or lowered beside it, whichever of the two is the
/// smaller.
fn fits(a_size: f32, a_base: f32, b_size: f32, b_base: f32) -> bool {
    let (large, small) = (a_size.max(b_size), a_size.min(b_size));
    if (a_base - b_base).abs() <= RUN_LEVEL * small {
        return true;
    }
    let down = if a_size >= b_size {
        b_base - a_base
    } else {
        a_base - b_base
    };
    SCRIPT_SIZE.contains(&(small / large.max(1e-3)))
        && (-SCRIPT_UP * large..=SCRIPT_DOWN * large).contains(&down)
}

fn runs(glyphs: &[Glyph]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, glyph) in glyphs.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.takes(glyph) => run.push(i, glyph),
            // Spaces at the beginning of a line say nothing.
            _ if glyph.is_space() => {}
            _ => runs.push(Run::of(i, glyph)),
        }
    }
    runs
}

/// Lines that read along their group's direction.
fn level(group: &Group) -> Vec<Found> {
    let glyphs = &group.glyphs;
    let mut runs = runs(glyphs);
    runs.sort_by(|a, b| a.base.total_cmp(&b.base));
    let mut rows: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        let row = rows.last_mut().filter(|row| {
            row.first()
                .is_some_and(|first| run.base - first.base <= ROW_LEVEL * run.size.min(first.size))
        });
        match row {
            Some(row) => row.push(run),
            None => rows.push(vec![run]),
        }
    }
    let mut lines: Vec<Vec<&Glyph>> = rows.iter().flat_map(|row| cut(row, glyphs)).collect();
    attach(&mut lines);
    lines
        .iter()
        .filter_map(|line| Some(found(text::line(line, &group.frame)?, line)))
        .collect()
}

/// A row's glyphs from left to right, cut at gaps as between columns. Spaces come along.
fn cut<'a>(row: &[Run], glyphs: &'a [Glyph]) -> Vec<Vec<&'a Glyph>> {
    let mut all: Vec<(usize, &Glyph)> = row
        .iter()
        .enumerate()
        .flat_map(|(r, run)| run.glyphs.iter().map(move |&i| (r, &glyphs[i])))
        .collect();
    // By the left end, so that an accent's letter comes before it; equal ones in the file's order.
    all.sort_by(|a, b| a.1.span.u[0].total_cmp(&b.1.span.u[0]));
    let mut out: Vec<Vec<&Glyph>> = Vec::new();
    let mut last: Option<(usize, f32, f32)> = None; // run, reach, size
    let mut spaces: Vec<&Glyph> = Vec::new();
    for (run, glyph) in all {
        if glyph.is_space() {
            spaces.push(glyph);
            continue;
        }
        let apart = last.is_none_or(|(before, reach, size)| {
            let height = size.max(glyph.span.size);
            let limit = if before == run { COLUMN } else { ELSEWHERE };
            glyph.span.u[0] - reach > limit * height
        });
        match out.last_mut() {
            Some(line) if !apart => line.append(&mut spaces),
            _ => {
                spaces.clear();
                out.push(Vec::new());
            }
        }
        if let Some(line) = out.last_mut() {
            line.push(glyph);
        }
        let reach = match last {
            Some((_, reach, _)) if !apart => reach.max(glyph.span.u[1]),
            _ => glyph.span.u[1],
        };
        last = Some((run, reach, glyph.span.size));
    }
    out
}

/// What a line is to a raised or lowered part beside it.
struct Body {
    u: [f32; 2],
    base: f32,
    size: f32,
}

impl Body {
    fn of(line: &[&Glyph]) -> Self {
        let mut body = Self {
            u: [f32::MAX, f32::MIN],
            base: 0.0,
            size: 0.0,
        };
        for glyph in line.iter().filter(|g| !g.is_space()) {
            let span = &glyph.span;
            body.u = [body.u[0].min(span.u[0]), body.u[1].max(span.u[1])];
            if span.size > body.size {
                (body.size, body.base) = (span.size, span.base);
            }
        }
        body
    }

    /// How near a small part stands, where it can be one of this line.
    fn takes(&self, part: &Self, line: &[&Glyph]) -> Option<f32> {
        let near = SCRIPT_NEAR * self.size;
        let beside = part.u[0] <= self.u[1] + near && part.u[1] >= self.u[0] - near;
        let small = part.size < SCRIPT_SIZE.end * self.size;
        if !beside || !small || !fits(self.size, self.base, part.size, part.base) {
            return None;
        }
        // In a gap, or at an end; not over or under other characters.
        let mut nearest = f32::MAX;
        for glyph in line.iter().filter(|g| !g.is_space()) {
            let span = &glyph.span;
            let gap = (part.u[0] - span.u[1]).max(span.u[0] - part.u[1]);
            if gap < -0.3 * part.size {
                return None;
            }
            nearest = nearest.min(gap);
        }
        (nearest <= near).then_some(nearest)
    }
}

/// Puts small parts that the file has elsewhere into the lines that they are raised or lowered
/// beside.
fn attach(lines: &mut Vec<Vec<&Glyph>>) {
    if lines.len() > SCRIPT_LINES {
        return;
    }
    let mut bodies: Vec<Body> = lines.iter().map(|l| Body::of(l)).collect();
    for i in 0..lines.len() {
        if lines[i].len() > SCRIPT_GLYPHS {
            continue;
        }
        let home = (0..lines.len())
            .filter(|&j| j != i && !lines[j].is_empty())
            .filter_map(|j| Some((j, bodies[j].takes(&bodies[i], &lines[j])?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(j, _)| j);
        if let Some(j) = home {
            let part = std::mem::take(&mut lines[i]);
            lines[j].extend(part);
            lines[j].sort_by(|a, b| a.span.u[0].total_cmp(&b.span.u[0]));
            bodies[j] = Body::of(&lines[j]);
            bodies[i] = Body::of(&[]);
        }
    }
    lines.retain(|l| !l.is_empty());
}

/// Steps from one character to the next of a line that reads downwards, in font sizes.
const STEP: std::ops::Range<f32> = 0.6..1.8;
/// How far its characters stand beside each other.
const ASIDE: f32 = 0.3;
/// Characters that it has at least.
const DOWN_LEAST: usize = 3;

/// Takes out the lines that read downwards: ideographs that follow one another below each other.
fn downwards(glyphs: &mut Vec<Glyph>) -> Vec<Vec<Glyph>> {
    let below = |a: &Glyph, b: &Glyph| {
        let size = a.span.size.max(b.span.size);
        let middle = |g: &Glyph| (g.span.v[0] + g.span.v[1]) / 2.0;
        (b.span.middle() - a.span.middle()).abs() < ASIDE * size
            && STEP.contains(&((middle(b) - middle(a)) / size.max(1e-3)))
    };
    let mut out = Vec::new();
    let mut rest = Vec::with_capacity(glyphs.len());
    let mut line: Vec<Glyph> = Vec::new();
    let mut end = |line: &mut Vec<Glyph>, rest: &mut Vec<Glyph>| {
        let wide = line.iter().filter(|g| is_wide(g)).count();
        if line.len() >= DOWN_LEAST && wide * 2 > line.len() {
            out.push(std::mem::take(line));
        } else {
            rest.append(line);
        }
    };
    // They stay behind the glyph that they follow.
    let mut spaces = Vec::new();
    for glyph in glyphs.drain(..) {
        if glyph.is_space() {
            spaces.push(glyph);
            continue;
        }
        if line.last().is_none_or(|last| !below(last, &glyph)) {
            end(&mut line, &mut rest);
            rest.append(&mut spaces);
        }
        line.push(glyph);
    }
    end(&mut line, &mut rest);
    rest.append(&mut spaces);
    *glyphs = rest;
    out
}

fn is_wide(glyph: &Glyph) -> bool {
    matches!(&glyph.sign, Sign::Text(text) if text.chars().next().is_some_and(is_ideographic))
}

/// The line of glyphs below one another: it reads along its frame turned by a quarter clockwise.
fn column(glyphs: &[Glyph], frame: &Frame) -> Option<Found> {
    let turned = Frame::new(frame.angle + std::f32::consts::FRAC_PI_2);
    let along: Vec<Glyph> = glyphs
        .iter()
        .map(|g| {
            let mut glyph = g.clone();
            let span = &mut glyph.span;
            // Down is onwards, right is back across.
            (span.u, span.v) = (g.span.v, [-g.span.u[1], -g.span.u[0]]);
            span.base = span.v[1];
            glyph
        })
        .collect();
    let along: Vec<&Glyph> = along.iter().collect();
    Some(found(text::line(&along, &turned)?, &along))
}

#[cfg(test)]
mod tests;
