//! What the page image shows of a formula that is no glyph: bars of fractions, rules of roots, lines
//! over letters. Pure.

use super::glyphs::Glyph;
use super::signs;
use crate::engine::paddle::pixels::Pixels;

/// A horizontal rule: x1, y1, x2, y2 in pixels of the upright page image.
pub type Rule = [f32; 4];

/// Part of the way from the lightest to the darkest pixel from which on a pixel is dark.
const DARK: f32 = 0.35;
/// Difference of brightness (0 to 255) below which there is nothing to see.
const CONTRAST: f32 = 40.0;
/// Length of a rule at least and its thickness at most, font sizes, and the same in pixels.
const LONG: f32 = 0.2;
const THICK: f32 = 0.14;
const LEAST_LENGTH: usize = 4;
const LEAST_THICKNESS: usize = 3;
/// Share of a rule's length that stands outside glyphs.
const FREE: f32 = 0.3;
/// Pixels around a glyph's outline that are its own, and font sizes around a box that is only taken
/// from the kind of letter.
const MARGIN: f32 = 1.5;
const OVERHANG: f32 = 0.14;
/// Area of dark pixels in one place that nothing explains, squares of the font size (a full stop has
/// 0.01, a comma 0.02), and its width, font sizes.
const LEFT: f32 = 0.012;
const LEFT_WIDE: f32 = 0.16;
/// Rules of a formula at most: more are hatching.
const MAX_RULES: usize = 100;
/// Height from which on what continues a bracket is a part of it, font sizes.
const PART: f32 = 0.3;

/// A part of the page image: where it stands, which pixels are dark.
struct Part {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    dark: Vec<bool>,
}

impl Part {
    /// The part inside `at` (x1, y1, x2, y2); `None` where that is outside the page, or dark by more
    /// than half.
    fn of(page: &Pixels<'_>, at: [f32; 4]) -> Option<Self> {
        let clamp = |v: f32, most: u32| v.clamp(0.0, most as f32) as usize;
        let (x, y) = (clamp(at[0], page.width), clamp(at[1], page.height));
        let (x2, y2) = (
            clamp(at[2].ceil(), page.width),
            clamp(at[3].ceil(), page.height),
        );
        let (width, height) = (x2.checked_sub(x)?, y2.checked_sub(y)?);
        if width == 0 || height == 0 {
            return None;
        }
        let mut gray = Vec::with_capacity(width * height);
        for row in y..y2 {
            let from = (row * page.width as usize + x) * 3;
            let pixels = page.rgb.get(from..from + width * 3)?;
            gray.extend(pixels.chunks_exact(3).map(|p| {
                let [r, g, b] = [p[0], p[1], p[2]].map(f32::from);
                (2.0 * r + 5.0 * g + b) / 8.0
            }));
        }
        let lightest = gray.iter().copied().fold(0.0, f32::max);
        let darkest = gray.iter().copied().fold(255.0, f32::min);
        let limit = lightest - DARK * (lightest - darkest).max(CONTRAST);
        let dark: Vec<bool> = gray.into_iter().map(|v| v < limit).collect();
        // Light on dark ground nothing could be told.
        let ground = dark.iter().filter(|&&d| d).count() * 2 > dark.len();
        (!ground).then_some(Self {
            x,
            y,
            width,
            height,
            dark,
        })
    }

    /// Whether a row (pixels of the page) has dark pixels between two columns.
    fn is_dark(&self, [x1, x2]: [f32; 2], y: f32) -> bool {
        let row = y - self.y as f32;
        if row < 0.0 || row >= self.height as f32 {
            return false;
        }
        let clamp = |v: f32| (v - self.x as f32).clamp(0.0, self.width as f32) as usize;
        let (from, start) = (clamp(x1), row as usize * self.width);
        let row = self
            .dark
            .get(start + from..start + clamp(x2.ceil()).max(from));
        row.is_some_and(|row| row.contains(&true))
    }

    /// The pixels of glyphs, with `above` pixels above and below each.
    fn known<'a>(&self, glyphs: impl Iterator<Item = &'a Glyph>, above: f32) -> Vec<bool> {
        let mut known = vec![false; self.dark.len()];
        for glyph in glyphs {
            let [x1, y1, x2, y2] = glyph.ink;
            let beside = if glyph.exact {
                MARGIN
            } else {
                (OVERHANG * glyph.size).max(MARGIN)
            };
            let grown = [x1 - beside, y1 - above, x2 + beside, y2 + above];
            self.fill(grown, &mut known);
        }
        known
    }

    /// Sets the pixels inside a box (pixels of the page).
    fn fill(&self, at: [f32; 4], out: &mut [bool]) {
        let clamp = |v: f32, from: usize, most: usize| (v - from as f32).clamp(0.0, most as f32);
        let (x1, x2) = (
            clamp(at[0].floor(), self.x, self.width) as usize,
            clamp(at[2].ceil(), self.x, self.width) as usize,
        );
        let (y1, y2) = (
            clamp(at[1].floor(), self.y, self.height) as usize,
            clamp(at[3].ceil(), self.y, self.height) as usize,
        );
        for row in y1..y2 {
            if x1 < x2
                && let Some(row) = out.get_mut(row * self.width + x1..row * self.width + x2)
            {
                row.fill(true);
            }
        }
    }
}

/// The rules inside `at` (x1, y1, x2, y2, pixels). `own`: the formula's glyphs, of which tall brackets
/// become as high as they are; `glyphs`: those of the page that may stand around. `size`: the
/// formula's largest font size, pixels. `None` where the image shows something that is neither a
/// glyph nor a rule, so that glyphs alone would not say all.
pub fn rules(
    page: &Pixels<'_>,
    at: [f32; 4],
    own: &mut [Glyph],
    glyphs: &[Glyph],
    size: f32,
) -> Option<Vec<Rule>> {
    let part = Part::of(page, at)?;
    // White on white, or under something.
    let hidden = |g: &Glyph| {
        let [x1, y1, x2, y2] = g.ink;
        let mut rows = (y1.floor() as i32..=y2.ceil() as i32).map(|y| y as f32);
        g.ch.is_alphanumeric() && !rows.any(|y| part.is_dark([x1, x2], y))
    };
    if own.iter().any(hidden) {
        return None;
    }
    grow(&part, own);
    let all = || glyphs.iter().chain(own.iter());
    // Bars of small fractions are a pixel or two away from their letters.
    let rules = long_runs(&part, &part.known(all(), 0.5), size);
    if rules.len() > MAX_RULES {
        return None;
    }
    let mut known = part.known(all(), MARGIN);
    for [x1, y1, x2, y2] in &rules {
        part.fill([x1 - 2.0, y1 - MARGIN, x2 + 2.0, y2 + MARGIN], &mut known);
    }
    let most = [LEFT * size * size, LEFT_WIDE * size].map(|v| v.max(6.0) as usize);
    is_explained(&part, &known, most).then_some(rules)
}

/// Makes tall brackets as high as the image shows them: of those that a font makes of parts, some
/// files have a character for one part only.
fn grow(part: &Part, own: &mut [Glyph]) {
    for i in 0..own.len() {
        let glyph = &own[i];
        if !(signs::is_fence(glyph.ch) || glyph.ch == '√') {
            continue;
        }
        let more = PART * glyph.size;
        let [mut x1, y1, mut x2, y2] = glyph.ink;
        // The middle of a brace reaches to its side.
        match glyph.ch {
            '{' => x1 -= more,
            '}' => x2 += more,
            _ => {}
        }
        // Other glyphs in the way end it.
        let stops: Vec<[f32; 2]> = own
            .iter()
            .enumerate()
            .filter(|(j, g)| *j != i && g.ink[0] < x2 && g.ink[2] > x1)
            .map(|(_, g)| [g.ink[1], g.ink[3]])
            .collect();
        let goes_on =
            |y: f32| !stops.iter().any(|s| (s[0]..=s[1]).contains(&y)) && part.is_dark([x1, x2], y);
        let (mut top, mut bottom) = (y1, y2);
        while goes_on(top - 1.0) || goes_on(top - 2.0) {
            top -= 1.0;
        }
        while goes_on(bottom + 1.0) || goes_on(bottom + 2.0) {
            bottom += 1.0;
        }
        // Less is the outline's own fringe.
        if y1 - top > more || bottom - y2 > more {
            own[i].ink = [x1, top, x2, bottom];
        }
    }
}

/// Rows of dark pixels that are long and thin, for the most part outside glyphs.
fn long_runs(part: &Part, known: &[bool], size: f32) -> Vec<Rule> {
    let long = ((LONG * size) as usize).max(LEAST_LENGTH);
    let thick = ((THICK * size).ceil() as usize).max(LEAST_THICKNESS);
    // Runs that go on in the row below: first and last column, first and last row.
    let mut open: Vec<[usize; 4]> = Vec::new();
    let mut done: Vec<[usize; 4]> = Vec::new();
    for y in 0..part.height {
        let row = &part.dark[y * part.width..(y + 1) * part.width];
        let mut runs: Vec<[usize; 2]> = Vec::new();
        let mut start = None;
        for x in 0..=part.width {
            match (row.get(x).copied().unwrap_or(false), start) {
                (true, None) => start = Some(x),
                (false, Some(from)) => {
                    if x - from >= long {
                        runs.push([from, x]);
                    }
                    start = None;
                }
                _ => {}
            }
        }
        let mut next: Vec<[usize; 4]> = Vec::new();
        for [from, to] in runs {
            let above = open.iter().position(|o| {
                let both = to.min(o[1]).saturating_sub(from.max(o[0]));
                4 * both >= 3 * (to - from).max(o[1] - o[0])
            });
            next.push(match above {
                Some(i) => {
                    let o = open.swap_remove(i);
                    [o[0].min(from), o[1].max(to), o[2], y + 1]
                }
                None => [from, to, y, y + 1],
            });
        }
        done.append(&mut open);
        open = next;
    }
    done.append(&mut open);
    let mut rules = Vec::new();
    for [from, to, top, bottom] in done {
        if bottom - top > thick {
            continue;
        }
        // The row in the middle says where it stands outside glyphs.
        let y = (top + bottom) / 2;
        let free: Vec<usize> = (from..to)
            .filter(|x| !known.get(y * part.width + x).copied().unwrap_or(true))
            .collect();
        if let (Some(&first), Some(&last)) = (free.first(), free.last())
            && free.len() as f32 >= FREE * (last + 1 - first) as f32
            && free.len() >= long
        {
            let at = [
                first + part.x,
                top + part.y,
                last + 1 + part.x,
                bottom + part.y,
            ];
            rules.push(at.map(|v| v as f32));
        }
    }
    rules
}

/// Whether each dark area that nothing explains is small: `most` pixels in area, and in width. Areas
/// that reach over the border are of something beside the formula.
fn is_explained(part: &Part, known: &[bool], most: [usize; 2]) -> bool {
    let mut left: Vec<bool> = part
        .dark
        .iter()
        .zip(known)
        .map(|(dark, known)| *dark && !known)
        .collect();
    for start in 0..left.len() {
        if !left[start] {
            continue;
        }
        let (mut count, mut border) = (0, false);
        let mut ends = [usize::MAX, 0];
        let mut todo = vec![start];
        left[start] = false;
        while let Some(at) = todo.pop() {
            count += 1;
            let (x, y) = (at % part.width, at / part.width);
            ends = [ends[0].min(x), ends[1].max(x + 1)];
            border |= x == 0 || y == 0 || x + 1 == part.width || y + 1 == part.height;
            let mut visit = |at: usize| {
                if let Some(seen) = left.get_mut(at).filter(|seen| **seen) {
                    *seen = false;
                    todo.push(at);
                }
            };
            if x > 0 {
                visit(at - 1);
            }
            if x + 1 < part.width {
                visit(at + 1);
            }
            if y > 0 {
                visit(at - part.width);
            }
            visit(at + part.width);
        }
        if !border && (count > most[0] || ends[1] - ends[0] > most[1]) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::CharStyle;

    fn page(dark: &[[usize; 4]]) -> Pixels<'static> {
        let (width, height) = (200usize, 100usize);
        let mut rgb = vec![255; width * height * 3];
        for &[x1, y1, x2, y2] in dark {
            for y in y1..y2 {
                rgb[(y * width + x1) * 3..(y * width + x2) * 3].fill(0);
            }
        }
        Pixels {
            width: width as u32,
            height: height as u32,
            rgb: rgb.into(),
        }
    }

    fn glyph(at: [f32; 4]) -> Glyph {
        let x = [at[0], at[2]];
        Glyph::new('-', CharStyle::Upright, x, at[3], 28.0, Some(at))
    }

    #[test]
    fn bars_are_rules_and_signs_are_not() {
        let minus = [100, 50, 120, 52];
        let bar = [20, 50, 60, 52];
        let page = page(&[minus, bar, [30, 20, 45, 40]]);
        let glyphs = [
            glyph(minus.map(|v| v as f32)),
            glyph([30.0, 20.0, 45.0, 40.0]),
        ];
        let at = [5.0, 5.0, 190.0, 90.0];
        assert_eq!(
            rules(&page, at, &mut glyphs.clone(), &[], 28.0),
            Some(vec![[20.0, 50.0, 60.0, 52.0]])
        );
        // Without its glyph the block is something that is not known.
        assert_eq!(rules(&page, at, &mut glyphs[..1].to_vec(), &[], 28.0), None);
    }

    #[test]
    fn brackets_are_as_high_as_the_image_shows_them() {
        let page = page(&[[50, 10, 54, 90], [50, 10, 60, 12]]);
        let mut own = [Glyph::new(
            '[',
            CharStyle::Upright,
            [50.0, 60.0],
            90.0,
            28.0,
            Some([50.0, 50.0, 60.0, 90.0]),
        )];
        let at = [5.0, 2.0, 190.0, 98.0];
        assert_eq!(rules(&page, at, &mut own, &[], 28.0), Some(Vec::new()));
        assert_eq!(own[0].ink, [50.0, 10.0, 60.0, 90.0]);
    }
}
