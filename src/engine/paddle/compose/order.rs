//! Repairs of the reading order. Pure.
//!
//! The layout model's order stands, but for what a reader's eye would not do: go up within a
//! column, leave a column of running text before its end, part a caption from its figure, read a
//! note before the text.

use super::piece::{Rect, across, beside, height, median, middle, width};
use super::{Draft, is_figure};
use crate::page::Role;
use crate::page::words;

/// The drafts of regions in the model's order, repaired, with those of lines that no region holds
/// where they belong. `page`: its height, pixels.
pub fn order(regions: Vec<Draft>, free: Vec<Draft>, page: f32) -> Vec<Draft> {
    let mut drafts = permuted(regions, columns);
    captions(&mut drafts, page);
    for draft in permuted(free, |drafts| {
        let places: Vec<Rect> = drafts.iter().map(|d| d.at).collect();
        cut(&places)
    }) {
        let place = place(&drafts, draft.at, page);
        drafts.insert(place, draft);
    }
    halves(&mut drafts);
    // Notes come after the text of their page.
    let (notes, mut drafts): (Vec<Draft>, Vec<Draft>) = drafts
        .into_iter()
        .partition(|d| d.label == "footnote" && middle(d.at) > page / 2.0);
    drafts.extend(notes);
    drafts
}

fn permuted(drafts: Vec<Draft>, order: impl Fn(&[Draft]) -> Vec<usize>) -> Vec<Draft> {
    let order = order(&drafts);
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|i| drafts.get_mut(i).and_then(Option::take))
        .collect()
}

/// Part of the narrower one's width that two blocks of one column have in common.
const COLUMN: f32 = 0.5;

/// Whether `a` stands over `b` in one column.
fn is_above(a: &Draft, b: &Draft) -> bool {
    middle(a.at) < middle(b.at) && beside(a.at, b.at) < 0.3 && across(a.at, b.at) >= COLUMN
}

/// Whether `b` goes on with `a`, under it in the same column of running text.
fn is_next(a: &Draft, b: &Draft) -> bool {
    let running = |d: &Draft| Role::of(d.label) == Role::Text && d.pieces.len() > 1;
    let size = median(a.pieces.iter().map(|p| p.height));
    running(a)
        && running(b)
        && is_above(a, b)
        && across(a.at, b.at) > 0.8
        && b.at[1] - a.at[3] < 2.0 * size
}

/// The model's order but for breaks of columns (after T. Breuel, "High performance document layout
/// analysis", 2003: a partial order by geometry, put in a line).
fn columns(drafts: &[Draft]) -> Vec<usize> {
    let count = drafts.len();
    // Captions follow their figures.
    let still = |d: &Draft| {
        matches!(Role::of(d.label), Role::Furniture | Role::Caption) || is_figure(d.label)
    };
    let mut first: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (j, b) in drafts.iter().enumerate() {
        for (i, a) in drafts.iter().enumerate() {
            if i == j || still(a) || still(b) {
                continue;
            }
            if is_above(a, b) {
                first[j].push(i);
            }
            // Column by column: what goes on with `a` comes before what stands right of `a`.
            if i + 1 < j && is_next(a, b) {
                for (k, c) in drafts.iter().enumerate().take(j).skip(i + 1) {
                    let right = c.at[0] > a.at[2].max(b.at[2]) - 0.02 * width(a.at);
                    let running = Role::of(c.label) == Role::Text && c.pieces.len() > 1;
                    if right && running && beside(a.at, c.at) > 0.3 {
                        first[k].push(j);
                    }
                }
            }
        }
    }
    let mut placed = vec![false; count];
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let ready = |i: &usize| !placed[*i] && first[*i].iter().all(|&f| placed[f]);
        // Boxes that lie over each other may ask for a circle: then the model's order.
        let next = (0..count)
            .find(ready)
            .or_else(|| (0..count).find(|&i| !placed[i]));
        let Some(next) = next else { break };
        placed[next] = true;
        out.push(next);
    }
    out
}

/// Largest distance of a caption from its figure, as part of the page's height.
const CAPTION: f32 = 0.06;

/// What a caption says it stands with: "Figure 3", "Table 1:", "Algorithm 2".
pub fn captioned(draft: &Draft) -> Option<Role> {
    let text = draft.pieces.first().map_or("", |p| p.text.as_str());
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let counted = rest.starts_with(|c: char| c.is_ascii_digit());
    let kind = match word.to_lowercase().trim_end_matches('.') {
        "figure" | "fig" | "abbildung" | "abb" => Role::Figure,
        "table" | "tab" | "tabelle" | "tableau" => Role::Table,
        "algorithm" | "listing" => Role::Code,
        _ => return None,
    };
    counted.then_some(kind)
}

/// Puts captions before or after what they stand over, under or beside, where something else came
/// between.
fn captions(drafts: &mut Vec<Draft>, page: f32) {
    let belongs =
        |d: &Draft| is_figure(d.label) || matches!(Role::of(d.label), Role::Table | Role::Code);
    let mut i = 0;
    while i < drafts.len() {
        let at = drafts[i].at;
        if Role::of(drafts[i].label) != Role::Caption {
            i += 1;
            continue;
        }
        let named = captioned(&drafts[i]);
        let is_named = |d: &Draft| match named {
            Some(Role::Figure) => is_figure(d.label),
            Some(role) => Role::of(d.label) == role,
            None => true,
        };
        let nearest = drafts
            .iter()
            .enumerate()
            .filter(|(_, d)| belongs(d) && is_named(d))
            .filter_map(|(j, d)| distance(at, d.at).map(|gap| (j, gap)))
            .filter(|&(_, gap)| gap < CAPTION * page)
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((figure, _)) = nearest else {
            i += 1;
            continue;
        };
        let (from, to) = (i.min(figure) + 1, i.max(figure));
        let parted = drafts[from..to].iter().any(|d| {
            !belongs(d)
                && !matches!(
                    Role::of(d.label),
                    Role::Caption | Role::Furniture | Role::Footnote
                )
        });
        if parted {
            let caption = drafts.remove(i);
            let figure = if figure > i { figure - 1 } else { figure };
            let over = middle(caption.at) < drafts[figure].at[1];
            drafts.insert(if over { figure } else { figure + 1 }, caption);
        }
        // What was moved back has been seen; what moved up has not.
        i += usize::from(!parted || figure < i);
    }
}

/// Puts what reads as the right half of a caption set in two columns right after the left half.
fn halves(drafts: &mut Vec<Draft>) {
    for i in 0..drafts.len() {
        let left = &drafts[i];
        let (first, last) = (left.pieces.first(), left.pieces.last());
        let open = last.is_some_and(|p| !words::is_ended(&p.text));
        let row = first.map_or(0.0, |p| height(p.at));
        if Role::of(left.label) != Role::Caption || !open {
            continue;
        }
        let half = |d: &Draft| {
            Role::of(d.label) == Role::Text
                && d.at[0] > left.at[2]
                && (d.at[1] - left.at[1]).abs() < row
                && height(d.at) < height(left.at) + row
                && d.pieces
                    .first()
                    .is_some_and(|p| words::is_continued(&p.text))
        };
        if let Some(j) = drafts.iter().position(half) {
            let half = drafts.remove(j);
            let after = if j < i { i } else { i + 1 };
            drafts.insert(after, half);
        }
    }
}

/// Pixels between two boxes one over the other or beside each other.
fn distance(a: Rect, b: Rect) -> Option<f32> {
    let down = (b[1] - a[3]).max(a[1] - b[3]).max(0.0);
    let right = (b[0] - a[2]).max(a[0] - b[2]).max(0.0);
    if across(a, b) >= 0.5 {
        Some(down)
    } else if beside(a, b) >= 0.5 {
        Some(right)
    } else {
        None
    }
}

/// Where among the ordered drafts one belongs that the model did not see: after the one over it in
/// its column, or before the one under it, whichever is nearer.
fn place(drafts: &[Draft], at: Rect, page: f32) -> usize {
    let column = || {
        drafts
            .iter()
            .enumerate()
            .filter(|(_, d)| across(d.at, at) >= 0.3 && Role::of(d.label) != Role::Furniture)
    };
    let over = column()
        .filter(|(_, d)| middle(d.at) <= middle(at))
        .map(|(i, d)| (i, (at[1] - d.at[3]).max(0.0)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let under = column()
        .filter(|(_, d)| middle(d.at) > middle(at))
        .map(|(i, d)| (i, (d.at[1] - at[3]).max(0.0)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    match (over, under) {
        (Some((i, above)), Some((_, below))) if above <= below => i + 1,
        (_, Some((j, _))) => j,
        (Some((i, above)), None) if above < 0.05 * page => i + 1,
        (Some(_), None) => drafts.len(),
        (None, None) => drafts
            .iter()
            .position(|d| middle(d.at) > middle(at))
            .unwrap_or(drafts.len()),
    }
}

/// The order of rectangles that nobody has ordered: cuts through the white between columns, else
/// between rows (recursive X-Y cut; G. Nagy, S. Seth, 1984).
pub fn cut(places: &[Rect]) -> Vec<usize> {
    let mut out = Vec::with_capacity(places.len());
    let all: Vec<usize> = (0..places.len()).collect();
    cut_part(places, all, &mut out);
    out
}

fn cut_part(places: &[Rect], mut part: Vec<usize>, out: &mut Vec<usize>) {
    if part.len() < 2 {
        out.append(&mut part);
        return;
    }
    let size = median(part.iter().map(|&i| height(places[i])));
    let columns = |part: &[usize]| bands(places, part, 0, 0.3 * size);
    let mut parts = columns(&part);
    // A column is more than one block, or the parts are no columns but a row.
    if parts.iter().filter(|c| c.len() > 1).count() < 2 {
        // Rows that have columns in common stay together.
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for row in bands(places, &part, 1, 0.0) {
            match rows.last_mut() {
                Some(last) if columns(&[&last[..], &row[..]].concat()).len() > 1 => {
                    last.extend(row)
                }
                _ => rows.push(row),
            }
        }
        if rows.len() > 1 {
            parts = rows;
        }
    }
    if parts.len() < 2 {
        part.sort_by(|&a, &b| {
            let (a, b) = (places[a], places[b]);
            a[1].total_cmp(&b[1]).then(a[0].total_cmp(&b[0]))
        });
        out.append(&mut part);
        return;
    }
    for part in parts {
        cut_part(places, part, out);
    }
}

/// The parts between gaps wider than `gap` along an axis (0: x, 1: y).
fn bands(places: &[Rect], part: &[usize], axis: usize, gap: f32) -> Vec<Vec<usize>> {
    let mut sorted = part.to_vec();
    sorted.sort_by(|&a, &b| places[a][axis].total_cmp(&places[b][axis]));
    let mut bands: Vec<Vec<usize>> = Vec::new();
    let mut end = f32::MIN;
    for i in sorted {
        match bands.last_mut() {
            Some(band) if places[i][axis] <= end + gap => band.push(i),
            _ => bands.push(vec![i]),
        }
        end = end.max(places[i][axis + 2]);
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::super::piece::Piece;
    use super::*;

    fn draft(label: &'static str, at: Rect) -> Draft {
        let piece = Piece {
            at,
            height: 20.0,
            angle: 0.0,
            source: Source::Image,
            text: "words".into(),
        };
        Draft::new(label, at, vec![piece.clone(), piece])
    }

    /// Orders drafts; each is named by its place in the list.
    fn read(regions: &[(&'static str, Rect)], free: &[Rect]) -> Vec<usize> {
        let all: Vec<Rect> = regions
            .iter()
            .map(|r| r.1)
            .chain(free.iter().copied())
            .collect();
        let regions = regions
            .iter()
            .map(|&(label, at)| draft(label, at))
            .collect();
        let free = free.iter().map(|&at| draft("text", at)).collect();
        order(regions, free, 1000.0)
            .iter()
            .map(|d| all.iter().position(|&at| at == d.at).unwrap())
            .collect()
    }

    #[test]
    fn a_column_is_read_down_and_to_its_end() {
        let left = [0.0, 100.0, 480.0, 300.0];
        let below = [0.0, 310.0, 480.0, 600.0];
        let right = [520.0, 100.0, 1000.0, 600.0];
        assert_eq!(
            read(&[("text", left), ("text", right), ("text", below)], &[]),
            [0, 2, 1]
        );
        assert_eq!(
            read(&[("text", below), ("text", left), ("text", right)], &[]),
            [1, 0, 2]
        );
        // Between columns that a wide picture divides the model is believed.
        let under = [0.0, 610.0, 480.0, 900.0];
        assert_eq!(
            read(&[("text", left), ("text", right), ("text", under)], &[]),
            [0, 1, 2]
        );
    }

    #[test]
    fn a_caption_stands_with_its_figure_and_notes_last() {
        let figure = [0.0, 100.0, 480.0, 300.0];
        let caption = [100.0, 310.0, 400.0, 340.0];
        let text = [0.0, 400.0, 480.0, 800.0];
        let note = [0.0, 900.0, 480.0, 950.0];
        let right = [520.0, 100.0, 1000.0, 900.0];
        let regions = [
            ("image", figure),
            ("text", text),
            ("footnote", note),
            ("text", right),
            ("figure_title", caption),
        ];
        assert_eq!(read(&regions, &[]), [0, 4, 1, 3, 2]);
        let over = [0.0, 60.0, 480.0, 90.0];
        let regions = [("figure_title", over), ("text", right), ("table", figure)];
        assert_eq!(read(&regions, &[]), [1, 0, 2]);
    }

    #[test]
    fn the_right_half_of_a_caption_follows_the_left() {
        let (left, right) = ([0.0, 400.0, 480.0, 420.0], [520.0, 401.0, 1000.0, 421.0]);
        let text = [520.0, 500.0, 1000.0, 600.0];
        let regions = [("text", right), ("text", text), ("figure_title", left)];
        assert_eq!(read(&regions, &[]), [1, 2, 0]);
        let below = [520.0, 450.0, 1000.0, 470.0];
        let regions = [("text", below), ("text", text), ("figure_title", left)];
        assert_eq!(read(&regions, &[]), [0, 1, 2]);
    }

    #[test]
    fn free_lines_go_where_they_stand() {
        let left = [0.0, 100.0, 480.0, 500.0];
        let right = [520.0, 100.0, 1000.0, 900.0];
        let (near, over) = ([0.0, 510.0, 480.0, 540.0], [520.0, 50.0, 900.0, 80.0]);
        let regions = [("text", left), ("text", right)];
        assert_eq!(read(&regions, &[near, over]), [0, 2, 3, 1]);
    }

    #[test]
    fn rectangles_alone_are_read_by_columns_under_a_wide_title() {
        let places = [
            [500.0, 100.0, 900.0, 200.0],
            [0.0, 210.0, 400.0, 300.0],
            [0.0, 100.0, 400.0, 200.0],
            [0.0, 0.0, 900.0, 50.0],
            [500.0, 210.0, 900.0, 300.0],
        ];
        assert_eq!(cut(&places), [3, 2, 1, 0, 4]);
    }
}
