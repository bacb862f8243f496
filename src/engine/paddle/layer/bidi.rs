//! From the order in which a line is seen to that in which it is read. Pure.

use super::scripts::{Direction, direction};

/// Order of reading of a line's parts, given as seen from left to right: for each place the number
/// of the part that stands there, and whether it was turned (brackets then change sides).
///
/// The main direction is that of most letters. Against it run: words of the other direction with
/// what stands between them, and numbers in a line from right to left.
pub fn logical(parts: &[&str]) -> Vec<(usize, bool)> {
    let classes: Vec<Direction> = parts.iter().map(|p| class(p)).collect();
    let count = |d: Direction| classes.iter().filter(|&&c| c == d).count();
    let (left, right) = (count(Direction::Left), count(Direction::Right));
    if left == 0 {
        return (0..parts.len()).map(|i| (i, false)).collect();
    }
    let leftwards = left > right;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let counter = |c: Direction| match c {
        Direction::Left => !leftwards,
        Direction::Right | Direction::Number => leftwards,
        Direction::Neutral => false,
    };
    if leftwards {
        order.reverse();
    }
    let mut out = Vec::with_capacity(parts.len());
    let mut i = 0;
    while i < order.len() {
        if !counter(classes[order[i]]) {
            out.push((order[i], leftwards));
            i += 1;
            continue;
        }
        // To the last part of this direction before one of the main direction.
        let mut end = i + 1;
        for (j, &part) in order.iter().enumerate().skip(i + 1) {
            match classes[part] {
                Direction::Neutral => {}
                // In a line from left to right a number beside its words may stand among them.
                Direction::Number if !leftwards => {}
                c if counter(c) => end = j + 1,
                _ => break,
            }
        }
        let seen: Vec<usize> = order[i..end].iter().rev().copied().collect();
        if leftwards {
            out.extend(numbers_apart(&seen, parts, &classes).map(|p| (p, false)));
        } else {
            out.extend(seen.into_iter().map(|p| (p, true)));
        }
        i = end;
    }
    out
}

/// A run from left to right within a line from right to left: numbers that stand before its first
/// letter follow one another leftwards.
fn numbers_apart(
    seen: &[usize],
    parts: &[&str],
    classes: &[Direction],
) -> impl Iterator<Item = usize> {
    let lettered = seen
        .iter()
        .position(|&p| classes[p] == Direction::Right)
        .unwrap_or(seen.len());
    let is_space = |p: &usize| parts[*p].chars().all(char::is_whitespace);
    let cut = if lettered == seen.len() {
        seen.len()
    } else {
        seen[..lettered]
            .iter()
            .rposition(is_space)
            .map_or(0, |at| at + 1)
    };
    let (before, rest) = seen.split_at(cut);
    let mut pieces: Vec<&[usize]> = Vec::new();
    let mut from = 0;
    for at in 0..before.len() {
        if is_space(&before[at]) {
            pieces.extend([&before[from..at], &before[at..=at]]);
            from = at + 1;
        }
    }
    pieces.push(&before[from..]);
    pieces.push(rest);
    let out: Vec<usize> = pieces.into_iter().rev().flatten().copied().collect();
    out.into_iter()
}

fn class(text: &str) -> Direction {
    text.chars()
        .map(direction)
        .find(|&d| d != Direction::Neutral)
        .unwrap_or(Direction::Neutral)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a line as seen; Hebrew letters stand for themselves.
    fn read(seen: &str) -> String {
        let parts: Vec<String> = seen.chars().map(String::from).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        logical(&parts).into_iter().map(|(i, _)| parts[i]).collect()
    }

    #[test]
    fn a_line_from_right_to_left_keeps_numbers_and_foreign_words() {
        assert_eq!(
            read("\u{5d3}\u{5d2} PDF 2 12 \u{5d1}\u{5d0}"),
            "\u{5d0}\u{5d1} PDF 2 12 \u{5d2}\u{5d3}"
        );
        assert_eq!(read("3.5 \u{5d1}\u{5d0}"), "\u{5d0}\u{5d1} 3.5");
        assert_eq!(read("34 12 \u{5d1}\u{5d0}"), "\u{5d0}\u{5d1} 12 34");
    }

    #[test]
    fn words_from_right_to_left_within_a_line() {
        assert_eq!(
            read("say \u{5d3}\u{5d2} \u{5d1}\u{5d0} twice"),
            "say \u{5d0}\u{5d1} \u{5d2}\u{5d3} twice"
        );
        assert_eq!(read("plain text, 12"), "plain text, 12");
    }

    #[test]
    fn brackets_of_turned_parts_are_marked() {
        let parts = ["(", "\u{5d1}", "\u{5d0}", ")"];
        let order = logical(&parts);
        assert_eq!(order, [(3, true), (2, true), (1, true), (0, true)]);
    }
}
