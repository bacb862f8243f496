//! Model packs: a folder with `pack.toml` and the files that it names by sha256.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable;

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct PackError {
    pub what: String,
    pub why: String,
    pub hint: String,
}

/// The newest `schema` of `pack.toml` that this version reads.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: u32,
    name: String,
    /// The engine that reads with it.
    engine: String,
    #[serde(default)]
    licence: String,
    files: BTreeMap<String, PackFile>,
    deepseek: Option<Geometry>,
}

/// Type in which a pack stores its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    Bf16,
    F32,
}

/// Sizes of a model of DeepSeek-OCR's architecture, as its importer found them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    pub dtype: Dtype,
    /// Width of the decoder and of projected image rows.
    pub hidden: u32,
    pub layers: u32,
    pub heads: u32,
    pub head_dim: u32,
    pub vocabulary: u32,
    pub max_positions: u32,
    pub experts: u32,
    pub experts_per_token: u32,
    /// Tokens of one block of the cache of keys and values.
    pub block_tokens: u32,
    /// Side of the global view, in pixels.
    pub base_side: u32,
    /// Side of a tile, in pixels.
    pub tile_side: u32,
    pub min_tiles: u32,
    pub max_tiles: u32,
    /// Pixels of a view's side for each image token along it.
    pub view_stride: u32,
    /// Pixels of a view's side for each patch of the SAM tower along it.
    pub sam_patch: u32,
    pub sam_width: u32,
    /// SAM layers that attend to the whole view.
    pub sam_global_layers: u32,
    pub sam_head_dim: u32,
    pub clip_width: u32,
    pub bos: u32,
    pub eos: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    file: String,
    sha256: String,
}

/// A pack whose manifest was read and whose files exist; their bytes are checked by [`Pack::verify`].
#[derive(Clone, Debug)]
pub struct Pack {
    pub folder: PathBuf,
    pub name: String,
    pub licence: String,
    /// For the engine `deepseek-ocr`.
    pub deepseek: Option<Geometry>,
    files: BTreeMap<String, PackFile>,
}

const HINT: &str = "run packaging/fetch-assets";

impl Pack {
    /// Reads `folder/pack.toml` for `engine`.
    pub fn open(folder: &Path, engine: &str) -> Result<Self, PackError> {
        let path = folder.join("pack.toml");
        let config = |why: String, hint: &str| PackError {
            what: format!("model pack {}", path.display()),
            why,
            hint: hint.into(),
        };
        let text = std::fs::read_to_string(&path).map_err(|e| config(e.to_string(), HINT))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|e| config(e.to_string(), HINT))?;
        if manifest.schema > SCHEMA {
            return Err(config(
                format!(
                    "schema {} is newer than this version reads ({SCHEMA})",
                    manifest.schema
                ),
                "update dropleaf",
            ));
        }
        if manifest.engine != engine {
            return Err(config(
                format!(
                    "it is for the engine \"{}\", not \"{engine}\"",
                    manifest.engine
                ),
                "set engine.model to another folder of models/",
            ));
        }
        for f in manifest.files.values() {
            if f.file.contains(['/', '\\']) || f.file.starts_with('.') {
                return Err(config(
                    format!("\"{}\" is not a plain file name", f.file),
                    HINT,
                ));
            }
            if !folder.join(&f.file).is_file() {
                return Err(config(format!("{} is missing", f.file), HINT));
            }
        }
        Ok(Self {
            folder: folder.into(),
            name: manifest.name,
            licence: manifest.licence,
            deepseek: manifest.deepseek,
            files: manifest.files,
        })
    }

    /// The path of the file that plays `role`.
    pub fn file(&self, role: &str) -> Result<PathBuf, PackError> {
        self.files
            .get(role)
            .map(|f| self.folder.join(&f.file))
            .ok_or_else(|| PackError {
                what: format!("model pack {}", self.folder.display()),
                why: format!("it names no file for \"{role}\""),
                hint: HINT.into(),
            })
    }

    /// SHA-256 over roles and file hashes as the manifest states them, hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (role, f) in &self.files {
            hash.update(format!("{role} {}\n", f.sha256));
        }
        durable::hex(&hash.finalize())
    }

    /// Reads every file and compares its sha256 with the manifest's.
    pub fn verify(&self) -> Result<(), PackError> {
        for f in self.files.values() {
            let path = self.folder.join(&f.file);
            let config = |why: String| PackError {
                what: path.display().to_string(),
                why,
                hint: format!("{HINT} --verify"),
            };
            let found = durable::digest(&path).map_err(|e| config(e.to_string()))?;
            if found != f.sha256 {
                return Err(config(format!(
                    "its sha256 is {found}, pack.toml says {}",
                    f.sha256
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_and_a_path_out_of_the_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, sha: &str| {
            let text = format!(
                "schema = 1\nname = \"p\"\nengine = \"paddle\"\n[files.layout]\nfile = \"{file}\"\nsha256 = \"{sha}\"\n"
            );
            std::fs::write(dir.path().join("pack.toml"), text).unwrap();
        };
        std::fs::write(dir.path().join("m.onnx"), b"abc").unwrap();
        write(
            "m.onnx",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        let pack = Pack::open(dir.path(), "paddle").unwrap();
        pack.verify().unwrap();
        assert!(Pack::open(dir.path(), "deepseek-ocr").is_err());
        std::fs::write(dir.path().join("m.onnx"), b"abd").unwrap();
        assert!(pack.verify().unwrap_err().to_string().contains("sha256"));
        write("../m.onnx", "00");
        assert!(Pack::open(dir.path(), "paddle").is_err());
    }
}
