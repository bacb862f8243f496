//! Fonts by their names: how their letters look, and what the codes of TeX's fonts of mathematics
//! stand for. Pure.
//!
//! pdfTeX's files often have no map to Unicode: pdfium then goes by the names of the glyphs (Adobe
//! Glyph List), and gives the code itself as the character where it does not know the name. The
//! encodings are those of Computer Modern (Knuth, The TeXbook, appendix F: OML is "math italic",
//! OMS "math symbols", OMX "math extension") and of the AMS's symbols (amssymb.sty).

use crate::page::CharStyle;

/// A TeX font of mathematics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Oml,
    Oms,
    Omx,
    Msa,
    Msb,
}

/// Beginnings of the names of fonts with these encodings: Computer Modern, Latin Modern, the AMS,
/// TX and PX fonts.
const FONTS: [(&str, Encoding); 21] = [
    ("CMMI", Encoding::Oml),
    ("LMMATHITALIC", Encoding::Oml),
    ("RTXMI", Encoding::Oml),
    ("TXMI", Encoding::Oml),
    ("RPXMI", Encoding::Oml),
    ("PXMI", Encoding::Oml),
    ("CMSY", Encoding::Oms),
    ("CMBSY", Encoding::Oms),
    ("LMMATHSYMBOLS", Encoding::Oms),
    ("TXSY", Encoding::Oms),
    ("TXBSY", Encoding::Oms),
    ("PXSY", Encoding::Oms),
    ("PXBSY", Encoding::Oms),
    ("CMEX", Encoding::Omx),
    ("LMMATHEXTENSION", Encoding::Omx),
    ("TXEX", Encoding::Omx),
    ("PXEX", Encoding::Omx),
    ("EUEX", Encoding::Omx),
    ("MSAM", Encoding::Msa),
    ("MSBM", Encoding::Msb),
    ("LMMATHBSYMBOLS", Encoding::Oms),
];

/// What stands at the codes from 0 on; U+FFFD for what has no character. The bar that begins \mapsto
/// has that arrow's.
const OML: &str = "ΓΔΘΛΞΠΣΥΦΨΩαβγδϵζηθικλμνξπρστυϕχψωεϑϖϱςφ↼↽⇀⇁\u{fffd}\u{fffd}▷◁0123456789.,</>⋆∂\
                   ABCDEFGHIJKLMNOPQRSTUVWXYZ♭♮♯⌣⌢ℓabcdefghijklmnopqrstuvwxyzıȷ℘\u{20d7}\u{fffd}";
const OMS: &str = "−⋅×∗÷⋄±∓⊕⊖⊗⊘⊙○∘∙≍≡⊆⊇≤≥⪯⪰∼≈⊂⊃≪≫≺≻←→↑↓↔↗↘≃⇐⇒⇑⇓⇔↖↙∝′∞∈∋△▽\u{338}↦∀∃¬∅ℜℑ⊤⊥ℵ\
                   ABCDEFGHIJKLMNOPQRSTUVWXYZ∪∩⊎∧∨⊢⊣⌊⌋⌈⌉{}⟨⟩|‖↕⇕∖≀√∐∇∫⊔⊓⊑⊒§†‡¶♣♢♡♠";
/// U+23B7, U+23D0 and U+231C stand for the parts of a radical (bottom, middle and top), U+256D to
/// U+2570 for those of braces that lie along the line.
const OMX: &str = "()[]⌊⌋⌈⌉{}⟨⟩|‖/\\()()[]⌊⌋⌈⌉{}⟨⟩/\\()[]⌊⌋⌈⌉{}⟨⟩/\\/\\⎛⎞⎡⎤⎣⎦⎢⎥⎧⎫⎩⎭⎨⎬⎪⏐\
                   ⎝⎠⎜⎟⟨⟩⨆⨆∮∮⨀⨀⨁⨁⨂⨂∑∏∫⋃⋂⨄⋀⋁∑∏∫⋃⋂⨄⋀⋁∐∐ˆˆˆ˜˜˜[]⌊⌋⌈⌉{}√√√√⎷⏐⌜‖↑↓\
                   ╭╮╰╯⇑⇓";
const MSA: &str = "⊡⊞⊠□■·◊⧫↻↺⇌⇋⊟⊩⊪⊨↠↞⇇⇉⇈⇊↾⇂↿⇃↣↢⇆⇄↰↱⇝↭↫↬≗≿≳⪆⊸∴∵≑≜≾≲⪅⪕⪖⋞⋟≼≦⩽≶‵\u{fffd}≓≒≽≧⩾≷\
                   ⊏⊐▷◁⊵⊴★≬▾▸◂\u{fffd}\u{fffd}△▲▽≖⋚⋛⪋⪌¥⇛⇚✓⊻⊼⩞∠∡∢∝⌣⌢⋐⋑⋓⋒⋏⋎⋋⋌⫅⫆≏≎⋘⋙⌜⌝®Ⓢ⋔∔∽⋍⌞⌟✠∁⊺⊚⊛⊝";
const MSB: &str = "≨≩≰≱≮≯⊀⊁≨≩≰≱⪇⪈⋠⋡⋨⋩⋦⋧≰≱⪵⪶⪹⪺⪉⪊≁≇∕∖⊊⊋⊈⊉⫋⫌⫋⫌⊊⊋⊈⊉∦∤∤∦⊬⊮⊭⊯⋭⋬⋪⋫↚↛⇍⇏⇎↮⋇∅\
                   ∄ABCDEFGHIJKLMNOPQRSTUVWXYZˆˆ˜˜\u{fffd}ℲG\u{fffd}\u{fffd}\u{fffd}\u{fffd}℧ð≂ℶℷℸ⋖⋗⋉⋊∣∥∖∼≈≊⪸⪷↶↷ϝϰ𝕜ℏℏ϶";

/// Parts of brackets and integrals from U+F8EB on, where Adobe's list of names has them.
const PARTS: &str = "⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪⎮⎞⎟⎠⎤⎥⎦⎫⎬⎭";

/// The name without the mark of a subset ("ABCDEF+"), in capitals.
fn bare(name: &str) -> String {
    let name = match name.get(..7) {
        Some(mark) if mark.bytes().take(6).all(|b| b.is_ascii_uppercase()) => {
            match mark.as_bytes()[6] {
                b'+' | b'_' => &name[7..],
                _ => name,
            }
        }
        _ => name,
    };
    name.to_ascii_uppercase()
}

/// A font by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Font {
    encoding: Option<Encoding>,
    style: CharStyle,
}

impl Font {
    /// `name` as the file has it.
    pub fn new(name: &str) -> Self {
        let name = bare(name);
        let encoding = FONTS
            .iter()
            .find(|(start, _)| name.starts_with(start))
            .map(|&(_, encoding)| encoding);
        Self {
            encoding,
            style: style(&name),
        }
    }

    /// How one of its characters looks: the letters alone are calligraphic, or double-struck.
    pub fn style(&self, ch: char) -> CharStyle {
        match self.encoding {
            Some(Encoding::Oms) if ch.is_ascii_uppercase() => CharStyle::Script,
            Some(Encoding::Msb) if ch.is_ascii_uppercase() => CharStyle::Double,
            Some(Encoding::Oms | Encoding::Omx | Encoding::Msa | Encoding::Msb) => {
                CharStyle::Upright
            }
            Some(Encoding::Oml) | None => self.style,
        }
    }

    /// Whether its glyphs reach other than their font's ascent and descent say.
    pub fn is_of_signs(&self, ch: char) -> bool {
        match self.encoding {
            Some(Encoding::Oml) => !ch.is_ascii_alphanumeric(),
            encoding => encoding.is_some(),
        }
    }

    /// Whether a comma or hyphen that stands wholly above its baseline, as the outlines say, is the
    /// hook of an arrow, which has that code.
    pub fn is_hook(&self, ch: char, above: bool) -> bool {
        self.encoding == Some(Encoding::Oml) && matches!(ch, ',' | '-') && above
    }

    /// What a character of it is; `advance` in font sizes.
    ///
    /// The names that pdfium knows give what is no code, or a character that the font has as such.
    /// Some files map the brackets of OMX to plain ones, which are codes of other signs there: the
    /// advances (from cmex10's metrics) tell them apart.
    pub fn sign(&self, ch: char, advance: f32) -> char {
        if let 0xf8eb..=0xf8fe = u32::from(ch) {
            return PARTS
                .chars()
                .nth(ch as usize - 0xf8eb)
                .unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let Some(encoding) = self.encoding else {
            return ch;
        };
        // A space is one, but for the code of a bracket.
        if ch == ' ' && (encoding != Encoding::Omx || advance < 0.7) {
            return ch;
        }
        let table = match encoding {
            Encoding::Oml => match ch {
                // \epsilon is 0.41 wide and \varepsilon 0.47; the list of names has one for both.
                'ε' | 'ϵ' => return if advance < 0.44 { 'ϵ' } else { 'ε' },
                '☆' => return '⋆',
                '.' if advance > 0.4 => return '▷',
                '.' | ',' | '<' | '>' | '/' => return ch,
                _ => OML,
            },
            Encoding::Oms => match ch {
                '-' if advance < 0.9 => return '−',
                '*' => return '∗',
                '\\' => return '∖',
                // One name stands for both signs, which look alike.
                '∥' => return '‖',
                '{' | '}' | '|' => return ch,
                _ => OMS,
            },
            Encoding::Omx => match ch {
                '(' | ')' if advance < 0.8 => return ch,
                '[' | ']' if advance < 0.9 => return ch,
                '{' | '}' | '|' if !(0.43..0.5).contains(&advance) => return ch,
                '/' => return ch,
                '\\' if (0.55..0.6).contains(&advance) || advance > 1.2 => return ch,
                '<' | '>' if advance < 0.88 => return ch,
                _ => OMX,
            },
            Encoding::Msa => MSA,
            Encoding::Msb => MSB,
        };
        if u32::from(ch) < 0x80 {
            table
                .chars()
                .nth(ch as usize)
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        } else {
            ch
        }
    }
}

/// How letters look, by the words and shorthands of names: `name` in capitals.
fn style(name: &str) -> CharStyle {
    let starts = |all: &[&str]| all.iter().any(|start| name.starts_with(start));
    let has = |all: &[&str]| all.iter().any(|part| name.contains(part));
    if starts(&["CMMIB", "CMBXTI", "SFBI", "LMMATHITALIC-BOLD"]) {
        return CharStyle::BoldItalic;
    }
    if starts(&["EUFM", "EUFB"]) || has(&["FRAKTUR"]) {
        return CharStyle::Fraktur;
    }
    if starts(&["RSFS", "EUSM", "EUSB"]) {
        return CharStyle::Script;
    }
    if starts(&["DSROM", "BBOLD", "BBM"]) {
        return CharStyle::Double;
    }
    if starts(&["CMTT", "CMSLTT", "SFTT", "LMMONO"]) || has(&["COURIER", "MONO"]) {
        return CharStyle::Mono;
    }
    if starts(&["CMSS", "SFSS", "LMSANS"]) {
        return CharStyle::Sans;
    }
    let italic = starts(&[
        "CMMI", "CMTI", "CMSL", "SFTI", "SFSL", "SFCI", "RTXMI", "TXMI", "RPXMI",
    ]) || starts(&["PXMI", "LMMATHITALIC"])
        || has(&["ITALIC", "OBLIQUE", "SLANTED"])
        || name.ends_with("-IT")
        || name.ends_with("ITAL");
    let bold =
        starts(&["CMBX", "CMB1", "SFBX"]) || has(&["BOLD", "BLACK"]) || name.ends_with("-BD");
    match (bold, italic) {
        (true, true) => CharStyle::BoldItalic,
        (true, false) => CharStyle::Bold,
        (false, true) => CharStyle::Italic,
        (false, false) => CharStyle::Upright,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_sign_for_every_code() {
        for table in [OML, OMS, OMX, MSA, MSB] {
            assert_eq!(table.chars().count(), 128, "{table}");
        }
    }

    #[test]
    fn codes_become_what_the_fonts_show() {
        for (name, ch, advance, sign) in [
            ("CMEX10", 'X', 1.444, '∑'),
            ("ABCDEF+CMEX10", 'Z', 0.556, '∫'),
            ("CMEX10", '\u{10}', 0.597, '('),
            ("CMEX10", ' ', 0.792, '('),
            ("CMEX10", ' ', 0.333, ' '),
            ("CMEX10", '(', 0.806, '{'),
            ("CMEX10", '(', 0.736, '('),
            ("CMEX10", '\u{76}', 1.056, '⌜'),
            ("CMSY7", '0', 0.3, '′'),
            ("CMSY10", 'h', 0.389, '⟨'),
            ("CMEX10", '\u{f8ee}', 0.667, '⎡'),
            ("Symbol", '\u{f8fe}', 0.5, '⎭'),
            ("CMEX10", '}', 0.48, '╯'),
            ("CMSY10", 'L', 0.69, 'L'),
            ("CMSY10", '{', 0.5, '{'),
            ("CMSY10", '−', 0.778, '−'),
            ("CMMI10", '\u{22}', 0.466, 'ε'),
            ("CMMI10", 'ε', 0.406, 'ϵ'),
            ("CMMI10", '`', 0.417, 'ℓ'),
            ("CMMI10", 'x', 0.57, 'x'),
            ("MSBM10", '*', 0.778, '⊈'),
            ("MSAM10", '6', 0.778, '⩽'),
            ("CMR10", '(', 0.389, '('),
        ] {
            assert_eq!(Font::new(name).sign(ch, advance), sign, "{name} {ch:?}");
        }
    }

    #[test]
    fn names_tell_how_letters_look() {
        for (name, ch, style) in [
            ("CMMI10", 'x', CharStyle::Italic),
            ("XYZABC_CMMIB8", 'x', CharStyle::BoldItalic),
            ("CMSY10", 'L', CharStyle::Script),
            ("CMSY10", '∞', CharStyle::Upright),
            ("MSBM10", 'R', CharStyle::Double),
            ("CMR10", 'd', CharStyle::Upright),
            ("CMBX12", 'd', CharStyle::Bold),
            ("TimesNewRomanPS-BoldItalicMT", 'd', CharStyle::BoldItalic),
            ("CambriaMath", 'd', CharStyle::Upright),
        ] {
            assert_eq!(Font::new(name).style(ch), style, "{name} {ch}");
        }
    }
}
