//! What a formula model says, as LaTeX that can stand between `$$`. Pure.

/// What models put around a formula.
const AROUND: [(&str, &str); 6] = [
    ("$$", "$$"),
    ("$", "$"),
    ("\\[", "\\]"),
    ("\\(", "\\)"),
    ("\\begin{equation}", "\\end{equation}"),
    ("\\begin{equation*}", "\\end{equation*}"),
];

/// The formula without what stands around it and without empty lines, which would end it in
/// Markdown. `None` where nothing is left, braces do not match, or a `$` would end it.
pub fn clean(text: &str) -> Option<String> {
    let mut text = text.trim();
    while let Some(inner) = AROUND
        .iter()
        .find_map(|&(open, close)| inside(text, open, close))
    {
        text = inner.trim();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let text = lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    (!text.is_empty() && is_whole(&text)).then_some(text)
}

/// What stands between the two, where these belong to each other.
fn inside<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let inner = text.strip_prefix(open)?.strip_suffix(close)?;
    (!inner.contains(open) && !inner.contains(close)).then_some(inner)
}

/// Whether braces match, and a `$` stands only in a text within braces, where it begins a formula.
fn is_whole(text: &str) -> bool {
    let mut depth = 0usize;
    let mut before = ' ';
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '{' => depth += 1,
            '}' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            // The rest of its line would be lost.
            '%' => return false,
            '$' if depth == 0 || before == '$' => return false,
            _ => {}
        }
        before = c;
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_goes_and_what_is_broken_is_none() {
        for (text, expected) in [
            (" x^{2} ", Some("x^{2}")),
            ("$x$", Some("x")),
            ("$$ x $$", Some("x")),
            ("$$\n\\[ x \\]\n$$", Some("x")),
            ("\\( x \\)", Some("x")),
            ("\\begin{equation*}x\\end{equation*}", Some("x")),
            ("a \\\\\n\n  b", Some("a \\\\\nb")),
            ("\\left\\{ x \\right.", Some("\\left\\{ x \\right.")),
            ("\\\\{x}", Some("\\\\{x}")),
            ("\\text{if $a$}", Some("\\text{if $a$}")),
            ("5\\$", Some("5\\$")),
            ("", None),
            ("$$", None),
            ("$ $", None),
            ("\\[\\]", None),
            ("\\frac{a}{b", None),
            ("a}{b", None),
            ("\\\\{x", None),
            ("$a$ and $b$", None),
            ("\\text{a $$ b}", None),
            ("a $", None),
        ] {
            assert_eq!(clean(text).as_deref(), expected, "{text:?}");
        }
    }
}
