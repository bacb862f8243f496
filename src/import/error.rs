//! Why a checkpoint does not become a pack: file, cause, what to do.

use std::path::{Path, PathBuf};

use crate::durable::FileError;

/// A checkpoint that cannot be imported, or a pack that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file of the checkpoint (or the folder itself) that cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        path: PathBuf,
        why: String,
        hint: String,
    },
    #[error("{}: the tensor \"{name}\" is missing (shape {})", folder.display(), shown(expected))]
    Missing {
        folder: PathBuf,
        name: String,
        expected: Vec<u64>,
    },
    #[error("{}: the tensor \"{name}\" is missing", folder.display())]
    Absent { folder: PathBuf, name: String },
    #[error(
        "{}: the tensor \"{name}\" has the shape {}, config.json asks for {}",
        path.display(), shown(found), shown(expected)
    )]
    Shape {
        path: PathBuf,
        name: String,
        found: Vec<u64>,
        expected: Vec<u64>,
    },
    #[error("{}: the model has no use for {}", folder.display(), listed(names))]
    Extra { folder: PathBuf, names: Vec<String> },
    /// A pack of that name is there already.
    #[error("{}: a model pack is there already", path.display())]
    Exists { path: PathBuf },
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    Space {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    /// A fault of this program.
    #[error("{0}")]
    Bug(String),
    /// Withdrawn before it was done.
    #[error("stopped; nothing was written")]
    Cancelled,
    #[error(transparent)]
    Write(#[from] FileError),
}

impl ImportError {
    pub(super) fn file(path: &Path, why: impl ToString, hint: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            why: why.to_string(),
            hint: hint.to_string(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { hint, .. } => hint,
            Self::Missing { .. } | Self::Absent { .. } | Self::Shape { .. } => {
                "config.json and the *.safetensors files must be of one checkpoint: download it anew"
            }
            Self::Extra { .. } => {
                "this is a checkpoint of another model or version; only DeepSeek-OCR is known"
            }
            Self::Exists { .. } => "choose another --name, or replace it with --force",
            Self::Space { .. } => "make room, or point folders.data to a larger disk",
            Self::Bug(_) => "this is a fault of dropleaf: please report it",
            Self::Cancelled | Self::Write(_) => return None,
        };
        Some(hint.into())
    }
}

fn shown(shape: &[u64]) -> String {
    let dims: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("[{}]", dims.join(", "))
}

/// Names for one line: the first few, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = format!("{} of its tensors: ", names.len());
    text.push_str(&names[..names.len().min(SHOWN)].join(", "));
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
