//! What stands in the rows of text of a table, by columns. Pure.

use super::amount::{is_amount, is_year};
use super::columns::Columns;
use super::rows::{Phrase, Rows, union};
use super::words::Piece;

/// What stands in one row of text.
pub struct Row {
    pub middle: f32,
    pub items: Vec<Item>,
}

/// What one cell has in one row of text.
pub struct Item {
    /// First and last column.
    pub columns: [usize; 2],
    pub at: [f32; 4],
    pub words: Vec<usize>,
    pub text: String,
}

/// Phrases by rows, those of one row that share a column in one item.
pub fn rows(words: &[Piece], found: &Rows, columns: &Columns) -> Vec<Row> {
    let row = |&middle: &f32| Row {
        middle,
        items: Vec::new(),
    };
    let mut rows: Vec<Row> = found.middles.iter().map(row).collect();
    for (phrase, &columns_of) in found.phrases.iter().zip(&columns.of) {
        for (phrase, columns) in parted(words, phrase, columns_of, found.character, columns) {
            put(&mut rows[phrase.row].items, words, phrase, columns);
        }
    }
    rows
}

fn put(items: &mut Vec<Item>, words: &[Piece], phrase: Phrase, [from, to]: [usize; 2]) {
    let text = Rows::text(words, &phrase);
    match items.last_mut().filter(|item| from <= item.columns[1]) {
        Some(item) => {
            item.columns[1] = item.columns[1].max(to);
            item.columns[0] = item.columns[0].min(from);
            item.at = union(item.at, phrase.at);
            item.words.extend(phrase.words);
            item.text = format!("{} {text}", item.text);
        }
        None => items.push(Item {
            columns: [from, to],
            at: phrase.at,
            words: phrase.words,
            text,
        }),
    }
}

/// Gap between words of two columns in one phrase, against the widest other gap of the phrase.
const WIDER: f32 = 1.8;
/// The same against the width of a character.
const LEAST: f32 = 1.2;

/// A phrase over several columns in parts, where its words stand in these: amounts, or words with
/// a wider gap between them than elsewhere.
fn parted(
    words: &[Piece],
    phrase: &Phrase,
    columns: [usize; 2],
    character: f32,
    all: &Columns,
) -> Vec<(Phrase, [usize; 2])> {
    if columns[0] == columns[1] {
        return vec![(phrase.clone(), columns)];
    }
    let gap = |i: usize| words[phrase.words[i]].at[0] - words[phrase.words[i - 1]].at[2];
    let column = |word: usize| {
        let at = words[word].at;
        let over = |c: &[f32; 2]| c[1].min(at[2]) - c[0].max(at[0]);
        let range = columns[0]..=columns[1];
        range.max_by(|&a, &b| over(&all.at[a]).total_cmp(&over(&all.at[b])))
    };
    let count = phrase.words.len();
    let cut = |i: usize| {
        let (a, b) = (phrase.words[i - 1], phrase.words[i]);
        let others = (1..count).filter(|&j| j != i).map(gap).fold(0.0, f32::max);
        let amounts = is_amount(&words[a].text) && is_amount(&words[b].text);
        let wide = gap(i) > LEAST * character && gap(i) > WIDER * others;
        column(a) < column(b) && (amounts || wide)
    };
    let mut parts = Vec::new();
    let mut from = 0;
    for to in (1..count).filter(|&i| cut(i)).chain([count]) {
        let held = phrase.words[from..to].to_vec();
        let at = held
            .iter()
            .map(|&w| words[w].at)
            .reduce(union)
            .unwrap_or(phrase.at);
        let first = column(held[0]).unwrap_or(columns[0]);
        let last = held.last().and_then(|&w| column(w)).unwrap_or(columns[1]);
        let part = Phrase {
            words: held,
            at,
            row: phrase.row,
        };
        parts.push((part, [first, last.max(first)]));
        from = to;
    }
    if parts.len() == 1 {
        return vec![(phrase.clone(), columns)];
    }
    parts
}

impl Row {
    pub fn only_label(&self) -> bool {
        self.items.iter().all(|i| i.columns[0] == 0)
    }

    pub fn item(&self, column: usize) -> Option<&Item> {
        let within = |i: &&Item| (i.columns[0]..=i.columns[1]).contains(&column);
        self.items.iter().find(within)
    }

    /// Whether an amount stands right of the labels.
    pub fn has_amount(&self) -> bool {
        let amount = |i: &Item| i.columns[0] > 0 && is_amount(&i.text) && !is_year(&i.text);
        self.items.iter().any(amount)
    }
}

/// Decides whether what runs over several columns spans them. Below the headers it does not: a
/// long label runs out of its column, and stands in its first.
pub fn settle(row: &mut Row, header: bool, columns: &Columns) {
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
pub fn spread(rows: &mut [Row], columns: &Columns) {
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
