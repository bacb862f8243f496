//! From an open file to a [`Book`], step by step: directory, package, locks, spine, contents.
//!
//! The order matters: nothing of the book is understood before the directory is judged, and no
//! document is read before it is known that none is locked.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use super::contents::{self, Entry};
use super::guard::{self, Archive, Member};
use super::markup::Markup;
use super::names::{Names, Target};
use super::package::{Item, Package};
use super::protection::Protection;
use super::{BookError, Limits, ReadError, SpineItem};
use super::{by_ending, is_text, list, looks_like_markup, quote};
use crate::document::flow::Metadata;

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
    machine_fault: Option<String>,
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
            machine_fault: None,
        };
        let path = book.package_path()?;
        let bytes = book.need(&path)?;
        let package = Package::read(&bytes, limits.max_members)
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
        let read = self.unpack(path, most);
        if let Err(ReadError::Machine(e)) = &read {
            self.machine_fault.get_or_insert_with(|| e.to_string());
        }
        read
    }

    /// The first fault of the machine over [`Self::read`].
    pub fn machine_fault(&self) -> Option<&str> {
        self.machine_fault.as_deref()
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
