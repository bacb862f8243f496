//! Books made here, typeset, and read again by their frames.

use std::collections::BTreeMap;
use std::time::Instant;

use super::*;
use crate::document::flow::{Cell, Definition, Inline, Math, Picture, Piece, Style, Table};
use crate::page::Role;

/// Pictures by path.
#[derive(Default)]
struct Given(BTreeMap<String, Vec<u8>>);

impl Pictures for Given {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| "missing".to_owned())
    }
}

fn words(text: &str) -> Vec<Inline> {
    vec![Inline::Text(text.to_owned())]
}

fn paragraph(text: &str) -> Piece {
    Piece::Paragraph(words(text))
}

fn chapter(pieces: Vec<Piece>) -> Chapter {
    Chapter {
        path: "ch.xhtml".to_owned(),
        pieces,
        ..Chapter::default()
    }
}

fn set(chapters: &[Chapter]) -> Typeset {
    set_with(chapters, Given::default())
}

fn set_with(chapters: &[Chapter], mut pictures: Given) -> Typeset {
    let book = Metadata {
        title: "A made-up book".to_owned(),
        authors: vec!["Nobody".to_owned()],
        languages: vec!["en".to_owned()],
        ..Metadata::default()
    };
    let typeset = typeset(&book, chapters, &mut pictures, &Settings::default()).unwrap();
    assert!(typeset.pdf.starts_with(b"%PDF-"));
    for block in typeset.pages.iter().flat_map(|page| &page.blocks) {
        assert!(Role::known(block.label).is_some(), "{}", block.label);
        assert!(
            block.at.x1 < block.at.x2 && block.at.y1 < block.at.y2,
            "{block:?}"
        );
    }
    // To look at the pages: a folder for the PDFs and boxes of these tests.
    if let Ok(folder) = std::env::var("DROPLEAF_TYPESET_OUT") {
        let name = std::thread::current()
            .name()
            .unwrap_or("page")
            .replace("::", "-");
        std::fs::write(format!("{folder}/{name}.pdf"), &typeset.pdf).unwrap();
        std::fs::write(
            format!("{folder}/{name}.txt"),
            format!("{:#?}", typeset.pages),
        )
        .unwrap();
    }
    typeset
}

fn labels(typeset: &Typeset) -> Vec<(&'static str, usize)> {
    let blocks = typeset.pages.iter().flat_map(|page| &page.blocks);
    blocks
        .filter(|block| block.first)
        .map(|block| (block.label, block.piece))
        .collect()
}

fn prose(bytes: usize, seed: u64) -> String {
    const WORDS: [&str; 24] = [
        "the",
        "house",
        "of",
        "winter",
        "and",
        "a",
        "river",
        "that",
        "nobody",
        "remembers",
        "stood",
        "between",
        "two",
        "hills",
        "where",
        "children",
        "had",
        "once",
        "gathered",
        "silence",
        "in",
        "baskets",
        "made",
        "evenings",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::with_capacity(bytes + 16);
    let mut since = 0;
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(WORDS[(state % 24) as usize]);
        since += 1;
        text.push_str(if since % 13 == 0 { ". " } else { " " });
    }
    text
}

/// A novel of `chapters` chapters of `bytes` each, in paragraphs of some 500 bytes.
fn novel(chapters: usize, bytes: usize) -> Vec<Chapter> {
    (0..chapters)
        .map(|number| {
            let mut pieces = vec![Piece::Heading {
                level: 1,
                text: words(&format!("Chapter {}", number + 1)),
            }];
            let text = prose(bytes, number as u64 + 7);
            pieces.extend(text::cut(&text, 500).into_iter().map(paragraph));
            chapter(pieces)
        })
        .collect()
}

/// Peak of resident memory of this process in MB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kb: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kb / 1024
}

fn measure(what: &str, chapters: &[Chapter]) {
    measure_with(what, chapters, Given::default());
}

fn measure_with(what: &str, chapters: &[Chapter], given: Given) {
    let before = peak();
    let start = Instant::now();
    let typeset = set_with(chapters, given);
    eprintln!(
        "{what}: {} pages, {:.1} s, peak {} MB (before {before} MB), pdf {} KB",
        typeset.pages.len(),
        start.elapsed().as_secs_f64(),
        peak(),
        typeset.pdf.len() / 1024,
    );
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_novel() {
    measure("novel", &novel(40, 62_500));
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_a_shelf_of_novels() {
    measure("10 MB of text", &novel(160, 62_500));
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_pictures() {
    let picture = |n: usize| Piece::Picture(picture(&format!("{n}.jpg"), ""));
    let chapters: Vec<Chapter> = (0..300).map(|n| chapter(vec![picture(n)])).collect();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(1_600, 2_400, |x, y| {
        image::Rgb([x as u8, y as u8, (x ^ y) as u8])
    })
    .write_to(&mut jpeg, image::ImageFormat::Jpeg)
    .unwrap();
    let jpeg = jpeg.into_inner();
    eprintln!("a picture has {} KB", jpeg.len() / 1024);
    // Each differs, or all would be one.
    let given = (0..300).map(|n: usize| {
        let mut data = jpeg.clone();
        data.extend_from_slice(&n.to_le_bytes());
        (format!("{n}.jpg"), data)
    });
    measure_with("300 pictures", &chapters, Given(given.collect()));
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_one_chapter_novel() {
    measure("novel in one chapter", &novel(1, 2_500_000));
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_table() {
    let row = |n: usize| {
        (0..5)
            .map(|c| cell(&format!("row {n} cell {c} of it")))
            .collect()
    };
    let table = Table {
        header_rows: 1,
        rows: (0..10_000).map(row).collect(),
        ..Table::default()
    };
    measure("10,000 rows", &[chapter(vec![Piece::Table(table)])]);
}

#[test]
#[ignore = "a measurement: run alone, with --nocapture"]
fn measure_long_paragraph() {
    measure(
        "600,000 bytes",
        &[chapter(vec![paragraph(&prose(600_000, 3))])],
    );
}

fn cell(text: &str) -> Cell {
    Cell {
        header: false,
        rows: 1,
        columns: 1,
        pieces: vec![paragraph(text)],
    }
}

#[test]
fn each_piece_has_its_box_on_each_of_its_pages() {
    let long = prose(9_000, 1);
    let typeset = set(&[
        chapter(vec![
            Piece::Heading {
                level: 1,
                text: words("The Title"),
            },
            paragraph("A short paragraph."),
            paragraph(&long),
            Piece::Heading {
                level: 2,
                text: words("A Section"),
            },
        ]),
        chapter(Vec::new()),
        chapter(vec![paragraph("The end.")]),
    ]);
    let first = [
        ("doc_title", 0),
        ("text", 1),
        ("text", 2),
        ("paragraph_title", 3),
        ("text", 0),
    ];
    assert_eq!(labels(&typeset), first);
    let chapters: Vec<usize> = typeset.pages.iter().map(|page| page.chapter).collect();
    assert!(chapters.is_sorted());
    assert_eq!(
        chapters.iter().filter(|c| **c == 1).count(),
        1,
        "an empty page"
    );
    let pages = typeset.pages.iter().filter(|page| page.chapter == 0);
    let going_on = pages.filter(|page| page.blocks.iter().any(|b| b.piece == 2));
    assert!(going_on.count() >= 3);
    // The title stands at the top of its page, within the margins, above the paragraph.
    let blocks = &typeset.pages[0].blocks;
    assert!(blocks[0].at.y2 <= blocks[1].at.y1);
    assert!((95..=105).contains(&blocks[0].at.x1), "{:?}", blocks[0].at);
    assert!((60..=80).contains(&blocks[0].at.y1), "{:?}", blocks[0].at);
    let wide = blocks[2].at;
    assert!(wide.x2 > 850 && wide.x2 <= 900, "{wide:?}");
}

#[test]
fn words_of_a_book_are_never_markup() {
    let hostile = "#set page(width: 1pt) = Title *bold* $x$ @ref <label> #read(\"/etc/passwd\") \\";
    let typeset = set(&[chapter(vec![
        paragraph(hostile),
        Piece::Code {
            language: Some("typst".to_owned()),
            text: hostile.to_owned(),
        },
        Piece::Formula(Math::Row(vec![
            Math::Identifier {
                text: "#x".to_owned(),
                style: Style::Italic,
            },
            Math::Text(hostile.to_owned()),
        ])),
    ])]);
    assert!(typeset.faults.is_empty(), "{:?}", typeset.faults);
    assert_eq!(typeset.pages[0].width_pt, 400.0);
    assert_eq!(
        labels(&typeset),
        [("text", 0), ("algorithm", 1), ("display_formula", 2)]
    );
}

fn identifier(text: &str) -> Math {
    Math::Identifier {
        text: text.to_owned(),
        style: Style::Italic,
    }
}

fn sign(text: &str, stretchy: bool) -> Math {
    Math::Operator {
        text: text.to_owned(),
        stretchy,
    }
}

fn number(text: &str) -> Math {
    Math::Number(text.to_owned())
}

fn formulas() -> Vec<Math> {
    let fraction = |bar| Math::Fraction {
        over: Box::new(identifier("a")),
        under: Box::new(Math::Root {
            of: Box::new(identifier("b")),
            degree: Some(Box::new(number("3"))),
        }),
        bar,
    };
    let styles = [
        Style::Italic,
        Style::Upright,
        Style::Bold,
        Style::BoldItalic,
        Style::DoubleStruck,
        Style::Script,
        Style::Fraktur,
        Style::SansSerif,
        Style::Monospace,
    ];
    let letters = styles.map(|style| Math::Identifier {
        text: "R".to_owned(),
        style,
    });
    let sum = Math::Limits {
        base: Box::new(sign("∑", false)),
        under: Some(Box::new(Math::Row(vec![
            identifier("i"),
            sign("=", false),
            number("1"),
        ]))),
        over: Some(Box::new(identifier("n"))),
        accent: false,
    };
    let accent = |over: &str| Math::Limits {
        base: Box::new(identifier("x")),
        under: None,
        over: Some(Box::new(sign(over, true))),
        accent: true,
    };
    let table = Math::Table(vec![
        vec![number("1"), number("0")],
        vec![number("0"), identifier("λ"), identifier("q")],
    ]);
    vec![
        Math::Row(vec![
            sign("(", true),
            fraction(true),
            sign(")", true),
            fraction(false),
        ]),
        Math::Row(letters.to_vec()),
        Math::Row(vec![
            sum,
            accent("^"),
            accent("→"),
            accent("¯"),
            accent("⏞"),
            accent("?"),
        ]),
        Math::Row(vec![sign("{", true), table.clone()]),
        Math::Fenced {
            open: "[".to_owned(),
            close: "]".to_owned(),
            inner: Box::new(table),
        },
        Math::Scripts {
            base: Box::new(identifier("f")),
            sub: Some(Box::new(identifier("k"))),
            sup: Some(Box::new(sign("′", false))),
        },
        Math::Enclosed {
            how: "box".to_owned(),
            inner: Box::new(Math::Phantom(Box::new(identifier("x")))),
        },
        Math::Enclosed {
            how: "updiagonalstrike downdiagonalstrike".to_owned(),
            inner: Box::new(identifier("x")),
        },
        Math::Row(vec![
            Math::Identifier {
                text: "sin".to_owned(),
                style: Style::Upright,
            },
            sign("\u{2061}", false),
            identifier("x"),
            Math::Space,
            sign("≤", false),
            Math::Text("if all is well".to_owned()),
            sign("|", true),
            sign("lim", false),
        ]),
        Math::Row(Vec::new()),
    ]
}

#[test]
fn formulas_are_set_alone_and_in_lines() {
    let mut pieces: Vec<Piece> = formulas().into_iter().map(Piece::Formula).collect();
    let mut line = words("In a line: ");
    for formula in formulas() {
        line.push(Inline::Formula(formula));
        line.extend(words(", "));
    }
    pieces.push(Piece::Paragraph(line));
    let count = pieces.len();
    let typeset = set(&[chapter(pieces)]);
    assert!(typeset.faults.is_empty(), "{:?}", typeset.faults);
    assert!(
        typeset.missing_glyphs.is_empty(),
        "{:?}",
        typeset.missing_glyphs
    );
    // The empty formula draws nothing.
    assert_eq!(labels(&typeset).len(), count - 1);
}

#[test]
fn deep_nesting_is_set_flat() {
    let mut math = identifier("x");
    let mut inline = words("deep");
    let mut piece = paragraph("deep");
    for level in 0..200 {
        math = Math::Fraction {
            over: Box::new(math),
            under: Box::new(number("2")),
            bar: true,
        };
        inline = vec![Inline::Emphasis(vec![Inline::Strong(inline)])];
        piece = match level % 3 {
            0 => Piece::Quote(vec![piece]),
            1 => Piece::List {
                start: Some(1),
                items: vec![vec![piece]],
            },
            _ => Piece::Table(Table {
                rows: vec![vec![Cell {
                    header: false,
                    rows: 1,
                    columns: 1,
                    pieces: vec![piece],
                }]],
                ..Table::default()
            }),
        };
    }
    let typeset = set(&[chapter(vec![
        Piece::Formula(math),
        Piece::Paragraph(inline),
        piece,
    ])]);
    assert!(typeset.faults.is_empty(), "{:?}", typeset.faults);
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn picture(path: &str, caption: &str) -> Picture {
    Picture {
        path: Some(path.to_owned()),
        alt: "what it shows".to_owned(),
        caption: if caption.is_empty() {
            Vec::new()
        } else {
            words(caption)
        },
    }
}

fn gallery() -> Given {
    const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">
        <rect width="80" height="40" fill="teal"/><text x="5" y="20">svg</text></svg>"#;
    const LEADS_OUT: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">
        <image href="/etc/passwd" width="80" height="40"/></svg>"#;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(300, 200, image::Rgb([200, 30, 30]))
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let pictures = [
        ("a.png", png(600, 400)),
        ("b.jpg", jpeg.into_inner()),
        ("c.svg", SVG.as_bytes().to_vec()),
        ("out.svg", LEADS_OUT.as_bytes().to_vec()),
        ("broken.png", b"\x89PNG\r\n\x1a\nnothing".to_vec()),
        ("empty", Vec::new()),
    ];
    Given(pictures.map(|(path, data)| (path.to_owned(), data)).into())
}

#[test]
fn pictures_are_drawn_or_noted() {
    let pieces = vec![
        Piece::Picture(picture("a.png", "Figure 1: a caption")),
        Piece::Picture(picture("b.jpg", "")),
        Piece::Picture(picture("c.svg", "")),
        Piece::Picture(picture("broken.png", "")),
        Piece::Picture(picture("gone.png", "")),
        Piece::Picture(picture("empty", "")),
        Piece::Paragraph(vec![
            Inline::Text("In a line ".to_owned()),
            Inline::Picture(picture("c.svg", "")),
        ]),
    ];
    let typeset = set_with(&[chapter(pieces)], gallery());
    let faults: Vec<&str> = typeset
        .faults
        .iter()
        .map(|(_, fault)| fault.as_str())
        .collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(
        faults[0].starts_with("broken.png cannot be drawn"),
        "{faults:?}"
    );
    let labels = labels(&typeset);
    assert_eq!(labels[0], ("image", 0));
    assert_eq!(labels[1], ("figure_title", 0));
    assert_eq!(
        labels.iter().filter(|(label, _)| *label == "image").count(),
        7
    );
    let inside = typeset
        .pages
        .iter()
        .flat_map(|p| &p.blocks)
        .find(|b| b.inside);
    assert!(inside.is_some_and(|b| b.label == "image" && b.piece == 6));
}

#[test]
fn a_chapter_that_is_a_picture_is_a_page_of_it() {
    let typeset = set_with(
        &[
            chapter(vec![Piece::Picture(picture("a.png", ""))]),
            chapter(vec![Piece::Picture(picture("broken.png", ""))]),
        ],
        gallery(),
    );
    let page = &typeset.pages[0];
    assert_eq!((page.width_pt, page.height_pt), (300.0, 200.0));
    assert_eq!(page.picture.as_deref(), Some("a.png"));
    assert_eq!(page.blocks.len(), 1);
    assert_eq!(page.blocks[0].at, crate::page::PageBox::FULL);
    let page = &typeset.pages[1];
    assert_eq!((page.width_pt, &page.picture), (400.0, &None));
    assert_eq!(typeset.pages.len(), 2);
}

#[test]
fn a_table_goes_over_pages_with_its_spans() {
    let mut rows: Vec<Vec<Cell>> = (0..150)
        .map(|n| vec![cell(&format!("row {n}")), cell("value"), cell("12.50")])
        .collect();
    rows[0].iter_mut().for_each(|cell| cell.header = true);
    rows[3][0].rows = 70;
    rows[4..73].iter_mut().for_each(|row| {
        row.remove(0);
    });
    rows[80][0].columns = 9;
    let table = Table {
        caption: words("Table 1: long"),
        header_rows: 1,
        rows,
    };
    let typeset = set(&[chapter(vec![Piece::Table(table)])]);
    assert!(typeset.faults.is_empty(), "{:?}", typeset.faults);
    assert!(typeset.pages.len() >= 3);
    assert_eq!(labels(&typeset), [("figure_title", 0), ("table", 0)]);
    assert!(
        typeset
            .pages
            .iter()
            .all(|p| p.blocks.iter().any(|b| b.label == "table"))
    );
}

#[test]
fn every_kind_of_piece_is_set() {
    let text = |text: &str| vec![paragraph(text)];
    let styled = Piece::Paragraph(vec![
        Inline::Text("Plain, ".to_owned()),
        Inline::Emphasis(words("emphasis ")),
        Inline::Strong(words("strong ")),
        Inline::Strike(words("gone")),
        Inline::Text(" H".to_owned()),
        Inline::Sub(words("2")),
        Inline::Text("O, x".to_owned()),
        Inline::Sup(words("n")),
        Inline::Code(" let x = 1; ".to_owned()),
        Inline::Link {
            to: "https://example.org".to_owned(),
            text: words("a link"),
        },
        Inline::Break,
        Inline::Ruby {
            base: words("base"),
            reading: "a longer reading".to_owned(),
        },
        Inline::NoteMark {
            id: "n1".to_owned(),
            text: "1".to_owned(),
        },
        Inline::PageBreak("12".to_owned()),
    ]);
    let typeset = set(&[chapter(vec![
        styled,
        Piece::List {
            start: Some(9),
            items: vec![
                text("nine"),
                vec![
                    paragraph("ten, with a list"),
                    Piece::List {
                        start: None,
                        items: vec![text("inner"), text(&prose(300, 2))],
                    },
                ],
            ],
        },
        Piece::Quote(vec![paragraph(&prose(300, 4))]),
        Piece::Code {
            language: None,
            text: "fn main() {\n    println!(\"hello\");\n\n}".to_owned(),
        },
        Piece::Definitions(vec![
            Definition::Term(words("term")),
            Definition::Meaning(text("what it means")),
        ]),
        Piece::Rule,
        Piece::PageBreak("13".to_owned()),
        Piece::Note {
            id: "n1".to_owned(),
            pieces: text(&prose(200, 5)),
        },
        paragraph("\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}"),
        paragraph(&"x".repeat(3_000)),
    ])]);
    assert!(typeset.faults.is_empty(), "{:?}", typeset.faults);
    assert!(
        typeset.missing_glyphs.is_empty(),
        "{:?}",
        typeset.missing_glyphs
    );
    assert_eq!(
        labels(&typeset),
        [
            ("text", 0),
            ("list", 1),
            ("text", 2),
            ("algorithm", 3),
            ("list", 4),
            ("footnote", 7),
            ("text", 8),
            ("text", 9),
        ]
    );
    // Hebrew stands at the right margin.
    let hebrew = typeset
        .pages
        .iter()
        .flat_map(|p| &p.blocks)
        .find(|b| b.piece == 8);
    assert!(
        hebrew.is_some_and(|b| b.at.x1 > 600 && b.at.x2 > 880),
        "{hebrew:?}"
    );
    // A word without end stays within the margins.
    let endless = typeset
        .pages
        .iter()
        .flat_map(|p| &p.blocks)
        .find(|b| b.piece == 9);
    assert!(endless.is_some_and(|b| b.at.x2 <= 905), "{endless:?}");
}

#[test]
fn a_character_without_a_glyph_is_reported() {
    let book = Metadata::default();
    let settings = Settings {
        font_folders: Vec::new(),
        ..Settings::default()
    };
    let chapters = [chapter(vec![paragraph("A 漢字 and \u{10FFFD}.")])];
    let typeset = typeset(&book, &chapters, &mut Given::default(), &settings).unwrap();
    let missing: Vec<char> = typeset.missing_glyphs.into_iter().collect();
    assert_eq!(missing, ['字', '漢', '\u{10FFFD}']);
}

#[test]
fn a_long_chapter_is_laid_out_in_portions() {
    let typeset = set(&novel(2, 330_000));
    assert!(typeset.pages.iter().all(|page| !page.blocks.is_empty()));
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for page in &typeset.pages {
        let first = page.blocks.iter().filter(|block| block.first);
        pieces.extend(first.map(|block| (page.chapter, block.piece)));
    }
    assert!(pieces.is_sorted());
    assert!(pieces.windows(2).all(|w| w[0] != w[1]));
}

#[test]
fn a_wide_formula_stays_on_the_page() {
    let mut row = Vec::new();
    for n in 0..60 {
        row.extend([
            identifier("x"),
            sign("+", false),
            number(&n.to_string()),
            sign("=", false),
        ]);
    }
    let typeset = set(&[chapter(vec![Piece::Formula(Math::Row(row))])]);
    let at = typeset.pages[0].blocks[0].at;
    assert!(at.x1 >= 95 && at.x2 <= 905, "{at:?}");
}
