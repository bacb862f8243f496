//! Pages in other languages than English.

use super::{NEW_COMPUTER_MODERN, drawn, paragraphs};
use crate::drawn::Drawn;
use crate::drawn::source::Style;
use crate::drawn::truth::{Block, Item, List};
use crate::drawn::words::Words;

/// A page in one language.
fn foreign(name: &'static str, language: &'static str, title: &str, style: Style) -> Drawn {
    let mut w = Words::new(language, 17);
    let mut blocks = vec![Block::Title(title.to_owned())];
    // Not more sentences than the language has.
    blocks.extend(paragraphs(&mut w, 4, 3));
    let items = (0..2).map(|_| Item {
        text: w.sentence(),
        inner: None,
    });
    blocks.push(Block::List(List {
        ordered: false,
        items: items.collect(),
    }));
    let style = Style { language, ..style };
    drawn(name, style, blocks)
}

pub fn german() -> Drawn {
    foreign("german", "de", "Aus dem Gemeindebuch", Style::default())
}

pub fn french() -> Drawn {
    let style = Style {
        font: NEW_COMPUTER_MODERN,
        size: 10.0,
        ..Style::default()
    };
    foreign("french", "fr", "Carnet d’un été au phare", style)
}

pub fn greek() -> Drawn {
    foreign("greek", "el", "Σημειώσεις από το νησί", Style::default())
}

/// The font is found when the document is drawn.
pub fn chinese() -> Drawn {
    foreign("chinese", "zh", "河边的记录", Style::default())
}

pub fn japanese() -> Drawn {
    foreign("japanese", "ja", "港の町の記録", Style::default())
}
