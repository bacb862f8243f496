//! Tables: from a region of a page and the lines in it to Markdown.
//!
//! The region is turned upright and made level with its words. A model says whether its lines are
//! drawn; another finds them, or writes the structure where there are none. The words decide: a
//! structure that does not hold them is replaced by the grid in which they stand.

mod aligned;
mod amount;
mod columns;
mod dashes;
mod fill;
mod grid;
mod grouping;
mod items;
mod kind;
mod lineless;
mod markup;
mod rows;
mod ruling;
mod wired;
mod words;

use self::aligned::{Known, aligned};
use self::amount::is_amount;
use self::fill::Filled;
use self::grid::Grid;
use self::kind::{Kind, Kinds};
use self::lineless::Lineless;
use self::rows::Rows;
use self::ruling::{Lines, Marks};
use self::wired::Wired;
use self::words::{Frame, Piece};
use super::layout::{Region, area, intersection};
use super::line::Line;
use super::pixels::{Pixels, resize, upright};
use crate::engine::session::{Graph, RunError};

/// The models of tables.
pub struct Tables {
    kinds: Kinds,
    wired: Wired,
    lineless: Lineless,
}

/// Part of a line that must lie in a table for it to be the table's.
const INSIDE: f32 = 0.5;
/// Smallest side of a region that can be a table, pixels.
const LEAST_SIDE: f32 = 16.0;
/// Part of the cells with words that may hold what belongs in several.
const MOST_CROWDED: f32 = 0.1;

impl Tables {
    /// `characters`: the metadata `character` of the model for lineless tables.
    pub fn new(
        kind: Box<dyn Graph>,
        wired: Box<dyn Graph>,
        lineless: Box<dyn Graph>,
        characters: &str,
    ) -> Self {
        Self {
            kinds: Kinds::new(kind),
            wired: Wired::new(wired),
            lineless: Lineless::new(lineless, characters),
        }
    }

    /// For each region the Markdown of its table, where it is one and can be rebuilt. `lines` are
    /// those of the page.
    pub fn of_regions(
        &mut self,
        page: &Pixels<'_>,
        regions: &[Region],
        lines: &[Line],
    ) -> Result<Vec<Option<String>>, RunError> {
        let (width, height) = (page.width as f32, page.height as f32);
        let mut tables = Vec::with_capacity(regions.len());
        for region in regions {
            tables.push(if region.label == "table" {
                let inside = |line: &&Line| {
                    let [x1, y1, x2, y2] = line.at.bounds();
                    let at = [x1 / width, y1 / height, x2 / width, y2 / height];
                    intersection(at, region.at) >= INSIDE * area(at)
                };
                let held: Vec<&Line> = lines.iter().filter(inside).collect();
                self.of(page, region.at, &held)?
            } else {
                None
            });
        }
        Ok(tables)
    }

    /// The Markdown of the table at `at` (fractions of the upright page, x1, y1, x2, y2) with these
    /// lines: a pipe table, or HTML where a cell spans. `None` where it cannot be rebuilt.
    pub fn of(
        &mut self,
        page: &Pixels<'_>,
        at: [f32; 4],
        lines: &[&Line],
    ) -> Result<Option<String>, RunError> {
        let (width, height) = (page.width as f32, page.height as f32);
        let at = [at[0] * width, at[1] * height, at[2] * width, at[3] * height];
        let at = [
            at[0].clamp(0.0, width).floor(),
            at[1].clamp(0.0, height).floor(),
            at[2].clamp(0.0, width).ceil(),
            at[3].clamp(0.0, height).ceil(),
        ];
        if at[2] - at[0] < LEAST_SIDE || at[3] - at[1] < LEAST_SIDE {
            return Ok(None);
        }
        let frame = Frame::new(at, lines);
        let mut words = frame.words(lines);
        if words.is_empty() {
            return Ok(None);
        }
        let part = [at[0], at[1], at[2] - at[0], at[3] - at[1]].map(f64::from);
        let cut = resize(page, Some(part), part[2] as u32, part[3] as u32);
        let image = upright(cut, frame.turn);
        let character = Rows::of(&words).character;
        dashes::correct(&mut words, &image, &frame, character);
        let filled = self.filled(&image, &frame, &words)?;
        Ok(filled.map(|mut filled| {
            dashes::add(&mut filled, &mut words, &image, &frame, character);
            markup::markup(&filled.grid, &filled.texts(&words))
        }))
    }

    /// The grid between the drawn lines where the words fit it, else the grid in which they stand.
    fn filled(
        &mut self,
        image: &Pixels<'_>,
        frame: &Frame,
        words: &[Piece],
    ) -> Result<Option<Filled>, RunError> {
        let lines = Lines::of(&Marks::of(image), 1.0, frame);
        if self.kinds.of(image)? == Kind::Wired {
            let mut filled = drawn(lines.grid(frame.size()), words);
            if filled.is_none() {
                filled = drawn(self.wired.of(image, frame)?.grid(frame.size()), words);
            }
            if filled.is_some() {
                return Ok(filled);
            }
        }
        self.standing(image, frame, &lines, words)
    }

    /// The grid in which the words stand; the model is asked where that is in doubt, and has its
    /// own way where they stand in none.
    fn standing(
        &mut self,
        image: &Pixels<'_>,
        frame: &Frame,
        lines: &Lines,
        words: &[Piece],
    ) -> Result<Option<Filled>, RunError> {
        let from = words.iter().map(|w| w.at[0]).fold(f32::MAX, f32::min);
        let to = words.iter().map(|w| w.at[2]).fold(f32::MIN, f32::max);
        let rules = lines.full(from, to);
        let alone = Known {
            rules: &rules,
            model: None,
        };
        let mut best = aligned(words, alone);
        if best.as_ref().is_none_or(|a| a.doubtful) {
            let model = self.lineless.of(image)?.map(|s| leveled(s.grid, frame));
            let asked = Known {
                model: model.as_ref(),
                ..alone
            };
            best = aligned(words, asked);
            if best.is_none() {
                let filled = model.and_then(|g| Filled::by_place(g, words).without_empty());
                return Ok(filled.filter(|f| f.grid.rows * f.grid.columns > 1));
            }
        }
        Ok(best.and_then(|a| a.filled.without_empty()))
    }
}

/// A grid between drawn lines, with its words, where these agree.
fn drawn(grid: Option<Grid>, words: &[Piece]) -> Option<Filled> {
    let filled = Filled::by_place(grid?, words)
        .with_spans_cut(words)?
        .without_empty()?;
    let fits = filled.grid.rows > 1
        && filled.grid.columns > 1
        && crowded(&filled, words) <= MOST_CROWDED
        && !composite(&filled, words);
    fits.then_some(filled)
}

/// Whether the cells of a column have words beside each other with gaps between them, most of
/// them: it is several columns.
fn composite(filled: &Filled, words: &[Piece]) -> bool {
    (0..filled.grid.columns).any(|column| {
        let cells = filled.grid.cells.iter().zip(&filled.words);
        let full = cells.filter(|(c, w)| c.column == column && c.colspan == 1 && !w.is_empty());
        let (mut all, mut beside) = (0, 0);
        for (_, numbers) in full {
            let rows = phrases(numbers, words).1;
            all += 1;
            beside += usize::from(rows.phrases.len() > rows.middles.len());
        }
        all > 1 && 2 * beside > all
    })
}

fn phrases(numbers: &[usize], words: &[Piece]) -> (Vec<Piece>, Rows) {
    let held: Vec<Piece> = numbers.iter().map(|&n| words[n].clone()).collect();
    let rows = Rows::of(&held);
    (held, rows)
}

/// Part of the cells with words in which amounts stand one below the other, or words beside each
/// other with a gap between them.
fn crowded(filled: &Filled, words: &[Piece]) -> f32 {
    let full: Vec<&Vec<usize>> = filled.words.iter().filter(|w| !w.is_empty()).collect();
    let several = |numbers: &Vec<usize>| {
        let (held, rows) = phrases(numbers, words);
        let amounts = rows
            .phrases
            .iter()
            .filter(|p| is_amount(&Rows::text(&held, p)))
            .count();
        let beside = rows.phrases.len() > rows.middles.len();
        amounts > 1 || beside && amounts > 0
    };
    full.iter().filter(|w| several(w)).count() as f32 / full.len().max(1) as f32
}

/// A grid of the turned region's image in the frame.
fn leveled(mut grid: Grid, frame: &Frame) -> Grid {
    for cell in &mut grid.cells {
        let [x1, y1, x2, y2] = cell.at;
        let [left, _] = frame.level([x1, (y1 + y2) / 2.0]);
        let [right, _] = frame.level([x2, (y1 + y2) / 2.0]);
        let [_, top] = frame.level([(x1 + x2) / 2.0, y1]);
        let [_, bottom] = frame.level([(x1 + x2) / 2.0, y2]);
        cell.at = [left, top, right, bottom];
    }
    grid
}
