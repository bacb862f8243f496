//! Structures that hold others: roots, fractions, lines and braces over and under, tall brackets.
//! The widest is taken first, so that each is found within the one around it. Pure.

use super::bands::{Role, bands, is_of_root, role};
use super::signs;
use super::tree::{AXIS, Inner, Level, Node, Piece, inner, largest, single};

/// Braces without partner whose cases are looked for, at most.
const MAX_BRACES: usize = 20;

/// Height from which on a bracket is more than a line's, font sizes (TeX's \big: 1.2).
const TALL: f32 = 1.15;
/// How far two brackets of a pair differ above and below, font sizes.
const LIKE: f32 = 0.15;
/// Width from which on an accent is over several letters, font sizes.
const WIDE: f32 = 0.62;

/// Gap from which on what is level with a brace is no row of it, font sizes.
const FAR: f32 = 0.8;

#[derive(Clone, Copy, Debug)]
enum Found {
    /// A root's sign and its rule.
    Root(usize, usize),
    Rule(usize, Role),
    Brace(usize),
    Accent(usize),
    /// A pair of brackets.
    Pair(usize, usize),
    /// A brace before rows.
    Cases(usize),
}

/// Puts together what holds others; `None` where a rule or bracket is not understood.
pub fn contain(mut pieces: Vec<Piece>, level: Level) -> Option<Vec<Piece>> {
    if level.is_too_deep() {
        return None;
    }
    // Each round uses up a rule, a brace or a bracket.
    for _ in 0..=pieces.len() {
        let widest = found(&pieces)?
            .into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((found, _)) = widest else {
            break;
        };
        pieces = apply(found, pieces, level.deeper())?;
    }
    if pieces.iter().any(Piece::is_rule) {
        return None;
    }
    for piece in pieces.iter_mut().filter(|p| is_tall(p)) {
        if let Node::Sign(ch, _) = piece.node {
            piece.node = Node::Tall(ch, piece.height() / piece.size.max(1.0));
        }
    }
    Some(pieces)
}

/// What there is, with its width.
fn found(pieces: &[Piece]) -> Option<Vec<(Found, f32)>> {
    let mut out = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        match piece.node {
            Node::Rule => match role(piece, pieces)? {
                Role::Root => {
                    let sign = pieces.iter().position(|p| is_of_root(piece, p))?;
                    out.push((Found::Root(sign, i), piece.width()));
                }
                role => out.push((Found::Rule(i, role), piece.width())),
            },
            Node::Sign(ch, _) if signs::brace(ch).is_some() => {
                out.push((Found::Brace(i), piece.width()));
            }
            Node::Sign(ch, _)
                if signs::accent(ch).is_some() && piece.width() > WIDE * piece.size =>
            {
                out.push((Found::Accent(i), piece.width()));
            }
            _ => {}
        }
    }
    out.extend(pairs(pieces));
    Some(out)
}

fn is_tall(piece: &Piece) -> bool {
    piece.sign().is_some_and(signs::is_fence) && piece.height() > TALL * piece.size
}

/// Tall brackets with their others, and braces before rows.
fn pairs(pieces: &[Piece]) -> Vec<(Found, f32)> {
    let mut tall: Vec<usize> = (0..pieces.len()).filter(|&i| is_tall(&pieces[i])).collect();
    tall.sort_by(|&a, &b| pieces[a].at[0].total_cmp(&pieces[b].at[0]));
    let alike = |a: &Piece, b: &Piece| {
        let most = LIKE * a.size.max(b.size);
        (a.at[1] - b.at[1]).abs() <= most && (a.at[3] - b.at[3]).abs() <= most
    };
    let mut out = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for &i in &tall {
        let piece = &pieces[i];
        let Some(ch) = piece.sign() else { continue };
        let partner = open.iter().rposition(|&o| {
            let other = &pieces[o];
            alike(other, piece) && other.sign().is_some_and(|o| signs::is_pair(o, ch))
        });
        match partner {
            Some(at) => {
                let other = open[at];
                open.truncate(at);
                let width = piece.at[2] - pieces[other].at[0];
                out.push((Found::Pair(other, i), width));
            }
            None if !signs::is_closing(ch) => open.push(i),
            None => {}
        }
    }
    let braces = open.into_iter().filter(|&i| pieces[i].sign() == Some('{'));
    for i in braces.take(MAX_BRACES) {
        let rows = held(pieces, i);
        let inside: Vec<Piece> = rows.iter().map(|&p| pieces[p].clone()).collect();
        if bands(inside.clone()).len() > 1 {
            let end = inside.iter().map(|p| p.at[2]).fold(f32::MIN, f32::max);
            out.push((Found::Cases(i), end - pieces[i].at[0]));
        }
    }
    out
}

/// What stands right of a brace and within its height, up to where the row goes on that the brace
/// stands in.
fn held(pieces: &[Piece], brace: usize) -> Vec<usize> {
    let (at, size) = (pieces[brace].at, pieces[brace].size);
    let mut held: Vec<usize> = (0..pieces.len())
        .filter(|&i| {
            let [x, y] = pieces[i].middle();
            i != brace && x > (at[0] + at[2]) / 2.0 && (at[1]..=at[3]).contains(&y)
        })
        .collect();
    held.sort_by(|&a, &b| pieces[a].x[0].total_cmp(&pieces[b].x[0]));
    let base = (at[1] + at[3]) / 2.0 + AXIS * size;
    let full = |i: &&usize| pieces[**i].size > 0.9 * size && pieces[**i].axis.is_none();
    let level = |i: &usize| (pieces[*i].base - base).abs() < 0.15 * size;
    let mut end = f32::MIN;
    for at in 0..held.len() {
        let piece = &pieces[held[at]];
        let (left, right) = held.split_at(at);
        // A middle row is level with the brace too: what goes on stands apart from it.
        let apart = if left.iter().filter(full).any(level) {
            FAR
        } else {
            0.0
        };
        let gap = piece.x[0] - end;
        let mut rest = right.iter().filter(full).peekable();
        if at > 0 && gap >= apart * size && rest.peek().is_some() && rest.all(level) {
            held.truncate(at);
            break;
        }
        end = end.max(piece.x[1]);
    }
    held
}

/// Takes the pieces that `wanted` says out of `pieces`.
fn take(pieces: &mut Vec<Piece>, mut wanted: impl FnMut(&Piece) -> bool) -> Vec<Piece> {
    let all = std::mem::take(pieces);
    let (taken, rest) = all.into_iter().partition(|p| wanted(p));
    *pieces = rest;
    taken
}

fn apply(found: Found, mut pieces: Vec<Piece>, level: Level) -> Option<Vec<Piece>> {
    let piece = match found {
        Found::Root(sign, rule) => {
            let [sign, rule] = two(&mut pieces, sign, rule);
            root(&sign, &rule, &mut pieces, level)?
        }
        Found::Rule(rule, role) => {
            let rule = pieces.remove(rule);
            line(&rule, role, &mut pieces, level)?
        }
        Found::Brace(at) => {
            let brace = pieces.remove(at);
            braced(&brace, &mut pieces, level)?
        }
        Found::Accent(at) => {
            let accent = pieces.remove(at);
            let [_, command] = accent.sign().and_then(signs::accent)?;
            let under = take(&mut pieces, |p| {
                p.is_within(accent.at[0], accent.at[2]) && p.middle()[1] > accent.middle()[1]
            });
            over(command, &accent, under, level)?
        }
        Found::Pair(open, close) => {
            let [open, close] = two(&mut pieces, open, close);
            let inside = take(&mut pieces, |p| {
                p.is_within(open.middle()[0], close.middle()[0])
            });
            fenced(&open, Some(&close), inside, level)?
        }
        Found::Cases(at) => {
            let inside = held(&pieces, at);
            let mut i = 0;
            let mut brace = None;
            let mut held = Vec::new();
            pieces.retain(|p| {
                let is_brace = i == at;
                let is_held = inside.contains(&i);
                i += 1;
                if is_brace {
                    brace = Some(p.clone());
                } else if is_held {
                    held.push(p.clone());
                }
                !is_brace && !is_held
            });
            fenced(&brace?, None, held, level)?
        }
    };
    pieces.push(piece);
    Some(pieces)
}

/// Takes out two pieces, in this order.
fn two(pieces: &mut Vec<Piece>, a: usize, b: usize) -> [Piece; 2] {
    if a < b {
        let second = pieces.remove(b);
        [pieces.remove(a), second]
    } else {
        let first = pieces.remove(a);
        let second = pieces.remove(b);
        [first, second]
    }
}

fn root(sign: &Piece, rule: &Piece, pieces: &mut Vec<Piece>, level: Level) -> Option<Piece> {
    let from = sign.at[2] - 0.1 * sign.size;
    let inside = take(pieces, |p| {
        p.is_within(from, rule.at[2] + 0.1 * sign.size)
            && (rule.at[1]..=sign.at[3]).contains(&p.middle()[1])
    });
    // The degree stands over the sign's left part.
    let [_, half] = sign.middle();
    let degree = take(pieces, |p| {
        p.is_within(sign.at[0] - 0.8 * sign.size, from)
            && p.size < 0.85 * sign.size
            && p.at[3] < half + 0.25 * sign.size
            && p.at[1] > sign.at[1] - 0.6 * sign.size
            && p.at[2] > sign.at[0]
    });
    let parts: Vec<Piece> = [sign, rule]
        .into_iter()
        .chain(&inside)
        .chain(&degree)
        .cloned()
        .collect();
    let of = single(inside, level)?;
    let base = of.first()?.base;
    let base = main_base(&of).unwrap_or(base);
    let degree = match degree.is_empty() {
        true => None,
        false => Some(single(degree, level)?),
    };
    Some(Piece::of_parts(
        Node::Root { of, degree },
        &parts,
        base,
        None,
    ))
}

/// The baseline of a row: of its first piece of full size that stands on it.
pub fn main_base(row: &[Piece]) -> Option<f32> {
    let size = largest(row);
    row.iter()
        .find(|p| p.axis.is_none() && p.size > 0.9 * size)
        .or(row.first())
        .map(|p| p.axis.map_or(p.base, |axis| axis + AXIS * size))
}

fn line(rule: &Piece, role: Role, pieces: &mut Vec<Piece>, level: Level) -> Option<Piece> {
    let margin = 0.12 * largest(pieces);
    let y = rule.middle()[1];
    let at = |p: &Piece| p.is_within(rule.at[0] - margin, rule.at[2] + margin);
    match role {
        Role::Fraction => {
            let above = take(pieces, |p| at(p) && p.middle()[1] < y);
            let below = take(pieces, |p| at(p) && p.middle()[1] >= y);
            let parts: Vec<Piece> = [rule]
                .into_iter()
                .chain(&above)
                .chain(&below)
                .cloned()
                .collect();
            let size = largest(&parts);
            let (over, under) = (single(above, level)?, single(below, level)?);
            let node = Node::Fraction { over, under };
            Some(Piece::of_parts(node, &parts, y + AXIS * size, Some(y)))
        }
        Role::Over => {
            let under = take(pieces, |p| at(p) && p.middle()[1] > y);
            let one = under.len() == 1 && under.iter().all(|p| p.sign().is_some());
            over(if one { "\\bar" } else { "\\overline" }, rule, under, level)
        }
        Role::Under => {
            let above = take(pieces, |p| at(p) && p.middle()[1] < y);
            over("\\underline", rule, above, level)
        }
        Role::Root => None,
    }
}

/// A mark with what it stands over or under.
fn over(command: &'static str, mark: &Piece, of: Vec<Piece>, level: Level) -> Option<Piece> {
    let parts: Vec<Piece> = [mark].into_iter().chain(&of).cloned().collect();
    let size = largest(&of);
    let of = single(of, level)?;
    let base = main_base(&of)?;
    let mut piece = Piece::of_parts(Node::Accent(command, of), &parts, base, None);
    piece.size = size;
    Some(piece)
}

/// A brace along the line with what it stands over or under, and its label.
fn braced(brace: &Piece, pieces: &mut Vec<Piece>, level: Level) -> Option<Piece> {
    let (command, above) = brace.sign().and_then(signs::brace)?;
    let y = brace.middle()[1];
    let is_above = |p: &Piece| p.middle()[1] < y;
    let margin = 0.1 * brace.size;
    let of = take(pieces, |p| {
        p.is_within(brace.at[0] - margin, brace.at[2] + margin) && is_above(p) != above
    });
    let mut label = take(pieces, |p| {
        p.is_within(brace.at[0], brace.at[2]) && is_above(p) == above
    });
    // A label may be longer than its brace.
    while let Some(next) = pieces.iter().position(|p| {
        is_above(p) == above
            && label.iter().any(|l| {
                let apart = (p.at[0] - l.at[2]).max(l.at[0] - p.at[2]);
                let both = p.at[3].min(l.at[3]) - p.at[1].max(l.at[1]);
                both > 0.0 && apart < 0.5 * l.size && p.size <= 1.05 * l.size
            })
    }) {
        label.push(pieces.remove(next));
    }
    let body = over(command, brace, of, level)?;
    if label.is_empty() {
        return Some(body);
    }
    let (base, size) = (body.base, body.size);
    let parts: Vec<Piece> = [&body].into_iter().chain(&label).cloned().collect();
    let label = Some(inner(label, level)?);
    let (sub, sup) = if above { (None, label) } else { (label, None) };
    let node = Node::Scripts {
        base: Some(Box::new(body)),
        sub,
        sup,
    };
    let mut piece = Piece::of_parts(node, &parts, base, None);
    piece.size = size;
    Some(piece)
}

fn fenced(open: &Piece, close: Option<&Piece>, inside: Vec<Piece>, level: Level) -> Option<Piece> {
    let parts: Vec<Piece> = [open]
        .into_iter()
        .chain(close)
        .chain(&inside)
        .cloned()
        .collect();
    let [_, axis] = open.middle();
    let inner = inner(inside, level)?;
    if matches!(&inner, Inner::Row(row) if row.is_empty()) {
        return None;
    }
    let size = open.size.max(largest(&parts));
    let node = Node::Fenced {
        open: open.sign()?,
        close: match close {
            Some(close) => Some(close.sign()?),
            None => None,
        },
        inner,
    };
    let mut piece = Piece::of_parts(node, &parts, axis + AXIS * size, Some(axis));
    if close.is_none() {
        // Rows are aligned by their brace, whatever stands in them.
        piece.base = axis + AXIS * open.size;
    }
    Some(piece)
}
