//! The two small checkpoints under `tests/data`, for tests.

use std::path::{Path, PathBuf};

use crate::pack::{Geometry, Storage};
use crate::page::PageImage;

pub const DEEPSEEK: &str = "tiny-deepseek-ocr";
pub const READER: &str = "tiny-reader";

/// A file of a checkpoint's folder.
pub fn path(checkpoint: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(checkpoint)
        .join(file)
}

pub fn image(checkpoint: &str, file: &str) -> PageImage {
    let picture = image::open(path(checkpoint, file)).unwrap().to_rgb8();
    PageImage::new(picture.width(), picture.height(), picture.into_raw(), 144.0).unwrap()
}

/// What DeepSeek-OCR's published `config.json` says.
pub fn published() -> Geometry {
    Geometry {
        dtype: Storage::Bf16,
        hidden: 1280,
        layers: 12,
        heads: 10,
        head_dim: 128,
        vocabulary: 129_280,
        max_positions: 8192,
        experts: 64,
        experts_per_token: 6,
        block_tokens: 256,
        base_side: 1024,
        tile_side: 640,
        min_tiles: 2,
        max_tiles: 6,
        view_stride: 64,
        sam_patch: 16,
        sam_width: 768,
        sam_global_layers: 4,
        sam_head_dim: 64,
        clip_width: 1024,
        bos: 0,
        eos: 1,
    }
}
