//! XHTML of a book -> the pieces of a [`Chapter`].
//!
//! The route: bytes -> characters (`encoding`, `text`), characters -> an arena tree (`tree`: XML,
//! or HTML where the file is no XML), what the book hides (`style`), then `blocks` and `inlines`
//! walk the tree. Every word that is shown stands in the chapter once, in the order of the file;
//! scripts, heads and hidden elements do not. Nothing is run or fetched: pictures, links and
//! stylesheets are only names, which the caller's [`Surroundings`] look up.
//!
//! Total: any bytes give a chapter. Depth is bounded by flattening the tree (`tree::DEPTH`),
//! blocks within blocks by `blocks::NESTED`.

mod blocks;
mod inlines;
mod mathml;
mod notes;
mod style;
mod tables;
mod text;
mod tree;

use std::collections::HashSet;
use std::rc::Rc;

use crate::document::encoding::decode;
use crate::document::flow::{Chapter, Piece};

pub use style::Sheet;

use style::Looks;
use tree::{Id, ROOT, Tree};

/// What a chapter asks of the book around it.
pub struct Surroundings<'a> {
    /// A reference as it is written in the chapter (`../images/a%20b.jpg`, `ch2.xhtml#n1`) ->
    /// path in the container, decoded, with the fragment if there is one; none where nothing of
    /// the book is meant. References with a scheme and those of a fragment alone are not asked for.
    pub resolve: &'a dyn Fn(&str) -> Option<String>,
    /// A stylesheet by its path in the container; asked for once a chapter and sheet, so that the
    /// caller may keep them.
    pub sheet: &'a dyn Fn(&str) -> Option<Rc<Sheet>>,
}

/// Reads one item of the spine; `path` is its path in the container, decoded.
pub fn chapter(bytes: &[u8], path: &str, around: &Surroundings<'_>) -> Chapter {
    let mut faults = Vec::new();
    let (characters, replaced) = decode(bytes);
    if replaced {
        faults.push("holds bytes that are no text; they were replaced".to_owned());
    }
    let tree = Tree::parse(&text::tamed(text::without_doctype(characters)));
    if tree.repaired {
        faults.push("is not well-formed XML; it was read as HTML".to_owned());
    }
    if tree.flattened {
        faults.push(format!(
            "has elements more than {} deep or more than {} of them; these were flattened",
            tree::DEPTH,
            tree::ELEMENTS
        ));
    }
    let sheets = sheets(&tree, around);
    let sheets: Vec<&Sheet> = sheets.iter().map(Rc::as_ref).collect();
    let looks = Looks::of(&tree, &sheets);
    let mut reader = Reader {
        has_block: blocks::with_blocks(&tree, &looks),
        marked: notes::marked(&tree, path),
        tree: &tree,
        looks,
        path,
        resolve: around.resolve,
        wraps: Vec::new(),
        late: Vec::new(),
        faults,
        nested: 0,
        in_note: false,
        quotes: 0,
    };
    let body = tree.walk(ROOT).find(|&id| tree.name(id) == "body");
    let mut pieces = Vec::new();
    let top = body.unwrap_or(ROOT);
    if body.is_none_or(|id| !reader.looks.hidden(id)) {
        reader.flow(top, &mut pieces);
    }
    let closed = reader.closed();
    Chapter {
        path: path.to_owned(),
        aside: false,
        pieces,
        closed,
        faults: reader.faults,
    }
}

fn sheets(tree: &Tree, around: &Surroundings<'_>) -> Vec<Rc<Sheet>> {
    let mut found = Vec::new();
    for id in tree.walk(ROOT) {
        match tree.name(id) {
            "style" if tree.attribute(id, "media").is_none_or(style::applies_to) => {
                found.push(Rc::new(Sheet::parse(&tree.text(id))));
            }
            "link" => {
                let sheet = tree.says(id, "rel", &["stylesheet", "Stylesheet"])
                    && !tree.says(id, "rel", &["alternate"])
                    && tree.attribute(id, "media").is_none_or(style::applies_to);
                let path = tree.attribute(id, "href").filter(|_| sheet);
                let path = path.filter(|h| inlines::scheme(h).is_none());
                found.extend(
                    path.and_then(|h| (around.resolve)(h))
                        .and_then(|p| (around.sheet)(&p)),
                );
            }
            _ => {}
        }
        if found.len() >= 100 {
            break;
        }
    }
    found
}

/// An element around whole blocks whose meaning is that of lines: `<em><p>..</p></em>`.
#[derive(Clone)]
enum Wrap {
    Emphasis,
    Strong,
    Strike,
    Sub,
    Sup,
    Link(String),
}

/// The walk through one chapter.
struct Reader<'a> {
    tree: &'a Tree,
    looks: Looks,
    /// By node: a block stands in it.
    has_block: Vec<bool>,
    /// Ids of this chapter that its note marks point at.
    marked: HashSet<String>,
    path: &'a str,
    resolve: &'a dyn Fn(&str) -> Option<String>,
    wraps: Vec<Wrap>,
    /// Notes that stand within a line: they come after its paragraph.
    late: Vec<Piece>,
    faults: Vec<String>,
    nested: usize,
    in_note: bool,
    quotes: usize,
}

impl Reader<'_> {
    /// Whether the element and all in it is left out.
    fn left_out(&self, id: Id) -> bool {
        let name = self.tree.name(id);
        let never = matches!(
            name,
            "script"
                | "style"
                | "template"
                | "head"
                | "title"
                | "meta"
                | "link"
                | "rp"
                | "datalist"
                | "iframe"
                | "area"
                | "param"
                | "source"
                | "track"
        );
        if never {
            return true;
        }
        self.looks.hidden(id) && !self.is_opened(id)
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < 100 && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests;
