//! What is tried next when the model goes in circles, runs out of tokens, or says nothing.
//!
//! Each rung keeps what the one before changed: a stricter n-gram rule breaks cycles that the
//! published one lets through, another resolution shows the page in another way, and the plain
//! prompt asks for text without boxes, which holds where the grounded one fails. What comes after
//! these (another engine, the text layer, a marked gap) is not the model's doing, and not decided
//! here. Pure.

use super::Attempt;
use super::guard::Rule;
use crate::config::Mode;

/// Rungs that the model climbs itself, the first attempt not counted.
const RUNGS: usize = 3;
/// The stricter rule: DeepSeek-OCR's users break loops that escape 20 in 50 with shorter n-grams
/// over a longer window. Ten tokens in a row hardly stand twice in prose within 1,024, and table
/// cells are let through all the same.
const STRICT: Rule = Rule {
    size: 10,
    window: 1024,
};
/// DeepSeek-OCR's prompt without boxes.
const PLAIN: &str = "<image>\nFree OCR.";

/// The attempt of the rung `rung` (from 1), or `None` above the highest.
pub fn attempt(first: &Attempt, rung: usize) -> Option<Attempt> {
    if rung == 0 || rung > RUNGS {
        return None;
    }
    let mut next = first.clone();
    next.settings.rule = Some(STRICT);
    if rung >= 2 {
        next.mode = other(first.mode);
    }
    if rung >= 3 {
        next.prompt = PLAIN.into();
    }
    Some(next)
}

/// One view where there were tiles, tiles where there was one view.
fn other(mode: Mode) -> Mode {
    match mode {
        Mode::Gundam => Mode::Base,
        Mode::Base | Mode::Large | Mode::Small | Mode::Tiny => Mode::Gundam,
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
    fn each_rung_changes_one_thing_more_and_there_is_an_end() {
        for mode in Mode::ALL {
            let mut before = first(mode);
            for rung in 1..=RUNGS {
                let now = attempt(&first(mode), rung).unwrap();
                assert_ne!(now, before, "{mode:?} {rung}");
                assert_eq!(now.settings.rule, Some(STRICT));
                assert_eq!(now.settings.max_tokens, 8192);
                before = now;
            }
            assert_ne!(before.mode, mode);
            assert_eq!(before.prompt, PLAIN);
            assert_eq!(attempt(&first(mode), RUNGS + 1), None);
        }
        assert!(words(&first(Mode::Gundam)).contains("20 tokens twice in 50"));
    }
}
