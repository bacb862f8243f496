//! `<stem>.mmd` and `<stem>_det.mmd`: one page at a time. Pure.

use crate::config;
use crate::page::{Metadata, PageStatus, Reading, Role, SEPARATOR};

/// A page's Markdown with what follows it.
pub fn page(reading: &Reading, page: u32, settings: &config::Output) -> String {
    let mut parts: Vec<String> = Vec::new();
    if reading.status == PageStatus::Failed {
        parts.push(mark(reading, page));
    }
    let mut picture = 0;
    for block in &reading.blocks {
        match block.role() {
            _ if block.has_picture() => {
                for _ in &block.boxes {
                    parts.push(format!("![](images/{page}_{picture}.jpg)"));
                    picture += 1;
                }
                if !block.content.is_empty() {
                    parts.push(tidy(&block.content));
                }
            }
            Role::Furniture if !settings.furniture => {}
            _ => parts.push(tidy(&block.content)),
        }
    }
    parts.retain(|p| !p.trim().is_empty());
    let mut text = parts.join("\n\n");
    separate(&mut text, settings);
    text
}

/// Ends a page or a chapter.
pub fn separate(text: &mut String, settings: &config::Output) {
    if settings.page_separator.is_empty() {
        text.push_str("\n\n");
    } else {
        text.push_str(&settings.page_separator);
    }
}

/// What a book says of itself, as a YAML metadata block (pandoc's, and most Markdown tools').
/// Strings are JSON's, which are YAML's too. Empty where the book says nothing.
pub fn title_block(metadata: &Metadata) -> String {
    let authors = match metadata.authors.as_slice() {
        [author] => serde_json::json!(author),
        authors => serde_json::json!(authors),
    };
    let language = metadata.languages.first().map_or("", String::as_str);
    let lines: String = [
        ("title", serde_json::json!(metadata.title)),
        ("author", authors),
        ("publisher", serde_json::json!(metadata.publisher)),
        ("date", serde_json::json!(metadata.date)),
        ("lang", serde_json::json!(language)),
        ("identifier", serde_json::json!(metadata.identifier)),
    ]
    .iter()
    .filter(|(_, value)| *value != "" && *value != serde_json::json!([]))
    .map(|(key, value)| format!("{key}: {value}\n"))
    .collect();
    if lines.is_empty() {
        return lines;
    }
    format!("---\n{lines}---\n\n")
}

/// A page's grounded text with its separator.
pub fn grounded(reading: &Reading, page: u32) -> String {
    let mut text = String::new();
    if reading.status == PageStatus::Failed {
        text.push_str(&mark(reading, page));
        if !reading.grounded.is_empty() {
            text.push_str("\n\n");
        }
    }
    text.push_str(&reading.grounded);
    text.push_str(SEPARATOR);
    text
}

/// What stands in place of a page that could not be read.
pub fn mark(reading: &Reading, page: u32) -> String {
    format!(
        "> **Page {} could not be read:** {}",
        page + 1,
        reading.reason.as_deref().unwrap_or("no reason is known")
    )
}

/// Runs of three and more line ends become two.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut ends = 0;
    for c in text.trim_matches('\n').chars() {
        ends = if c == '\n' { ends + 1 } else { 0 };
        if ends <= 2 {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Block, PageBox, Rotation};

    fn block(label: &str, boxes: usize, content: &str) -> Block {
        Block {
            label: label.into(),
            boxes: vec![PageBox::FULL; boxes],
            content: content.into(),
            heading: None,
        }
    }

    #[test]
    fn pictures_are_numbered_by_box_and_furniture_stays_out() {
        let blocks = vec![
            block("header", 1, "Journal"),
            block("doc_title", 1, "# T"),
            block("image", 2, ""),
            block("text", 2, "a\n\n\n\nb"),
            block("chart", 1, ""),
        ];
        let reading = Reading::of_blocks(blocks, Rotation::None, 0.0);
        let settings = config::Output::default();
        assert_eq!(
            page(&reading, 3, &settings),
            "# T\n\n![](images/3_0.jpg)\n\n![](images/3_1.jpg)\n\na\n\nb\n\n![](images/3_2.jpg)\n\n<--- Page Split --->\n"
        );
        assert!(
            page(
                &reading,
                3,
                &config::Output {
                    furniture: true,
                    ..settings
                }
            )
            .starts_with("Journal\n\n# T")
        );
        assert!(grounded(&reading, 3).contains("<|ref|>header<|/ref|>"));
    }

    #[test]
    fn what_did_not_become_markdown_keeps_its_picture() {
        let blocks = vec![
            block("table", 1, "| a |\n|---|"),
            block("table", 1, "a  b"),
            block("display_formula", 1, "$$\na^2\n$$"),
            block("display_formula", 1, "a2 (1)"),
            block("equation", 1, "\\(a\\)"),
        ];
        let reading = Reading::of_blocks(blocks, Rotation::None, 0.0);
        let settings = config::Output {
            page_separator: String::new(),
            ..config::Output::default()
        };
        assert_eq!(
            page(&reading, 0, &settings),
            "| a |\n|---|\n\n![](images/0_0.jpg)\n\na  b\n\n$$\na^2\n$$\n\n![](images/0_1.jpg)\n\na2 (1)\n\n\\(a\\)\n\n"
        );
        assert_eq!(reading.figures().count(), 2);
    }

    #[test]
    fn a_page_that_could_not_be_read_keeps_its_place() {
        let reading = Reading::failed("it is too large");
        let text = page(&reading, 0, &config::Output::default());
        assert_eq!(
            text,
            "> **Page 1 could not be read:** it is too large\n\n<--- Page Split --->\n"
        );
        assert!(grounded(&reading, 0).contains("could not be read"));
    }
}
