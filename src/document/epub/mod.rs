//! The container of an EPUB: what is in it, in which order, what the book says of itself.
//!
//! [`Book::open`] judges the ZIP directory, finds the package, refuses locked books and keeps what
//! the rest needs: metadata, spine, contents, names. Members are unpacked one at a time by
//! [`Book::read`], bounded by their declared and by the allowed size. Crate `zip` unpacks, crate
//! `epub` understands the package (see [`package`]). Nothing is fetched, nothing is written, no
//! file but the EPUB is opened. Any bytes end in a book or an error; what is amiss with a book
//! that can be read stands in [`Book::faults`].

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

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use thiserror::Error;

pub use contents::Entry;
pub use names::{Names, Target, resolve};

use super::flow::Metadata;
use guard::{Archive, Member};
use markup::Markup;
use package::{Item, Package};
use protection::Protection;

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

/// An open EPUB.
pub struct Book {
    pub metadata: Metadata,
    /// At least one item is there.
    pub spine: Vec<SpineItem>,
    /// In the order of the table of contents.
    pub contents: Vec<Entry>,
    /// What is amiss with the container, a sentence each, at most one for each kind.
    pub faults: Vec<String>,
    archive: Archive,
    members: Vec<Member>,
    names: Arc<Names>,
    locked: HashSet<usize>,
    media_types: HashMap<usize, String>,
    limits: Limits,
}

impl Book {
    /// Opens an EPUB 2 or 3.
    pub fn open(file: File, limits: &Limits) -> Result<Self, BookError> {
        let directory = guard::directory(file, limits)?;
        let names = Names::new(directory.members.iter().map(|m| m.name.clone()));
        let mut book = Self {
            metadata: Metadata::default(),
            spine: Vec::new(),
            contents: Vec::new(),
            faults: directory.faults,
            archive: directory.archive,
            members: directory.members,
            names: Arc::new(names),
            locked: HashSet::new(),
            media_types: HashMap::new(),
            limits: limits.clone(),
        };
        let path = book.package_path()?;
        let bytes = book.need(&path)?;
        let package = Package::read(&bytes)
            .map_err(|e| BookError::Refused(format!("its package {} {e}", quote(&path))))?;
        let protection = book.protection()?;
        book.manifest(&path, &package);
        book.set_spine(&path, &package)?;
        book.refuse_locked(protection)?;
        book.metadata = package.metadata.clone();
        book.contents = book.table_of_contents(&path, &package)?;
        Ok(book)
    }

    /// Unpacks the file at `path` (as [`SpineItem::path`] and [`Target::Inside`] have it): whole,
    /// at most `max_member_bytes`, text at most `max_text_bytes`.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, ReadError> {
        let text = self.media_type(path).is_some_and(is_text);
        let most = if text {
            self.limits.max_text_bytes
        } else {
            self.limits.max_member_bytes
        };
        self.unpack(path, most)
    }

    /// In lower case, as the manifest says; where it says nothing, by the name's ending.
    pub fn media_type(&self, path: &str) -> Option<&str> {
        let index = self.names.find(path)?;
        self.media_types
            .get(&index)
            .map(String::as_str)
            .or_else(|| by_ending(path))
    }

    /// The names of the container, to resolve references with.
    pub fn names(&self) -> Arc<Names> {
        self.names.clone()
    }

    fn unpack(&mut self, path: &str, most: u64) -> Result<Vec<u8>, ReadError> {
        let index = self.names.find(path).ok_or(ReadError::Missing)?;
        if self.locked.contains(&index) {
            return Err(ReadError::Locked);
        }
        guard::unpack(&mut self.archive, index, &self.members[index], most)
    }

    /// A file without which there is no book.
    fn need(&mut self, path: &str) -> Result<Vec<u8>, BookError> {
        self.unpack(path, self.limits.max_package_bytes)
            .map_err(|e| match e {
                ReadError::Machine(e) => BookError::Machine(e),
                ReadError::Locked => BookError::Refused("is protected by a ZIP password".into()),
                e @ ReadError::Broken(_) => {
                    BookError::Damaged(format!("is damaged: {} {e}", quote(path)))
                }
                e => BookError::Refused(format!("cannot be opened: {} {e}", quote(path))),
            })
    }

    /// A file that a book may lack; a fault where it is there and cannot be read.
    fn want(&mut self, path: &str) -> Result<Option<Vec<u8>>, BookError> {
        match self.unpack(path, self.limits.max_package_bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ReadError::Machine(e)) => Err(BookError::Machine(e)),
            Err(ReadError::Missing) => Ok(None),
            Err(e) => {
                self.faults.push(format!("{} {e}", quote(path)));
                Ok(None)
            }
        }
    }

    /// The first package that `META-INF/container.xml` names.
    fn package_path(&mut self) -> Result<String, BookError> {
        const CONTAINER: &str = "META-INF/container.xml";
        if self.names.find(CONTAINER).is_none() {
            return Err(BookError::Refused(format!(
                "holds no {CONTAINER}: it is not an EPUB"
            )));
        }
        let bytes = self.need(CONTAINER)?;
        let markup = Markup::parse(&bytes)
            .map_err(|e| BookError::Refused(format!("its {CONTAINER} {e}")))?;
        let roots = || markup.elements().filter(|(_, e)| e.name == "rootfile");
        let root = roots()
            .find(|(_, e)| e.get("media-type") == Some("application/oebps-package+xml"))
            .or_else(|| roots().next())
            .and_then(|(_, e)| e.get("full-path"))
            .filter(|path| !path.trim().is_empty());
        let Some(root) = root else {
            return Err(BookError::Refused(format!(
                "its {CONTAINER} names no package"
            )));
        };
        match self.names.resolve("", root) {
            Some(Target::Inside { path, .. }) => Ok(path),
            _ => Err(BookError::Refused(format!(
                "its {CONTAINER} names a package outside of the container: {}",
                quote(root)
            ))),
        }
    }

    fn protection(&mut self) -> Result<Protection, BookError> {
        let names = self.names();
        let mut machine = None;
        let protection = Protection::read(&names, |path| {
            self.want(path).unwrap_or_else(|e| {
                machine = Some(e);
                None
            })
        });
        if let Some(e) = machine {
            return Err(e);
        }
        protection.map_err(|e| BookError::Refused(format!("its META-INF/encryption.xml {e}")))
    }

    /// Media types, and what the manifest names and the container lacks.
    fn manifest(&mut self, package: &str, of: &Package) {
        let mut missing = Vec::new();
        let mut items: Vec<(&String, &Item)> = of.items.iter().collect();
        items.sort_unstable_by_key(|(id, _)| *id);
        for (_, item) in items {
            match self.names.resolve(package, &item.href) {
                Some(Target::Inside { path, .. }) => match self.names.find(&path) {
                    Some(index) if !item.media_type.is_empty() => {
                        self.media_types.insert(index, item.media_type.clone());
                    }
                    Some(_) => {}
                    None => missing.push(path),
                },
                // Sound and video may lie outside; they are not fetched.
                Some(Target::Outside(_)) => {}
                None => missing.push(item.href.clone()),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            self.faults.push(format!(
                "the manifest names what the container lacks: {}",
                list(&missing)
            ));
        }
    }

    fn set_spine(&mut self, package: &str, of: &Package) -> Result<(), BookError> {
        let (mut seen, mut unknown, mut twice) = (HashSet::new(), Vec::new(), Vec::new());
        for (id, linear) in &of.spine {
            let item = of.shown(id);
            if item.is_none() {
                unknown.push(id.clone());
            }
            let mut spine_item = self.spine_item(package, item, id);
            spine_item.linear = *linear;
            if seen.insert(spine_item.path.clone()) {
                self.spine.push(spine_item);
            } else {
                twice.push(spine_item.path);
            }
            if self.spine.len() as u64 > self.limits.max_members {
                return Err(BookError::Refused(format!(
                    "its spine lists more than {} documents",
                    self.limits.max_members
                )));
            }
        }
        if !unknown.is_empty() {
            self.faults.push(format!(
                "the spine lists what the manifest lacks: {}",
                list(&unknown)
            ));
        }
        if !twice.is_empty() {
            self.faults.push(format!(
                "the spine lists files more than once: {}",
                list(&twice)
            ));
        }
        match self.spine.len() {
            0 => Err(BookError::Refused("its spine lists no documents".into())),
            n if self.spine.iter().all(|s| s.missing) => Err(BookError::Refused(format!(
                "holds none of the {n} documents that its spine lists"
            ))),
            _ => Ok(()),
        }
    }

    fn spine_item(&self, package: &str, item: Option<&Item>, id: &str) -> SpineItem {
        let target = item.and_then(|i| self.names.resolve(package, &i.href));
        let path = match (target, item) {
            (Some(Target::Inside { path, .. }), _) => path,
            (_, Some(item)) => item.href.clone(),
            _ => id.to_owned(),
        };
        SpineItem {
            media_type: self.media_type(&path).unwrap_or_default().to_owned(),
            missing: self.names.find(&path).is_none(),
            linear: true,
            path,
        }
    }

    /// A book of which a document of the spine is encrypted is locked.
    fn refuse_locked(&mut self, protection: Protection) -> Result<(), BookError> {
        let members: Vec<usize> = self
            .spine
            .iter()
            .filter_map(|s| self.names.find(&s.path))
            .collect();
        let locked = members
            .iter()
            .filter(|m| protection.locked.contains(m))
            .count();
        if locked > 0 {
            return Err(BookError::Refused(format!(
                "{}: {locked} of {} documents are encrypted",
                protection.sentence(),
                members.len()
            )));
        }
        if members.iter().any(|&m| self.members[m].locked) {
            return Err(BookError::Refused("is protected by a ZIP password".into()));
        }
        // A lock that encryption.xml is silent about shows in the documents themselves.
        if !protection.scheme.is_empty()
            && let Some(first) = self
                .spine
                .iter()
                .find(|s| !s.missing && is_text(&s.media_type))
                .map(|s| s.path.clone())
        {
            match self.read(&first) {
                Ok(bytes) if !looks_like_markup(&bytes) => {
                    return Err(BookError::Refused(protection.sentence()));
                }
                Err(ReadError::Machine(e)) => return Err(BookError::Machine(e)),
                _ => {}
            }
        }
        self.locked = protection.locked;
        Ok(())
    }

    fn table_of_contents(&mut self, package: &str, of: &Package) -> Result<Vec<Entry>, BookError> {
        let names = self.names();
        let place = |item: &Item| match names.resolve(package, &item.href) {
            Some(Target::Inside { path, .. }) => Some(path),
            _ => None,
        };
        let with = |wanted: &dyn Fn(&Item) -> bool| {
            let mut paths: Vec<String> = of
                .items
                .values()
                .filter(|i| wanted(i))
                .filter_map(place)
                .collect();
            paths.sort_unstable();
            paths.into_iter().next()
        };
        type Reader = fn(&[u8], &str, &Names) -> Result<Vec<Entry>, String>;
        let nav = with(&|i| i.properties.split_ascii_whitespace().any(|p| p == "nav"));
        let ncx = of
            .ncx
            .as_ref()
            .and_then(|id| of.items.get(id))
            .and_then(place)
            .or_else(|| with(&|i| i.media_type == "application/x-dtbncx+xml"));
        for (path, read) in [(nav, contents::nav as Reader), (ncx, contents::ncx)] {
            let Some(path) = path else { continue };
            let Some(bytes) = self.want(&path)? else {
                continue;
            };
            match read(&bytes, &path, &names) {
                Ok(entries) if !entries.is_empty() => return Ok(entries),
                Ok(_) => {}
                Err(e) => self.faults.push(format!("{} {e}", quote(&path))),
            }
        }
        Ok(Vec::new())
    }
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
    markup::decode(head)
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
