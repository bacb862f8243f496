//! A table's grid from its words alone: columns by white space, rows by baselines, lines that go
//! on joined to those that they go on from. Pure.

use super::columns::Columns;
use super::fill::Filled;
use super::grid::{Cell, Grid, MOST};
use super::grouping::{Grouping, loose, placed, ruled};
use super::items::{Row, rows, settle, spread};
use super::rows::Rows;
use super::ruling::Segment;
use super::words::Piece;
use crate::engine::paddle::layout::union;

/// What else is known of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Heights of the lines that are drawn over its whole width, from top to bottom.
    pub rules: &'a [f32],
    /// All lines that are drawn from left to right.
    pub lines: &'a [Segment],
    /// What a model makes of it, if one was asked.
    pub model: Option<&'a Grid>,
}

/// A table's words in a grid, and those around it.
pub struct Aligned {
    pub filled: Filled,
    /// Words of a title above the table and of notes below it, which stand over its columns.
    pub title: Vec<usize>,
    pub notes: Vec<usize>,
    /// Whether a model could tell better which lines go on: it was not asked, and it matters.
    pub doubtful: bool,
}

impl From<Filled> for Aligned {
    fn from(filled: Filled) -> Self {
        Self {
            filled,
            title: Vec::new(),
            notes: Vec::new(),
            doubtful: false,
        }
    }
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
    let (title, notes) = around(&mut rows);
    if rows.len() < 2 {
        return None;
    }
    let band = bands(&rows, known.rules);
    let zone = head(&rows, &band);
    for (number, row) in rows.iter_mut().enumerate() {
        settle(row, number < zone, &columns);
    }
    if zone > 1 {
        spread(&mut rows[..zone], &columns, known.lines);
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
    Some(Aligned {
        filled,
        title,
        notes,
        doubtful,
    })
}

/// Takes the rows of text away that are not the table's: at the top those of one phrase that runs
/// from the labels over other columns, at the bottom the first of these and what follows on it.
fn around(rows: &mut Vec<Row>) -> (Vec<usize>, Vec<usize>) {
    let wide = |r: &Row| matches!(&r.items[..], [i] if i.columns[0] == 0 && i.columns[1] > 0);
    let words = |rows: Vec<Row>| -> Vec<usize> {
        let items = rows.into_iter().flat_map(|r| r.items);
        items.flat_map(|i| i.words).collect()
    };
    let table = rows
        .iter()
        .rposition(|r| r.items.len() > 1)
        .map_or(0, |i| i + 1);
    let notes = match rows[table..].iter().position(wide) {
        Some(from) => rows.split_off(table + from),
        None => Vec::new(),
    };
    let top = rows.iter().take_while(|r| wide(r)).count();
    let title = rows.drain(..top).collect();
    (words(title), words(notes))
}

/// For each row of text the number of full lines above it.
fn bands(rows: &[Row], rules: &[f32]) -> Vec<usize> {
    let above = |row: &Row| rules.iter().filter(|&&y| y < row.middle).count();
    rows.iter().map(above).collect()
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
    fn labels_of_sections_stand_in_rows_of_their_own() {
        let written = "
                Men           Women
             n      %       n       %
Age, years
  18-29     12   24.0      13    26.0
  30-44     20   40.0      19    38.0
";
        let expected = "\
# |Men|^|Women|^
# |n|%|n|%
Age, years||||
18-29|12|24.0|13|26.0
30-44|20|40.0|19|38.0
";
        assert_eq!(table(written), expected);
    }

    #[test]
    fn a_title_and_notes_are_not_the_tables() {
        let words = drawn(
            "Table 3. The methods on all sets\nMethod    One    Two\nOurs      1.2    2.3\n\
             Theirs    3.2    4.3\nOthers    5.2    6.3\n* Means over five runs, as is\nusual.\n",
        );
        let found = aligned(&words, Known::default()).unwrap();
        let text = |numbers: &[usize]| super::super::fill::text(numbers, &words);
        assert_eq!(text(&found.title), "Table 3. The methods on all sets");
        assert_eq!(text(&found.notes), "* Means over five runs, as is usual.");
        assert_eq!((found.filled.grid.rows, found.filled.grid.columns), (4, 3));
    }

    #[test]
    fn a_paragraph_is_no_table() {
        assert_eq!(table("one line of text\nand another line\n"), "none");
        assert_eq!(table("one   line\n"), "none");
    }
}
