//! Projected rows of a page or of a view: what takes the place of image tokens. Where the model is on a
//! device they stay there, in the tensors that the vision graph made.

use std::ops::Range;
use std::sync::Arc;

use half::bf16;

use crate::engine::session::{Data, OnDevice, Part, RunError};

#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Elements of a row.
    pub width: usize,
    pub elements: Elements,
}

/// In the type in which the decoder computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    /// One stretch after the other.
    Device(Vec<Stretch>),
}

/// Rows side by side in a tensor on the device, in bfloat16.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    pub tensor: Arc<OnDevice>,
    pub rows: Range<usize>,
}

impl Rows {
    /// `count` rows of zeros, of the type of `like`.
    pub fn zeros(like: &Data<'_>, width: usize, count: usize) -> Result<Self, RunError> {
        let elements = match like {
            Data::F32(_) => Elements::F32(vec![0.0; count * width]),
            Data::Bf16(_) => Elements::Bf16(vec![bf16::ZERO; count * width]),
            _ => return Err(RunError("image rows of an unexpected type".into())),
        };
        Ok(Self { width, elements })
    }

    /// Takes over `elements` of `data` from row `at` on, in the host's memory.
    pub fn put(&mut self, at: usize, data: &Data<'_>, elements: Range<usize>) {
        let place = at * self.width..at * self.width + elements.len();
        match (&mut self.elements, data) {
            (Elements::F32(to), Data::F32(from)) => to[place].copy_from_slice(&from[elements]),
            (Elements::Bf16(to), Data::Bf16(from)) => to[place].copy_from_slice(&from[elements]),
            _ => {}
        }
    }

    pub fn len(&self) -> usize {
        let width = self.width.max(1);
        match &self.elements {
            Elements::F32(e) => e.len() / width,
            Elements::Bf16(e) => e.len() / width,
            Elements::Device(stretches) => stretches.iter().map(|s| s.rows.len()).sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_f32(&self) -> Result<Vec<f32>, RunError> {
        let floats = |e: &[bf16]| e.iter().map(|v| v.to_f32()).collect::<Vec<_>>();
        match &self.elements {
            Elements::F32(e) => Ok(e.clone()),
            Elements::Bf16(e) => Ok(floats(e)),
            Elements::Device(stretches) => {
                let mut all = Vec::new();
                for stretch in stretches {
                    let rows = stretch.rows.start * self.width..stretch.rows.end * self.width;
                    let elements = stretch.tensor.read()?;
                    let rows = elements.get(rows);
                    let rows = rows.ok_or_else(|| RunError("image rows are missing".into()))?;
                    all.extend(floats(rows));
                }
                Ok(all)
            }
        }
    }

    /// Adds rows `rows`, which are on the device, to `parts`; false where some are not.
    pub fn parts<'r>(&'r self, rows: Range<usize>, parts: &mut Vec<Part<'r>>) -> bool {
        let Elements::Device(stretches) = &self.elements else {
            return false;
        };
        let Some(pieces) = cut(stretches.iter().map(|s| s.rows.len()), rows) else {
            return false;
        };
        let bytes = self.width * size_of::<bf16>();
        for (nth, rows) in pieces {
            let Stretch { tensor, rows: all } = &stretches[nth];
            let range = (all.start + rows.start) * bytes..(all.start + rows.end) * bytes;
            parts.push(Part::Tensor(tensor, range));
        }
        true
    }
}

/// What of stretches of such lengths, one after the other, makes up `rows`: which, and what of it.
/// `None` where some rows are not there.
fn cut(
    lengths: impl Iterator<Item = usize>,
    rows: Range<usize>,
) -> Option<Vec<(usize, Range<usize>)>> {
    let (mut pieces, mut first, mut at) = (Vec::new(), 0, rows.start);
    for (nth, length) in lengths.enumerate() {
        let end = (first + length).min(rows.end);
        if at < end {
            pieces.push((nth, at - first..end - first));
            at = end;
        }
        first += length;
    }
    (at >= rows.end).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_out_of_the_stretches_that_have_them() {
        let cut = |rows| cut([4, 0, 4, 2].into_iter(), rows);
        assert_eq!(cut(0..4), Some(vec![(0, 0..4)]));
        assert_eq!(cut(5..7), Some(vec![(2, 1..3)]));
        assert_eq!(cut(3..10), Some(vec![(0, 3..4), (2, 0..4), (3, 0..2)]));
        assert_eq!(cut(2..2), Some(vec![]));
        assert_eq!(cut(9..11), None);
        assert_eq!(cut(12..13), None);
    }

    #[test]
    fn rows_in_the_memory_of_the_host_are_no_parts_of_a_tensor() {
        let like = Data::Bf16(&[]);
        let mut rows = Rows::zeros(&like, 2, 3).unwrap();
        let two = [bf16::ONE; 2];
        rows.put(1, &Data::Bf16(&two), 0..2);
        assert_eq!(rows.to_f32().unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(rows.len(), 3);
        assert!(!rows.parts(0..1, &mut Vec::new()));
        assert!(Rows::zeros(&Data::U8(&[]), 2, 3).is_err());
    }
}
