use super::super::line::Source;
use super::*;

pub fn line(x1: f32, y1: f32, x2: f32, y2: f32, text: &str) -> Line {
    Line::level([x1, y1, x2, y2], text, 0.9, Source::Image)
}

pub fn region(label: &'static str, x1: f32, y1: f32, x2: f32, y2: f32) -> Region {
    Region {
        label,
        score: 0.9,
        at: [x1, y1, x2, y2],
    }
}

fn read(regions: &[Region], lines: &[Line]) -> Vec<Placed> {
    compose(regions, lines, &[], 1000.0, 1000.0)
}

fn texts(blocks: &[Placed]) -> Vec<&str> {
    blocks.iter().map(|b| b.content.as_str()).collect()
}

#[test]
fn two_columns_stay_apart_and_divided_words_come_together() {
    let regions = [
        region("doc_title", 0.1, 0.0, 0.9, 0.1),
        region("text", 0.0, 0.2, 0.48, 0.5),
        region("text", 0.52, 0.2, 1.0, 0.5),
    ];
    let lines = [
        line(150.0, 20.0, 850.0, 60.0, "A title"),
        line(10.0, 210.0, 470.0, 240.0, "The first exam-"),
        line(530.0, 210.0, 990.0, 240.0, "Second column"),
        line(10.0, 250.0, 470.0, 280.0, "ple of a line."),
        line(10.0, 800.0, 470.0, 830.0, "In no region"),
    ];
    assert_eq!(
        texts(&read(&regions, &lines)),
        [
            "# A title",
            "The first example of a line.",
            "Second column",
            "In no region"
        ]
    );
}

#[test]
fn a_paragraph_over_two_columns_has_two_boxes() {
    let regions = [
        region("text", 0.0, 0.2, 0.48, 0.9),
        region("text", 0.52, 0.2, 1.0, 0.9),
    ];
    let lines = [
        line(10.0, 810.0, 470.0, 840.0, "The very first"),
        line(530.0, 210.0, 990.0, 240.0, "and the last."),
    ];
    let blocks = read(&regions, &lines);
    assert_eq!(texts(&blocks), ["The very first and the last."]);
    assert_eq!(blocks[0].boxes.len(), 2);
    assert!((blocks[0].boxes[1][0] - 0.52).abs() < 1e-6);
}

#[test]
fn every_line_ends_in_one_block_or_in_a_figure() {
    let regions = [
        region("image", 0.0, 0.0, 0.5, 0.5),
        region("figure_title", 0.1, 0.4, 0.4, 0.45),
    ];
    let lines = [
        line(100.0, 400.0, 400.0, 450.0, "Figure 1"),
        line(100.0, 100.0, 200.0, 120.0, "axis"),
    ];
    let blocks = read(&regions, &lines);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].label, blocks[0].content.as_str()), ("image", ""));
    assert_eq!(blocks[1].content, "Figure 1");
}

#[test]
fn a_page_taken_for_one_figure_keeps_its_text() {
    let lines: Vec<_> = (0..12)
        .map(|i| {
            let y = 100.0 + 30.0 * i as f32;
            line(100.0, y, 900.0, y + 25.0, "words")
        })
        .collect();
    let count = |regions: &[Region], lines: &[Line]| -> usize {
        let blocks = read(regions, lines);
        blocks
            .iter()
            .map(|b| b.content.matches("words").count())
            .sum()
    };
    assert_eq!(count(&[region("image", 0.0, 0.0, 1.0, 1.0)], &lines), 12);
    // A sign alone on the page is read, a map beside a text is not.
    let sign = [region("image", 0.0, 0.0, 0.9, 0.5)];
    assert_eq!(count(&sign, &lines[..2]), 2);
    let beside = [sign[0].clone(), region("text", 0.0, 0.8, 1.0, 0.9)];
    let text = line(0.0, 810.0, 900.0, 840.0, "text");
    assert_eq!(count(&beside, &[lines[0].clone(), text]), 0);
}

#[test]
fn a_formula_takes_the_number_beside_it() {
    let regions = [
        region("display_formula", 0.2, 0.1, 0.7, 0.2),
        region("formula_number", 0.8, 0.1, 0.9, 0.2),
    ];
    let lines = [
        line(200.0, 130.0, 700.0, 160.0, "E = mc2"),
        line(800.0, 130.0, 900.0, 160.0, "(7a)"),
    ];
    let formula = Some("$$\nE = mc^{2}\n$$".to_owned());
    let blocks = compose(&regions, &lines, &[formula, None], 1000.0, 1000.0);
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].content, "$$\nE = mc^{2} \\tag{7a}\n$$");
    let blocks = compose(&regions, &lines, &[None, None], 1000.0, 1000.0);
    assert_eq!(blocks[0].content, "E = mc2 (7a)");
}

#[test]
fn a_rebuilt_table_has_its_lines_and_another_keeps_their_text() {
    let regions = [
        region("table", 0.0, 0.0, 1.0, 0.5),
        region("text", 0.0, 0.0, 0.5, 0.1),
    ];
    let lines = [
        line(10.0, 10.0, 200.0, 40.0, "a"),
        line(500.0, 10.0, 700.0, 40.0, "b"),
        line(10.0, 110.0, 200.0, 140.0, "c"),
    ];
    let table = Some("| a | b |".to_owned());
    let blocks = compose(&regions, &lines, &[table, None], 1000.0, 1000.0);
    assert_eq!(texts(&blocks), ["| a | b |"]);
    assert_eq!(texts(&read(&regions, &lines)), ["a  b\nc"]);
}

#[test]
fn a_formula_has_its_number_and_references_are_entries() {
    let regions = [
        region("display_formula", 0.2, 0.1, 0.7, 0.2),
        region("formula_number", 0.9, 0.12, 0.95, 0.17),
        region("reference_content", 0.1, 0.5, 0.9, 0.9),
    ];
    let lines = [
        line(200.0, 110.0, 700.0, 190.0, "a = b"),
        line(900.0, 130.0, 940.0, 160.0, "(7)"),
        line(100.0, 510.0, 900.0, 530.0, "[1] A. Adams. A work of"),
        line(140.0, 540.0, 500.0, 560.0, "Letters."),
        line(100.0, 570.0, 900.0, 590.0, "[2] B. Brown. More."),
    ];
    let blocks = read(&regions, &lines);
    assert_eq!(
        texts(&blocks),
        [
            "a = b (7)",
            "[1] A. Adams. A work of Letters.\n\n[2] B. Brown. More."
        ]
    );
}
