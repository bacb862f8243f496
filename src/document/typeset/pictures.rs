//! Pictures of the book: read once, looked at before typst gets them.

use std::collections::HashMap;

use typst::World;
use typst::comemo::Track;
use typst::foundations::{Bytes, Content, Derived, NativeElement, Smart};
use typst::layout::{Abs, Length, Rel, Sizing};
use typst::loading::{DataSource, LoadSource, Loaded};
use typst::syntax::{Span, Spanned};
use typst::visualize::{ExchangeFormat, ImageElem, ImageFit, ImageFormat, SvgImage, VectorFormat};

use super::embed::embed;
use super::fonts;
use super::world::BookWorld;

/// Gives the bytes of the book's pictures.
pub trait Pictures {
    /// The picture at a path of the container; the error says why not.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String>;
}

/// Bytes of pictures after which further ones are made smaller: they are held until the PDF is
/// written, and stand in it and its parts once more (measured: four times their bytes).
const PLENTY: usize = 192 << 20;
/// Most bytes of an SVG.
const MOST_SVG: usize = 16 << 20;
/// CSS: 96 pixels an inch.
const PT_PER_PIXEL: f64 = 0.75;
/// Sides of a page that is a picture, in points: PDF's own limits are 3 and 14,400.
const PAGE_SIDES: (f64, f64) = (36.0, 14_400.0);

/// Pictures that were read.
pub struct Shelf<'a> {
    pictures: &'a mut dyn Pictures,
    known: HashMap<String, Result<Drawing, String>>,
    /// Of the pictures kept.
    bytes: usize,
}

/// A picture that typst can draw.
#[derive(Clone)]
pub struct Drawing {
    data: Bytes,
    format: ImageFormat,
    /// In pixels.
    width: f64,
    height: f64,
}

impl<'a> Shelf<'a> {
    pub fn new(pictures: &'a mut dyn Pictures) -> Self {
        Self {
            pictures,
            known: HashMap::new(),
            bytes: 0,
        }
    }

    /// The picture at `path`, read at its first use. The error says why it cannot be drawn.
    pub fn get(&mut self, world: &BookWorld, path: &str) -> Result<Drawing, String> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let small = self.bytes > PLENTY;
        let drawing = self
            .pictures
            .read(path)
            .and_then(|data| look(world, data, small));
        self.bytes += drawing.as_ref().map_or(0, |drawing| drawing.data.len());
        self.known.insert(path.to_owned(), drawing.clone());
        drawing
    }
}

fn look(world: &BookWorld, data: Vec<u8>, small: bool) -> Result<Drawing, String> {
    let (format, data, width, height) = if ExchangeFormat::detect(&data).is_some() {
        let embedded = embed(data, small)?;
        let size = (f64::from(embedded.width), f64::from(embedded.height));
        let data = Bytes::new(embedded.pdf);
        (VectorFormat::Pdf, data, size.0, size.1)
    } else {
        if data.len() > MOST_SVG {
            return Err(format!(
                "its format is unknown or it is larger than {MOST_SVG} bytes"
            ));
        }
        let data = Bytes::new(data);
        let world: &dyn World = world;
        let families = [fonts::TEXT];
        let file = Some(world.main());
        let svg = SvgImage::with_fonts_images(data.clone(), world.track(), &families, file)
            .map_err(|_| "it is damaged, of an unknown format, or refers to other files")?;
        (VectorFormat::Svg, data, svg.width(), svg.height())
    };
    if !(width >= 1.0 && height >= 1.0) {
        return Err("it is empty".to_owned());
    }
    Ok(Drawing {
        data,
        format: format.into(),
        width,
        height,
    })
}

impl Drawing {
    /// Its size in points in running text.
    pub fn natural(&self) -> (f64, f64) {
        (self.width * PT_PER_PIXEL, self.height * PT_PER_PIXEL)
    }

    /// Size in points of a page that is this picture, with all its pixels at `dpi`.
    pub fn page(&self, dpi: f64) -> (f64, f64) {
        let scale = 72.0 / dpi.max(1.0);
        let (width, height) = (self.width * scale, self.height * scale);
        let (least, most) = PAGE_SIDES;
        let scale = (most / width.max(height)).min(1.0);
        ((width * scale).max(least), (height * scale).max(least))
    }

    /// `size` made smaller to be within `most`, in shape.
    pub fn within(size: (f64, f64), most: (f64, f64)) -> (f64, f64) {
        let scale = (most.0 / size.0).min(most.1 / size.1).min(1.0);
        (size.0 * scale, size.1 * scale)
    }

    /// The picture at a size in points.
    pub fn element(&self, (width, height): (f64, f64), alt: &str) -> Content {
        let source = Spanned::new(LoadSource::Bytes, Span::detached());
        let loaded = Loaded::new(source, self.data.clone());
        let source = Derived::new(DataSource::Bytes(self.data.clone()), loaded);
        let rel = |v: f64| Rel::from(Length::from(Abs::pt(v)));
        ImageElem::new(source)
            .with_format(Smart::Custom(self.format))
            .with_width(Smart::Custom(rel(width)))
            .with_height(Sizing::Rel(rel(height)))
            .with_fit(ImageFit::Stretch)
            .with_alt((!alt.is_empty()).then(|| alt.into()))
            .pack()
    }
}
