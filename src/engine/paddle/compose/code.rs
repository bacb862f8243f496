//! Programs and algorithms: rows with their indents, in a fence. Pure.

use super::paragraph::Row;
use super::piece::{Piece, median};

/// The rows in a fence, indents and gaps in characters as wide as those of the rows are on
/// average.
pub fn code(rows: &[Row]) -> String {
    let pitch = median(
        rows.iter()
            .flat_map(|r| &r.pieces)
            .filter(|p| p.text.chars().count() > 3)
            .map(Piece::pitch),
    );
    let pitch = if pitch > 0.0 { pitch } else { f32::MAX };
    let left = rows.iter().map(|r| r.at[0]).fold(f32::MAX, f32::min);
    let body: Vec<String> = rows.iter().map(|row| line(row, left, pitch)).collect();
    let body = body.join("\n");
    let ticks = body
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat((ticks + 1).max(3));
    format!("{fence}\n{body}\n{fence}")
}

fn line(row: &Row, left: f32, pitch: f32) -> String {
    let mut out = String::new();
    let mut end = left;
    for piece in &row.pieces {
        // Indents of less than a character and a half are the slant of letters and of pages.
        let gap = (piece.at[0] - end) / pitch;
        let spaces = if gap < 1.5 {
            0
        } else {
            gap.round().min(80.0) as usize
        };
        let least = usize::from(!out.is_empty());
        out.push_str(&" ".repeat(spaces.max(least)));
        out.push_str(&piece.text);
        end = piece.at[2];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::super::paragraph::rows;
    use super::*;

    #[test]
    fn indents_are_kept_and_the_fence_is_longer_than_what_it_holds() {
        let piece = |x: f32, y: f32, text: &str| Piece {
            at: [10.0 * x, y, 10.0 * (x + text.len() as f32), y + 20.0],
            height: 20.0,
            angle: 0.0,
            source: Source::Image,
            text: text.into(),
        };
        let pieces = [
            piece(5.0, 0.0, "while x do"),
            piece(9.0, 30.0, "x <- ```y```"),
            piece(25.0, 30.0, "// why"),
            piece(5.1, 60.0, "end"),
        ];
        assert_eq!(
            code(&rows(&pieces, false)),
            "````\nwhile x do\n    x <- ```y```    // why\nend\n````"
        );
    }
}
