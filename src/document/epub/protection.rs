//! Whether a book is locked, and by what.
//!
//! `META-INF/encryption.xml` says what is encrypted (EPUB OCF 3.3, section 4.2.6.3.2). Obfuscated
//! fonts are there too and lock nothing: fonts are not needed. A file of rights alone locks
//! nothing either, books freed of their lock often keep it; it names the lock where there is one.

use std::collections::HashSet;

use super::markup::Markup;
use super::names::{Names, Target, resolve};

/// Font obfuscation: IDPF's (EPUB OCF 3.3, section 4.4) and Adobe's.
const FONTS: [&str; 2] = [
    "http://www.idpf.org/2008/embedding",
    "http://ns.adobe.com/pdf/enc#RC",
];
const ENCRYPTION: &str = "META-INF/encryption.xml";

/// What of a book is encrypted.
#[derive(Debug, Default)]
pub(super) struct Protection {
    /// Numbers of members.
    pub locked: HashSet<usize>,
    /// `Adobe ADEPT`; empty where nothing in the book names a lock.
    pub scheme: String,
}

impl Protection {
    /// `read` gives a member's bytes, or nothing where the container lacks it or it is damaged.
    pub fn read(
        names: &Names,
        mut read: impl FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let mut all = Self::default();
        let encryption = read(ENCRYPTION);
        if let Some(bytes) = &encryption {
            let markup = Markup::parse(bytes)?;
            let mut nodes = 1..markup.nodes.len();
            while let Some(data) = nodes.next() {
                if markup
                    .element(data)
                    .is_none_or(|e| e.name != "EncryptedData")
                {
                    continue;
                }
                // They do not nest: each node is looked at once.
                nodes.start = markup.nodes[data].end;
                let algorithm = markup
                    .children(data, "EncryptionMethod")
                    .find_map(|(_, method)| method.get("Algorithm"));
                if algorithm.is_some_and(|a| FONTS.contains(&a.trim())) {
                    continue;
                }
                let references = (data + 1..markup.nodes[data].end)
                    .filter_map(|i| markup.element(i))
                    .filter(|e| e.name == "CipherReference");
                for uri in references.filter_map(|e| e.get("URI")) {
                    if let Some(Target::Inside { path, .. }) = resolve("", uri)
                        && let Some(member) = names.find(&path)
                    {
                        all.locked.insert(member);
                    }
                }
            }
        }
        let contains = |bytes: &Option<Vec<u8>>, word: &str| {
            bytes.as_ref().is_some_and(|b| {
                b.windows(word.len())
                    .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        let rights = read("META-INF/rights.xml");
        let adept = "ns.adobe.com/adept";
        all.scheme = if names.find("META-INF/license.lcpl").is_some() {
            "Readium LCP"
        } else if names.find("META-INF/sinf.xml").is_some() {
            "Apple FairPlay"
        } else if contains(&encryption, adept) || contains(&rights, adept) {
            "Adobe ADEPT"
        } else if contains(&rights, "kobo") {
            "Kobo's DRM"
        } else if rights.is_some() {
            "the lock that META-INF/rights.xml describes"
        } else {
            ""
        }
        .to_owned();
        Ok(all)
    }

    /// `is protected by Adobe ADEPT`.
    pub fn sentence(&self) -> String {
        let by = if self.scheme.is_empty() {
            "encryption that this program does not know"
        } else {
            &self.scheme
        };
        format!("is protected by {by}")
    }
}
