//! A book's content between its XHTML and what is made of it: Markdown and typeset pages.
//!
//! A [`Chapter`] is one item of the spine; it holds [`Piece`]s, which hold [`Inline`]s. Nothing here
//! knows markup: text is plain, white space is folded as a browser shows it (code apart), what the
//! book hides is gone. Every word that a reader of the book sees is in it once, in order.

pub use crate::page::Metadata;

/// One item of the spine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chapter {
    /// Path of the document in the container, decoded: `OEBPS/text/ch1.xhtml`.
    pub path: String,
    /// `linear="no"`: beside the reading order.
    pub aside: bool,
    pub pieces: Vec<Piece>,
    /// Notes that the book hides until a mark opens them, and that no mark of this chapter names.
    pub closed: Vec<ClosedNote>,
    /// What was amiss, one sentence each: a missing picture, markup that had to be repaired.
    pub faults: Vec<String>,
}

/// A note that is shown only where a mark names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedNote {
    /// What a mark may name it by: `OPS/notes.xhtml#n1`.
    pub ids: Vec<String>,
    pub pieces: Vec<Piece>,
}

impl Chapter {
    /// The picture of a chapter that is nothing but one picture: a scan, a comic, a cover.
    pub fn only_picture(&self) -> Option<&Picture> {
        let mut pictures = self
            .pieces
            .iter()
            .filter(|p| !matches!(p, Piece::PageBreak(_)) && !p.is_blank());
        match (pictures.next(), pictures.next()) {
            (Some(Piece::Picture(picture)), None) if picture.caption.is_empty() => Some(picture),
            _ => None,
        }
    }
}

/// What stands on lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// `level` 1 to 6.
    Heading {
        level: u8,
        text: Vec<Inline>,
    },
    Paragraph(Vec<Inline>),
    List {
        /// The first number of a numbered list.
        start: Option<i64>,
        items: Vec<Vec<Piece>>,
    },
    /// Terms and what they mean, in the order of the book.
    Definitions(Vec<Definition>),
    Quote(Vec<Piece>),
    Code {
        /// `rust`, where the book says so (`class="language-rust"`).
        language: Option<String>,
        /// Lines as they are, without a newline at the end.
        text: String,
    },
    Table(Table),
    Picture(Picture),
    /// A formula on a line of its own.
    Formula(Math),
    /// A thematic break.
    Rule,
    /// Where a page of the printed edition begins, with its label.
    PageBreak(String),
    /// A footnote or endnote; stands where the book has it, its mark is [`Inline::NoteMark`].
    Note {
        id: String,
        pieces: Vec<Piece>,
    },
}

/// What stands directly in a piece.
pub enum Within<'a> {
    Line(&'a [Inline]),
    Pieces(&'a [Piece]),
}

impl Piece {
    /// A paragraph of nothing but spaces: what editors leave behind a picture.
    fn is_blank(&self) -> bool {
        let blank = |i: &Inline| matches!(i, Inline::Text(t) if t.chars().all(char::is_whitespace));
        matches!(self, Self::Paragraph(line) if line.iter().all(blank))
    }

    /// Shows what stands directly in the piece to `see`, in order. Code and formulas hold neither
    /// lines nor pieces; of a picture it is the caption.
    pub fn within<'a>(&'a self, see: &mut dyn FnMut(Within<'a>)) {
        match self {
            Self::Heading { text, .. } | Self::Paragraph(text) => see(Within::Line(text)),
            Self::List { items, .. } => items.iter().for_each(|i| see(Within::Pieces(i))),
            Self::Definitions(all) => all.iter().for_each(|definition| match definition {
                Definition::Term(text) => see(Within::Line(text)),
                Definition::Meaning(pieces) => see(Within::Pieces(pieces)),
            }),
            Self::Quote(pieces) | Self::Note { pieces, .. } => see(Within::Pieces(pieces)),
            Self::Table(table) => {
                see(Within::Line(&table.caption));
                let cells = table.rows.iter().flatten();
                cells.for_each(|cell| see(Within::Pieces(&cell.pieces)));
            }
            Self::Picture(picture) => see(Within::Line(&picture.caption)),
            Self::Code { .. } | Self::Formula(_) | Self::Rule | Self::PageBreak(_) => {}
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    Term(Vec<Inline>),
    Meaning(Vec<Piece>),
}

/// What stands in a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Inline {
    /// Plain text. A single newline never stands in it: see [`Inline::Break`].
    Text(String),
    Emphasis(Vec<Inline>),
    Strong(Vec<Inline>),
    Strike(Vec<Inline>),
    Sub(Vec<Inline>),
    Sup(Vec<Inline>),
    Code(String),
    Link {
        /// `https://..`, `mailto:..`, or a place in the book as `path#fragment`.
        to: String,
        text: Vec<Inline>,
    },
    /// Text with its reading beside it.
    Ruby {
        base: Vec<Inline>,
        reading: String,
    },
    Formula(Math),
    Picture(Picture),
    /// Refers to a [`Piece::Note`] of the same chapter or another; `text` is what the book prints.
    NoteMark {
        id: String,
        text: String,
    },
    PageBreak(String),
    Break,
}

impl Inline {
    /// The line that it is drawn around; empty of what holds no line. A picture's caption stands
    /// beside the line.
    pub fn inner(&self) -> &[Inline] {
        match self {
            Self::Emphasis(inner)
            | Self::Strong(inner)
            | Self::Strike(inner)
            | Self::Sub(inner)
            | Self::Sup(inner)
            | Self::Link { text: inner, .. }
            | Self::Ruby { base: inner, .. } => inner,
            Self::Text(_)
            | Self::Code(_)
            | Self::Formula(_)
            | Self::Picture(_)
            | Self::NoteMark { .. }
            | Self::PageBreak(_)
            | Self::Break => &[],
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Path of the picture in the container, decoded; or of nothing where the book points outside
    /// or at what is missing (a fault of the chapter says so).
    pub path: Option<String>,
    /// What the book says instead of the picture.
    pub alt: String,
    pub caption: Vec<Inline>,
}

/// Rows of cells; columns are counted with spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub caption: Vec<Inline>,
    /// Rows at the start that are headers.
    pub header_rows: usize,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub header: bool,
    /// 1 and more; bounded by the table's size.
    pub rows: u32,
    pub columns: u32,
    pub pieces: Vec<Piece>,
}

/// Presentation MathML as a tree, for LaTeX and for typst's math.
#[derive(Clone, Debug, PartialEq)]
pub enum Math {
    Row(Vec<Math>),
    /// A variable; `upright` for several letters (`sin`) or by its style.
    Identifier {
        text: String,
        style: Style,
    },
    Number(String),
    Operator {
        text: String,
        /// A bracket that grows with what it stands beside.
        stretchy: bool,
    },
    /// Words in a formula.
    Text(String),
    Space,
    Fraction {
        over: Box<Math>,
        under: Box<Math>,
        /// Without its bar: a binomial.
        bar: bool,
    },
    Root {
        of: Box<Math>,
        degree: Option<Box<Math>>,
    },
    /// Beside the base, on its right.
    Scripts {
        base: Box<Math>,
        sub: Option<Box<Math>>,
        sup: Option<Box<Math>>,
    },
    /// Right below and above the base: limits, accents, braces.
    Limits {
        base: Box<Math>,
        under: Option<Box<Math>>,
        over: Option<Box<Math>>,
        /// `over` is an accent.
        accent: bool,
    },
    Table(Vec<Vec<Math>>),
    /// Brackets around a row; either may be empty.
    Fenced {
        open: String,
        close: String,
        inner: Box<Math>,
    },
    /// Struck out or boxed: its content.
    Enclosed {
        how: String,
        inner: Box<Math>,
    },
    /// Takes room and shows nothing.
    Phantom(Box<Math>),
}

/// MathML's `mathvariant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Italic,
    Upright,
    Bold,
    BoldItalic,
    DoubleStruck,
    Script,
    Fraktur,
    SansSerif,
    Monospace,
}
