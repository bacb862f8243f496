//! Grounded text: `<|ref|>label<|/ref|><|det|>[[x1,y1,x2,y2]]<|/det|>` followed by content,
//! the grammar that DeepSeek-OCR writes. Parsing is total: any string gives blocks, and the
//! text between marks is never lost.

use super::{Block, PageBox};

/// What follows each page in `_det.mmd`, and each page in `.mmd` unless the settings say otherwise.
pub const SEPARATOR: &str = "\n\n<--- Page Split --->\n";

const REF: &str = "<|ref|>";
const REF_END: &str = "<|/ref|>";
const DET: &str = "<|det|>";
const DET_END: &str = "<|/det|>";

/// A piece of grounded text: a mark with its content, or content before any mark.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundedBlock {
    /// Label and boxes (none where the mark names no whole box); `None` for text before the first
    /// mark.
    pub mark: Option<(String, Vec<PageBox>)>,
    pub content: String,
}

/// The blocks as grounded text, one empty line between them.
pub fn write_grounded(blocks: &[Block]) -> String {
    blocks
        .iter()
        .map(write_block)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// One block as grounded text. Marks inside the content are broken up by a zero-width space
/// after the `<`, so that what was printed on the page cannot pose as a mark.
pub fn write_block(block: &Block) -> String {
    let boxes: Vec<String> = block
        .boxes
        .iter()
        .map(|b| format!("[{}, {}, {}, {}]", b.x1, b.y1, b.x2, b.y2))
        .collect();
    let mut text = format!(
        "{REF}{}{REF_END}{DET}[{}]{DET_END}",
        block.label,
        boxes.join(", ")
    );
    if !block.content.is_empty() {
        text.push('\n');
        text.push_str(&block.content.replace("<|", "<\u{200b}|"));
    }
    text
}

/// Splits grounded text into marks and contents. A mark is a label without `<|`, then boxes:
/// numbers, signs, brackets and commas, in whatever order. What is no whole mark stays content.
/// Takes time linear in the text.
pub fn parse_grounded(text: &str) -> Vec<GroundedBlock> {
    let mut out: Vec<GroundedBlock> = Vec::new();
    let mut current = GroundedBlock {
        mark: None,
        content: String::new(),
    };
    let mut rest = text;
    while let Some(at) = rest.find(REF) {
        match mark(&rest[at..]) {
            Some((found, after)) => {
                current.content.push_str(&rest[..at]);
                push(&mut out, current);
                current = GroundedBlock {
                    mark: Some(found),
                    content: String::new(),
                };
                rest = after;
            }
            None => {
                let skip = at + REF.len();
                current.content.push_str(&rest[..skip]);
                rest = &rest[skip..];
            }
        }
    }
    current.content.push_str(rest);
    push(&mut out, current);
    out
}

/// A mark that the text breaks off in: where it begins, and its label as far as it is there.
pub fn unfinished_mark(text: &str) -> Option<(usize, &str)> {
    let at = text.rfind(REF)?;
    let body = &text[at + REF.len()..];
    let Some((label, rest)) = body.split_once(REF_END) else {
        return (!body.contains("<|") && !body.contains('\n')).then_some((at, body));
    };
    let rest = rest.trim_start();
    let boxes = match rest {
        "" => "",
        _ => rest.strip_prefix(DET)?,
    };
    (!label.contains("<|") && is_boxes(boxes)).then_some((at, label))
}

fn push(out: &mut Vec<GroundedBlock>, mut block: GroundedBlock) {
    block.content = block.content.trim_matches('\n').to_owned();
    if block.mark.is_some() || !block.content.trim().is_empty() {
        out.push(block);
    }
}

/// A whole mark at the start of `text`, and what follows it.
fn mark(text: &str) -> Option<((String, Vec<PageBox>), &str)> {
    let body = text.strip_prefix(REF)?;
    let (label, rest) = body.split_at(body.find("<|")?);
    let rest = rest.strip_prefix(REF_END)?.trim_start();
    let body = rest.strip_prefix(DET)?;
    let (det, rest) = body.split_at(body.find("<|")?);
    let rest = rest.strip_prefix(DET_END)?;
    is_boxes(det).then(|| ((label.trim().to_owned(), boxes(det)), rest))
}

fn is_boxes(det: &str) -> bool {
    det.chars()
        .all(|c| c.is_ascii_digit() || c.is_whitespace() || "[](),.-".contains(c))
}

/// `[[x1,y1,x2,y2], ...]`: numbers in fours within their brackets; decimals are rounded, values out
/// of range clamped, corners put in order. Brackets with another count of numbers are no box.
fn boxes(det: &str) -> Vec<PageBox> {
    let mut out = Vec::new();
    for group in det.split(['[', ']', '(', ')']) {
        let numbers: Vec<i64> = group
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter_map(|s| s.parse::<f64>().ok())
            .map(|v| v.round().clamp(-1e6, 1e6) as i64)
            .collect();
        if numbers.len().is_multiple_of(4) {
            let fours = numbers.chunks_exact(4);
            out.extend(fours.map(|n| PageBox::new(n[0], n[1], n[2], n[3])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_become_blocks_and_text_outside_them_is_kept() {
        let text = "before\n<|ref|>title<|/ref|><|det|>[[10, 20, 30, 40], [1,2,3,4]]<|/det|>\n# A\n\n<|ref|>text<|/ref|><|det|>[[2000,-5,0,7]]<|/det|>\nbody <|ref|>open";
        let parsed = parse_grounded(text);
        assert_eq!(parsed.len(), 3);
        assert_eq!(parsed[0].content, "before");
        assert_eq!(parsed[1].mark.as_ref().map(|m| m.1.len()), Some(2));
        assert_eq!(
            parsed[2].mark.as_ref().map(|m| m.1[0]),
            Some(PageBox::new(0, 0, 999, 7))
        );
        assert_eq!(parsed[2].content, "body <|ref|>open");
    }

    #[test]
    fn boxes_are_taken_as_far_as_they_are_boxes() {
        let found = |det: &str| {
            let parsed = parse_grounded(&format!("{REF}text{REF_END}{DET}{det}{DET_END}words"));
            assert_eq!((parsed.len(), &*parsed[0].content), (1, "words"), "{det}");
            parsed[0].mark.clone().unwrap().1
        };
        let a = PageBox::new(1, 2, 3, 4);
        let b = PageBox::new(5, 6, 7, 8);
        assert_eq!(found("[[1, 2, 3, 4]]"), [a]);
        assert_eq!(found("[1,2,3,4]"), [a]);
        assert_eq!(found("1 2 3 4"), [a]);
        assert_eq!(found("[[3.4, 4.2, 0.6, 1.5], [5, 6, 7, 8]]"), [a, b]);
        assert_eq!(found("[[1,2,3,4,5,6,7,8]]"), [a, b]);
        assert_eq!(
            found("[[1,2,3],[5,6,7,8]]"),
            [b],
            "no number changes its box"
        );
        assert_eq!(found("[[5,6,7,8],[1,2"), [b]);
        assert_eq!(
            found("[[-5,99999999999999999999,2000,7]]"),
            [PageBox::new(0, 7, 999, 999)]
        );
        assert!(found("").is_empty());
        assert!(found("[[1,2,-,4]]").is_empty());
    }

    #[test]
    fn what_is_no_mark_stays_text() {
        for text in [
            "<|ref|>a<|/ref|>",
            "<|det|>[[1,2,3,4]]<|/det|>",
            "<|ref|>a<|/ref|><|det|>words<|/det|>",
            "<|ref|>a<|/ref|> and <|det|>[[1,2,3,4]]<|/det|>",
            "<|ref|>a<|ref|>b<|/ref|>",
            "<|/ref|><|ref|>",
            "a < b <| c",
        ] {
            let parsed = parse_grounded(text);
            assert_eq!((parsed.len(), &*parsed[0].content), (1, text));
            assert_eq!(parsed[0].mark, None);
        }
        // ... and hides no mark after it.
        let parsed = parse_grounded("<|ref|>a <|ref|>b<|/ref|>\n<|det|>[[1,2,3,4]]<|/det|>c");
        assert_eq!(
            (&*parsed[0].content, &*parsed[1].content),
            ("<|ref|>a ", "c")
        );
    }

    #[test]
    fn a_mark_that_breaks_off_is_seen() {
        let whole = "a<|ref|>text<|/ref|><|det|>[[1, 20, 3, 4]]<|/det|>";
        for end in [
            "<|ref|>",
            "te",
            "xt",
            "<|/ref|>",
            "<|det|>",
            "[[1, 2",
            "0, 3, 4]]",
        ] {
            let cut = &whole[..whole.find(end).unwrap() + end.len()];
            assert_eq!(unfinished_mark(cut).map(|m| m.0), Some(1), "{cut}");
        }
        for text in [
            whole,
            "",
            "a <|ref|>b\nc",
            "<|ref|>a<|/ref|> 12",
            "<|/ref|><|det|>[[",
        ] {
            assert_eq!(unfinished_mark(text), None, "{text}");
        }
    }

    /// The text outside marks, without white space: marks found another way, by cutting at each
    /// `<|`.
    fn outside(text: &str) -> String {
        let mut pieces = text.split("<|");
        let mut out = pieces.next().unwrap_or_default().to_owned();
        let pieces: Vec<&str> = pieces.collect();
        let mut i = 0;
        while i < pieces.len() {
            let end = match pieces[i..] {
                [label, between, det, after, ..]
                    if label.starts_with("ref|>")
                        && between
                            .strip_prefix("/ref|>")
                            .is_some_and(|s| s.trim().is_empty())
                        && det.strip_prefix("det|>").is_some_and(is_boxes) =>
                {
                    after.strip_prefix("/det|>")
                }
                _ => None,
            };
            if let Some(after) = end {
                out.push_str(after);
                i += 4;
            } else {
                out.push_str("<|");
                out.push_str(pieces[i]);
                i += 1;
            }
        }
        out.split_whitespace().collect()
    }

    fn inside(parsed: &[GroundedBlock]) -> String {
        parsed
            .iter()
            .flat_map(|b| b.content.split_whitespace())
            .collect()
    }

    proptest! {
        #[test]
        fn any_string_parses(text in "\\PC*") {
            prop_assert_eq!(inside(&parse_grounded(&text)), outside(&text));
        }

        #[test]
        fn no_text_outside_marks_is_lost(text in "(<\\|ref\\|>[a-z ]{0,3}<\\|/ref\\|>\n?<\\|det\\|>\\[\\[[0-9,.]{0,9}\\]\\]<\\|/det\\|>|<\\|ref\\|>|<\\|/ref\\|>|<\\|det\\|>|<\\|/det\\|>|\\[\\[|\\]\\]|<\\||[0-9,. -]|[a-zé\\n]){0,60}") {
            prop_assert_eq!(inside(&parse_grounded(&text)), outside(&text));
            unfinished_mark(&text);
        }

        #[test]
        fn what_is_written_is_read_again(label in "[a-z_]{1,12}", content in "[^\\n]{0,40}", x in 0u16..999, y in 0u16..999) {
            let content = content.trim().to_owned();
            let block = Block { label: label.clone(), boxes: vec![PageBox { x1: x, y1: y, x2: 999, y2: 999 }], content: content.clone(), heading: None, };
            let parsed = parse_grounded(&write_grounded(&[block.clone(), block]));
            prop_assert_eq!(parsed.len(), 2);
            prop_assert_eq!(&parsed[1].mark.as_ref().expect("mark").0, &label);
            prop_assert_eq!(parsed[1].content.replace('\u{200b}', ""), content.replace('\u{200b}', ""));
        }
    }
}
