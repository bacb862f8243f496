//! Parts that are one sign: of tall brackets and roots, braces along the line, long arrows, dots. Pure.

use super::glyphs::Glyph;
use crate::engine::paddle::layout::union;

/// What parts of glyphs become together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A part of this sign alone.
    Of(char),
    /// A part of either brace, or of neither.
    Middle,
    /// The side of a square bracket, left or right; its corners say which bracket.
    Side(bool),
    Corner(bool, bool),
}

fn part(ch: char) -> Option<Part> {
    Some(match ch {
        '⎛' | '⎜' | '⎝' => Part::Of('('),
        '⎞' | '⎟' | '⎠' => Part::Of(')'),
        '⎧' | '⎨' | '⎩' => Part::Of('{'),
        '⎫' | '⎬' | '⎭' => Part::Of('}'),
        '⎪' | '⏐' => Part::Middle,
        '⎷' | '⌜' => Part::Of('√'),
        '⌠' | '⌡' | '⎮' => Part::Of('∫'),
        '⎢' => Part::Side(true),
        '⎥' => Part::Side(false),
        '⎡' => Part::Corner(true, true),
        '⎣' => Part::Corner(true, false),
        '⎤' => Part::Corner(false, true),
        '⎦' => Part::Corner(false, false),
        // Several of one sign above one another are one, which the font makes of parts.
        '(' | ')' | '[' | ']' | '{' | '}' | '|' | '‖' | '∥' | '∣' | '⌊' | '⌋' | '⌈' | '⌉' | '√' => {
            Part::Of(ch)
        }
        _ => return None,
    })
}

/// How far parts of one glyph stand apart, font sizes: beside each other, and above.
const BESIDE: f32 = 0.35;
const ABOVE: f32 = 0.08;

/// Joins the parts that tall brackets and roots are made of, and the dots of ⋮ and ⋱; `None` where
/// a part is left that belongs to nothing.
pub fn joined(glyphs: Vec<Glyph>) -> Option<Vec<Glyph>> {
    let mut columns: Vec<Vec<Glyph>> = Vec::new();
    let mut out = Vec::new();
    let (mut parts, rest): (Vec<Glyph>, Vec<Glyph>) =
        glyphs.into_iter().partition(|g| part(g.ch).is_some());
    parts.sort_by(|a, b| a.ink[1].total_cmp(&b.ink[1]));
    for glyph in parts {
        let middle = |g: &Glyph| (g.x[0] + g.x[1]) / 2.0;
        let below = columns.iter_mut().find(|column| {
            column.last().is_some_and(|last| {
                (middle(last) - middle(&glyph)).abs() <= BESIDE * glyph.size
                    && (glyph.ink[1] - last.ink[3]).abs() <= ABOVE * glyph.size
                    && same(last.ch, glyph.ch)
            })
        });
        match below {
            Some(column) => column.push(glyph),
            None => columns.push(vec![glyph]),
        }
    }
    for column in columns {
        out.push(whole(&column)?);
    }
    out.extend(braces(arrows(dots(rest))));
    Some(out)
}

/// Whether two parts, one above the other, may be of one glyph.
fn same(a: char, b: char) -> bool {
    match (part(a), part(b)) {
        (Some(Part::Middle), Some(Part::Of(c))) | (Some(Part::Of(c)), Some(Part::Middle)) => {
            matches!(c, '{' | '}' | '√' | '|')
        }
        (Some(Part::Middle), Some(Part::Middle)) => true,
        (Some(Part::Side(a) | Part::Corner(a, _)), Some(Part::Side(b) | Part::Corner(b, _))) => {
            a == b
        }
        (Some(Part::Of(a)), Some(Part::Of(b))) => a == b,
        _ => false,
    }
}

fn whole(column: &[Glyph]) -> Option<Glyph> {
    let first = column.first()?;
    let parts: Vec<Part> = column.iter().filter_map(|g| part(g.ch)).collect();
    let named = parts.iter().find_map(|p| match p {
        Part::Of(ch) => Some(*ch),
        _ => None,
    });
    let corner = |left, top| parts.contains(&Part::Corner(left, top));
    let ch = match named {
        Some(ch) => ch,
        None => match [true, false].map(|top| [true, false].map(|left| corner(left, top))) {
            [[true, _], [true, _]] => '[',
            [[_, true], [_, true]] => ']',
            [[true, _], _] => '⌈',
            [[_, true], _] => '⌉',
            [_, [true, _]] => '⌊',
            [_, [_, true]] => '⌋',
            _ if column.iter().all(|g| matches!(g.ch, '⎪' | '⏐')) => '|',
            _ => return None,
        },
    };
    let ink = column
        .iter()
        .map(|g| g.ink)
        .reduce(union)
        .unwrap_or(first.ink);
    Some(Glyph {
        ch,
        x: [
            column.iter().map(|g| g.x[0]).fold(f32::MAX, f32::min),
            column.iter().map(|g| g.x[1]).fold(f32::MIN, f32::max),
        ],
        ink,
        ..first.clone()
    })
}

/// Three full stops below one another, or down a diagonal, as one sign.
fn dots(mut glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let is_dot = |g: &Glyph| g.ch == '.';
    let step = |a: &Glyph, b: &Glyph| {
        let size = a.size.max(1e-3);
        [(b.x[0] - a.x[0]) / size, (b.base - a.base) / size]
    };
    let mut at = 0;
    while at + 2 < glyphs.len() {
        let three = [&glyphs[at], &glyphs[at + 1], &glyphs[at + 2]];
        if three.iter().all(|g| is_dot(g)) {
            let [mut a, mut b] = [step(three[0], three[1]), step(three[1], three[2])];
            // Some files have the lowest first.
            let upwards = a[1] < 0.0;
            if upwards {
                (a, b) = (a.map(|v| -v), b.map(|v| -v));
            }
            let even = (a[0] - b[0]).abs() < 0.05 && (a[1] - b[1]).abs() < 0.05;
            let sign = if !even || !(0.2..0.6).contains(&a[1]) {
                None
            } else if a[0].abs() < 0.05 {
                Some('⋮')
            } else if (0.2..0.6).contains(&a[0]) {
                Some('⋱')
            } else {
                None
            };
            if let Some(ch) = sign {
                let (first, last) = (&glyphs[at], &glyphs[at + 2]);
                let low = if upwards { first } else { last };
                let whole = Glyph {
                    ch,
                    x: [first.x[0].min(last.x[0]), first.x[1].max(last.x[1])],
                    ink: union(first.ink, last.ink),
                    ..low.clone()
                };
                glyphs.splice(at..at + 3, [whole]);
            }
        }
        at += 1;
    }
    glyphs
}

/// Joins arrows of two signs that reach into each other, one after the other in the file.
fn arrows(mut glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let mut at = 0;
    while at + 1 < glyphs.len() {
        let (a, b) = (&glyphs[at], &glyphs[at + 1]);
        let gap = (b.x[0] - a.x[1]) / a.size.max(1e-3);
        let level = (a.base - b.base).abs() < 0.05 * a.size;
        // TeX sets them 3 mu, a sixth of the font size, into each other, or more.
        let into = gap < -0.08 && b.x[1] > a.x[1] - 0.1 * a.size;
        let bar = (a.x[0] - b.x[0]).abs() < 0.1 * a.size && a.x[1] - a.x[0] < 0.2 * a.size;
        let long = match (a.ch, b.ch) {
            ('−', '→') if into => Some('⟶'),
            ('←', '−') if into => Some('⟵'),
            ('←', '→') if into => Some('⟷'),
            ('=', '⇒') if into => Some('⟹'),
            ('⇐', '=') if into => Some('⟸'),
            ('⇐', '⇒') if into => Some('⟺'),
            ('−', '−') if into => Some('−'),
            ('=', '=') if into => Some('='),
            ('↦', '→' | '−') if bar => Some('↦'),
            ('↦', '⟶') => Some('⟼'),
            ('∫', '∫') if gap < 0.1 => Some('∬'),
            ('∬', '∫') if gap < 0.1 => Some('∭'),
            _ => None,
        };
        match long.filter(|_| level) {
            Some(ch) => {
                let whole = Glyph {
                    ch,
                    x: [a.x[0], b.x[1].max(a.x[1])],
                    ink: union(a.ink, b.ink),
                    ..a.clone()
                };
                glyphs.splice(at..at + 2, [whole]);
            }
            None => at += 1,
        }
    }
    glyphs
}

/// Joins the parts of braces that lie along the line: left end, middle in two halves, right end.
fn braces(glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let (mut parts, mut out): (Vec<Glyph>, Vec<Glyph>) = glyphs
        .into_iter()
        .partition(|g| matches!(g.ch, '╭' | '╮' | '╰' | '╯'));
    parts.sort_by(|a, b| a.x[0].total_cmp(&b.x[0]));
    while let Some(first) = parts.first().cloned() {
        let level: Vec<usize> = (0..parts.len())
            .filter(|&i| (parts[i].base - first.base).abs() < 0.05 * first.size)
            .take(4)
            .collect();
        let signs: Vec<char> = level.iter().map(|&i| parts[i].ch).collect();
        let ch = match &*signs {
            ['╭', '╯', '╰', '╮'] => '⏞',
            ['╰', '╮', '╭', '╯'] => '⏟',
            _ => break,
        };
        let mut four: Vec<Glyph> = level.iter().rev().map(|&i| parts.remove(i)).collect();
        four.reverse();
        let ink = four.iter().map(|g| g.ink).reduce(union);
        let x = [four[0].x[0], four[3].x[1]];
        out.push(Glyph {
            ch,
            x,
            ink: ink.unwrap_or(four[0].ink),
            ..four[0].clone()
        });
    }
    out.append(&mut parts);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::CharStyle;

    fn glyph(ch: char, x: f32, top: f32, bottom: f32) -> Glyph {
        let ink = [x, top, x + 8.0, bottom];
        Glyph::new(ch, CharStyle::Upright, [x, x + 8.0], top, 10.0, Some(ink))
    }

    #[test]
    fn arrows_and_braces_are_made_of_parts() {
        let along = |text: &str, step: f32| -> Vec<Glyph> {
            let signs = text.chars().enumerate();
            signs
                .map(|(i, ch)| glyph(ch, step * i as f32, 0.0, 4.0))
                .collect()
        };
        let signs = |all: Vec<Glyph>| -> String { all.iter().map(|g| g.ch).collect() };
        assert_eq!(signs(arrows(along("−→", 6.5))), "⟶");
        assert_eq!(signs(arrows(along("−→", 8.0))), "−→");
        assert_eq!(signs(braces(along("╰╮╭╯", 10.0))), "⏟");
        assert_eq!(signs(braces(along("╭╯╰╮", 10.0))), "⏞");
        assert_eq!(signs(braces(along("╭╯", 10.0))), "╭╯");
    }

    #[test]
    fn parts_above_one_another_become_one_bracket() {
        let parts = vec![
            glyph('⎧', 0.0, 0.0, 9.0),
            glyph('⎨', 0.0, 9.0, 27.0),
            glyph('⎩', 0.0, 27.0, 36.0),
            glyph('⎡', 50.0, 0.0, 18.0),
            glyph('⎣', 50.0, 18.0, 36.0),
            glyph('x', 20.0, 0.0, 9.0),
        ];
        let joined = joined(parts).unwrap();
        let found: Vec<(char, f32)> = joined.iter().map(|g| (g.ch, g.height())).collect();
        assert_eq!(found, [('{', 36.0), ('[', 36.0), ('x', 9.0)]);
        assert_eq!(super::joined(vec![glyph('⎢', 0.0, 0.0, 9.0)]), None);
    }

    #[test]
    fn dots_below_one_another_are_one_sign() {
        let dot = |x: f32, y: f32| Glyph::new('.', CharStyle::Upright, [x, x + 2.8], y, 10.0, None);
        let all = [dot(0.0, 0.0), dot(0.0, 4.0), dot(0.0, 8.0)];
        assert_eq!(dots(all.to_vec())[0].ch, '⋮');
        let all = [dot(0.0, 0.0), dot(4.0, 3.0), dot(8.0, 6.0)];
        assert_eq!(dots(all.to_vec())[0].ch, '⋱');
        let all = [dot(0.0, 0.0), dot(4.0, 0.0), dot(8.0, 0.0)];
        assert_eq!(dots(all.to_vec()).len(), 3);
    }
}
