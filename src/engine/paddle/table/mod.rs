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
mod fits;
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

use self::aligned::{Aligned, Known, aligned};
use self::fill::Filled;
use self::fits::drawn;
use self::grid::Grid;
use self::kind::{Kind, Kinds};
use self::lineless::Lineless;
use self::rows::Rows;
use self::ruling::{Lines, Marks};
use self::wired::Wired;
use self::words::{Frame, Piece};
use super::compose;
use super::layout::Region;
use super::line::Line;
use super::pixels::{Pixels, resize, upright};
use crate::engine::session::{Graph, RunError};

/// The models of tables.
pub struct Tables {
    kinds: Kinds,
    wired: Wired,
    lineless: Lineless,
}

/// Words of a table at most: columns are looked for between all of them.
const MOST_WORDS: usize = 3_000;
/// Smallest side of a region that can be a table, pixels.
const LEAST_SIDE: f32 = 16.0;

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
        let homes = compose::homes(regions, lines, width, height);
        let once = compose::once(lines);
        for (i, region) in regions.iter().enumerate() {
            tables.push(if region.label == "table" {
                let held: Vec<&Line> = lines
                    .iter()
                    .zip(homes.iter().zip(&once))
                    .filter(|(_, (home, once))| **home == Some(i) && **once)
                    .map(|(line, _)| line)
                    .collect();
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
        if words.is_empty() || words.len() > MOST_WORDS {
            return Ok(None);
        }
        let part = [at[0], at[1], at[2] - at[0], at[3] - at[1]].map(f64::from);
        let cut = resize(page, Some(part), part[2] as u32, part[3] as u32);
        let image = upright(cut, frame.turn);
        let character = Rows::of(&words).character;
        dashes::correct(&mut words, &image, &frame, character);
        let Some(mut table) = self.table(&image, &frame, &words)? else {
            return Ok(None);
        };
        dashes::add(&mut table.filled, &mut words, &image, &frame, character);
        let around =
            |numbers: &[usize]| compose::printed(&fill::text(numbers, &words).replace('\n', " "));
        let grid = markup::markup(&table.filled.grid, &table.filled.texts(&words));
        let mut parts = vec![around(&table.title), grid, around(&table.notes)];
        parts.retain(|p| !p.is_empty());
        Ok(Some(parts.join("\n\n")))
    }

    /// The grid between the drawn lines where the words fit it, else the grid in which they stand.
    fn table(
        &mut self,
        image: &Pixels<'_>,
        frame: &Frame,
        words: &[Piece],
    ) -> Result<Option<Aligned>, RunError> {
        let lines = Lines::of(&Marks::of(image), 1.0, frame);
        if self.kinds.of(image)? == Kind::Wired {
            let mut grid = lines.grid(frame.size());
            if grid.is_none() {
                // Lines too faint, bent or broken for their edges.
                let mut heights: Vec<f32> = words.iter().map(Piece::height).collect();
                heights.sort_by(f32::total_cmp);
                let letters = heights.get(heights.len() / 2).copied().unwrap_or(1.0);
                grid = self.wired.of(image, frame, letters)?.grid(frame.size());
            }
            let filled = drawn(grid, words);
            if let Some(filled) = filled {
                return Ok(Some(filled.into()));
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
    ) -> Result<Option<Aligned>, RunError> {
        let from = words.iter().map(|w| w.at[0]).fold(f32::MAX, f32::min);
        let to = words.iter().map(|w| w.at[2]).fold(f32::MIN, f32::max);
        let rules = lines.full(from, to);
        let alone = Known {
            rules: &rules,
            lines: &lines.horizontal,
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
                let filled = filled.filter(|f| f.grid.rows * f.grid.columns > 1);
                return Ok(filled.map(Aligned::from));
            }
        }
        Ok(best.and_then(|a| {
            let filled = a.filled.without_empty()?;
            Some(Aligned { filled, ..a })
        }))
    }
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

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_PI_2;

    use super::super::line::Source;
    use super::super::pixels::Slanted;
    use super::*;
    use crate::engine::session::View;

    /// Scores of wired and lineless.
    struct Kinded([f32; 2]);
    impl Graph for Kinded {
        fn run(
            &mut self,
            _: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            take(&[View::new(&[1, 2], &self.0)]);
            Ok(())
        }
    }

    /// A model that must not be asked.
    struct Unasked;
    impl Graph for Unasked {
        fn run(
            &mut self,
            _: &[(&str, View<'_>)],
            _: &[&str],
            _: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            Err(RunError("asked without need".into()))
        }
    }

    /// Finds no line and writes no token.
    struct Empty;
    impl Graph for Empty {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            if inputs[0].0 == "x" {
                take(&[
                    View::new::<f32>(&[1, 0, 8], &[]),
                    View::new::<f32>(&[1, 0, 5], &[]),
                ]);
            } else {
                let points: i64 = inputs[0].1.shape[2..].iter().product();
                take(&[View::new(&[points], &vec![0i64; points as usize])]);
            }
            Ok(())
        }
    }

    const NAMES: &str = "<tr>\n</tr>\n<td></td>";

    fn line(x1: f32, y1: f32, x2: f32, y2: f32, text: &str) -> Line {
        Line::level([x1, y1, x2, y2], text, 1.0, Source::Image)
    }

    fn white(width: u32, height: u32) -> Pixels<'static> {
        let rgb = vec![255; (width * height * 3) as usize].into();
        Pixels { width, height, rgb }
    }

    fn read(tables: &mut Tables, page: &Pixels<'_>, lines: &[Line]) -> Option<String> {
        let lines: Vec<&Line> = lines.iter().collect();
        tables.of(page, [0.0, 0.0, 1.0, 1.0], &lines).unwrap()
    }

    #[test]
    fn lines_on_the_image_are_the_grid_of_a_wired_table() {
        let mut page = white(300, 120);
        let rgb = page.rgb.to_mut();
        let mut draw = |x1: usize, y1: usize, x2: usize, y2: usize| {
            for y in y1..y2 {
                rgb[(y * 300 + x1) * 3..(y * 300 + x2) * 3].fill(0);
            }
        };
        for y in [0, 38, 78, 117] {
            draw(0, y, 300, y + 2);
        }
        for x in [0, 148, 297] {
            draw(x, if x == 148 { 39 } else { 0 }, x + 2, 119);
        }
        let lines = [
            line(110.0, 8.0, 190.0, 30.0, "Both of"),
            line(10.0, 48.0, 60.0, 70.0, "two"),
            line(160.0, 48.0, 250.0, 70.0, "words in"),
            line(10.0, 86.0, 60.0, 108.0, "12"),
            line(160.0, 86.0, 210.0, 108.0, "34"),
        ];
        let (wired, lineless) = (Box::new(Unasked), Box::new(Unasked));
        let mut tables = Tables::new(Box::new(Kinded([1.0, 0.0])), wired, lineless, NAMES);
        let expected = "<table>\n<thead>\n<tr><th colspan=\"2\">Both of</th></tr>\n</thead>\n<tbody>\n\
            <tr><td>two</td><td>words in</td></tr>\n<tr><td>12</td><td>34</td></tr>\n</tbody>\n</table>";
        assert_eq!(read(&mut tables, &page, &lines).as_deref(), Some(expected));
    }

    fn lineless() -> Tables {
        Tables::new(
            Box::new(Kinded([0.0, 1.0])),
            Box::new(Unasked),
            Box::new(Unasked),
            NAMES,
        )
    }

    #[test]
    fn words_in_rows_and_columns_need_no_model() {
        // One line holds words of two cells.
        let lines = [
            line(0.0, 0.0, 40.0, 20.0, "Item"),
            line(200.0, 0.0, 240.0, 20.0, "2019"),
            line(0.0, 30.0, 230.0, 50.0, "Sales             12,345"),
            line(0.0, 60.0, 50.0, 80.0, "Costs"),
            line(200.0, 60.0, 230.0, 80.0, "678"),
        ];
        let expected = "| Item | 2019 |\n|---|---|\n| Sales | 12,345 |\n| Costs | 678 |";
        let page = white(300, 100);
        assert_eq!(
            read(&mut lineless(), &page, &lines).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn a_turned_table_is_read_upright() {
        // The same reading downwards: x is the height from the right.
        let turned = |x1: f32, y1: f32, x2: f32, y2: f32, text: &str| {
            let line = line(x1, y1, x2, y2, text);
            let at = Slanted {
                cx: 100.0 - line.at.cy,
                cy: line.at.cx,
                angle: FRAC_PI_2,
                ..line.at
            };
            Line { at, ..line }
        };
        let lines = [
            turned(0.0, 0.0, 40.0, 20.0, "Item"),
            turned(200.0, 0.0, 240.0, 20.0, "2019"),
            turned(0.0, 60.0, 50.0, 80.0, "Costs"),
            turned(200.0, 60.0, 230.0, 80.0, "678"),
        ];
        let expected = "| Item | 2019 |\n|---|---|\n| Costs | 678 |";
        let page = white(100, 300);
        assert_eq!(
            read(&mut lineless(), &page, &lines).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn what_stands_in_no_rows_and_columns_is_no_table() {
        let empty = || Box::new(Empty);
        let mut tables = Tables::new(Box::new(Kinded([1.0, 0.0])), empty(), empty(), NAMES);
        let page = white(300, 100);
        let lines = [
            line(0.0, 0.0, 240.0, 20.0, "one line of words"),
            line(0.0, 30.0, 240.0, 50.0, "and another of them"),
        ];
        assert_eq!(read(&mut tables, &page, &lines), None);
        assert_eq!(read(&mut tables, &page, &[]), None);
        let region = |label, at| Region {
            label,
            score: 0.9,
            at,
        };
        let regions = [
            region("text", [0.0, 0.0, 1.0, 1.0]),
            region("table", [0.5, 0.5, 0.5, 0.5]),
        ];
        assert_eq!(
            tables.of_regions(&page, &regions, &lines).unwrap(),
            [None, None]
        );
    }
}
