//! The tables that stand as HTML in a Markdown text.

use crate::drawn::truth::{Cell, Row, Table};

/// The text with a mark in place of each table, and the tables. A mark is a paragraph of its own:
/// its number between two private characters.
pub fn lift(markdown: &str) -> (String, Vec<Table>) {
    let mut text = String::new();
    let mut tables = Vec::new();
    let mut rest = markdown;
    while let Some(start) = rest.find("<table") {
        let length = rest[start..]
            .find("</table>")
            .map_or(rest.len() - start, |at| at + "</table>".len());
        text.push_str(&rest[..start]);
        text.push_str(&format!("\n\n{MARK}{}{MARK}\n\n", tables.len()));
        tables.push(parsed(&rest[start..start + length]));
        rest = &rest[start + length..];
    }
    text.push_str(rest);
    (text, tables)
}

pub const MARK: char = '\u{E000}';

/// The rows of one table; tags that are not of tables are left out, `<br>` is a space.
fn parsed(html: &str) -> Table {
    let mut rows: Vec<Row> = Vec::new();
    let mut in_head = false;
    let mut open = false;
    let mut rest = html;
    while !rest.is_empty() {
        let Some(tag) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            if open {
                let cell = rows.last_mut().and_then(|row| row.cells.last_mut());
                if let Some(cell) = cell {
                    cell.text.push_str(&characters(&rest[..end]));
                }
            }
            rest = &rest[end..];
            continue;
        };
        let end = tag.find('>').unwrap_or(tag.len());
        let inner = &tag[..end];
        rest = tag.get(end + 1..).unwrap_or_default();
        let name: String = inner
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '/')
            .collect();
        match name.to_ascii_lowercase().as_str() {
            "thead" => in_head = true,
            "/thead" => in_head = false,
            "tr" => rows.push(Row {
                head: in_head,
                cells: Vec::new(),
            }),
            "td" | "th" => {
                open = true;
                if rows.is_empty() {
                    rows.push(Row::default());
                }
                if let Some(row) = rows.last_mut() {
                    // Without a `thead`, a row that begins with a heading is taken for one, until
                    // a plain cell says otherwise.
                    if name.eq_ignore_ascii_case("th") && row.cells.is_empty() {
                        row.head = true;
                    } else if name.eq_ignore_ascii_case("td") && !in_head {
                        row.head = false;
                    }
                    row.cells.push(Cell::spanning(
                        "",
                        span(inner, "colspan"),
                        span(inner, "rowspan"),
                    ));
                }
            }
            "/td" | "/th" => open = false,
            "br" if open => {
                if let Some(cell) = rows.last_mut().and_then(|row| row.cells.last_mut()) {
                    cell.text.push(' ');
                }
            }
            _ => {}
        }
    }
    Table { rows }
}

fn span(tag: &str, name: &str) -> usize {
    let value = tag.split_once(name).map_or("", |(_, value)| value);
    let digits: String = value
        .trim_start_matches(['=', '"', '\'', ' '])
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(1).max(1)
}

/// The text with its commonest character references resolved.
fn characters(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_lifted_with_their_spans() {
        let (text, tables) = lift(
            "a\n\n<table><thead><tr><th colspan=\"2\">H</th></tr></thead>\
             <tr><td rowspan=2>x &amp; <b>y</b></td><td>1<br>2</td></tr></table>\n\nb",
        );
        assert!(text.contains("\u{E000}0\u{E000}") && text.ends_with("b"));
        let rows = &tables[0].rows;
        assert!(rows[0].head && !rows[1].head);
        assert_eq!(rows[0].cells, [Cell::spanning("H", 2, 1)]);
        assert_eq!(
            rows[1].cells,
            [Cell::spanning("x & y", 1, 2), Cell::new("1 2")]
        );
    }

    #[test]
    fn a_row_of_headings_is_a_head_without_being_told() {
        let (_, tables) = lift("<table><tr><th>a</th><th>b</th></tr><tr><th>c</th><td>1</td></tr>");
        let heads: Vec<bool> = tables[0].rows.iter().map(|row| row.head).collect();
        assert_eq!(heads, [true, false]);
    }
}
