//! A document as typst markup. Every text stands in a string literal, so none is read as markup.

use std::fmt::Write;

use super::truth::{Block, Furniture, Lines, List, Table};

/// How a document is set. Lengths in points.
#[derive(Clone, Debug)]
pub struct Style {
    /// ISO 639-1.
    pub language: &'static str,
    pub font: &'static str,
    pub size: f64,
    pub page: (f64, f64),
    pub margin: f64,
    pub columns: u8,
    /// Paragraphs are told apart by the indent of their first lines, else by the space between.
    pub indent: bool,
    pub hyphenate: bool,
    /// The text lies on its side, turned clockwise by 90 degrees, on a page as wide as `page` is
    /// high. One page only, without furniture.
    pub turned: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            language: "en",
            font: "Libertinus Serif",
            size: 11.0,
            page: (595.0, 842.0),
            margin: 64.0,
            columns: 1,
            indent: false,
            hyphenate: true,
            turned: false,
        }
    }
}

/// The font of code.
const CODE: &str = "DejaVu Sans Mono";

pub fn source(style: &Style, furniture: &Furniture, blocks: &[Block]) -> String {
    let mut out = String::new();
    let (width, height) = style.page;
    let margin = style.margin;
    let mut page = format!("margin: {margin}pt, columns: {}", style.columns);
    if style.turned {
        page = format!("width: {height}pt, height: {width}pt, margin: 0pt");
    } else {
        write!(page, ", width: {width}pt, height: {height}pt").expect("a string");
    }
    if let Some([odd, even]) = &furniture.head {
        write!(
            page,
            ", header: context [#if calc.odd(counter(page).get().first()) [#h(1fr) #{}] else [#{} #h(1fr)]]",
            literal(odd),
            literal(even)
        )
        .expect("a string");
    }
    if furniture.foot.is_some() || furniture.number.is_some() {
        let foot = furniture.foot.as_deref().map(literal);
        let number = furniture
            .number
            .map(|_| "#context counter(page).display()".to_owned());
        let foot = foot.map(|foot| format!("#{foot}"));
        let parts: Vec<String> = [foot, number].into_iter().flatten().collect();
        let footer = parts.join(" #h(1fr) ");
        write!(page, ", footer: align(center)[{footer}]").expect("a string");
    }
    let _ = writeln!(out, "#set page({page})");
    if let Some(number) = furniture.number {
        let _ = writeln!(out, "#counter(page).update({number})");
    }
    let _ = writeln!(
        out,
        "#set text(font: ({}, \"New Computer Modern\"), size: {}pt, lang: {}, hyphenate: {})",
        literal(style.font),
        style.size,
        literal(style.language),
        style.hyphenate
    );
    let (spacing, indent) = if style.indent {
        ("0.65em", "1.4em")
    } else {
        ("1.2em", "0pt")
    };
    let _ = writeln!(
        out,
        "#set par(justify: true, leading: 0.62em, spacing: {spacing}, first-line-indent: {indent})\n\
         #set heading(numbering: none)\n\
         #show heading: set text(hyphenate: false)\n\
         #show heading: set block(above: 1.5em, below: 0.9em)\n\
         #show heading.where(level: 1): set text(size: {}pt)\n\
         #show heading.where(level: 2): set text(size: {}pt)\n\
         #show heading.where(level: 3): set text(size: {}pt, style: \"italic\")\n\
         #show raw: set text(font: \"{CODE}\", size: {}pt)\n\
         #set table(inset: 5pt)\n\
         #set block(spacing: 1.2em)\n\
         #set list(spacing: 0.8em)\n\
         #set enum(spacing: 0.8em)",
        1.3 * style.size,
        1.12 * style.size,
        style.size,
        0.85 * style.size,
    );
    let body: String = blocks.iter().map(|b| block(style, b)).collect();
    if style.turned {
        let _ = writeln!(
            out,
            "#rotate(90deg, reflow: true, block(width: {width}pt, height: {height}pt, inset: {margin}pt)[\n{body}\n])"
        );
    } else {
        out.push_str(&body);
    }
    out
}

fn block(style: &Style, block: &Block) -> String {
    match block {
        Block::Title(text) => {
            let title = format!(
                "align(center, par(justify: false, text(size: {}pt, weight: \"bold\", hyphenate: false, {})))",
                1.7 * style.size,
                literal(text)
            );
            if style.columns > 1 {
                format!(
                    "#place(top + center, scope: \"parent\", float: true, clearance: 2em, {title})\n\n"
                )
            } else {
                format!("#block(below: 1.8em, width: 100%, {title})\n\n")
            }
        }
        Block::Heading(level, text) => {
            format!("#heading(level: {level}, {})\n\n", literal(text))
        }
        Block::Paragraph(text) => format!("#par({})\n\n", literal(text)),
        Block::Noted(text, note) => {
            format!("#par[#{}#footnote({})]\n\n", literal(text), literal(note))
        }
        Block::List(l) => format!("#{}\n\n", list(l)),
        Block::Table(t, lines) => format!("#{}\n\n", table(t, *lines)),
        Block::Figure(caption) => format!("#{}\n#{}\n\n", picture(), captioned(style, caption)),
        Block::Caption(text) => format!("#{}\n\n", captioned(style, text)),
        Block::Code(text) => format!("#raw(block: true, {})\n\n", literal(text)),
        Block::Formula(formula) => format!(
            "#math.equation(block: true, numbering: {}, $ {} $)\n\n",
            if formula.numbered { "\"(1)\"" } else { "none" },
            formula.typst
        ),
        Block::Break => "#pagebreak()\n\n".to_owned(),
    }
}

fn captioned(style: &Style, text: &str) -> String {
    format!(
        "block(width: 100%, above: 0.8em, below: 1.4em, align(center, text(size: {}pt, {})))",
        0.9 * style.size,
        literal(text)
    )
}

/// Something to look at: a sky, hills and a sun.
fn picture() -> &'static str {
    "align(center, box(width: 86%, height: 130pt, clip: true, fill: gradient.linear(rgb(\"#5b8fc7\"), rgb(\"#e8d8b0\"), angle: 90deg), {
        place(dx: 12%, dy: 18%, circle(radius: 17pt, fill: rgb(\"#f6e27a\")))
        place(dx: -10%, dy: 45%, ellipse(width: 80%, height: 120pt, fill: rgb(\"#4d7a3f\")))
        place(dx: 40%, dy: 55%, ellipse(width: 90%, height: 120pt, fill: rgb(\"#36592f\")))
        place(dx: 62%, dy: 38%, rect(width: 26pt, height: 40pt, fill: rgb(\"#8c4a32\")))
    }))"
}

fn list(l: &List) -> String {
    let items: Vec<String> = l
        .items
        .iter()
        .map(|item| match &item.inner {
            Some(inner) => format!("[#{}\n#{}]", literal(&item.text), list(inner)),
            None => format!("[#{}]", literal(&item.text)),
        })
        .collect();
    let kind = if l.ordered {
        "enum(numbering: \"1.\", "
    } else {
        "list("
    };
    format!("{kind}{})", items.join(", "))
}

fn table(t: &Table, lines: Lines) -> String {
    let columns: usize = t.rows.first().map_or(1, |row| {
        row.cells.iter().map(|cell| cell.columns).sum::<usize>()
    });
    let stroke = match lines {
        Lines::All => "0.6pt",
        _ => "none",
    };
    let mut widths = vec!["auto"; columns];
    let mut gutter = "";
    if lines == Lines::Accounts {
        widths.fill("72pt");
        widths[0] = "1fr";
        gutter = "column-gutter: 14pt, ";
    } else if lines != Lines::All {
        gutter = "column-gutter: 16pt, ";
    }
    let mut out = format!(
        "align(center, table(columns: ({},), stroke: {stroke}, {gutter}align: (x, y) => if x == 0 {{ left }} else {{ {} }}, ",
        widths.join(", "),
        if lines == Lines::Accounts {
            "right"
        } else {
            "center"
        },
    );
    if lines == Lines::Book {
        out.push_str("table.hline(stroke: 1pt), ");
    }
    let count = t.rows.len();
    for (number, row) in t.rows.iter().enumerate() {
        let sum = lines == Lines::Accounts
            && !row.head
            && row
                .cells
                .first()
                .is_some_and(|c| c.text.starts_with("Total"));
        if sum {
            for x in 1..columns {
                let _ = write!(
                    out,
                    "table.hline(start: {x}, end: {}, stroke: 0.5pt), ",
                    x + 1
                );
            }
        }
        for cell in &row.cells {
            let text = match cell.text.strip_prefix("$ ") {
                Some(rest) => format!("#\"$\" #h(1fr) #{}", literal(rest)),
                None => format!("#{}", literal(&cell.text)),
            };
            let text = if row.head {
                format!("#strong[{text}]")
            } else {
                text
            };
            let _ = write!(
                out,
                "table.cell(colspan: {}, rowspan: {}{})[{text}], ",
                cell.columns,
                cell.rows,
                if cell.columns > 1 {
                    ", align: center"
                } else if cell.rows > 1 {
                    ", align: horizon"
                } else {
                    ""
                }
            );
        }
        let last_head = row.head && t.rows.get(number + 1).is_some_and(|next| !next.head);
        if last_head && matches!(lines, Lines::Book | Lines::Accounts) {
            out.push_str("table.hline(stroke: 0.6pt), ");
        }
        if lines == Lines::Book && number + 1 == count {
            out.push_str("table.hline(stroke: 1pt), ");
        }
    }
    out.push_str("))");
    out
}

/// A typst string.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
