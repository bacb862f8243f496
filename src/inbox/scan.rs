//! What is in the inbox now.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::names::ignored;
use crate::job::Stamp;

/// Folders below the inbox that are looked into.
const MAX_DEPTH: usize = 64;

/// Regular files that are not empty, by path relative to `inbox`, in the order of their names.
/// Symbolic links are not followed. A folder that goes away or cannot be read during the scan is
/// logged and left out; an inbox that cannot be read is an error.
pub fn scan(inbox: &Path, ignore: &[String]) -> io::Result<Vec<(PathBuf, Stamp)>> {
    scan_again(inbox, ignore, &mut HashSet::new())
}

/// [`scan`], where folders in `unreadable` were told of before; it is brought up to date.
pub fn scan_again(
    inbox: &Path,
    ignore: &[String],
    unreadable: &mut HashSet<PathBuf>,
) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let told = std::mem::take(unreadable);
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0usize)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(inbox.join(&folder)) {
            Ok(entries) => entries,
            Err(e) if folder.as_os_str().is_empty() => return Err(e),
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => {
                if !told.contains(&folder) {
                    let at = inbox.join(&folder);
                    tracing::warn!("cannot read {}: {e}; what is in it waits", at.display());
                }
                unreadable.insert(folder);
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if ignored(&name.to_string_lossy(), ignore) {
                continue;
            }
            let Ok(meta) = entry.metadata() else { continue };
            let path = folder.join(&name);
            if meta.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else if meta.is_file() && meta.len() > 0 {
                found.push((path, Stamp::of_metadata(&meta)));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_with_content_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |p: &str| dir.path().join(p);
        fs::create_dir_all(at("b/@eaDir")).unwrap();
        for (p, text) in [
            ("z.pdf", "x"),
            ("b/a.pdf", "x"),
            ("empty.pdf", ""),
            ("b/@eaDir/t.pdf", "x"),
            (".h.pdf", "x"),
        ] {
            fs::write(at(p), text).unwrap();
        }
        std::os::unix::fs::symlink(at("z.pdf"), at("link.pdf")).unwrap();
        std::os::unix::fs::symlink(at("b"), at("linked")).unwrap();
        let found: Vec<_> = scan(dir.path(), &[])
            .unwrap()
            .into_iter()
            .map(|(p, _)| p)
            .collect();
        assert_eq!(found, [PathBuf::from("b/a.pdf"), "z.pdf".into()]);
        assert!(scan(&at("missing"), &[]).is_err());
    }
}
