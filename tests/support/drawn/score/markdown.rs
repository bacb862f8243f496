//! What a Markdown text says, as pulldown-cmark reads it.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::edit::folded;
use super::html;
use crate::drawn::truth::{Cell, Kind, Row, Table, Unit};

/// The texts of a document in order, and its tables.
#[derive(Debug, Default)]
pub struct Parsed {
    pub units: Vec<Unit>,
    pub tables: Vec<Table>,
}

impl Parsed {
    fn open(&mut self, kind: Kind) {
        self.units.push(Unit {
            kind,
            text: String::new(),
        });
    }

    fn push(&mut self, text: &str) {
        if self.units.is_empty() {
            self.open(Kind::Paragraph);
        }
        if let Some(unit) = self.units.last_mut() {
            unit.text.push_str(text);
        }
    }

    fn table(&mut self, table: Table) {
        let texts: Vec<&str> = table.texts().collect();
        self.units.push(Unit {
            kind: Kind::Table,
            text: texts.join(" "),
        });
        self.tables.push(table);
    }
}

/// Units have folded texts and are never empty.
pub fn parsed(markdown: &str) -> Parsed {
    let (text, lifted) = html::lift(markdown);
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let mut out = Parsed::default();
    // Whether the lists around are numbered.
    let mut lists: Vec<bool> = Vec::new();
    let mut table: Option<Table> = None;
    // The first paragraph of an item is the item.
    let mut item_is_new = false;
    for event in Parser::new_ext(&text, options) {
        match event {
            Event::Start(Tag::Table(_)) => table = Some(Table::default()),
            Event::End(TagEnd::Table) => {
                if let Some(table) = table.take() {
                    out.table(table);
                }
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => {
                let head = matches!(event, Event::Start(Tag::TableHead));
                if let Some(table) = &mut table {
                    table.rows.push(Row {
                        head,
                        cells: Vec::new(),
                    });
                }
            }
            Event::Start(Tag::TableCell) => {
                if let Some(row) = table.as_mut().and_then(|t| t.rows.last_mut()) {
                    row.cells.push(Cell::new(""));
                }
            }
            Event::Start(Tag::Paragraph) if item_is_new => item_is_new = false,
            Event::Start(Tag::Paragraph) => out.open(Kind::Paragraph),
            Event::Start(Tag::Heading { level, .. }) => out.open(Kind::Heading(number(level))),
            Event::Start(Tag::CodeBlock(_)) => out.open(Kind::Code),
            Event::Start(Tag::FootnoteDefinition(label)) => {
                out.open(Kind::Footnote);
                out.push(&label);
                out.push(" ");
                item_is_new = true;
            }
            Event::Start(Tag::List(first)) => lists.push(first.is_some()),
            Event::End(TagEnd::List(_)) => {
                lists.pop();
            }
            Event::Start(Tag::Item) => {
                let numbered = lists.last().copied().unwrap_or_default();
                out.open(Kind::Item(lists.len() as u8, numbered));
                item_is_new = true;
            }
            Event::End(TagEnd::Item) => item_is_new = false,
            Event::Text(text) | Event::Code(text) => {
                item_is_new = false;
                say(&mut out, &mut table, &text);
            }
            Event::FootnoteReference(label) => say(&mut out, &mut table, &label),
            Event::SoftBreak | Event::HardBreak => say(&mut out, &mut table, " "),
            _ => {}
        }
    }
    let mut result = Parsed::default();
    for mut unit in out.units {
        let number = unit
            .text
            .trim()
            .strip_prefix(html::MARK)
            .and_then(|rest| rest.strip_suffix(html::MARK))
            .and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| lifted.get(number)) {
            Some(table) => result.table(table.clone()),
            None if unit.kind == Kind::Table => {
                // Tables come in the order of their units.
                let table = out.tables.remove(0);
                result.table(table);
            }
            None => {
                unit.text = folded(&unit.text);
                if !unit.text.is_empty() {
                    result.units.push(unit);
                }
            }
        }
    }
    for unit in &mut result.units {
        unit.text = folded(&unit.text);
    }
    result
}

fn say(out: &mut Parsed, table: &mut Option<Table>, text: &str) {
    let cell = table
        .as_mut()
        .and_then(|table| table.rows.last_mut())
        .and_then(|row| row.cells.last_mut());
    match cell {
        Some(cell) => cell.text.push_str(text),
        None => out.push(text),
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_block_is_told_apart() {
        let parsed = parsed(
            "# T\n\na\nb<sup>1</sup>\n\n- x\n  1. y\n- z\n\n| h | i |\n|---|---|\n| 1 | $ 2 |\n\n\
             <table><tr><td colspan=2>q</td></tr></table>\n\n```\nlet a;\n```\n",
        );
        let units: Vec<(Kind, &str)> = parsed
            .units
            .iter()
            .map(|unit| (unit.kind, unit.text.as_str()))
            .collect();
        assert_eq!(
            units,
            [
                (Kind::Heading(1), "T"),
                (Kind::Paragraph, "a b1"),
                (Kind::Item(1, false), "x"),
                (Kind::Item(2, true), "y"),
                (Kind::Item(1, false), "z"),
                (Kind::Table, "h i 1 $ 2"),
                (Kind::Table, "q"),
                (Kind::Code, "let a;"),
            ]
        );
        assert!(parsed.tables[0].rows[0].head);
        assert_eq!(parsed.tables[1].rows[0].cells[0].columns, 2);
    }
}
