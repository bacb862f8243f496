//! The whole route with a vision-language model that reads: PDF files of drawn cards in, Markdown,
//! boxes and pictures out, held against what was drawn.
#![allow(clippy::unwrap_used)]

#[path = "support/pictures.rs"]
mod pictures;

use std::path::{Path, PathBuf};
use std::process::Command;

use dropleaf::config::Config;
use dropleaf::page::{GroundedBlock, PageBox, SEPARATOR, parse_grounded};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dropleaf");
/// Overlap (intersection over union) of boxes with those that were drawn: in the mean, and of each.
const MEAN_OVERLAP: f64 = 0.95;
const LEAST_OVERLAP: f64 = 0.7;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-reader")
}

/// A card: its picture, and the grounded text of what was drawn.
struct Card {
    name: String,
    picture: image::RgbImage,
    truth: Vec<GroundedBlock>,
}

fn cards() -> Vec<Card> {
    let text = std::fs::read_to_string(data().join("cards.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cards: Vec<Card> = all["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| {
            let file = card["file"].as_str().unwrap();
            let truth = card["truth"].as_str().unwrap();
            Card {
                name: Path::new(file)
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .into(),
                picture: image::open(data().join(file)).unwrap().to_rgb8(),
                truth: parse_grounded(&truth.replace("<｜end▁of▁sentence｜>", "")),
            }
        })
        .collect();
    assert_eq!(cards.len(), 12);
    cards
}

/// A PDF whose pages are the pictures, at 144 pixels per inch: rendered so, they come out as they
/// are.
fn pdf(cards: &[&image::RgbImage]) -> Vec<u8> {
    let page = |card: &&image::RgbImage| pictures::Page {
        points: [card.width() as f32 / 2.0, card.height() as f32 / 2.0],
        pixels: card.dimensions(),
        attributes: "",
        bytes: card.as_raw().clone(),
    };
    pictures::pdf(&cards.iter().map(page).collect::<Vec<_>>())
}

/// A data folder with this machine's libraries and default model, and the reader's pack.
fn installed(work: &Path) -> PathBuf {
    let mut config = Config::default();
    config.folders.fill().unwrap();
    let folder = work.join("data");
    std::fs::create_dir_all(folder.join("models")).unwrap();
    for part in ["lib", "models/paddle"] {
        let from = config.folders.data.join(part);
        std::os::unix::fs::symlink(from, folder.join(part)).unwrap();
    }
    let ran = Command::new(PROGRAM)
        .env("DROPLEAF_DATA", &folder)
        .args(["model", "import"])
        .arg(data())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    folder
}

fn overlap(a: PageBox, b: PageBox) -> f64 {
    let side = |a1: u16, a2: u16, b1: u16, b2: u16| {
        (f64::from(a2.min(b2)) - f64::from(a1.max(b1)) + 1.0).max(0.0)
    };
    let area = |b: PageBox| f64::from(b.x2 - b.x1 + 1) * f64::from(b.y2 - b.y1 + 1);
    let both = side(a.x1, a.x2, b.x1, b.x2) * side(a.y1, a.y2, b.y1, b.y2);
    both / (area(a) + area(b) - both)
}

/// Compares a page with its card; returns the overlaps of its boxes.
fn compare(card: &Card, page: &[GroundedBlock]) -> Vec<f64> {
    let said = |blocks: &[GroundedBlock]| -> Vec<(String, String)> {
        blocks
            .iter()
            .map(|b| {
                let label = b.mark.as_ref().map_or("", |m| m.0.as_str());
                (label.to_owned(), b.content.clone())
            })
            .collect()
    };
    assert_eq!(said(page), said(&card.truth), "{}", card.name);
    let pairs = page.iter().zip(&card.truth);
    pairs
        .flat_map(|(a, b)| {
            let (a, b) = (&a.mark.as_ref().unwrap().1, &b.mark.as_ref().unwrap().1);
            assert_eq!(a.len(), b.len(), "{}", card.name);
            a.iter().zip(b).map(|(&a, &b)| overlap(a, b))
        })
        .collect()
}

fn assert_overlaps(overlaps: &[f64]) {
    let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
    let least = overlaps.iter().copied().fold(1.0, f64::min);
    println!(
        "{} boxes, overlap {mean:.4}, least {least:.4}",
        overlaps.len()
    );
    assert!(mean >= MEAN_OVERLAP, "mean overlap {mean}");
    assert!(least >= LEAST_OVERLAP, "least overlap {least}");
}

/// Reads each card as a document of its own and all as one, and looks at every output.
fn cards_are_read(device: &str) {
    let work = tempfile::tempdir().unwrap();
    let installation = installed(work.path());
    let (input, out) = (work.path().join("input"), work.path().join("out"));
    std::fs::create_dir(&input).unwrap();
    let cards = cards();
    let pictures: Vec<_> = cards.iter().map(|c| &c.picture).collect();
    for card in &cards {
        let file = input.join(format!("{}.pdf", card.name));
        std::fs::write(file, pdf(&[&card.picture])).unwrap();
    }
    std::fs::write(input.join("all.pdf"), pdf(&pictures)).unwrap();
    let settings = work.path().join("dropleaf.toml");
    let state = work.path().join("state");
    std::fs::write(
        &settings,
        format!("[folders]\nstate = \"{}\"\n", state.display()),
    )
    .unwrap();
    let ran = Command::new(PROGRAM)
        .env("DROPLEAF_DATA", &installation)
        .arg("--config")
        .arg(&settings)
        .arg("process")
        .arg(&input)
        .arg("--out")
        .arg(&out)
        .args(["--engine", "deepseek-ocr", "--model", "tiny-reader"])
        .args(["--device", device])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{words}");

    let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    let mut overlaps = Vec::new();
    let whole = read("all/all_det.mmd");
    let pages: Vec<&str> = whole.split(SEPARATOR).collect();
    assert_eq!(pages.len(), cards.len() + 1);
    let mut figures = 0;
    for (number, (card, page)) in cards.iter().zip(pages).enumerate() {
        let found = compare(card, &parse_grounded(page));
        let alone = read(&format!("{0}/{0}_det.mmd", card.name));
        compare(card, &parse_grounded(alone.trim_end_matches(SEPARATOR)));
        let markdown = read(&format!("{0}/{0}.mmd", card.name));
        let mut nth = 0;
        for (block, overlap) in card.truth.iter().zip(&found) {
            let (label, boxes) = block.mark.as_ref().unwrap();
            if label != "image" {
                assert!(markdown.contains(block.content.trim()), "{markdown}");
                continue;
            }
            let link = format!("![](images/0_{nth}.jpg)");
            assert!(markdown.contains(&link), "{markdown}");
            let crop = out.join(&card.name).join(format!("images/0_{nth}.jpg"));
            let crop = image::open(crop).unwrap();
            let (w, h) = card.picture.dimensions();
            let [x1, y1, x2, y2] = boxes[0].pixels(w, h);
            let drawn = f64::from((x2 - x1) * (y2 - y1));
            let cut = f64::from(crop.width() * crop.height());
            assert!(
                (cut / drawn - 1.0).abs() < 1.0 - overlap + 0.1,
                "{cut} of {drawn}"
            );
            assert!(out.join(format!("all/images/{number}_{nth}.jpg")).is_file());
            nth += 1;
            figures += 1;
        }
        overlaps.extend(found);
        assert!(!markdown.contains("<|"), "{markdown}");
    }
    assert!(figures > 0, "no card has a picture");
    assert_overlaps(&overlaps);
    let report: serde_json::Value = serde_json::from_str(&read("all/all.json")).unwrap();
    assert_eq!(report["page_status"]["ok"], 12, "{report}");
    assert_eq!(report["engine"], "deepseek-ocr");
    let place = report["device"].as_str().unwrap().to_lowercase();
    assert!(place.starts_with(device), "{place}");
    assert!(out.join("all/all_layouts.pdf").is_file());
}

#[test]
fn cards_are_read_on_the_cpu() {
    cards_are_read("cpu");
}

#[test]
#[ignore = "needs an NVIDIA GPU and packaging/fetch-assets --cuda"]
fn cards_are_read_on_cuda() {
    cards_are_read("cuda");
}
