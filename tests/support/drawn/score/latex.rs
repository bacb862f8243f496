//! Formulas in LaTeX as tokens that differ only where what they show differs.

use super::edit::likeness;

/// One token, or what stands in braces.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Token(String),
    Group(Vec<Item>),
}

/// Commands that change nothing of what is scored: sizes of brackets, room.
const IDLE: [&str; 18] = [
    "\\left",
    "\\right",
    "\\big",
    "\\Big",
    "\\bigg",
    "\\Bigg",
    "\\,",
    "\\;",
    "\\:",
    "\\!",
    "\\quad",
    "\\qquad",
    "\\limits",
    "\\displaystyle",
    "\\notag",
    "\\ ",
    "~",
    "\\enspace",
];

/// Names of one sign or structure, and the one that is kept.
const SAME: [(&str, &str); 19] = [
    ("\\le", "\\leq"),
    ("\\ge", "\\geq"),
    ("\\ne", "\\neq"),
    ("\\to", "\\rightarrow"),
    ("\\lbrace", "\\{"),
    ("\\rbrace", "\\}"),
    ("\\vert", "|"),
    ("\\mid", "|"),
    ("\\Vert", "\\|"),
    ("\\lt", "<"),
    ("\\gt", ">"),
    ("\\text", "\\mathrm"),
    ("\\textrm", "\\mathrm"),
    ("\\operatorname", "\\mathrm"),
    ("\\ast", "*"),
    ("\\dots", "\\ldots"),
    ("\\longrightarrow", "\\rightarrow"),
    ("\\prime", "'"),
    ("\\mathbf", "\\boldsymbol"),
];

/// The tokens of a formula: without spaces, braces around single tokens and names that say the same;
/// what is lowered stands before what is raised.
pub fn tokens(latex: &str) -> Vec<String> {
    let mut chars = latex.chars().peekable();
    let mut all: Vec<String> = Vec::new();
    while let Some(c) = chars.next() {
        let mut token = String::from(c);
        if c == '\\' {
            match chars.next() {
                Some(c) if c.is_ascii_alphabetic() => {
                    token.push(c);
                    while let Some(c) = chars.next_if(char::is_ascii_alphabetic) {
                        token.push(c);
                    }
                }
                Some(c) => token.push(c),
                None => {}
            }
        }
        if c.is_whitespace() || IDLE.contains(&&*token) {
            continue;
        }
        let same = SAME.iter().find(|(name, _)| *name == token);
        all.push(same.map_or(token, |(_, kept)| (*kept).to_owned()));
    }
    let mut rest = all.into_iter();
    let items = group(&mut rest);
    let mut out = Vec::new();
    flat(&items, &mut out);
    out
}

fn group(tokens: &mut impl Iterator<Item = String>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    while let Some(token) = tokens.next() {
        match &*token {
            "{" => {
                let mut inner = group(tokens);
                match &*inner {
                    [] => {}
                    [_] => items.extend(inner.pop()),
                    _ => items.push(Item::Group(inner)),
                }
            }
            "}" => break,
            _ => items.push(Item::Token(token)),
        }
    }
    // `x^2_1` is `x_1^2`.
    for i in 0..items.len().saturating_sub(3) {
        let is = |i: usize, mark: &str| items[i] == Item::Token(mark.to_owned());
        if is(i, "^") && is(i + 2, "_") {
            items.swap(i, i + 2);
            items.swap(i + 1, i + 3);
        }
    }
    items
}

fn flat(items: &[Item], out: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Token(token) => out.push(token.clone()),
            Item::Group(inner) => {
                out.push("{".to_owned());
                flat(inner, out);
                out.push("}".to_owned());
            }
        }
    }
}

/// The formulas of a Markdown text in order, and the text without them.
pub fn lifted(markdown: &str) -> (String, Vec<String>) {
    let (mut text, mut formulas) = (String::new(), Vec::new());
    let mut open: Option<String> = None;
    for line in markdown.lines() {
        match (&mut open, line.trim()) {
            (None, "$$") => open = Some(String::new()),
            (Some(_), "$$") => formulas.extend(open.take()),
            (Some(formula), line) => {
                formula.push_str(line);
                formula.push('\n');
            }
            (None, _) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text.push_str(&open.unwrap_or_default());
    (text, formulas)
}

/// Likeness of formulas, and share of those that are the same: each of the truth with that which is
/// most like it and no other's. `None` where the truth has none.
pub fn scores(truth: &[&str], read: &[String]) -> [Option<f64>; 2] {
    if truth.is_empty() {
        return [None, None];
    }
    let mut read: Vec<Vec<String>> = read.iter().map(|latex| tokens(latex)).collect();
    let (mut like, mut same) = (0.0, 0.0);
    for latex in truth {
        let wanted = tokens(latex);
        let best = read
            .iter()
            .enumerate()
            .map(|(i, other)| (i, likeness(&wanted, other)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, best)) = best.filter(|(_, best)| *best >= 0.5) {
            like += best;
            same += f64::from(u8::from(read[i] == wanted));
            read.remove(i);
        }
    }
    [like, same].map(|sum| Some(sum / truth.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_the_same_is_the_same() {
        for (a, b) in [
            ("x^2_1", "x_{1}^{2}"),
            ("\\left( a \\right)", "(a)"),
            ("a \\le b\\quad c", "a\\leq bc"),
            ("\\frac12", "\\frac{1}{2}"),
            ("\\text{if } x", "\\mathrm{if}x"),
        ] {
            assert_eq!(tokens(a), tokens(b), "{a}");
        }
        for (a, b) in [("x^{12}", "x^12"), ("\\alpha", "a"), ("x_1", "x^1")] {
            assert_ne!(tokens(a), tokens(b), "{a}");
        }
    }

    #[test]
    fn formulas_are_lifted_out_of_a_text() {
        let (text, formulas) = lifted("a\n\n$$\nx\ny\n$$\n\nb $c$\n");
        assert_eq!(text, "a\n\n\nb $c$\n");
        assert_eq!(formulas, ["x\ny\n"]);
        let [like, same] = scores(&["x+y", "z"], &["z".into(), "x-y".into()]);
        assert_eq!(same, Some(0.5));
        assert!(like.unwrap() > 0.8 && like.unwrap() < 0.9);
    }
}
