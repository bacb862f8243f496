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

#[cfg(test)]
mod tests {
    use super::super::testing::{Made, made, write};
    use super::*;

    /// A file of the claimed header length, the header and `data` bytes, sparse.
    fn raw(path: &Path, claimed: u64, header: &str, data: u64) {
        let mut bytes = claimed.to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        std::fs::write(path, &bytes).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(bytes.len() as u64 + data).unwrap();
    }

    fn open(folder: &Path, files: &[&str]) -> Result<Shards, ImportError> {
        let files: Vec<String> = files.iter().map(|&f| f.into()).collect();
        Shards::open(folder, &files)
    }

    #[test]
    fn damaged_and_hostile_headers_are_refused_with_the_file_and_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = |shape: &str, from: u64, to: u64| {
            format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
        };
        let one = |t: String| format!("{{\"a\":{t}}}");
        let two = |a: String, b: String| format!("{{\"a\":{a},\"b\":{b}}}");
        let most = u64::MAX.to_string();
        // Header, its claimed length if that is a lie, bytes behind it, words of the message.
        let cases: [(String, Option<u64>, u64, &str); 14] = [
            (
                "{}".into(),
                Some(2 << 30),
                3 << 30,
                "claims 2147483648 bytes",
            ),
            ("{}".into(), Some(u64::MAX), 0, "claims"),
            ("{}".into(), Some(1000), 0, "cut off"),
            (one(tensor("[4]", 0, 16)), None, 15, "cut off"),
            (one(tensor("[4]", 0, 16)), None, 17, "too long"),
            (one(tensor("[5]", 0, 16)), None, 16, "not of a safetensors"),
            (one(tensor("[4]", 16, 0)), None, 16, "not of a safetensors"),
            (one(tensor("[4]", 4, 20)), None, 20, "not of a safetensors"),
            (one(tensor("[-4]", 0, 16)), None, 16, "not of a safetensors"),
            (
                one(tensor(&format!("[{most},{most}]"), 0, 16)),
                None,
                16,
                "not of a safetensors",
            ),
            (
                two(tensor("[4]", 0, 16), tensor("[4]", 8, 24)),
                None,
                24,
                "not of a safetensors",
            ),
            (
                one(tensor("[4]", 0, 16)).replace("F32", "I8"),
                None,
                16,
                "not of a safetensors",
            ),
            ("x".repeat(64), None, 0, "not of a safetensors"),
            ("[".repeat(100_000), None, 0, "not of a safetensors"),
        ];
        for (i, (header, claimed, data, words)) in cases.into_iter().enumerate() {
            let path = dir.path().join("a.safetensors");
            raw(&path, claimed.unwrap_or(header.len() as u64), &header, data);
            let e = open(dir.path(), &["a.safetensors"]).err().unwrap();
            let text = e.to_string();
            assert!(text.contains("a.safetensors: "), "{i}: {text}");
            assert!(text.contains(words), "{i}: {text}");
            assert!(e.hint().is_some());
        }
        std::fs::write(dir.path().join("b.safetensors"), b"abc").unwrap();
        std::fs::create_dir(dir.path().join("c.safetensors")).unwrap();
        for (file, words) in [
            ("b.safetensors", "too short"),
            ("c.safetensors", "not a regular file"),
            ("d.safetensors", "No such file"),
        ] {
            let text = open(dir.path(), &[file]).err().unwrap().to_string();
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_named_pipe_does_not_stop_the_import() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(open(dir.path(), &["a.safetensors"]).is_err());
    }

    #[test]
    fn a_tensor_in_two_files_and_another_type_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = |name: &str, made| Made {
            name: name.into(),
            ..made
        };
        let a = tensor("a", made(Dtype::F32, &[2], |i| i as f32));
        write(&dir.path().join("1.safetensors"), std::slice::from_ref(&a));
        write(&dir.path().join("2.safetensors"), &[a]);
        let text = open(dir.path(), &["1.safetensors", "2.safetensors"])
            .err()
            .unwrap()
            .to_string();
        assert!(
            text.contains("\"a\" is in") && text.contains("1.safetensors too"),
            "{text}"
        );
        let wide = Made {
            dtype: Dtype::F64,
            bytes: vec![0; 16],
            ..tensor("b", made(Dtype::F32, &[2], |_| 0.0))
        };
        write(&dir.path().join("3.safetensors"), &[wide]);
        let text = open(dir.path(), &["3.safetensors"])
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("\"b\" holds F64"), "{text}");
    }
}
