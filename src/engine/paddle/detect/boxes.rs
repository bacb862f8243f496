//! From a map of probabilities to boxes: the post-processing of Differentiable Binarization (Liao et
//! al. 2020, arXiv:1911.08947; parameters of PaddleOCR as RapidOCR 3.10 sets them).

use crate::engine::paddle::pixels::Slanted;

/// Probability above which a point belongs to text.
const POINT: f32 = 0.3;
/// Mean probability inside a box above which it counts.
const BOX: f32 = 0.5;
/// The network marks the core of a line: a box grows by its area / perimeter times this.
const UNCLIP: f32 = 1.6;
/// Shortest side of a core, and of a grown box, in points of the map.
const CORE_MIN: f32 = 3.0;
const GROWN_MIN: f32 = 5.0;
/// Boxes of a probability map of `width * height` points.
pub fn boxes(map: &[f32], width: usize, height: usize) -> Vec<Slanted> {
    if map.len() != width * height {
        return Vec::new();
    }
    // Dilated by a square of 2: the point and its left, upper and upper left neighbours.
    let mut mask = vec![false; map.len()];
    for y in 0..height {
        for x in 0..width {
            if map[y * width + x] > POINT {
                for dy in 0..2.min(height - y) {
                    for dx in 0..2.min(width - x) {
                        mask[(y + dy) * width + x + dx] = true;
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    let mut stack = Vec::new();
    let mut edge: Vec<(i32, i32)> = Vec::new();
    for start in 0..mask.len() {
        if !mask[start] {
            continue;
        }
        // One connected part (eight neighbours); the ends of its rows are enough for its hull.
        edge.clear();
        mask[start] = false;
        stack.push(start);
        while let Some(i) = stack.pop() {
            let (x, y) = (i % width, i / width);
            let mut inner = 0;
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let n = ny * width + nx;
                    inner += 1;
                    if mask[n] {
                        mask[n] = false;
                        stack.push(n);
                    }
                }
            }
            let side = x == 0 || x + 1 == width || map[i - 1] <= POINT || map[i + 1] <= POINT;
            if inner < 9 || side {
                edge.push((x as i32, y as i32));
            }
        }
        let Some(core) = smallest_rectangle(&hull(&mut edge)) else {
            continue;
        };
        if core.width.min(core.height) < CORE_MIN || mean_inside(map, width, height, &core) < BOX {
            continue;
        }
        let distance = core.width * core.height * UNCLIP / (2.0 * (core.width + core.height));
        let grown = Slanted {
            width: core.width + 2.0 * distance,
            height: core.height + 2.0 * distance,
            ..core
        };
        if grown.width.min(grown.height) >= GROWN_MIN {
            out.push(along(grown));
        }
    }
    out
}

/// Convex hull, counter-clockwise in y-up terms, without collinear points (Andrew's monotone chain).
fn hull(points: &mut Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    points.sort_unstable();
    points.dedup();
    if points.len() < 3 {
        return points.clone();
    }
    let cross = |o: (i32, i32), a: (i32, i32), b: (i32, i32)| {
        i64::from(a.0 - o.0) * i64::from(b.1 - o.1) - i64::from(a.1 - o.1) * i64::from(b.0 - o.0)
    };
    let half = |iter: &mut dyn Iterator<Item = (i32, i32)>| {
        let mut chain: Vec<(i32, i32)> = Vec::new();
        for p in iter {
            while chain.len() >= 2 && cross(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0
            {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    let mut lower = half(&mut points.iter().copied());
    lower.extend(half(&mut points.iter().rev().copied()));
    lower
}

/// The rectangle of least area around a convex polygon: one side lies on an edge of the polygon.
fn smallest_rectangle(hull: &[(i32, i32)]) -> Option<Slanted> {
    if hull.len() < 3 {
        return None;
    }
    let mut best: Option<(f32, Slanted)> = None;
    for (i, &a) in hull.iter().enumerate() {
        let b = hull[(i + 1) % hull.len()];
        let (dx, dy) = ((b.0 - a.0) as f32, (b.1 - a.1) as f32);
        let length = dx.hypot(dy);
        let (c, s) = (dx / length, dy / length);
        let (mut u1, mut u2, mut v1, mut v2) = (f32::MAX, f32::MIN, f32::MAX, f32::MIN);
        for &(x, y) in hull {
            let (x, y) = (x as f32, y as f32);
            let (u, v) = (x * c + y * s, y * c - x * s);
            (u1, u2, v1, v2) = (u1.min(u), u2.max(u), v1.min(v), v2.max(v));
        }
        let area = (u2 - u1) * (v2 - v1);
        if best.as_ref().is_none_or(|(least, _)| area < *least) {
            let (u, v) = ((u1 + u2) / 2.0, (v1 + v2) / 2.0);
            let rectangle = Slanted {
                cx: u * c - v * s,
                cy: u * s + v * c,
                width: u2 - u1,
                height: v2 - v1,
                angle: dy.atan2(dx),
            };
            best = Some((area, rectangle));
        }
    }
    best.map(|(_, r)| r)
}

/// Turns a rectangle's axes so that the line reads along its width: within an eighth of a turn of
/// level, or of upright for boxes at least 1.5 times as high as wide (vertical text, read from top
/// to bottom).
pub fn along(mut r: Slanted) -> Slanted {
    use std::f32::consts::{FRAC_PI_2, FRAC_PI_4, PI};
    while r.angle > FRAC_PI_4 + 1e-6 {
        r.angle -= FRAC_PI_2;
        std::mem::swap(&mut r.width, &mut r.height);
    }
    while r.angle < -FRAC_PI_4 - 1e-6 {
        r.angle += FRAC_PI_2;
        std::mem::swap(&mut r.width, &mut r.height);
    }
    if r.height >= 1.5 * r.width {
        std::mem::swap(&mut r.width, &mut r.height);
        r.angle += FRAC_PI_2;
        if r.angle > PI {
            r.angle -= 2.0 * PI;
        }
    }
    r
}

/// Mean of the map over the points whose centres the rectangle covers.
fn mean_inside(map: &[f32], width: usize, height: usize, r: &Slanted) -> f32 {
    let [x1, y1, x2, y2] = r.bounds();
    let (s, c) = r.angle.sin_cos();
    let (hw, hh) = (r.width / 2.0 + 0.01, r.height / 2.0 + 0.01);
    let (mut sum, mut count) = (0.0f64, 0u32);
    let range = |a: f32, b: f32, limit: usize| {
        (a.floor().max(0.0) as usize)..((b.ceil().max(0.0) as usize) + 1).min(limit)
    };
    for y in range(y1, y2, height) {
        for x in range(x1, x2, width) {
            let (dx, dy) = (x as f32 - r.cx, y as f32 - r.cy);
            if (dx * c + dy * s).abs() <= hw && (dy * c - dx * s).abs() <= hh {
                sum += f64::from(map[y * width + x]);
                count += 1;
            }
        }
    }
    if count == 0 {
        0.0
    } else {
        (sum / f64::from(count)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_becomes_one_grown_box() {
        let (w, h) = (120, 60);
        let mut map = vec![0.0; w * h];
        for y in 20..30 {
            for x in 10..100 {
                map[y * w + x] = 0.9;
            }
        }
        let found = boxes(&map, w, h);
        assert_eq!(found.len(), 1);
        let core = (90.0f32, 10.0f32); // dilated by one point: 91 x 11 points, sides 90 and 10
        let distance = core.0 * core.1 * 1.6 / (2.0 * (core.0 + core.1));
        let b = found[0];
        assert!((b.width - core.0 - 2.0 * distance).abs() < 0.01, "{b:?}");
        assert!((b.height - core.1 - 2.0 * distance).abs() < 0.01, "{b:?}");
        assert!(
            b.angle.abs() < 1e-6 && (b.cx - 55.0).abs() < 0.01 && (b.cy - 25.0).abs() < 0.01,
            "{b:?}"
        );
    }

    #[test]
    fn a_slanted_bar_keeps_its_angle_and_a_standing_one_reads_downwards() {
        let (w, h) = (200, 200);
        let mut map = vec![0.0; w * h];
        for u in -800..=800 {
            for v in -60..=60 {
                let (u, v) = (u as f32 / 10.0, v as f32 / 10.0);
                let (s, c) = 0.3f32.sin_cos();
                let (x, y) = (100.0 + u * c - v * s, 100.0 + u * s + v * c);
                map[y.round() as usize * w + x.round() as usize] = 0.9;
            }
        }
        let found = boxes(&map, w, h);
        assert_eq!(found.len(), 1);
        assert!((found[0].angle - 0.3).abs() < 0.02, "{:?}", found[0]);
        let mut map = vec![0.0; w * h];
        for y in 20..180 {
            for x in 90..102 {
                map[y * w + x] = 0.9;
            }
        }
        let found = boxes(&map, w, h);
        assert!((found[0].angle - std::f32::consts::FRAC_PI_2).abs() < 1e-5);
        assert!(found[0].width > found[0].height);
    }

    #[test]
    fn faint_marks_and_specks_are_not_lines() {
        let (w, h) = (64, 64);
        let mut map = vec![0.0; w * h];
        for y in 20..30 {
            for x in 10..50 {
                map[y * w + x] = 0.4; // above the point's threshold, below the box's
            }
        }
        map[3 * w + 3] = 1.0;
        assert!(boxes(&map, w, h).is_empty());
    }
}
