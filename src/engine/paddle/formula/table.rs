//! Rows below one another that have columns: matrices, cases. Pure.

use super::row::row;
use super::tree::{Level, Piece, largest};

/// A gap through all rows that is wider divides columns, font sizes: relations have 0.28 on either
/// side (TeX's thick space), columns of cases and matrices 0.39 and more.
const GAP: f32 = 0.33;
/// How far the beginnings of a column's cells differ, and the gap before one of them at least where
/// another row leaves none, font sizes.
const LIKE: f32 = 0.05;
const BEFORE: f32 = 0.6;
/// Rows and columns of a table at most.
const MAX_SIDE: usize = 30;

/// The cells of a table, row by row; a cell in which nothing stands is empty.
pub fn table(rows: Vec<Vec<Piece>>, level: Level) -> Option<Vec<Vec<Vec<Piece>>>> {
    columns(rows, GAP)?
        .into_iter()
        .map(|cells| cells.into_iter().map(|cell| row(cell, level)).collect())
        .collect()
}

/// The pieces of rows by columns, which stand apart by `gap` font sizes; `None` where they are too
/// many.
pub fn columns(rows: Vec<Vec<Piece>>, gap: f32) -> Option<Vec<Vec<Vec<Piece>>>> {
    let size = rows.iter().map(|r| largest(r)).fold(0.0, f32::max);
    let mut spans: Vec<[f32; 2]> = rows.iter().flatten().map(|p| p.x).collect();
    spans.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut columns: Vec<[f32; 2]> = Vec::new();
    for [from, to] in spans {
        match columns.last_mut() {
            Some(last) if from - last[1] < gap * size => last[1] = last[1].max(to),
            _ => columns.push([from, to]),
        }
    }
    for start in starts(&rows, size) {
        let inside = |c: &[f32; 2]| c[0] + LIKE * size < start && start < c[1];
        if let Some(at) = columns.iter().position(inside) {
            let end = std::mem::replace(&mut columns[at][1], start);
            columns.insert(at + 1, [start, end]);
        }
    }
    if rows.len() > MAX_SIDE || columns.len() > MAX_SIDE {
        return None;
    }
    rows.into_iter()
        .map(|band| {
            let mut cells: Vec<Vec<Piece>> = vec![Vec::new(); columns.len()];
            for piece in band {
                let [x, _] = piece.middle();
                // An outline may reach over the room of its glyph.
                let at = columns.iter().rposition(|c| c[0] <= x).unwrap_or(0);
                cells.get_mut(at)?.push(piece);
            }
            Some(cells)
        })
        .collect()
}

/// Where a column begins although one row reaches up to it: something of every row begins there, and
/// in one after a gap.
fn starts(rows: &[Vec<Piece>], size: f32) -> Vec<f32> {
    let before = |row: &[Piece], x: f32| {
        let ends = row.iter().filter(|p| p.x[1] <= x + LIKE * size);
        ends.map(|p| p.x[1]).fold(f32::MIN, f32::max)
    };
    let begins = |row: &[Piece], x: f32| {
        row.iter()
            .any(|p| (p.x[0] - x).abs() <= LIKE * size && p.size > 0.9 * size)
    };
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let mut out: Vec<f32> = first
        .iter()
        .map(|p| p.x[0])
        .filter(|&x| {
            rows.iter().all(|r| begins(r, x) && before(r, x) > f32::MIN)
                && rows.iter().any(|r| x - before(r, x) >= BEFORE * size)
        })
        .collect();
    out.sort_by(f32::total_cmp);
    out
}
