//! Layout regions in reading order (PP-DocLayoutV3).

use super::pixels::{Order, Pixels, planes, resize};
use super::windows;
use crate::engine::session::{Graph, RunError, View};

/// The model's classes, by number.
pub const LABELS: [&str; 25] = [
    "abstract",
    "algorithm",
    "aside_text",
    "chart",
    "content",
    "display_formula",
    "doc_title",
    "figure_title",
    "footer",
    "footer_image",
    "footnote",
    "formula_number",
    "header",
    "header_image",
    "image",
    "inline_formula",
    "number",
    "paragraph_title",
    "reference",
    "reference_content",
    "seal",
    "table",
    "text",
    "vertical_text",
    "vision_footnote",
];

/// Side of the model's input; the page is squeezed into the square (PaddleX, PP-DocLayoutV3).
const SIDE: u32 = 800;

/// Scores above which a region counts (PaddleX, `layout_threshold` of PP-DocLayoutV3).
fn threshold(label: &str) -> f32 {
    match label {
        "text" | "doc_title" | "paragraph_title" | "figure_title" | "vertical_text" => 0.4,
        "seal" => 0.45,
        _ => 0.5,
    }
}

/// A region of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub label: &'static str,
    pub score: f32,
    /// Fractions of the page: x1, y1, x2, y2.
    pub at: [f32; 4],
}

impl Region {
    /// Where it stands on an image of `width` by `height`: x1, y1, x2, y2 in pixels.
    pub fn pixels(&self, width: f32, height: f32) -> [f32; 4] {
        let [x1, y1, x2, y2] = self.at;
        [x1 * width, y1 * height, x2 * width, y2 * height]
    }
}

pub struct Layout {
    graph: Box<dyn Graph>,
}

impl Layout {
    /// Names of the outputs to load the model with: boxes, count (the masks are left out).
    pub const OUTPUTS: [&str; 2] = ["fetch_name_0", "fetch_name_1"];

    pub fn new(graph: Box<dyn Graph>) -> Self {
        Self { graph }
    }

    /// Regions in reading order, without those that repeat another. A long page is looked at in
    /// parts.
    pub fn of(&mut self, page: &Pixels<'_>) -> Result<Vec<Region>, RunError> {
        let (w, h) = (page.width as f32, page.height as f32);
        let axis = usize::from(h > w);
        let reach = SEAM[axis] * w.min(h) / w.max(h);
        let mut all = Vec::new();
        for part in windows::of(page) {
            let [px, py, pw, ph] = part.map(|v| v as f32);
            let found = self.part(page, part)?.into_iter().map(|r| Region {
                at: [
                    (px + r.at[0] * pw) / w,
                    (py + r.at[1] * ph) / h,
                    (px + r.at[2] * pw) / w,
                    (py + r.at[3] * ph) / h,
                ],
                ..r
            });
            continued(
                &mut all,
                found.collect(),
                axis,
                [px / w, py / h][axis],
                reach,
            );
        }
        Ok(all)
    }

    /// Regions of the part `[x, y, width, height]` of a page, fractions of that part.
    fn part(&mut self, page: &Pixels<'_>, part: [u32; 4]) -> Result<Vec<Region>, RunError> {
        let whole = [0, 0, page.width, page.height] == part;
        let square = resize(page, (!whole).then(|| part.map(f64::from)), SIDE, SIDE);
        let mut data = Vec::new();
        planes(
            &square,
            Order::Rgb,
            [0.0; 3],
            [1.0; 3],
            SIDE as usize,
            &mut data,
        );
        let (w, h) = (part[2] as f32, part[3] as f32);
        let side = SIDE as f32;
        let mut found: Vec<(f32, Region)> = Vec::new();
        self.graph.run(
            &[
                ("im_shape", View::new(&[1, 2], &[side, side])),
                (
                    "image",
                    View::new(&[1, 3, i64::from(SIDE), i64::from(SIDE)], &data),
                ),
                ("scale_factor", View::new(&[1, 2], &[side / h, side / w])),
            ],
            &[],
            &mut |out| {
                let rows = out.first().map_or(&[][..], |v| v.f32());
                for row in rows.chunks_exact(7) {
                    let Some(&label) = LABELS.get(row[0] as usize).filter(|_| row[0] >= 0.0) else {
                        continue;
                    };
                    if row[1] < threshold(label) || !row.iter().all(|v| v.is_finite()) {
                        continue;
                    }
                    let at =
                        [row[2] / w, row[3] / h, row[4] / w, row[5] / h].map(|v| v.clamp(0.0, 1.0));
                    if at[2] > at[0] && at[3] > at[1] {
                        found.push((
                            row[6],
                            Region {
                                label,
                                score: row[1],
                                at,
                            },
                        ));
                    }
                }
            },
        )?;
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(distinct(found.into_iter().map(|(_, r)| r).collect()))
    }
}

/// Appends the regions of the next part of a long page, which begins at `seam` along `axis` (0: x,
/// 1: y). A region that ends within `reach` of the seam goes on in one of the same label and width
/// that begins there. All in fractions of the page.
fn continued(before: &mut Vec<Region>, after: Vec<Region>, axis: usize, seam: f32, reach: f32) {
    let across = 1 - axis;
    for region in after {
        let [a, b] = [region.at[across], region.at[across + 2]];
        let cut = before.iter_mut().find(|o| {
            let [c, d] = [o.at[across], o.at[across + 2]];
            o.label == region.label
                && (o.at[axis + 2] - seam).abs() < reach
                && (region.at[axis] - seam).abs() < reach
                && b.min(d) - a.max(c) > 0.8 * (b.max(d) - a.min(c))
        });
        match cut {
            Some(o) => {
                o.at[axis + 2] = region.at[axis + 2];
                o.at[across] = o.at[across].min(a);
                o.at[across + 2] = o.at[across + 2].max(b);
            }
            None => before.push(region),
        }
    }
}

/// How near to the cut a region's end is that was cut, in parts of the shorter side. From left to
/// right: a space between words. From top to bottom: half the space between two lines of a column,
/// less than half of that between paragraphs.
const SEAM: [f32; 2] = [0.04, 0.008];

pub fn area([x1, y1, x2, y2]: [f32; 4]) -> f32 {
    (x2 - x1).max(0.0) * (y2 - y1).max(0.0)
}

/// The rectangle around both.
pub fn union(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [
        a[0].min(b[0]),
        a[1].min(b[1]),
        a[2].max(b[2]),
        a[3].max(b[3]),
    ]
}

pub fn intersection(a: [f32; 4], b: [f32; 4]) -> f32 {
    area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ])
}

/// Leaves out a region that covers the same place as a better scored one: the same label at an
/// overlap of 0.6 (intersection over union), another label at 0.95 (PaddleX's thresholds of
/// non-maximum suppression for layout). Formulas inside a line are part of the line.
fn distinct(regions: Vec<Region>) -> Vec<Region> {
    let keep: Vec<bool> = regions
        .iter()
        .enumerate()
        .map(|(i, a)| {
            a.label != "inline_formula"
                && !regions.iter().enumerate().any(|(j, b)| {
                    let better = (b.score, j) > (a.score, i);
                    let common = intersection(a.at, b.at);
                    let union = area(a.at) + area(b.at) - common;
                    let limit = if a.label == b.label { 0.6 } else { 0.95 };
                    i != j
                        && better
                        && b.label != "inline_formula"
                        && union > 0.0
                        && common / union > limit
                })
        })
        .collect();
    regions
        .into_iter()
        .zip(keep)
        .filter_map(|(r, k)| k.then_some(r))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(Vec<f32>);
    impl Graph for Rows {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            assert_eq!(inputs[1].1.f32().len(), 3 * 800 * 800);
            take(&[View::new(&[(self.0.len() / 7) as i64, 7], &self.0)]);
            Ok(())
        }
    }

    #[test]
    fn regions_come_in_reading_order_without_doubles_or_weak_ones() {
        let rows = vec![
            22.0, 0.9, 0.0, 50.0, 100.0, 90.0, 2.0, // text, second
            6.0, 0.45, 0.0, 0.0, 100.0, 20.0, 1.0, // title, first
            22.0, 0.5, 0.0, 51.0, 100.0, 90.0, 3.0, // the same text, weaker
            21.0, 0.45, 0.0, 0.0, 50.0, 20.0, 0.0, // a table below its threshold
            99.0, 0.9, 0.0, 0.0, 50.0, 20.0, 0.0, // no such class
        ];
        let page = Pixels {
            width: 100,
            height: 100,
            rgb: vec![255; 30_000].into(),
        };
        let regions = Layout::new(Box::new(Rows(rows))).of(&page).unwrap();
        let labels: Vec<_> = regions.iter().map(|r| r.label).collect();
        assert_eq!(labels, ["doc_title", "text"]);
        assert_eq!(regions[1].at, [0.0, 0.5, 1.0, 0.9]);
    }

    #[test]
    fn what_a_cut_divided_is_one_region_again() {
        let region = |label, at| Region {
            label,
            score: 0.9,
            at,
        };
        let mut all = vec![
            region("text", [0.1, 0.1, 0.9, 0.199]),
            region("image", [0.1, 0.2, 0.3, 0.3]),
        ];
        let after = vec![
            region("text", [0.1, 0.201, 0.9, 0.3]),
            region("text", [0.1, 0.31, 0.9, 0.4]),
        ];
        continued(&mut all, after, 1, 0.2, 0.002);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].at, [0.1, 0.1, 0.9, 0.3]);
        // A paragraph that only begins near the cut.
        let mut all = vec![region("text", [0.1, 0.1, 0.9, 0.195])];
        let after = vec![region("text", [0.1, 0.201, 0.9, 0.3])];
        continued(&mut all, after, 1, 0.2, 0.002);
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_long_page_is_looked_at_in_parts() {
        let rows = vec![22.0, 0.9, 10.0, 50.0, 90.0, 100.0, 0.0];
        let page = Pixels {
            width: 100,
            height: 800,
            rgb: vec![255; 240_000].into(),
        };
        let regions = Layout::new(Box::new(Rows(rows))).of(&page).unwrap();
        assert!(regions.len() >= 4, "{regions:?}");
        assert!(
            (regions[0].at[1] - 50.0 / 800.0).abs() < 1e-3,
            "{regions:?}"
        );
        assert!(regions.windows(2).all(|r| r[0].at[3] <= r[1].at[1]));
    }
}
