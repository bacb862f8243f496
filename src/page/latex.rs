//! Signs of mathematics and their LaTeX commands, all of them known to KaTeX and MathJax
//! (<https://katex.org/docs/supported.html>): for what is written from MathML, and for what is
//! written from the glyphs of a PDF.

mod ams;

/// The command for a sign that LaTeX does not take, or not well, as it is.
pub fn symbol(c: char) -> Option<&'static str> {
    Some(match c {
        '#' => "\\#",
        '$' => "\\text{\\textdollar}",
        '%' => "\\%",
        '&' => "\\&",
        '_' => "\\_",
        '{' => "\\lbrace",
        '}' => "\\rbrace",
        '\\' => "\\backslash",
        '^' => "\\text{\\textasciicircum}",
        '~' => "\\sim",
        '|' => "\\vert",
        '<' => "\\lt",
        '>' => "\\gt",
        '`' => "\\text{\\char\"60}",
        '"' => "\\text{\"}",
        '\'' | '′' => "{}'",
        '″' => "{}''",
        '‴' => "{}'''",
        '\u{a0}' => "~",
        '\u{2003}' => "\\quad",
        '\u{2002}' => "\\enspace",
        '\u{2009}' | '\u{200a}' | '\u{202f}' => "\\,",
        '\u{2004}' | '\u{2005}' => "\\;",
        '\u{205f}' => "\\:",
        '−' => "-",
        '±' => "\\pm",
        '∓' => "\\mp",
        '×' => "\\times",
        '÷' => "\\div",
        '⋅' | '·' => "\\cdot",
        '∗' => "\\ast",
        '∘' | '○' => "\\circ",
        '•' | '∙' => "\\bullet",
        '⊕' => "\\oplus",
        '⊖' => "\\ominus",
        '⊗' => "\\otimes",
        '⊘' => "\\oslash",
        '⊞' => "\\boxplus",
        '⊟' => "\\boxminus",
        '⊠' => "\\boxtimes",
        '⊡' => "\\boxdot",
        '∕' | '⁄' => "/",
        '♦' => "\\blacklozenge",
        '◊' => "\\lozenge",
        '♢' => "\\diamondsuit",
        '♣' => "\\clubsuit",
        '♡' => "\\heartsuit",
        '♠' => "\\spadesuit",
        '▴' | '▲' => "\\blacktriangle",
        '▾' | '▼' => "\\blacktriangledown",
        '★' => "\\bigstar",
        '⊙' => "\\odot",
        '†' => "\\dagger",
        '‡' => "\\ddagger",
        '∧' => "\\wedge",
        '∨' => "\\vee",
        '∩' => "\\cap",
        '∪' => "\\cup",
        '⊓' => "\\sqcap",
        '⊔' => "\\sqcup",
        '⊎' => "\\uplus",
        '∖' => "\\setminus",
        '≀' => "\\wr",
        '⋆' => "\\star",
        '⋄' => "\\diamond",
        '△' => "\\triangle",
        '▽' => "\\bigtriangledown",
        '◁' => "\\triangleleft",
        '▷' => "\\triangleright",
        '□' | '◻' => "\\square",
        '■' | '∎' | '◼' => "\\blacksquare",
        '≤' => "\\le",
        '≥' => "\\ge",
        '⩽' => "\\leqslant",
        '⩾' => "\\geqslant",
        '≠' => "\\ne",
        '≡' => "\\equiv",
        '≢' => "\\not\\equiv",
        '≈' => "\\approx",
        '≉' => "\\not\\approx",
        '≅' => "\\cong",
        '≃' => "\\simeq",
        '∼' => "\\sim",
        '≁' => "\\nsim",
        '≍' => "\\asymp",
        '≐' => "\\doteq",
        '≔' => "\\coloneqq",
        '≜' => "\\triangleq",
        '∝' => "\\propto",
        '≪' => "\\ll",
        '≫' => "\\gg",
        '≺' => "\\prec",
        '≻' => "\\succ",
        '⪯' | '≼' => "\\preceq",
        '⪰' | '≽' => "\\succeq",
        '⊂' => "\\subset",
        '⊃' => "\\supset",
        '⊆' => "\\subseteq",
        '⊇' => "\\supseteq",
        '⊊' => "\\subsetneq",
        '⊋' => "\\supsetneq",
        '⊄' => "\\not\\subset",
        '⊅' => "\\not\\supset",
        '⊈' => "\\nsubseteq",
        '⊉' => "\\nsupseteq",
        '⊏' => "\\sqsubset",
        '⊐' => "\\sqsupset",
        '⊑' => "\\sqsubseteq",
        '⊒' => "\\sqsupseteq",
        '∈' => "\\in",
        '∉' => "\\notin",
        '∋' => "\\ni",
        '∌' => "\\not\\ni",
        '⊢' => "\\vdash",
        '⊣' => "\\dashv",
        '⊨' => "\\models",
        '⊥' => "\\perp",
        '⊤' => "\\top",
        '∥' => "\\parallel",
        '∦' => "\\nparallel",
        '∣' => "\\mid",
        '∤' => "\\nmid",
        '‖' => "\\Vert",
        '←' => "\\leftarrow",
        '→' => "\\rightarrow",
        '↑' => "\\uparrow",
        '↓' => "\\downarrow",
        '↔' => "\\leftrightarrow",
        '↕' => "\\updownarrow",
        '↖' => "\\nwarrow",
        '↗' => "\\nearrow",
        '↘' => "\\searrow",
        '↙' => "\\swarrow",
        '↦' => "\\mapsto",
        '↩' => "\\hookleftarrow",
        '↪' => "\\hookrightarrow",
        '↼' => "\\leftharpoonup",
        '⇀' => "\\rightharpoonup",
        '⇌' => "\\rightleftharpoons",
        '⇐' => "\\Leftarrow",
        '⇒' => "\\Rightarrow",
        '⇑' => "\\Uparrow",
        '⇓' => "\\Downarrow",
        '⇔' => "\\Leftrightarrow",
        '⟵' => "\\longleftarrow",
        '⟶' => "\\longrightarrow",
        '⟷' => "\\longleftrightarrow",
        '⟸' => "\\Longleftarrow",
        '⟹' => "\\Longrightarrow",
        '⟺' => "\\Longleftrightarrow",
        '⟼' => "\\longmapsto",
        '⇝' => "\\rightsquigarrow",
        '∀' => "\\forall",
        '∃' => "\\exists",
        '∄' => "\\nexists",
        '¬' => "\\neg",
        '∅' | '⌀' => "\\emptyset",
        '∞' => "\\infty",
        '∂' => "\\partial",
        '∇' => "\\nabla",
        '∆' => "\\Delta",
        'ℓ' => "\\ell",
        'ℏ' => "\\hbar",
        'ℑ' => "\\Im",
        'ℜ' => "\\Re",
        '℘' => "\\wp",
        'ℵ' => "\\aleph",
        'ℶ' => "\\beth",
        'ı' => "\\imath",
        'ȷ' => "\\jmath",
        '∠' => "\\angle",
        '∡' => "\\measuredangle",
        '°' => "\\degree",
        '∴' => "\\therefore",
        '∵' => "\\because",
        '√' => "\\surd",
        '…' => "\\ldots",
        '⋯' => "\\cdots",
        '⋮' => "\\vdots",
        '⋱' => "\\ddots",
        '∑' => "\\sum",
        '∏' => "\\prod",
        '∐' => "\\coprod",
        '∫' => "\\int",
        '∬' => "\\iint",
        '∭' => "\\iiint",
        '∮' => "\\oint",
        '⋀' => "\\bigwedge",
        '⋁' => "\\bigvee",
        '⋂' => "\\bigcap",
        '⋃' => "\\bigcup",
        '⨁' => "\\bigoplus",
        '⨂' => "\\bigotimes",
        '⨀' => "\\bigodot",
        '⨄' => "\\biguplus",
        '⨆' => "\\bigsqcup",
        '⟨' | '〈' | '\u{2329}' => "\\langle",
        '⟩' | '〉' | '\u{232a}' => "\\rangle",
        '⌈' => "\\lceil",
        '⌉' => "\\rceil",
        '⌊' => "\\lfloor",
        '⌋' => "\\rfloor",
        '⟦' => "\\llbracket",
        '⟧' => "\\rrbracket",
        '§' => "\\S",
        '¶' => "\\P",
        '£' => "\\pounds",
        '¢' => "\\text{¢}",
        '€' => "\\text{€}",
        '–' => "\\text{–}",
        '—' => "\\text{—}",
        '“' => "\\text{“}",
        '”' => "\\text{”}",
        '‘' => "\\text{‘}",
        '’' => "\\text{’}",
        'ℂ' => "\\mathbb{C}",
        'ℍ' => "\\mathbb{H}",
        'ℕ' => "\\mathbb{N}",
        'ℙ' => "\\mathbb{P}",
        'ℚ' => "\\mathbb{Q}",
        'ℝ' => "\\mathbb{R}",
        'ℤ' => "\\mathbb{Z}",
        'ℬ' => "\\mathcal{B}",
        'ℰ' => "\\mathcal{E}",
        'ℱ' => "\\mathcal{F}",
        'ℋ' => "\\mathcal{H}",
        'ℐ' => "\\mathcal{I}",
        'ℒ' => "\\mathcal{L}",
        'ℳ' => "\\mathcal{M}",
        'ℛ' => "\\mathcal{R}",
        'α' => "\\alpha",
        'β' => "\\beta",
        'γ' => "\\gamma",
        'δ' => "\\delta",
        'ε' => "\\varepsilon",
        'ϵ' => "\\epsilon",
        'ζ' => "\\zeta",
        'η' => "\\eta",
        'θ' => "\\theta",
        'ϑ' => "\\vartheta",
        'ι' => "\\iota",
        'κ' => "\\kappa",
        'ϰ' => "\\varkappa",
        'λ' => "\\lambda",
        'μ' | 'µ' => "\\mu",
        'ν' => "\\nu",
        'ξ' => "\\xi",
        'ο' => "\\omicron",
        'π' => "\\pi",
        'ϖ' => "\\varpi",
        'ρ' => "\\rho",
        'ϱ' => "\\varrho",
        'σ' => "\\sigma",
        'ς' => "\\varsigma",
        'τ' => "\\tau",
        'υ' => "\\upsilon",
        'φ' => "\\varphi",
        'ϕ' => "\\phi",
        'χ' => "\\chi",
        'ψ' => "\\psi",
        'ω' => "\\omega",
        'Γ' => "\\Gamma",
        'Δ' => "\\Delta",
        'Θ' => "\\Theta",
        'Λ' => "\\Lambda",
        'Ξ' => "\\Xi",
        'Π' => "\\Pi",
        'Σ' => "\\Sigma",
        'Υ' => "\\Upsilon",
        'Φ' => "\\Phi",
        'Ψ' => "\\Psi",
        'Ω' => "\\Omega",
        'Α' => "A",
        'Β' => "B",
        'Ε' => "E",
        'Ζ' => "Z",
        'Η' => "H",
        'Ι' => "I",
        'Κ' => "K",
        'Μ' => "M",
        'Ν' => "N",
        'Ο' => "O",
        'Ρ' => "P",
        'Τ' => "T",
        'Χ' => "X",
        c => return ams::symbol(c),
    })
}

/// Mathematical alphanumerics, which KaTeX draws as they are.
pub fn known(c: char) -> bool {
    ('\u{1d400}'..='\u{1d7ff}').contains(&c)
        // KaTeX has no signs for these blocks of the alphanumerics' Greek.
        && !('\u{1d6a8}'..='\u{1d7cb}').contains(&c)
}

/// Names that LaTeX sets upright by a command of their own.
pub fn operator_name(text: &str) -> bool {
    matches!(
        text,
        "arccos"
            | "arcsin"
            | "arctan"
            | "arg"
            | "cos"
            | "cosh"
            | "cot"
            | "coth"
            | "csc"
            | "deg"
            | "det"
            | "dim"
            | "exp"
            | "gcd"
            | "hom"
            | "inf"
            | "ker"
            | "lg"
            | "lim"
            | "liminf"
            | "limsup"
            | "ln"
            | "log"
            | "max"
            | "min"
            | "sec"
            | "sin"
            | "sinh"
            | "sup"
            | "tan"
            | "tanh"
    )
}

/// Names below which limits stand.
pub fn with_limits(text: &str) -> bool {
    matches!(
        text,
        "det" | "gcd" | "inf" | "lim" | "liminf" | "limsup" | "max" | "min" | "sup"
    )
}

/// Signs above and below which limits stand.
pub fn large(text: &str) -> bool {
    matches!(
        text,
        "∑" | "∏" | "∐" | "⋀" | "⋁" | "⋂" | "⋃" | "⨁" | "⨂" | "⨀" | "⨄" | "⨆"
    ) || integral(text)
}

pub fn integral(text: &str) -> bool {
    matches!(text, "∫" | "∬" | "∭" | "∮")
}

/// What follows `\left` or `\right`; none for what cannot.
pub fn delimiter(text: &str) -> Option<&'static str> {
    Some(match text {
        "" => ".",
        "(" => "(",
        ")" => ")",
        "[" => "[",
        "]" => "]",
        "{" => "\\lbrace",
        "}" => "\\rbrace",
        "|" | "∣" => "\\vert",
        "‖" | "∥" | "||" => "\\Vert",
        "⟨" | "〈" | "\u{2329}" | "<" => "\\langle",
        "⟩" | "〉" | "\u{232a}" | ">" => "\\rangle",
        "⌈" => "\\lceil",
        "⌉" => "\\rceil",
        "⌊" => "\\lfloor",
        "⌋" => "\\rfloor",
        "/" => "/",
        "\\" => "\\backslash",
        "↑" => "\\uparrow",
        "↓" => "\\downarrow",
        _ => return None,
    })
}

/// The command that puts a sign above; `accent` when the book calls it one.
pub fn above(sign: &str, accent: bool) -> Option<&'static str> {
    Some(match sign {
        "⏞" | "︷" => "\\overbrace",
        "¯" | "‾" | "\u{304}" | "\u{305}" => "\\bar",
        "_" if accent => "\\bar",
        "^" | "ˆ" | "\u{302}" => "\\hat",
        "~" | "˜" | "\u{303}" => "\\tilde",
        "→" | "⃗" if accent => "\\vec",
        "\u{20d7}" => "\\vec",
        "→" => return None,
        "←" if accent => "\\overleftarrow",
        "↔" if accent => "\\overleftrightarrow",
        "˙" | "\u{307}" => "\\dot",
        "." if accent => "\\dot",
        "¨" | "\u{308}" => "\\ddot",
        "˘" | "\u{306}" => "\\breve",
        "ˇ" | "\u{30c}" => "\\check",
        "´" | "\u{301}" => "\\acute",
        "`" | "\u{300}" => "\\grave",
        _ => return None,
    })
}

/// The same for what is longer than a letter.
pub fn widened(command: &'static str, wide: bool) -> &'static str {
    match command {
        "\\bar" if wide => "\\overline",
        "\\hat" if wide => "\\widehat",
        "\\tilde" if wide => "\\widetilde",
        "\\check" if wide => "\\widecheck",
        "\\vec" if wide => "\\overrightarrow",
        command => command,
    }
}

pub fn below(sign: &str) -> Option<&'static str> {
    Some(match sign {
        "⏟" | "︸" => "\\underbrace",
        "_" | "¯" | "‾" | "\u{332}" => "\\underline",
        _ => return None,
    })
}
