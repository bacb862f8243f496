//! A set of reference values: a folder with `reference.json` (the cases, how they were read),
//! `reference.safetensors` (what was computed), the cases' images, and the views of some as PNG.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::engine::deepseek::guard::Rule;
use crate::engine::deepseek::preprocess::View;
use crate::pack::Geometry;
use crate::page::PageImage;

/// Bound on `max_crops`, well above any published one: each tile takes memory.
const MAX_TILES: usize = 64;

/// Why a set cannot be compared with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct SetError {
    pub what: String,
    pub why: String,
}

/// `reference.json`. What it does not say is as in the pack.
#[derive(Deserialize)]
struct Stated {
    prompt: String,
    ngram: Option<Ngram>,
    bos: Option<u32>,
    eos: Option<u32>,
    base_size: Option<usize>,
    image_size: Option<usize>,
    min_crops: Option<usize>,
    max_crops: Option<usize>,
    cases: BTreeMap<String, StatedCase>,
}

#[derive(Deserialize)]
struct Ngram {
    size: usize,
    window: usize,
    #[serde(default)]
    whitelist: Vec<String>,
}

#[derive(Deserialize)]
struct StatedCase {
    image: PathBuf,
}

/// A set whose files were read.
pub struct Set {
    folder: PathBuf,
    stated: Stated,
    bytes: Vec<u8>,
}

impl Set {
    pub fn open(folder: &Path) -> Result<Self, SetError> {
        let path = folder.join("reference.json");
        let fault = |path: &Path, why: String| SetError {
            what: path.display().to_string(),
            why,
        };
        let text = std::fs::read(&path).map_err(|e| fault(&path, e.to_string()))?;
        let stated: Stated =
            serde_json::from_slice(&text).map_err(|e| fault(&path, e.to_string()))?;
        for (name, case) in &stated.cases {
            let inside = |c| matches!(c, Component::Normal(_) | Component::CurDir);
            if !case.image.components().all(inside) {
                let why = format!(
                    "the image of \"{name}\" is not in the set: {}",
                    case.image.display()
                );
                return Err(fault(&path, why));
            }
        }
        let path = folder.join("reference.safetensors");
        let bytes = std::fs::read(&path).map_err(|e| fault(&path, e.to_string()))?;
        SafeTensors::deserialize(&bytes).map_err(|e| fault(&path, e.to_string()))?;
        Ok(Self {
            folder: folder.into(),
            stated,
            bytes,
        })
    }

    pub fn prompt(&self) -> &str {
        &self.stated.prompt
    }

    /// Names of the cases.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.stated.cases.keys().map(String::as_str)
    }

    /// The n-gram rule of the recorded tokens, and the tokens that it lets repeat.
    pub fn rule(&self) -> Option<(Rule, &[String])> {
        let ngram = self.stated.ngram.as_ref()?;
        let rule = Rule {
            size: ngram.size,
            window: ngram.window,
        };
        Some((rule, &ngram.whitelist))
    }

    /// The pack's measures with the set's own sizes of views.
    pub fn geometry(&self, pack: &Geometry) -> Result<Geometry, SetError> {
        let mut geometry = pack.clone();
        let stated = &self.stated;
        for (to, from) in [
            (&mut geometry.base_side, stated.base_size),
            (&mut geometry.tile_side, stated.image_size),
            (&mut geometry.min_tiles, stated.min_crops),
            (&mut geometry.max_tiles, stated.max_crops),
        ] {
            *to = from.unwrap_or(*to);
        }
        for (to, from) in [
            (&mut geometry.bos, stated.bos),
            (&mut geometry.eos, stated.eos),
        ] {
            *to = from.unwrap_or(*to);
        }
        let fault = |why: String| SetError {
            what: self.folder.join("reference.json").display().to_string(),
            why,
        };
        if (geometry.bos, geometry.eos) != (pack.bos, pack.eos) {
            return Err(fault(format!(
                "its answers begin with the token {} and end with {}, the pack's with {} and {}: it \
                 is a set of another model",
                geometry.bos, geometry.eos, pack.bos, pack.eos
            )));
        }
        if geometry.max_tiles > MAX_TILES {
            return Err(fault(format!("more than {MAX_TILES} tiles")));
        }
        match geometry.fault() {
            Some(why) => Err(fault(why.into())),
            None => Ok(geometry),
        }
    }

    pub fn image(&self, case: &str) -> Result<PageImage, SetError> {
        let file = self.stated.cases.get(case).map(|c| c.image.as_path());
        let path = self.folder.join(file.unwrap_or(Path::new(case)));
        let (width, height, rgb) = picture(&path)?;
        PageImage::new(width, height, rgb, 144.0).ok_or_else(|| SetError {
            what: path.display().to_string(),
            why: "the image is empty".into(),
        })
    }

    /// A view as the set has it, `None` where it has none.
    pub fn view(&self, name: &str) -> Result<Option<View>, SetError> {
        let path = self.folder.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let (width, height, rgb) = picture(&path)?;
        if width != height {
            return Err(SetError {
                what: path.display().to_string(),
                why: format!("a view is a square, this is {width} x {height}"),
            });
        }
        Ok(Some(View { side: width, rgb }))
    }

    pub fn values(&self) -> Result<Values<'_>, SetError> {
        let path = self.folder.join("reference.safetensors");
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| SetError {
            what: path.display().to_string(),
            why: e.to_string(),
        })?;
        Ok(Values {
            tensors,
            path,
            asked: RefCell::default(),
        })
    }
}

fn picture(path: &Path) -> Result<(u32, u32, Vec<u8>), SetError> {
    let picture = image::open(path).map_err(|e| SetError {
        what: path.display().to_string(),
        why: e.to_string(),
    })?;
    let rgb = picture.to_rgb8();
    Ok((rgb.width(), rgb.height(), rgb.into_raw()))
}

/// The recorded values; notes which were asked for.
pub struct Values<'a> {
    tensors: SafeTensors<'a>,
    path: PathBuf,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Values<'a> {
    /// `None` where the set leaves it out.
    pub fn f32(&self, name: &str) -> Result<Option<Vec<f32>>, SetError> {
        let bytes = self.bytes(name, Dtype::F32)?;
        Ok(bytes.map(|bytes| {
            let (values, _) = bytes.as_chunks::<4>();
            values.iter().map(|&v| f32::from_le_bytes(v)).collect()
        }))
    }

    /// `None` where the set leaves it out.
    pub fn i64(&self, name: &str) -> Result<Option<Vec<i64>>, SetError> {
        let bytes = self.bytes(name, Dtype::I64)?;
        Ok(bytes.map(|bytes| {
            let (values, _) = bytes.as_chunks::<8>();
            values.iter().map(|&v| i64::from_le_bytes(v)).collect()
        }))
    }

    pub fn fault(&self, name: &str, why: String) -> SetError {
        SetError {
            what: format!("{}: \"{name}\"", self.path.display()),
            why,
        }
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<Option<&'a [u8]>, SetError> {
        self.asked.borrow_mut().insert(name.to_owned());
        let Ok(tensor) = self.tensors.tensor(name) else {
            return Ok(None);
        };
        if tensor.dtype() != dtype {
            let why = format!("its type is {:?}, not {dtype:?}", tensor.dtype());
            return Err(self.fault(name, why));
        }
        Ok(Some(tensor.data()))
    }

    /// Values that nobody asked for.
    pub fn unasked(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let mut names: Vec<String> = self
            .tensors
            .names()
            .into_iter()
            .filter(|name| !asked.contains(*name))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }
}
