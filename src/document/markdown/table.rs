//! Tables: pipes where every cell is one line and none spans, else HTML.
//!
//! A cell of the HTML form is HTML itself where it holds lines only, else Markdown between blank
//! lines, which CommonMark reads within HTML.

use crate::document::flow::{Cell, Inline, Piece, Table};

use super::inline::{Place, comment};
use super::{Writer, escape};

impl Writer<'_> {
    pub fn table(&mut self, table: &Table) -> String {
        let mut out = String::new();
        let caption = [Inline::Emphasis(table.caption.clone())];
        let caption = self.line(&caption, Place::Paragraph);
        if !caption.is_empty() {
            out.push_str(&caption);
            out.push_str("\n\n");
        }
        let piped =
            table.header_rows <= 1
                && table.rows.iter().flatten().all(|cell| {
                    cell.rows == 1 && cell.columns == 1 && single(&cell.pieces).is_some()
                });
        if piped {
            self.pipes(table, &mut out)
        } else {
            self.html(table, &mut out)
        }
        out
    }

    fn pipes(&mut self, table: &Table, out: &mut String) {
        let columns = table.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut rows = table.rows.iter();
        let empty = Vec::new();
        let head = if table.header_rows == 1 {
            rows.next()
        } else {
            None
        };
        self.pipe_row(head.unwrap_or(&empty), columns, out);
        out.push_str("\n|");
        out.push_str(&" --- |".repeat(columns));
        for row in rows {
            out.push('\n');
            self.pipe_row(row, columns, out);
        }
    }

    fn pipe_row(&mut self, row: &[Cell], columns: usize, out: &mut String) {
        out.push('|');
        for column in 0..columns {
            let line = row.get(column).and_then(|cell| single(&cell.pieces));
            let text = self.line(&line.unwrap_or_default(), Place::Cell);
            out.push(' ');
            out.push_str(&text);
            out.push_str(if text.is_empty() { "|" } else { " |" });
        }
    }

    fn html(&mut self, table: &Table, out: &mut String) {
        out.push_str("<table>");
        for row in &table.rows {
            out.push_str("\n<tr>");
            for cell in row {
                let tag = if cell.header { "th" } else { "td" };
                out.push('<');
                out.push_str(tag);
                if cell.rows > 1 {
                    out.push_str(&format!(" rowspan=\"{}\"", cell.rows));
                }
                if cell.columns > 1 {
                    out.push_str(&format!(" colspan=\"{}\"", cell.columns));
                }
                out.push('>');
                match lines(&cell.pieces) {
                    Some(lines) => {
                        for (index, line) in lines.into_iter().enumerate() {
                            if index > 0 {
                                out.push_str("<br>");
                            }
                            self.html_line(line, out);
                        }
                    }
                    None => {
                        let inner = self.blocks(&cell.pieces);
                        out.push_str("\n\n");
                        out.push_str(&inner);
                        out.push_str("\n\n");
                    }
                }
                out.push_str(&format!("</{tag}>"));
            }
            out.push_str("</tr>");
        }
        out.push_str("\n</table>");
    }

    fn html_line(&mut self, inlines: &[Inline], out: &mut String) {
        for inline in inlines {
            let (tag, inner) = match inline {
                Inline::Text(text) => {
                    escape::html(text, out);
                    continue;
                }
                Inline::Code(text) => {
                    out.push_str("<code>");
                    escape::html(text, out);
                    out.push_str("</code>");
                    continue;
                }
                Inline::Link { to, text } => {
                    if to.contains("://") {
                        out.push_str(&format!(
                            "<a href=\"{}\">",
                            escape::address(to).replace('&', "&amp;")
                        ));
                        self.html_line(text, out);
                        out.push_str("</a>");
                    } else {
                        self.html_line(text, out);
                    }
                    continue;
                }
                Inline::Ruby { base, reading } => {
                    out.push_str("<ruby>");
                    self.html_line(base, out);
                    out.push_str("<rt>");
                    escape::html(reading, out);
                    out.push_str("</rt></ruby>");
                    continue;
                }
                Inline::PageBreak(label) => {
                    out.push_str(&comment(label));
                    continue;
                }
                Inline::Break => {
                    out.push_str("<br>");
                    continue;
                }
                // `lines` lets none of these through.
                Inline::Formula(_) | Inline::Picture(_) | Inline::NoteMark { .. } => continue,
                Inline::Emphasis(inner) => ("em", inner),
                Inline::Strong(inner) => ("strong", inner),
                Inline::Strike(inner) => ("del", inner),
                Inline::Sub(inner) => ("sub", inner),
                Inline::Sup(inner) => ("sup", inner),
            };
            out.push_str(&format!("<{tag}>"));
            self.html_line(inner, out);
            out.push_str(&format!("</{tag}>"));
        }
    }
}

/// A cell's content as one line; none where it is more than that.
fn single(pieces: &[Piece]) -> Option<Vec<Inline>> {
    let mut line = Vec::new();
    let mut texts = 0;
    for piece in pieces {
        match piece {
            Piece::Paragraph(text) => {
                texts += 1;
                line.extend(text.iter().cloned());
            }
            Piece::Picture(picture) if picture.caption.is_empty() => {
                texts += 1;
                line.push(Inline::Picture(picture.clone()));
            }
            Piece::Formula(math) => {
                texts += 1;
                line.push(Inline::Formula(math.clone()));
            }
            Piece::PageBreak(label) => line.push(Inline::PageBreak(label.clone())),
            _ => return None,
        }
    }
    (texts <= 1).then_some(line)
}

/// A cell's lines, where they can be HTML.
fn lines(pieces: &[Piece]) -> Option<Vec<&[Inline]>> {
    fn plain(inlines: &[Inline]) -> bool {
        inlines.iter().all(|inline| match inline {
            Inline::Formula(_) | Inline::Picture(_) | Inline::NoteMark { .. } => false,
            other => plain(other.inner()),
        })
    }
    let lines = pieces.iter().map(|piece| match piece {
        Piece::Paragraph(text) if plain(text) => Some(text.as_slice()),
        _ => None,
    });
    lines.collect()
}
