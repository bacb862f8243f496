//! What stands in a line: text with its white space folded as CSS does, emphasis, links, marks.
//!
//! A space belongs to the place where it was first met; spaces at the ends of an emphasis are
//! moved out of it, so that no writer has to.

use super::tree::{Data, Id};
use super::{Reader, Wrap, mathml, notes};
use crate::document::flow::{Inline, Picture};

/// A line being made: its inlines, and whether a space would be one too many.
#[derive(Default)]
pub struct Line {
    pub inlines: Vec<Inline>,
    pub after_text: bool,
    /// Preformatted: a newline is a break.
    pub kept: bool,
}

impl Line {
    /// Adds text with its white space folded (CSS Text 3, section 4.1.1: space, tab, newlines).
    fn text(&mut self, text: &str) {
        if self.kept {
            for (index, line) in text.replace("\r\n", "\n").split(['\n', '\r']).enumerate() {
                if index > 0 {
                    self.inlines.push(Inline::Break);
                }
                push_text(&mut self.inlines, line.replace('\0', ""));
            }
            return;
        }
        let mut folded = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                    if self.after_text {
                        folded.push(' ');
                    }
                    self.after_text = false;
                }
                '\0' => {}
                c => {
                    folded.push(c);
                    self.after_text = true;
                }
            }
        }
        push_text(&mut self.inlines, folded);
    }

    fn push(&mut self, inline: Inline) {
        self.after_text = true;
        self.inlines.push(inline);
    }

    /// A part with inlines of its own, which goes on with this line's white space.
    pub fn part(&mut self) -> Line {
        Line {
            inlines: Vec::new(),
            after_text: self.after_text,
            kept: self.kept,
        }
    }

    /// Takes a part back, changed.
    pub fn take(&mut self, part: Line, change: impl FnOnce(Vec<Inline>) -> Vec<Inline>) {
        self.after_text = part.after_text;
        change(part.inlines)
            .into_iter()
            .for_each(|inline| append(&mut self.inlines, inline));
    }

    /// Takes a part back, wrapped; spaces at its ends stay outside.
    fn join(&mut self, part: Line, wrap: impl FnOnce(Vec<Inline>) -> Inline) {
        self.after_text = part.after_text;
        wrapped(part.inlines, wrap, &mut self.inlines);
    }
}

fn push_text(inlines: &mut Vec<Inline>, text: String) {
    if text.is_empty() {
        return;
    }
    if let Some(Inline::Text(before)) = inlines.last_mut() {
        before.push_str(&text);
    } else {
        inlines.push(Inline::Text(text));
    }
}

/// Puts `inner` into `out` within an element; spaces and breaks at its ends, and all of it if
/// nothing else is there, stay outside.
fn wrapped(
    mut inner: Vec<Inline>,
    wrap: impl FnOnce(Vec<Inline>) -> Inline,
    out: &mut Vec<Inline>,
) {
    let outside = |inline: &Inline| {
        matches!(inline, Inline::Break | Inline::PageBreak(_))
            || matches!(inline, Inline::Text(text) if text.chars().all(|c| c == ' '))
    };
    let leading = inner.iter().take_while(|i| outside(i)).count();
    for inline in inner.drain(..leading) {
        append(out, inline);
    }
    if let Some(Inline::Text(text)) = inner.first_mut()
        && text.starts_with(' ')
    {
        push_text(out, " ".into());
        text.remove(0);
    }
    let trailing = inner.iter().rev().take_while(|i| outside(i)).count();
    let mut after = inner.split_off(inner.len() - trailing);
    if let Some(Inline::Text(text)) = inner.last_mut()
        && text.ends_with(' ')
    {
        text.pop();
        after.insert(0, Inline::Text(" ".into()));
    }
    if !inner.is_empty() {
        append(out, wrap(finish(inner)));
    }
    for inline in after {
        append(out, inline);
    }
}

fn append(out: &mut Vec<Inline>, inline: Inline) {
    match inline {
        Inline::Text(text) => push_text(out, text),
        inline => out.push(inline),
    }
}

/// The scheme of an address: `https` of `https://..`.
pub fn scheme(address: &str) -> Option<&str> {
    let (scheme, _) = address.trim_start().split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then_some(scheme)
}

impl Reader<'_> {
    /// All in an element as one line.
    pub fn line(&mut self, id: Id) -> Vec<Inline> {
        let mut line = Line::default();
        self.inline_children(id, &mut line);
        finish(line.inlines)
    }

    pub fn inline_children(&mut self, id: Id, line: &mut Line) {
        for child in self.tree.children(id) {
            self.inline(child, line);
        }
    }

    /// One node of a line.
    pub fn inline(&mut self, id: Id, line: &mut Line) {
        match self.tree.data(id) {
            Data::Text(text) => {
                line.text(text);
                return;
            }
            Data::Root => return,
            Data::Element(_) => {}
        }
        if notes::is_page_break(self.tree, id) {
            let label = notes::page_label(self.tree, id);
            line.inlines.push(Inline::PageBreak(label));
            return;
        }
        if self.left_out(id) || self.is_back_link(id) {
            return;
        }
        if notes::is_note(self.tree, id) {
            let note = self.note(id);
            self.late.push(note);
            return;
        }
        match self.tree.name(id) {
            "br" => {
                line.inlines.push(Inline::Break);
                line.after_text = false;
            }
            "img" => {
                let picture = self.picture(id, &["src"]);
                line.push(Inline::Picture(picture));
            }
            "svg" => self.svg(id, line),
            "object" | "embed" => self.object(id, line),
            "math" => line.push(Inline::Formula(mathml::formula(self.tree, id))),
            "ruby" => self.ruby(id, line),
            "code" | "kbd" | "samp" | "tt" => self.code(id, line),
            "a" => self.anchor(id, line),
            "q" => {
                let (open, close) = if self.quotes.is_multiple_of(2) {
                    ("“", "”")
                } else {
                    ("‘", "’")
                };
                self.quotes += 1;
                line.text(open);
                self.inline_children(id, line);
                line.text(close);
                self.quotes -= 1;
            }
            "switch" => self.switch(id, line),
            "input" => {}
            name => {
                let wrap = wrap_of(name);
                // A block among inlines (in a heading, a caption): its own line.
                let block = self.is_block(id);
                if block {
                    own_line(line);
                }
                match wrap {
                    Some(wrap) => {
                        let mut part = line.part();
                        self.inline_children(id, &mut part);
                        line.join(part, |inner| enclose(&wrap, inner));
                    }
                    None => self.inline_children(id, line),
                }
                if block {
                    own_line(line);
                }
            }
        }
    }

    fn anchor(&mut self, id: Id, line: &mut Line) {
        let mut part = line.part();
        self.inline_children(id, &mut part);
        let href = self
            .tree
            .attribute(id, "href")
            .or(self.tree.attribute(id, "xlink:href"));
        let target = href.and_then(|h| self.link(h));
        match target {
            Some(to) if notes::is_mark(self.tree, id) => {
                let inner = self.mark(id, to, part.inlines);
                line.after_text = true;
                for inline in inner {
                    append(&mut line.inlines, inline);
                }
            }
            Some(to) => line.join(part, |text| enclose(&Wrap::Link(to), text)),
            None => {
                line.after_text = part.after_text;
                for inline in part.inlines {
                    append(&mut line.inlines, inline);
                }
            }
        }
    }

    /// Where a link leads; none for what is not followed (scripts, files).
    pub fn link(&self, href: &str) -> Option<String> {
        let href = href.trim();
        if let Some(scheme) = scheme(href) {
            let known = ["http", "https", "mailto", "tel", "ftp"];
            return known
                .iter()
                .any(|k| scheme.eq_ignore_ascii_case(k))
                .then(|| href.to_owned());
        }
        if href.starts_with("//") {
            return Some(format!("https:{href}"));
        }
        match href.strip_prefix('#') {
            Some("") => None,
            Some(fragment) => Some(format!("{}#{fragment}", self.path)),
            None => (self.resolve)(href),
        }
    }

    pub fn picture(&mut self, id: Id, sources: &[&str]) -> Picture {
        let tree = self.tree;
        let source = sources.iter().find_map(|name| tree.attribute(id, name));
        let alt = tree
            .attribute(id, "alt")
            .or(tree.attribute(id, "aria-label"));
        let alt = alt
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let source = source.unwrap_or_default().trim();
        let path = match scheme(source) {
            Some(_) => None,
            None if source.is_empty() => None,
            None => (self.resolve)(source).map(|p| match p.split_once('#') {
                Some((path, _)) => path.to_owned(),
                None => p,
            }),
        };
        if path.is_none() {
            let shown: String = source.chars().take(100).collect();
            self.fault(format!("the picture {shown:?} is not in the book"));
        }
        Picture {
            path,
            alt,
            caption: Vec::new(),
        }
    }

    fn object(&mut self, id: Id, line: &mut Line) {
        let tree = self.tree;
        let image = tree
            .attribute(id, "type")
            .unwrap_or_default()
            .starts_with("image/");
        let source = if tree.name(id) == "object" {
            "data"
        } else {
            "src"
        };
        let found = tree
            .attribute(id, source)
            .filter(|s| image && scheme(s).is_none());
        if found.and_then(|s| (self.resolve)(s)).is_some() {
            let mut picture = self.picture(id, &[source]);
            if picture.alt.is_empty() {
                picture.alt = tree
                    .text(id)
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ");
            }
            line.push(Inline::Picture(picture));
        } else {
            self.inline_children(id, line);
        }
    }

    /// An SVG around one image is that picture; of another, its words are kept.
    fn svg(&mut self, id: Id, line: &mut Line) {
        let tree = self.tree;
        let all: Vec<Id> = tree
            .walk(id)
            .filter(|&n| tree.element(n).is_some())
            .collect();
        let named = |name: &str| {
            all.iter()
                .copied()
                .filter(move |&n| tree.name(n) == name)
                .collect::<Vec<_>>()
        };
        let words = |ids: &[Id]| {
            let text = ids.first().map(|&n| tree.text(n)).unwrap_or_default();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let title = words(&named("title"));
        let title = if title.is_empty() {
            words(&named("desc"))
        } else {
            title
        };
        let (images, texts, foreign) = (named("image"), named("text"), named("foreignobject"));
        for &image in &images {
            let mut picture = self.picture(image, &["xlink:href", "href"]);
            if picture.alt.is_empty() {
                picture.alt.clone_from(&title);
            }
            if picture.alt.is_empty() {
                let label = tree.attribute(id, "aria-label").unwrap_or_default();
                picture.alt = label.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            line.push(Inline::Picture(picture));
        }
        if images.is_empty() {
            self.fault("a drawing (SVG) is in the text; only its words were kept".to_owned());
            if texts.is_empty() && foreign.is_empty() {
                let label = tree.attribute(id, "aria-label").unwrap_or_default();
                let alt = if title.is_empty() {
                    label.to_owned()
                } else {
                    title
                };
                line.push(Inline::Picture(Picture {
                    path: None,
                    alt,
                    caption: Vec::new(),
                }));
            }
        }
        let mut walk = tree.walk(id);
        while let Some(n) = walk.next() {
            match tree.name(n) {
                "defs" | "symbol" => walk.pass(n),
                _ if n != id && tree.element(n).is_some() && self.left_out(n) => walk.pass(n),
                "text" | "foreignobject" => {
                    line.text(" ");
                    self.inline_children(n, line);
                    line.text(" ");
                    walk.pass(n);
                }
                _ => {}
            }
        }
    }

    /// `epub:switch`: MathML or XHTML where there is a case of it, else the default.
    fn switch(&mut self, id: Id, line: &mut Line) {
        if let Some(chosen) = self.chosen(id) {
            self.inline_children(chosen, line);
        }
    }

    pub fn chosen(&self, id: Id) -> Option<Id> {
        let tree = self.tree;
        let mut children = tree.children(id);
        children.find(|&c| match tree.name(c) {
            "case" => {
                let wanted = tree.attribute(c, "required-namespace").unwrap_or_default();
                matches!(
                    wanted.trim(),
                    "http://www.w3.org/1998/Math/MathML" | "http://www.w3.org/1999/xhtml"
                )
            }
            "default" => true,
            _ => false,
        })
    }

    fn ruby(&mut self, id: Id, line: &mut Line) {
        // Bases and readings take turns: `漢<rt>かん</rt>字<rt>じ</rt>`, or `<rb>..</rb><rb>..</rb>`
        // with as many `rt` after them.
        let tree = self.tree;
        let mut bases: Vec<Vec<Inline>> = Vec::new();
        let mut readings: Vec<String> = Vec::new();
        let mut line_part = line.part();
        let mut order = Vec::new();
        for child in tree.children(id) {
            match tree.name(child) {
                "rbc" | "rtc" => order.extend(tree.children(child)),
                _ => order.push(child),
            }
        }
        for child in order {
            let name = tree.name(child);
            if self.tree.element(child).is_some() && self.left_out(child) {
                continue;
            }
            if name == "rt" {
                let reading = tree
                    .text(child)
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ");
                readings.push(reading);
                continue;
            }
            if name == "rb" || !readings.is_empty() {
                rubies(
                    &mut bases,
                    &mut readings,
                    &mut line_part,
                    line,
                    name == "rb",
                );
            }
            if name == "rb" {
                self.inline_children(child, &mut line_part);
                bases.push(std::mem::take(&mut line_part.inlines));
            } else {
                self.inline(child, &mut line_part);
            }
        }
        rubies(&mut bases, &mut readings, &mut line_part, line, false);
    }

    fn code(&mut self, id: Id, line: &mut Line) {
        let mut part = line.part();
        self.inline_children(id, &mut part);
        if let Some(text) = plain(&part.inlines) {
            line.join(part, |_| Inline::Code(text.trim_matches(' ').to_owned()));
        } else {
            line.after_text = part.after_text;
            for inline in part.inlines {
                append(&mut line.inlines, inline);
            }
        }
    }
}

/// Puts gathered bases and readings into the line; with `keep`, bases without readings wait.
fn rubies(
    bases: &mut Vec<Vec<Inline>>,
    readings: &mut Vec<String>,
    part: &mut Line,
    line: &mut Line,
    keep: bool,
) {
    if readings.is_empty() && keep {
        return;
    }
    if !part.inlines.is_empty() {
        bases.push(std::mem::take(&mut part.inlines));
    }
    line.after_text = part.after_text;
    if bases.is_empty() {
        // A reading of nothing is text of its own.
        for reading in readings.drain(..) {
            line.text(&reading);
        }
        return;
    }
    let count = bases.len();
    if readings.len() > count {
        let rest = readings.split_off(count);
        if let Some(last) = readings.last_mut() {
            last.push_str(&rest.concat());
        }
    }
    let mut readings = readings.drain(..);
    for base in bases.drain(..) {
        match readings.next().filter(|r| !r.is_empty()) {
            Some(reading) => {
                wrapped(
                    base,
                    |base| Inline::Ruby { base, reading },
                    &mut line.inlines,
                );
            }
            None => base
                .into_iter()
                .for_each(|inline| append(&mut line.inlines, inline)),
        }
    }
}

/// The text of inlines that are text and looks only.
fn plain(inlines: &[Inline]) -> Option<String> {
    let mut all = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => all.push_str(text),
            Inline::Emphasis(inner) | Inline::Strong(inner) => all.push_str(&plain(inner)?),
            _ => return None,
        }
    }
    (!all.trim().is_empty()).then_some(all)
}

fn own_line(line: &mut Line) {
    if !line.inlines.is_empty() && !matches!(line.inlines.last(), Some(Inline::Break)) {
        line.inlines.push(Inline::Break);
        line.after_text = false;
    }
}

pub fn wrap_of(name: &str) -> Option<Wrap> {
    Some(match name {
        "em" | "i" | "cite" | "dfn" | "var" => Wrap::Emphasis,
        "strong" | "b" => Wrap::Strong,
        "s" | "del" | "strike" => Wrap::Strike,
        "sub" => Wrap::Sub,
        "sup" => Wrap::Sup,
        _ => return None,
    })
}

pub fn enclose(wrap: &Wrap, mut inner: Vec<Inline>) -> Inline {
    let alone = inner.len() == 1;
    match wrap {
        // Its look is the mark's own.
        Wrap::Sup | Wrap::Link(_) if alone && matches!(inner[0], Inline::NoteMark { .. }) => {
            inner.remove(0)
        }
        // A picture has no slant, and one alone is a block.
        _ if alone && matches!(inner[0], Inline::Picture(_)) => inner.remove(0),
        Wrap::Emphasis if alone && matches!(inner[0], Inline::Emphasis(_)) => inner.remove(0),
        Wrap::Strong if alone && matches!(inner[0], Inline::Strong(_)) => inner.remove(0),
        Wrap::Emphasis => Inline::Emphasis(inner),
        Wrap::Strong => Inline::Strong(inner),
        Wrap::Strike => Inline::Strike(inner),
        Wrap::Sub => Inline::Sub(inner),
        Wrap::Sup => Inline::Sup(inner),
        Wrap::Link(to) => Inline::Link {
            to: to.clone(),
            text: inner,
        },
    }
}

/// Puts a line within the elements around its block, from the innermost outwards.
pub fn enclose_all(wraps: &[Wrap], inlines: Vec<Inline>) -> Vec<Inline> {
    let mut inlines = inlines;
    for wrap in wraps.iter().rev() {
        let mut out = Vec::new();
        wrapped(inlines, |inner| enclose(wrap, inner), &mut out);
        inlines = out;
    }
    inlines
}

/// A whole line: no space at its end or before a break, no break at its ends or beside another,
/// like beside like joined; page breaks stand before a break, not after it.
pub fn finish(inlines: Vec<Inline>) -> Vec<Inline> {
    let mut out: Vec<Inline> = Vec::with_capacity(inlines.len());
    for inline in inlines {
        match (inline, out.last_mut()) {
            (Inline::Emphasis(more), Some(Inline::Emphasis(before)))
            | (Inline::Strong(more), Some(Inline::Strong(before)))
            | (Inline::Strike(more), Some(Inline::Strike(before))) => {
                more.into_iter().for_each(|i| append(before, i));
            }
            (
                Inline::Link { to, text },
                Some(Inline::Link {
                    to: same,
                    text: before,
                }),
            ) if to == *same => {
                text.into_iter().for_each(|i| append(before, i));
            }
            (Inline::Text(text), Some(Inline::Text(before)))
            | (Inline::Code(text), Some(Inline::Code(before))) => before.push_str(&text),
            (Inline::Break, _) => {
                trim_end(&mut out);
                if !matches!(out.last(), Some(Inline::Break)) {
                    out.push(Inline::Break);
                }
            }
            (page @ Inline::PageBreak(_), Some(Inline::Break)) => {
                out.insert(out.len() - 1, page);
            }
            (inline, _) => out.push(inline),
        }
    }
    loop {
        trim_end(&mut out);
        match out.last() {
            Some(Inline::Break) => out.pop(),
            _ => break,
        };
    }
    let breaks = out
        .iter()
        .take_while(|i| matches!(i, Inline::Break))
        .count();
    out.drain(..breaks);
    out
}

fn trim_end(inlines: &mut Vec<Inline>) {
    if let Some(Inline::Text(text)) = inlines.last_mut() {
        text.truncate(text.trim_end_matches(' ').len());
        if text.is_empty() {
            inlines.pop();
        }
    }
}
