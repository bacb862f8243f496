//! Documents: untrusted files are opened only in child processes, one document each.
//!
//! [`Child`] is the agent's side, [`worker`] the child's; between them [`protocol`] over pipes.
//! A child locks itself in before the document is parsed ([`sandbox`]) and dies with the agent.

mod child;
pub mod flow;
pub mod markdown;
pub mod place;
pub mod protocol;
pub mod sandbox;
mod spaces;
pub mod worker;
pub mod xhtml;

pub use child::{Child, DocumentError, Opened};

use std::io::Read;
use std::path::Path;

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pdf,
    Epub,
    Other,
}

/// Looks at the first 1,024 bytes: a PDF's header may stand anywhere in them (Adobe's
/// implementation note to the PDF reference, section 3.4.1), an EPUB is a ZIP whose first
/// member is `mimetype` (EPUB OCF 3.3, section 4.2).
pub fn sniff(path: &Path) -> std::io::Result<Kind> {
    let mut head = Vec::with_capacity(1024);
    std::fs::File::open(path)?
        .take(1024)
        .read_to_end(&mut head)?;
    let has = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
    Ok(if has(b"%PDF-") {
        Kind::Pdf
    } else if head.starts_with(b"PK\x03\x04") && has(b"application/epub+zip") {
        Kind::Epub
    } else {
        Kind::Other
    })
}
