//! `[formula]` of `pack.toml`: what a formula recognition model needs around its graphs.
//!
//! The values stand in the files beside an export of Hugging Face: `preprocessor_config.json`
//! (`size`, `image_mean`, `image_std`) and `config.json` or `generation_config.json`
//! (`decoder_start_token_id`, `eos_token_id`, `max_length`).

use serde::{Deserialize, Serialize};

/// How the picture of a formula is brought to the encoder's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// As large as its proportions allow, at the upper left on white ground.
    Pad,
    /// Over the whole size, whatever its proportions.
    Stretch,
}

/// The measures of a formula model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formula {
    /// Height and width of the encoder's input, pixels.
    pub size: [u32; 2],
    /// 1: grey, 3: red, green, blue.
    pub channels: usize,
    /// Of each channel, for values of 0.0 (black) to 1.0: what is subtracted ..
    pub mean: Vec<f32>,
    /// .. and what the difference is divided by.
    pub std: Vec<f32>,
    pub fit: Fit,
    /// The token that the decoder is given first.
    pub start: u32,
    /// The token with which it ends; some models begin with the same one.
    pub end: u32,
    /// Tokens of a formula at most.
    pub max_tokens: usize,
}

/// Sides of published models are 192 to 768.
const SIDES: std::ops::RangeInclusive<u32> = 16..=1024;
/// A decoder without a cache computes the whole text again for each token.
const MOST_TOKENS: usize = 2048;

impl Formula {
    /// What contradicts itself or is out of range, if anything is.
    pub fn fault(&self) -> Option<String> {
        let Self { mean, std, .. } = self;
        if !self.size.iter().all(|side| SIDES.contains(side)) {
            return Some(format!(
                "formula.size is {:?}; height and width must be {} to {}",
                self.size,
                SIDES.start(),
                SIDES.end()
            ));
        }
        if ![1, 3].contains(&self.channels) {
            return Some(format!(
                "formula.channels must be 1 or 3, is {}",
                self.channels
            ));
        }
        for (name, values) in [("mean", mean), ("std", std)] {
            if values.len() != self.channels {
                return Some(format!(
                    "formula.{name} has {} numbers, formula.channels is {}",
                    values.len(),
                    self.channels
                ));
            }
        }
        if !mean.iter().all(|v| (0.0..=1.0).contains(v)) {
            return Some("formula.mean must be 0 to 1: pixels are 0 (black) to 1 (white)".into());
        }
        if !std.iter().all(|v| *v > 0.0 && *v <= 1.0) {
            return Some(
                "formula.std must be above 0 and at most 1: pixels are 0 (black) to 1 (white)"
                    .into(),
            );
        }
        (!(1..=MOST_TOKENS).contains(&self.max_tokens)).then(|| {
            format!(
                "formula.max_tokens must be 1 to {MOST_TOKENS}, is {}",
                self.max_tokens
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FORMULA, MANIFEST, Pack};

    const GOOD: &str = r#"
schema = 1
name = "own"
engine = "formula"
[files.decoder]
file = "decoder_model.onnx"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
[formula]
size = [64, 256]
channels = 1
mean = [0.5]
std = [0.25]
fit = "pad"
start = 2
end = 2
max_tokens = 512
"#;

    #[test]
    fn what_contradicts_itself_is_told_with_the_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("decoder_model.onnx"), b"abc").unwrap();
        let open = |text: &str| {
            std::fs::write(dir.path().join(MANIFEST), text).unwrap();
            Pack::open(dir.path(), FORMULA)
        };
        let pack = open(GOOD).unwrap();
        pack.verify().unwrap();
        assert_eq!(pack.formula.unwrap().size, [64, 256]);
        for (from, to, why) in [
            ("[64, 256]", "[64, 8]", "formula.size is [64, 8]"),
            ("[64, 256]", "[4096, 64]", "must be 16 to 1024"),
            ("[64, 256]", "[64]", "size"),
            ("channels = 1", "channels = 2", "must be 1 or 3, is 2"),
            (
                "channels = 1",
                "channels = 3",
                "formula.mean has 1 numbers, formula.channels is 3",
            ),
            ("[0.25]", "[0.25, 0.25]", "formula.std has 2"),
            ("[0.5]", "[127.5]", "formula.mean must be 0 to 1"),
            ("[0.5]", "[nan]", "formula.mean must be"),
            ("[0.25]", "[0.0]", "formula.std must be above 0"),
            ("\"pad\"", "\"crop\"", "unknown variant `crop`"),
            ("start = 2", "start = -1", "-1"),
            ("= 512", "= 0", "formula.max_tokens must be 1 to 2048, is 0"),
            ("= 512", "= 100000", "is 100000"),
            ("fit", "fitt", "unknown field `fitt`"),
            ("end = 2\n", "", "missing field `end`"),
            (
                "decoder_model.onnx",
                "decoder.onnx",
                "decoder.onnx is missing",
            ),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let e = open(&text).unwrap_err();
            assert!(e.what.contains("pack.toml"), "{e}");
            assert!(e.why.contains(why), "{to}: {e}");
            assert!(e.hint.contains("README"), "{}", e.hint);
        }
        let (without, _) = GOOD.split_once("[formula]").unwrap();
        let e = open(without).unwrap_err();
        assert!(e.why.contains("[formula] is missing"), "{e}");
        let e = open(&GOOD.replace("\"formula\"", "\"paddle\"")).unwrap_err();
        assert!(e.hint.contains("paddle.formula"), "{}", e.hint);
        std::fs::write(dir.path().join("decoder_model.onnx"), b"abd").unwrap();
        let e = open(GOOD).unwrap().verify().unwrap_err();
        assert!(e.hint.contains("sha256sum"), "{}", e.hint);
    }
}
