//! A formula's tree as LaTeX, as KaTeX and MathJax read it. Pure.

use super::contain::main_base;
use super::letters::{self, Letters};
use super::signs;
use super::tree::{Inner, Node, Piece, largest};
use crate::page::CharStyle;
use crate::page::latex::{delimiter, operator_name};

/// Gap from which on a space stands in what is written, which shows nothing, font sizes ...
const LOOSE: f32 = 0.15;
/// ... and from which on it is one that shows: `\quad` and `\qquad` (1 and 2, less what relations
/// take).
const QUAD: f32 = 0.9;
const QQUAD: f32 = 1.8;
/// Distance of two rows without a bar from which on they are a binomial coefficient, font sizes
/// (TeX: 1.36 in displays, rows of a matrix 1.2).
const BINOMIAL: f32 = 1.28;
/// Heights of \big, \Big, \bigg and \Bigg, font sizes (plain TeX: 1.2 and each 0.6 more).
const BIG: [(f32, &str); 4] = [
    (1.5, "\\big"),
    (2.1, "\\Big"),
    (2.7, "\\bigg"),
    (f32::MAX, "\\Bigg"),
];

/// Adds `part`, with a space where two parts would run together (`\alpha` and `x`).
pub fn add(out: &mut String, part: &str) {
    let letters = out
        .bytes()
        .rev()
        .take_while(u8::is_ascii_alphabetic)
        .count();
    let word = letters > 0 && out[..out.len() - letters].ends_with('\\');
    if word && part.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.push(' ');
    }
    out.push_str(part);
}

/// A row in LaTeX; `None` where LaTeX has no name for one of its signs.
pub fn row(pieces: &[Piece], letters: Letters) -> Option<String> {
    let mut out = String::new();
    let size = largest(pieces);
    let mut i = 0;
    while i < pieces.len() {
        let gap = match i.checked_sub(1).and_then(|before| pieces.get(before)) {
            Some(before) => (pieces[i].x[0] - before.x[1]) / size.max(1e-3),
            None => 0.0,
        };
        let relation = |at: usize| {
            let sign = pieces.get(at).and_then(Piece::sign);
            sign.is_some_and(signs::is_relation)
        };
        // Around relations stands more anyway.
        let quad = if relation(i) || i.checked_sub(1).is_some_and(relation) {
            QQUAD
        } else {
            QUAD
        };
        if gap >= QQUAD {
            add(&mut out, "\\qquad ");
        } else if gap >= quad {
            add(&mut out, "\\quad ");
        } else if gap >= LOOSE && !out.ends_with(' ') {
            out.push(' ');
        }
        let run = letters::run(&pieces[i..], size, letters);
        if let Some((text, count)) = run {
            let before = i.checked_sub(1).and_then(|before| pieces.get(before));
            let after = pieces.get(i + count);
            let spaced = letters::spaced(&text, before, &pieces[i..i + count], after, size);
            add(&mut out, &spaced);
            i += count;
            continue;
        }
        let start = out.len();
        piece(&pieces[i], letters, &mut out)?;
        // `\\` before a bracket or a star would take it for its own.
        if start == 0 && out.starts_with(['[', '*']) {
            out.insert_str(0, "{}");
        }
        i += 1;
    }
    Some(out.trim().to_owned())
}

fn group(pieces: &[Piece], letters: Letters, out: &mut String) -> Option<()> {
    out.push('{');
    out.push_str(&row(pieces, letters)?);
    out.push('}');
    Some(())
}

fn piece(of: &Piece, letters: Letters, out: &mut String) -> Option<()> {
    match &of.node {
        Node::Sign(ch, style) => {
            let sign = letters::sign(*ch, *style, letters)?;
            add(out, &sign);
        }
        Node::Word(word) => add(out, &letters::word(word)),
        Node::Rule => return None,
        Node::Fraction { over, under } => {
            add(out, "\\frac");
            group(over, letters, out)?;
            group(under, letters, out)?;
        }
        Node::Root { of, degree } => {
            add(out, "\\sqrt");
            if let Some(degree) = degree {
                let degree = row(degree, letters)?;
                // A bracket within would end it.
                let degree = match degree.contains(']') {
                    true => format!("[{{{degree}}}]"),
                    false => format!("[{degree}]"),
                };
                out.push_str(&degree);
            }
            group(of, letters, out)?;
        }
        Node::Scripts { base, sub, sup } => {
            match base {
                None => out.push_str("{}"),
                Some(base) if matches!(base.node, Node::Fraction { .. }) => {
                    group(std::slice::from_ref(base), letters, out)?;
                }
                // Scripts one after the other, not above each other.
                Some(base) if matches!(base.node, Node::Scripts { .. }) => {
                    piece(base, letters, out)?;
                    out.push_str("{}");
                }
                Some(base) => piece(base, letters, out)?,
            }
            scripts(sub.as_ref(), sup.as_ref(), letters, out)?;
        }
        Node::Accent(command, of) => {
            add(out, command);
            // Letters under an accent lose their dots.
            let under = row(of, letters)?;
            out.push('{');
            out.push_str(&under);
            out.push('}');
        }
        Node::Label { base, over, under } => label(base, over, under, letters, out)?,
        Node::Fenced { open, close, inner } => fenced(*open, *close, inner, letters, out)?,
        Node::Tall(ch, height) => {
            let (_, command) = BIG.iter().find(|(most, _)| height < most)?;
            add(out, command);
            let mut buffer = [0; 4];
            add(out, delimiter(ch.encode_utf8(&mut buffer))?);
        }
    }
    Some(())
}

fn scripts(
    sub: Option<&Inner>,
    sup: Option<&Inner>,
    letters: Letters,
    out: &mut String,
) -> Option<()> {
    // Primes are a superscript of their own.
    let (primes, sup) = match sup {
        Some(Inner::Row(all)) => {
            let count = all.iter().take_while(|p| primes(p) > 0).count();
            let primes: usize = all[..count].iter().map(primes).sum();
            (
                primes,
                (count < all.len()).then(|| Inner::Row(all[count..].to_vec())),
            )
        }
        other => (0, other.cloned()),
    };
    out.push_str(&"'".repeat(primes));
    for (mark, script) in [('_', sub), ('^', sup.as_ref())] {
        if let Some(script) = script {
            out.push(mark);
            out.push('{');
            inner(script, letters, out)?;
            out.push('}');
        }
    }
    Some(())
}

fn primes(piece: &Piece) -> usize {
    match piece.sign() {
        Some('′') => 1,
        Some('″') => 2,
        Some('‴') => 3,
        _ => 0,
    }
}

/// Several rows are set below one another.
fn inner(of: &Inner, letters: Letters, out: &mut String) -> Option<()> {
    match of {
        Inner::Row(pieces) => out.push_str(&row(pieces, letters)?),
        Inner::Table(rows) => {
            let rows = rows
                .iter()
                .map(|cells| row(&cells.concat(), letters))
                .collect::<Option<Vec<String>>>()?;
            add(out, "\\substack{");
            out.push_str(&rows.join(" \\\\ "));
            out.push('}');
        }
    }
    Some(())
}

fn label(
    base: &Piece,
    over: &Option<Inner>,
    under: &Option<Inner>,
    letters: Letters,
    out: &mut String,
) -> Option<()> {
    let written = |of: &Option<Inner>| -> Option<String> {
        let mut out = String::new();
        if let Some(of) = of {
            inner(of, letters, &mut out)?;
        }
        Some(out)
    };
    let (above, below) = (written(over)?, written(under)?);
    let arrow = match base.sign() {
        Some('→' | '⟶') => "\\xrightarrow",
        Some('←' | '⟵') => "\\xleftarrow",
        _ => "",
    };
    if !arrow.is_empty() {
        add(out, arrow);
        if under.is_some() {
            out.push_str(&format!("[{{{below}}}]"));
        }
        out.push_str(&format!("{{{above}}}"));
        return Some(());
    }
    let mut body = String::new();
    piece(base, letters, &mut body)?;
    if over.is_some() {
        body = format!("\\overset{{{above}}}{{{body}}}");
    }
    if under.is_some() {
        body = format!("\\underset{{{below}}}{{{body}}}");
    }
    add(out, &body);
    Some(())
}

fn fenced(
    open: char,
    close: Option<char>,
    of: &Inner,
    letters: Letters,
    out: &mut String,
) -> Option<()> {
    let text = |ch: Option<char>| ch.map(String::from).unwrap_or_default();
    let (left, right) = (delimiter(&text(Some(open)))?, delimiter(&text(close))?);
    let around = |body: String, out: &mut String| {
        add(out, "\\left");
        out.push_str(left);
        out.push(' ');
        out.push_str(&body);
        out.push_str(" \\right");
        out.push_str(right);
    };
    let rows = match of {
        Inner::Row(pieces) => {
            around(row(pieces, letters)?, out);
            return Some(());
        }
        Inner::Table(rows) => rows,
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let written = rows
        .iter()
        .map(|cells| {
            let cells = cells.iter().map(|c| row(c, letters));
            Some(cells.collect::<Option<Vec<String>>>()?.join(" & "))
        })
        .collect::<Option<Vec<String>>>()?;
    if let ('(', Some(')'), [over, under], true) = (open, close, &**rows, is_binomial(rows)) {
        add(out, "\\binom");
        group(&over.concat(), letters, out)?;
        group(&under.concat(), letters, out)?;
        return Some(());
    }
    let body = written.join(" \\\\ ");
    let name = match (open, close) {
        ('(', Some(')')) => "pmatrix",
        ('[', Some(']')) => "bmatrix",
        ('{', Some('}')) => "Bmatrix",
        ('|' | '∣', Some('|' | '∣')) => "vmatrix",
        ('‖' | '∥', Some('‖' | '∥')) => "Vmatrix",
        ('{', None) if columns <= 2 => "cases",
        _ => {
            let places = "l".repeat(columns);
            around(
                format!("\\begin{{array}}{{{places}}} {body} \\end{{array}}"),
                out,
            );
            return Some(());
        }
    };
    add(out, &format!("\\begin{{{name}}} {body} \\end{{{name}}}"));
    Some(())
}

fn is_binomial(rows: &[Vec<Vec<Piece>>]) -> bool {
    let [over, under] = rows else { return false };
    let ([over], [under]) = (&**over, &**under) else {
        return false;
    };
    match (main_base(over), main_base(under)) {
        (Some(a), Some(b)) => b - a >= BINOMIAL * largest(over).max(largest(under)),
        _ => false,
    }
}

/// Whether letters without a style are the formula's own: no letter of it is italic.
pub fn letters_of(lines: &[Vec<Piece>]) -> Letters {
    fn italic(piece: &Piece) -> bool {
        let inner = |of: &Option<Inner>| match of {
            Some(of) => within(of),
            None => false,
        };
        match &piece.node {
            Node::Sign(ch, style) => {
                ch.is_alphabetic() && matches!(style, CharStyle::Italic | CharStyle::BoldItalic)
            }
            Node::Fraction { over, under } => over.iter().chain(under).any(italic),
            Node::Root { of, degree } => of.iter().chain(degree.iter().flatten()).any(italic),
            Node::Scripts { base, sub, sup } => {
                base.as_deref().is_some_and(italic) || inner(sub) || inner(sup)
            }
            Node::Accent(_, of) => of.iter().any(italic),
            Node::Label { base, over, under } => italic(base) || inner(over) || inner(under),
            Node::Fenced { inner, .. } => within(inner),
            Node::Word(_) | Node::Rule | Node::Tall(..) => false,
        }
    }
    fn within(of: &Inner) -> bool {
        match of {
            Inner::Row(row) => row.iter().any(italic),
            Inner::Table(rows) => rows.iter().flatten().flatten().any(italic),
        }
    }
    if lines.iter().flatten().any(italic) {
        Letters::Styled
    } else {
        Letters::Plain
    }
}

/// Whether a word is written as an operator.
pub fn is_operator(word: &str) -> bool {
    operator_name(word) || signs::is_limit_name(word)
}
