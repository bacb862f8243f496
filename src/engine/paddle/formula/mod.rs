//! Formulas that stand in lines of their own: from a region of a page to LaTeX.

mod model;

pub use self::model::Model;
