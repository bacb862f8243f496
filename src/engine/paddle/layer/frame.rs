//! Where characters stand: from fractions of the displayed page into pixels of the upright page
//! image, and there into the frame of their own direction.

use crate::engine::paddle::pixels::Slanted;
use crate::page::{PageChar, Rotation};

/// A point of the displayed page (fractions), whose content is turned clockwise by `rotation`, in
/// the upright page (fractions). The inverse of `pixels::to_displayed` for points.
pub fn to_upright([x, y]: [f32; 2], rotation: Rotation) -> [f32; 2] {
    match rotation {
        Rotation::None => [x, y],
        Rotation::Quarter => [y, 1.0 - x],
        Rotation::Half => [1.0 - x, 1.0 - y],
        Rotation::ThreeQuarter => [1.0 - y, x],
    }
}

/// The upright page image.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How its content is turned in the displayed page.
    pub rotation: Rotation,
    /// Pixels.
    pub width: f32,
    pub height: f32,
}

impl Page {
    /// A point of the displayed page (fractions), pixels.
    pub fn point(&self, at: [f32; 2]) -> [f32; 2] {
        let [x, y] = to_upright(at, self.rotation);
        [x * self.width, y * self.height]
    }

    /// The same of a rectangle: x1, y1, x2, y2.
    pub fn rect(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let (a, b) = (self.point([x1, y1]), self.point([x2, y2]));
        [
            a[0].min(b[0]),
            a[1].min(b[1]),
            a[0].max(b[0]),
            a[1].max(b[1]),
        ]
    }

    /// Height of the displayed page, pixels.
    pub fn displayed_height(&self) -> f32 {
        match self.rotation {
            Rotation::None | Rotation::Half => self.height,
            Rotation::Quarter | Rotation::ThreeQuarter => self.width,
        }
    }

    /// Direction of a character on the upright page: radians clockwise, more than -pi to pi.
    pub fn angle(&self, c: &PageChar) -> f32 {
        use std::f32::consts::{PI, TAU};
        let angle = c.angle - f32::from(self.rotation.degrees()).to_radians();
        let angle = angle - (angle / TAU).round() * TAU;
        if angle < -PI + 0.01 {
            angle + TAU
        } else {
            angle
        }
    }
}

/// Part of a character's height that stands above its baseline, where the file does not say: the
/// ascent of Times and Helvetica with ascent and descent brought to 1.
const ASCENT: f32 = 0.78;

/// A place in the frame of a direction: `u` along it, `v` across it, to the right of who reads
/// along it, so downwards for level text. Pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub u: [f32; 2],
    pub v: [f32; 2],
    /// The `v` of the baseline.
    pub base: f32,
    /// Font size.
    pub size: f32,
}

impl Span {
    pub fn middle(&self) -> f32 {
        (self.u[0] + self.u[1]) / 2.0
    }

    pub fn width(&self) -> f32 {
        self.u[1] - self.u[0]
    }
}

/// The frame of a direction.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub angle: f32,
    cos: f32,
    sin: f32,
}

impl Frame {
    pub fn new(angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self { angle, cos, sin }
    }

    /// `u` and `v` of a point in pixels.
    pub fn of(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x * self.cos + y * self.sin, y * self.cos - x * self.sin]
    }

    /// Where a character stands, which reads along this direction.
    pub fn span(&self, c: &PageChar, page: &Page) -> Span {
        let (a, b) = (page.point([c.x1, c.y1]), page.point([c.x2, c.y2]));
        let (w, h) = ((b[0] - a[0]).abs(), (b[1] - a[1]).abs());
        let (cos, sin) = (self.cos.abs(), self.sin.abs());
        let size = c.size.max(0.0) * page.displayed_height();
        // The upright box around a slanted rectangle: w = length cos + height sin, h the other way.
        let (length, height) = if sin < 0.02 {
            (w, h)
        } else if cos < 0.02 {
            (h, w)
        } else if cos >= sin {
            ((w - size * sin) / cos, size)
        } else {
            ((h - size * cos) / sin, size)
        };
        let length = length.max(0.0);
        let [u, v] = self.of([(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]);
        let (size, base) = if size > 0.0 {
            (size, self.of(page.point(c.origin))[1])
        } else {
            (height, v + (ASCENT - 0.5) * height)
        };
        Span {
            u: [u - length / 2.0, u + length / 2.0],
            v: [v - height / 2.0, v + height / 2.0],
            base,
            size,
        }
    }

    /// The rectangle on the page image.
    pub fn slanted(&self, u: [f32; 2], v: [f32; 2]) -> Slanted {
        let (mu, mv) = ((u[0] + u[1]) / 2.0, (v[0] + v[1]) / 2.0);
        Slanted {
            cx: mu * self.cos - mv * self.sin,
            cy: mu * self.sin + mv * self.cos,
            width: u[1] - u[0],
            height: v[1] - v[0],
            angle: self.angle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::paddle::pixels::to_displayed;
    use std::f32::consts::FRAC_PI_2;

    const ALL: [Rotation; 4] = [
        Rotation::None,
        Rotation::Quarter,
        Rotation::Half,
        Rotation::ThreeQuarter,
    ];

    #[test]
    fn points_come_back_from_the_displayed_page() {
        for rotation in ALL {
            let [x1, y1, x2, y2] = to_displayed([0.1, 0.2, 0.3, 0.6], rotation);
            let (a, b) = (
                to_upright([x1, y1], rotation),
                to_upright([x2, y2], rotation),
            );
            let found = [
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[0].max(b[0]),
                a[1].max(b[1]),
            ];
            for (f, e) in found.iter().zip([0.1, 0.2, 0.3, 0.6]) {
                assert!((f - e).abs() < 1e-6, "{rotation:?} {found:?}");
            }
        }
    }

    #[test]
    fn a_character_stands_alike_on_the_upright_page_however_it_is_turned() {
        for rotation in ALL {
            // Upright: 1000 x 500 pixels, a character of 20 x 30 pixels at 100, 200.
            let page = Page {
                rotation,
                width: 1000.0,
                height: 500.0,
            };
            let [x1, y1, x2, y2] = to_displayed([0.1, 0.4, 0.12, 0.46], rotation);
            let o = to_displayed([0.1, 0.45, 0.1, 0.45], rotation);
            let c = PageChar {
                ch: 'a',
                x1,
                y1,
                x2,
                y2,
                origin: [o[0], o[1]],
                size: 30.0 / page.displayed_height(),
                angle: f32::from(rotation.degrees()).to_radians(),
                ..PageChar::default()
            };
            assert!(page.angle(&c).abs() < 1e-5, "{rotation:?}");
            let span = Frame::new(page.angle(&c)).span(&c, &page);
            let found = [
                span.u[0], span.u[1], span.v[0], span.v[1], span.base, span.size,
            ];
            for (f, e) in found.iter().zip([100.0, 120.0, 200.0, 230.0, 225.0, 30.0]) {
                assert!((f - e).abs() < 0.01, "{rotation:?} {found:?}");
            }
        }
    }

    #[test]
    fn slanted_characters_get_their_own_width_back() {
        let page = Page {
            rotation: Rotation::None,
            width: 1000.0,
            height: 1000.0,
        };
        for angle in [0.5f32, 1.2, -0.7, FRAC_PI_2] {
            let real = Slanted {
                cx: 400.0,
                cy: 300.0,
                width: 12.0,
                height: 20.0,
                angle,
            };
            let [x1, y1, x2, y2] = real.bounds().map(|v| v / 1000.0);
            let c = PageChar {
                x1,
                y1,
                x2,
                y2,
                size: 0.02,
                angle,
                ..PageChar::default()
            };
            let frame = Frame::new(page.angle(&c));
            let span = frame.span(&c, &page);
            let found = frame.slanted(span.u, span.v);
            assert!((found.width - 12.0).abs() < 0.01, "{angle} {found:?}");
            assert!((found.cx - 400.0).abs() < 0.01 && (found.cy - 300.0).abs() < 0.01);
        }
    }
}
