//! Bicubic resampling of RGB images, bit for bit as Pillow does it (`Image.resize` with its default
//! filter): a horizontal and a vertical pass in fixed point, rounded to 8 bits after each.
//!
//! The model was trained on images that Pillow had resized. fast_image_resize, which this project
//! uses elsewhere, keeps weights of 16 bits: on the reference card 0.27 % of the pixels differ from
//! Pillow's by up to 2 levels, and its 16-bit form, which comes close, takes three times as long.
//! Rows are taken from the source as the vertical pass needs them: beside the result, memory is a
//! small multiple of the image's sides (some 100 bytes a pixel), never of its area.

use std::ops::Range;

/// Fractional bits of weights: `PRECISION_BITS` of Pillow's `Resample.c`, 32 bits less 8 of the
/// pixel and 2 for weights outside 0 to 1.
const PRECISION: u32 = 32 - 8 - 2;
/// Parameter of the cubic filter (Keys 1981), as Pillow has it.
const A: f64 = -0.5;
/// Reach of the cubic filter, in source pixels where the image grows.
const SUPPORT: f64 = 2.0;
/// Rows filtered together by the horizontal pass: one weight serves them all.
const ROWS: usize = 8;
/// Rows that may stand unused before the window of the vertical pass until they are removed.
const SPENT_ROWS: usize = 64;

/// An RGB image lent to [`resize`]: `width * height * 3` bytes, row by row.
#[derive(Clone, Copy)]
pub struct Rgb<'a> {
    pub width: usize,
    pub height: usize,
    pub data: &'a [u8],
}

/// The image at `width` x `height` pixels, both at least 1: `width * height * 3` bytes.
pub fn resize(image: Rgb<'_>, width: usize, height: usize) -> Vec<u8> {
    if (image.width, image.height) == (width, height) {
        return image.data.to_vec();
    }
    let mut source = Rows::new(image, width);
    let down = Axis::new(image.height, height);
    let mut out = Vec::with_capacity(width * height * 3);
    let mut sums = vec![0i32; width * 3];
    for window in &down.windows {
        let rows = source.window(window.first, window.weights.len());
        sums.fill(HALF);
        for (row, &weight) in rows
            .chunks_exact(width * 3)
            .zip(&down.weights[window.weights.clone()])
        {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| clip(sum)));
    }
    out
}

/// Added before the fractional bits are cut off: rounds to nearest, halves up.
const HALF: i32 = 1 << (PRECISION - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Which source pixels make one pixel, and their weights' place.
struct Window {
    first: usize,
    weights: Range<usize>,
}

/// The windows of all pixels along one axis; weights times 2^[`PRECISION`].
struct Axis {
    windows: Vec<Window>,
    weights: Vec<i32>,
}

impl Axis {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's `Resample.c`: weights are
    /// normalised in double precision, then rounded half away from zero.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let filter_scale = scale.max(1.0);
        let support = SUPPORT * filter_scale;
        let mut axis = Self {
            windows: Vec::with_capacity(to),
            weights: Vec::new(),
        };
        let mut exact: Vec<f64> = Vec::new();
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend(
                (first..end).map(|x| cubic((x as f64 - centre + 0.5) * (1.0 / filter_scale))),
            );
            let sum: f64 = exact.iter().sum();
            let start = axis.weights.len();
            axis.weights.extend(exact.iter().map(|&weight| {
                let normal = if sum == 0.0 { weight } else { weight / sum };
                (normal * f64::from(1 << PRECISION)).round() as i32
            }));
            axis.windows.push(Window {
                first,
                weights: start..axis.weights.len(),
            });
        }
        axis
    }

    /// The horizontal pass over the first `rows` of [`ROWS`] rows, into `made`.
    #[expect(
        clippy::needless_range_loop,
        reason = "counted loops become vector instructions, iterators of iterators did not"
    )]
    fn apply(&self, columns: &[[[i32; ROWS]; 3]], made: &mut [u8], rows: usize) {
        let row = self.windows.len() * 3;
        for (x, window) in self.windows.iter().enumerate() {
            let weights = &self.weights[window.weights.clone()];
            let mut sums = [[HALF; ROWS]; 3];
            for (column, &weight) in columns[window.first..].iter().zip(weights) {
                for channel in 0..3 {
                    for r in 0..ROWS {
                        sums[channel][r] += column[channel][r] * weight;
                    }
                }
            }
            let clipped = sums.map(|channel| channel.map(clip));
            for r in 0..rows {
                let at = r * row + x * 3;
                for channel in 0..3 {
                    made[at + channel] = clipped[channel][r];
                }
            }
        }
    }
}

fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The rows of an image after the horizontal pass, made as they are asked for, in order.
struct Rows<'a> {
    image: Rgb<'a>,
    width: usize,
    across: Axis,
    /// Rows `first..next`.
    made: Vec<u8>,
    first: usize,
    next: usize,
    /// [`ROWS`] rows of the image, column by column: channel, then row. Wide, so that a weight
    /// multiplies a column's values in one instruction.
    columns: Vec<[[i32; ROWS]; 3]>,
}

impl<'a> Rows<'a> {
    fn new(image: Rgb<'a>, width: usize) -> Self {
        Self {
            across: Axis::new(image.width, width),
            columns: vec![[[0; ROWS]; 3]; image.width],
            made: Vec::new(),
            image,
            width,
            first: 0,
            next: 0,
        }
    }

    /// Rows `first..first + count`; `first` never goes back.
    fn window(&mut self, first: usize, count: usize) -> &[u8] {
        let row = self.width * 3;
        if first - self.first >= SPENT_ROWS {
            self.made
                .drain(..(first - self.first).min(self.next - self.first) * row);
            self.first = first.min(self.next);
        }
        while self.next < first + count {
            self.make();
        }
        let start = (first - self.first) * row;
        &self.made[start..start + count * row]
    }

    /// Appends the next rows, [`ROWS`] or as many as there are left.
    fn make(&mut self) {
        let rows = ROWS.min(self.image.height - self.next);
        let source = self.image.width * 3;
        for r in 0..rows {
            let row = &self.image.data[(self.next + r) * source..][..source];
            for (column, pixel) in self.columns.iter_mut().zip(row.chunks_exact(3)) {
                for (channel, &value) in column.iter_mut().zip(pixel) {
                    channel[r] = i32::from(value);
                }
            }
        }
        let row = self.width * 3;
        let start = self.made.len();
        self.made.resize(start + rows * row, 0);
        let made = &mut self.made[start..];
        self.across.apply(&self.columns, made, rows);
        self.next += rows;
    }
}
