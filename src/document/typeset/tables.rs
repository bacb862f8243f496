//! Tables as typst grids, cut into portions of rows.
//!
//! One grid of 10,000 rows takes 685 MB to lay out, so a table is cut after [`ROWS`] rows where no
//! cell crosses the cut; a cell that spans more than [`MOST_ROWS`] goes on empty in the next
//! portion. All portions share columns whose widths come from the text in them; a small table gets
//! its widths from typst.

use std::num::NonZeroUsize;
use std::sync::Arc;

use typst::foundations::{Content, NativeElement, Packed, Smart};
use typst::layout::{
    Abs, BlockBody, BlockElem, Celled, Em, Fr, GridCell, GridChild, GridElem, GridHeader, GridItem,
    Length, Rel, Sides, Sizing, TrackSizings,
};
use typst::text::{FontWeight, TextElem};
use typst::visualize::{Color, Stroke};

use super::inlines::Look;
use super::pieces::{Block, Builder, NEST, Place, joined, sized, spacing};
use super::text;
use crate::document::flow::{Cell, Piece, Table};

/// Rows after which a portion ends where it can, and where it must.
const ROWS: usize = 60;
const MOST_ROWS: usize = 180;
/// A table of fewer cells and characters gets its widths from typst, which sets every cell twice.
const SMALL_CELLS: usize = 600;
const SMALL_TEXT: usize = 20_000;
/// What a cell adds to the weight of its text: it costs typst as much as a line.
const CELL: usize = 60;
/// More columns than this are set as lines of text: each would be narrower than a letter.
const COLUMNS: usize = 40;

/// A cell and where it stands.
struct Placed<'a> {
    cell: &'a Cell,
    column: usize,
    row: usize,
    columns: usize,
    rows: usize,
}

impl Builder<'_> {
    /// A table with its caption above it.
    pub fn table(&mut self, table: &Table, place: Place) -> Vec<Block> {
        let caption = self.caption(&table.caption, true, place);
        let mut blocks = caption;
        let (cells, columns) = placed(table);
        blocks.extend(self.labelled("table", |this| {
            if columns > COLUMNS || place.depth >= NEST / 2 {
                this.rows_as_text(table, place)
            } else {
                this.grids(table, &cells, columns, place)
            }
        }));
        blocks
    }

    /// The cells of a row one after the other, a row to a line.
    fn rows_as_text(&mut self, table: &Table, place: Place) -> Vec<Block> {
        let mut blocks = Vec::new();
        for row in &table.rows {
            for cell in row {
                blocks.extend(self.all(&cell.pieces, place.inner(0.0)));
            }
        }
        blocks
    }

    fn grids(
        &mut self,
        table: &Table,
        cells: &[Placed],
        columns: usize,
        place: Place,
    ) -> Vec<Block> {
        if columns == 0 {
            return Vec::new();
        }
        let sizes: Vec<usize> = cells.iter().map(|placed| characters(placed.cell)).collect();
        let small = place.depth == 0
            && cells.len() <= SMALL_CELLS
            && table.rows.len() <= ROWS
            && sizes.iter().sum::<usize>() <= SMALL_TEXT;
        let tracks = if small {
            vec![Sizing::Auto; columns]
        } else {
            widths(cells, &sizes, columns)
        };
        let size = match columns {
            0..=4 => 0.9,
            5..=7 => 0.8,
            8..=12 => 0.65,
            _ => 0.5,
        };
        let cuts = cuts(cells, table.rows.len());
        let count = cuts.len();
        let mut blocks = Vec::new();
        let mut begin = 0;
        let mut next = 0;
        for (index, end) in cuts.into_iter().enumerate() {
            let mut children = Vec::new();
            let mut header = Vec::new();
            let mut weight = 0;
            // Cells of earlier portions that reach into this one leave their room empty.
            for placed in cells[..next].iter().rev().take(columns * MOST_ROWS) {
                if placed.row + placed.rows > begin {
                    let rows = (placed.row + placed.rows).min(end) - begin;
                    let shape = (placed.column, 0, placed.columns, rows);
                    children.push(grid_item(Content::empty(), shape));
                }
            }
            let headers = if index == 0 {
                table.header_rows.min(end)
            } else {
                0
            };
            // A cell that reaches out of the header would be cut by it.
            let whole = cells
                .iter()
                .take_while(|placed| placed.row < headers)
                .all(|placed| placed.row + placed.rows <= headers);
            while let Some(placed) = cells.get(next).filter(|placed| placed.row < end) {
                let (body, cell_weight) = self.cell(placed.cell, columns, placed.columns, place);
                weight += cell_weight + CELL;
                let rows = placed.rows.min(end - placed.row);
                let shape = (placed.column, placed.row - begin, placed.columns, rows);
                let item = grid_item(body, shape);
                if placed.row < headers && whole && headers < end {
                    header.push(item);
                } else {
                    children.push(item);
                }
                next += 1;
            }
            let mut all: Vec<GridChild> = Vec::new();
            if !header.is_empty() {
                all.push(GridChild::Header(Packed::new(GridHeader::new(header))));
            }
            all.extend(children.into_iter().map(GridChild::Item));
            let stroke = Stroke::from_pair(Color::BLACK, Abs::pt(0.4).into());
            let inset = Some(Rel::from(Length::from(Em::new(0.35))));
            let grid = GridElem::new(all)
                .with_columns(TrackSizings(tracks.iter().copied().collect()))
                .with_inset(Celled::Value(Sides::splat(inset)))
                .with_stroke(Celled::Value(Sides::splat(Some(Some(Arc::new(stroke))))))
                .pack()
                .spanned(self.span());
            let outer = |edge: bool| spacing(if edge { Em::new(1.0) } else { Em::zero() });
            let block = BlockElem::new()
                .with_above(outer(index == 0))
                .with_below(outer(index + 1 == count))
                .with_body(Some(BlockBody::Content(grid)))
                .pack();
            blocks.push(Block::new(sized(block, size), weight));
            begin = end;
        }
        blocks
    }

    fn cell(&mut self, cell: &Cell, columns: usize, span: usize, place: Place) -> (Content, usize) {
        let width = place.width * span as f64 / columns.max(1) as f64;
        let inner = Place {
            width: (width - 8.0).max(8.0),
            depth: place.depth + 1,
        };
        let look = Look {
            bold: cell.header,
            ..Look::default()
        };
        match cell.pieces.as_slice() {
            [] => (Content::empty(), 0),
            [Piece::Paragraph(text)] => {
                let (content, weight) = self.line(text, look, inner);
                (self.directed(content, text), weight)
            }
            pieces => {
                let (content, weight) = joined(self.all(pieces, inner));
                if cell.header {
                    (content.set(TextElem::weight, FontWeight::BOLD), weight)
                } else {
                    (content, weight)
                }
            }
        }
    }
}

fn grid_item(
    body: Content,
    (column, row, columns, rows): (usize, usize, usize, usize),
) -> GridItem {
    let one = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
    GridItem::Cell(Packed::new(
        GridCell::new(body)
            .with_x(Smart::Custom(column))
            .with_y(Smart::Custom(row))
            .with_colspan(one(columns))
            .with_rowspan(one(rows)),
    ))
}

/// Every cell with its place, in order, and the number of columns. Cells go to the first columns
/// that no cell from above covers, as HTML's algorithm for forming a table has it (HTML standard,
/// 4.9.12.1); spans end at the table's edges.
fn placed(table: &Table) -> (Vec<Placed<'_>>, usize) {
    let count = table.rows.len();
    // For each column, the first row in which it is free.
    let mut free: Vec<usize> = Vec::new();
    let mut cells = Vec::new();
    for (row, line) in table.rows.iter().enumerate() {
        let mut column = 0;
        for cell in line {
            while free.get(column).is_some_and(|until| *until > row) {
                column += 1;
            }
            let wanted = (cell.columns.max(1) as usize).min(1_000);
            // A span ends before a column that a cell from above covers.
            let columns = (0..wanted)
                .take_while(|n| free.get(column + n).is_none_or(|until| *until <= row))
                .count()
                .max(1);
            let rows = (cell.rows.max(1) as usize).min(count - row);
            if free.len() < column + columns {
                free.resize(column + columns, 0);
            }
            free[column..column + columns].fill(row + rows);
            cells.push(Placed {
                cell,
                column,
                row,
                columns,
                rows,
            });
            column += columns;
        }
    }
    (cells, free.len())
}

/// Rows before which a portion ends; the last is the number of rows.
fn cuts(cells: &[Placed], count: usize) -> Vec<usize> {
    // For each row, the last row of the cells that begin in it or above.
    let mut cuts = Vec::new();
    let (mut begin, mut reach, mut next) = (0, 0, 0);
    for row in 0..count {
        while let Some(placed) = cells.get(next).filter(|placed| placed.row <= row) {
            reach = reach.max(placed.row + placed.rows);
            next += 1;
        }
        let rows = row + 1 - begin;
        let clean = reach <= row + 1;
        if row + 1 == count || (rows >= ROWS && clean) || rows >= MOST_ROWS {
            cuts.push(row + 1);
            begin = row + 1;
        }
    }
    cuts
}

fn characters(cell: &Cell) -> usize {
    let mut count = 0;
    text::each_text(&cell.pieces, &mut |text| count += text.chars().count());
    count
}

/// Shares of the width by the text in the columns: between the mean and the longest cell, within
/// bounds, so that neither a number nor a novel makes a column vanish.
fn widths(cells: &[Placed], sizes: &[usize], columns: usize) -> Vec<Sizing> {
    let mut sum = vec![0_usize; columns];
    let mut longest = vec![0_usize; columns];
    let mut count = vec![0_usize; columns];
    for (placed, size) in cells.iter().zip(sizes) {
        if placed.columns == 1 {
            sum[placed.column] += size;
            longest[placed.column] = longest[placed.column].max(*size);
            count[placed.column] += 1;
        }
    }
    (0..columns)
        .map(|column| {
            let mean = sum[column] as f64 / count[column].max(1) as f64;
            let share = (mean + longest[column] as f64) / 2.0;
            Sizing::Fr(Fr::new(share.clamp(4.0, 40.0)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(rows: u32, columns: u32) -> Cell {
        Cell {
            header: false,
            rows,
            columns,
            pieces: Vec::new(),
        }
    }

    #[test]
    fn cells_go_where_no_cell_from_above_is() {
        let table = Table {
            rows: vec![vec![cell(2, 1), cell(1, 2)], vec![cell(1, 1), cell(9, 1)]],
            ..Table::default()
        };
        let (cells, columns) = placed(&table);
        let at: Vec<_> = cells
            .iter()
            .map(|p| (p.row, p.column, p.rows, p.columns))
            .collect();
        assert_eq!(at, [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1), (1, 2, 1, 1)]);
        assert_eq!(columns, 3);
    }

    #[test]
    fn a_table_is_cut_where_no_cell_crosses() {
        let mut rows: Vec<Vec<Cell>> = (0..200).map(|_| vec![cell(1, 1)]).collect();
        rows[ROWS - 1] = vec![cell(3, 1)];
        rows[ROWS] = Vec::new();
        rows[ROWS + 1] = Vec::new();
        let table = Table {
            rows,
            ..Table::default()
        };
        let (cells, _) = placed(&table);
        let cuts = cuts(&cells, 200);
        assert_eq!(cuts, [ROWS + 2, 2 * ROWS + 2, 3 * ROWS + 2, 200]);
    }

    proptest! {
        #[test]
        fn no_two_cells_share_a_place(
            rows in prop::collection::vec(prop::collection::vec((1_u32..4, 1_u32..4), 0..5), 1..12)
        ) {
            let rows = rows.into_iter().map(|r| r.into_iter().map(|(a, b)| cell(a, b)).collect());
            let table = Table { rows: rows.collect(), ..Table::default() };
            let (cells, columns) = placed(&table);
            let mut taken = std::collections::HashSet::new();
            for p in &cells {
                for row in p.row..p.row + p.rows {
                    for column in p.column..p.column + p.columns {
                        prop_assert!(row < table.rows.len() && column < columns);
                        prop_assert!(taken.insert((row, column)));
                    }
                }
            }
        }
    }
}
