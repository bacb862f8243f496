//! Whether the words of a table fit the grid that its drawn lines make. Pure.

use super::amount::is_amount;
use super::fill::Filled;
use super::grid::Grid;
use super::rows::Rows;
use super::words::Piece;

/// Part of the cells with words that may hold what belongs in several.
const MOST_CROWDED: f32 = 0.1;

/// A grid between drawn lines, with its words, where these agree.
pub fn drawn(grid: Option<Grid>, words: &[Piece]) -> Option<Filled> {
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

#[cfg(test)]
mod tests {
    use super::super::grid::Cell;
    use super::super::rows::tests::drawn as words;
    use super::*;

    /// Two columns of 200, rows of these heights.
    fn grid(heights: &[f32]) -> Option<Grid> {
        let mut cells = Vec::new();
        let mut y = -5.0;
        for (row, height) in heights.iter().enumerate() {
            for column in 0..2 {
                let x = 200.0 * column as f32;
                cells.push(Cell::single(row, column, [x, y, x + 200.0, y + height]));
            }
            y += height;
        }
        Grid::repaired(&cells, 1)
    }

    #[test]
    fn rows_and_columns_without_lines_between_them_do_not_fit() {
        let text = "Item                 Sum\nSales                 12\nCosts                 34\n";
        assert!(drawn(grid(&[30.0; 3]), &words(text)).is_some());
        assert!(
            drawn(grid(&[30.0, 60.0]), &words(text)).is_none(),
            "amounts stand stacked"
        );
        let text = "Item                 Sum    Rest\nSales                ab     cd\nCosts                ef     gh\n";
        assert!(
            drawn(grid(&[30.0; 3]), &words(text)).is_none(),
            "a column is two"
        );
        assert!(drawn(None, &[]).is_none());
    }
}
