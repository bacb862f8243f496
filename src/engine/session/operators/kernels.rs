//! The translated kernels that stand beside this file, each loaded when a graph first needs it.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

use super::driver::{Kernel, Module};

/// Kernels of one file, loaded at most once, and each got from it at most once: what is granted to a
/// kernel holds for all who use it.
struct File {
    ptx: &'static str,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    module: Option<Module>,
    kernels: Vec<(&'static CStr, Arc<Kernel>)>,
}

/// The text of a `.ptx` file, with the zero that ends it for the driver.
macro_rules! file {
    ($name:literal) => {
        File {
            ptx: concat!(include_str!(concat!("kernels/", $name, ".ptx")), "\0"),
            loaded: Mutex::new(Loaded {
                module: None,
                kernels: Vec::new(),
            }),
        }
    };
}

static NORM: File = file!("norm");
static GELU: File = file!("gelu");
static NEIGHBOURS: File = file!("neighbours");
static ATTENTION_16: File = file!("attention_16");
static ATTENTION_64: File = file!("attention_64");
static PAGED_ATTENTION8_32: File = file!("paged_attention8_32");
static PAGED_ATTENTION8_64: File = file!("paged_attention8_64");
static PAGED_ATTENTION8_128: File = file!("paged_attention8_128");

impl File {
    fn kernel(&self, name: &'static CStr) -> Result<Arc<Kernel>, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kernel)) = loaded.kernels.iter().find(|(of, _)| *of == name) {
            return Ok(Arc::clone(kernel));
        }
        let module = match &mut loaded.module {
            Some(module) => module,
            empty => {
                let ptx = CStr::from_bytes_until_nul(self.ptx.as_bytes());
                empty.insert(Module::load(ptx.map_err(|e| e.to_string())?)?)
            }
        };
        let kernel = Arc::new(module.kernel(name)?);
        loaded.kernels.push((name, Arc::clone(&kernel)));
        Ok(kernel)
    }
}

pub fn norm() -> Result<Arc<Kernel>, String> {
    NORM.kernel(c"layer_norm")
}

pub fn gelu(name: &'static CStr) -> Result<Arc<Kernel>, String> {
    GELU.kernel(name)
}

pub fn neighbours() -> Result<Arc<Kernel>, String> {
    NEIGHBOURS.kernel(c"neighbours")
}

/// A kernel of attention with heads of `dim` elements.
pub fn attention(dim: usize, name: &'static CStr) -> Result<Arc<Kernel>, String> {
    match dim {
        16 => ATTENTION_16.kernel(name),
        64 => ATTENTION_64.kernel(name),
        _ => Err(format!("there is no kernel for heads of {dim} elements")),
    }
}

/// A kernel of attention over a cache of 8 bits with heads of `dim` elements.
pub fn paged_attention8(dim: usize, name: &'static CStr) -> Result<Arc<Kernel>, String> {
    match dim {
        32 => PAGED_ATTENTION8_32.kernel(name),
        64 => PAGED_ATTENTION8_64.kernel(name),
        128 => PAGED_ATTENTION8_128.kernel(name),
        _ => Err(format!(
            "there is no kernel for a cache of 8 bits with heads of {dim} elements"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::durable;

    /// What `packaging/make-kernels` writes into each file's first line.
    #[test]
    fn the_translations_are_of_these_sources() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/session/operators/kernels");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let common = read("common.cuh");
        for (file, source, options) in [
            (&NORM, "norm.cu", ""),
            (&GELU, "gelu.cu", ""),
            (&NEIGHBOURS, "neighbours.cu", ""),
            (&ATTENTION_16, "attention.cu", "-DDIM=16"),
            (&ATTENTION_64, "attention.cu", "-DDIM=64"),
            (&PAGED_ATTENTION8_32, "paged_attention8.cu", "-DDIM=32"),
            (&PAGED_ATTENTION8_64, "paged_attention8.cu", "-DDIM=64"),
            (&PAGED_ATTENTION8_128, "paged_attention8.cu", "-DDIM=128"),
        ] {
            let include = "#include \"common.cuh\"";
            let text = read(source);
            assert!(text.contains(include));
            let made_from = format!("{options}{}", text.replace(include, &common));
            let hash = |text: &str| durable::hex(&Sha256::digest(text.as_bytes()));
            let (first, body) = file.ptx.split_once('\n').unwrap();
            let (made_from, body) = (hash(&made_from), hash(body.trim_end_matches('\0')));
            let said = format!("// Made by packaging/make-kernels from {made_from}: {body}");
            assert_eq!(first, said, "{source}");
        }
    }

    #[test]
    fn the_kernels_have_the_names_by_which_they_are_asked_for() {
        let paged = &["cache_keys_values", "attend_few", "attend_many"];
        for (file, names) in [
            (&PAGED_ATTENTION8_32, &paged[..]),
            (&PAGED_ATTENTION8_64, paged),
            (&PAGED_ATTENTION8_128, paged),
            (&NORM, &["layer_norm"][..]),
            (&GELU, &["bias_gelu", "bias_quick_gelu"]),
            (&NEIGHBOURS, &["neighbours"]),
            (&ATTENTION_16, &["attention", "relative_attention"]),
            (
                &ATTENTION_64,
                &[
                    "attention",
                    "relative_attention",
                    "relative_attention_14",
                    "relative_attention_40",
                    "relative_attention_64",
                ],
            ),
        ] {
            for name in names {
                assert!(file.ptx.contains(&format!(".entry {name}(")), "{name}");
            }
            assert!(file.ptx.contains(".target sm_80"));
        }
    }
}
