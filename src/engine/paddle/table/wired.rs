//! Structure of a table with drawn lines: the UNet of the package wired-table-rec 1.1.2
//! (`cycle_center_net_v2.onnx`; `TSRUnet`) marks the points of lines, segments come from the
//! marks, a grid from the segments.

use super::super::pixels::{Order, Pixels, planes, resize};
use super::ruling::{Lines, Marks};
use super::words::Frame;
use crate::engine::session::{Graph, RunError, View};

/// Longer side of the model's input at most, pixels (wired-table-rec, `inp_width`), and at least.
const SIDE: f32 = 1024.0;
const LEAST_SIDE: f32 = 512.0;
/// Height of a line of text in the model's input, pixels: at 640 for 1,214 pixels of a table, which
/// makes 16 of 30, it found the same lines as at 1,024, in 0.33 s on one core instead of 0.7 s.
const LETTERS: f32 = 13.0;
/// ImageNet's mean and deviation (wired-table-rec, `mean` and `std` over 255).
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Classes of points (wired-table-rec, `postprocess`): 0 is none.
const HORIZONTAL: u8 = 1;
const VERTICAL: u8 = 2;
/// Gaps in a line up to this times the root of the image's side are closed (wired-table-rec,
/// `hors_k` and `vert_k`).
const CLOSE: f32 = 1.2;

pub struct Wired {
    graph: Box<dyn Graph>,
}

impl Wired {
    pub fn new(graph: Box<dyn Graph>) -> Self {
        Self { graph }
    }

    /// The lines of the table that fills `image`, which is the turned region of `frame`. `letters`:
    /// height of its lines of text, pixels.
    pub fn of(
        &mut self,
        image: &Pixels<'_>,
        frame: &Frame,
        letters: f32,
    ) -> Result<Lines, RunError> {
        let longest = image.width.max(image.height).max(1) as f32;
        let wanted = longest * LETTERS / letters.max(1.0);
        let scale = wanted.clamp(LEAST_SIDE, SIDE) / longest;
        let side = |v: u32| ((v as f32 * scale).round() as u32).clamp(1, SIDE as u32);
        let (width, height) = (side(image.width), side(image.height));
        let small = resize(image, None, width, height);
        let mut data = Vec::new();
        planes(&small, Order::Rgb, MEAN, STD, width as usize, &mut data);
        let mut lines = Lines::default();
        let shape = [1, 3, i64::from(height), i64::from(width)];
        let (width, height) = (width as usize, height as usize);
        self.graph
            .run(&[("input", View::new(&shape, &data))], &[], &mut |out| {
                let classes = out.first().map_or(Vec::new(), |v| classes(v));
                if classes.len() == width * height {
                    let marks = Marks {
                        width,
                        height,
                        close: CLOSE * (width.max(height) as f32).sqrt(),
                        horizontal: classes.iter().map(|&c| c == HORIZONTAL).collect(),
                        vertical: classes.iter().map(|&c| c == VERTICAL).collect(),
                    };
                    lines = Lines::of(&marks, scale, frame);
                }
            })?;
        Ok(lines)
    }
}

fn classes(view: &View<'_>) -> Vec<u8> {
    let floats = view.f32().iter().map(|&v| v as u8);
    floats.chain(view.i64().iter().map(|&v| v as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a table of 200 x 120: three columns, three rows; the first row has one cell over the
    /// second and third column, the first column one over the second and third row.
    struct Drawing;
    const BARS: [(usize, usize, usize, usize); 9] = [
        (0, 0, 200, 3),
        (0, 40, 200, 43),
        (80, 80, 200, 83),
        (0, 117, 200, 120),
        (0, 0, 3, 120),
        (80, 0, 83, 120),
        (140, 43, 143, 80),
        (140, 83, 143, 120),
        (197, 0, 200, 120),
    ];
    impl Graph for Drawing {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let shape = inputs[0].1.shape;
            let (h, w) = (shape[2] as usize, shape[3] as usize);
            assert_eq!((h, w), (307, 512));
            let scale = w as f32 / 200.0;
            let mut classes = vec![0i64; w * h];
            for (x1, y1, x2, y2) in BARS {
                let class = if x2 - x1 > y2 - y1 { 1 } else { 2 };
                let at = |v: usize| (v as f32 * scale) as usize;
                for y in at(y1)..at(y2).min(h) {
                    classes[y * w + at(x1)..y * w + at(x2).min(w)].fill(class);
                }
            }
            take(&[View::new(&[1, 1, h as i64, w as i64], &classes)]);
            Ok(())
        }
    }

    #[test]
    fn cells_are_joined_where_no_line_is_drawn() {
        let image = Pixels {
            width: 200,
            height: 120,
            rgb: vec![255; 72_000].into(),
        };
        let frame = Frame::new([0.0, 0.0, 200.0, 120.0], &[]);
        let lines = Wired::new(Box::new(Drawing))
            .of(&image, &frame, 20.0)
            .unwrap();
        let grid = lines.grid([200.0, 120.0]).unwrap();
        let cells: Vec<_> = grid
            .cells
            .iter()
            .map(|c| (c.row, c.column, c.rowspan, c.colspan))
            .collect();
        let expected = [
            (0, 0, 1, 1),
            (0, 1, 1, 2),
            (1, 0, 2, 1),
            (1, 1, 1, 1),
            (1, 2, 1, 1),
            (2, 1, 1, 1),
            (2, 2, 1, 1),
        ];
        assert_eq!(cells, expected);
        let last = grid.cells[6].at;
        assert!(
            (last[0] - 141.5).abs() < 1.5 && (last[1] - 81.5).abs() < 1.5,
            "{last:?}"
        );
    }
}
