//! Whether a text layer says what the page image shows. Pure.

use std::collections::HashSet;

use super::lines::Found;
use super::scripts::push_typed;
use crate::engine::paddle::pixels::Slanted;

/// Share of glyphs without a character above which a layer is refused, and above which a line is.
const UNMAPPED: f32 = 0.1;
const UNMAPPED_LINE: f32 = 0.1;
/// Share of the layer's lines, by width, that must stand where detection finds lines.
pub const PLACED: f32 = 0.5;
/// Lines that are compared: of what is drawn, and of what somebody's OCR left.
const SAMPLE: usize = 10;
const SAMPLE_INVISIBLE: usize = 16;
/// Characters of a line that count when the longest are chosen: longer ones cost more and say no
/// more.
const LONG: usize = 60;
/// Characters that a compared line has at least, where there are enough such lines.
const SHORT: usize = 6;
/// Lines outside formulas from which on those inside are not compared.
const TELLING: usize = 2;
/// Part of a layer's characters that they must hold: a head and a foot say nothing of a sheet of
/// formulas.
const TELLING_SHARE: f32 = 0.33;
/// Agreement (1 - edit distance / length) from which a layer is taken: what is drawn, and what
/// somebody's OCR left.
const AGREEMENT: f32 = 0.9;
const AGREEMENT_INVISIBLE: f32 = 0.97;
/// Lines from which on the worst one is left out: a formula, a line that detection cut.
const FORGIVING: usize = 5;
/// Share of a line's characters that the recogniser must know for a comparison.
const KNOWN: f32 = 0.9;
/// Share of a layer's characters in lines that can be compared, from which on they must agree.
const COMPARABLE: f32 = 0.3;

/// The characters that the recogniser can read.
pub struct Known(HashSet<char>);

impl Known {
    /// From the lines of its dictionary.
    pub fn new(characters: &str) -> Self {
        Self(characters.lines().flat_map(folded).collect::<HashSet<_>>())
    }

    /// Whether a line can be compared with what is read.
    fn reads(&self, text: &str) -> bool {
        let folded = folded(text);
        let known = folded.iter().filter(|c| self.0.contains(c)).count();
        !folded.is_empty() && known as f32 >= KNOWN * folded.len() as f32
    }
}

/// What was found about a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Taken,
    /// Taken, though its script cannot be read from the image.
    Unchecked,
    /// One sentence.
    Refused(String),
}

/// Whether a line is mapped well enough to be used.
pub fn is_mapped(line: &Found) -> bool {
    line.unmapped as f32 <= UNMAPPED_LINE * line.glyphs as f32
}

/// Numbers of the lines to compare: spread over the page, long ones first; none where the
/// recogniser knows too few of the layer's characters. OCR errs in short lines and at the margins:
/// of what is not drawn, lines of any length are taken.
pub fn sample(lines: &[&Found], known: &Known) -> Vec<usize> {
    let count = |l: &Found| l.line.text.chars().filter(|c| !c.is_whitespace()).count();
    // Recognition was not trained on formulas: other lines say more, where there are some.
    let text = |l: &Found| !l.formula && count(l) >= SHORT;
    let texts: Vec<usize> = lines.iter().filter(|l| text(l)).map(|l| count(l)).collect();
    let whole: usize = lines.iter().map(|l| count(l)).sum();
    let enough = texts.iter().sum::<usize>() as f32 >= TELLING_SHARE * whole as f32;
    let telling = enough && texts.len() >= TELLING;
    let asked = |l: &Found| !telling || !l.formula;
    let all: usize = lines.iter().filter(|l| asked(l)).map(|l| count(l)).sum();
    let mut readable: Vec<usize> = (0..lines.len())
        .filter(|&i| asked(lines[i]) && is_mapped(lines[i]) && known.reads(&lines[i].line.text))
        .collect();
    let chars: usize = readable.iter().map(|&i| count(lines[i])).sum();
    if (chars as f32) < COMPARABLE * all as f32 {
        return Vec::new();
    }
    let long: Vec<usize> = readable
        .iter()
        .copied()
        .filter(|&i| count(lines[i]) >= SHORT)
        .collect();
    let invisible = lines.iter().any(|l| l.invisible);
    let wanted = if invisible { SAMPLE_INVISIBLE } else { SAMPLE };
    if long.len() >= SAMPLE / 2 && !invisible {
        readable = long;
    }
    readable.sort_by(|&a, &b| {
        let (a, b) = (&lines[a].line.at, &lines[b].line.at);
        a.cy.total_cmp(&b.cy).then(a.cx.total_cmp(&b.cx))
    });
    let parts = wanted.min(readable.len());
    (0..parts)
        .filter_map(|part| {
            let at = |p: usize| p * readable.len() / parts;
            let part = &readable[at(part)..at(part + 1)];
            if invisible {
                return part.get(part.len() / 2).copied();
            }
            part.iter()
                .copied()
                // The first of equals.
                .rev()
                .max_by_key(|&i| count(lines[i]).min(LONG))
        })
        .collect()
}

/// Judges a layer. `placed`: share of it that stands where detection finds lines; `compared`: what
/// it says and what was read, line by line.
pub fn verdict(lines: &[&Found], placed: f32, compared: &[(String, String)]) -> Verdict {
    let (glyphs, unmapped) = lines
        .iter()
        .fold((0, 0), |(g, u), l| (g + l.glyphs, u + l.unmapped));
    if unmapped as f32 > UNMAPPED * glyphs as f32 {
        return Verdict::Refused(format!(
            "{unmapped} of its {glyphs} characters are not mapped to Unicode"
        ));
    }
    if placed < PLACED {
        return Verdict::Refused(format!(
            "{:.0} % of it stands where the page shows text",
            placed * 100.0
        ));
    }
    let invisible = lines.iter().any(|l| l.invisible);
    if compared.is_empty() {
        return if invisible {
            Verdict::Refused("it is not drawn, and cannot be compared with the image".into())
        } else {
            Verdict::Unchecked
        };
    }
    let agreement = if invisible {
        mean_agreement(compared)
    } else {
        agreement(compared)
    };
    let least = if invisible {
        AGREEMENT_INVISIBLE
    } else {
        AGREEMENT
    };
    if agreement < least {
        Verdict::Refused(format!(
            "it agrees by {agreement:.2} with {} lines read from the image, {least} is asked for",
            compared.len()
        ))
    } else {
        Verdict::Taken
    }
}

/// How far lines agree, each counted alike.
fn mean_agreement(compared: &[(String, String)]) -> f32 {
    let sum: f32 = compared
        .iter()
        .map(|pair| agreement(std::slice::from_ref(pair)))
        .sum();
    sum / compared.len().max(1) as f32
}

/// How far lines agree: one less their edit distances over their lengths, all lines together, but
/// for the worst of several.
fn agreement(compared: &[(String, String)]) -> f32 {
    let mut each: Vec<(usize, usize)> = compared
        .iter()
        .map(|(a, b)| {
            let (a, b) = (folded(a), folded(b));
            (distance(&a, &b), a.len().max(b.len()))
        })
        .collect();
    let share = |&(edits, length): &(usize, usize)| edits as f32 / length.max(1) as f32;
    each.sort_by(|a, b| share(a).total_cmp(&share(b)));
    if each.len() >= FORGIVING {
        each.pop();
    }
    let (edits, length) = each
        .iter()
        .fold((0, 0), |(e, l), (edits, length)| (e + edits, l + length));
    1.0 - edits as f32 / length.max(1) as f32
}

/// A text as it is compared: without spaces and marks of super- and subscripts; compatibility forms,
/// quotes and dashes as their plain characters.
pub fn folded(text: &str) -> Vec<char> {
    let mut typed = String::new();
    let bare = ["<sup>", "</sup>", "<sub>", "</sub>"]
        .iter()
        .fold(text.to_owned(), |t, mark| t.replace(mark, ""));
    for c in bare.chars() {
        match c {
            '\u{ff01}'..='\u{ff5e}' => typed.extend(char::from_u32(u32::from(c) - 0xfee0)),
            '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{b4}' | '`' | '\u{2032}' => typed.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2033}' => typed.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}' => typed.push('-'),
            '\u{2070}' | '\u{2080}' => typed.push('0'),
            '\u{b9}' | '\u{2081}' => typed.push('1'),
            '\u{b2}' | '\u{2082}' => typed.push('2'),
            '\u{b3}' | '\u{2083}' => typed.push('3'),
            '\u{2074}'..='\u{2079}' => typed.extend(char::from_u32(u32::from(c) - 0x2074 + 0x34)),
            '\u{2084}'..='\u{2089}' => typed.extend(char::from_u32(u32::from(c) - 0x2084 + 0x34)),
            '\u{207a}' | '\u{208a}' => typed.push('+'),
            '\u{207b}' | '\u{208b}' => typed.push('-'),
            '\u{207f}' => typed.push('n'),
            '\u{2071}' => typed.push('i'),
            '\u{2026}' => typed.push_str("..."),
            '\u{b5}' => typed.push('\u{3bc}'),
            '\u{2217}' => typed.push('*'),
            '\u{d7}' => typed.push('x'),
            '\u{b7}' | '\u{2022}' | '\u{25cf}' | '\u{30fb}' => typed.push('\u{b7}'),
            '\u{3002}' => typed.push('.'),
            '\u{3001}' => typed.push(','),
            c if c.is_whitespace() => {}
            c => push_typed(&mut typed, c),
        }
    }
    typed.chars().collect()
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let kept = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// The detected line that a line of the layer is, and no other's: it may be read in its stead, with
/// the margin that recognition is used to.
pub fn counterpart(line: &Slanted, boxes: &[Slanted]) -> Option<Slanted> {
    let (s, c) = line.angle.sin_cos();
    boxes.iter().copied().find(|b| {
        let (dx, dy) = (b.cx - line.cx, b.cy - line.cy);
        let (u, v) = (dx * c + dy * s, dy * c - dx * s);
        let ends = [
            u - b.width / 2.0 + line.width / 2.0,
            u + b.width / 2.0 - line.width / 2.0,
        ];
        (b.angle - line.angle).abs() < 0.1
            && v.abs() < 0.3 * b.height
            && ends.iter().all(|e| e.abs() < 0.8 * b.height)
            && b.height < 2.5 * line.height
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::paddle::line::{Line, Source};

    fn found(y: f32, text: &str) -> Found {
        let at = Slanted {
            cx: 300.0,
            cy: y,
            width: 500.0,
            height: 20.0,
            angle: 0.0,
        };
        Found {
            line: Line::even(at, text.into(), 1.0, Source::Layer),
            invisible: false,
            glyphs: text.chars().filter(|c| !c.is_whitespace()).count(),
            unmapped: 0,
            piled: 0,
            formula: false,
        }
    }

    fn latin() -> Known {
        let all: Vec<String> = ('!'..='~').map(String::from).collect();
        Known::new(&all.join("\n"))
    }

    fn page(lines: usize) -> Vec<Found> {
        (0..lines)
            .map(|i| {
                found(
                    30.0 * i as f32,
                    &format!("The {i} quick brown foxes jump over"),
                )
            })
            .collect()
    }

    fn judge(lines: &[Found], read: impl Fn(usize, &str) -> String) -> Verdict {
        let lines: Vec<&Found> = lines.iter().collect();
        let compared: Vec<_> = sample(&lines, &latin())
            .into_iter()
            .map(|i| (lines[i].line.text.clone(), read(i, &lines[i].line.text)))
            .collect();
        verdict(&lines, 1.0, &compared)
    }

    #[test]
    fn a_layer_that_the_image_shows_is_taken() {
        let lines = page(40);
        assert_eq!(judge(&lines, |_, t| t.to_owned()), Verdict::Taken);
        // As recognition errs: a letter in twenty, spaces, quotes.
        let read = |_: usize, t: &str| t.replacen('o', "0", 1).replace(' ', "");
        assert_eq!(judge(&lines, read), Verdict::Taken);
        // One line that is a formula.
        let read = |i: usize, t: &str| if i == 3 { "x".into() } else { t.to_owned() };
        assert_eq!(judge(&lines, read), Verdict::Taken);
    }

    #[test]
    fn an_enciphered_layer_and_one_half_bad_are_refused() {
        let lines = page(40);
        let shifted = |t: &str| -> String {
            let next = |c: char| char::from_u32(u32::from(c) + 1).unwrap();
            t.chars()
                .map(|c| if c == ' ' { c } else { next(c) })
                .collect()
        };
        assert!(matches!(
            judge(&lines, |_, t| shifted(t)),
            Verdict::Refused(_)
        ));
        let half = |i: usize, t: &str| if i % 8 < 4 { shifted(t) } else { t.to_owned() };
        assert!(matches!(judge(&lines, half), Verdict::Refused(_)));
    }

    #[test]
    fn what_is_not_drawn_must_agree_better() {
        let read = |_: usize, t: &str| t.replacen('o', "0", 2);
        let mut lines = page(20);
        assert_eq!(judge(&lines, read), Verdict::Taken);
        lines.iter_mut().for_each(|l| l.invisible = true);
        assert!(matches!(judge(&lines, read), Verdict::Refused(_)));
        assert_eq!(judge(&lines, |_, t| t.to_owned()), Verdict::Taken);
    }

    #[test]
    fn unmapped_and_misplaced_layers_are_refused_unreadable_scripts_are_taken() {
        let mut lines = page(10);
        lines.iter_mut().for_each(|l| l.unmapped = 5);
        let refs: Vec<&Found> = lines.iter().collect();
        assert!(matches!(verdict(&refs, 1.0, &[]), Verdict::Refused(_)));
        assert!(!is_mapped(&lines[0]));
        let arabic = [found(10.0, "\u{645}\u{631}\u{62d}\u{628}\u{627}")];
        assert_eq!(judge(&arabic, |_, _| String::new()), Verdict::Unchecked);
        let refs: Vec<&Found> = arabic.iter().collect();
        assert!(matches!(verdict(&refs, 0.2, &[]), Verdict::Refused(_)));
    }

    #[test]
    fn the_sample_is_spread_over_the_page_and_takes_long_lines() {
        let mut lines = page(40);
        lines.extend((0..10).map(|i| found(1200.0 + 30.0 * i as f32, "7")));
        lines[5] = found(
            150.0,
            "A line that is longer than all others around it on this page",
        );
        let refs: Vec<&Found> = lines.iter().collect();
        let chosen = sample(&refs, &latin());
        assert_eq!(chosen.len(), SAMPLE);
        assert!(chosen.contains(&5));
        assert!(chosen.windows(2).all(|w| w[1] > w[0]));
        assert!(chosen.iter().all(|&i| i < 40), "{chosen:?}");
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b) in [
            ("kitten", "sitting"),
            ("", "abc"),
            ("abc", ""),
            ("same", "same"),
        ] {
            let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&x, &y), strsim::levenshtein(a, b));
        }
    }
}
