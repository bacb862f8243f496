//! Bytes of a book's XML and XHTML files -> characters.
//!
//! EPUB allows UTF-8 and UTF-16, told by the mark or the first character (XML 1.0, appendix F);
//! files of old tools in Windows-1252 are read where they are no UTF-8 and say so.

/// What stands in a file, and whether characters had to be replaced.
pub fn decode(bytes: &[u8]) -> (String, bool) {
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        return narrow(rest);
    }
    let wide = |bytes: &[u8], big: bool| {
        let units = bytes.chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if big {
                u16::from_be_bytes(pair)
            } else {
                u16::from_le_bytes(pair)
            }
        });
        let mut bad = bytes.len() % 2 == 1;
        let text = char::decode_utf16(units)
            .map(|c| {
                c.unwrap_or_else(|_| {
                    bad = true;
                    char::REPLACEMENT_CHARACTER
                })
            })
            .collect();
        (text, bad)
    };
    match bytes {
        [0xFE, 0xFF, rest @ ..] => wide(rest, true),
        [0xFF, 0xFE, rest @ ..] => wide(rest, false),
        [0, b'<', ..] => wide(bytes, true),
        [b'<', 0, ..] => wide(bytes, false),
        _ => narrow(bytes),
    }
}

fn narrow(bytes: &[u8]) -> (String, bool) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.to_owned(), false);
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_ascii_lowercase();
    let latin = ["iso-8859-1", "windows-1252", "latin1", "us-ascii"];
    if latin.iter().any(|name| head.contains(name)) {
        return (bytes.iter().map(|&b| windows_1252(b)).collect(), false);
    }
    (String::from_utf8_lossy(bytes).into_owned(), true)
}

/// <https://encoding.spec.whatwg.org/index-windows-1252.txt>
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(decode("\u{feff}é".as_bytes()), ("é".into(), false));
        assert_eq!(decode(b"\xFE\xFF\0<\0a"), ("<a".into(), false));
        assert_eq!(decode(b"<\0a\0"), ("<a".into(), false));
        let latin = b"<?xml encoding='ISO-8859-1'?>\x93\xe9";
        assert!(decode(latin).0.ends_with("“é"));
        assert_eq!(decode(b"a\xff"), ("a\u{fffd}".into(), true));
    }
}
