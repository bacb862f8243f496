//! A display as a whole: its numbers at the right, its lines and where they are aligned. Pure.

use super::latex::{letters_of, row};
use super::letters::Letters;
use super::signs;
use super::table::columns;
use super::tree::{Node, Piece, lines};

/// Room between a formula and its number at least, font sizes.
const NUMBER: f32 = 0.9;
/// Characters of a number at most, brackets not counted.
const MAX_NUMBER: usize = 8;
/// Gap between characters of a number at most, font sizes.
const CLOSE: f32 = 0.5;
/// How far signs stand apart at which lines are aligned, font sizes.
const ALIGNED: f32 = 0.2;
/// Lines and columns of an array at least, and the gap between its columns, font sizes.
const ARRAY: [usize; 2] = [3, 3];
const COLUMN: f32 = 0.8;
/// Words from which on, and their share of all letters from which on, a region is text.
const WORDS: usize = 5;
const TEXT: f32 = 0.6;

/// A number that is printed beside a formula, without its brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    text: String,
    base: f32,
}

/// The LaTeX of a display, with its number or numbers; `None` where it is not understood.
pub fn display(mut pieces: Vec<Piece>) -> Option<String> {
    let numbers = numbers(&mut pieces);
    if pieces.is_empty() {
        return None;
    }
    let lines = lines(pieces)?;
    if is_text(&lines) {
        return None;
    }
    let letters = letters_of(&lines);
    if numbers.len() < 2
        && let Some(array) = array(&lines, letters)
    {
        let tag = numbers.first().map(|n| format!(" \\tag{{{}}}", n.text));
        return Some(array + &tag.unwrap_or_default());
    }
    if let [line] = &*lines {
        let mut out = row(line, letters)?;
        for number in &numbers {
            out.push_str(&format!(" \\tag{{{}}}", number.text));
        }
        return (numbers.len() < 2).then_some(out);
    }
    let written = aligned(&lines, letters)?;
    let is_aligned = written.iter().any(|l| l.contains('&'));
    if let [] | [_] = &*numbers {
        let name = if is_aligned { "aligned" } else { "gathered" };
        let body = written.join(" \\\\\n");
        let tag = numbers.first().map(|n| format!(" \\tag{{{}}}", n.text));
        return Some(format!(
            "\\begin{{{name}}}\n{body}\n\\end{{{name}}}{}",
            tag.unwrap_or_default()
        ));
    }
    // Each number belongs to the line that it is level with.
    let mut tags: Vec<Option<&str>> = vec![None; lines.len()];
    for number in &numbers {
        let at = lines.iter().position(|l| {
            let top = l.iter().map(|p| p.at[1]).fold(f32::MAX, f32::min);
            let bottom = l.iter().map(|p| p.at[3]).fold(f32::MIN, f32::max);
            (top..=bottom + 1.0).contains(&(number.base))
        })?;
        if tags[at].replace(&number.text).is_some() {
            return None;
        }
    }
    let body: Vec<String> = written
        .into_iter()
        .zip(tags)
        .map(|(line, tag)| match tag {
            Some(tag) => format!("{line} \\tag{{{tag}}}"),
            None => format!("{line} \\notag"),
        })
        .collect();
    let name = if is_aligned { "align" } else { "gather" };
    Some(format!(
        "\\begin{{{name}}}\n{}\n\\end{{{name}}}",
        body.join(" \\\\\n")
    ))
}

/// Lines whose parts stand below one another in several columns; `None` where they do not.
fn array(lines: &[Vec<Piece>], letters: Letters) -> Option<String> {
    if lines.len() < ARRAY[0] {
        return None;
    }
    let rows = columns(lines.to_vec(), COLUMN)?;
    let count = rows.first().map_or(0, Vec::len);
    let full = |row: &Vec<Vec<Piece>>| row.iter().filter(|c| !c.is_empty()).count() > count / 2;
    if count < ARRAY[1] || !rows.iter().all(full) {
        return None;
    }
    let written = rows
        .iter()
        .map(|cells| {
            let cells = cells.iter().map(|c| row(c, letters));
            Some(cells.collect::<Option<Vec<String>>>()?.join(" & "))
        })
        .collect::<Option<Vec<String>>>()?;
    Some(format!(
        "\\begin{{array}}{{{}}}\n{}\n\\end{{array}}",
        "c".repeat(count),
        written.join(" \\\\\n")
    ))
}

/// Takes the numbers at the right edge out of `pieces`, from the top.
fn numbers(pieces: &mut Vec<Piece>) -> Vec<Number> {
    let mut out: Vec<Number> = Vec::new();
    while let Some((taken, text)) = number(pieces) {
        let base = pieces[taken[0]].base;
        let mut i = 0;
        pieces.retain(|_| {
            i += 1;
            !taken.contains(&(i - 1))
        });
        out.push(Number { text, base });
    }
    out.sort_by(|a, b| a.base.total_cmp(&b.base));
    out
}

/// One number: its pieces and its text.
fn number(pieces: &[Piece]) -> Option<(Vec<usize>, String)> {
    let ends = (0..pieces.len()).filter(|&i| pieces[i].sign() == Some(')'));
    ends.filter_map(|end| {
        let last = &pieces[end];
        let size = last.size;
        // Whether it is the last of what stands level with it.
        let level = |p: &Piece| p.at[1] < last.at[3] && p.at[3] > last.at[1];
        if pieces.iter().any(|p| level(p) && p.x[0] > last.x[0] + 0.1) {
            return None;
        }
        let mut taken = vec![end];
        let mut text = String::new();
        let mut from = last.x[0];
        loop {
            let next = (0..pieces.len())
                .filter(|&i| {
                    let p = &pieces[i];
                    (p.base - last.base).abs() < 0.05 * size
                        && p.x[0] < from - 0.05 * size
                        && from - p.x[1] < CLOSE * size
                        && p.x[1] < from + 0.1 * size
                })
                .max_by(|&a, &b| pieces[a].x[0].total_cmp(&pieces[b].x[0]))?;
            let sign = pieces[next].sign()?;
            taken.push(next);
            from = pieces[next].x[0];
            match sign {
                '(' => break,
                c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '–' | '′') => {
                    text.insert(0, if c == '–' { '-' } else { c });
                }
                _ => return None,
            }
            if text.chars().count() > MAX_NUMBER {
                return None;
            }
        }
        let apart = |p: &Piece| !level(p) || p.x[1] <= from - NUMBER * size;
        let alone = (0..pieces.len())
            .filter(|i| !taken.contains(i))
            .all(|i| apart(&pieces[i]));
        // More letters are words: `(mod 7)`.
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let is_number = letters <= 2 && text.chars().any(|c| c.is_ascii_digit());
        (alone && is_number).then_some((taken, text))
    })
    .next()
}

/// The lines in LaTeX, with `&` where they are aligned.
fn aligned(lines: &[Vec<Piece>], letters: Letters) -> Option<Vec<String>> {
    let size = lines.iter().flatten().map(|p| p.size).fold(1.0, f32::max);
    let start = |line: &[Piece]| line.first().map_or(0.0, |p| p.x[0]);
    let relation = |p: &Piece| match &p.node {
        Node::Sign(ch, _) => signs::is_relation(*ch),
        Node::Label { base, .. } => base.sign().is_some_and(signs::is_relation),
        _ => false,
    };
    let near = |a: f32, b: f32| (a - b).abs() <= ALIGNED * size;
    // Where each line is divided, if all are at one place.
    let places = |x: f32| -> Option<Vec<usize>> {
        lines
            .iter()
            .map(|line| {
                line.iter()
                    .position(|p| relation(p) && near(p.x[0], x))
                    // A line that only goes on.
                    .or((start(line) > x - ALIGNED * size).then_some(0))
            })
            .collect()
    };
    let relations = lines.iter().flatten().filter(|p| relation(p));
    let mut xs: Vec<f32> = relations.map(|p| p.x[0]).collect();
    xs.sort_by(f32::total_cmp);
    let shared = |x: &f32| {
        let with = |line: &&Vec<Piece>| line.iter().any(|p| relation(p) && near(p.x[0], *x));
        lines.iter().filter(with).count()
    };
    let at = xs
        .iter()
        .filter(|x| places(**x).is_some())
        .max_by(|a, b| shared(a).cmp(&shared(b)).then(b.total_cmp(a)))
        .and_then(|x| places(*x))
        .or_else(|| {
            let first = start(lines.first()?);
            let left = lines.iter().all(|l| near(start(l), first));
            left.then(|| vec![0; lines.len()])
        });
    let Some(at) = at else {
        return lines.iter().map(|l| row(l, letters)).collect();
    };
    lines
        .iter()
        .zip(at)
        .map(|(line, at)| {
            let (before, after) = line.split_at(at.min(line.len()));
            let (before, after) = (row(before, letters)?, row(after, letters)?);
            Some(format!("{before} &{after}").trim_start().to_owned())
        })
        .collect()
}

/// Whether most of it is words.
fn is_text(lines: &[Vec<Piece>]) -> bool {
    let (mut words, mut letters, mut all) = (0, 0, 0);
    for piece in lines.iter().flatten() {
        match &piece.node {
            Node::Word(word) => {
                words += 1;
                letters += word.chars().count();
                all += word.chars().count();
            }
            _ => all += 1,
        }
    }
    words >= WORDS && letters as f32 > TEXT * all as f32
}
