//! Text to token ids and back: the prompt of a page with the places of its image, and the text of
//! what the model says.
//!
//! Prompts are assembled as the published code does it: the prompt is trimmed and split at
//! `<image>`, the parts are tokenised without special tokens, the image's tokens stand between
//! them, and the sequence begins with the model's first token.

use std::path::Path;
use std::sync::Arc;

use super::detokenize::Detokenizer;
use super::preprocess::Views;
use crate::engine::EngineError;
use crate::pack::Geometry;

/// Stands in a prompt for the page; its token stands at every row of the image.
pub const IMAGE: &str = "<image>";
/// Tokens that the n-gram ban lets repeat: cells of tables (the published code's whitelist).
const WHITELIST: [&str; 2] = ["<td>", "</td>"];
/// The published tokenizer.json has 10 MB.
const MAX_BYTES: u64 = 256 << 20;
/// What a tokenizer must give back unchanged: a prompt, the marks, several bytes a character.
const PROBE: &str = "\n<|grounding|>Convert the document to markdown. # 0 \\( x_1 \\) é 文";

/// [`Prompt::image_rows`] of a text token.
pub const TEXT_ROW: i64 = -1;
/// ... of the end of a row of the image.
pub const NEWLINE_ROW: i64 = 0;
/// ... of the end of the image.
pub const SEPARATOR_ROW: i64 = 1;
/// ... of the first of the page's own rows.
pub const FIRST_ROW: i64 = 2;

/// A prompt in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub ids: Vec<i64>,
    /// Of each id: [`TEXT_ROW`], [`NEWLINE_ROW`], [`SEPARATOR_ROW`], or [`FIRST_ROW`] + i for row
    /// `i` of the page's projected rows, as the vision graph gives them: the tiles in the order of
    /// [`Views::tiles`], then the global view, each row by row.
    pub image_rows: Vec<i64>,
}

/// Tokens beside the model's own, with the ids that the file says.
#[derive(serde::Deserialize)]
struct Stated {
    #[serde(default)]
    added_tokens: Vec<StatedToken>,
}

#[derive(serde::Deserialize)]
struct StatedToken {
    id: u32,
    content: String,
}

/// The tokenizer of a pack; a clone shares what was loaded.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: Arc<tokenizers::Tokenizer>,
    image: u32,
    bos: u32,
    eos: u32,
    stride: u32,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. What is not one, has no `<image>`, or has ids that the model has
    /// no embedding for, is an error that names the file.
    pub fn load(path: &Path, geometry: &Geometry) -> Result<Self, EngineError> {
        let config = |why: String| EngineError::Config {
            what: format!("tokenizer {}", path.display()),
            why,
            hint: "import the checkpoint again with dropleaf model import".into(),
        };
        let size = std::fs::metadata(path).map_err(|e| config(e.to_string()))?;
        if size.len() > MAX_BYTES {
            return Err(config(format!(
                "{} bytes are too many, a tokenizer has at most {MAX_BYTES}",
                size.len()
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| config(e.to_string()))?;
        let mut inner =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| config(e.to_string()))?;
        // Neither is the published code's; a file may ask for both.
        inner
            .with_truncation(None)
            .map_err(|e| config(e.to_string()))?;
        inner.with_padding(None);
        let stated: Stated = serde_json::from_slice(&bytes).map_err(|e| config(e.to_string()))?;
        for token in stated.added_tokens {
            // The crate counts on where a file leaves a gap, and only warns.
            let given = inner.token_to_id(&token.content);
            if given != Some(token.id) {
                return Err(config(format!(
                    "the token {:?} has the id {}, but {given:?} follows from the rest",
                    token.content, token.id
                )));
            }
        }
        let beyond = inner
            .get_vocab(true)
            .into_iter()
            .find(|&(_, id)| id as usize >= geometry.vocabulary);
        if let Some((token, id)) = beyond {
            return Err(config(format!(
                "the token {token:?} has the id {id}, but the model knows {} tokens",
                geometry.vocabulary
            )));
        }
        let image = inner
            .token_to_id(IMAGE)
            .ok_or_else(|| config(format!("it has no token {IMAGE:?}")))?;
        let probed = inner
            .encode_fast(PROBE, false)
            .and_then(|encoding| inner.decode(encoding.get_ids(), false))
            .map_err(|e| config(e.to_string()))?;
        if probed != PROBE {
            return Err(config(format!("it makes {probed:?} of {PROBE:?}")));
        }
        Ok(Self {
            inner: Arc::new(inner),
            image,
            bos: geometry.bos,
            eos: geometry.eos,
            stride: geometry.view_stride as u32,
        })
    }

    /// The ids that the n-gram ban lets repeat, those that the tokenizer has.
    pub fn whitelist(&self) -> Vec<u32> {
        WHITELIST
            .iter()
            .filter_map(|token| self.inner.token_to_id(token))
            .collect()
    }

    /// The id of a token, by its text.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The tokens of a prompt and a page's views. The views stand in place of the first `<image>`,
    /// before everything where there is none; any further one is left out.
    pub fn prompt(&self, text: &str, views: &Views) -> Prompt {
        let mut parts = text.trim().split(IMAGE);
        let (before, after) = match (parts.next(), parts.next()) {
            (Some(before), Some(after)) => (before, after),
            (before, _) => ("", before.unwrap_or_default()),
        };
        let mut prompt = Prompt {
            ids: vec![i64::from(self.bos)],
            image_rows: vec![TEXT_ROW],
        };
        self.say(&mut prompt, before);
        push_rows(views, self.stride, &mut prompt.image_rows);
        prompt
            .ids
            .resize(prompt.image_rows.len(), i64::from(self.image));
        self.say(&mut prompt, after);
        for further in parts {
            self.say(&mut prompt, further);
        }
        prompt
    }

    fn say(&self, prompt: &mut Prompt, text: &str) {
        // A tokenizer that gives back the probe has every byte: there is nothing to fail on.
        if let Ok(encoding) = self.inner.encode_fast(text, false) {
            prompt
                .ids
                .extend(encoding.get_ids().iter().map(|&id| i64::from(id)));
        }
        prompt.image_rows.resize(prompt.ids.len(), TEXT_ROW);
    }

    /// What the model said, without its end token. Bytes that are no UTF-8 become U+FFFD.
    pub fn text(&self, ids: &[u32]) -> String {
        let said: Vec<u32> = ids.iter().copied().filter(|&id| id != self.eos).collect();
        self.inner.decode(&said, false).unwrap_or_default()
    }

    /// For one page's answer.
    pub fn detokenizer(&self) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.inner), self.eos)
    }
}

/// The image's part of a prompt: the tiles as one grid with an end after each of its rows, the
/// global view likewise, the end of the image.
fn push_rows(views: &Views, stride: u32, rows: &mut Vec<i64>) {
    let mut first = FIRST_ROW;
    if let Some(tile) = views.tiles.first() {
        let side = i64::from(tile.side / stride);
        let (across, down) = (i64::from(views.grid.0), i64::from(views.grid.1));
        for y in 0..down * side {
            for x in 0..across * side {
                let tile = y / side * across + x / side;
                rows.push(first + (tile * side + y % side) * side + x % side);
            }
            rows.push(NEWLINE_ROW);
        }
        first += across * down * side * side;
    }
    let side = i64::from(views.global.side / stride);
    for y in 0..side {
        rows.extend(first + y * side..first + (y + 1) * side);
        rows.push(NEWLINE_ROW);
    }
    rows.push(SEPARATOR_ROW);
}

#[cfg(test)]
pub mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::config::Mode;
    use crate::engine::deepseek::fixtures::{self, DEEPSEEK, READER};
    use crate::engine::deepseek::preprocess::{self, View};

    const MARKDOWN: &str = "<image>\n<|grounding|>Convert the document to markdown.";

    pub fn tokenizer(checkpoint: &str) -> Tokenizer {
        let path = fixtures::path(checkpoint, "tokenizer.json");
        Tokenizer::load(&path, &fixtures::published()).unwrap()
    }

    fn reference(checkpoint: &str) -> Vec<u8> {
        std::fs::read(fixtures::path(checkpoint, "reference.safetensors")).unwrap()
    }

    fn ids(values: &SafeTensors<'_>, name: &str) -> Vec<i64> {
        let bytes = values.tensor(name).unwrap().data().to_vec();
        bytes
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn prompts_are_those_of_the_reference() {
        let mut cases = 0;
        for checkpoint in [DEEPSEEK, READER] {
            let tokenizer = tokenizer(checkpoint);
            let bytes = reference(checkpoint);
            let values = SafeTensors::deserialize(&bytes).unwrap();
            let text = std::fs::read(fixtures::path(checkpoint, "reference.json")).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            for (name, case) in json["cases"].as_object().unwrap() {
                let image = fixtures::image(checkpoint, case["image"].as_str().unwrap());
                let views = preprocess::prepare(&image, Mode::Gundam, &fixtures::published());
                let prompt = tokenizer.prompt(json["prompt"].as_str().unwrap(), &views);
                assert_eq!(
                    prompt.ids,
                    ids(&values, &format!("{name}.input_ids")),
                    "{name}"
                );
                assert_eq!(prompt.ids.len(), prompt.image_rows.len());
                cases += 1;
            }
        }
        assert_eq!(cases, 14);
    }

    fn views(grid: (u32, u32), side: u32) -> Views {
        let view = |side| View {
            side,
            rgb: Vec::new(),
        };
        let tiles = if grid == (1, 1) { 0 } else { grid.0 * grid.1 };
        Views {
            tiles: (0..tiles).map(|_| view(128)).collect(),
            grid,
            global: view(side),
        }
    }

    #[test]
    fn rows_of_the_image_follow_the_grid() {
        let tokenizer = tokenizer(DEEPSEEK);
        let prompt = tokenizer.prompt("<image>a", &views((2, 1), 192));
        // Two tiles of 2 x 2 side by side, a global view of 3 x 3.
        let image = [
            [2, 3, 6, 7, 0, 4, 5, 8, 9, 0].as_slice(),
            &[10, 11, 12, 0, 13, 14, 15, 0, 16, 17, 18, 0, 1],
        ]
        .concat();
        assert_eq!(prompt.image_rows[1..prompt.image_rows.len() - 1], image);
        assert_eq!((prompt.image_rows[0], prompt.ids[0]), (-1, 0));
        assert_eq!(prompt.image_rows.last(), Some(&-1));
        // One below the other.
        let prompt = tokenizer.prompt("<image>a", &views((1, 2), 192));
        assert_eq!(
            prompt.image_rows[1..13],
            [2, 3, 0, 4, 5, 0, 6, 7, 0, 8, 9, 0]
        );
        assert_eq!(prompt.image_rows[13], 10);
    }

    #[test]
    fn the_image_stands_where_the_prompt_says_once() {
        let tokenizer = tokenizer(DEEPSEEK);
        let views = views((1, 1), 64);
        let ids = |text: &str| tokenizer.prompt(text, &views).ids;
        let plain = |text: &str| {
            tokenizer
                .inner
                .encode(text, false)
                .unwrap()
                .get_ids()
                .to_vec()
        };
        let join = |before: &str, after: &str| {
            let mut all = vec![0];
            all.extend(plain(before).iter().map(|&i| i64::from(i)));
            all.extend([409; 3]);
            all.extend(plain(after).iter().map(|&i| i64::from(i)));
            all
        };
        assert_eq!(ids("look: <image> what? "), join("look: ", " what?"));
        assert_eq!(ids("what?"), join("", "what?"));
        assert_eq!(ids(" <image>"), join("", ""));
        assert_eq!(ids("<image>?<image>#").len(), join("?", "#").len());
        assert_eq!(ids(MARKDOWN)[..4], [0, 409, 409, 409]);
    }

    #[test]
    fn cells_of_tables_are_let_repeat() {
        assert_eq!(tokenizer(DEEPSEEK).whitelist(), [415, 416]);
        assert_eq!(tokenizer(READER).whitelist(), [1332, 1333]);
    }

    #[test]
    fn what_is_no_tokenizer_of_this_model_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let good = std::fs::read_to_string(fixtures::path(DEEPSEEK, "tokenizer.json")).unwrap();
        let why = |text: &str| {
            std::fs::write(&path, text).unwrap();
            match Tokenizer::load(&path, &fixtures::published()) {
                Ok(_) => panic!("{text:.80} was taken"),
                Err(e @ EngineError::Config { .. }) => e.to_string(),
                Err(e) => panic!("{e}"),
            }
        };
        let cases = [
            ("no JSON", String::from("<html>"), "expected value"),
            ("cut off", good[..good.len() / 2].into(), "EOF"),
            ("no model", "{}".into(), ""),
            (
                "no image",
                good.replace("\"<image>\"", "\"<pixel>\""),
                "no token \"<image>\"",
            ),
            (
                "an id beyond",
                good.replace("\"id\": 420", "\"id\": 129280"),
                "129280",
            ),
            (
                "lower case",
                good.replace(
                    "\"normalizer\": null",
                    "\"normalizer\": {\"type\": \"Lowercase\"}",
                ),
                "convert the",
            ),
        ];
        for (name, text, expected) in cases {
            assert_ne!(text, good, "{name}");
            let why = why(&text);
            assert!(
                why.contains("tokenizer.json") && why.contains(expected),
                "{name}: {why}"
            );
        }
        let missing = Tokenizer::load(&dir.path().join("none.json"), &fixtures::published());
        assert!(missing.is_err_and(|e| e.to_string().contains("none.json")));
        // What only cuts or pads prompts is not obeyed.
        let padding = r#"{"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 2, "pad_type_id": 0, "pad_token": "x"}"#;
        let text = good.replace("\"padding\": null", &format!("\"padding\": {padding}"));
        assert_ne!(text, good);
        std::fs::write(&path, text).unwrap();
        let padded = Tokenizer::load(&path, &fixtures::published()).unwrap();
        assert_eq!(
            padded.prompt(MARKDOWN, &views((1, 1), 64)),
            tokenizer(DEEPSEEK).prompt(MARKDOWN, &views((1, 1), 64))
        );
    }
}
