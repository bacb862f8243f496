//! A pack's folder: staged beside its final place, synced, published in one step.
//!
//! A reader of `models/` sees no half pack: the staging folder is hidden, and one rename (or, when
//! a pack is replaced, one exchange) makes it the pack. A crash leaves at most the staging folder,
//! which the next import removes. An import holds a lock on its staging folder, so that no other
//! takes it for such a leftover.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::error::ImportError;
use crate::durable::{self, FileError, Staged};
use crate::pack::{MANIFEST, Manifest, PackFile};

/// Before the names of staging folders.
const STAGING: &str = ".dropleaf-import-";
/// Longest name of a pack.
const MAX_NAME: usize = 100;
/// Left free on the disk: the folders' own blocks, `pack.toml`.
const SPARE: u64 = 16 << 20;

/// Told after each written piece: bytes written and bytes in all. `Break` ends the import.
pub type OnProgress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// Whether `name` can be the name of a pack: a plain, visible folder name.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Where a pack will stand. Nothing is written by it.
pub struct Target {
    models: PathBuf,
    path: PathBuf,
    stage: PathBuf,
    replace: bool,
}

impl Target {
    /// The pack `name` under `models`; one that is there already is replaced only when `replace`
    /// is set, and a folder that is no pack never.
    pub fn new(models: &Path, name: &str, replace: bool) -> Result<Self, ImportError> {
        let path = models.join(name);
        let there = path.symlink_metadata().is_ok();
        if there && !replace {
            return Err(ImportError::Exists { path });
        }
        if there && !path.join(MANIFEST).is_file() {
            return Err(ImportError::file(
                &path,
                "something that is no model pack is there",
                "choose another --name, or move it away",
            ));
        }
        Ok(Self {
            models: models.into(),
            stage: models.join(format!("{STAGING}{name}")),
            path,
            replace: there,
        })
    }

    /// Whether `bytes` more fit on the disk.
    pub fn check_space(&self, bytes: u64) -> Result<(), ImportError> {
        let mut place = self.models.as_path();
        while !place.exists() {
            place = match place.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
        }
        let stat = rustix::fs::statvfs(place).map_err(|e| FileError {
            what: "look for free space at",
            path: place.into(),
            source: e.into(),
        })?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let needed = bytes.saturating_add(SPARE);
        if free < needed {
            return Err(ImportError::Space {
                path: self.models.clone(),
                needed,
                free,
            });
        }
        Ok(())
    }
}

/// A pack being written; dropped unpublished, it leaves nothing.
pub struct Staging<'a> {
    target: Target,
    files: BTreeMap<String, PackFile>,
    written: u64,
    total: u64,
    progress: &'a mut OnProgress<'a>,
    published: bool,
    _lock: File,
}

impl<'a> Staging<'a> {
    /// Begins a pack of `total` bytes; removes what interrupted imports left.
    pub fn begin(
        target: Target,
        total: u64,
        progress: &'a mut OnProgress<'a>,
    ) -> Result<Self, ImportError> {
        durable::create_dir_all(&target.models)?;
        remove_leftovers(&target.models)?;
        durable::create_dir_all(&target.stage)?;
        let lock = lock(&target.stage)?.ok_or_else(|| {
            ImportError::file(
                &target.path,
                "another import of this name is running",
                "wait for it, or choose another --name",
            )
        })?;
        Ok(Self {
            target,
            files: BTreeMap::new(),
            written: 0,
            total,
            progress,
            published: false,
            _lock: lock,
        })
    }

    /// Adds a file for `role`; `fill` hands its bytes over in pieces.
    pub fn add(
        &mut self,
        role: &str,
        name: &str,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), ImportError>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut file = Staged::create(&self.target.stage.join(name))?;
        let mut hash = Sha256::new();
        fill(&mut |bytes| {
            file.write(bytes)?;
            hash.update(bytes);
            self.written += bytes.len() as u64;
            match (self.progress)(self.written, self.total) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(ImportError::Cancelled),
            }
        })?;
        file.finish()?;
        let entry = PackFile {
            file: name.into(),
            sha256: durable::hex(&hash.finalize()),
        };
        self.files.insert(role.into(), entry);
        Ok(())
    }

    /// Writes the manifest (its `files` are those that were added) and publishes the pack.
    pub fn publish(mut self, mut manifest: Manifest) -> Result<PathBuf, ImportError> {
        manifest.files = std::mem::take(&mut self.files);
        let (stage, path) = (&self.target.stage, &self.target.path);
        let file = stage.join(MANIFEST);
        let text = toml::to_string(&manifest)
            .map_err(|e| ImportError::Bug(format!("{}: {e}", file.display())))?;
        durable::write_staged(&file, text.as_bytes())?;
        durable::sync_dir(stage)?;
        if self.target.replace {
            durable::exchange(stage, path)?;
            // The old pack has the staging folder's name now.
            durable::remove_dir_all(stage)?;
        } else if !durable::rename_new(stage, path)? {
            return Err(ImportError::Exists { path: path.clone() });
        }
        self.published = true;
        Ok(path.clone())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now, the next import removes.
            let _ = durable::remove_dir_all(&self.target.stage);
        }
    }
}

/// Removes staging folders that no running import holds.
fn remove_leftovers(models: &Path) -> Result<(), ImportError> {
    let entries = std::fs::read_dir(models).map_err(|source| FileError {
        what: "read",
        path: models.into(),
        source,
    })?;
    for entry in entries.flatten() {
        let is_staging = |name: &OsStr| name.as_encoded_bytes().starts_with(STAGING.as_bytes());
        if is_staging(&entry.file_name()) && lock(&entry.path())?.is_some() {
            durable::remove_dir_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Locks a folder until the file is closed; `None` when another process has it.
fn lock(folder: &Path) -> Result<Option<File>, ImportError> {
    let fail = |source| FileError {
        what: "lock",
        path: folder.into(),
        source,
    };
    let file = File::open(folder).map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(fail(e.into()).into()),
    }
}
