//! The characters that a PDF holds for a page, as pdfium gives them.
//!
//! pdfium's own box of a character ("loose": advance and the font's ascent and descent) takes every
//! line as level: of text that is turned it has no width. Those boxes are made here from the
//! character's matrix.

use pdfium_render::prelude::*;

use super::place::Place;
use super::spaces;
use crate::page::{CharKind, PageChar, PageChars};

/// Characters of a page at most; what comes after them is left out. A page of a newspaper has some
/// 30,000.
const MAX_CHARS: usize = 100_000;
/// Ascent and descent of turned characters, parts of the font size: those of Times and Helvetica,
/// rounded, with their sum brought to 1 as pdfium does it.
const ASCENT: f32 = 0.78;
const DESCENT: f32 = 0.22;
/// Advance of a turned character without ink (a space), part of the font size: a space of Times.
const SPACE: f32 = 0.25;
/// Sine of the slant up to which pdfium's box is taken.
const LEVEL: f32 = 0.01;

/// The characters of a page that lies at `place`.
pub fn of(page: &PdfPage<'_>, place: Place) -> Result<PageChars, PdfiumError> {
    let text = page.text()?;
    let chars = text
        .chars()
        .iter()
        .take(MAX_CHARS)
        .filter_map(|c| char_of(&c, place))
        .collect();
    let mut points = Vec::new();
    for object in page.objects().iter() {
        lone_spaces(&object, &mut Vec::new(), &mut points);
    }
    let points = points
        .into_iter()
        .map(|(x, y)| place.to_display(x.value, y.value))
        .collect();
    Ok(PageChars {
        chars: spaces::put_in(chars, points),
    })
}

/// `None` where pdfium gives no box.
fn char_of(c: &PdfPageTextChar<'_>, place: Place) -> Option<PageChar> {
    let loose = c.loose_bounds().ok()?;
    let loose = [
        loose.left().value,
        loose.bottom().value,
        loose.right().value,
        loose.top().value,
    ];
    let mut out = PageChar {
        ch: c.unicode_char().unwrap_or(char::REPLACEMENT_CHARACTER),
        kind: kind(c),
        ..PageChar::default()
    };
    let mut corners = vec![(loose[0], loose[1]), (loose[2], loose[3])];
    if let (Ok(m), Ok((x, y))) = (c.matrix(), c.origin()) {
        let glyph = Glyph {
            x: x.value,
            y: y.value,
            along: [m.a(), m.b()],
            size: c.unscaled_font_size().value * m.c().hypot(m.d()),
        };
        if let Some((angle, size)) = glyph.displayed(place) {
            (out.angle, out.size) = (angle, size);
            out.origin = place.to_display(glyph.x, glyph.y).into();
            if glyph.is_turned() {
                let tight = c.tight_bounds().ok();
                corners = glyph.corners(
                    loose[2] - loose[0],
                    tight.map(|t| {
                        [
                            t.left().value,
                            t.bottom().value,
                            t.right().value,
                            t.top().value,
                        ]
                    }),
                );
            }
        }
    }
    let mut at = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for (x, y) in corners {
        let (x, y) = place.to_display(x, y);
        at = [at[0].min(x), at[1].min(y), at[2].max(x), at[3].max(y)];
    }
    [out.x1, out.y1, out.x2, out.y2] = at;
    let known = at.iter().chain(&out.origin).all(|v| v.is_finite());
    known.then_some(out)
}

fn kind(c: &PdfPageTextChar<'_>) -> CharKind {
    if c.is_generated().unwrap_or(false) {
        return CharKind::Generated;
    }
    match c.render_mode() {
        Ok(PdfPageTextRenderMode::Invisible | PdfPageTextRenderMode::InvisibleClipping) => {
            CharKind::Invisible
        }
        _ => CharKind::Drawn,
    }
}

/// How a character stands in page space: points, y upwards.
struct Glyph {
    x: f32,
    y: f32,
    /// Direction of reading, not normalised.
    along: [f32; 2],
    size: f32,
}

impl Glyph {
    fn norm(&self) -> f32 {
        self.along[0].hypot(self.along[1])
    }

    fn is_turned(&self) -> bool {
        self.along[1].abs() > LEVEL * self.norm()
    }

    /// Direction, radians clockwise, and size as a fraction of the page's height, both as displayed.
    fn displayed(&self, place: Place) -> Option<(f32, f32)> {
        let norm = self.norm();
        if !(norm > 0.0 && norm.is_finite() && self.size.is_finite()) {
            return None;
        }
        let (w, h) = (place.right - place.left, place.top - place.bottom);
        let height = if place.rotate.is_multiple_of(180) {
            h
        } else {
            w
        };
        // Clockwise is against page space's sense, as /Rotate is.
        let angle = -self.along[1].atan2(self.along[0]) + f32::from(place.rotate).to_radians();
        let turn = std::f32::consts::TAU;
        let angle = angle - (angle / turn).round() * turn;
        Some((
            if angle.abs() < LEVEL { 0.0 } else { angle },
            self.size / height.max(1.0),
        ))
    }

    /// Corners of a turned character; `loose` is the width of pdfium's box, `tight` the box of its
    /// ink: left, bottom, right, top.
    fn corners(&self, loose: f32, tight: Option<[f32; 4]>) -> Vec<(f32, f32)> {
        let norm = self.norm();
        let [c, s] = self.along.map(|v| v / norm);
        let advance = if c.abs() > 0.1 {
            // pdfium's width is that of the direction's level part.
            loose.abs() / c.abs()
        } else {
            let reach = |[x1, y1, x2, y2]: [f32; 4]| {
                [(x1, y1), (x2, y1), (x1, y2), (x2, y2)]
                    .map(|(x, y)| (x - self.x) * c + (y - self.y) * s)
                    .into_iter()
                    .fold(0.0, f32::max)
            };
            match tight.map_or(0.0, reach) {
                0.0 => SPACE * self.size,
                reach => reach,
            }
        };
        let mut out = Vec::with_capacity(4);
        for u in [0.0, advance] {
            for v in [-DESCENT * self.size, ASCENT * self.size] {
                out.push((self.x + u * c - v * s, self.y + u * s + v * c));
            }
        }
        out
    }
}

/// Forms in forms that are looked into: a printer's header stands one or two deep.
const MAX_FORM_DEPTH: usize = 8;
/// A text object narrower than this shows nothing, points: pdfium's own bound for passing over it.
const NO_EXTENT: f32 = 0.01;

/// Adds where text objects without extent stand in page space; `forms` are the matrices of the
/// forms around the object, outermost first.
fn lone_spaces(
    object: &PdfPageObject<'_>,
    forms: &mut Vec<PdfMatrix>,
    points: &mut Vec<(PdfPoints, PdfPoints)>,
) {
    if let Some(text) = object.as_text_object() {
        if let Ok(b) = text.bounds()
            && b.width().value < NO_EXTENT
            && b.height().value < NO_EXTENT
        {
            points.push(
                forms
                    .iter()
                    .rev()
                    .fold((b.left(), b.bottom()), |(x, y), m| m.apply_to_points(x, y)),
            );
        }
    } else if let Some(form) = object.as_x_object_form_object()
        && forms.len() < MAX_FORM_DEPTH
        && let Ok(matrix) = form.matrix()
    {
        forms.push(matrix);
        for object in form.iter() {
            lone_spaces(&object, forms, points);
        }
        forms.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_PI_2;

    fn glyph(along: [f32; 2]) -> Glyph {
        Glyph {
            x: 100.0,
            y: 50.0,
            along,
            size: 10.0,
        }
    }

    #[test]
    fn direction_and_size_are_those_of_the_displayed_page() {
        for (rotate, along, expected) in [
            (0, [1.0, 0.0], 0.0),
            (0, [0.0, 2.0], -FRAC_PI_2),
            (90, [0.0, 1.0], 0.0),
            (90, [1.0, 0.0], FRAC_PI_2),
            (270, [0.0, -1.0], 0.0),
            (180, [-1.0, 0.0], 0.0),
        ] {
            let place = Place {
                left: 0.0,
                bottom: 0.0,
                right: 400.0,
                top: 200.0,
                rotate,
            };
            let (angle, size) = glyph(along).displayed(place).unwrap();
            assert!(
                (angle - expected).abs() < 1e-5,
                "{rotate} {along:?} {angle}"
            );
            let height = if rotate % 180 == 0 { 200.0 } else { 400.0 };
            assert!((size - 10.0 / height).abs() < 1e-6);
        }
        let nowhere = Place {
            left: 0.0,
            bottom: 0.0,
            right: 1.0,
            top: 1.0,
            rotate: 0,
        };
        assert!(glyph([0.0, 0.0]).displayed(nowhere).is_none());
    }

    #[test]
    fn a_turned_character_has_a_box_around_its_advance() {
        // Upwards: the advance is the ink's, ascent and descent lie to the left and right.
        let corners = glyph([0.0, 1.0]).corners(0.0, Some([93.0, 50.5, 100.0, 56.0]));
        let x: Vec<f32> = corners.iter().map(|c| c.0).collect();
        let y: Vec<f32> = corners.iter().map(|c| c.1).collect();
        let ends = |v: &[f32]| {
            (
                v.iter().copied().fold(f32::MAX, f32::min),
                v.iter().copied().fold(f32::MIN, f32::max),
            )
        };
        let ((x1, x2), (y1, y2)) = (ends(&x), ends(&y));
        assert!(
            (x1 - 92.2).abs() < 1e-3 && (x2 - 102.2).abs() < 1e-3,
            "{x:?}"
        );
        assert!(
            (y1 - 50.0).abs() < 1e-3 && (y2 - 56.0).abs() < 1e-3,
            "{y:?}"
        );
        // On a slant the advance comes from pdfium's width.
        let corners = glyph([0.5, 0.866_025]).corners(3.0, None);
        let (dx, dy) = (corners[2].0 - corners[0].0, corners[2].1 - corners[0].1);
        assert!((dx.hypot(dy) - 6.0).abs() < 1e-3, "{corners:?}");
    }
}
