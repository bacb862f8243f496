//! Names in the container: what an href means, and which member it is.
//!
//! [`resolve`] is pure and never leads out of the container (EPUB 3.3, section 4.2.5, where
//! readers that clamp `..` at the root differ: nothing is read there). [`Names`] forgives what
//! real books get wrong: names that were stored percent-encoded, other case, backslashes.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of the container and, after `#`, a place in it; both decoded.
    Inside {
        path: String,
        fragment: Option<String>,
    },
    /// A URL for a person to follow: `http`, `https`, `mailto`, `tel`. Never fetched.
    Outside(String),
}

impl Target {
    /// `path#fragment`, or the URL.
    pub fn link(&self) -> String {
        match self {
            Self::Inside {
                path,
                fragment: Some(fragment),
            } => format!("{path}#{fragment}"),
            Self::Inside { path, .. } => path.clone(),
            Self::Outside(url) => url.clone(),
        }
    }
}

/// What `href` in the document `base` (a path in the container, not encoded) refers to. `None`:
/// `data:`, `file:`, `javascript:` and other schemes, `//host`, `..` above the container's root.
pub fn resolve(base: &str, href: &str) -> Option<Target> {
    let href = href.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control());
    if let Some(scheme) = scheme(href) {
        let known = ["http", "https", "mailto", "tel"];
        return known
            .iter()
            .any(|k| k.eq_ignore_ascii_case(scheme))
            .then(|| Target::Outside(href.to_owned()));
    }
    if href.starts_with("//") || href.starts_with("\\\\") {
        return None;
    }
    let (reference, fragment) = match href.split_once('#') {
        Some((reference, fragment)) => (reference, Some(decode(fragment))),
        None => (href, None),
    };
    let fragment = fragment.filter(|f| !f.is_empty());
    let reference = reference.split('?').next().unwrap_or_default();
    if reference.is_empty() {
        return Some(Target::Inside {
            path: base.to_owned(),
            fragment,
        });
    }
    let reference = decode(reference).replace('\\', "/");
    let folder = match (reference.starts_with('/'), base.rsplit_once('/')) {
        (false, Some((folder, _))) => folder,
        _ => "",
    };
    Some(Target::Inside {
        path: flatten(folder.split('/').chain(reference.split('/')))?,
        fragment,
    })
}

/// `https` of `https://x`; RFC 3986, section 3.1.
fn scheme(href: &str) -> Option<&str> {
    let (scheme, _) = href.split_once(':')?;
    let ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    ok.then_some(scheme)
}

/// What is not UTF-8 when decoded stays as it is.
fn decode(text: &str) -> String {
    percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| text.to_owned(), |t| t.into_owned())
}

/// Joins segments without `.` and `..`; `None` above the root, for nothing and for NUL.
fn flatten<'a>(segments: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut path: Vec<&str> = Vec::new();
    for segment in segments {
        match segment {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            segment if segment.contains('\0') => return None,
            segment => path.push(segment),
        }
    }
    (!path.is_empty()).then(|| path.join("/"))
}

/// A member's name with `/` between folders; `None` where it is absolute, has `..`, a drive or
/// NUL: such a member is never read.
pub(super) fn member_name(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if name.starts_with('/') || drive || name.split('/').any(|s| s == "..") {
        return None;
    }
    flatten(name.split('/'))
}

/// The members by name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    exact: HashMap<String, usize>,
    folded: HashMap<String, usize>,
    stored: Vec<String>,
}

impl Names {
    /// `names[i]` is the name of member `i`, if it may be read. Of equal names the first counts.
    pub(super) fn new(names: impl Iterator<Item = Option<String>>) -> Self {
        let mut all = Self::default();
        for (index, name) in names.enumerate() {
            if let Some(name) = &name {
                all.exact.entry(name.clone()).or_insert(index);
                all.folded.entry(fold(name)).or_insert(index);
            }
            all.stored.push(name.unwrap_or_default());
        }
        all
    }

    /// The member at `path`: by its very name, else decoded and without regard to case.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        self.exact
            .get(path)
            .or_else(|| self.folded.get(&fold(path)))
            .copied()
    }

    /// The name under which the container has `path`.
    pub fn stored(&self, path: &str) -> Option<&str> {
        self.stored.get(self.find(path)?).map(String::as_str)
    }

    /// [`resolve`], with the path as the container has it; a path that it lacks stays as it is.
    pub fn resolve(&self, base: &str, href: &str) -> Option<Target> {
        let target = resolve(base, href)?;
        Some(match target {
            Target::Inside { path, fragment } => Target::Inside {
                path: self.stored(&path).map_or(path.clone(), str::to_owned),
                fragment,
            },
            outside => outside,
        })
    }
}

fn fold(name: &str) -> String {
    decode(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(path: &str, fragment: Option<&str>) -> Option<Target> {
        Some(Target::Inside {
            path: path.into(),
            fragment: fragment.map(str::to_owned),
        })
    }

    #[test]
    fn hrefs_resolve_within_the_container() {
        for (base, href, path, fragment) in [
            ("OEBPS/text/a.xhtml", "b.xhtml", "OEBPS/text/b.xhtml", None),
            ("OEBPS/text/a.xhtml", "../i/p.png", "OEBPS/i/p.png", None),
            ("OEBPS/a.xhtml", "#n1", "OEBPS/a.xhtml", Some("n1")),
            ("OEBPS/a.xhtml", "", "OEBPS/a.xhtml", None),
            ("OEBPS/a.xhtml", "b.xhtml#", "OEBPS/b.xhtml", None),
            ("OEBPS/a.xhtml", "/top.xhtml", "top.xhtml", None),
            ("a.xhtml", "./b//c.xhtml", "b/c.xhtml", None),
            (
                "a.xhtml",
                "caf%C3%A9%20x.xhtml#%C3%A9",
                "café x.xhtml",
                Some("é"),
            ),
            ("a.xhtml", "text%2Fb.xhtml", "text/b.xhtml", None),
            ("a.xhtml", "text\\b.xhtml", "text/b.xhtml", None),
            ("a.xhtml", "b%FF.xhtml", "b%FF.xhtml", None),
            ("a.xhtml", "b.xhtml?x=1#y", "b.xhtml", Some("y")),
            ("50%25/a.xhtml", "b.xhtml", "50%25/b.xhtml", None),
        ] {
            assert_eq!(resolve(base, href), inside(path, fragment), "{base} {href}");
        }
    }

    #[test]
    fn what_leads_out_is_a_link_or_nothing() {
        for url in ["https://x.org/a#b", "HTTP://x.org", "mailto:a@b.c", "tel:1"] {
            assert_eq!(resolve("a", url), Some(Target::Outside(url.into())));
        }
        for href in [
            "file:///etc/passwd",
            "data:image/png;base64,AA",
            "javascript:alert(1)",
            " java\u{0}script:x",
            "//host/x.png",
            "\\\\host\\x.png",
            "C:\\x.png",
            "../../x",
            "%2e%2e/%2e%2e/x",
            "..%2f..%2fx",
            "/../x",
            "x%00.png",
            "/",
            "..",
        ] {
            assert_eq!(resolve("OEBPS/a.xhtml", href), None, "{href}");
        }
    }

    #[test]
    fn members_with_dangerous_names_are_never_read() {
        assert_eq!(member_name("a\\b.png").as_deref(), Some("a/b.png"));
        assert_eq!(member_name("./a").as_deref(), Some("a"));
        for name in [
            "../a",
            "a/../b",
            "/etc/passwd",
            "C:/x",
            "a\0b",
            "",
            "\\\\h\\x",
        ] {
            assert_eq!(member_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn names_are_found_as_books_write_them() {
        let stored = ["OEBPS/Ch%201.xhtml", "OEBPS/Image.PNG", "x", "X"];
        let names = Names::new(stored.iter().map(|n| Some((*n).to_owned())));
        assert_eq!(names.stored("OEBPS/Ch 1.xhtml"), Some("OEBPS/Ch%201.xhtml"));
        assert_eq!(names.stored("oebps/image.png"), Some("OEBPS/Image.PNG"));
        assert_eq!((names.find("x"), names.find("X")), (Some(2), Some(3)));
        assert_eq!(names.stored("none"), None);
        assert_eq!(
            names.resolve("OEBPS/a", "ch%201.XHTML#p"),
            inside("OEBPS/Ch%201.xhtml", Some("p"))
        );
    }
}
