//! Paragraphs that go on in another region. Pure.

use super::markdown;
use super::paragraph::Paragraph;
use super::piece::{Rect, around, height, middle, width};
use crate::page::words::{self, Words};
use crate::page::{Heading, Role};

/// A block whose content is not yet one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    pub label: &'static str,
    pub boxes: Vec<Rect>,
    /// Of a heading that is no title; its size is in pixels.
    pub heading: Option<Heading>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Running(Vec<Paragraph>),
    /// Markdown.
    Ready(String),
}

impl Body {
    fn is_running(&self) -> bool {
        matches!(
            Role::of(self.label),
            Role::Text | Role::Reference | Role::List | Role::Caption
        ) && self.label != "content"
            && !matches!(&self.content, Content::Running(p) if p.is_empty())
    }

    /// What a paragraph may go on behind: it stands where the page has room for it.
    fn is_floating(&self) -> bool {
        matches!(
            Role::of(self.label),
            Role::Figure | Role::Table | Role::Caption | Role::Footnote | Role::Furniture
        )
    }

    /// The content as Markdown.
    pub fn markdown(self) -> String {
        match self.content {
            Content::Ready(text) => text,
            Content::Running(paragraphs) => paragraphs
                .iter()
                .map(|p| markdown::paragraph(&p.text))
                .collect::<Vec<_>>()
                .join("\n\n"),
        }
    }
}

fn is_caption(body: &Body) -> bool {
    Role::of(body.label) == Role::Caption
}

/// Whether a text is the other half of an open caption that stands beside it in two columns.
fn is_captions(a: &Body, b: &Body) -> bool {
    let (Content::Running(left), Content::Running(right)) = (&a.content, &b.content) else {
        return false;
    };
    let (Some(left), [right]) = (left.last(), &right[..]) else {
        return false;
    };
    let (from, to) = (
        a.boxes.last().copied().unwrap_or_default(),
        around(b.boxes.iter().copied()),
    );
    let row = height(from) / left.rows.max(1) as f32;
    is_caption(a)
        && Role::of(b.label) == Role::Text
        && to[0] > from[2]
        && (to[1] - from[1]).abs() < row
        && left.full
        && !words::is_ended(&left.text)
        && words::is_continued(&right.text)
}

/// Joins each paragraph that goes on in a later block, behind what floats, with that: one block
/// with the boxes of both.
pub fn join(bodies: Vec<Body>, words: &Words) -> Vec<Body> {
    let mut out: Vec<Body> = Vec::with_capacity(bodies.len());
    for body in bodies {
        let open = (0..out.len())
            .rfind(|&i| {
                let named =
                    Role::of(out[i].label) == Role::Code && i > 0 && is_caption(&out[i - 1]);
                !(out[i].is_floating() || named) || is_caption(&body) && i + 1 == out.len()
            })
            .filter(|&i| goes_on(&out[i], &body))
            .or_else(|| {
                out.len()
                    .checked_sub(1)
                    .filter(|&i| is_captions(&out[i], &body))
            })
            // What stands under it goes on with it, whatever is beside both.
            .or_else(|| (0..out.len()).rfind(|&i| is_under(&out[i], &body)));
        match open {
            Some(i) => append(&mut out[i], body, words),
            None => out.push(body),
        }
    }
    out
}

fn is_under(a: &Body, b: &Body) -> bool {
    let (Content::Running(above), Content::Running(below)) = (&a.content, &b.content) else {
        return false;
    };
    let (Some(last), Some(first)) = (above.last(), below.first()) else {
        return false;
    };
    let (from, to) = (
        a.boxes.last().copied().unwrap_or_default(),
        around(b.boxes.iter().copied()),
    );
    last.full
        && words::is_continued(&first.text)
        && stands_under(from, to, last.rows)
        && goes_on(a, b)
}

/// Whether a box begins where the paragraph of several rows ends that ends another.
fn stands_under(from: Rect, to: Rect, rows: usize) -> bool {
    let row = height(from) / rows.max(1) as f32;
    rows > 1 && (to[1] - from[3]).abs() < row && (to[0] - from[0]).abs() < row
}

fn goes_on(a: &Body, b: &Body) -> bool {
    let Content::Running(next) = &b.content else {
        return false;
    };
    if !a.is_running() || !b.is_running() {
        return false;
    }
    // An abstract may go on as text where the model loses sight of it.
    let kind = Role::of(a.label) == Role::of(b.label);
    let (Some(first), true) = (next.first(), kind) else {
        return false;
    };
    let last = match &a.content {
        Content::Running(paragraphs) => paragraphs.last(),
        Content::Ready(text) => {
            // An item of a list.
            return !words::is_ended(text) && words::is_continued(&first.text);
        }
    };
    let Some(last) = last else { return false };
    let letter = first.text.chars().next().is_some_and(char::is_alphanumeric);
    if words::is_divided(&last.text) && letter {
        return true;
    }
    let continued = words::is_continued(&first.text);
    // An entry of references is full of points and never begins in lower case.
    if Role::of(a.label) == Role::Reference && continued {
        return true;
    }
    // What lies about on a page is no paragraph: at least three words or a dozen characters.
    let scrap = last.text.split_whitespace().count() < 3 && last.text.chars().count() < 12;
    if words::is_ended(&last.text) || scrap {
        return false;
    }
    // A paragraph ends with a row that is not full.
    let from = a.boxes.last().copied().unwrap_or_default();
    let to = around(b.boxes.iter().copied());
    // Under a picture that text runs around it may be as wide as before, or wider.
    let under = stands_under(from, to, last.rows);
    let full = last.full && (under || from[2] > from[2].max(to[2]) - 0.12 * width(to));
    let column = to[0] > (from[0] + from[2]) / 2.0 && to[1] < from[1].max(middle(from));
    if continued {
        return if column { last.full } else { full };
    }
    // Without a sign of the language only the next column is close enough, as wide as this one.
    let alike = width(from).min(width(to)) > 0.85 * width(from).max(width(to));
    column && alike && last.full && !first.indented && letter
}

fn append(a: &mut Body, b: Body, words: &Words) {
    let Content::Running(next) = b.content else {
        return;
    };
    a.boxes.extend(b.boxes);
    let mut next = next.into_iter();
    match &mut a.content {
        Content::Running(paragraphs) => {
            if let (Some(last), Some(first)) = (paragraphs.last_mut(), next.next()) {
                words.append(&mut last.text, &first.text);
                last.full = first.full;
                last.rows += first.rows;
            }
            paragraphs.extend(next);
        }
        Content::Ready(text) => {
            if let Some(first) = next.next() {
                words.append(text, &markdown::inline(&first.text));
            }
            for paragraph in next {
                text.push_str("\n\n");
                text.push_str(&markdown::paragraph(&paragraph.text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(label: &'static str, at: Rect, texts: &[&str]) -> Body {
        let paragraph = |text: &&str| Paragraph {
            text: (*text).into(),
            indented: false,
            full: true,
            rows: 1,
        };
        Body {
            label,
            boxes: vec![at],
            heading: None,
            content: Content::Running(texts.iter().map(paragraph).collect()),
        }
    }

    fn read(bodies: Vec<Body>) -> Vec<(usize, String)> {
        let joined = join(bodies, &Words::default()).into_iter();
        joined.map(|b| (b.boxes.len(), b.markdown())).collect()
    }

    const LEFT: Rect = [0.0, 100.0, 480.0, 900.0];
    const RIGHT: Rect = [520.0, 50.0, 1000.0, 900.0];

    #[test]
    fn a_paragraph_goes_on_behind_a_figure() {
        let found = read(vec![
            body("text", LEFT, &["One.", "Two begins and is not com-"]),
            body("image", RIGHT, &[]),
            body("text", RIGHT, &["plete here.", "Three."]),
        ]);
        assert_eq!(
            found[0],
            (
                2,
                "One.\n\nTwo begins and is not complete here.\n\nThree.".into()
            )
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_algorithm_floats_with_its_caption_only() {
        let code = || Body {
            label: "algorithm",
            boxes: vec![RIGHT],
            heading: None,
            content: Content::Ready("```\na\n```".into()),
        };
        let text = || body("text", LEFT, &["open to all and ef-"]);
        let next = || body("text", RIGHT, &["fects"]);
        let caption = body("figure_title", RIGHT, &["Algorithm 1."]);
        assert_eq!(read(vec![text(), caption, code(), next()]).len(), 3);
        assert_eq!(read(vec![text(), code(), next()]).len(), 3);
    }

    #[test]
    fn in_the_next_column_a_full_row_goes_on_with_a_capital() {
        let (a, b) = (&["a life in New"][..], &["York, which is"][..]);
        assert_eq!(
            read(vec![body("text", LEFT, a), body("text", RIGHT, b)]).len(),
            1
        );
        let under = [0.0, 910.0, 480.0, 950.0];
        let wide = [0.0, 910.0, 1000.0, 950.0];
        let narrow = [
            body("text", LEFT, &["open to all"]),
            body("text", wide, &["b"]),
        ];
        assert_eq!(read(narrow.to_vec()).len(), 2, "the row was not full");
        let below = [
            body("text", LEFT, &["open to all"]),
            body("text", under, &["b"]),
        ];
        assert_eq!(read(below.to_vec()).len(), 1);
        assert_eq!(
            read(vec![body("text", LEFT, a), body("text", under, b)]).len(),
            2
        );
    }

    #[test]
    fn a_caption_goes_on_only_in_the_one_right_after_it() {
        let caption = |at: Rect, text: &str| body("figure_title", at, &[text]);
        let figure = || body("image", LEFT, &[]);
        let (a, b) = (
            caption(LEFT, "Fig. 1. As seen in the"),
            caption(RIGHT, "EMBL base"),
        );
        assert_eq!(read(vec![a.clone(), b.clone()]).len(), 1);
        let level = body("text", [520.0, 100.0, 1000.0, 900.0], &["base of all"]);
        assert_eq!(read(vec![a.clone(), level]).len(), 1);
        let further = body("text", [520.0, 950.0, 1000.0, 990.0], &["base of all"]);
        assert_eq!(read(vec![a.clone(), further]).len(), 2);
        assert_eq!(read(vec![a.clone(), figure(), b.clone()]).len(), 3);
        assert_eq!(read(vec![body("text", LEFT, &["open to all"]), b]).len(), 2);
    }

    #[test]
    fn a_sentence_s_end_a_heading_or_another_kind_ends_it() {
        let next = || body("text", RIGHT, &["goes on"]);
        assert_eq!(read(vec![body("text", LEFT, &["Ended."]), next()]).len(), 2);
        assert_eq!(
            read(vec![
                body("reference_content", LEFT, &["open to all"]),
                next()
            ])
            .len(),
            2
        );
        let heading = Body {
            label: "paragraph_title",
            boxes: vec![LEFT],
            heading: None,
            content: Content::Ready("## H".into()),
        };
        assert_eq!(
            read(vec![body("text", LEFT, &["open to all"]), heading, next()]).len(),
            3
        );
    }
}
