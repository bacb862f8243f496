//! Text as Markdown that reads back as that text.

/// Where a text stands: what is markup there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Paragraph,
    /// One line: `#` at its end and `{..}` would be no text.
    Heading,
    /// One line in a row of a pipe table.
    Cell,
}

/// Escapes a run of text in a line. `before` is the character before it; `last`: no text follows
/// in the same run, so what follows may be a link.
pub fn text(text: &str, place: Place, before: Option<char>, out: &mut String) {
    let mut previous = before;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '$' | '~' | '^' | '|' => true,
            // Within a word it is none.
            '_' => {
                !(previous.is_some_and(char::is_alphanumeric)
                    && next.is_some_and(char::is_alphanumeric))
            }
            '&' => next.is_none_or(|n| n == '#' || n.is_ascii_alphabetic()),
            '!' => next.is_none_or(|n| n == '['),
            '#' | '{' | '}' => place == Place::Heading,
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        match c {
            // Newlines are breaks elsewhere; what is left would break a line.
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
        previous = Some(c);
    }
}

/// Escapes what would begin a block at the start of a line that is otherwise ready.
pub fn line_start(line: &str) -> String {
    let Some(first) = line.chars().next() else {
        return String::new();
    };
    // `+++`, `:::`, `===`, `- `, `> `, `# `, `%%%` and tables' `:-`.
    if matches!(first, '#' | '>' | '-' | '+' | '=' | ':') {
        return format!("\\{line}");
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=9).contains(&digits) && line[digits..].starts_with(['.', ')']) {
        return format!("{}\\{}", &line[..digits], &line[digits..]);
    }
    // A tab, or a space that is no ASCII space: Markdown trims the one, HTML keeps the other.
    if matches!(first, '\t' | '\u{b}' | '\u{c}') {
        return format!("&#{};{}", u32::from(first), &line[first.len_utf8()..]);
    }
    line.to_owned()
}

/// Text in HTML.
pub fn html(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
}

/// An address between `<` and `>`, or in an attribute.
pub fn address(to: &str) -> String {
    let mut out = String::with_capacity(to.len());
    for c in to.chars() {
        match c {
            c if c.is_whitespace() || c.is_control() || "<>\"\\`|".contains(c) => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}
