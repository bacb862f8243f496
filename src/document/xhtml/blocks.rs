//! The tree's blocks -> pieces.
//!
//! A container's inline children between two blocks are one paragraph; an inline element around
//! blocks (`<a><p>..</p></a>`) is put around each of their lines. Quotes and lists deeper than
//! [`NESTED`] are flattened into the last that is kept.

use super::inlines::{Line, enclose_all, finish, wrap_of};
use super::style::Looks;
use super::tree::{Data, Id, ROOT, Tree};
use super::{Reader, Wrap, mathml, notes};
use crate::document::flow::{Definition, Inline, Piece};

/// Quotes, lists, tables and notes within one another that are kept.
pub const NESTED: usize = 24;

/// Elements that stand on lines of their own (HTML Standard, section 15.3).
fn block_name(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hgroup"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "listing"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "optgroup"
            | "option"
            | "p"
            | "plaintext"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
            | "xmp"
    )
}

/// By node: whether a block stands somewhere in it. Formulas and drawings are looked at from
/// outside only.
pub fn with_blocks(tree: &Tree, looks: &Looks) -> Vec<bool> {
    let mut order = Vec::new();
    let mut walk = tree.walk(ROOT);
    while let Some(id) = walk.next() {
        order.push(id);
        if matches!(tree.name(id), "svg" | "math" | "ruby") {
            walk.pass(id);
        }
    }
    let mut has = vec![false; tree.len()];
    for &id in order.iter().rev() {
        let block = block_name(tree.name(id)) || looks.block(id) || displayed(tree, id);
        if (block || has[id])
            && let Some(parent) = tree.parent(id)
        {
            has[parent] = true;
        }
    }
    has
}

fn displayed(tree: &Tree, id: Id) -> bool {
    tree.name(id) == "math" && mathml::display(tree, id)
}

impl Reader<'_> {
    pub fn is_block(&self, id: Id) -> bool {
        block_name(self.tree.name(id)) || self.looks.block(id)
    }

    /// The children of an element as pieces.
    pub fn flow(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let mut line = Line::default();
        self.flow_on(id, &mut line, pieces);
        self.flush(&mut line, pieces);
    }

    fn flow_on(&mut self, id: Id, line: &mut Line, pieces: &mut Vec<Piece>) {
        for child in self.tree.children(id) {
            self.step(child, line, pieces);
        }
    }

    /// One child: a part of the line, or a block that ends it.
    fn step(&mut self, child: Id, line: &mut Line, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        if notes::is_page_break(tree, child) {
            if self.is_block(child) {
                self.flush(line, pieces);
                pieces.push(Piece::PageBreak(notes::page_label(tree, child)));
                return;
            }
        } else if tree.element(child).is_some() {
            if self.left_out(child) || self.is_back_link(child) {
                return;
            }
            if self.is_block(child) || displayed(tree, child) {
                self.flush(line, pieces);
                self.block(child, pieces);
                return;
            }
            if self.has_block[child] && tree.name(child) == "switch" {
                if let Some(chosen) = self.chosen(child) {
                    self.flow_on(chosen, line, pieces);
                }
                return;
            }
            if self.has_block[child] && !notes::is_note(tree, child) {
                // Its lines go on from this one; each block in it is one of its own.
                let wraps = self.wraps.len();
                let wrap = self.wrap(child);
                self.wraps.extend(wrap);
                self.flow_on(child, line, pieces);
                self.wraps.truncate(wraps);
                return;
            }
        }
        if self.wraps.is_empty() {
            self.inline(child, line);
        } else {
            let mut part = line.part();
            self.inline(child, &mut part);
            line.take(part, |inlines| enclose_all(&self.wraps, inlines));
        }
    }

    /// What an element around blocks means for their lines.
    fn wrap(&self, id: Id) -> Option<Wrap> {
        match self.tree.name(id) {
            "a" => {
                let to = self.tree.attribute(id, "href").and_then(|h| self.link(h));
                to.map(Wrap::Link)
            }
            name => wrap_of(name),
        }
    }

    /// The same, one level of quotes and lists further in.
    pub fn nested(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        self.nested += 1;
        self.flow(id, pieces);
        self.nested -= 1;
    }

    /// Ends a line: a paragraph, or the pictures that it is made of.
    fn flush(&mut self, line: &mut Line, pieces: &mut Vec<Piece>) {
        let line = std::mem::take(line);
        if !line.inlines.is_empty() {
            let mut part = Vec::new();
            let mut breaks = 0;
            // Two breaks make a new paragraph.
            for inline in line.inlines {
                match inline {
                    Inline::Break => breaks += 1,
                    Inline::Text(text) if breaks > 0 && text.trim().is_empty() => {}
                    Inline::PageBreak(_) => part.push(inline),
                    inline => {
                        match std::mem::take(&mut breaks) {
                            0 => {}
                            1 => part.push(Inline::Break),
                            _ => paragraph(std::mem::take(&mut part), pieces),
                        }
                        part.push(inline);
                    }
                }
            }
            paragraph(part, pieces);
        }
        pieces.append(&mut self.late);
    }

    fn block(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        if notes::is_note(tree, id) {
            let note = self.note(id);
            pieces.push(note);
            return;
        }
        let name = tree.name(id);
        let too_deep = self.nested >= NESTED;
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.heading(id, name.as_bytes()[1] - b'0', pieces);
            }
            "hr" => pieces.push(Piece::Rule),
            "pre" | "listing" | "xmp" | "plaintext" => self.code_block(id, pieces),
            "math" => pieces.push(Piece::Formula(mathml::formula(tree, id))),
            "figure" => self.figure(id, pieces),
            _ if too_deep => self.flow(id, pieces),
            "ul" | "ol" | "menu" | "dir" => self.list(id, pieces),
            "dl" => self.definitions(id, pieces),
            "blockquote" => {
                let mut inner = Vec::new();
                self.nested(id, &mut inner);
                if !inner.is_empty() {
                    pieces.push(Piece::Quote(inner));
                }
            }
            "table" => self.table(id, pieces),
            _ => {
                let level = tree
                    .attribute(id, "aria-level")
                    .and_then(|l| l.parse::<u8>().ok());
                if tree.says(id, "role", &["heading"]) && !self.has_block[id] {
                    self.heading(id, level.unwrap_or(2).clamp(1, 6), pieces);
                    return;
                }
                let wrap = self.wrap(id);
                let wraps = self.wraps.len();
                self.wraps.extend(wrap);
                self.flow(id, pieces);
                self.wraps.truncate(wraps);
            }
        }
    }

    fn heading(&mut self, id: Id, level: u8, pieces: &mut Vec<Piece>) {
        let mut inner = Vec::new();
        self.flow(id, &mut inner);
        let mut text: Vec<Inline> = Vec::new();
        let mut after = Vec::new();
        for piece in inner {
            match piece {
                Piece::Paragraph(more) | Piece::Heading { text: more, .. } if after.is_empty() => {
                    if !text.is_empty() {
                        text.push(Inline::Break);
                    }
                    text.extend(more);
                }
                Piece::Picture(picture) if after.is_empty() && picture.caption.is_empty() => {
                    if !text.is_empty() {
                        text.push(Inline::Text(" ".into()));
                    }
                    text.push(Inline::Picture(picture));
                }
                Piece::Formula(math) if after.is_empty() => text.push(Inline::Formula(math)),
                Piece::PageBreak(label) if text.is_empty() => pieces.push(Piece::PageBreak(label)),
                piece => after.push(piece),
            }
        }
        let text = finish(text);
        if text
            .iter()
            .all(|i| matches!(i, Inline::Picture(_) | Inline::Break))
        {
            // A picture in place of a title is a picture.
            for inline in text {
                if let Inline::Picture(picture) = inline {
                    pieces.push(Piece::Picture(picture));
                }
            }
        } else {
            pieces.push(Piece::Heading { level, text });
        }
        pieces.append(&mut after);
    }

    fn list(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        let mut items: Vec<Vec<Piece>> = Vec::new();
        let mut all_notes = true;
        let mut first_value = None;
        self.nested += 1;
        for child in tree.children(id) {
            let is_element = tree.element(child).is_some();
            if is_element && !notes::is_page_break(tree, child) && self.left_out(child) {
                continue;
            }
            if notes::is_note(tree, child) {
                let note = self.note(child);
                items.push(vec![note]);
            } else if tree.name(child) == "li" && !notes::is_page_break(tree, child) {
                let value = tree
                    .attribute(child, "value")
                    .and_then(|v| v.trim().parse::<i64>().ok());
                if items.is_empty() {
                    first_value = value;
                }
                let mut item = Vec::new();
                self.flow(child, &mut item);
                all_notes &=
                    !item.is_empty() && item.iter().all(|p| matches!(p, Piece::Note { .. }));
                items.push(item);
            } else if notes::is_page_break(tree, child) {
                let label = Piece::PageBreak(notes::page_label(tree, child));
                match items.last_mut() {
                    Some(item) => item.push(label),
                    None => pieces.push(label),
                }
            } else {
                // Not allowed, but found: a list right in a list, text.
                let (mut stray, mut line) = (Vec::new(), Line::default());
                self.step(child, &mut line, &mut stray);
                self.flush(&mut line, &mut stray);
                if !stray.is_empty() {
                    match items.last_mut() {
                        Some(item) => item.append(&mut stray),
                        None => {
                            all_notes = false;
                            items.push(stray);
                        }
                    }
                }
            }
        }
        self.nested -= 1;
        if items.iter().all(Vec::is_empty) {
            return;
        }
        if all_notes {
            pieces.extend(items.into_iter().flatten());
            return;
        }
        let start = (tree.name(id) == "ol").then(|| {
            let said = tree
                .attribute(id, "start")
                .and_then(|s| s.trim().parse().ok());
            first_value.or(said).unwrap_or(1)
        });
        pieces.push(Piece::List { start, items });
    }

    fn definitions(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let mut found = Vec::new();
        self.nested += 1;
        self.definitions_in(id, &mut found, pieces);
        self.nested -= 1;
        if !found.is_empty() {
            pieces.push(Piece::Definitions(found));
        }
    }

    fn definitions_in(&mut self, id: Id, found: &mut Vec<Definition>, before: &mut Vec<Piece>) {
        let tree = self.tree;
        for child in tree.children(id) {
            let is_element = tree.element(child).is_some();
            if is_element && !notes::is_page_break(tree, child) && self.left_out(child) {
                continue;
            }
            let name = tree.name(child);
            if name == "div" && !notes::is_note(tree, child) {
                // Groups of terms and meanings; the tree bounds how deep they nest.
                self.definitions_in(child, found, before);
                continue;
            }
            let mut inner = Vec::new();
            if notes::is_note(tree, child) {
                inner.push(self.note(child));
            } else if matches!(name, "dt" | "dd") {
                self.flow(child, &mut inner);
            } else {
                let mut line = Line::default();
                self.step(child, &mut line, &mut inner);
                self.flush(&mut line, &mut inner);
            }
            if inner.is_empty() {
                continue;
            }
            if name == "dt" {
                let (mut text, mut rest) = (Vec::new(), Vec::new());
                for piece in inner {
                    match piece {
                        Piece::Paragraph(more) | Piece::Heading { text: more, .. }
                            if rest.is_empty() =>
                        {
                            if !text.is_empty() {
                                text.push(Inline::Break);
                            }
                            text.extend(more);
                        }
                        piece => rest.push(piece),
                    }
                }
                if !text.is_empty() {
                    found.push(Definition::Term(text));
                }
                if !rest.is_empty() {
                    found.push(Definition::Meaning(rest));
                }
            } else if found.is_empty() && name != "dd" {
                before.append(&mut inner);
            } else if let (false, Some(Definition::Meaning(meaning))) =
                (name == "dd", found.last_mut())
            {
                meaning.append(&mut inner);
            } else {
                found.push(Definition::Meaning(inner));
            }
        }
    }

    fn figure(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        let mut inner = Vec::new();
        let mut captions = tree.children(id).filter(|&c| tree.name(c) == "figcaption");
        let caption = captions
            .next()
            .filter(|&c| captions.next().is_none() && !self.left_out(c));
        let Some(caption) = caption.filter(|&c| self.only_lines(c)) else {
            self.flow(id, pieces);
            return;
        };
        let text = self.line(caption);
        let text = enclose_all(&self.wraps, text);
        let mut late = std::mem::take(&mut self.late);
        // The rest, with the caption's place known.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut line = Line::default();
        let mut seen = false;
        for child in tree.children(id) {
            if child == caption {
                self.flush(&mut line, &mut before);
                seen = true;
                continue;
            }
            self.step(
                child,
                &mut line,
                if seen { &mut after } else { &mut before },
            );
        }
        self.flush(&mut line, if seen { &mut after } else { &mut before });
        let pictures = |all: &[Piece]| {
            all.iter()
                .filter(|p| matches!(p, Piece::Picture(_)))
                .count()
        };
        let shown = |all: &[Piece]| {
            all.iter()
                .filter(|p| !matches!(p, Piece::PageBreak(_) | Piece::Note { .. }))
                .count()
        };
        let one_picture =
            pictures(&before) + pictures(&after) == 1 && shown(&before) + shown(&after) == 1;
        let mut text = Some(text).filter(|t| !t.is_empty());
        if one_picture {
            for piece in before.iter_mut().chain(&mut after) {
                if let (Piece::Picture(picture), true) = (&mut *piece, text.is_some())
                    && picture.caption.is_empty()
                {
                    picture.caption = text.take().unwrap_or_default();
                }
            }
        }
        if let (Some(Piece::Table(table)), true) = (after.first_mut(), shown(&before) == 0)
            && table.caption.is_empty()
        {
            table.caption = text.take().unwrap_or_default();
        }
        inner.append(&mut before);
        if let Some(text) = text {
            inner.push(Piece::Paragraph(text));
        }
        inner.append(&mut late);
        inner.append(&mut after);
        pieces.append(&mut inner);
    }

    /// Nothing in it but lines and paragraphs.
    pub fn only_lines(&self, id: Id) -> bool {
        let tree = self.tree;
        tree.walk(id).skip(1).all(|n| {
            !matches!(
                tree.name(n),
                "table" | "ul" | "ol" | "dl" | "pre" | "figure" | "blockquote" | "hr"
            ) && !displayed(tree, n)
        })
    }

    fn code_block(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let tree = self.tree;
        let class = |n: Id| {
            let classes = tree
                .attribute(n, "class")
                .unwrap_or_default()
                .split_ascii_whitespace();
            let said =
                classes.filter_map(|c| c.strip_prefix("language-").or(c.strip_prefix("lang-")));
            said.map(str::to_owned).next()
        };
        let inner = tree.children(id).find(|&c| tree.name(c) == "code");
        let language = class(id).or(inner.and_then(class));
        let language = language.filter(|l| {
            l.chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-_#.".contains(c))
        });
        let rich = tree.walk(id).any(|n| {
            matches!(tree.name(n), "img" | "svg" | "math" | "table" | "ruby")
                || notes::is_mark(tree, n)
                || notes::is_note(tree, n)
        });
        if rich {
            // Lines with more than text: kept as lines.
            self.preformatted(id, pieces);
            return;
        }
        let mut text = String::new();
        let mut marks = Vec::new();
        let mut walk = tree.walk(id);
        while let Some(n) = walk.next() {
            if n == id {
                continue;
            }
            if tree.element(n).is_some() {
                if notes::is_page_break(tree, n) {
                    marks.push(Piece::PageBreak(notes::page_label(tree, n)));
                    walk.pass(n);
                } else if self.left_out(n) {
                    walk.pass(n);
                } else if tree.name(n) == "br"
                    || (self.is_block(n) && !text.is_empty() && !text.ends_with('\n'))
                {
                    text.push('\n');
                }
            } else if let Data::Text(more) = tree.data(n) {
                text.push_str(
                    &more
                        .replace("\r\n", "\n")
                        .replace('\r', "\n")
                        .replace('\0', ""),
                );
            }
        }
        let text = text.strip_prefix('\n').unwrap_or(&text);
        let text = text.trim_end_matches(['\n', ' ', '\t']);
        pieces.append(&mut marks);
        if !text.trim().is_empty() {
            pieces.push(Piece::Code {
                language,
                text: text.to_owned(),
            });
        }
    }

    /// Preformatted text with pictures, formulas or notes in it: a paragraph whose lines break
    /// where the book's do.
    fn preformatted(&mut self, id: Id, pieces: &mut Vec<Piece>) {
        let mut line = Line {
            kept: true,
            ..Line::default()
        };
        self.inline_children(id, &mut line);
        self.flush(&mut line, pieces);
    }
}

/// A paragraph; page breaks at its start stand before it, pictures alone are pictures.
fn paragraph(inlines: Vec<Inline>, pieces: &mut Vec<Piece>) {
    let mut inlines = finish(inlines);
    // Page breaks at the start, with the spaces between them.
    let space = |i: &Inline| matches!(i, Inline::Text(t) if t.chars().all(char::is_whitespace));
    let first = inlines
        .iter()
        .position(|i| !matches!(i, Inline::PageBreak(_) | Inline::Break) && !space(i));
    for inline in inlines.drain(..first.unwrap_or(inlines.len())) {
        if let Inline::PageBreak(label) = inline {
            pieces.push(Piece::PageBreak(label));
        }
    }
    if let Some(Inline::Text(text)) = inlines.first_mut() {
        let spaces = text.len() - text.trim_start_matches(' ').len();
        text.drain(..spaces);
    }
    if inlines.is_empty() {
        return;
    }
    let blank = |inline: &Inline| match inline {
        Inline::Text(text) => text.chars().all(char::is_whitespace),
        Inline::Break | Inline::PageBreak(_) => true,
        _ => false,
    };
    if inlines
        .iter()
        .all(|i| blank(i) || matches!(i, Inline::Picture(_)))
    {
        for inline in inlines {
            match inline {
                Inline::Picture(picture) => pieces.push(Piece::Picture(picture)),
                Inline::PageBreak(label) => pieces.push(Piece::PageBreak(label)),
                _ => {}
            }
        }
        return;
    }
    let formula = |i: &Inline| matches!(i, Inline::Formula(_));
    if inlines.iter().filter(|i| !blank(i)).count() == 1
        && inlines.iter().any(formula)
        && let Some(at) = inlines.iter().position(formula)
    {
        // Alone in its paragraph, it stands on a line of its own.
        if let Inline::Formula(math) = inlines.swap_remove(at) {
            pieces.push(Piece::Formula(math));
        }
        for inline in inlines {
            if let Inline::PageBreak(label) = inline {
                pieces.push(Piece::PageBreak(label));
            }
        }
        return;
    }
    pieces.push(Piece::Paragraph(inlines));
}
