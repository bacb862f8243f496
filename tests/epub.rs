//! Books through the whole program: what comes out, what the engine reads, what hostile ones get.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dropleaf::document::markdown;
use dropleaf::document::xhtml::{self, Surroundings};
use rustix::fs::inotify;
use serde_json::Value;
use support::Place;
use support::epub::{Epub, encryption};

const SPLIT: &str = "<--- Page Split --->";

/// Puts books into a folder and processes it with `settings`; the exit code.
fn process(place: &Place, books: &[(&str, Vec<u8>)], settings: &str) -> Option<i32> {
    let folder = place.at("books");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in books {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let config = std::fs::read_to_string(place.at("dropleaf.toml")).unwrap();
    std::fs::write(place.at("dropleaf.toml"), format!("{config}{settings}")).unwrap();
    let (folder, out) = (folder.display().to_string(), place.at("out"));
    place
        .command(&["process", &folder, "--out", &out.display().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .code()
}

fn text(place: &Place, path: &str) -> String {
    std::fs::read_to_string(place.at("out").join(path)).unwrap()
}

fn json(place: &Place, path: &str) -> Value {
    serde_json::from_str(&text(place, path)).unwrap()
}

/// A drawn card of the small reader's, with its words.
fn card() -> (Vec<u8>, Vec<String>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-reader");
    let cards: Value =
        serde_json::from_slice(&std::fs::read(data.join("cards.json")).unwrap()).unwrap();
    let card = &cards["cards"][0];
    let picture = std::fs::read(data.join(card["file"].as_str().unwrap())).unwrap();
    let truth = card["truth"].as_str().unwrap();
    let words = truth
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|w| w.len() > 4 && !["image", "title"].contains(w))
        .map(str::to_owned);
    (picture, words.collect())
}

#[test]
fn a_book_comes_out_as_it_is() {
    let place = Place::new();
    let (picture, _) = card();
    let one = "<h1>First *things*</h1><p>Words &amp; <em>more</em> words.\
               <a epub:type=\"noteref\" href=\"#n\">1</a></p>\
               <figure><img src=\"a%20b.png\" alt=\"A card\"/><figcaption>Its caption</figcaption></figure>\
               <aside epub:type=\"footnote\" id=\"n\"><p>The note.</p></aside>";
    let two = "<h2>Second</h2><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2|3</td></tr></table>\
               <p>שלום and 漢字</p>";
    let book = Epub::new()
        .chapter("one.xhtml", one)
        .chapter("two.xhtml", two)
        .file("a b.png", "image/png", &picture)
        .nav("<ol><li><a href=\"one.xhtml\">First</a></li><li><a href=\"two.xhtml\">Second</a></li></ol>")
        .build();
    assert_eq!(process(&place, &[("book.epub", book)], ""), Some(0));
    let markdown = text(&place, "book/book.mmd");
    let expected = [
        "---\ntitle: \"A Title\"\nauthor: \"An Author\"\n",
        "# First \\*things\\*\n\nWords & *more* words.[^1]\n\n",
        "![A card](images/a_b.png)\n\n*Its caption*\n\n",
        "[^1]: The note.\n\n<--- Page Split --->\n## Second\n\n",
        "| A | B |",
        "2\\|3",
        "שלום and 漢字",
    ];
    let mut rest = markdown.as_str();
    for part in expected {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("{part:?} is not in\n{rest}"));
        rest = &rest[at + part.len()..];
    }
    assert_eq!(markdown.matches(SPLIT).count(), 2);
    let shown = std::fs::read(place.at("out/book/images/a_b.png")).unwrap();
    assert!(shown == picture, "the picture is not as the book has it");

    let report = json(&place, "book/book.json");
    assert_eq!(report["book"]["metadata"]["title"], "A Title");
    assert_eq!(report["book"]["contents"][1]["title"], "Second");
    assert_eq!(report["book"]["chapters"][1]["first_page"], 1);
    assert_eq!(report["page_status"]["ok"], 2);
    let grounded = text(&place, "book/book_det.mmd");
    assert_eq!(grounded.matches(SPLIT).count(), 2);
    for mark in [
        "<|ref|>doc_title<|/ref|><|det|>[[",
        "<|ref|>image<|/ref|><|det|>[[",
        "<|ref|>footnote<|/ref|><|det|>[[",
        "<|ref|>table<|/ref|><|det|>[[",
        "The note.",
    ] {
        assert!(grounded.contains(mark), "{mark} is not in\n{grounded}");
    }
    let layouts = std::fs::read(place.at("out/book/book_layouts.pdf")).unwrap();
    assert!(layouts.starts_with(b"%PDF-"));
    assert!(!place.at("out/book/images/0_0.jpg").exists());

    // Again into the same folder: the output is replaced, pictures of its own and all.
    assert_eq!(process(&place, &[], ""), Some(0));
    assert_eq!(text(&place, "book/book.mmd"), markdown);
    let names = std::fs::read_dir(place.at("out")).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("book")).count(), 1);
}

#[test]
fn the_engine_reads_the_pictures_that_it_is_shown() {
    let (picture, words) = card();
    let book = || {
        Epub::new()
            .chapter("page.xhtml", "<div><img src=\"p.png\" alt=\"\"/></div>")
            .chapter(
                "text.xhtml",
                "<p>Before.</p><p><img src=\"q.png\" alt=\"\"/></p><p>After.</p>",
            )
            .file("p.png", "image/png", &picture)
            .file("q.png", "image/png", &picture)
            .build()
    };
    let read = |settings: &str| {
        let place = Place::new();
        assert_eq!(process(&place, &[("b.epub", book())], settings), Some(0));
        let markdown = text(&place, "b/b.mmd");
        let parts: Vec<String> = markdown.split(SPLIT).map(str::to_owned).collect();
        assert_eq!(parts.len(), 3, "{markdown}");
        let all = |part: &str| words.iter().filter(|w| part.contains(w.as_str())).count();
        let (page, within) = (all(&parts[0]), all(&parts[1]));
        assert!(parts[0].contains("![](images/p.png)"), "{markdown}");
        assert!(
            parts[1].contains("Before.") && parts[1].contains("After."),
            "{markdown}"
        );
        let after = parts[1].find("After.").unwrap();
        let last = words.iter().filter_map(|w| parts[1].find(w.as_str())).max();
        assert!(last.is_none_or(|at| at < after), "{markdown}");
        (page, within)
    };
    assert!(words.len() > 5, "{words:?}");
    let many = words.len() * 8 / 10;
    let (page, within) = read("");
    assert!(page >= many && within == 0, "{page} {within}");
    let (page, within) = read("[epub]\nread_pictures = \"all\"\n");
    assert!(page >= many && within >= many, "{page} {within}");
    let (page, within) = read("[epub]\nread_pictures = \"none\"\n");
    assert_eq!((page, within), (0, 0));
}

#[test]
fn typeset_pages_can_be_read_as_the_seed_did() {
    let place = Place::new();
    let body = "<h1>Morning</h1><p>The quick brown fox jumps over the lazy dog.</p>";
    let book = Epub::new().chapter("a.xhtml", body).build();
    let settings = "[epub]\ntext = \"ocr\"\n";
    assert_eq!(process(&place, &[("a.epub", book)], settings), Some(0));
    let markdown = text(&place, "a/a.mmd");
    assert!(
        markdown.contains("Morning") && markdown.contains("quick brown fox"),
        "{markdown}"
    );
    let seconds = json(&place, "a/a.json")["pages"][0]["seconds"].as_f64();
    assert!(seconds.is_some_and(|s| s > 0.0));
}

#[test]
fn a_separator_can_stand_after_each_page() {
    let place = Place::new();
    let paragraphs: String = (0..60)
        .map(|i| {
            format!(
                "<p>Paragraph {i} has some words in it, enough for a line or two of a page.</p>"
            )
        })
        .collect();
    let book = Epub::new().chapter("a.xhtml", &paragraphs).build();
    let settings = "[epub]\nseparator = \"page\"\n";
    assert_eq!(process(&place, &[("a.epub", book)], settings), Some(0));
    let pages = json(&place, "a/a.json")["page_count"].as_u64().unwrap();
    let markdown = text(&place, "a/a.mmd");
    assert!(pages > 2);
    assert_eq!(markdown.matches(SPLIT).count() as u64, pages);
    let mut at = 0;
    for i in 0..60 {
        at += markdown[at..].find(&format!("Paragraph {i} has")).unwrap();
    }
    assert_eq!(markdown.matches("has some words").count(), 60, "once each");
}

/// Nothing outside of the book is opened: no file, no connection.
#[test]
fn nothing_but_the_book_is_opened() {
    let place = Place::new();
    let decoy = place.at("decoy");
    std::fs::create_dir(&decoy).unwrap();
    std::fs::write(decoy.join("p.png"), card().0).unwrap();
    std::fs::write(decoy.join("x.xhtml"), "<p>stolen</p>").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, &decoy, inotify::WatchFlags::OPEN).unwrap();

    let url = format!("http://{}", listener.local_addr().unwrap());
    let (path, up) = (decoy.display(), "../".repeat(12));
    let references: String = ["p.png", "x.xhtml"]
        .iter()
        .flat_map(|file| {
            [
                format!("{url}/{file}"),
                format!("file://{path}/{file}"),
                format!("{path}/{file}"),
                format!("{up}{path}/{file}"),
            ]
        })
        .map(|href| {
            format!(
                "<p>Here.<img src=\"{href}\"/><object data=\"{href}\"></object><iframe src=\"{href}\"></iframe>\
                 <svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">\
                 <image xlink:href=\"{href}\"/><use href=\"{href}\"/></svg></p>\
                 <script src=\"{href}\">document.write('run')</script><link rel=\"stylesheet\" href=\"{href}\"/>"
            )
        })
        .collect();
    let entity = format!(
        "<!DOCTYPE html [<!ENTITY outer SYSTEM \"file://{path}/x.xhtml\">]>\
         <html xmlns=\"http://www.w3.org/1999/xhtml\"><head><style>@import '{url}/a.css';</style></head>\
         <body><p>Before &outer; after.</p>{references}</body></html>"
    );
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"50\" height=\"50\"><image href=\"file://{path}/p.png\" \
         width=\"50\" height=\"50\"/><text>drawn</text></svg>"
    );
    let manifest = format!(
        "<item id=\"out\" href=\"file://{path}/x.xhtml\" media-type=\"application/xhtml+xml\"/>\
         <item id=\"far\" href=\"{url}/x.xhtml\" media-type=\"application/xhtml+xml\"/>"
    );
    let book = Epub::new()
        .document("a.xhtml", entity.as_bytes())
        .chapter("b.xhtml", "<p>A drawing: <img src=\"s.svg\"/></p>")
        .file("s.svg", "image/svg+xml", svg.as_bytes())
        .raw(
            &manifest,
            "<itemref idref=\"out\"/><itemref idref=\"far\"/>",
        )
        .build();
    let settings = "[epub]\nread_pictures = \"all\"\n";
    assert_eq!(process(&place, &[("a.epub", book)], settings), Some(0));

    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let opened = inotify::Reader::new(&watch, &mut buffer)
        .next()
        .map(|e| format!("{e:?}"));
    assert_eq!(
        opened.unwrap_err(),
        rustix::io::Errno::AGAIN,
        "a file was opened"
    );
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let all = text(&place, "a/a.mmd") + &text(&place, "a/a_det.mmd");
    assert!(all.contains("Before") && all.contains("Here.") && all.contains("A drawing"));
    assert!(!all.contains("stolen") && !all.contains("run"), "{all}");
    // The watch and the listener do see what happens.
    std::fs::read(decoy.join("p.png")).unwrap();
    assert!(inotify::Reader::new(&watch, &mut buffer).next().is_ok());
    std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(listener.accept().is_ok());
}

#[test]
fn hostile_books_get_what_they_deserve_and_the_rest_are_read() {
    let place = Place::new();
    let deep = format!("{}deep{}", "<div>".repeat(20_000), "</div>".repeat(20_000));
    let rows: String = (0..10_000)
        .map(|i| format!("<tr><td>{i}</td><td>row number {i}</td><td>x</td></tr>"))
        .collect();
    let long = format!("<p>{}</p>", "word and ".repeat(50_000));
    let entities: String = (0..20)
        .map(|i| format!("<!ENTITY e{} \"{}\">", i + 1, format!("&e{i};").repeat(10)))
        .collect();
    let bomb = format!(
        "<!DOCTYPE html [<!ENTITY e0 \"ha\">{entities}]>\
         <html xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>Laugh &e20; end.</p></body></html>"
    );
    let whole = || Epub::new().chapter("a.xhtml", "<p>A good book.</p>");
    let mut cut = whole().build();
    cut.truncate(cut.len() * 2 / 3);
    let mut many = whole();
    for i in 0..100_000 {
        many = many.member(&format!("m{i}"), b"");
    }
    let books: Vec<(&str, Vec<u8>, Result<&str, &str>)> = vec![
        ("good.epub", whole().build(), Ok("A good book.")),
        (
            "bomb.epub",
            whole().repeated("OEBPS/b.bin", &[0; 1 << 20], 300).build(),
            Err("more than 200:1"),
        ),
        (
            "bomb-chapter.epub",
            Epub::new()
                .raw(
                    "<item id=\"b\" href=\"b.xhtml\" media-type=\"application/xhtml+xml\"/>",
                    "<itemref idref=\"b\"/>",
                )
                .repeated("OEBPS/b.xhtml", &[b' '; 1 << 20], 300)
                .build(),
            Err("more than 200:1"),
        ),
        ("many.epub", many.build(), Err("more than 20")),
        (
            "deep.epub",
            Epub::new().chapter("a.xhtml", &deep).build(),
            Ok("deep"),
        ),
        (
            "names.epub",
            whole()
                .member("../../evil", b"x")
                .member("/etc/evil", b"x")
                .build(),
            Ok("A good book."),
        ),
        (
            "entities.epub",
            Epub::new().document("a.xhtml", bomb.as_bytes()).build(),
            Ok("Laugh"),
        ),
        (
            "rows.epub",
            Epub::new()
                .chapter("a.xhtml", &format!("<table>{rows}</table>"))
                .build(),
            Ok("row number 9999"),
        ),
        (
            "long.epub",
            Epub::new().chapter("a.xhtml", &long).build(),
            Ok("word and word"),
        ),
        ("cut.epub", cut, Err("not complete")),
        (
            "no-container.epub",
            whole().container(None).build(),
            Err("container.xml"),
        ),
        (
            "locked.epub",
            whole()
                .member(
                    "META-INF/encryption.xml",
                    encryption(&[(
                        "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
                        "OEBPS/a.xhtml",
                    )])
                    .as_bytes(),
                )
                .build(),
            Err("protected"),
        ),
    ];
    let files: Vec<(&str, Vec<u8>)> = books.iter().map(|(n, b, _)| (*n, b.clone())).collect();
    let started = Instant::now();
    assert_eq!(
        process(&place, &files, ""),
        Some(1),
        "some failed, and nothing worse"
    );
    let took = started.elapsed();
    let results = json(&place, "processing_results.json");
    let mut wrong = BTreeMap::new();
    for (name, _, expected) in &books {
        let entry = &results["files"][name];
        let stem = name.trim_end_matches(".epub");
        let found = match entry["success"].as_bool() {
            Some(true) => Ok(text(&place, &format!("{stem}/{stem}.mmd"))),
            _ => Err(entry["error"].as_str().unwrap_or_default().to_owned()),
        };
        let right = match (expected, &found) {
            (Ok(words), Ok(text)) => text.contains(words),
            (Err(why), Err(error)) => error.contains(why),
            _ => false,
        };
        if !right {
            wrong.insert(*name, format!("{found:.300?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(took < Duration::from_secs(120), "{took:?}");
    assert!(!place.at("evil").exists() && !Path::new("/etc/evil").exists());
}

/// Where `packaging/fetch-assets --test` puts KaTeX.
fn katex() -> PathBuf {
    let mut folders = dropleaf::config::Config::default().folders;
    folders.fill().unwrap();
    folders.data.join("testing/katex.min.js")
}

/// KaTeX's complaints about formulas, by their numbers.
fn complaints(formulas: &[String]) -> BTreeMap<usize, String> {
    let script = "const katex = require(process.argv[1]); const bad = {};\
        JSON.parse(require('fs').readFileSync(0, 'utf8')).forEach((f, i) => {\
        try { katex.renderToString(f, {throwOnError: true, strict: 'ignore', displayMode: true}); }\
        catch (e) { bad[i] = e.message; } }); console.log(JSON.stringify(bad));";
    let mut node = Command::new("node")
        .args(["-e", script])
        .arg(katex())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node comes with npm, which packaging/prepare installs");
    let input = serde_json::to_vec(formulas).unwrap();
    node.stdin.take().unwrap().write_all(&input).unwrap();
    let done = node.wait_with_output().unwrap();
    assert!(
        done.status.success(),
        "packaging/fetch-assets --test brings KaTeX"
    );
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn katex_sees_a_fault_where_there_is_one() {
    let formulas = [
        "\\frac{1}{2}".to_owned(),
        "\\frac{1".to_owned(),
        "\\nosuchsign".to_owned(),
    ];
    assert_eq!(
        complaints(&formulas).into_keys().collect::<Vec<_>>(),
        [1, 2]
    );
}

/// The formulas of a Markdown text, as its readers find them.
fn formulas(markdown: &str) -> Vec<String> {
    use pulldown_cmark::{Event, Options, Parser};
    Parser::new_ext(markdown, Options::all())
        .filter_map(|event| match event {
            Event::InlineMath(latex) | Event::DisplayMath(latex) => Some(latex.to_string()),
            _ => None,
        })
        .collect()
}

/// Presentation MathML of every kind that books have, without its `math` element.
const FORMULAS: [&str; 40] = [
    "<mi>x</mi><mo>=</mo><mn>1</mn>",
    "<mfrac><mi>a</mi><mi>b</mi></mfrac>",
    "<mfrac linethickness=\"0\"><mi>n</mi><mi>k</mi></mfrac>",
    "<mfrac bevelled=\"true\"><mn>1</mn><mn>2</mn></mfrac>",
    "<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>",
    "<mroot><mi>x</mi><mn>3</mn></mroot>",
    "<msub><mi>x</mi><mi>i</mi></msub>",
    "<msup><mi>x</mi><mrow><mn>2</mn><mi>n</mi></mrow></msup>",
    "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>",
    "<msup><mi>f</mi><mo>&#x2032;</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo>",
    "<msup><msup><mi>a</mi><mi>b</mi></msup><mi>c</mi></msup>",
    "<mmultiscripts><mi>X</mi><mi>a</mi><mi>b</mi><mprescripts/><mi>c</mi><mi>d</mi></mmultiscripts>",
    "<munderover><mo>&#x2211;</mo><mrow><mi>i</mi><mo>=</mo><mn>0</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
    "<munder><mi>lim</mi><mrow><mi>x</mi><mo>&#x2192;</mo><mn>0</mn></mrow></munder>",
    "<mover accent=\"true\"><mi>x</mi><mo>&#x5E;</mo></mover><mover><mi>y</mi><mo>&#xAF;</mo></mover>",
    "<mover><mrow><mi>A</mi><mi>B</mi></mrow><mo>&#x2192;</mo></mover>",
    "<munder><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mo>&#x23DF;</mo></munder>",
    "<mover><mi>a</mi><mo>&#x23DE;</mo></mover>",
    "<mo>&#x222B;</mo><msubsup><mo>&#x222E;</mo><mi>a</mi><mi>b</mi></msubsup><mi>d</mi><mi>x</mi>",
    "<mrow><mo>[</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr>\
     <mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn></mtd></mtr></mtable><mo>]</mo></mrow>",
    "<mrow><mo>{</mo><mtable><mtr><mtd><mi>x</mi></mtd><mtd><mtext>if it rains</mtext></mtd></mtr></mtable></mrow>",
    "<mtable><mtr><mtd/><mtd><mi>x</mi></mtd></mtr></mtable>",
    "<mfenced open=\"|\" close=\"&#x27E9;\"><mi>a</mi><mi>b</mi></mfenced>",
    "<mfenced open=\"\" close=\"}\"><mi>a</mi></mfenced>",
    "<mo>&#x2225;</mo><mi>v</mi><mo>&#x2225;</mo>",
    "<menclose notation=\"box\"><mi>x</mi></menclose><menclose notation=\"updiagonalstrike\"><mn>4</mn></menclose>",
    "<mphantom><mi>x</mi></mphantom><mspace width=\"1em\"/><mpadded><mi>y</mi></mpadded>",
    "<mi mathvariant=\"bold\">v</mi><mi mathvariant=\"double-struck\">R</mi><mi mathvariant=\"script\">L</mi>\
     <mi mathvariant=\"fraktur\">g</mi><mi mathvariant=\"sans-serif\">s</mi><mi mathvariant=\"monospace\">m</mi>",
    "<mi>&#x211D;</mi><mi>&#x1D49C;</mi><mi>&#x1D538;</mi><mi>&#x210F;</mi><mi>&#x2113;</mi>",
    "<mi>sin</mi><mo>&#x2061;</mo><mi>x</mi><mi>myname</mi><mo>&#x2062;</mo><mi>y</mi>",
    "<mi>&#x3B1;</mi><mi>&#x3C9;</mi><mi>&#x393;</mi><mi>&#x3D5;</mi><mi>&#x3B5;</mi>",
    "<mo>&#x2264;</mo><mo>&#x2260;</mo><mo>&#x2208;</mo><mo>&#x2282;</mo><mo>&#x21D2;</mo><mo>&#x22C5;</mo><mo>&#xD7;</mo>",
    "<mo>&lt;</mo><mo>&gt;</mo><mo>&amp;</mo><mo>%</mo><mo>#</mo><mo>$</mo><mo>_</mo><mo>^</mo><mo>~</mo><mo>\\</mo>",
    "<mtext>50% of {all} #1 a_b ~ \\frac $5</mtext><ms>text</ms>",
    "<mn>1,204.5</mn><mn>&#x221E;</mn><mo>&#x2026;</mo><mo>&#x22EF;</mo><mo>&#x22EE;</mo>",
    "<mtext>&#x6F22;&#x5B57; und &#xFC;ber</mtext><mi>&#x436;</mi>",
    "<semantics><mrow><mi>q</mi></mrow><annotation encoding=\"application/x-tex\">q</annotation></semantics>",
    "<mstyle displaystyle=\"true\"><mo>&#x220F;</mo><mi>k</mi></mstyle><merror><mi>e</mi></merror>",
    "<munder><munder><mi>x</mi><mo>_</mo></munder><mi>y</mi></munder><mover><mo>=</mo><mtext>def</mtext></mover>",
    "<mo>)</mo><mi>a</mi><mo>(</mo><mo>]</mo><mo>|</mo><mo stretchy=\"true\">{</mo>",
];

#[test]
fn every_formula_compiles_in_katex() {
    let mut all = Vec::new();
    for body in FORMULAS {
        let namespace = "xmlns=\"http://www.w3.org/1998/Math/MathML\"";
        let page = support::epub::xhtml(&format!(
            "<p>So <math {namespace}>{body}</math>.</p><math {namespace} display=\"block\">{body}</math>"
        ));
        let around = Surroundings {
            resolve: &|_| None,
            sheet: &|_| None,
        };
        let chapter = xhtml::chapter(page.as_bytes(), "a.xhtml", &around);
        let written = markdown::write(&[chapter], &mut |_| None);
        let found = formulas(&written[0].text());
        assert_eq!(found.len(), 2, "{body}\n{}", written[0].text());
        all.extend(found);
    }
    let wrong: BTreeMap<String, String> = complaints(&all)
        .into_iter()
        .map(|(i, why)| (format!("{} <- {}", all[i], FORMULAS[i / 2]), why))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
