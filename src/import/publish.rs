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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pack::{Pack, SCHEMA};

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA,
            name: "m".into(),
            engine: "paddle".into(),
            licence: "MIT".into(),
            files: BTreeMap::new(),
            deepseek: None,
            formula: None,
        }
    }

    fn go(_: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn make(models: &Path, text: &str, replace: bool) -> Result<PathBuf, ImportError> {
        let target = Target::new(models, "m", replace)?;
        let mut progress = go;
        let mut staging = Staging::begin(target, text.len() as u64, &mut progress)?;
        staging.add("layout", "m.onnx", |sink| sink(text.as_bytes()))?;
        staging.publish(manifest())
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_pack_appears_whole_and_is_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let path = make(&models, "one", false).unwrap();
        let digest = Pack::open(&path, "paddle").unwrap();
        digest.verify().unwrap();
        let again = make(&models, "two", false);
        assert!(matches!(again, Err(ImportError::Exists { .. })));
        assert_eq!(fs::read(path.join("m.onnx")).unwrap(), b"one");
        make(&models, "two", true).unwrap();
        Pack::open(&path, "paddle").unwrap().verify().unwrap();
        assert_eq!(fs::read(path.join("m.onnx")).unwrap(), b"two");
        assert_eq!(names(&models), ["m"]);
    }

    #[test]
    fn a_folder_that_is_no_pack_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("m")).unwrap();
        fs::write(dir.path().join("m/letter.txt"), b"dear").unwrap();
        assert!(make(dir.path(), "x", true).is_err());
        assert!(dir.path().join("m/letter.txt").is_file());
        assert_eq!(names(dir.path()), ["m"]);
    }

    #[test]
    fn leftovers_go_and_what_a_running_import_holds_stays() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(format!("{STAGING}other"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("weights.bin"), b"half").unwrap();
        let held = dir.path().join(format!("{STAGING}held"));
        fs::create_dir(&held).unwrap();
        let lock = lock(&held).unwrap().unwrap();
        make(dir.path(), "one", false).unwrap();
        assert!(!left.exists() && held.exists());
        // Of the same name as the one that runs.
        let own = dir.path().join(format!("{STAGING}m"));
        fs::rename(&held, &own).unwrap();
        let text = make(dir.path(), "two", true).unwrap_err().to_string();
        assert!(text.contains("another import"), "{text}");
        assert!(own.exists());
        drop(lock);
        make(dir.path(), "two", true).unwrap();
        assert_eq!(names(dir.path()), ["m"]);
    }

    #[test]
    fn one_that_is_stopped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::new(dir.path(), "m", false).unwrap();
        let mut told = Vec::new();
        let mut progress = |done, total| {
            told.push((done, total));
            if done < 2 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let mut staging = Staging::begin(target, 3, &mut progress).unwrap();
        let ended = staging.add("layout", "m.onnx", |sink| {
            for _ in 0..3 {
                sink(b"x")?;
            }
            Ok(())
        });
        assert!(matches!(ended, Err(ImportError::Cancelled)));
        drop(staging);
        assert_eq!(told, [(1, 3), (2, 3)]);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_disk_that_is_too_small_is_an_error_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("not/there/yet");
        let target = Target::new(&models, "m", false).unwrap();
        target.check_space(1).unwrap();
        let e = target.check_space(u64::MAX / 2).unwrap_err();
        assert!(matches!(e, ImportError::Space { .. }), "{e}");
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn names_are_plain_folder_names() {
        for good in ["DeepSeek-OCR", "m", "a.b_c-1"] {
            assert!(valid_name(good), "{good}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for bad in [
            "", ".", "..", ".hidden", "a/b", "../a", "a b", "ä", "a\0", &long,
        ] {
            assert!(!valid_name(bad), "{bad}");
        }
    }
}
