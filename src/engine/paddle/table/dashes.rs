//! Dashes in cells: a table says with one that there is nothing. Text detection overlooks a sign
//! as small as that, and recognition takes it for a 1 that lies on its side. Pure.

use super::super::pixels::Pixels;
use super::fill::Filled;
use super::words::{Frame, Piece};

/// Difference of brightness from the background that is ink, of 255.
const INK: i32 = 60;
/// A dash is at least so many times as wide as high: short ones of small print have 7 pixels by 4.
const FLAT: f32 = 1.6;
/// Its width, in characters: a hyphen has half of one, an em dash two.
const WIDTH: [f32; 2] = [0.3, 2.4];
/// Widths, in characters, from which it is written as an en dash and as an em dash.
const EN: f32 = 0.9;
const EM: f32 = 1.6;
/// Margin of a cell that is left out, pixels: lines are drawn there.
const MARGIN: f32 = 5.0;
/// Part of a cell's height, above and below, in which it does not stand.
const OFF: f32 = 0.2;

/// What recognition reads where a dash stands alone.
const MISREAD: [&str; 10] = ["1", "l", "I", "|", "i", "一", "_", "~", "–", "—"];

/// Writes a dash for words of one character whose ink is one. `image` is the turned region of
/// `frame`, `character` the mean width of a character.
pub fn correct(words: &mut [Piece], image: &Pixels<'_>, frame: &Frame, character: f32) {
    for word in words.iter_mut().filter(|w| MISREAD.contains(&&*w.text)) {
        if let Some(dash) = dash(tilted(word.at, frame).0, image, character, 0.0) {
            word.text = written(dash, character).into();
        }
    }
}

/// Puts dashes into the cells without words that show one.
pub fn add(
    filled: &mut Filled,
    words: &mut Vec<Piece>,
    image: &Pixels<'_>,
    frame: &Frame,
    character: f32,
) {
    let mut line = words.iter().map(|w| w.line + 1).max().unwrap_or(0);
    for (cell, held) in filled.grid.cells.iter().zip(&mut filled.words) {
        if !held.is_empty() {
            continue;
        }
        let margin = MARGIN.min((cell.at[3] - cell.at[1]) / 6.0);
        let [x1, y1, x2, y2] = cell.at;
        let inner = [x1 + margin, y1 + margin, x2 - margin, y2 - margin];
        let (inner, [dx, dy]) = tilted(inner, frame);
        if let Some(dash) = dash(inner, image, character, OFF) {
            held.push(words.len());
            words.push(Piece {
                text: written(dash, character).into(),
                at: [dash[0] - dx, dash[1] - dy, dash[2] - dx, dash[3] - dy],
                line,
                glued: false,
            });
            line += 1;
        }
    }
}

/// A box of the frame moved to where it stands in the image, and how far.
fn tilted([x1, y1, x2, y2]: [f32; 4], frame: &Frame) -> ([f32; 4], [f32; 2]) {
    let middle = [(x1 + x2) / 2.0, (y1 + y2) / 2.0];
    let [x, y] = frame.tilted(middle);
    let (dx, dy) = (x - middle[0], y - middle[1]);
    ([x1 + dx, y1 + dy, x2 + dx, y2 + dy], [dx, dy])
}

fn written(dash: [f32; 4], character: f32) -> &'static str {
    match (dash[2] - dash[0]) / character {
        w if w < EN => "-",
        w if w < EM => "–",
        _ => "—",
    }
}

/// The dash that is all the ink of this part of the image, if it is one. `off`: part of its height
/// from which it keeps away, above and below.
fn dash(at: [f32; 4], image: &Pixels<'_>, character: f32, off: f32) -> Option<[f32; 4]> {
    let (width, height) = (image.width as usize, image.height as usize);
    let within = |v: f32, end: usize| (v.max(0.0) as usize).min(end);
    let (x1, x2) = (within(at[0], width), within(at[2].ceil(), width));
    let (y1, y2) = (within(at[1], height), within(at[3].ceil(), height));
    let grey = |x: usize, y: usize| {
        let i = (y * width + x) * 3;
        let rgb = image.rgb.get(i..i + 3).unwrap_or(&[255; 3]);
        rgb.iter().map(|&v| i32::from(v)).sum::<i32>() / 3
    };
    let mut all: Vec<i32> = (y1..y2)
        .flat_map(|y| (x1..x2).map(move |x| grey(x, y)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let middle = all.len() / 2;
    let ground = *all.select_nth_unstable(middle).1;
    let (mut count, mut from, mut to) = (0, [usize::MAX; 2], [0; 2]);
    for y in y1..y2 {
        for x in (x1..x2).filter(|&x| (grey(x, y) - ground).abs() > INK) {
            count += 1;
            from = [from[0].min(x), from[1].min(y)];
            to = [to[0].max(x + 1), to[1].max(y + 1)];
        }
    }
    if count == 0 {
        return None;
    }
    let (w, h) = (to[0] - from[0], to[1] - from[1]);
    let wide = w as f32 / character;
    let (above, below) = (from[1] as f32 - at[1], at[3] - to[1] as f32);
    let off = off * (at[3] - at[1]);
    let is = w as f32 >= FLAT * h as f32
        && 3 * count >= 2 * w * h
        && (WIDTH[0]..=WIDTH[1]).contains(&wide)
        && above >= off
        && below >= off;
    is.then(|| [from[0], from[1], to[0], to[1]].map(|v| v as f32))
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Cell, Grid};
    use super::*;

    #[test]
    fn a_dash_is_found_and_nothing_else() {
        // Three cells of 60 x 30: a dash, a full stop, a line along the bottom.
        let (w, h) = (180usize, 30usize);
        let mut rgb = vec![255u8; w * h * 3];
        let mut draw = |x1: usize, y1: usize, x2: usize, y2: usize| {
            for y in y1..y2 {
                rgb[(y * w + x1) * 3..(y * w + x2) * 3].fill(20);
            }
        };
        draw(20, 14, 28, 17);
        draw(80, 20, 83, 23);
        draw(130, 27, 140, 29);
        let image = Pixels {
            width: w as u32,
            height: h as u32,
            rgb: rgb.into(),
        };
        let cell =
            |i: usize| Cell::single(0, i, [60.0 * i as f32, 0.0, 60.0 * (i + 1) as f32, 30.0]);
        let mut filled = Filled {
            grid: Grid::repaired(&[cell(0), cell(1), cell(2)], 0).unwrap(),
            words: vec![Vec::new(); 3],
        };
        let mut words = Vec::new();
        let frame = Frame::new([0.0, 0.0, 180.0, 30.0], &[]);
        add(&mut filled, &mut words, &image, &frame, 12.0);
        assert_eq!(filled.texts(&words), ["-", "", ""]);
        assert_eq!(words[0].at, [20.0, 14.0, 28.0, 17.0]);
        let word = |x1: f32, x2: f32| Piece {
            text: "1".into(),
            at: [x1, 8.0, x2, 24.0],
            line: 0,
            glued: false,
        };
        let mut read = [word(16.0, 32.0), word(76.0, 90.0)];
        correct(&mut read, &image, &frame, 12.0);
        assert_eq!(read.map(|w| w.text), ["-", "1"]);
    }
}
