//! Printed text as Markdown that reads as that text. Escapes only what would be markup. Pure.

/// A paragraph: also its beginning must be no heading, list or quotation.
pub fn paragraph(text: &str) -> String {
    let text = inline(text);
    let Some(first) = text.chars().next() else {
        return text;
    };
    let rest = &text[first.len_utf8()..];
    let word_end = rest.is_empty() || rest.starts_with(' ');
    let block = match first {
        '#' => {
            rest.trim_start_matches('#').starts_with(' ') || rest.trim_start_matches('#').is_empty()
        }
        '>' => true,
        '-' | '+' | '*' => word_end || is_rule(&text),
        '=' => is_rule(&text),
        _ => false,
    };
    if block {
        return format!("\\{text}");
    }
    // A year at the end of a sentence is no number of an item; those that are were seen as such.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (4..=9).contains(&digits) && (text[digits..].starts_with(". ") || &text[digits..] == ".") {
        return format!("{}\\{}", &text[..digits], &text[digits..]);
    }
    text
}

/// A line of one sign only.
fn is_rule(text: &str) -> bool {
    let mut signs = text.chars().filter(|c| *c != ' ');
    let first = signs.next();
    signs.all(|c| Some(c) == first)
}

/// A text within a line.
pub fn inline(text: &str) -> String {
    let text = text.trim();
    let chars: Vec<char> = text.chars().collect();
    let stars = emphasis(&chars, '*');
    let lows = emphasis(&chars, '_');
    let ticks = chars.iter().filter(|c| **c == '`').count() > 1;
    let mut out = String::with_capacity(text.len() + 8);
    for (i, &c) in chars.iter().enumerate() {
        let after = &chars[i + 1..];
        let markup = match c {
            '*' => stars && is_flank(&chars, i),
            '_' => lows && is_flank(&chars, i) && !is_within(&chars, i),
            '<' => is_tag(after),
            '&' => is_entity(after),
            '~' => after.first() == Some(&'~'),
            '`' => ticks,
            // A link, or the definition of one, which would show nothing.
            ']' => match after.first() {
                Some('(') => true,
                Some(':') => chars[0] == '[' && !chars[..i].contains(&']'),
                _ => false,
            },
            '\\' => after.first().is_some_and(char::is_ascii_punctuation),
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether a sign could both open and close emphasis.
fn emphasis(chars: &[char], sign: char) -> bool {
    let flanks = (0..chars.len()).filter(|&i| {
        chars[i] == sign && is_flank(chars, i) && !(sign == '_' && is_within(chars, i))
    });
    flanks.count() > 1
}

/// Whether a sign touches a word.
fn is_flank(chars: &[char], i: usize) -> bool {
    let filled = |c: Option<&char>| c.is_some_and(|c| !c.is_whitespace());
    filled(i.checked_sub(1).and_then(|i| chars.get(i))) || filled(chars.get(i + 1))
}

fn is_within(chars: &[char], i: usize) -> bool {
    let letter = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric());
    letter(i.checked_sub(1).and_then(|i| chars.get(i))) && letter(chars.get(i + 1))
}

/// Whether what follows a `<` makes it a tag; those of raised and lowered text are meant.
fn is_tag(after: &[char]) -> bool {
    // The end of a tag may stand in the next line.
    let kept = ["sup>", "/sup>", "sub>", "/sub>"]
        .iter()
        .any(|tag| tag.chars().eq(after.iter().take(tag.len()).copied()));
    let begins = |c: &char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?');
    !kept && after.first().is_some_and(begins)
}

/// Whether what follows a `&` makes it a character reference.
fn is_entity(after: &[char]) -> bool {
    let end = after
        .iter()
        .take(9)
        .position(|&c| c == ';')
        .unwrap_or_default();
    (2..=8).contains(&end)
        && after[..end]
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || *c == '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_be_markup_is_escaped() {
        for (text, written) in [
            ("# of items", "\\# of items"),
            ("#1 is", "#1 is"),
            ("- a", "\\- a"),
            ("-5 degrees", "-5 degrees"),
            ("***", "\\*\\*\\*"),
            ("---", "\\---"),
            ("1986. A year", "1986\\. A year"),
            ("1. An item", "1. An item"),
            ("3.14 is", "3.14 is"),
            ("> 5", "\\> 5"),
        ] {
            assert_eq!(paragraph(text), written);
        }
        for (text, written) in [
            ("a * b * c", "a * b * c"),
            ("*p < 0.05, **p", "\\*p < 0.05, \\*\\*p"),
            ("a footnote*", "a footnote*"),
            ("snake_case_name", "snake_case_name"),
            ("_a_", "\\_a\\_"),
            ("x <y and 2 < 3", "x \\<y and 2 < 3"),
            // The tag may end in the next line.
            ("<img src=x", "\\<img src=x"),
            ("[1]: a", "[1\\]: a"),
            ("<b>x</b>", "\\<b>x\\</b>"),
            ("10<sup>3</sup>", "10<sup>3</sup>"),
            ("AT&T; &amp; R&D", "AT&T; \\&amp; R&D"),
            ("[1](2)", "[1\\](2)"),
            ("~5", "~5"),
        ] {
            assert_eq!(inline(text), written);
        }
    }
}
