//! Long pages in parts: models see a page squeezed into a square, or shrunk to a longest side, and
//! the text of a receipt or a web page printed on one sheet vanishes.

use super::pixels::{Pixels, resize};

/// A page more than this many times as long as wide is taken in parts.
const LONG: u32 = 3;
/// Pixels of the shorter side at which blank rows are looked for: a line of text of an A4 page has
/// five rows there.
const SHORT: u32 = 256;
/// Difference between the lightest and the darkest pixel of a blank row, levels of 255.
const BLANK: u8 = 16;

/// The parts `[x, y, width, height]` of a page, pixels, in order; they cover it without overlap.
/// Parts of a page at most: each is a run of the models.
const PARTS: usize = 24;

/// One part for a page that is not long; else parts one to two times as long as wide, cut in the
/// middles of the widest blank bands, so that no line is cut where there is one.
pub fn of(page: &Pixels<'_>) -> Vec<[u32; 4]> {
    let (w, h) = (page.width, page.height);
    let (short, long) = (w.min(h), w.max(h));
    if long <= LONG * short {
        return vec![[0, 0, w, h]];
    }
    let scale = f64::from(SHORT.min(short)) / f64::from(short);
    let side = |v: u32| ((f64::from(v) * scale).round() as u32).max(1);
    let small = resize(page, None, side(w), side(h));
    let blank = blank(&small, h > w);
    let at = |i: usize| (i as f64 / blank.len() as f64 * f64::from(long)).round() as u32;
    let width = (small.width.min(small.height) as usize).max(blank.len().div_ceil(PARTS));
    let mut from = 0;
    let mut parts = Vec::new();
    let mut part = |a: u32, b: u32| {
        parts.push(if h > w {
            [0, a, w, b - a]
        } else {
            [a, 0, b - a, h]
        });
    };
    while blank.len() - from > 2 * width {
        let to = widest(&blank, from + width, from + 2 * width);
        part(at(from), at(to));
        from = to;
    }
    part(at(from), long);
    parts
}

/// The part `[x, y, width, height]` of a page that has anything on it, with a margin; `None` where
/// that is no small part of it.
pub fn inked(page: &Pixels<'_>) -> Option<[u32; 4]> {
    let (w, h) = (page.width, page.height);
    let scale = (f64::from(SHORT * 4) / f64::from(w.min(h))).min(1.0);
    let side = |v: u32| ((f64::from(v) * scale).round() as u32).max(1);
    let small = resize(page, None, side(w), side(h));
    let extent = |down: bool, whole: u32| {
        let blank = blank(&small, down);
        let first = blank.iter().position(|b| !b)?;
        let last = blank.iter().rposition(|b| !b)?;
        let at = |i: usize| (i as f64 / blank.len() as f64 * f64::from(whole)) as u32;
        let (from, to) = (at(first).saturating_sub(MARGIN), at(last + 1) + MARGIN);
        Some((from, to.min(whole) - from))
    };
    let ((x, width), (y, height)) = (extent(false, w)?, extent(true, h)?);
    let part = u64::from(width) * u64::from(height);
    (part * 4 < u64::from(w) * u64::from(h)).then_some([x, y, width, height])
}

/// Pixels around what is on a page: the detector marks nothing at the very edge.
const MARGIN: u32 = 48;

/// By row (`down`) or column of an image, whether nothing is there.
fn blank(image: &Pixels<'_>, down: bool) -> Vec<bool> {
    let (w, h) = (image.width as usize, image.height as usize);
    let count = if down { h } else { w };
    let mut ends = vec![(u8::MAX, u8::MIN); count];
    for (y, row) in image.rgb.chunks_exact(w * 3).enumerate() {
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            let end = &mut ends[if down { y } else { x }];
            for &v in pixel {
                *end = (end.0.min(v), end.1.max(v));
            }
        }
    }
    ends.iter().map(|(low, high)| high - low < BLANK).collect()
}

/// The middle of the widest blank band between two rows; the last row where there is none.
fn widest(blank: &[bool], from: usize, to: usize) -> usize {
    let (mut best, mut run) = ((0usize, to), 0usize);
    for (i, &b) in blank[from..to].iter().enumerate() {
        run = if b { run + 1 } else { 0 };
        if run >= best.0 && run > 0 {
            best = (run, from + i + 1 - run.div_ceil(2));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white page with black rows where `ink` says so.
    fn page(w: u32, h: u32, ink: impl Fn(u32) -> bool) -> Pixels<'static> {
        let mut rgb = Vec::new();
        for y in 0..h {
            for x in 0..w {
                rgb.extend([if ink(y) && x % 2 == 0 { 0u8 } else { 255 }; 3]);
            }
        }
        Pixels {
            width: w,
            height: h,
            rgb: rgb.into(),
        }
    }

    #[test]
    fn only_long_pages_are_cut_and_between_their_lines() {
        assert_eq!(of(&page(100, 300, |_| true)), [[0, 0, 100, 300]]);
        // Text all over, but for a narrow band and a wide one.
        let parts = of(&page(100, 450, |y| {
            !(120..124).contains(&y) && !(160..180).contains(&y) && !(300..310).contains(&y)
        }));
        assert_eq!(parts.iter().map(|p| p[3]).sum::<u32>(), 450);
        let starts: Vec<u32> = parts.iter().map(|p| p[1]).collect();
        assert_eq!(starts.len(), 3, "{parts:?}");
        assert!((168..172).contains(&starts[1]), "{parts:?}");
        assert!((303..307).contains(&starts[2]), "{parts:?}");
    }

    #[test]
    fn a_broad_page_is_cut_into_columns() {
        let parts = of(&page(700, 100, |_| false));
        assert!(parts.len() >= 4);
        assert_eq!(parts.iter().map(|p| p[2]).sum::<u32>(), 700);
        assert!(
            parts
                .iter()
                .all(|p| p[1] == 0 && p[3] == 100 && p[2] <= 200)
        );
    }
}
