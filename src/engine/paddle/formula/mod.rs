//! Display formulas in LaTeX.
//!
//! From the glyphs of a PDF that was written by a program: baselines and sizes there are exact, so
//! that what is raised, lowered, above and below can be told. `glyphs` are the characters of a
//! region (`parts`: several that are one sign), `ink` finds the rules that the page image shows,
//! `tree` says what stands where (`bands`: rows, `contain`: roots, fractions, brackets, `row`:
//! scripts, `marks`: accents and words, `table`: columns), `display` puts lines and numbers
//! together, `latex`, `letters` and `signs` have the names. What is not understood is `None`, never a
//! guess: a region keeps its plain text and its picture then.
//!
//! From the page image by a [`Model`] of the user's own, where there is one: what the glyphs do not
//! tell.

mod bands;
mod contain;
mod display;
mod glyphs;
mod ink;
mod latex;
mod letters;
mod marks;
mod model;
mod parts;
mod region;
mod row;
mod signs;
mod table;
mod tree;

pub use self::model::Model;
pub use self::region::of_regions;

#[cfg(test)]
mod tests;
