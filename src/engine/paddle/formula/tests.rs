//! Formulas set by hand as pdfTeX sets them: Computer Modern's advances, scripts of 7 points raised
//! and lowered by TeX's rules, signs of the extension font that hang below their baselines.

use proptest::prelude::*;

use super::display::display;
use super::glyphs::Glyph;
use super::of_regions;
use super::parts::joined;
use super::tree::Piece;
use crate::engine::paddle::deskew::Pose;
use crate::engine::paddle::layout::Region;
use crate::engine::paddle::line::{Line, Source};
use crate::engine::paddle::pixels::Pixels;
use crate::page::{CharStyle, PageChar, PageChars, Rotation};

/// Font size of the formulas, pixels: 10 points at 216 pixels an inch.
const SIZE: f32 = 30.0;

#[derive(Default)]
struct Set {
    glyphs: Vec<Glyph>,
    rules: Vec<[f32; 4]>,
    x: f32,
}

/// Advances in font sizes of what the tests set.
fn advance(ch: char) -> f32 {
    match ch {
        'i' | 'l' | '.' | ',' | '!' => 0.28,
        '(' | ')' | 't' => 0.39,
        '=' | '+' | '−' | '<' | '>' | 'm' => 0.78,
        '→' => 1.0,
        _ => 0.5,
    }
}

impl Set {
    fn glyph(&mut self, ch: char, style: CharStyle, base: f32, size: f32) -> &mut Self {
        let x = [self.x, self.x + advance(ch) * size];
        let sign = |top: f32, bottom: f32| {
            let [from, to] = x;
            Some([from, base - top * size, to, base + bottom * size])
        };
        let ink = match ch {
            '(' | ')' => sign(0.75, 0.25),
            '=' => sign(0.37, -0.13),
            '−' => sign(0.27, -0.23),
            '+' => sign(0.58, 0.08),
            _ => None,
        };
        self.glyphs.push(Glyph::new(ch, style, x, base, size, ink));
        self.x = x[1];
        self
    }

    /// Italic letters and other signs on a baseline; spaces as wide as TeX's around relations.
    fn put(&mut self, text: &str, base: f32, size: f32) -> &mut Self {
        for ch in text.chars() {
            match ch {
                ' ' => self.x += 0.28 * size,
                ch if ch.is_ascii_alphabetic() => {
                    self.glyph(ch, CharStyle::Italic, base, size);
                }
                ch => {
                    self.glyph(ch, CharStyle::Upright, base, size);
                }
            }
        }
        self
    }

    fn upright(&mut self, text: &str, base: f32) -> &mut Self {
        for ch in text.chars() {
            match ch {
                ' ' => self.x += 0.33 * SIZE,
                ch => {
                    self.glyph(ch, CharStyle::Upright, base, SIZE);
                }
            }
        }
        self
    }

    /// A sign that hangs below its baseline, `width` wide, from `top` to `bottom`.
    fn hung(&mut self, ch: char, width: f32, top: f32, bottom: f32) -> &mut Self {
        let x = [self.x, self.x + width];
        let ink = Some([x[0], top, x[1], bottom]);
        let glyph = Glyph::new(ch, CharStyle::Upright, x, top, SIZE, ink);
        self.glyphs.push(glyph);
        self.x = x[1];
        self
    }

    fn at(&mut self, x: f32) -> &mut Self {
        self.x = x;
        self
    }

    fn rule(&mut self, from: f32, to: f32, y: f32) -> &mut Self {
        self.rules.push([from, y, to, y + 1.0]);
        self
    }

    fn latex(&self) -> Option<String> {
        let mut pieces: Vec<Piece> = joined(self.glyphs.clone())?
            .iter()
            .map(Piece::of_glyph)
            .collect();
        pieces.extend(self.rules.iter().map(Piece::of_rule));
        display(pieces)
    }
}

#[test]
fn scripts_and_a_number() {
    let mut set = Set::default();
    set.put("E = mc", 100.0, SIZE).put("2", 87.6, 21.0);
    set.at(400.0).upright("(1)", 100.0);
    assert_eq!(set.latex().as_deref(), Some("E = mc^{2} \\tag{1}"));
    let mut set = Set::default();
    set.put("x", 100.0, SIZE).put("i", 107.4, 21.0);
    set.at(15.0).put("n+1", 87.6, 21.0);
    set.at(70.0).put("+ y", 100.0, SIZE);
    set.put("k", 104.5, 21.0).put("j", 109.0, 15.0);
    assert_eq!(set.latex().as_deref(), Some("x_{i}^{n+1} + y_{k_{j}}"));
}

#[test]
fn a_sum_with_limits_and_a_fraction() {
    let mut set = Set::default();
    // Centred on the axis, 7.5 pixels above the baseline.
    set.hung('∑', 43.0, 71.0, 113.0);
    set.at(16.0).put("n", 65.0, 21.0);
    set.at(4.0).put("k=1", 134.0, 21.0);
    set.at(50.0).put("k =", 100.0, SIZE);
    set.at(108.0).put("n(n+1)", 79.7, SIZE);
    set.at(150.0).put("2", 120.6, SIZE);
    set.rule(107.0, 210.0, 92.0);
    assert_eq!(
        set.latex().as_deref(),
        Some("\\sum_{k=1}^{n} k = \\frac{n(n+1)}{2}")
    );
}

#[test]
fn a_root_with_its_degree() {
    let mut set = Set::default();
    set.hung('√', 30.0, 70.0, 106.0).rule(30.0, 96.0, 70.0);
    set.at(8.0).put("3", 84.0, 15.0);
    set.at(31.0).put("x+y", 100.0, SIZE);
    assert_eq!(set.latex().as_deref(), Some("\\sqrt[3]{x+y}"));
    // The line over a letter is none.
    let mut set = Set::default();
    set.put("x", 100.0, SIZE).rule(0.0, 15.0, 82.0);
    assert_eq!(set.latex().as_deref(), Some("\\bar{x}"));
}

#[test]
fn cases_whose_brace_is_made_of_parts() {
    let mut set = Set::default();
    set.put("f =", 100.0, SIZE);
    let x = set.x + 8.0;
    for (ch, top, bottom) in [('⎧', 46.0, 73.0), ('⎨', 73.0, 112.0), ('⎩', 112.0, 139.0)] {
        set.at(x).hung(ch, 26.0, top, bottom);
    }
    set.at(x + 27.0).put("x", 80.0, SIZE).put("2", 69.0, 21.0);
    set.at(x + 90.0)
        .upright("if ", 80.0)
        .put("x > 0", 80.0, SIZE);
    set.at(x + 27.0).put("0", 120.0, SIZE);
    set.at(x + 90.0).upright("otherwise", 120.0);
    assert_eq!(
        set.latex().as_deref(),
        Some(
            "f = \\begin{cases} x^{2} & \\text{if } x \\gt 0 \\\\ 0 & \\mathrm{otherwise} \\end{cases}"
        )
    );
}

#[test]
fn accents_limits_of_names_and_lines() {
    let mut set = Set::default();
    set.upright("lim", 100.0);
    set.at(0.0).put("x→0", 121.0, 21.0);
    set.at(50.0).put("x", 100.0, SIZE);
    set.glyphs.push(Glyph::new(
        'ˆ',
        CharStyle::Upright,
        [52.0, 67.0],
        100.0,
        SIZE,
        Some([55.0, 79.0, 64.0, 84.0]),
    ));
    assert_eq!(
        set.latex().as_deref(),
        Some("\\lim_{x\\rightarrow0} \\hat{x}")
    );
    let mut set = Set::default();
    set.put("a", 100.0, SIZE).at(23.0).put("= b", 100.0, SIZE);
    set.at(23.0).put("= c", 145.0, SIZE);
    assert_eq!(
        set.latex().as_deref(),
        Some("\\begin{aligned}\na &= b \\\\\n&= c\n\\end{aligned}")
    );
}

#[test]
fn what_is_not_understood_is_nothing() {
    // Half a line off, as large as its neighbour.
    let mut set = Set::default();
    set.put("x", 100.0, SIZE).put("y", 112.0, SIZE);
    assert_eq!(set.latex(), None);
    // A rule with nothing at it.
    let mut set = Set::default();
    set.put("x", 100.0, SIZE).rule(200.0, 260.0, 90.0);
    assert_eq!(set.latex(), None);
    // A sign without a name.
    let mut set = Set::default();
    set.put("x\u{2603}", 100.0, SIZE);
    assert_eq!(set.latex(), None);
    // Words.
    let mut set = Set::default();
    set.upright("these are only words of text", 100.0);
    assert_eq!(set.latex(), None);
}

proptest! {
    #[test]
    fn no_arrangement_is_too_much(
        glyphs in prop::collection::vec(
            (
                prop::sample::select("xA1+=−→(){}[]|√∑∫ˆ˜⎧⎨⎩⎪′.·⏞⏟\u{338}li".chars().collect::<Vec<_>>()),
                0.0f32..400.0,
                0.0f32..200.0,
                5.0f32..40.0,
                0.0f32..90.0,
            ),
            0..40,
        ),
        rules in prop::collection::vec((0.0f32..400.0, 0.0f32..200.0, 1.0f32..200.0), 0..6),
    ) {
        let mut set = Set::default();
        for (ch, x, base, size, height) in glyphs {
            let ink = (height > 30.0).then_some([x, base - height, x + size, base]);
            set.glyphs.push(Glyph::new(ch, CharStyle::Italic, [x, x + size], base, size, ink));
        }
        for (x, y, length) in rules {
            set.rule(x, x + length, y);
        }
        if let Some(latex) = set.latex() {
            let open = latex.matches('{').count();
            prop_assert_eq!(open, latex.matches('}').count());
        }
    }
}

/// A page of 600 by 300 pixels with "x" and a raised "2", as the file has them, and `dark`
/// rectangles on the image.
fn page(dark: &[[usize; 4]], source: Source) -> Vec<Option<String>> {
    let (width, height) = (600usize, 300usize);
    let mut rgb = vec![255u8; width * height * 3];
    for &[x1, y1, x2, y2] in dark {
        for y in y1..y2 {
            rgb[(y * width + x1) * 3..(y * width + x2) * 3].fill(0);
        }
    }
    let image = Pixels {
        width: width as u32,
        height: height as u32,
        rgb: rgb.into(),
    };
    let char = |ch: char, x: f32, base: f32, size: f32, style: CharStyle| PageChar {
        ch,
        x1: x / 600.0,
        x2: (x + 0.5 * size) / 600.0,
        y1: (base - size) / 300.0,
        y2: (base + 0.2 * size) / 300.0,
        origin: [x / 600.0, base / 300.0],
        size: size / 300.0,
        style,
        ..PageChar::default()
    };
    let chars = PageChars {
        chars: vec![
            char('x', 100.0, 100.0, 30.0, CharStyle::Italic),
            char('2', 115.0, 89.0, 21.0, CharStyle::Upright),
        ],
    };
    let region = |label, [x1, y1, x2, y2]: [f32; 4]| Region {
        label,
        score: 0.9,
        at: [x1 / 600.0, y1 / 300.0, x2 / 600.0, y2 / 300.0],
    };
    let regions = [
        region("text", [20.0, 200.0, 500.0, 280.0]),
        region("display_formula", [90.0, 60.0, 200.0, 120.0]),
    ];
    let lines = [Line::level([100.0, 70.0, 130.0, 106.0], "x²", 1.0, source)];
    let pose = Pose::upright(Rotation::None, 600, 300);
    of_regions(&image, &regions, &lines, Some(&chars), &pose)
        .into_iter()
        .map(|found| Some(found?.markdown))
        .collect()
}

#[test]
fn a_region_is_read_where_its_glyphs_are_all_that_it_shows() {
    let letters = [[101, 88, 113, 99], [117, 76, 124, 88]];
    let formula = Some("$$\nx^{2}\n$$".to_owned());
    assert_eq!(page(&letters, Source::Layer), [None, formula.clone()]);
    // What was read from the image is not the file's.
    assert_eq!(page(&letters, Source::Image), [None, None]);
    // Something that is no glyph.
    let [a, b] = letters;
    assert_eq!(
        page(&[a, b, [150, 80, 165, 100]], Source::Layer),
        [None, None]
    );
}
