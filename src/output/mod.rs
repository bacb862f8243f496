//! The files of a document: Markdown, grounded text, layout instructions, figure crops, the
//! report; and `processing_results.json` over all documents.
//!
//! What only the whole document shows is found from its readings: running heads ([`running`]),
//! levels of headings ([`levels`]), its title ([`title`]), paragraphs that go on on the next page
//! ([`flow`]).
//!
//! A document is staged in a folder of its own beside the outputs and published by one rename
//! ([`stage`]).

pub mod figures;
pub mod flow;
pub mod layouts;
pub mod levels;
pub mod markdown;
pub mod report;
pub mod results;
pub mod running;
pub mod stage;
pub mod title;

/// Folder inside the output folder that holds documents until they are whole.
pub const STAGING: &str = ".dropleaf-staging";
