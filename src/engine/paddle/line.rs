//! A line of text on a page image: where it stands, what it says, where each character is.

use super::pixels::Slanted;

/// Whence the characters of a line come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Read from the image.
    Image,
    /// The PDF's own.
    Layer,
}

/// What stands in a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Pixels of the upright page image.
    pub at: Slanted,
    pub text: String,
    /// Mean of the characters' probabilities; 1 where they are the PDF's own.
    pub score: f32,
    /// For each character of `text`, spaces too: where it begins and ends along the line, as
    /// fractions of the line's width.
    pub extents: Vec<[f32; 2]>,
    pub source: Source,
}

/// A word of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub text: String,
    /// Pixels of the upright page image.
    pub at: Slanted,
}

impl Line {
    /// A line whose characters are taken as equally wide.
    #[cfg(test)]
    pub fn even(at: Slanted, text: String, score: f32, source: Source) -> Self {
        let count = text.chars().count();
        let extents = (0..count)
            .map(|i| [i, i + 1].map(|i| i as f32 / count as f32))
            .collect();
        Self {
            at,
            text,
            score,
            extents,
            source,
        }
    }

    /// The same of a level line in an upright rectangle: x1, y1, x2, y2.
    #[cfg(test)]
    pub fn level([x1, y1, x2, y2]: [f32; 4], text: &str, score: f32, source: Source) -> Self {
        let at = Slanted {
            cx: (x1 + x2) / 2.0,
            cy: (y1 + y2) / 2.0,
            width: x2 - x1,
            height: y2 - y1,
            angle: 0.0,
        };
        Self::even(at, text.into(), score, source)
    }

    /// The line's words with their places: what stands between spaces.
    pub fn words(&self) -> Vec<Word> {
        let mut words: Vec<(String, [f32; 2])> = Vec::new();
        let mut open = false;
        for (c, &[from, to]) in self.text.chars().zip(&self.extents) {
            if c.is_whitespace() {
                open = false;
                continue;
            }
            match words.last_mut() {
                Some((text, extent)) if open => {
                    text.push(c);
                    // From right to left the next character stands before the last.
                    *extent = [extent[0].min(from), extent[1].max(to)];
                }
                _ => words.push((c.into(), [from, to])),
            }
            open = true;
        }
        words
            .into_iter()
            .map(|(text, extent)| Word {
                text,
                at: self.part(extent),
            })
            .collect()
    }

    /// The part of the line between two fractions of its width.
    pub fn part(&self, [from, to]: [f32; 2]) -> Slanted {
        let (s, c) = self.at.angle.sin_cos();
        let along = ((from + to) / 2.0 - 0.5) * self.at.width;
        Slanted {
            cx: self.at.cx + along * c,
            cy: self.at.cy + along * s,
            width: (to - from) * self.at.width,
            ..self.at
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_where_their_characters_are() {
        let at = Slanted {
            cx: 50.0,
            cy: 10.0,
            width: 100.0,
            height: 20.0,
            angle: 0.0,
        };
        let line = Line::even(at, "ab  cdef g".into(), 1.0, Source::Image);
        let words: Vec<_> = line
            .words()
            .into_iter()
            .map(|w| (w.text, w.at.bounds()[0].round(), w.at.bounds()[2].round()))
            .collect();
        let expected = [("ab", 0.0, 20.0), ("cdef", 40.0, 80.0), ("g", 90.0, 100.0)];
        assert_eq!(words, expected.map(|(w, a, b)| (w.to_owned(), a, b)));
        let turned = Line {
            at: Slanted {
                angle: std::f32::consts::FRAC_PI_2,
                ..at
            },
            ..line
        };
        let first = turned.words()[0].at;
        assert!((first.cx - 50.0).abs() < 1e-3 && (first.cy + 30.0).abs() < 1e-3);
    }
}
