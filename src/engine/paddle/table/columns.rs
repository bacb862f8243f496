//! Columns of a table from the white space between its phrases. Pure.
//!
//! Phrases that overlap in x are one column, unless some of them run over a gap that more rows
//! keep free: a header over several columns, or a long line under the table. These are taken out
//! and what remains falls apart into columns.

use super::rows::{Phrase, Rows};

/// The columns, and which of them each phrase stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// From and to of each, from left to right, by the phrases that stand in it alone.
    pub at: Vec<[f32; 2]>,
    /// For each phrase its first and last column.
    pub of: Vec<[usize; 2]>,
}

/// Rows that a phrase must run against for each that it stands in.
const AGAINST: f32 = 1.5;
/// Phrases overlap where they have more than this in common, in characters: ends of words are
/// known to a third of a character.
const TOUCH: f32 = 0.3;

impl Columns {
    pub fn of(rows: &Rows) -> Self {
        let phrases = &rows.phrases;
        let touch = TOUCH * rows.character;
        let mut single = vec![true; phrases.len()];
        loop {
            let groups = groups(phrases, &single, touch);
            let cut = groups
                .iter()
                .find_map(|group| best_cut(phrases, group, touch));
            let Some(x) = cut else { break };
            for (p, single) in phrases.iter().zip(&mut single) {
                *single &= !crosses(p, x, touch);
            }
        }
        let mut groups = groups(phrases, &single, touch);
        merge(phrases, &mut groups, rows);
        let at: Vec<[f32; 2]> = groups
            .iter()
            .map(|g| {
                let from = g.iter().map(|&p| phrases[p].at[0]).fold(f32::MAX, f32::min);
                let to = g.iter().map(|&p| phrases[p].at[2]).fold(f32::MIN, f32::max);
                [from, to]
            })
            .collect();
        let mut of = vec![[0, 0]; phrases.len()];
        for (column, group) in groups.iter().enumerate() {
            for &p in group {
                of[p] = [column, column];
            }
        }
        for (p, of) in phrases
            .iter()
            .zip(&mut of)
            .zip(&single)
            .filter(|(_, s)| !**s)
            .map(|(a, _)| a)
        {
            *of = covered(&at, p, touch);
        }
        Self { at, of }
    }
}

fn crosses(phrase: &Phrase, x: f32, touch: f32) -> bool {
    phrase.at[0] + touch < x && x < phrase.at[2] - touch
}

/// Phrases by columns: those that overlap, directly or over others. From left to right.
fn groups(phrases: &[Phrase], single: &[bool], touch: f32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..phrases.len()).filter(|&p| single[p]).collect();
    order.sort_by(|&a, &b| phrases[a].at[0].total_cmp(&phrases[b].at[0]));
    let mut groups: Vec<(f32, Vec<usize>)> = Vec::new();
    for p in order {
        let [x1, _, x2, _] = phrases[p].at;
        match groups.last_mut().filter(|(end, _)| x1 < end - touch) {
            Some((end, group)) => {
                *end = end.max(x2);
                group.push(p);
            }
            None => groups.push((x2, vec![p])),
        }
    }
    groups.into_iter().map(|(_, g)| g).collect()
}

/// Where a group is best cut in two: rows with a gap there, less those that run over it.
fn best_cut(phrases: &[Phrase], group: &[usize], touch: f32) -> Option<f32> {
    let mut sorted = group.to_vec();
    sorted.sort_by(|&a, &b| {
        let (a, b) = (&phrases[a], &phrases[b]);
        a.row.cmp(&b.row).then(a.at[0].total_cmp(&b.at[0]))
    });
    // Gaps between neighbours of a row.
    let gaps: Vec<[f32; 2]> = sorted
        .windows(2)
        .map(|pair| (&phrases[pair[0]], &phrases[pair[1]]))
        .filter(|(a, b)| a.row == b.row && b.at[0] > a.at[2] - touch)
        .map(|(a, b)| [a.at[2] - touch, b.at[0] + touch])
        .collect();
    let mut best: Option<(f32, f32, f32)> = None;
    for x in gaps
        .iter()
        .flat_map(|g| [g[0] + touch, (g[0] + g[1]) / 2.0, g[1] - touch])
    {
        let free = gaps.iter().filter(|g| (g[0]..=g[1]).contains(&x)).count() as f32;
        let over = group
            .iter()
            .filter(|&&p| crosses(&phrases[p], x, touch))
            .count() as f32;
        let score = free - AGAINST * over;
        let better = best.is_none_or(|(s, o, _)| score > s || (score == s && over < o));
        if over > 0.0 && score > 0.0 && better {
            best = Some((score, over, x));
        }
    }
    best.map(|(.., x)| x)
}

/// Puts groups together that are one column: a header that stands beside what it heads (no row
/// has both, and one of them lies above the other).
fn merge(phrases: &[Phrase], groups: &mut Vec<Vec<usize>>, rows: &Rows) {
    let span = |g: &[usize]| {
        let rows = g.iter().map(|&p| phrases[p].row);
        (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0))
    };
    let gap = |a: &[usize], b: &[usize]| {
        let to = a.iter().map(|&p| phrases[p].at[2]).fold(f32::MIN, f32::max);
        let from = b.iter().map(|&p| phrases[p].at[0]).fold(f32::MAX, f32::min);
        from - to
    };
    loop {
        let mut best: Option<(f32, usize)> = None;
        for i in 1..groups.len() {
            let (a, b) = (&groups[i - 1], &groups[i]);
            let ((a1, a2), (b1, b2)) = (span(a), span(b));
            let gap = gap(a, b);
            let apart = a2 < b1 || b2 < a1;
            if apart && gap < FAR * rows.character && best.is_none_or(|(g, _)| gap < g) {
                best = Some((gap, i));
            }
        }
        let Some((_, i)) = best else { break };
        let right = groups.remove(i);
        groups[i - 1].extend(right);
    }
}

/// Part of the narrower of a phrase and a column that must be common.
const CORNER: f32 = 0.2;
/// Farthest that a header stands beside its column, in characters.
const FAR: f32 = 6.0;

/// First and last column that a phrase stands over; the nearest where it stands over none.
fn covered(columns: &[[f32; 2]], phrase: &Phrase, touch: f32) -> [usize; 2] {
    let [x1, _, x2, _] = phrase.at;
    let over = |c: &[f32; 2]| c[1].min(x2) - c[0].max(x1);
    // A corner that reaches into a column does not count.
    let stands = |c: &[f32; 2]| over(c) > touch.max(CORNER * (x2 - x1).min(c[1] - c[0]));
    let first = columns.iter().position(stands);
    let last = columns.iter().rposition(stands);
    match (first, last) {
        (Some(first), Some(last)) => [first, last],
        _ => {
            let nearest =
                (0..columns.len()).max_by(|&a, &b| over(&columns[a]).total_cmp(&over(&columns[b])));
            [nearest.unwrap_or(0); 2]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::drawn;
    use super::*;

    /// Each phrase's first word with its columns.
    fn columns(text: &str) -> (usize, Vec<(String, [usize; 2])>) {
        let words = drawn(text);
        let rows = Rows::of(&words);
        let columns = Columns::of(&rows);
        let of = rows.phrases.iter().zip(&columns.of);
        let of = of
            .map(|(p, &c)| (words[p.words[0]].text.clone(), c))
            .collect();
        (columns.at.len(), of)
    }

    #[test]
    fn a_header_over_two_columns_does_not_join_them() {
        let (count, of) = columns(
            "            Year ended May\n\
             Item        2019     2020\n\
             Sales         12       13\n\
             A long label   4        5\n",
        );
        assert_eq!(count, 3);
        assert_eq!(of[0], ("Year".into(), [1, 2]));
        assert_eq!(of[3], ("2020".into(), [2, 2]));
        assert_eq!(of[9].1, [2, 2]);
    }

    #[test]
    fn a_column_with_one_entry_stays() {
        let (count, of) = columns(
            "Item        Total 2020 of\n\
             Sales                  13\n\
             Costs     note 1       13\n\
             Taxes     note 2        5\n",
        );
        assert_eq!(count, 3, "{of:?}");
        assert_eq!(of[5], ("note".into(), [1, 1]));
        let (count, _) = columns("Item   Total\nSales     13\nCosts     13      a\nTaxes      5\n");
        assert_eq!(count, 3);
    }

    #[test]
    fn a_header_beside_its_column_belongs_to_it() {
        let (count, _) = columns("Item    No\nSales         12\nCosts         34\n");
        assert_eq!(count, 2);
        let (count, _) = columns("Item    No    Sum\nSales          12\nCosts         34\n");
        assert_eq!(count, 3, "a column without entries that has its own header");
    }
}
