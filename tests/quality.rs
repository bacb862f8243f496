//! Floors under the quality of what comes out, held on documents drawn here with known truth:
//! `cargo bench --bench markdown` measures all of them. The default models must be there.
#![allow(clippy::unwrap_used)]

#[path = "support/drawn/mod.rs"]
mod drawn;

use std::path::Path;

use drawn::score::{NAMES, Scores, score};
use drawn::{Drawn, ideal, kinds, program, typeset};

fn document(name: &str) -> Drawn {
    let (_, make) = kinds::ALL.iter().find(|(known, _)| *known == name).unwrap();
    make()
}

fn of(scores: &Scores, column: &str) -> f64 {
    let at = NAMES.iter().position(|name| *name == column).unwrap();
    scores[at].unwrap_or_else(|| panic!("no {column}"))
}

/// Least scores by document. They lie below what was measured by more than the rounding of another
/// processor moves, and above what a page in disorder, a lost column, an unread scan or running
/// heads in the text give.
const FLOORS: [(&str, &[(&str, f64)]); 6] = [
    (
        "two-columns",
        &[
            ("text", 0.97),
            ("order", 0.99),
            ("joins", 0.93),
            ("headings", 0.7),
        ],
    ),
    (
        "footnotes",
        &[
            ("text", 0.97),
            ("order", 1.0),
            ("joins", 0.95),
            ("furniture", 0.9),
        ],
    ),
    (
        "table-wired",
        &[
            ("text", 0.95),
            ("order", 1.0),
            ("joins", 0.95),
            ("tables", 0.9),
            ("cells", 0.9),
        ],
    ),
    (
        "formulas",
        &[("text", 0.97), ("formulas", 0.9), ("exact", 0.9)],
    ),
    (
        "skewed-left",
        &[("text", 0.93), ("order", 1.0), ("joins", 0.9)],
    ),
    (
        "turned-90",
        &[
            ("text", 0.93),
            ("order", 1.0),
            ("joins", 0.9),
            ("lists", 0.8),
            ("tables", 0.85),
            ("cells", 0.85),
        ],
    ),
];

#[test]
fn scores_stay_above_their_floors() {
    let work = tempfile::tempdir().unwrap();
    let documents: Vec<Drawn> = FLOORS.iter().map(|(name, _)| document(name)).collect();
    let files: Vec<_> = documents
        .iter()
        .map(|drawn| program::draw(drawn, &[], work.path()).unwrap())
        .collect();
    let outcomes = program::read(
        Path::new(program::PROGRAM),
        &files,
        work.path(),
        &work.path().join("out"),
        None,
    )
    .unwrap();
    let mut faults = Vec::new();
    for ((drawn, outcome), (name, floors)) in documents.iter().zip(&outcomes).zip(FLOORS) {
        let scores = score(drawn, &outcome.markdown);
        for (column, floor) in floors {
            let score = of(&scores, column);
            if score < *floor {
                faults.push(format!("{name}: {column} {score:.3}, floor {floor}"));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_document_that_needs_no_font_of_the_system_is_drawn() {
    for (name, make) in kinds::ALL {
        let drawn = make();
        assert_eq!(drawn.name, name);
        match drawn.pdf(&[]) {
            Ok(pdf) => assert!(pdf.starts_with(b"%PDF-"), "{name}"),
            Err(drawn::NotDrawn::NoFont(_)) => assert!(["chinese", "japanese"].contains(&name)),
            Err(drawn::NotDrawn::Fault(why)) => panic!("{why}"),
        }
    }
    assert!(typeset::font_for("a", &[]).is_none());
}

#[test]
fn what_a_person_would_have_typed_has_the_full_score() {
    let mut seen = [false; NAMES.len()];
    for (name, make) in kinds::ALL {
        let drawn = make();
        let scores = score(&drawn, &ideal::markdown(&drawn.blocks));
        for (column, score) in scores.iter().enumerate() {
            if let Some(score) = score {
                assert!(*score > 0.999, "{name}: {} {score}", NAMES[column]);
                seen[column] = true;
            }
        }
    }
    assert_eq!(seen, [true; NAMES.len()]);
}

/// Scores of a document whose Markdown was damaged.
fn damaged(name: &str, damage: impl Fn(&str) -> String) -> Scores {
    let drawn = document(name);
    let whole = ideal::markdown(&drawn.blocks);
    let worse = damage(&whole);
    assert_ne!(whole, worse, "{name}: nothing was damaged");
    score(&drawn, &worse)
}

#[test]
fn each_damage_costs_its_score() {
    // Paragraphs from the last to the first.
    let scores = damaged("article", |text| {
        let mut parts: Vec<&str> = text.split("\n\n").collect();
        parts.reverse();
        parts.join("\n\n")
    });
    assert!(of(&scores, "order") < 0.1 && of(&scores, "text") < 0.5);
    assert!(of(&scores, "joins") > 0.99);
    // Every paragraph in two.
    let scores = damaged("article", |text| text.replace(". ", ".\n\n"));
    assert!(of(&scores, "joins") < 0.6 && of(&scores, "text") > 0.99);
    // Hyphens of line ends left in.
    let scores = damaged("article", |text| text.replace("ing ", "- ing "));
    assert!(of(&scores, "joins") < 0.99);
    // All headings on one level, then none.
    let scores = damaged("headings", |text| {
        text.replace("### ", "## ").replace("#### ", "## ")
    });
    assert!(of(&scores, "headings") < 0.8);
    let scores = damaged("headings", |text| text.replace('#', ""));
    assert_eq!(of(&scores, "headings"), 0.0);
    // Lists without nesting, then bullets as text.
    let scores = damaged("lists", |text| {
        text.replace("\n  ", "\n").replace("\n   ", "\n")
    });
    assert!(of(&scores, "lists") < 0.95);
    let scores = damaged("lists", |text| text.replace("- ", "• "));
    assert!(of(&scores, "lists") < 0.6);
    // The second column of a table empty; the table as text.
    let scores = damaged("table-wired", |text| text.replace("| Days", "| | Days"));
    assert!(of(&scores, "cells") < 0.99);
    let scores = damaged("table-wired", |text| text.replace('|', " "));
    assert_eq!((of(&scores, "tables"), of(&scores, "cells")), (0.0, 0.0));
    let scores = damaged("table-spans", |text| text.replace("rowspan=\"2\"", ""));
    assert!(of(&scores, "tables") < 0.95 && of(&scores, "cells") < 0.9);
    // One running head and one page number left in; half of the text lost.
    let left = "\n\nProceedings of the Society for Small Harbours\n\n219";
    let scores = damaged("running-heads", |text| format!("{text}{left}"));
    assert_eq!(of(&scores, "furniture"), 0.75);
    let scores = damaged("running-heads", |text| {
        let half = text.len() / 2;
        text[text.ceil_char_boundary(half)..].to_owned()
    });
    assert!(of(&scores, "furniture") < 0.6);
}
