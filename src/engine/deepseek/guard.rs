//! Repetition: tokens that the n-gram rule forbids next, and loops that end a page.
//!
//! Both are kept token by token and depend on the tokens alone. [`Repeats`] is the rule of
//! DeepSeek-OCR's published code (`NoRepeatNGramLogitsProcessor`); it breaks short cycles. What it
//! does not reach ([`Loops`]) is found long before the page runs out of tokens.

use std::collections::HashMap;

/// The no-repeat n-gram rule: no `size` tokens in a row stand twice within the last `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub size: usize,
    pub window: usize,
}

impl Rule {
    /// As DeepSeek-OCR's published code reads documents.
    pub const PUBLISHED: Rule = Rule {
        size: 20,
        window: 50,
    };
}

/// The rule over one sequence, prompt and output alike.
///
/// The rule looks for places where the last `size - 1` tokens stood before. The number of tokens
/// that agree between the end and the place `d` tokens earlier is kept for each distance `d`, so
/// that a step costs `window - size` comparisons.
#[derive(Clone, Debug)]
pub struct Repeats {
    rule: Rule,
    /// By distance, the longest first: tokens up to the last that equal those `distance` earlier.
    agree: Vec<u32>,
}

impl Repeats {
    /// `None` where the rule can forbid nothing.
    pub fn new(rule: Rule) -> Option<Self> {
        let distances = (rule.window + 1).checked_sub(rule.size)?;
        (rule.size > 0 && distances > 0).then(|| Self {
            rule,
            agree: vec![0; distances],
        })
    }

    /// Takes the last of `ids` into account; every earlier one was pushed before.
    pub fn push(&mut self, ids: &[u32]) {
        let Some((last, before)) = ids.split_last() else {
            return;
        };
        count(&mut self.agree, *last, before);
    }

    /// Tokens that may not follow `ids`, each once, except those in `whitelist`.
    pub fn banned(&self, ids: &[u32], whitelist: &[u32]) -> Vec<u32> {
        let mut out = Vec::new();
        let prefix = self.rule.size as u32 - 1;
        for (d, &agree) in (1..=ids.len()).zip(self.agree.iter().rev()) {
            if agree >= prefix {
                let id = ids[ids.len() - d];
                if !whitelist.contains(&id) && !out.contains(&id) {
                    out.push(id);
                }
            }
        }
        out
    }
}

/// Updates the agreements, the longest distance first, for the token `last` that follows `before`.
/// Gives a bound of the largest: their bits together, which costs less to find.
fn count(agree: &mut [u32], last: u32, before: &[u32]) -> u32 {
    let distances = agree.len().min(before.len());
    let (first, from) = (agree.len() - distances, before.len() - distances);
    let mut bits = 0;
    for (agree, &earlier) in agree[first..].iter_mut().zip(&before[from..]) {
        *agree = if earlier == last { *agree + 1 } else { 0 };
        bits |= *agree;
    }
    bits
}

/// Longest cycle that is looked for: a dense page is hardly longer.
const LONGEST: usize = 2048;
/// Tokens that must repeat exactly before a cycle counts. Leaders and rules of dots or dashes in
/// one line stay below, and the n-gram rule breaks them anyway.
const REPEATED: usize = 400;
/// The same for cycles with table cells: the empty rows of a form are all alike, and the rule lets
/// cells through. A form of 60 rows by 12 columns has about 1,800 tokens.
const REPEATED_CELLS: usize = 2000;
/// Copies of a cycle, the first counted, below [`LONG`] tokens. In a page with boxes two blocks
/// never agree in their coordinates, so real repetition stays within one block.
const COPIES: usize = 5;
/// Copies of a longer cycle, and what is longer: several blocks with their boxes.
const LONG_COPIES: usize = 3;
const LONG: usize = 256;
/// The n-gram rule turns a cycle into one with a changed token every 20 or so. Such text is found
/// by its lack of anything new: of the last 1,024 places where four tokens stand, fewer than 205
/// (20 %) differ. Prose has over 90 %, contents with long leaders about 40 %.
const WORN: usize = 1024;
const WORN_DISTINCT: usize = 205;
const GRAM: usize = 4;

/// A sequence that goes in circles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Tokens of the output up to the end of the first round: what is worth keeping.
    pub keep: usize,
    /// Tokens of one round; `None` where the rounds are not alike.
    pub period: Option<usize>,
}

/// Watches the output of one sequence for loops.
#[derive(Clone, Debug)]
pub struct Loops {
    /// As in [`Repeats`].
    agree: Vec<u32>,
    grams: HashMap<[u32; GRAM], u32>,
    /// Grams within the window that hold a cell.
    cells: usize,
}

impl Default for Loops {
    fn default() -> Self {
        Self {
            agree: vec![0; LONGEST],
            grams: HashMap::new(),
            cells: 0,
        }
    }
}

impl Loops {
    /// Takes the last token of `output` into account; every earlier one was pushed before.
    /// `cells` are the tokens of table cells.
    pub fn push(&mut self, output: &[u32], cells: &[u32]) -> Option<Loop> {
        let (last, before) = output.split_last()?;
        let most = count(&mut self.agree, *last, before);
        let cycle = (most as usize >= REPEATED).then(|| self.cycle(output, cells));
        cycle.flatten().or_else(|| self.worn(output, cells))
    }

    fn cycle(&self, output: &[u32], cells: &[u32]) -> Option<Loop> {
        for (period, &agree) in (1..=output.len()).zip(self.agree.iter().rev()) {
            let agree = agree as usize;
            if agree < REPEATED {
                continue;
            }
            let copies = if period < LONG { COPIES } else { LONG_COPIES };
            let round = &output[output.len() - period..];
            let least = if round.iter().any(|id| cells.contains(id)) {
                REPEATED_CELLS
            } else {
                REPEATED
            };
            if agree >= least.max(period * (copies - 1)) {
                return Some(Loop {
                    keep: output.len() - agree,
                    period: Some(period),
                });
            }
        }
        None
    }

    fn worn(&mut self, output: &[u32], cells: &[u32]) -> Option<Loop> {
        let holds_cell = |gram: &[u32; GRAM]| gram.iter().any(|id| cells.contains(id));
        let gram: [u32; GRAM] = *output.last_chunk()?;
        *self.grams.entry(gram).or_default() += 1;
        self.cells += usize::from(holds_cell(&gram));
        let grams = output.len() - GRAM + 1;
        if grams > WORN {
            let left: [u32; GRAM] = *output[grams - WORN - 1..].first_chunk()?;
            if let Some(times) = self.grams.get_mut(&left) {
                *times -= 1;
                if *times == 0 {
                    self.grams.remove(&left);
                }
            }
            self.cells -= usize::from(holds_cell(&left));
        }
        // Tables repeat by their nature: the cycle above watches them.
        let worn = grams >= WORN && self.cells < WORN / 2 && self.grams.len() < WORN_DISTINCT;
        worn.then(|| Loop {
            keep: grams - WORN,
            period: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule as it is written down.
    fn naive(rule: Rule, ids: &[u32], whitelist: &[u32]) -> Vec<u32> {
        let (n, len) = (rule.size, ids.len());
        let mut out = Vec::new();
        if len + 1 < n {
            return out;
        }
        let prefix = &ids[len - (n - 1)..];
        let mut i = len.saturating_sub(rule.window);
        while i + n <= len {
            let next = ids[i + n - 1];
            if ids[i..i + n - 1] == *prefix && !whitelist.contains(&next) && !out.contains(&next) {
                out.push(next);
            }
            i += 1;
        }
        out.sort_unstable();
        out
    }

    proptest! {
        #[test]
        fn the_rule_kept_token_by_token_is_the_rule(
            ids in prop::collection::vec(0u32..3, 0..160),
            size in 1usize..24, window in 1usize..60, whitelist in prop::collection::vec(0u32..3, 0..2),
        ) {
            let rule = Rule { size, window };
            let mut repeats = Repeats::new(rule);
            for len in 0..=ids.len() {
                let ids = &ids[..len];
                let mut banned = match &mut repeats {
                    Some(repeats) => {
                        repeats.push(ids);
                        repeats.banned(ids, &whitelist)
                    }
                    None => Vec::new(),
                };
                banned.sort_unstable();
                prop_assert_eq!(banned, naive(rule, ids, &whitelist), "after {} tokens", len);
            }
        }

        #[test]
        fn varied_text_never_loops(ids in prop::collection::vec(0u32..3000, 1500..2500)) {
            prop_assert_eq!(first_loop(&ids, &[]), None);
        }

        #[test]
        fn a_cycle_is_found_within_its_copies(
            before in prop::collection::vec(0u32..3000, 0..300), period in 1usize..1500, seed in any::<u32>(),
        ) {
            let round: Vec<u32> = (0..period as u32).map(|i| (i ^ seed) % 2999).collect();
            let ids: Vec<u32> = before.iter().chain(round.iter().cycle().take(6000)).copied().collect();
            let (at, found) = first_loop(&ids, &[]).expect("a loop");
            let copies = if period < LONG { COPIES } else { LONG_COPIES };
            prop_assert!(at <= before.len() + (period * copies).max(REPEATED + period));
            // The first round is kept, and little more.
            prop_assert!(found.keep <= before.len() + period, "{found:?}");
        }
    }

    /// The length at which a loop is found first, and the loop.
    fn first_loop(ids: &[u32], cells: &[u32]) -> Option<(usize, Loop)> {
        let mut loops = Loops::default();
        (1..=ids.len()).find_map(|len| Some((len, loops.push(&ids[..len], cells)?)))
    }

    const CELL: [u32; 2] = [1, 2];

    /// `rows` rows of `columns` cells, each with what `content` says.
    fn table(rows: u32, columns: u32, content: impl Fn(u32, u32) -> Vec<u32>) -> Vec<u32> {
        let mut out = Vec::new();
        for r in 0..rows {
            out.extend([3, 4, 5]);
            for c in 0..columns {
                out.push(CELL[0]);
                out.extend(content(r, c));
                out.push(CELL[1]);
            }
            out.extend([6, 4, 5]);
        }
        out
    }

    #[test]
    fn an_empty_form_is_no_loop_but_an_endless_one_is() {
        assert_eq!(first_loop(&table(60, 12, |_, _| vec![]), &CELL), None);
        let (at, _) = first_loop(&table(400, 12, |_, _| vec![]), &CELL).unwrap();
        assert!(at < 2200, "{at}");
    }

    #[test]
    fn tables_of_similar_rows_and_contents_with_leaders_are_no_loops() {
        let sparse = table(120, 6, |r, c| if c == 0 { vec![100 + r] } else { vec![50] });
        assert_eq!(first_loop(&sparse, &CELL), None);
        let digit = |r: u32, c: u32| 10 + (r * 8 + c).wrapping_mul(2_654_435_761) / 500_000_000;
        let numbers = table(80, 8, |r, c| vec![digit(r, c), digit(c, r)]);
        assert_eq!(first_loop(&numbers, &CELL), None);
        let contents: Vec<u32> = (0..60u32)
            .flat_map(|line| {
                let title = [200 + line, 300 + line * 3 % 70, 400 + line];
                title
                    .into_iter()
                    .chain([9; 15])
                    .chain([10 + line / 10, 10 + line % 10, 11])
            })
            .collect();
        assert_eq!(first_loop(&contents, &CELL), None);
    }

    #[test]
    fn a_cycle_that_the_rule_keeps_breaking_is_found() {
        // Rounds of 12; every 19th token is another one, and the rounds begin anew behind it.
        let ids: Vec<u32> = (0..4000u32)
            .map(|i| match i % 19 {
                18 => 100 + (i / 19).wrapping_mul(2_654_435_761) / 300_000_000,
                i => i % 12,
            })
            .collect();
        let (at, found) = first_loop(&ids, &[]).unwrap();
        assert!(at <= WORN + GRAM, "{at}");
        assert_eq!(found.period, None);
    }
}
