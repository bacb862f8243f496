//! The glyphs of a formula: characters of the text layer on the upright page image. Pure.
//!
//! Unicode's mathematical alphanumerics become letters with a style.

use unicode_normalization::UnicodeNormalization;

use crate::page::CharStyle;

/// A glyph; pixels of the upright page image, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Glyph {
    pub ch: char,
    pub style: CharStyle,
    /// Where it begins and ends along its line: its advance.
    pub x: [f32; 2],
    /// Baseline.
    pub base: f32,
    /// Font size.
    pub size: f32,
    /// The box around its outline: x1, y1, x2, y2; that of letters is taken from their kind.
    pub ink: [f32; 4],
    /// Whether `ink` is the outline's.
    pub exact: bool,
}

impl Glyph {
    /// `ink`: the outline's box, where it is known.
    pub fn new(
        ch: char,
        style: CharStyle,
        x: [f32; 2],
        base: f32,
        size: f32,
        ink: Option<[f32; 4]>,
    ) -> Self {
        let (ch, style) = plain(ch, style);
        let [up, down] = reach(ch);
        // φ with a straight stroke stands as high as a capital; lists of glyph names mix the two.
        let tall = ink.is_some_and(|ink| base - ink[1] > 0.6 * size);
        let ch = match ch {
            'φ' | 'ϕ' if ink.is_some() => {
                if tall {
                    'ϕ'
                } else {
                    'φ'
                }
            }
            ch => ch,
        };
        Self {
            ch,
            style,
            x,
            base,
            size,
            ink: ink.unwrap_or([x[0], base - up * size, x[1], base + down * size]),
            exact: ink.is_some(),
        }
    }

    pub fn height(&self) -> f32 {
        self.ink[3] - self.ink[1]
    }
}

/// How far a glyph reaches above and below its baseline, in font sizes: Computer Modern's letters,
/// with which others agree well enough.
fn reach(ch: char) -> [f32; 2] {
    match ch {
        'g' | 'p' | 'q' | 'y' | 'γ' | 'η' | 'μ' | 'ρ' | 'χ' | 'ς' => [0.45, 0.21],
        'j' | 'f' | 'β' | 'ζ' | 'ξ' | 'φ' | 'ϕ' | 'ψ' | 'Q' => [0.7, 0.21],
        ',' | ';' => [0.45, 0.2],
        '.' => [0.11, 0.0],
        'a' | 'c' | 'e' | 'm' | 'n' | 'o' | 'r' | 's' | 'u' | 'v' | 'w' | 'x' | 'z' | 'α' | 'ε'
        | 'ϵ' | 'ι' | 'κ' | 'ν' | 'ο' | 'π' | 'ϖ' | 'σ' | 'τ' | 'υ' | 'ω' | 'ı' | ':' => {
            [0.45, 0.01]
        }
        c if c.is_alphanumeric() || c == '!' || c == '?' => [0.7, 0.01],
        _ => [0.7, 0.2],
    }
}

/// First code, number of letters, style: blocks of the mathematical alphanumerics.
const BLOCKS: [(u32, u32, CharStyle); 19] = [
    (0x1d400, 52, CharStyle::Bold),
    (0x1d434, 52, CharStyle::Italic),
    (0x1d468, 52, CharStyle::BoldItalic),
    (0x1d49c, 52, CharStyle::Script),
    (0x1d4d0, 52, CharStyle::Script),
    (0x1d504, 52, CharStyle::Fraktur),
    (0x1d538, 52, CharStyle::Double),
    (0x1d56c, 52, CharStyle::Fraktur),
    (0x1d5a0, 208, CharStyle::Sans),
    (0x1d670, 52, CharStyle::Mono),
    (0x1d6a4, 2, CharStyle::Italic),
    (0x1d6a8, 58, CharStyle::Bold),
    (0x1d6e2, 58, CharStyle::Italic),
    (0x1d71c, 58, CharStyle::BoldItalic),
    (0x1d756, 116, CharStyle::BoldItalic),
    (0x1d7ce, 10, CharStyle::Bold),
    (0x1d7d8, 10, CharStyle::Double),
    (0x1d7e2, 20, CharStyle::Sans),
    (0x1d7f6, 10, CharStyle::Mono),
];

/// A character as a letter and its style.
fn plain(ch: char, style: CharStyle) -> (char, CharStyle) {
    let style = match ch {
        'ℂ' | 'ℍ' | 'ℕ' | 'ℙ' | 'ℚ' | 'ℝ' | 'ℤ' => CharStyle::Double,
        'ℬ' | 'ℰ' | 'ℱ' | 'ℋ' | 'ℐ' | 'ℒ' | 'ℳ' | 'ℛ' | 'ℯ' | 'ℊ' | 'ℴ' => {
            CharStyle::Script
        }
        'ℭ' | 'ℌ' | 'ℨ' => CharStyle::Fraktur,
        'ℎ' => CharStyle::Italic,
        'Ω' | '∆' | 'µ' => style,
        // Operators have one look; bold ones are letters of the bold blocks.
        '𝛁' | '𝛛' => CharStyle::Bold,
        '𝜕' | '𝛻' => CharStyle::Upright,
        ch => {
            let code = u32::from(ch);
            let block = BLOCKS
                .iter()
                .find(|(first, count, _)| (*first..first + count).contains(&code));
            match block {
                Some(&(_, _, style)) => style,
                None => return (ch, style),
            }
        }
    };
    match ch {
        // These differ from their compatibility letters.
        '\u{1d6dc}' | '\u{1d716}' | '\u{1d750}' => ('ϵ', style),
        '\u{1d6df}' | '\u{1d719}' | '\u{1d753}' => ('ϕ', style),
        '\u{1d6dd}' | '\u{1d717}' | '\u{1d751}' => ('ϑ', style),
        '\u{1d6de}' | '\u{1d718}' | '\u{1d752}' => ('ϰ', style),
        '\u{1d6e0}' | '\u{1d71a}' | '\u{1d754}' => ('ϱ', style),
        '\u{1d6e1}' | '\u{1d71b}' | '\u{1d755}' => ('ϖ', style),
        '∆' => ('Δ', style),
        ch => (ch.nfkc().next().unwrap_or(ch), style),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mathematical_letters_become_letters_with_styles() {
        for (ch, letter, style) in [
            ('𝑥', 'x', CharStyle::Italic),
            ('ℎ', 'h', CharStyle::Italic),
            ('𝐀', 'A', CharStyle::Bold),
            ('ℝ', 'R', CharStyle::Double),
            ('𝔤', 'g', CharStyle::Fraktur),
            ('𝓛', 'L', CharStyle::Script),
            ('𝛼', 'α', CharStyle::Italic),
            ('𝜖', 'ϵ', CharStyle::Italic),
            ('𝜕', '∂', CharStyle::Upright),
            ('∑', '∑', CharStyle::Upright),
        ] {
            assert_eq!(plain(ch, CharStyle::Upright), (letter, style), "{ch}");
        }
    }
}
