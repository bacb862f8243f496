//! Where a line's image has ink, column by column.

use crate::engine::paddle::pixels::Pixels;

/// Difference from the paper, in levels of 255, above which a pixel is ink; less on a line whose
/// darkest pixels differ by less than four times as much.
const INK: u32 = 64;
/// Least difference that is ink: JPEG and scanner noise on paper stays below.
const FAINT: u32 = 24;
/// Level below which paper is dark.
const DARK: u32 = 112;

/// Ink of a line's image, with the steps that a recogniser takes along it.
pub struct Ink {
    /// For each column of the image, whether it has ink.
    pub columns: Vec<bool>,
    /// CTC steps over all columns.
    pub steps: usize,
    /// Light text on dark paper.
    pub dark: bool,
}

impl Ink {
    pub fn of(image: &Pixels<'_>, steps: usize) -> Self {
        let (w, h) = (image.width as usize, image.height as usize);
        let gray: Vec<u8> = image
            .rgb
            .chunks_exact(3)
            .map(|p| ((u32::from(p[0]) * 2 + u32::from(p[1]) * 5 + u32::from(p[2])) / 8) as u8)
            .collect();
        // Paper: the most common of 16 levels.
        let mut levels = [0usize; 16];
        for &g in &gray {
            levels[usize::from(g / 16)] += 1;
        }
        let paper = levels
            .iter()
            .enumerate()
            .max_by_key(|(_, n)| **n)
            .map_or(15, |(l, _)| l as u32)
            * 16
            + 8;
        // Ink: what lies furthest from it and is more than specks.
        let furthest = levels
            .iter()
            .enumerate()
            .filter(|(_, n)| **n * 200 >= w * h)
            .map(|(l, _)| (l as u32 * 16 + 8).abs_diff(paper))
            .max()
            .unwrap_or(0);
        let limit = (furthest / 4).clamp(FAINT, INK);
        // The rows at the border may hold parts of other lines.
        let rows = h / 8..h - h / 8;
        let mut columns = vec![false; w];
        for row in gray.chunks_exact(w.max(1)).take(rows.end).skip(rows.start) {
            for (ink, &g) in columns.iter_mut().zip(row) {
                *ink |= u32::from(g).abs_diff(paper) > limit;
            }
        }
        Self {
            columns,
            steps,
            dark: paper < DARK,
        }
    }

    /// Longest run of columns without ink between two CTC steps, in pixels of the line's image:
    /// from the middle of one character to the middle of the next.
    pub fn gap(&self, from: usize, to: usize) -> usize {
        let at =
            |step: usize| (step * self.columns.len() / self.steps.max(1)).min(self.columns.len());
        let (mut longest, mut run) = (0, 0);
        for &ink in &self.columns[at(from)..at(to + 1)] {
            run = if ink { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }

    /// Where to cut an image so that no part is wider than `widest` columns: in the middles of the
    /// widest gaps of the last third of each part. Ends of the parts, the last is the width.
    pub fn cuts(&self, widest: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut from = 0;
        while self.columns.len() - from > widest {
            let first = from + widest * 2 / 3;
            let (mut best, mut run) = ((0, from + widest), 0);
            for x in first..from + widest {
                run = if self.columns[x] { 0 } else { run + 1 };
                if run > best.0 {
                    best = (run, x + 1 - run / 2);
                }
            }
            from = best.1;
            ends.push(from);
        }
        ends.push(self.columns.len());
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(columns: &[u8], height: usize) -> Pixels<'static> {
        let row: Vec<u8> = columns.iter().flat_map(|&v| [v; 3]).collect();
        Pixels {
            width: columns.len() as u32,
            height: height as u32,
            rgb: row.repeat(height).into(),
        }
    }

    #[test]
    fn ink_is_what_differs_from_the_paper() {
        let black = Ink::of(&image(&[250, 0, 250, 250, 250, 0, 250, 250], 16), 8);
        assert_eq!(black.columns.iter().filter(|&&c| c).count(), 2);
        assert_eq!((black.gap(1, 5), black.dark), (3, false));
        let white = Ink::of(&image(&[20, 250, 20, 20, 20, 250], 16), 6);
        assert!(white.dark && white.columns[1] && !white.columns[0]);
        let faint = Ink::of(&image(&[230, 180, 230, 230, 230, 180], 16), 6);
        assert!(faint.columns[1] && !faint.columns[2], "grey on white");
    }

    #[test]
    fn a_wide_line_is_cut_in_its_widest_gap() {
        let mut columns = vec![true; 250];
        columns[70..74].fill(false);
        columns[80..90].fill(false);
        columns[30..60].fill(false); // too near to the start
        let ink = Ink {
            columns,
            steps: 31,
            dark: false,
        };
        assert_eq!(ink.cuts(100), [85, 185, 250]);
        assert_eq!(ink.cuts(250), [250]);
    }
}
