//! Lines of text: PP-OCR detection.

mod boxes;

pub use self::boxes::along;
use self::boxes::boxes;
use super::pixels::{Order, Pixels, Slanted, planes, resize};
use super::windows;
use crate::engine::session::{Graph, RunError, View};

/// Sides of the input are multiples of this.
const STEP: u32 = 32;
/// Points of the input at most: the network takes 200 bytes of memory a point (measured with ONNX
/// Runtime 1.31.1), so 0.65 GB; an A4 page at 144 pixels per inch has 2.0 million.
const POINTS_MAX: f32 = 3.2e6;
/// Shorter side below which a page is not shrunk, and enlarged up to `ENLARGE` times (RapidOCR's
/// `limit_side_len`; it enlarges without limit).
const SHORT_MIN: f32 = 736.0;
const ENLARGE: f32 = 2.0;
/// A page that had to be shrunk below this part of the wanted scale, and whose lines are then
/// lower than so many points at the median, is looked at again in bands: the network misses lines
/// of less than ten points, and a band costs as much as a page.
const SHRUNK: f32 = 0.75;
const LOW: f32 = 11.0;
/// Bands at most, and by how much they overlap: parts of the shorter side, more than a line's
/// height.
const BANDS: u32 = 6;
const OVERLAP: f32 = 0.05;

pub struct Detect {
    graph: Box<dyn Graph>,
    /// Pixels per inch at which lines are looked for.
    dpi: f32,
    /// Longest side of the input.
    longest: f32,
}

impl Detect {
    pub fn new(graph: Box<dyn Graph>, dpi: f32, longest: u32) -> Self {
        Self {
            graph,
            dpi,
            longest: longest as f32,
        }
    }

    /// Boxes of the lines, in pixels of `page`, which has `dpi` pixels per inch. A long page is
    /// looked at in parts.
    pub fn of(&mut self, page: &Pixels<'_>, dpi: f32) -> Result<Vec<Slanted>, RunError> {
        let mut all = Vec::new();
        for part in windows::of(page) {
            let (wanted, scale) = self.scales(part, dpi);
            let mut lines = self.part(page, part, scale)?;
            if scale < SHRUNK * wanted && median_height(&lines) * scale < LOW {
                let closer = self.bands(page, part, wanted, scale)?;
                if closer.len() > lines.len() {
                    lines = closer;
                }
            }
            rejoin(&mut all, lines, part[0] as f32);
        }
        if all.is_empty()
            && let Some(part) = windows::inked(page)
        {
            let (wanted, _) = self.scales(part, dpi);
            let points = part[2] as f32 * part[3] as f32;
            all = self.part(page, part, wanted.min((POINTS_MAX / points).sqrt()))?;
        }
        Ok(all)
    }

    /// Points of the map a pixel: as wanted, and as the bounds allow.
    fn scales(&self, [_, _, w, h]: [u32; 4], dpi: f32) -> (f32, f32) {
        let (w, h) = (w as f32, h as f32);
        let wanted = (self.dpi / dpi)
            .min(1.0)
            .max((SHORT_MIN / w.min(h)).min(ENLARGE));
        let scale = wanted
            .min(self.longest / w.max(h))
            .min((POINTS_MAX / (w * h)).sqrt());
        (wanted, scale)
    }

    /// Boxes of the lines of the part `[x, y, width, height]` of a page, in pixels of the page.
    fn part(
        &mut self,
        page: &Pixels<'_>,
        part: [u32; 4],
        scale: f32,
    ) -> Result<Vec<Slanted>, RunError> {
        let [x, y, w, h] = part.map(|v| v as f32);
        let side = |v: f32| ((v * scale / STEP as f32).round() as u32).max(1) * STEP;
        let (width, height) = (side(w), side(h));
        let whole = part == [0, 0, page.width, page.height];
        let small = resize(page, (!whole).then(|| part.map(f64::from)), width, height);
        let mut data = Vec::new();
        planes(
            &small,
            Order::Bgr,
            [0.5; 3],
            [0.5; 3],
            width as usize,
            &mut data,
        );
        let shape = [1, 3, i64::from(height), i64::from(width)];
        let mut lines = Vec::new();
        self.graph
            .run(&[("x", View::new(&shape, &data))], &[], &mut |out| {
                if let Some(map) = out.first() {
                    lines = boxes(map.f32(), width as usize, height as usize);
                }
            })?;
        let (fx, fy) = (w / width as f32, h / height as f32);
        Ok(lines
            .iter()
            .map(|l| {
                let line = l.scaled(fx, fy);
                Slanted {
                    cx: line.cx + x,
                    cy: line.cy + y,
                    ..line
                }
            })
            .collect())
    }

    /// As [`Self::part`], in bands over the whole width at a larger scale. Where bands overlap, a
    /// line is taken from the one whose own part holds its middle.
    fn bands(
        &mut self,
        page: &Pixels<'_>,
        [x, y, w, h]: [u32; 4],
        wanted: f32,
        scale: f32,
    ) -> Result<Vec<Slanted>, RunError> {
        let count = (((wanted / scale).powi(2)).ceil() as u32).clamp(2, BANDS);
        let overlap = (w.min(h) as f32 * OVERLAP) as u32;
        let mut all = Vec::new();
        for i in 0..count {
            let (own, end) = (h * i / count, h * (i + 1) / count);
            let top = own.saturating_sub(overlap);
            let part = [x, y + top, w, (end + overlap).min(h) - top];
            let points = part[2] as f32 * part[3] as f32;
            let scale = wanted.min((POINTS_MAX / points).sqrt());
            let rows = (y + own) as f32..(y + end) as f32;
            all.extend(
                self.part(page, part, scale)?
                    .into_iter()
                    .filter(|l| rows.contains(&l.cy)),
            );
        }
        Ok(all)
    }
}

/// Appends the lines of the next part of a broad page, which begins at `seam`, pixels; 0 on the
/// first and on pages cut from top to bottom. A line that reaches the cut goes on in the one at the
/// same height that begins there: it was cut between two words.
fn rejoin(all: &mut Vec<Slanted>, next: Vec<Slanted>, seam: f32) {
    for line in next {
        let [x1, _, x2, _] = line.bounds();
        let cut = all.iter_mut().find(|o| {
            seam > 0.0
                && (x1 - seam).abs() < line.height
                && (o.bounds()[2] - seam).abs() < line.height
                && (o.cy - line.cy).abs() < 0.3 * line.height
                && o.angle.abs().max(line.angle.abs()) < LEVEL
        });
        match cut {
            Some(o) => {
                let from = o.bounds()[0];
                *o = Slanted {
                    cx: (from + x2) / 2.0,
                    cy: (o.cy + line.cy) / 2.0,
                    width: x2 - from,
                    height: o.height.max(line.height),
                    angle: (line.cy - o.cy).atan2(line.cx - o.cx),
                };
            }
            None => all.push(line),
        }
    }
}

/// Slant up to which two ends of a line are put together, radians.
const LEVEL: f32 = 0.05;

/// Median height of lines; 0 without any.
fn median_height(lines: &[Slanted]) -> f32 {
    let mut heights: Vec<f32> = lines.iter().map(|l| l.height).collect();
    heights.sort_by(f32::total_cmp);
    heights.get(heights.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks every dark point of the input as text, and notes the inputs' shapes.
    struct Dark(std::sync::Arc<std::sync::Mutex<Vec<[i64; 2]>>>);

    impl Graph for Dark {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let shape = inputs[0].1.shape;
            let points = (shape[2] * shape[3]) as usize;
            let map: Vec<f32> = inputs[0].1.f32()[..points]
                .iter()
                .map(|&v| if v < 0.0 { 0.9 } else { 0.0 })
                .collect();
            self.0.lock().unwrap().push([shape[3], shape[2]]);
            take(&[View::new(&[1, 1, shape[2], shape[3]], &map)]);
            Ok(())
        }
    }

    /// A white page with black bars `[x, y, width, height]`; boxes found, and shapes of inputs.
    fn found(w: u32, h: u32, bars: &[[u32; 4]]) -> (Vec<Slanted>, Vec<[i64; 2]>) {
        let mut rgb = vec![255u8; (w * h * 3) as usize];
        for &[x, y, bw, bh] in bars {
            for row in y..y + bh {
                let at = ((row * w + x) * 3) as usize;
                rgb[at..at + (bw * 3) as usize].fill(0);
            }
        }
        let page = Pixels {
            width: w,
            height: h,
            rgb: rgb.into(),
        };
        let shapes = std::sync::Arc::default();
        let mut detect = Detect::new(Box::new(Dark(std::sync::Arc::clone(&shapes))), 144.0, 2400);
        let lines = detect.of(&page, 200.0).unwrap();
        let shapes = shapes.lock().unwrap().clone();
        (lines, shapes)
    }

    #[test]
    fn a_long_page_keeps_its_scale_and_its_places() {
        let bars: Vec<[u32; 4]> = (0..40).map(|i| [50, 40 + i * 150, 500, 20]).collect();
        let (lines, shapes) = found(600, 6000, &bars);
        assert!(shapes.len() >= 5, "{shapes:?}");
        assert_eq!(lines.len(), 40);
        for (line, bar) in lines.iter().zip(&bars) {
            let (x, y) = (bar[0] as f32 + 250.0, bar[1] as f32 + 10.0);
            assert!(
                (line.cx - x).abs() < 3.0 && (line.cy - y).abs() < 3.0,
                "{line:?}"
            );
            assert!(line.width > 480.0 && line.width < 560.0, "{line:?}");
        }
    }

    #[test]
    fn small_print_on_a_large_page_is_looked_at_closer() {
        let bars: Vec<[u32; 4]> = (0..40).map(|i| [100, 50 + i * 90, 1500, 7]).collect();
        let (lines, shapes) = found(3000, 4000, &bars);
        assert!(shapes.len() > 1, "{shapes:?}");
        assert_eq!(lines.len(), 40);
        let (_, shapes) = found(1700, 2200, &bars[..20]);
        assert_eq!(shapes.len(), 1, "an A4 page costs one look");
    }

    #[test]
    fn a_line_that_the_parts_of_a_broad_page_cut_is_one_again() {
        let word = |from: f32, cy: f32| Slanted {
            cx: from + 90.0,
            cy,
            width: 180.0,
            height: 30.0,
            angle: 0.0,
        };
        let mut all = vec![word(10.0, 50.0)];
        rejoin(&mut all, vec![word(205.0, 51.0), word(205.0, 90.0)], 197.0);
        assert_eq!(all.len(), 2, "the same line, and another");
        assert_eq!(all[0].bounds().map(f32::round)[2], 385.0);
        rejoin(&mut all, vec![word(390.0, 50.0)], 0.0);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_small_mark_on_an_empty_page_is_looked_at_closer() {
        let (_, shapes) = found(1700, 2200, &[[800, 1000, 60, 2]]);
        assert_eq!(shapes.len(), 2, "{shapes:?}");
        assert!(shapes[1][0] * shapes[1][1] < shapes[0][0] * shapes[0][1] / 2);
    }
}
