//! The data file's bytes, by a finished plan, from the first to the last.
//!
//! Whatever the tensors' sizes, memory is bounded by `BUFFER` elements: a layout that does not
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
    write_by(plan, BUFFER, sink)
}

/// [`write()`] with strips of `buffer` elements.
fn write_by(
    plan: &Finished,
    buffer: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut maker = Maker {
        shards: &plan.shards,
        dtype: DType::Bf16,
        raw: Vec::new(),
        buffer,
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
    if count == 0 {
        return Ok(());
    }
    sink(&[0; ALIGNMENT as usize][..count as usize])
}

struct Maker<'a> {
    shards: &'a Shards,
    dtype: DType,
    /// Bytes as the checkpoint has them.
    raw: Vec<u8>,
    /// Elements made at once.
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
        if !part.has_whole_rows() {
            return self.columns::<N>(part, sink);
        }
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

    /// A part that has some columns of its rows.
    fn columns<const N: usize>(
        &mut self,
        part: &Part,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let width = part.width().max(1);
        let columns = part.columns.start as usize..part.columns.end as usize;
        let (mut rows, mut out): (Vec<Element<N>>, Vec<Element<N>>) = Default::default();
        let mut row = part.rows.start;
        while row < part.rows.end {
            let count = (READ / width).clamp(1, part.rows.end - row);
            self.read(part, row * width, count * width, &mut rows)?;
            out.clear();
            for row in rows.chunks_exact(width as usize) {
                out.extend_from_slice(&row[columns.clone()]);
            }
            sink(out.as_flattened())?;
            row += count;
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

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::super::plan::Plan;
    use super::super::testing::{made, plan};
    use super::*;

    /// The data file as 32-bit floats, in strips of `buffer` elements.
    fn file(plan: Plan, buffer: u64) -> (Vec<f32>, Vec<(usize, usize)>) {
        let plan = plan.finish().unwrap();
        let mut bytes = Vec::new();
        write_by(&plan, buffer, &mut |b| {
            bytes.extend_from_slice(b);
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes.len() as u64, plan.length);
        let places = plan
            .pieces
            .iter()
            .map(|p| (p.stored.offset as usize / 4, p.stored.length as usize / 4))
            .collect();
        let floats = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
        (floats.collect(), places)
    }

    #[test]
    fn layouts_put_every_number_where_the_graph_wants_it() {
        let dir = tempfile::tempdir().unwrap();
        // 40 rows: two tiles and a rest; every number is its own index.
        let tensors = [
            ("q", made(Dtype::F32, &[40, 3], |i| i as f32)),
            ("k", made(Dtype::F32, &[5, 3], |i| 1000.0 + i as f32)),
            ("up", made(Dtype::F32, &[5, 3], |i| 2000.0 + i as f32)),
        ];
        for buffer in [1, 90, BUFFER] {
            let mut plan = plan(dir.path(), DType::F32, &tensors);
            let (q, k, up) = (
                Part::whole("q", &[40, 3]),
                Part::whole("k", &[5, 3]),
                Part::whole("up", &[5, 3]),
            );
            let last = Part::rows("q", &[40, 3], 38..40);
            plan.beside("qk", vec![q.clone(), k.clone(), last.clone()])
                .unwrap();
            plan.interleaved(
                "ku",
                vec![(k.clone(), up.clone()), (up, k.clone())],
                &[2, 10, 3],
            )
            .unwrap();
            let middle = Part::columns("k", &[5, 3], 1..3);
            plan.stacked("kq", vec![k, last, middle], &[31]).unwrap();
            let (floats, places) = file(plan, buffer);
            let piece = |i: usize| {
                let (at, length) = places[i];
                &floats[at..at + length]
            };
            let side = piece(0);
            for input in 0..3 {
                let row = &side[input * 47..][..47];
                for (output, &value) in row.iter().enumerate() {
                    let expected = match output {
                        0..40 => output * 3 + input,
                        40..45 => 1000 + (output - 40) * 3 + input,
                        _ => (output - 7) * 3 + input,
                    };
                    assert_eq!(value, expected as f32, "{buffer} {input} {output}");
                }
            }
            let rows: Vec<f32> = piece(1).chunks(3).map(|row| row[0]).collect();
            let k: Vec<f32> = (0..5).map(|r| 1000.0 + 3.0 * r as f32).collect();
            let turns: Vec<f32> = k.iter().flat_map(|k| [*k, k + 1000.0]).collect();
            let other: Vec<f32> = k.iter().flat_map(|k| [k + 1000.0, *k]).collect();
            assert_eq!(rows, [turns, other].concat());
            let columns = (1000..1015).filter(|v| (v - 1000) % 3 > 0);
            let whole = (1000..1015).chain(114..120);
            let stacked: Vec<f32> = whole.chain(columns).map(|v| v as f32).collect();
            assert_eq!(piece(2), stacked);
            // Between the pieces there are zeros.
            let (at, length) = places[0];
            assert!(floats[at + length..places[1].0].iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn numbers_keep_their_value_or_are_rounded_to_nearest_even() {
        let dir = tempfile::tempdir().unwrap();
        // Steps of bfloat16 at 1 are 2^-7: a tie goes to the even neighbour.
        let values = [
            1.0,
            1.0 + 3.0 / 256.0,
            1.0 + 1.0 / 256.0,
            -0.0,
            1e-30,
            f32::MAX,
        ];
        let value = |i: usize| values[i];
        for (source, target) in [
            (Dtype::F32, DType::F32),
            (Dtype::F32, DType::Bf16),
            (Dtype::BF16, DType::F32),
            (Dtype::BF16, DType::Bf16),
            (Dtype::F16, DType::F32),
            (Dtype::F16, DType::Bf16),
        ] {
            let mut plan = plan(dir.path(), target, &[("a", made(source, &[6], value))]);
            plan.tensor("a", &[6]).unwrap();
            let plan = plan.finish().unwrap();
            let mut bytes = Vec::new();
            write(&plan, &mut |b| {
                bytes.extend_from_slice(b);
                Ok(())
            })
            .unwrap();
            for (i, &v) in values.iter().enumerate() {
                let held = match source {
                    Dtype::F16 => f16::from_f32(v).to_f32(),
                    Dtype::BF16 => bf16::from_f32(v).to_f32(),
                    _ => v,
                };
                let (found, expected) = match target {
                    DType::Bf16 => {
                        let two = [bytes[2 * i], bytes[2 * i + 1]];
                        (
                            bf16::from_le_bytes(two).to_f32(),
                            bf16::from_f32(held).to_f32(),
                        )
                    }
                    _ => (
                        f32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap()),
                        held,
                    ),
                };
                assert_eq!(
                    found.to_bits(),
                    expected.to_bits(),
                    "{source:?} {target:?} {v}"
                );
            }
            if (source, target) == (Dtype::F32, DType::Bf16) {
                assert_eq!(bytes[2..4], bf16::from_f32(1.0 + 4.0 / 256.0).to_le_bytes());
                assert_eq!(bytes[4..6], bf16::ONE.to_le_bytes());
            }
        }
    }

    #[test]
    fn a_sink_that_fails_ends_the_writing() {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = plan(
            dir.path(),
            DType::F32,
            &[("a", made(Dtype::F32, &[2], |_| 0.0))],
        );
        plan.tensor("a", &[2]).unwrap();
        let plan = plan.finish().unwrap();
        let mut calls = 0;
        let ended = write(&plan, &mut |_| {
            calls += 1;
            Err(ImportError::Cancelled)
        });
        assert!(matches!(ended, Err(ImportError::Cancelled)));
        assert_eq!(calls, 1);
    }
}
