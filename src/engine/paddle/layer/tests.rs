use super::*;
use crate::page::{PageChar, Rotation};

const SIDE: u32 = 400;

/// A white page with black bars where lines stand, and the characters of these lines.
fn page(lines: &[(f32, &str)]) -> (Pixels<'static>, PageChars, Vec<Slanted>) {
    let mut rgb = vec![255u8; (SIDE * SIDE * 3) as usize];
    let mut chars = PageChars::default();
    let mut boxes = Vec::new();
    let side = SIDE as f32;
    for &(y, text) in lines {
        for row in (y as u32 - 10)..(y as u32) {
            let at = ((row * SIDE + 20) * 3) as usize;
            rgb[at..at + text.len() * 30].fill(0);
        }
        for (i, ch) in text.chars().enumerate() {
            let x = 20.0 + 10.0 * i as f32;
            chars.chars.push(PageChar {
                ch,
                x1: x / side,
                y1: (y - 12.0) / side,
                x2: (x + 10.0) / side,
                y2: (y + 4.0) / side,
                origin: [x / side, y / side],
                size: 16.0 / side,
                ..PageChar::default()
            });
        }
        let width = 10.0 * text.len() as f32 + 8.0;
        boxes.push(Slanted {
            cx: 16.0 + width / 2.0,
            cy: y - 4.0,
            width,
            height: 20.0,
            angle: 0.0,
        });
    }
    let image = Pixels {
        width: SIDE,
        height: SIDE,
        rgb: rgb.into(),
    };
    (image, chars, boxes)
}

fn latin() -> Known {
    let all: Vec<String> = ('!'..='~').map(String::from).collect();
    Known::new(&all.join("\n"))
}

const LINES: [(f32, &str); 4] = [
    (50.0, "The first line of it"),
    (100.0, "A second line follows"),
    (150.0, "And then a third one"),
    (200.0, "which the file lacks"),
];

/// Reads the page; `says` is what recognition makes of a line. Also gives the lines that it was
/// asked for.
fn read(
    (image, chars, boxes): &(Pixels<'_>, PageChars, Vec<Slanted>),
    says: impl Fn(&str) -> String,
) -> (Vec<String>, PageText, usize) {
    let mut asked = 0;
    let page = Page {
        image,
        chars,
        pose: &Pose::upright(Rotation::None, image.width, image.height),
        regions: &[],
        boxes,
    };
    let (lines, text) = page
        .read(&latin(), |places| {
            asked += places.len();
            let line = |at: &Slanted| {
                let (_, text) = LINES
                    .iter()
                    .find(|(y, _)| (at.cy - y).abs() < 20.0)
                    .unwrap();
                Line::even(*at, says(text), 0.9, Source::Image)
            };
            Ok(places.iter().map(line).collect())
        })
        .unwrap();
    let mut lines: Vec<(f32, String)> = lines.into_iter().map(|l| (l.at.cy, l.text)).collect();
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    (lines.into_iter().map(|l| l.1).collect(), text, asked)
}

#[test]
fn a_good_layer_replaces_its_lines_and_the_rest_is_read() {
    let mut page = page(&LINES);
    page.1.chars.retain(|c| c.y2 < 0.45);
    let (lines, text, _) = read(&page, |t| t.replacen('f', "t", 1));
    let expected = LINES.map(|(_, t)| t.to_owned());
    assert_eq!(lines[..3], expected[..3]);
    assert_eq!(lines[3], "which the tile lacks");
    assert_eq!((text.source, text.note), (TextSource::Both, None));
}

#[test]
fn a_refused_layer_costs_no_second_reading() {
    let page = page(&LINES);
    let (lines, text, asked) = read(&page, str::to_uppercase);
    let expected: Vec<_> = LINES.iter().map(|(_, t)| t.to_uppercase()).collect();
    assert_eq!(lines, expected);
    assert_eq!(text.source, TextSource::Image);
    assert!(
        text.note
            .unwrap()
            .starts_with("text layer refused: it agrees by 0.")
    );
    assert_eq!(asked, LINES.len());
}

#[test]
fn what_the_image_does_not_show_is_not_text() {
    let mut page = page(&LINES);
    page.0.rgb.to_mut()[..(SIDE * 120 * 3) as usize].fill(255);
    page.2.drain(..2);
    let (lines, text, _) = read(&page, str::to_owned);
    assert_eq!(lines, [LINES[2].1, LINES[3].1]);
    assert_eq!(text.source, TextSource::Layer);
}
