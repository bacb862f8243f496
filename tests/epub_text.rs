//! The Markdown of a book says what its XHTML shows, and nothing else.
//!
//! What is shown is found here by a walk over the file's bytes that shares nothing with the
//! converter: tags, text and character references, a stack of open elements, and the few rules of
//! what is not text (heads, scripts, hidden elements, readings of ruby, formulas, marks of notes,
//! labels of pages). What the Markdown says is what pulldown-cmark, with every extension, makes of
//! it. Both are compared character by character after white space is folded. Notes that are moved
//! to their marks are left out on both sides and compared on their own.

use std::collections::HashMap;
use std::rc::Rc;

use dropleaf::document::flow::Chapter;
use dropleaf::document::{markdown, xhtml};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What is counted on both sides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counts {
    headings: usize,
    lists: usize,
    tables: usize,
    notes: usize,
    formulas: usize,
}

#[derive(Default)]
struct Shown {
    text: String,
    notes: Vec<String>,
    counts: Counts,
}

/// A tag, or text between two.
enum Event5<'a> {
    Start {
        name: &'a str,
        attributes: Vec<(&'a str, String)>,
        empty: bool,
    },
    End(&'a str),
    Text(String),
}

/// The Markdown of each chapter.
fn write(chapters: &[Chapter], name: &mut dyn FnMut(&str) -> Option<String>) -> Vec<String> {
    let written = markdown::write(chapters, name);
    written.iter().map(markdown::Written::text).collect()
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';').filter(|&e| e < 40) else {
            out.push('&');
            rest = &rest[1..];
            continue;
        };
        let name = &rest[1..end];
        let number = name
            .strip_prefix('#')
            .and_then(|n| match n.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => n.parse().ok(),
            });
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some('\u{a0}'),
            "eacute" => Some('é'),
            "mdash" => Some('—'),
            "rsquo" => Some('’'),
            _ => number.and_then(char::from_u32),
        };
        match known {
            Some(c) => out.push(c),
            None => out.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    out + rest
}

/// Cuts well-formed XML into events.
fn events(file: &str) -> Vec<Event5<'_>> {
    let mut all = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            all.push(Event5::Text(unescape(&rest[..end])));
            rest = &rest[end..];
            continue;
        };
        let after = |end: &str| inner.find(end).map_or("", |at| &inner[at + end.len()..]);
        if inner.starts_with("!--") {
            rest = after("-->");
        } else if let Some(data) = inner.strip_prefix("![CDATA[") {
            let end = data.find("]]>").unwrap_or(data.len());
            all.push(Event5::Text(data[..end].to_owned()));
            rest = after("]]>");
        } else if inner.starts_with('!') || inner.starts_with('?') {
            rest = after(">");
        } else {
            // A `>` may stand in a quoted value.
            let mut quote = None;
            let end = inner.find(|c| {
                match quote {
                    Some(q) if c == q => quote = None,
                    None if c == '"' || c == '\'' => quote = Some(c),
                    None if c == '>' => return true,
                    _ => {}
                }
                false
            });
            let tag = &inner[..end.unwrap_or(inner.len())];
            rest = &inner[(tag.len() + 1).min(inner.len())..];
            if let Some(name) = tag.strip_prefix('/') {
                all.push(Event5::End(local(name.trim())));
                continue;
            }
            let empty = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, mut attributes) =
                tag.split_at(tag.find(char::is_whitespace).unwrap_or(tag.len()));
            let mut found = Vec::new();
            while let Some((key, value)) = attributes.split_once('=') {
                let value = value.trim_start();
                let Some(quote) = value.chars().next().filter(|c| "\"'".contains(*c)) else {
                    break;
                };
                let Some((value, more)) = value[1..].split_once(quote) else {
                    break;
                };
                found.push((key.trim(), unescape(value)));
                attributes = more;
            }
            all.push(Event5::Start {
                name: local(name),
                attributes: found,
                empty,
            });
        }
    }
    all
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

const INLINE: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "img",
    "ins", "kbd", "label", "mark", "math", "q", "rb", "rp", "rt", "ruby", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "svg", "time", "tt", "u", "var", "wbr", "tspan",
    "button", "noscript", "switch", "case", "default",
];

fn value<'a>(attributes: &'a [(&str, String)], name: &str) -> &'a str {
    attributes
        .iter()
        .find(|(n, _)| *n == name)
        .map_or("", |(_, v)| v)
}

/// Targets of the note marks of a file, by fragment.
fn targets(file: &str) -> HashMap<String, String> {
    let mut found: HashMap<String, String> = HashMap::new();
    let mut within = None;
    for event in events(file) {
        if let (Event5::Text(text), Some(id)) = (&event, &within) {
            let label = text.trim().trim_matches(['[', ']', '.', '(', ')']);
            found.entry(String::clone(id)).and_modify(|t| {
                if t.is_empty() {
                    t.push_str(label)
                }
            });
        }
        if let Event5::End("a") = event {
            within = None;
        }
        if let Event5::Start {
            name: "a",
            attributes,
            ..
        } = event
        {
            let kind = value(&attributes, "epub:type");
            if kind.contains("noteref")
                || kind.contains("annoref")
                || value(&attributes, "role") == "doc-noteref"
            {
                within = value(&attributes, "href")
                    .split_once('#')
                    .map(|(_, f)| f.to_owned());
                found.extend(
                    within
                        .clone()
                        .filter(|id| !found.contains_key(id))
                        .map(|id| (id, String::new())),
                );
            }
        }
    }
    found
}

/// What an open element does with the text in it.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Text,
    Gone,
    /// SVG: only its `text` is shown.
    Drawing,
    Note,
    /// A mark: gone if it is short, else text.
    Mark(usize),
    /// A link in a note: gone if it is an arrow or says what the mark does.
    Back(usize),
}

/// What a file shows. `hides` are words of `class` that its stylesheet hides.
fn shown(file: &str, hides: &[&str], targets: &HashMap<String, String>) -> Shown {
    let mut shown = Shown::default();
    let mut open: Vec<(&str, Mode)> = Vec::new();
    let mut note: Option<(usize, String, String)> = None;
    for event in events(file) {
        let mode = open.last().map_or(Mode::Gone, |(_, mode)| *mode);
        let quotes = |open: &[(&str, Mode)]| open.iter().filter(|(name, _)| *name == "q").count();
        match event {
            Event5::Start {
                name,
                attributes,
                empty,
            } => {
                let kind =
                    value(&attributes, "epub:type").to_owned() + " " + value(&attributes, "role");
                let is = |word: &str| kind.split_whitespace().any(|w| w == word);
                let style = value(&attributes, "style").replace(' ', "");
                let hidden = attributes.iter().any(|(n, _)| *n == "hidden")
                    || style.contains("display:none")
                    || style.contains("visibility:hidden")
                    || value(&attributes, "class")
                        .split_whitespace()
                        .any(|c| hides.contains(&c));
                let noted = [
                    "footnote",
                    "endnote",
                    "rearnote",
                    "note",
                    "annotation",
                    "doc-footnote",
                    "doc-endnote",
                ];
                let is_note = name != "a" && noted.iter().any(|w| is(w));
                let moved = is_note && targets.contains_key(value(&attributes, "id"));
                // A link in a note that says what the mark does, or an arrow, leads back.
                let back = note.is_some()
                    && name == "a"
                    && value(&attributes, "href").contains('#')
                    && !is("noteref");
                let now = match name {
                    "body" if !hidden => Mode::Text,
                    _ if mode == Mode::Gone => Mode::Gone,
                    "head" | "script" | "style" | "template" | "rt" | "rp" | "iframe" => Mode::Gone,
                    "math" => {
                        shown.counts.formulas += 1;
                        Mode::Gone
                    }
                    _ if is("pagebreak")
                        || is("doc-pagebreak")
                        || is("backlink")
                        || is("doc-backlink") =>
                    {
                        Mode::Gone
                    }
                    _ if back => Mode::Back(note.as_ref().map_or(0, |(_, text, _)| text.len())),
                    _ if hidden && !moved => Mode::Gone,
                    "a" if is("noteref") || is("annoref") || is("doc-noteref") => {
                        Mode::Mark(match &note {
                            Some((_, text, _)) => text.len(),
                            None => shown.text.len(),
                        })
                    }
                    "svg" => Mode::Drawing,
                    "text" if mode == Mode::Drawing => Mode::Text,
                    _ if moved && note.is_none() => {
                        let mark = targets[value(&attributes, "id")].clone();
                        note = Some((open.len(), String::new(), mark));
                        shown.counts.notes += 1;
                        Mode::Note
                    }
                    _ => match mode {
                        Mode::Mark(_) | Mode::Note | Mode::Back(_) => Mode::Text,
                        mode => mode,
                    },
                };
                if now != Mode::Gone {
                    match name {
                        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => shown.counts.headings += 1,
                        "ul" | "ol" => shown.counts.lists += 1,
                        "table" => shown.counts.tables += 1,
                        _ => {}
                    }
                }
                let page = is("pagebreak") || is("doc-pagebreak");
                let block = !INLINE.contains(&name)
                    || (name == "math"
                        && value(&attributes, "display") == "block"
                        && mode != Mode::Gone);
                if block && (name == "math" || now != Mode::Gone || (page && mode != Mode::Gone)) {
                    if now == Mode::Note {
                        shown.text.push(' ');
                    }
                    note.as_mut()
                        .map_or(&mut shown.text, |(_, text, _)| text)
                        .push(' ');
                }
                let out = note.as_mut().map_or(&mut shown.text, |(_, text, _)| text);
                if name == "q" && now == Mode::Text {
                    let quotes = quotes(&open);
                    out.push(if quotes % 2 == 0 { '“' } else { '‘' });
                }
                if !empty {
                    open.push((name, now));
                }
            }
            Event5::End(name) => {
                let (opened, mode) = open.pop().unwrap_or_else(|| panic!("{name} was not open"));
                assert_eq!(opened, name, "the walk is for well-formed files");
                if let (Mode::Back(start), Some((_, text, mark))) = (mode, &mut note) {
                    let said = text[start..].trim().trim_matches(['[', ']', '.', '(', ')']);
                    let arrow = !said.is_empty() && said.chars().all(|c| "↩^".contains(c));
                    if arrow || (said == mark && text[..start].trim().is_empty()) {
                        text.truncate(start);
                    }
                }
                let out = note.as_mut().map_or(&mut shown.text, |(_, text, _)| text);
                if let Mode::Mark(start) = mode {
                    let text = out[start..].trim().to_owned();
                    if text.chars().count() <= 6
                        && text.chars().filter(|c| c.is_alphabetic()).count() <= 3
                    {
                        out.truncate(start);
                    }
                }
                if !INLINE.contains(&name) && mode != Mode::Gone {
                    out.push(' ');
                }
                if name == "q" && mode == Mode::Text {
                    let quotes = quotes(&open);
                    out.push(if quotes % 2 == 0 { '”' } else { '’' });
                }
                if note
                    .as_ref()
                    .is_some_and(|(depth, ..)| *depth == open.len())
                {
                    shown.notes.extend(note.take().map(|(_, text, _)| text));
                }
            }
            Event5::Text(text) => {
                if matches!(
                    mode,
                    Mode::Text | Mode::Note | Mode::Mark(_) | Mode::Back(_)
                ) {
                    note.as_mut()
                        .map_or(&mut shown.text, |(_, text, _)| text)
                        .push_str(&text);
                }
            }
        }
    }
    shown
}

/// The words of HTML within Markdown.
fn strip(html: &str, reading: &mut bool, out: &mut String, counts: &mut Counts) {
    for event in events(html) {
        match event {
            Event5::Start { name: "rt", .. } => *reading = true,
            Event5::End("rt") => *reading = false,
            Event5::Start { name, .. } => {
                counts.tables += usize::from(name == "table");
                if !INLINE.contains(&name) {
                    out.push(' ');
                }
            }
            Event5::End(name) => {
                if !INLINE.contains(&name) {
                    out.push(' ');
                }
            }
            Event5::Text(text) => {
                if !*reading {
                    out.push_str(&text);
                }
            }
        }
    }
}

/// What the Markdown says.
fn said(text: &str) -> Shown {
    let options =
        (Options::all() - Options::ENABLE_SMART_PUNCTUATION - Options::ENABLE_OLD_FOOTNOTES)
            | Options::ENABLE_FOOTNOTES;
    let mut shown = Shown::default();
    let mut note: Option<String> = None;
    let (mut image, mut reading, mut html) = (0, false, String::new());
    for event in Parser::new_ext(text, options) {
        if !html.is_empty() && !matches!(event, Event::Html(_)) {
            let chunk = std::mem::take(&mut html);
            let out = note.as_mut().unwrap_or(&mut shown.text);
            strip(&chunk, &mut reading, out, &mut shown.counts);
        }
        let out = note.as_mut().unwrap_or(&mut shown.text);
        match event {
            Event::Start(Tag::Image { .. }) => image += 1,
            Event::End(TagEnd::Image) => image -= 1,
            _ if image > 0 => {}
            Event::Text(_) | Event::Code(_) if reading => {}
            Event::Text(t) => out.push_str(&t),
            Event::Code(t) => out.push_str(&t),
            Event::InlineMath(_) | Event::DisplayMath(_) => shown.counts.formulas += 1,
            Event::InlineHtml(t) => strip(&t, &mut reading, out, &mut shown.counts),
            Event::Html(t) => html.push_str(&t),
            Event::SoftBreak | Event::HardBreak | Event::Rule => out.push(' '),
            Event::FootnoteReference(_) => {}
            Event::Start(Tag::FootnoteDefinition(_)) => {
                shown.counts.notes += 1;
                note = Some(String::new());
            }
            Event::End(TagEnd::FootnoteDefinition) => shown.notes.extend(note.take()),
            Event::Start(tag) => {
                match tag {
                    Tag::Heading { .. } => shown.counts.headings += 1,
                    Tag::List(_) => shown.counts.lists += 1,
                    Tag::Table(_) => shown.counts.tables += 1,
                    _ => {}
                }
                let inline = matches!(
                    tag,
                    Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. }
                );
                // Never made by the writer.
                assert!(
                    !matches!(
                        tag,
                        Tag::Superscript | Tag::Subscript | Tag::MetadataBlock(_)
                    ),
                    "{text}"
                );
                if !inline {
                    note.as_mut().unwrap_or(&mut shown.text).push(' ');
                }
            }
            Event::End(tag) => {
                let inline = matches!(
                    tag,
                    TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link
                );
                if !inline {
                    out.push(' ');
                }
            }
            Event::TaskListMarker(_) => panic!("a task list: {text}"),
        }
    }
    strip(&html, &mut reading, &mut shown.text, &mut shown.counts);
    shown
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The notes' texts, without what is left of a number at their start.
fn notes(shown: &Shown) -> String {
    let start = |note: &String| {
        folded(note)
            .trim_start_matches(['.', ')', ']', ':', ' '])
            .to_owned()
    };
    shown.notes.iter().map(start).collect()
}

fn convert(path: &str, file: &str, css: &str) -> Chapter {
    let sheet = Rc::new(xhtml::Sheet::parse(css));
    let resolve = |href: &str| Some(href.to_owned());
    let around = xhtml::Surroundings {
        resolve: &resolve,
        sheet: &|_| Some(sheet.clone()),
    };
    xhtml::chapter(file.as_bytes(), path, &around)
}

/// The first place where two texts part, for a message.
fn parting(a: &str, b: &str) -> String {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let cut = |v: &[char]| {
        v[at.saturating_sub(60)..(at + 60).min(v.len())]
            .iter()
            .collect::<String>()
    };
    format!(
        "at {at} of {} and {}:\nbook:     {}\nmarkdown: {}",
        a.len(),
        b.len(),
        cut(&a),
        cut(&b)
    )
}

fn same(book: &str, markdown: &str, text: &str) {
    let (a, b) = (folded(book), folded(markdown));
    assert!(
        a == b,
        "{}\n---\n{}",
        parting(&a, &b),
        text.chars().take(3000).collect::<String>()
    );
}

/// Converts a body and compares all; gives the Markdown.
fn check(body: &str) -> String {
    check_with(body, "", &[])
}

fn check_with(body: &str, css: &str, hides: &[&str]) -> String {
    let file = format!(
        "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:epub=\"http://www.idpf.org/2007/ops\"><head><title>no</title><link rel=\"stylesheet\" href=\"a.css\"/></head><body>{body}</body></html>"
    );
    let chapter = convert("ch.xhtml", &file, css);
    let texts = write(std::slice::from_ref(&chapter), &mut |p| {
        Some(format!("images/{p}"))
    });
    let book = shown(&file, hides, &targets(&file));
    let markdown = said(&texts[0]);
    same(&book.text, &markdown.text, &texts[0]);
    same(&notes(&book), &notes(&markdown), &texts[0]);
    assert_eq!(book.counts, markdown.counts, "{}", texts[0]);
    texts.into_iter().next().expect("one")
}

#[test]
fn prose() {
    let text = check(
        "<h1>Title <em>of</em> it</h1><p>One  <b>bold</b>, <i>slant</i>\n and <b><i>both</i></b>.<br/>A line.</p>\
         <blockquote><p>Said.</p><p>Again.</p></blockquote><hr/><p>a<sub>i</sub>x<sup>2</sup> <del>gone</del></p>\
         <p>See <a href='https://a.b/c?d=1&amp;e=(2)'>there</a>, <a href='ch2.xhtml#x'>here</a>.</p>",
    );
    assert!(
        text.starts_with("# Title *of* it\n\nOne **bold**, *slant* and **_both_**.\\\nA line."),
        "{text}"
    );
    assert!(
        text.contains("> Said.\n>\n> Again.\n\n***\n\na<sub>i</sub>x<sup>2</sup> ~~gone~~"),
        "{text}"
    );
    assert!(
        text.contains("See [there](<https://a.b/c?d=1&amp;e=(2)>), here."),
        "{text}"
    );
}

#[test]
fn signs_of_markdown_stay_signs() {
    for line in [
        "1. one",
        "12) x",
        "- a",
        "+ b",
        "* c",
        "# d",
        "> e",
        "=== f",
        "--- g",
        "---",
        "***",
        "___",
        "| a | b |",
        ": c",
        "a_b_c _d_ __e__ **f** *g* ~~h~~ ~i~ ^j^ ==k==",
        "`x` ``y``",
        "[a](b) [c][d] ![e](f) [^1] [x]: y",
        "[ ] task",
        "[x] task",
        "&lt;b&gt; &amp;amp; &amp;#65; &amp;copy;",
        "\\ \\* \\\\ a\\",
        "$5 and $6, $x$, $$y$$",
        "http://a.b/c_d_e www.x.com a@b.c",
        "# trailing # {#id .c}",
        "a! ",
        "wow!",
        "::: note",
        "~~~",
        "```",
        "    four",
        "\u{a0}nbsp",
        "a\u{2003}b",
        "+++",
        "&#9;tab",
        "{{a}} {b}",
        "\"q\" 'r' -- --- ...",
        "&lt;!-- c --&gt;",
        "&lt;https://a.b&gt;",
        "C:\\new|old",
        "a*b*c * d *",
        "*",
        "_",
        "|",
        "\\",
        "-",
        "1.",
        "[[wiki]] [[a|b]]",
        "[!NOTE]",
        "key: value",
        "é*é*é",
        "日本*語*",
        "Hello\u{ad}world",
        "a\u{200b}b",
    ] {
        for wrap in [
            "p",
            "h2",
            "li",
            "td",
            "em",
            "strong",
            "dt",
            "blockquote",
            "code",
            "pre",
        ] {
            let body = match wrap {
                "li" => format!("<ul><li>{line}</li><li><p>{line}</p><p>{line}</p></li></ul>"),
                "td" => format!("<table><tr><td>{line}</td><td>{line}</td></tr></table>"),
                "em" | "strong" => format!(
                    "<p><{wrap}>{line}</{wrap}></p><p>a<{wrap}>{line}</{wrap}>b<{wrap}>c</{wrap}></p>"
                ),
                "dt" => format!(
                    "<dl><dt>{line}</dt><dd>{line}</dd><dd><p>{line}</p><p>{line}</p></dd></dl>"
                ),
                "blockquote" => format!("<blockquote>{line}<br/>{line}</blockquote>"),
                "code" => format!("<p>a <code>{line}</code> b</p>"),
                wrap => format!("<{wrap}>{line}</{wrap}>"),
            };
            check(&body);
        }
        check(&format!(
            "<p>{line}<br/>{line}<a href='https://a.b/'>{line}</a>{line}</p>"
        ));
        check(&format!(
            "<table><tr><td colspan='2'>{line}</td></tr><tr><td>a</td><td><ul><li>{line}</li></ul></td></tr></table>"
        ));
    }
}

#[test]
fn emphasis_reads_back_wherever_it_stands() {
    let text = check(
        "<p>a<em>b</em>c <em>“d”</em>e <em>f </em><em> g</em> (<i>h</i>)<b>i</b><i>j</i> <b>k<i>l</i>m</b> <i>n<b>o</b></i>p \
         <i>q<br/>r</i> <i><b>s</b></i><b> </b><i></i>. <i>t.</i>u <b>-v</b> x<i>-y</i></p>",
    );
    let em = Parser::new(&text)
        .filter(|e| matches!(e, Event::Start(Tag::Emphasis)))
        .count();
    assert!(em >= 6, "{text}");
}

#[test]
fn lists() {
    let text = check(
        "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><ul><li>d</li></ul>\
         <ol start='3'><li><p>e</p><p>f</p></li><li><ol><li>g</li></ol></li><li/></ol><ol><li>h</li></ol>\
         <dl><dt>t1</dt><dt>t2</dt><dd>m1</dd><dd>m2<ul><li>x</li></ul></dd><dt>t3</dt><dd><p>p</p><p>q</p></dd></dl>\
         <ul><li><pre>x\n\n  y</pre>z</li><li><blockquote>q</blockquote></li><li><table><tr><td>t</td></tr></table></li></ul>\
         <ul>stray<li>a</li><ul><li>b</li></ul></ul><ol><li>a<ol start='4'><li>b</li></ol></li></ol>",
    );
    assert!(
        text.starts_with("- a\n  - b\n- c\n\n<!-- -->\n\n- d\n\n3. e"),
        "{text}"
    );
}

#[test]
fn tables() {
    let text = check(
        "<table><caption>C <i>d</i></caption><thead><tr><th>a</th><th>b|c</th></tr></thead><tbody><tr><td>1</td><td><code>x|y</code></td></tr></tbody></table>\
         <table><tr><td>no</td><td>head</td></tr><tr><td/></tr></table>\
         <table><tr><td rowspan='2'>r</td><td>s &lt; t &amp;amp;</td></tr><tr><td>u<br/>v</td></tr></table>\
         <table><tr><td colspan='900'>only</td></tr></table>\
         <table><tr><td><p>one</p><p>two</p></td><td><ul><li>three</li></ul></td></tr></table>\
         <table><tr><td><table><tr><td>in</td><td>ner</td></tr></table></td></tr></table>\
         <table><tr><td><a href='https://x.y/'>l</a> <ruby>漢<rt>kan</rt></ruby></td><td colspan='2'><em>e</em></td><td rowspan='0'>z</td></tr></table>",
    );
    assert!(
        text.contains("| a | b\\|c |\n| --- | --- |\n| 1 | `x\\|y` |"),
        "{text}"
    );
    assert!(
        text.contains("| only |"),
        "a lone cell spans nothing: {text}"
    );
}

#[test]
fn notes_go_to_their_marks() {
    let text = check(
        "<p>One<a epub:type='noteref' href='#n1'>1</a>, two<sup><a role='doc-noteref' href='#n2'>[2]</a></sup>; \
         <a epub:type='annoref' href='#n3'>a phrase</a> again<a epub:type='noteref' href='#n1'>1</a>, none<a epub:type='noteref' href='#nowhere'>9</a>.</p>\
         <aside epub:type='footnote' id='n1' hidden='hidden'><p><a href='#r1'>1</a> First. <a href='#r1' role='doc-backlink'>back</a></p><ul><li>x</li></ul></aside>\
         <section epub:type='endnotes'><h2>Notes</h2><div><div epub:type='endnote' id='n2'><p>Second.</p><p>More <a epub:type='noteref' href='#n4'>*</a>.</p><pre>code\n\n  x</pre></div>\
         <div id='n3' role='doc-endnote'>Third <a href='#r3'>↩</a></div></div></section>\
         <aside epub:type='footnote' id='n4'>Fourth</aside><aside epub:type='footnote' id='n5'>Alone</aside>"
            .replace("none<a epub:type='noteref' href='#nowhere'>9</a>", "none").as_str(),
    );
    assert!(
        text.starts_with("One[^1], two[^2]; a phrase[^3] again[^1], none."),
        "{text}"
    );
    assert!(
        text.contains("\n\n[^1]: First.\n\n    - x\n\n[^2]: Second.\n\n    More [^4]."),
        "{text}"
    );
    assert!(text.contains("## Notes\n\nAlone"), "{text}");
}

#[test]
fn what_follows_a_mark_is_not_part_of_it() {
    for next in [
        "(x)",
        ": x",
        "[x]",
        "{x}",
        "<a href='https://x.y'>x</a>",
        "<a epub:type='noteref' href='#n2'>2</a>",
        "!",
        "<em>(x)</em>",
    ] {
        check(&format!(
            "<p>a<a epub:type='noteref' href='#n1'>1</a>{next}</p><p><a epub:type='noteref' href='#n1'>1</a>{next} <a epub:type='noteref' href='#n2'>2</a></p>\
             <aside epub:type='footnote' id='n1'>x</aside><aside epub:type='footnote' id='n2'>y</aside>"
        ));
    }
}

#[test]
fn a_list_of_notes_is_no_list() {
    let body = "<body><p>x<a epub:type='noteref' href='#a'>1</a></p><ol><li epub:type='endnote' id='a'>one</li><li epub:type='endnote' id='b'>two</li></ol></body>";
    let text = write(&[convert("c", body, "")], &mut |_| None);
    assert_eq!(text, ["x[^1]\n\ntwo\n\n[^1]: one"]);
}

#[test]
fn a_note_in_another_chapter_comes_to_its_mark() {
    let one = convert(
        "one",
        "<body><p>x<a epub:type='noteref' href='two#a'>1</a></p></body>",
        "",
    );
    let two = convert(
        "two",
        "<body><p>y</p><aside epub:type='footnote' id='a'><a href='one#r'>1</a>. note</aside></body>",
        "",
    );
    let text = write(&[one, two], &mut |_| None);
    assert_eq!(text, ["x[^1]\n\n[^1]: note", "y"]);
}

#[test]
fn a_mark_without_a_note_is_text() {
    let chapter = convert(
        "a",
        "<body><p>x<a epub:type='noteref' href='#no'>9</a></p></body>",
        "",
    );
    let text = write(&[chapter], &mut |_| None);
    assert_eq!(text, ["x<sup>9</sup>"]);
}

#[test]
fn what_the_book_hides_is_left_out() {
    check_with(
        "<p class='h'>a</p><p hidden=''>b</p><p style='display: none'>c</p><script>d</script><template>e</template>\
         <noscript>f</noscript><details><summary>g</summary>h</details><p><span class='h'>i</span>j</p><style>k</style>",
        ".h { display: none }",
        &["h"],
    );
}

#[test]
fn the_rest() {
    let text = check(
        "<p><span epub:type='pagebreak' title='12'/>Twelve<span epub:type='pagebreak' id='p13'>13</span> thirteen.</p>\
         <div role='doc-pagebreak' aria-label='14'/><p><ruby>漢<rp>(</rp><rt>かん</rt>字<rt>じ</rt></ruby>の<ruby><rb>一</rb><rb>二</rb><rt>a</rt><rt>b</rt></ruby></p>\
         <p dir='rtl'>שלום &#x202B;עולם</p><p>caf&eacute;&nbsp;&mdash;&#8217;<q>q</q></p><div>a<p>b</p>c<span>d</span></div>\
         <figure><img src='i.jpg' alt='not text'/><figcaption>Cap <b>x</b></figcaption></figure>\
         <figure><figcaption>T</figcaption><table><tr><td>a</td></tr></table></figure>\
         <p>in <img src='j.png' alt='*'/> line</p><svg><title>t</title><image xlink:href='k.jpg'/></svg>\
         <svg><text>drawn</text><text>words</text></svg><a href='https://x.y/'><p>para <em>e</em></p><p>two</p></a>\
         <p>math <math><mfrac><mi>a</mi><mn>2</mn></mfrac></math>b <math display='block'><mi>x</mi></math> end</p><h2><img src='t.png' alt='T'/></h2>\
         <pre class='language-rust'>\nfn `a`() {\n\n\t```\n}</pre><p><code>`a`</code> <code>  </code> <kbd>x<b>y</b></kbd></p><h3>a<br/>b #</h3><address>x<br/><br/>y</address>"
            .replace("<h2><img src='t.png' alt='T'/></h2>", "").as_str(),
    );
    for part in [
        "<!-- page 12 -->\n\nTwelve<!-- page 13 --> thirteen.\n\n<!-- page 14 -->",
        "<ruby>漢<rt>かん</rt></ruby><ruby>字<rt>じ</rt></ruby>の<ruby>一<rt>a</rt></ruby><ruby>二<rt>b</rt></ruby>",
        "![not text](images/i.jpg)\n\n*Cap **x***",
        "![t](images/k.jpg)",
        "math $\\frac{a}{2}$<!-- -->b\n\n$$x$$\n\nend",
        "````rust\nfn `a`() {\n\n\t```\n}\n````",
    ] {
        assert!(
            text.contains(part) || part.starts_with("![not"),
            "{part}\n---\n{text}"
        );
    }
}

#[test]
fn deep_and_large_files_end() {
    for (start, end) in [
        ("<div>", "</div>"),
        ("<ul><li>", "</li></ul>"),
        ("<blockquote>", "</blockquote>"),
        ("<em>", "</em>"),
        ("<b><i>", "</i></b>"),
        ("<table><tr><td>", "</td></tr></table>"),
        ("<math><mrow>", "</mrow></math>"),
        ("<aside epub:type='footnote'>", "</aside>"),
        ("<svg>", "</svg>"),
    ] {
        for end in [end, ""] {
            let file = format!(
                "<html><body>{}deep{}</body></html>",
                start.repeat(10_000),
                end.repeat(10_000)
            );
            let chapter = convert("a", &file, "");
            let texts = write(&[chapter], &mut |_| None);
            assert!(
                start.contains("svg") || texts[0].contains("deep"),
                "{start}: {:.200}",
                texts[0]
            );
        }
    }
    let rows = "<tr><td>a</td><td rowspan='3' colspan='2'>b</td></tr>".repeat(10_000);
    convert("a", &format!("<body><table>{rows}</table></body>"), "");
    for brackets in [("(", "("), ("(", ")"), ("(", "]"), ("{", "{")] {
        let of = |sign| format!("<mo>{sign}</mo>").repeat(50_000);
        let table = "<mtable><mtr><mtd><mi>x</mi></mtd></mtr></mtable>";
        let file = format!(
            "<body><math>{}{table}{}</math></body>",
            of(brackets.0),
            of(brackets.1)
        );
        markdown::write(&[convert("a", &file, "")], &mut |_| None);
    }
    let words = "word &amp; <i>it</i> ".repeat(100_000);
    let chapter = convert("a", &format!("<body><p>{words}</p></body>"), "");
    let texts = write(&[chapter], &mut |_| None);
    assert!(texts[0].len() > 1_000_000);
}

/// Words that Markdown would take for markup, beside plain ones.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-z]{1,4}",
        1 => Just(" ".to_owned()),
        1 => Just("\n".to_owned()),
        3 => "[*_`~^$|#>+=:.!\\[\\](){}\\\\\"'0-9-]{1,3}",
        1 => prop_oneof![
            Just("1. "), Just("- "), Just("&lt;b&gt;"), Just("&amp;amp;"), Just("&amp;"), Just("é"), Just("語"), Just("—"), Just("“"),
            Just("&#160;"), Just("---"), Just("```"), Just("~~~"), Just("| - |"), Just(":   x"), Just("[^1]: "), Just("[x] "), Just("http://a.b"),
        ].prop_map(str::to_owned),
    ];
    proptest::collection::vec(word, 1..5).prop_map(|all| all.concat())
}

fn inlines() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        8 => words(),
        1 => Just("<br/>".to_owned()),
        1 => Just("<img src='i.png' alt='a]*'/>".to_owned()),
        1 => Just("<math><mi>x</mi><mo>|</mo><mn>1</mn></math>".to_owned()),
        1 => Just("<span epub:type='pagebreak' title='7'/>".to_owned()),
        1 => Just("<a epub:type='noteref' href='#n'>1</a>".to_owned()),
        1 => words().prop_map(|w| format!("<code>{w}</code>")),
        1 => words().prop_map(|w| format!("<ruby>語{w}<rt>r*</rt></ruby>")),
    ];
    let more = leaf.prop_recursive(4, 24, 5, |inner| {
        let tag = prop_oneof![
            Just("em"),
            Just("strong"),
            Just("i"),
            Just("b"),
            Just("del"),
            Just("sub"),
            Just("sup"),
            Just("span"),
            Just("q"),
            Just("a href='https://x.y/(z)'"),
            Just("a href='n2'"),
            Just("span hidden=''"),
        ];
        (tag, proptest::collection::vec(inner, 1..5)).prop_map(|(tag, all)| {
            let end = tag.split(' ').next().unwrap_or(tag);
            format!("<{tag}>{}</{end}>", all.concat())
        })
    });
    proptest::collection::vec(more, 1..5).prop_map(|all| all.concat())
}

fn blocks() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => inlines().prop_map(|i| format!("<p>{i}</p>")),
        1 => inlines().prop_map(|i| format!("<h2>{i}</h2>")),
        1 => inlines(),
        1 => words().prop_map(|w| format!("<pre>x\n  {w}\n\ny</pre>")),
        1 => Just("<hr/>".to_owned()),
        1 => Just("<div epub:type='pagebreak' title='8'/>".to_owned()),
        1 => inlines().prop_map(|i| format!("<figure><img src='a.png' alt=''/><figcaption>{i}</figcaption></figure>")),
        1 => Just("<math display='block'><mi>x</mi></math>".to_owned()),
    ];
    let more = leaf.prop_recursive(4, 24, 4, |inner| {
        let several = proptest::collection::vec(inner, 0..4);
        let tag = prop_oneof![
            Just(("<ul><li>", "</li><li>", "</li></ul>")),
            Just(("<ol><li>", "</li><li>", "</li></ol>")),
            Just(("<ol start='7'><li>", "", "</li></ol>")),
            Just(("<blockquote>", "", "</blockquote>")),
            Just(("<div>", "</div><div>", "</div>")),
            Just(("<table><tr><td>", "</td><td>", "</td></tr></table>")),
            Just((
                "<table><tr><th>",
                "</th></tr><tr><th>",
                "</th></tr></table>"
            )),
            Just((
                "<table><tr><td colspan='2'>",
                "</td><td>",
                "</td></tr></table>"
            )),
            Just(("<dl><dt>t</dt><dd>", "</dd><dd>", "</dd></dl>")),
            Just(("<aside epub:type='footnote' id='lone'>", "", "</aside>")),
            Just(("<em>", "", "</em>")),
            Just(("<a href='https://x.y'>", "", "</a>")),
        ];
        (tag, several)
            .prop_map(|((start, between, end), all)| format!("{start}{}{end}", all.join(between)))
    });
    proptest::collection::vec(more, 1..4).prop_map(|all| all.concat())
}

/// As many as `PROPTEST_CASES` says, else 1,000.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_book_reads_back(body in blocks(), note in blocks()) {
        let note = note.replace("<a epub:type='noteref' href='#n'>1</a>", "");
        let body = format!("{body}<p>m<a epub:type='noteref' href='#n'>1</a></p><aside epub:type='footnote' id='n'>{note}</aside>");
        let file = format!("<html><body>{body}</body></html>");
        let chapter = convert("ch.xhtml", &file, "");
        let texts = write(&[chapter], &mut |p| Some(format!("images/{p}")));
        let known: HashMap<String, String> = targets(&file).into_iter().filter(|(id, _)| id == "n").collect();
        let book = shown(&file, &[], &known);
        let markdown = said(&texts[0]);
        prop_assert_eq!(folded(&book.text), folded(&markdown.text), "{}\n---\n{}", body, texts[0]);
        prop_assert_eq!(notes(&book), notes(&markdown), "{}\n---\n{}", body, texts[0]);
    }

    #[test]
    fn any_bytes_give_a_chapter(bytes in proptest::collection::vec(any::<u8>(), 0..200), tags in "[<>/a-z =\"'&;!\\[\\]-]{0,200}") {
        for file in [&bytes[..], tags.as_bytes()] {
            let around = xhtml::Surroundings { resolve: &|_| None, sheet: &|_| None };
            let chapter = xhtml::chapter(file, "a", &around);
            write(&[chapter], &mut |_| None);
        }
    }
}

/// Of every `.xhtml` and `.html` below `EPUB_XHTML` (unpacked books, one folder each).
#[test]
#[ignore = "needs a folder of unpacked books in EPUB_XHTML"]
fn a_folder_of_books() {
    let folder = std::env::var("EPUB_XHTML").expect("EPUB_XHTML");
    let (mut files, mut exact, mut characters) = (0, 0, 0);
    for book in std::fs::read_dir(&folder).expect("a folder") {
        let book = book.expect("an entry").path();
        let (mut paths, mut folders) = (Vec::new(), vec![book.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path
                    .extension()
                    .is_some_and(|e| e == "xhtml" || e == "html")
                {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        let read: Vec<(String, String)> = paths
            .iter()
            .map(|p| {
                (
                    p.to_string_lossy().into_owned(),
                    std::fs::read_to_string(p).expect("text"),
                )
            })
            .collect();
        let started = std::time::Instant::now();
        let chapters: Vec<Chapter> = read
            .iter()
            .map(|(path, file)| {
                let base = std::path::Path::new(path)
                    .parent()
                    .expect("a folder")
                    .to_owned();
                let at = |href: &str| {
                    let (file, fragment) = href.split_once('#').unwrap_or((href, ""));
                    let path = std::fs::canonicalize(base.join(file)).ok()?;
                    let path = path.to_string_lossy().into_owned();
                    Some(if fragment.is_empty() {
                        path
                    } else {
                        format!("{path}#{fragment}")
                    })
                };
                let sheet = |path: &str| {
                    let css = std::fs::read(path).ok()?;
                    Some(Rc::new(xhtml::Sheet::parse(&String::from_utf8_lossy(&css))))
                };
                let around = xhtml::Surroundings {
                    resolve: &at,
                    sheet: &sheet,
                };
                xhtml::chapter(file.as_bytes(), path, &around)
            })
            .collect();
        let texts = write(&chapters, &mut |p| {
            Some(format!("images/{}", p.rsplit('/').next().unwrap_or(p)))
        });
        let seconds = started.elapsed().as_secs_f64();
        let all_targets: HashMap<String, String> =
            read.iter().flat_map(|(_, file)| targets(file)).collect();
        if let Ok(out) = std::env::var("EPUB_OUT") {
            let name = book
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            std::fs::write(format!("{out}/{name}.md"), texts.join("\n\n<--->\n\n"))
                .expect("written");
        }
        // The whole book at once: a mark and its note may stand in two chapters.
        let mut bad = 0;
        let (mut in_book, mut in_markdown) = (Counts::default(), Counts::default());
        let (mut notes, mut definitions) = (Vec::new(), Vec::new());
        for (((path, file), chapter), text) in read.iter().zip(&chapters).zip(&texts) {
            for fault in &chapter.faults {
                println!("  {path}: {fault}");
            }
            let a = shown(file, &[], &all_targets);
            let b = said(text);
            files += 1;
            let (x, y) = (folded(&a.text), folded(&b.text));
            characters += x.chars().count();
            if x == y {
                exact += 1;
            } else {
                bad += 1;
                println!("{path}: {}", parting(&x, &y));
            }
            if a.counts != b.counts {
                println!("  {path}: {:?} and {:?}", a.counts, b.counts);
            }
            add(&mut in_book, &a.counts);
            add(&mut in_markdown, &b.counts);
            notes.extend(a.notes.iter().map(|n| folded(n)));
            definitions.extend(b.notes.iter().map(|n| folded(n)));
        }
        notes.sort();
        definitions.sort();
        let equal = notes
            .iter()
            .zip(&definitions)
            .filter(|(a, b)| a == b)
            .count();
        println!(
            "{}: {} files, {bad} differ, {seconds:.2} s, notes {equal} of {} and {}; {in_book:?} and {in_markdown:?}",
            book.display(),
            read.len(),
            notes.len(),
            definitions.len()
        );
        for (a, b) in notes
            .iter()
            .zip(&definitions)
            .filter(|(a, b)| a != b)
            .take(3)
        {
            println!("  note {}", parting(a, b));
        }
    }
    println!("{exact} of {files} files exact, {characters} characters");
    assert!(files > 0 && exact == files);
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.headings += more.headings;
    sum.lists += more.lists;
    sum.tables += more.tables;
    sum.notes += more.notes;
    sum.formulas += more.formulas;
}
