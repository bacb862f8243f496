//! Model packs: a folder with `pack.toml` and the files that it names by sha256.
//!
//! The paddle engine's pack is fetched (`packaging/fetch-assets`); packs of the deepseek-ocr engine
//! are written by `dropleaf model import` and carry their model's [`Geometry`]. A formula model's
//! pack is written by its user: [`Formula`].

mod formula;
mod operators;

pub use formula::{Fit, Formula};
pub use operators::{CACHE_8_HEAD_DIMS, CACHE_BLOCK, EIGHT, HEAD_DIMS, OPERATORS};

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

/// Name of the manifest in a pack's folder.
pub const MANIFEST: &str = "pack.toml";
/// The engine of packs that carry a [`Geometry`].
pub const DEEPSEEK_OCR: &str = "deepseek-ocr";
/// What packs of a formula model, which carry a [`Formula`], name as their engine.
pub const FORMULA: &str = "formula";

/// `pack.toml` as it stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    pub name: String,
    /// The engine that reads with it.
    pub engine: String,
    #[serde(default)]
    pub licence: String,
    /// Files by the role they play.
    pub files: BTreeMap<String, PackFile>,
    /// Of packs of the engine [`DEEPSEEK_OCR`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deepseek: Option<Geometry>,
    /// Of packs of a formula model ([`FORMULA`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<Formula>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackFile {
    /// A plain name in the pack's folder.
    pub file: String,
    /// Hexadecimal.
    pub sha256: String,
}

/// Type in which a pack's weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    Bf16,
    F32,
}

/// The measures of a DeepSeek-OCR model that the host needs around its graphs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    pub dtype: Storage,
    /// Width of the decoder, and of a row of image embeddings.
    pub hidden: usize,
    /// Layers of the decoder: each has its key and its value cache.
    pub layers: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// Rows of the embedding table; token ids are below.
    pub vocabulary: usize,
    /// Most tokens of a sequence, prompt included.
    pub max_positions: usize,
    pub experts: usize,
    pub experts_per_token: usize,
    /// Tokens in one block of the cache.
    pub block_tokens: usize,
    /// Side of the global view, in pixels.
    pub base_side: usize,
    /// Side of a tile, in pixels.
    pub tile_side: usize,
    /// Fewest and most tiles of a page that has tiles.
    pub min_tiles: usize,
    pub max_tiles: usize,
    /// Pixels of a view's side per image token.
    pub view_stride: usize,
    /// Pixels of a view's side per patch of SAM.
    pub sam_patch: usize,
    pub sam_width: usize,
    /// Number of SAM's layers with global attention.
    pub sam_global_layers: usize,
    pub sam_head_dim: usize,
    pub clip_width: usize,
    /// Token ids.
    pub bos: u32,
    pub eos: u32,
}

impl Geometry {
    /// What contradicts itself, if anything does.
    pub fn fault(&self) -> Option<&'static str> {
        let sizes = [
            self.hidden,
            self.layers,
            self.heads,
            self.head_dim,
            self.vocabulary,
            self.max_positions,
            self.experts,
            self.experts_per_token,
            self.block_tokens,
            self.base_side,
            self.tile_side,
            self.min_tiles,
            self.view_stride,
            self.sam_patch,
            self.sam_width,
            self.sam_head_dim,
            self.clip_width,
        ];
        let multiple = |side: usize| side.is_multiple_of(self.view_stride);
        if sizes.contains(&0) {
            Some("a size under [deepseek] is 0")
        } else if !PATCHES.contains(&self.sam_patch) {
            Some("sam_patch must be 8 to 64")
        } else if self.max_tiles > MOST_TILES {
            Some("max_tiles must be 64 at most")
        } else if self.min_tiles > self.max_tiles {
            Some("min_tiles is above max_tiles")
        } else if !multiple(self.base_side) || !multiple(self.tile_side) {
            Some("base_side and tile_side must be multiples of view_stride")
        } else if self.bos as usize >= self.vocabulary || self.eos as usize >= self.vocabulary {
            Some("bos and eos must be below vocabulary")
        } else if self.experts_per_token > self.experts {
            Some("experts_per_token is above experts")
        } else {
            None
        }
    }
}

/// A pack whose manifest was read and whose files exist; their bytes are checked by [`Pack::verify`].
#[derive(Clone, Debug)]
pub struct Pack {
    pub folder: PathBuf,
    pub name: String,
    pub engine: String,
    pub licence: String,
    /// There in every pack of the engine [`DEEPSEEK_OCR`].
    pub deepseek: Option<Geometry>,
    /// There in every pack of a formula model ([`FORMULA`]).
    pub formula: Option<Formula>,
    files: BTreeMap<String, PackFile>,
}

/// Sides of patches in pixels; the published one is 16. A side of 1 would make position tables of
/// gigabytes.
const PATCHES: std::ops::RangeInclusive<usize> = 8..=64;
/// Tiles of a page; the published code has 6 at most (or 9).
const MOST_TILES: usize = 64;

const FETCH: &str = "run packaging/fetch-assets";
const IMPORT: &str = "import the checkpoint again: dropleaf model import DIR --force";
/// What to do about a formula model's pack that is not as it should be.
pub const COMPLETE: &str = "complete the pack as the README says under \"With a formula model\", or set paddle.formula = \"\"";

fn hint(engine: &str) -> &'static str {
    match engine {
        DEEPSEEK_OCR => IMPORT,
        FORMULA => COMPLETE,
        _ => FETCH,
    }
}

impl Pack {
    /// Reads `folder/pack.toml` for `engine`.
    pub fn open(folder: &Path, engine: &str) -> Result<Self, PackError> {
        let pack = Self::read(folder, hint(engine))?;
        if pack.engine != engine {
            let setting = match engine {
                FORMULA => "paddle.formula",
                _ => "engine.model",
            };
            return Err(PackError {
                what: format!("model pack {}", folder.join(MANIFEST).display()),
                why: format!("it is for the engine \"{}\", not \"{engine}\"", pack.engine),
                hint: format!("set {setting} to another folder of models/"),
            });
        }
        Ok(pack)
    }

    /// Reads `folder/pack.toml` for whichever engine it is.
    pub fn open_any(folder: &Path) -> Result<Self, PackError> {
        Self::read(folder, FETCH)
    }

    fn read(folder: &Path, absent: &str) -> Result<Self, PackError> {
        let path = folder.join(MANIFEST);
        let fail = |why: String, hint: &str| PackError {
            what: format!("model pack {}", path.display()),
            why,
            hint: hint.into(),
        };
        let text = std::fs::read_to_string(&path).map_err(|e| fail(e.to_string(), absent))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|e| fail(e.to_string(), absent))?;
        let hint = hint(&manifest.engine);
        if manifest.schema > SCHEMA {
            return Err(fail(
                format!(
                    "schema {} is newer than this version reads ({SCHEMA})",
                    manifest.schema
                ),
                "update dropleaf",
            ));
        }
        if manifest.engine == DEEPSEEK_OCR && manifest.deepseek.is_none() {
            return Err(fail("the table [deepseek] is missing".into(), hint));
        }
        if let Some(fault) = manifest.deepseek.as_ref().and_then(Geometry::fault) {
            return Err(fail(fault.into(), hint));
        }
        if manifest.engine == FORMULA && manifest.formula.is_none() {
            return Err(fail("the table [formula] is missing".into(), hint));
        }
        if let Some(fault) = manifest.formula.as_ref().and_then(Formula::fault) {
            return Err(fail(fault, hint));
        }
        for f in manifest.files.values() {
            if f.file.contains(['/', '\\']) || f.file.starts_with('.') {
                return Err(fail(
                    format!("\"{}\" is not a plain file name", f.file),
                    hint,
                ));
            }
            if !folder.join(&f.file).is_file() {
                return Err(fail(format!("{} is missing", f.file), hint));
            }
        }
        Ok(Self {
            folder: folder.into(),
            name: manifest.name,
            engine: manifest.engine,
            licence: manifest.licence,
            deepseek: manifest.deepseek,
            formula: manifest.formula,
            files: manifest.files,
        })
    }

    /// The files' paths, by role.
    pub fn files(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.files
            .iter()
            .map(|(role, f)| (role.as_str(), self.folder.join(&f.file)))
    }

    /// The path of the file that plays `role`.
    pub fn file(&self, role: &str) -> Result<PathBuf, PackError> {
        self.files
            .get(role)
            .map(|f| self.folder.join(&f.file))
            .ok_or_else(|| PackError {
                what: format!("model pack {}", self.folder.display()),
                why: format!("it names no file for \"{role}\""),
                hint: hint(&self.engine).into(),
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

    fn repair(&self) -> String {
        match &*self.engine {
            DEEPSEEK_OCR => IMPORT.into(),
            FORMULA => {
                "copy the file anew, or write its own sha256 (sha256sum FILE) into pack.toml".into()
            }
            _ => format!("{FETCH} --verify"),
        }
    }

    /// Reads every file and compares its sha256 with the manifest's.
    pub fn verify(&self) -> Result<(), PackError> {
        for f in self.files.values() {
            let path = self.folder.join(&f.file);
            let config = |why: String| PackError {
                what: path.display().to_string(),
                why,
                hint: self.repair(),
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

    fn geometry() -> Geometry {
        Geometry {
            dtype: Storage::Bf16,
            hidden: 64,
            layers: 3,
            heads: 2,
            head_dim: 32,
            vocabulary: 448,
            max_positions: 8192,
            experts: 8,
            experts_per_token: 3,
            block_tokens: 256,
            base_side: 1024,
            tile_side: 640,
            min_tiles: 2,
            max_tiles: 6,
            view_stride: 64,
            sam_patch: 16,
            sam_width: 64,
            sam_global_layers: 2,
            sam_head_dim: 16,
            clip_width: 64,
            bos: 0,
            eos: 1,
        }
    }

    #[test]
    fn a_geometry_comes_back_as_it_was_written_and_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let write = |deepseek: Option<Geometry>| {
            let manifest = Manifest {
                schema: SCHEMA,
                name: "m".into(),
                engine: DEEPSEEK_OCR.into(),
                licence: "MIT".into(),
                files: BTreeMap::new(),
                deepseek,
                formula: None,
            };
            std::fs::write(
                dir.path().join(MANIFEST),
                toml::to_string(&manifest).unwrap(),
            )
            .unwrap();
            Pack::open(dir.path(), DEEPSEEK_OCR)
        };
        let good = geometry();
        assert_eq!(write(Some(good.clone())).unwrap().deepseek, Some(good));
        assert!(write(None).unwrap_err().why.contains("[deepseek]"));
        let bad: [fn(&mut Geometry); 4] = [
            |g| g.heads = 0,
            |g| g.tile_side = 650,
            |g| g.eos = 448,
            |g| g.experts_per_token = 9,
        ];
        for spoil in bad {
            let mut g = geometry();
            spoil(&mut g);
            assert!(write(Some(g)).unwrap_err().hint.contains("model import"));
        }
    }
}
