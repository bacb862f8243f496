//! Where a gap between two characters is a space.

/// A gap between two characters of a line, pixels of its image of 48 rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub width: usize,
    /// The model names a space there.
    pub named: bool,
}

/// What gaps of a line separate words.
pub struct Spaces {
    /// Least width of a gap between two letters that is a space.
    limit: usize,
}

impl Spaces {
    pub fn of(gaps: &[Gap]) -> Self {
        let inner = median(gaps.iter().filter(|g| !g.named).map(|g| g.width));
        // Text fills about two thirds of the rows, an em is then about 32 pixels, a space a quarter
        // of it; letter-spaced lines (headings) have gaps everywhere, so the median is taken off.
        let limit = PLAIN.max(inner.unwrap_or(0) * 2 + 3);
        // The spaces that the model names show how wide this line's are: all about the same. Two
        // thirds of the way from the gap between letters there lie side bearings and kerning below,
        // and spaces above.
        let named = gaps.iter().filter(|g| g.named);
        let limit = match (named.clone().count(), median(named.map(|g| g.width))) {
            (2.., Some(typical)) => {
                let inner = inner.unwrap_or(0);
                ((inner + 2 * typical) / 3).max(2 * inner + 1).max(LEAST)
            }
            _ => limit,
        };
        Self { limit }
    }

    /// Whether a gap of `width` pixels between `text` and the `mark` that follows it is a space,
    /// where the model names none.
    pub fn between(&self, text: &str, mark: &str, width: usize) -> bool {
        let mut back = text.chars().rev();
        let (Some(last), Some(next)) = (back.next(), mark.chars().next()) else {
            return false;
        };
        if !spaced(last) || !spaced(next) || clings(text, last, next) {
            return false;
        }
        let before = back.next();
        let digit = |c: char| c.is_ascii_digit();
        let limit = if digit(last) && digit(next) || in_address(text) {
            // A narrow 1 has much room around it: digits stand further apart before they are two
            // numbers. Addresses have no spaces.
            2 * self.limit
        } else if matches!(last, '.' | ',' | ':') && digit(next) && before.is_some_and(digit) {
            self.limit * 3 / 2
        } else if slim(last) || slim(next) {
            // They stand in the middle of more room than others have.
            self.limit.max(PLAIN)
        } else if ends_word(text, last, next) || begins_word(text, last, next) {
            // A space is likely here by itself.
            self.limit * 2 / 3
        } else if last == 'f' {
            // It leans over the space.
            self.limit * 5 / 6
        } else {
            self.limit
        };
        width >= limit
    }

    /// Whether a space that the model names after `text` is none: addresses have no spaces, and
    /// the gap is narrower than those between words.
    pub fn none(&self, text: &str, width: usize) -> bool {
        in_address(text) && width < self.limit
    }
}

/// Least space of text of common proportions, pixels of 48 rows.
const PLAIN: usize = 8;
/// Narrowest gap that is taken as a space, whatever the line's others: between two `l` of small print
/// there are five.
const LEAST: usize = 6;

/// The lower median.
fn median(values: impl Iterator<Item = usize>) -> Option<usize> {
    let mut sorted: Vec<usize> = values.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// Letters of one stem.
fn slim(c: char) -> bool {
    matches!(c, 'i' | 'j' | 'l' | 'I' | '1' | '|' | '!')
}

/// Scripts with spaces between words, and their punctuation.
pub fn spaced(c: char) -> bool {
    c.is_ascii_graphic()
        || ('\u{a1}'..='\u{52f}').contains(&c)
        || ('\u{1e00}'..='\u{1eff}').contains(&c)
        || ('\u{2010}'..='\u{2027}').contains(&c)
}

/// Whether no space belongs between the two whatever the gap: before closing marks, after opening
/// ones.
fn clings(text: &str, last: char, next: char) -> bool {
    const CLOSING: &str = ".,;:!?)]}%\u{2019}\u{201d}\u{bb}'";
    const OPENING: &str = "([{\u{2018}\u{201c}\u{ab}";
    // A straight quotation mark opens, then closes.
    let open = text.matches('"').count() % 2 == 1;
    OPENING.contains(last) || CLOSING.contains(next) || last == '"' && open || next == '"' && open
}

/// Whether the text ends in an address of the web or of mail.
fn in_address(text: &str) -> bool {
    let token = text.rsplit(' ').next().unwrap_or_default();
    token.contains("://") || token.contains("www.") || token.contains('@')
}

/// Whether a mark ends a word or a sentence before the next letter: `word,next`, `word:next`,
/// `word.Next`; not `e.g.`, `Ph.D.`, `x,y`.
fn ends_word(text: &str, last: char, next: char) -> bool {
    let letters = text
        .chars()
        .rev()
        .skip(1)
        .take_while(|c| c.is_alphabetic())
        .take(3)
        .count();
    match last {
        ',' | ';' | ':' => letters >= 2 && next.is_alphabetic(),
        '.' | '!' | '?' => letters >= 3 && next.is_uppercase(),
        _ => false,
    }
}

/// Whether a mark or a capital begins a word after a word of small letters: `word(next`, `ofNext`.
fn begins_word(text: &str, last: char, next: char) -> bool {
    let small = text.chars().rev().take_while(|c| c.is_lowercase());
    last.is_lowercase() && next.is_uppercase() || next == '(' && small.take(3).count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(inner: &[usize], named: &[usize]) -> Spaces {
        let gaps: Vec<Gap> = inner
            .iter()
            .map(|&width| Gap {
                width,
                named: false,
            })
            .chain(named.iter().map(|&width| Gap { width, named: true }))
            .collect();
        Spaces::of(&gaps)
    }

    #[test]
    fn the_spaces_that_the_model_names_show_the_others() {
        let narrow = line(&[1, 2, 2, 1, 7], &[7, 8, 7]);
        assert!(narrow.between("of", "the", 6) && !narrow.between("of", "the", 4));
        assert!(!narrow.between("ful", "l", 7) && narrow.between("ful", "l", 8));
        let wide = line(&[3, 3, 4], &[24, 25]);
        assert!(!wide.between("of", "the", 12) && wide.between("of", "the", 18));
        let none = line(&[2, 2, 3], &[]);
        assert!(!none.between("so", "the", 7) && none.between("so", "the", 8));
        let apart = line(&[10, 11, 10], &[]);
        assert!(!apart.between("T", "I", 20) && apart.between("T", "I", 23));
    }

    #[test]
    fn marks_say_where_a_space_is_likely() {
        let line = line(&[2, 2, 2], &[12, 12]); // limit 8
        assert!(line.between("however,", "the", 5));
        assert!(line.between("ended.", "The", 5));
        assert!(!line.between("e.g.", "The", 5), "an abbreviation");
        assert!(!line.between("f(x,", "y", 5));
        assert!(line.between("form", "(", 5) && !line.between("f", "(", 4));
        assert!(line.between("from", "Max", 5) && !line.between("from", "Max", 4));
        assert!(line.between("of", "the", 6) && !line.between("by", "others", 6));
        assert!(!line.between("ended", ".", 20));
        assert!(!line.between("(", "a", 20) && line.between("a", "(", 9));
        assert!(!line.between("1,", "0", 10) && line.between("1,", "0", 13));
        assert!(!line.between("http://ab.cd/e", "f", 12));
        assert!(line.none("http://ab.cd/e_", 3) && !line.none("http://ab.cd/e", 12));
        assert!(!line.none("of", 3));
        assert!(!line.between("\"", "a", 9) && line.between("a", "\"", 9));
        assert!(!line.between("\"a", "\"", 9) && line.between("\"a\"", "b", 9));
    }
}
