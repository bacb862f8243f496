//! One script a line: a stray ideograph in a Latin word, a full-width comma after it, a Latin O in
//! a Chinese number are faults of the recogniser, whose classes of all scripts compete at every
//! step. Only characters of the line's minority are looked at again.

use super::alphabet::{Alphabet, Script, alike, narrow};
use super::decode::Mark;

/// Part of the winner's probability that another class must have to be taken where it fits the
/// line better: a recogniser that has seen the character well leaves the second less than a
/// hundredth of it.
const PLAUSIBLE: f32 = 0.1;
/// The same inside a word, where the winner cannot be right: twenty times chance (18,710 classes).
const INSIDE: f32 = 0.001;
/// Probability from which two ideographs side by side are what they seem: Chinese in the line.
const SURE: f32 = 0.8;

/// What a line is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Latin,
    Cjk,
    /// Words of both.
    Mixed,
}

/// Decides the line's script by its characters' probabilities, and puts others in the places of
/// those that cannot belong to it. `scores` holds `classes` probabilities a step.
pub fn settle(marks: &mut Vec<Mark>, scores: &[f32], classes: usize, alphabet: &Alphabet) {
    let scripts: Vec<Script> = marks.iter().map(|m| alphabet.script(m.class)).collect();
    if scripts
        .iter()
        .all(|s| matches!(s, Script::Common | Script::Latin))
    {
        return;
    }
    let writing = writing(marks, &scripts);
    let mut changed = vec![false; marks.len()];
    for i in 0..marks.len() {
        let place = Place {
            scripts: &scripts,
            i,
        };
        let row = peak(&marks[i], scores, classes);
        let digits = [i.checked_sub(1), Some(i + 1)].into_iter().all(|n| {
            n.and_then(|n| marks.get(n))
                .and_then(|m| alphabet.first(m.class))
                .is_some_and(|c| c.is_ascii_digit())
        });
        if let Some(class) = another(&marks[i], row, writing, &place, digits, alphabet) {
            marks[i].class = class;
            changed[i] = true;
        }
    }
    // Two that are one character now, without a blank between them.
    for i in (1..marks.len()).rev() {
        let (a, b) = (marks[i - 1], marks[i]);
        if a.class == b.class && a.step + a.length == b.step && (changed[i - 1] || changed[i]) {
            marks[i - 1].length += b.length;
            marks.remove(i);
            changed.remove(i);
        }
    }
}

/// A character among its neighbours.
struct Place<'a> {
    scripts: &'a [Script],
    i: usize,
}

impl Place<'_> {
    fn both(&self, is: impl Fn(Script) -> bool) -> bool {
        let before = self.i.checked_sub(1).map(|i| self.scripts[i]);
        let after = self.scripts.get(self.i + 1).copied();
        before.is_some_and(&is) && after.is_some_and(&is)
    }

    fn in_word(&self) -> bool {
        self.both(|s| s == Script::Latin)
    }
}

fn writing(marks: &[Mark], scripts: &[Script]) -> Writing {
    let sum = |script: Script| -> f32 {
        marks
            .iter()
            .zip(scripts)
            .filter(|(_, s)| **s == script)
            .map(|(m, _)| m.score)
            .sum()
    };
    let (latin, cjk) = (sum(Script::Latin), sum(Script::Cjk));
    let pair = (1..marks.len()).any(|i| {
        [i - 1, i]
            .iter()
            .all(|&i| scripts[i] == Script::Cjk && marks[i].score >= SURE)
    });
    if cjk >= latin && cjk > 0.0 {
        Writing::Cjk
    } else if pair {
        Writing::Mixed
    } else {
        Writing::Latin
    }
}

/// The scores of the step at which a character is likeliest.
fn peak<'a>(mark: &Mark, scores: &'a [f32], classes: usize) -> &'a [f32] {
    (mark.step..mark.step + mark.length)
        .filter_map(|step| scores.get(step * classes..(step + 1) * classes))
        .max_by(|a, b| a[mark.class].total_cmp(&b[mark.class]))
        .unwrap_or_default()
}

/// The class that belongs in the place of a character, where it is another.
fn another(
    mark: &Mark,
    row: &[f32],
    writing: Writing,
    place: &Place<'_>,
    digits: bool,
    alphabet: &Alphabet,
) -> Option<usize> {
    let c = alphabet.first(mark.class)?;
    let won = row.get(mark.class).copied()?;
    let likeliest = |allowed: &dyn Fn(usize) -> bool, part: f32| {
        row.iter()
            .enumerate()
            .filter(|&(class, _)| class > 0 && allowed(class))
            .max_by(|a, b| a.1.total_cmp(b.1))
            .filter(|(_, score)| **score >= part * won)
            .map(|(class, _)| class)
    };
    let latin = |class: usize| alphabet.latin().get(class) == Some(&true);
    let inside = if place.in_word() { INSIDE } else { PLAUSIBLE };
    match (place.scripts[place.i], writing) {
        // A dash between two numbers, whatever the line.
        (Script::Cjk, _) if digits && matches!(c, '\u{4e00}' | '\u{30fc}') => {
            likely(row, &['\u{2013}', '-', '\u{2014}'], alphabet)
        }
        (Script::Cjk, Writing::Latin) => {
            likely(row, alike(c), alphabet).or_else(|| likeliest(&latin, inside))
        }
        (Script::Wide, Writing::Latin) => narrow(c).and_then(|c| alphabet.class(c)),
        // A number in Chinese digits.
        (Script::Common | Script::Latin, Writing::Cjk)
            if matches!(c, 'O' | 'o' | '0') && place.both(|s| s == Script::Cjk) =>
        {
            alphabet
                .class('\u{3007}')
                .filter(|&class| row.get(class).is_some_and(|&v| v >= INSIDE * won))
        }
        (Script::Latin, Writing::Cjk) if place.both(|s| s == Script::Cjk) => likeliest(
            &|class| alphabet.script(class) == Script::Cjk,
            3.0 * PLAUSIBLE,
        ),
        (Script::Rare | Script::Picture, _) if place.in_word() => likeliest(&latin, INSIDE),
        (Script::Greek, Writing::Latin | Writing::Mixed) if place.in_word() => {
            likeliest(&|class| alphabet.script(class) == Script::Latin, PLAUSIBLE)
        }
        _ => None,
    }
}

/// The likeliest class of some characters; the first that there is, of equals.
fn likely(row: &[f32], characters: &[char], alphabet: &Alphabet) -> Option<usize> {
    let mut found: Option<(usize, f32)> = None;
    for class in characters.iter().filter_map(|&c| alphabet.class(c)) {
        let score = row.get(class).copied().unwrap_or(0.0);
        if found.is_none_or(|(_, best)| score > best) {
            found = Some((class, score));
        }
    }
    found.map(|(class, _)| class)
}

/// The text of a line without letters as a Latin page has it: a dash, a bar or a box that was read
/// as an ideograph by itself. `None` where that is not what it may be.
pub fn as_latin(text: &str) -> Option<String> {
    text.chars()
        .map(|c| match super::alphabet::script(c) {
            Script::Cjk => alike(c).first().copied(),
            Script::Wide => narrow(c),
            Script::Latin => None,
            _ => Some(c),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::paddle::recognise::decode::best_path;

    const DICTIONARY: &str = "a\nb\nO\nl\n—\n|\n,\n1\n一\n丨\n中\n文\n，\n〇\nα\nɑ\n二";

    /// The text of a line whose steps are `(character, probability)` lists; what is left goes to
    /// the blank, a step of which stands between any two.
    fn read(steps: &[&[(char, f32)]]) -> String {
        let alphabet = Alphabet::new(DICTIONARY);
        let classes = alphabet.classes();
        let mut scores = Vec::new();
        for step in steps {
            let mut row = vec![1e-5; classes];
            for &(c, score) in *step {
                row[alphabet.class(c).unwrap()] = score;
            }
            scores.extend(row);
            let mut blank = vec![0.0; classes];
            blank[0] = 1.0;
            scores.extend(blank);
        }
        let mut marks = best_path(&scores, classes);
        settle(&mut marks, &scores, classes, &alphabet);
        marks.iter().map(|m| alphabet.mark(m.class)).collect()
    }

    const A: &[(char, f32)] = &[('a', 0.9)];
    const B: &[(char, f32)] = &[('b', 0.9)];
    const ZHONG: &[(char, f32)] = &[('中', 0.95)];
    const WEN: &[(char, f32)] = &[('文', 0.95)];

    #[test]
    fn a_stray_ideograph_leaves_a_latin_line() {
        assert_eq!(read(&[A, B, &[('一', 0.9), ('—', 0.001)], A]), "ab—a");
        assert_eq!(
            read(&[A, &[('丨', 0.9), ('l', 0.02), ('|', 0.01)], B]),
            "alb"
        );
        assert_eq!(
            read(&[A, &[('中', 0.6), ('b', 0.01)], B]),
            "abb",
            "inside a word"
        );
        assert_eq!(
            read(&[A, B, &[('中', 0.5), ('b', 0.2)]]),
            "abb",
            "plausible"
        );
        assert_eq!(read(&[A, B, &[('中', 0.9), ('b', 0.01)]]), "ab中", "meant");
        assert_eq!(read(&[A, B, &[('，', 0.9)], A]), "ab,a");
        let one: &[(char, f32)] = &[('1', 0.9)];
        assert_eq!(
            read(&[one, &[('一', 0.9)], one]),
            "1—1",
            "a range of numbers"
        );
    }

    #[test]
    fn mixed_lines_and_formulas_survive() {
        assert_eq!(
            read(&[A, B, A, B, A, ZHONG, WEN, &[('，', 0.9)], B]),
            "ababa中文，b"
        );
        assert_eq!(
            read(&[ZHONG, WEN, &[('，', 0.9)], ZHONG, A, B, WEN]),
            "中文，中ab文"
        );
        assert_eq!(read(&[A, &[('α', 0.9), ('a', 0.01)], B]), "aαb");
        assert_eq!(read(&[A, &[('α', 0.5), ('a', 0.3)], B]), "aab");
        assert_eq!(read(&[A, &[('ɑ', 0.9), ('a', 0.02)], B]), "aab");
    }

    #[test]
    fn a_latin_look_alike_leaves_a_chinese_line() {
        let two: &[(char, f32)] = &[('二', 0.95)];
        assert_eq!(read(&[two, &[('O', 0.7), ('〇', 0.1)], two]), "二〇二");
        assert_eq!(read(&[ZHONG, &[('l', 0.5), ('丨', 0.3)], WEN]), "中丨文");
        assert_eq!(read(&[ZHONG, &[('l', 0.9), ('丨', 0.01)], WEN]), "中l文");
    }

    #[test]
    fn what_becomes_the_same_is_one() {
        let alphabet = Alphabet::new(DICTIONARY);
        let classes = alphabet.classes();
        let class = |c| alphabet.class(c).unwrap();
        let mut scores = vec![0.0; classes * 4];
        for (step, c) in ['b', 'l', '丨', 'a'].into_iter().enumerate() {
            scores[step * classes + class(c)] = 0.9;
        }
        scores[2 * classes + class('l')] = 0.08;
        let mut marks = best_path(&scores, classes);
        settle(&mut marks, &scores, classes, &alphabet);
        let text: String = marks.iter().map(|m| alphabet.mark(m.class)).collect();
        assert_eq!(text, "bla");
    }

    #[test]
    fn a_sign_alone_is_latin_on_a_latin_page() {
        assert_eq!(as_latin("一").as_deref(), Some("—"));
        assert_eq!(as_latin("（1）").as_deref(), Some("(1)"));
        assert_eq!(as_latin("中"), None);
    }
}
