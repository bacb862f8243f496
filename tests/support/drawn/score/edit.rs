//! Distances between texts.

use unicode_normalization::UnicodeNormalization;

/// A text as texts are compared: NFKC, quotes and dashes in their ASCII forms, one space for any
/// white space, none at the ends.
pub fn folded(text: &str) -> String {
    let plain: String = text
        .nfkc()
        .filter(|c| !matches!(c, '\u{ad}' | '\u{200b}'))
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{b4}' | '`' => '\'',
            '\u{201c}' | '\u{201d}' | '\u{ab}' | '\u{bb}' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            c => c,
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ")
}

/// The same without any white space.
pub fn squeezed(text: &str) -> String {
    folded(text).split(' ').collect()
}

/// The words of a folded text; a Han or Kana character is a word of its own.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let alone = matches!(u32::from(c), 0x3040..=0x30FF | 0x3400..=0x9FFF);
        if (c == ' ' || alone) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(c.to_string());
        } else if c != ' ' {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// 1 for equal sequences, 0 for those that share nothing: 1 less the edit distance (Levenshtein
/// 1966) over the longer length.
pub fn likeness<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 1.0;
    }
    1.0 - distance(a, b) as f64 / longer as f64
}

fn distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // What both begin and end with costs nothing.
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    let pairs = a.iter().rev().zip(b.iter().rev());
    let same = pairs.take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Where a pattern stands in a text, best: how like it is to that part (1 less the edits over the
/// pattern's length, not below 0), and where the part begins and ends (Sellers 1980).
pub fn place<T: PartialEq>(pattern: &[T], text: &[T]) -> (f64, usize, usize) {
    if pattern.is_empty() {
        return (1.0, 0, 0);
    }
    let mut windows = text.windows(pattern.len());
    if let Some(start) = windows.position(|window| window == pattern) {
        return (1.0, start, start + pattern.len());
    }
    // Edits, and where the part of the text began, after each row of the pattern.
    let mut row: Vec<(usize, usize)> = (0..=text.len()).map(|j| (0, j)).collect();
    for (i, x) in pattern.iter().enumerate() {
        let mut corner = row[0];
        row[0] = (i + 1, 0);
        for (j, y) in text.iter().enumerate() {
            let replaced = (corner.0 + usize::from(x != y), corner.1);
            let (above, left) = (row[j + 1], row[j]);
            corner = above;
            let mut best = replaced;
            for (edits, start) in [above, left] {
                if edits + 1 < best.0 {
                    best = (edits + 1, start);
                }
            }
            row[j + 1] = best;
        }
    }
    let (end, &(edits, start)) = row
        .iter()
        .enumerate()
        .min_by_key(|(_, cell)| cell.0)
        .expect("one cell at least");
    let like = 1.0 - edits as f64 / pattern.len() as f64;
    (like.max(0.0), start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn texts_are_folded_and_divided() {
        assert_eq!(folded(" “ﬁve”\n\tsix — x² "), "\"five\" six - x2");
        assert_eq!(words("ab c漢字d"), ["ab", "c", "漢", "字", "d"]);
        assert_eq!(squeezed("$ 1 2"), "$12");
    }

    #[test]
    fn likeness_counts_edits() {
        assert_eq!(
            likeness(&chars("kitten"), &chars("sitting")),
            1.0 - 3.0 / 7.0
        );
        assert_eq!(likeness::<char>(&[], &[]), 1.0);
        assert_eq!(likeness(&chars("ab"), &[]), 0.0);
        assert_eq!(likeness(&chars("aab"), &chars("ab")), 1.0 - 1.0 / 3.0);
        assert_eq!(likeness(&chars("abca"), &chars("a")), 0.25);
    }

    #[test]
    fn a_pattern_is_found_though_it_is_damaged() {
        let (like, start, end) = place(&chars("winter"), &chars("a long wimter night"));
        assert_eq!((start, end), (7, 13));
        assert!((like - 5.0 / 6.0).abs() < 1e-9);
        assert_eq!(place(&chars("on"), &chars("a long n")), (1.0, 3, 5));
        assert_eq!(place(&chars("xyz"), &chars("")).0, 0.0);
    }
}
