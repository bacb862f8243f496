//! Characters of text: presentation forms, super- and subscripts, direction of writing. Pure.

use unicode_normalization::UnicodeNormalization;

/// Whether a glyph's character says nothing: not mapped, private, or none at all.
pub fn is_unmapped(c: char) -> bool {
    matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..) || c.is_control()
}

/// Bullets and marks of the fonts Symbol and Wingdings, which office programs leave in the private
/// use area (0xF000 and the font's code).
pub fn symbol(c: char) -> char {
    match c {
        '\u{f0b7}' | '\u{f06c}' => '\u{2022}',
        '\u{f0a7}' | '\u{f06e}' => '\u{25aa}',
        '\u{f0a8}' | '\u{f071}' => '\u{25a1}',
        '\u{f0fc}' => '\u{2713}',
        '\u{f0fb}' => '\u{2717}',
        '\u{f0d8}' => '\u{25ba}',
        '\u{f0e0}' => '\u{2192}',
        c => c,
    }
}

/// Whether a character shows nothing and takes no room.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
            | '\u{fffe}' | '\u{ffff}' | '\u{fe00}'..='\u{fe0f}'
    )
}

/// Marks that stand over or under another character.
pub fn is_combining(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'
            | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}'
            | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
            | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{20d0}'..='\u{20ff}'
            | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Ideographs, kana and their punctuation: scripts without spaces that are also set downwards.
pub fn is_ideographic(c: char) -> bool {
    matches!(
        c,
        '\u{2e80}'..='\u{312f}' | '\u{31a0}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff9f}'
            | '\u{20000}'..='\u{3134f}'
    )
}

/// How a character takes part in the order of a line (a coarse form of the bidirectional classes
/// of Unicode's annex 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Right,
    Left,
    Number,
    Neutral,
}

pub fn direction(c: char) -> Direction {
    match c {
        '0'..='9' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Direction::Number,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => {
            Direction::Left
        }
        c if c.is_alphanumeric() => Direction::Right,
        _ => Direction::Neutral,
    }
}

/// Brackets seen from the other side.
pub fn mirrored(c: char) -> char {
    match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '\u{ab}' => '\u{bb}',
        '\u{bb}' => '\u{ab}',
        c => c,
    }
}

/// Appends a character as it is typed: Latin ligatures, Arabic presentation forms and the letters of
/// mathematics become their letters (Unicode's compatibility decomposition); all else stays.
pub fn push_typed(out: &mut String, c: char) {
    match c {
        '\u{fb00}'..='\u{fb06}'
        | '\u{fb50}'..='\u{fbb1}'
        | '\u{fbd3}'..='\u{fbff}'
        | '\u{fdf2}'
        | '\u{fe80}'..='\u{fefc}'
        | '\u{1d400}'..='\u{1d7ff}' => out.extend(c.nfkc()),
        c => out.push(c),
    }
}

/// Where a glyph stands against its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    #[default]
    Line,
    Raised,
    Lowered,
}

impl Level {
    /// The character in this place, where Unicode has one that people type.
    pub fn typed(self, c: char) -> Option<char> {
        const RAISED: &str = "\u{2070}\u{b9}\u{b2}\u{b3}\u{2074}\u{2075}\u{2076}\u{2077}\u{2078}\u{2079}\u{207a}\u{207b}\u{207c}\u{207d}\u{207e}\u{207f}\u{2071}";
        const LOWERED: &str = "\u{2080}\u{2081}\u{2082}\u{2083}\u{2084}\u{2085}\u{2086}\u{2087}\u{2088}\u{2089}\u{208a}\u{208b}\u{208c}\u{208d}\u{208e}";
        let c = match c {
            '\u{2212}' | '\u{2013}' => '-',
            c => c,
        };
        let at = "0123456789+-=()ni".find(c)?;
        match self {
            Self::Line => None,
            Self::Raised => RAISED.chars().nth(at),
            Self::Lowered => LOWERED.chars().nth(at),
        }
    }

    /// Marks of HTML around what stands in this place.
    pub fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::Line => ("", ""),
            Self::Raised => ("<sup>", "</sup>"),
            Self::Lowered => ("<sub>", "</sub>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presentation_forms_become_their_letters() {
        for (c, letters) in [
            ('\u{fb01}', "fi"),
            ('\u{fb05}', "st"),
            ('\u{fb57}', "\u{67e}"),
            ('\u{fbfd}', "\u{6cc}"),
            ('\u{fe80}', "\u{621}"),
            ('\u{fef4}', "\u{64a}"),
            ('\u{fefb}', "\u{644}\u{627}"),
            ('\u{fdf2}', "\u{627}\u{644}\u{644}\u{647}"),
            ('\u{1d465}', "x"),
            ('\u{b2}', "\u{b2}"),
            ('\u{bd}', "\u{bd}"),
            ('\u{2126}', "\u{2126}"),
            ('a', "a"),
        ] {
            let mut typed = String::new();
            push_typed(&mut typed, c);
            assert_eq!(typed, letters, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn raised_and_lowered_characters_are_those_of_unicode() {
        for level in [Level::Raised, Level::Lowered] {
            for c in "0123456789+=()".chars() {
                let typed = level.typed(c).unwrap();
                assert_eq!(typed.nfkc().collect::<String>(), c.to_string());
            }
            assert_eq!(level.typed('q'), None);
        }
        assert_eq!(Level::Raised.typed('n'), Some('\u{207f}'));
        assert_eq!(Level::Raised.typed('\u{2212}'), Some('\u{207b}'));
    }
}
