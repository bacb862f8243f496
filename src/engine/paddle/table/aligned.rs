//! A table's grid from its words alone: columns by white space, rows by baselines, lines that go
//! on joined to those that they go on from. Pure.

use super::amount::{is_amount, is_year};
use super::columns::Columns;
use super::fill::Filled;
use super::grid::{Cell, Grid, MOST};
use super::rows::{Rows, union};
use super::words::Piece;

/// What stands in one row of text.
struct Row {
    middle: f32,
    items: Vec<Item>,
}

/// What one cell has in one row of text.
struct Item {
    /// First and last column.
    columns: [usize; 2],
    at: [f32; 4],
    words: Vec<usize>,
    text: String,
}

/// Rows of text closer than this part of the pitch are one row of the table: a cell of one line
/// stands beside the middle of one with two.
const BESIDE: f32 = 0.7;
/// Rows of text farther apart than this are two rows of the table.
const TIGHT: f32 = 1.35;
/// The same where rows of text without a label go on with the row above.
const LOOSE: f32 = 2.5;

/// What else is known of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Heights of the lines that are drawn over its whole width, from top to bottom.
    pub rules: &'a [f32],
    /// What a model makes of it, if one was asked.
    pub model: Option<&'a Grid>,
}

/// A grid of words.
pub struct Aligned {
    pub filled: Filled,
    /// Whether a model could tell better which lines go on: it was not asked, and it matters.
    pub doubtful: bool,
}

/// The grid of these words; `None` where they do not stand in rows and columns.
pub fn aligned(words: &[Piece], known: Known<'_>) -> Option<Aligned> {
    let found = Rows::of(words);
    let columns = Columns::of(&found);
    let count = columns.at.len();
    if !(2..=MOST).contains(&count) || found.middles.len() < 2 {
        return None;
    }
    let mut rows = rows(words, &found, &columns);
    let band = bands(&rows, known.rules);
    let zone = head(&rows, &band);
    for (number, row) in rows.iter_mut().enumerate() {
        settle(row, number < zone, &columns);
    }
    if zone > 1 {
        spread(&mut rows[..zone], &columns);
    }
    let mut grouping = Grouping {
        rows: &rows,
        zone,
        found: &found,
        columns: &columns,
        ruled: ruled(&rows, &band),
        says: known.model.map(|m| placed(&rows, m)),
        band,
        loose: loose(&rows[zone.min(rows.len())..], count),
        labelled: false,
        doubtful: false,
    };
    let numbers = grouping.numbers();
    let doubtful = grouping.doubtful && known.model.is_none();
    let head = numbers.get(zone.max(1) - 1).map_or(0, |n| n + 1);
    let cells = cells(&rows, &numbers);
    let plain: Vec<Cell> = cells.iter().map(|c| c.0).collect();
    let grid = Grid::repaired(&plain, head)?;
    let mut held = vec![Vec::new(); grid.cells.len()];
    let owners = grid.owners();
    for (cell, words) in cells {
        held[owners[cell.row * grid.columns + cell.column]].extend(words);
    }
    let filled = Filled { grid, words: held };
    Some(Aligned { filled, doubtful })
}

/// For each row of text the number of full lines above it.
fn bands(rows: &[Row], rules: &[f32]) -> Vec<usize> {
    let above = |row: &Row| rules.iter().filter(|&&y| y < row.middle).count();
    rows.iter().map(above).collect()
}

/// Whether lines are drawn between all rows of the table: nearly every stretch between two lines
/// has one label, at one height or in lines that follow on each other.
fn ruled(rows: &[Row], band: &[usize]) -> bool {
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

/// Phrases by rows, those of one row that share a column in one item.
fn rows(words: &[Piece], found: &Rows, columns: &Columns) -> Vec<Row> {
    let row = |&middle: &f32| Row {
        middle,
        items: Vec::new(),
    };
    let mut rows: Vec<Row> = found.middles.iter().map(row).collect();
    for (phrase, &[from, to]) in found.phrases.iter().zip(&columns.of) {
        let items = &mut rows[phrase.row].items;
        match items.last_mut().filter(|item| from <= item.columns[1]) {
            Some(item) => {
                item.columns[1] = item.columns[1].max(to);
                item.columns[0] = item.columns[0].min(from);
                item.at = union(item.at, phrase.at);
                item.words.extend(&phrase.words);
                item.text = format!("{} {}", item.text, Rows::text(words, phrase));
            }
            None => items.push(Item {
                columns: [from, to],
                at: phrase.at,
                words: phrase.words.clone(),
                text: Rows::text(words, phrase),
            }),
        }
    }
    rows
}

impl Row {
    fn only_label(&self) -> bool {
        self.items.iter().all(|i| i.columns[0] == 0)
    }

    fn item(&self, column: usize) -> Option<&Item> {
        let within = |i: &&Item| (i.columns[0]..=i.columns[1]).contains(&column);
        self.items.iter().find(within)
    }

    /// Whether an amount stands right of the labels.
    fn has_amount(&self) -> bool {
        let amount = |i: &Item| i.columns[0] > 0 && is_amount(&i.text) && !is_year(&i.text);
        self.items.iter().any(amount)
    }
}

/// Most rows of text that headers have.
const MOST_HEAD: usize = 6;

/// Rows of text at the top that are headers: those above the first line that is drawn below text,
/// or those before the first with an amount where most have one, without the labels of sections
/// that follow on headers of columns. Else one.
fn head(rows: &[Row], band: &[usize]) -> usize {
    let above = band
        .iter()
        .position(|b| *b != band[0])
        .unwrap_or(rows.len());
    if above <= MOST_HEAD && 2 * above < rows.len() && !rows[..above].iter().any(Row::has_amount) {
        return above;
    }
    let amounts = rows.iter().filter(|r| r.has_amount()).count();
    let first = rows.iter().position(Row::has_amount).unwrap_or(rows.len());
    if amounts == 0 || first > MOST_HEAD || 2 * amounts < rows.len() - first {
        return 1;
    }
    let titled = |i: usize| rows[..i].iter().any(|r| !r.only_label());
    let label = |r: &Row| r.only_label() && r.items.iter().all(|i| !i.text.starts_with('('));
    let section = (1..first).find(|&i| titled(i) && label(&rows[i]));
    section.unwrap_or(first)
}

/// Decides whether what runs over several columns spans them. Below the headers it does not: a
/// long label runs out of its column, and stands in its first.
fn settle(row: &mut Row, header: bool, columns: &Columns) {
    for item in &mut row.items {
        let [from, to] = item.columns;
        if from < to && (!header || from == 0 && item.at[0] < columns.at[0][1]) {
            item.columns = [from, from];
        }
    }
}

/// Farthest that the middle of a header stands from that of its share, as part of the share.
const CENTRED: f32 = 0.2;

/// Headers that stand centred over several columns without reaching over them: where the columns
/// right of the labels can be shared evenly among the headers of a row, and each stands about the
/// middle of its share, it spans its share.
fn spread(rows: &mut [Row], columns: &Columns) {
    let data = columns.at.len() - 1;
    for row in rows {
        let mut heads: Vec<&mut Item> = row.items.iter_mut().filter(|i| i.columns[0] > 0).collect();
        let count = heads.len();
        if count == 0 || data == count || data % count != 0 {
            continue;
        }
        let share = data / count;
        let place = |i: usize| [1 + i * share, i * share + share];
        let fits = heads.iter().enumerate().all(|(i, item)| {
            let [from, to] = place(i);
            let (x1, x2) = (columns.at[from][0], columns.at[to][1]);
            let middle = (item.at[0] + item.at[2]) / 2.0;
            let own = item.columns[0] >= from && item.columns[1] <= to;
            let centred = (middle - (x1 + x2) / 2.0).abs() < CENTRED * (x2 - x1);
            item.columns == [from, to] || own && centred
        });
        if fits {
            for (i, item) in heads.iter_mut().enumerate() {
                item.columns = place(i);
            }
        }
    }
}

/// Rows of text to rows of the table.
struct Grouping<'a> {
    rows: &'a [Row],
    /// Rows of text that are headers.
    zone: usize,
    found: &'a Rows,
    columns: &'a Columns,
    /// For each row of text the number of full lines above it.
    band: Vec<usize>,
    /// Whether these stand between all rows of the table.
    ruled: bool,
    /// For each row of text the row of a model's grid.
    says: Option<Vec<Option<usize>>>,
    /// Whether the row of the table that is being put together has a label.
    labelled: bool,
    /// See [`loose`].
    loose: bool,
    doubtful: bool,
}

impl Grouping<'_> {
    /// For each row of text the number of its row in the table.
    fn numbers(&mut self) -> Vec<usize> {
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

    /// Whether a line of a cell goes on with the line above it. `told`: it may without a sign,
    /// where the line above is full.
    fn goes(&self, a: &Item, b: &Item, told: bool) -> bool {
        let character = self.found.character;
        let first = b.text.split(' ').next().map_or(0, |w| w.chars().count());
        let end = self.columns.at[a.columns[0]][1] + 0.5 * character;
        let full = a.at[2] + (first as f32 + 1.0) * character > end;
        let indented = b.at[0] > a.at[0] + 0.5 * character;
        let signed = is_open(&a.text) || continues(&b.text) && (full || indented);
        !a.text.ends_with(':') && (signed || full && (indented || told))
    }
}

/// Whether rows of text without a label go on with the row above them: where there is one column
/// beside the labels, or most of these rows leave columns empty.
fn loose(rows: &[Row], columns: usize) -> bool {
    let without: Vec<&Row> = rows.iter().filter(|r| r.item(0).is_none()).collect();
    let partial = without
        .iter()
        .filter(|r| r.items.len() + 1 < columns)
        .count();
    !without.is_empty() && (columns == 2 || 2 * partial > without.len())
}

/// For each row of text the row of a model's grid that it stands in; none where that row has
/// several labels, which is more than one row.
fn placed(rows: &[Row], grid: &Grid) -> Vec<Option<usize>> {
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

/// Cells with their words, by rows of the table and columns.
fn cells(rows: &[Row], numbers: &[usize]) -> Vec<(Cell, Vec<usize>)> {
    let mut out: Vec<(Cell, Vec<usize>)> = Vec::new();
    for (row, &number) in rows.iter().zip(numbers) {
        for item in &row.items {
            let [from, to] = item.columns;
            let same = |c: &&mut (Cell, Vec<usize>)| {
                c.0.row == number && from < c.0.column + c.0.colspan && c.0.column <= to
            };
            match out.iter_mut().rev().find(same) {
                Some((cell, words)) => {
                    let end = (cell.column + cell.colspan).max(to + 1);
                    cell.column = cell.column.min(from);
                    cell.colspan = end - cell.column;
                    cell.at = union(cell.at, item.at);
                    words.extend(&item.words);
                }
                None => {
                    let cell = Cell {
                        colspan: to + 1 - from,
                        ..Cell::single(number, from, item.at)
                    };
                    out.push((cell, item.words.clone()));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::drawn;
    use super::*;

    /// The rows, cells between bars; a cell over several columns with `^` for each further one.
    fn table(text: &str) -> String {
        let words = drawn(text);
        let Some(Aligned { filled, .. }) = aligned(&words, Known::default()) else {
            return "none".into();
        };
        let texts = filled.texts(&words);
        let mut out = String::new();
        for (row, cells) in filled.grid.owners().chunks(filled.grid.columns).enumerate() {
            let mut last = None;
            let line: Vec<&str> = cells
                .iter()
                .map(|&c| {
                    if last.replace(c) == Some(c) {
                        "^"
                    } else {
                        &texts[c]
                    }
                })
                .collect();
            let mark = if row < filled.grid.head { "# " } else { "" };
            out.push_str(&format!("{mark}{}\n", line.join("|")));
        }
        out
    }

    #[test]
    fn a_financial_table() {
        let written = "
                            Three Months Ended
                                March 31,
(In thousands)               2014        2013
Net sales                $  1,234     $ 1,100
Cost of sales, less
   returned goods             (56  )      (44  )
Other:
  Interest                      -          12
Margin                       12.5  %     11.0  %
";
        let expected = "\
# |Three Months Ended March 31,|^
# (In thousands)|2014|2013
Net sales|$1,234|$1,100
Cost of sales, less returned goods|(56)|(44)
Other:||
Interest|-|12
Margin|12.5%|11.0%
";
        assert_eq!(table(written), expected);
    }

    #[test]
    fn a_table_of_text_with_lines_that_go_on() {
        let written = "\
Name          Use               Note
Alpha         for the first     none
              of the lines
Beta          second            see there
";
        let expected = "\
# Name|Use|Note
Alpha|for the first of the lines|none
Beta|second|see there
";
        assert_eq!(table(written), expected);
    }

    #[test]
    fn a_paragraph_is_no_table() {
        assert_eq!(table("one line of text\nand another line\n"), "none");
        assert_eq!(table("one   line\n"), "none");
    }
}
