//! The documents of the benchmark. Each is the same whenever it is drawn.

mod formulas;
mod languages;
mod tables;

use super::scan::{Change, Scan};
use super::source::Style;
use super::truth::{Block, Furniture, Item, Lines, List};
use super::words::Words;
use super::{Drawn, code};

/// A name and what is drawn under it.
pub type Named = (&'static str, fn() -> Drawn);

/// All, in the order of the benchmark's table.
pub const ALL: [Named; 31] = [
    ("article", article),
    ("two-columns", two_columns),
    ("three-columns", three_columns),
    ("figures", figures),
    ("table-wired", tables::table_wired),
    ("table-lineless", tables::table_lineless),
    ("table-book", tables::table_book),
    ("table-spans", tables::table_spans),
    ("table-accounts", tables::table_accounts),
    ("lists", lists),
    ("headings", headings),
    ("running-heads", running_heads),
    ("footnotes", footnotes),
    ("code", listing),
    ("small-print", small_print),
    ("typewriter", typewriter),
    ("german", languages::german),
    ("french", languages::french),
    ("greek", languages::greek),
    ("chinese", languages::chinese),
    ("japanese", languages::japanese),
    ("turned-drawn", turned_drawn),
    ("turned-90", || {
        scanned("turned-90", 200.0, 90, Change::Turn(1))
    }),
    ("turned-180", || {
        scanned("turned-180", 200.0, 90, Change::Turn(2))
    }),
    ("skewed-right", || {
        scanned("skewed-right", 200.0, 90, Change::Skew(2.0))
    }),
    ("skewed-left", || {
        scanned("skewed-left", 200.0, 90, Change::Skew(-2.0))
    }),
    ("dirty-200", || {
        scanned("dirty-200", 200.0, 60, Change::Dirt(9.0))
    }),
    ("dirty-150", || {
        scanned("dirty-150", 150.0, 50, Change::Dirt(7.0))
    }),
    ("inverted", || {
        scanned("inverted", 200.0, 90, Change::Invert)
    }),
    ("narrow", narrow),
    ("formulas", formulas::formulas),
];

const NEW_COMPUTER_MODERN: &str = "New Computer Modern";

fn drawn(name: &'static str, style: Style, blocks: Vec<Block>) -> Drawn {
    Drawn {
        name,
        style,
        furniture: Furniture::default(),
        blocks,
        pages: 1,
        scan: None,
    }
}

fn paragraphs(words: &mut Words, count: usize, sentences: usize) -> Vec<Block> {
    (0..count)
        .map(|_| Block::Paragraph(words.paragraph(sentences)))
        .collect()
}

fn article() -> Drawn {
    let mut w = Words::new("en", 1);
    let mut blocks = vec![Block::Title(w.heading())];
    blocks.extend(paragraphs(&mut w, 1, 4));
    for section in 1..=3 {
        blocks.push(Block::Heading(1, format!("{section} {}", w.heading())));
        blocks.extend(paragraphs(&mut w, 2, 4));
    }
    drawn("article", Style::default(), blocks)
}

fn two_columns() -> Drawn {
    let mut w = Words::new("en", 2);
    let mut blocks = vec![Block::Title(w.heading())];
    for section in 1..=4 {
        blocks.push(Block::Heading(1, format!("{section} {}", w.heading())));
        blocks.extend(paragraphs(&mut w, 2, 7));
        blocks.push(Block::Heading(2, format!("{section}.1 {}", w.heading())));
        blocks.extend(paragraphs(&mut w, 2, 6));
    }
    let style = Style {
        font: NEW_COMPUTER_MODERN,
        size: 9.0,
        margin: 54.0,
        columns: 2,
        indent: true,
        ..Style::default()
    };
    Drawn {
        pages: 2,
        ..drawn("two-columns", style, blocks)
    }
}

fn three_columns() -> Drawn {
    let mut w = Words::new("en", 3);
    let mut blocks = vec![Block::Title(w.heading())];
    for _ in 0..6 {
        blocks.push(Block::Heading(1, w.heading()));
        blocks.extend(paragraphs(&mut w, 2, 6));
    }
    let style = Style {
        size: 8.5,
        margin: 45.0,
        columns: 3,
        indent: true,
        ..Style::default()
    };
    drawn("three-columns", style, blocks)
}

fn figures() -> Drawn {
    let mut w = Words::new("en", 4);
    let mut blocks = vec![Block::Title(w.heading())];
    for figure in 1..=2 {
        blocks.extend(paragraphs(&mut w, 1, 4));
        blocks.push(Block::Figure(format!("Figure {figure}: {}", w.sentence())));
        blocks.extend(paragraphs(&mut w, 1, 3));
    }
    let style = Style {
        size: 10.0,
        ..Style::default()
    };
    drawn("figures", style, blocks)
}

fn list(w: &mut Words, ordered: bool, items: usize, inner: Option<(usize, bool)>) -> List {
    let items = (0..items).map(|i| Item {
        text: w.sentence(),
        // Under the first and the last item.
        inner: inner
            .filter(|_| i == 0 || i + 1 == items)
            .map(|(count, ordered)| list(w, ordered, count, None)),
    });
    List {
        ordered,
        items: items.collect(),
    }
}

fn lists() -> Drawn {
    let mut w = Words::new("en", 10);
    let mut blocks = vec![Block::Title(w.heading())];
    for (ordered, inner) in [
        (false, Some((2, false))),
        (true, Some((3, false))),
        (false, Some((2, true))),
    ] {
        blocks.extend(paragraphs(&mut w, 1, 2));
        blocks.push(Block::List(list(&mut w, ordered, 3, inner)));
    }
    let style = Style {
        size: 10.0,
        ..Style::default()
    };
    drawn("lists", style, blocks)
}

fn headings() -> Drawn {
    let mut w = Words::new("en", 11);
    let mut blocks = vec![Block::Title(w.heading())];
    for a in 1..=3 {
        blocks.push(Block::Heading(1, format!("{a} {}", w.heading())));
        blocks.extend(paragraphs(&mut w, 1, 2));
        for b in 1..=2 {
            blocks.push(Block::Heading(2, format!("{a}.{b} {}", w.heading())));
            blocks.extend(paragraphs(&mut w, 1, 3));
            blocks.push(Block::Heading(3, format!("{a}.{b}.1 {}", w.heading())));
            blocks.extend(paragraphs(&mut w, 1, 3));
        }
    }
    Drawn {
        pages: 2,
        ..drawn("headings", Style::default(), blocks)
    }
}

fn running_heads() -> Drawn {
    let mut w = Words::new("en", 12);
    let mut blocks = vec![Block::Title(w.heading())];
    for section in 1..=6 {
        blocks.push(Block::Heading(1, format!("{section} {}", w.heading())));
        blocks.extend(paragraphs(&mut w, 5, 5));
    }
    Drawn {
        pages: 4,
        furniture: Furniture {
            head: Some([
                "E. Strand and H. Quill".to_owned(),
                "Proceedings of the Society for Small Harbours".to_owned(),
            ]),
            foot: None,
            number: Some(217),
        },
        ..drawn("running-heads", Style::default(), blocks)
    }
}

fn footnotes() -> Drawn {
    let mut w = Words::new("en", 13);
    let mut blocks = vec![Block::Title(w.heading())];
    for page in 0..2 {
        for _ in 0..2 {
            blocks.extend(paragraphs(&mut w, 1, 4));
            let text = w.paragraph(3);
            blocks.push(Block::Noted(text, w.sentence()));
        }
        blocks.extend(paragraphs(&mut w, 1, 3));
        if page == 0 {
            blocks.push(Block::Break);
        }
    }
    Drawn {
        pages: 2,
        furniture: Furniture {
            foot: Some("Second printing, not for sale".to_owned()),
            number: Some(340),
            head: None,
        },
        ..drawn("footnotes", Style::default(), blocks)
    }
}

fn listing() -> Drawn {
    let mut w = Words::new("en", 14);
    let mut blocks = vec![Block::Title(w.heading())];
    for text in code::ALL {
        blocks.extend(paragraphs(&mut w, 1, 3));
        blocks.push(Block::Code(text.to_owned()));
    }
    blocks.extend(paragraphs(&mut w, 1, 3));
    let style = Style {
        size: 10.5,
        ..Style::default()
    };
    drawn("code", style, blocks)
}

fn small_print() -> Drawn {
    let mut w = Words::new("en", 15);
    let mut blocks = vec![Block::Title(w.heading())];
    blocks.extend(paragraphs(&mut w, 8, 6));
    let style = Style {
        size: 8.0,
        ..Style::default()
    };
    drawn("small-print", style, blocks)
}

fn typewriter() -> Drawn {
    let mut w = Words::new("en", 16);
    let mut blocks = vec![Block::Title(w.heading())];
    blocks.extend(paragraphs(&mut w, 5, 4));
    let style = Style {
        font: "DejaVu Sans Mono",
        size: 9.0,
        hyphenate: false,
        ..Style::default()
    };
    drawn("typewriter", style, blocks)
}

/// A page with something of everything.
fn mixed(name: &'static str) -> Drawn {
    let mut w = Words::new("en", 18);
    let mut blocks = vec![Block::Title(w.heading())];
    blocks.extend(paragraphs(&mut w, 1, 4));
    blocks.push(Block::Heading(1, format!("1 {}", w.heading())));
    blocks.extend(paragraphs(&mut w, 1, 3));
    blocks.push(Block::List(list(&mut w, false, 3, None)));
    blocks.push(Block::Heading(1, format!("2 {}", w.heading())));
    blocks.push(Block::Caption(format!("Table 1: {}", w.sentence())));
    let table = tables::numbers(&mut w, &["Site", "Days", "Weight", "Length"], 4);
    blocks.push(Block::Table(table, Lines::All));
    blocks.extend(paragraphs(&mut w, 1, 4));
    drawn(name, Style::default(), blocks)
}

fn turned_drawn() -> Drawn {
    let mut drawn = mixed("turned-drawn");
    drawn.style.turned = true;
    drawn
}

fn scanned(name: &'static str, dpi: f32, quality: u8, change: Change) -> Drawn {
    Drawn {
        scan: Some(Scan {
            dpi,
            quality,
            changes: vec![change],
        }),
        ..mixed(name)
    }
}

fn narrow() -> Drawn {
    let mut w = Words::new("en", 19);
    let mut blocks = vec![Block::Title(w.heading())];
    for _ in 0..3 {
        blocks.push(Block::Heading(1, w.heading()));
        blocks.extend(paragraphs(&mut w, 4, 4));
    }
    let style = Style {
        page: (240.0, 2400.0),
        margin: 24.0,
        size: 9.0,
        ..Style::default()
    };
    drawn("narrow", style, blocks)
}
