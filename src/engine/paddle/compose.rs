//! Lines into regions: blocks in reading order. Pure.

use super::layout::{Region, area, intersection};
use super::line::Line;
use super::pixels::Slanted;
use crate::page::Role;

/// A block in fractions of the upright page.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub label: &'static str,
    pub at: [f32; 4],
    /// Markdown.
    pub content: String,
}

/// Part of a line that must lie in a region for it to belong there.
const INSIDE: f32 = 0.5;
/// A figure that covers more of the page than this and holds at least so many lines is a page that
/// the layout model did not understand: its lines are kept as text beside it.
const PAGE_FIGURE: f32 = 0.5;
const PAGE_FIGURE_LINES: usize = 10;

#[derive(Clone, Debug)]
struct Piece<'a> {
    at: [f32; 4],
    text: &'a str,
}

/// `tables`: for each region its Markdown, where it is a table that was rebuilt. `width` and
/// `height` of the page image that the lines were found on, pixels.
pub fn compose(
    regions: &[Region],
    lines: &[Line],
    tables: &[Option<String>],
    width: f32,
    height: f32,
) -> Vec<Placed> {
    let pieces: Vec<Piece<'_>> = lines
        .iter()
        .map(|l| {
            let [x1, y1, x2, y2] = l.at.bounds();
            let at = [x1 / width, y1 / height, x2 / width, y2 / height].map(|v| v.clamp(0.0, 1.0));
            Piece { at, text: &l.text }
        })
        .collect();
    let mut held: Vec<Vec<&Piece<'_>>> = vec![Vec::new(); regions.len()];
    let mut free: Vec<&Piece<'_>> = Vec::new();
    for piece in &pieces {
        match home(piece, regions) {
            Some(i) => held[i].push(piece),
            None => free.push(piece),
        }
    }
    for (region, pieces) in regions.iter().zip(&mut held) {
        if is_figure(region.label)
            && area(region.at) > PAGE_FIGURE
            && pieces.len() >= PAGE_FIGURE_LINES
        {
            free.append(pieces);
        }
    }
    let ratio = width / height;
    let mut blocks: Vec<Placed> = Vec::new();
    for (i, (region, pieces)) in regions.iter().zip(&held).enumerate() {
        let content = match tables.get(i) {
            Some(Some(table)) => table.clone(),
            _ => content(region.label, pieces, ratio),
        };
        let kept = matches!(region.label, "table" | "display_formula") || is_figure(region.label);
        if content.is_empty() && !kept {
            continue;
        }
        let mut at = region.at;
        if !is_figure(region.label) {
            for piece in pieces
                .iter()
                .filter(|p| intersection(p.at, region.at) >= 0.7 * area(p.at))
            {
                at = union(at, piece.at);
            }
        }
        blocks.push(Placed {
            label: region.label,
            at,
            content,
        });
    }
    for group in groups(free) {
        let at = group.iter().map(|p| p.at).reduce(union).unwrap_or_default();
        let place = blocks
            .iter()
            .position(|b| {
                let beside = b.at[0].max(at[0]) < b.at[2].min(at[2]);
                beside && !is_figure(b.label) && (b.at[1] + b.at[3]) / 2.0 > (at[1] + at[3]) / 2.0
            })
            .unwrap_or(blocks.len());
        let content = content("text", &group, ratio);
        blocks.insert(
            place,
            Placed {
                label: "text",
                at,
                content,
            },
        );
    }
    blocks
}

/// Cuts lines that run over the gap between two regions side by side: where columns stand close,
/// detection takes two lines for one. `width` and `height` as for [`compose`].
pub fn split(lines: &[Slanted], regions: &[Region], width: f32, height: f32) -> Vec<Slanted> {
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let [x1, _, x2, _] = line.bounds();
        let middle = line.cy / height;
        let mut spans: Vec<(f32, f32)> = regions
            .iter()
            .filter(|r| (r.at[1]..=r.at[3]).contains(&middle) && line.angle.abs() < LEVEL)
            .map(|r| (r.at[0] * width, r.at[2] * width))
            .filter(|&(a, b)| b.min(x2) - a.max(x1) > line.height)
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut from = x1;
        let mut end = f32::MIN;
        for &(a, b) in &spans {
            // Regions that overlap are not columns.
            if end > f32::MIN && a > end - 0.3 * line.height {
                let cut = (a + end) / 2.0;
                out.push(piece(line, from, cut));
                from = cut;
            }
            end = end.max(b);
        }
        out.push(if from > x1 {
            piece(line, from, x2)
        } else {
            *line
        });
    }
    out
}

/// Slant up to which a line counts as level: radians.
const LEVEL: f32 = 0.05;

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

fn is_figure(label: &str) -> bool {
    Role::of(label) == Role::Figure || matches!(label, "header_image" | "footer_image")
}

/// The region that holds most of a line; of several that hold it whole, the smallest.
fn home(piece: &Piece<'_>, regions: &[Region]) -> Option<usize> {
    let whole = area(piece.at).max(1e-9);
    regions
        .iter()
        .enumerate()
        .filter_map(|(i, r)| {
            let part = intersection(piece.at, r.at) / whole;
            // A text region inside a figure is not the figure's.
            (part >= INSIDE).then(|| (i, is_figure(r.label), part < 0.8, area(r.at)))
        })
        .min_by(|a, b| (a.1, a.2).cmp(&(b.1, b.2)).then(a.3.total_cmp(&b.3)))
        .map(|(i, ..)| i)
}

fn union(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [
        a[0].min(b[0]),
        a[1].min(b[1]),
        a[2].max(b[2]),
        a[3].max(b[3]),
    ]
}

/// Lines that no region holds, in groups of neighbours: below each other within a line's height,
/// and one over the other.
fn groups<'a>(mut free: Vec<&'a Piece<'a>>) -> Vec<Vec<&'a Piece<'a>>> {
    free.sort_by(|a, b| {
        a.at[1]
            .total_cmp(&b.at[1])
            .then(a.at[0].total_cmp(&b.at[0]))
    });
    let mut groups: Vec<([f32; 4], Vec<&'a Piece<'a>>)> = Vec::new();
    for piece in free {
        let height = piece.at[3] - piece.at[1];
        let near = groups.iter_mut().find(|(at, _)| {
            let across = at[2].min(piece.at[2]) - at[0].max(piece.at[0]);
            piece.at[1] - at[3] < 0.7 * height
                && across > 0.5 * (piece.at[2] - piece.at[0]).min(at[2] - at[0])
        });
        match near {
            Some((at, group)) => {
                *at = union(*at, piece.at);
                group.push(piece);
            }
            None => groups.push((piece.at, vec![piece])),
        }
    }
    groups.into_iter().map(|(_, g)| g).collect()
}

/// Rows of pieces: those whose middles stand at about the same height, from left to right.
fn rows<'a>(pieces: &[&Piece<'a>]) -> Vec<Vec<Piece<'a>>> {
    let mut sorted: Vec<&&Piece<'a>> = pieces.iter().collect();
    sorted.sort_by(|a, b| (a.at[1] + a.at[3]).total_cmp(&(b.at[1] + b.at[3])));
    let mut rows: Vec<Vec<Piece<'a>>> = Vec::new();
    for piece in sorted {
        let middle = (piece.at[1] + piece.at[3]) / 2.0;
        match rows.last_mut() {
            Some(row)
                if row.first().is_some_and(|first| {
                    let (m, h) = ((first.at[1] + first.at[3]) / 2.0, first.at[3] - first.at[1]);
                    (middle - m).abs() < 0.5 * h.min(piece.at[3] - piece.at[1])
                }) =>
            {
                row.push((*piece).clone());
            }
            _ => rows.push(vec![(*piece).clone()]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.at[0].total_cmp(&b.at[0]));
    }
    rows
}

/// Lines of vertical text, from right to left.
fn vertical<'a>(pieces: &[&Piece<'a>]) -> Vec<Vec<Piece<'a>>> {
    let mut sorted: Vec<Piece<'a>> = pieces.iter().map(|p| (*p).clone()).collect();
    sorted.sort_by(|a, b| {
        b.at[0]
            .total_cmp(&a.at[0])
            .then(a.at[1].total_cmp(&b.at[1]))
    });
    sorted.into_iter().map(|p| vec![p]).collect()
}

/// The Markdown of a region. `ratio` is the page's width over its height.
fn content(label: &str, pieces: &[&Piece<'_>], ratio: f32) -> String {
    if is_figure(label) || pieces.is_empty() {
        return String::new();
    }
    let standing = pieces
        .iter()
        .filter(|p| (p.at[3] - p.at[1]) > 1.5 * (p.at[2] - p.at[0]) * ratio)
        .count();
    let rows = if label == "vertical_text" || standing * 2 > pieces.len() {
        vertical(pieces)
    } else {
        rows(pieces)
    };
    let row = |row: &Vec<Piece<'_>>, between: &str| {
        row.iter().map(|p| p.text).collect::<Vec<_>>().join(between)
    };
    match label {
        "table" => rows
            .iter()
            .map(|r| row(r, "  "))
            .collect::<Vec<_>>()
            .join("\n"),
        "algorithm" => format!(
            "```\n{}\n```",
            rows.iter()
                .map(|r| row(r, " "))
                .collect::<Vec<_>>()
                .join("\n")
        ),
        "content" => rows
            .iter()
            .map(|r| row(r, " "))
            .collect::<Vec<_>>()
            .join("  \n"),
        _ => {
            let text = rows.iter().map(|r| row(r, " ")).fold(String::new(), joined);
            match Role::of(label) {
                Role::Title => format!("# {text}"),
                Role::Heading => format!("## {text}"),
                _ => text,
            }
        }
    }
}

/// Appends a line to a paragraph: a word divided at the line's end is put together, scripts
/// without spaces get none.
fn joined(mut text: String, line: String) -> String {
    let Some(first) = line.chars().next() else {
        return text;
    };
    let mut back = text.chars().rev();
    match (back.next(), back.next()) {
        (None, _) => {}
        (Some('-' | '\u{ad}' | '\u{2010}'), Some(before))
            if before.is_lowercase() && first.is_lowercase() =>
        {
            text.pop();
        }
        (Some(last), _) if unspaced(last) && unspaced(first) => {}
        _ => text.push(' '),
    }
    text.push_str(&line);
    text
}

/// Chinese and Japanese: characters and their punctuation.
fn unspaced(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::super::line::Source;
    use super::*;

    fn line(x1: f32, y1: f32, x2: f32, y2: f32, text: &str) -> Line {
        let at = Slanted {
            cx: (x1 + x2) / 2.0,
            cy: (y1 + y2) / 2.0,
            width: x2 - x1,
            height: y2 - y1,
            angle: 0.0,
        };
        Line::even(at, text.into(), 0.9, Source::Image)
    }

    fn region(label: &'static str, x1: f32, y1: f32, x2: f32, y2: f32) -> Region {
        Region {
            label,
            score: 0.9,
            at: [x1, y1, x2, y2],
        }
    }

    #[test]
    fn two_columns_stay_apart_and_divided_words_come_together() {
        let regions = [
            region("doc_title", 0.1, 0.0, 0.9, 0.1),
            region("text", 0.0, 0.2, 0.48, 0.5),
            region("text", 0.52, 0.2, 1.0, 0.5),
        ];
        let lines = [
            line(150.0, 20.0, 850.0, 60.0, "A title"),
            line(10.0, 210.0, 470.0, 240.0, "The first exam-"),
            line(530.0, 210.0, 990.0, 240.0, "Second column"),
            line(10.0, 250.0, 470.0, 280.0, "ple of a line"),
            line(10.0, 800.0, 470.0, 830.0, "in no region"),
        ];
        let blocks = compose(&regions, &lines, &[], 1000.0, 1000.0);
        let texts: Vec<_> = blocks.iter().map(|b| b.content.as_str()).collect();
        assert_eq!(
            texts,
            [
                "# A title",
                "The first example of a line",
                "Second column",
                "in no region"
            ]
        );
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
    }

    #[test]
    fn every_line_ends_in_one_block_or_in_a_figure() {
        let regions = [
            region("image", 0.0, 0.0, 0.5, 0.5),
            region("figure_title", 0.1, 0.4, 0.4, 0.45),
        ];
        let lines = [
            line(100.0, 400.0, 400.0, 450.0, "Figure 1"),
            line(100.0, 100.0, 200.0, 120.0, "axis"),
        ];
        let blocks = compose(&regions, &lines, &[], 1000.0, 1000.0);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].label, blocks[0].content.as_str()), ("image", ""));
        assert_eq!(blocks[1].content, "Figure 1");
    }

    #[test]
    fn a_page_taken_for_one_figure_keeps_its_text() {
        let lines: Vec<_> = (0..12)
            .map(|i| {
                line(
                    100.0,
                    100.0 + 30.0 * i as f32,
                    900.0,
                    125.0 + 30.0 * i as f32,
                    "words",
                )
            })
            .collect();
        let blocks = compose(
            &[region("image", 0.0, 0.0, 1.0, 1.0)],
            &lines,
            &[],
            1000.0,
            1000.0,
        );
        assert_eq!(
            blocks
                .iter()
                .map(|b| b.content.matches("words").count())
                .sum::<usize>(),
            12
        );
    }

    #[test]
    fn chinese_lines_join_without_a_space() {
        assert_eq!(
            joined("\u{4e00}".into(), "\u{4e8c}".into()),
            "\u{4e00}\u{4e8c}"
        );
        assert_eq!(
            joined("a B-".into(), "c".into()),
            "a B- c",
            "not a divided word"
        );
    }
}
