//! Documents: untrusted files are opened only in child processes, one document each.
//!
//! [`Child`] is the agent's side, [`worker`] the child's; between them [`protocol`] over pipes.
//! A child locks itself in before the document is parsed ([`sandbox`]) and dies with the agent.
//!
//! A book goes [`epub`] (container) -> [`xhtml`] -> [`flow`] -> [`markdown`] and [`typeset`]; `book`
//! joins them. Its typeset pages are a PDF, drawn and drawn on as any other.

mod book;
mod chars;
mod child;
mod drawing;
mod encoding;
pub mod epub;
pub mod flow;
pub mod markdown;
pub mod place;
pub mod protocol;
pub mod sandbox;
mod spaces;
mod tex_fonts;
pub mod typeset;
pub mod worker;
pub mod xhtml;

pub use child::{Child, DocumentError, Opened, Saving};
pub use protocol::Part;

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
    sniff_open(&std::fs::File::open(path)?)
}

/// As [`sniff`], of an open file, from where it stands.
fn sniff_open(file: &std::fs::File) -> std::io::Result<Kind> {
    let mut head = Vec::with_capacity(1024);
    file.take(1024).read_to_end(&mut head)?;
    let has = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
    Ok(if has(b"%PDF-") {
        Kind::Pdf
    } else if head.starts_with(b"PK\x03\x04") && has(b"application/epub+zip") {
        Kind::Epub
    } else {
        Kind::Other
    })
}
