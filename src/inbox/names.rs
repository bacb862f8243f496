//! Names that are never arrivals. Pure.

/// Hidden, partial and housekeeping names of browsers, office programs, sync tools and NAS boxes;
/// `*` matches any run of characters, `?` one.
const IGNORED: [&str; 17] = [
    ".*",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.tmp",
    "*.filepart",
    "*.opdownload",
    "~$*",
    ".~lock.*",
    "._*",
    "Thumbs.db",
    "desktop.ini",
    ".syncthing.*",
    ".stfolder",
    "@eaDir",
    "lost+found",
];

/// Whether a file or folder of this name is left alone.
pub fn ignored(name: &str, more: &[String]) -> bool {
    IGNORED
        .iter()
        .copied()
        .chain(more.iter().map(String::as_str))
        .any(|p| matches(p, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut i, mut j) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while j < n.len() {
        match p.get(i) {
            Some('*') => {
                back = Some((i, j));
                i += 1;
            }
            Some(&c) if c == '?' || c == n[j] => {
                i += 1;
                j += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    i = star + 1;
                    j = from + 1;
                    back = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    p[i..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_and_hidden_names_are_ignored() {
        for name in [
            ".a.pdf",
            "a.pdf.part",
            "~$a.docx",
            "Thumbs.db",
            "@eaDir",
            "a.crdownload",
        ] {
            assert!(ignored(name, &[]), "{name}");
        }
        for name in ["a.pdf", "part", "a.tmp.pdf", "~a.pdf"] {
            assert!(!ignored(name, &[]), "{name}");
        }
        assert!(ignored("scan-07.pdf", &["scan-??.*".into()]));
        assert!(!ignored("scan-7.pdf", &["scan-??.*".into()]));
    }
}
