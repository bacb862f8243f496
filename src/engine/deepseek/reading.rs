//! What the model said becomes a reading: marks to blocks, contents to clean Markdown.
//!
//! Any answer gives a reading, and text outside marks is never lost. Nothing of an answer is ever
//! evaluated. Tables stay the HTML that the model writes.

use crate::page::{
    Block, GroundedBlock, PageBox, PageStatus, Reading, Role, Rotation, parse_grounded,
    unfinished_mark,
};

/// The model's last token in words.
const END: &str = "<｜end▁of▁sentence｜>";
/// Label of text that has none.
const TEXT: &str = "text";
/// LaTeX of the answer that Markdown renderers do not know (the published code's replacements).
const REPLACED: [(&str, &str); 2] = [("\\coloneqq", ":="), ("\\eqqcolon", "=:")];

/// The reading of an answer: `text` is all that the model said, `status` and `reason` what became
/// of the page, `seconds` and `tokens` its cost. An empty answer has no blocks, whatever its status.
pub fn reading(
    text: &str,
    status: PageStatus,
    reason: Option<String>,
    seconds: f64,
    tokens: u32,
) -> Reading {
    let grounded = text.replace(END, "");
    Reading {
        status,
        reason,
        rotation: Rotation::None,
        blocks: blocks(&grounded),
        grounded,
        seconds,
        tokens: Some(tokens),
        tried: Vec::new(),
        text: None,
    }
}

fn blocks(grounded: &str) -> Vec<Block> {
    let (whole, broken) = match unfinished_mark(grounded) {
        Some((at, label)) => (&grounded[..at], Some(label)),
        None => (grounded, None),
    };
    let parsed = parse_grounded(whole);
    let lines = are_lines(&parsed);
    let mut out: Vec<Block> = parsed
        .into_iter()
        .filter_map(|block| to_block(block, lines))
        .collect();
    // Where labels are text, the one that broke off is too.
    if let Some(label) = broken
        && (lines || !is_name(label))
    {
        out.extend(to_block(
            GroundedBlock {
                mark: None,
                content: label.into(),
            },
            lines,
        ));
    }
    out
}

/// Whether the labels are text themselves: asked to "OCR this image" the model writes each line
/// into a reference, asked for Markdown it writes a block's kind there.
fn are_lines(parsed: &[GroundedBlock]) -> bool {
    let labels = parsed.iter().filter_map(|b| b.mark.as_ref());
    let (known, unknown): (Vec<_>, Vec<_>) =
        labels.partition(|(label, _)| Role::known(label).is_some());
    unknown.len() > known.len()
}

/// Whether a label that no engine is known to write can be one: `sub_sub_title`.
fn is_name(label: &str) -> bool {
    label.len() <= 32
        && label.starts_with(|c: char| c.is_ascii_lowercase())
        && label
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `None` when a block says nothing: no text, and no place for a picture.
fn to_block(block: GroundedBlock, lines: bool) -> Option<Block> {
    let GroundedBlock { mark, content } = block;
    let (mut label, boxes, content) = match mark {
        None => (TEXT.to_owned(), Vec::new(), content),
        Some((label, boxes)) if lines || !is_name(&label) => {
            (TEXT.to_owned(), boxes, format!("{label}\n{content}"))
        }
        Some((label, boxes)) => (label, boxes, content),
    };
    let content = clean(&content);
    let mut placed: Vec<PageBox> = Vec::with_capacity(boxes.len());
    for at in boxes {
        if !placed.contains(&at) {
            placed.push(at);
        }
    }
    if placed.is_empty() {
        if content.is_empty() {
            return None;
        }
        // Text whose place is not known: somewhere on the page. It is no picture of the page.
        placed.push(PageBox::FULL);
        if Role::of(&label) == Role::Figure {
            label = TEXT.into();
        }
    }
    Some(Block {
        label,
        boxes: placed,
        content,
        heading: None,
    })
}

/// Replaces what Markdown does not know, shortens runs of line ends to two, and takes away empty
/// lines around the whole, white space at its end, and a space between it and its mark.
fn clean(content: &str) -> String {
    let mut text = content.trim_end().to_owned();
    for (from, to) in REPLACED {
        text = text.replace(from, to);
    }
    let first = text.len() - text.trim_start().len();
    let start = match text[..first].rfind('\n') {
        Some(end) => end + 1,
        // One space parts a text from its mark on the same line, more are an indent.
        None if &text[..first] == " " => 1,
        None => 0,
    };
    let mut out = String::with_capacity(text.len());
    let mut ends = 0;
    for c in text[start..].chars() {
        ends = if c == '\n' { ends + 1 } else { 0 };
        if ends <= 2 {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::deepseek::fixtures::{self, READER};

    fn read(text: &str) -> Reading {
        reading(text, PageStatus::Ok, None, 1.5, 7)
    }

    fn told(reading: &Reading) -> Vec<(&str, &str)> {
        let blocks = reading.blocks.iter();
        blocks.map(|b| (&*b.label, &*b.content)).collect()
    }

    #[test]
    fn an_answer_becomes_blocks() {
        let text = "<|ref|>title<|/ref|><|det|>[[205, 132, 790, 157]]<|/det|>\n# A title  \n\n\
            <|ref|>text<|/ref|><|det|>[[115, 306, 882, 565]]<|/det|> on one line\n\n\n\n\nand \\(a \\coloneqq b \\eqqcolon c\\)\n\n\
            <|ref|>image<|/ref|><|det|>[[120, 81, 875, 504]]<|/det|>\n \n\n\
            <|ref|>table<|/ref|><|det|>[[1, 2, 3, 4], [1, 2, 3, 4], [9, 9, 5, 5]]<|/det|>\n<table><tr><td>1</td></tr></table>\n\
            <|ref|>code<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n\n    indented\n\
            <|ref|>sub_sub_title<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\n### C<｜end▁of▁sentence｜>";
        let reading = read(text);
        assert_eq!(
            told(&reading),
            [
                ("title", "# A title"),
                ("text", "on one line\n\nand \\(a := b =: c\\)"),
                ("image", ""),
                ("table", "<table><tr><td>1</td></tr></table>"),
                ("code", "    indented"),
                ("sub_sub_title", "### C"),
            ]
        );
        assert_eq!(reading.blocks[0].boxes, [PageBox::new(205, 132, 790, 157)]);
        let boxes = [PageBox::new(1, 2, 3, 4), PageBox::new(5, 5, 9, 9)];
        assert_eq!(reading.blocks[3].boxes, boxes);
        assert_eq!(reading.grounded, text.replace(END, ""));
        assert_eq!((reading.tokens, reading.seconds), (Some(7), 1.5));
        assert_eq!(reading.status, PageStatus::Ok);
    }

    #[test]
    fn text_without_marks_is_a_block() {
        let reading = read("Free text\nin two lines\n");
        assert_eq!(told(&reading), [("text", "Free text\nin two lines")]);
        assert_eq!(reading.blocks[0].boxes, [PageBox::FULL]);
        assert_eq!(reading.grounded, "Free text\nin two lines\n");
        for nothing in ["", " \n", "<｜end▁of▁sentence｜>"] {
            let blank = super::reading(nothing, PageStatus::Blank, Some("w".into()), 0.0, 0);
            assert!(blank.blocks.is_empty());
            assert_eq!(blank.status, PageStatus::Blank);
            assert_eq!(blank.reason.as_deref(), Some("w"));
            assert_eq!(
                read(nothing).status,
                PageStatus::Ok,
                "the status is not ours"
            );
        }
    }

    #[test]
    fn lines_in_references_are_text() {
        let line = |text: &str| format!("<|ref|>{text}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n");
        let text = format!(
            "{}{}{}{}<|ref|>the last li",
            line("Invoice 17"),
            line("table"),
            line("10 apples"),
            line("Sum: 3")
        );
        assert_eq!(
            told(&read(&text)),
            [
                ("text", "Invoice 17"),
                ("text", "table"),
                ("text", "10 apples"),
                ("text", "Sum: 3"),
                ("text", "the last li"),
            ]
        );
        // Among blocks, a label that cannot be one is text as well.
        let text = format!("{}words\n{}", line("text"), line("Not a label"));
        assert_eq!(
            told(&read(&text)),
            [("text", "words"), ("text", "Not a label")]
        );
    }

    #[test]
    fn a_mark_that_breaks_off_is_no_text() {
        let whole = "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nwords\n\n";
        for broken in [
            "<|ref|>",
            "<|ref|>tit",
            "<|ref|>title<|/ref|><|det|>[[20, 3",
        ] {
            let reading = read(&format!("{whole}{broken}"));
            assert_eq!(told(&reading), [("text", "words")], "{broken}");
            assert!(reading.grounded.ends_with(broken));
        }
    }

    #[test]
    fn a_block_without_a_box_keeps_its_text_and_is_no_picture() {
        let bare = |label: &str, text: &str| {
            read(&format!(
                "<|ref|>{label}<|/ref|><|det|>[[1, 2]]<|/det|>{text}"
            ))
        };
        assert_eq!(told(&bare("title", "T")), [("title", "T")]);
        assert_eq!(bare("title", "T").blocks[0].boxes, [PageBox::FULL]);
        assert_eq!(told(&bare("image", "a picture")), [("text", "a picture")]);
        assert!(bare("image", "").blocks.is_empty());
    }

    #[test]
    fn the_recorded_answers_say_what_is_on_the_cards() {
        let bytes = std::fs::read(fixtures::path(READER, "cards.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let cards = json["cards"].as_array().unwrap();
        assert_eq!(cards.len(), 12);
        for card in cards {
            let truth = read(card["truth"].as_str().unwrap());
            let found = read(card["output_text"].as_str().unwrap());
            assert_eq!(told(&found), told(&truth));
            assert!(found.blocks.len() >= 2);
            for block in &found.blocks {
                assert_eq!(block.boxes.len(), 1);
                assert!(Role::known(&block.label).is_some());
                assert!(!block.content.contains('|'));
            }
        }
    }

    fn squeezed<'a>(texts: impl Iterator<Item = &'a str>) -> String {
        texts.flat_map(str::split_whitespace).collect()
    }

    proptest! {
        #[test]
        fn any_answer_is_read(text in "(\\PC|<\\|ref\\|>|<\\|/ref\\|>|<\\|det\\|>|<\\|/det\\|>|\\[\\[|title|\n){0,40}") {
            read(&text);
        }

        /// Marks with known labels between texts: every character of the texts is in the blocks.
        #[test]
        fn text_outside_marks_is_kept(
            texts in prop::collection::vec("[a-zé<|>\\[\\] \n,0-9.]{0,12}", 1..8),
            marks in prop::collection::vec(("(title|text|image|table|header)", "(\\[\\[[0-9, ]{0,16}\\]\\])?"), 8),
        ) {
            let mut answer = String::new();
            for (i, text) in texts.iter().enumerate() {
                if i > 0 {
                    let (label, det) = &marks[i];
                    answer.push_str(&format!("<|ref|>{label}<|/ref|><|det|>{det}<|/det|>"));
                }
                answer.push_str(text);
            }
            let reading = read(&answer);
            let found = squeezed(reading.blocks.iter().map(|b| &*b.content));
            prop_assert_eq!(found, squeezed(texts.iter().map(|t| &**t)));
            prop_assert!(reading.blocks.iter().all(|b| !b.boxes.is_empty()));
            prop_assert_eq!(reading.grounded, answer);
        }
    }
}
