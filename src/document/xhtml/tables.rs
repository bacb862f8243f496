//! Tables: rows in the order in which they are shown, spans bounded by the table's size.
//!
//! Columns in which no cell begins are folded away, so that a table has never more columns than
//! cells: `colspan="1000"` alone is one column.

use super::Reader;
use super::notes;
use super::tree::Id;
use crate::document::flow::{Cell, Inline, Piece, Table};

/// Columns that are counted (the HTML Standard's limit of `colspan`).
const COLUMNS: usize = 1_000;

impl Reader<'_> {
    pub fn table(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        let mut table = Table::default();
        // Rows by their part, with whether it is the head.
        let (mut heads, mut bodies, mut feet) = (Vec::new(), Vec::new(), Vec::new());
        let mut loose = Vec::new();
        self.nested += 1;
        for child in tree.children(id) {
            if tree.element(child).is_none() {
                let text = tree.text(child);
                if !text.trim().is_empty() {
                    loose.push(Piece::Paragraph(vec![Inline::Text(words(&text))]));
                }
                continue;
            }
            if notes::is_page_break(tree, child) {
                loose.push(Piece::PageBreak(notes::page_label(tree, child)));
                continue;
            }
            if self.left_out(child) {
                continue;
            }
            match tree.name(child) {
                "caption" if table.caption.is_empty() && self.only_lines(child) => {
                    table.caption = self.line(child);
                }
                "thead" => heads.push(self.group(child, &mut loose)),
                "tfoot" => feet.push(self.group(child, &mut loose)),
                "tbody" => bodies.push(self.group(child, &mut loose)),
                "tr" => {
                    let row = self.row(child, &mut loose);
                    // Rows right in the table are one part.
                    match bodies.last_mut() {
                        Some((group, true)) => group.push(row),
                        _ => bodies.push((vec![row], true)),
                    }
                }
                "colgroup" | "col" => {}
                _ => self.flow_one(child, &mut loose),
            }
        }
        self.nested -= 1;
        let mut head = 0;
        for (part, groups) in [heads, bodies, feet].into_iter().enumerate() {
            for (rows, _) in groups {
                let rows = bounded(rows);
                if part == 0 {
                    head += rows.len();
                }
                table.rows.extend(rows);
            }
        }
        if head == 0 {
            let heading = |row: &Vec<Cell>| !row.is_empty() && row.iter().all(|c| c.header);
            // A first row of headings heads what is below it.
            head = usize::from(table.rows.len() > 1 && table.rows.first().is_some_and(heading));
        }
        table.header_rows = head;
        fold_columns(&mut table.rows);
        pieces.append(&mut loose);
        pieces.append(&mut self.late);
        if table.rows.iter().any(|row| !row.is_empty()) {
            pieces.push(Piece::Table(table));
        } else if !table.caption.is_empty() {
            pieces.push(Piece::Paragraph(table.caption));
        }
    }

    fn group(&mut self, id: Id, loose: &mut Vec<Piece>) -> (Vec<Vec<Cell>>, bool) {
        let tree = self.tree;
        let mut rows = Vec::new();
        for child in tree.children(id) {
            if tree.element(child).is_none() {
                let text = tree.text(child);
                if !text.trim().is_empty() {
                    loose.push(Piece::Paragraph(vec![Inline::Text(words(&text))]));
                }
            } else if notes::is_page_break(tree, child) {
                loose.push(Piece::PageBreak(notes::page_label(tree, child)));
            } else if self.left_out(child) {
            } else if tree.name(child) == "tr" {
                rows.push(self.row(child, loose));
            } else {
                self.flow_one(child, loose);
            }
        }
        (rows, false)
    }

    fn row(&mut self, id: Id, loose: &mut Vec<Piece>) -> Vec<Cell> {
        let tree = self.tree;
        let mut cells = Vec::new();
        for child in tree.children(id) {
            let name = tree.name(child);
            if !matches!(name, "td" | "th") {
                if tree.element(child).is_none() {
                    let text = tree.text(child);
                    if !text.trim().is_empty() {
                        loose.push(Piece::Paragraph(vec![Inline::Text(words(&text))]));
                    }
                } else if notes::is_page_break(tree, child) {
                    loose.push(Piece::PageBreak(notes::page_label(tree, child)));
                } else if !self.left_out(child) {
                    self.flow_one(child, loose);
                }
                continue;
            }
            if self.left_out(child) {
                continue;
            }
            let number = |name| {
                let said = tree.attribute(child, name)?.trim();
                said.parse::<u32>().ok()
            };
            let mut pieces = Vec::new();
            let wraps = std::mem::take(&mut self.wraps);
            self.flow(child, &mut pieces);
            self.wraps = wraps;
            cells.push(Cell {
                header: name == "th",
                // Nought is "to the end of the part".
                rows: number("rowspan").map_or(1, |n| if n == 0 { u32::MAX } else { n }),
                columns: number("colspan").unwrap_or(1).clamp(1, COLUMNS as u32),
                pieces,
            });
        }
        cells
    }

    /// What is not allowed where it stands.
    fn flow_one(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        self.flow(id, pieces);
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Spans of rows end with their part of the table; rows without a cell go, unless one reaches
/// into them.
fn bounded(rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let count = rows.len();
    let mut reach = 0;
    let mut kept: Vec<Vec<Cell>> = Vec::with_capacity(count);
    for (index, mut row) in rows.into_iter().enumerate() {
        for cell in &mut row {
            cell.rows = cell
                .rows
                .clamp(1, (count - index).try_into().unwrap_or(u32::MAX));
            reach = reach.max(index + cell.rows as usize);
        }
        if !row.is_empty() || reach > index {
            kept.push(row);
        }
    }
    kept
}

/// Renumbers the columns to those in which a cell begins.
fn fold_columns(rows: &mut [Vec<Cell>]) {
    let spanned = rows.iter().flatten().any(|cell| cell.columns > 1);
    if !spanned {
        return;
    }
    let mut starts = vec![false; COLUMNS + 1];
    let mut places: Vec<Vec<usize>> = Vec::with_capacity(rows.len());
    // For each column, rows still taken by a cell from above.
    let mut taken = vec![0u32; COLUMNS];
    for row in rows.iter() {
        let mut column = 0;
        let mut place = Vec::with_capacity(row.len());
        let mut new: Vec<(usize, usize, u32)> = Vec::new();
        for cell in row {
            while column < COLUMNS && taken[column] > 0 {
                column += 1;
            }
            place.push(column);
            starts[column.min(COLUMNS)] = true;
            let end = (column + cell.columns as usize).min(COLUMNS);
            new.push((column.min(end), end, cell.rows));
            column = end;
        }
        places.push(place);
        for left in &mut taken {
            *left = left.saturating_sub(1);
        }
        for (start, end, rows) in new {
            for left in &mut taken[start..end] {
                *left = (*left).max(rows - 1);
            }
        }
    }
    let mut before = vec![0usize; COLUMNS + 2];
    for column in 0..=COLUMNS {
        before[column + 1] = before[column] + usize::from(starts[column]);
    }
    for (row, place) in rows.iter_mut().zip(places) {
        for (cell, start) in row.iter_mut().zip(place) {
            let end = (start + cell.columns as usize).min(COLUMNS).max(start + 1);
            let width = before[end.min(COLUMNS + 1)] - before[start];
            cell.columns = width.max(1) as u32;
        }
    }
}
