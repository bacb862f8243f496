//! The nouns that the rooms share: page image, characters, block, reading and grounded text;
//! [`words`] puts lines of text together, [`latex`] names the signs of mathematics.
//!
//! Two frames are used. The *displayed page* is what a viewer shows (crop box and `/Rotate`
//! applied), origin at its top left corner. Boxes in readings are 0 to 999 of that frame.

mod book;
mod grounded;
pub mod latex;
mod overlay;
mod reading;
pub mod words;

pub use book::{Book, BookChapter, ContentsEntry, Metadata};
pub use grounded::{
    GroundedBlock, SEPARATOR, parse_grounded, unfinished_mark, write_block, write_grounded,
};
pub use overlay::{LayoutBox, LayoutPage};
pub use reading::{
    Block, Heading, PageStatus, PageText, Reading, Role, Rotation, TextSource, Tried,
};

use serde::{Deserialize, Serialize};

/// Largest value of a box coordinate: the frame is 0 to 999, both ends included.
pub const BOX_MAX: u16 = 999;

/// An upright rectangle in the displayed page, each coordinate 0 to 999
/// (the frame of DeepSeek-OCR's grounded text), `x1 <= x2`, `y1 <= y2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageBox {
    pub x1: u16,
    pub y1: u16,
    pub x2: u16,
    pub y2: u16,
}

impl PageBox {
    /// The whole page.
    pub const FULL: PageBox = PageBox {
        x1: 0,
        y1: 0,
        x2: BOX_MAX,
        y2: BOX_MAX,
    };

    /// Orders and clamps the corners.
    pub fn new(x1: i64, y1: i64, x2: i64, y2: i64) -> Self {
        let clamp = |v: i64| v.clamp(0, i64::from(BOX_MAX)) as u16;
        Self {
            x1: clamp(x1.min(x2)),
            y1: clamp(y1.min(y2)),
            x2: clamp(x1.max(x2)),
            y2: clamp(y1.max(y2)),
        }
    }

    /// From fractions of the page's width and height (0.0 to 1.0).
    pub fn from_fractions(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        let scale = |v: f32| (f64::from(v) * f64::from(BOX_MAX)).round() as i64;
        Self::new(scale(x1), scale(y1), scale(x2), scale(y2))
    }

    /// Fractions of the page's width and height: `[x1, y1, x2, y2]`, 0.0 to 1.0.
    pub fn fractions(&self) -> [f32; 4] {
        let max = f32::from(BOX_MAX);
        [self.x1, self.y1, self.x2, self.y2].map(|v| f32::from(v) / max)
    }

    /// The box in pixels of a `width` x `height` image: `[x1, y1, x2, y2]`, inside the image,
    /// at least one pixel wide and high when the image is not empty.
    pub fn pixels(&self, width: u32, height: u32) -> [u32; 4] {
        let at = |v: u16, size: u32| {
            (u64::from(v) * u64::from(size) / u64::from(BOX_MAX)).min(u64::from(size)) as u32
        };
        let x1 = at(self.x1, width).min(width.saturating_sub(1));
        let y1 = at(self.y1, height).min(height.saturating_sub(1));
        [
            x1,
            y1,
            at(self.x2, width).max(x1 + 1),
            at(self.y2, height).max(y1 + 1),
        ]
    }
}

/// Pixels of a leaf: RGB, 8 bits a channel, row by row without padding.
#[derive(Clone, Debug)]
pub struct PageImage {
    pub width: u32,
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
    /// Pixels per inch of the displayed page (72 points), after any bound on the size.
    pub dpi: f32,
}

impl PageImage {
    /// `None` when `rgb` is not `width * height * 3` bytes, or the image is empty.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>, dpi: f32) -> Option<Self> {
        let bytes = u64::from(width) * u64::from(height) * 3;
        (bytes > 0 && bytes == rgb.len() as u64).then_some(Self {
            width,
            height,
            rgb,
            dpi,
        })
    }
}

/// The image that a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageWish {
    /// Pixels per inch.
    pub dpi: f32,
    /// Upper bound of width times height: a larger page is rendered at fewer pixels per inch.
    pub max_pixels: u64,
}

/// How a character of a text layer is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CharKind {
    /// Drawn on the page.
    #[default]
    Drawn,
    /// In the file, but not drawn (text render modes 3 and 7), or drawn under a scan: what
    /// somebody's OCR leaves.
    Invisible,
    /// Put in by whoever reads the file: spaces at gaps, ends of lines.
    Generated,
}

impl CharKind {
    fn is_drawn(&self) -> bool {
        *self == Self::Drawn
    }
}

/// How the letters of a character's font look, as far as its name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CharStyle {
    #[default]
    Upright,
    Italic,
    Bold,
    BoldItalic,
    /// Calligraphic.
    Script,
    Fraktur,
    /// Blackboard bold.
    Double,
    Sans,
    /// Of a typewriter.
    Mono,
}

impl CharStyle {
    fn is_upright(&self) -> bool {
        *self == Self::Upright
    }
}

/// One character of the text layer, in fractions (0.0 to 1.0) of the displayed page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageChar {
    /// As the file maps it, or as TeX's encodings of mathematics do for a font of them: 0, U+FFFD
    /// and private use are glyphs that neither maps.
    pub ch: char,
    /// The upright box around the character's advance and its font's ascent and descent.
    pub x1: f32,
    pub y1: f32,
    pub x2: f32,
    pub y2: f32,
    /// Where it stands on its baseline; not known where `size` is 0.
    #[serde(default)]
    pub origin: [f32; 2],
    /// Font size as a fraction of the page's height; 0: not known.
    #[serde(default)]
    pub size: f32,
    /// Direction of reading, radians clockwise as displayed; 0: to the right.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub angle: f32,
    #[serde(default, skip_serializing_if = "CharKind::is_drawn")]
    pub kind: CharKind,
    #[serde(default, skip_serializing_if = "CharStyle::is_upright")]
    pub style: CharStyle,
    /// The upright box around the glyph's outline, x1, y1, x2, y2, of signs: those of letters and
    /// digits follow from their baseline and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ink: Option<[f32; 4]>,
}

fn is_zero(v: &f32) -> bool {
    *v == 0.0
}

/// The characters that a PDF itself holds for a page, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageChars {
    pub chars: Vec<PageChar>,
}

impl PageChars {
    /// Whether there are characters, and none that somebody's OCR left.
    pub fn is_all_drawn(&self) -> bool {
        !self.chars.is_empty() && self.chars.iter().all(|c| c.kind != CharKind::Invisible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_ordered_clamped_and_never_empty_in_pixels() {
        let b = PageBox::new(1200, 40, -3, 40);
        assert_eq!(
            b,
            PageBox {
                x1: 0,
                y1: 40,
                x2: 999,
                y2: 40
            }
        );
        let [x1, y1, x2, y2] = b.pixels(100, 50);
        assert_eq!((x1, y1, x2, y2), (0, 2, 100, 3));
        assert_eq!(
            PageBox::new(999, 999, 999, 999).pixels(10, 10),
            [9, 9, 10, 10]
        );
    }
}
