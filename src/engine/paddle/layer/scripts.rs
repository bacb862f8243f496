//! Characters of text: presentation forms, super- and subscripts, direction of writing. Pure.

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

/// Arabic letters in the order of the block Arabic Presentation Forms-B from U+FE80 on, with the
/// number of forms that each has there.
const ARABIC: [(char, u32); 36] = [
    ('\u{621}', 1),
    ('\u{622}', 2),
    ('\u{623}', 2),
    ('\u{624}', 2),
    ('\u{625}', 2),
    ('\u{626}', 4),
    ('\u{627}', 2),
    ('\u{628}', 4),
    ('\u{629}', 2),
    ('\u{62a}', 4),
    ('\u{62b}', 4),
    ('\u{62c}', 4),
    ('\u{62d}', 4),
    ('\u{62e}', 4),
    ('\u{62f}', 2),
    ('\u{630}', 2),
    ('\u{631}', 2),
    ('\u{632}', 2),
    ('\u{633}', 4),
    ('\u{634}', 4),
    ('\u{635}', 4),
    ('\u{636}', 4),
    ('\u{637}', 4),
    ('\u{638}', 4),
    ('\u{639}', 4),
    ('\u{63a}', 4),
    ('\u{641}', 4),
    ('\u{642}', 4),
    ('\u{643}', 4),
    ('\u{644}', 4),
    ('\u{645}', 4),
    ('\u{646}', 4),
    ('\u{647}', 4),
    ('\u{648}', 2),
    ('\u{649}', 2),
    ('\u{64a}', 4),
];

/// Letters of Persian and Urdu in the block Arabic Presentation Forms-A: first form, number of
/// forms, letter.
const PERSIAN: [(u32, u32, char); 12] = [
    (0xfb50, 2, '\u{671}'),
    (0xfb56, 4, '\u{67e}'),
    (0xfb66, 4, '\u{679}'),
    (0xfb7a, 4, '\u{686}'),
    (0xfb88, 2, '\u{688}'),
    (0xfb8a, 2, '\u{698}'),
    (0xfb8c, 2, '\u{691}'),
    (0xfb8e, 4, '\u{6a9}'),
    (0xfb92, 4, '\u{6af}'),
    (0xfba6, 4, '\u{6c1}'),
    (0xfbae, 2, '\u{6d2}'),
    (0xfbfc, 4, '\u{6cc}'),
];

/// Appends a character as it is typed: Latin ligatures and Arabic presentation forms become their
/// letters (Unicode's compatibility decomposition); all else stays.
pub fn push_typed(out: &mut String, c: char) {
    let latin = match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        '\u{fef5}' | '\u{fef6}' => "\u{644}\u{622}",
        '\u{fef7}' | '\u{fef8}' => "\u{644}\u{623}",
        '\u{fef9}' | '\u{fefa}' => "\u{644}\u{625}",
        '\u{fefb}' | '\u{fefc}' => "\u{644}\u{627}",
        '\u{fdf2}' => "\u{627}\u{644}\u{644}\u{647}",
        _ => "",
    };
    if !latin.is_empty() {
        out.push_str(latin);
        return;
    }
    let code = u32::from(c);
    if (0xfe80..0xfef5).contains(&code) {
        let mut first = 0xfe80;
        for (letter, forms) in ARABIC {
            if code < first + forms {
                out.push(letter);
                return;
            }
            first += forms;
        }
    }
    let persian = PERSIAN
        .iter()
        .find(|(first, forms, _)| (*first..first + forms).contains(&code));
    out.push(persian.map_or(c, |&(_, _, letter)| letter));
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
    use unicode_normalization::UnicodeNormalization;

    #[test]
    fn presentation_forms_become_what_unicode_says() {
        let all = (0xfb00..=0xfb06u32)
            .chain(0xfe80..=0xfefc)
            .chain(PERSIAN.iter().flat_map(|&(first, n, _)| first..first + n))
            .filter_map(char::from_u32);
        for c in all {
            let mut typed = String::new();
            push_typed(&mut typed, c);
            let expected: String = c.nfkc().collect();
            assert_eq!(typed, expected, "U+{:04X}", u32::from(c));
        }
        for c in ['\u{b2}', '\u{bd}', '\u{2126}', 'a'] {
            let mut typed = String::new();
            push_typed(&mut typed, c);
            assert_eq!(typed, c.to_string());
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
