//! The grid of a table: cells with their rows, columns and spans. Pure.

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
    pub rowspan: usize,
    pub colspan: usize,
    /// x1, y1, x2, y2; pixels of the table's frame.
    pub at: [f32; 4],
}

impl Cell {
    /// A cell of one row and one column.
    pub fn single(row: usize, column: usize, at: [f32; 4]) -> Self {
        Self {
            row,
            column,
            rowspan: 1,
            colspan: 1,
            at,
        }
    }
}

/// Rows and columns, each place held by exactly one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub rows: usize,
    pub columns: usize,
    /// Rows at the top that are headers.
    pub head: usize,
    /// By row, then by column of their first place.
    pub cells: Vec<Cell>,
}

/// Rows and columns at most: a page of 4-point lines has 200, a cell of a spreadsheet is not
/// narrower than 3 millimetres. What claims more is not a table.
pub const MOST: usize = 400;

impl Grid {
    /// A grid from cells that may overlap or leave holes: a cell that begins where another stands
    /// is left out, a span ends before the next cell, holes are filled with empty cells. `None`
    /// where no cell remains or the grid would be absurdly large.
    pub fn repaired(cells: &[Cell], head: usize) -> Option<Self> {
        let rows = cells.iter().map(|c| c.row + c.rowspan).max()?;
        let columns = cells.iter().map(|c| c.column + c.colspan).max()?;
        if rows > MOST || columns > MOST {
            return None;
        }
        let mut order: Vec<&Cell> = cells.iter().collect();
        order.sort_by_key(|c| (c.row, c.column, c.rowspan * c.colspan));
        let mut held = vec![false; rows * columns];
        // First places first, so that no span swallows another cell.
        let mut first = vec![false; rows * columns];
        order.retain(|c| !std::mem::replace(&mut first[c.row * columns + c.column], true));
        let mut out: Vec<Cell> = Vec::with_capacity(rows * columns);
        for cell in order {
            if held[cell.row * columns + cell.column] {
                continue;
            }
            let free = |held: &[bool], row: usize, column: usize| {
                let i = row * columns + column;
                !(held[i] || first[i] && (row, column) != (cell.row, cell.column))
            };
            let mut colspan = 1;
            while colspan < cell.colspan && free(&held, cell.row, cell.column + colspan) {
                colspan += 1;
            }
            let mut rowspan = 1;
            while rowspan < cell.rowspan
                && (0..colspan).all(|c| free(&held, cell.row + rowspan, cell.column + c))
            {
                rowspan += 1;
            }
            for row in cell.row..cell.row + rowspan {
                held[row * columns + cell.column..][..colspan].fill(true);
            }
            out.push(Cell {
                rowspan,
                colspan,
                ..*cell
            });
        }
        let (xs, ys) = bands(&out, rows, columns);
        for row in 0..rows {
            for column in 0..columns {
                if !held[row * columns + column] {
                    let at = [xs[column][0], ys[row][0], xs[column][1], ys[row][1]];
                    out.push(Cell::single(row, column, at));
                }
            }
        }
        out.sort_by_key(|c| (c.row, c.column));
        Some(Self {
            rows,
            columns,
            head: whole_head(&out, head.min(rows), rows),
            cells: out,
        })
    }

    /// For each place, by row and column, the number of the cell that holds it.
    pub fn owners(&self) -> Vec<usize> {
        let mut owners = vec![0; self.rows * self.columns];
        for (i, cell) in self.cells.iter().enumerate() {
            for row in cell.row..cell.row + cell.rowspan {
                owners[row * self.columns + cell.column..][..cell.colspan].fill(i);
            }
        }
        owners
    }

    pub fn has_spans(&self) -> bool {
        self.cells.iter().any(|c| c.rowspan > 1 || c.colspan > 1)
    }
}

/// Where columns and rows stand: `[from, to]` each, from the cells of one column or row; zero
/// where no such cell is.
fn bands(cells: &[Cell], rows: usize, columns: usize) -> (Vec<[f32; 2]>, Vec<[f32; 2]>) {
    let none = [f32::MAX, f32::MIN];
    let (mut xs, mut ys) = (vec![none; columns], vec![none; rows]);
    for cell in cells {
        let [x1, y1, x2, y2] = cell.at;
        if cell.colspan == 1 {
            let x = &mut xs[cell.column];
            *x = [x[0].min(x1), x[1].max(x2)];
        }
        if cell.rowspan == 1 {
            let y = &mut ys[cell.row];
            *y = [y[0].min(y1), y[1].max(y2)];
        }
    }
    for band in xs.iter_mut().chain(&mut ys).filter(|b| b[0] > b[1]) {
        *band = [0.0; 2];
    }
    (xs, ys)
}

/// Rows of the header, those that its cells reach down to too: HTML cuts a cell off where the
/// header ends. 0 where that would be all rows.
fn whole_head(cells: &[Cell], given: usize, rows: usize) -> usize {
    let mut head = given;
    loop {
        let reach = cells.iter().filter(|c| c.row < head);
        match reach.map(|c| c.row + c.rowspan).max() {
            Some(end) if end > head => head = end,
            _ => break,
        }
    }
    if head == rows && head > given {
        0
    } else {
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spanning(row: usize, column: usize, rowspan: usize, colspan: usize) -> Cell {
        Cell {
            rowspan,
            colspan,
            ..Cell::single(row, column, [0.0; 4])
        }
    }

    #[test]
    fn every_place_is_held_once() {
        // The span of the first cell runs into the second, (1, 1) is claimed twice, (1, 2) missing.
        let cells = [
            spanning(0, 0, 1, 3),
            spanning(0, 2, 1, 1),
            spanning(1, 0, 1, 2),
            spanning(1, 0, 1, 1),
        ];
        let grid = Grid::repaired(&cells, 1).unwrap();
        assert_eq!((grid.rows, grid.columns), (2, 3));
        let spans: Vec<_> = grid
            .cells
            .iter()
            .map(|c| (c.row, c.column, c.rowspan, c.colspan))
            .collect();
        assert_eq!(
            spans,
            [
                (0, 0, 1, 2),
                (0, 2, 1, 1),
                (1, 0, 1, 1),
                (1, 1, 1, 1),
                (1, 2, 1, 1)
            ]
        );
        assert_eq!(grid.owners(), [0, 0, 1, 2, 3, 4]);
        assert!(Grid::repaired(&[], 1).is_none());
        assert!(Grid::repaired(&[spanning(0, 0, 1, MOST + 1)], 1).is_none());
    }

    #[test]
    fn a_hole_stands_where_its_row_and_column_do() {
        let cells = [
            Cell::single(0, 0, [0.0, 0.0, 10.0, 5.0]),
            Cell::single(0, 1, [10.0, 0.0, 20.0, 5.0]),
            Cell::single(1, 0, [0.0, 5.0, 10.0, 9.0]),
        ];
        let grid = Grid::repaired(&cells, 1).unwrap();
        assert_eq!(grid.cells[3].at, [10.0, 5.0, 20.0, 9.0]);
    }
}
