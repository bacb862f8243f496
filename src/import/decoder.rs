//! The language model as a graph: DeepSeek-V2 with plain multi-head attention, after
//! `modeling_deepseekv2.py` of the published checkpoint (`use_mla` false).
//!
//! Tokens of many sequences stand packed in one dimension, prompts and single next tokens alike;
//! keys and values go to a cache in blocks of [`BLOCK`] tokens, which the host binds to input and
//! output alike. The forms have the same inputs, outputs and weights, and differ in their number type
//! and in who attends: `PagedAttention` on CUDA ([`Form::Cuda`]), standard operators on the CPU
//! ([`Form::Cpu`], `attention.rs`). The host keeps every number in the cache finite: what a mask hides
//! still meets a factor 0. [`Form::Cuda8`] has a cache of 8-bit integers, whose scales are inputs and
//! outputs too, and dropleaf's own `PagedAttention8`.
//!
//! The residual stream, its norms, the experts' gate and the head are in 32 bits on CUDA too: what
//! an addition to the stream rounds, all later layers see.

use super::attention::Places;
use super::config::Language;
use super::error::ImportError;
use super::experts::{experts, gated_mlp};
use super::graph::{DType, Dim, Graph, Value};
use super::plan::{Part, Plan};
use crate::pack::{CACHE_8_HEAD_DIMS, CACHE_BLOCK};

/// Tokens in a block of the cache.
pub const BLOCK: u64 = CACHE_BLOCK;

/// For which device a graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 32-bit floats, operators that ONNX Runtime has for the CPU.
    Cpu,
    /// bfloat16 for products and attention, operators that ONNX Runtime has for CUDA.
    Cuda,
    /// The same over a cache of 8 bits; of the decoder alone.
    Cuda8,
}

impl Form {
    /// The type in which graphs of this form compute: of products, of attention and, but for
    /// [`Self::Cuda8`], of the cache.
    pub fn compute(self) -> DType {
        match self {
            Self::Cpu => DType::F32,
            Self::Cuda | Self::Cuda8 => DType::Bf16,
        }
    }

    /// As it stands in the names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Cuda8 => "cuda8",
        }
    }

    /// The tensors in which a layer keeps keys and values: their names, `.L` being the layer, with
    /// types and shapes.
    fn caches(self, model: &Language) -> Vec<Cache> {
        let (blocks, tokens) = (Dim::Free("blocks"), Dim::Fixed(BLOCK));
        let [heads, dim] = [model.heads, model.head_dim].map(Dim::Fixed);
        let cache = |name, dtype, shape: &[Dim]| Cache {
            name,
            dtype,
            shape: shape.to_vec(),
        };
        match self {
            Self::Cpu | Self::Cuda => ["key_cache", "value_cache"]
                .map(|name| cache(name, self.compute(), &[blocks, tokens, heads, dim]))
                .into(),
            Self::Cuda8 => {
                let caches = ["key_cache", "value_cache"]
                    .map(|name| cache(name, DType::U8, &[blocks, heads, tokens, dim]));
                let scales = ["key_scales", "value_scales"]
                    .map(|name| cache(name, DType::Bf16, &[blocks, heads, tokens]));
                [caches, scales].concat()
            }
        }
    }
}

/// Whether there is a graph of [`Form::Cuda8`] of `model`.
pub fn has_cuda8(model: &Language) -> bool {
    CACHE_8_HEAD_DIMS.contains(&model.head_dim)
}

/// A tensor that keeps keys or values, or their scales.
#[derive(Clone)]
struct Cache {
    name: &'static str,
    dtype: DType,
    shape: Vec<Dim>,
}

/// Builds the graph over weights in `data_file`.
pub fn build(
    plan: &mut Plan,
    model: &Language,
    form: Form,
    data_file: &str,
) -> Result<Graph, ImportError> {
    let mut g = Graph::new("decoder", form.compute(), data_file);
    let inputs = Inputs::declare(&mut g, model, form);
    let attention = Attention::new(&mut g, model, form, &inputs);

    let (text, image) = g.within("embed", |g| embed(g, plan, model, &inputs))?;
    // One of the two is zero in each row: their sum is the embedding, which the norm adds up.
    let (mut x, mut residual) = (text, image);
    for layer in 0..model.layers {
        g.within(format!("layer.{layer}"), |g| -> Result<(), ImportError> {
            let prefix = format!("model.layers.{layer}");
            let norm = format!("{prefix}.input_layernorm.weight");
            (x, residual) = skip_norm(g, plan, model, &norm, x, residual)?;
            let normed = g.rounded(x);
            let attended = attention.build(g, plan, model, layer, normed)?;
            x = g.widened(attended);
            let norm = format!("{prefix}.post_attention_layernorm.weight");
            (x, residual) = skip_norm(g, plan, model, &norm, x, residual)?;
            let mlp = format!("{prefix}.mlp");
            x = if model.has_experts(layer) {
                experts(g, plan, model, layer, x)?
            } else {
                let normed = g.rounded(x);
                let x = gated_mlp(g, plan, &mlp, model.hidden, model.dense_width, normed)?;
                g.widened(x)
            };
            Ok(())
        })?;
    }
    g.within("head", |g| head(g, plan, model, &inputs, x, residual))?;
    Ok(g)
}

/// What the host gives, besides the caches. T tokens, B sequences, M blocks a sequence.
pub(super) struct Inputs {
    /// `i64 [T]`
    pub ids: Value,
    /// `i64 [T]`: -1 text, 0 newline, 1 view separator, 2 + i row i of the image embeddings.
    image_rows: Value,
    /// `[I, hidden]`
    image_embeds: Value,
    /// `i32 [B + 1]`: where each sequence's tokens begin and end.
    pub cumulative: Value,
    /// `i32 [B]`: tokens that each sequence has in the cache.
    pub past: Value,
    /// `i32 [B, M]`
    pub blocks: Value,
    /// `i32 [T]`: where each token's key and value go, -1 for nowhere.
    pub slots: Value,
    /// `i32 [2]`: bounds of new tokens and of all tokens a sequence, in the CPU's memory.
    metadata: Value,
    /// `i64 [R]`
    logit_rows: Value,
    /// `i64 [K, 2]` and `f32 [K]`
    ban_rows: Value,
    ban_values: Value,
    /// Of each layer, as [`Form::caches`] lists them.
    caches: Vec<Vec<Value>>,
}

impl Inputs {
    fn declare(g: &mut Graph, model: &Language, form: Form) -> Self {
        let tokens = Dim::Free("tokens");
        let compute = g.compute();
        let images = [Dim::Free("images"), Dim::Fixed(model.hidden)];
        let table = [Dim::Free("sequences"), Dim::Free("sequence_blocks")];
        let mut inputs = Self {
            ids: g.input("input_ids", DType::I64, &[tokens]),
            image_rows: g.input("image_rows", DType::I64, &[tokens]),
            image_embeds: g.input("image_embeds", compute, &images),
            cumulative: g.input(
                "cumulative_lengths",
                DType::I32,
                &[Dim::Free("sequences_and_one")],
            ),
            past: g.input("past_lengths", DType::I32, &[Dim::Free("sequences")]),
            blocks: g.input("block_table", DType::I32, &table),
            slots: g.input("slot_mapping", DType::I32, &[tokens]),
            metadata: g.input("attention_metadata", DType::I32, &[Dim::Fixed(2)]),
            logit_rows: g.input("logit_rows", DType::I64, &[Dim::Free("rows")]),
            ban_rows: g.input("ban_rows", DType::I64, &[Dim::Free("bans"), Dim::Fixed(2)]),
            ban_values: g.input("ban_values", DType::F32, &[Dim::Free("bans")]),
            caches: Vec::new(),
        };
        for layer in 0..model.layers {
            let caches = form.caches(model).into_iter();
            let caches = caches.map(|c| g.input(&format!("{}.{layer}", c.name), c.dtype, &c.shape));
            inputs.caches.push(caches.collect());
        }
        inputs
    }
}

/// Embeddings of the text tokens and of the image tokens, `[T, hidden]` each in 32 bits, zero in the
/// other's rows.
fn embed(
    g: &mut Graph,
    plan: &mut Plan,
    model: &Language,
    inputs: &Inputs,
) -> Result<(Value, Value), ImportError> {
    let one = [model.hidden];
    let row = [1, model.hidden];
    let table = plan.tensor(
        "model.embed_tokens.weight",
        &[model.vocabulary, model.hidden],
    )?;
    let newline = plan.reshaped("model.image_newline", &one, &row)?;
    // Spelt so in the checkpoint.
    let separator = plan.reshaped("model.view_seperator", &one, &row)?;
    let [table, newline, separator] = [table, newline, separator].map(|w| g.weight(&w));
    let text = g.gather(table, inputs.ids, 0);
    let rows = g.concat(&[newline, separator, inputs.image_embeds], 0);
    let zero = g.int(0);
    let row = g.node("Max", &[inputs.image_rows, zero]).one();
    let image = g.gather(rows, row, 0);
    let is_image = g.node("GreaterOrEqual", &[inputs.image_rows, zero]).one();
    let is_image = g.unsqueeze(is_image, -1);
    let nothing = g.scalar(0.0);
    let text = g.node("Where", &[is_image, nothing, text]).one();
    let image = g.node("Where", &[is_image, image, nothing]).one();
    Ok((g.widened(text), g.widened(image)))
}

/// Adds `x` to the residual stream and normalises the sum (RMSNorm): that, and the sum, all in
/// 32 bits.
fn skip_norm(
    g: &mut Graph,
    plan: &mut Plan,
    model: &Language,
    weight: &str,
    x: Value,
    residual: Value,
) -> Result<(Value, Value), ImportError> {
    let weight = plan.tensor(weight, &[model.hidden])?;
    let weight = g.weight_as(&weight, DType::F32);
    // The second and third outputs are for training alone.
    let [x, sum] = g
        .contrib("SkipSimplifiedLayerNormalization", &[x, residual, weight])
        .float("epsilon", model.norm_epsilon)
        .outputs_at([0, 3]);
    Ok((x, sum))
}

/// How the layers attend.
struct Attention {
    form: Form,
    cumulative: Value,
    past: Value,
    blocks: Value,
    slots: Value,
    metadata: Value,
    caches: Vec<Vec<Value>>,
    /// Cosines and sines of each position, `[positions, head_dim / 2]`; for a cache of 8 bits in 32.
    rotary: [Value; 2],
    /// What the CPU form knows about its tokens and the cache's.
    places: Option<Places>,
}

impl Attention {
    fn new(g: &mut Graph, model: &Language, form: Form, inputs: &Inputs) -> Self {
        let (cos, sin) = rotary_tables(model);
        let shape = [model.max_positions as i64, model.head_dim as i64 / 2];
        let places = (form == Form::Cpu)
            .then(|| g.within("places", |g| Places::build(g, inputs, model.max_positions)));
        let tables = [&cos, &sin].map(|table| match form {
            Form::Cpu | Form::Cuda => g.floats(&shape, table),
            Form::Cuda8 => g.floats32(&shape, table),
        });
        Self {
            form,
            cumulative: inputs.cumulative,
            past: inputs.past,
            blocks: inputs.blocks,
            slots: inputs.slots,
            metadata: inputs.metadata,
            caches: inputs.caches.clone(),
            rotary: tables,
            places,
        }
    }

    fn build(
        &self,
        g: &mut Graph,
        plan: &mut Plan,
        model: &Language,
        layer: u64,
        x: Value,
    ) -> Result<Value, ImportError> {
        let hidden = model.hidden;
        let prefix = format!("model.layers.{layer}.self_attn");
        let parts = ["q", "k", "v"]
            .map(|p| Part::whole(format!("{prefix}.{p}_proj.weight"), &[hidden, hidden]));
        let weight = g.weight(&plan.beside(&format!("{prefix}.qkv_proj"), parts.to_vec())?);
        let qkv = g.matmul(x, weight);
        let (x, caches) = self.attend(g, model, qkv, &self.caches[layer as usize]);
        for (cache, value) in self.form.caches(model).into_iter().zip(caches) {
            let name = format!("{}_out.{layer}", cache.name);
            g.output(&name, value, cache.dtype, &cache.shape);
        }
        g.product(plan, x, &format!("{prefix}.o_proj"), &[hidden, hidden])
    }

    /// With packed queries, keys and values, `[T, 3 * hidden]`: the result, `[T, hidden]`, and the
    /// caches with the new keys and values in.
    fn attend(
        &self,
        g: &mut Graph,
        model: &Language,
        qkv: Value,
        caches: &[Value],
    ) -> (Value, Vec<Value>) {
        let none = Value::NONE;
        let [cos, sin] = self.rotary;
        match (&self.places, caches) {
            (Some(places), &[keys, values]) => {
                let (x, keys, values) = places.attend(g, model, qkv, [keys, values], self.rotary);
                (x, vec![keys, values])
            }
            (None, &[keys, values]) => {
                let [x, keys, values] = g
                    .contrib(
                        "PagedAttention",
                        &[
                            qkv,
                            none,
                            none,
                            keys,
                            values,
                            self.cumulative,
                            self.past,
                            self.blocks,
                            cos,
                            sin,
                            self.slots,
                            none, // head_sink
                            none, // q_norm_weight
                            none, // k_norm_weight
                            none, // k_scale
                            none, // v_scale
                            self.metadata,
                        ],
                    )
                    .int("num_heads", model.heads as i64)
                    .int("kv_num_heads", model.heads as i64)
                    .int("do_rotary", 1)
                    .outputs();
                (x, vec![keys, values])
            }
            _ => {
                let places = [
                    self.cumulative,
                    self.past,
                    self.blocks,
                    cos,
                    sin,
                    self.slots,
                ];
                let inputs = [&[qkv], caches, &places].concat();
                let [x, caches @ ..] = g
                    .own("PagedAttention8", &inputs)
                    .int("heads", model.heads as i64)
                    .int("dim", model.head_dim as i64)
                    .outputs::<5>();
                (x, caches.into())
            }
        }
    }
}

/// Cosines and sines, `[positions, head_dim / 2]`, in 32-bit steps as the published code makes
/// them (`LlamaRotaryEmbedding`): an angle is the rounded product of position and frequency.
fn rotary_tables(model: &Language) -> (Vec<f32>, Vec<f32>) {
    let frequencies: Vec<f32> = (0..model.head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / model.head_dim as f32;
            let power = f64::from(model.rotary_base).powf(f64::from(exponent)) as f32;
            1.0 / power
        })
        .collect();
    (0..model.max_positions)
        .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
        .map(|angle| {
            let (sin, cos) = f64::from(angle).sin_cos();
            (cos as f32, sin as f32)
        })
        .unzip()
}

/// The next tokens of the rows that the host asks for, after its bans.
fn head(
    g: &mut Graph,
    plan: &mut Plan,
    model: &Language,
    inputs: &Inputs,
    x: Value,
    residual: Value,
) -> Result<(), ImportError> {
    let [x, residual] = [x, residual].map(|v| g.gather(v, inputs.logit_rows, 0));
    let (x, _) = skip_norm(g, plan, model, "model.norm.weight", x, residual)?;
    // In 32 bits on CUDA too: logits of 16 to 32 in bfloat16 are steps of 0.125, so that the best
    // two would often be equal. TensorFloat-32 loses nothing of the weight, which is bfloat16 still.
    let logits = g.product_in_32_bits(plan, x, "lm_head", &[model.vocabulary, model.hidden])?;
    let logits = g
        .node("ScatterND", &[logits, inputs.ban_rows, inputs.ban_values])
        .text("reduction", "add")
        .one();
    let tokens = g
        .node("ArgMax", &[logits])
        .int("axis", -1)
        .int("keepdims", 0)
        .one();
    let rows = Dim::Free("rows");
    g.output("tokens", tokens, DType::I64, &[rows]);
    g.output(
        "logits",
        logits,
        DType::F32,
        &[rows, Dim::Fixed(model.vocabulary)],
    );
    Ok(())
}
