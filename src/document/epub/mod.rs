//! The container of an EPUB: what is in it, in which order, what the book says of itself.
//!
//! [`Book::open`] judges the ZIP directory, finds the package, refuses locked books and keeps what
//! the rest needs: metadata, spine, contents, names. Members are unpacked one at a time by
//! [`Book::read`], bounded by their declared and by the allowed size. Crate `zip` unpacks, crate
//! `epub` understands the package (see `package`). Nothing is fetched, nothing is written, no
//! file but the EPUB is opened. Any bytes end in a book or an error; what is amiss with a book
//! that can be read stands in [`Book::faults`].

mod book;
mod contents;
mod guard;
mod markup;
mod names;
mod package;
mod protection;

#[cfg(test)]
#[path = "../../../tests/support/epub.rs"]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::io;

use thiserror::Error;

use crate::document::encoding::decode;

pub use book::Book;
pub use contents::Entry;
pub use names::{Names, Target, resolve};

/// How large a container may be. A book is read member by member, so these bound time and the
/// largest piece, not the book's memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files in the container. The largest books known have some thousands (a file a verse).
    pub max_members: u64,
    /// Bytes of the ZIP's directory: 20,000 entries of 800 bytes.
    pub max_directory_bytes: u64,
    /// Bytes of one unpacked file; what is larger (video) is left alone, with a fault.
    pub max_member_bytes: u64,
    /// Bytes of all unpacked files as declared: books with sound reach 2 GB.
    pub max_total_bytes: u64,
    /// Unpacked bytes to packed ones, of a file larger than `ratio_from`: MathML reaches 33:1,
    /// one paragraph over and over 700:1, a bomb 1,000:1.
    pub max_ratio: u64,
    /// Files up to this size are harmless whatever their ratio.
    pub ratio_from: u64,
    /// Bytes of a text file: XHTML, CSS, SVG. A tree takes some ten times its text.
    pub max_text_bytes: u64,
    /// Bytes of container, package, encryption and contents. 20,000 items take 4 MB.
    pub max_package_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_members: 20_000,
            max_directory_bytes: 16 << 20,
            max_member_bytes: 256 << 20,
            max_total_bytes: 4 << 30,
            max_ratio: 200,
            ratio_from: 16 << 20,
            max_text_bytes: 32 << 20,
            max_package_bytes: 8 << 20,
        }
    }
}

/// Why a book cannot be opened; clauses without the file's name, for `FILE: ...`.
#[derive(Debug, Error)]
pub enum BookError {
    /// It never will be: a limit, a lock, no EPUB.
    #[error("{0}")]
    Refused(String),
    /// It is incomplete: it may still be on its way.
    #[error("{0}")]
    Damaged(String),
    /// The machine could not read the file.
    #[error("cannot be read")]
    Machine(#[source] io::Error),
}

/// Why a file of the container cannot be read; clauses, for `PATH ...`.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("is missing from the container")]
    Missing,
    #[error("is encrypted")]
    Locked,
    #[error("unpacks to {} KB, more than {}", .size >> 10, .most >> 10)]
    TooLarge { size: u64, most: u64 },
    #[error("cannot be unpacked: {0}")]
    Broken(String),
    /// The machine could not read the EPUB: says nothing of the book.
    #[error("cannot be read")]
    Machine(#[source] io::Error),
}

/// A document in the order of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpineItem {
    /// As the container has it; where it lacks it, as the package names it.
    pub path: String,
    /// In lower case: `application/xhtml+xml`, `image/svg+xml`, `image/jpeg`.
    pub media_type: String,
    /// Whether it belongs to the order of reading.
    pub linear: bool,
    /// Not in the container: it keeps its place, to be marked.
    pub missing: bool,
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("/xml")
        || media_type.starts_with("application/x-dtb")
}

fn by_ending(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    Some(match &*ending.to_ascii_lowercase() {
        "xhtml" | "html" | "htm" | "xht" => "application/xhtml+xml",
        "css" => "text/css",
        "svg" => "image/svg+xml",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ncx" => "application/x-dtbncx+xml",
        "xml" | "opf" => "application/xml",
        _ => return None,
    })
}

/// Encrypted bytes have no reason to begin with a tag.
fn looks_like_markup(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1024)];
    decode(head)
        .0
        .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}')
        .starts_with('<')
}

/// A name for a sentence: control characters shown, at most 80 characters.
fn quote(name: &str) -> String {
    let mut short: String = name.chars().take(80).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
        .chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

/// `a, b, c and 17 more`.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| quote(n)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
