//! Running heads and feet, known by their repetition: nearly the same text at nearly the same place
//! at the top or bottom of several pages. Pure.
//!
//! A first walk over the readings ([`Survey`]) keeps a short text per kind of head, whatever the
//! number of pages; a second one labels the blocks ([`Heads`]).

use crate::page::{Block, Reading, Role, Rotation, write_grounded};

/// Top and bottom part of the page in which heads and feet stand: books printed on a larger sheet
/// have wide margins.
const EDGE: f32 = 0.15;
/// Heads stand at the same height of each page, up to this part of it: a line of 10 points is
/// 0.012 of A4.
const PLACE: f32 = 0.02;
/// Longest text of a head, in characters.
const LONGEST: usize = 120;
/// Part of the characters that may be read otherwise on another page.
const MISREAD: f32 = 0.15;
/// Texts of a page that are looked at: heads and feet are few.
const SPOTS: usize = 32;
/// Different texts kept at once; past it those go that were seen once, then those not seen for longest.
const GROUPS: usize = 256;
/// Pages that must have a head; half of them where a document has few.
const PAGES: u32 = 3;
/// A first heading that is taller than its repetitions by this is the real one.
const TALLER: f32 = 1.25;

/// What stands at the edge of pages.
#[derive(Debug)]
struct Group {
    spot: Spot,
    /// Page where it was first seen, and last.
    first: u32,
    last: u32,
    members: u32,
    /// Pages on which its numbers were those of the page before, or as much higher as the page.
    agree: u32,
}

/// A short text at an edge.
#[derive(Clone, Debug)]
struct Spot {
    top: bool,
    /// Middle and height, fractions of the upright page.
    middle: f32,
    height: f32,
    /// Letters in lower case, each number as `#`.
    text: String,
    numbers: Vec<u32>,
}

impl Spot {
    fn of(block: &Block, rotation: Rotation) -> Option<Self> {
        let [at] = block.boxes[..] else { return None };
        if block.has_picture() || matches!(block.role(), Role::Figure | Role::Table) {
            return None;
        }
        let [x1, y1, x2, y2] = at.fractions();
        let (from, to) = match rotation {
            Rotation::None => (y1, y2),
            Rotation::Quarter => (1.0 - x2, 1.0 - x1),
            Rotation::Half => (1.0 - y2, 1.0 - y1),
            Rotation::ThreeQuarter => (x1, x2),
        };
        let top = to <= EDGE;
        if !top && from < 1.0 - EDGE || block.content.chars().count() > LONGEST {
            return None;
        }
        let (text, numbers) = folded(&block.content);
        (!text.is_empty()).then_some(Self {
            top,
            middle: (from + to) / 2.0,
            height: to - from,
            text,
            numbers,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.top == other.top
            && (self.middle - other.middle).abs() < PLACE
            && is_nearly(&self.text, &other.text)
    }
}

/// The letters of a text, and its numbers. Figures within a word are a misread letter.
fn folded(text: &str) -> (String, Vec<u32>) {
    let mut out = String::new();
    let mut numbers = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            out.push('#');
            numbers.push(word.parse().unwrap_or(u32::MAX));
        } else {
            out.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    (out, numbers)
}

/// Whether two texts differ in few characters (Levenshtein's distance).
fn is_nearly(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let limit = (MISREAD * a.len().max(b.len()) as f32) as usize;
    if limit == 0 || a.len().abs_diff(b.len()) > limit {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = corner + usize::from(ca != cb);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
        if row.iter().all(|&d| d > limit) {
            return false;
        }
    }
    row[b.len()] <= limit
}

/// The walk that finds heads.
#[derive(Debug, Default)]
pub struct Survey {
    groups: Vec<Group>,
    pages: u32,
}

impl Survey {
    /// Pages come in order.
    pub fn add(&mut self, page: u32, reading: &Reading) {
        self.pages += 1;
        for spot in reading
            .blocks
            .iter()
            .filter_map(|b| Spot::of(b, reading.rotation))
            .take(SPOTS)
        {
            let known = self
                .groups
                .iter_mut()
                .find(|g| g.last != page && g.spot.is_like(&spot));
            match known {
                Some(group) => group.add(page, spot),
                None => {
                    if self.groups.len() >= GROUPS {
                        // One that never came again, else the one that has not come for longest.
                        let least = self.groups.iter().enumerate();
                        let least = least.min_by_key(|(_, g)| (g.members > 1, g.last));
                        let least = least.map_or(0, |(i, _)| i);
                        self.groups.remove(least);
                    }
                    self.groups.push(Group {
                        spot,
                        first: page,
                        last: page,
                        members: 1,
                        agree: 1,
                    });
                }
            }
        }
    }

    pub fn finish(mut self) -> Heads {
        let need = self.pages.div_ceil(2).clamp(2, PAGES);
        self.groups
            .retain(|g| g.agree >= need && g.agree * 10 >= g.members * 7);
        Heads(self.groups)
    }
}

impl Group {
    fn add(&mut self, page: u32, spot: Spot) {
        let step = page - self.last;
        let before = &self.spot.numbers;
        let agrees = before.len() == spot.numbers.len()
            && before
                .iter()
                .zip(&spot.numbers)
                .all(|(&a, &b)| a == b || a.checked_add(step) == Some(b));
        self.agree += u32::from(agrees);
        self.members += 1;
        self.last = page;
        let share = 1.0 / self.members as f32;
        self.spot.height += (spot.height - self.spot.height) * share;
        self.spot.numbers = spot.numbers;
    }
}

/// The heads and feet of a document.
#[derive(Debug, Default)]
pub struct Heads(Vec<Group>);

impl Heads {
    /// Labels the heads and feet of a page `header`, `footer` and `number`: not a title where it
    /// stands first, and not what is all that a page holds.
    pub fn label(&self, page: u32, reading: &mut Reading) {
        // What an engine wrote in its own words is left as it is.
        if self.0.is_empty() || reading.grounded != write_grounded(&reading.blocks) {
            return;
        }
        let found: Vec<(usize, &'static str)> = reading
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, b)| b.role() != Role::Furniture)
            .filter_map(|(i, b)| self.label_of(page, b, reading.rotation).map(|l| (i, l)))
            .collect();
        let stays = |i: usize| found.iter().all(|f| f.0 != i);
        let is_content =
            |b: &Block| b.role() != Role::Furniture && (b.has_picture() || !b.content.is_empty());
        let left = (0..reading.blocks.len()).any(|i| stays(i) && is_content(&reading.blocks[i]));
        if found.is_empty() || !left {
            return;
        }
        for (i, label) in found {
            let block = &mut reading.blocks[i];
            block.label = label.into();
            block.content = block
                .content
                .trim_start_matches('#')
                .trim_start()
                .to_owned();
        }
        reading.grounded = write_grounded(&reading.blocks);
    }

    fn label_of(&self, page: u32, block: &Block, rotation: Rotation) -> Option<&'static str> {
        let spot = Spot::of(block, rotation)?;
        let group = self.0.iter().find(|g| g.spot.is_like(&spot))?;
        let first = page == group.first;
        let real = match block.role() {
            Role::Title => first,
            Role::Heading => first && spot.height > TALLER * group.spot.height,
            _ => false,
        };
        (!real).then_some(match (spot.text.as_str(), spot.top) {
            ("#", _) => "number",
            (_, true) => "header",
            (_, false) => "footer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::PageBox;

    fn block(label: &str, y: f32, content: &str) -> Block {
        Block {
            label: label.into(),
            boxes: vec![PageBox::from_fractions(0.1, y, 0.9, y + 0.02)],
            content: content.into(),
            heading: None,
        }
    }

    /// The labels of pages of blocks.
    fn read(pages: Vec<Vec<Block>>) -> Vec<Vec<String>> {
        let mut pages: Vec<Reading> = pages
            .into_iter()
            .map(|blocks| Reading::of_blocks(blocks, Rotation::None, 0.0))
            .collect();
        let mut survey = Survey::default();
        for (page, reading) in pages.iter().enumerate() {
            survey.add(page as u32, reading);
        }
        let heads = survey.finish();
        for (page, reading) in pages.iter_mut().enumerate() {
            heads.label(page as u32, reading);
            assert_eq!(reading.grounded, write_grounded(&reading.blocks));
        }
        let labels = |r: &Reading| r.blocks.iter().map(|b| b.label.clone()).collect();
        pages.iter().map(labels).collect()
    }

    #[test]
    fn what_repeats_at_an_edge_is_a_head_though_a_letter_is_misread() {
        let heads = [
            "A journal of words",
            "A joumal of words",
            "A journal of w0rds",
            "A journal of words",
        ];
        let pages = heads.iter().enumerate().map(|(i, head)| {
            vec![
                block("text", 0.03, head),
                block("text", 0.5, "The same in the middle of each page"),
                block("text", 0.95, &format!("{} of 9", i + 3)),
            ]
        });
        for page in read(pages.collect()) {
            assert_eq!(page, ["header", "text", "footer"]);
        }
    }

    #[test]
    fn the_first_title_and_the_only_content_stay() {
        let title = |label: &str| block(label, 0.05, "# On words");
        let text = |i: u32| block("text", 0.5, &format!("body {i}"));
        let pages = read(vec![
            vec![title("doc_title"), text(1)],
            vec![title("doc_title"), text(2)],
            vec![title("paragraph_title")],
        ]);
        assert_eq!(
            pages,
            [
                ["doc_title", "text"].to_vec(),
                ["header", "text"].to_vec(),
                ["paragraph_title"].to_vec()
            ]
        );
    }

    #[test]
    fn headings_that_count_chapters_are_no_heads() {
        let pages = [1, 2, 3, 4].map(|i| {
            vec![
                block("paragraph_title", 0.05, &format!("## Chapter {i}")),
                block("text", 0.5, "body"),
            ]
        });
        let mut pages = pages.to_vec();
        for place in [3, 2, 1] {
            let page = vec![block("text", 0.5, "more")];
            pages.insert(place, page.clone());
            pages.insert(place, page);
        }
        assert!(read(pages).iter().flatten().all(|l| l != "header"));
        // A head on left pages only, with the page's number.
        let pages = (0..6).map(|i| {
            let edge = if i % 2 == 0 {
                block("text", 0.05, &format!("{} Words", 10 + i))
            } else {
                block("text", 0.4, "other")
            };
            vec![edge, block("text", 0.5, "body")]
        });
        let found = read(pages.collect());
        assert!(
            (0..6).all(|i| (found[i][0] == "header") == (i % 2 == 0)),
            "{found:?}"
        );
    }

    #[test]
    fn distances_are_counted_up_to_a_part_of_the_length() {
        assert!(is_nearly("abcdefgh", "abcdefg") && is_nearly("abcdefgh", "abxdefgh"));
        assert!(!is_nearly("abcdefgh", "abxdefxh") && !is_nearly("abc", "abd"));
    }
}
