//! Whether a table's lines are drawn (`table_cls.onnx` of the package table-cls, by Qanything).

use super::super::pixels::{Order, Pixels, planes, resize};
use crate::engine::session::{Graph, RunError, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines are drawn between its cells.
    Wired,
    /// White space alone stands between them, or lines between some.
    Lineless,
}

/// Side of the model's input: the table is squeezed into the square (table-cls, `QanythingCls`).
const SIDE: u32 = 224;
/// ImageNet's mean and deviation, as table-cls normalises.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

pub struct Kinds {
    graph: Box<dyn Graph>,
}

impl Kinds {
    pub fn new(graph: Box<dyn Graph>) -> Self {
        Self { graph }
    }

    /// The kind of the table that fills `image`.
    pub fn of(&mut self, image: &Pixels<'_>) -> Result<Kind, RunError> {
        let mut square = resize(image, None, SIDE, SIDE);
        grey(&mut square);
        let mut data = Vec::new();
        planes(&square, Order::Rgb, MEAN, STD, SIDE as usize, &mut data);
        let mut kind = Kind::Lineless;
        let shape = [1, 3, i64::from(SIDE), i64::from(SIDE)];
        self.graph
            .run(&[("input", View::new(&shape, &data))], &[], &mut |out| {
                // Scores of wired and wireless.
                if let Some([wired, lineless, ..]) = out.first().map(|v| v.f32())
                    && wired > lineless
                {
                    kind = Kind::Wired;
                }
            })?;
        Ok(kind)
    }
}

/// Takes the colours away: all three channels hold the luma of ITU-R BT.601, as OpenCV has it.
fn grey(image: &mut Pixels<'_>) {
    for pixel in image.rgb.to_mut().chunks_exact_mut(3) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        pixel.fill((0.299 * r + 0.587 * g + 0.114 * b).round() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wired where the image is dark.
    struct Dark;
    impl Graph for Dark {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let data = inputs[0].1.f32();
            assert_eq!(data.len(), 3 * 224 * 224);
            let mean = data.iter().sum::<f32>() / data.len() as f32;
            take(&[View::new(&[1, 2], &[-mean, mean])]);
            Ok(())
        }
    }

    #[test]
    fn the_greater_score_decides() {
        let page = |v: u8| Pixels {
            width: 40,
            height: 30,
            rgb: vec![v; 3600].into(),
        };
        let mut kinds = Kinds::new(Box::new(Dark));
        assert_eq!(kinds.of(&page(0)).unwrap(), Kind::Wired);
        assert_eq!(kinds.of(&page(255)).unwrap(), Kind::Lineless);
    }

    #[test]
    fn grey_is_weighted() {
        let mut red = Pixels {
            width: 1,
            height: 1,
            rgb: vec![255, 0, 0].into(),
        };
        grey(&mut red);
        assert_eq!(red.rgb.to_vec(), [76, 76, 76]);
    }
}
