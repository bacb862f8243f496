//! Pieces of a chapter as typst blocks.
//!
//! A piece becomes one block or several that may be laid out apart (a list's items, a table's
//! portions). Containers nest up to [`NEST`] levels; what is deeper is set without its container,
//! so typst's own limit is never met. Notes stand where the book has them, with the mark that
//! refers to them.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use typst::World;
use typst::foundations::{Content, NativeElement, Smart};
use typst::layout::{
    Abs, AlignElem, Alignment, BlockBody, BlockElem, Dir, Em, Length, PageElem, Ratio, Rel, Sides,
    Spacing,
};
use typst::model::{HeadingElem, ParElem};
use typst::syntax::Span;
use typst::text::{
    FontFamily, FontList, FontStyle, FontWeight, LinebreakElem, TextDir, TextElem, TextSize,
};
use typst::visualize::{Color, LineElem, Stroke};

use super::inlines::Look;
use super::parts::{Part, Parts};
use super::pictures::{Pictures, Shelf};
use super::world::BookWorld;
use super::{Settings, fonts, math, text};
use crate::document::flow::{Chapter, Inline, Picture, Piece};

/// Containers (lists, quotes, notes, tables) that may stand in each other.
pub const NEST: usize = 8;
/// Bytes of a paragraph that are laid out as one; a longer one goes on in the next, on a new line.
pub const PARAGRAPH: usize = 8_000;
/// Lines of code that are laid out as one.
const CODE_LINES: usize = 40;

/// The width of a block that takes all there is.
pub const FULL: Smart<Rel<Length>> = Smart::Custom(Rel {
    rel: Ratio::one(),
    abs: Length::zero(),
});

/// Content that typst may lay out apart from what stands beside it.
pub struct Block {
    pub content: Content,
    /// Its characters, roughly.
    pub weight: usize,
}

impl Block {
    pub fn new(content: Content, weight: usize) -> Self {
        Self {
            content,
            weight: weight.max(1),
        }
    }
}

/// Where a block stands.
#[derive(Clone, Copy)]
pub struct Place {
    /// Width in points that a picture may take.
    pub width: f64,
    /// Containers around it.
    pub depth: usize,
}

impl Place {
    pub fn inner(self, less: f64) -> Self {
        Self {
            width: (self.width - less).max(20.0),
            depth: self.depth + 1,
        }
    }
}

/// Makes the content of a book, chapter by chapter.
pub struct Builder<'a> {
    pub world: &'a BookWorld,
    pub shelf: Shelf<'a>,
    pub settings: &'a Settings,
    /// Text of the marks that refer to a note, by the note's id.
    pub marks: HashMap<&'a str, &'a str>,
    right_to_left: bool,
    pub parts: Parts,
    faults: Vec<(usize, String)>,
    chapter: usize,
    piece: usize,
    part: Option<usize>,
}

impl<'a> Builder<'a> {
    pub fn new(
        world: &'a BookWorld,
        pictures: &'a mut dyn Pictures,
        settings: &'a Settings,
        language: &str,
        chapters: &'a [Chapter],
    ) -> Self {
        let lang = language.split(['-', '_']).next().unwrap_or_default();
        let lang = lang.parse().unwrap_or(typst::text::Lang::ENGLISH);
        let mut marks = HashMap::new();
        for chapter in chapters {
            text::each_mark(&chapter.pieces, &mut |id, mark| {
                marks.entry(id).or_insert(mark);
            });
        }
        Self {
            world,
            shelf: Shelf::new(pictures),
            settings,
            marks,
            right_to_left: lang.dir() == Dir::RTL,
            parts: Parts::new(world.main()),
            faults: Vec::new(),
            chapter: 0,
            piece: 0,
            part: None,
        }
    }

    /// The parts and what could not be drawn.
    pub fn finish(self) -> (Parts, Vec<(usize, String)>) {
        (self.parts, self.faults)
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, index: usize) {
        self.chapter = index;
    }

    /// A piece of the chapter as blocks.
    pub fn piece(&mut self, number: usize, piece: &Piece) -> Vec<Block> {
        self.piece = number;
        self.part = None;
        let width = self.settings.page.0 - 2.0 * self.settings.margin.0;
        self.blocks(piece, Place { width, depth: 0 })
    }

    /// A page of exactly one picture: its content, the picture's path, the page's size in points.
    pub fn picture_page(
        &mut self,
        number: usize,
        picture: &Picture,
    ) -> Option<(Content, String, (f64, f64))> {
        let path = picture.path.clone()?;
        // A failure is told of where the picture is drawn as a note instead.
        let drawing = self.shelf.get(self.world, &path).ok()?;
        let size = drawing.page(self.settings.picture_dpi);
        self.piece = number;
        self.part = None;
        let image = self.labelled("image", |this| {
            drawing.element(size, &picture.alt).spanned(this.span())
        });
        let content = Content::empty().set(PageElem::background, Some(image));
        Some((content, path, size))
    }

    pub fn fault(&mut self, fault: String) {
        self.faults.push((self.chapter, fault));
    }

    /// The span of what is drawn now.
    pub fn span(&self) -> Span {
        self.part
            .map_or(Span::detached(), |part| self.parts.span(part))
    }

    /// What `make` draws gets a box of its own under `label`. Text and lists inside another piece
    /// are covered by that piece's.
    pub fn labelled<T>(&mut self, label: &'static str, make: impl FnOnce(&mut Self) -> T) -> T {
        let around = self.part;
        let own = !matches!(label, "text" | "list" | "doc_title" | "paragraph_title");
        if own || around.is_none() {
            self.part = Some(self.parts.push(Part {
                piece: self.piece,
                label,
                within: around,
            }));
        }
        let made = make(self);
        self.part = around;
        made
    }

    /// The blocks of several pieces.
    pub fn all(&mut self, pieces: &[Piece], place: Place) -> Vec<Block> {
        pieces
            .iter()
            .flat_map(|piece| self.blocks(piece, place))
            .collect()
    }

    fn blocks(&mut self, piece: &Piece, place: Place) -> Vec<Block> {
        if place.depth > text::MAX_DEPTH {
            return Vec::new();
        }
        match piece {
            Piece::Heading { level, text } => {
                let label = if *level <= 1 {
                    "doc_title"
                } else {
                    "paragraph_title"
                };
                self.labelled(label, |this| this.heading(*level, text, place))
            }
            Piece::Paragraph(text) => {
                self.labelled("text", |this| this.paragraph(text, Look::default(), place))
            }
            Piece::List { start, items } => {
                self.labelled("list", |this| this.list(*start, items, place))
            }
            Piece::Definitions(definitions) => {
                self.labelled("list", |this| this.definitions(definitions, place))
            }
            Piece::Quote(pieces) => self.labelled("text", |this| {
                let inset = Rel::from(Length::from(Em::new(1.6)));
                this.padded(pieces, inset, place)
            }),
            Piece::Code { text, .. } => self.labelled("algorithm", |this| this.code(text)),
            Piece::Table(table) => self.table(table, place),
            Piece::Picture(picture) => self.picture(picture, place),
            Piece::Formula(formula) => self.labelled("display_formula", |this| {
                vec![math::block(formula, this.span(), place.width)]
            }),
            Piece::Rule => vec![rule()],
            Piece::PageBreak(_) => Vec::new(),
            Piece::Note { id, pieces } => {
                self.labelled("footnote", |this| this.note(id, pieces, place))
            }
        }
    }

    fn heading(&mut self, level: u8, text: &[Inline], place: Place) -> Vec<Block> {
        let (mut body, weight) = self.line(text, Look::default(), place);
        if weight == 0 {
            return Vec::new();
        }
        // typst's headings have 1.4, 1.2 and then 1 em.
        let more = match level {
            0 | 1 => 1.2,
            2 => 1.1,
            3 => 1.1,
            _ => 1.0,
        };
        body = sized(body, more);
        let level = NonZeroUsize::new(usize::from(level.clamp(1, 6)));
        let heading = HeadingElem::new(self.directed(body, text))
            .with_level(level.map_or(Smart::Auto, Smart::Custom))
            .pack()
            .spanned(self.span());
        vec![Block::new(self.directed(heading, text), weight)]
    }

    /// A paragraph, in several where it is too long to be laid out as one.
    pub fn paragraph(&mut self, text: &[Inline], look: Look, place: Place) -> Vec<Block> {
        let runs = self.runs(text, look, place);
        let several = runs.len() > 1;
        runs.into_iter()
            .map(|(content, weight)| {
                let mut content = self.directed(ParElem::new(content).pack(), text);
                if several {
                    content = content.set(ParElem::spacing, Em::new(0.62).into());
                }
                Block::new(content, weight)
            })
            .collect()
    }

    /// `content` in the direction of its first letter, where it is not the book's.
    pub fn directed(&self, content: Content, text: &[Inline]) -> Content {
        match text::direction(text) {
            Some(right) if right != self.right_to_left => {
                let dir = if right { Dir::RTL } else { Dir::LTR };
                content.set(TextElem::dir, TextDir(Smart::Custom(dir)))
            }
            _ => content,
        }
    }

    fn code(&mut self, code: &str) -> Vec<Block> {
        let lines: Vec<&str> = code.lines().collect();
        let portions = lines.chunks(CODE_LINES);
        let count = portions.len();
        let mut blocks = Vec::new();
        for (index, portion) in portions.enumerate() {
            let mut runs = Vec::new();
            let mut weight = 0;
            for (number, line) in portion.iter().enumerate() {
                if number > 0 {
                    runs.push(LinebreakElem::new().pack());
                }
                let line = line.replace('\t', "    ");
                let words = line.trim_start_matches(' ');
                // Spaces at a line's start would be dropped.
                let indent = "\u{a0}".repeat(line.len() - words.len());
                let line = text::fit(&format!("{indent}{words}"));
                weight += line.len() + 1;
                for portion in text::cut(&line, PARAGRAPH) {
                    runs.push(TextElem::packed(portion).spanned(self.span()));
                }
            }
            let body = monospaced(ParElem::new(Content::sequence(runs)).pack())
                .set(ParElem::leading, Em::new(0.5).into())
                .set(TextElem::dir, TextDir(Smart::Custom(Dir::LTR)));
            let (x, y) = (Em::new(0.6), Em::new(0.5));
            let top = if index == 0 { y } else { Em::new(0.25) };
            let bottom = if index + 1 == count { y } else { Em::new(0.25) };
            let inset = |em: Em| Some(Rel::from(Length::from(em)));
            let block = BlockElem::new()
                .with_width(FULL)
                .with_fill(Some(Color::from_u8(0xf3, 0xf3, 0xf3, 0xff).into()))
                .with_inset(Sides::new(inset(x), inset(top), inset(x), inset(bottom)))
                .with_above(spacing(if index == 0 {
                    Em::new(0.95)
                } else {
                    Em::zero()
                }))
                .with_below(spacing(if index + 1 == count {
                    Em::new(0.95)
                } else {
                    Em::zero()
                }))
                .with_body(Some(BlockBody::Content(body)))
                .pack();
            blocks.push(Block::new(block, weight));
        }
        blocks
    }
}

/// A short line between sections.
fn rule() -> Block {
    let line = LineElem::new()
        .with_length(Ratio::new(0.3).into())
        .with_stroke(Stroke::from_pair(Color::BLACK, Abs::pt(0.5).into()));
    let line = AlignElem::new(line.pack())
        .with_alignment(Alignment::CENTER)
        .pack();
    Block::new(spaced(line, Em::new(1.5), Em::new(1.5)), 1)
}

pub fn spacing(em: Em) -> Smart<Spacing> {
    Smart::Custom(em.into())
}

/// A block with its own space above and below.
pub fn spaced(body: Content, above: Em, below: Em) -> Content {
    BlockElem::new()
        .with_above(spacing(above))
        .with_below(spacing(below))
        .with_body(Some(BlockBody::Content(body)))
        .pack()
}

/// Blocks as one.
pub fn joined(blocks: Vec<Block>) -> (Content, usize) {
    let weight = blocks.iter().map(|block| block.weight).sum();
    let content = Content::sequence(blocks.into_iter().map(|block| block.content));
    (content, weight)
}

/// `content` at `times` the size around it.
pub fn sized(content: Content, times: f64) -> Content {
    content.set(TextElem::size, TextSize(Length::from(Em::new(times))))
}

/// `content` in the font of code.
pub fn monospaced(content: Content) -> Content {
    let families = [fonts::CODE, fonts::TEXT].map(FontFamily::new);
    sized(
        content
            .set(TextElem::font, FontList(families.to_vec()))
            .set(TextElem::ligatures, false)
            .set(TextElem::style, FontStyle::Normal)
            .set(TextElem::weight, FontWeight::REGULAR),
        0.78,
    )
}
