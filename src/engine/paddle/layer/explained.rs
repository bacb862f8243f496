//! What looks like text on a page image and is accounted for by no line. Pure.

use crate::engine::paddle::layout::{Region, area, union};
use crate::engine::paddle::pixels::{Pixels, Slanted};
use crate::page::Role;

/// Cells an inch: at 6 points a line of text is three cells high, rules and frames are one or two.
const CELLS: f32 = 33.0;
/// Cells of the second look, in those of the first.
const LARGE: usize = 4;
/// Difference of brightness (0 to 255) within a cell from which on it holds a mark.
const MARK: u8 = 40;
/// How far around a line its marks reach, in its heights: accents, tails, underlines.
const AROUND: f32 = 0.4;
/// A figure that covers more of the page may be a page that the layout model did not understand.
const PAGE_FIGURE: f32 = 0.25;

/// What lies around the marks as thick as text that stand outside the lines, outside `formulas` (x1,
/// y1, x2, y2 in pixels) and outside figures:
/// x1, y1, x2, y2 in pixels; `None` where there are none. `dpi`: pixels an inch of the page image.
pub fn unexplained(
    image: &Pixels<'_>,
    dpi: f32,
    lines: &[Slanted],
    formulas: &[[f32; 4]],
    regions: &[Region],
) -> Option<[f32; 4]> {
    let side = ((dpi / CELLS).round() as usize).max(2);
    // Large letters show only their edges in small cells.
    [side, LARGE * side]
        .into_iter()
        .filter_map(|side| at_side(image, side, lines, formulas, regions))
        .reduce(union)
}

fn at_side(
    image: &Pixels<'_>,
    side: usize,
    lines: &[Slanted],
    formulas: &[[f32; 4]],
    regions: &[Region],
) -> Option<[f32; 4]> {
    let (width, height) = (image.width as usize, image.height as usize);
    let (across, down) = (width.div_ceil(side), height.div_ceil(side));
    let mut marked = marks(image, side);
    let mut clear = |[x1, y1, x2, y2]: [f32; 4]| {
        let cell = |v: f32, most: usize| ((v / side as f32).max(0.0) as usize).min(most);
        let (from, to) = (cell(x1, across), cell(x2 + side as f32, across));
        for row in cell(y1, down)..cell(y2 + side as f32, down) {
            marked[row * across..][from.min(to)..to].fill(false);
        }
    };
    for line in lines {
        let grown = Slanted {
            width: line.width + 2.0 * AROUND * line.height,
            height: line.height * (1.0 + 2.0 * AROUND),
            ..*line
        };
        clear(grown.bounds());
    }
    formulas.iter().copied().for_each(&mut clear);
    for region in regions {
        let figure = Role::of(region.label) == Role::Figure
            || matches!(region.label, "header_image" | "footer_image");
        if figure && area(region.at) <= PAGE_FIGURE {
            clear(region.pixels(width as f32, height as f32));
        }
    }
    // Three cells by three: no rule is so thick.
    let thick = |x: usize, y: usize| {
        (y..y + 3).all(|y| {
            marked[y * across + x..y * across + x + 3]
                .iter()
                .all(|&m| m)
        })
    };
    let mut around: Option<[usize; 4]> = None;
    for y in 0..down.saturating_sub(2) {
        for x in (0..across.saturating_sub(2)).filter(|&x| thick(x, y)) {
            let [x1, y1, x2, y2] = around.unwrap_or([x, y, x + 3, y + 3]);
            around = Some([x1.min(x), y1.min(y), x2.max(x + 3), y2.max(y + 3)]);
        }
    }
    around.map(|cells| cells.map(|c| (c * side) as f32))
}

/// Which cells of `side` pixels hold a mark, row by row.
fn marks(image: &Pixels<'_>, side: usize) -> Vec<bool> {
    let (width, height) = (image.width as usize, image.height as usize);
    let across = width.div_ceil(side);
    let mut out = Vec::with_capacity(across * height.div_ceil(side));
    for rows in image.rgb.chunks(side * width * 3) {
        let mut range = vec![(u8::MAX, u8::MIN); across];
        for row in rows.chunks_exact(width * 3) {
            for (cell, pixels) in range.iter_mut().zip(row.chunks(side * 3)) {
                for p in pixels.chunks_exact(3) {
                    let grey = u32::from(p[0]) * 2 + u32::from(p[1]) * 5 + u32::from(p[2]);
                    let grey = (grey / 8) as u8;
                    *cell = (cell.0.min(grey), cell.1.max(grey));
                }
            }
        }
        out.extend(
            range
                .iter()
                .map(|(least, most)| most.saturating_sub(*least) >= MARK),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white page of 1000 by 600 pixels with black rectangles.
    fn page(black: &[[u32; 4]]) -> Pixels<'static> {
        let (width, height) = (1000u32, 600u32);
        let mut rgb = vec![255u8; (width * height * 3) as usize];
        for &[x1, y1, x2, y2] in black {
            for y in y1..y2 {
                let at = ((y * width + x1) * 3) as usize;
                rgb[at..at + ((x2 - x1) * 3) as usize].fill(0);
            }
        }
        Pixels {
            width,
            height,
            rgb: rgb.into(),
        }
    }

    /// Stems of a line of text, 20 pixels high.
    fn text(x: u32, y: u32) -> Vec<[u32; 4]> {
        (0..30)
            .map(|i| [x + i * 8, y, x + i * 8 + 3, y + 20])
            .collect()
    }

    fn line(x: u32, y: u32) -> Slanted {
        Slanted {
            cx: x as f32 + 120.0,
            cy: y as f32 + 10.0,
            width: 240.0,
            height: 24.0,
            angle: 0.0,
        }
    }

    #[test]
    fn text_without_a_line_is_not_explained_rules_and_figures_are() {
        let mut black = text(100, 100);
        // A frame and a rule.
        black.extend([[80, 80, 900, 84], [80, 80, 84, 560], [80, 300, 900, 302]]);
        let lines = [line(100, 100)];
        let left = |black: &[_], lines: &[Slanted], regions: &[Region]| {
            unexplained(&page(black), 200.0, lines, &[], regions)
        };
        assert_eq!(left(&black, &lines, &[]), None);
        assert!(left(&black, &[], &[]).is_some());
        black.extend(text(500, 400));
        let [x1, y1, x2, y2] = left(&black, &lines, &[]).unwrap();
        assert!(x1 > 490.0 && y1 > 390.0 && x2 < 750.0 && y2 < 430.0);
        assert!(x2 - x1 > 220.0 && y2 - y1 > 15.0);
        let region = |label, at| Region {
            label,
            score: 0.9,
            at,
        };
        let chart = region("chart", [0.45, 0.6, 0.8, 0.75]);
        assert_eq!(left(&black, &lines, &[chart]), None);
        let all = region("image", [0.0, 0.0, 1.0, 1.0]);
        assert!(left(&black, &lines, &[all]).is_some());
    }
}
