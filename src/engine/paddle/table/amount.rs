//! Amounts: what counts as a number in a cell, and which signs belong to it. Pure.

/// Signs of currencies that stand before an amount.
const CURRENCY: &str = "$€£¥₩₹₽";
/// Dashes that stand for an empty amount.
const DASHES: &str = "-–—―−";
/// What a written number has beside digits.
const AMONG_DIGITS: &str = ".,'’()[]+-–—−±~<>≤≥=*%‰/:†‡ ";

/// A number with its signs, or a dash that stands for one.
pub fn is_amount(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || CURRENCY.contains(c) || AMONG_DIGITS.contains(c);
    let digits = text.chars().any(|c| c.is_ascii_digit());
    let dash = text.chars().any(|c| DASHES.contains(c));
    text.chars().all(plain) && (digits || dash)
}

/// A year of the 19th to the 21st century: a header as often as an amount.
pub fn is_year(text: &str) -> bool {
    text.len() == 4
        && text.bytes().all(|b| b.is_ascii_digit())
        && matches!(text.get(..2), Some("18" | "19" | "20"))
}

/// Whether `text` alone is a sign that belongs to the amount after it: `$`, `$ (`, `US$`.
pub fn leads(text: &str) -> bool {
    let text = text.strip_prefix("US").unwrap_or(text);
    !text.is_empty() && text.chars().all(|c| CURRENCY.contains(c) || c == '(')
}

/// Whether `text` alone is a sign that belongs to the amount before it: `)`, `%`, `)%`.
pub fn trails(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| ")%‰".contains(c))
}

/// Whether two words are amounts that hardly stand in one cell: "1,234 5,678", not "3.4 (0.5)".
pub fn apart(left: &str, right: &str) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let ends = digit(left.chars().last()) || left.ends_with([')', '%']);
    let begins = digit(right.chars().next()) || right.starts_with(['-', '$', '€', '£']);
    is_amount(left) && is_amount(right) && ends && begins
}

/// Two parts of a cell that stand beside each other: a sign stands at its amount without a space.
pub fn together(left: &str, right: &str) -> bool {
    let opens = left
        .chars()
        .last()
        .is_some_and(|c| CURRENCY.contains(c) || c == '(');
    let digit_first = |c: char| c.is_ascii_digit() || "(.-–—−".contains(c);
    let amount = right.chars().next().is_some_and(digit_first) && is_amount(right);
    let ends = left
        .chars()
        .last()
        .is_some_and(|c| c.is_ascii_digit() || c == ')');
    (opens && amount) || (trails(right) && ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_from_words() {
        for amount in [
            "1,234",
            "(56)",
            "—",
            "12.5%",
            "$ 3",
            "0.3 ± 0.1",
            "-2",
            "1/2",
        ] {
            assert!(is_amount(amount), "{amount}");
        }
        for other in ["", "H2O", "n/a", "$", "%", ")", "Note 3"] {
            assert!(!is_amount(other), "{other}");
        }
        assert!(is_year("2014") && !is_year("2,014") && !is_year("4711"));
    }

    #[test]
    fn signs_stand_at_their_amounts() {
        assert!(leads("$") && leads("US$") && leads("$(") && !leads("$5") && !leads(""));
        assert!(trails(")") && trails(")%") && !trails("5)"));
        assert!(together("$", "1,234") && together("(5", ")") && together("12", "%"));
        assert!(together("$", "(7)") && together("$", "—"));
        assert!(!together("Cost", "5") && !together("$", "each") && !together("a", "%"));
    }
}
