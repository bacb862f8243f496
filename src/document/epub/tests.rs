//! Books, honest and hostile, from the file to [`Book`].

use std::io::Write;

use proptest::prelude::*;

use super::testing::{Epub, declare_size, encryption, rename, set_password_flag};
use super::*;

fn open_with(bytes: &[u8], limits: &Limits) -> Result<Book, BookError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Book::open(file, limits)
}

fn open(bytes: &[u8]) -> Book {
    open_with(bytes, &Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(bytes: &[u8]) -> String {
    match open_with(bytes, &Limits::default()) {
        Err(BookError::Refused(why)) => why,
        Err(e) => panic!("not refused: {e:?}"),
        Ok(_) => panic!("opened"),
    }
}

fn two() -> Epub {
    Epub::new()
        .chapter("a.xhtml", "<p>One</p>")
        .chapter("b.xhtml", "<p>Two</p>")
}

fn spine(book: &Book) -> Vec<String> {
    book.spine
        .iter()
        .map(|s| {
            let linear = if s.linear { "" } else { " aside" };
            let missing = if s.missing { " missing" } else { "" };
            format!("{}{linear}{missing}", s.path)
        })
        .collect()
}

fn titles(book: &Book) -> Vec<&str> {
    book.contents.iter().map(|e| e.title.as_str()).collect()
}

const OL: &str = "<ol><li><a href=\"a.xhtml\">First</a><ol><li><a href=\"b.xhtml#x\">Sub</a></li></ol></li></ol>";
const POINT: &str =
    "<navPoint><navLabel><text>From NCX</text></navLabel><content src=\"b.xhtml\"/></navPoint>";

#[test]
fn a_book_opens() {
    let bytes = two()
        .aside("n.xhtml", "<p>Notes</p>")
        .nav(OL)
        .ncx(POINT)
        .file("i/p.png", "image/png", b"\x89PNG")
        .build();
    let mut book = open(&bytes);
    assert_eq!(
        spine(&book),
        ["OEBPS/a.xhtml", "OEBPS/b.xhtml", "OEBPS/n.xhtml aside"]
    );
    assert_eq!(book.metadata.title, "A Title");
    assert_eq!(book.metadata.authors, ["An Author"]);
    assert_eq!(book.metadata.identifier, "urn:test");
    assert_eq!(book.spine[0].media_type, "application/xhtml+xml");
    assert_eq!(titles(&book), ["First", "Sub"]);
    let sub = &book.contents[1];
    assert_eq!(
        (sub.path.as_deref(), sub.fragment.as_deref(), sub.depth),
        (Some("OEBPS/b.xhtml"), Some("x"), 1)
    );
    assert_eq!(book.faults, [""; 0]);
    let text = book.read("OEBPS/b.xhtml").unwrap();
    assert!(String::from_utf8(text).unwrap().contains("<p>Two</p>"));
    assert_eq!(book.read("OEBPS/i/p.png").unwrap(), b"\x89PNG");
    assert!(matches!(book.read("none"), Err(ReadError::Missing)));
}

#[test]
fn contents_come_from_the_ncx_where_there_is_no_nav() {
    assert_eq!(titles(&open(&two().ncx(POINT).build())), ["From NCX"]);
    assert_eq!(titles(&open(&two().nav(OL).build())), ["First", "Sub"]);
    let empty = two().nav("<ol/>").ncx(POINT).build();
    assert_eq!(titles(&open(&empty)), ["From NCX"]);
    assert_eq!(titles(&open(&two().build())), [""; 0]);
}

#[test]
fn names_are_decoded_and_found_whatever_their_case() {
    let bytes = Epub::new()
        .chapter("plain.xhtml", "<p>x</p>")
        .raw(
            "<item id='e' href='caf%C3%A9%20one.xhtml'/><item id='c' href='TEXT/Two.XHTML'/>\
             <item id='p' href='./x/../three%2520.xhtml'/><item id='w' href='four.xhtml'/>",
            "<itemref idref='e'/><itemref idref='c'/><itemref idref='p'/><itemref idref='w'/>",
        )
        .member("OEBPS/café one.xhtml", b"<p>1</p>")
        .member("OEBPS/text/two.xhtml", b"<p>2</p>")
        .member("OEBPS/three%20.xhtml", b"<p>3</p>")
        .member("OEBPS\\four.xhtml", b"<p>4</p>")
        .build();
    let mut book = open(&bytes);
    assert_eq!(
        spine(&book)[1..],
        [
            "OEBPS/café one.xhtml",
            "OEBPS/text/two.xhtml",
            "OEBPS/three%20.xhtml",
            "OEBPS/four.xhtml"
        ]
    );
    for (index, text) in ["<p>1</p>", "<p>2</p>", "<p>3</p>", "<p>4</p>"]
        .iter()
        .enumerate()
    {
        let path = book.spine[index + 1].path.clone();
        assert_eq!(book.read(&path).unwrap(), text.as_bytes());
        assert_eq!(book.media_type(&path), Some("application/xhtml+xml"));
    }
}

#[test]
fn what_is_missing_keeps_its_place_and_is_reported() {
    let bytes = two()
        .raw(
            "<item id='gone' href='gone.xhtml' media-type='application/xhtml+xml'/>\
             <item id='out' href='../../etc/passwd' media-type='application/xhtml+xml'/>\
             <item id='url' href='file:///etc/passwd' media-type='image/png'/>\
             <item id='web' href='http://x.org/v.mp4' media-type='video/mp4'/>",
            "<itemref idref='gone'/><itemref idref='unknown'/><itemref idref='out'/>\
             <itemref idref='i1'/>",
        )
        .build();
    let mut book = open(&bytes);
    assert_eq!(
        spine(&book),
        [
            "OEBPS/a.xhtml",
            "OEBPS/b.xhtml",
            "OEBPS/gone.xhtml missing",
            "unknown missing",
            "../../etc/passwd missing"
        ]
    );
    assert_eq!(
        book.faults,
        [
            "the manifest names what the container lacks: ../../etc/passwd, OEBPS/gone.xhtml, \
             file:///etc/passwd",
            "the spine lists what the manifest lacks: unknown",
            "the spine lists files more than once: OEBPS/a.xhtml",
        ]
    );
    assert!(matches!(
        book.read("../../etc/passwd"),
        Err(ReadError::Missing)
    ));
    let none = Epub::new().raw("<item id='a' href='a.xhtml'/>", "<itemref idref='a'/>");
    assert!(refused(&none.build()).contains("none of the 1 documents"));
    assert!(refused(&Epub::new().build()).contains("lists no documents"));
}

#[test]
fn fonts_that_are_obfuscated_lock_nothing() {
    let xml = encryption(&[
        ("http://www.idpf.org/2008/embedding", "OEBPS/f.otf"),
        ("http://ns.adobe.com/pdf/enc#RC", "OEBPS/a.xhtml"),
    ]);
    let bytes = two()
        .file("f.otf", "font/otf", b"font")
        .member("META-INF/encryption.xml", xml.as_bytes())
        .build();
    assert_eq!(open(&bytes).faults, [""; 0]);
}

#[test]
fn locked_books_are_refused_with_the_name_of_the_lock() {
    let aes = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
    let xml = encryption(&[(aes, "OEBPS/a%2Exhtml")]);
    let locked = || two().member("META-INF/encryption.xml", xml.as_bytes());
    let rights = b"<rights xmlns='http://ns.adobe.com/adept'/>";
    for (epub, name) in [
        (locked(), "encryption that this program does not know"),
        (
            locked().member("META-INF/rights.xml", rights),
            "Adobe ADEPT",
        ),
        (
            locked().member("META-INF/sinf.xml", b"<x/>"),
            "Apple FairPlay",
        ),
        (
            locked().member("META-INF/license.lcpl", b"{}"),
            "Readium LCP",
        ),
    ] {
        let why = refused(&epub.build());
        assert_eq!(
            why,
            format!("is protected by {name}: 1 of 2 documents are encrypted")
        );
    }
    // Nothing but the picture is locked.
    let xml = encryption(&[(aes, "OEBPS/p.png")]);
    let picture = two()
        .file("p.png", "image/png", b"?")
        .member("META-INF/encryption.xml", xml.as_bytes());
    let mut book = open(&picture.build());
    assert!(matches!(book.read("OEBPS/p.png"), Err(ReadError::Locked)));
    assert!(book.read("OEBPS/a.xhtml").is_ok());
    // Rights alone say nothing; what they lock is no markup.
    open(&two().member("META-INF/rights.xml", rights).build());
    let silent = Epub::new()
        .document("a.xhtml", b"\x9f\x03\x88 not markup")
        .member("META-INF/sinf.xml", b"<x/>");
    assert_eq!(refused(&silent.build()), "is protected by Apple FairPlay");
    let mut password = two().build();
    set_password_flag(&mut password, "OEBPS/a.xhtml");
    assert_eq!(refused(&password), "is protected by a ZIP password");
}

#[test]
fn a_bomb_is_refused_unread() {
    let mut bytes = two().repeated("OEBPS/bomb", &[0; 1 << 20], 300).build();
    let why = refused(&bytes);
    assert!(
        why.contains("OEBPS/bomb") && why.contains("300 MB"),
        "{why}"
    );
    // One that declares itself small shows when it is read, and stops at what it declared.
    declare_size(&mut bytes, "OEBPS/bomb", 1000);
    let mut book = open(&bytes);
    let error = book.read("OEBPS/bomb").unwrap_err().to_string();
    assert!(error.contains("declared"), "{error}");
}

#[test]
fn a_package_that_is_a_bomb_is_damaged() {
    let spaces = " ".repeat(7 << 20);
    let mut bytes = two().raw(&spaces, "").build();
    open(&bytes);
    declare_size(&mut bytes, "OEBPS/content.opf", 1000);
    let error = open_with(&bytes, &Limits::default()).err().unwrap();
    assert!(matches!(error, BookError::Damaged(_)), "{error}");
    let spaces = " ".repeat(9 << 20);
    assert!(refused(&two().raw(&spaces, "").build()).contains("9216 KB, more than 8192"));
}

#[test]
fn limits_are_named() {
    let mut epub = two();
    for i in 0..100_000 {
        epub = epub.member(&format!("m{i}"), b"");
    }
    let bytes = epub.build();
    assert_eq!(refused(&bytes), "holds 100005 files, more than 20000");
    let small = Limits {
        max_total_bytes: 3 << 20,
        max_member_bytes: 1 << 20,
        max_text_bytes: 1000,
        ..Limits::default()
    };
    let megabytes = |n: usize| {
        (0..n << 20)
            .map(|i| ((i * i) >> 7) as u8)
            .collect::<Vec<_>>()
    };
    let total = two().member("m", &megabytes(4)).build();
    let error = open_with(&total, &small).err().unwrap().to_string();
    assert_eq!(error, "unpacks to 4 MB, more than 3");
    let large = two()
        .file("v.mp4", "video/mp4", &megabytes(2))
        .chapter("long.xhtml", &"word ".repeat(1000))
        .build();
    let mut book = open_with(&large, &small).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        book.faults,
        ["files of more than 1 MB are not read: OEBPS/v.mp4"]
    );
    for path in ["OEBPS/v.mp4", "OEBPS/long.xhtml"] {
        assert!(
            matches!(book.read(path), Err(ReadError::TooLarge { .. })),
            "{path}"
        );
    }
    let many: String = (0..20_001)
        .map(|i| format!("<itemref idref='x{i}'/>"))
        .collect();
    assert!(
        refused(&two().raw("", &many).build()).contains("lists 20003 documents, more than 20000")
    );
}

/// Directories that promise other numbers of members than they have.
#[test]
fn a_lying_end_record_is_no_way_around_the_limits() {
    let mut epub = two();
    for i in 0..3000 {
        epub = epub.member(&format!("m{i}"), b"");
    }
    let mut bytes = epub.build();
    let end = bytes.len() - 22;
    bytes[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    let small = Limits {
        max_members: 100,
        max_directory_bytes: 10_000,
        ..Limits::default()
    };
    let error = open_with(&bytes, &small).err().unwrap().to_string();
    assert!(error.contains("directory"), "{error}");
    bytes[end + 12..end + 16].copy_from_slice(&9000_u32.to_le_bytes());
    assert!(open_with(&bytes, &small).is_err());
}

#[test]
fn members_that_lie_one_over_the_other_are_refused() {
    let mut bytes = two().member("OEBPS/xx", b"12345").build();
    // The central header of one points at the local header of another.
    let central = |bytes: &[u8], name: &[u8]| {
        (0..bytes.len() - 46)
            .find(|&at| {
                bytes[at..].starts_with(b"PK\x01\x02") && bytes[at + 46..].starts_with(name)
            })
            .unwrap()
    };
    let (a, b) = (
        central(&bytes, b"OEBPS/a.xhtml"),
        central(&bytes, b"OEBPS/b.xhtml"),
    );
    let place = bytes[a + 42..a + 46].to_vec();
    bytes[b + 42..b + 46].copy_from_slice(&place);
    assert!(refused(&bytes).contains("one over the other"));
}

#[test]
fn names_that_lead_out_are_never_read() {
    let mut bytes = two()
        .member("xx/xx/etc/passwd", b"secret")
        .member("xetc/shadow", b"secret")
        .build();
    rename(&mut bytes, "xx/xx/etc/passwd", "../../etc/passwd");
    rename(&mut bytes, "xetc/shadow", "/etc/shadow");
    let mut book = open(&bytes);
    assert_eq!(
        book.faults,
        ["names that lead out of the container are not read: ../../etc/passwd, /etc/shadow"]
    );
    for path in [
        "../../etc/passwd",
        "/etc/shadow",
        "etc/shadow",
        "etc/passwd",
    ] {
        assert!(matches!(book.read(path), Err(ReadError::Missing)), "{path}");
    }
}

#[test]
fn what_is_cut_short_may_still_come() {
    let bytes = two().build();
    for cut in [
        0,
        3,
        4,
        30,
        bytes.len() / 2,
        bytes.len() - 22,
        bytes.len() - 1,
    ] {
        match open_with(&bytes[..cut], &Limits::default()) {
            Err(BookError::Damaged(why)) => assert!(why.contains("not complete"), "{why}"),
            Err(e) => panic!("{cut}: {e:?}"),
            Ok(_) => panic!("{cut}: opened"),
        }
    }
    // A hole in the middle, as a preallocated file has.
    let mut hole = bytes.clone();
    let opf = hole.windows(11).position(|w| w == b"content.opf").unwrap();
    hole[opf + 11..opf + 60].fill(0);
    assert!(matches!(
        open_with(&hole, &Limits::default()),
        Err(BookError::Damaged(_))
    ));
}

#[test]
fn what_is_no_epub_says_so() {
    assert_eq!(refused(b"<html>"), "is not a ZIP file");
    let none = two().container(None).build();
    assert_eq!(
        refused(&none),
        "holds no META-INF/container.xml: it is not an EPUB"
    );
    for (xml, why) in [
        ("<container/>", "names no package"),
        ("<rootfile full-path=''/>", "names no package"),
        ("<rootfile full-path='/'/>", "outside"),
        ("<rootfile full-path='../x.opf'/>", "outside"),
        ("<rootfile full-path='file:///x.opf'/>", "outside"),
        ("<rootfile full-path='x.opf'/>", "x.opf is missing"),
    ] {
        let epub = two().container(Some(xml)).build();
        let got = match open_with(&epub, &Limits::default()) {
            Err(BookError::Refused(got)) => got,
            other => panic!("{xml}: {:?}", other.err()),
        };
        assert!(got.contains(why), "{xml}: {got}");
    }
    let broken = Epub::new().member("x.opf", b"<package/>").container(Some(
        "<container><rootfiles><rootfile full-path='x.opf'/></rootfiles></container>",
    ));
    assert_eq!(
        refused(&broken.build()),
        "its package x.opf has no manifest"
    );
}

#[test]
fn a_damaged_member_is_a_fault_of_that_member() {
    let mut bytes = two().nav(OL).ncx(POINT).build();
    let nav = bytes.windows(9).position(|w| w == b"nav.xhtml").unwrap();
    for byte in &mut bytes[nav + 9 + 20..nav + 9 + 30] {
        *byte ^= 0xFF;
    }
    let book = open(&bytes);
    assert_eq!(titles(&book), ["From NCX"]);
    assert!(
        book.faults[0].starts_with("OEBPS/nav.xhtml cannot be unpacked"),
        "{:?}",
        book.faults
    );
}

proptest! {
    /// Any damage ends in a book or an error.
    #[test]
    fn damage_is_no_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = two().nav(OL).ncx(POINT).build();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut book) = open_with(&bytes, &Limits::default()) {
            for item in book.spine.clone() {
                let _ = book.read(&item.path);
            }
        }
    }
}
