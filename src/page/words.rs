//! Lines put together to a text: spaces, and hyphens at line ends. Pure.

use std::collections::HashSet;

/// The words of a page, in lower case: what stands there undivided shows how a divided word is
/// written.
#[derive(Debug, Default)]
pub struct Words(HashSet<String>);

/// First parts after which a hyphen is part of the word: those that English style guides give a
/// hyphen nearly always (Chicago Manual of Style, 17th edition, 7.89).
const FIRST_PARTS: [&str; 33] = [
    "all", "art", "body", "cross", "data", "double", "eight", "ex", "fine", "first", "five",
    "four", "full", "half", "hand", "high", "ill", "large", "long", "low", "mid", "multi", "one",
    "open", "quasi", "real", "second", "self", "short", "single", "small", "three", "well",
];

/// Second parts before which a hyphen is part of the word, after a first of three letters and more.
const SECOND_PARTS: [&str; 14] = [
    "aware",
    "based",
    "dependent",
    "derived",
    "driven",
    "free",
    "induced",
    "level",
    "mediated",
    "oriented",
    "producing",
    "rich",
    "sensitive",
    "specific",
];

/// Words after which a hyphen before them stands for a part left out: "pre- and post-war".
const SUSPENDING: [&str; 10] = ["and", "or", "to", "und", "oder", "et", "ou", "y", "o", "en"];

/// Chinese and Japanese: characters and their punctuation, which are set without spaces.
pub fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Space,
    /// As they stand.
    Close,
    /// Without the hyphen at the end of the first.
    Undivide,
}

impl Words {
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut words = HashSet::new();
        for word in texts.flat_map(str::split_whitespace) {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !is_hyphen(c));
            if !word.is_empty() && !word.ends_with(is_hyphen) && !word.starts_with(is_hyphen) {
                words.insert(plain(word));
            }
        }
        Self(words)
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&plain(word))
    }

    /// Appends a line to a text.
    pub fn append(&self, text: &mut String, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if !text.is_empty() {
            match self.between(text, line) {
                Join::Space => text.push(' '),
                Join::Close => {}
                Join::Undivide => drop(text.pop()),
            }
        }
        text.push_str(line);
    }

    fn between(&self, text: &str, line: &str) -> Join {
        let mut back = text.chars().rev();
        let (Some(last), before) = (back.next(), back.next()) else {
            return Join::Space;
        };
        let first = line.chars().next().unwrap_or(' ');
        let letter = before.is_some_and(char::is_alphanumeric);
        if last == '\u{ad}' {
            return Join::Undivide;
        }
        if is_unspaced(last) && is_unspaced(first) {
            return Join::Close;
        }
        if is_hyphen(last) && letter {
            return self.hyphen(text, line);
        }
        // Ranges, and dashes set without spaces.
        if matches!(last, '\u{2013}' | '\u{2014}') && letter && first.is_alphanumeric() {
            return Join::Close;
        }
        let token = text.rsplit(char::is_whitespace).next().unwrap_or_default();
        let address = token.contains("://") || token.starts_with("www.");
        if address && matches!(last, '/' | '_' | '=' | '&' | '?' | '%' | '#') {
            return Join::Close;
        }
        Join::Space
    }

    /// A text that ends in a letter or figure and a hyphen, and what follows.
    fn hyphen(&self, text: &str, line: &str) -> Join {
        let mut head = text.to_owned();
        head.pop();
        let start = head
            .char_indices()
            .rev()
            .find(|(_, c)| !c.is_alphanumeric() && !is_hyphen(*c) && !is_apostrophe(*c))
            .map_or(0, |(i, c)| i + c.len_utf8());
        let first = &head[start..];
        let second: String = line
            .chars()
            .take_while(|&c| c.is_alphanumeric() || is_hyphen(c) || is_apostrophe(c))
            .collect();
        let second = second.trim_end_matches(is_hyphen);
        let Some(next) = second.chars().next() else {
            return Join::Space;
        };
        if SUSPENDING.contains(&second) && line.len() > second.len() {
            return Join::Space;
        }
        if self.has(&format!("{first}-{second}")) {
            return Join::Close;
        }
        if self.has(&format!("{first}{second}")) {
            return Join::Undivide;
        }
        let capitals = |s: &str| s.chars().all(char::is_uppercase);
        let divided = next.is_lowercase()
            && first.chars().next_back().is_some_and(char::is_lowercase)
            || capitals(first) && capitals(second) && first.len() > 1 && second.len() > 1;
        // "state-of-the-art", where the part before the hyphen is a word.
        let last = first.rsplit(is_hyphen).next().unwrap_or(first);
        let several = last.len() < first.len() && (last.len() < 4 || self.has(last));
        let compound = several
            || FIRST_PARTS.contains(&plain(first).as_str())
            || first.chars().count() > 2 && SECOND_PARTS.contains(&second);
        if divided && !compound {
            Join::Undivide
        } else {
            Join::Close
        }
    }
}

/// Whether a text ends a sentence, or announces what follows: another text does not go on with it.
pub fn is_ended(text: &str) -> bool {
    let text = text.trim_end();
    // Marks of notes stand after the sentence.
    let text = text
        .strip_suffix("</sup>")
        .map_or(text, |t| t.rfind("<sup>").map_or(t, |at| &t[..at]));
    let end = text.trim_end_matches(|c: char| {
        matches!(
            c,
            '"' | '\''
                | '\u{201c}'
                | '\u{201d}'
                | '\u{2019}'
                | '\u{bb}'
                | ')'
                | ']'
                | '\u{300d}'
                | '\u{300f}'
                | '\u{ff09}'
        ) || matches!(c, '\u{b9}' | '\u{b2}' | '\u{b3}' | '\u{2070}'..='\u{2079}')
            || c.is_whitespace()
    });
    end.ends_with(|c| {
        matches!(
            c,
            '.' | '!' | '?' | ':' | '\u{2026}' | '\u{3002}' | '\u{ff01}' | '\u{ff1f}' | '\u{ff1a}'
        )
    })
}

/// Whether a text can only go on with another: it begins in lower case, with more than a mark.
pub fn is_continued(text: &str) -> bool {
    let text = text.trim_start_matches(['(', '"', '\u{201c}', '\u{2018}', '\'']);
    let mut word = text.chars().take_while(|c| c.is_alphanumeric());
    let Some(first) = word.next() else {
        return false;
    };
    let token = text.split_whitespace().next().unwrap_or_default();
    let address = token.contains('@') || token.contains("://") || token.starts_with("www.");
    first.is_lowercase() && (first.is_ascii() || word.next().is_some()) && !address
}

/// Whether the last word of a text is divided.
pub fn is_divided(text: &str) -> bool {
    let mut back = text.trim_end().chars().rev();
    back.next().is_some_and(|c| is_hyphen(c) || c == '\u{ad}')
        && back.next().is_some_and(char::is_alphanumeric)
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

fn plain(word: &str) -> String {
    word.chars()
        .map(|c| if is_hyphen(c) { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(page: &str, text: &str, line: &str) -> String {
        let mut text = text.to_owned();
        Words::of([page].into_iter()).append(&mut text, line);
        text
    }

    #[test]
    fn a_divided_word_is_written_as_elsewhere_on_the_page() {
        assert_eq!(joined("", "an exam-", "ple of"), "an example of");
        assert_eq!(joined("a Re-use of", "to re-", "use it"), "to re-use it");
        assert_eq!(joined("reuse", "to re-", "use it"), "to reuse it");
        assert_eq!(
            joined("(Data-Driven)", "a data-", "driven"),
            "a data-driven"
        );
        assert_eq!(joined("", "a self-", "made"), "a self-made");
        assert_eq!(joined("", "state-of-the-", "art"), "state-of-the-art");
        assert_eq!(
            joined("", "methyl-decatrie-", "noic"),
            "methyl-decatrienoic"
        );
        assert_eq!(joined("", "acid-", "producing"), "acid-producing");
        assert_eq!(joined("", "soft\u{ad}", "ware"), "software");
        assert_eq!(joined("", "INTRODUC-", "TION"), "INTRODUCTION");
    }

    #[test]
    fn a_hyphen_that_divides_no_word_stays() {
        assert_eq!(joined("", "COVID-", "19"), "COVID-19");
        assert_eq!(joined("", "Levi-", "Civita"), "Levi-Civita");
        assert_eq!(joined("", "pre-", "and post-war"), "pre- and post-war");
        assert_eq!(joined("", "a -", "b"), "a - b");
        assert_eq!(joined("", "1990\u{2013}", "1995"), "1990\u{2013}1995");
        assert_eq!(joined("", "see https://a.org/", "b"), "see https://a.org/b");
        assert_eq!(joined("", "and/", "or"), "and/ or");
    }

    #[test]
    fn scripts_without_spaces_get_none() {
        assert_eq!(joined("", "\u{4e00}", "\u{4e8c}"), "\u{4e00}\u{4e8c}");
        assert_eq!(joined("", "\u{4e00}", "a"), "\u{4e00} a");
        assert_eq!(joined("", "a", "  "), "a");
    }

    #[test]
    fn ends_of_sentences_are_seen_behind_marks_and_quotes() {
        for ended in [
            "a.",
            "a.\u{201d}",
            "a.<sup>12</sup>",
            "a.\u{b9}",
            "\u{4e00}\u{3002}",
            "as follows:",
        ] {
            assert!(is_ended(ended), "{ended}");
        }
        for open in ["a", "a,", "a (b)", "a;", "exam-"] {
            assert!(!is_ended(open), "{open}");
        }
        assert!(!is_continued("me@there.org") && !is_continued("https://a.org"));
        assert!(!is_continued("\u{3b2} A name") && !is_continued("\u{3b2}"));
        assert!(is_continued("(and so") && !is_continued("And") && !is_continued("12"));
        assert!(is_divided("exam-") && !is_divided("a -") && !is_divided("a"));
    }
}
