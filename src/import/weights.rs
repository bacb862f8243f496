//! The data file's bytes, by a finished plan, from the first to the last.
//!
//! Whatever the tensors' sizes, memory is bounded by [`BUFFER`] elements: a layout that does not
//! fit is made in strips, and the checkpoint is read once for each. Numbers are rounded to the
//! storage type to nearest, ties to even.

use half::{bf16, f16};

use super::error::ImportError;
use super::graph::DType;
use super::plan::{ALIGNMENT, Finished, Layout, Part};
use super::shards::{Shards, Source};

/// Elements made at once: 64 MB of bfloat16. The largest transposed tensor, DeepSeek-OCR's
/// `lm_head`, takes five strips.
const BUFFER: u64 = 32 << 20;
/// Elements read at once.
const READ: u64 = 2 << 20;
/// Rows turned at once: their cache lines stay in the first-level cache.
const TILE: usize = 16;

/// Hands the bytes of the data file to `sink`, piece by piece, in order.
pub fn write(
    plan: &Finished,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut maker = Maker {
        shards: &plan.shards,
        dtype: DType::Bf16,
        raw: Vec::new(),
        buffer: BUFFER,
    };
    let mut at = 0;
    for piece in &plan.pieces {
        pad(piece.stored.offset - at, sink)?;
        maker.dtype = piece.stored.dtype;
        match piece.stored.dtype {
            DType::Bf16 => maker.layout::<2>(&piece.layout, sink)?,
            _ => maker.layout::<4>(&piece.layout, sink)?,
        }
        at = piece.stored.offset + piece.stored.length;
    }
    pad(plan.length - at, sink)
}

fn pad(
    count: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    sink(&[0; ALIGNMENT as usize][..count as usize])
}

struct Maker<'a> {
    shards: &'a Shards,
    dtype: DType,
    /// Bytes as the checkpoint has them.
    raw: Vec<u8>,
    /// [`BUFFER`], or less in tests.
    buffer: u64,
}

/// One number as it is stored.
type Element<const N: usize> = [u8; N];

impl Maker<'_> {
    fn layout<const N: usize>(
        &mut self,
        layout: &Layout,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        match layout {
            Layout::Stacked(parts) => {
                for part in parts {
                    self.stacked::<N>(part, sink)?;
                }
            }
            Layout::Interleaved(pairs) => {
                for (a, b) in pairs {
                    self.interleaved::<N>(a, b, sink)?;
                }
            }
            Layout::Transposed(parts) => self.transposed::<N>(parts, sink)?,
        }
        Ok(())
    }

    fn stacked<const N: usize>(
        &mut self,
        part: &Part,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut out: Vec<Element<N>> = Vec::new();
        let (mut at, end) = (part.rows.start * part.width(), part.rows.end * part.width());
        while at < end {
            let count = READ.min(end - at);
            self.read(part, at, count, &mut out)?;
            sink(out.as_flattened())?;
            at += count;
        }
        Ok(())
    }

    fn interleaved<const N: usize>(
        &mut self,
        a: &Part,
        b: &Part,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let width = a.width();
        let mut rows: [Vec<Element<N>>; 2] = Default::default();
        let mut out: Vec<Element<N>> = Vec::new();
        let mut row = 0;
        while row < a.count() {
            let count = (READ / width.max(1)).clamp(1, a.count() - row);
            for (part, rows) in [a, b].into_iter().zip(&mut rows) {
                self.read(part, (part.rows.start + row) * width, count * width, rows)?;
            }
            out.clear();
            let [a, b] = rows.each_ref().map(|r| r.chunks_exact(width as usize));
            for (a, b) in a.zip(b) {
                out.extend_from_slice(a);
                out.extend_from_slice(b);
            }
            sink(out.as_flattened())?;
            row += count;
        }
        Ok(())
    }

    fn transposed<const N: usize>(
        &mut self,
        parts: &[Part],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let inputs = parts.first().map_or(0, Part::width);
        let outputs: u64 = parts.iter().map(Part::count).sum();
        let strip = (self.buffer / outputs.max(1)).max(1);
        let mut rows: Vec<Element<N>> = Vec::new();
        let mut out: Vec<Element<N>> = Vec::new();
        let mut first = 0;
        while first < inputs {
            let columns = first as usize..inputs.min(first + strip) as usize;
            out.clear();
            out.resize(columns.len() * outputs as usize, [0; N]);
            let mut at = 0;
            for part in parts {
                let mut row = part.rows.start;
                while row < part.rows.end {
                    let count = (READ / inputs).clamp(1, part.rows.end - row);
                    self.read(part, row * inputs, count * inputs, &mut rows)?;
                    turn(
                        &rows,
                        inputs as usize,
                        &columns,
                        &mut out,
                        at,
                        outputs as usize,
                    );
                    row += count;
                    at += count as usize;
                }
            }
            sink(out.as_flattened())?;
            first += strip;
        }
        Ok(())
    }

    /// Reads `count` elements of a part's tensor from element `first` on, in the storage type.
    fn read<const N: usize>(
        &mut self,
        part: &Part,
        first: u64,
        count: u64,
        out: &mut Vec<Element<N>>,
    ) -> Result<(), ImportError> {
        let tensor = self
            .shards
            .get(&part.name)
            .ok_or_else(|| ImportError::Absent {
                folder: self.shards.folder().into(),
                name: part.name.clone(),
            })?;
        self.raw.resize((count * tensor.source.bytes()) as usize, 0);
        self.shards.read(tensor, first, &mut self.raw)?;
        out.clear();
        let raw = self.raw.as_slice();
        match (tensor.source, self.dtype) {
            (Source::Bf16, DType::Bf16) | (Source::F32, DType::F32) => {
                out.extend_from_slice(raw.as_chunks::<N>().0);
            }
            (Source::Bf16, _) => convert(raw, out, |b| bf16::from_le_bytes(b).to_f32()),
            (Source::F16, _) => convert(raw, out, |b| f16::from_le_bytes(b).to_f32()),
            (Source::F32, _) => convert(raw, out, f32::from_le_bytes),
        }
        Ok(())
    }
}

/// Numbers of `M` bytes as stored elements of `N` bytes: bfloat16 of two, float32 of four.
fn convert<const M: usize, const N: usize>(
    raw: &[u8],
    out: &mut Vec<Element<N>>,
    value: impl Fn([u8; M]) -> f32,
) {
    out.extend(raw.as_chunks::<M>().0.iter().map(|&b| {
        let value = value(b);
        let mut element = [0; N];
        if N == 2 {
            element.copy_from_slice(&bf16::from_f32(value).to_le_bytes());
        } else {
            element.copy_from_slice(&value.to_le_bytes());
        }
        element
    }));
}

/// Puts `columns` of `rows`, each `width` long, as columns from `at` on of `out`, whose rows are
/// `stride` long.
fn turn<T: Copy>(
    rows: &[T],
    width: usize,
    columns: &std::ops::Range<usize>,
    out: &mut [T],
    at: usize,
    stride: usize,
) {
    for (t, tile) in rows.chunks(TILE * width).enumerate() {
        let at = at + t * TILE;
        for (i, column) in columns.clone().enumerate() {
            let line = &mut out[i * stride + at..][..tile.len() / width];
            for (r, to) in line.iter_mut().enumerate() {
                *to = tile[r * width + column];
            }
        }
    }
}
