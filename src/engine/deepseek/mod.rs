//! DeepSeek-OCR.

mod detokenize;
pub mod preprocess;
pub mod reading;
mod resample;
pub mod tokens;

#[cfg(test)]
mod fixtures;
