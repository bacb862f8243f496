//! Rows of a display, of a matrix, of cases: parts of a formula with nothing between them. Pure.

use super::marks::limit_names;
use super::signs;
use super::tree::{Node, Piece, largest};

/// What a rule is to what stands above and below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Fraction,
    /// A line over something.
    Over,
    /// A line under something.
    Under,
    /// The line that continues a root's sign.
    Root,
}

/// Room between a fraction's bar and what stands above or below it at most, font sizes (TeX's
/// displays: 0.23 to 0.43 above a number or a letter with a descender).
const NEAR: f32 = 0.65;
/// A line over letters stands as near (TeX: three times its thickness, 0.12) ...
const OVERLINE: f32 = 0.19;
/// ... and what is above it belongs to another row from this distance on.
const APART: f32 = 0.36;
/// Room between an operator and its limits, and between rows of these, font sizes.
const LIMIT: f32 = 0.4;
/// How far pieces of one row overlap at least, and how far what reaches to another goes into it, font
/// sizes: rows of small fractions touch.
const OVERLAP: f32 = 0.05;
const INTO: f32 = 0.2;
/// How far the middle of a numerator lies beside that of its bar, font sizes.
const CENTRED: f32 = 0.25;

/// Whether `rule` continues the sign of a root.
pub fn is_of_root(rule: &Piece, sign: &Piece) -> bool {
    sign.sign() == Some('√')
        && (sign.at[2] - rule.at[0]).abs() <= 0.25 * sign.size
        && (sign.at[1] - rule.at[1]).abs() <= 0.15 * sign.size
}

/// The pieces nearest above and below a rule, with their distance in pixels.
fn neighbours<'a>(rule: &Piece, pieces: &'a [Piece]) -> [Option<(f32, &'a Piece)>; 2] {
    let mut found: [Option<(f32, &Piece)>; 2] = [None, None];
    for piece in pieces.iter().filter(|p| !p.is_rule()) {
        let margin = 0.1 * piece.size;
        if !piece.is_within(rule.at[0] - margin, rule.at[2] + margin) {
            continue;
        }
        let above = piece.middle()[1] < rule.middle()[1];
        let gap = if above {
            rule.at[1] - piece.at[3]
        } else {
            piece.at[1] - rule.at[3]
        };
        let place = &mut found[usize::from(!above)];
        if place.is_none_or(|(known, _)| gap < known) {
            *place = Some((gap, piece));
        }
    }
    found
}

/// What a rule is among `pieces`; `None` where nothing stands at it.
pub fn role(rule: &Piece, pieces: &[Piece]) -> Option<Role> {
    if pieces.iter().any(|p| is_of_root(rule, p)) {
        return Some(Role::Root);
    }
    let [above, below] = neighbours(rule, pieces).map(|found| {
        let (gap, piece) = found?;
        let gap = gap / piece.size.max(1.0);
        (gap <= NEAR).then_some(gap)
    });
    match (above, below) {
        (Some(above), Some(below))
            if below <= OVERLINE && above >= APART && !is_numerator(rule, pieces) =>
        {
            Some(Role::Over)
        }
        (Some(_), Some(_)) => Some(Role::Fraction),
        (None, Some(_)) => Some(Role::Over),
        (Some(_), None) => Some(Role::Under),
        (None, None) => None,
    }
}

/// Whether what stands above a rule is its own: in its middle, and nothing goes on beside it.
fn is_numerator(rule: &Piece, pieces: &[Piece]) -> bool {
    let [Some((_, nearest)), _] = neighbours(rule, pieces) else {
        return false;
    };
    let level = |p: &Piece| {
        !p.is_rule()
            && p.middle()[1] < rule.middle()[1]
            && p.at[3].min(nearest.at[3]) > p.at[1].max(nearest.at[1])
    };
    let margin = 0.1 * nearest.size;
    let (from, to) = (rule.at[0] - margin, rule.at[2] + margin);
    let own = |p: &Piece| level(p) && p.is_within(from, to);
    let ends = pieces
        .iter()
        .filter(|p| own(p))
        .fold([f32::MAX, f32::MIN], |e, p| {
            [e[0].min(p.at[0]), e[1].max(p.at[2])]
        });
    let off = (ends[0] + ends[1]) / 2.0 - rule.middle()[0];
    let goes_on = pieces.iter().any(|p| {
        let apart = (from - p.x[1]).max(p.x[0] - to);
        !p.is_rule()
            && !p.is_within(from, to)
            && (p.base - nearest.base).abs() <= 0.06 * nearest.size
            && apart < 0.5 * nearest.size
    });
    off.abs() <= CENTRED * nearest.size && !goes_on
}

/// How far a piece reaches up and down for what stands in one row with it. `full`: the largest font
/// size.
fn reach(piece: &Piece, pieces: &[Piece], full: f32) -> [f32; 2] {
    let (top, bottom, size) = (piece.at[1], piece.at[3], piece.size);
    match piece.node {
        Node::Rule => match role(piece, pieces) {
            Some(role) => {
                let [above, below] = neighbours(piece, pieces);
                let up = above.filter(|_| matches!(role, Role::Fraction | Role::Under));
                let down = below.filter(|_| matches!(role, Role::Fraction | Role::Over));
                [
                    up.map_or(top, |(_, p)| p.at[3] - INTO * p.size),
                    down.map_or(bottom, |(_, p)| p.at[1] + INTO * p.size),
                ]
            }
            None => [top, bottom],
        },
        Node::Sign(ch, _) if signs::is_big(ch) => limits(piece.at, size, pieces),
        Node::Sign(ch, _) if signs::accent(ch).is_some() => [top, bottom + 0.3 * size],
        Node::Sign(ch, _) if signs::brace(ch).is_some() => {
            [top - 0.45 * size, bottom + 0.45 * size]
        }
        // Labels stand above and below them.
        Node::Sign(ch, _) if signs::is_relation(ch) => {
            let [up, down] = match ch {
                ch if signs::is_arrow(ch) => [0.75, 0.3],
                '=' => [0.75, 0.0],
                _ => [0.5, 0.0],
            };
            [
                top.min(piece.base - up * size),
                bottom.max(piece.base + down * size),
            ]
        }
        Node::Sign(..) if piece.axis.is_none() => {
            let below = if size > 0.9 * full { 0.08 * size } else { 0.0 };
            [
                top.min(piece.base - 0.45 * size),
                bottom.max(piece.base + below),
            ]
        }
        _ => [top, bottom],
    }
}

/// How far an operator reaches up and down to its limits, small pieces above and below it.
fn limits(at: [f32; 4], size: f32, pieces: &[Piece]) -> [f32; 2] {
    let mut reach = [at[1], at[3]];
    for piece in pieces.iter().filter(|p| p.size < 0.9 * size) {
        // Not what stands over or under a bar of its own, which leaves the operator out.
        let of_bar = pieces.iter().filter(|p| p.is_rule()).any(|rule| {
            let gap = (rule.at[1] - piece.at[3]).max(piece.at[1] - rule.at[3]);
            let both = rule.at[0] <= at[0] && rule.at[2] >= at[2];
            piece.is_within(rule.at[0], rule.at[2]) && gap < 0.3 * size && !both
        });
        let within = piece.is_within(at[0] - 0.1 * size, at[2] + 0.1 * size);
        if of_bar || !within || matches!(piece.node, Node::Fraction { .. }) {
            continue;
        }
        if (0.0..LIMIT * size).contains(&(at[1] - piece.at[3])) {
            reach[0] = reach[0].min(piece.at[3] - INTO * piece.size);
        }
        if (0.0..LIMIT * size).contains(&(piece.at[1] - at[3])) {
            reach[1] = reach[1].max(piece.at[1] + INTO * piece.size);
        }
    }
    reach
}

/// The rows of `pieces`, from the top.
pub fn bands(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let size = largest(&pieces);
    let named = limit_names(&pieces);
    let mut all: Vec<(f32, f32, Piece)> = Vec::with_capacity(pieces.len());
    for (i, piece) in pieces.iter().enumerate() {
        let [top, mut bottom] = reach(piece, &pieces, size);
        if let Some(Some(name)) = named.get(i) {
            bottom = bottom.max(limits(*name, piece.size, &pieces)[1]);
        }
        all.push((top, bottom, piece.clone()));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<Vec<Piece>> = Vec::new();
    let mut end = f32::MIN;
    for (top, bottom, piece) in all {
        match out.last_mut() {
            Some(band) if top <= end - OVERLAP * size => band.push(piece),
            _ => out.push(vec![piece]),
        }
        end = end.max(bottom);
    }
    with_limits(out, size)
}

/// Several rows of limits belong to the row of their operator: rows of script size to the nearest of
/// full size.
fn with_limits(bands: Vec<Vec<Piece>>, size: f32) -> Vec<Vec<Piece>> {
    let small = |band: &[Piece]| largest(band) < 0.85 * size;
    let top = |band: &[Piece]| band.iter().map(|p| p.at[1]).fold(f32::MAX, f32::min);
    let bottom = |band: &[Piece]| band.iter().map(|p| p.at[3]).fold(f32::MIN, f32::max);
    let mut out: Vec<Vec<Piece>> = Vec::new();
    let mut above: Vec<Vec<Piece>> = Vec::new();
    let near = |gap: f32| gap <= LIMIT * size;
    for mut band in bands {
        if small(&band) {
            match out.last_mut() {
                Some(last) if above.is_empty() && near(top(&band) - bottom(last)) => {
                    last.append(&mut band);
                }
                _ => above.push(band),
            }
            continue;
        }
        while let Some(mut before) = above.pop() {
            if near(top(&band) - bottom(&before)) {
                band.append(&mut before);
            } else {
                out.append(&mut above);
                out.push(before);
            }
        }
        out.push(band);
    }
    out.append(&mut above);
    out
}
