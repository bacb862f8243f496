//! SAM's image encoder, a ViTDet, with DeepSeek-OCR's two downsampling convolutions.
//!
//! Patches of the view, absolute positions, blocks of attention (within windows, or over the whole
//! view) and MLP, a neck of convolutions, two convolutions of stride 2. `deepencoder.py` beside the
//! published weights is the truth; here tokens are `[views, tokens, width]` throughout.

use super::checkpoint::Measured;
use super::config::Sam;
use super::convolution::Maps;
use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::{Norm, Size};
use super::plan::Plan;
use super::relative::{Heads, Packed, Square};
use super::stream::Stream;
use super::windows::Windows;

/// `LayerNorm` and `LayerNorm2d` of `build_sam_vit_b`.
const EPSILON: f32 = 1e-6;
/// Colours of a view.
const COLOURS: u64 = 3;

/// What the tower takes.
pub struct Inputs {
    /// `[views, side, side, 3]`, 8 bits.
    pub views: Value,
    /// `[grid, grid, width]`, in 32 bits.
    pub positions: Value,
    /// `[global layers, 2, 2 * grid - 1, dim]`, rows first, in the type in which it computes.
    pub relative: Value,
}

/// The tower: `[views, (grid / 4)^2, channels]`, in 32 bits.
pub fn tower(
    g: &mut Graph,
    plan: &mut Plan,
    sam: &Sam,
    measured: &Measured,
    inputs: &Inputs,
) -> Result<Value, ImportError> {
    let side = g.dimension(inputs.views, 1);
    let grid = g.over(Size::Of(side), measured.sam_patch as i64);
    let tower = Tower {
        sam,
        measured,
        views: g.dimension(inputs.views, 0),
        grid,
    };
    let patches = g.within("patch_embed", |g| tower.patches(g, plan, inputs.views))?;
    let positions = g.reshape(inputs.positions, &[-1, sam.width as i64]);
    let embedded = g.add(patches, positions);
    let tokens = tower.blocks(g, plan, Stream::new(embedded), inputs.relative)?;
    let maps = Maps {
        views: tower.views,
        side: grid,
    };
    let features = g.within("neck", |g| tower.neck(g, plan, maps, tokens))?;
    g.within("net", |g| tower.downsampled(g, plan, maps, features))
}

struct Tower<'a> {
    sam: &'a Sam,
    measured: &'a Measured,
    views: Value,
    /// Patches to a side.
    grid: Size,
}

/// What all blocks share: relative positions, and how tokens attend with them.
enum Attention {
    /// The CPU's operators know no positions.
    Cpu {
        view: Square,
        /// Of the global layers, `[global layers, 2, side, dim, side]`.
        vectors: Value,
        windows: Option<(Windows, Square)>,
    },
    /// The tables of the global layers, `[global layers, 2, 2 * grid - 1, dim]`.
    Cuda(Value),
}

impl Tower<'_> {
    fn heads(&self) -> Heads {
        Heads {
            count: self.sam.heads as i64,
            dim: (self.sam.width / self.sam.heads) as i64,
        }
    }

    /// Cuts the views into patches and projects each: a convolution whose stride is its size.
    /// Before it pixels become `(x / 255 - 0.5) / 0.5`. All of it is in 32-bit floats.
    fn patches(&self, g: &mut Graph, plan: &mut Plan, views: Value) -> Result<Value, ImportError> {
        let name = "model.sam_model.patch_embed.proj";
        let (width, patch) = (self.sam.width, self.measured.sam_patch);
        let cut = Size::Is(patch as i64);
        let colours = Size::Is(COLOURS as i64);
        let shape = g.sizes(&[Size::Is(0), self.grid, cut, self.grid, cut, colours]);
        let pixels = g.reshape_to(views, shape);
        let pixels = g.transpose(pixels, &[0, 1, 3, 5, 2, 4]);
        let elements = COLOURS * patch * patch;
        let pixels = g.reshape(pixels, &[0, -1, elements as i64]);
        let pixels = g.cast(pixels, DType::F32);
        let (factor, one) = (g.floats32(&[], &[2.0 / 255.0]), g.floats32(&[], &[1.0]));
        let pixels = g.mul(pixels, factor);
        let pixels = g.node("Sub", &[pixels, one]).one();
        let weight = [width, COLOURS, patch, patch];
        let patches = g.product_in_32_bits(plan, pixels, name, &weight)?;
        let bias = g.bias_in_32_bits(plan, name, width)?;
        Ok(g.add(patches, bias))
    }

    /// All blocks: what the stream is after them.
    fn blocks(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        mut stream: Stream,
        relative: Value,
    ) -> Result<Value, ImportError> {
        let mut how = if g.on_cuda() {
            Attention::Cuda(relative)
        } else {
            g.within("view", |g| {
                let view = Square::new(g, self.heads(), self.views, self.grid);
                let vectors = view.vectors(g, relative, 2);
                let windows = None;
                Attention::Cpu {
                    view,
                    vectors,
                    windows,
                }
            })
        };
        for layer in 0..self.sam.layers {
            g.within(format!("blocks.{layer}"), |g| {
                let name = format!("model.sam_model.blocks.{layer}");
                self.block(g, plan, &name, layer, &mut stream, &mut how)
            })?;
        }
        Ok(stream.sum(g))
    }

    fn block(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        name: &str,
        layer: u64,
        stream: &mut Stream,
        how: &mut Attention,
    ) -> Result<(), ImportError> {
        let width = self.sam.width;
        let part = |part: &str| format!("{name}.{part}");
        let x = stream.norm(g, plan, &norm(&part("norm1"), width))?;
        let (x, lacks) = self.attention(g, plan, &part("attn"), x, layer, how)?;
        let projection = part("attn.proj");
        stream.add_linear(g, plan, x, &projection, [width, width], Some(lacks))?;

        let x = stream.norm(g, plan, &norm(&part("norm2"), width))?;
        let inner = self.measured.sam_mlp;
        let first = part("mlp.lin1");
        let x = g.product(plan, x, &first, &[inner, width])?;
        let bias = g.bias_in_32_bits(plan, &first, inner)?;
        // Exact, by the error function.
        let x = g.bias_gelu(x, bias);
        stream.add_linear(g, plan, x, &part("mlp.lin2"), [inner, width], None)
    }

    /// Attention before its projection, and the vector that its result lacks.
    fn attention(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        name: &str,
        x: Value,
        layer: u64,
        how: &mut Attention,
    ) -> Result<(Value, Value), ImportError> {
        let (width, qkv) = (self.sam.width, format!("{name}.qkv"));
        let global = self.sam.global_layers.iter().position(|&l| l == layer);
        let (view, vectors, windows) = match how {
            Attention::Cuda(tables) => {
                let packed = Packed::new(g, plan, x, &qkv, width)?;
                let (side, tables) = match global {
                    Some(nth) => (0, [0, 1].map(|axis| (*tables, 2 * nth as i64 + axis))),
                    None => {
                        let own = self.tables(g, plan, name)?;
                        (self.measured.sam_window as i64, own.map(|table| (table, 0)))
                    }
                };
                let x = packed.in_view(g, self.heads(), side, tables);
                return Ok((x, packed.lacks));
            }
            Attention::Cpu {
                view,
                vectors,
                windows,
            } => (view, *vectors, windows),
        };
        if let Some(nth) = global {
            let nth = g.int(nth as i64);
            let vectors = g.gather(vectors, nth, 0);
            let [rows, columns] = [0, 1].map(|axis| {
                let axis = g.int(axis);
                g.gather(vectors, axis, 0)
            });
            let packed = Packed::new(g, plan, x, &qkv, width)?;
            let x = packed.in_square(g, view, rows, columns);
            return Ok((x, packed.lacks));
        }
        let (windows, square) =
            windows.get_or_insert_with(|| g.within("windows", |g| self.windows(g)));
        let own = self.tables(g, plan, name)?;
        let [rows, columns] = own.map(|learned| square.vectors(g, learned, 0));
        let x = windows.cut(g, x);
        let packed = Packed::new(g, plan, x, &qkv, width)?;
        let x = packed.in_square(g, square, rows, columns);
        Ok((windows.join(g, x), packed.lacks))
    }

    /// The relative vectors of a layer with windows, by rows and by columns.
    fn tables(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        name: &str,
    ) -> Result<[Value; 2], ImportError> {
        let table = [
            2 * self.measured.sam_window - 1,
            self.sam.width / self.sam.heads,
        ];
        let mut axis = |axis: &str| {
            let learned = plan.tensor(&format!("{name}.{axis}"), &table)?;
            Ok::<_, ImportError>(g.weight(&learned))
        };
        Ok([axis("rel_pos_h")?, axis("rel_pos_w")?])
    }

    fn windows(&self, g: &mut Graph) -> (Windows, Square) {
        let (side, width) = (self.measured.sam_window as i64, self.sam.width as i64);
        let windows = Windows::new(g, self.views, self.grid, side, width);
        let count = windows.count();
        let square = Square::new(g, self.heads(), count, Size::Is(side));
        (windows, square)
    }

    /// Two convolutions, each normalised over its channels: `[views, grid * grid, channels]`.
    fn neck(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        maps: Maps,
        tokens: Value,
    ) -> Result<Value, ImportError> {
        let (width, neck) = (self.sam.width, self.measured.sam_neck);
        let name = |part: u32| format!("model.sam_model.neck.{part}");
        let x = g.product_in_32_bits(plan, tokens, &name(0), &[neck, width, 1, 1])?;
        let x = g.layer_norm(plan, x, &norm(&name(1), neck))?;
        let (x, _) = maps.convolution(g, plan, x, &name(2), [neck, neck], 1)?;
        g.layer_norm(plan, x, &norm(&name(3), neck))
    }

    /// `[views, (grid / 4)^2, channels]`.
    fn downsampled(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        maps: Maps,
        x: Value,
    ) -> Result<Value, ImportError> {
        let [middle, last] = self.sam.downsample;
        let channels = [self.measured.sam_neck, middle];
        let (x, maps) = maps.convolution(g, plan, x, "model.sam_model.net_2", channels, 2)?;
        let (x, _) = maps.convolution(g, plan, x, "model.sam_model.net_3", [middle, last], 2)?;
        Ok(x)
    }
}

fn norm(name: &str, width: u64) -> Norm {
    Norm {
        name: name.into(),
        width,
        epsilon: EPSILON,
    }
}
