//! What stands in the rows of text of a table, by columns. Pure.

use super::amount::{is_amount, is_year};
use super::columns::Columns;
use super::rows::{Phrase, Rows};
use super::ruling::Segment;
use super::words::Piece;
use crate::engine::paddle::layout::union;

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
/// Farthest that a line stands below the header that it belongs to, in heights of the header.
const UNDER: f32 = 1.0;

/// Headers that stand centred over several columns without reaching over them span these: those
/// over which the line below a header runs (`lines`), else, where the columns right of the labels
/// can be shared evenly among the headers of a row, its share.
pub fn spread(rows: &mut [Row], columns: &Columns, lines: &[Segment]) {
    for row in rows {
        underlined(row, columns, lines);
        shared(row, columns);
    }
}

fn underlined(row: &mut Row, columns: &Columns, lines: &[Segment]) {
    for i in 0..row.items.len() {
        let item = &row.items[i];
        let [x1, y1, x2, y2] = item.at;
        let below = |s: &&Segment| {
            let (low, high) = (y2 - 0.3 * (y2 - y1), y2 + UNDER * (y2 - y1));
            (low..high).contains(&s.across)
                && s.from < x1 + 0.2 * (x2 - x1)
                && s.to > x2 - 0.2 * (x2 - x1)
        };
        let Some(line) = lines.iter().find(below) else {
            continue;
        };
        let over = |c: &[f32; 2]| (line.from..line.to).contains(&((c[0] + c[1]) / 2.0));
        let first = columns.at.iter().position(over);
        let last = columns.at.iter().rposition(over);
        if let (Some(first @ 1..), Some(last)) = (first, last) {
            let alone =
                row.items.iter().enumerate().all(|(j, other)| {
                    j == i || other.columns[1] < first || other.columns[0] > last
                });
            if alone {
                row.items[i].columns = [first, last];
            }
        }
    }
}

fn shared(row: &mut Row, columns: &Columns) {
    let data = columns.at.len() - 1;
    let mut heads: Vec<&mut Item> = row.items.iter_mut().filter(|i| i.columns[0] > 0).collect();
    let count = heads.len();
    if count == 0 || data == count || !data.is_multiple_of(count) {
        return;
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

#[cfg(test)]
mod tests {
    use super::super::rows::tests::drawn;
    use super::*;

    #[test]
    fn a_line_below_a_header_says_over_which_columns_it_stands() {
        let words = drawn(
            "Item   Total    Men   Women\nx          5      2       3\ny          7      3       4\n",
        );
        let found = Rows::of(&words);
        let columns = Columns::of(&found);
        let mut row = Row {
            middle: -20.0,
            items: vec![Item {
                columns: [2, 2],
                at: [180.0, -30.0, 220.0, -10.0],
                words: Vec::new(),
                text: "Sexes".into(),
            }],
        };
        let line = |from, to, across| Segment { from, to, across };
        underlined(&mut row, &columns, &[line(150.0, 290.0, 40.0)]);
        assert_eq!(row.items[0].columns, [2, 2], "a line far below");
        underlined(&mut row, &columns, &[line(150.0, 290.0, -5.0)]);
        assert_eq!(row.items[0].columns, [2, 3]);
    }

    #[test]
    fn a_phrase_over_two_columns_of_amounts_is_parted() {
        let words = drawn("Item     2019     2020\nSales    1,000   2,000\nCosts    1,500 2,500\n");
        let found = Rows::of(&words);
        let columns = Columns::of(&found);
        let last = &rows(&words, &found, &columns)[2];
        let texts: Vec<_> = last.items.iter().map(|i| (&*i.text, i.columns)).collect();
        assert_eq!(
            texts,
            [("Costs", [0, 0]), ("1,500", [1, 1]), ("2,500", [2, 2])]
        );
    }
}
