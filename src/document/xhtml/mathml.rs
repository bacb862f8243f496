//! Presentation MathML -> [`Math`].
//!
//! Elements as in MathML Core and MathML 3's presentation part; of `semantics` the presentation is
//! taken. What is not known keeps its children in a row, so no sign is lost. Content MathML
//! (`apply`) is a row of its words.

use crate::document::flow::{Math, Style};

use super::tree::{Data, Id, Tree};

/// Levels of a formula; below, its text alone is kept.
const DEPTH: usize = 100;

/// Reads a `math` element.
pub fn formula(tree: &Tree, id: Id) -> Math {
    row(tree, id, Style::default(), 0)
}

/// Whether the formula stands on a line of its own.
pub fn display(tree: &Tree, id: Id) -> bool {
    tree.attribute(id, "display") == Some("block") || tree.attribute(id, "mode") == Some("display")
}

fn children(tree: &Tree, id: Id, depth: usize, style: Style) -> Vec<Math> {
    let mut found = Vec::new();
    for child in tree.children(id) {
        match tree.data(child) {
            // Text between elements is not allowed; what is there is shown by browsers.
            Data::Text(text) if text.trim().is_empty() => {}
            Data::Text(text) => found.push(Math::Text(folded(text))),
            Data::Element(_) => found.extend(one(tree, child, style, depth)),
            Data::Root => {}
        }
    }
    found
}

fn row(tree: &Tree, id: Id, style: Style, depth: usize) -> Math {
    let mut all = children(tree, id, depth, style);
    if all.len() == 1 {
        all.remove(0)
    } else {
        Math::Row(all)
    }
}

fn folded(text: &str) -> String {
    text.split([' ', '\t', '\n', '\r'])
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text of a token element; white space at its ends is not part of it.
fn token(tree: &Tree, id: Id) -> String {
    folded(&tree.text(id))
}

fn style_of(tree: &Tree, id: Id, inherited: Style, text: &str) -> Style {
    let Some(variant) = tree.attribute(id, "mathvariant") else {
        let one = text.chars().count() <= 1;
        return match inherited {
            Style::Italic if !one => Style::Upright,
            style => style,
        };
    };
    match variant {
        "normal" => Style::Upright,
        "bold" => Style::Bold,
        "bold-italic" => Style::BoldItalic,
        "double-struck" => Style::DoubleStruck,
        "script" | "bold-script" => Style::Script,
        "fraktur" | "bold-fraktur" => Style::Fraktur,
        "monospace" => Style::Monospace,
        variant if variant.contains("sans-serif") => Style::SansSerif,
        _ => Style::Italic,
    }
}

/// Brackets, which grow unless the book says otherwise (MathML Core's operator dictionary).
pub fn bracket(text: &str) -> bool {
    matches!(
        text,
        "(" | ")"
            | "["
            | "]"
            | "{"
            | "}"
            | "|"
            | "‖"
            | "⟨"
            | "⟩"
            | "〈"
            | "〉"
            | "⌈"
            | "⌉"
            | "⌊"
            | "⌋"
            | "⟦"
            | "⟧"
            | "∥"
            | "∣"
            | "||"
    )
}

/// One element; none for what shows nothing.
fn one(tree: &Tree, id: Id, style: Style, depth: usize) -> Option<Math> {
    if depth > DEPTH {
        return Some(Math::Text(token(tree, id)));
    }
    let depth = depth + 1;
    let arguments = || children(tree, id, depth, style);
    let first =
        |all: &mut std::vec::IntoIter<Math>| Box::new(all.next().unwrap_or(Math::Row(Vec::new())));
    Some(match tree.name(id) {
        "mi" | "ci" => {
            let text = token(tree, id);
            Math::Identifier {
                style: style_of(tree, id, style, &text),
                text,
            }
        }
        "mn" | "cn" => {
            let text = token(tree, id);
            match style_of(tree, id, style, "1") {
                Style::Italic | Style::Upright => Math::Number(text),
                style => Math::Identifier { text, style },
            }
        }
        "mo" => {
            let text = token(tree, id);
            // Function application, invisible times, separator and plus.
            if text.is_empty() || text.chars().all(|c| ('\u{2061}'..='\u{2064}').contains(&c)) {
                return None;
            }
            let stretchy = match tree.attribute(id, "stretchy") {
                Some(said) => said == "true",
                None => bracket(&text),
            };
            Math::Operator { text, stretchy }
        }
        "mtext" | "csymbol" => {
            // A space at the end of words is meant.
            let text = tree.text(id);
            let inner = folded(&text);
            if inner.is_empty() {
                return text.contains('\u{a0}').then_some(Math::Space);
            }
            Math::Text(inner)
        }
        "ms" => {
            let quote = |name| tree.attribute(id, name).unwrap_or("\"");
            Math::Text(format!(
                "{}{}{}",
                quote("lquote"),
                token(tree, id),
                quote("rquote")
            ))
        }
        "mglyph" => Math::Text(tree.attribute(id, "alt").unwrap_or_default().to_owned()),
        "mspace" => Math::Space,
        "mfrac" => {
            let bar = tree.attribute(id, "linethickness").is_none_or(|t| {
                !t.trim_start().starts_with('0') || t.bytes().any(|b| (b'1'..=b'9').contains(&b))
            });
            let mut all = arguments().into_iter();
            Math::Fraction {
                over: first(&mut all),
                under: first(&mut all),
                bar,
            }
        }
        "msqrt" => Math::Root {
            of: Box::new(row(tree, id, style, depth)),
            degree: None,
        },
        "mroot" => {
            let mut all = arguments().into_iter();
            let of = first(&mut all);
            Math::Root {
                of,
                degree: all.next().map(Box::new),
            }
        }
        name @ ("msub" | "msup" | "msubsup") => {
            let mut all = arguments_kept(tree, id, style, depth).into_iter();
            let base = first(&mut all);
            let sub = if name == "msup" {
                None
            } else {
                all.next().map(Box::new)
            };
            let sup = if name == "msub" {
                None
            } else {
                all.next().map(Box::new)
            };
            Math::Scripts { base, sub, sup }
        }
        name @ ("munder" | "mover" | "munderover") => {
            let mut all = arguments_kept(tree, id, style, depth).into_iter();
            let base = first(&mut all);
            let under = if name == "mover" {
                None
            } else {
                all.next().map(Box::new)
            };
            let over = if name == "munder" {
                None
            } else {
                all.next().map(Box::new)
            };
            let accent = match tree.attribute(id, "accent") {
                Some(said) => said == "true",
                None => {
                    matches!(over.as_deref(), Some(Math::Operator { text, .. }) if accent(text))
                }
            };
            Math::Limits {
                base,
                under,
                over,
                accent,
            }
        }
        "mmultiscripts" => multiscripts(tree, id, style, depth),
        "mtable" => Math::Table(rows(tree, id, style, depth)),
        "mfenced" => fenced(tree, id, style, depth),
        "menclose" => Math::Enclosed {
            how: tree
                .attribute(id, "notation")
                .unwrap_or("longdiv")
                .to_owned(),
            inner: Box::new(row(tree, id, style, depth)),
        },
        "mphantom" => Math::Phantom(Box::new(row(tree, id, style, depth))),
        "maction" => {
            let selected = tree
                .attribute(id, "selection")
                .and_then(|s| s.parse::<usize>().ok());
            let mut all = arguments();
            let index = selected.unwrap_or(1).saturating_sub(1);
            if index < all.len() {
                all.swap_remove(index)
            } else {
                return None;
            }
        }
        "semantics" => semantics(tree, id, style, depth)?,
        "none" | "mprescripts" | "maligngroup" | "malignmark" | "annotation" => return None,
        "script" | "style" => return None,
        "mstyle" => {
            let style = match tree.attribute(id, "mathvariant") {
                Some(_) => style_of(tree, id, style, "x"),
                None => style,
            };
            row(tree, id, style, depth)
        }
        // mrow, mpadded, merror, mtr, mtd outside a table, math, and what nobody knows.
        _ => row(tree, id, style, depth),
    })
}

/// Arguments by place: what shows nothing (`none`, an empty `mo`) still takes its place.
fn arguments_kept(tree: &Tree, id: Id, style: Style, depth: usize) -> Vec<Math> {
    let elements = tree.children(id).filter(|&c| tree.element(c).is_some());
    elements
        .map(|c| one(tree, c, style, depth).unwrap_or(Math::Row(Vec::new())))
        .collect()
}

fn accent(text: &str) -> bool {
    matches!(
        text,
        "^" | "ˆ"
            | "~"
            | "˜"
            | "¯"
            | "‾"
            | "_"
            | "→"
            | "⃗"
            | "←"
            | "˙"
            | "."
            | "¨"
            | "˘"
            | "ˇ"
            | "´"
            | "`"
            | "⏞"
            | "⏜"
            | "\u{302}"
            | "\u{303}"
            | "\u{304}"
    )
}

fn semantics(tree: &Tree, id: Id, style: Style, depth: usize) -> Option<Math> {
    let mut elements = tree.children(id).filter(|&c| tree.element(c).is_some());
    let first = elements.next()?;
    let presentation = tree.name(first).starts_with('m');
    if !presentation {
        let mut others = elements.filter(|&c| tree.name(c) == "annotation-xml");
        let said = others.find(|&c| {
            let encoding = tree.attribute(c, "encoding").unwrap_or_default();
            encoding.eq_ignore_ascii_case("MathML-Presentation")
                || encoding.eq_ignore_ascii_case("application/mathml-presentation+xml")
        });
        if let Some(said) = said {
            return Some(row(tree, said, style, depth));
        }
    }
    one(tree, first, style, depth)
}

fn multiscripts(tree: &Tree, id: Id, style: Style, depth: usize) -> Math {
    let mut elements = tree.children(id).filter(|&c| tree.element(c).is_some());
    let base = elements.next().and_then(|c| one(tree, c, style, depth));
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut prescripts = false;
    for child in elements {
        if tree.name(child) == "mprescripts" {
            prescripts = true;
        } else {
            let script = one(tree, child, style, depth).map(Box::new);
            if prescripts { &mut before } else { &mut after }.push(script);
        }
    }
    let pairs = |scripts: Vec<Option<Box<Math>>>| {
        let mut pairs = Vec::new();
        let mut scripts = scripts.into_iter();
        while let Some(sub) = scripts.next() {
            pairs.push((sub, scripts.next().flatten()));
        }
        pairs
    };
    let mut all = Vec::new();
    for (sub, sup) in pairs(before) {
        all.push(Math::Scripts {
            base: Box::new(Math::Row(Vec::new())),
            sub,
            sup,
        });
    }
    let mut after = pairs(after).into_iter();
    let base = base.unwrap_or(Math::Row(Vec::new()));
    match after.next() {
        Some((sub, sup)) => all.push(Math::Scripts {
            base: Box::new(base),
            sub,
            sup,
        }),
        None => all.push(base),
    }
    for (sub, sup) in after {
        all.push(Math::Scripts {
            base: Box::new(Math::Row(Vec::new())),
            sub,
            sup,
        });
    }
    Math::Row(all)
}

fn rows(tree: &Tree, id: Id, style: Style, depth: usize) -> Vec<Vec<Math>> {
    let mut rows = Vec::new();
    for child in tree.children(id).filter(|&c| tree.element(c).is_some()) {
        let cells = match tree.name(child) {
            "mtr" => arguments_kept(tree, child, style, depth),
            "mlabeledtr" => {
                let mut cells = arguments_kept(tree, child, style, depth);
                if !cells.is_empty() {
                    cells.rotate_left(1);
                }
                cells
            }
            _ => one(tree, child, style, depth).into_iter().collect(),
        };
        rows.push(cells);
    }
    rows
}

fn fenced(tree: &Tree, id: Id, style: Style, depth: usize) -> Math {
    let said = |name, default: &str| {
        tree.attribute(id, name)
            .unwrap_or(default)
            .trim()
            .to_owned()
    };
    let separators: Vec<char> = said("separators", ",")
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let mut inner = Vec::new();
    for (index, argument) in arguments_kept(tree, id, style, depth)
        .into_iter()
        .enumerate()
    {
        let separator = separators
            .get(index.saturating_sub(1))
            .or(separators.last());
        if let (1.., Some(separator)) = (index, separator) {
            inner.push(Math::Operator {
                text: separator.to_string(),
                stretchy: false,
            });
        }
        inner.push(argument);
    }
    let inner = if inner.len() == 1 {
        inner.remove(0)
    } else {
        Math::Row(inner)
    };
    Math::Fenced {
        open: said("open", "("),
        close: said("close", ")"),
        inner: Box::new(inner),
    }
}
