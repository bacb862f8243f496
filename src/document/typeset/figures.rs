//! Pictures with their captions, and what stands where one cannot be drawn.

use typst::foundations::{Content, NativeElement};
use typst::layout::{
    Abs, AlignElem, Alignment, BlockBody, BlockElem, BoxElem, Em, Length, Rel, Sides,
};
use typst::text::TextElem;
use typst::visualize::{Color, Stroke};

use super::inlines::Look;
use super::pictures::Drawing;
use super::pieces::{Block, Builder, FULL, Place, sized, spacing};
use super::text;
use crate::document::flow::{Inline, Picture};

impl Builder<'_> {
    pub fn picture(&mut self, picture: &Picture, place: Place) -> Vec<Block> {
        let drawn = self.labelled("image", |this| {
            let height = (this.settings.page.1 - 2.0 * this.settings.margin.1) * 0.8;
            this.drawn(picture, (place.width, height))
        });
        let caption = self.caption(&picture.caption, false, place);
        let block = BlockElem::new()
            .with_width(FULL)
            .with_sticky(!caption.is_empty())
            .with_body(Some(BlockBody::Content(
                AlignElem::new(drawn)
                    .with_alignment(Alignment::CENTER)
                    .pack(),
            )))
            .pack();
        let mut blocks = vec![Block::new(block, 1_000)];
        blocks.extend(caption);
        blocks
    }

    /// A caption; it stays with what follows where it stands above.
    pub fn caption(&mut self, caption: &[Inline], above: bool, place: Place) -> Vec<Block> {
        if caption.is_empty() {
            return Vec::new();
        }
        let look = Look {
            italic: true,
            ..Look::default()
        };
        let blocks = self.labelled("figure_title", |this| this.paragraph(caption, look, place));
        blocks
            .into_iter()
            .map(|block| {
                let body = sized(block.content, 0.92);
                let body = AlignElem::new(body)
                    .with_alignment(Alignment::CENTER)
                    .pack();
                let content = BlockElem::new()
                    .with_width(FULL)
                    .with_sticky(above)
                    .with_above(spacing(Em::new(0.8)))
                    .with_below(spacing(Em::new(if above { 0.8 } else { 1.2 })))
                    .with_body(Some(BlockBody::Content(body)))
                    .pack();
                Block::new(content, block.weight)
            })
            .collect()
    }

    /// A picture within `most`, or a framed note in its place.
    pub fn drawn(&mut self, picture: &Picture, most: (f64, f64)) -> Content {
        let drawing = match &picture.path {
            Some(path) => {
                let got = self.shelf.get(self.world, path);
                got.map_err(|why| format!("{path} cannot be drawn: {why}"))
            }
            None => Err(String::new()),
        };
        match drawing {
            Ok(drawing) => {
                let size = Drawing::within(drawing.natural(), most);
                let image = drawing.element(size, &picture.alt).spanned(self.span());
                BoxElem::new().with_body(Some(image)).pack()
            }
            Err(why) => {
                if !why.is_empty() {
                    self.fault(why);
                }
                self.framed(picture)
            }
        }
    }

    /// What stands where a picture cannot be drawn.
    pub fn framed(&self, picture: &Picture) -> Content {
        let words = [
            picture.alt.as_str(),
            picture.path.as_deref().unwrap_or_default(),
        ];
        let words = words.into_iter().map(str::trim).find(|w| !w.is_empty());
        let words: String = words.unwrap_or("picture").chars().take(2_000).collect();
        let words = TextElem::packed(text::fit(&words)).spanned(self.span());
        let inset = Some(Rel::from(Length::from(Em::new(0.5))));
        let stroke = Stroke::from_pair(Color::BLACK, Abs::pt(0.5).into());
        BoxElem::new()
            .with_inset(Sides::splat(inset))
            .with_stroke(Sides::splat(Some(Some(stroke))))
            .with_body(Some(sized(words, 0.9)))
            .pack()
            .spanned(self.span())
    }
}
