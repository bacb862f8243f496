//! The two small checkpoints under `tests/data`, for tests.

use std::path::{Path, PathBuf};

use super::cache::Blocks;
use super::schedule::{Limits, Request, Schedule, Settings, Step};
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

/// Two steps of `sequences` sequences of two tokens each in blocks of four: the one with their
/// prompts, and the one with a token of each after it.
pub fn steps(sequences: usize) -> (Step, Step) {
    let limits = Limits {
        sequences,
        step_tokens: 1000,
        scores: usize::MAX,
        positions: 1000,
        eos: 1,
    };
    let mut schedule = Schedule::new(limits, Blocks::new(2 * sequences, 4), vec![]);
    for key in 0..sequences as u64 {
        let request = Request {
            key,
            prompt: vec![3, 4],
            image_rows: Vec::new(),
            settings: Settings {
                max_tokens: 50,
                rule: None,
                watch_loops: false,
                stop: true,
            },
            forced: Vec::new(),
        };
        schedule.enter(request).unwrap();
    }
    let prompts = schedule.plan().0.unwrap();
    schedule.advance(&prompts, &vec![5; sequences]);
    (prompts, schedule.plan().0.unwrap())
}
