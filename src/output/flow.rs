//! Paragraphs that go on on the next page. Pure.

use crate::page::words::{self, Words};
use crate::page::{Block, Reading, Role};

/// Whether text may go on behind a block: behind what floats on the page and what is not its text,
/// as are scraps of fewer than three words or a dozen characters.
fn is_floating(block: &Block) -> bool {
    let scrap = || {
        let text = &block.content;
        text.split_whitespace().count() < 3 && text.chars().count() < 12
    };
    match block.role() {
        Role::Figure | Role::Table | Role::Caption | Role::Footnote | Role::Furniture => true,
        Role::Text => scrap(),
        _ => false,
    }
}

fn is_running(block: &Block) -> bool {
    matches!(block.role(), Role::Text | Role::List | Role::Reference) && block.label != "content"
}

/// Moves the beginning of `next` to the end of `page` where it goes on with its last paragraph: a
/// divided word, or no end of a sentence before and no capital after. Says whether it did.
/// Boxes stay: this is for the Markdown.
pub fn carry(page: &mut Reading, next: &mut Reading) -> bool {
    let texts = page.blocks.iter().chain(&next.blocks);
    let words = Words::of(texts.map(|b| b.content.as_str()));
    let last = page.blocks.iter_mut().rfind(|b| !is_floating(b));
    let first = next.blocks.iter_mut().find(|b| !is_floating(b));
    let (Some(last), Some(first)) = (last, first) else {
        return false;
    };
    if !is_running(last) || !is_running(first) || last.role() != first.role() {
        return false;
    }
    let (begin, rest) = match first.content.split_once("\n\n") {
        Some((begin, rest)) => (begin, rest),
        None => (first.content.as_str(), ""),
    };
    let letter = begin.chars().next().is_some_and(char::is_alphanumeric);
    let goes_on = words::is_divided(&last.content) && letter
        || (!words::is_ended(&last.content) || last.role() == Role::Reference)
            && words::is_continued(begin);
    if last.content.is_empty() || !goes_on {
        return false;
    }
    words.append(&mut last.content, begin);
    first.content = rest.to_owned();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{PageBox, Rotation};

    fn page(blocks: &[(&str, &str)]) -> Reading {
        let block = |&(label, content): &(&str, &str)| Block {
            label: label.into(),
            boxes: vec![PageBox::FULL],
            content: content.into(),
            heading: None,
        };
        Reading::of_blocks(blocks.iter().map(block).collect(), Rotation::None, 0.0)
    }

    #[test]
    fn a_paragraph_is_joined_over_notes_and_heads() {
        let mut a = page(&[
            ("text", "One.\n\nA divi-"),
            ("footnote", "1 Note."),
            ("number", "7"),
        ]);
        let mut b = page(&[
            ("header", "Head"),
            ("text", "x 1"),
            ("text", "ded word.\n\nTwo."),
            ("text", "Three"),
        ]);
        assert!(carry(&mut a, &mut b));
        assert_eq!(a.blocks[0].content, "One.\n\nA divided word.");
        assert_eq!(b.blocks[2].content, "Two.");
        assert!(!carry(&mut a, &mut b));
    }

    #[test]
    fn what_begins_anew_stays() {
        for (a, b) in [
            (("text", "Ended with this."), ("text", "begins with this")),
            (("text", "open to all"), ("text", "Begins with this")),
            (("text", "open to all"), ("paragraph_title", "## a heading")),
            (("text", "open to all"), ("algorithm", "```\na\n```")),
            (("text", ""), ("text", "begins with this")),
        ] {
            let (mut x, mut y) = (page(&[a]), page(&[b]));
            assert!(!carry(&mut x, &mut y), "{a:?} {b:?}");
            assert_eq!(
                (x.blocks[0].content.as_str(), y.blocks[0].content.as_str()),
                (a.1, b.1)
            );
        }
    }
}
