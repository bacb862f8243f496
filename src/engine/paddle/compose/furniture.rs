//! What is on a page but not of its text, by its place: page numbers, stamps in the margin, line
//! numbers, watermarks. Pure.

use super::Draft;
use super::piece::{Piece, Rect, across, around, beside, height, median, middle, width};
use crate::page::Role;
use crate::page::words::is_unspaced;

/// Top and bottom part of a page's height in which page numbers stand: 8 % are an inch of A4.
const MARGIN: f32 = 0.08;
/// Left and right part of a page's width in which stamps stand.
const SIDE: f32 = 0.12;

/// Words that stand with page numbers.
const PAGE_WORDS: [&str; 14] = [
    "page",
    "pages",
    "of",
    "p",
    "pg",
    "pp",
    "seite",
    "von",
    "sur",
    "de",
    "pagina",
    "p\u{e1}gina",
    "\u{7b2c}",
    "\u{9875}",
];

/// Whether a text is a page number and no more: "3", "- 3 -", "Page 3 of 7", "xiv".
pub fn is_page_number(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut numbers = 0;
    // Between figures and letters too: "p3", and scripts without spaces.
    let mut tokens: Vec<String> = Vec::new();
    let mut kind = None;
    for c in text.chars() {
        let new = if !c.is_alphanumeric() {
            None
        } else if is_unspaced(c) {
            Some(2)
        } else {
            Some(i32::from(c.is_ascii_digit()))
        };
        if new.is_some() && (new != kind || new == Some(2)) {
            tokens.push(String::new());
        }
        if let (Some(_), Some(token)) = (new, tokens.last_mut()) {
            token.push(c);
        }
        kind = new;
    }
    for token in &tokens {
        let digits = token.bytes().all(|b| b.is_ascii_digit());
        let roman =
            tokens.len() == 1 && token.len() <= 6 && token.chars().all(|c| "ivxlc".contains(c));
        // Appendices: "A-116".
        let letter = tokens.len() == 2 && numbers == 0 && text.contains('-') && token.len() == 1;
        if digits && token.len() <= 4 || roman {
            numbers += 1;
        } else if letter && !digits {
            continue;
        } else if digits
            || !PAGE_WORDS.contains(&token.as_str())
                && !matches!(token.as_str(), "\u{5171}" | "\u{9801}")
        {
            return false;
        }
    }
    (1..=2).contains(&numbers)
}

/// Labels page numbers at the top or bottom edge that the model took for text, unless nothing else
/// is on the page. `page`: its height, pixels.
pub fn numbers(drafts: &mut [Draft], page: f32) {
    let others = drafts
        .iter()
        .filter(|d| Role::of(d.label) != Role::Furniture)
        .count();
    let edge = |at: Rect| at[3] < MARGIN * page || at[1] > (1.0 - MARGIN) * page;
    let found: Vec<usize> = (0..drafts.len())
        .filter(|&i| {
            let d = &drafts[i];
            let kind = matches!(
                Role::of(d.label),
                Role::Text | Role::Heading | Role::Footnote | Role::Reference | Role::FormulaNumber
            );
            // Nothing of the text stands further out.
            let outer = |o: &Draft| {
                across(o.at, d.at) > 0.3
                    && Role::of(o.label) != Role::Furniture
                    && if d.at[1] < page / 2.0 {
                        o.at[3] <= d.at[1]
                    } else {
                        o.at[1] >= d.at[3]
                    }
            };
            kind && edge(d.at) && is_page_number(&texts(&d.pieces)) && !drafts.iter().any(outer)
        })
        .collect();
    if found.len() < others {
        for i in found {
            drafts[i].label = "number";
        }
    }
}

fn texts(pieces: &[Piece]) -> String {
    let texts: Vec<&str> = pieces.iter().map(|p| p.text.as_str()).collect();
    texts.join(" ")
}

/// Takes out of the pieces what was stamped on a page or counts its lines: drafts of it.
/// `text` says for each piece whether it may be running text: outside tables and figures.
/// `page`: width and height, pixels.
pub fn stamps(pieces: &mut Vec<Piece>, text: &mut Vec<bool>, page: [f32; 2]) -> Vec<Draft> {
    let usual = median(pieces.iter().map(|p| p.height));
    let standing = pieces.iter().filter(|p| p.stands()).count();
    let upright = standing * 10 < pieces.len() * 3;
    let mut out: Vec<Draft> = Vec::new();
    let taken: Vec<bool> = pieces
        .iter()
        .zip(text.iter())
        .map(|(p, &text)| {
            // The number of a page that is printed the other way round stands further in.
            let side = if is_page_number(&p.text) {
                1.25 * SIDE
            } else {
                SIDE
            };
            let aside = p.at[2] < side * page[0] || p.at[0] > (1.0 - side) * page[0];
            let unspaced =
                p.text.chars().filter(|&c| is_unspaced(c)).count() * 2 > p.text.chars().count();
            let stamp = upright && text && p.stands() && aside && !unspaced;
            stamp || text && is_watermark(p, usual)
        })
        .collect();
    let mut keep = taken.iter().map(|t| !t);
    pieces.retain(|p| {
        let keep = keep.next().unwrap_or(true);
        if !keep {
            out.push(Draft::new("aside_text", p.at, vec![p.clone()]));
        }
        keep
    });
    let mut keep = taken.iter().map(|t| !t);
    text.retain(|_| keep.next().unwrap_or(true));
    out.extend(line_numbers(pieces, text, page));
    out
}

/// Large text across a page: slanted by an eighth of a right angle and more, over twice as high as
/// the rest.
fn is_watermark(piece: &Piece, usual: f32) -> bool {
    let slant = piece.angle.abs() % std::f32::consts::FRAC_PI_2;
    let slant = slant.min(std::f32::consts::FRAC_PI_2 - slant);
    slant > 0.2 && piece.height > 2.5 * usual
}

/// Least number of lines that show that a page's lines are counted.
const COUNTED: usize = 8;

/// Numbers of lines: down a margin, or read together with the lines they count. Those are taken
/// from the lines.
fn line_numbers(pieces: &mut Vec<Piece>, text: &mut Vec<bool>, page: [f32; 2]) -> Option<Draft> {
    let number = |p: &Piece| -> Option<(u32, usize)> {
        let digits = p.text.bytes().take_while(u8::is_ascii_digit).count();
        let alone = (1..=4).contains(&digits)
            && p.text[digits..]
                .chars()
                .next()
                .is_none_or(char::is_whitespace);
        Some((p.text[..digits].parse().ok().filter(|_| alone)?, digits))
    };
    let mut found: Vec<(usize, u32, usize)> = (0..pieces.len())
        .filter(|&i| text[i])
        .filter_map(|i| number(&pieces[i]).map(|(n, digits)| (i, n, digits)))
        .collect();
    found.sort_by(|a, b| middle(pieces[a.0].at).total_cmp(&middle(pieces[b.0].at)));
    // Numbers stand under each other: the column with most of them.
    let edge = |i: usize| pieces[i].at[0] + 0.5 * pieces[i].height;
    let near = |a: usize, b: usize| (edge(a) - edge(b)).abs() < 2.0 * pieces[a].height;
    let column = found
        .iter()
        .max_by_key(|a| found.iter().filter(|b| near(a.0, b.0)).count())?
        .0;
    found.retain(|f| near(column, f.0));
    let steps: Vec<i64> = found
        .windows(2)
        .map(|w| i64::from(w[1].1) - i64::from(w[0].1))
        .collect();
    let counts = |step: i64| steps.iter().filter(|s| **s == step).count() * 5 >= steps.len() * 4;
    let rows = (0..pieces.len())
        .filter(|&i| text[i] && found.iter().all(|f| f.0 != i))
        .filter(|&i| near(column, i))
        .count();
    let margin = pieces[column].at[0] < 0.25 * page[0] || pieces[column].at[0] > 0.75 * page[0];
    // Where each line, or each fifth, is counted; among few other lines that begin there.
    if found.len() < COUNTED || !(counts(1) || counts(5)) || rows * 4 > found.len() || !margin {
        return None;
    }
    let mut parts: Vec<Piece> = Vec::new();
    for &(i, n, digits) in &found {
        let piece = &mut pieces[i];
        let part = digits as f32 / piece.text.chars().count().max(1) as f32;
        let end = piece.at[0] + part * width(piece.at);
        parts.push(Piece {
            at: [piece.at[0], piece.at[1], end, piece.at[3]],
            text: n.to_string(),
            ..piece.clone()
        });
        piece.text = piece.text[digits..].trim_start().to_owned();
        piece.at[0] = end;
    }
    let mut keep = pieces
        .iter()
        .map(|p| !p.text.is_empty())
        .collect::<Vec<_>>()
        .into_iter();
    text.retain(|_| keep.next().unwrap_or(true));
    pieces.retain(|p| !p.text.is_empty());
    let at = around(parts.iter().map(|p| p.at));
    Some(Draft::new("aside_text", at, parts))
}

/// Top and bottom part of a page's height that heads and feet and what belongs to them take: books
/// printed on a larger sheet have wide margins.
const HEAD: f32 = 0.15;

/// Labels of free lines close under or over a head or foot that the model saw: the words of a logo.
/// `page`: height, pixels.
pub fn label_of_free(at: Rect, regions: &[Draft], page: f32) -> &'static str {
    let near = |labels: [&str; 2]| {
        regions
            .iter()
            .filter(|d| labels.contains(&d.label))
            .any(|d| {
                let gap = (d.at[1] - at[3]).max(at[1] - d.at[3]);
                gap < height(at) && across(d.at, at) > 0.5
            })
    };
    if at[3] < HEAD * page && near(["header", "header_image"]) {
        "header"
    } else if at[1] > (1.0 - HEAD) * page && near(["footer", "footer_image"]) {
        "footer"
    } else {
        "text"
    }
}

/// The label of a row that is a page's running head or foot: further out than all text, with the
/// page number beside it. `page`: height, pixels.
pub fn is_beside_number(draft: &Draft, drafts: &[Draft], page: f32) -> Option<&'static str> {
    let top = draft.at[3] < HEAD * page;
    let edge = top || draft.at[1] > (1.0 - HEAD) * page;
    let row = draft.pieces.iter().map(|p| p.height).fold(0.0, f32::max);
    let outer = |d: &Draft| {
        let out = if top {
            d.at[3] < draft.at[1]
        } else {
            d.at[1] > draft.at[3]
        };
        out && Role::of(d.label) != Role::Furniture
    };
    let number = |d: &Draft| d.label == "number" && beside(d.at, draft.at) > 0.5;
    (edge && height(draft.at) < 2.0 * row && drafts.iter().any(number) && !drafts.iter().any(outer))
        .then_some(if top { "header" } else { "footer" })
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::*;

    fn piece(at: Rect, text: &str) -> Piece {
        Piece {
            at,
            height: 20.0,
            angle: 0.0,
            source: Source::Image,
            text: text.into(),
        }
    }

    #[test]
    fn page_numbers_are_known_by_their_words() {
        for text in [
            "3",
            "- 12 -",
            "Page 3 of 7",
            "page 3",
            "3 / 7",
            "xiv",
            "p3",
            "A-116",
            "\u{7b2c}3\u{9875}",
            "[4]",
        ] {
            assert!(is_page_number(text), "{text}");
        }
        for text in [
            "",
            "Table 3",
            "3 apples",
            "of",
            "12345",
            "1 2 3",
            "civil war",
            "page",
        ] {
            assert!(!is_page_number(text), "{text}");
        }
    }

    #[test]
    fn a_number_at_the_edge_is_furniture_unless_it_is_all() {
        let number = |y: f32| {
            let at = [480.0, y, 520.0, y + 20.0];
            Draft::new("text", at, vec![piece(at, "7")])
        };
        let at = [100.0, 100.0, 900.0, 900.0];
        let text = Draft::new("text", at, vec![piece(at, "words")]);
        let mut drafts = [number(960.0), text.clone(), number(500.0)];
        numbers(&mut drafts, 1000.0);
        assert_eq!(drafts.map(|d| d.label), ["number", "text", "text"]);
        let mut alone = [number(960.0)];
        numbers(&mut alone, 1000.0);
        assert_eq!(alone[0].label, "text");
    }

    #[test]
    fn words_under_a_logo_are_its_own() {
        let logo = Draft::new("header_image", [50.0, 20.0, 300.0, 60.0], Vec::new());
        let label = |at: Rect| label_of_free(at, std::slice::from_ref(&logo), 1000.0);
        assert_eq!(label([60.0, 62.0, 200.0, 90.0]), "header");
        assert_eq!(label([60.0, 105.0, 200.0, 130.0]), "text");
        assert_eq!(label([400.0, 62.0, 500.0, 90.0]), "text");
    }

    #[test]
    fn stamps_and_watermarks_are_taken_out() {
        let mut pieces: Vec<Piece> = (0..10)
            .map(|i| {
                piece(
                    [200.0, 40.0 * i as f32, 800.0, 40.0 * i as f32 + 20.0],
                    "a line",
                )
            })
            .collect();
        pieces.push(piece([20.0, 200.0, 45.0, 700.0], "arXiv:2401.00001v1"));
        pieces.push(Piece {
            height: 90.0,
            angle: -0.8,
            ..piece([200.0, 200.0, 800.0, 800.0], "DRAFT")
        });
        let mut text = vec![true; pieces.len()];
        let stamps = stamps(&mut pieces, &mut text, [1000.0, 1000.0]);
        assert_eq!((pieces.len(), text.len()), (10, 10));
        let found: Vec<&str> = stamps.iter().map(|d| d.pieces[0].text.as_str()).collect();
        assert_eq!(found, ["arXiv:2401.00001v1", "DRAFT"]);
    }

    #[test]
    fn line_numbers_are_taken_from_their_lines_and_lists_of_numbers_are_not() {
        let page = |step: u32, label: &str| -> Vec<Piece> {
            (0..12u32)
                .map(|i| {
                    let y = 40.0 * i as f32;
                    piece(
                        [50.0, y, 800.0, y + 20.0],
                        &format!("{}{label}", 7 + i * step),
                    )
                })
                .collect()
        };
        let mut pieces = page(1, " words");
        pieces.push(piece([30.0, 480.0, 50.0, 500.0], "19"));
        let mut text = vec![true; 13];
        let found = stamps(&mut pieces, &mut text, [1000.0, 1000.0]);
        assert_eq!((found.len(), found[0].pieces.len()), (1, 13));
        assert!(pieces.len() == 12 && pieces.iter().all(|p| p.text == "words"));
        for (step, label) in [(3, " words"), (1, ". words")] {
            let mut pieces = page(step, label);
            assert!(stamps(&mut pieces, &mut vec![true; 12], [1000.0, 1000.0]).is_empty());
        }
    }
}
