use super::*;
use crate::document::flow::{ClosedNote, Definition, Inline, Math, Picture, Table};

fn read(body: &str) -> Chapter {
    let file =
        format!("<html xmlns:epub='http://www.idpf.org/2007/ops'><body>{body}</body></html>");
    let resolve = |href: &str| (!href.contains("missing")).then(|| format!("OPS/{href}"));
    chapter(
        file.as_bytes(),
        "OPS/ch.xhtml",
        &Surroundings {
            resolve: &resolve,
            sheet: &|_| None,
        },
    )
}

fn text(text: &str) -> Inline {
    Inline::Text(text.into())
}

fn table(pieces: &[Piece]) -> &Table {
    match pieces {
        [Piece::Table(table)] => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn white_space_is_folded_and_moved_out_of_emphasis() {
    let read = read("<p> a <em> b\n\t</em> <b></b> c<br/> d </p>");
    let expected = vec![
        text("a "),
        Inline::Emphasis(vec![text("b")]),
        text(" c"),
        Inline::Break,
        text("d"),
    ];
    assert_eq!(read.pieces, [Piece::Paragraph(expected)]);
}

#[test]
fn a_chapter_of_one_picture_is_that_picture() {
    for body in [
        "<img src='a.jpg' alt='x'/>",
        "<div>\n<p><a href='https://x.y'><img src='a.jpg' alt='x'/></a></p></div>",
        "<svg><title>x</title><image xlink:href='a.jpg'/></svg>",
        "<object type='image/jpeg' data='a.jpg'>x</object>",
        "<span epub:type='pagebreak' title='1'/><figure><img src='a.jpg' alt='x'/></figure>",
    ] {
        let read = read(body);
        let picture = read
            .only_picture()
            .unwrap_or_else(|| panic!("{body}: {read:?}"));
        assert_eq!(picture.path.as_deref(), Some("OPS/a.jpg"));
        assert_eq!(picture.alt, "x");
        assert!(read.faults.is_empty());
    }
}

#[test]
fn pictures_that_are_not_in_the_book_are_faults() {
    for source in [
        "missing.jpg",
        "https://a.b/c.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AA",
    ] {
        let read = read(&format!("<p>a<img src='{source}' alt='b'/></p>"));
        let picture = Picture {
            path: None,
            alt: "b".into(),
            caption: Vec::new(),
        };
        assert_eq!(
            read.pieces,
            [Piece::Paragraph(vec![text("a"), Inline::Picture(picture)])]
        );
        assert_eq!(read.faults.len(), 1, "{source}");
    }
}

#[test]
fn only_harmless_links_are_links() {
    for (href, to) in [
        ("https://a.b", Some("https://a.b")),
        ("c.xhtml#d", Some("OPS/c.xhtml#d")),
        ("#d", Some("OPS/ch.xhtml#d")),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("missing", None),
    ] {
        let inline = match to {
            Some(to) => Inline::Link {
                to: to.into(),
                text: vec![text("a")],
            },
            None => text("a"),
        };
        assert_eq!(
            read(&format!("<p><a href='{href}'>a</a></p>")).pieces,
            [Piece::Paragraph(vec![inline])]
        );
    }
}

#[test]
fn spans_are_bounded_by_the_table() {
    let read = read(
        "<table><tfoot><tr><td>f</td></tr></tfoot><thead><tr><th colspan='9' rowspan='9'>h</th></tr></thead>\
         <tbody><tr><td rowspan='0'>a</td><td colspan='3'>b</td></tr><tr><td>c</td><td colspan='2'>d</td></tr></tbody></table>",
    );
    let table = table(&read.pieces);
    let spans: Vec<Vec<(u32, u32)>> = table
        .rows
        .iter()
        .map(|r| r.iter().map(|c| (c.rows, c.columns)).collect())
        .collect();
    assert_eq!(table.header_rows, 1);
    assert_eq!(
        spans,
        [
            vec![(1, 3)],
            vec![(2, 1), (1, 2)],
            vec![(1, 1), (1, 1)],
            vec![(1, 1)]
        ]
    );
}

#[test]
fn a_hidden_note_is_kept_only_where_a_mark_names_it() {
    let note = "<aside epub:type='footnote' hidden='' id='n'>x</aside>";
    assert!(read(note).pieces.is_empty());
    let read = read(&format!(
        "<p><a epub:type='noteref' href='#n'>1</a></p>{note}"
    ));
    let mark = Inline::NoteMark {
        id: "OPS/ch.xhtml#n".into(),
        text: "1".into(),
    };
    let note = Piece::Note {
        id: "OPS/ch.xhtml#n".into(),
        pieces: vec![Piece::Paragraph(vec![text("x")])],
    };
    assert_eq!(read.pieces, [Piece::Paragraph(vec![mark]), note]);
    assert!(read.closed.is_empty());
}

#[test]
fn a_hidden_note_waits_for_a_mark_of_another_chapter() {
    let read = read(
        "<p>a</p><section hidden=''><h2>Notes</h2>\
         <aside epub:type='footnote' id='n'><p id='m'>x</p></aside></section>",
    );
    assert_eq!(read.pieces, [Piece::Paragraph(vec![text("a")])]);
    let note = ClosedNote {
        ids: vec!["OPS/ch.xhtml#n".into(), "OPS/ch.xhtml#m".into()],
        pieces: vec![Piece::Paragraph(vec![text("x")])],
    };
    assert_eq!(read.closed, [note]);
}

#[test]
fn definitions_stand_in_order() {
    let read = read("<dl><dt>a</dt><div><dt>b</dt><dd>c</dd></div></dl>");
    let expected = vec![
        Definition::Term(vec![text("a")]),
        Definition::Term(vec![text("b")]),
        Definition::Meaning(vec![Piece::Paragraph(vec![text("c")])]),
    ];
    assert_eq!(read.pieces, [Piece::Definitions(expected)]);
}

#[test]
fn mathml_takes_the_presentation() {
    let read = read(
        "<math><semantics><apply><plus/></apply><annotation-xml encoding='MathML-Presentation'><mi>x</mi></annotation-xml></semantics></math>\
         <math><semantics><mrow><mi>f</mi><mo>&#x2061;</mo><mn>2</mn></mrow><annotation encoding='application/x-tex'>no</annotation></semantics></math>",
    );
    let x = Math::Identifier {
        text: "x".into(),
        style: Default::default(),
    };
    let f = Math::Identifier {
        text: "f".into(),
        style: Default::default(),
    };
    let row = Math::Row(vec![f, Math::Number("2".into())]);
    assert_eq!(
        read.pieces,
        [Piece::Paragraph(vec![
            Inline::Formula(x),
            Inline::Formula(row)
        ])]
    );
}

#[test]
fn a_file_that_is_no_xml_is_read_and_said_so() {
    let read = read("<p>a<p>b<br>c");
    assert_eq!(read.pieces.len(), 2);
    assert_eq!(read.faults, ["is not well-formed XML; it was read as HTML"]);
}
