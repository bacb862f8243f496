//! What stands beside a marker or moved in: lists, definitions, quotes, notes.

use typst::foundations::{Content, NativeElement, Packed, Smart};
use typst::layout::{
    Alignment, Em, Fr, GridCell, GridChild, GridElem, GridItem, HAlignment, Length, PadElem, Rel,
    Sizing, TrackSizings,
};
use typst::model::ParElem;
use typst::text::TextElem;

use super::inlines::Look;
use super::pieces::{Block, Builder, NEST, Place, joined, sized, spaced};
use super::text;
use crate::document::flow::{Definition, Piece};

impl Builder<'_> {
    pub fn list(&mut self, start: Option<i64>, items: &[Vec<Piece>], place: Place) -> Vec<Block> {
        let loose = items.iter().any(|item| item.len() > 1);
        let last = start.map(|s| s.saturating_add(items.len() as i64));
        let digits = last.map_or(1, |last| last.to_string().len());
        let width = if start.is_some() {
            0.55 * (digits as f64 + 1.0)
        } else {
            0.9
        };
        let mut blocks = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let marker = match start {
                Some(start) => format!("{}.", start.saturating_add(index as i64)),
                None => ["•", "–"][place.depth % 2].to_owned(),
            };
            let marker = TextElem::packed(marker).spanned(self.span());
            blocks.extend(self.item(marker, width, item, loose, place));
        }
        blocks
    }

    /// A marker with what belongs to it beside it; `width` of the marker in em.
    pub fn item(
        &mut self,
        marker: Content,
        width: f64,
        pieces: &[Piece],
        loose: bool,
        place: Place,
    ) -> Vec<Block> {
        if place.depth >= NEST {
            let mut blocks = vec![Block::new(ParElem::new(marker).pack(), 1)];
            blocks.extend(self.all(pieces, place.inner(0.0)));
            return blocks;
        }
        let gap = 0.5;
        let inner = place.inner((width + gap) * self.settings.text_size);
        let (body, weight) = joined(self.all(pieces, inner));
        let end = Smart::Custom(Alignment::H(HAlignment::End));
        let cells = [GridCell::new(marker).with_align(end), GridCell::new(body)];
        let columns = [
            Sizing::Rel(Rel::from(Length::from(Em::new(width)))),
            Sizing::Fr(Fr::one()),
        ];
        let grid = GridElem::new(
            cells
                .into_iter()
                .map(|cell| GridChild::Item(GridItem::Cell(Packed::new(cell))))
                .collect(),
        )
        .with_columns(TrackSizings(columns.into_iter().collect()))
        .with_column_gutter(TrackSizings(
            std::iter::once(Sizing::Rel(Rel::from(Length::from(Em::new(gap))))).collect(),
        ))
        .pack();
        let content = if loose {
            grid
        } else {
            spaced(grid, Em::new(0.62), Em::new(0.62))
        };
        vec![Block::new(content, weight)]
    }

    pub fn definitions(&mut self, definitions: &[Definition], place: Place) -> Vec<Block> {
        let mut blocks = Vec::new();
        for definition in definitions {
            match definition {
                Definition::Term(term) => {
                    let look = Look {
                        bold: true,
                        ..Look::default()
                    };
                    let term = self.paragraph(term, look, place).into_iter().map(|block| {
                        let content = spaced(block.content, Em::new(0.95), Em::new(0.62));
                        Block::new(content, block.weight)
                    });
                    blocks.extend(term);
                }
                Definition::Meaning(pieces) => {
                    let inset = Rel::from(Length::from(Em::new(1.6)));
                    blocks.extend(self.padded(pieces, inset, place));
                }
            }
        }
        blocks
    }

    /// Pieces moved in from both sides, or from the start.
    pub fn padded(&mut self, pieces: &[Piece], inset: Rel<Length>, place: Place) -> Vec<Block> {
        if place.depth >= NEST {
            return self.all(pieces, place.inner(0.0));
        }
        let inner = place.inner(3.2 * self.settings.text_size);
        let blocks = self.all(pieces, inner);
        blocks
            .into_iter()
            .map(|block| {
                let padded = PadElem::new(block.content)
                    .with_left(inset)
                    .with_right(inset);
                Block::new(padded.pack(), block.weight)
            })
            .collect()
    }

    pub fn note(&mut self, id: &str, pieces: &[Piece], place: Place) -> Vec<Block> {
        let mark = self.marks.get(id).copied().unwrap_or_default().trim();
        let mark = text::fit(mark);
        let size = 0.88;
        let blocks = if mark.is_empty() {
            self.all(pieces, place.inner(0.0))
        } else {
            let width = 0.55 * (mark.chars().count() as f64 + 1.0);
            let marker = TextElem::packed(mark).spanned(self.span());
            self.item(marker, width.clamp(1.0, 4.0), pieces, true, place)
        };
        blocks
            .into_iter()
            .map(|block| Block::new(sized(block.content, size), block.weight))
            .collect()
    }
}
