//! The text of an answer while it is being made. Tokens are bytes: a character may need several.

use std::sync::Arc;

use tokenizers::tokenizer::step_decode_stream;

/// Most tokens that [`Detokenizer`] holds back. A character has at most 4 bytes, so more of them
/// are no beginning of one, but bytes that are no text.
const MAX_HELD: usize = 32;

/// The text of an answer as it comes, whole characters only.
pub struct Detokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    eos: u32,
    /// Tokens whose text is not told, after those that it may depend on.
    held: Vec<u32>,
    /// Text and number of the latter.
    told: String,
    told_tokens: usize,
}

impl Detokenizer {
    pub(super) fn new(inner: Arc<tokenizers::Tokenizer>, eos: u32) -> Self {
        Self {
            inner,
            eos,
            held: Vec::new(),
            told: String::new(),
            told_tokens: 0,
        }
    }

    /// The text that is certain with this token; `None` while a character is incomplete.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if id == self.eos {
            return None;
        }
        let waiting = self.held.len() - self.told_tokens;
        let mut text = if waiting < MAX_HELD {
            None
        } else {
            self.finish()
        };
        // Fails where a decoder takes back what it told: not for bytes in order.
        let certain = step_decode_stream(
            &self.inner,
            vec![id],
            false,
            &mut self.held,
            &mut self.told,
            &mut self.told_tokens,
        );
        if let Ok(Some(certain)) = certain {
            text.get_or_insert_default().push_str(&certain);
        }
        text
    }

    /// What is held back at the end of an answer, U+FFFD for an incomplete character.
    pub fn finish(&mut self) -> Option<String> {
        let text = self.inner.decode(&self.held, false).unwrap_or_default();
        let rest = text.get(self.told.len()..).unwrap_or_default().to_owned();
        self.held.clear();
        self.told.clear();
        self.told_tokens = 0;
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::deepseek::fixtures::{self, DEEPSEEK, READER};
    use crate::engine::deepseek::tokens::tests::tokenizer;

    #[test]
    fn the_recorded_answers_are_text() {
        let tokenizer = tokenizer(READER);
        let bytes = std::fs::read(fixtures::path(READER, "cards.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let cards = json["cards"].as_array().unwrap();
        assert_eq!(cards.len(), 12);
        for card in cards {
            let ids: Vec<u32> = card["output_ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap() as u32)
                .collect();
            let expected = card["output_text"].as_str().unwrap();
            let text = tokenizer.text(&ids);
            assert_eq!(text, expected.trim_end_matches("<｜end▁of▁sentence｜>"));
            let mut stream = tokenizer.detokenizer();
            let mut told: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
            told.extend(stream.finish());
            assert_eq!(told, text);
        }
    }

    #[test]
    fn a_character_is_told_when_it_is_whole() {
        let tokenizer = tokenizer(DEEPSEEK);
        let encoding = tokenizer.inner.encode("a文b", false).unwrap();
        let [a, begin, end, b] = encoding.get_ids() else {
            panic!("{:?}", encoding.get_tokens())
        };
        let some = |text: &str| Some(text.to_owned());
        let mut stream = tokenizer.detokenizer();
        let told = [a, begin, end, b].map(|&id| stream.push(id));
        assert_eq!(told, [some("a"), None, some("文"), some("b")]);
        assert_eq!(stream.finish(), None);
        stream.push(*begin);
        assert_eq!(stream.finish(), some("\u{fffd}"));
        // Bytes that are no text are told at last, and nothing is held for ever.
        let ids = vec![*end; 1000];
        let mut told = String::new();
        for &id in &ids {
            told.extend(stream.push(id));
            assert!(stream.held.len() <= MAX_HELD + 1);
        }
        told.extend(stream.finish());
        assert_eq!(told, tokenizer.text(&ids));
    }

    proptest! {
        #[test]
        fn text_as_it_comes_is_the_text(text in "[a-z文é€\u{1f600}<|>\n ]{0,40}", more in prop::collection::vec(0u32..500, 0..20)) {
            let tokenizer = tokenizer(DEEPSEEK);
            let mut ids = tokenizer.inner.encode(&*text, false).unwrap().get_ids().to_vec();
            prop_assert_eq!(tokenizer.text(&ids), text);
            ids.extend(more);
            let mut stream = tokenizer.detokenizer();
            let mut told: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
            told.extend(stream.finish());
            prop_assert_eq!(told, tokenizer.text(&ids));
        }
    }
}
