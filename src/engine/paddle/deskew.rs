//! Skew: a page that lies a few degrees off is turned upright before its layout is looked at, for
//! layout and order are told by upright boxes. Pure.

use super::pixels::{Pixels, Slanted, sample, to_displayed};
use crate::page::Rotation;

/// Skew that matters, radians: 0.4 degrees move the end of a line over a page 40 of its heights
/// wide by a quarter of a height.
const LEAST: f32 = 0.007;
/// Largest skew, radians (30 degrees): more is a page on its side, or a picture.
const MOST: f32 = 0.52;
/// Lines this many times as wide as high tell the angle: the corners of their cores lie on whole
/// points of the map, which makes half a degree at most.
const LONG: f32 = 10.0;
/// So many of them tell it together.
const LINES: usize = 3;
/// Part of their length that must lie within `NEAR` radians of the median angle, or within a
/// fifth of the angle.
const AGREED: f32 = 0.7;
const NEAR: f32 = 0.006;

/// The skew of a page by the boxes of its lines, radians clockwise; `None` where it is level, or
/// where the lines do not agree.
pub fn skew(lines: &[Slanted]) -> Option<f32> {
    let mut told: Vec<(f32, f32)> = lines
        .iter()
        .filter(|l| l.width >= LONG * l.height && l.angle.abs() <= MOST)
        .map(|l| (l.angle, l.width))
        .collect();
    if told.len() < LINES {
        return None;
    }
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    let whole: f32 = told.iter().map(|t| t.1).sum();
    let mut before = 0.0;
    let median = told.iter().find(|t| {
        before += t.1;
        before >= whole / 2.0
    })?;
    let angle = median.0;
    let near = NEAR.max(angle.abs() / 5.0);
    let agreed: f32 = told
        .iter()
        .filter(|t| (t.0 - angle).abs() <= near)
        .map(|t| t.1)
        .sum();
    (angle.abs() >= LEAST && agreed >= AGREED * whole).then_some(angle)
}

/// How the image that is read lies in the displayed page: turned upright by quarters, then by its
/// skew, on a sheet that holds all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub rotation: Rotation,
    /// Radians clockwise; 0 on plain pages.
    pub skew: f32,
    /// Width and height before the skew was taken away, pixels.
    before: [f32; 2],
    /// And after.
    after: [f32; 2],
}

impl Pose {
    /// Of a page turned by quarters only, whose upright image is `width` by `height`.
    pub fn upright(rotation: Rotation, width: u32, height: u32) -> Self {
        let size = [width as f32, height as f32];
        Self {
            rotation,
            skew: 0.0,
            before: size,
            after: size,
        }
    }

    /// The same page with a skew.
    pub fn skewed(self, skew: f32) -> Self {
        let (s, c) = (skew.sin().abs(), skew.cos());
        let [w, h] = self.before;
        Self {
            skew,
            after: [(w * c + h * s).ceil(), (w * s + h * c).ceil()],
            ..self
        }
    }

    /// Width and height of the image turned by quarters, pixels.
    pub fn upright_size(&self) -> [f32; 2] {
        self.before
    }

    /// Whether the page has no skew.
    pub fn is_level(&self) -> bool {
        self.skew == 0.0
    }

    /// The image without skew, of the image turned by quarters.
    pub fn level<'a>(&self, image: Pixels<'a>) -> Pixels<'a> {
        if self.skew == 0.0 {
            return image;
        }
        let [w, h] = self.after.map(|v| v as u32);
        let (s, c) = self.skew.sin_cos();
        let mut rgb = Vec::with_capacity(w as usize * h as usize * 3);
        for y in 0..h {
            let v = y as f32 + 0.5 - self.after[1] / 2.0;
            for x in 0..w {
                let u = x as f32 + 0.5 - self.after[0] / 2.0;
                rgb.extend_from_slice(&sample(
                    &image,
                    self.before[0] / 2.0 + u * c - v * s,
                    self.before[1] / 2.0 + u * s + v * c,
                ));
            }
        }
        Pixels {
            width: w,
            height: h,
            rgb: rgb.into(),
        }
    }

    /// A line of the image turned by quarters, on the image without skew.
    pub fn line(&self, line: &Slanted) -> Slanted {
        let [cx, cy] = turned([line.cx, line.cy], -self.skew, self.before, self.after);
        Slanted {
            cx,
            cy,
            angle: line.angle - self.skew,
            ..*line
        }
    }

    /// A rectangle in fractions of the image that is read, in fractions of the displayed page: the
    /// upright rectangle around it.
    pub fn to_displayed(self, at: [f32; 4]) -> [f32; 4] {
        to_displayed(
            around(at, self.skew, self.after, self.before),
            self.rotation,
        )
    }
}

/// A point on a sheet, on another around whose middle the first is turned clockwise by `angle`.
fn turned([x, y]: [f32; 2], angle: f32, from: [f32; 2], to: [f32; 2]) -> [f32; 2] {
    let (s, c) = angle.sin_cos();
    let (u, v) = (x - from[0] / 2.0, y - from[1] / 2.0);
    [to[0] / 2.0 + u * c - v * s, to[1] / 2.0 + u * s + v * c]
}

/// As [`turned`], for a rectangle in fractions of the sheets: what lies around its corners, cut at
/// the sheet's ends.
fn around(at: [f32; 4], angle: f32, from: [f32; 2], to: [f32; 2]) -> [f32; 4] {
    if angle == 0.0 {
        return at;
    }
    let mut out = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for [x, y] in [[0, 1], [2, 1], [0, 3], [2, 3]] {
        let point = turned([at[x] * from[0], at[y] * from[1]], angle, from, to);
        for axis in 0..2 {
            let v = (point[axis] / to[axis]).clamp(0.0, 1.0);
            out[axis] = out[axis].min(v);
            out[axis + 2] = out[axis + 2].max(v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rectangle in fractions of the displayed page, in fractions of the image that is read.
    fn to_upright(pose: &Pose, at: [f32; 4]) -> [f32; 4] {
        let back = match pose.rotation {
            Rotation::Quarter => Rotation::ThreeQuarter,
            Rotation::ThreeQuarter => Rotation::Quarter,
            same => same,
        };
        around(to_displayed(at, back), -pose.skew, pose.before, pose.after)
    }

    fn line(angle: f32, width: f32) -> Slanted {
        Slanted {
            cx: 100.0,
            cy: 50.0,
            width,
            height: 10.0,
            angle,
        }
    }

    #[test]
    fn long_lines_that_agree_tell_the_skew() {
        let mut lines = vec![line(0.05, 400.0); 10];
        lines.push(line(0.0, 300.0)); // a rule, a stamp
        lines.push(line(0.4, 20.0)); // a word
        assert_eq!(skew(&lines), Some(0.05));
        assert_eq!(skew(&[line(0.004, 400.0); 10]), None, "level");
        assert_eq!(skew(&lines[..2]), None, "too few");
        let apart: Vec<_> = (0..10).map(|i| line(i as f32 * 0.02, 400.0)).collect();
        assert_eq!(skew(&apart), None, "each its own way");
    }

    #[test]
    fn a_skewed_bar_lies_level_and_is_found_again_in_the_page() {
        let (w, h) = (200u32, 120u32);
        let skew = 0.1f32;
        let mut rgb = Vec::new();
        for y in 0..h {
            for x in 0..w {
                let (u, v) = (x as f32 + 0.5 - 120.0, y as f32 + 0.5 - 50.0);
                let (s, c) = skew.sin_cos();
                let inside = (u * c + v * s).abs() < 60.0 && (v * c - u * s).abs() < 5.0;
                rgb.extend([if inside { 0u8 } else { 255 }; 3]);
            }
        }
        let image = Pixels {
            width: w,
            height: h,
            rgb: rgb.into(),
        };
        let pose = Pose::upright(Rotation::None, w, h).skewed(skew);
        let bar = pose.line(&Slanted {
            cx: 120.0,
            cy: 50.0,
            width: 120.0,
            height: 10.0,
            angle: skew,
        });
        let level = pose.level(image);
        assert!(level.width > w && level.height > h);
        assert!(bar.angle.abs() < 1e-6);
        let dark = |x: f32, y: f32| level.rgb[(y as usize * level.width as usize + x as usize) * 3];
        for u in [-55.0, 0.0, 55.0] {
            assert!(dark(bar.cx + u, bar.cy) < 30);
            assert!(dark(bar.cx + u, bar.cy + 8.0) > 220);
        }
        let [x1, y1, x2, y2] = bar.bounds();
        let (lw, lh) = (level.width as f32, level.height as f32);
        let at = pose.to_displayed([x1 / lw, y1 / lh, x2 / lw, y2 / lh]);
        let middle = [(at[0] + at[2]) / 2.0 * 200.0, (at[1] + at[3]) / 2.0 * 120.0];
        assert!((middle[0] - 120.0).abs() < 1.0 && (middle[1] - 50.0).abs() < 1.0);
        assert!(at[2] - at[0] > 0.55 && at[2] - at[0] < 0.68, "{at:?}");
    }

    #[test]
    fn to_upright_undoes_to_displayed() {
        let at = [0.5, 0.5, 0.52, 0.53];
        for rotation in [
            Rotation::None,
            Rotation::Quarter,
            Rotation::Half,
            Rotation::ThreeQuarter,
        ] {
            let plain = Pose::upright(rotation, 200, 300);
            let back = to_upright(&plain, plain.to_displayed(at));
            assert!(back.iter().zip(at).all(|(a, b)| (a - b).abs() < 1e-6));
            let skewed = plain.skewed(-0.05);
            let back = to_upright(&skewed, skewed.to_displayed(at));
            let middle = |r: [f32; 4]| [(r[0] + r[2]) / 2.0, (r[1] + r[3]) / 2.0];
            for (a, b) in middle(back).iter().zip(middle(at)) {
                assert!((a - b).abs() < 1e-4, "{rotation:?}");
            }
        }
    }
}
