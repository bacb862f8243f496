//! Lines into regions: blocks in reading order. Pure.
//!
//! `home` says which line belongs to which region, `furniture` what is none of the page's text,
//! `order` repairs the reading order, `heading` gives levels, `paragraph`, `list` and `code` make
//! texts of rows, `join` follows paragraphs from region to region, `markdown` escapes. Within, all is in pixels of the upright page image.

mod code;
mod furniture;
mod heading;
mod home;
mod join;
mod list;
mod markdown;
mod order;
mod paragraph;
mod piece;

pub use self::home::{homes, once, split};
pub use self::markdown::paragraph as printed;

use self::join::{Body, Content};
use self::paragraph::Row;
use self::piece::{Piece, Rect, around, height, middle};
use super::layout::{Region, area, intersection, union};
use super::line::Line;
use crate::page::words::Words;
use crate::page::{Heading, Role};

/// A block of the upright page.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    pub label: &'static str,
    /// Fractions of the page: x1, y1, x2, y2. Several where a paragraph goes on in another region.
    pub boxes: Vec<[f32; 4]>,
    /// Markdown.
    pub content: String,
    /// Of a heading that is no title; its size is in pixels.
    pub heading: Option<Heading>,
}

/// A block before its text is put together.
#[derive(Clone, Debug, PartialEq)]
struct Draft {
    label: &'static str,
    at: Rect,
    pieces: Vec<Piece>,
    /// Markdown of a table or formula that was rebuilt.
    rebuilt: Option<String>,
    /// The number printed beside a formula.
    number: Option<String>,
    /// Of a heading: 1 to 6.
    level: usize,
    heading: Option<Heading>,
}

impl Draft {
    fn new(label: &'static str, at: Rect, pieces: Vec<Piece>) -> Self {
        Self {
            label,
            at,
            pieces,
            rebuilt: None,
            number: None,
            level: 1,
            heading: None,
        }
    }

    /// Becomes one with another.
    fn take(&mut self, other: Self) {
        self.at = union(self.at, other.at);
        self.pieces.extend(other.pieces);
    }

    /// Whether it is a block although no line is in it.
    fn is_seen(&self) -> bool {
        is_figure(self.label) || matches!(self.label, "table" | "display_formula")
    }
}

/// A figure that covers more of the page than this and holds at least so many lines is a page that
/// the layout model did not understand: its lines are kept as text beside it.
const PAGE_FIGURE: f32 = 0.5;
const PAGE_FIGURE_LINES: usize = 10;
/// Where no text stands outside figures, lines in figures of this part of the page and more are
/// the page's text: signs, posters, slides.
const ONLY_FIGURE: f32 = 0.2;

/// The blocks of a page. `rebuilt`: Markdown by region of tables and formulas, `None` for what is
/// neither or could not be rebuilt. `width` and `height` of the page image that the lines were found
/// on, pixels.
pub fn compose(
    regions: &[Region],
    lines: &[Line],
    rebuilt: &[Option<String>],
    width: f32,
    height: f32,
) -> Vec<Placed> {
    let places = home::places(regions, width, height);
    let mut pieces = home::pieces(lines, regions, &places);
    let words = Words::of(lines.iter().map(|l| l.text.as_str()));
    let home = |p: &Piece| home::home(p.at, regions, &places);
    let mut is_text: Vec<bool> = pieces
        .iter()
        .map(|p| {
            home(p).is_none_or(|i| {
                let label = regions[i].label;
                // Contents and references are numbered themselves.
                has_text(label) && label != "content" && Role::of(label) != Role::Reference
            })
        })
        .collect();
    let stamps = furniture::stamps(&mut pieces, &mut is_text, [width, height]);

    let mut drafts: Vec<Draft> = regions
        .iter()
        .zip(&places)
        .enumerate()
        .map(|(i, (region, &at))| Draft {
            rebuilt: rebuilt.get(i).cloned().flatten(),
            ..Draft::new(region.label, at, Vec::new())
        })
        .collect();
    let mut free = Vec::new();
    for piece in pieces {
        match home(&piece) {
            Some(i) => drafts[i].pieces.push(piece),
            None => free.push(piece),
        }
    }
    free_figures(&mut drafts, &mut free, width * height);
    for draft in &mut drafts {
        grow(draft);
    }
    drafts.retain(|d| !d.pieces.is_empty() || d.is_seen());
    formula_numbers(&mut drafts);
    let free = home::groups(free)
        .into_iter()
        .map(|group| {
            let at = around(group.iter().map(|p| p.at));
            Draft::new(furniture::label_of_free(at, &drafts, height), at, group)
        })
        .collect();
    let mut drafts = order::order(drafts, free, height);
    drafts.extend(stamps);
    furniture::numbers(&mut drafts, height);
    heading::levels(&mut drafts, height);

    let bodies = drafts.into_iter().map(|d| body(d, &words)).collect();
    let page = [width, height, width, height];
    let fraction = |r: Rect| std::array::from_fn(|i| (r[i] / page[i]).clamp(0.0, 1.0));
    join::join(bodies, &words)
        .into_iter()
        .map(|body| Placed {
            label: body.label,
            boxes: body.boxes.iter().map(|&r| fraction(r)).collect(),
            heading: body.heading,
            content: body.markdown(),
        })
        .collect()
}

fn is_figure(label: &str) -> bool {
    Role::of(label) == Role::Figure || matches!(label, "header_image" | "footer_image")
}

/// Whether lines in a region with this label are running text: not of tables, pictures, formulas.
fn has_text(label: &str) -> bool {
    !is_figure(label)
        && !matches!(
            Role::of(label),
            Role::Table | Role::Formula | Role::Code | Role::Furniture
        )
}

/// Lines of a figure that is the page are free; lines of other figures are part of the picture.
fn free_figures(drafts: &mut [Draft], free: &mut Vec<Piece>, page: f32) {
    let elsewhere = free.len()
        + drafts
            .iter()
            .filter(|d| has_text(d.label) || Role::of(d.label) == Role::Table)
            .map(|d| d.pieces.len())
            .sum::<usize>();
    for draft in drafts.iter_mut().filter(|d| is_figure(d.label)) {
        let part = area(draft.at) / page.max(1.0);
        let whole = part > PAGE_FIGURE && draft.pieces.len() >= PAGE_FIGURE_LINES;
        if whole || (elsewhere == 0 && part > ONLY_FIGURE) {
            free.append(&mut draft.pieces);
        }
    }
}

/// A region's box is as large as the lines that lie mostly in it.
fn grow(draft: &mut Draft) {
    if is_figure(draft.label) {
        return;
    }
    let at = draft.at;
    for piece in &draft.pieces {
        if intersection(piece.at, at) >= 0.7 * area(piece.at) {
            draft.at = union(draft.at, piece.at);
        }
    }
}

/// Gives formulas the numbers that stand beside them.
fn formula_numbers(drafts: &mut Vec<Draft>) {
    let mut i = 0;
    while i < drafts.len() {
        let at = drafts[i].at;
        let away = |d: &Draft| (at[0] - d.at[2]).max(d.at[0] - at[2]).max(0.0);
        let formula = (0..drafts.len())
            .filter(|&j| {
                let d = &drafts[j];
                d.label == "display_formula"
                    && d.number.is_none()
                    && (d.at[1] - 0.3 * height(at)..=d.at[3] + 0.3 * height(at))
                        .contains(&middle(at))
            })
            .min_by(|&a, &b| away(&drafts[a]).total_cmp(&away(&drafts[b])));
        match formula {
            Some(j) if drafts[i].label == "formula_number" => {
                let text = row_texts(&paragraph::rows(&drafts[i].pieces, false)).join(" ");
                drafts[j].number = Some(text);
                drafts[j].at = union(drafts[j].at, at);
                drafts.remove(i);
            }
            _ => i += 1,
        }
    }
}

/// A formula with the number that stands beside it.
fn tagged(formula: String, number: &str) -> String {
    let number: String = number
        .chars()
        .filter(|&c| !c.is_whitespace() && !"()[]{}\\$&#%_^~".contains(c))
        .collect();
    match formula.strip_suffix("\n$$") {
        Some(body) if !number.is_empty() && !body.contains("\\tag{") => {
            format!("{body} \\tag{{{number}}}\n$$")
        }
        _ => formula,
    }
}

fn row_texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|r| r.text.clone()).collect()
}

/// A draft with its text.
fn body(draft: Draft, words: &Words) -> Body {
    let ready = |content: String| Body {
        label: draft.label,
        boxes: vec![draft.at],
        heading: draft.heading,
        content: Content::Ready(content),
    };
    if is_figure(draft.label) {
        return ready(String::new());
    }
    if let Some(rebuilt) = draft.rebuilt {
        return ready(match draft.number {
            Some(number) => tagged(rebuilt, &number),
            None => rebuilt,
        });
    }
    let rows = paragraph::rows(&draft.pieces, draft.label == "vertical_text");
    let running = |starts: &[bool]| Body {
        label: draft.label,
        boxes: vec![draft.at],
        heading: draft.heading,
        content: Content::Running(paragraph::paragraphs(&rows, starts, words)),
    };
    match Role::of(draft.label) {
        Role::Table => ready(columns(&rows).join("\n")),
        Role::Code => ready(code::code(&rows)),
        Role::Title | Role::Heading => {
            let text = markdown::inline(&paragraph::text(&rows, words));
            ready(format!("{} {text}", "#".repeat(draft.level)))
        }
        Role::Formula => {
            let mut text = row_texts(&rows).join(" ");
            if let Some(number) = draft.number {
                text.push(' ');
                text.push_str(&number);
            }
            ready(markdown::paragraph(text.trim()))
        }
        Role::Furniture => ready(row_texts(&rows).join("\n")),
        Role::Reference => {
            let entries: Vec<bool> = rows.iter().map(|r| list::is_entry(&r.text)).collect();
            let starts = match entries.first() {
                Some(true) => entries,
                // The model's name for one entry.
                _ if draft.label == "reference_content" => vec![false; rows.len()],
                _ => paragraph::starts(&rows, true),
            };
            running(&starts)
        }
        _ if draft.label == "content" => {
            let texts = row_texts(&rows);
            let texts: Vec<String> = texts.iter().map(|t| markdown::paragraph(t)).collect();
            ready(texts.join("  \n"))
        }
        Role::Caption => running(&vec![false; rows.len()]),
        _ => match list::list(&rows, words) {
            Some(list) => ready(list),
            None => running(&paragraph::starts(&rows, false)),
        },
    }
}

/// Rows of a table that could not be rebuilt: what stands apart stays apart.
fn columns(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let texts: Vec<&str> = row.pieces.iter().map(|p| p.text.as_str()).collect();
            markdown::paragraph(&texts.join("  "))
        })
        .collect()
}

#[cfg(test)]
mod tests;
