//! Rows of text to rows of a table: which lines go on with those above them. Pure.

use super::amount::is_amount;
use super::columns::Columns;
use super::grid::Grid;
use super::items::{Item, Row};
use super::rows::Rows;

/// Rows of text closer than this part of the pitch are one row of the table: a cell of one line
/// stands beside the middle of one with two.
const BESIDE: f32 = 0.7;
/// Rows of text farther apart than this are two rows of the table.
const TIGHT: f32 = 1.35;
/// The same where rows of text without a label go on with the row above.
const LOOSE: f32 = 2.5;

/// Rows of text to rows of the table.
pub struct Grouping<'a> {
    pub rows: &'a [Row],
    /// Rows of text that are headers.
    pub zone: usize,
    pub found: &'a Rows,
    pub columns: &'a Columns,
    /// For each row of text the number of full lines above it.
    pub band: Vec<usize>,
    /// Whether these stand between all rows of the table.
    pub ruled: bool,
    /// For each row of text the row of a model's grid.
    pub says: Option<Vec<Option<usize>>>,
    /// Whether the row of the table that is being put together has a label.
    pub labelled: bool,
    /// See [`loose`].
    pub loose: bool,
    pub doubtful: bool,
}

impl Grouping<'_> {
    /// For each row of text the number of its row in the table.
    pub fn numbers(&mut self) -> Vec<usize> {
        let mut numbers = vec![0; self.rows.len()];
        for i in 1..self.rows.len() {
            let labelled = self.rows[i - 1].item(0).is_some();
            self.labelled |= labelled;
            let same = self.same(i);
            self.labelled &= same;
            numbers[i] = numbers[i - 1] + usize::from(!same);
        }
        numbers
    }

    /// Whether the row of text `i` is in the same row of the table as the one above it.
    fn same(&mut self, i: usize) -> bool {
        let (above, below) = (&self.rows[i - 1], &self.rows[i]);
        let distance = (below.middle - above.middle) / self.found.pitch;
        if self.band[i] != self.band[i - 1] {
            return false;
        }
        if distance < BESIDE || self.ruled {
            return true;
        }
        if i < self.zone {
            return same_header(above, below, distance);
        }
        let apart = if self.loose { LOOSE } else { TIGHT };
        if (i == self.zone && self.zone > 1) || distance >= apart {
            return false;
        }
        let told = |says: &Vec<Option<usize>>| says[i] == says[i - 1] && says[i].is_some();
        let told = self.says.as_ref().is_some_and(told);
        let goes = self.goes_on(above, below, told);
        self.doubtful |= !goes && self.goes_on(above, below, true);
        goes
    }

    /// Whether the row `below` goes on with what `above` says. `told`: a model says so.
    fn goes_on(&self, above: &Row, below: &Row, told: bool) -> bool {
        // Two amounts of one column are two rows.
        let stacked = below.items.iter().any(|b| {
            let over = above.item(b.columns[0]);
            is_amount(&b.text) && over.is_some_and(|a| is_amount(&a.text))
        });
        if stacked {
            return false;
        }
        match (above.item(0), below.item(0)) {
            // The label's lines stand above its amounts, or below them.
            (Some(a), Some(b)) if above.only_label() || self.loose => self.goes(a, b, told),
            (Some(a), Some(b)) if below.only_label() => {
                self.goes(a, b, told) && !is_amount(&b.text)
            }
            (Some(_), Some(_)) => told && self.all_go(above, below),
            (_, None) if self.loose => true,
            // A row without a label goes on with one cell of the row above, or with several.
            (_, None) => {
                let over = |b: &Item| {
                    let over = above.item(b.columns[0]);
                    over.is_some_and(|a| !a.text.ends_with(':'))
                };
                below.items.len() == 1 && below.items.iter().all(over)
                    || told
                    || self.all_go(above, below)
            }
            // A label stands beside the middle of its cells.
            (None, Some(_)) => told && !self.labelled,
        }
    }

    fn all_go(&self, above: &Row, below: &Row) -> bool {
        let mut pairs = below.items.iter().map(|b| (above.item(b.columns[0]), b));
        pairs.all(|(a, b)| a.is_some_and(|a| self.goes(a, b, true)))
    }

    /// Whether a line of a cell goes on with the line above it: it begins or ends as one that
    /// does, or `told` and the line above is full.
    fn goes(&self, a: &Item, b: &Item, told: bool) -> bool {
        let character = self.found.character;
        let first = b.text.split(' ').next().map_or(0, |w| w.chars().count());
        let end = self.columns.at[a.columns[0]][1] + 0.5 * character;
        let full = a.at[2] + (first as f32 + 1.0) * character > end;
        let indented = b.at[0] > a.at[0] + 0.5 * character;
        let signed = is_open(&a.text) || continues(&b.text) && (full || indented);
        !a.text.ends_with(':') && (signed || full && told)
    }
}

/// Whether rows of text without a label go on with the row above them: where there is one column
/// beside the labels, or most of these rows leave columns empty.
pub fn loose(rows: &[Row], columns: usize) -> bool {
    let without: Vec<&Row> = rows.iter().filter(|r| r.item(0).is_none()).collect();
    let partial = without
        .iter()
        .filter(|r| r.items.len() + 1 < columns)
        .count();
    !without.is_empty() && (columns == 2 || 2 * partial > without.len())
}

/// For each row of text the row of a model's grid that it stands in; none where that row has
/// several labels, which is more than one row.
pub fn placed(rows: &[Row], grid: &Grid) -> Vec<Option<usize>> {
    let mut ys = vec![[f32::MAX, f32::MIN]; grid.rows];
    for cell in grid.cells.iter().filter(|c| c.rowspan == 1) {
        let y = &mut ys[cell.row];
        *y = [y[0].min(cell.at[1]), y[1].max(cell.at[3])];
    }
    let within = |row: &Row| {
        let holds = |y: &[f32; 2]| (y[0]..=y[1]).contains(&row.middle);
        let mut held = ys.iter().enumerate().filter(|(_, y)| holds(y));
        let first = held.next().map(|(number, _)| number);
        first.filter(|_| held.next().is_none())
    };
    let mut places: Vec<Option<usize>> = rows.iter().map(within).collect();
    for number in 0..grid.rows {
        let of = |p: &Option<usize>| *p == Some(number);
        let held = rows.iter().zip(&places).filter(|(_, p)| of(p));
        if held.filter(|(r, _)| r.item(0).is_some()).count() > 1 {
            places.iter_mut().filter(|p| of(p)).for_each(|p| *p = None);
        }
    }
    places
}

/// Whether two rows of headers are one: both over single columns, or over the same spans.
fn same_header(above: &Row, below: &Row, distance: f32) -> bool {
    let spans = |row: &Row| -> Vec<[usize; 2]> {
        let wide = row.items.iter().map(|i| i.columns);
        wide.filter(|c| c[0] < c[1]).collect()
    };
    let (a, b) = (spans(above), spans(below));
    distance < TIGHT && a == b
}

/// Whether a line begins as one that goes on: with a small letter, a bracket or a currency.
fn continues(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next().unwrap_or(' ');
    // "a) first point", "ii. second" begin anew.
    let listed = text
        .split(' ')
        .next()
        .is_some_and(|w| w.ends_with([')', '.']) && w.len() <= 4);
    (first.is_lowercase() && !listed) || first == '$'
}

/// Whether a line ends as one that goes on.
fn is_open(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "and", "of", "for", "in", "to", "or", "by", "from", "with", "the", "on", "at", "per",
        "net", "a", "than",
    ];
    let last = text.rsplit(' ').next().unwrap_or_default();
    text.ends_with([',', '-', '–', '&', '/']) && text.len() > 1 || WORDS.contains(&last)
}

/// Whether lines are drawn between all rows of the table: nearly every stretch between two lines
/// has one label, at one height or in lines that follow on each other.
pub fn ruled(rows: &[Row], band: &[usize]) -> bool {
    let (mut stretches, mut single, mut i) = (0, 0, 0);
    while i < rows.len() {
        let end = band[i..]
            .iter()
            .position(|b| *b != band[i])
            .map_or(rows.len(), |n| i + n);
        let labels = rows[i..end].iter().filter(|r| r.item(0).is_some()).count();
        stretches += 1;
        single += usize::from(labels <= 1 || end - i <= 2);
        i = end;
    }
    stretches > 3 && single * 10 >= stretches * 8
}
