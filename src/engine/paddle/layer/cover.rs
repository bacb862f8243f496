//! Which parts of one line lie under others. Pure.

use crate::engine::paddle::line::Line;
use crate::engine::paddle::pixels::Slanted;

/// Directions that differ by less than this are one, radians.
const ALIKE: f32 = 0.15;
/// Part of the smaller height by which two lines must overlap to stand in one place.
const ACROSS: f32 = 0.5;
/// What is left of a line below this, in its heights, is margin.
const MARGIN: f32 = 1.2;

/// Where `over` covers `line`: from and to along it, pixels from its middle.
fn part(line: &Slanted, over: &Slanted) -> Option<[f32; 2]> {
    use std::f32::consts::{FRAC_PI_2, PI};
    // Whether read upwards or downwards, it is the same place.
    let turn = (line.angle - over.angle).rem_euclid(PI);
    let turn = turn.min(PI - turn);
    let (s, c) = line.angle.sin_cos();
    let (dx, dy) = (over.cx - line.cx, over.cy - line.cy);
    let (u, v) = (dx * c + dy * s, dy * c - dx * s);
    // Short ones have no direction that detection could tell.
    let (width, height) = if turn < ALIKE {
        (over.width, over.height)
    } else if (turn - FRAC_PI_2).abs() < ALIKE && line.width.min(over.width) < 2.5 * line.height {
        (over.height, over.width)
    } else {
        return None;
    };
    let across =
        (line.height / 2.0).min(v + height / 2.0) - (-line.height / 2.0).max(v - height / 2.0);
    if across < ACROSS * line.height.min(height) {
        return None;
    }
    let from = (u - width / 2.0).max(-line.width / 2.0);
    let to = (u + width / 2.0).min(line.width / 2.0);
    (from < to).then_some([from, to])
}

/// Parts of a line that others cover, in order, those that touch as one.
fn covered<'a>(line: &Slanted, over: impl Iterator<Item = &'a Slanted>) -> Vec<[f32; 2]> {
    let mut parts: Vec<[f32; 2]> = over.filter_map(|o| part(line, o)).collect();
    parts.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut out: Vec<[f32; 2]> = Vec::new();
    for [from, to] in parts {
        match out.last_mut() {
            Some(last) if from <= last[1] => last[1] = last[1].max(to),
            _ => out.push([from, to]),
        }
    }
    out
}

/// Share of a line's width that others cover.
pub fn share<'a>(line: &Slanted, over: impl Iterator<Item = &'a Slanted>) -> f32 {
    let sum: f32 = covered(line, over).iter().map(|[a, b]| b - a).sum();
    sum / line.width.max(1e-3)
}

/// What is left of a line where others do not cover it; `None` for all of it.
pub fn rest<'a>(line: &Slanted, over: impl Iterator<Item = &'a Slanted>) -> Option<Vec<Slanted>> {
    let parts = covered(line, over);
    if parts.is_empty() {
        return None;
    }
    let half = line.width / 2.0;
    let ends = parts.iter().map(|p| p[1]);
    let starts = parts.iter().map(|p| p[0]).chain([half]);
    let left = std::iter::once(-half)
        .chain(ends)
        .zip(starts)
        .filter(|(from, to)| to - from > MARGIN * line.height)
        .map(|(from, to)| {
            let (s, c) = line.angle.sin_cos();
            let middle = (from + to) / 2.0;
            Slanted {
                cx: line.cx + middle * c,
                cy: line.cy + middle * s,
                width: to - from,
                ..*line
            }
        });
    Some(left.collect())
}

/// Cuts a line in two or more: the characters go to the piece of `cuts` (which lie along it, side by
/// side) that holds their middle. Pieces without text are left out.
pub fn divided(line: &Line, cuts: &[Slanted]) -> Vec<Line> {
    let (s, c) = line.at.angle.sin_cos();
    let width = line.at.width.max(1e-3);
    let along = |x: f32, y: f32| ((x - line.at.cx) * c + (y - line.at.cy) * s) / width + 0.5;
    cuts.iter()
        .enumerate()
        .filter_map(|(i, cut)| {
            let middle = along(cut.cx, cut.cy);
            let half = cut.width / width / 2.0;
            let chars: Vec<(char, [f32; 2])> = line
                .text
                .chars()
                .zip(line.extents.iter().copied())
                .filter(|(_, e)| {
                    let at = (e[0] + e[1]) / 2.0;
                    (i == 0 || at >= middle - half) && (i + 1 == cuts.len() || at < middle + half)
                })
                .collect();
            let shown = || chars.iter().filter(|(c, _)| !c.is_whitespace());
            let from = shown().map(|(_, e)| e[0]).fold(f32::MAX, f32::min);
            let to = shown().map(|(_, e)| e[1]).fold(f32::MIN, f32::max);
            if from >= to {
                return None;
            }
            let first = chars.iter().position(|(c, _)| !c.is_whitespace())?;
            let last = chars.iter().rposition(|(c, _)| !c.is_whitespace())?;
            let chars = &chars[first..=last];
            Some(Line {
                at: line.part([from, to]),
                text: chars.iter().map(|(c, _)| *c).collect(),
                extents: chars
                    .iter()
                    .map(|(_, e)| e.map(|v| ((v - from) / (to - from)).clamp(0.0, 1.0)))
                    .collect(),
                score: line.score,
                source: line.source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::paddle::line::Source;

    fn level(x1: f32, x2: f32) -> Slanted {
        Slanted {
            cx: (x1 + x2) / 2.0,
            cy: 50.0,
            width: x2 - x1,
            height: 20.0,
            angle: 0.0,
        }
    }

    #[test]
    fn what_is_left_of_a_line_stands_beside_what_covers_it() {
        let line = level(0.0, 200.0);
        let ends = |over: &[Slanted]| {
            rest(&line, over.iter()).map(|left| {
                left.iter()
                    .map(|l| (l.bounds()[0].round(), l.bounds()[2].round()))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(ends(&[]), None);
        assert_eq!(ends(&[level(10.0, 190.0)]), Some(vec![]));
        assert_eq!(ends(&[level(10.0, 100.0)]), Some(vec![(100.0, 200.0)]));
        assert_eq!(
            ends(&[level(60.0, 100.0), level(90.0, 120.0)]),
            Some(vec![(0.0, 60.0), (120.0, 200.0)])
        );
        let below = Slanted {
            cy: 66.0,
            ..level(0.0, 200.0)
        };
        assert_eq!(ends(&[below]), None, "another line");
        let crossing = Slanted {
            angle: 1.5,
            ..level(0.0, 200.0)
        };
        assert_eq!(ends(&[crossing]), None, "another direction");
        assert!((share(&line, [level(10.0, 100.0)].iter()) - 0.45).abs() < 1e-4);
    }

    #[test]
    fn a_divided_line_keeps_every_character_once() {
        let line = Line::even(level(0.0, 100.0), "ab cd efgh".into(), 1.0, Source::Layer);
        let pieces = divided(&line, &[level(-5.0, 25.0), level(25.0, 105.0)]);
        let found: Vec<_> = pieces
            .iter()
            .map(|p| {
                (
                    p.text.as_str(),
                    p.at.bounds()[0].round(),
                    p.at.bounds()[2].round(),
                )
            })
            .collect();
        assert_eq!(found, [("ab", 0.0, 20.0), ("cd efgh", 30.0, 100.0)]);
        assert_eq!(pieces[1].extents.len(), 7);
    }
}
