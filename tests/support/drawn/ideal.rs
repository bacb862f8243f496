//! The Markdown that a person would have typed of a document.

use std::fmt::Write;

use super::truth::{Block, List, Table};

pub fn markdown(blocks: &[Block]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    let mut mark = 0;
    for block in blocks {
        match block {
            Block::Title(text) => parts.push(format!("# {text}")),
            Block::Heading(level, text) => {
                parts.push(format!("{} {text}", "#".repeat(usize::from(level + 1))));
            }
            Block::Paragraph(text) | Block::Caption(text) => parts.push(text.clone()),
            Block::Noted(text, note) => {
                mark += 1;
                parts.push(format!("{text}<sup>{mark}</sup>"));
                notes.push(format!("<sup>{mark}</sup> {note}"));
            }
            Block::List(l) => {
                let mut text = String::new();
                list(l, 0, &mut text);
                parts.push(text);
            }
            Block::Table(t, _) => parts.push(table(t)),
            Block::Figure(text) => parts.push(format!("![](images/0_0.jpg)\n\n{text}")),
            Block::Code(text) => parts.push(format!("```\n{text}\n```")),
            Block::Formula(formula) => parts.push(format!("$$\n{}\n$$", formula.latex)),
            Block::Break => parts.append(&mut notes),
        }
    }
    parts.append(&mut notes);
    parts.join("\n\n")
}

fn list(l: &List, indent: usize, out: &mut String) {
    for (i, item) in l.items.iter().enumerate() {
        let mark = if l.ordered {
            format!("{}. ", i + 1)
        } else {
            "- ".to_owned()
        };
        let _ = writeln!(out, "{}{mark}{}", " ".repeat(indent), item.text);
        if let Some(inner) = &item.inner {
            list(inner, indent + mark.len(), out);
        }
    }
}

/// A pipe table, or HTML where a cell spans.
fn table(t: &Table) -> String {
    let mut cells = t.rows.iter().flat_map(|row| &row.cells);
    let plain = cells.all(|cell| cell.columns == 1 && cell.rows == 1);
    let mut out = String::new();
    if plain {
        for (number, row) in t.rows.iter().enumerate() {
            let texts: Vec<&str> = row.cells.iter().map(|cell| cell.text.as_str()).collect();
            let _ = writeln!(out, "| {} |", texts.join(" | "));
            if number == 0 {
                let _ = writeln!(out, "|{}", "---|".repeat(row.cells.len()));
            }
        }
        return out;
    }
    out.push_str("<table>");
    for row in &t.rows {
        out.push_str("<tr>");
        let tag = if row.head { "th" } else { "td" };
        for cell in &row.cells {
            let _ = write!(
                out,
                "<{tag} colspan=\"{}\" rowspan=\"{}\">{}</{tag}>",
                cell.columns, cell.rows, cell.text
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>");
    out
}
