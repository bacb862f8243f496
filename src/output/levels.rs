//! Levels of headings over a whole document: a page alone does not tell what its one heading is. Pure.
//!
//! A first walk over the readings ([`Survey`]) counts sizes, a second one ([`Levels`]) sets the
//! levels of headings without numbers: by the sizes of those with numbers, else by rank of size.

use std::collections::BTreeMap;

use crate::page::{Block, Heading, Reading, Role, write_grounded};

/// Sizes that differ by less are one: headings of 12 and 14 points do differ.
const ALIKE: f32 = 0.88;
/// Steps into which sizes are rounded: a hundredth each.
const STEP: f32 = 0.01;
/// Sizes that are told apart, in points: bounds what is kept.
const SIZES: std::ops::RangeInclusive<f32> = 2.0..=400.0;
/// Headings with numbers that a document must have to tell the others by.
const NUMBERED: u32 = 3;
/// Deepest level of Markdown.
const DEEPEST: usize = 6;

/// Headings of a document by size.
#[derive(Debug, Default)]
pub struct Survey {
    /// Without number: how many of each rounded size.
    plain: BTreeMap<i32, u32>,
    /// With number: how many of each depth and rounded size.
    numbered: BTreeMap<u8, BTreeMap<i32, u32>>,
    /// Pages with headings.
    pages: u32,
}

impl Survey {
    pub fn add(&mut self, reading: &Reading) {
        let mut some = false;
        for heading in reading.blocks.iter().filter_map(of) {
            let sizes = match heading.depth {
                None => &mut self.plain,
                Some(depth) => self.numbered.entry(depth).or_default(),
            };
            *sizes.entry(rounded(heading.size)).or_default() += 1;
            some = true;
        }
        self.pages += u32::from(some);
    }

    /// What the headings' sizes mean; nothing where they all stand on one page, whose reader has
    /// seen them together.
    pub fn finish(self) -> Levels {
        if self.pages < 2 {
            return Levels(Vec::new());
        }
        let numbered: u32 = self.numbered.values().flat_map(BTreeMap::values).sum();
        if numbered < NUMBERED {
            return Levels(ranked(&self.plain));
        }
        let steps = self.numbered.iter();
        Levels(
            steps
                .map(|(&depth, sizes)| (median(sizes), usize::from(depth)))
                .collect(),
        )
    }
}

/// Sizes in points with the depth that each stands for, from 1.
#[derive(Debug, Default)]
pub struct Levels(Vec<(f32, usize)>);

impl Levels {
    /// Sets the levels of a page's headings that have no number; titles stay.
    pub fn set(&self, reading: &mut Reading) {
        // What an engine wrote in its own words is left as it is.
        if self.0.is_empty() || reading.grounded != write_grounded(&reading.blocks) {
            return;
        }
        for block in &mut reading.blocks {
            let Some(Heading { size, depth: None }) = of(block) else {
                continue;
            };
            let marks = "#".repeat((self.depth(size) + 1).min(DEEPEST));
            let text = block.content.trim_start_matches('#');
            block.content = format!("{marks}{text}");
        }
        reading.grounded = write_grounded(&reading.blocks);
    }

    fn depth(&self, size: f32) -> usize {
        let off = |other: f32| (size / other).ln().abs();
        let nearest = self.0.iter().min_by(|a, b| off(a.0).total_cmp(&off(b.0)));
        match nearest {
            Some(&(other, depth)) if size < other * ALIKE => depth + 1,
            Some(&(other, depth)) if size > other / ALIKE => depth.saturating_sub(1).max(1),
            Some(&(_, depth)) => depth,
            None => 1,
        }
    }
}

/// A heading that is no title.
fn of(block: &Block) -> Option<Heading> {
    let heading = block.heading?;
    (block.role() == Role::Heading && block.content.starts_with('#')).then_some(heading)
}

fn rounded(size: f32) -> i32 {
    let size = size.clamp(*SIZES.start(), *SIZES.end());
    (size.ln() / STEP).round() as i32
}

fn points(rounded: i32) -> f32 {
    (rounded as f32 * STEP).exp()
}

/// Each size that differs from the next larger one is a depth of its own.
fn ranked(sizes: &BTreeMap<i32, u32>) -> Vec<(f32, usize)> {
    let mut out: Vec<(f32, usize)> = Vec::new();
    let mut top = f32::INFINITY;
    for size in sizes.keys().rev().map(|&s| points(s)) {
        let depth = match out.last() {
            None => 1,
            Some(&(_, depth)) => depth + usize::from(size < top * ALIKE),
        };
        if size < top * ALIKE {
            top = size;
        }
        out.push((size, depth));
    }
    out
}

/// The middle size, in points.
fn median(sizes: &BTreeMap<i32, u32>) -> f32 {
    let half = sizes.values().sum::<u32>().div_ceil(2);
    let mut seen = 0;
    let middle = sizes.iter().find(|(_, count)| {
        seen += *count;
        seen >= half
    });
    middle.map_or(1.0, |(&size, _)| points(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{PageBox, Rotation};

    fn page(headings: &[(&str, f32, Option<u8>)]) -> Reading {
        let blocks = headings.iter().map(|&(content, size, depth)| Block {
            label: "paragraph_title".into(),
            boxes: vec![PageBox::FULL],
            content: content.into(),
            heading: Some(Heading { size, depth }),
        });
        Reading::of_blocks(blocks.collect(), Rotation::None, 0.0)
    }

    fn set(pages: &[&[(&str, f32, Option<u8>)]]) -> Vec<String> {
        let mut pages: Vec<Reading> = pages.iter().map(|p| page(p)).collect();
        let mut survey = Survey::default();
        pages.iter().for_each(|p| survey.add(p));
        let levels = survey.finish();
        let blocks = pages.iter_mut().flat_map(|p| {
            levels.set(p);
            assert_eq!(p.grounded, write_grounded(&p.blocks));
            p.blocks.iter().map(|b| b.content.clone())
        });
        blocks.collect()
    }

    #[test]
    fn a_page_with_a_subsection_alone_has_no_section() {
        let found = set(&[
            &[("## A", 14.0, None), ("### A a", 12.0, None)],
            &[("## A b", 12.1, None)],
            &[("## B", 14.2, None), ("## B c", 10.0, None)],
        ]);
        assert_eq!(found, ["## A", "### A a", "### A b", "## B", "#### B c"]);
    }

    #[test]
    fn numbers_decide_where_there_are_some() {
        let found = set(&[
            &[("## 1 A", 14.0, Some(1)), ("## 1.1 A", 12.0, Some(2))],
            &[("## 1.2 B", 12.0, Some(2)), ("## Thanks", 12.0, None)],
            &[("## References", 13.8, None), ("## Small", 9.0, None)],
        ]);
        // What has a number keeps what its page said.
        let expected = [
            "## 1 A",
            "## 1.1 A",
            "## 1.2 B",
            "### Thanks",
            "## References",
            "#### Small",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn one_page_and_readings_without_sizes_are_left_alone() {
        let one = [("## A", 14.0, None), ("#### B", 12.0, None)];
        assert_eq!(set(&[&one, &[]]), ["## A", "#### B"]);
        let mut other = page(&[("### A", 9.0, None)]);
        other.blocks[0].heading = None;
        Levels(vec![(9.0, 1)]).set(&mut other);
        assert_eq!(other.blocks[0].content, "### A");
        let mut own = page(&[("### A", 9.0, None)]);
        own.grounded = "as the engine said".into();
        Levels(vec![(9.0, 1)]).set(&mut own);
        assert_eq!(own.blocks[0].content, "### A");
    }
}
