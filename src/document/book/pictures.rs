//! The pictures of a book: their names beside the Markdown, their bytes, their pixels.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Cursor;
use std::ops::Range;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::document::epub;
use crate::document::flow::{Chapter, Inline, Picture, Piece, Within};
use crate::document::typeset::Pictures;
use crate::page::{ImageWish, PageImage};

/// Bytes that decoding a picture may take: 64 million pixels of four bytes.
const MAX_BYTES: u64 = 256 << 20;
/// Pixels per inch that a picture within the text is taken to have: nothing says what it has, and
/// at this number the engine looks at its own pixels.
const DPI: f32 = 144.0;
/// Types of pictures that are decoded here (the features of crate `image`).
const DECODED: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// The container as typesetting sees it, and which pictures it could give.
pub struct Source<'a> {
    container: &'a mut epub::Book,
    given: HashMap<String, bool>,
}

impl<'a> Source<'a> {
    pub fn new(container: &'a mut epub::Book) -> Self {
        Self {
            container,
            given: HashMap::new(),
        }
    }

    /// Whether the picture can be read: it is unpacked only if nobody wanted it before.
    fn gives(&mut self, path: &str) -> bool {
        match self.given.get(path) {
            Some(&given) => given,
            None => self.read(path).is_ok(),
        }
    }
}

impl Pictures for Source<'_> {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let read = self.container.read(path);
        self.given.insert(path.to_owned(), read.is_ok());
        read.map_err(|e| e.to_string())
    }
}

/// The pictures that the chapters show and the container has, in the order of their first use.
pub struct Gallery {
    /// Path in the container, name under `images/`.
    pictures: Vec<(String, String)>,
    numbers: HashMap<String, u32>,
}

impl Gallery {
    pub fn of(source: &mut Source<'_>, chapters: &[Chapter]) -> Self {
        let mut gallery = Self {
            pictures: Vec::new(),
            numbers: HashMap::new(),
        };
        let mut taken = HashSet::new();
        for chapter in chapters {
            each(&chapter.pieces, &mut |picture| {
                let Some(path) = &picture.path else {
                    return;
                };
                if gallery.numbers.contains_key(path) || !source.gives(path) {
                    return;
                }
                let name = free_name(path, &mut taken);
                let number = gallery.pictures.len() as u32;
                gallery.numbers.insert(path.clone(), number);
                gallery.pictures.push((path.clone(), name));
            });
        }
        gallery
    }

    /// Names under `images/`, in order.
    pub fn names(&self) -> Vec<String> {
        self.pictures.iter().map(|(_, name)| name.clone()).collect()
    }

    /// A picture's address in the Markdown.
    pub fn address(&self, path: &str) -> Option<String> {
        let number = *self.numbers.get(path)?;
        let (_, name) = self.pictures.get(number as usize)?;
        Some(format!("images/{name}"))
    }

    pub fn path(&self, picture: u32) -> Option<&str> {
        let (path, _) = self.pictures.get(picture as usize)?;
        Some(path)
    }

    /// The pictures within a chapter that the engine can be shown, each once.
    pub fn within(&self, container: &epub::Book, chapter: &Chapter) -> Vec<u32> {
        let mut out = Vec::new();
        each(&chapter.pieces, &mut |picture| {
            let path = picture.path.as_deref().unwrap_or_default();
            if let Some(&number) = self.numbers.get(path)
                && container
                    .media_type(path)
                    .is_some_and(|t| DECODED.contains(&t))
                && !out.contains(&number)
            {
                out.push(number);
            }
        });
        out
    }
}

/// A file name for the picture at `path`, like none in `taken` (compared without case): its own
/// name, of characters that any file system and any Markdown takes.
fn free_name(path: &str, taken: &mut HashSet<String>) -> String {
    /// Bytes, so that a number fits into the file system's 255.
    const MOST: usize = 100;
    let name = path.rsplit('/').next().unwrap_or_default();
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name
        .chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect();
    let name = name.trim_start_matches('.');
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let short = |text: &str, most: usize| {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    };
    let (stem, ending) = (short(stem, MOST), short(&ending, 16));
    let stem = if stem.is_empty() {
        "picture".to_owned()
    } else {
        stem
    };
    // Crops of pages are called by two numbers.
    let mut name = format!("{stem}{ending}");
    let mut number = 1;
    let crop = stem
        .split_once('_')
        .is_some_and(|(a, b)| digits(a) && digits(b));
    while crop && number == 1 || !taken.insert(name.to_lowercase()) {
        number += 1;
        name = format!("{stem}-{number}{ending}");
    }
    name
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Shows every picture of `pieces` to `see`, in order. Pieces nest as deep as the conversion lets
/// them, which is bounded.
fn each<'a>(pieces: &'a [Piece], see: &mut dyn FnMut(&'a Picture)) {
    for piece in pieces {
        if let Piece::Picture(picture) = piece {
            see(picture);
        }
        piece.within(&mut |within| match within {
            Within::Line(line) => each_inline(line, see),
            Within::Pieces(pieces) => each(pieces, see),
        });
    }
}

fn each_inline<'a>(inlines: &'a [Inline], see: &mut dyn FnMut(&'a Picture)) {
    for inline in inlines {
        if let Inline::Picture(picture) = inline {
            see(picture);
            each_inline(&picture.caption, see);
        }
        each_inline(inline.inner(), see);
    }
}

/// What was read in pictures (by their paths), as quotations, by the pieces of `range` in which
/// they stand.
pub fn said(
    pieces: &[Piece],
    range: Range<usize>,
    read: &[(&str, &str)],
) -> BTreeMap<usize, String> {
    let mut out = BTreeMap::new();
    if read.is_empty() {
        return out;
    }
    let first = range.start;
    for (i, piece) in pieces.get(range).unwrap_or_default().iter().enumerate() {
        let mut quotations = Vec::new();
        each(std::slice::from_ref(piece), &mut |picture| {
            let path = picture.path.as_deref().unwrap_or_default();
            let text = read.iter().find(|(of, _)| *of == path);
            quotations.extend(text.map(|(_, text)| quotation(text)));
        });
        if !quotations.is_empty() {
            out.insert(first + i, quotations.join("\n\n"));
        }
    }
    out
}

/// The engine's Markdown as a quotation.
fn quotation(text: &str) -> String {
    let lines = text.lines().map(|line| format!("> {line}"));
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The pixels of a picture, on white where it is clear, at most as many as `wish` allows, turned as
/// its EXIF data say.
pub fn image(bytes: &[u8], wish: ImageWish) -> Result<PageImage, String> {
    let no = |e: image::ImageError| format!("the picture cannot be decoded: {e}");
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(no)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) * 4 > MAX_BYTES {
        return Err(format!(
            "the picture has {width} x {height} pixels, too many"
        ));
    }
    let orientation = decoder.orientation().map_err(no)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(no)?;
    picture.apply_orientation(orientation);
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    if pixels > wish.max_pixels {
        let scale = (wish.max_pixels as f64 / pixels as f64).sqrt();
        let side = |n: u32| ((f64::from(n) * scale) as u32).max(1);
        let (width, height) = (side(picture.width()), side(picture.height()));
        picture = picture.resize_exact(width, height, FilterType::Triangle);
    }
    let rgba = picture.to_rgba8();
    let (width, height) = rgba.dimensions();
    let over_white = |p: &[u8; 4]| {
        let alpha = u16::from(p[3]);
        let mixed = |v: u8| ((u16::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        [mixed(p[0]), mixed(p[1]), mixed(p[2])]
    };
    let rgb = rgba.pixels().flat_map(|p| over_white(&p.0)).collect();
    PageImage::new(width, height, rgb, DPI).ok_or_else(|| "the picture is empty".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_each_its_own() {
        let mut taken = HashSet::new();
        let mut name = |path: &str| free_name(path, &mut taken);
        assert_eq!(name("OEBPS/images/cover.jpg"), "cover.jpg");
        assert_eq!(name("other/Cover.JPG"), "Cover-2.JPG");
        assert_eq!(name("a b(1).png"), "a_b_1_.png");
        assert_eq!(name("0_1.jpg"), "0_1-2.jpg", "a page's crop is called so");
        assert_eq!(name("x/.."), "picture");
        assert_eq!(name("図.png"), "図.png");
        assert!(name(&format!("{}.jpg", "ü".repeat(300))).len() < 130);
    }

    #[test]
    fn what_was_read_stands_behind_its_picture() {
        let picture = |path: &str| Picture {
            path: Some(path.into()),
            ..Picture::default()
        };
        let pieces = vec![
            Piece::Picture(picture("a")),
            Piece::List {
                start: None,
                items: vec![vec![Piece::Paragraph(vec![Inline::Picture(picture("b"))])]],
            },
        ];
        let read = [("b", "one\n\n| two |"), ("c", "three")];
        let expected = BTreeMap::from([(1, "> one\n>\n> | two |".to_owned())]);
        assert_eq!(said(&pieces, 0..2, &read), expected);
        assert_eq!(said(&pieces, 1..2, &read), expected);
        assert!(said(&pieces, 0..1, &read).is_empty());
    }

    #[test]
    fn a_picture_is_bounded_and_stands_on_white() {
        let clear = image::RgbaImage::from_pixel(40, 20, image::Rgba([0, 0, 0, 0]));
        let mut png = Vec::new();
        clear
            .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        let wish = |max_pixels| ImageWish {
            dpi: 200.0,
            max_pixels,
        };
        let whole = image(&png, wish(10_000)).unwrap();
        assert_eq!((whole.width, whole.height), (40, 20));
        assert!(whole.rgb.iter().all(|&v| v == 255));
        let small = image(&png, wish(200)).unwrap();
        assert_eq!((small.width, small.height), (20, 10));
        assert!(image(b"no picture", wish(10)).is_err());
    }
}
