//! Pixels on their way into tensors: resizing, turning, cropping along a line, normalising.

use std::borrow::Cow;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::page::{PageImage, Rotation};

/// RGB, 8 bits a channel, row by row.
#[derive(Clone, Debug)]
pub struct Pixels<'a> {
    pub width: u32,
    pub height: u32,
    pub rgb: Cow<'a, [u8]>,
}

/// Resizes the part `[x, y, width, height]` of an image (the whole where `None`) with a bilinear
/// filter that averages where it shrinks.
pub fn resize(
    source: &Pixels<'_>,
    part: Option<[f64; 4]>,
    width: u32,
    height: u32,
) -> Pixels<'static> {
    if part.is_none() && (source.width, source.height) == (width, height) {
        return Pixels {
            width,
            height,
            rgb: source.rgb.to_vec().into(),
        };
    }
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    if let Some([x, y, w, h]) = part {
        options = options.crop(x, y, w, h);
    }
    let mut rgb = vec![255; width as usize * height as usize * 3];
    if let Err(e) = resize_into(&mut rgb, [width, height], source, &options) {
        // A white image is what a reader sees then.
        rgb.fill(255);
        tracing::warn!(
            "cannot resize an image of {} x {}: {e}",
            source.width,
            source.height
        );
    }
    Pixels {
        width,
        height,
        rgb: rgb.into(),
    }
}

/// Sizes come from page images that are not empty and from parts inside them, so nothing here fails.
/// Pixels of a known type: those whose type is known at run time alone would bring the code of all
/// thirteen, which takes minutes to compile.
fn resize_into(
    rgb: &mut [u8],
    [width, height]: [u32; 2],
    source: &Pixels<'_>,
    options: &ResizeOptions,
) -> Result<(), String> {
    let view = TypedImageRef::<U8x3>::from_buffer(source.width, source.height, &source.rgb)
        .map_err(|e| e.to_string())?;
    let mut target =
        TypedImage::<U8x3>::from_buffer(width, height, rgb).map_err(|e| e.to_string())?;
    Resizer::new()
        .resize_typed(&view, &mut target, options)
        .map_err(|e| e.to_string())
}

impl<'a> From<&'a PageImage> for Pixels<'a> {
    fn from(image: &'a PageImage) -> Self {
        Self {
            width: image.width,
            height: image.height,
            rgb: (&image.rgb[..]).into(),
        }
    }
}

/// The upright image of a page whose content is turned clockwise by `rotation`.
pub fn upright(source: Pixels<'_>, rotation: Rotation) -> Pixels<'_> {
    let (w, h) = (source.width as usize, source.height as usize);
    if rotation == Rotation::None {
        return source;
    }
    let (nw, nh) = if rotation == Rotation::Half {
        (w, h)
    } else {
        (h, w)
    };
    let mut rgb = Vec::with_capacity(source.rgb.len());
    for y in 0..nh {
        for x in 0..nw {
            let (sx, sy) = match rotation {
                Rotation::None => (x, y),
                Rotation::Quarter => (w - 1 - y, x),
                Rotation::Half => (w - 1 - x, h - 1 - y),
                Rotation::ThreeQuarter => (y, h - 1 - x),
            };
            let i = (sy * w + sx) * 3;
            rgb.extend_from_slice(&source.rgb[i..i + 3]);
        }
    }
    Pixels {
        width: nw as u32,
        height: nh as u32,
        rgb: rgb.into(),
    }
}

/// A rectangle in the upright page (fractions, 0.0 to 1.0) in the displayed page, whose content
/// is turned clockwise by `rotation`. The inverse of [`upright`] for boxes.
pub fn to_displayed([x1, y1, x2, y2]: [f32; 4], rotation: Rotation) -> [f32; 4] {
    match rotation {
        Rotation::None => [x1, y1, x2, y2],
        Rotation::Quarter => [1.0 - y2, x1, 1.0 - y1, x2],
        Rotation::Half => [1.0 - x2, 1.0 - y2, 1.0 - x1, 1.0 - y1],
        Rotation::ThreeQuarter => [y1, 1.0 - x2, y2, 1.0 - x1],
    }
}

/// Order of the colours in a tensor. PaddleOCR's text models were trained on OpenCV's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Rgb,
    Bgr,
}

/// Appends `[3, height, width]` values `(v / 255 - mean) / std`, each row padded with zeros to
/// `row` values.
pub fn planes(
    image: &Pixels<'_>,
    order: Order,
    mean: [f32; 3],
    std: [f32; 3],
    row: usize,
    out: &mut Vec<f32>,
) {
    let width = image.width as usize;
    let start = out.len();
    let plane = row * image.height as usize;
    out.resize(start + 3 * plane, 0.0);
    for channel in 0..3 {
        let from = if order == Order::Rgb {
            channel
        } else {
            2 - channel
        };
        let table: [f32; 256] =
            std::array::from_fn(|v| (v as f32 / 255.0 - mean[channel]) / std[channel]);
        let target = &mut out[start + channel * plane..start + (channel + 1) * plane];
        for (line, pixels) in target
            .chunks_exact_mut(row)
            .zip(image.rgb.chunks_exact(width * 3))
        {
            for (value, pixel) in line.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = table[usize::from(pixel[from])];
            }
        }
    }
}

/// A rectangle on an image, turned: the box of a line of text. Pixels, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slanted {
    pub cx: f32,
    pub cy: f32,
    /// Along the line.
    pub width: f32,
    /// Across the line.
    pub height: f32,
    /// Direction of the line, radians against the x axis, clockwise as seen.
    pub angle: f32,
}

impl Slanted {
    /// The upright rectangle around it: `[x1, y1, x2, y2]`.
    pub fn bounds(&self) -> [f32; 4] {
        let (s, c) = self.angle.sin_cos();
        let dx = (self.width * c.abs() + self.height * s.abs()) / 2.0;
        let dy = (self.width * s.abs() + self.height * c.abs()) / 2.0;
        [self.cx - dx, self.cy - dy, self.cx + dx, self.cy + dy]
    }

    /// On an image `factor` times as large.
    pub fn scaled(&self, fx: f32, fy: f32) -> Self {
        // The two factors differ by rounding to whole blocks only: the angle stays.
        let (s, c) = self.angle.sin_cos();
        let along = (c * fx).hypot(s * fy);
        let across = (s * fx).hypot(c * fy);
        Self {
            cx: self.cx * fx,
            cy: self.cy * fy,
            width: self.width * along,
            height: self.height * across,
            angle: self.angle,
        }
    }
}

/// Slant below which a line is cut out upright: 1.5 degrees move the end of a line of 20 heights
/// by half a height, which the margin of the box holds.
const UPRIGHT: f32 = 0.012;

/// The line's pixels at `height` rows, as wide as its proportions ask, at most `max_width`.
pub fn cut(image: &Pixels<'_>, line: &Slanted, height: u32, max_width: u32) -> Pixels<'static> {
    let (w, h) = (f64::from(image.width), f64::from(image.height));
    let wanted = |width: f64, rows: f64| {
        ((width / rows.max(1.0) * f64::from(height)).ceil() as u32).clamp(1, max_width)
    };
    if line.angle.abs() < UPRIGHT {
        let [x1, y1, x2, y2] = line.bounds().map(f64::from);
        let x1 = x1.clamp(0.0, w - 1.0);
        let y1 = y1.clamp(0.0, h - 1.0);
        let (cw, ch) = (x2.min(w) - x1, y2.min(h) - y1);
        let (cw, ch) = (cw.clamp(1.0, w - x1), ch.clamp(1.0, h - y1));
        return resize(image, Some([x1, y1, cw, ch]), wanted(cw, ch), height);
    }
    // Sampled at the page's own scale first, so that shrinking still averages.
    let (lw, lh) = (
        (line.width.ceil() as u32).max(1),
        (line.height.ceil() as u32).max(1),
    );
    let (lw, lh) = (
        lw.min(image.width + image.height),
        lh.min(image.width + image.height),
    );
    let (s, c) = line.angle.sin_cos();
    let mut rgb = Vec::with_capacity(lw as usize * lh as usize * 3);
    for v in 0..lh {
        let dv = v as f32 + 0.5 - lh as f32 / 2.0;
        for u in 0..lw {
            let du = u as f32 + 0.5 - lw as f32 / 2.0;
            rgb.extend_from_slice(&sample(
                image,
                line.cx + du * c - dv * s,
                line.cy + du * s + dv * c,
            ));
        }
    }
    let flat = Pixels {
        width: lw,
        height: lh,
        rgb: rgb.into(),
    };
    resize(&flat, None, wanted(f64::from(lw), f64::from(lh)), height)
}

/// Bilinear sample at a point (pixel centres at halves); the border's colour outside.
pub fn sample(image: &Pixels<'_>, x: f32, y: f32) -> [u8; 3] {
    let (fx, fy) = (x - 0.5, y - 0.5);
    let (x0, y0) = (fx.floor(), fy.floor());
    let (ax, ay) = (fx - x0, fy - y0);
    let at = |x: f32, y: f32| {
        let x = (x as i64).clamp(0, i64::from(image.width) - 1) as usize;
        let y = (y as i64).clamp(0, i64::from(image.height) - 1) as usize;
        let i = (y * image.width as usize + x) * 3;
        [image.rgb[i], image.rgb[i + 1], image.rgb[i + 2]]
    };
    let (a, b, c, d) = (
        at(x0, y0),
        at(x0 + 1.0, y0),
        at(x0, y0 + 1.0),
        at(x0 + 1.0, y0 + 1.0),
    );
    std::array::from_fn(|i| {
        let top = f32::from(a[i]) * (1.0 - ax) + f32::from(b[i]) * ax;
        let low = f32::from(c[i]) * (1.0 - ax) + f32::from(d[i]) * ax;
        (top * (1.0 - ay) + low * ay).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_upright_is_found_again_in_the_displayed_page() {
        // One dark pixel in a white page.
        let (w, h) = (7u32, 5u32);
        for rotation in [
            Rotation::None,
            Rotation::Quarter,
            Rotation::Half,
            Rotation::ThreeQuarter,
        ] {
            let mut rgb = vec![255; (w * h * 3) as usize];
            let (x, y) = (5u32, 1u32);
            rgb[((y * w + x) * 3) as usize] = 0;
            let turned = upright(
                Pixels {
                    width: w,
                    height: h,
                    rgb: rgb.into(),
                },
                rotation,
            );
            let i = turned.rgb.iter().position(|&v| v == 0).unwrap() / 3;
            let (ux, uy) = (
                (i % turned.width as usize) as f32,
                (i / turned.width as usize) as f32,
            );
            let (uw, uh) = (turned.width as f32, turned.height as f32);
            let b = to_displayed(
                [ux / uw, uy / uh, (ux + 1.0) / uw, (uy + 1.0) / uh],
                rotation,
            );
            let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
            assert!(
                close(b[0], 5.0 / 7.0) && close(b[1], 0.2),
                "{rotation:?} {b:?}"
            );
            assert!(
                close(b[2], 6.0 / 7.0) && close(b[3], 0.4),
                "{rotation:?} {b:?}"
            );
        }
    }

    #[test]
    fn a_quarter_turn_clockwise_is_undone() {
        // Upright: left red, right blue. Turned clockwise: top red, bottom blue.
        let turned = Pixels {
            width: 1,
            height: 2,
            rgb: vec![255, 0, 0, 0, 0, 255].into(),
        };
        assert_eq!(
            upright(turned, Rotation::Quarter).rgb.to_vec(),
            vec![255, 0, 0, 0, 0, 255]
        );
    }

    #[test]
    fn a_slanted_line_is_cut_along_itself() {
        // A dark diagonal band on white.
        let (w, h) = (100u32, 100u32);
        let mut rgb = Vec::new();
        for y in 0..h as i32 {
            for x in 0..w as i32 {
                rgb.extend([if (x - y).abs() <= 6 { 0u8 } else { 255 }; 3]);
            }
        }
        let line = Slanted {
            cx: 50.0,
            cy: 50.0,
            width: 80.0,
            height: 6.0,
            angle: std::f32::consts::FRAC_PI_4,
        };
        let cut = cut(
            &Pixels {
                width: w,
                height: h,
                rgb: rgb.into(),
            },
            &line,
            48,
            4000,
        );
        assert_eq!((cut.width, cut.height), (640, 48));
        assert!(cut.rgb.iter().all(|&v| v < 40));
    }
}
