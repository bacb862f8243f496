//! Letters, words and signs of a formula in LaTeX. Pure.

use super::latex::is_operator;
use super::signs;
use super::tree::{Node, Piece};
use crate::page::CharStyle;
use crate::page::latex::{operator_name, symbol};

/// What upright letters are in a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// Upright: others are italic.
    Styled,
    /// Like all: the fonts do not tell.
    Plain,
}

/// Gap from which on words stand apart, font sizes.
const APART: f32 = 0.15;
/// Gap beyond which words are no longer one text, font sizes.
const FAR: f32 = 0.9;

/// A sign; `None` where LaTeX has no name for it.
pub fn sign(ch: char, style: CharStyle, letters: Letters) -> Option<String> {
    if ch.is_ascii_digit() {
        return Some(styled(&ch.to_string(), style, false));
    }
    if ch.is_ascii_alphabetic() {
        let plain =
            style == CharStyle::Italic || style == CharStyle::Upright && letters == Letters::Plain;
        return Some(if plain {
            ch.into()
        } else {
            styled(&ch.to_string(), style, true)
        });
    }
    match ch {
        '′' | '\'' => return Some("'".into()),
        '″' => return Some("''".into()),
        '‴' => return Some("'''".into()),
        '*' => return Some("*".into()),
        _ => {}
    }
    if let Some(command) = symbol(ch) {
        let greek = ('α'..='ϵ').contains(&ch) || ('Α'..='Ω').contains(&ch);
        if matches!(style, CharStyle::Bold | CharStyle::BoldItalic)
            && (greek || ch == '∇' || ch == '∂')
        {
            return Some(format!("\\boldsymbol{{{command}}}"));
        }
        if style == CharStyle::Italic
            && ('Α'..='Ω').contains(&ch)
            && let Some(name) = command.strip_prefix('\\')
        {
            return Some(format!("\\var{name}"));
        }
        return Some(command.into());
    }
    if ch.is_ascii_graphic() {
        return Some(ch.into());
    }
    ch.is_alphabetic().then(|| format!("\\text{{{ch}}}"))
}

/// A letter or digits in their style.
fn styled(text: &str, style: CharStyle, letter: bool) -> String {
    let command = match style {
        CharStyle::Upright | CharStyle::Italic if !letter => return text.into(),
        CharStyle::Upright => "\\mathrm",
        CharStyle::Italic => return text.into(),
        CharStyle::Bold => "\\mathbf",
        CharStyle::BoldItalic => "\\boldsymbol",
        CharStyle::Script => "\\mathcal",
        CharStyle::Fraktur => "\\mathfrak",
        CharStyle::Double => "\\mathbb",
        CharStyle::Sans => "\\mathsf",
        CharStyle::Mono => "\\mathtt",
    };
    format!("{command}{{{text}}}")
}

/// A word by itself.
pub fn word(word: &str) -> String {
    match word {
        "argmax" => "\\operatorname*{arg\\,max}".into(),
        "argmin" => "\\operatorname*{arg\\,min}".into(),
        word if operator_name(word) => format!("\\{word}"),
        word if signs::is_limit_name(word) => format!("\\operatorname*{{{word}}}"),
        word => format!("\\mathrm{{{}}}", escaped(word)),
    }
}

fn escaped(text: &str) -> String {
    text.chars()
        .filter(|c| !"\\{}$&#^_%~".contains(*c))
        .collect()
}

/// What several pieces are together: words of a text, dots, digits and letters of one style. With
/// how many pieces they are.
pub fn run(pieces: &[Piece], size: f32, letters: Letters) -> Option<(String, usize)> {
    dots(pieces, size)
        .or_else(|| text(pieces, size))
        .or_else(|| bold(pieces, size, letters))
}

/// Three dots in a row.
fn dots(pieces: &[Piece], size: f32) -> Option<(String, usize)> {
    let dots = pieces.get(..3)?;
    let command = match dots[0].sign()? {
        '.' => "\\ldots",
        '·' | '⋅' => "\\cdots",
        _ => return None,
    };
    let alike = dots.windows(2).all(|p| {
        let step = p[1].x[0] - p[0].x[0];
        p[0].sign() == p[1].sign() && (0.2..0.7).contains(&(step / size.max(1e-3)))
    });
    alike.then(|| (command.into(), 3))
}

/// Words beside each other, at least one of which is no operator's name.
fn text(pieces: &[Piece], size: f32) -> Option<(String, usize)> {
    let word = |p: &Piece| match &p.node {
        Node::Word(word) if !is_operator(word) => Some(word.clone()),
        _ => None,
    };
    let mut out = word(pieces.first()?)?;
    let mut count = 1;
    while let Some(next) = pieces.get(count) {
        let gap = (next.x[0] - pieces[count - 1].x[1]) / size.max(1e-3);
        // A letter between two words is one of them.
        let one = match next.node {
            Node::Sign(ch, CharStyle::Upright) if ch.is_alphabetic() => {
                let last = pieces.get(count + 1).and_then(word).is_some();
                last.then(|| ch.to_string())
            }
            _ => None,
        };
        match word(next).or(one) {
            Some(word) if gap < FAR => {
                if gap >= APART {
                    out.push(' ');
                }
                out.push_str(&word);
                count += 1;
            }
            _ => break,
        }
    }
    Some((out, count))
}

/// Bold letters and digits beside each other.
fn bold(pieces: &[Piece], size: f32, letters: Letters) -> Option<(String, usize)> {
    let style = match pieces.first()?.node {
        Node::Sign(ch, style) if ch.is_ascii_alphanumeric() => style,
        _ => return None,
    };
    if !matches!(style, CharStyle::Bold | CharStyle::Sans | CharStyle::Mono) {
        return None;
    }
    let mut text = String::new();
    let mut count = 0;
    while let Some(Piece {
        node: Node::Sign(ch, other),
        x,
        ..
    }) = pieces.get(count)
    {
        let near = count == 0 || x[0] - pieces[count - 1].x[1] < APART * size;
        if *other != style || !ch.is_ascii_alphanumeric() || !near {
            break;
        }
        text.push(*ch);
        count += 1;
    }
    let letter = letters == Letters::Styled || text.chars().any(|c| c.is_ascii_alphabetic());
    (count > 1).then(|| (styled(&text, style, letter), count))
}

/// A run as it is written: words of a text with the spaces that stand around them.
pub fn spaced(
    text: &str,
    before: Option<&Piece>,
    run: &[Piece],
    after: Option<&Piece>,
    size: f32,
) -> String {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return text.into();
    };
    if !matches!(first.node, Node::Word(_)) {
        return text.into();
    }
    let loose = |gap: f32, beside: &Piece| {
        let open = beside
            .sign()
            .is_some_and(|ch| signs::is_relation(ch) || "+-−±×⋅·,;".contains(ch));
        !open && (APART..FAR).contains(&(gap / size.max(1e-3)))
    };
    let left = before.is_some_and(|b| loose(first.x[0] - b.x[1], b));
    let right = after.is_some_and(|a| loose(a.x[0] - last.x[1], a));
    let text = escaped(text);
    if !left && !right && !text.contains(' ') {
        return format!("\\mathrm{{{text}}}");
    }
    let space = |is: bool| if is { " " } else { "" };
    format!("\\text{{{}{text}{}}}", space(left), space(right))
}
