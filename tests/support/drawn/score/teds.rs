//! Tables held against tables.
//!
//! [`teds`] is the tree-edit-distance-based similarity of Zhong, ShafieiBavani and Jimeno Yepes
//! ("Image-based table recognition", ECCV 2020): tables are trees of head and body, rows, cells;
//! inserting or deleting a node costs 1, replacing it 1 unless tags and spans are equal, and for
//! cells then the share of their texts that differs; the score is 1 less the distance over the
//! number of nodes of the larger tree. The distance is that of Zhang and Shasha (1989).

use super::edit::{likeness, squeezed};
use crate::drawn::truth::Table;

#[derive(Debug)]
struct Node {
    tag: Tag,
    text: Vec<char>,
    /// Postorder index of the leftmost leaf below it, or its own.
    leftmost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tag {
    Table,
    Head,
    Body,
    Row,
    /// Columns and rows.
    Cell(usize, usize),
}

/// The nodes in postorder.
fn tree(table: &Table) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (head, tag) in [(true, Tag::Head), (false, Tag::Body)] {
        let first = nodes.len();
        for row in table.rows.iter().filter(|row| row.head == head) {
            let leftmost = nodes.len();
            for cell in &row.cells {
                nodes.push(Node {
                    tag: Tag::Cell(cell.columns, cell.rows),
                    text: squeezed(&cell.text).chars().collect(),
                    leftmost: nodes.len(),
                });
            }
            inner(&mut nodes, Tag::Row, leftmost);
        }
        if nodes.len() > first {
            inner(&mut nodes, tag, first);
        }
    }
    inner(&mut nodes, Tag::Table, 0);
    nodes
}

fn inner(nodes: &mut Vec<Node>, tag: Tag, leftmost: usize) {
    nodes.push(Node {
        tag,
        text: Vec::new(),
        leftmost,
    });
}

fn replace(a: &Node, b: &Node) -> f64 {
    if a.tag != b.tag {
        return 1.0;
    }
    1.0 - likeness(&a.text, &b.text)
}

/// The last node with each leftmost leaf: roots of the subtrees that are looked at on their own.
fn key_roots(nodes: &[Node]) -> Vec<usize> {
    (0..nodes.len())
        .filter(|&i| {
            nodes[i + 1..]
                .iter()
                .all(|later| later.leftmost != nodes[i].leftmost)
        })
        .collect()
}

fn distance(a: &[Node], b: &[Node]) -> f64 {
    let mut between = vec![vec![0.0; b.len()]; a.len()];
    for &i in &key_roots(a) {
        for &j in &key_roots(b) {
            let (l, m) = (a[i].leftmost, b[j].leftmost);
            let (rows, columns) = (i - l + 2, j - m + 2);
            // Distances of forests: of a's nodes `l..l + x` and b's nodes `m..m + y`.
            let mut forest = vec![vec![0.0; columns]; rows];
            for (x, row) in forest.iter_mut().enumerate() {
                row[0] = x as f64;
            }
            for (y, cell) in forest[0].iter_mut().enumerate() {
                *cell = y as f64;
            }
            for x in 1..rows {
                for y in 1..columns {
                    let (p, q) = (l + x - 1, m + y - 1);
                    let edited = (forest[x - 1][y] + 1.0).min(forest[x][y - 1] + 1.0);
                    if a[p].leftmost == l && b[q].leftmost == m {
                        let both = forest[x - 1][y - 1] + replace(&a[p], &b[q]);
                        forest[x][y] = both.min(edited);
                        between[p][q] = forest[x][y];
                    } else {
                        let both = forest[a[p].leftmost - l][b[q].leftmost - m] + between[p][q];
                        forest[x][y] = both.min(edited);
                    }
                }
            }
        }
    }
    between[a.len() - 1][b.len() - 1]
}

/// 0 to 1.
pub fn teds(a: &Table, b: &Table) -> f64 {
    let (a, b) = (tree(a), tree(b));
    1.0 - distance(&a, &b) / a.len().max(b.len()) as f64
}

/// The cells of a row with the column in which each begins, cells of earlier rows regarded that
/// reach down; without white space.
fn placed(table: &Table) -> Vec<Vec<(usize, String)>> {
    let mut reach: Vec<usize> = Vec::new();
    let mut rows = Vec::new();
    for row in &table.rows {
        let mut column = 0;
        let mut cells = Vec::new();
        let mut covered: Vec<(usize, usize, usize)> = Vec::new();
        for cell in &row.cells {
            while reach.get(column).copied().unwrap_or(0) > 0 {
                column += 1;
            }
            cells.push((column, squeezed(&cell.text)));
            covered.push((column, cell.columns, cell.rows));
            column += cell.columns;
        }
        for left in &mut reach {
            *left = left.saturating_sub(1);
        }
        for (column, columns, down) in covered {
            if reach.len() < column + columns {
                reach.resize(column + columns, 0);
            }
            reach[column..column + columns].fill(down - 1);
        }
        rows.push(cells);
    }
    rows
}

/// The share of the truth's cells with text that `read` has in the same column, with the same
/// text, in rows that follow each other alike (the best such pairing of rows).
pub fn cells(truth: &Table, read: &Table) -> f64 {
    let (truth, read) = (placed(truth), placed(read));
    let all = truth.iter().flatten().filter(|(_, text)| !text.is_empty());
    let all = all.count();
    if all == 0 {
        return 1.0;
    }
    let right = |a: &[(usize, String)], b: &[(usize, String)]| {
        a.iter()
            .filter(|cell| !cell.1.is_empty() && b.contains(cell))
            .count()
    };
    let mut best = vec![0; read.len() + 1];
    for row in &truth {
        let before = best.clone();
        for (j, other) in read.iter().enumerate() {
            let paired = before[j] + right(row, other);
            best[j + 1] = paired.max(before[j + 1]).max(best[j]);
        }
    }
    best[read.len()] as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawn::truth::{Cell, Row};

    fn table(rows: &[&[&str]]) -> Table {
        Table::plain(rows.iter().map(|row| row.to_vec()))
    }

    #[test]
    fn equal_tables_score_one_and_a_lost_cell_costs_its_node() {
        let whole = table(&[&["a", "b"], &["c", "d"]]);
        assert_eq!(teds(&whole, &whole), 1.0);
        assert_eq!(cells(&whole, &whole), 1.0);
        let less = table(&[&["a", "b"], &["c"]]);
        // Nodes: 4 cells, 2 rows, head, body, table.
        assert!((teds(&whole, &less) - (1.0 - 1.0 / 9.0)).abs() < 1e-9);
        assert_eq!(cells(&whole, &less), 0.75);
        let wrong = table(&[&["a", "b"], &["c", "x"]]);
        assert!((teds(&whole, &wrong) - (1.0 - 1.0 / 9.0)).abs() < 1e-9);
    }

    #[test]
    fn a_row_in_another_place_costs_what_moved() {
        let a = table(&[&["h"], &["a"], &["b"]]);
        let b = table(&[&["h"], &["b"]]);
        // One row and its cell are missing; nodes: 3 cells, 3 rows, head, body, table.
        assert!((teds(&a, &b) - (1.0 - 2.0 / 9.0)).abs() < 1e-9);
        assert!((cells(&a, &b) - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn spans_and_heads_are_structure() {
        let mut a = table(&[&["a", "b"], &["c", "d"]]);
        let mut b = a.clone();
        b.rows[0].head = false;
        assert!(teds(&a, &b) < 1.0);
        b = a.clone();
        b.rows[1].cells[1].columns = 2;
        assert!(teds(&a, &b) < 1.0);
        // A cell that reaches down moves the next row's cells to the right.
        a.rows[0].cells[0].rows = 2;
        a.rows[1] = Row {
            head: false,
            cells: vec![Cell::new("d")],
        };
        let b = table(&[&["a", "b"], &["", "d"]]);
        assert_eq!(cells(&a, &b), 1.0);
    }
}
