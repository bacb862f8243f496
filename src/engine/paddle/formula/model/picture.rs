//! From a region of a page to the encoder's input.

use super::super::super::pixels::{Pixels, resize};
use crate::pack::{Fit, Formula};

/// Margins an inch around a formula: accents and feet that the region's box cuts off are let in,
/// the neighbours are not.
const MARGINS: f32 = 40.0;
/// Smallest side of a region that can be a formula, pixels.
const LEAST_SIDE: f32 = 4.0;

/// The part of a page (x, y, width, height, pixels) that shows the region at `at` (fractions: x1, y1,
/// x2, y2) with a margin. `None` where it is too small to show anything.
pub fn part(page: &Pixels<'_>, at: [f32; 4], dpi: f32) -> Option<[f64; 4]> {
    let (width, height) = (page.width as f32, page.height as f32);
    let [x1, y1, x2, y2] = [at[0] * width, at[1] * height, at[2] * width, at[3] * height];
    // What is no number is too small, too.
    if !(x2 - x1 >= LEAST_SIDE && y2 - y1 >= LEAST_SIDE) {
        return None;
    }
    let margin = (dpi / MARGINS).round();
    let [x1, y1] = [x1, y1].map(|v| (v - margin).floor().max(0.0));
    let [x2, y2] = [(x2, width), (y2, height)].map(|(v, most)| (v + margin).ceil().min(most));
    let [w, h] = [x2 - x1, y2 - y1];
    (w >= LEAST_SIDE && h >= LEAST_SIDE).then(|| [x1, y1, w, h].map(f64::from))
}

/// Appends `[channels, height, width]` values `(v - mean) / std` of `part` of a page, `v` 0.0 (black)
/// to 1.0.
pub fn append(page: &Pixels<'_>, part: [f64; 4], spec: &Formula, out: &mut Vec<f32>) {
    let [height, width] = spec.size;
    let [_, _, w, h] = part;
    let (w, h) = match spec.fit {
        Fit::Stretch => (width, height),
        Fit::Pad => {
            let scale = (f64::from(width) / w).min(f64::from(height) / h);
            let side = |v: f64, most: u32| ((v * scale).round() as u32).clamp(1, most);
            (side(w, width), side(h, height))
        }
    };
    let picture = resize(page, Some(part), w, h);
    let (row, plane) = (width as usize, width as usize * height as usize);
    for (channel, (mean, std)) in spec.mean.iter().zip(&spec.std).enumerate() {
        let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
        let start = out.len();
        out.resize(start + plane, table[255]);
        let lines = picture.rgb.chunks_exact(w as usize * 3);
        for (to, from) in out[start..].chunks_exact_mut(row).zip(lines) {
            for (value, pixel) in to.iter_mut().zip(from.chunks_exact(3)) {
                let seen = match spec.channels {
                    1 => grey(pixel),
                    _ => pixel[channel],
                };
                *value = table[usize::from(seen)];
            }
        }
    }
}

/// The luma of ITU-R BT.601.
fn grey(pixel: &[u8]) -> u8 {
    let weights = [0.299, 0.587, 0.114];
    let sum: f32 = weights
        .iter()
        .zip(pixel)
        .map(|(w, &v)| w * f32::from(v))
        .sum();
    sum.round() as u8
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    /// Red on the left, blue on the right.
    fn page(width: u32, height: u32) -> Pixels<'static> {
        let rgb = (0..height)
            .flat_map(|_| (0..width).map(|x| x < width / 2))
            .flat_map(|left| if left { [255, 0, 0] } else { [0, 0, 255] })
            .collect();
        Pixels { width, height, rgb }
    }

    #[test]
    fn a_padded_picture_keeps_its_proportions_on_white() {
        let page = page(80, 20);
        let mut values = Vec::new();
        let wide = Formula {
            size: [16, 32],
            mean: vec![0.5],
            std: vec![0.5],
            ..spec()
        };
        append(&page, [0.0, 0.0, 80.0, 20.0], &wide, &mut values);
        assert_eq!(values.len(), 16 * 32);
        let grey = |v: u8| (f32::from(v) / 255.0 - 0.5) / 0.5;
        // 32 x 8 of it are the picture.
        assert_eq!([values[0], values[31]], [grey(76), grey(29)]);
        assert_eq!([values[7 * 32], values[8 * 32]], [grey(76), 1.0]);
        assert!(values[8 * 32..].iter().all(|v| *v == 1.0));
    }

    #[test]
    fn a_stretched_picture_fills_the_size_in_colour() {
        let page = page(80, 20);
        let mut values = Vec::new();
        let colour = Formula {
            size: [16, 16],
            channels: 3,
            mean: vec![0.0, 0.5, 1.0],
            std: vec![1.0, 0.5, 0.25],
            fit: Fit::Stretch,
            ..spec()
        };
        append(&page, [0.0, 0.0, 80.0, 20.0], &colour, &mut values);
        assert_eq!(values.len(), 3 * 256);
        let corners: Vec<f32> = (0..3)
            .flat_map(|channel| [values[channel * 256], values[channel * 256 + 255]])
            .collect();
        assert_eq!(corners, [1.0, 0.0, -1.0, -1.0, -4.0, 0.0]);
    }

    #[test]
    fn a_part_has_a_margin_within_the_page() {
        let page = page(400, 200);
        assert_eq!(
            part(&page, [0.25, 0.25, 0.5, 0.5], 200.0),
            Some([95.0, 45.0, 110.0, 60.0])
        );
        assert_eq!(
            part(&page, [0.0, 0.99, 1.0, 1.2], 200.0),
            Some([0.0, 193.0, 400.0, 7.0])
        );
        assert_eq!(part(&page, [0.5, 0.5, 0.5, 0.6], 200.0), None);
        assert_eq!(part(&page, [0.5, 1.5, 0.6, 1.6], 200.0), None);
        assert_eq!(part(&page, [0.5, f32::NAN, 0.6, 1.6], 200.0), None);
    }
}
