//! The title of a document whose engine called it a heading: what its first page begins with. Pure.

use crate::page::{Reading, Role, write_grounded};

/// On the first page, a heading above all text becomes the title, where the page has none and the
/// heading is not numbered: `1 Introduction` is a section wherever it stands. Blocks keep their
/// labels, for these are what the engine saw.
pub fn promote(reading: &mut Reading) {
    // What an engine wrote in its own words is left as it is.
    if reading.grounded != write_grounded(&reading.blocks) {
        return;
    }
    if reading.blocks.iter().any(|b| b.role() == Role::Title) {
        return;
    }
    let first = reading
        .blocks
        .iter_mut()
        .find(|b| !matches!(b.role(), Role::Furniture | Role::Figure));
    let Some(block) = first.filter(|b| b.role() == Role::Heading) else {
        return;
    };
    let text = block.content.trim_start_matches('#').trim_start();
    let numbered = text.starts_with(|c: char| c.is_ascii_digit());
    if block.content.starts_with('#') && !text.is_empty() && !numbered {
        block.content = format!("# {text}");
        reading.grounded = write_grounded(&reading.blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Block, PageBox, Rotation};

    fn promoted(blocks: &[(&str, &str)]) -> Vec<String> {
        let blocks = blocks.iter().map(|(label, content)| Block {
            label: (*label).into(),
            boxes: vec![PageBox::FULL],
            content: (*content).into(),
            heading: None,
        });
        let mut reading = Reading::of_blocks(blocks.collect(), Rotation::None, 0.0);
        promote(&mut reading);
        assert_eq!(reading.grounded, write_grounded(&reading.blocks));
        reading.blocks.into_iter().map(|b| b.content).collect()
    }

    #[test]
    fn a_first_heading_is_the_title_where_there_is_none() {
        let head = ("header", "Journal");
        let (a, b) = (("paragraph_title", "## A report"), ("text", "Words."));
        let more = ("paragraph_title", "## Part");
        assert_eq!(promoted(&[head, a, b, more])[1], "# A report");
        assert_eq!(promoted(&[head, a, b, more])[3], "## Part");
        assert_eq!(promoted(&[b, a])[1], "## A report", "text above it");
        let title = ("doc_title", "# T");
        assert_eq!(promoted(&[a, title])[0], "## A report", "a title below");
        let section = ("paragraph_title", "## 2 Methods");
        assert_eq!(promoted(&[section])[0], "## 2 Methods");
    }
}
