//! Boxes read off laid-out frames.
//!
//! Every glyph, picture and line carries the span of its part ([`super::parts`]). A part's box on a
//! page is the union of what carries it: for text the advance widths and the font's ascender and
//! descender, for pictures and lines their extent, all moved by the transforms of the groups around
//! them. Glyph 0 of a font means a missing character; it is collected here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use typst::layout::{Abs, Frame, FrameItem, Point, Transform};
use typst::syntax::Span;
use typst::text::TextItem;

use super::Placed;
use super::parts::Parts;
use crate::page::{BOX_MAX, PageBox};

/// Groups nest as deep as typst's layout, whose own limit is 72; text beyond is not looked at.
const MAX_DEPTH: usize = 512;

/// Parts that had a box on an earlier page.
#[derive(Default)]
pub struct Seen(HashSet<usize>);

#[derive(Clone, Copy)]
struct Extent {
    min: Point,
    max: Point,
}

impl Extent {
    fn of(a: Point, b: Point, transform: Transform) -> Self {
        let corners = [a, Point::new(b.x, a.y), Point::new(a.x, b.y), b];
        let corners = corners.map(|p| p.transform(transform));
        Self {
            min: corners.into_iter().fold(corners[0], Point::min),
            max: corners.into_iter().fold(corners[0], Point::max),
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// The boxes of one page in reading order; `seen` and `missing` gather over the book.
pub fn blocks(
    page: &Frame,
    parts: &Parts,
    seen: &mut Seen,
    missing: &mut BTreeSet<char>,
) -> Vec<Placed> {
    let mut walk = Walk {
        parts,
        missing,
        extents: BTreeMap::new(),
    };
    walk.frame(page, Transform::identity(), 0);
    let extents = std::mem::take(&mut walk.extents);
    let (width, height) = (page.width().to_pt(), page.height().to_pt());
    let scale = |v: Abs, of: f64| (v.to_pt() / of.max(1.0) * f64::from(BOX_MAX)).round() as i64;
    extents
        .into_iter()
        .filter_map(|(index, extent)| {
            let part = parts.get(index)?;
            Some(Placed {
                label: part.label,
                at: PageBox::new(
                    scale(extent.min.x, width),
                    scale(extent.min.y, height),
                    scale(extent.max.x, width),
                    scale(extent.max.y, height),
                ),
                piece: part.piece,
                first: seen.0.insert(index),
                inside: part.within.is_some(),
            })
        })
        .collect()
}

struct Walk<'a> {
    parts: &'a Parts,
    missing: &'a mut BTreeSet<char>,
    /// By part; parts are numbered in reading order.
    extents: BTreeMap<usize, Extent>,
}

impl Walk<'_> {
    fn frame(&mut self, frame: &Frame, transform: Transform, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for (at, item) in frame.items() {
            let here = transform.pre_concat(Transform::translate(at.x, at.y));
            match item {
                FrameItem::Group(group) => {
                    self.frame(&group.frame, here.pre_concat(group.transform), depth + 1);
                }
                FrameItem::Text(text) => self.text(text, here),
                FrameItem::Image(_, size, span) => {
                    self.add(*span, Extent::of(Point::zero(), size.to_point(), here));
                }
                FrameItem::Shape(shape, span) => {
                    let rect = shape.geometry.bbox(shape.stroke.as_ref());
                    self.add(*span, Extent::of(rect.min, rect.max, here));
                }
                FrameItem::Link(..) | FrameItem::Tag(_) => {}
            }
        }
    }

    /// Runs of glyphs of one part; a line of text is shaped as a whole, so parts may share an item.
    fn text(&mut self, text: &TextItem, here: Transform) {
        let metrics = text.font.metrics();
        let above = metrics.ascender.at(text.size);
        let below = metrics.descender.at(text.size);
        let mut x = Abs::zero();
        let mut run: Option<(Span, Abs)> = None;
        for glyph in &text.glyphs {
            let chars = text.text.get(glyph.range()).unwrap_or_default();
            if glyph.id == 0 {
                self.missing.extend(
                    chars
                        .chars()
                        .filter(|c| !c.is_whitespace() && !super::fonts::ignorable(*c)),
                );
            }
            let span = glyph.span.0;
            let blank = chars.chars().all(char::is_whitespace);
            if run.is_some_and(|(of, _)| of != span) || (blank && run.is_none()) {
                self.close(run.take(), x, (above, below), here);
            }
            if run.is_none() && !blank {
                run = Some((span, x));
            }
            x += glyph.x_advance.at(text.size);
        }
        self.close(run, x, (above, below), here);
    }

    fn close(
        &mut self,
        run: Option<(Span, Abs)>,
        end: Abs,
        (above, below): (Abs, Abs),
        here: Transform,
    ) {
        if let Some((span, start)) = run {
            let extent = Extent::of(Point::new(start, -above), Point::new(end, -below), here);
            self.add(span, extent);
        }
    }

    fn add(&mut self, span: Span, extent: Extent) {
        let mut part = self.parts.of(span);
        while let Some(index) = part {
            self.extents
                .entry(index)
                .and_modify(|known| *known = known.join(extent))
                .or_insert(extent);
            part = self.parts.get(index).and_then(|part| part.within);
        }
    }
}
