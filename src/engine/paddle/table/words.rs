//! The words of a table in the table's own frame: cut out, turned upright, level.

use std::f32::consts::FRAC_PI_2;

use super::super::line::Line;
use super::super::pixels::Slanted;
use crate::page::Rotation;
use crate::page::words::is_unspaced;

/// A word in the table's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub text: String,
    /// x1, y1, x2, y2; pixels of the table's frame.
    pub at: [f32; 4],
    /// Number of the line that it comes from: words of one line share their baseline.
    pub line: usize,
    /// Whether no space stands before it in its line.
    pub glued: bool,
}

impl Piece {
    pub fn middle(&self) -> f32 {
        (self.at[1] + self.at[3]) / 2.0
    }

    pub fn height(&self) -> f32 {
        self.at[3] - self.at[1]
    }
}

/// From the page to the table's frame: the region cut out, turned upright, then made level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// The region: x1, y1, x2, y2; pixels of the upright page.
    pub at: [f32; 4],
    /// How the table's content is turned on the upright page.
    pub turn: Rotation,
    /// Slant of its lines once it is turned: radians.
    slope: f32,
}

/// Slants of lines up to which the median is taken as the table's: radians. More is a line of
/// another kind, or a box that is nearly square.
const MOST_SLOPE: f32 = 0.1;

impl Frame {
    /// The frame of the region `at` with these lines.
    pub fn new(at: [f32; 4], lines: &[&Line]) -> Self {
        let standing = |sign: f32| {
            let words = lines
                .iter()
                .filter(|l| (l.at.angle * sign - FRAC_PI_2).abs() < 0.3);
            words.map(|l| l.text.chars().count()).sum::<usize>()
        };
        let all: usize = lines.iter().map(|l| l.text.chars().count()).sum();
        let turn = if 2 * standing(1.0) > all {
            Rotation::Quarter
        } else if 2 * standing(-1.0) > all {
            Rotation::ThreeQuarter
        } else {
            Rotation::None
        };
        let mut frame = Self {
            at,
            turn,
            slope: 0.0,
        };
        let mut slopes: Vec<f32> = lines
            .iter()
            .map(|l| frame.turned(l.at.angle))
            .filter(|a| a.abs() < MOST_SLOPE)
            .collect();
        slopes.sort_by(f32::total_cmp);
        frame.slope = slopes.get(slopes.len() / 2).copied().unwrap_or_default();
        frame
    }

    /// Width and height of the turned region.
    pub fn size(&self) -> [f32; 2] {
        let [x1, y1, x2, y2] = self.at;
        match self.turn {
            Rotation::Quarter | Rotation::ThreeQuarter => [y2 - y1, x2 - x1],
            _ => [x2 - x1, y2 - y1],
        }
    }

    fn turned(&self, angle: f32) -> f32 {
        match self.turn {
            Rotation::Quarter => angle - FRAC_PI_2,
            Rotation::ThreeQuarter => angle + FRAC_PI_2,
            _ => angle,
        }
    }

    /// A point of the turned region's image, in the frame.
    pub fn level(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [cx, cy] = self.size().map(|v| v / 2.0);
        let (s, c) = self.slope.sin_cos();
        let (dx, dy) = (x - cx, y - cy);
        [cx + dx * c + dy * s, cy - dx * s + dy * c]
    }

    /// A point of the frame in the turned region's image: the inverse of [`Self::level`].
    pub fn tilted(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [cx, cy] = self.size().map(|v| v / 2.0);
        let (s, c) = self.slope.sin_cos();
        let (dx, dy) = (x - cx, y - cy);
        [cx + dx * c - dy * s, cy + dx * s + dy * c]
    }

    /// A point of the page, in the frame.
    fn point(&self, x: f32, y: f32) -> [f32; 2] {
        let [x1, y1, x2, y2] = self.at;
        self.level(match self.turn {
            Rotation::Quarter => [y - y1, x2 - x],
            Rotation::ThreeQuarter => [y2 - y, x - x1],
            _ => [x - x1, y - y1],
        })
    }

    /// The words of `lines` in the frame. Scripts without spaces come character by character: one
    /// line of theirs may run over several cells.
    pub fn words(&self, lines: &[&Line]) -> Vec<Piece> {
        let mut out: Vec<Piece> = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let mut words: Vec<(String, [f32; 2], bool)> = Vec::new();
            let mut before = ' ';
            for (c, &[from, to]) in line.text.chars().zip(&line.extents) {
                let spaced = before.is_whitespace();
                let begins = spaced || is_unspaced(c) || is_unspaced(before);
                before = c;
                match words.last_mut() {
                    _ if c.is_whitespace() => {}
                    Some((text, extent, _)) if !begins => {
                        text.push(c);
                        extent[1] = to;
                    }
                    _ => words.push((c.into(), [from, to], !spaced)),
                }
            }
            for (text, extent, glued) in words {
                let word = line.part(extent);
                let [cx, cy] = self.point(word.cx, word.cy);
                let at = Slanted {
                    cx,
                    cy,
                    angle: self.turned(word.angle) - self.slope,
                    ..word
                };
                let at = at.bounds();
                if at.iter().all(|v| v.is_finite()) {
                    out.push(Piece {
                        text,
                        at,
                        line: number,
                        glued,
                    });
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::*;

    fn line(cx: f32, cy: f32, angle: f32, text: &str) -> Line {
        let at = Slanted {
            cx,
            cy,
            width: 40.0,
            height: 10.0,
            angle,
        };
        Line::even(at, text.into(), 1.0, Source::Image)
    }

    #[test]
    fn a_table_that_reads_downwards_is_turned_with_its_words() {
        // Reading downwards: the first line of the table is the one furthest right.
        let first = line(180.0, 120.0, FRAC_PI_2, "ab cd");
        let second = line(160.0, 120.0, FRAC_PI_2, "ef");
        let lines = [&first, &second];
        let frame = Frame::new([100.0, 100.0, 200.0, 300.0], &lines);
        assert_eq!(frame.turn, Rotation::Quarter);
        assert_eq!(frame.size(), [200.0, 100.0]);
        let words = frame.words(&lines);
        let places: Vec<_> = words.iter().map(|w| w.at.map(f32::round)).collect();
        assert_eq!(places[0], [0.0, 15.0, 16.0, 25.0]);
        assert_eq!(places[1], [24.0, 15.0, 40.0, 25.0]);
        assert_eq!(places[2], [0.0, 35.0, 40.0, 45.0]);
        let up = line(120.0, 180.0, -FRAC_PI_2, "ab cd");
        let frame = Frame::new([100.0, 100.0, 200.0, 300.0], &[&up]);
        assert_eq!(frame.turn, Rotation::ThreeQuarter);
        let place = frame.words(&[&up])[0].at.map(f32::round);
        assert_eq!(place, [100.0, 15.0, 116.0, 25.0]);
    }

    #[test]
    fn scripts_without_spaces_come_by_characters() {
        let line = line(20.0, 10.0, 0.0, "第12章 a");
        let words = Frame::new([0.0, 0.0, 40.0, 20.0], &[]).words(&[&line]);
        let texts: Vec<_> = words.iter().map(|w| (&*w.text, w.glued)).collect();
        assert_eq!(
            texts,
            [("第", false), ("12", true), ("章", true), ("a", false)]
        );
    }

    #[test]
    fn a_slanted_table_is_made_level() {
        let tilt = 0.05f32;
        let lines: Vec<_> = (0..3)
            .map(|i| {
                let x = 50.0 + 100.0 * i as f32;
                line(x, 100.0 + (x - 150.0) * tilt.tan(), tilt, "word")
            })
            .collect();
        let lines: Vec<_> = lines.iter().collect();
        let frame = Frame::new([0.0, 0.0, 300.0, 200.0], &lines);
        let words = frame.words(&lines);
        let [x, y] = frame.level(frame.tilted([10.0, 20.0]));
        assert!((x - 10.0).abs() < 1e-3 && (y - 20.0).abs() < 1e-3);
        assert!(
            words.iter().all(|w| (w.middle() - 100.0).abs() < 0.5),
            "{words:?}"
        );
    }
}
