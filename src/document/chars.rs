//! The characters that a PDF holds for a page, as pdfium gives them.
//!
//! pdfium's "loose" box of a character goes around its advance and its font's ascent and descent.
//! Characters of one glyph (a ligature, a text that the file gives for it) have the same box.

use pdfium_render::prelude::*;

use super::place::Place;
use super::spaces;
use super::tex_fonts::Font;
use crate::page::{CharKind, PageChar, PageChars};

/// Characters of a page at most; what comes after them is left out. A page of a newspaper has some
/// 30,000.
const MAX_CHARS: usize = 100_000;
/// Directions nearer to level than this count as level, radians.
const LEVEL: f32 = 0.005;

/// The characters of a page that lies at `place`.
pub fn of(page: &PdfPage<'_>, place: Place) -> Result<PageChars, PdfiumError> {
    let text = page.text()?;
    let mut fonts = Fonts::default();
    let mut chars: Vec<PageChar> = Vec::new();
    let mut high: Option<u32> = None;
    for c in text.chars().iter().take(MAX_CHARS) {
        // pdfium counts in UTF-16: a letter beyond U+FFFF comes as two characters in one place.
        let half = c.unicode_value();
        let before = high.take();
        let ch = match (before, half) {
            (Some(high), 0xdc00..0xe000) => {
                char::from_u32(0x10000 + ((high - 0xd800) << 10) + (half - 0xdc00))
            }
            _ => {
                // A half alone is a glyph that the file does not map.
                if before.is_some() {
                    let lone = char::REPLACEMENT_CHARACTER;
                    chars.extend(char_of(&c, lone, place, &mut fonts));
                }
                if (0xd800..0xdc00).contains(&half) {
                    high = Some(half);
                    continue;
                }
                c.unicode_char()
            }
        };
        let ch = ch.unwrap_or(char::REPLACEMENT_CHARACTER);
        chars.extend(char_of(&c, ch, place, &mut fonts));
    }
    let mut points = Vec::new();
    let mut pictures = Pictures::default();
    for object in page.objects().iter() {
        lone_spaces(&object, &mut Vec::new(), &mut points);
        pictures.see(&object, place);
    }
    pictures.hide(&mut chars);
    let points = points
        .into_iter()
        .map(|(x, y)| place.to_display(x.value, y.value))
        .collect();
    Ok(PageChars {
        chars: spaces::put_in(chars, points),
    })
}

/// What is known of the last character's font: those that follow mostly have the same.
#[derive(Default)]
struct Fonts(Option<(String, Font)>);

impl Fonts {
    fn of(&mut self, name: String) -> &Font {
        match &mut self.0 {
            Some((known, _)) if *known == name => {}
            last => *last = Some((name.clone(), Font::new(&name))),
        }
        let (_, font) = self
            .0
            .get_or_insert_with(|| (name.clone(), Font::new(&name)));
        font
    }
}

/// A rectangle of page space as displayed: x1, y1, x2, y2.
fn shown(rect: &PdfRect, place: Place) -> [f32; 4] {
    let (ax, ay) = place.to_display(rect.left().value, rect.top().value);
    let (bx, by) = place.to_display(rect.right().value, rect.bottom().value);
    [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)]
}

/// Whether the outline of a character follows from its baseline and size: of letters, digits and
/// what ends sentences. Not of accents, Greek and the letters of mathematics.
fn is_plain(ch: char) -> bool {
    match ch {
        '\u{2b0}'..='\u{3ff}' | '\u{2100}'..='\u{214f}' | '\u{1d400}'..='\u{1d7ff}' => false,
        '.' | ',' | ';' | ':' | '!' | '?' => true,
        c => c.is_alphanumeric() || c.is_whitespace(),
    }
}

/// `None` where pdfium gives no box.
fn char_of(c: &PdfPageTextChar<'_>, ch: char, place: Place, fonts: &mut Fonts) -> Option<PageChar> {
    let loose = c.loose_bounds().ok()?;
    let [x1, y1, x2, y2] = shown(&loose, place);
    let mut out = PageChar {
        ch,
        x1,
        y1,
        x2,
        y2,
        kind: kind(c),
        ..PageChar::default()
    };
    if out.kind != CharKind::Generated {
        let font = fonts.of(c.font_name());
        let size = c.scaled_font_size().value.abs().max(1e-3);
        out.ch = font.sign(ch, loose.width().value / size);
        out.style = font.style(out.ch);
        if (font.is_of_signs(out.ch) || !is_plain(out.ch))
            && let Ok(tight) = c.tight_bounds()
            && tight.width().value > 0.0
            && tight.height().value > 0.0
        {
            let ink = shown(&tight, place);
            out.ink = ink.iter().all(|v| v.is_finite()).then_some(ink);
            let above = c
                .origin()
                .is_ok_and(|(_, y)| tight.bottom().value > y.value + 0.05 * size);
            if font.is_hook(out.ch, above) {
                out.ch = char::REPLACEMENT_CHARACTER;
            }
        }
    }
    if let (Ok(m), Ok((x, y))) = (c.matrix(), c.origin()) {
        let size = c.unscaled_font_size().value * m.c().hypot(m.d());
        // A font of negative size is set the other way.
        let (along, size) = if size < 0.0 {
            ([-m.a(), -m.b()], -size)
        } else {
            ([m.a(), m.b()], size)
        };
        if let Some((angle, size)) = displayed(along, size, place) {
            (out.angle, out.size) = (angle, size);
            out.origin = place.to_display(x.value, y.value).into();
        }
    }
    let known = [out.x1, out.y1, out.x2, out.y2, out.origin[0], out.origin[1]];
    known.iter().all(|v| v.is_finite()).then_some(out)
}

/// Part of the page from which on a picture is taken for the page itself: a scan.
const SCAN: f32 = 0.5;
/// Part of a page's texts that a picture must be drawn over to hide them.
const DRAWN_OVER: f32 = 0.9;

/// Pictures of a page's size, and how many texts are drawn before each.
#[derive(Default)]
struct Pictures {
    texts: usize,
    /// Left, top, right, bottom: fractions of the displayed page.
    seen: Vec<([f32; 4], usize)>,
}

impl Pictures {
    fn see(&mut self, object: &PdfPageObject<'_>, place: Place) {
        if object.as_image_object().is_some() {
            let Ok(b) = object.bounds() else { return };
            let (ax, ay) = place.to_display(b.left().value, b.top().value);
            let (bx, by) = place.to_display(b.right().value, b.bottom().value);
            let at = [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)].map(|v| v.clamp(0.0, 1.0));
            if (at[2] - at[0]) * (at[3] - at[1]) >= SCAN {
                self.seen.push((at, self.texts));
            }
        } else if object.as_text_object().is_some() || object.as_x_object_form_object().is_some() {
            self.texts += 1;
        }
    }

    /// Marks characters over which a scan is drawn: they are as invisible as those that are not
    /// drawn at all.
    fn hide(&self, chars: &mut [PageChar]) {
        for ([x1, y1, x2, y2], before) in &self.seen {
            if (*before as f32) < DRAWN_OVER * self.texts as f32 {
                continue;
            }
            for c in chars.iter_mut().filter(|c| c.kind == CharKind::Drawn) {
                let (x, y) = ((c.x1 + c.x2) / 2.0, (c.y1 + c.y2) / 2.0);
                if (*x1..=*x2).contains(&x) && (*y1..=*y2).contains(&y) {
                    c.kind = CharKind::Invisible;
                }
            }
        }
    }
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

/// Direction of a character, radians clockwise, and its size as a fraction of the page's height,
/// both as displayed. `along` is the direction in page space (y upwards), `size` in points.
fn displayed(along: [f32; 2], size: f32, place: Place) -> Option<(f32, f32)> {
    let norm = along[0].hypot(along[1]);
    if !(norm > 0.0 && norm.is_finite() && size.is_finite()) {
        return None;
    }
    let height = if place.rotate.is_multiple_of(180) {
        place.top - place.bottom
    } else {
        place.right - place.left
    };
    // Clockwise is against page space's sense, as /Rotate is.
    let angle = f32::from(place.rotate).to_radians() - along[1].atan2(along[0]);
    let turn = std::f32::consts::TAU;
    let angle = angle - (angle / turn).round() * turn;
    let angle = if angle.abs() < LEVEL { 0.0 } else { angle };
    Some((angle, size / height.max(1.0)))
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

    #[test]
    fn characters_under_a_scan_are_invisible() {
        let c = PageChar {
            ch: 'a',
            x1: 0.5,
            y1: 0.5,
            x2: 0.6,
            y2: 0.6,
            ..PageChar::default()
        };
        for (before, kind) in [(10, CharKind::Invisible), (2, CharKind::Drawn)] {
            let pictures = Pictures {
                texts: 10,
                seen: vec![([0.0, 0.0, 1.0, 1.0], before)],
            };
            let mut chars = [c];
            pictures.hide(&mut chars);
            assert_eq!(chars[0].kind, kind);
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
            let (angle, size) = displayed(along, 10.0, place).unwrap();
            assert!(
                (angle - expected).abs() < 1e-5,
                "{rotate} {along:?} {angle}"
            );
            let height = if rotate % 180 == 0 { 200.0 } else { 400.0 };
            assert!((size - 10.0 / height).abs() < 1e-6);
            assert!(displayed([0.0, 0.0], 10.0, place).is_none());
        }
    }
}
