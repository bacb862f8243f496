//! Letters and digits of the same shape: old-style zeros read as `o`, an `I` before capitals as `l`.
//! Only where the neighbours leave no doubt, and the other class has some of the probability.

use super::alphabet::Alphabet;
use super::decode::Mark;

/// Part of the winner's probability that the other must have: a hundredth; shapes that are alike
/// share more.
const SHARE: f32 = 0.01;

/// Puts digits among digits and capitals before capitals.
pub fn settle(marks: &mut [Mark], scores: &[f32], classes: usize, alphabet: &Alphabet) {
    let characters: Vec<char> = marks
        .iter()
        .map(|m| alphabet.first(m.class).unwrap_or(' '))
        .collect();
    for i in 0..marks.len() {
        let at = |n: Option<usize>| n.and_then(|n| characters.get(n)).copied().unwrap_or(' ');
        let (before, after, later) = (at(i.checked_sub(1)), at(Some(i + 1)), at(Some(i + 2)));
        let other = match characters[i] {
            // 95o, 97os
            'o' | 'O'
                if before.is_ascii_digit()
                    && (after.is_ascii_digit() || !later.is_alphabetic() && !is_letter(after)) =>
            {
                '0'
            }
            'l' if before == ' ' && after.is_ascii_uppercase() && later.is_ascii_uppercase() => 'I',
            _ => continue,
        };
        let row = marks[i].step * classes;
        let score = |class: usize| scores.get(row + class).copied().unwrap_or(0.0);
        if let Some(class) = alphabet.class(other)
            && score(class) >= SHARE * score(marks[i].class)
        {
            marks[i].class = class;
        }
    }
}

/// Letters but the `s` of `1950s`.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && c != 's'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, other: char, share: f32) -> String {
        let alphabet = Alphabet::new("o\nl\nI\n0\n9\n5\ns\nD\nP\ne");
        let classes = alphabet.classes();
        let class = |c| alphabet.class(c).unwrap();
        let mut scores = vec![0.0; classes * text.len()];
        let mut marks = Vec::new();
        for (step, c) in text.chars().enumerate() {
            scores[step * classes + class(other)] = share;
            scores[step * classes + class(c)] = 0.8;
            marks.push(Mark {
                class: class(c),
                step,
                length: 1,
                score: 0.8,
            });
        }
        settle(&mut marks, &scores, classes, &alphabet);
        marks.iter().map(|m| alphabet.mark(m.class)).collect()
    }

    #[test]
    fn neighbours_and_a_share_of_the_probability_decide() {
        assert_eq!(read("95os", '0', 0.1), "950s");
        assert_eq!(read("9o5", '0', 0.1), "905");
        assert_eq!(read("95os", '0', 0.001), "95os");
        assert_eq!(read("5oe", '0', 0.1), "5oe");
        assert_eq!(read("lDP", 'I', 0.1), "IDP");
        assert_eq!(read("le", 'I', 0.1), "le");
    }
}
