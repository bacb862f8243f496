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
    /// `None` for text before the first mark.
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

/// Splits grounded text into marks and contents. An unclosed or malformed mark stays content.
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

fn push(out: &mut Vec<GroundedBlock>, mut block: GroundedBlock) {
    block.content = block.content.trim_matches('\n').to_owned();
    if block.mark.is_some() || !block.content.trim().is_empty() {
        out.push(block);
    }
}

/// A whole mark at the start of `text`, and what follows it.
fn mark(text: &str) -> Option<((String, Vec<PageBox>), &str)> {
    let body = text.strip_prefix(REF)?;
    let label_end = body.find(REF_END)?;
    let label = &body[..label_end];
    if label.contains("<|") || label.contains('\n') {
        return None;
    }
    let after = body[label_end + REF_END.len()..].strip_prefix(DET)?;
    let det_end = after.find(DET_END)?;
    let det = &after[..det_end];
    if det.contains("<|") {
        return None;
    }
    let boxes = boxes(det)?;
    Some((
        (label.trim().to_owned(), boxes),
        &after[det_end + DET_END.len()..],
    ))
}

/// `[[x1,y1,x2,y2], ...]`: numbers in fours; decimals are rounded, values out of range clamped.
fn boxes(det: &str) -> Option<Vec<PageBox>> {
    let numbers = det
        .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .filter(|s| !s.is_empty())
        .map(|s| {
            s.parse::<f64>()
                .ok()
                .map(|v| v.round().clamp(-1e6, 1e6) as i64)
        })
        .collect::<Option<Vec<i64>>>()?;
    if numbers.is_empty() || numbers.len() % 4 != 0 {
        return None;
    }
    Some(
        numbers
            .chunks_exact(4)
            .map(|n| PageBox::new(n[0], n[1], n[2], n[3]))
            .collect(),
    )
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

    proptest! {
        #[test]
        fn any_string_parses(text in "(<\\|ref\\|>|<\\|/ref\\|>|<\\|det\\|>|<\\|/det\\|>|\\[\\[|\\]\\]|[0-9,. -]|[a-z\\n]){0,60}") {
            parse_grounded(&text);
        }

        #[test]
        fn what_is_written_is_read_again(label in "[a-z_]{1,12}", content in "[^\\n]{0,40}", x in 0u16..999, y in 0u16..999) {
            let content = content.trim().to_owned();
            let block = Block { label: label.clone(), boxes: vec![PageBox { x1: x, y1: y, x2: 999, y2: 999 }], content: content.clone() };
            let parsed = parse_grounded(&write_grounded(&[block.clone(), block]));
            prop_assert_eq!(parsed.len(), 2);
            prop_assert_eq!(&parsed[1].mark.as_ref().expect("mark").0, &label);
            prop_assert_eq!(parsed[1].content.replace('\u{200b}', ""), content.replace('\u{200b}', ""));
        }
    }
}
