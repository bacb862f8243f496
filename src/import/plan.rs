//! What stands where in a pack's data file.
//!
//! Graph builders ask a [`Plan`] for the checkpoint's tensors, in the layout that their nodes want,
//! and get a [`Stored`] whose place is final. The same request made again, by another graph, gets
//! the same place. Nothing is copied here: [`super::weights`] does that, by the finished plan.
//!
//! Invariant: every tensor of the checkpoint is asked for, as a weight, as [`Plan::values`] or as
//! [`Plan::unused`]; [`Plan::finish`] fails otherwise. Places are aligned to [`ALIGNMENT`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};

use super::error::ImportError;
use super::graph::{DType, Stored};
use super::shards::{Shards, Source, Tensor};

/// Places in the data file are multiples of this: a page, so that files can be mapped.
pub const ALIGNMENT: u64 = 4096;

/// Rows (of the first dimension) of a checkpoint's tensor, whose whole shape is `shape`, and of these
/// rows some columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    pub name: String,
    pub shape: Vec<u64>,
    pub rows: Range<u64>,
    /// All but those of [`Self::columns`] have every column.
    pub columns: Range<u64>,
}

impl Part {
    pub fn whole(name: impl Into<String>, shape: &[u64]) -> Self {
        Self::rows(name, shape, 0..shape.first().copied().unwrap_or(1))
    }

    pub fn rows(name: impl Into<String>, shape: &[u64], rows: Range<u64>) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            rows,
            columns: 0..width(shape),
        }
    }

    /// Some columns of every row; for [`Plan::stacked`] alone.
    pub fn columns(name: impl Into<String>, shape: &[u64], columns: Range<u64>) -> Self {
        Self {
            columns,
            ..Self::whole(name, shape)
        }
    }

    /// Elements of one row of the tensor.
    pub fn width(&self) -> u64 {
        width(&self.shape)
    }

    /// Elements of all rows and columns of this part.
    pub fn elements(&self) -> u64 {
        self.count() * (self.columns.end - self.columns.start)
    }

    /// Whether each of its rows is a whole row of the tensor.
    pub fn has_whole_rows(&self) -> bool {
        self.columns == (0..self.width())
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// Elements of one row of a tensor of this shape.
fn width(shape: &[u64]) -> u64 {
    shape.iter().skip(1).product()
}

/// How a stored tensor is made of parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One part after the other.
    Stacked(Vec<Part>),
    /// Of each pair, rows in turn: the first of one, the first of the other, the second of one...
    Interleaved(Vec<(Part, Part)>),
    /// Each part `[out, in]` turned to `[in, out]`, side by side: `[in, sum of out]`.
    Transposed(Vec<Part>),
}

impl Layout {
    fn parts(&self) -> Vec<&Part> {
        match self {
            Self::Stacked(parts) | Self::Transposed(parts) => parts.iter().collect(),
            Self::Interleaved(pairs) => pairs.iter().flat_map(|(a, b)| [a, b]).collect(),
        }
    }
}

/// A tensor of the data file, and what it is made of.
#[derive(Clone, Debug)]
pub struct Piece {
    pub stored: Stored,
    pub layout: Layout,
}

/// A plan in the making.
pub struct Plan {
    shards: Shards,
    dtype: DType,
    pieces: Vec<Piece>,
    known: HashMap<Layout, Stored>,
    names: HashSet<String>,
    asked: BTreeSet<String>,
    end: u64,
}

impl Plan {
    /// Weights will be stored as `dtype`: [`DType::Bf16`] or [`DType::F32`].
    pub fn new(shards: Shards, dtype: DType) -> Self {
        Self {
            shards,
            dtype,
            pieces: Vec::new(),
            known: HashMap::new(),
            names: HashSet::new(),
            asked: BTreeSet::new(),
            end: 0,
        }
    }

    /// The type in which weights are stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A tensor as it is.
    pub fn tensor(&mut self, name: &str, shape: &[u64]) -> Result<Stored, ImportError> {
        self.reshaped(name, shape, shape)
    }

    /// A tensor of the shape `shape`, its elements unmoved, that the graph sees as `seen`.
    pub fn reshaped(
        &mut self,
        name: &str,
        shape: &[u64],
        seen: &[u64],
    ) -> Result<Stored, ImportError> {
        self.stacked(name, vec![Part::whole(name, shape)], seen)
    }

    /// Weights of linear layers of the same input, `[outputs, inputs]` in the checkpoint, turned and
    /// side by side as `MatMul` wants them: `[inputs, sum of outputs]`. `stored` names the result.
    pub fn beside(&mut self, stored: &str, parts: Vec<Part>) -> Result<Stored, ImportError> {
        let inputs = parts.first().map_or(0, Part::width);
        let outputs = parts.iter().map(Part::count).sum();
        self.place(stored, Layout::Transposed(parts), &[inputs, outputs])
    }

    /// Parts one after the other, that the graph sees as `seen`.
    pub fn stacked(
        &mut self,
        stored: &str,
        parts: Vec<Part>,
        seen: &[u64],
    ) -> Result<Stored, ImportError> {
        self.place(stored, Layout::Stacked(parts), seen)
    }

    /// Pairs one after the other, the rows of each pair in turn, that the graph sees as `seen`.
    pub fn interleaved(
        &mut self,
        stored: &str,
        pairs: Vec<(Part, Part)>,
        seen: &[u64],
    ) -> Result<Stored, ImportError> {
        self.place(stored, Layout::Interleaved(pairs), seen)
    }

    /// The checkpoint's folder.
    pub fn folder(&self) -> &Path {
        self.shards.folder()
    }

    /// The numbers of a tensor that does not go into the data file as it is (position tables).
    pub fn values(&mut self, name: &str, shape: &[u64]) -> Result<Vec<f32>, ImportError> {
        let tensor = self.ask(name, shape)?.clone();
        let count = shape.iter().product::<u64>();
        let mut bytes = vec![0; (count * tensor.source.bytes()) as usize];
        self.shards.read(&tensor, 0, &mut bytes)?;
        Ok(floats(tensor.source, &bytes))
    }

    /// A tensor that the checkpoint carries and the model never uses.
    pub fn unused(&mut self, name: &str, shape: &[u64]) -> Result<(), ImportError> {
        self.ask(name, shape).map(|_| ())
    }

    /// Ends the plan; a tensor of the checkpoint that nobody asked for is an error.
    pub fn finish(self) -> Result<Finished, ImportError> {
        let names: Vec<String> = self
            .shards
            .names()
            .filter(|n| !self.asked.contains(*n))
            .map(str::to_owned)
            .collect();
        if !names.is_empty() {
            return Err(ImportError::Extra {
                folder: self.shards.folder().into(),
                names,
            });
        }
        Ok(Finished {
            length: self.end,
            pieces: self.pieces,
            shards: self.shards,
        })
    }

    fn place(&mut self, name: &str, layout: Layout, seen: &[u64]) -> Result<Stored, ImportError> {
        if let Some(stored) = self.known.get(&layout).filter(|s| s.shape == seen) {
            return Ok(stored.clone());
        }
        let mut elements = 0;
        for part in layout.parts() {
            self.ask(&part.name, &part.shape)?;
            debug_assert!(part.rows.end <= part.shape.first().copied().unwrap_or(1));
            debug_assert!(part.has_whole_rows() || matches!(layout, Layout::Stacked(_)));
            elements += part.elements();
        }
        debug_assert_eq!(elements, seen.iter().product::<u64>(), "{name}");
        let mut unique = name.to_owned();
        while !self.names.insert(unique.clone()) {
            unique.push('\'');
        }
        let stored = Stored {
            name: unique,
            dtype: self.dtype,
            shape: seen.to_vec(),
            offset: self.end,
            length: elements * self.dtype.bytes(),
        };
        self.end = (stored.offset + stored.length).next_multiple_of(ALIGNMENT);
        self.known.insert(layout.clone(), stored.clone());
        self.pieces.push(Piece {
            stored: stored.clone(),
            layout,
        });
        Ok(stored)
    }

    /// The tensor `name`, whose shape must be `shape`.
    fn ask(&mut self, name: &str, shape: &[u64]) -> Result<&Tensor, ImportError> {
        let Some(tensor) = self.shards.get(name) else {
            return Err(ImportError::Missing {
                folder: self.shards.folder().into(),
                name: name.into(),
                expected: shape.to_vec(),
            });
        };
        if tensor.shape != shape {
            return Err(ImportError::Shape {
                path: self.shards.path(tensor).into(),
                name: name.into(),
                found: tensor.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        self.asked.insert(name.into());
        Ok(tensor)
    }
}

/// A plan in which every tensor has its place.
pub struct Finished {
    /// In the order of their places.
    pub pieces: Vec<Piece>,
    /// Bytes of the data file.
    pub length: u64,
    pub shards: Shards,
}

/// Numbers of a checkpoint as 32-bit floats; `bytes` is little-endian.
fn floats(source: Source, bytes: &[u8]) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|&b| value(b)).collect()
    }
    match source {
        Source::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Source::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Source::F32 => each(bytes, f32::from_le_bytes),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::super::testing::{made, plan};
    use super::*;

    fn turned(plan: &mut Plan, name: &str, shape: &[u64]) -> Result<Stored, ImportError> {
        plan.beside("turned", vec![Part::whole(name, shape)])
    }

    #[test]
    fn a_request_made_again_gets_the_same_place_and_places_are_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let t = |shape: &[usize]| made(Dtype::BF16, shape, |i| i as f32);
        let tensors = [("a", t(&[3, 5])), ("b", t(&[2000, 2])), ("c", t(&[4]))];
        let mut plan = plan(dir.path(), DType::F32, &tensors);
        let a = plan.tensor("a", &[3, 5]).unwrap();
        let b = turned(&mut plan, "b", &[2000, 2]).unwrap();
        assert_eq!((a.offset, a.length), (0, 60));
        assert_eq!(
            (b.offset, b.length, b.shape.as_slice()),
            (4096, 16_000, &[2, 2000][..])
        );
        assert_eq!(plan.tensor("a", &[3, 5]).unwrap(), a);
        assert_eq!(turned(&mut plan, "b", &[2000, 2]).unwrap(), b);
        // The same numbers in another layout, or seen in another shape, stand for themselves.
        let again = plan.reshaped("a", &[3, 5], &[15]).unwrap();
        assert_eq!(again.offset, 4096 + 16_384);
        assert_ne!(again.name, a.name);
        assert_eq!(plan.values("c", &[4]).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        let finished = plan.finish().unwrap();
        assert_eq!(finished.pieces.len(), 3);
        assert_eq!(finished.length, 4096 + 16_384 + 4096);
    }

    #[test]
    fn missing_misshapen_and_extra_tensors_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let t = || made(Dtype::F32, &[2, 2], |i| i as f32);
        let mut plan = plan(
            dir.path(),
            DType::F32,
            &[("a", t()), ("b", t()), ("c", t())],
        );
        let text = plan.tensor("x", &[2, 2]).unwrap_err().to_string();
        assert!(text.contains("\"x\" is missing (shape [2, 2])"), "{text}");
        let text = turned(&mut plan, "a", &[2, 3]).unwrap_err().to_string();
        assert!(
            text.contains("model.safetensors: the tensor \"a\""),
            "{text}"
        );
        assert!(text.contains("[2, 2]") && text.contains("[2, 3]"), "{text}");
        assert!(plan.values("a", &[4]).is_err());
        plan.tensor("a", &[2, 2]).unwrap();
        plan.unused("b", &[2, 2]).unwrap();
        let text = plan.finish().err().unwrap().to_string();
        assert!(text.ends_with("no use for 1 of its tensors: c"), "{text}");
    }
}
