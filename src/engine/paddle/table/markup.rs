//! A filled grid as Markdown: a pipe table, or HTML where a cell spans. Pure.

use super::grid::Grid;

/// `texts`: what each cell says.
pub fn markup(grid: &Grid, texts: &[String]) -> String {
    if grid.has_spans() {
        html(grid, texts)
    } else {
        pipes(grid, texts)
    }
}

/// Rows between pipes. The first row is the header: several header rows are for [`html`], where a
/// header spans, or stand below it.
fn pipes(grid: &Grid, texts: &[String]) -> String {
    let owners = grid.owners();
    let mut out = String::new();
    for (row, cells) in owners.chunks(grid.columns).enumerate() {
        out.push('|');
        for &cell in cells {
            out.push(' ');
            out.push_str(&piped(texts.get(cell).map_or("", |t| t)));
            out.push_str(" |");
        }
        out.push('\n');
        if row == 0 {
            out.push('|');
            out.push_str(&"---|".repeat(grid.columns));
            out.push('\n');
        }
    }
    out.pop();
    out
}

/// A cell's text between pipes: what Markdown or HTML would read as markup is escaped, the
/// superscripts and subscripts of lines are kept.
fn piped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        let rest = &text[i..];
        let next = rest.chars().nth(1).unwrap_or(' ');
        let escaped = match c {
            '|' | '\\' | '`' => true,
            // Emphasis opens before a letter only, and a tag too.
            '*' => !before.is_alphanumeric() && !next.is_whitespace(),
            ']' => next == '(',
            '~' => next == '~',
            '&' => next == '#' || next.is_ascii_alphabetic(),
            '<' => (next.is_alphabetic() || "/!?".contains(next)) && !is_kept(rest),
            _ => false,
        };
        if escaped {
            out.push('\\');
        }
        match c {
            '\n' => out.push_str("<br>"),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

fn is_kept(rest: &str) -> bool {
    KEPT.iter().any(|tag| rest.starts_with(tag))
}

/// Markup that lines may hold (see `Line::text`).
const KEPT: [&str; 4] = ["<sup>", "</sup>", "<sub>", "</sub>"];

fn html(grid: &Grid, texts: &[String]) -> String {
    let mut out = String::from("<table>\n");
    let head = grid.head.min(grid.rows);
    let mut cells = grid.cells.iter().zip(texts).peekable();
    for row in 0..grid.rows {
        if row == 0 && head > 0 {
            out.push_str("<thead>\n");
        }
        if row == head {
            out.push_str("<tbody>\n");
        }
        out.push_str("<tr>");
        let name = if row < head { "th" } else { "td" };
        while let Some((cell, text)) = cells.next_if(|(c, _)| c.row <= row) {
            out.push_str(&format!("<{name}"));
            if cell.rowspan > 1 {
                out.push_str(&format!(" rowspan=\"{}\"", cell.rowspan));
            }
            if cell.colspan > 1 {
                out.push_str(&format!(" colspan=\"{}\"", cell.colspan));
            }
            out.push_str(&format!(">{}</{name}>", escaped(text)));
        }
        out.push_str("</tr>\n");
        if row + 1 == head {
            out.push_str("</thead>\n");
        }
    }
    if head < grid.rows {
        out.push_str("</tbody>\n");
    }
    out.push_str("</table>");
    out
}

/// A cell's text in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        match c {
            '\n' => out.push_str("<br>"),
            '&' => out.push_str("&amp;"),
            '<' if !is_kept(&text[i..]) => out.push_str("&lt;"),
            '>' if !KEPT.iter().any(|tag| text[..=i].ends_with(tag)) => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::grid::Cell;
    use super::*;

    fn grid(cells: &[(usize, usize, usize, usize)], head: usize) -> Grid {
        let cells: Vec<_> = cells
            .iter()
            .map(|&(row, column, rowspan, colspan)| Cell {
                rowspan,
                colspan,
                ..Cell::single(row, column, [0.0; 4])
            })
            .collect();
        Grid::repaired(&cells, head).unwrap()
    }

    #[test]
    fn plain_cells_become_a_pipe_table() {
        let grid = grid(&[(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)], 1);
        let texts = ["a|b <b>", "x<sup>2</sup>\nor", "*p 5*", "<0.05"].map(String::from);
        let expected = "| a\\|b \\<b> | x<sup>2</sup><br>or |\n|---|---|\n| \\*p 5* | <0.05 |";
        assert_eq!(markup(&grid, &texts), expected);
    }

    #[test]
    fn a_cell_that_spans_makes_it_html() {
        let grid = grid(
            &[
                (0, 0, 2, 1),
                (0, 1, 1, 2),
                (1, 1, 1, 1),
                (1, 2, 1, 1),
                (2, 0, 1, 1),
            ],
            2,
        );
        let texts = ["", "A & B", "<1", "H<sub>2</sub>", "e", "", ""].map(String::from);
        let expected = "<table>\n<thead>\n\
            <tr><th rowspan=\"2\"></th><th colspan=\"2\">A &amp; B</th></tr>\n\
            <tr><th>&lt;1</th><th>H<sub>2</sub></th></tr>\n</thead>\n<tbody>\n\
            <tr><td>e</td><td></td><td></td></tr>\n</tbody>\n</table>";
        assert_eq!(markup(&grid, &texts), expected);
    }
}
