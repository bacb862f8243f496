//! The package document: metadata, manifest and spine, through the crate `epub`.
//!
//! The crate reads members whole, recurses as deep as markup nests, stops at the first thing
//! that is not XML, forgets items without a media type and panics on a root file without a
//! name. So it never sees the book: [`Package::read`] takes what matters out of the bounded,
//! forgiving [`Markup`] and gives the crate a small archive of well-formed XML made of that. What
//! refines what, which identifier is the book's and which title comes first, the crate decides.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use epub::doc::{EpubDoc, MetadataItem};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::markup::{Element, Markup, fold};
use crate::document::flow::Metadata;

const DC: &str = "http://purl.org/dc/elements/1.1/";
const OPF: &str = "http://www.idpf.org/2007/opf";
const CONTAINER: &str = r#"<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"#;

/// Longest value of the metadata, in characters, and most authors and languages: the report and
/// a title page hold them. Of the elements of the metadata the first thousands count.
const LONGEST_VALUE: usize = 2048;
const MOST_VALUES: usize = 100;
const MOST_ELEMENTS: usize = 5000;

/// An item of the manifest.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// As written, relative to the package document.
    pub href: String,
    /// In lower case; empty where the package says nothing.
    pub media_type: String,
    pub properties: String,
    /// Id of what to show where this cannot be shown.
    pub fallback: Option<String>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub metadata: Metadata,
    /// By id.
    pub items: HashMap<String, Item>,
    /// Idref and whether it is in the reading order.
    pub spine: Vec<(String, bool)>,
    /// Id of the NCX, as the spine names it.
    pub ncx: Option<String>,
}

impl Package {
    /// The item of the manifest, or what stands in for one that is not a document (EPUB 3.3,
    /// section 3.5.2).
    pub fn shown(&self, id: &str) -> Option<&Item> {
        const DOCUMENTS: [&str; 4] = [
            "application/xhtml+xml",
            "image/svg+xml",
            "text/html",
            "text/x-oeb1-document",
        ];
        let first = self.items.get(id)?;
        let mut item = first;
        // A chain that is longer is a ring.
        for _ in 0..8 {
            if DOCUMENTS.contains(&&*item.media_type) {
                return Some(item);
            }
            match item.fallback.as_ref().and_then(|id| self.items.get(id)) {
                Some(next) => item = next,
                None => break,
            }
        }
        Some(first)
    }

    /// An error is a clause: `has no spine`.
    /// `most` bounds the manifest and the spine.
    pub fn read(bytes: &[u8], most: u64) -> Result<Self, String> {
        let markup = Markup::parse(bytes)?;
        let find = |name: &str| markup.elements().find(|(_, e)| e.name == name);
        let Some((manifest, _)) = find("manifest") else {
            return Err("has no manifest".into());
        };
        let Some((spine, spine_element)) = find("spine") else {
            return Err("has no spine".into());
        };
        for (place, name, of) in [(manifest, "item", "files"), (spine, "itemref", "documents")] {
            let count = markup.children(place, name).count();
            if count as u64 > most {
                return Err(format!("lists {count} {of}, more than {most}"));
            }
        }
        let xml = rewrite(&markup, manifest, spine);
        let book = open(&xml)?;
        let mut items: HashMap<String, Item> = book
            .resources
            .into_iter()
            .map(|(id, item)| {
                let item = Item {
                    href: item.path.to_string_lossy().into_owned(),
                    media_type: item.mime,
                    properties: item.properties.unwrap_or_default(),
                    fallback: None,
                };
                (id, item)
            })
            .collect();
        // What the crate does not look at.
        for (_, element) in markup.children(manifest, "item") {
            if let (Some(id), Some(fallback)) = (element.get("id"), element.get("fallback"))
                && let Some(item) = items.get_mut(&clean(id))
            {
                item.fallback = Some(clean(fallback));
            }
        }
        Ok(Self {
            metadata: metadata(&book.metadata, book.unique_identifier.as_deref()),
            items,
            spine: book
                .spine
                .into_iter()
                .map(|s| (s.idref, s.linear))
                .collect(),
            ncx: spine_element.get("toc").map(clean),
        })
    }
}

fn open(package: &str) -> Result<EpubDoc<Cursor<Vec<u8>>>, String> {
    let own = |e: &dyn std::fmt::Display| format!("cannot be understood: {e}");
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, text) in [
        ("META-INF/container.xml", CONTAINER),
        ("package.opf", package),
    ] {
        archive.start_file(name, options).map_err(|e| own(&e))?;
        archive.write_all(text.as_bytes()).map_err(|e| own(&e))?;
    }
    let archive = archive.finish().map_err(|e| own(&e))?;
    EpubDoc::from_reader(archive).map_err(|e| own(&e))
}

/// The package as the crate is to see it: three levels, no doctype, every attribute escaped.
fn rewrite(markup: &Markup, manifest: usize, spine: usize) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><package");
    attribute(&mut xml, "xmlns", OPF);
    attribute(&mut xml, "xmlns:dc", DC);
    attribute(&mut xml, "xmlns:opf", OPF);
    if let Some((_, package)) = markup.elements().find(|(_, e)| e.name == "package") {
        copy(&mut xml, package, &["version", "unique-identifier"]);
    }
    xml.push_str("><metadata>");
    let mut within = markup
        .elements()
        .find(|(_, e)| e.name == "metadata")
        .map_or(0..0, |(i, _)| i + 1..markup.nodes[i].end);
    // Also what an OEB 1.2 package wraps once more, in `dc-metadata`.
    let mut elements = 0;
    while let Some(index) = within.next() {
        let Some(element) = markup.element(index) else {
            continue;
        };
        let dc = markup.namespace(element.prefix) == DC || element.prefix == "dc";
        let name = match element.name {
            "meta" => "meta".to_owned(),
            name if dc && name.bytes().all(|b| b.is_ascii_alphabetic()) => {
                format!("dc:{}", name.to_ascii_lowercase())
            }
            _ => continue,
        };
        elements += 1;
        if elements > MOST_ELEMENTS {
            break;
        }
        let _ = write!(xml, "<{name}");
        copy(
            &mut xml,
            element,
            &["id", "property", "refines", "scheme", "name", "content"],
        );
        if dc {
            for name in ["role", "event", "file-as"] {
                if let Some(value) = element.get(name) {
                    attribute(&mut xml, &format!("opf:{name}"), value);
                }
            }
        }
        // Nothing within it is a value of its own: each node is looked at once.
        within.start = markup.nodes[index].end;
        let text: String = markup.text(index).chars().take(LONGEST_VALUE).collect();
        xml.push('>');
        escape(&mut xml, &text);
        let _ = write!(xml, "</{name}>");
    }
    xml.push_str("</metadata><manifest>");
    for (_, element) in markup.children(manifest, "item") {
        xml.push_str("<item");
        copy(&mut xml, element, &["id", "href", "properties"]);
        let media_type = element.get("media-type").unwrap_or_default();
        attribute(
            &mut xml,
            "media-type",
            &fold(media_type).to_ascii_lowercase(),
        );
        xml.push_str("/>");
    }
    xml.push_str("</manifest><spine>");
    for (_, element) in markup.children(spine, "itemref") {
        xml.push_str("<itemref");
        copy(&mut xml, element, &["idref"]);
        // Whatever is not `no` is in the order of reading.
        let aside = element
            .get("linear")
            .is_some_and(|l| l.trim().eq_ignore_ascii_case("no"));
        attribute(&mut xml, "linear", if aside { "no" } else { "yes" });
        xml.push_str("/>");
    }
    xml.push_str("</spine></package>");
    xml
}

fn copy(xml: &mut String, from: Element<'_>, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(name) {
            attribute(xml, name, value);
        }
    }
}

fn attribute(xml: &mut String, name: &str, value: &str) {
    let _ = write!(xml, " {name}=\"");
    escape(xml, value);
    xml.push('"');
}

fn escape(xml: &mut String, text: &str) {
    for c in clean(text).chars() {
        match c {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            c => xml.push(c),
        }
    }
}

/// White space at the ends off (ids are tokens); characters that XML 1.0 cannot hold off.
fn clean(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_ascii_whitespace() { ' ' } else { c })
        .filter(|&c| c >= ' ' && c != '\u{FFFE}' && c != '\u{FFFF}')
        .collect()
}

fn metadata(all: &[MetadataItem], identifier: Option<&str>) -> Metadata {
    let of = |property: &'static str| {
        all.iter()
            .filter(move |m| m.property == property && !m.value.is_empty())
    };
    let refined = |item: &MetadataItem, by: &str| {
        item.refinement(by)
            .map(|r| r.value.trim().to_ascii_lowercase())
    };
    let values = |items: &mut dyn Iterator<Item = &MetadataItem>| {
        let mut values: Vec<String> = Vec::new();
        for item in items {
            if values.len() < MOST_VALUES && !values.contains(&item.value) {
                values.push(item.value.clone());
            }
        }
        values
    };
    let first = |property| of(property).next().map(|m| m.value.clone());
    let authors = values(&mut of("creator").filter(|c| {
        // MARC relator codes; a creator without one is an author.
        refined(c, "role").is_none_or(|role| role == "aut")
    }));
    Metadata {
        title: of("title")
            .find(|t| refined(t, "title-type").as_deref() == Some("main"))
            .map(|t| t.value.clone())
            .or_else(|| first("title"))
            .unwrap_or_default(),
        authors: if authors.is_empty() {
            values(&mut of("creator"))
        } else {
            authors
        },
        languages: values(&mut of("language")),
        publisher: first("publisher").unwrap_or_default(),
        date: of("date")
            .find(|d| refined(d, "event").as_deref() == Some("publication"))
            .map(|d| d.value.clone())
            .or_else(|| first("date"))
            .unwrap_or_default(),
        identifier: identifier
            .map(str::to_owned)
            .filter(|i| !i.is_empty())
            .or_else(|| first("identifier"))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(metadata: &str, manifest: &str, spine: &str) -> Package {
        let xml = format!(
            "<package xmlns='{OPF}' version='3.0' unique-identifier='uid'>\
             <metadata xmlns:dc='{DC}'>{metadata}</metadata>\
             <manifest>{manifest}</manifest><spine toc='ncx'>{spine}</spine></package>"
        );
        Package::read(xml.as_bytes(), 10).unwrap()
    }

    #[test]
    fn metadata_is_refined() {
        let m = package(
            "<dc:title id='s'>A subtitle</dc:title><dc:title id='t'>Main &amp;\n Title</dc:title>\
             <meta refines='#t' property='title-type'>main</meta>\
             <dc:creator id='a'>Ann</dc:creator><dc:creator id='b'>Bob</dc:creator>\
             <meta refines='#b' property='role' scheme='marc:relators'>ill</meta>\
             <dc:creator>Cy</dc:creator><dc:language>de</dc:language><dc:language>de</dc:language>\
             <dc:identifier>other</dc:identifier><dc:identifier id='uid'>urn:1</dc:identifier>\
             <dc:publisher>P</dc:publisher><dc:date>2001</dc:date>",
            "",
            "",
        )
        .metadata;
        assert_eq!(m.title, "Main & Title");
        assert_eq!(m.authors, ["Ann", "Cy"]);
        assert_eq!(m.languages, ["de"]);
        assert_eq!(
            (&*m.identifier, &*m.publisher, &*m.date),
            ("urn:1", "P", "2001")
        );
    }

    #[test]
    fn what_is_no_document_gives_way_to_its_fallback() {
        let p = package(
            "",
            "<item id='pdf' href='a.pdf' media-type='application/pdf' fallback='jpg'/>\
             <item id='jpg' href='a.jpg' media-type='image/jpeg' fallback='doc'/>\
             <item id='doc' href='a.xhtml' media-type='application/xhtml+xml' fallback='pdf'/>\
             <item id='r' href='r.jpg' media-type='image/jpeg' fallback='r'/>",
            "",
        );
        for (id, href) in [("pdf", "a.xhtml"), ("doc", "a.xhtml"), ("r", "r.jpg")] {
            assert_eq!(p.shown(id).map(|i| &*i.href), Some(href));
        }
        assert!(p.shown("none").is_none());
    }

    #[test]
    fn metadata_of_epub_2() {
        let xml = format!(
            "<opf:package xmlns:opf='{OPF}' version='2.0'><opf:metadata xmlns:x='{DC}'>\
             <x:title>T</x:title><x:creator opf:role='trl'>N</x:creator>\
             <x:creator opf:role='aut'>A</x:creator><x:identifier>i</x:identifier>\
             <x:date opf:event='creation'>1</x:date><x:date opf:event='publication'>2</x:date>\
             </opf:metadata><opf:manifest/><opf:spine/></opf:package>"
        );
        let m = Package::read(xml.as_bytes(), 10).unwrap().metadata;
        assert_eq!(m.title, "T");
        assert_eq!(m.authors, ["A"]);
        assert_eq!((&*m.identifier, &*m.date), ("i", "2"));
    }

    #[test]
    fn what_is_not_xml_is_understood_all_the_same() {
        let p = package(
            "<dc:title>R&D &eacute;&undefined; <!-- x -->\u{1}<![CDATA[<b>]]></dc:title>",
            "<item id='a' href='a&amp;b.xhtml'/><item id='i' href='i.png' media-type='IMAGE/PNG'>",
            "<itemref idref='a'/><itemref idref='b' linear='NO'/><itemref idref='c' linear=''/>",
        );
        assert!(
            p.metadata.title.starts_with("R&D é"),
            "{}",
            p.metadata.title
        );
        assert!(p.metadata.title.ends_with("<b>"), "{}", p.metadata.title);
        assert_eq!(p.items["a"].href, "a&b.xhtml");
        assert_eq!(p.items["i"].media_type, "image/png");
        assert_eq!(
            p.spine,
            [("a".into(), true), ("b".into(), false), ("c".into(), true)]
        );
        assert_eq!(p.ncx.as_deref(), Some("ncx"));
    }

    #[test]
    fn depth_and_entities_are_harmless() {
        let deep = format!("<dc:title>{}x", "<b>".repeat(50_000));
        let xml = format!(
            "<!DOCTYPE package [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\
             <package><manifest/><spine/><metadata>{deep}"
        );
        assert_eq!(
            Package::read(xml.as_bytes(), 10).unwrap().metadata.title,
            "x"
        );
        let nested = "<dc:title>x".repeat(150_000);
        let xml = format!("<package><manifest/><spine/><metadata>{nested}");
        let title = Package::read(xml.as_bytes(), 10).unwrap().metadata.title;
        assert_eq!(title.len(), LONGEST_VALUE);
        assert!(Package::read(b"", 10).unwrap_err().contains("manifest"));
        assert!(
            Package::read(b"<manifest/>", 10)
                .unwrap_err()
                .contains("spine")
        );
    }
}
