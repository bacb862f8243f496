//! Pages with tables.

use super::{NEW_COMPUTER_MODERN, drawn, paragraphs};
use crate::drawn::Drawn;
use crate::drawn::source::Style;
use crate::drawn::truth::{Block, Cell, Lines, Row, Table};
use crate::drawn::words::Words;

/// A number as tables have it: digits in groups of three, decimals.
fn number(w: &mut Words, below: u64, decimals: usize) -> String {
    let whole = grouped(w.seeded.below(below));
    match decimals {
        0 => whole,
        _ => {
            let part = w.seeded.below(10u64.pow(decimals as u32));
            format!("{whole}.{part:0decimals$}")
        }
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A head, then rows of a name and numbers.
pub fn numbers(w: &mut Words, head: &[&str], rows: usize) -> Table {
    let mut all = vec![head.iter().map(|text| (*text).to_owned()).collect()];
    for _ in 0..rows {
        let mut row = vec![w.entry()];
        for column in 1..head.len() {
            row.push(number(w, [40, 900, 9000, 70][column % 4], column % 3));
        }
        all.push(row);
    }
    Table::plain(all)
}

/// A paragraph, a table with its caption above, a paragraph, and the same again.
fn tabled(name: &'static str, seed: u64, lines: Lines, style: Style) -> Drawn {
    let mut w = Words::new("en", seed);
    let heads = [
        &["Site", "Days", "Weight", "Length", "Share"][..],
        &["Instrument", "First", "Second", "Third"][..],
    ];
    let mut blocks = vec![Block::Title(w.heading())];
    for (i, head) in heads.iter().enumerate() {
        blocks.extend(paragraphs(&mut w, 1, 3));
        blocks.push(Block::Caption(format!("Table {}: {}", i + 1, w.sentence())));
        let table = numbers(&mut w, head, 6 + 2 * i);
        blocks.push(Block::Table(table, lines));
    }
    blocks.extend(paragraphs(&mut w, 1, 3));
    drawn(name, style, blocks)
}

pub fn table_wired() -> Drawn {
    tabled("table-wired", 5, Lines::All, Style::default())
}

pub fn table_lineless() -> Drawn {
    tabled("table-lineless", 6, Lines::None, Style::default())
}

pub fn table_book() -> Drawn {
    let style = Style {
        font: NEW_COMPUTER_MODERN,
        size: 9.5,
        ..Style::default()
    };
    tabled("table-book", 7, Lines::Book, style)
}

pub fn table_spans() -> Drawn {
    let mut w = Words::new("en", 8);
    let mut blocks = vec![Block::Title(w.heading())];
    for lines in [Lines::All, Lines::Book] {
        blocks.extend(paragraphs(&mut w, 1, 3));
        let mut rows = vec![
            Row {
                head: true,
                cells: vec![
                    Cell::spanning("Region", 1, 2),
                    Cell::spanning("Site", 1, 2),
                    Cell::spanning("Spring", 2, 1),
                    Cell::spanning("Autumn", 2, 1),
                ],
            },
            Row {
                head: true,
                cells: ["Count", "Weight", "Count", "Weight"]
                    .map(Cell::new)
                    .to_vec(),
            },
        ];
        for region in ["North", "East", "Coast"] {
            for site in 0..2 {
                let mut cells = Vec::new();
                if site == 0 {
                    cells.push(Cell::spanning(region, 1, 2));
                }
                cells.push(Cell::new(w.entry()));
                for column in 0..4 {
                    cells.push(Cell::new(number(&mut w, 800, column % 2)));
                }
                rows.push(Row { head: false, cells });
            }
        }
        blocks.push(Block::Table(Table { rows }, lines));
    }
    blocks.extend(paragraphs(&mut w, 1, 3));
    drawn("table-spans", Style::default(), blocks)
}

pub fn table_accounts() -> Drawn {
    let mut w = Words::new("en", 9);
    let mut rows = vec![
        ["(in thousands)", "2024", "2023", "2022"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for group in ["revenue", "expenses", "other items"] {
        for line in 0..4 {
            let mut row = vec![w.entry()];
            for _ in 0..3 {
                let value = number(&mut w, 900_000, 0);
                row.push(match (line, w.seeded.below(4)) {
                    (0, _) => format!("$ {value}"),
                    (_, 0) => format!("({value})"),
                    (_, 1) if group == "other items" => "—".to_owned(),
                    _ => value,
                });
            }
            rows.push(row);
        }
        let mut sum = vec![format!("Total {group}")];
        for _ in 0..3 {
            sum.push(format!("$ {}", number(&mut w, 9_000_000, 0)));
        }
        rows.push(sum);
    }
    let mut blocks = vec![Block::Title(w.heading())];
    blocks.extend(paragraphs(&mut w, 1, 3));
    blocks.push(Block::Table(Table::plain(rows), Lines::Accounts));
    blocks.extend(paragraphs(&mut w, 2, 3));
    let style = Style {
        size: 10.0,
        ..Style::default()
    };
    drawn("table-accounts", style, blocks)
}
