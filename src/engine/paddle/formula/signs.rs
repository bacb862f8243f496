//! What kinds of signs there are in mathematics. Pure.

/// Operators that stand centred on the axis and take limits or scripts.
pub fn is_big(ch: char) -> bool {
    matches!(
        ch,
        '∑' | '∏' | '∐' | '⋃' | '⋂' | '⨄' | '⋀' | '⋁' | '⨆' | '⨀' | '⨁' | '⨂'
    ) || is_integral(ch)
}

pub fn is_integral(ch: char) -> bool {
    matches!(ch, '∫' | '∬' | '∭' | '∮')
}

/// Brackets, bars and what else stands around a part of a formula.
pub fn is_fence(ch: char) -> bool {
    is_opening(ch) || is_closing(ch) || is_bar(ch)
}

pub fn is_opening(ch: char) -> bool {
    matches!(ch, '(' | '[' | '{' | '⟨' | '〈' | '⌊' | '⌈' | '⟦')
}

pub fn is_closing(ch: char) -> bool {
    matches!(ch, ')' | ']' | '}' | '⟩' | '〉' | '⌋' | '⌉' | '⟧')
}

/// Bars stand on either side.
pub fn is_bar(ch: char) -> bool {
    matches!(ch, '|' | '∣' | '‖' | '∥')
}

/// Whether the two may stand around something; half-open intervals have unlike ones, kets too.
pub fn is_pair(open: char, close: char) -> bool {
    match (open, close) {
        ('(' | '[', ')' | ']') => true,
        ('|' | '∣', '⟩' | '〉') | ('⟨' | '〈', '|' | '∣') => true,
        ('{', '}') | ('⌊', '⌋') | ('⌈', '⌉') | ('⟦', '⟧') => true,
        ('⟨' | '〈', '⟩' | '〉') => true,
        (a, b) => is_bar(a) && a == b,
    }
}

/// Arrows along the line, over which a label may stand.
pub fn is_arrow(ch: char) -> bool {
    matches!(
        ch,
        '←' | '→'
            | '↔'
            | '⇐'
            | '⇒'
            | '⇔'
            | '⟵'
            | '⟶'
            | '⟷'
            | '⟸'
            | '⟹'
            | '⟺'
            | '↦'
            | '⟼'
            | '⇌'
    )
}

/// Signs that compare: lines of a display are aligned at them.
pub fn is_relation(ch: char) -> bool {
    matches!(
        ch,
        '=' | '<'
            | '>'
            | '≠'
            | '≤'
            | '≥'
            | '⩽'
            | '⩾'
            | '≈'
            | '∼'
            | '≃'
            | '≅'
            | '≡'
            | '∝'
            | '≪'
            | '≫'
            | '≺'
            | '≻'
            | '⪯'
            | '⪰'
            | '≼'
            | '≽'
            | '⊂'
            | '⊃'
            | '⊆'
            | '⊇'
            | '∈'
            | '∋'
            | '∉'
            | '≔'
            | '≜'
            | '≐'
            | '≍'
            | '⊢'
            | '⊨'
            | '≲'
            | '≳'
    ) || is_arrow(ch)
}

/// Signs between terms, which have no scripts as a rule.
pub fn is_operator(ch: char) -> bool {
    is_relation(ch)
        || is_opening(ch)
        || matches!(
            ch,
            '+' | '−' | '-' | '±' | '∓' | '×' | '·' | '⋅' | '∗' | ',' | ';' | '∧' | '∨'
        )
}

/// The command of an accent over a letter, and of the same over several.
pub fn accent(ch: char) -> Option<[&'static str; 2]> {
    Some(match ch {
        'ˆ' | '\u{302}' => ["\\hat", "\\widehat"],
        '˜' | '\u{303}' => ["\\tilde", "\\widetilde"],
        '¯' | 'ˉ' | '‾' | '\u{304}' | '\u{305}' => ["\\bar", "\\overline"],
        '\u{20d7}' => ["\\vec", "\\overrightarrow"],
        '˙' | '\u{307}' => ["\\dot", "\\dot"],
        '¨' | '\u{308}' => ["\\ddot", "\\ddot"],
        '\u{20db}' => ["\\dddot", "\\dddot"],
        '˘' | '\u{306}' => ["\\breve", "\\breve"],
        'ˇ' | '\u{30c}' => ["\\check", "\\widecheck"],
        '´' | '\u{301}' => ["\\acute", "\\acute"],
        '`' | '\u{300}' => ["\\grave", "\\grave"],
        '˚' | '\u{30a}' => ["\\mathring", "\\mathring"],
        _ => return None,
    })
}

/// The command of a brace that lies along the line, and whether it lies above.
pub fn brace(ch: char) -> Option<(&'static str, bool)> {
    Some(match ch {
        '⏞' => ("\\overbrace", true),
        '⏟' => ("\\underbrace", false),
        _ => return None,
    })
}

/// The sign that a stroke through another makes; `None` where there is none.
pub fn negated(ch: char) -> Option<char> {
    Some(match ch {
        '=' => '≠',
        '≡' => '≢',
        '∈' => '∉',
        '∋' => '∌',
        '⊂' => '⊄',
        '⊃' => '⊅',
        '⊆' => '⊈',
        '⊇' => '⊉',
        '∼' => '≁',
        '≈' => '≉',
        '<' => '≮',
        '>' => '≯',
        '≤' => '≰',
        '≥' => '≱',
        '∃' => '∄',
        '∣' | '|' => '∤',
        '∥' => '∦',
        _ => return None,
    })
}

/// Names below which limits stand although LaTeX has no command for them.
pub fn is_limit_name(name: &str) -> bool {
    crate::page::latex::with_limits(name) || matches!(name, "argmax" | "argmin" | "Pr" | "ess")
}
