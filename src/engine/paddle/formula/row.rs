//! One row of a formula: its baseline, and what stands raised, lowered, above and below beside it.
//! After Zanibbi, Blostein, Cordy, "Recognizing Mathematical Expressions Using Tree
//! Transformation" (2002): the baseline first, then what belongs to each sign on it; here baselines
//! and sizes are the file's own, so they are compared and not guessed. Pure.

use super::contain::contain;
use super::marks::{accented, negated, words};
use super::signs;
use super::tree::{AXIS, Inner, Level, Node, Piece, inner, largest};
use crate::engine::paddle::layout::union;

/// How far pieces of one baseline differ, font sizes: of what stands on it, and of what is centred on
/// its axis.
const ON: f32 = 0.06;
const CENTRED: f32 = 0.17;
/// Size of scripts at most, in that of their row (TeX: 0.7 and 0.71).
const SCRIPT: f32 = 0.92;
/// Part of the narrower of two neighbours by which they overlap at most: italics and kerning reach
/// over by less.
const PILED: f32 = 0.6;
/// How far a script must stand up and down, font sizes (TeX: at least 0.29 up and 0.1 down).
const UP: f32 = 0.12;
const DOWN: f32 = 0.04;

/// A row's pieces from left to right, each with its scripts; `None` where something stands in no
/// place that is understood.
pub fn row(pieces: Vec<Piece>, level: Level) -> Option<Vec<Piece>> {
    if pieces.is_empty() {
        return Some(pieces);
    }
    let pieces = contain(pieces, level)?;
    let pieces = accented(negated(pieces)?)?;
    let size = largest(&pieces);
    let base = baseline(&pieces, size)?;
    let (mut main, mut rest): (Vec<Piece>, Vec<Piece>) =
        pieces.into_iter().partition(|p| stands(p, base, size));
    if main.is_empty() {
        return None;
    }
    main.sort_by(|a, b| a.x[0].total_cmp(&b.x[0]));
    rest.sort_by(|a, b| a.x[0].total_cmp(&b.x[0]));
    let main = words(main);
    let mut hosts: Vec<Host> = main.into_iter().map(Host::new).collect();
    limits(&mut hosts, &mut rest, size);
    for piece in rest {
        let up = raised(&piece, base, size)?;
        place(&mut hosts, piece, up, size, level)?;
    }
    let row: Vec<Piece> = hosts
        .into_iter()
        .map(|h| h.piece(level.deeper()))
        .collect::<Option<_>>()?;
    (!is_piled(&row)).then_some(row)
}

/// Whether signs of one baseline stand on one another, which no rule explains.
fn is_piled(row: &[Piece]) -> bool {
    row.windows(2).any(|p| {
        let both = p[0].at[2].min(p[1].at[2]) - p[0].at[0].max(p[1].at[0]);
        both > PILED * p[0].width().min(p[1].width())
    })
}

/// The row's baseline: that of its leftmost piece of full size, or what its axis says.
fn baseline(pieces: &[Piece], size: f32) -> Option<f32> {
    let left = |of: &dyn Fn(&Piece) -> bool| {
        pieces
            .iter()
            .filter(|p| of(p))
            .min_by(|a, b| a.x[0].total_cmp(&b.x[0]))
    };
    let full = left(&|p| p.axis.is_none() && p.size >= 0.9 * size);
    if let Some(piece) = full {
        return Some(piece.base);
    }
    let centred = left(&|p| p.axis.is_some() && p.size >= 0.9 * size);
    let piece = centred.or_else(|| left(&|_| true))?;
    Some(piece.axis.map_or(piece.base, |axis| axis + AXIS * size))
}

/// Whether a piece stands on the baseline.
fn stands(piece: &Piece, base: f32, size: f32) -> bool {
    match piece.axis {
        Some(axis) => (axis - (base - AXIS * size)).abs() <= CENTRED * size,
        None => (piece.base - base).abs() <= ON * size && piece.size >= 0.8 * size,
    }
}

/// Whether what stands off the baseline is raised; `None` where it is neither raised nor lowered.
fn raised(piece: &Piece, base: f32, size: f32) -> Option<bool> {
    let off = match piece.axis {
        Some(axis) => axis - (base - AXIS * size),
        None => piece.base - base,
    };
    if off < -UP * size {
        Some(true)
    } else if off > DOWN * size {
        Some(false)
    } else {
        None
    }
}

/// A piece on the baseline and what belongs to it.
#[derive(Default)]
struct Host {
    /// `None` before a row's first piece.
    base: Option<Piece>,
    up: Vec<Piece>,
    down: Vec<Piece>,
    over: Vec<Piece>,
    under: Vec<Piece>,
}

impl Host {
    fn new(base: Piece) -> Self {
        Self {
            base: Some(base),
            ..Self::default()
        }
    }

    fn is_relation(&self) -> bool {
        let sign = self.base.as_ref().and_then(Piece::sign);
        sign.is_some_and(signs::is_relation)
    }

    fn takes_limits(&self) -> bool {
        match self.base.as_ref().map(|b| &b.node) {
            Some(Node::Sign(ch, _)) => signs::is_big(*ch),
            Some(Node::Word(word)) => signs::is_limit_name(word),
            _ => false,
        }
    }

    fn piece(self, level: Level) -> Option<Piece> {
        let mut parts: Vec<Piece> = self.base.iter().cloned().collect();
        for more in [&self.up, &self.down, &self.over, &self.under] {
            parts.extend(more.iter().cloned());
        }
        // Whether the lower script, or the upper, stands before the other.
        let ends = |p: &[Piece]| {
            p.iter().fold([f32::MAX, f32::MIN], |e, p| {
                [e[0].min(p.x[0]), e[1].max(p.x[1])]
            })
        };
        let (up, down) = (ends(&self.up), ends(&self.down));
        let most = 0.1 * largest(&self.up);
        let apart = match () {
            () if self.takes_limits() => None,
            () if up[0] >= down[1] - most => Some(true),
            () if down[0] >= up[1] - most => Some(false),
            () => None,
        };
        // Only limits stand in several rows.
        let limits = self.takes_limits();
        let within = |pieces: Vec<Piece>| -> Option<Option<Inner>> {
            if pieces.is_empty() {
                return Some(None);
            }
            let inner = inner(pieces, level)?;
            (limits || matches!(inner, Inner::Row(_))).then_some(Some(inner))
        };
        let (mut sup, mut sub) = (within(self.up)?, within(self.down)?);
        let (over, under) = (within(self.over)?, within(self.under)?);
        let mut piece = self.base.clone();
        if over.is_some() || under.is_some() {
            let base = piece?;
            let node = Node::Label {
                base: Box::new(base.clone()),
                over,
                under,
            };
            piece = Some(Piece { node, ..base });
        }
        // Indices that stand one after the other.
        if let (Some(_), Some(_), Some(base), Some(lower)) = (&sup, &sub, &piece, apart) {
            let (first, second) = if lower {
                (sub.take(), sup.take())
            } else {
                (sup.take(), sub.take())
            };
            let (first_sub, first_sup) = if lower { (first, None) } else { (None, first) };
            let node = Node::Scripts {
                base: Some(Box::new(base.clone())),
                sub: first_sub,
                sup: first_sup,
            };
            piece = Some(Piece {
                node,
                ..base.clone()
            });
            (sup, sub) = if lower {
                (second, None)
            } else {
                (None, second)
            };
        }
        if sup.is_some() || sub.is_some() {
            let like = piece.clone().or_else(|| parts.first().cloned())?;
            let node = Node::Scripts {
                base: piece.map(Box::new),
                sub,
                sup,
            };
            piece = Some(Piece { node, ..like });
        }
        let mut piece = piece?;
        piece.at = parts.iter().map(|p| p.at).reduce(union)?;
        let to = parts.iter().map(|p| p.x[1]).fold(f32::MIN, f32::max);
        let from = parts.iter().map(|p| p.x[0]).fold(f32::MAX, f32::min);
        piece.x = [from, to];
        Some(piece)
    }
}

/// Gives operators what stands above and below them, and relations their labels.
fn limits(hosts: &mut [Host], rest: &mut Vec<Piece>, size: f32) {
    let takes = |h: &&mut Host| h.takes_limits() || h.is_relation();
    let operators: Vec<f32> = hosts
        .iter()
        .filter(|h| h.takes_limits())
        .filter_map(|h| Some(h.base.as_ref()?.middle()[0]))
        .collect();
    for host in hosts.iter_mut().filter(takes) {
        let Some(base) = host.base.clone() else {
            continue;
        };
        for above in [true, false] {
            let relation = host.is_relation();
            let margin = if relation { 0.05 } else { 0.15 } * base.size;
            let beyond = |p: &Piece| {
                if above {
                    p.at[3] <= base.at[1] + margin
                } else {
                    p.at[1] >= base.at[3] - margin
                }
            };
            let mut taken: Vec<Piece> = Vec::new();
            let seeds = |p: &Piece| {
                let small = !relation || p.size <= SCRIPT * size;
                beyond(p) && small && p.is_within(base.x[0], base.x[1])
            };
            let off = |p: &Piece, x: f32| (p.middle()[0] - x).abs();
            let nearest = |p: &Piece| {
                let here = off(p, base.middle()[0]);
                relation || operators.iter().all(|&x| off(p, x) >= here - 0.01)
            };
            let near = |p: &Piece, taken: &[Piece]| {
                beyond(p)
                    && nearest(p)
                    && taken.iter().any(|t| {
                        let apart = (p.at[0] - t.at[2]).max(t.at[0] - p.at[2]);
                        let both = p.at[3].min(t.at[3]) - p.at[1].max(t.at[1]);
                        let level = !relation || (p.base - t.base).abs() <= ON * t.size;
                        both > -0.1 * t.size && apart <= 0.45 * t.size && level
                    })
            };
            while let Some(i) = rest.iter().position(|p| seeds(p) || near(p, &taken)) {
                taken.push(rest.remove(i));
            }
            let place = match (above, relation) {
                (true, false) => &mut host.up,
                (false, false) => &mut host.down,
                (true, true) => &mut host.over,
                (false, true) => &mut host.under,
            };
            place.append(&mut taken);
        }
    }
}

/// Gives a raised or lowered piece to the piece on the baseline that it stands at; `None` where it
/// stands at none, or is too large for a script.
fn place(hosts: &mut Vec<Host>, piece: Piece, up: bool, size: f32, level: Level) -> Option<()> {
    let small = piece.size <= SCRIPT * size;
    let start = piece.x[0] + 0.1 * piece.size;
    let at = hosts
        .iter()
        .rposition(|h| h.base.as_ref().is_none_or(|b| b.middle()[0] < start));
    // What stands nearer to what follows than to an operator before it belongs to what follows.
    let after = at.map_or(0, |at| at + 1);
    let to_next = hosts
        .get(after)
        .and_then(|h| h.base.as_ref())
        .map(|b| b.x[0] - piece.x[1]);
    let before = at.and_then(|at| hosts.get(at)).is_some_and(|h| {
        let free = h.up.is_empty() && h.down.is_empty();
        let base = h
            .base
            .as_ref()
            .filter(|b| free && b.sign().is_some_and(signs::is_operator));
        base.is_some_and(|b| piece.x[0] - b.x[1] > 0.12 * size)
    });
    let begins = before && to_next.is_some_and(|gap| gap < 0.1 * size);
    let host = match at {
        Some(at) if !begins => hosts.get_mut(at)?,
        _ => {
            hosts.insert(after, Host::default());
            hosts.get_mut(after)?
        }
    };
    // A script stands right beside its base; one that is as large as it is none.
    let far = host.base.as_ref().is_some_and(|b| {
        let end = [&host.up, &host.down]
            .into_iter()
            .flatten()
            .map(|p| p.x[1])
            .fold(b.x[1], f32::max);
        piece.x[0] - end > 0.8 * size
    });
    let of_tall = host.base.as_ref().is_some_and(|b| b.axis.is_some());
    if far || !(small || of_tall || size <= 0.0 || (level.is_smallest(size) && piece.size <= size))
    {
        return None;
    }
    if up {
        host.up.push(piece);
    } else {
        host.down.push(piece);
    }
    Some(())
}
