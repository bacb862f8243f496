//! The characters of an XHTML file without its document type.
//!
//! A document type's own entities are put in where they are used: plain text only, each once, so
//! none can grow.

use std::collections::HashMap;

/// The longest text that an entity of the book may stand for, in bytes.
const ENTITY_BYTES: usize = 200;
/// Attributes of one element that are kept; real ones have some ten. Indented tags have much white
/// space, so a few times as many separators are allowed.
const ATTRIBUTES: usize = 500;
/// Entities of a book that are looked at.
const ENTITIES: usize = 500;

/// The document without its `<!DOCTYPE ..>`, the entities declared in it replaced.
pub fn without_doctype(text: String) -> String {
    let Some(start) = find_doctype(&text) else {
        return text;
    };
    let bytes = text.as_bytes();
    let mut at = start;
    let (mut subset, mut quote) = (None, 0u8);
    let end = loop {
        let Some(&byte) = bytes.get(at) else {
            // Never closed: what follows is no document.
            break bytes.len();
        };
        match byte {
            b'"' | b'\'' if quote == 0 => quote = byte,
            _ if byte == quote => quote = 0,
            b'[' if quote == 0 && subset.is_none() => subset = Some(at + 1..at + 1),
            b']' if quote == 0 => {
                if let Some(range) = &mut subset {
                    range.end = at;
                }
            }
            b'>' if quote == 0
                && subset
                    .as_ref()
                    .is_none_or(|r| r.end > r.start || bytes[r.start] == b']') =>
            {
                break at + 1;
            }
            _ => {}
        }
        at += 1;
    };
    let declared = subset
        .map(|range| entities(&text[range]))
        .unwrap_or_default();
    let mut rest = String::with_capacity(text.len());
    rest.push_str(&text[..start]);
    expand(&text[end..], &declared, &mut rest);
    rest
}

fn find_doctype(text: &str) -> Option<usize> {
    // Only white space, comments and processing instructions may stand before it.
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|&b| b == b'<')?;
        let rest = &bytes[at..];
        if rest.len() >= 9 && rest[..9].eq_ignore_ascii_case(b"<!doctype") {
            return Some(at);
        }
        let (opening, closing) = if rest.starts_with(b"<!--") {
            (4, "-->")
        } else if rest.starts_with(b"<?") {
            (2, "?>")
        } else {
            return None;
        };
        at += opening + text.get(at + opening..)?.find(closing)? + closing.len();
    }
}

fn entities(subset: &str) -> HashMap<&str, &str> {
    let mut found = HashMap::new();
    for declaration in subset.split("<!ENTITY").skip(1).take(ENTITIES) {
        let declaration = declaration.trim_start();
        let Some((name, rest)) = declaration.split_once(char::is_whitespace) else {
            continue;
        };
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            continue;
        };
        let Some((value, _)) = rest[1..].split_once(quote) else {
            continue;
        };
        // Character references are left to the parser; a reference to another entity could grow.
        let refers = value
            .split('&')
            .skip(1)
            .any(|after| !after.starts_with('#'));
        if value.len() <= ENTITY_BYTES && !refers && !value.contains('<') {
            found.entry(name).or_insert(value);
        }
    }
    found
}

fn expand(text: &str, declared: &HashMap<&str, &str>, out: &mut String) {
    if declared.is_empty() {
        out.push_str(text);
        return;
    }
    let most = text.len().saturating_mul(2).max(1 << 16);
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..]
            .split(';')
            .next()
            .filter(|n| n.len() < rest.len() - 1);
        match name.and_then(|n| declared.get(n).map(|value| (n, value))) {
            Some((name, value)) if out.len() < most => {
                out.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

/// The document without the attributes of tags that have more than [`ATTRIBUTES`]: the parsers
/// compare each attribute with all before it.
pub fn tamed(text: String) -> String {
    let bytes = text.as_bytes();
    let mut wild = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|&b| b == b'<').map(|p| at + p) {
        at = start + 1;
        if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let name = bytes[at..]
            .iter()
            .take_while(|b| !b.is_ascii_whitespace() && **b != b'>' && **b != b'/');
        let name = at + name.count();
        let (mut words, mut quote) = (0, 0u8);
        // White space in values counts too where a quote is never closed; values with more words
        // than that are no attribute that is read.
        let end = bytes[name..].iter().position(|&b| {
            match b {
                b'"' | b'\'' if quote == 0 => quote = b,
                _ if b == quote => quote = 0,
                b'>' if quote == 0 => return true,
                _ if quote == 0 && (b.is_ascii_whitespace() || b == b'=' || b == b'/') => {
                    words += 1
                }
                _ => {}
            }
            false
        });
        let end = end.map_or(bytes.len(), |e| name + e);
        if words > 4 * ATTRIBUTES {
            wild.push(name..end);
        }
        at = end;
    }
    if wild.is_empty() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for range in wild {
        out.push_str(&text[from..range.start]);
        from = range.end;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_thousands_of_attributes_lose_them() {
        let many: String = (0..3_000).map(|n| format!(" a{n}='>'")).collect();
        let text = format!("<p a='1'>x</p><q{many}>y</q>");
        assert_eq!(tamed(text), "<p a='1'>x</p><q>y</q>");
        assert_eq!(tamed("<p a='".into()), "<p a='");
    }

    #[test]
    fn a_document_type_is_cut_and_its_entities_are_used() {
        let book = "<?xml?><!DOCTYPE html [<!ENTITY pub \"A > B\"><!ENTITY lol '&pub;&pub;'>]>\n<p>&pub; &lol; &amp;</p>";
        let cut = without_doctype(book.into());
        assert_eq!(cut, "<?xml?>\n<p>A > B &lol; &amp;</p>");
        assert_eq!(without_doctype("<!DOCTYPE html []>x".into()), "x");
        assert_eq!(
            without_doctype("<!-- <!DOCTYPE --><p/>".into()),
            "<!-- <!DOCTYPE --><p/>"
        );
        assert_eq!(
            without_doctype("<!DOCTYPE html PUBLIC \"-//[>\" 'x'><p/>".into()),
            "<p/>"
        );
        assert_eq!(without_doctype("<!DOCTYPE html [".into()), "");
    }
}
