//! What a drawn document says: the truth that a reading is held against.

/// Rows of cells; a cell that spans stands at its first row and column alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub head: bool,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub text: String,
    /// Columns and rows that it covers, at least 1.
    pub columns: usize,
    pub rows: usize,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Self {
        Self::spanning(text, 1, 1)
    }

    pub fn spanning(text: impl Into<String>, columns: usize, rows: usize) -> Self {
        Self {
            text: text.into(),
            columns,
            rows,
        }
    }
}

impl Table {
    /// A table without spans whose first row is its head.
    pub fn plain<T: Into<String>>(rows: impl IntoIterator<Item = Vec<T>>) -> Self {
        let rows = rows.into_iter().enumerate().map(|(i, cells)| Row {
            head: i == 0,
            cells: cells.into_iter().map(Cell::new).collect(),
        });
        Self {
            rows: rows.collect(),
        }
    }

    /// The texts of the cells, row by row.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.map(|cell| cell.text.as_str())
    }
}

/// Lines around the cells of a drawn table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lines {
    All,
    None,
    /// Above and below the table and under its head.
    Book,
    /// As accounts are set: a line over each sum, `$` left and the number right in its cell.
    Accounts,
}

/// An item of a list and what is nested in it.
#[derive(Clone, Debug)]
pub struct Item {
    pub text: String,
    pub inner: Option<List>,
}

#[derive(Clone, Debug)]
pub struct List {
    pub ordered: bool,
    pub items: Vec<Item>,
}

/// A display formula.
#[derive(Clone, Debug)]
pub struct Formula {
    /// As typst sets it, between its dollar signs.
    pub typst: &'static str,
    /// The same in LaTeX, with its number.
    pub latex: String,
    /// Whether its number is printed beside it: that of the numbered formulas so far.
    pub numbered: bool,
}

#[derive(Clone, Debug)]
pub enum Block {
    Title(String),
    /// Level 1 is a section.
    Heading(u8, String),
    Paragraph(String),
    /// A paragraph, and the footnote whose mark stands at its end.
    Noted(String, String),
    List(List),
    Table(Table, Lines),
    /// A drawing without text, and its caption.
    Figure(String),
    Caption(String),
    Code(String),
    Formula(Formula),
    /// The next page begins here. Footnotes stand before it.
    Break,
}

/// What repeats on every page and is no part of the text.
#[derive(Clone, Debug, Default)]
pub struct Furniture {
    /// Of pages with odd and with even numbers.
    pub head: Option<[String; 2]>,
    pub foot: Option<String>,
    /// Number of the first page, shown in the middle below the text.
    pub number: Option<u32>,
}

/// What part of a document a text is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// 1 for the document's title, 2 for a section, as Markdown counts.
    Heading(u8),
    Paragraph,
    /// Depth from 1; whether the items are numbered.
    Item(u8, bool),
    Caption,
    Footnote,
    Code,
    Table,
}

/// A text of the document. Of a table, all cells row by row.
#[derive(Clone, Debug)]
pub struct Unit {
    pub kind: Kind,
    pub text: String,
}

/// The texts of `blocks` in the order in which a person reads them; formulas are none.
pub fn units(blocks: &[Block]) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    let mut mark = 0;
    let unit = |kind, text: &str| Unit {
        kind,
        text: text.to_owned(),
    };
    for block in blocks {
        match block {
            Block::Title(text) => units.push(unit(Kind::Heading(1), text)),
            Block::Heading(level, text) => units.push(unit(Kind::Heading(level + 1), text)),
            Block::Paragraph(text) => units.push(unit(Kind::Paragraph, text)),
            Block::Noted(text, note) => {
                mark += 1;
                units.push(unit(Kind::Paragraph, &format!("{text}{mark}")));
                notes.push(format!("{mark} {note}"));
            }
            Block::List(list) => items(list, 1, &mut units),
            Block::Table(table, _) => {
                let texts: Vec<&str> = table.texts().collect();
                units.push(unit(Kind::Table, &texts.join(" ")));
            }
            Block::Figure(text) | Block::Caption(text) => units.push(unit(Kind::Caption, text)),
            Block::Code(text) => units.push(unit(Kind::Code, text)),
            Block::Formula(_) => {}
            Block::Break => flush(&mut notes, &mut units),
        }
    }
    flush(&mut notes, &mut units);
    units
}

fn flush(notes: &mut Vec<String>, units: &mut Vec<Unit>) {
    units.extend(notes.drain(..).map(|text| Unit {
        kind: Kind::Footnote,
        text,
    }));
}

fn items(list: &List, depth: u8, units: &mut Vec<Unit>) {
    for item in &list.items {
        units.push(Unit {
            kind: Kind::Item(depth, list.ordered),
            text: item.text.clone(),
        });
        if let Some(inner) = &item.inner {
            items(inner, depth + 1, units);
        }
    }
}

/// The LaTeX of the formulas of `blocks` in order.
pub fn formulas(blocks: &[Block]) -> Vec<&str> {
    let formulas = blocks.iter().filter_map(|block| match block {
        Block::Formula(formula) => Some(&*formula.latex),
        _ => None,
    });
    formulas.collect()
}

/// The tables of `blocks` in order.
pub fn tables(blocks: &[Block]) -> Vec<&Table> {
    let tables = blocks.iter().filter_map(|block| match block {
        Block::Table(table, _) => Some(table),
        _ => None,
    });
    tables.collect()
}
