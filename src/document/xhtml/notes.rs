//! Footnotes, endnotes, their marks and the links back; page breaks of the printed edition.
//!
//! Known by `epub:type` (EPUB Structural Semantics Vocabulary) or by the DPUB-ARIA role.

use std::collections::HashSet;

use super::Reader;
use super::tree::{Id, ROOT, Tree};
use crate::document::flow::{ClosedNote, Inline, Piece};

/// Characters that a mark may print: `12`, `*`, `[iii]`; a longer text is part of the sentence.
const MARK: usize = 6;
/// Characters of the longest page label.
const LABEL: usize = 30;

pub fn is_note(tree: &Tree, id: Id) -> bool {
    tree.name(id) != "a"
        && (tree.says(
            id,
            "epub:type",
            &["footnote", "endnote", "rearnote", "note", "annotation"],
        ) || tree.says(id, "role", &["doc-footnote", "doc-endnote"]))
}

pub fn is_mark(tree: &Tree, id: Id) -> bool {
    tree.name(id) == "a"
        && (tree.says(id, "epub:type", &["noteref", "annoref"])
            || tree.says(id, "role", &["doc-noteref"]))
}

pub fn is_page_break(tree: &Tree, id: Id) -> bool {
    (tree.says(id, "epub:type", &["pagebreak"]) || tree.says(id, "role", &["doc-pagebreak"]))
        && tree.text(id).trim().chars().count() <= LABEL
}

/// Ids that a mark may name a note by: its own and those within it.
pub fn ids(tree: &Tree, id: Id) -> impl Iterator<Item = &str> {
    tree.walk(id).filter_map(|n| tree.attribute(n, "id"))
}

/// Ids in this chapter that its note marks point at.
pub fn marked(tree: &Tree, path: &str) -> HashSet<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let marks = tree.walk(ROOT).filter(|&id| is_mark(tree, id));
    let targets = marks.filter_map(|id| tree.attribute(id, "href")?.split_once('#'));
    targets
        .filter(|(document, _)| document.is_empty() || document.rsplit('/').next() == Some(file))
        .map(|(_, fragment)| fragment.to_owned())
        .collect()
}

/// The label of a page break: what it is called, else what is printed in it.
pub fn page_label(tree: &Tree, id: Id) -> String {
    let text = tree.text(id);
    let said = [
        tree.attribute(id, "title"),
        tree.attribute(id, "aria-label"),
        Some(&*text),
    ];
    let label = said
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|label| !label.is_empty());
    let label = label.or_else(|| {
        let id = tree.attribute(id, "id")?;
        let digits = id.trim_start_matches(|c: char| !c.is_ascii_digit());
        (!digits.is_empty()).then_some(digits)
    });
    let words = label
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    words.chars().take(LABEL).collect()
}

impl Reader<'_> {
    /// A note with its content, the number that it begins with too; the arrow that leads back to
    /// its mark is left out.
    pub fn note(&mut self, id: Id) -> Piece {
        let name = ids(self.tree, id).find(|i| self.marked.contains(*i));
        let name = name.or(ids(self.tree, id).next());
        let name = name.map_or_else(String::new, |fragment| format!("{}#{fragment}", self.path));
        let mut pieces = Vec::new();
        let wraps = std::mem::take(&mut self.wraps);
        let outer = std::mem::replace(&mut self.in_note, true);
        self.nested(id, &mut pieces);
        self.in_note = outer;
        self.wraps = wraps;
        Piece::Note { id: name, pieces }
    }

    /// Whether a mark of this chapter names the note: reading programs open a hidden one from there.
    pub fn is_opened(&self, id: Id) -> bool {
        is_note(self.tree, id) && ids(self.tree, id).any(|i| self.marked.contains(i))
    }

    /// The notes that the walk through the body has left out because the book hides them, or a
    /// part of the book that they stand in.
    pub fn closed(&mut self) -> Vec<ClosedNote> {
        let tree = self.tree;
        let mut hidden = vec![false; tree.len()];
        let mut out = Vec::new();
        let mut walk = tree.walk(ROOT);
        while let Some(id) = walk.next() {
            let within = tree.parent(id).is_some_and(|parent| hidden[parent]);
            hidden[id] = within || (self.looks.hidden(id) && !self.is_opened(id));
            if !hidden[id] || !is_note(tree, id) {
                continue;
            }
            walk.pass(id);
            let ids = ids(tree, id)
                .map(|i| format!("{}#{i}", self.path))
                .collect();
            if let Piece::Note { pieces, .. } = self.note(id) {
                out.push(ClosedNote { ids, pieces });
            }
            // What stands late in a note that is not shown is the note's.
            self.late.clear();
        }
        out
    }

    /// A link that leads from a note back to its mark.
    pub fn is_back_link(&self, id: Id) -> bool {
        if self.tree.name(id) != "a" {
            return false;
        }
        if self.tree.says(id, "epub:type", &["backlink"])
            || self.tree.says(id, "role", &["doc-backlink"])
        {
            return true;
        }
        if !self.in_note || is_mark(self.tree, id) {
            return false;
        }
        let text = self.tree.text(id);
        let text = text.trim();
        let arrow = !text.is_empty()
            && text.chars().all(|c| {
                matches!(
                    c,
                    '↩' | '↵' | '⏎' | '←' | '↑' | '^' | '⤴' | '\u{fe0e}' | '\u{fe0f}'
                )
            });
        let within = self
            .tree
            .attribute(id, "href")
            .is_some_and(|h| h.contains('#'));
        within && arrow
    }

    /// A mark as inlines: a short text is the mark; a longer one is read on, the mark after it.
    pub fn mark(&mut self, id: Id, target: String, inner: Vec<Inline>) -> Vec<Inline> {
        let text = self
            .tree
            .text(id)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let word = text.chars().filter(|c| c.is_alphabetic()).count() > 3;
        if text.chars().count() <= MARK && !word {
            return vec![Inline::NoteMark { id: target, text }];
        }
        let mut all = inner;
        all.push(Inline::NoteMark {
            id: target,
            text: String::new(),
        });
        all
    }
}
