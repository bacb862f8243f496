//! Words into the cells of a grid, and what a cell then says. Pure.

use std::collections::HashMap;

use super::amount::together;
use super::grid::{Cell, Grid};
use super::rows::Rows;
use super::words::Piece;
use crate::page::words::is_unspaced;

/// A grid with the words of each of its cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    pub grid: Grid,
    /// For each cell the numbers of its words.
    pub words: Vec<Vec<usize>>,
}

impl Filled {
    /// Each word into the cell that covers most of it; where none does, into the nearest cell of
    /// the row that it stands in.
    pub fn by_place(grid: Grid, pieces: &[Piece]) -> Self {
        let mut words = vec![Vec::new(); grid.cells.len()];
        for (i, piece) in pieces.iter().enumerate() {
            if let Some(cell) = home(&grid.cells, piece.at) {
                words[cell].push(i);
            }
        }
        Self { grid, words }
    }

    /// With the cells over several columns cut where their words stand apart: between two phrases
    /// a column begins, and no phrase runs over its edge. Lines are often missing in the shaded
    /// row of headers.
    pub fn with_spans_cut(self, pieces: &[Piece]) -> Option<Self> {
        let Self { grid, words } = self;
        let mut edges = vec![f32::MAX; grid.columns + 1];
        for cell in &grid.cells {
            edges[cell.column] = edges[cell.column].min(cell.at[0]);
        }
        let edge = |column: usize| edges[column];
        let mut cells: Vec<Cell> = Vec::with_capacity(grid.cells.len());
        for (cell, numbers) in grid.cells.iter().zip(&words) {
            let held: Vec<Piece> = numbers.iter().map(|&n| pieces[n].clone()).collect();
            let phrases = if cell.colspan > 1 {
                Rows::of(&held).phrases
            } else {
                Vec::new()
            };
            let mut from = cell.column;
            for column in cell.column + 1..cell.column + cell.colspan {
                let x = edge(column);
                let left = phrases
                    .iter()
                    .any(|p| p.at[2] <= x && p.at[0] >= edge(from));
                let right = phrases.iter().any(|p| p.at[0] >= x);
                let over = phrases.iter().any(|p| p.at[0] < x && x < p.at[2]);
                if left && right && !over {
                    let at = [cell.at[0].max(edge(from)), cell.at[1], x, cell.at[3]];
                    let colspan = column - from;
                    cells.push(Cell {
                        column: from,
                        colspan,
                        at,
                        ..*cell
                    });
                    from = column;
                }
            }
            let at = if from > cell.column {
                edge(from)
            } else {
                cell.at[0]
            };
            cells.push(Cell {
                column: from,
                colspan: cell.column + cell.colspan - from,
                at: [at, cell.at[1], cell.at[2], cell.at[3]],
                ..*cell
            });
        }
        Some(Self::by_place(Grid::repaired(&cells, grid.head)?, pieces))
    }

    /// Without the rows and columns in which no cell has a word; `None` where none is left.
    pub fn without_empty(self) -> Option<Self> {
        let Self { grid, words } = self;
        let mut rows = vec![false; grid.rows];
        let mut columns = vec![false; grid.columns];
        for (cell, _) in grid.cells.iter().zip(&words).filter(|(_, w)| !w.is_empty()) {
            rows[cell.row] = true;
            // A column that only spans reach into is empty too.
            columns[cell.column] = true;
        }
        let before = |kept: &[bool], end: usize| kept[..end].iter().filter(|k| **k).count();
        let head = before(&rows, grid.head);
        let mut kept: Vec<(Cell, Vec<usize>)> = Vec::new();
        for (cell, words) in grid.cells.into_iter().zip(words) {
            let (row, column) = (before(&rows, cell.row), before(&columns, cell.column));
            let rowspan = before(&rows, cell.row + cell.rowspan) - row;
            let colspan = before(&columns, cell.column + cell.colspan) - column;
            if rowspan > 0 && colspan > 0 {
                let cell = Cell {
                    row,
                    column,
                    rowspan,
                    colspan,
                    ..cell
                };
                kept.push((cell, words));
            }
        }
        let cells: Vec<Cell> = kept.iter().map(|k| k.0).collect();
        let grid = Grid::repaired(&cells, head)?;
        let mut places = HashMap::new();
        for (i, (cell, _)) in kept.iter().enumerate() {
            places.entry((cell.row, cell.column)).or_insert(i);
        }
        let words = grid.cells.iter().map(|cell| {
            let place = places.get(&(cell.row, cell.column));
            place.map(|&i| kept[i].1.clone()).unwrap_or_default()
        });
        Some(Self {
            words: words.collect(),
            grid,
        })
    }

    /// The text of each cell.
    pub fn texts(&self, pieces: &[Piece]) -> Vec<String> {
        self.words.iter().map(|w| text(w, pieces)).collect()
    }
}

/// The cell for a word at `at`.
fn home(cells: &[Cell], at: [f32; 4]) -> Option<usize> {
    let common = |c: &Cell| {
        let across = c.at[2].min(at[2]) - c.at[0].max(at[0]);
        let along = c.at[3].min(at[3]) - c.at[1].max(at[1]);
        across.max(0.0) * along.max(0.0)
    };
    let covers =
        (0..cells.len()).max_by(|&a, &b| common(&cells[a]).total_cmp(&common(&cells[b])))?;
    if common(&cells[covers]) > 0.0 {
        return Some(covers);
    }
    // Off its row counts ten times as far as beside its cell.
    let away = |c: &Cell| {
        let outside =
            |from: f32, to: f32, low: f32, high: f32| (from - high).max(low - to).max(0.0);
        outside(c.at[0], c.at[2], at[0], at[2]) + 10.0 * outside(c.at[1], c.at[3], at[1], at[3])
    };
    (0..cells.len()).min_by(|&a, &b| away(&cells[a]).total_cmp(&away(&cells[b])))
}

/// What the words of a cell say: its lines from top to bottom, joined; a line that is an item of a
/// list begins after a line feed.
pub fn text(numbers: &[usize], pieces: &[Piece]) -> String {
    let mut words: Vec<&Piece> = numbers.iter().filter_map(|&n| pieces.get(n)).collect();
    words.sort_by(|a, b| a.middle().total_cmp(&b.middle()));
    let mut lines: Vec<Vec<&Piece>> = Vec::new();
    for word in words {
        let same = lines.last_mut().filter(|line| {
            line.iter().any(|w| w.line == word.line)
                || line.first().is_some_and(|w| {
                    (word.middle() - w.middle()).abs() < 0.5 * w.height().max(word.height())
                        && line.iter().all(|w| {
                            w.at[2].min(word.at[2]) - w.at[0].max(word.at[0]) < 0.5 * w.height()
                        })
                })
        });
        match same {
            Some(line) => line.push(word),
            None => lines.push(vec![word]),
        }
    }
    let mut out = String::new();
    for line in &mut lines {
        line.sort_by(|a, b| a.at[0].total_cmp(&b.at[0]));
        let letters = || {
            line.iter()
                .flat_map(|w| w.text.chars())
                .filter(|c| c.is_alphabetic())
        };
        if 2 * letters().filter(|&c| leftward(c)).count() > letters().count() {
            line.reverse();
        }
        let listed = line.len() > 1 && matches!(&*line[0].text, "-" | "–" | "•" | "◦" | "▪" | "*");
        if listed && !out.is_empty() {
            out.push('\n');
        }
        for (i, word) in line.iter().enumerate() {
            if word.glued && i > 0 && line[i - 1].line == word.line {
                out.push_str(&word.text);
            } else {
                append(&mut out, &word.text, i == 0);
            }
        }
    }
    out
}

/// Appends a word. `fresh`: it begins a line, so that a word divided before it comes together.
fn append(out: &mut String, word: &str, fresh: bool) {
    let Some(first) = word.chars().next() else {
        return;
    };
    let last_word = out.rsplit([' ', '\n']).next().unwrap_or_default();
    let mut back = out.chars().rev();
    match (back.next(), back.next()) {
        (None | Some('\n'), _) => {}
        (Some('-' | '\u{ad}' | '\u{2010}'), Some(before)) if fresh && before.is_alphanumeric() => {
            // "2-" and "yl", "Non-" and "GAAP" keep what divides them.
            if before.is_lowercase() && first.is_lowercase() || out.ends_with('\u{ad}') {
                out.pop();
            }
        }
        (Some(last), _) if is_unspaced(last) && is_unspaced(first) => {}
        _ if together(last_word, word) => {}
        _ => out.push(' '),
    }
    out.push_str(word);
}

/// Hebrew and Arabic, which read from right to left.
fn leftward(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::drawn;
    use super::*;

    fn grid() -> Grid {
        let cells: Vec<_> = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
            .map(|(row, column)| {
                let (x, y) = (100.0 * column as f32, 30.0 * row as f32);
                Cell::single(row, column, [x, y, x + 100.0, y + 30.0])
            })
            .into();
        Grid::repaired(&cells, 1).unwrap()
    }

    fn texts(filled: &Filled, pieces: &[Piece]) -> Vec<String> {
        filled.texts(pieces)
    }

    #[test]
    fn words_go_to_their_cells_and_empty_columns_go() {
        // "far" stands right of all cells, in the second row.
        let pieces = drawn("Name                12\nSum                 3      far\n");
        let filled = Filled::by_place(grid(), &pieces);
        assert_eq!(
            texts(&filled, &pieces),
            ["Name", "", "12", "Sum", "", "3 far"]
        );
        let filled = filled.without_empty().unwrap();
        assert_eq!(
            (filled.grid.rows, filled.grid.columns, filled.grid.head),
            (2, 2, 1)
        );
        assert_eq!(texts(&filled, &pieces), ["Name", "12", "Sum", "3 far"]);
        assert!(Filled::by_place(grid(), &[]).without_empty().is_none());
    }

    #[test]
    fn a_span_shrinks_with_the_columns_that_go() {
        let wide = Cell {
            colspan: 3,
            ..Cell::single(0, 0, [0.0, 0.0, 300.0, 30.0])
        };
        let cells = [wide, grid().cells[3], grid().cells[4], grid().cells[5]];
        let pieces = drawn("Title\nab                  c\n");
        let filled = Filled::by_place(Grid::repaired(&cells, 1).unwrap(), &pieces);
        let filled = filled.without_empty().unwrap();
        let spans: Vec<_> = filled.grid.cells.iter().map(|c| c.colspan).collect();
        assert_eq!(spans, [2, 1, 1]);
    }

    #[test]
    fn a_span_is_cut_where_its_words_stand_apart() {
        let wide = Cell {
            colspan: 3,
            ..Cell::single(0, 0, [0.0, 0.0, 300.0, 30.0])
        };
        let cells = [wide, grid().cells[3], grid().cells[4], grid().cells[5]];
        let cut = |written: &str| {
            let pieces = drawn(written);
            let filled = Filled::by_place(Grid::repaired(&cells, 1).unwrap(), &pieces);
            let filled = filled.with_spans_cut(&pieces).unwrap();
            let spans: Vec<_> = filled.grid.cells.iter().map(|c| c.colspan).collect();
            (spans, filled.texts(&pieces))
        };
        let (spans, texts) = cut("Name           Over both\n");
        assert_eq!(spans, [1, 2, 1, 1, 1]);
        assert_eq!(texts[..2], ["Name", "Over both"]);
        assert_eq!(cut("   Over all of the three\n").0, [3, 1, 1, 1]);
    }

    #[test]
    fn lines_of_a_cell_are_joined() {
        let of = |written: &str| {
            let pieces = drawn(written);
            let all: Vec<usize> = (0..pieces.len()).rev().collect();
            text(&all, &pieces)
        };
        assert_eq!(of("a divid-\ned word\n"), "a divided word");
        assert_eq!(of("Non-\nGAAP\n"), "Non-GAAP");
        assert_eq!(of("sum -\nrest\n"), "sum - rest");
        assert_eq!(of("\u{4e00}\n\u{4e8c}\n"), "\u{4e00}\u{4e8c}");
        assert_eq!(of("$   12   %\n"), "$12%");
        assert_eq!(of("ב א\n"), "א ב", "from right to left");
        assert_eq!(
            of("both:\n- one\n- two\nmore\n-\n5\n"),
            "both:\n- one\n- two more - 5"
        );
    }
}
