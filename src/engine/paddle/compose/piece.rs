//! Words on a page with their place, and the geometry of upright rectangles. Pure.

use super::super::layout::{area, intersection, union};
use super::super::line::{Line, Source};

/// An upright rectangle: x1, y1, x2, y2 in pixels of the upright page image.
pub type Rect = [f32; 4];

/// A line of text, or the part of one that belongs to a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub at: Rect,
    /// Across the line, pixels.
    pub height: f32,
    /// Direction of the line, radians against the x axis.
    pub angle: f32,
    pub text: String,
    pub source: Source,
}

impl Piece {
    pub fn of(line: &Line) -> Self {
        Self {
            at: line.at.bounds(),
            height: line.at.height,
            angle: line.at.angle,
            text: line.text.trim().to_owned(),
            source: line.source,
        }
    }

    /// Whether it runs from top to bottom. One character alone has no direction.
    pub fn stands(&self) -> bool {
        self.text.chars().nth(1).is_some() && height(self.at) > 1.5 * width(self.at)
    }

    /// Pixels that a character takes on average along the line.
    pub fn pitch(&self) -> f32 {
        let along = width(self.at).max(height(self.at));
        along / self.text.chars().count().max(1) as f32
    }
}

pub fn width(r: Rect) -> f32 {
    (r[2] - r[0]).max(0.0)
}

pub fn height(r: Rect) -> f32 {
    (r[3] - r[1]).max(0.0)
}

/// Height of the middle.
pub fn middle(r: Rect) -> f32 {
    (r[1] + r[3]) / 2.0
}

/// Around all of them; empty where there are none.
pub fn around(rects: impl Iterator<Item = Rect>) -> Rect {
    rects.reduce(union).unwrap_or_default()
}

/// Part of the narrower one's width that both have, 0 to 1.
pub fn across(a: Rect, b: Rect) -> f32 {
    let common = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    common / width(a).min(width(b)).max(1.0)
}

/// Part of the lower one's height that both have, 0 to 1.
pub fn beside(a: Rect, b: Rect) -> f32 {
    let common = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    common / height(a).min(height(b)).max(1.0)
}

/// Part of `inner` that lies in `outer`, 0 to 1.
pub fn inside(inner: Rect, outer: Rect) -> f32 {
    intersection(inner, outer) / area(inner).max(1.0)
}

/// The median; 0 of nothing.
pub fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Hebrew and Arabic letters, which are set from right to left.
pub fn is_leftward(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_the_smaller_rectangle() {
        let (wide, narrow) = ([0.0, 0.0, 100.0, 10.0], [80.0, 5.0, 120.0, 45.0]);
        assert_eq!(across(wide, narrow), 0.5);
        assert_eq!(beside(wide, narrow), 0.5);
        assert_eq!(inside(narrow, wide), 20.0 * 5.0 / 1600.0);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(around([wide, narrow].into_iter()), [0.0, 0.0, 120.0, 45.0]);
    }
}
