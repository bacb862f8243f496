//! Which line belongs to which region. Pure.

use super::super::layout::{Region, area, intersection};
use super::super::line::Line;
use super::super::pixels::Slanted;
use super::is_figure;
use super::piece::{Piece, Rect, beside, inside, width};

/// Part of a line that must lie in a region for it to belong there.
const INSIDE: f32 = 0.5;
/// Part of a line from which on a region holds it whole.
const WHOLE: f32 = 0.8;
/// Part of the smaller of two lines that both cover, from which on they may be one line found
/// twice.
const TWICE: f32 = 0.7;

/// The region of each line, by index; `None` outside every region. `width` and `height` of the
/// page image that the lines were found on, pixels.
pub fn homes(regions: &[Region], lines: &[Line], width: f32, height: f32) -> Vec<Option<usize>> {
    let places = places(regions, width, height);
    lines
        .iter()
        .map(|line| home(line.at.bounds(), regions, &places))
        .collect()
}

/// Which lines count: of a line that was found twice, the one that says more.
pub fn once(lines: &[Line]) -> Vec<bool> {
    let pieces: Vec<Piece> = lines.iter().map(Piece::of).collect();
    let mut keep = vec![true; pieces.len()];
    for i in 0..pieces.len() {
        for j in 0..i {
            if keep[j] && is_twice(&pieces[j], &pieces[i]) {
                if pieces[j].text.len() < pieces[i].text.len() {
                    keep[j] = false;
                } else {
                    keep[i] = false;
                    break;
                }
            }
        }
    }
    keep
}

/// The places of regions in pixels.
pub fn places(regions: &[Region], width: f32, height: f32) -> Vec<Rect> {
    regions.iter().map(|r| r.pixels(width, height)).collect()
}

/// The region that holds most of a line. A text region inside a figure is not the figure's, one
/// inside a table is the table's, all but a caption; of several that hold a line whole the
/// smallest.
pub fn home(line: Rect, regions: &[Region], places: &[Rect]) -> Option<usize> {
    let mut found: Vec<(usize, f32)> = places
        .iter()
        .enumerate()
        .map(|(i, &at)| (i, inside(line, at)))
        .filter(|&(_, part)| part >= INSIDE)
        .collect();
    let tables: Vec<usize> = found
        .iter()
        .filter(|&&(i, part)| regions[i].label == "table" && part >= WHOLE)
        .map(|&(i, _)| i)
        .collect();
    found.retain(|&(i, _)| {
        matches!(regions[i].label, "figure_title" | "table")
            || !tables
                .iter()
                .any(|&t| inside(places[i], places[t]) >= WHOLE)
    });
    found
        .into_iter()
        .map(|(i, part)| (i, is_figure(regions[i].label), part < WHOLE))
        .min_by(|a, b| {
            (a.1, a.2)
                .cmp(&(b.1, b.2))
                .then(area(places[a.0]).total_cmp(&area(places[b.0])))
        })
        .map(|(i, ..)| i)
}

/// The lines as pieces: none twice, and none over two regions side by side.
pub fn pieces(lines: &[Line], regions: &[Region], places: &[Rect]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(lines.len());
    for line in lines {
        let cuts = cuts(&line.at, regions, places);
        let parts = if cuts.is_empty() {
            vec![Piece::of(line)]
        } else {
            divided(line, &cuts)
        };
        for piece in parts {
            if piece.text.is_empty() {
                continue;
            }
            match out.iter_mut().find(|known| is_twice(known, &piece)) {
                Some(known) if known.text.len() < piece.text.len() => *known = piece,
                Some(_) => {}
                None => out.push(piece),
            }
        }
    }
    out
}

/// Whether two pieces are the same words, or one part of the other's: of one or two letters only
/// where both boxes are alike, for an index may stand over its line.
fn is_twice(a: &Piece, b: &Piece) -> bool {
    let common = intersection(a.at, b.at);
    let (x, y) = (area(a.at), area(b.at));
    if common / x.min(y).max(1.0) < TWICE {
        return false;
    }
    let letters = |p: &Piece| -> String {
        let letters = p.text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let alike = common / x.max(y).max(1.0) >= TWICE;
    let (a, b) = (letters(a), letters(b));
    let shorter = a.chars().count().min(b.chars().count());
    (a.contains(&b) || b.contains(&a)) && (alike || shorter > 2)
}

/// A line's words to the left of each of the cuts (pixels, ascending), and the rest.
fn divided(line: &Line, cuts: &[f32]) -> Vec<Piece> {
    let mut parts: Vec<Vec<super::super::line::Word>> = vec![Vec::new(); cuts.len() + 1];
    for word in line.words() {
        let part = cuts.iter().take_while(|&&cut| cut < word.at.cx).count();
        parts[part].push(word);
    }
    parts
        .into_iter()
        .filter(|words| !words.is_empty())
        .map(|words| Piece {
            at: super::piece::around(words.iter().map(|w| w.at.bounds())),
            height: line.at.height,
            angle: line.at.angle,
            source: line.source,
            text: words
                .iter()
                .map(|w| w.text.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        })
        .collect()
}

/// Cuts lines that run over the gap between two regions side by side: where columns stand close,
/// detection takes two lines for one. `width` and `height` of the page image, pixels.
pub fn split(lines: &[Slanted], regions: &[Region], width: f32, height: f32) -> Vec<Slanted> {
    let places = places(regions, width, height);
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let [mut from, _, end, _] = line.bounds();
        let cuts = cuts(line, regions, &places);
        for &cut in &cuts {
            out.push(piece(line, from, cut));
            from = cut;
        }
        out.push(if cuts.is_empty() {
            *line
        } else {
            piece(line, from, end)
        });
    }
    out
}

/// Slant up to which a line counts as level: radians.
const LEVEL: f32 = 0.05;

/// Where a line runs over the gap between two regions: pixels, ascending.
fn cuts(line: &Slanted, regions: &[Region], places: &[Rect]) -> Vec<f32> {
    let [x1, _, x2, _] = line.bounds();
    if line.angle.abs() >= LEVEL {
        return Vec::new();
    }
    let mut spans: Vec<(f32, f32)> = places
        .iter()
        .zip(regions)
        .filter(|(at, _)| (at[1]..=at[3]).contains(&line.cy))
        .map(|(at, _)| (at[0], at[2]))
        .filter(|&(a, b)| b.min(x2) - a.max(x1) > line.height)
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut cuts = Vec::new();
    let mut end = f32::MIN;
    for (a, b) in spans {
        // Regions that overlap are not columns.
        if end > f32::MIN && a > end - 0.3 * line.height {
            cuts.push((a + end) / 2.0);
        }
        end = end.max(b);
    }
    cuts
}

/// The part of a level line between two heights of x.
fn piece(line: &Slanted, x1: f32, x2: f32) -> Slanted {
    let cx = (x1 + x2) / 2.0;
    Slanted {
        cx,
        cy: line.cy + (cx - line.cx) * line.angle.tan(),
        width: x2 - x1,
        ..*line
    }
}

/// Lines that no region holds, in groups of neighbours: below each other within a line's height
/// and one over the other, of about the same size; or close beside each other.
pub fn groups(mut free: Vec<Piece>) -> Vec<Vec<Piece>> {
    free.sort_by(|a, b| {
        a.at[1]
            .total_cmp(&b.at[1])
            .then(a.at[0].total_cmp(&b.at[0]))
    });
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    for piece in free {
        let h = piece.height;
        let near = groups.iter_mut().rev().find(|group| {
            group.iter().rev().take(3).any(|p| {
                let gap = piece.at[1] - p.at[3];
                let size = p.height.max(h) < 1.5 * p.height.min(h);
                let common = piece.at[2].min(p.at[2]) - piece.at[0].max(p.at[0]);
                let below = gap < 0.7 * h
                    && beside(p.at, piece.at) < 0.5
                    && common > 0.5 * width(piece.at).min(width(p.at));
                let next = beside(p.at, piece.at) >= 0.5 && -common < h && common < h;
                size && (below || next) && p.stands() == piece.stands()
            })
        });
        match near {
            Some(group) => group.push(piece),
            None => groups.push(vec![piece]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, region};
    use super::*;

    fn found(lines: &[Line], regions: &[Region]) -> Vec<String> {
        let places = places(regions, 1000.0, 1000.0);
        let pieces = pieces(lines, regions, &places);
        pieces.into_iter().map(|p| p.text).collect()
    }

    #[test]
    fn a_line_over_two_columns_is_cut_between_them() {
        let regions = [
            region("text", 0.0, 0.0, 0.48, 0.5),
            region("text", 0.52, 0.0, 1.0, 0.5),
        ];
        let lines = [
            line(10.0, 210.0, 990.0, 240.0, "").at,
            line(10.0, 600.0, 990.0, 630.0, "").at,
        ];
        let cut = split(&lines, &regions, 1000.0, 1000.0);
        let xs: Vec<_> = cut
            .iter()
            .map(|l| (l.bounds()[0].round(), l.bounds()[2].round()))
            .collect();
        assert_eq!(xs, [(10.0, 500.0), (500.0, 990.0), (10.0, 990.0)]);
        let over = [
            region("text", 0.0, 0.0, 0.7, 0.5),
            region("text", 0.4, 0.0, 1.0, 0.5),
        ];
        assert_eq!(split(&lines[..1], &over, 1000.0, 1000.0).len(), 1);
        // One that was read already is cut between words.
        let read = [line(10.0, 210.0, 990.0, 240.0, "left left right right")];
        assert_eq!(found(&read, &regions), ["left left", "right right"]);
    }

    #[test]
    fn words_found_twice_count_once() {
        let lines = [
            line(10.0, 10.0, 300.0, 40.0, "the words"),
            line(10.0, 11.0, 500.0, 41.0, "The words, and more"),
            line(10.0, 50.0, 300.0, 80.0, "the words 2"),
            line(280.0, 50.0, 300.0, 65.0, "2"),
        ];
        let expected = ["The words, and more", "the words 2", "2"];
        assert_eq!(found(&lines, &[]), expected);
    }

    #[test]
    fn a_line_belongs_to_one_region() {
        let regions = [
            region("table", 0.0, 0.0, 1.0, 0.5),
            region("text", 0.1, 0.1, 0.4, 0.2),
            region("figure_title", 0.1, 0.0, 0.9, 0.08),
            region("image", 0.0, 0.5, 1.0, 1.0),
            region("text", 0.1, 0.6, 0.9, 0.7),
        ];
        let at = |y: f32| line(110.0, y, 390.0, y + 30.0, "a");
        let lines = [at(110.0), at(20.0), at(620.0), at(800.0), at(480.0)];
        assert_eq!(
            homes(&regions, &lines, 1000.0, 1000.0),
            [Some(0), Some(2), Some(4), Some(3), Some(0)]
        );
    }

    #[test]
    fn free_lines_come_in_groups_of_neighbours() {
        let lines = [
            line(10.0, 10.0, 300.0, 40.0, "a"),
            line(500.0, 12.0, 800.0, 42.0, "b"),
            line(10.0, 45.0, 300.0, 75.0, "a"),
            line(500.0, 47.0, 800.0, 77.0, "b"),
            line(10.0, 200.0, 300.0, 290.0, "c"),
        ];
        let groups = groups(lines.iter().map(Piece::of).collect());
        let texts: Vec<Vec<&str>> = groups
            .iter()
            .map(|g| g.iter().map(|p| p.text.as_str()).collect())
            .collect();
        assert_eq!(texts, [vec!["a", "a"], vec!["b", "b"], vec!["c"]]);
    }
}
