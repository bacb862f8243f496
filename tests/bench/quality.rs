//! How well born-digital pages are read, held against the PDF's own characters.
//!
//! `cargo bench --bench quality -- [--text-layer never|auto|both] FOLDER [NAME...]`: FOLDER holds
//! PDF files, NAMEs choose some. With `never` (the default) the engine does not see the text layer;
//! with `auto` it may use it, and what is measured is how lines are joined; `both` prints the two
//! below each other. Per file:
//!
//! - `inside`: share of the page's characters whose middle lies in some block's box;
//! - `CER`: edit distance between a block's text and the characters in its box, over the number of
//!   those characters; white space left out;
//! - `WER`: the same by words;
//! - `s/page`: seconds of the engine;
//! - `layer`, `both`, `image`: pages whose text came from there; refusals are named below.
//!
//! The texts of blocks are compared whose order of characters is that of reading: not tables,
//! formulas, pictures. A visible gap between two characters separates words as a space does: many
//! PDF files hold none. Spaces that pdfium guesses beside super- and subscripts are left out. Both
//! sides are brought to NFKC, quotes and dashes to their ASCII forms, and words divided at a line's
//! end are put together.

use std::path::{Path, PathBuf};

use dropleaf::config::{self, Config, TextLayer};
use dropleaf::document::Child;
use dropleaf::engine::Reader;
use dropleaf::engine::paddle::Paddle;
use dropleaf::engine::resident::Resident;
use dropleaf::engine::{Cancel, ReadTask};
use dropleaf::page::{Block, CharKind, PageChar, Role, TextSource};
use unicode_normalization::UnicodeNormalization;

#[derive(Default)]
struct Sums {
    chars: usize,
    inside: usize,
    compared: usize,
    edits: usize,
    words: usize,
    word_edits: usize,
    seconds: f64,
    /// Pages by source of their text: layer, both, image.
    sources: [usize; 3],
    notes: Vec<String>,
}

const USAGE: &str =
    "usage: cargo bench --bench quality -- [--text-layer never|auto|both] FOLDER [NAME...]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let mut folder = args.next().ok_or(USAGE)?;
    let mut modes = vec![TextLayer::Never];
    if folder == "--text-layer" {
        modes = match &*args.next().ok_or(USAGE)? {
            "never" => vec![TextLayer::Never],
            "auto" => vec![TextLayer::Auto],
            "both" => vec![TextLayer::Never, TextLayer::Auto],
            _ => return Err(USAGE.into()),
        };
        folder = args.next().ok_or(USAGE)?;
    }
    let folder = PathBuf::from(folder);
    let mut names: Vec<String> = args.collect();
    if names.is_empty() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "pdf") {
                names.extend(path.file_stem().and_then(|s| s.to_str()).map(str::to_owned));
            }
        }
        names.sort();
    }
    let mut config = Config::default();
    config.folders.fill()?;
    let data = config.folders.data.clone();
    let lib = data.join("lib");
    let pdfium = lib.join("libpdfium.so");
    let mut readers = Vec::new();
    for mode in modes {
        let reader = Resident::start({
            let (lib, models, mut config) = (lib.clone(), data.join("models"), config.clone());
            config.paddle.text_layer = mode;
            move || Ok(Box::new(Paddle::load(&lib, &models, &config)?) as Box<dyn Reader>)
        })?;
        readers.push((mode, reader));
    }
    println!(
        "{:32} {:5} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>5} {:>5} {:>5}",
        "file",
        "text",
        "pages",
        "chars",
        "inside",
        "CER",
        "WER",
        "s/page",
        "layer",
        "both",
        "image"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for name in names {
        let path = std::path::absolute(folder.join(format!("{name}.pdf")))?;
        for (mode, reader) in &readers {
            let read = file(&path, &pdfium, &config.pdf, reader);
            let (pages, sums) = match runtime.block_on(read) {
                Ok(read) => read,
                Err(e) => {
                    println!("{name:32} {e}");
                    break;
                }
            };
            let share = |a: usize, b: usize| a as f64 / (b.max(1)) as f64;
            let [layer, both, image] = sums.sources;
            println!(
                "{name:32} {:5} {pages:5} {:7} {:7.4} {:7.4} {:7.4} {:7.2} {layer:5} {both:5} {image:5}",
                mode.name(),
                sums.chars,
                share(sums.inside, sums.chars),
                share(sums.edits, sums.compared),
                share(sums.word_edits, sums.words),
                sums.seconds / f64::from(pages.max(1)),
            );
            for note in sums.notes {
                println!("    {note}");
            }
        }
    }
    Ok(())
}

async fn file(
    path: &Path,
    pdfium: &Path,
    pdf: &config::Pdf,
    reader: &Resident,
) -> Result<(u32, Sums), Box<dyn std::error::Error>> {
    let mut child = Child::spawn(
        Path::new(env!("CARGO_BIN_EXE_dropleaf")),
        pdfium,
        pdf,
        &dropleaf::config::Epub::default(),
    )?;
    let pages = child.open(path).await?.pages;
    let mut sums = Sums::default();
    for page in 0..pages {
        let chars = child.chars(page).await?;
        let image = child.render(page, reader.wish).await?;
        let (answer, reading) = std::sync::mpsc::sync_channel(1);
        reader.submit(ReadTask {
            image: image.into(),
            chars: reader.wants_chars.then(|| chars.clone()),
            cancel: Cancel::default(),
            reply: Box::new(move |read| {
                let _ = answer.send(read);
            }),
        });
        let reading = reading.recv()??;
        sums.seconds += reading.seconds;
        if let Some(text) = reading.text {
            sums.sources[match text.source {
                TextSource::Layer => 0,
                TextSource::Both => 1,
                TextSource::Image => 2,
            }] += 1;
            let note = text.note.map(|note| format!("page {}: {note}", page + 1));
            sums.notes.extend(note);
        }
        compare(&chars.chars, &reading.blocks, &mut sums);
    }
    Ok((pages, sums))
}

/// Whether a block's characters stand in reading order.
fn compared(block: &Block) -> bool {
    !matches!(
        block.role(),
        Role::Table | Role::Figure | Role::Formula | Role::FormulaNumber | Role::Code
    ) && !block.label.ends_with("_image")
}

fn compare(chars: &[PageChar], blocks: &[Block], sums: &mut Sums) {
    let mut texts = vec![String::new(); blocks.len()];
    let mut last: Option<usize> = None;
    let mut before: Option<&PageChar> = None;
    let mut guessed = false;
    for c in chars {
        if c.kind == CharKind::Generated && c.ch.is_whitespace() {
            guessed = true;
            continue;
        }
        if c.ch.is_whitespace() || c.ch.is_control() {
            // pdfium marks a hyphen that divides a word by U+0002.
            let mark = if c.ch == '\u{2}' {
                '\u{ad}'
            } else if c.ch == '\n' || c.ch == '\r' {
                '\n'
            } else {
                ' '
            };
            if let Some(i) = last {
                texts[i].push(mark);
            }
            continue;
        }
        sums.chars += 1;
        let (x, y) = ((c.x1 + c.x2) / 2.0, (c.y1 + c.y2) / 2.0);
        let home = blocks
            .iter()
            .enumerate()
            .filter_map(|(i, b)| {
                let holds = b.boxes.iter().any(|b| {
                    let [x1, y1, x2, y2] = b.fractions();
                    (x1..=x2).contains(&x) && (y1..=y2).contains(&y)
                });
                let area: f32 = b
                    .boxes
                    .iter()
                    .map(|b| {
                        let [x1, y1, x2, y2] = b.fractions();
                        (x2 - x1) * (y2 - y1)
                    })
                    .sum();
                holds.then_some((i, area))
            })
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(i, _)| i);
        if let Some(i) = home {
            sums.inside += 1;
            if last != Some(i) {
                if let Some(before) = last {
                    texts[before].push('\n');
                }
                texts[i].push('\n');
            }
            if last == Some(i)
                && let Some(b) = before
            {
                if guessed && !beside(b, c) {
                    texts[i].push('\n');
                } else if gap(b, c) || guessed && alike(b, c) {
                    texts[i].push(' ');
                }
            }
            texts[i].push(c.ch);
        }
        before = Some(c);
        last = home;
        guessed = false;
    }
    for (block, text) in blocks.iter().zip(&texts) {
        if !compared(block) {
            continue;
        }
        let truth = plain(&undivided(text));
        let read = plain(block.content.trim_start_matches(['#', ' ']));
        let (a, b) = (squeezed(&truth), squeezed(&read));
        sums.compared += a.len();
        sums.edits += strsim::generic_levenshtein(&a, &b);
        let (a, b): (Vec<&str>, Vec<&str>) = (
            truth.split_whitespace().collect(),
            read.split_whitespace().collect(),
        );
        sums.words += a.len();
        let edits = strsim::generic_levenshtein(&a, &b);
        sums.word_edits += edits;
        if std::env::var_os("QUALITY_SHOW").is_some() && edits > 0 {
            println!(
                "--- {} {edits}\n  pdf: {}\n  ocr: {}",
                block.label,
                a.join(" "),
                b.join(" ")
            );
        }
    }
}

/// Whether two characters of one line, one after the other, stand apart as words do: by a quarter
/// of their mean advance (a space of common fonts is half of it, kerning a tenth).
fn gap(a: &PageChar, b: &PageChar) -> bool {
    let level = a.y1.max(b.y1) < a.y2.min(b.y2);
    level && b.x1 - a.x2 > 0.25 * ((a.x2 - a.x1) + (b.x2 - b.x1)) / 2.0
}

/// Whether two characters stand beside each other on one line; of turned text it is not asked.
fn beside(a: &PageChar, b: &PageChar) -> bool {
    let level = a.y1.max(b.y1) < a.y2.min(b.y2) && b.angle == 0.0;
    let advance = (a.x2 - a.x1 + b.x2 - b.x1) / 2.0;
    level && (b.x1 - a.x2).abs() < advance
}

/// Whether two characters are of one size and baseline: pdfium puts spaces and ends of lines beside
/// super- and subscripts, where none are.
fn alike(a: &PageChar, b: &PageChar) -> bool {
    let size = a.size.max(b.size);
    (a.size - b.size).abs() < 0.1 * size && (a.origin[1] - b.origin[1]).abs() < 0.1 * size
}

/// Puts words together that a line's end divided.
fn undivided(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let mut next = i + 1;
        while next < chars.len() && chars[next].is_whitespace() {
            next += 1;
        }
        let divides = chars[i] == '\u{ad}'
            || matches!(chars[i], '-' | '\u{2010}')
                && chars[i + 1..next].contains(&'\n')
                && out.chars().next_back().is_some_and(char::is_lowercase)
                && chars.get(next).is_some_and(|c| c.is_lowercase());
        if divides {
            i = next;
        } else {
            out.push(chars[i]);
            i += 1;
        }
    }
    out
}

fn plain(text: &str) -> String {
    let bare = ["<sup>", "</sup>", "<sub>", "</sub>"]
        .iter()
        .fold(text.to_owned(), |text, mark| text.replace(mark, ""));
    bare.nfkc()
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{b4}' | '`' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            c => c,
        })
        .collect()
}

fn squeezed(text: &str) -> Vec<char> {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
