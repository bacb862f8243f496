//! A checkpoint folder as its user has it: `config.json`, `tokenizer.json`, `*.safetensors`.
//!
//! Everything is read and compared here, before a byte is written anywhere: the config against the
//! tensors, the shard index against the shards, the tokenizer against the vocabulary. Tensors'
//! shapes are compared as the graphs ask for them ([`super::plan`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::config::Config;
use super::error::ImportError;
use super::shards::Shards;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const INDEX: &str = "model.safetensors.index.json";
const EXTENSION: &str = ".safetensors";
const LICENCE: &str = "LICENSE";
/// Most bytes of each text file; DeepSeek-OCR's are 3 KB, 10 MB and 0.3 MB.
const MAX_CONFIG: u64 = 1 << 20;
const MAX_TOKENIZER: u64 = 64 << 20;
const MAX_INDEX: u64 = 16 << 20;
/// Most shards of a checkpoint.
const MAX_SHARDS: usize = 1000;
/// The token whose place a page's image embeddings take.
const IMAGE: &str = "<image>";
const DOWNLOAD: &str = "it is damaged or not the published file: download it anew";

/// A checkpoint whose files agree with one another.
pub struct Checkpoint {
    pub config: Config,
    pub measured: Measured,
    pub shards: Shards,
    /// The bytes of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The first line of the folder's licence file, if there is one.
    pub licence: Option<String>,
}

/// Sizes that `config.json` does not hold, as the tensors have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Side of SAM's patches, in pixels.
    pub sam_patch: u64,
    /// Side of SAM's windows, in patches.
    pub sam_window: u64,
    /// Width of the MLPs of SAM and CLIP.
    pub sam_mlp: u64,
    pub clip_mlp: u64,
    /// Channels of SAM's neck.
    pub sam_neck: u64,
}

impl Checkpoint {
    /// Reads what is in `folder`; the tensors' bytes stay on the disk.
    pub fn open(folder: &Path) -> Result<Self, ImportError> {
        if !folder.is_dir() {
            return Err(ImportError::file(
                folder,
                "it is not a folder",
                "name the folder with config.json, tokenizer.json and *.safetensors",
            ));
        }
        let path = folder.join(CONFIG);
        let config = Config::parse(&path, &text(&path, MAX_CONFIG)?)?;
        let tokenizer = tokenizer(&folder.join(TOKENIZER), config.language.vocabulary)?;
        let shards = open_shards(folder)?;
        let measured = measure(&config, &shards)?;
        Ok(Self {
            config,
            measured,
            shards,
            tokenizer,
            licence: licence(&folder.join(LICENCE)),
        })
    }
}

/// Reads a regular file of at most `most` bytes.
fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, ImportError> {
    let fail = |why: String, hint: &str| ImportError::file(path, why, hint);
    let meta = std::fs::metadata(path).map_err(|e| {
        fail(
            e.to_string(),
            "the folder must hold config.json, tokenizer.json and *.safetensors",
        )
    })?;
    if !meta.is_file() {
        return Err(fail("it is not a regular file".into(), DOWNLOAD));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|e| fail(e.to_string(), DOWNLOAD))?;
    if bytes.len() as u64 > most {
        return Err(fail(format!("it has more than {most} bytes"), DOWNLOAD));
    }
    Ok(bytes)
}

fn text(path: &Path, most: u64) -> Result<String, ImportError> {
    String::from_utf8(bytes(path, most)?)
        .map_err(|_| ImportError::file(path, "it is not UTF-8", DOWNLOAD))
}

/// Reads the tokenizer and looks whether it is one for a model of `vocabulary` tokens.
fn tokenizer(path: &Path, vocabulary: u64) -> Result<Vec<u8>, ImportError> {
    let bytes = bytes(path, MAX_TOKENIZER)?;
    let fail = |why: String| ImportError::file(path, why, DOWNLOAD);
    let tokenizer =
        Tokenizer::from_bytes(&bytes).map_err(|e| fail(format!("it is not a tokenizer: {e}")))?;
    if tokenizer.token_to_id(IMAGE).is_none() {
        return Err(fail(format!("it has no token {IMAGE}")));
    }
    if let Some((token, id)) = tokenizer
        .get_vocab(true)
        .into_iter()
        .find(|(_, id)| u64::from(*id) >= vocabulary)
    {
        return Err(fail(format!(
            "its token \"{token}\" has the id {id}, but config.json has a vocabulary of {vocabulary}"
        )));
    }
    Ok(bytes)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn open_shards(folder: &Path) -> Result<Shards, ImportError> {
    let path = folder.join(INDEX);
    if path.symlink_metadata().is_err() {
        return Shards::open(folder, &unindexed(folder)?);
    }
    let fail = |why: String| ImportError::file(&path, why, DOWNLOAD);
    let index: Index = serde_json::from_str(&text(&path, MAX_INDEX)?)
        .map_err(|e| fail(format!("it is not an index of shards: {e}")))?;
    let files: BTreeSet<&String> = index.weight_map.values().collect();
    for file in &files {
        if file.contains(['/', '\\']) || file.starts_with('.') || !file.ends_with(EXTENSION) {
            return Err(fail(format!(
                "\"{file}\" is not the plain name of a {EXTENSION} file"
            )));
        }
    }
    if files.len() > MAX_SHARDS {
        return Err(fail(format!("it names more than {MAX_SHARDS} files")));
    }
    let files: Vec<String> = files.into_iter().cloned().collect();
    let shards = Shards::open(folder, &files)?;
    for name in shards.names() {
        if !index.weight_map.contains_key(name) {
            return Err(fail(format!("it does not list the tensor \"{name}\"")));
        }
    }
    for (name, file) in &index.weight_map {
        let found = shards.get(name).map(|t| shards.path(t));
        if found != Some(&folder.join(file)) {
            return Err(fail(format!(
                "it says that \"{name}\" is in {file}, where it is not"
            )));
        }
    }
    Ok(shards)
}

/// The safetensors files of a folder without an index.
fn unindexed(folder: &Path) -> Result<Vec<String>, ImportError> {
    let fail = |why: String| {
        ImportError::file(
            folder,
            why,
            "name the folder with config.json, tokenizer.json and *.safetensors",
        )
    };
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| fail(e.to_string()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(EXTENSION) && !name.starts_with('.'))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(fail(format!("there is no *{EXTENSION} file")));
    }
    if files.len() > MAX_SHARDS {
        return Err(fail(format!("there are more than {MAX_SHARDS} files")));
    }
    Ok(files)
}

/// Compares numbers of layers and takes the sizes that only the tensors have.
fn measure(config: &Config, shards: &Shards) -> Result<Measured, ImportError> {
    let stacks = [
        (
            "model.layers.",
            config.language.layers,
            "language_config.num_hidden_layers",
        ),
        (
            "model.sam_model.blocks.",
            config.sam.layers,
            "vision_config.width.sam_vit_b.layers",
        ),
        (
            "model.vision_model.transformer.layers.",
            config.clip.layers,
            "vision_config.width.clip-l-14-224.layers",
        ),
    ];
    for (prefix, expected, key) in stacks {
        let found: BTreeSet<&str> = shards
            .names()
            .filter_map(|name| name.strip_prefix(prefix)?.split('.').next())
            .collect();
        if found.len() as u64 != expected {
            return Err(ImportError::file(
                &shards.folder().join(CONFIG),
                format!(
                    "{key} is {expected}, but the tensors \"{prefix}*\" are of {} layers",
                    found.len()
                ),
                "config.json and the *.safetensors files must be of one checkpoint: \
                 download it anew",
            ));
        }
    }
    let side = |name: &str, dimension: usize, what: &str| -> Result<u64, ImportError> {
        let Some(tensor) = shards.get(name) else {
            return Err(ImportError::Absent {
                folder: shards.folder().into(),
                name: name.into(),
            });
        };
        match tensor.shape.get(dimension) {
            Some(&n) if n > 0 && n <= 1 << 16 => Ok(n),
            _ => Err(ImportError::file(
                shards.path(tensor),
                format!(
                    "the tensor \"{name}\" has the shape {:?}: no {what}",
                    tensor.shape
                ),
                DOWNLOAD,
            )),
        }
    };
    let windowed = (0..config.sam.layers).find(|l| !config.sam.global_layers.contains(l));
    let sam_window = match windowed {
        // Relative positions from -(window - 1) to window - 1.
        Some(layer) => {
            let name = format!("model.sam_model.blocks.{layer}.attn.rel_pos_h");
            side(&name, 0, "window")?.div_ceil(2)
        }
        None => 0,
    };
    Ok(Measured {
        sam_patch: side("model.sam_model.patch_embed.proj.weight", 2, "patch")?,
        sam_window,
        sam_mlp: side("model.sam_model.blocks.0.mlp.lin1.weight", 0, "width")?,
        clip_mlp: side(
            "model.vision_model.transformer.layers.0.mlp.fc1.weight",
            0,
            "width",
        )?,
        sam_neck: side("model.sam_model.neck.0.weight", 0, "channels")?,
    })
}

/// The first line that says something.
fn licence(path: &PathBuf) -> Option<String> {
    const MOST: u64 = 4096;
    let bytes = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .and_then(|_| {
            let mut bytes = Vec::new();
            std::fs::File::open(path)
                .ok()?
                .take(MOST)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(bytes)
        })?;
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(str::to_owned)
}
