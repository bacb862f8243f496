//! [`Math`] -> LaTeX as KaTeX and MathJax read it.
//!
//! What it writes holds no `$`, no `|`, no newline, no bare `<` and no lone brace, so it may stand
//! in Markdown's `$..$`, in a cell of a pipe table and in HTML as it is. Letters beyond LaTeX's
//! are written as they are (both programs draw them).

use crate::document::flow::{Math, Style};
use crate::page::latex::{self as symbols, operator_name, symbol};

/// A formula in LaTeX; empty where it shows nothing.
pub fn latex(math: &Math) -> String {
    let mut out = String::new();
    write(math, &mut out);
    out.trim().to_owned()
}

/// Adds `part`, with a space where two parts would run together (`\alpha` and `x`).
fn add(out: &mut String, part: &str) {
    // The longest command has some twenty letters.
    let letters = out
        .bytes()
        .rev()
        .take(40)
        .take_while(u8::is_ascii_alphabetic)
        .count();
    let word = letters > 0 && out.as_bytes()[..out.len() - letters].ends_with(b"\\");
    if word && part.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.push(' ');
    }
    out.push_str(part);
}

fn group(math: &Math, out: &mut String) {
    out.push('{');
    write(math, out);
    out.push('}');
}

fn write(math: &Math, out: &mut String) {
    match math {
        Math::Row(all) => row(all, out),
        Math::Identifier { text, style } => identifier(text, *style, out),
        Math::Number(text) => {
            // `1,000` and `1 000`: a comma in a number takes no room after it.
            for c in text.chars() {
                match c {
                    ',' => out.push_str("{,}"),
                    c if c.is_whitespace() => out.push_str("\\,"),
                    c => sign(c, out),
                }
            }
        }
        Math::Operator { text, .. } => operator(text, out),
        Math::Text(text) => words(text, out),
        Math::Space => add(out, "\\quad "),
        Math::Fraction { over, under, bar } => {
            add(
                out,
                if *bar {
                    "\\frac"
                } else {
                    "\\genfrac{}{}{0pt}{}"
                },
            );
            group(over, out);
            group(under, out);
        }
        Math::Root { of, degree } => {
            add(out, "\\sqrt");
            if let Some(degree) = degree {
                // A bracket within would end it.
                out.push_str("[{");
                write(degree, out);
                out.push_str("}]");
            }
            group(of, out);
        }
        Math::Scripts { base, sub, sup } => scripts(base, sub, sup, out),
        Math::Limits {
            base,
            under,
            over,
            accent,
        } => limits(base, under, over, *accent, out),
        Math::Table(rows) => table("matrix", rows, out),
        Math::Fenced { open, close, inner } => match &**inner {
            Math::Table(rows) if matrix(open, close).is_some() => {
                table(matrix(open, close).unwrap_or("matrix"), rows, out);
            }
            inner if !tall(inner) && level(open) && level(close) => {
                open.chars().for_each(|c| sign(c, out));
                write(inner, out);
                close.chars().for_each(|c| sign(c, out));
            }
            inner => fenced(open, close, |out| write(inner, out), out),
        },
        Math::Enclosed { how, inner } => enclosed(how, inner, out),
        Math::Phantom(inner) => {
            add(out, "\\phantom");
            group(inner, out);
        }
    }
}

/// Brackets that grow are `\left` and `\right`, each with its partner in the same row.
fn row(all: &[Math], out: &mut String) {
    let mut partner = vec![None; all.len()];
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (index, math) in all.iter().enumerate() {
        let Math::Operator {
            text,
            stretchy: true,
        } = math
        else {
            continue;
        };
        // A partner is near: beyond some brackets left open there is none.
        let near = open.len().saturating_sub(20);
        let found = open[near..].iter().rposition(|(_, o)| closes(o, text));
        if let Some(at) = found.map(|at| near + at) {
            let (opening, _) = open[at];
            open.truncate(at);
            partner[opening] = Some(index);
            partner[index] = Some(opening);
        } else if opens(text) {
            open.push((index, text));
        }
    }
    // Elements before each that are higher than a line.
    let mut heights = Vec::with_capacity(all.len() + 1);
    heights.push(0);
    for math in all {
        let before = heights.last().copied().unwrap_or(0);
        heights.push(before + usize::from(tall(math)));
    }
    let pairs = Pairs { partner, heights };
    // A brace before cases has no partner: it grows with all that follows. The last such brace, so
    // that this is done once.
    let table_at = all.iter().rposition(|m| matches!(m, Math::Table(_)));
    let brace = open
        .iter()
        .rev()
        .find(|(at, text)| *text == "{" && table_at.is_some_and(|t| t > *at));
    if let Some(&(brace, _)) = brace
        && pairs.partner[..brace].iter().flatten().all(|&p| p < brace)
    {
        let before = all[..brace].iter().enumerate();
        before.for_each(|(index, math)| element(index, math, &pairs, out));
        fenced("{", "", |out| row(&all[brace + 1..], out), out);
        return;
    }
    let mut index = 0;
    while index < all.len() {
        // `[` and `]` around one table: LaTeX has a name for it.
        if let Some(close) = pairs.partner[index]
            && close == index + 2
            && let (
                Math::Operator { text: left, .. },
                Math::Table(rows),
                Math::Operator { text: right, .. },
            ) = (&all[index], &all[index + 1], &all[close])
            && let Some(name) = matrix(left, right)
        {
            table(name, rows, out);
            index += 3;
            continue;
        }
        element(index, &all[index], &pairs, out);
        index += 1;
    }
}

/// What is known of a row before it is written.
struct Pairs {
    /// By bracket: the other one of its pair.
    partner: Vec<Option<usize>>,
    /// By element: how many before it are higher than a line.
    heights: Vec<usize>,
}

fn element(index: usize, math: &Math, pairs: &Pairs, out: &mut String) {
    if let (Some(other), Math::Operator { text, .. }) = (pairs.partner[index], math) {
        let (from, to) = (index.min(other), index.max(other));
        if pairs.heights[from + 1] < pairs.heights[to]
            && let Some(delimiter) = symbols::delimiter(text)
        {
            add(out, if index < other { "\\left" } else { "\\right" });
            out.push_str(delimiter);
            return;
        }
    }
    write(math, out);
}

/// Higher than a line.
fn tall(math: &Math) -> bool {
    match math {
        Math::Fraction { .. } | Math::Table(_) => true,
        Math::Row(all) => all.iter().any(tall),
        Math::Root { of: inner, .. }
        | Math::Fenced { inner, .. }
        | Math::Enclosed { inner, .. }
        | Math::Phantom(inner) => tall(inner),
        Math::Scripts { base, .. } => tall(base),
        Math::Limits { .. } => true,
        _ => false,
    }
}

/// A bracket that is one sign of a line.
fn level(text: &str) -> bool {
    text.is_empty()
        || symbols::delimiter(text).is_some() && text != "<" && text != ">" && text != "||"
}

fn opens(text: &str) -> bool {
    matches!(
        text,
        "(" | "[" | "{" | "⟨" | "〈" | "⌈" | "⌊" | "⟦" | "|" | "‖" | "∥" | "∣" | "||"
    )
}

fn closes(open: &str, close: &str) -> bool {
    matches!(
        (open, close),
        ("(" | "[", ")" | "]")
            | ("{", "}")
            | ("⟨", "⟩")
            | ("〈", "〉")
            | ("⌈", "⌉")
            | ("⌊", "⌋")
            | ("⟦", "⟧")
            | ("|", "|")
            | ("‖", "‖")
            | ("∥", "∥")
            | ("∣", "∣")
            | ("||", "||")
            | ("|", "⟩")
    )
}

fn matrix(open: &str, close: &str) -> Option<&'static str> {
    Some(match (open, close) {
        ("(", ")") => "pmatrix",
        ("[", "]") => "bmatrix",
        ("{", "}") => "Bmatrix",
        ("|", "|") | ("∣", "∣") => "vmatrix",
        ("‖", "‖") | ("∥", "∥") | ("||", "||") => "Vmatrix",
        _ => return None,
    })
}

fn fenced(open: &str, close: &str, inner: impl FnOnce(&mut String), out: &mut String) {
    let (Some(left), Some(right)) = (symbols::delimiter(open), symbols::delimiter(close)) else {
        open.chars().for_each(|c| sign(c, out));
        out.push('{');
        inner(out);
        out.push('}');
        close.chars().for_each(|c| sign(c, out));
        return;
    };
    add(out, "\\left");
    out.push_str(left);
    out.push(' ');
    inner(out);
    add(out, "\\right");
    out.push_str(right);
}

fn table(name: &str, rows: &[Vec<Math>], out: &mut String) {
    // KaTeX's matrices are not limited in columns; LaTeX's are to ten without a setting.
    add(out, "\\begin{");
    out.push_str(name);
    out.push('}');
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push_str(" \\\\ ");
        }
        for (column, cell) in row.iter().enumerate() {
            if column > 0 {
                out.push_str(" & ");
            }
            let start = out.len();
            write(cell, out);
            // `\\[` would be a distance, `\\*` a break.
            if column == 0 && out[start..].trim_start().starts_with(['[', '*']) {
                out.insert_str(start, "{}");
            }
        }
    }
    out.push_str("\\end{");
    out.push_str(name);
    out.push('}');
}

fn scripts(base: &Math, sub: &Option<Box<Math>>, sup: &Option<Box<Math>>, out: &mut String) {
    let empty = matches!(base, Math::Row(all) if all.is_empty());
    match base {
        _ if empty => out.push_str("{}"),
        Math::Identifier { text, .. } if text.chars().count() == 1 || operator_name(text) => {
            write(base, out)
        }
        Math::Number(text) if text.len() == 1 => write(base, out),
        Math::Operator { text, .. } if text.chars().count() == 1 => write(base, out),
        Math::Fenced { .. } => write(base, out),
        _ => group(base, out),
    }
    script('_', sub, out);
    if let Some(sup) = sup {
        match &**sup {
            Math::Operator { text, .. }
                if !text.is_empty() && text.chars().all(|c| matches!(c, '′' | '\'')) =>
            {
                out.push_str("^{");
                text.chars().for_each(|_| add(out, "\\prime"));
                out.push('}');
            }
            _ => script('^', &Some(sup.clone()), out),
        }
    }
}

fn script(sign: char, script: &Option<Box<Math>>, out: &mut String) {
    if let Some(script) = script {
        out.push(sign);
        group(script, out);
    }
}

fn limits(
    base: &Math,
    under: &Option<Box<Math>>,
    over: &Option<Box<Math>>,
    accent: bool,
    out: &mut String,
) {
    let sign = |math: &Option<Box<Math>>| match math.as_deref() {
        Some(Math::Operator { text, .. } | Math::Text(text)) => Some(text.clone()),
        Some(Math::Identifier { text, .. }) => Some(text.clone()),
        _ => None,
    };
    // Accents and braces, with what else stands on the other side.
    if let Some(command) = sign(over).and_then(|s| symbols::above(&s, accent)) {
        let wide = matches!(base, Math::Row(all) if all.len() > 1);
        let inside = |out: &mut String| {
            add(out, symbols::widened(command, wide));
            group(base, out);
        };
        match under {
            None => inside(out),
            Some(under) => {
                add(out, "\\underset");
                group(under, out);
                out.push('{');
                inside(out);
                out.push('}');
            }
        }
        return;
    }
    if let Some(command) = sign(under).and_then(|s| symbols::below(&s)) {
        let inside = |out: &mut String| {
            add(out, command);
            group(base, out);
        };
        match over {
            None => inside(out),
            Some(over) => {
                add(out, "\\overset");
                group(over, out);
                out.push('{');
                inside(out);
                out.push('}');
            }
        }
        return;
    }
    let large = match base {
        Math::Operator { text, .. } => symbols::large(text),
        Math::Identifier { text, .. } | Math::Text(text) => symbols::with_limits(text),
        // `\underbrace{..}` takes its words as a script.
        Math::Limits {
            base: _,
            under,
            over,
            ..
        } => {
            let brace = |s: Option<String>| {
                s.is_some_and(|s| matches!(s.as_str(), "⏟" | "⏞" | "︸" | "︷"))
            };
            brace(sign(under)) || brace(sign(over))
        }
        _ => false,
    };
    if large {
        write(base, out);
        if matches!(base, Math::Operator { text, .. } if symbols::integral(text)) {
            add(out, "\\limits");
        }
        script('_', under, out);
        script('^', over, out);
        return;
    }
    match (under, over) {
        (Some(under), Some(over)) => {
            add(out, "\\overset");
            group(over, out);
            out.push_str("{\\underset");
            group(under, out);
            group(base, out);
            out.push('}');
        }
        (Some(under), None) => {
            add(out, "\\underset");
            group(under, out);
            group(base, out);
        }
        (None, Some(over)) => {
            add(out, "\\overset");
            group(over, out);
            group(base, out);
        }
        (None, None) => write(base, out),
    }
}

fn enclosed(how: &str, inner: &Math, out: &mut String) {
    let mut commands: Vec<&str> = Vec::new();
    for word in how.split_whitespace() {
        let command = match word {
            "box" | "roundedbox" | "circle" => "\\boxed",
            "updiagonalstrike" => "\\cancel",
            "downdiagonalstrike" => "\\bcancel",
            "horizontalstrike" => "\\sout",
            "top" | "actuarial" => "\\overline",
            "bottom" => "\\underline",
            "radical" => "\\sqrt",
            _ => continue,
        };
        commands.push(command);
    }
    if commands.contains(&"\\cancel") && commands.contains(&"\\bcancel") {
        commands.retain(|c| !matches!(*c, "\\cancel" | "\\bcancel"));
        commands.push("\\xcancel");
    }
    // One word after another: KaTeX's limit is far, a book's attribute may be long.
    commands.truncate(4);
    for command in &commands {
        add(out, command);
        out.push('{');
    }
    write(inner, out);
    commands.iter().for_each(|_| out.push('}'));
}

fn identifier(text: &str, style: Style, out: &mut String) {
    if style == Style::Upright && operator_name(text) {
        add(out, "\\");
        out.push_str(text);
        return;
    }
    let command = match style {
        Style::Italic => "",
        Style::Upright => "\\mathrm",
        Style::Bold => "\\mathbf",
        Style::BoldItalic => "\\boldsymbol",
        Style::DoubleStruck => "\\mathbb",
        Style::Script => "\\mathcal",
        Style::Fraktur => "\\mathfrak",
        Style::SansSerif => "\\mathsf",
        Style::Monospace => "\\mathtt",
    };
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric());
    // Upright Greek or a sign: its own command is as it should be.
    let one = text.chars().count() == 1;
    if command.is_empty() || (style == Style::Upright && one && !plain) {
        text.chars().for_each(|c| sign(c, out));
    } else if plain || one || style == Style::BoldItalic {
        add(out, command);
        out.push('{');
        text.chars().for_each(|c| sign(c, out));
        out.push('}');
    } else {
        let command = match style {
            Style::Bold | Style::BoldItalic => "\\textbf",
            Style::SansSerif => "\\textsf",
            Style::Monospace => "\\texttt",
            _ => "\\text",
        };
        in_text(command, text, out);
    }
}

fn operator(text: &str, out: &mut String) {
    if text.chars().all(|c| c.is_ascii_alphabetic()) && text.len() > 1 {
        if operator_name(text) {
            add(out, "\\");
            out.push_str(text);
        } else {
            add(out, "\\operatorname{");
            out.push_str(text);
            out.push('}');
        }
        return;
    }
    if text.chars().any(char::is_alphabetic) && text.chars().count() > 1 {
        words(text, out);
        return;
    }
    text.chars().for_each(|c| sign(c, out));
}

/// One sign of a formula.
fn sign(c: char, out: &mut String) {
    if let Some(command) = symbol(c) {
        add(out, command);
    } else if c.is_whitespace() {
        add(out, "~");
    } else if c.is_control()
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || c == '\u{fe0e}'
        || c == '\u{fe0f}'
    {
        // Shows nothing.
    } else if c.is_ascii_graphic() || symbols::known(c) {
        let mut buffer = [0; 4];
        add(out, c.encode_utf8(&mut buffer));
    } else {
        in_text("\\text", &c.to_string(), out);
    }
}

fn words(text: &str, out: &mut String) {
    in_text("\\text", text, out);
}

fn in_text(command: &str, text: &str, out: &mut String) {
    add(out, command);
    out.push('{');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '$' => out.push_str("\\textdollar{}"),
            '{' => out.push_str("\\textbraceleft{}"),
            '}' => out.push_str("\\textbraceright{}"),
            '|' => out.push_str("\\textbar{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '`' => out.push_str("\\char\"60{}"),
            '&' | '%' | '#' | '_' => {
                out.push('\\');
                out.push(c);
            }
            '\u{a0}' => out.push('~'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('}');
}
