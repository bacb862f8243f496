//! What becomes of a page on its way through paper and a scanner, and the PDF of such pages.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};

use super::pictures;
use super::words::Seeded;

/// One change of a page's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Quarters of a turn, clockwise.
    Turn(u8),
    /// Degrees, clockwise.
    Skew(f32),
    /// Blur, then noise of this standard deviation (of 255).
    Dirt(f32),
    /// Light on dark.
    Invert,
}

/// How the pages of a document are made into pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Pixels per inch.
    pub dpi: f32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    pub changes: Vec<Change>,
}

impl Scan {
    /// The picture of a page that was drawn.
    pub fn of(&self, mut page: RgbImage) -> RgbImage {
        for change in &self.changes {
            page = match *change {
                Change::Turn(1) => image::imageops::rotate90(&page),
                Change::Turn(2) => image::imageops::rotate180(&page),
                Change::Turn(3) => image::imageops::rotate270(&page),
                Change::Turn(_) => page,
                Change::Skew(degrees) => skewed(&page, degrees),
                Change::Dirt(deviation) => dirty(&page, deviation),
                Change::Invert => {
                    image::imageops::invert(&mut page);
                    page
                }
            };
        }
        page
    }

    /// A PDF whose pages are these pictures.
    pub fn pdf(&self, pages: &[RgbImage]) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(pages.len());
        for page in pages {
            let (w, h) = page.dimensions();
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, self.quality)
                .encode(page.as_raw(), w, h, ExtendedColorType::Rgb8)
                .map_err(|e| e.to_string())?;
            out.push(pictures::Page {
                points: [w, h].map(|v| v as f32 * 72.0 / self.dpi),
                pixels: (w, h),
                attributes: "/Filter/DCTDecode",
                bytes: jpeg,
            });
        }
        Ok(pictures::pdf(&out))
    }
}

/// Turned about the middle by some degrees, bilinear; what comes in from outside is white.
fn skewed(page: &RgbImage, degrees: f32) -> RgbImage {
    let (w, h) = page.dimensions();
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (mx, my) = (w as f32 / 2.0, h as f32 / 2.0);
    let at = |x: i64, y: i64, channel: usize| -> f32 {
        if (0..i64::from(w)).contains(&x) && (0..i64::from(h)).contains(&y) {
            f32::from(page.get_pixel(x as u32, y as u32)[channel])
        } else {
            255.0
        }
    };
    RgbImage::from_fn(w, h, |x, y| {
        let (dx, dy) = (x as f32 + 0.5 - mx, y as f32 + 0.5 - my);
        let (sx, sy) = (
            cos * dx + sin * dy + mx - 0.5,
            cos * dy - sin * dx + my - 0.5,
        );
        let (fx, fy) = (sx.floor(), sy.floor());
        let (ax, ay) = (sx - fx, sy - fy);
        let (x, y) = (fx as i64, fy as i64);
        image::Rgb([0, 1, 2].map(|c| {
            let top = at(x, y, c) * (1.0 - ax) + at(x + 1, y, c) * ax;
            let bottom = at(x, y + 1, c) * (1.0 - ax) + at(x + 1, y + 1, c) * ax;
            (top * (1.0 - ay) + bottom * ay).round() as u8
        }))
    })
}

/// Blurred by the 3 x 3 binomial filter, greyish, with noise that is about Gaussian (the sum of
/// four uniform numbers), the same for all channels.
fn dirty(page: &RgbImage, deviation: f32) -> RgbImage {
    let (w, h) = page.dimensions();
    let mut seeded = Seeded::new(u64::from(w) << 32 | u64::from(h));
    // Four numbers of 0 to 1 have a variance of 4/12.
    let scale = deviation * 3f32.sqrt();
    RgbImage::from_fn(w, h, |x, y| {
        let noise = (0..4).map(|_| seeded.fraction() - 0.5).sum::<f32>() * scale;
        let mut sum = [0f32; 3];
        for (dy, wy) in [(-1, 1.0), (0, 2.0), (1, 1.0)] {
            for (dx, wx) in [(-1, 1.0), (0, 2.0), (1, 1.0)] {
                let near = page.get_pixel(
                    (i64::from(x) + dx).clamp(0, i64::from(w) - 1) as u32,
                    (i64::from(y) + dy).clamp(0, i64::from(h) - 1) as u32,
                );
                for (s, v) in sum.iter_mut().zip(near.0) {
                    *s += f32::from(v) * wx * wy / 16.0;
                }
            }
        }
        // Paper is not white and ink is not black.
        image::Rgb(sum.map(|s| (s * 0.78 + 38.0 + noise).clamp(0.0, 255.0) as u8))
    })
}
