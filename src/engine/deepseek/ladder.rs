//! What is tried next when the model goes in circles, runs out of tokens, or says nothing.
//!
//! Each rung keeps what the one before changed: a stricter n-gram rule breaks longer cycles than the
//! published one reaches, another resolution shows the page in another way, and the plain
//! prompt asks for text without boxes, which holds where the grounded one fails. What comes after
//! these (another engine, the text layer, a marked gap) is not the model's doing, and not decided
//! here. Pure.

use super::Attempt;
use super::guard::Rule;
use crate::config::Mode;

/// Rungs that the model climbs itself, the first attempt not counted.
const RUNGS: usize = 3;
/// The stricter rule looks twenty times as far back. Not at shorter n-grams: two paragraphs with the
/// same left edge begin with ten to fifteen equal tokens, marks and coordinates.
const STRICT: Rule = Rule {
    size: Rule::PUBLISHED.size,
    window: 1024,
};
/// DeepSeek-OCR's prompt without boxes.
const PLAIN: &str = "<image>\nFree OCR.";

/// The next attempt after `last`, or `None` above the highest rung; rungs that would change nothing
/// are passed over. `rung` counts them, `tiled` says that the page is larger than a tile.
pub fn next(first: &Attempt, last: &Attempt, rung: &mut usize, tiled: bool) -> Option<Attempt> {
    while *rung < RUNGS {
        *rung += 1;
        let next = attempt(first, *rung, tiled);
        if next != *last {
            return Some(next);
        }
    }
    None
}

fn attempt(first: &Attempt, rung: usize, tiled: bool) -> Attempt {
    let mut next = first.clone();
    next.settings.rule = Some(STRICT);
    if rung >= 2 {
        next.mode = other(first.mode, tiled);
    }
    if rung >= 3 {
        next.prompt = PLAIN.into();
    }
    next
}

/// One view where there were tiles, tiles where there was one view. A page no larger than a tile has
/// none: there `Gundam` shows what `Base` does.
fn other(mode: Mode, tiled: bool) -> Mode {
    match (mode, tiled) {
        (Mode::Gundam, true) => Mode::Base,
        (Mode::Gundam | Mode::Base, false) => Mode::Large,
        (Mode::Base | Mode::Large | Mode::Small | Mode::Tiny, _) => Mode::Gundam,
    }
}

/// What an attempt was, in a few words for the report.
pub fn words(attempt: &Attempt) -> String {
    let rule = match attempt.settings.rule {
        Some(rule) => format!("no {} tokens twice in {}", rule.size, rule.window),
        None => "no n-gram rule".into(),
    };
    let prompt = attempt.prompt.replace("<image>", "");
    format!("{}, {rule}, \"{}\"", attempt.mode.name(), prompt.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::deepseek::guard::Repeats;
    use crate::engine::deepseek::schedule::Settings;

    fn first(mode: Mode) -> Attempt {
        Attempt {
            mode,
            prompt: "<image>\n<|grounding|>Convert the document to markdown.".into(),
            settings: Settings {
                max_tokens: 8192,
                rule: Some(Rule::PUBLISHED),
                watch_loops: true,
                stop: true,
            },
        }
    }

    #[test]
    fn each_rung_is_another_attempt_and_there_is_an_end() {
        for mode in Mode::ALL {
            for (prompt, rungs) in [(&*first(mode).prompt, 3), (PLAIN, 2)] {
                for tiled in [true, false] {
                    let mut first = first(mode);
                    first.prompt = prompt.into();
                    let (mut made, mut rung) = (vec![first.clone()], 0);
                    while let Some(now) = next(&first, &made[made.len() - 1], &mut rung, tiled) {
                        assert!(!made.contains(&now), "{mode:?} {tiled}");
                        assert_eq!(now.settings.max_tokens, 8192);
                        made.push(now);
                    }
                    assert_eq!(made.len(), 1 + rungs, "{mode:?} {tiled}");
                    assert_ne!(made[rungs].mode, mode);
                    assert_eq!(made[rungs].prompt, PLAIN);
                }
            }
        }
        assert!(words(&first(Mode::Gundam)).contains("20 tokens twice in 50"));
    }

    /// A rule that forbids what is right makes a page worse.
    #[test]
    fn the_stricter_rule_forbids_nothing_in_recorded_answers() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/tiny-reader/cards.json");
        let cards: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cards = cards["cards"].as_array().unwrap();
        assert!(cards.len() >= 12);
        for card in cards {
            let ids = card["output_ids"].as_array().unwrap();
            let ids: Vec<u32> = ids.iter().map(|id| id.as_u64().unwrap() as u32).collect();
            let mut repeats = Repeats::new(STRICT).unwrap();
            for len in 1..ids.len() {
                repeats.push(&ids[..len]);
                assert!(!repeats.banned(&ids[..len], &[]).contains(&ids[len]));
            }
        }
    }
}
