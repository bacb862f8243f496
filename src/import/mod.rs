//! A checkpoint becomes a model pack: ONNX graphs over one data file, and `pack.toml`.
//!
//! ```text
//! checkpoint (config, shards) -> plan <- decoder, vision (graphs), positions -> weights -> publish
//! ```
//!
//! [`checkpoint`] reads what the user has and compares its parts, [`plan`] gives each tensor its
//! place in the data file as the graph builders ask for it, [`graph`] builds a graph from values
//! and nodes and writes it in ONNX's own format (`onnx.rs`), [`positions`] are tables beside the
//! graphs, [`weights`] makes the data file's bytes, [`publish`] the pack's folder. Nothing here runs
//! a graph, and nothing is written before the whole checkpoint is understood.

mod attention;
pub mod checkpoint;
mod clip;
pub mod config;
mod convolution;
pub mod decoder;
pub mod error;
mod experts;
pub mod graph;
mod keys;
mod nodes;
mod onnx;
pub mod plan;
pub mod positions;
pub mod publish;
mod relative;
mod sam;
pub mod shards;
mod stream;
#[cfg(test)]
mod structure;
#[cfg(test)]
mod testing;
pub mod vision;
pub mod weights;
mod windows;

use std::path::{Path, PathBuf};

use checkpoint::Checkpoint;
use decoder::{BLOCK, Form};
pub use error::ImportError;
use graph::DType;
use plan::Plan;
use positions::Learned;
use publish::{OnProgress, Staging, Target};

use crate::pack::{DEEPSEEK_OCR, Geometry, Manifest, SCHEMA, Storage};

/// Names of the data file, of the position tables and of the tokenizer in a pack.
const WEIGHTS: &str = "weights.bin";
const POSITIONS: &str = "positions.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// What the licence field says where nothing is known.
const NO_LICENCE: &str = "not stated by the checkpoint";

/// What the published model's own code prescribes for views (`modeling_deepseekocr.py`): side of a
/// tile in pixels, fewest and most tiles of a page.
const TILE_SIDE: u64 = 640;
const MIN_TILES: usize = 2;
const MAX_TILES: usize = 6;
/// SAM's patches per image token, along a side: two convolutions of stride 2.
const PATCHES_PER_TOKEN: u64 = 4;

/// How a checkpoint is imported.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the pack; without, that of the checkpoint's folder.
    pub name: Option<String>,
    pub storage: Storage,
    /// Without, the first line of the folder's `LICENSE`.
    pub licence: Option<String>,
    /// Whether a pack of that name may be replaced.
    pub replace: bool,
}

/// A pack that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub name: String,
    pub path: PathBuf,
    /// Tensors that the checkpoint has.
    pub tensors: usize,
    /// Bytes of the pack.
    pub bytes: u64,
}

/// Makes a pack under `models` of the checkpoint in `folder`.
///
/// Peak memory is a few hundred megabytes, whatever the checkpoint's size. An error leaves nothing
/// behind; a crash leaves a hidden folder that the next import removes.
pub fn import(
    folder: &Path,
    models: &Path,
    options: &Options,
    progress: &mut OnProgress<'_>,
) -> Result<Imported, ImportError> {
    let name = name(folder, options)?;
    let target = Target::new(models, &name, options.replace)?;
    let checkpoint = Checkpoint::open(folder)?;
    let geometry = geometry(&checkpoint, options.storage);
    if let Some(fault) = geometry.fault() {
        return Err(ImportError::file(
            folder,
            fault,
            "this is a checkpoint of another model or version; only DeepSeek-OCR is known",
        ));
    }
    let Checkpoint {
        config,
        measured,
        shards,
        tokenizer,
        licence,
    } = checkpoint;
    let tensors = shards.names().count();

    let (dtype, forms): (_, &[Form]) = match options.storage {
        Storage::Bf16 => (DType::Bf16, &[Form::Cpu, Form::Cuda]),
        Storage::F32 => (DType::F32, &[Form::Cpu]),
    };
    let mut plan = Plan::new(shards, dtype);
    let mut graphs: Vec<(String, Vec<u8>)> = Vec::new();
    for &form in forms {
        let graph = vision::build(&mut plan, &config, &measured, form, WEIGHTS)?;
        graphs.push((format!("vision_{}", form.name()), graph.encode()));
        let graph = decoder::build(&mut plan, &config.language, form, WEIGHTS)?;
        graphs.push((format!("decoder_{}", form.name()), graph.encode()));
        if form == Form::Cuda && decoder::has_cuda8(&config.language) {
            let graph = decoder::build(&mut plan, &config.language, Form::Cuda8, WEIGHTS)?;
            graphs.push((format!("decoder_{}", Form::Cuda8.name()), graph.encode()));
        }
    }
    let learned = Learned::read(&mut plan, &config, &measured)?;
    let plan = plan.finish()?;
    let positions = positions::encode(&positions::tables(&learned))
        .map_err(|e| ImportError::file(folder, e, "its position tables are too large"))?;

    let bytes = plan.length
        + positions.len() as u64
        + tokenizer.len() as u64
        + graphs.iter().map(|(_, g)| g.len() as u64).sum::<u64>();
    target.check_space(bytes)?;
    let mut staging = Staging::begin(target, bytes, progress)?;
    staging.add("weights", WEIGHTS, |sink| weights::write(&plan, sink))?;
    for (role, bytes) in &graphs {
        let file = format!("{}.onnx", role.replace('_', "."));
        staging.add(role, &file, |sink| sink(bytes))?;
    }
    staging.add("positions", POSITIONS, |sink| sink(&positions))?;
    staging.add("tokenizer", TOKENIZER, |sink| sink(&tokenizer))?;
    let path = staging.publish(Manifest {
        schema: SCHEMA,
        name: name.clone(),
        engine: DEEPSEEK_OCR.into(),
        licence: options
            .licence
            .clone()
            .or(licence)
            .unwrap_or_else(|| NO_LICENCE.into()),
        files: Default::default(),
        deepseek: Some(geometry),
        formula: None,
    })?;
    Ok(Imported {
        name,
        path,
        tensors,
        bytes,
    })
}

/// The pack's name.
fn name(folder: &Path, options: &Options) -> Result<String, ImportError> {
    let name = match &options.name {
        Some(name) => name.clone(),
        None => folder
            .canonicalize()
            .ok()
            .and_then(|p| Some(p.file_name()?.to_str()?.to_owned()))
            .unwrap_or_default(),
    };
    if publish::valid_name(&name) {
        return Ok(name);
    }
    Err(ImportError::file(
        folder,
        format!("\"{name}\" cannot be the name of a model pack"),
        "give one of letters, digits and . _ - with --name",
    ))
}

/// What the host needs to know; [`Checkpoint::open`] has compared and bounded every number.
fn geometry(checkpoint: &Checkpoint, dtype: Storage) -> Geometry {
    let language = &checkpoint.config.language;
    let (sam, measured) = (&checkpoint.config.sam, &checkpoint.measured);
    Geometry {
        dtype,
        hidden: language.hidden as usize,
        layers: language.layers as usize,
        heads: language.heads as usize,
        head_dim: language.head_dim as usize,
        vocabulary: language.vocabulary as usize,
        max_positions: language.max_positions as usize,
        experts: language.experts as usize,
        experts_per_token: language.experts_per_token as usize,
        block_tokens: BLOCK as usize,
        base_side: sam.image_size as usize,
        tile_side: TILE_SIDE as usize,
        min_tiles: MIN_TILES,
        max_tiles: MAX_TILES,
        view_stride: (measured.sam_patch * PATCHES_PER_TOKEN) as usize,
        sam_patch: measured.sam_patch as usize,
        sam_width: sam.width as usize,
        sam_global_layers: sam.global_layers.len(),
        sam_head_dim: (sam.width / sam.heads) as usize,
        clip_width: checkpoint.config.clip.width as usize,
        bos: language.bos,
        eos: language.eos,
    }
}
