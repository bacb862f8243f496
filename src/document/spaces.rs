//! Spaces that pdfium leaves out of a page's text. Pure.
//!
//! Where each glyph is a text object of its own (IronPdf and other printers out of a browser write
//! so), pdfium passes over a space, which has no extent, and guesses spaces from the gaps between
//! letters: in closely set text it finds too few.

use crate::page::PageChar;

/// Puts a space between two characters, one after the other on a line, where one of `spaces`
/// stands between their middles. Points and characters in fractions of the displayed page.
pub fn put_in(chars: Vec<PageChar>, mut spaces: Vec<(f32, f32)>) -> Vec<PageChar> {
    if spaces.is_empty() {
        return chars;
    }
    spaces.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<PageChar> = Vec::with_capacity(chars.len() + spaces.len());
    for c in chars {
        if let Some(space) = out.last().and_then(|last| between(last, &c, &spaces)) {
            out.push(space);
        }
        out.push(c);
    }
    out
}

/// Spaces that are looked at between two characters.
const MOST: usize = 1000;

fn between(a: &PageChar, b: &PageChar, spaces: &[(f32, f32)]) -> Option<PageChar> {
    let shows = |c: &PageChar| !c.ch.is_whitespace() && !c.ch.is_control();
    let (top, bottom) = (a.y1.max(b.y1), a.y2.min(b.y2));
    if !shows(a) || !shows(b) || top > bottom {
        return None;
    }
    let (from, to) = ((a.x1 + a.x2) / 2.0, (b.x1 + b.x2) / 2.0);
    let first = spaces.partition_point(|s| s.0 < from);
    spaces[first..]
        .iter()
        // Between two neighbours stand few; hostile files have a million.
        .take(MOST)
        .take_while(|s| s.0 < to)
        .find(|s| (top..=bottom).contains(&s.1))
        .map(|&(x, _)| PageChar {
            ch: ' ',
            x1: x,
            x2: x,
            origin: [x, a.origin[1]],
            ink: None,
            ..*a
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<PageChar> {
        let mut y = 0.1;
        let mut x = 0.1;
        let mut out = Vec::new();
        for ch in text.chars() {
            out.push(PageChar {
                ch,
                x1: x,
                y1: y,
                x2: x + 0.011,
                y2: y + 0.01,
                ..PageChar::default()
            });
            x += 0.01;
            if ch == '\n' {
                (x, y) = (0.1, y + 0.02);
            }
        }
        out
    }

    fn read(text: &str, spaces: &[(f32, f32)]) -> String {
        let chars = put_in(set(text), spaces.to_vec());
        chars.iter().map(|c| c.ch).collect()
    }

    #[test]
    fn a_space_goes_between_the_letters_around_it() {
        assert_eq!(read("tobe", &[(0.1205, 0.108)]), "to be");
        assert_eq!(read("tobe", &[]), "tobe");
    }

    #[test]
    fn one_space_is_enough_and_another_line_s_counts_not() {
        assert_eq!(read("to be", &[(0.1205, 0.108)]), "to be");
        assert_eq!(read("tobe", &[(0.1205, 0.108), (0.121, 0.108)]), "to be");
        assert_eq!(read("tobe\nornot", &[(0.1205, 0.128)]), "tobe\nor not");
        assert_eq!(read("to\nbe", &[(0.1205, 0.108)]), "to\nbe", "a line's end");
    }
}
