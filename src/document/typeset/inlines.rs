//! What stands in a line, as typst content: runs of text with their look, links, ruby, pictures.
//!
//! The look is carried down and set on each run, so nesting in the book never becomes nesting in
//! typst.

use typst::foundations::{Content, NativeElement, Smart};
use typst::layout::{
    Alignment, BoxElem, Em, HAlignment, Length, PlaceElem, Rel, Sides, Sizing, VAlignment,
};
use typst::model::{Destination, LinkElem, LinkTarget, Url};
use typst::text::{FontStyle, FontWeight, LinebreakElem, StrikeElem, SubElem, SuperElem, TextElem};
use typst::visualize::Color;

use super::pieces::{Builder, PARAGRAPH, Place, monospaced, sized};
use super::{math, text};
use crate::document::flow::Inline;

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub bold: bool,
    pub italic: bool,
    pub code: bool,
    pub strike: bool,
    pub shift: Shift,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shift {
    #[default]
    None,
    Sub,
    Sup,
}

/// Readings longer than this stand behind their base in brackets: a box for both cannot be broken
/// at the end of a line.
const LONGEST_RUBY: usize = 16;
/// A picture in a line that is no higher than this, in points, stays in it at its size.
const LINE_PICTURE: f64 = 60.0;

/// Runs in portions of at most about [`PARAGRAPH`] bytes.
#[derive(Default)]
struct Runs {
    done: Vec<(Content, usize)>,
    open: Vec<Content>,
    weight: usize,
}

impl Runs {
    fn push(&mut self, content: Content, weight: usize) {
        if self.weight > 0 && self.weight + weight > PARAGRAPH {
            self.close();
        }
        self.open.push(content);
        self.weight += weight.max(1);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let content = Content::sequence(self.open.drain(..));
            self.done.push((content, std::mem::take(&mut self.weight)));
        }
    }
}

impl Builder<'_> {
    /// Inlines in portions, each with its weight; none where nothing is drawn.
    pub fn runs(&mut self, inlines: &[Inline], look: Look, place: Place) -> Vec<(Content, usize)> {
        let mut runs = Runs::default();
        self.inlines(inlines, look, place, 0, &mut runs);
        runs.close();
        runs.done
    }

    /// Inlines as one, with their weight.
    pub fn line(&mut self, inlines: &[Inline], look: Look, place: Place) -> (Content, usize) {
        let runs = self.runs(inlines, look, place);
        let weight = runs.iter().map(|(_, weight)| weight).sum();
        let content = Content::sequence(runs.into_iter().map(|(content, _)| content));
        (content, weight)
    }

    fn inlines(
        &mut self,
        inlines: &[Inline],
        look: Look,
        place: Place,
        depth: usize,
        runs: &mut Runs,
    ) {
        if depth > text::MAX_DEPTH {
            return;
        }
        for inline in inlines {
            let mut deeper = |this: &mut Self, text: &[Inline], look: Look| {
                this.inlines(text, look, place, depth + 1, runs);
            };
            match inline {
                Inline::Text(words) => self.text(words, look, runs),
                // Emphasis in emphasis is set upright, as books do.
                Inline::Emphasis(text) => {
                    let italic = !look.italic;
                    deeper(self, text, Look { italic, ..look });
                }
                Inline::Strong(text) => deeper(self, text, Look { bold: true, ..look }),
                Inline::Strike(text) => {
                    deeper(
                        self,
                        text,
                        Look {
                            strike: true,
                            ..look
                        },
                    );
                }
                Inline::Sub(text) => {
                    let shift = Shift::Sub;
                    deeper(self, text, Look { shift, ..look });
                }
                Inline::Sup(text) => {
                    let shift = Shift::Sup;
                    deeper(self, text, Look { shift, ..look });
                }
                Inline::Code(words) => self.text(words, Look { code: true, ..look }, runs),
                Inline::NoteMark { text, .. } => {
                    let shift = Shift::Sup;
                    self.text(text, Look { shift, ..look }, runs);
                }
                Inline::Link { to, text } => match outside(to) {
                    Some(url) => {
                        for (body, weight) in self.nested(text, look, place, depth) {
                            let body = body.set(TextElem::fill, LINK.into());
                            let target = LinkTarget::Dest(Destination::Url(url.clone()));
                            runs.push(LinkElem::new(target, body).pack(), weight);
                        }
                    }
                    None => deeper(self, text, look),
                },
                Inline::Ruby { base, reading } => {
                    let nested = self.nested(base, look, place, depth);
                    self.ruby(base, nested, reading, look, runs);
                }
                Inline::Formula(formula) => {
                    let (content, weight) = math::inline(formula, self.span());
                    runs.push(content, weight);
                }
                Inline::Picture(picture) => {
                    let page = self.settings.page.1 - 2.0 * self.settings.margin.1;
                    let drawn = self.labelled("image", |this| {
                        this.drawn(picture, (place.width, page * 0.8))
                    });
                    runs.push(drawn, LINE_PICTURE as usize);
                    self.inlines(&picture.caption, look, place, depth + 1, runs);
                }
                Inline::PageBreak(_) => {}
                Inline::Break => runs.push(LinebreakElem::new().pack(), 1),
            }
        }
    }

    fn nested(
        &mut self,
        inlines: &[Inline],
        look: Look,
        place: Place,
        depth: usize,
    ) -> Vec<(Content, usize)> {
        let mut runs = Runs::default();
        self.inlines(inlines, look, place, depth + 1, &mut runs);
        runs.close();
        runs.done
    }

    fn text(&mut self, words: &str, look: Look, runs: &mut Runs) {
        for portion in text::cut(&text::fit(words), PARAGRAPH / 2) {
            if !portion.is_empty() {
                runs.push(self.styled(portion, look), portion.len());
            }
        }
    }

    fn styled(&self, words: &str, look: Look) -> Content {
        let mut content = TextElem::packed(words).spanned(self.span());
        if look.code {
            content = monospaced(content);
        }
        if look.bold {
            content = content.set(TextElem::weight, FontWeight::BOLD);
        }
        if look.italic {
            content = content.set(TextElem::style, FontStyle::Italic);
        }
        if look.strike {
            content = StrikeElem::new(content).pack();
        }
        // A font's own small figures would not cover letters.
        match look.shift {
            Shift::None => content,
            Shift::Sub => SubElem::new(content).with_typographic(false).pack(),
            Shift::Sup => SuperElem::new(content).with_typographic(false).pack(),
        }
    }

    /// The reading at half size above its base, centred; the wider of both takes the room.
    fn ruby(
        &mut self,
        base: &[Inline],
        nested: Vec<(Content, usize)>,
        reading: &str,
        look: Look,
        runs: &mut Runs,
    ) {
        let mut base_em = 0.0;
        text::each_inline_text(base, &mut |text| base_em += em(text));
        let reading = text::fit(reading);
        let reading_em = em(&reading) / 2.0;
        let reading_look = Look {
            shift: Shift::None,
            ..look
        };
        if base_em.max(reading_em) > LONGEST_RUBY as f64 {
            for (content, weight) in nested {
                runs.push(content, weight);
            }
            self.text(&format!(" ({reading})"), reading_look, runs);
            return;
        }
        let weight = reading.len() + nested.iter().map(|(_, weight)| weight).sum::<usize>();
        let base = Content::sequence(nested.into_iter().map(|(content, _)| content));
        let reading = sized(self.styled(&reading, reading_look), 0.5);
        let above = PlaceElem::new(reading)
            .with_alignment(Smart::Custom(Alignment::Both(
                HAlignment::Center,
                VAlignment::Top,
            )))
            .with_dy(Rel::from(Length::from(Em::new(-0.5))))
            .pack();
        let height = Some(Rel::from(Length::from(Em::new(0.5))));
        let width = if reading_em > base_em {
            Sizing::Rel(Rel::from(Length::from(Em::new(reading_em))))
        } else {
            Sizing::Auto
        };
        let body = typst::layout::AlignElem::new(base)
            .with_alignment(Alignment::CENTER)
            .pack();
        let ruby = BoxElem::new()
            .with_width(width)
            .with_inset(Sides::new(None, height, None, None))
            .with_body(Some(above + body));
        runs.push(ruby.pack(), weight);
    }
}

/// The colour of a link that leads out of the book.
const LINK: Color = Color::NAVY;

/// An address that a reader of the PDF may follow.
fn outside(to: &str) -> Option<Url> {
    let schemes = ["http://", "https://", "mailto:"];
    let known = schemes.iter().any(|s| {
        to.get(..s.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(s))
    });
    known.then(|| Url::new(to).ok()).flatten()
}

/// Width of text in em, roughly: an em for what is written in squares, half for the rest.
fn em(text: &str) -> f64 {
    text.chars()
        .map(|c| if u32::from(c) >= 0x2E80 { 1.0 } else { 0.5 })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_net_are_links() {
        assert!(outside("https://example.org/a?b#c").is_some());
        assert!(outside("MAILTO:a@example.org").is_some());
        for to in ["file:///etc/passwd", "javascript:x", "ch2.xhtml#a", "", "é"] {
            assert!(outside(to).is_none(), "{to}");
        }
    }
}
