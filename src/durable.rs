//! The only place that creates, renames or removes the users' documents and outputs.
//!
//! Every operation is durable when it returns (file and folder synced) and carries its path in
//! its error. In builds with debug assertions `DROPLEAF_CRASH_AT=k` aborts the process just
//! before the k-th operation, so that tests can enumerate the crash points.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

/// An operation on a file that failed: what was tried, where, why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct FileError {
    pub what: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Whether the file was simply not there.
    pub fn not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

pub type Result<T> = std::result::Result<T, FileError>;

fn at<T>(what: &'static str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| FileError {
        what,
        path: path.to_path_buf(),
        source,
    })
}

/// Counts a durable operation; tests abort here (see the module).
pub fn crash_point() {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU64, Ordering};
        static DONE: AtomicU64 = AtomicU64::new(0);
        static AT: OnceLock<Option<u64>> = OnceLock::new();
        let at = AT.get_or_init(|| std::env::var("DROPLEAF_CRASH_AT").ok()?.parse().ok());
        let now = DONE.fetch_add(1, Ordering::SeqCst) + 1;
        if *at == Some(now) {
            std::process::abort();
        }
    }
}

/// Makes entries of a folder durable.
pub fn sync_dir(path: &Path) -> Result<()> {
    at("sync", path, File::open(path).and_then(|f| f.sync_all()))
}

/// Creates a folder and its parents, durably. An existing folder is fine.
pub fn create_dir_all(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    crash_point();
    at("create the folder", path, fs::create_dir_all(path))?;
    parent(path).map_or(Ok(()), sync_dir)
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|p| !p.as_os_str().is_empty())
}

/// Writes a new file of a staged folder and syncs its bytes. Not atomic: staged folders are.
pub fn write_staged(path: &Path, bytes: &[u8]) -> Result<()> {
    crash_point();
    at(
        "write",
        path,
        (|| {
            let mut file = File::create(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        })(),
    )
}

/// A file of a staged folder that grows piece by piece.
pub struct Staged {
    path: PathBuf,
    file: io::BufWriter<File>,
}

impl Staged {
    pub fn create(path: &Path) -> Result<Self> {
        crash_point();
        let file = at("create", path, File::create(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: io::BufWriter::new(file),
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        at("write", &self.path, self.file.write_all(bytes))
    }

    /// Removes what was written.
    pub fn discard(self) -> Result<()> {
        let path = self.path.clone();
        drop(self);
        remove_file(&path)
    }

    /// Flushes and syncs.
    pub fn finish(mut self) -> Result<()> {
        crash_point();
        at(
            "write",
            &self.path,
            self.file
                .flush()
                .and_then(|()| self.file.get_ref().sync_all()),
        )
    }
}

/// Where a file is written before it takes its name: beside it, hidden, and the same each time, so
/// that a write that a crash cut off is overwritten by the next and nothing is left behind.
fn draft(path: &Path) -> PathBuf {
    const MARK: &str = ".dropleaf-";
    let name = path.file_name().unwrap_or_default();
    let mut hidden = OsString::from(MARK);
    hidden.push(shortened(name, 255 - MARK.len()));
    path.with_file_name(hidden)
}

/// Replaces `path` by `bytes` in one step: readers see the old content or the new.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    crash_point();
    at(
        "write",
        path,
        (|| {
            let draft = draft(path);
            let mut file = File::create(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)
        })(),
    )?;
    parent(path).map_or(Ok(()), sync_dir)
}

/// Renames without ever replacing; `Ok(false)` when `to` exists already.
/// Across file systems: copy, sync, verify by SHA-256, then unlink.
pub fn rename_new(from: &Path, to: &Path) -> Result<bool> {
    crash_point();
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Ok(false),
        Err(rustix::io::Errno::XDEV) => return move_across(from, to),
        // File systems without RENAME_NOREPLACE (NFS, some FUSE): a hard link never replaces, nor
        // does a folder's rename replace more than an empty folder.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if from.is_dir() => {
            if !rename_folder(from, to)? {
                return Ok(false);
            }
        }
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if from.is_file() => {
            match fs::hard_link(from, to) {
                Ok(()) => at("remove", from, fs::remove_file(from))?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(e) => return at("move", from, Err(e)),
            }
        }
        Err(e) => return at("move", from, Err(e.into())),
    }
    for folder in [parent(to), parent(from)].into_iter().flatten() {
        sync_dir(folder)?;
    }
    Ok(true)
}

fn rename_folder(from: &Path, to: &Path) -> Result<bool> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    if to.symlink_metadata().is_ok() {
        return Ok(false);
    }
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory) => {
            Ok(false)
        }
        Err(e) => at("move", from, Err(e)),
    }
}

fn move_across(from: &Path, to: &Path) -> Result<bool> {
    if to.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let digest = digest(from)?;
    let placed = at(
        "copy",
        from,
        (|| {
            let draft = draft(to);
            let mut copy = File::create(&draft)?;
            let mut source = File::open(from)?;
            let meta = source.metadata()?;
            io::copy(&mut source, &mut copy)?;
            // Some shares know no permissions.
            let _ = copy.set_permissions(meta.permissions());
            copy.set_modified(meta.modified()?)?;
            copy.sync_all()?;
            let copied = self::digest(&draft).map_err(|e| e.source)?;
            if copied != digest {
                return Err(io::Error::other("the copy differs from the original"));
            }
            let taken = match renameat_with(CWD, &draft, CWD, to, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(true),
                Err(rustix::io::Errno::EXIST) => true,
                // File systems without RENAME_NOREPLACE: a hard link never replaces.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                    match fs::hard_link(&draft, to) {
                        Ok(()) => false,
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => true,
                        Err(e) => return Err(e),
                    }
                }
                Err(e) => return Err(e.into()),
            };
            fs::remove_file(&draft)?;
            Ok(!taken)
        })(),
    )?;
    if !placed {
        return Ok(false);
    }
    parent(to).map_or(Ok(()), sync_dir)?;
    crash_point();
    at("remove", from, fs::remove_file(from))?;
    parent(from).map_or(Ok(()), sync_dir)?;
    Ok(true)
}

/// Exchanges two paths, both durable: in one step, where the file system can.
pub fn exchange(a: &Path, b: &Path) -> Result<()> {
    crash_point();
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => exchange_by_renames(a, b)?,
        Err(e) => return at("exchange", b, Err(e.into())),
    }
    for folder in [parent(a), parent(b)].into_iter().flatten() {
        sync_dir(folder)?;
    }
    Ok(())
}

/// For a moment nothing has the name `b`. A crash leaves what was there beside `a`, with `.old`
/// after its name; `a` or `b` is then absent.
fn exchange_by_renames(a: &Path, b: &Path) -> Result<()> {
    let old = beside(a, ".old");
    // Left by a crash; what was exchanged then stands at its place.
    remove_dir_all(&old)?;
    at("exchange", b, fs::rename(b, &old))?;
    if let Err(e) = fs::rename(a, b) {
        // As it was, as far as that can be had.
        let _ = fs::rename(&old, b);
        return at("exchange", b, Err(e));
    }
    at("exchange", b, fs::rename(&old, a))
}

/// Removes a folder of our own with all it holds; an absent one is fine.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    crash_point();
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => at("remove", path, other),
    }
}

/// Removes a file of our own; an absent one is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    crash_point();
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => at("remove", path, other),
    }
}

/// SHA-256 of a file, hexadecimal.
pub fn digest(path: &Path) -> Result<String> {
    at(
        "read",
        path,
        (|| {
            let mut file = File::open(path)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0u8; 1 << 18];
            loop {
                let n = file.read(&mut buffer)?;
                if n == 0 {
                    return Ok(hex(&hash.finalize()));
                }
                hash.update(&buffer[..n]);
            }
        })(),
    )
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `name` numbered: `n` 1 is the name itself, then `a-2.pdf`, `a-3.pdf`; kept within 255 bytes
/// (the limit of Linux file systems) by shortening the stem.
pub fn numbered(name: &OsStr, n: u32) -> OsString {
    let bytes = name.as_bytes();
    if n <= 1 && bytes.len() <= 255 {
        return name.to_os_string();
    }
    let (stem, ext) = match bytes.iter().rposition(|&b| b == b'.') {
        Some(dot) if dot > 0 && bytes.len() - dot <= 16 => bytes.split_at(dot),
        _ => (bytes, &[][..]),
    };
    let tail = if n <= 1 {
        String::new()
    } else {
        format!("-{n}")
    };
    let mut out = shortened(OsStr::from_bytes(stem), 255 - ext.len() - tail.len()).into_vec();
    out.extend_from_slice(tail.as_bytes());
    out.extend_from_slice(ext);
    OsString::from_vec(out)
}

/// The first `room` bytes of a name, not cut in the middle of a UTF-8 sequence.
pub fn shortened(name: &OsStr, room: usize) -> OsString {
    let bytes = name.as_bytes();
    let mut keep = bytes.len().min(room);
    while keep > 1 && keep < bytes.len() && bytes[keep] & 0xc0 == 0x80 {
        keep -= 1;
    }
    OsString::from_vec(bytes[..keep].to_vec())
}

/// The path of a file that accompanies `path`: its name with `suffix`, kept within 255 bytes.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = shortened(path.file_name().unwrap_or_default(), 255 - suffix.len());
    name.push(suffix);
    path.with_file_name(name)
}

/// Moves `from` into `folder` under the first free numbered form of `name`, starting at `first`.
pub fn move_into(from: &Path, folder: &Path, name: &OsStr, first: u32) -> Result<PathBuf> {
    create_dir_all(folder)?;
    let mut n = first.max(1);
    loop {
        let to = folder.join(numbered(name, n));
        if rename_new(from, &to)? {
            return Ok(to);
        }
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.pdf"), b"one").unwrap();
        fs::create_dir(dir.path().join("done")).unwrap();
        fs::write(dir.path().join("done/a.pdf"), b"other").unwrap();
        let to = move_into(
            &dir.path().join("a.pdf"),
            &dir.path().join("done"),
            OsStr::new("a.pdf"),
            1,
        )
        .unwrap();
        assert_eq!(to, dir.path().join("done/a-2.pdf"));
        assert_eq!(fs::read(dir.path().join("done/a.pdf")).unwrap(), b"other");
        assert!(!dir.path().join("a.pdf").exists());
    }

    #[test]
    fn folders_move_where_renames_have_no_flags() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|n| dir.path().join(n));
        for (folder, word) in [(&a, "new"), (&b, "old")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("x"), word).unwrap();
        }
        let word = |folder: &Path| fs::read_to_string(folder.join("x")).unwrap();
        assert!(!rename_folder(&a, &b).unwrap());
        fs::write(&c, "a file").unwrap();
        assert!(!rename_folder(&a, &c).unwrap());
        fs::remove_file(&c).unwrap();
        fs::create_dir(&c).unwrap();
        assert!(!rename_folder(&a, &c).unwrap());
        fs::remove_dir(&c).unwrap();
        exchange_by_renames(&a, &b).unwrap();
        assert_eq!((&*word(&a), &*word(&b)), ("old", "new"));
        assert!(!dir.path().join("a.old").exists());
        assert!(rename_folder(&a, &c).unwrap());
        assert_eq!(word(&c), "old");
        assert!(exchange_by_renames(&a, &b).is_err());
        assert_eq!(word(&b), "new", "what cannot be exchanged stays");
    }

    #[test]
    fn numbered_names_fit_the_file_system() {
        let long = OsString::from(format!("{}é.pdf", "x".repeat(249)));
        assert_eq!(long.len(), 255);
        assert_eq!(numbered(&long, 1), long);
        let second = numbered(&long, 2);
        assert!(second.len() <= 255 && second.to_str().is_some_and(|s| s.ends_with("-2.pdf")));
        assert_eq!(numbered(OsStr::new("a.b"), 3), "a-3.b");
        assert_eq!(numbered(OsStr::new(".hidden"), 2), ".hidden-2");
    }

    #[test]
    fn a_copy_across_file_systems_keeps_one_original() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, b"x").unwrap();
        assert!(move_across(&from, &to).unwrap());
        assert!(!from.exists());
        fs::write(&from, b"y").unwrap();
        assert!(!move_across(&from, &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"x");
        assert!(from.exists());
    }
}
