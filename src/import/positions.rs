//! Tables of learned positions at the sizes of views.
//!
//! The towers learned their positions at one size. For views of another, DeepSeek-OCR's
//! `deepencoder.py` resizes the tables at each run; here it is done once, at import, and the graph
//! takes the tables of its views' size as inputs. Absolute positions are resized as PyTorch's
//! `interpolate(mode="bicubic", antialias=True)` does it, relative ones as its `mode="linear"`,
//! both with `align_corners=False`. A table that has the wanted size already is left as it is.

use std::borrow::Cow;

use safetensors::tensor::{Dtype, View};

use super::checkpoint::Measured;
use super::config::Config;
use super::error::ImportError;
use super::plan::Plan;

/// Sides of square views in pixels, those of DeepSeek-OCR's modes: Tiny, Small (and the tiles of
/// Gundam), Base (and Gundam's global view), Large.
pub const SIDES: [usize; 4] = [512, 640, 1024, 1280];

/// SAM's patches to one of CLIP's, along a side: two convolutions of stride 2.
const REDUCTION: usize = 4;

/// A vector for each place of a square grid, row by row: `[side, side, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub side: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

/// Positions as the towers learned them.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Pixels to one of SAM's patches, along a side.
    pub patch: usize,
    pub sam: Grid,
    /// Of each global layer of SAM, in order: rows, then columns; each `[2 * side - 1, head_dim]`,
    /// the vector of the distance d (query minus key) at `d + side - 1`.
    pub relative: Vec<[Vec<f32>; 2]>,
    /// Elements of one relative vector.
    pub head_dim: usize,
    /// The position of CLIP's class token.
    pub class: Vec<f32>,
    pub clip: Grid,
}

impl Learned {
    /// Reads the checkpoint's tables.
    pub fn read(
        plan: &mut Plan,
        config: &Config,
        measured: &Measured,
    ) -> Result<Self, ImportError> {
        let (sam, clip) = (&config.sam, &config.clip);
        let side = sam.image_size / measured.sam_patch;
        let name = "model.sam_model";
        let values = plan.values(&format!("{name}.pos_embed"), &[1, side, side, sam.width])?;
        let grid = Grid {
            side: side as usize,
            width: sam.width as usize,
            values,
        };

        let head_dim = sam.width / sam.heads;
        let mut relative = Vec::new();
        for layer in &sam.global_layers {
            let mut axis = |axis: &str| {
                let name = format!("{name}.blocks.{layer}.attn.{axis}");
                plan.values(&name, &[2 * side - 1, head_dim])
            };
            relative.push([axis("rel_pos_h")?, axis("rel_pos_w")?]);
        }

        let name = "model.vision_model.embeddings.position_embedding.weight";
        let side = clip.image_size / clip.patch_size;
        let mut class = plan.values(name, &[1 + side * side, clip.width])?;
        let values = class.split_off(clip.width as usize);
        Ok(Self {
            patch: measured.sam_patch as usize,
            sam: grid,
            relative,
            head_dim: head_dim as usize,
            class,
            clip: Grid {
                side: side as usize,
                width: clip.width as usize,
                values,
            },
        })
    }
}

/// A tensor of `positions.safetensors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl View for &Table {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}

/// For each of [`SIDES`] that has whole patches, with `G` patches to a side:
/// `sam_positions.S` `[G, G, width]`, `sam_relative.S` `[global layers, 2, 2 * G - 1, head_dim]`
/// and `clip_positions.S` `[1 + (G / 4)^2, width]`, the class token's first.
pub fn tables(learned: &Learned) -> Vec<Table> {
    let mut tables = Vec::new();
    for side in SIDES {
        if !side.is_multiple_of(learned.patch * REDUCTION) {
            continue;
        }
        let grid = side / learned.patch;
        let mut table = |name: &str, shape: &[usize], values| {
            tables.push(Table {
                name: format!("{name}.{side}"),
                shape: shape.into(),
                values,
            });
        };
        let sam = bicubic(&learned.sam, grid);
        table("sam_positions", &[grid, grid, sam.width], sam.values);

        let distances = 2 * grid - 1;
        let relative: Vec<f32> = learned
            .relative
            .iter()
            .flatten()
            .flat_map(|axis| linear(axis, learned.head_dim, distances))
            .collect();
        let layers = learned.relative.len();
        let shape = [layers, 2, distances, learned.head_dim];
        table("sam_relative", &shape, relative);

        let clip = bicubic(&learned.clip, grid / REDUCTION);
        let mut values = learned.class.clone();
        values.extend(clip.values);
        let shape = [1 + clip.side * clip.side, clip.width];
        table("clip_positions", &shape, values);
    }
    tables
}

/// The bytes of `positions.safetensors`.
pub fn encode(tables: &[Table]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    safetensors::serialize(tables.iter().map(|t| (&t.name, t)), None)
}

/// What makes one output out of a row of inputs: those from `first` on, and their weights.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// `interpolate(mode="bicubic", antialias=True)` to `side` x `side`: columns first, then rows.
fn bicubic(grid: &Grid, side: usize) -> Grid {
    if grid.side == side {
        return grid.clone();
    }
    let taps = cubic_taps(grid.side, side);
    let across = filtered(&grid.values, grid.side, grid.width, &taps);
    Grid {
        side,
        width: grid.width,
        values: filtered(&across, grid.side, side * grid.width, &taps),
    }
}

/// `interpolate(mode="linear")` of `[places, width]` to as many `places` as asked for.
fn linear(values: &[f32], width: usize, places: usize) -> Vec<f32> {
    let inputs = values.len() / width;
    if inputs == places {
        return values.to_vec();
    }
    filtered(values, inputs, width, &linear_taps(inputs, places))
}

/// Filters the middle dimension of `[.., inputs, width]`.
fn filtered(values: &[f32], inputs: usize, width: usize, taps: &[Taps]) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len() / inputs * taps.len());
    for rows in values.chunks_exact(inputs * width) {
        for tap in taps {
            let start = out.len();
            out.resize(start + width, 0.0);
            let taken = rows[tap.first * width..].chunks_exact(width);
            for (&weight, row) in tap.weights.iter().zip(taken) {
                for (sum, &value) in out[start..].iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
        }
    }
    out
}

/// PyTorch's `_compute_indices_weights_aa`: the cubic kernel, stretched where the output is
/// smaller than the input, over the inputs that it reaches, its weights made to sum to 1.
fn cubic_taps(inputs: usize, outputs: usize) -> Vec<Taps> {
    let scale = inputs as f64 / outputs as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    (0..outputs)
        .map(|i| {
            let centre = scale * (i as f64 + 0.5);
            // `as` cuts off towards 0, as PyTorch does.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs);
            let weight = |j: usize| cubic((j as f64 - centre + 0.5) / stretch);
            let sum: f64 = (first..end).map(weight).sum();
            Taps {
                first,
                weights: (first..end).map(|j| (weight(j) / sum) as f32).collect(),
            }
        })
        .collect()
}

/// Keys' cubic convolution kernel (1981) with a = -0.5, which PyTorch takes where it antialiases
/// (without antialias it takes -0.75), also when it enlarges.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// PyTorch's `compute_source_index_and_lambda`, in 32-bit floats as there: an index of about 100
/// loses digits that show in the weights.
fn linear_taps(inputs: usize, outputs: usize) -> Vec<Taps> {
    let scale = inputs as f32 / outputs as f32;
    (0..outputs)
        .map(|i| {
            let at = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
            let first = (at as usize).min(inputs - 1);
            let second = (at - first as f32).clamp(0.0, 1.0);
            let weights = if first + 1 < inputs {
                vec![1.0 - second, second]
            } else {
                vec![1.0]
            };
            Taps { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(side: usize, width: usize) -> Grid {
        let values = (0..side * side * width)
            .map(|i| ((i * 37 + i / 5 * 11) % 64) as f32 / 16.0 - 2.0)
            .collect();
        Grid {
            side,
            width,
            values,
        }
    }

    /// 5 x 5 places, two numbers each: the table below and its negative.
    fn small() -> Grid {
        let at = |y: i32, x: i32| (3 * y + 7 * x + (x * y) % 5 - (y * y) % 3) as f32 / 8.0;
        Grid {
            side: 5,
            width: 2,
            values: (0..5)
                .flat_map(|y| (0..5).flat_map(move |x| [at(y, x), -at(y, x)]))
                .collect(),
        }
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            assert!((f - e).abs() < 2e-6, "{i}: {f}, not {e}");
        }
    }

    /// Expected values from Pillow's `resize(BICUBIC)` on a float image, whose filter PyTorch's is.
    #[test]
    fn absolute_positions_are_resized_bicubic_with_antialias() {
        let smaller = bicubic(&small(), 3);
        let first: Vec<f32> = smaller.values.iter().step_by(2).copied().collect();
        let expected = [
            0.401598, 1.929875, 3.459645, 1.06373, 2.731409, 4.19119, 1.80003, 3.397719, 4.732959,
        ];
        assert_close(&first, &expected);
        let negated: Vec<f32> = smaller.values.iter().skip(1).step_by(2).copied().collect();
        assert_close(&negated, &expected.map(|v| -v));

        let larger = bicubic(&small(), 8);
        let first: Vec<f32> = larger.values.iter().step_by(2).copied().collect();
        assert_close(
            &first[..8],
            &[
                -0.080303, 0.280303, 0.902142, 1.443395, 1.984649, 2.525902, 3.147741, 3.508347,
            ],
        );
        assert_close(
            &first[56..],
            &[
                1.293403, 1.901168, 2.841669, 3.323094, 3.760921, 4.204221, 4.745298, 5.063609,
            ],
        );
    }

    /// Expected values by hand from `src = (dst + 0.5) * 7 / places - 0.5`, held at the ends.
    #[test]
    fn relative_positions_are_resized_linearly() {
        let values = [0.5, -1.25, 2.0, 4.0, -3.0, 1.0, 0.25];
        assert_close(&linear(&values, 1, 5), &[0.15, 0.7, 4.0, -1.4, 0.4]);
        assert_close(
            &linear(&values, 1, 9),
            &[
                0.5, -0.666667, 0.194444, 2.444444, 4.0, -1.444444, -0.777778, 0.75, 0.25,
            ],
        );
        let pairs: Vec<f32> = values.iter().flat_map(|&v| [v, v + 1.0]).collect();
        assert_close(
            &linear(&pairs, 2, 5),
            &[0.15, 1.15, 0.7, 1.7, 4.0, 5.0, -1.4, -0.4, 0.4, 1.4],
        );
    }

    #[test]
    fn tables_have_the_shapes_of_the_views_and_are_untouched_at_the_learned_size() {
        let learned = Learned {
            patch: 16,
            sam: grid(64, 3),
            relative: vec![[grid(1, 254).values, grid(1, 254).values]; 2],
            head_dim: 2,
            class: vec![9.0, 8.0, 7.0, 6.0],
            clip: grid(16, 4),
        };
        let tables = tables(&learned);
        let shapes: Vec<_> = tables
            .iter()
            .map(|t| (t.name.as_str(), t.shape.clone()))
            .collect();
        assert_eq!(shapes.len(), 12);
        assert_eq!(shapes[3], ("sam_positions.640", vec![40, 40, 3]));
        assert_eq!(shapes[4], ("sam_relative.640", vec![2, 2, 79, 2]));
        assert_eq!(shapes[5], ("clip_positions.640", vec![101, 4]));
        for table in &tables {
            assert_eq!(table.values.len(), table.shape.iter().product::<usize>());
        }
        let base = &tables[6..9];
        assert_eq!(base[0].values, learned.sam.values);
        assert_eq!(base[1].values[..254], learned.relative[0][0]);
        assert_eq!(base[2].values[..4], learned.class);
        assert_eq!(base[2].values[4..], learned.clip.values);

        let bytes = encode(&tables).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = read.tensor("clip_positions.1280").unwrap();
        assert_eq!(view.shape(), [401, 4]);
        assert_eq!(view.data()[..4], 9.0f32.to_le_bytes());
    }
}
