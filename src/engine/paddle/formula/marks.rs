//! Marks over letters, strokes through signs, letters that are words. Pure.

use super::signs;
use super::tree::{Node, Piece};
use crate::engine::paddle::layout::union;
use crate::page::CharStyle;

/// How far an accent's middle lies beside its letter's box, font sizes: over slanted letters it
/// stands to the right.
const ASIDE: f32 = 0.25;
/// How far it reaches into its letter's box, font sizes.
const INTO: f32 = 0.2;
/// Gap up to which letters are of one word, font sizes.
const LETTERS: f32 = 0.14;
/// Gap up to which two words are one name (`lim sup`), font sizes.
const WORDS: f32 = 0.4;

/// Puts accents over their letters; `None` where one stands over nothing.
pub fn accented(pieces: Vec<Piece>) -> Option<Vec<Piece>> {
    let is_accent = |p: &Piece| p.sign().is_some_and(|ch| signs::accent(ch).is_some());
    let (mut accents, mut rest): (Vec<Piece>, Vec<Piece>) =
        pieces.into_iter().partition(|p| is_accent(p));
    // The lowest first: of two over one letter.
    accents.sort_by(|a, b| b.at[3].total_cmp(&a.at[3]));
    for accent in accents {
        let [command, _] = accent.sign().and_then(signs::accent)?;
        let [x, _] = accent.middle();
        let host = rest
            .iter()
            .enumerate()
            .filter(|(_, p)| {
                let aside = ASIDE * accent.size;
                (p.at[0] - aside..=p.at[2] + aside).contains(&x)
                    && accent.at[3] <= p.at[1] + INTO * accent.size
                    && accent.at[3] >= p.at[1] - 0.5 * accent.size
                    && (accent.size - p.size).abs() <= 0.1 * accent.size
            })
            .min_by(|(_, a), (_, b)| {
                let off = |p: &Piece| (p.middle()[0] - x).abs() + (p.at[1] - accent.at[3]).abs();
                off(a).total_cmp(&off(b))
            })
            .map(|(i, _)| i)?;
        let letter = rest.get_mut(host)?;
        let inner = letter.clone();
        letter.at = union(letter.at, accent.at);
        letter.node = Node::Accent(command, vec![inner]);
    }
    Some(rest)
}

/// Puts strokes through the signs that they stand on; `None` where one stands on nothing known.
pub fn negated(pieces: Vec<Piece>) -> Option<Vec<Piece>> {
    // A slash that stands on a relation is one as well, and a tilde on an equals sign.
    let on = |p: &Piece, signs: &[char]| {
        let over = |q: &Piece| {
            q.sign().is_some_and(|ch| signs.contains(&ch))
                && p.is_within(q.at[0], q.at[2])
                && q.is_within(p.at[0], p.at[2])
        };
        pieces.iter().any(over)
    };
    let (strokes, mut rest): (Vec<Piece>, Vec<Piece>) =
        pieces.iter().cloned().partition(|p| match p.sign() {
            Some('\u{338}') => true,
            Some('/') => on(p, &['∈', '∋', '=']),
            Some('∼') => on(p, &['=']),
            _ => false,
        });
    for stroke in strokes {
        let [x, y] = stroke.middle();
        let host = rest.iter_mut().find(|p| {
            p.is_within(x - 0.3 * p.size, x + 0.3 * p.size)
                && (p.middle()[1] - y).abs() < 0.5 * p.size
                && p.sign().is_some_and(|ch| signs::negated(ch).is_some())
        })?;
        if let Node::Sign(ch, style) = host.node {
            let sign = match (stroke.sign(), ch) {
                (Some('∼'), '=') => '≅',
                (Some('∼'), _) => return None,
                _ => signs::negated(ch)?,
            };
            host.node = Node::Sign(sign, style);
            host.at = union(host.at, stroke.at);
        }
    }
    Some(rest)
}

fn letter(piece: &Piece) -> Option<char> {
    match piece.node {
        Node::Sign(ch, CharStyle::Upright) if ch.is_alphabetic() && ch < '\u{250}' => Some(ch),
        _ => None,
    }
}

/// Joins upright letters beside each other into words. `pieces`: one baseline, from the left.
pub fn words(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Some(ch) = letter(&piece) else {
            out.push(piece);
            continue;
        };
        let joins = |last: &Piece| piece.x[0] - last.x[1] <= LETTERS * piece.size;
        match out.last_mut() {
            Some(last) if joins(last) && (letter(last).is_some() || is_word(last)) => {
                let mut word = match &last.node {
                    Node::Sign(first, _) => first.to_string(),
                    Node::Word(word) => word.clone(),
                    _ => String::new(),
                };
                word.push(ch);
                last.node = Node::Word(word);
                last.at = union(last.at, piece.at);
                last.x[1] = piece.x[1];
            }
            _ => out.push(piece),
        }
    }
    names(out)
}

fn is_word(piece: &Piece) -> bool {
    matches!(piece.node, Node::Word(_))
}

/// Joins the words of a name of two.
fn names(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let (Some(last), Node::Word(second)) = (out.last_mut(), &piece.node)
            && let Node::Word(first) = &last.node
            && piece.x[0] - last.x[1] <= WORDS * piece.size
        {
            let name = format!("{first}{second}");
            if matches!(&*name, "limsup" | "liminf" | "argmax" | "argmin") {
                last.node = Node::Word(name);
                last.at = union(last.at, piece.at);
                last.x[1] = piece.x[1];
                continue;
            }
        }
        out.push(piece);
    }
    out
}

/// By piece, in any order: the box of the name below which limits stand, if it is a letter of one.
pub fn limit_names(pieces: &[Piece]) -> Vec<Option<[f32; 4]>> {
    let mut letters: Vec<usize> = (0..pieces.len())
        .filter(|&i| letter(&pieces[i]).is_some())
        .collect();
    letters.sort_by(|&a, &b| pieces[a].base.total_cmp(&pieces[b].base));
    // Baselines differ by rounding: lines are told apart before what stands on them is ordered.
    let mut line = 0;
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(letters.len());
    for (n, &i) in letters.iter().enumerate() {
        let last = &pieces[letters[n.saturating_sub(1)]];
        line += usize::from(pieces[i].base - last.base > 0.05 * last.size);
        order.push((line, i));
    }
    order.sort_by(|a, b| {
        let x = |at: &(usize, usize)| pieces[at.1].x[0];
        a.0.cmp(&b.0).then(x(a).total_cmp(&x(b)))
    });
    let letters: Vec<usize> = order.into_iter().map(|(_, i)| i).collect();
    let mut out = vec![None; pieces.len()];
    let mut from = 0;
    while from < letters.len() {
        let mut to = from + 1;
        while to < letters.len() {
            let (a, b) = (&pieces[letters[to - 1]], &pieces[letters[to]]);
            let gap = b.x[0] - a.x[1];
            if (a.base - b.base).abs() > 0.05 * a.size || gap.abs() > LETTERS * a.size {
                break;
            }
            to += 1;
        }
        let word: String = letters[from..to]
            .iter()
            .filter_map(|&i| letter(&pieces[i]))
            .collect();
        if signs::is_limit_name(&word) || word == "arg" {
            let name = letters[from..to].iter().map(|&i| pieces[i].at);
            let name = name.reduce(union);
            letters[from..to].iter().for_each(|&i| out[i] = name);
        }
        from = to;
    }
    out
}
