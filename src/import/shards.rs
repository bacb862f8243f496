//! The safetensors files of a checkpoint: which tensors there are, and their bytes piece by piece.
//!
//! Headers are read and checked in full before anything else; tensors are read only in the pieces
//! that are asked for, into the caller's buffer. The files are untrusted: nothing is allocated by a
//! size that they merely claim. Format: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::error::ImportError;

/// Largest header that is read, in bytes. DeepSeek-OCR's 2,710 tensors take 0.3 MB; the format's
/// own limit, 100 MB, would cost a gigabyte to parse.
const MAX_HEADER: u64 = 16 << 20;
const HINT: &str = "the file is damaged or not of this model: download it anew";

/// Type of a checkpoint's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Bf16,
    F16,
    F32,
}

impl Source {
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// A tensor of a checkpoint (row-major).
#[derive(Clone, Debug)]
pub struct Tensor {
    pub source: Source,
    pub shape: Vec<u64>,
    shard: usize,
    /// Bytes from the start of the file.
    offset: u64,
}

struct Shard {
    path: PathBuf,
    file: File,
}

/// Every tensor of a checkpoint, by name.
pub struct Shards {
    folder: PathBuf,
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Tensor>,
}

impl Shards {
    /// Reads the headers of `files`, plain names in `folder`.
    /// A tensor that two files hold is an error.
    pub fn open(folder: &Path, files: &[String]) -> Result<Self, ImportError> {
        let mut all = Self {
            folder: folder.into(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
        };
        for name in files {
            let path = folder.join(name);
            let (file, metadata, data) = header(&path)?;
            for (name, info) in metadata.tensors() {
                let source = match info.dtype {
                    Dtype::BF16 => Source::Bf16,
                    Dtype::F16 => Source::F16,
                    Dtype::F32 => Source::F32,
                    other => {
                        return Err(ImportError::file(
                            &path,
                            format!("the tensor \"{name}\" holds {other} numbers"),
                            "only bfloat16, float16 and float32 checkpoints can be imported",
                        ));
                    }
                };
                let tensor = Tensor {
                    source,
                    shape: info.shape.iter().map(|&n| n as u64).collect(),
                    shard: all.shards.len(),
                    offset: data + info.data_offsets.0 as u64,
                };
                if let Some(first) = all.tensors.insert(name.clone(), tensor) {
                    let other = all.shards[first.shard].path.display();
                    return Err(ImportError::file(
                        &path,
                        format!("the tensor \"{name}\" is in {other} too"),
                        "remove the files that are not of this checkpoint",
                    ));
                }
            }
            all.shards.push(Shard { path, file });
        }
        Ok(all)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The file that holds `tensor`.
    pub fn path(&self, tensor: &Tensor) -> &Path {
        &self.shards[tensor.shard].path
    }

    /// Reads the bytes of `tensor` from element `first` on until `bytes` is full.
    pub fn read(&self, tensor: &Tensor, first: u64, bytes: &mut [u8]) -> Result<(), ImportError> {
        let shard = &self.shards[tensor.shard];
        shard
            .file
            .read_exact_at(bytes, tensor.offset + first * tensor.source.bytes())
            .map_err(|e| ImportError::file(&shard.path, e, HINT))
    }
}

/// Reads and checks one file's header; also where its tensors' bytes begin.
fn header(path: &Path) -> Result<(File, Metadata, u64), ImportError> {
    let fail = |why: String| ImportError::file(path, why, HINT);
    // Looked at before it is opened: opening a named pipe would wait.
    let meta = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !meta.is_file() {
        return Err(fail("it is not a regular file".into()));
    }
    let length = meta.len();
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut size = [0; 8];
    file.read_exact_at(&mut size, 0)
        .map_err(|_| fail("it is too short for a safetensors file".into()))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER {
        return Err(fail(format!(
            "its header claims {size} bytes, more than {MAX_HEADER}"
        )));
    }
    let data = 8 + size;
    if data > length {
        return Err(fail(format!(
            "it is cut off: the header takes {data} bytes, the file has {length}"
        )));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 8)
        .map_err(|e| fail(e.to_string()))?;
    // Also checks that the tensors' bytes follow one another without gap or overlap.
    let metadata: Metadata = serde_json::from_slice(&bytes)
        .map_err(|e| fail(format!("its header is not of a safetensors file: {e}")))?;
    let end = data.saturating_add(metadata.data_len() as u64);
    if end != length {
        let what = if end > length { "cut off" } else { "too long" };
        return Err(fail(format!(
            "it is {what}: the header speaks of {end} bytes, the file has {length}"
        )));
    }
    Ok((file, metadata, data))
}
