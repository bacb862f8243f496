//! Drawn lines: marks of an image to lines, lines to a grid. Pure.

use super::super::pixels::Pixels;
use super::grid::{Cell, Grid, MOST};
use super::words::Frame;

/// Shortest lines, pixels of the table (wired-table-rec, `row` and `col`).
const SHORTEST: [f32; 2] = [50.0, 30.0];
/// Lines closer than this are one, pixels of the table: thin rows have 16 at 200 pixels an inch.
const SAME: f32 = 7.0;
/// Part of a cell's side that must be drawn.
const DRAWN: f32 = 0.5;
/// Part of the table's width that a line over all columns has.
const FULL: f32 = 0.8;
/// Difference of brightness over two pixels that is an edge, of 255: light grey lines have 40.
const EDGE: i32 = 16;
/// Shortest edge that can be a line's, pixels: the longest strokes of 12-point letters have 30 at
/// 200 pixels an inch.
const LONG: usize = 40;
/// Widest break in such an edge, where another line crosses, pixels.
const BREAK: usize = 5;
/// Shortest piece between breaks: letters have 10 across, and less than two rows of a table.
const PIECE: usize = 16;

/// A line: where it runs from and to, and where it stands across, in the table's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub from: f32,
    pub to: f32,
    pub across: f32,
}

/// The lines of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    pub horizontal: Vec<Segment>,
    pub vertical: Vec<Segment>,
}

/// Marks of the points of an image, row by row.
pub struct Marks {
    pub width: usize,
    pub height: usize,
    /// Widest gap in a line, points.
    pub close: f32,
    pub horizontal: Vec<bool>,
    pub vertical: Vec<bool>,
}

impl Marks {
    /// The edges of an image that are as long and straight as lines. A thin line has two, the
    /// border of a shaded cell one.
    pub fn of(image: &Pixels<'_>) -> Self {
        let (width, height) = (image.width as usize, image.height as usize);
        let grey: Vec<i32> = image
            .rgb
            .chunks_exact(3)
            .map(|p| (i32::from(p[0]) * 77 + i32::from(p[1]) * 150 + i32::from(p[2]) * 29) >> 8)
            .collect();
        let turned = |i: usize| (i % height) * width + i / height;
        let standing: Vec<i32> = (0..grey.len()).map(|i| grey[turned(i)]).collect();
        let across = edges(&standing, height, width);
        let mut vertical = vec![false; grey.len()];
        for (i, _) in across.iter().enumerate().filter(|(_, m)| **m) {
            vertical[turned(i)] = true;
        }
        Self {
            width,
            height,
            close: BREAK as f32,
            horizontal: edges(&grey, width, height),
            vertical,
        }
    }
}

/// Where brightness changes downwards, in one direction, along a stretch of at least [`LONG`]:
/// pieces of [`PIECE`] with breaks where other lines cross.
fn edges(grey: &[i32], width: usize, height: usize) -> Vec<bool> {
    let mut marks = vec![false; width * height];
    for y in 1..height.saturating_sub(1) {
        let (above, below) = (&grey[(y - 1) * width..y * width], &grey[(y + 1) * width..]);
        let row = &mut marks[y * width..(y + 1) * width];
        for sign in [1, -1] {
            let edge = |(a, b): (&i32, &i32)| sign * (b - a) > EDGE;
            let (mut whole, mut piece) = ((0, 0), (0, 0));
            let points = above.iter().zip(below).map(edge).chain([false]);
            for (x, on) in points.enumerate() {
                if on {
                    piece.1 = x + 1;
                    continue;
                }
                if piece.1 == x && x - piece.0 >= PIECE {
                    if piece.0 > whole.1 + BREAK {
                        mark(row, whole);
                        whole.0 = piece.0;
                    }
                    whole.1 = x;
                }
                piece = (x + 1, 0);
            }
            mark(row, whole);
        }
    }
    marks
}

fn mark(row: &mut [bool], (from, to): (usize, usize)) {
    if to - from >= LONG {
        row[from..to].fill(true);
    }
}

/// The marks of one row that stand together: `from..to` in `row`.
struct Run {
    row: usize,
    from: usize,
    to: usize,
}

/// Bars of marks that run along x: x and y of their two ends, on a straight line through them.
fn bars(marks: &[bool], width: usize, height: usize, close: f32) -> Vec<[f32; 4]> {
    let close = close as usize;
    let mut runs: Vec<Run> = Vec::new();
    let mut parent: Vec<usize> = Vec::new();
    let mut above = 0..0;
    for row in 0..height {
        let first = runs.len();
        for x in (0..width).filter(|x| marks[row * width + x]) {
            match runs
                .last_mut()
                .filter(|r| r.row == row && x <= r.to + close)
            {
                Some(run) => run.to = x + 1,
                None => runs.push(Run {
                    row,
                    from: x,
                    to: x + 1,
                }),
            }
        }
        parent.extend(first..runs.len());
        for i in first..runs.len() {
            for j in above.clone() {
                if runs[i].from <= runs[j].to && runs[j].from <= runs[i].to {
                    let (a, b) = (root(&mut parent, i), root(&mut parent, j));
                    parent[a.max(b)] = a.min(b);
                }
            }
        }
        above = first..runs.len();
    }
    // Sums for a straight line through the marks: weight, x, y, xx, xy; and the ends.
    let mut sums = vec![[0f64; 5]; runs.len()];
    let mut ends = vec![[f32::MAX, f32::MIN]; runs.len()];
    for (i, run) in runs.iter().enumerate() {
        let i = root(&mut parent, i);
        let (from, to) = (run.from as f64, run.to as f64);
        let (n, x, y) = (to - from, (from + to) / 2.0, run.row as f64 + 0.5);
        let xx = x * x + n * n / 12.0;
        for (sum, v) in sums[i].iter_mut().zip([1.0, x, y, xx, x * y]) {
            *sum += n * v;
        }
        ends[i] = [
            ends[i][0].min(run.from as f32),
            ends[i][1].max(run.to as f32),
        ];
    }
    sums.iter()
        .zip(ends)
        .filter(|(sum, _)| sum[0] > 0.0)
        .map(|([n, x, y, xx, xy], [from, to])| {
            let spread = xx - x * x / n;
            let slope = if spread > 0.0 {
                (xy - x * y / n) / spread
            } else {
                0.0
            };
            let at = |v: f32| (y / n + slope * (f64::from(v) - x / n)) as f32;
            [from, at(from), to, at(to)]
        })
        .collect()
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

/// A place across where lines stand, and the stretches that they cover.
struct Ruler {
    at: f32,
    held: Vec<[f32; 2]>,
}

/// Lines that stand in one place, from the first place to the last.
fn rulers(segments: &[Segment]) -> Vec<Ruler> {
    let mut sorted = segments.to_vec();
    sorted.sort_by(|a, b| a.across.total_cmp(&b.across));
    let mut groups: Vec<Vec<Segment>> = Vec::new();
    for segment in sorted {
        match groups
            .last_mut()
            .filter(|g| segment.across - g[g.len() - 1].across < SAME)
        {
            Some(group) => group.push(segment),
            None => groups.push(vec![segment]),
        }
    }
    let ruler = |g: Vec<Segment>| {
        let length: f32 = g.iter().map(|s| s.to - s.from).sum();
        let moment: f32 = g.iter().map(|s| s.across * (s.to - s.from)).sum();
        Ruler {
            at: moment / length.max(1e-3),
            held: g.iter().map(|s| [s.from, s.to]).collect(),
        }
    };
    groups.into_iter().map(ruler).collect()
}

impl Ruler {
    /// Whether lines are drawn along most of a stretch.
    fn draws(&self, from: f32, to: f32) -> bool {
        self.covers(from, to) >= DRAWN * (to - from)
    }

    /// How much of a stretch lines cover.
    fn covers(&self, from: f32, to: f32) -> f32 {
        let mut held = self.held.clone();
        held.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let (mut sum, mut end) = (0.0, from);
        for [a, b] in held {
            let (a, b) = (a.max(end), b.min(to));
            sum += (b - a).max(0.0);
            end = end.max(b);
        }
        sum
    }
}

impl Lines {
    /// Lines from marks. `scale`: points of the marks over pixels of the table.
    pub fn of(marks: &Marks, scale: f32, frame: &Frame) -> Self {
        let (width, height) = (marks.width, marks.height);
        let mut lines = Self::default();
        let level = |x: f32, y: f32| frame.level([x / scale, y / scale]);
        for [from, at, to, end] in bars(&marks.horizontal, width, height, marks.close) {
            let ([x1, y1], [x2, y2]) = (level(from, at), level(to, end));
            if x2 - x1 >= SHORTEST[0] && (y2 - y1).abs() < 0.1 * (x2 - x1) {
                let (from, to, across) = (x1, x2, (y1 + y2) / 2.0);
                lines.horizontal.push(Segment { from, to, across });
            }
        }
        let standing: Vec<bool> = (0..width * height)
            .map(|i| marks.vertical[(i % height) * width + i / height])
            .collect();
        for [from, at, to, end] in bars(&standing, height, width, marks.close) {
            let ([x1, y1], [x2, y2]) = (level(at, from), level(end, to));
            if y2 - y1 >= SHORTEST[1] && (x2 - x1).abs() < 0.1 * (y2 - y1) {
                let (from, to, across) = (y1, y2, (x1 + x2) / 2.0);
                lines.vertical.push(Segment { from, to, across });
            }
        }
        lines
    }

    /// Heights at which lines run over most of `from` to `to`, from top to bottom.
    pub fn full(&self, from: f32, to: f32) -> Vec<f32> {
        let rulers = rulers(&self.horizontal).into_iter();
        rulers
            .filter(|r| r.covers(from, to) >= FULL * (to - from))
            .map(|r| r.at)
            .collect()
    }

    /// The cells between the lines; a side that is not drawn joins two cells. The frame is a side
    /// where the table's own outline is not drawn: `size` is its width and height. `None` for
    /// lines that leave a single row or column.
    pub fn grid(&self, size: [f32; 2]) -> Option<Grid> {
        let edges = |rulers: &mut Vec<Ruler>, end: f32, least: f32| {
            let frame = |at: f32| Ruler {
                at,
                held: vec![[f32::MIN / 4.0, f32::MAX / 4.0]],
            };
            if rulers.first().is_none_or(|r| r.at > least) {
                rulers.insert(0, frame(0.0));
            }
            if rulers.last().is_none_or(|r| r.at < end - least) {
                rulers.push(frame(end));
            }
        };
        let (mut ys, mut xs) = (rulers(&self.horizontal), rulers(&self.vertical));
        if ys.is_empty() || xs.is_empty() {
            return None;
        }
        edges(&mut ys, size[1], 2.0 * SAME);
        edges(&mut xs, size[0], 2.0 * SAME);
        let (rows, columns) = (ys.len() - 1, xs.len() - 1);
        if rows < 2 || columns < 2 || rows > MOST || columns > MOST {
            return None;
        }
        let mut held = vec![false; rows * columns];
        let mut cells = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                if held[row * columns + column] {
                    continue;
                }
                let drawn_right =
                    |row: usize, column: usize| xs[column + 1].draws(ys[row].at, ys[row + 1].at);
                let drawn_below =
                    |row: usize, column: usize| ys[row + 1].draws(xs[column].at, xs[column + 1].at);
                let mut colspan = 1;
                while column + colspan < columns
                    && !held[row * columns + column + colspan]
                    && !drawn_right(row, column + colspan - 1)
                {
                    colspan += 1;
                }
                let mut rowspan = 1;
                while row + rowspan < rows
                    && (column..column + colspan).all(|c| {
                        !held[(row + rowspan) * columns + c] && !drawn_below(row + rowspan - 1, c)
                    })
                    && (column..column + colspan - 1).all(|c| !drawn_right(row + rowspan, c))
                {
                    rowspan += 1;
                }
                for r in row..row + rowspan {
                    held[r * columns + column..][..colspan].fill(true);
                }
                cells.push(Cell {
                    row,
                    column,
                    rowspan,
                    colspan,
                    at: [
                        xs[column].at,
                        ys[row].at,
                        xs[column + colspan].at,
                        ys[row + rowspan].at,
                    ],
                });
            }
        }
        Grid::repaired(&cells, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_that_is_not_drawn_is_the_frame() {
        let line = |from, to, across| Segment { from, to, across };
        let lines = Lines {
            horizontal: vec![line(0.0, 300.0, 50.0), line(0.0, 300.0, 3.0)],
            vertical: vec![line(0.0, 100.0, 100.0)],
        };
        let grid = lines.grid([300.0, 100.0]).unwrap();
        assert_eq!((grid.rows, grid.columns, grid.cells.len()), (2, 2, 4));
        assert_eq!(grid.cells[3].at, [100.0, 50.0, 300.0, 100.0]);
        let rows_only = Lines {
            vertical: Vec::new(),
            ..lines
        };
        assert!(rows_only.grid([300.0, 100.0]).is_none());
    }

    #[test]
    fn a_slanted_bar_keeps_both_of_its_ends() {
        let (w, h) = (100usize, 20);
        let marks: Vec<bool> = (0..w * h)
            .map(|i| (i / w).abs_diff(5 + i % w / 10) < 2)
            .collect();
        let found = bars(&marks, w, h, 5.0);
        assert_eq!(found.len(), 1);
        let [from, at, to, end] = found[0];
        assert_eq!((from, to), (0.0, 100.0));
        assert!(
            (at - 5.0).abs() < 0.7 && (end - 15.0).abs() < 0.7,
            "{found:?}"
        );
    }
}
