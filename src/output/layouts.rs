//! What the document child draws over each page. Pure.

use crate::page::{LayoutBox, LayoutPage, PageStatus, Reading, Role};

/// A colour per label, the same in every document. Labels of one role share a hue.
fn color(label: &str) -> [u8; 3] {
    match label {
        "doc_title" | "title" => [200, 30, 30],
        "paragraph_title" | "sub_title" | "section_title" => [230, 110, 20],
        "abstract" => [20, 120, 160],
        "table" => [20, 130, 60],
        "image" | "figure" => [130, 50, 170],
        "chart" => [170, 50, 150],
        "seal" => [190, 40, 100],
        "header_image" | "footer_image" => [140, 120, 150],
        "content" => [60, 110, 110],
        "aside_text" | "vertical_text" => [90, 90, 160],
        _ => match Role::of(label) {
            Role::Title => [200, 30, 30],
            Role::Heading => [230, 110, 20],
            Role::Text | Role::List => [30, 90, 200],
            Role::Table => [20, 130, 60],
            Role::Figure => [130, 50, 170],
            Role::Caption => [150, 90, 30],
            Role::Formula | Role::FormulaNumber => [0, 140, 150],
            Role::Footnote | Role::Reference => [100, 100, 40],
            Role::Code => [70, 70, 70],
            Role::Furniture => [130, 130, 130],
        },
    }
}

/// The boxes of a page with their numbers in the reading order.
pub fn page(reading: &Reading, page: u32) -> LayoutPage {
    let boxes = reading
        .blocks
        .iter()
        .enumerate()
        .flat_map(|(i, block)| {
            block.boxes.iter().map(move |&at| LayoutBox {
                at,
                label: block.label.clone(),
                color: color(&block.label),
                number: i as u32 + 1,
                strong: block.role() == Role::Title,
            })
        })
        .collect();
    let note = (reading.status == PageStatus::Failed).then(|| {
        format!(
            "This page could not be read: {}",
            reading.reason.as_deref().unwrap_or("no reason is known")
        )
    });
    LayoutPage { page, note, boxes }
}
