//! What is drawn over a page of the layout PDF.

use serde::{Deserialize, Serialize};

use super::PageBox;

/// The boxes of one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayoutPage {
    pub page: u32,
    /// Stands at the top of a page that could not be read.
    pub note: Option<String>,
    pub boxes: Vec<LayoutBox>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayoutBox {
    pub at: PageBox,
    pub label: String,
    pub color: [u8; 3],
    /// Place in the reading order, from 1.
    pub number: u32,
    /// Drawn with a line twice as thick.
    pub strong: bool,
}
