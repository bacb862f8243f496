//! Levels of headings, by numbers and by size. Pure.

use super::super::line::Source;
use super::piece::{Piece, across, median, middle};
use super::{Draft, furniture, has_text, order, paragraph};
use crate::page::words::{self, is_unspaced};
use crate::page::{Heading, Role};

/// Gives headings their levels (1 to 6); what is no heading becomes text. `page`: its height,
/// pixels.
pub fn levels(drafts: &mut Vec<Draft>, page: f32) {
    merge(drafts);
    let body = median(
        drafts
            .iter()
            .filter(|d| Role::of(d.label) == Role::Text)
            .flat_map(|d| d.pieces.iter().map(size)),
    );
    for i in 0..drafts.len() {
        let role = Role::of(drafts[i].label);
        if !matches!(role, Role::Heading | Role::Text) {
            continue;
        }
        // A slide's title may have the number beside it: it is far larger.
        let plain = median(drafts[i].pieces.iter().map(size)) < 1.3 * body;
        let beside = furniture::is_beside_number(&drafts[i], drafts, page).filter(|_| plain);
        if let Some(label) = beside {
            drafts[i].label = label;
        } else if role == Role::Heading && order::captioned(&drafts[i]).is_some() {
            drafts[i].label = "figure_title";
        } else if role == Role::Heading && is_text(&drafts[i], body) {
            drafts[i].label = "text";
        }
    }
    let is_heading = |d: &Draft| matches!(Role::of(d.label), Role::Title | Role::Heading);
    let sizes: Vec<f32> = drafts
        .iter()
        .map(|d| median(d.pieces.iter().map(size)))
        .collect();
    // One title, at the top; further ones are headings. Where the model sees none, a heading that
    // begins the page and is far larger than all else.
    let title = drafts
        .iter()
        .position(|d| Role::of(d.label) == Role::Title && middle(d.at) < 0.6 * page)
        .or_else(|| {
            let first = drafts
                .iter()
                .position(|d| has_text(d.label) && !d.pieces.is_empty())?;
            let others = (0..drafts.len()).filter(|&i| i != first && is_heading(&drafts[i]));
            let next = others
                .map(|i| sizes[i])
                .fold(body * TITLE / ALIKE, f32::max);
            let far = body > 0.0 && sizes[first] > next / ALIKE;
            let alone = depth(&first_text(&drafts[first])).is_none();
            (is_heading(&drafts[first]) && middle(drafts[first].at) < 0.4 * page && far && alone)
                .then_some(first)
        });
    let others = || (0..drafts.len()).filter(|&i| is_heading(&drafts[i]) && Some(i) != title);
    let numbered: Vec<(usize, f32)> = others()
        .filter_map(|i| depth(&first_text(&drafts[i])).map(|d| (d, sizes[i])))
        .collect();
    let largest = others().map(|i| sizes[i]).fold(0.0, f32::max);
    let found: Vec<(usize, usize, Heading)> = others()
        .map(|i| {
            let depth = depth(&first_text(&drafts[i]));
            let level = match depth {
                Some(depth) => depth,
                None if numbered.is_empty() => by_size(sizes[i], largest),
                None => like_numbered(sizes[i], &numbered),
            };
            let heading = Heading {
                size: sizes[i],
                depth: depth.and_then(|d| u8::try_from(d).ok()),
            };
            (i, (level + 1).min(6), heading)
        })
        .collect();
    for (i, level, heading) in found {
        drafts[i].level = level;
        drafts[i].heading = Some(heading);
    }
    if let Some(title) = title {
        drafts[title].level = 1;
    }
}

/// A title over several regions is one.
fn merge(drafts: &mut Vec<Draft>) {
    let mut i = 1;
    while i < drafts.len() {
        let (a, b) = (&drafts[i - 1], &drafts[i]);
        let (x, y) = (
            median(a.pieces.iter().map(size)),
            median(b.pieces.iter().map(size)),
        );
        let gap = b.at[1] - a.at[3];
        let one = Role::of(a.label) == Role::Title
            && Role::of(b.label) == Role::Title
            && across(a.at, b.at) > 0.5
            && (-0.5 * x..0.7 * x).contains(&gap)
            && x.min(y) > 0.85 * x.max(y);
        if one {
            let b = drafts.remove(i);
            drafts[i - 1].take(b);
        } else {
            i += 1;
        }
    }
}

/// Whether what the model calls a heading reads as text: long and ended like a sentence, and no
/// larger than the text. `body`: the text's size.
fn is_text(draft: &Draft, body: f32) -> bool {
    let text: Vec<&str> = draft.pieces.iter().map(|p| p.text.as_str()).collect();
    let text = text.join(" ");
    let units =
        text.split_whitespace().count() + text.chars().filter(|&c| is_unspaced(c)).count() / 2;
    let plain = body > 0.0 && median(draft.pieces.iter().map(size)) < 1.15 * body;
    plain
        && (units > 25
            || units > 12 && words::is_ended(&text)
            || words::is_continued(&text) && words::is_ended(&text))
}

/// The first row: a number may stand apart from the words.
fn first_text(draft: &Draft) -> String {
    let rows = paragraph::rows(&draft.pieces, false);
    rows.into_iter().next().map(|r| r.text).unwrap_or_default()
}

/// The em of a line. What was found on the image is as high as its letters: those with ascenders
/// are 0.72 em high, those without 0.5, descenders are 0.21 em below, ideographs 0.92. The PDF's own
/// characters stand in boxes of their fonts' ascent and descent: together 1.15 em. (Helvetica, Times
/// and their like.)
fn size(piece: &Piece) -> f32 {
    let high = |c: char| c.is_uppercase() || c.is_numeric() || "bdfhklt".contains(c);
    let low = |c: char| "gjpqy(),;".contains(c);
    let ink = if piece.source == Source::Layer {
        1.15
    } else if piece.text.chars().any(is_unspaced) {
        0.92
    } else {
        let rise = if piece.text.chars().any(high) {
            0.72
        } else {
            0.5
        };
        let fall = if piece.text.chars().any(low) {
            0.21
        } else {
            0.0
        };
        rise + fall
    };
    piece.height / ink
}

/// A title is so much larger than the text: 17 points over 10 in LaTeX's article, 26 over 11 in
/// word processors; sections have 14 over 10.
const TITLE: f32 = 1.6;
/// Sizes that differ by less are one: 12 and 14 points do.
const ALIKE: f32 = 0.88;

/// The depth of a heading without number on a page where none has one.
fn by_size(size: f32, largest: f32) -> usize {
    match size / largest.max(1.0) {
        r if r >= ALIKE => 1,
        r if r >= ALIKE * 0.8 => 2,
        _ => 3,
    }
}

/// The depth of a heading without number by those with numbers, by depth and size: that of the
/// nearest size.
fn like_numbered(size: f32, numbered: &[(usize, f32)]) -> usize {
    let off = |other: f32| (size / other.max(1.0)).ln().abs();
    let nearest = numbered.iter().min_by(|a, b| off(a.1).total_cmp(&off(b.1)));
    match nearest {
        Some(&(depth, other)) if size < other * ALIKE => depth + 1,
        Some(&(depth, other)) if size > other / ALIKE => depth.saturating_sub(1).max(1),
        Some(&(depth, _)) => depth,
        None => 1,
    }
}

/// How deep a heading's number goes: "2" and "2." 1, "2.1" 2, "A.1" 2, "IV." 1, "Chapter 3" 1.
pub fn depth(text: &str) -> Option<usize> {
    let (word, rest) = text
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((text.trim(), ""));
    let lower = word.to_lowercase();
    if matches!(
        lower.as_str(),
        "chapter" | "part" | "appendix" | "kapitel" | "chapitre" | "anhang"
    ) && rest
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_digit() || c.is_uppercase())
    {
        return Some(1);
    }
    if let Some(depth) = chinese(text.trim()) {
        return Some(depth);
    }
    let word = word.trim_start_matches('\u{a7}');
    let number = word.trim_end_matches(['.', ')', ':']);
    let dotted = number.len() < word.len();
    let parts: Vec<&str> = number.split('.').collect();
    let digits = |s: &str| (1..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let (first, others) = parts.split_first()?;
    if !others.iter().all(|p| digits(p)) {
        return None;
    }
    let letter = first.len() == 1 && first.chars().all(|c| c.is_ascii_uppercase());
    let roman = (1..=5).contains(&first.len()) && first.chars().all(|c| "IVX".contains(c));
    if digits(first) {
        // A heading has words: a number alone is none.
        (!rest.trim().is_empty()).then_some(parts.len())
    } else if roman && others.is_empty() && dotted {
        Some(1)
    } else if letter && !others.is_empty() {
        Some(parts.len())
    } else if letter && dotted {
        // IEEE numbers sections with Roman numbers in capitals, subsections with letters.
        let capitals = !rest.chars().any(char::is_lowercase);
        Some(if capitals { 1 } else { 2 })
    } else {
        None
    }
}

/// "第一章" 1, "第二节" 2, "一、" 1, "（一）" 2.
fn chinese(text: &str) -> Option<usize> {
    let is_number = |c: char| {
        "\u{4e00}\u{4e8c}\u{4e09}\u{56db}\u{4e94}\u{516d}\u{4e03}\u{516b}\u{4e5d}\u{5341}\u{767e}0123456789".contains(c)
    };
    let chars: Vec<char> = text.chars().take(8).collect();
    let first = *chars.first()?;
    let from = usize::from(matches!(first, '\u{7b2c}' | '\u{ff08}' | '('));
    let count = chars[from..].iter().take_while(|c| is_number(**c)).count();
    let after = *chars.get(from + count)?;
    if count == 0 {
        return None;
    }
    match (first, after) {
        ('\u{7b2c}', '\u{7ae0}' | '\u{7bc7}' | '\u{90e8}') => Some(1),
        ('\u{7b2c}', '\u{8282}' | '\u{7bc0}') => Some(2),
        ('\u{ff08}' | '(', '\u{ff09}' | ')') => Some(2),
        (c, '\u{3001}') if is_number(c) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_depth() {
        for (text, expected) in [
            ("1 Introduction", Some(1)),
            ("2. Methods", Some(1)),
            ("2.1 Data", Some(2)),
            ("2.1.3. More", Some(3)),
            ("A.1 Proofs", Some(2)),
            ("IV. RESULTS", Some(1)),
            ("B. Training data", Some(2)),
            ("Chapter 3", Some(1)),
            ("\u{7b2c}\u{4e8c}\u{7ae0} x", Some(1)),
            ("\u{4e00}\u{3001}x", Some(1)),
            ("A Study of Words", None),
            ("2024 Report", None),
            ("3D models", None),
            ("1.5x faster", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    fn draft(label: &'static str, y: f32, height: f32, text: &str) -> Draft {
        let at = [100.0, y, 500.0, y + height];
        let piece = Piece {
            at,
            height,
            angle: 0.0,
            source: Source::Image,
            text: text.into(),
        };
        Draft::new(label, at, vec![piece])
    }

    fn read(mut drafts: Vec<Draft>) -> Vec<(&'static str, usize)> {
        levels(&mut drafts, 1000.0);
        drafts.iter().map(|d| (d.label, d.level)).collect()
    }

    #[test]
    fn sizes_tell_the_level_where_numbers_do_not() {
        let found = read(vec![
            draft("doc_title", 50.0, 40.0, "A long title"),
            draft("doc_title", 92.0, 40.0, "in two parts"),
            draft("paragraph_title", 200.0, 30.0, "First thing"),
            draft("paragraph_title", 300.0, 22.0, "Below thing"),
            draft("doc_title", 400.0, 30.0, "Second thing"),
        ]);
        assert_eq!(
            found,
            [
                ("doc_title", 1),
                ("paragraph_title", 2),
                ("paragraph_title", 3),
                ("doc_title", 2)
            ]
        );
        let found = read(vec![
            draft("paragraph_title", 200.0, 30.0, "3 First thing"),
            draft("paragraph_title", 300.0, 22.0, "Below thing"),
            draft("paragraph_title", 400.0, 30.0, "Endings"),
            draft("paragraph_title", 500.0, 22.0, "4.1.1 Deep"),
        ]);
        assert_eq!(found.iter().map(|f| f.1).collect::<Vec<_>>(), [2, 4, 2, 4]);
    }

    #[test]
    fn a_far_larger_heading_at_the_top_is_the_title() {
        let page = |height: f32, label: &'static str| {
            let found = read(vec![
                draft(label, 50.0, height, "A large thing"),
                draft("text", 150.0, 20.0, "The body of it"),
                draft("paragraph_title", 250.0, 24.0, "A small thing"),
            ]);
            found[0].1
        };
        assert_eq!(page(50.0, "paragraph_title"), 1);
        assert_eq!(page(28.0, "paragraph_title"), 2);
    }

    #[test]
    fn a_heading_that_reads_as_text_is_text_and_one_beside_a_page_number_a_running_head() {
        let long = "This runs on and on as no heading would do, in as many words as it likes.";
        let found = read(vec![
            draft("number", 20.0, 20.0, "7"),
            draft("paragraph_title", 20.0, 20.0, "Words and things"),
            draft("text", 100.0, 20.0, "The body of it"),
            draft("paragraph_title", 200.0, 20.0, long),
        ]);
        let labels: Vec<&str> = found.iter().map(|f| f.0).collect();
        assert_eq!(labels, ["number", "header", "text", "text"]);
    }
}
