//! DeepSeek-OCR.

pub mod preprocess;
mod resample;

#[cfg(test)]
mod fixtures;
