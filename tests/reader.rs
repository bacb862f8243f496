//! The whole program with a model that reads: PDF files of the cards under `tests/data/tiny-reader`
//! become words, boxes and pictures, rendered at 144 pixels per inch.
#![allow(clippy::unwrap_used)]

mod support;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dropleaf::config::Config;
use dropleaf::import::{self, Options};
use dropleaf::pack::Storage;
use dropleaf::page::{PageBox, parse_grounded};
use support::Place;

/// Overlap (intersection over union) of a box with the truth: of each, and in the mean.
const LEAST: f64 = 0.7;
const MEAN: f64 = 0.95;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-reader")
}

/// A PDF of one page that shows a picture, two pixels a point.
fn pdf(picture: &image::RgbImage) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let page = format!("{} {}", f64::from(width) / 2.0, f64::from(height) / 2.0);
    let show = format!("q {} cm /I Do Q", page.replace(' ', " 0 0 ") + " 0 0");
    let image = format!(
        "<< /Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8 \
         /ColorSpace /DeviceRGB /Length {} >>\nstream\n",
        picture.as_raw().len()
    );
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_vec(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {page}] /Contents 5 0 R \
             /Resources << /XObject << /I 4 0 R >> >> >>"
        )
        .into_bytes(),
        [image.as_bytes(), picture.as_raw(), b"\nendstream"].concat(),
        format!("<< /Length {} >>\nstream\n{show}\nendstream", show.len()).into_bytes(),
    ];
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut places = String::new();
    for (i, object) in objects.iter().enumerate() {
        places += &format!("{:010} 00000 n \n", out.len());
        out.extend(format!("{} 0 obj\n", i + 1).bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let table = out.len();
    out.extend(
        format!(
            "xref\n0 6\n0000000000 65535 f \n{places}trailer\n<< /Size 6 /Root 1 0 R >>\n\
             startxref\n{table}\n%%EOF\n"
        )
        .bytes(),
    );
    out
}

fn overlap(a: PageBox, b: PageBox) -> f64 {
    let length = |from: u16, to: u16| f64::from(to.saturating_sub(from));
    let area = |r: PageBox| length(r.x1, r.x2) * length(r.y1, r.y2);
    let common = length(a.x1.max(b.x1), a.x2.min(b.x2)) * length(a.y1.max(b.y1), a.y2.min(b.y2));
    common / (area(a) + area(b) - common)
}

#[test]
fn cards_become_words_boxes_and_pictures() {
    let place = Place::new();
    let folder = |path: &str| place.at(path).display().to_string();
    let mut defaults = Config::default();
    defaults.folders.fill().unwrap();
    std::fs::create_dir_all(place.at("data/models")).unwrap();
    let linked = |what: &str| {
        let from = defaults.folders.data.join(what);
        std::os::unix::fs::symlink(from, place.at("data").join(what)).unwrap();
    };
    linked("lib");
    linked("models/paddle");
    let options = Options {
        name: None,
        storage: Storage::F32,
        licence: None,
        replace: false,
    };
    let models = place.at("data/models");
    import::import(&data(), &models, &options, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();

    let cards = std::fs::read(data().join("cards.json")).unwrap();
    let cards: serde_json::Value = serde_json::from_slice(&cards).unwrap();
    let cards = cards["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 12);
    for (i, card) in cards.iter().enumerate() {
        let picture = image::open(data().join(card["file"].as_str().unwrap())).unwrap();
        place.old(&format!("card{i}.pdf"), &pdf(&picture.to_rgb8()));
    }
    let (input, output) = (folder("inbox"), folder("read"));
    let ran = place
        .command(&["process", &input, "--out", &output])
        .args(["--engine", "deepseek-ocr", "--model", "tiny-reader"])
        .args([
            "--device", "cpu", "--mode", "gundam", "--prompt", "markdown",
        ])
        .env("DROPLEAF_DATA", place.at("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}");

    let mut overlaps = Vec::new();
    for (i, card) in cards.iter().enumerate() {
        let read = |name: String| {
            let path = place.at("read").join(format!("card{i}")).join(name);
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let text = |name: String| String::from_utf8(read(name)).unwrap();
        let truth = card["truth"]
            .as_str()
            .unwrap()
            .replace("<｜end▁of▁sentence｜>", "");
        let grounded = text(format!("card{i}_det.mmd"));
        let grounded = grounded.split("\n<---").next().unwrap();
        let (found, wanted) = (parse_grounded(grounded), parse_grounded(&truth));
        assert_eq!(found.len(), wanted.len(), "card {i}: {grounded}");
        let mut pictures = 0;
        let markdown = text(format!("card{i}.mmd"));
        for (found, wanted) in found.iter().zip(&wanted) {
            let (label, boxes) = found.mark.as_ref().unwrap();
            let (wanted_label, wanted_boxes) = wanted.mark.as_ref().unwrap();
            assert_eq!(label, wanted_label, "card {i}");
            assert_eq!(found.content.trim(), wanted.content.trim(), "card {i}");
            assert!(
                markdown.contains(wanted.content.trim()),
                "card {i}: {markdown}"
            );
            let overlap = overlap(boxes[0], wanted_boxes[0]);
            assert!(overlap >= LEAST, "card {i} {label}: {overlap}");
            overlaps.push(overlap);
            if label == "image" {
                let crop = image::load_from_memory(&read(format!("images/0_{pictures}.jpg")));
                let crop = crop.unwrap();
                let share = |from: u16, to: u16, size: &serde_json::Value| {
                    f64::from(to - from) / 999.0 * size.as_f64().unwrap()
                };
                let (at, size) = (boxes[0], &card["size"]);
                let width = share(at.x1, at.x2, &size[0]);
                let height = share(at.y1, at.y2, &size[1]);
                assert!((f64::from(crop.width()) - width).abs() <= 2.0, "card {i}");
                assert!((f64::from(crop.height()) - height).abs() <= 2.0, "card {i}");
                assert!(
                    markdown.contains(&format!("images/0_{pictures}.jpg")),
                    "{markdown}"
                );
                pictures += 1;
            }
        }
        let report: serde_json::Value =
            serde_json::from_str(&text(format!("card{i}.json"))).unwrap();
        assert_eq!(report["page_status"]["ok"], 1, "card {i}: {report}");
    }
    let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
    println!("{} boxes, overlap {mean:.3} in the mean", overlaps.len());
    assert!(mean >= MEAN, "{mean}");
}
