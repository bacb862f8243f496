//! The dictionary of a recognition model, and the script of each of its classes.

/// What kind of writing a class belongs to. Decided once, when a model is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Digits, punctuation, signs, space, CTC's blank: at home in every line.
    Common,
    /// Latin letters of living languages.
    Latin,
    /// Greek letters: in Latin lines they are formulas, or names.
    Greek,
    /// Letters of phonetic notation and of dead orthographies: U+0180 to U+02AF, which hold
    /// look-alikes of common letters.
    Rare,
    /// Han and kana.
    Cjk,
    /// Full-width forms, and the punctuation of Chinese and Japanese.
    Wide,
    /// Pictographs.
    Picture,
}

/// Class 0 is CTC's blank.
pub struct Alphabet {
    marks: Vec<String>,
    scripts: Vec<Script>,
    /// By class: whether it is one of the classes that a Latin line may hold.
    latin: Vec<bool>,
}

impl Alphabet {
    /// From the lines of the model's metadata `character`; a space follows them.
    pub fn new(characters: &str) -> Self {
        let mut marks = vec![String::new()];
        marks.extend(characters.lines().map(str::to_owned));
        marks.push(" ".into());
        let scripts: Vec<Script> = marks
            .iter()
            .map(|m| m.chars().next().map_or(Script::Common, script))
            .collect();
        let latin = scripts
            .iter()
            .enumerate()
            .map(|(class, s)| {
                class > 0 && matches!(s, Script::Common | Script::Latin | Script::Greek)
            })
            .collect();
        Self {
            marks,
            scripts,
            latin,
        }
    }

    pub fn classes(&self) -> usize {
        self.marks.len()
    }

    /// The characters of a class; none of the blank.
    pub fn mark(&self, class: usize) -> &str {
        self.marks.get(class).map_or("", String::as_str)
    }

    /// The first character of a class.
    pub fn first(&self, class: usize) -> Option<char> {
        self.mark(class).chars().next()
    }

    pub fn script(&self, class: usize) -> Script {
        self.scripts.get(class).copied().unwrap_or(Script::Common)
    }

    /// The class of a character.
    pub fn class(&self, c: char) -> Option<usize> {
        self.marks
            .iter()
            .position(|m| m.starts_with(c) && m.len() == c.len_utf8())
    }

    /// By class: whether a Latin line may hold it. The blank is none.
    pub fn latin(&self) -> &[bool] {
        &self.latin
    }
}

/// The script of a character, by Unicode's blocks.
pub fn script(c: char) -> Script {
    match c {
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{17f}' if !matches!(c, '\u{d7}' | '\u{f7}') => {
            Script::Latin
        }
        // Romanian, Vietnamese and pinyin stand apart from their fellows.
        '\u{1a0}'
        | '\u{1a1}'
        | '\u{1af}'
        | '\u{1b0}'
        | '\u{1cd}'..='\u{1dc}'
        | '\u{218}'..='\u{21b}' => Script::Latin,
        '\u{180}'..='\u{2af}' => Script::Rare,
        '\u{1e00}'..='\u{1eff}' | '\u{fb00}'..='\u{fb06}' => Script::Latin,
        '\u{370}'..='\u{3ff}' => Script::Greek,
        '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' => Script::Cjk,
        '\u{2e80}'..='\u{2fdf}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}' => Script::Cjk,
        '\u{3000}'..='\u{303f}'
        | '\u{30fb}'
        | '\u{3100}'..='\u{33ff}'
        | '\u{fe10}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ffef}' => Script::Wide,
        '\u{1f000}'..='\u{1faff}' => Script::Picture,
        _ => Script::Common,
    }
}

/// The form of a full-width character that Latin text has.
pub fn narrow(c: char) -> Option<char> {
    match c {
        // The block of full-width forms repeats ASCII in its order.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\u{3000}' => Some(' '),
        '\u{3001}' => Some(','),
        '\u{3002}' => Some('.'),
        '\u{3008}' => Some('<'),
        '\u{3009}' => Some('>'),
        '\u{3010}' | '\u{3014}' | '\u{3016}' => Some('['),
        '\u{3011}' | '\u{3015}' | '\u{3017}' => Some(']'),
        '\u{300a}' => Some('\u{ab}'),
        '\u{300b}' => Some('\u{bb}'),
        '\u{301c}' => Some('~'),
        '\u{30fb}' | '\u{ff65}' => Some('\u{b7}'),
        '\u{ffe5}' => Some('\u{a5}'),
        _ => None,
    }
}

/// What a lone ideograph in Latin text may be instead, the likeliest first: signs and letters of
/// the same strokes.
pub fn alike(c: char) -> &'static [char] {
    match c {
        '\u{4e00}' | '\u{30fc}' => &['\u{2014}', '\u{2013}', '-', '\u{2212}', '_'], // 一 ー
        '\u{4e28}' => &['|', 'I', 'l', '1'],                                        // 丨
        '\u{53e3}' | '\u{56d7}' | '\u{30ed}' => &['\u{25a1}', '\u{2610}', 'D'],     // 口 囗 ロ
        '\u{3007}' => &['O', '0', 'o', '\u{25cb}'],                                 // 〇
        '\u{4e8c}' | '\u{30cb}' => &['=', ':'],                                     // 二 ニ
        '\u{4e09}' => &['\u{2261}', 'E'],                                           // 三
        '\u{5de5}' | '\u{30a8}' => &['I'],                                          // 工 エ
        '\u{5341}' => &['+', '\u{2020}', 't'],                                      // 十
        '\u{4e36}' | '\u{4e3f}' => &[',', '/', '\u{2019}'],                         // 丶 丿
        '\u{30ce}' => &['/', ','],                                                  // ノ
        '\u{30d8}' | '\u{3078}' => &['^'],                                          // ヘ へ
        '\u{516b}' | '\u{30cf}' => &['/'],                                          // 八 ハ
        '\u{4e42}' | '\u{30e1}' => &['X', 'x', '\u{d7}'],                           // 乂 メ
        '\u{4e05}' | '\u{4e01}' => &['T', 'J'],                                     // 丅 丁
        '\u{4e5a}' => &['L'],                                                       // 乚
        '\u{5c71}' => &['W', '\u{3a9}'],                                            // 山
        '\u{65e5}' | '\u{66f0}' => &['B', '8'],                                     // 日 曰
        '\u{7530}' => &['\u{229e}'],                                                // 田
        '\u{4ea4}' => &['x'],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_script_of_their_character() {
        let alphabet =
            Alphabet::new("a\n\u{3b1}\n\u{4e00}\n\u{30a2}\n\u{ff0c}\n7\n\u{251}\n\u{1f600}");
        let scripts: Vec<_> = (0..alphabet.classes())
            .map(|c| alphabet.script(c))
            .collect();
        assert_eq!(
            scripts,
            [
                Script::Common,
                Script::Latin,
                Script::Greek,
                Script::Cjk,
                Script::Cjk,
                Script::Wide,
                Script::Common,
                Script::Rare,
                Script::Picture,
                Script::Common
            ]
        );
        assert_eq!(alphabet.class('\u{3b1}'), Some(2));
        assert_eq!(alphabet.class('z'), None);
        let latin: Vec<usize> = (0..10).filter(|&c| alphabet.latin()[c]).collect();
        assert_eq!(latin, [1, 2, 6, 9]);
    }

    #[test]
    fn full_width_forms_have_their_ascii_ones() {
        let text: String = "\u{ff21}\u{ff11}\u{ff0c}\u{ff08}\u{3002}"
            .chars()
            .filter_map(narrow)
            .collect();
        assert_eq!(text, "A1,(.");
        assert_eq!(narrow('a'), None);
    }
}
