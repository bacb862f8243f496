//! The tokenizer of a formula model.

use std::path::Path;

use tokenizers::Tokenizer;

use super::config;
use crate::engine::EngineError;
use crate::pack::Formula;

/// Tokenizers of vision models have 10 MB at most.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a `tokenizer.json`. What is not one, or lacks the tokens with which a text begins and ends,
/// is an error that names the file.
pub fn load(path: &Path, spec: &Formula) -> Result<Tokenizer, EngineError> {
    let fail = |why: String| config(path, why);
    let size = std::fs::metadata(path)
        .map_err(|e| fail(e.to_string()))?
        .len();
    if size > MAX_BYTES {
        return Err(fail(format!(
            "{size} bytes are too many, a tokenizer has at most {MAX_BYTES}"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    let tokens = Tokenizer::from_bytes(&bytes).map_err(|e| fail(e.to_string()))?;
    for (name, id) in [("start", spec.start), ("end", spec.end)] {
        if tokens.id_to_token(id).is_none() {
            return Err(fail(format!(
                "it has no token {id}, which pack.toml names as formula.{name}"
            )));
        }
    }
    Ok(tokens)
}
