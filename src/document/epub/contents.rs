//! The table of contents: the nav document of EPUB 3 (section 7), else the NCX of EPUB 2.
//!
//! Crate `epub` reads the NCX alone and drops an entry without a target with all below it, so
//! both are read here. One pass over the nodes each; depth costs no stack.

use super::markup::{Content, Markup, fold};
use super::names::{Names, Target};

/// A line of the table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// White space folded; at most 1,000 characters.
    pub title: String,
    /// A place in the book; nothing for a line that only groups others.
    pub path: Option<String>,
    pub fragment: Option<String>,
    /// 0 for the uppermost.
    pub depth: usize,
}

/// Most entries and longest title: more is not a table that anyone reads.
const MAX_ENTRIES: usize = 20_000;
const MAX_TITLE: usize = 1000;
const NONE: usize = usize::MAX;

#[derive(Default)]
struct Line {
    title: String,
    target: Option<Target>,
    depth: usize,
    /// The list below has begun: text after it is no title.
    closed: bool,
}

/// The `toc` of a nav document at `path`.
pub(super) fn nav(bytes: &[u8], path: &str, names: &Names) -> Result<Vec<Entry>, String> {
    let markup = Markup::parse(bytes)?;
    let is_toc = |kind: Option<&str>| {
        kind.is_some_and(|k| {
            k.split_ascii_whitespace()
                .any(|k| k == "toc" || k == "doc-toc")
        })
    };
    let navs = || markup.elements().filter(|(_, e)| e.name == "nav");
    let toc = navs()
        .find(|(_, e)| is_toc(e.get("type")) || is_toc(e.get("role")))
        .or_else(|| navs().next().filter(|_| navs().count() == 1));
    let Some((toc, _)) = toc else {
        return Ok(Vec::new());
    };
    Ok(walk(&markup, toc, "li", "ol", |element, line| {
        if line.target.is_none()
            && element.name == "a"
            && let Some(href) = element.get("href")
        {
            line.target = names.resolve(path, href);
        }
        if element.name == "img" {
            line.title.push_str(element.get("alt").unwrap_or_default());
        }
    }))
}

/// The `navMap` of an NCX at `path`.
pub(super) fn ncx(bytes: &[u8], path: &str, names: &Names) -> Result<Vec<Entry>, String> {
    let markup = Markup::parse(bytes)?;
    let Some((map, _)) = markup.elements().find(|(_, e)| e.name == "navMap") else {
        return Ok(Vec::new());
    };
    Ok(walk(
        &markup,
        map,
        "navPoint",
        "navPoint",
        |element, line| {
            if line.target.is_none()
                && element.name == "content"
                && let Some(src) = element.get("src")
            {
                line.target = names.resolve(path, src);
            }
        },
    ))
}

/// Lines are the elements `item` under `top`, deeper by one within each `list`.
fn walk(
    markup: &Markup,
    top: usize,
    item: &str,
    list: &str,
    mut look: impl FnMut(super::markup::Element<'_>, &mut Line),
) -> Vec<Entry> {
    let mut lines: Vec<Line> = Vec::new();
    let end = markup.nodes[top].end;
    // Of each node: the line that it belongs to and the lists around it.
    let mut state = vec![(NONE, 0_usize); end - top];
    for index in top + 1..end {
        let (mut line, mut lists) = state[markup.nodes[index].parent - top];
        match (&markup.nodes[index].content, markup.element(index)) {
            (Content::Text(text), _) => {
                if let Some(line) = lines.get_mut(line)
                    && !line.closed
                {
                    line.title.push_str(text);
                }
            }
            (_, Some(element)) => {
                if element.name == list
                    && let Some(line) = lines.get_mut(line)
                {
                    line.closed = true;
                }
                if element.name == list {
                    lists += 1;
                }
                if element.name == item {
                    if let Some(line) = lines.get_mut(line) {
                        line.closed = true;
                    }
                    if lines.len() == MAX_ENTRIES {
                        break;
                    }
                    line = lines.len();
                    lines.push(Line {
                        depth: lists.saturating_sub(1),
                        ..Line::default()
                    });
                } else if let Some(line) = lines.get_mut(line)
                    && !line.closed
                {
                    look(element, line);
                }
            }
            _ => {}
        }
        state[index - top] = (line, lists);
    }
    lines.into_iter().filter_map(entry).collect()
}

fn entry(line: Line) -> Option<Entry> {
    let title: String = fold(&line.title).chars().take(MAX_TITLE).collect();
    let (path, fragment) = match line.target {
        Some(Target::Inside { path, fragment }) => (Some(path), fragment),
        Some(Target::Outside(_)) | None => (None, None),
    };
    (!title.is_empty()).then_some(Entry {
        title,
        path,
        fragment,
        depth: line.depth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .map(|e| {
                let place = e.path.as_deref().unwrap_or("-");
                let fragment = e.fragment.as_deref().unwrap_or("");
                format!("{} {} {place}#{fragment}", e.depth, e.title)
            })
            .collect()
    }

    #[test]
    fn nav_documents_nest() {
        let nav_xml = "<html xmlns:epub='x'><nav epub:type='landmarks'><ol><li><a href='x'>no</a></ol></nav>
            <nav epub:type='toc' hidden=''><h1>Contents</h1><ol>
            <li><a href='a%20b.xhtml'>One <i>&amp;</i>
              two</a></li>
            <li><span>Part</span> <ol><li><a href='c.xhtml#s'>Sub</a></li>
               <li><a href='../../out'>Out</a></li></ol>tail</li>
            <li><a href='d.xhtml'><img alt='Picture'/></a></li><li><a href='e'/></li></ol></nav></html>";
        let entries = nav(nav_xml.as_bytes(), "t/nav.xhtml", &Names::default()).unwrap();
        assert_eq!(
            lines(&entries),
            [
                "0 One & two t/a b.xhtml#",
                "0 Part -#",
                "1 Sub t/c.xhtml#s",
                "1 Out -#",
                "0 Picture t/d.xhtml#"
            ]
        );
    }

    #[test]
    fn ncx_points_nest() {
        let xml = "<ncx><docTitle><text>T</text></docTitle><navMap>
            <navPoint playOrder='9'><navLabel><text>One</text></navLabel><content src='a.html'/>
              <navPoint><navLabel><text>Sub</text></navLabel><content src='a.html#x'/></navPoint></navPoint>
            <navPoint playOrder='1'><navLabel><text>Two</text></navLabel></navPoint></navMap>
            <pageList><pageTarget><navLabel><text>7</text></navLabel></pageTarget></pageList></ncx>";
        let entries = ncx(xml.as_bytes(), "toc.ncx", &Names::default()).unwrap();
        assert_eq!(
            lines(&entries),
            ["0 One a.html#", "1 Sub a.html#x", "0 Two -#"]
        );
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("<nav>{}", "<ol><li><a href='x'>t</a>".repeat(90_000));
        let entries = nav(deep.as_bytes(), "nav", &Names::default()).unwrap();
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert_eq!(entries[MAX_ENTRIES - 1].depth, MAX_ENTRIES - 1);
        assert_eq!(nav(b"<ol/>", "nav", &Names::default()), Ok(Vec::new()));
        assert_eq!(ncx(b"\0", "ncx", &Names::default()), Ok(Vec::new()));
    }
}
