use super::*;
use crate::page::{CharKind, PageChar};

const SIDE: f32 = 1000.0;

/// Characters on a page of 1000 x 1000 pixels.
#[derive(Default)]
struct Sheet(PageChars);

impl Sheet {
    /// Sets `text` from `x` on along the baseline `y`, each character `advance` wide.
    fn set(&mut self, text: &str, x: f32, y: f32, size: f32, advance: f32) -> f32 {
        let mut x = x;
        for ch in text.chars() {
            self.put(ch, x, y, size, advance);
            x += advance;
        }
        x
    }

    fn put(&mut self, ch: char, x: f32, y: f32, size: f32, advance: f32) {
        self.0.chars.push(PageChar {
            ch,
            x1: x / SIDE,
            y1: (y - 0.78 * size) / SIDE,
            x2: (x + advance) / SIDE,
            y2: (y + 0.22 * size) / SIDE,
            origin: [x / SIDE, y / SIDE],
            size: size / SIDE,
            ..PageChar::default()
        });
    }

    /// Text of 20 pixels, without the spaces' own characters where `bare`.
    fn line(&mut self, text: &str, x: f32, y: f32, bare: bool) {
        let mut x = x;
        for ch in text.chars() {
            if ch != ' ' {
                self.put(ch, x, y, 20.0, 10.0);
            } else if !bare {
                self.put(ch, x, y, 20.0, 5.0);
            }
            x += if ch == ' ' { 5.0 } else { 10.0 };
        }
    }

    fn read(&self) -> Vec<String> {
        self.found().into_iter().map(|f| f.line.text).collect()
    }

    fn found(&self) -> Vec<Found> {
        let found = lines(&self.0, Rotation::None, SIDE, SIDE);
        for f in &found {
            assert_eq!(f.line.extents.len(), f.line.text.chars().count());
        }
        found
    }
}

#[test]
fn columns_are_cut_and_words_get_their_spaces() {
    let mut sheet = Sheet::default();
    sheet.line("two words", 100.0, 100.0, true);
    sheet.line("other column", 500.0, 100.0, false);
    sheet.line("second line", 100.0, 125.0, true);
    assert_eq!(sheet.read(), ["two words", "other column", "second line"]);
    let at = sheet.found()[0].line.at;
    assert!((at.bounds()[0] - 100.0).abs() < 0.1 && (at.width - 85.0).abs() < 0.1);
    assert!((at.height - 20.0).abs() < 0.1);
}

#[test]
fn a_space_that_pdfium_guesses_stands_in_its_gap_wherever_it_is_put() {
    // A gap of 2 pixels, and a space as wide as one between other words: behind the middle of the l.
    for put in [102.0, 111.0, 115.5] {
        let mut sheet = Sheet::default();
        let x = sheet.set("a", 100.0, 100.0, 20.0, 10.0);
        sheet.put(' ', put, 100.0, 20.0, 0.0);
        sheet.0.chars[1].kind = CharKind::Generated;
        let x = sheet.set("l", x + 2.0, 100.0, 20.0, 5.0);
        sheet.set("ine", x, 100.0, 20.0, 10.0);
        assert_eq!(sheet.read(), ["a line"], "{put}");
    }
}

#[test]
fn words_that_the_file_has_elsewhere_come_into_their_line() {
    let mut sheet = Sheet::default();
    sheet.line("plain", 100.0, 100.0, true);
    sheet.line("more", 100.0 + 115.0, 100.0, true);
    sheet.line("far below", 100.0, 300.0, true);
    // Bold words last, as some programs write by font.
    sheet.line("bold", 165.0, 100.0, true);
    assert_eq!(sheet.read(), ["plain bold more", "far below"]);
}

#[test]
fn letters_set_apart_are_one_word_each() {
    let mut sheet = Sheet::default();
    let mut x = 100.0;
    for ch in "SET APART".chars() {
        if ch != ' ' {
            sheet.put(ch, x, 100.0, 20.0, 10.0);
        }
        x += if ch == ' ' { 12.0 } else { 15.0 };
    }
    assert_eq!(sheet.read(), ["SET APART"]);
}

#[test]
fn a_guessed_space_needs_a_gap() {
    let mut sheet = Sheet::default();
    let x = sheet.set("to", 100.0, 100.0, 20.0, 10.0);
    sheet.put(' ', x, 100.0, 20.0, 0.0);
    sheet.set("be", x, 100.0, 20.0, 10.0);
    assert_eq!(sheet.read(), ["to be"], "the file's own");
    sheet.0.chars[2].kind = CharKind::Generated;
    assert_eq!(sheet.read(), ["tobe"]);
}

#[test]
fn super_and_subscripts_are_typed() {
    let mut sheet = Sheet::default();
    let x = sheet.set("x", 100.0, 100.0, 20.0, 10.0);
    let x = sheet.set("12", x, 93.0, 14.0, 7.0);
    let x = sheet.set("+H", x + 6.0, 100.0, 20.0, 10.0);
    let x = sheet.set("2", x, 103.0, 14.0, 7.0);
    let x = sheet.set("O the 3", x, 100.0, 20.0, 10.0);
    sheet.set("rd", x, 93.0, 14.0, 7.0);
    assert_eq!(
        sheet.read(),
        ["x\u{b9}\u{b2} +H\u{2082}O the 3<sup>rd</sup>"]
    );
    // The same, the raised part elsewhere in the file.
    let mut sheet = Sheet::default();
    sheet.set("note", 100.0, 100.0, 20.0, 10.0);
    sheet.set("below", 100.0, 125.0, 20.0, 10.0);
    sheet.set("7", 140.0, 93.0, 14.0, 7.0);
    assert_eq!(sheet.read(), ["note\u{2077}", "below"]);
}

#[test]
fn what_is_printed_twice_is_read_once() {
    let mut sheet = Sheet::default();
    for shift in [0.0, 0.6] {
        sheet.line("all well", 100.0 + shift, 100.0, true);
    }
    assert_eq!(sheet.read(), ["all well"]);
}

#[test]
fn lines_from_right_to_left_are_in_logical_order() {
    let mut sheet = Sheet::default();
    // Seen from left to right: 12, gimel bet alef; the file has it as it is read.
    let mut x = 300.0;
    for ch in "\u{5d0}\u{5d1}\u{5d2}".chars() {
        sheet.put(ch, x, 100.0, 20.0, 10.0);
        x -= 10.0;
    }
    sheet.set("12", x - 15.0, 100.0, 20.0, 10.0);
    assert_eq!(sheet.read(), ["\u{5d0}\u{5d1}\u{5d2} 12"]);
    let line = &sheet.found()[0].line;
    let word = &line.words()[0];
    assert!((word.at.bounds()[0] - 280.0).abs() < 0.1, "{word:?}");
    assert!((word.at.bounds()[2] - 310.0).abs() < 0.1, "{word:?}");
}

#[test]
fn ideographs_below_each_other_read_downwards() {
    let mut sheet = Sheet::default();
    for (i, ch) in "\u{4e00}\u{4e8c}\u{4e09}\u{56db}".chars().enumerate() {
        sheet.put(ch, 500.0, 100.0 + 22.0 * i as f32, 20.0, 20.0);
    }
    let found = sheet.found();
    assert_eq!(found.len(), 1);
    let line = &found[0].line;
    assert_eq!(line.text, "\u{4e00}\u{4e8c}\u{4e09}\u{56db}");
    assert!((line.at.angle - std::f32::consts::FRAC_PI_2).abs() < 1e-5);
    let [x1, y1, x2, y2] = line.at.bounds();
    assert!((x1 - 500.0).abs() < 0.1 && (x2 - 520.0).abs() < 0.1);
    assert!(
        (y1 - 84.4).abs() < 0.1 && (y2 - 170.4).abs() < 0.1,
        "{y1} {y2}"
    );
    // Along a line no spaces come between them, and it stays level.
    let mut sheet = Sheet::default();
    sheet.set("\u{4e00}\u{4e8c}\u{4e09}", 100.0, 100.0, 20.0, 24.0);
    assert_eq!(sheet.read(), ["\u{4e00}\u{4e8c}\u{4e09}"]);
}

#[test]
fn turned_text_has_its_direction() {
    let mut sheet = Sheet::default();
    // Upwards along the left margin.
    for (i, ch) in "stamp".chars().enumerate() {
        let y = 500.0 - 10.0 * i as f32;
        sheet.0.chars.push(PageChar {
            ch,
            x1: 0.02,
            x2: 0.04,
            y1: (y - 10.0) / SIDE,
            y2: y / SIDE,
            origin: [0.0356, y / SIDE],
            size: 0.02,
            angle: -std::f32::consts::FRAC_PI_2,
            ..PageChar::default()
        });
    }
    let found = sheet.found();
    assert_eq!(found[0].line.text, "stamp");
    let [x1, y1, x2, y2] = found[0].line.at.bounds();
    assert!((x1 - 20.0).abs() < 0.1 && (x2 - 40.0).abs() < 0.1);
    assert!((y1 - 450.0).abs() < 0.1 && (y2 - 500.0).abs() < 0.1);
}

#[test]
fn ligatures_hyphens_and_unmapped_glyphs() {
    let mut sheet = Sheet::default();
    sheet.set("e\u{fb03}cient exam\u{2}", 100.0, 100.0, 20.0, 10.0);
    sheet.set("a\u{e123}", 100.0, 140.0, 20.0, 10.0);
    let found = sheet.found();
    assert_eq!(found[0].line.text, "efficient exam-");
    assert_eq!((found[1].glyphs, found[1].unmapped), (2, 1));
    // Letters of one glyph have the same place.
    let mut sheet = Sheet::default();
    for ch in "ffi".chars() {
        sheet.put(ch, 100.0, 100.0, 20.0, 16.0);
    }
    sheet.put('t', 116.0, 100.0, 20.0, 8.0);
    sheet.put('t', 116.0, 100.0, 20.0, 8.0);
    assert_eq!(sheet.read(), ["ffit"]);
    // Where they are read from right to left pdfium turns them.
    let mut sheet = Sheet::default();
    for ch in "\u{64a}\u{628}\u{64e}\u{62d}".chars() {
        sheet.put(ch, 100.0, 100.0, 20.0, 16.0);
    }
    assert_eq!(sheet.read(), ["\u{62d}\u{64e}\u{628}\u{64a}"]);
}

#[test]
fn characters_outside_the_page_and_hostile_ones_are_left_out() {
    let mut sheet = Sheet::default();
    sheet.set("in", 100.0, 100.0, 20.0, 10.0);
    sheet.set("out", 1100.0, 100.0, 20.0, 10.0);
    sheet.put('x', -1e9, 100.0, 20.0, 2e9);
    sheet.put('y', 100.0, f32::NAN, 20.0, 10.0);
    assert_eq!(sheet.read(), ["in"]);
    let mut sheet = Sheet::default();
    for _ in 0..50_000 {
        sheet.put('a', 500.0, 500.0, 20.0, 0.0);
    }
    assert!(sheet.found().len() <= 1);
}
