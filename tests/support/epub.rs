//! EPUBs made in memory, honest and hostile.
//!
//! Documents lie in `OEBPS/`, the package is `OEBPS/content.opf`; hrefs are relative to it and
//! are written as they are given, encoded or not.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A book to be built.
pub struct Epub {
    metadata: String,
    manifest: String,
    spine: String,
    spine_attributes: String,
    items: usize,
    /// Name, bytes, how often.
    members: Vec<(String, Vec<u8>, usize)>,
    container: Option<String>,
}

impl Default for Epub {
    fn default() -> Self {
        Self::new()
    }
}

impl Epub {
    pub fn new() -> Self {
        Self {
            metadata: "<dc:title>A Title</dc:title><dc:creator>An Author</dc:creator>\
                       <dc:language>en</dc:language>\
                       <dc:identifier id=\"uid\">urn:test</dc:identifier>"
                .into(),
            manifest: String::new(),
            spine: String::new(),
            spine_attributes: String::new(),
            items: 0,
            members: Vec::new(),
            container: Some(
                "<container version=\"1.0\" \
                 xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\"><rootfiles>\
                 <rootfile full-path=\"OEBPS/content.opf\" \
                 media-type=\"application/oebps-package+xml\"/></rootfiles></container>"
                    .into(),
            ),
        }
    }

    /// XML in place of title, author, language and identifier.
    pub fn metadata(mut self, xml: &str) -> Self {
        self.metadata = xml.into();
        self
    }

    /// In place of `META-INF/container.xml`.
    pub fn container(mut self, xml: Option<&str>) -> Self {
        self.container = xml.map(str::to_owned);
        self
    }

    /// A document of the spine: XHTML around `body`.
    pub fn chapter(self, href: &str, body: &str) -> Self {
        self.document(href, xhtml(body).as_bytes())
    }

    /// The same, `linear="no"`.
    pub fn aside(self, href: &str, body: &str) -> Self {
        let (mut own, id) = self.item(href, "application/xhtml+xml", "");
        own.spine += &format!("<itemref idref=\"{id}\" linear=\"no\"/>");
        own.member(&format!("OEBPS/{href}"), xhtml(body).as_bytes())
    }

    /// A document of the spine, bytes as they are.
    pub fn document(self, href: &str, bytes: &[u8]) -> Self {
        let (mut own, id) = self.item(href, "application/xhtml+xml", "");
        own.spine += &format!("<itemref idref=\"{id}\"/>");
        own.member(&format!("OEBPS/{href}"), bytes)
    }

    /// A file of the manifest that is not in the spine: a picture, a style sheet.
    pub fn file(self, href: &str, media_type: &str, bytes: &[u8]) -> Self {
        let (own, _) = self.item(href, media_type, "");
        own.member(&format!("OEBPS/{href}"), bytes)
    }

    /// `nav.xhtml` with `list` as its table of contents: `<ol><li><a href="..">..`.
    pub fn nav(self, list: &str) -> Self {
        let (own, _) = self.item("nav.xhtml", "application/xhtml+xml", "nav");
        let body = format!("<nav epub:type=\"toc\">{list}</nav>");
        own.member("OEBPS/nav.xhtml", xhtml(&body).as_bytes())
    }

    /// `toc.ncx` with `points` in its map: `<navPoint>..`.
    pub fn ncx(self, points: &str) -> Self {
        let (mut own, id) = self.item("toc.ncx", "application/x-dtbncx+xml", "");
        own.spine_attributes = format!(" toc=\"{id}\"");
        let ncx = format!(
            "<ncx xmlns=\"http://www.daisy.org/z3986/2005/ncx/\" version=\"2005-1\">\
             <navMap>{points}</navMap></ncx>"
        );
        own.member("OEBPS/toc.ncx", ncx.as_bytes())
    }

    /// Elements for the manifest, and for the spine, as they are.
    pub fn raw(mut self, manifest: &str, spine: &str) -> Self {
        self.manifest += manifest;
        self.spine += spine;
        self
    }

    /// A member of the container that the package does not name.
    pub fn member(self, name: &str, bytes: &[u8]) -> Self {
        self.repeated(name, bytes, 1)
    }

    /// A member that holds `bytes` so many times: a bomb.
    pub fn repeated(mut self, name: &str, bytes: &[u8], times: usize) -> Self {
        self.members.push((name.into(), bytes.into(), times));
        self
    }

    fn item(mut self, href: &str, media_type: &str, properties: &str) -> (Self, String) {
        self.items += 1;
        let id = format!("i{}", self.items);
        let properties = match properties {
            "" => String::new(),
            p => format!(" properties=\"{p}\""),
        };
        self.manifest +=
            &format!("<item id=\"{id}\" href=\"{href}\" media-type=\"{media_type}\"{properties}/>");
        (self, id)
    }

    /// The EPUB's bytes.
    pub fn build(self) -> Vec<u8> {
        let package = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <package xmlns=\"http://www.idpf.org/2007/opf\" version=\"3.0\" \
             unique-identifier=\"uid\">\
             <metadata xmlns:dc=\"http://purl.org/dc/elements/1.1/\">{}</metadata>\
             <manifest>{}</manifest><spine{}>{}</spine></package>",
            self.metadata, self.manifest, self.spine_attributes, self.spine
        );
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let packed = SimpleFileOptions::default();
        let mut add = |name: &str, bytes: &[u8], times, options| {
            zip.start_file(name, options).expect("a new member");
            for _ in 0..times {
                zip.write_all(bytes).expect("room in memory");
            }
        };
        add("mimetype", b"application/epub+zip", 1, stored);
        if let Some(container) = &self.container {
            add("META-INF/container.xml", container.as_bytes(), 1, packed);
        }
        add("OEBPS/content.opf", package.as_bytes(), 1, packed);
        for (name, bytes, times) in &self.members {
            add(name, bytes, *times, packed);
        }
        zip.finish().expect("a whole archive").into_inner()
    }
}

/// An XHTML document around `body`.
pub fn xhtml(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" \
         xmlns:epub=\"http://www.idpf.org/2007/ops\">\
         <head><title>A document</title></head><body>{body}</body></html>"
    )
}

/// `META-INF/encryption.xml` that says of each path (relative to the root) how it is encrypted.
pub fn encryption(entries: &[(&str, &str)]) -> String {
    let data: String = entries
        .iter()
        .map(|(algorithm, path)| {
            format!(
                "<enc:EncryptedData><enc:EncryptionMethod Algorithm=\"{algorithm}\"/>\
                 <ds:KeyInfo/><enc:CipherData><enc:CipherReference URI=\"{path}\"/>\
                 </enc:CipherData></enc:EncryptedData>"
            )
        })
        .collect();
    format!(
        "<encryption xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\" \
         xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{data}</encryption>"
    )
}

/// The headers of member `name`: local and central, as `(offset, is central)`.
fn headers(epub: &[u8], name: &str) -> Vec<(usize, bool)> {
    let field = |at: usize| usize::from(u16::from_le_bytes([epub[at], epub[at + 1]]));
    (0..epub.len().saturating_sub(46))
        .filter_map(|at| {
            let (length, start, central) = match &epub[at..at + 4] {
                b"PK\x03\x04" => (field(at + 26), at + 30, false),
                b"PK\x01\x02" => (field(at + 28), at + 46, true),
                _ => return None,
            };
            (epub.get(start..start + length)? == name.as_bytes()).then_some((at, central))
        })
        .collect()
}

/// Makes member `name` declare that it unpacks to `size` bytes.
pub fn declare_size(epub: &mut [u8], name: &str, size: u32) {
    let found = headers(epub, name);
    assert_eq!(found.len(), 2, "{name} has a local and a central header");
    for (at, central) in found {
        let at = at + if central { 24 } else { 22 };
        epub[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
}

/// Renames a member to a name of equal length, such as `../x` that no honest writer makes.
pub fn rename(epub: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    for (at, central) in headers(epub, from) {
        let at = at + if central { 46 } else { 30 };
        epub[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

/// Sets the flag that says that member `name` needs a password.
pub fn set_password_flag(epub: &mut [u8], name: &str) {
    for (at, central) in headers(epub, name) {
        epub[at + if central { 8 } else { 6 }] |= 1;
    }
}
