//! DeepSeek-OCR.

mod detokenize;
pub mod preprocess;
mod resample;
pub mod tokens;

#[cfg(test)]
mod fixtures;
