//! Lines in Markdown.
//!
//! Emphasis is written with `*` or `_` only where CommonMark's rules of flanking make it read back
//! so (its section 6.2), else as HTML. A line is made in two steps: first its parts in order, then
//! the delimiters, once their neighbours are known.

use crate::document::flow::{Inline, Picture};

pub use super::escape::Place;
use super::{Writer, escape, latex};

/// A part of a line.
enum Part {
    /// Ready Markdown; its first and last characters count as what they are.
    Text(String),
    /// Ready and markup: a link's bracket, a tag.
    Markup(String),
    /// A new line begins.
    Break,
    Open(Kind, usize),
    Close(Kind, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Emphasis,
    Strong,
    Strike,
}

/// A page break: a comment, which no reader shows.
pub fn comment(label: &str) -> String {
    // `--` may not stand in a comment, nor `>` at its start.
    let label: String = label
        .chars()
        .filter(|c| !matches!(c, '-' | '<' | '>' | '|' | '\n'))
        .collect();
    match label.trim() {
        "" => "<!-- page -->".to_owned(),
        label => format!("<!-- page {label} -->"),
    }
}

#[derive(Default)]
struct Parts {
    all: Vec<Part>,
    pairs: usize,
}

/// Elements that are open around a part: emphasis within emphasis is no more emphasis, and links
/// do not nest.
#[derive(Clone, Copy, Default)]
struct Within {
    emphasis: bool,
    strong: bool,
    strike: bool,
    link: bool,
}

impl Writer<'_> {
    /// A line of Markdown, or several where the book breaks them.
    pub fn line(&mut self, inlines: &[Inline], place: Place) -> String {
        let mut parts = Parts::default();
        self.parts(inlines, place, Within::default(), &mut parts);
        assemble(&parts, place)
    }

    fn parts(&mut self, inlines: &[Inline], place: Place, within: Within, parts: &mut Parts) {
        for inline in inlines {
            match inline {
                Inline::Text(text) => {
                    let before = match parts.all.last() {
                        Some(Part::Text(before)) => before.chars().last(),
                        _ => None,
                    };
                    let mut escaped = String::new();
                    escape::text(text, place, before, &mut escaped);
                    parts.push_text(escaped);
                }
                Inline::Emphasis(inner) => {
                    let now = Within {
                        emphasis: true,
                        ..within
                    };
                    self.pair(Kind::Emphasis, within.emphasis, inner, place, now, parts);
                }
                Inline::Strong(inner) => {
                    let now = Within {
                        strong: true,
                        ..within
                    };
                    self.pair(Kind::Strong, within.strong, inner, place, now, parts);
                }
                Inline::Strike(inner) => {
                    let now = Within {
                        strike: true,
                        ..within
                    };
                    self.pair(Kind::Strike, within.strike, inner, place, now, parts);
                }
                Inline::Sub(inner) => self.tagged("sub", inner, place, within, parts),
                Inline::Sup(inner) => self.tagged("sup", inner, place, within, parts),
                Inline::Code(text) => parts.push_markup(code_span(text, place)),
                Inline::Link { to, text } => self.link(to, text, place, within, parts),
                Inline::Ruby { base, reading } => {
                    parts.push_markup("<ruby>".to_owned());
                    self.parts(base, place, within, parts);
                    let mut escaped = String::new();
                    escape::text(reading, place, None, &mut escaped);
                    parts.push_markup(format!("<rt>{escaped}</rt></ruby>"));
                }
                Inline::Formula(math) => {
                    let latex = latex::latex(math);
                    if !latex.is_empty() {
                        parts.push_markup(format!("${latex}$"));
                    }
                }
                Inline::Picture(picture) => {
                    let markup = self.picture(picture);
                    parts.push_markup(markup);
                }
                Inline::NoteMark { id, text } => match self.notes.number(id, text) {
                    Some(number) => parts.push_markup(format!("[^{number}]")),
                    None if text.is_empty() => {}
                    None => self.parts(
                        &[Inline::Sup(vec![Inline::Text(text.clone())])],
                        place,
                        within,
                        parts,
                    ),
                },
                Inline::PageBreak(label) => parts.push_markup(comment(label)),
                Inline::Break if place == Place::Paragraph => parts.all.push(Part::Break),
                Inline::Break => parts.push_markup("<br>".to_owned()),
            }
        }
    }

    fn pair(
        &mut self,
        kind: Kind,
        open: bool,
        inner: &[Inline],
        place: Place,
        within: Within,
        parts: &mut Parts,
    ) {
        if open {
            self.parts(inner, place, within, parts);
            return;
        }
        let start = parts.all.len();
        let pair = parts.pairs;
        parts.pairs += 1;
        parts.all.push(Part::Open(kind, pair));
        self.parts(inner, place, within, parts);
        if parts.all.len() == start + 1 {
            parts.all.pop();
        } else {
            parts.all.push(Part::Close(kind, pair));
        }
    }

    fn tagged(
        &mut self,
        tag: &str,
        inner: &[Inline],
        place: Place,
        within: Within,
        parts: &mut Parts,
    ) {
        parts.push_markup(format!("<{tag}>"));
        self.parts(inner, place, within, parts);
        parts.push_markup(format!("</{tag}>"));
    }

    fn link(&mut self, to: &str, text: &[Inline], place: Place, within: Within, parts: &mut Parts) {
        // A place in the book is no place in the Markdown: its words alone.
        let outside = to.contains("://") || ["mailto:", "tel:"].iter().any(|s| to.starts_with(s));
        if !outside || within.link || !may_link(text) {
            self.parts(text, place, within, parts);
            return;
        }
        parts.push_markup("[".to_owned());
        self.parts(
            text,
            place,
            Within {
                link: true,
                ..within
            },
            parts,
        );
        parts.push_markup(format!("]({})", destination(to)));
    }

    /// `![alt](images/name)`; what could not be had is its alt text.
    pub fn picture(&mut self, picture: &Picture) -> String {
        let mut alt = String::new();
        // One line, whatever the book says; what is escaped everywhere is enough everywhere.
        let words = picture.alt.split_whitespace().collect::<Vec<_>>().join(" ");
        escape::text(&words, Place::Heading, None, &mut alt);
        let address = picture.path.as_deref().and_then(|path| (self.name)(path));
        match address {
            Some(address) => format!("![{alt}]({})", destination(&address)),
            // Seen as a picture without a source: the words are no text of the book.
            None if alt.is_empty() => String::new(),
            None => format!("![{alt}](<>)"),
        }
    }
}

/// An address as a link's destination.
fn destination(to: &str) -> String {
    let address = escape::address(to);
    if address.is_empty() || address.contains(['(', ')', '&', '\\']) || address.starts_with('<') {
        format!("<{}>", address.replace('&', "&amp;"))
    } else {
        address
    }
}

/// Nothing in it that cannot stand in a link, and something to click on.
fn may_link(inlines: &[Inline]) -> bool {
    fn clean(inlines: &[Inline]) -> bool {
        inlines.iter().all(|inline| match inline {
            Inline::NoteMark { .. } => false,
            other => clean(other.inner()),
        })
    }
    !inlines.is_empty() && clean(inlines)
}

impl Parts {
    fn push_text(&mut self, text: String) {
        match self.all.last_mut() {
            Some(Part::Text(before)) => before.push_str(&text),
            _ => self.all.push(Part::Text(text)),
        }
    }

    fn push_markup(&mut self, markup: String) {
        if !markup.is_empty() {
            self.all.push(Part::Markup(markup));
        }
    }
}

fn code_span(text: &str, place: Place) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.contains("]:") {
        // At the start of a line within a link it would be a link's definition.
        let mut escaped = String::new();
        escape::text(&text, place, None, &mut escaped);
        return format!("<code>{escaped}</code>");
    }
    let runs: Vec<usize> = text.split(|c| c != '`').map(str::len).collect();
    let fence = "`".repeat((1..).find(|n| !runs.contains(n)).unwrap_or(1));
    // Markdown takes one space off both ends, unless it is all spaces.
    let blank = text.chars().all(|c| c == ' ');
    let edge = |c: Option<char>| matches!(c, Some('`' | ' '));
    let pad = !blank && (edge(text.chars().next()) || edge(text.chars().last()));
    let text = if place == Place::Cell {
        text.replace('|', "\\|")
    } else {
        text
    };
    if pad {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

/// What stands on one side of a delimiter, as CommonMark's flanking sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Space,
    Punctuation,
    Letter,
}

fn side(c: Option<char>) -> Side {
    match c {
        None => Side::Space,
        Some(c) if c.is_whitespace() => Side::Space,
        Some(c) if c.is_ascii_punctuation() => Side::Punctuation,
        // Punctuation and symbols beyond ASCII: what is no letter and no number counts as one;
        // marks that combine belong to letters.
        Some(c) if c.is_alphanumeric() => Side::Letter,
        Some(_) => Side::Punctuation,
    }
}

/// Whether a character's side is beyond doubt: programs differ on what is punctuation.
fn doubtful(c: Option<char>) -> bool {
    c.is_some_and(|c| !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace())
}

const EMPHASIS: [&str; 2] = ["*", "_"];
const STRONG: [&str; 2] = ["**", "__"];

fn assemble(parts: &Parts, place: Place) -> String {
    let chosen = choose(parts);
    let mut out = String::new();
    let mut line = String::new();
    let finish = |line: &mut String, out: &mut String| {
        if place == Place::Paragraph {
            out.push_str(&escape::line_start(line));
        } else {
            out.push_str(line);
        }
        line.clear();
    };
    let mut after_markup = false;
    for part in &parts.all {
        match part {
            Part::Text(text) => {
                // After a formula a letter or digit would make its `$` no end.
                if after_markup && line.ends_with('$') && text.starts_with(char::is_alphanumeric) {
                    line.push_str("<!-- -->");
                }
                // `[^1](..)` would be a link, `[^1]:` a definition; some read `[^1]\[]` as a
                // reference.
                if ends_with_mark(&line) && text.starts_with("\\[") {
                    line.push_str("<!-- -->");
                } else if ends_with_mark(&line) && text.starts_with(['(', ':', '{']) {
                    line.push('\\');
                }
                line.push_str(text);
            }
            Part::Markup(markup) => {
                if ends_with_mark(&line) && markup.starts_with('[') && !markup.starts_with("[^") {
                    line.push_str("<!-- -->");
                }
                // Two formulas or two codes side by side would be one.
                let meets = |c: &char| line.ends_with(*c) && markup.starts_with(*c);
                if after_markup && ['$', '`'].iter().any(meets) {
                    line.push_str("<!-- -->");
                }
                line.push_str(markup);
            }
            Part::Break => {
                if line.is_empty() && !out.is_empty() {
                    // Two breaks are one: an empty line would end the paragraph.
                    continue;
                }
                let trimmed = line.trim_end_matches([' ', '\t']).len();
                line.truncate(trimmed);
                line.push('\\');
                finish(&mut line, &mut out);
                out.push('\n');
            }
            Part::Open(kind, pair) => line.push_str(match chosen[*pair] {
                Some(delimiter) => delimiter,
                None => kind.tags().0,
            }),
            Part::Close(kind, pair) => line.push_str(match chosen[*pair] {
                Some(delimiter) => delimiter,
                None => kind.tags().1,
            }),
        }
        after_markup = matches!(part, Part::Markup(_));
    }
    finish(&mut line, &mut out);
    // Comments at the start would make their whole line HTML: they get a block of their own.
    let mut rest = out.as_str();
    while place == Place::Paragraph
        && rest.starts_with("<!--")
        && let Some((_, after)) = rest.split_once("-->")
    {
        rest = after.trim_start_matches(' ');
    }
    if !rest.is_empty() && rest.len() < out.len() {
        let comments = out[..out.len() - rest.len()].trim_end();
        out = format!("{comments}\n\n{}", escape::line_start(rest));
    }
    // A break at the very end would be a backslash.
    while out.ends_with("\\\n") {
        out.truncate(out.len() - 2);
    }
    out
}

/// Whether the line ends with the mark of a note.
fn ends_with_mark(line: &str) -> bool {
    line.strip_suffix(']').is_some_and(|line| {
        line.trim_end_matches(|c: char| c.is_ascii_digit())
            .ends_with("[^")
    })
}

impl Kind {
    fn tags(self) -> (&'static str, &'static str) {
        match self {
            Kind::Emphasis => ("<em>", "</em>"),
            Kind::Strong => ("<strong>", "</strong>"),
            Kind::Strike => ("<del>", "</del>"),
        }
    }
}

/// For each pair its delimiter, or none for tags: from the left, so that an outer pair is settled
/// before what is in it.
fn choose(parts: &Parts) -> Vec<Option<&'static str>> {
    let mut chosen: Vec<Option<&'static str>> = vec![None; parts.pairs];
    let mut settled = vec![false; parts.pairs];
    let mut ends = vec![0; parts.pairs];
    for (index, part) in parts.all.iter().enumerate() {
        if let Part::Close(_, pair) = part {
            ends[*pair] = index;
        }
    }
    for (start, part) in parts.all.iter().enumerate() {
        let Part::Open(kind, pair) = part else {
            continue;
        };
        let end = ends[*pair];
        settled[*pair] = true;
        // Characters beside the delimiters. Those of a pair not settled yet count as punctuation,
        // which every choice for it is.
        let around = [
            last_char(
                start.checked_sub(1).map(|i| &parts.all[i]),
                &chosen,
                &settled,
            ),
            first_char(parts.all.get(start + 1), &chosen, &settled),
            last_char(parts.all.get(end.wrapping_sub(1)), &chosen, &settled),
            first_char(parts.all.get(end + 1), &chosen, &settled),
        ];
        if around.iter().any(|&c| doubtful(c)) {
            continue;
        }
        let [before, first, last, after] = around.map(side);
        // A break within is a line's end: fine. Spaces right inside are not.
        let left = first != Side::Space && (first == Side::Letter || before != Side::Letter);
        let right = last != Side::Space && (last == Side::Letter || after != Side::Letter);
        if !left || !right {
            continue;
        }
        let candidates: &[&'static str] = match kind {
            Kind::Emphasis => &EMPHASIS,
            Kind::Strong => &STRONG,
            Kind::Strike => &["~~"],
        };
        chosen[*pair] = candidates.iter().copied().find(|delimiter| {
            let sign = delimiter.chars().next();
            let meets = around.contains(&sign);
            // `_` is none within a word.
            let word = sign == Some('_') && (before == Side::Letter || after == Side::Letter);
            !meets && !word
        });
    }
    chosen
}

fn last_char(
    part: Option<&Part>,
    chosen: &[Option<&'static str>],
    settled: &[bool],
) -> Option<char> {
    match part? {
        Part::Text(text) | Part::Markup(text) => text.chars().last(),
        Part::Break => None,
        Part::Open(_, pair) | Part::Close(_, pair) => {
            Some(delimiter_char(*pair, chosen, settled, '>'))
        }
    }
}

fn first_char(
    part: Option<&Part>,
    chosen: &[Option<&'static str>],
    settled: &[bool],
) -> Option<char> {
    match part? {
        Part::Text(text) | Part::Markup(text) => text.chars().next(),
        Part::Break => Some('\\'),
        Part::Open(_, pair) | Part::Close(_, pair) => {
            Some(delimiter_char(*pair, chosen, settled, '<'))
        }
    }
}

fn delimiter_char(
    pair: usize,
    chosen: &[Option<&'static str>],
    settled: &[bool],
    tag: char,
) -> char {
    match chosen[pair].filter(|_| settled[pair]) {
        Some(delimiter) => delimiter.chars().next().unwrap_or(tag),
        None => tag,
    }
}
