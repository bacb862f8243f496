//! What is known of a book beside its pages: who wrote it, its chapters and its pictures.

use serde::{Deserialize, Serialize};

/// What a book says of itself; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub title: String,
    pub authors: Vec<String>,
    pub languages: Vec<String>,
    pub publisher: String,
    pub date: String,
    /// ISBN, UUID or what else the package calls its unique identifier.
    pub identifier: String,
}

/// An entry of a book's own table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentsEntry {
    pub title: String,
    /// Path in the container, with the fragment: `text/ch1.xhtml#s2`.
    pub target: String,
    /// 0 for the outermost.
    pub depth: u32,
}

/// One item of the spine and its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookChapter {
    /// Path in the container.
    pub path: String,
    /// Beside the reading order (`linear="no"`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
    /// Its first page, from 0, and how many it has.
    pub first_page: u32,
    pub pages: u32,
    /// Whether the engine reads its pages: pictures of print, comics.
    pub read: bool,
    /// Pictures within its text that the engine reads, as numbers of [`Book::pictures`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_pictures: Vec<u32>,
    /// What was amiss, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// A document that is a book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    pub metadata: Metadata,
    pub contents: Vec<ContentsEntry>,
    /// In the order of the spine; their pages follow one another without a gap.
    pub chapters: Vec<BookChapter>,
    /// Pictures, by their names under `images/`.
    pub pictures: Vec<String>,
    /// Characters for which no font was found: their pages show a box instead.
    pub missing_glyphs: String,
    /// What was amiss with the book as a whole.
    pub faults: Vec<String>,
}

impl BookChapter {
    /// Whether `page`, counted from 0, is one of its pages.
    pub fn has(&self, page: u32) -> bool {
        page >= self.first_page && page - self.first_page < self.pages
    }
}

impl Book {
    /// The chapter of `page`, counted from 0, and its number.
    pub fn chapter(&self, page: u32) -> Option<(usize, &BookChapter)> {
        self.chapters.iter().enumerate().find(|(_, c)| c.has(page))
    }

    /// Whether the engine reads `page`, counted from 0.
    pub fn is_read(&self, page: u32) -> bool {
        self.chapter(page).is_some_and(|(_, chapter)| chapter.read)
    }
}
