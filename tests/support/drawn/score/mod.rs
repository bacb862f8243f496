//! How well a Markdown text says what a drawn document says: scores from 0 to 1.

pub mod edit;
mod html;
pub mod latex;
mod markdown;
mod teds;

use self::edit::{folded, likeness, place, words};
use super::Drawn;
use super::truth::{Kind, Table, Unit, formulas, tables, units};

pub use self::markdown::parsed;

/// The columns of the benchmark, in their order.
pub const NAMES: [&str; 10] = [
    "text",
    "order",
    "joins",
    "headings",
    "lists",
    "tables",
    "cells",
    "furniture",
    "formulas",
    "exact",
];

/// A text counts as found, or as the same, from this likeness on.
const FOUND: f64 = 0.8;
/// Shorter texts (characters) are found anywhere by chance and say nothing about order.
const TELLING: usize = 24;

/// `None` where a document has nothing to be scored.
pub type Scores = [Option<f64>; 10];

/// - `text`: 1 less the edit distance of all texts in reading order, over the longer length;
/// - `order`: share of pairs of telling texts that stand in the order of the truth; a text that is
///   not found has no order;
/// - `joins`: likeness of each paragraph by words to that paragraph of the Markdown which is most
///   like it: words divided or run together and paragraphs cut or merged cost;
/// - `headings`: for each heading half for being one, half for its level; `lists`: for each item
///   half for being one, a quarter for its depth, a quarter for its kind; both as Dice's
///   coefficient, so what is none and looks like one costs as well;
/// - `tables`: TEDS, `cells`: cells with the right text in the right place; of the best pairing,
///   over the larger number of tables (`tables`) and of the truth's (`cells`);
/// - `furniture`: share of running heads, feet and page numbers that are not in the Markdown, times
///   the share of the document's telling texts that are;
/// - `formulas`: likeness of the LaTeX of display formulas by tokens, `exact`: share of those whose
///   tokens are all the same.
pub fn score(drawn: &Drawn, markdown: &str) -> Scores {
    let truth: Vec<Unit> = units(&drawn.blocks)
        .into_iter()
        .map(|unit| Unit {
            text: folded(&unit.text),
            ..unit
        })
        .collect();
    let (markdown, latex) = latex::lifted(markdown);
    let read = parsed(&markdown);
    let all = |units: &[Unit]| -> Vec<char> {
        let texts: Vec<&str> = units.iter().map(|unit| unit.text.as_str()).collect();
        texts.join(" ").chars().collect()
    };
    let text = all(&read.units);
    let places = found(&truth, &text);
    let [formulas, exact] = latex::scores(&formulas(&drawn.blocks), &latex);
    let (tables, cells) = table_scores(&tables(&drawn.blocks), &read.tables);
    [
        Some(likeness(&all(&truth), &text)),
        order(&places),
        joins(&truth, &read.units),
        dice(&truth, &read.units, heading),
        dice(&truth, &read.units, item),
        tables,
        cells,
        furniture(drawn, &places, &read.units, &text),
        formulas,
        exact,
    ]
}

/// Where each telling text begins in the Markdown's; `None` where it is not found.
fn found(truth: &[Unit], text: &[char]) -> Vec<Option<usize>> {
    truth
        .iter()
        .filter(|unit| unit.kind != Kind::Table && unit.text.chars().count() >= TELLING)
        .map(|unit| {
            let pattern: Vec<char> = unit.text.chars().collect();
            let (like, start, _) = place(&pattern, text);
            if like >= FOUND {
                return Some(start);
            }
            // A paragraph that was cut, with something else between, stands where its first half
            // does.
            let (like, start, _) = place(&pattern[..pattern.len() / 2], text);
            (like >= FOUND).then_some(start)
        })
        .collect()
}

fn order(places: &[Option<usize>]) -> Option<f64> {
    let mut kept = 0;
    let mut pairs = 0;
    for (i, first) in places.iter().enumerate() {
        for second in &places[i + 1..] {
            pairs += 1;
            if let (Some(a), Some(b)) = (first, second) {
                kept += usize::from(a < b);
            }
        }
    }
    (pairs > 0).then(|| f64::from(kept as u32) / f64::from(pairs))
}

fn joins(truth: &[Unit], read: &[Unit]) -> Option<f64> {
    let blocks: Vec<Vec<String>> = read.iter().map(|unit| words(&unit.text)).collect();
    let likes: Vec<f64> = truth
        .iter()
        .filter(|unit| unit.kind == Kind::Paragraph)
        .map(|unit| {
            let paragraph = words(&unit.text);
            let likes = blocks.iter().map(|block| likeness(&paragraph, block));
            likes.fold(0.0, f64::max)
        })
        .collect();
    mean(&likes)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// What is given for a text of the truth that is read as another kind; `None` where the kind is not
/// the one that is scored.
fn heading(truth: Kind, read: Kind) -> Option<f64> {
    match (truth, read) {
        (Kind::Heading(a), Kind::Heading(b)) => Some(if a == b { 1.0 } else { 0.5 }),
        _ => None,
    }
}

fn item(truth: Kind, read: Kind) -> Option<f64> {
    match (truth, read) {
        (Kind::Item(a, x), Kind::Item(b, y)) => {
            Some(0.5 + if a == b { 0.25 } else { 0.0 } + if x == y { 0.25 } else { 0.0 })
        }
        _ => None,
    }
}

fn dice(truth: &[Unit], read: &[Unit], credit: fn(Kind, Kind) -> Option<f64>) -> Option<f64> {
    let of = |units: &[Unit]| -> Vec<(Kind, Vec<char>)> {
        units
            .iter()
            .filter(|unit| credit(unit.kind, unit.kind).is_some())
            .map(|unit| (unit.kind, unit.text.chars().collect()))
            .collect()
    };
    let (truth, mut read) = (of(truth), of(read));
    let count = truth.len() + read.len();
    if truth.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    for (kind, text) in &truth {
        let best = read
            .iter()
            .enumerate()
            .map(|(i, other)| (i, likeness(text, &other.1)))
            .filter(|(_, like)| *like >= FOUND)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, _)) = best {
            let (other, _) = read.remove(i);
            sum += credit(*kind, other).unwrap_or_default();
        }
    }
    Some(2.0 * sum / count as f64)
}

/// TEDS and cells.
fn table_scores(truth: &[&Table], read: &[Table]) -> (Option<f64>, Option<f64>) {
    if truth.is_empty() {
        return (None, None);
    }
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (i, a) in truth.iter().enumerate() {
        for (j, b) in read.iter().enumerate() {
            pairs.push((teds::teds(a, b), i, j));
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut used_truth, mut used_read) = (vec![false; truth.len()], vec![false; read.len()]);
    let (mut like, mut right) = (0.0, 0.0);
    for (score, i, j) in pairs {
        if !used_truth[i] && !used_read[j] {
            (used_truth[i], used_read[j]) = (true, true);
            like += score;
            right += teds::cells(truth[i], &read[j]);
        }
    }
    (
        Some(like / truth.len().max(read.len()) as f64),
        Some(right / truth.len() as f64),
    )
}

fn furniture(drawn: &Drawn, places: &[Option<usize>], read: &[Unit], text: &[char]) -> Option<f64> {
    let strings = drawn.furniture_strings();
    if strings.is_empty() {
        return None;
    }
    let mut left = 0;
    let mut rest = text.to_vec();
    let mut numbers: Vec<String> = read
        .iter()
        .flat_map(|unit| unit.text.split(' ').map(str::to_owned))
        .collect();
    for string in &strings {
        let pattern: Vec<char> = folded(string).chars().collect();
        if pattern.iter().all(char::is_ascii_digit) {
            // A page number is a word of its own.
            let number: String = pattern.iter().collect();
            if let Some(i) = numbers.iter().position(|word| *word == number) {
                numbers.remove(i);
                left += 1;
            }
            continue;
        }
        // One occurrence a page is looked for, and taken out.
        let (like, start, end) = place(&pattern, &rest);
        if like >= FOUND {
            left += 1;
            rest.drain(start..end);
        }
    }
    let absent = 1.0 - f64::from(left) / strings.len() as f64;
    let there = places.iter().flatten().count() as f64 / places.len().max(1) as f64;
    Some(absent * there)
}
