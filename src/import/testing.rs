//! Checkpoints for tests: small, made on the spot.

use std::borrow::Cow;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, View};

use super::plan::Plan;
use super::shards::Shards;

/// A tensor of a file.
#[derive(Clone)]
pub struct Made {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl View for &Made {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        (&self.bytes).into()
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A tensor without a name, of the values by row-major index.
pub fn made(dtype: Dtype, shape: &[usize], value: impl Fn(usize) -> f32) -> Made {
    let bytes = (0..shape.iter().product())
        .flat_map(|i| match dtype {
            Dtype::BF16 => bf16::from_f32(value(i)).to_le_bytes().to_vec(),
            Dtype::F16 => f16::from_f32(value(i)).to_le_bytes().to_vec(),
            _ => value(i).to_le_bytes().to_vec(),
        })
        .collect();
    Made {
        name: String::new(),
        dtype,
        shape: shape.into(),
        bytes,
    }
}

pub fn write(path: &Path, tensors: &[Made]) {
    let named = tensors.iter().map(|t| (t.name.clone(), t));
    safetensors::serialize_to_file(named, None, path).unwrap();
}

/// A plan over one file of these tensors.
pub fn plan(folder: &Path, dtype: super::graph::DType, tensors: &[(&str, Made)]) -> Plan {
    let tensors: Vec<Made> = tensors
        .iter()
        .map(|(name, t)| Made {
            name: (*name).into(),
            ..t.clone()
        })
        .collect();
    write(&folder.join("model.safetensors"), &tensors);
    Plan::new(
        Shards::open(folder, &["model.safetensors".into()]).unwrap(),
        dtype,
    )
}
