//! `config.json` of a DeepSeek-OCR checkpoint: the measures of its parts.
//!
//! The file is untrusted: every number has a range, so that no later product overflows and no loop
//! runs away. Keys that the published file leaves out take the values that `DeepseekV2Config` gives
//! them (`configuration_deepseek_v2.py` beside the published weights). What this version does not
//! compute is refused, never ignored. Sizes that the file does not hold come from the tensors
//! (`checkpoint.rs`).

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::ImportError;

/// Limits: some multiples of the largest models of this family. They bound memory and time.
const LAYERS: RangeInclusive<u64> = 1..=512;
const WIDTH: RangeInclusive<u64> = 1..=65_536;
const VOCABULARY: RangeInclusive<u64> = 2..=4_000_000;
const POSITIONS: RangeInclusive<u64> = 1..=131_072;
/// Of one head: flash attention, behind `PagedAttention`, takes up to 256.
const HEAD: RangeInclusive<u64> = 2..=256;

/// The language model (DeepSeek-V2 without latent attention).
#[derive(Clone, Debug, PartialEq)]
pub struct Language {
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub head_dim: u64,
    pub vocabulary: u64,
    pub max_positions: u64,
    /// Width of the MLP of dense layers.
    pub dense_width: u64,
    /// Layers before this one are dense.
    pub first_expert_layer: u64,
    /// Of the others every such one has experts.
    pub expert_layer_step: u64,
    pub experts: u64,
    pub experts_per_token: u64,
    pub expert_width: u64,
    /// Width of the shared experts together; 0: there are none.
    pub shared_width: u64,
    /// Whether the chosen experts' weights are made to sum to 1.
    pub normalise_weights: bool,
    /// Factor of the experts' output (only where weights are not normalised).
    pub routed_scale: f32,
    pub norm_epsilon: f32,
    pub rotary_base: f32,
    pub bos: u32,
    pub eos: u32,
}

impl Language {
    /// Whether `layer` (from 0) has experts.
    pub fn has_experts(&self, layer: u64) -> bool {
        layer >= self.first_expert_layer && layer.is_multiple_of(self.expert_layer_step)
    }
}

/// SAM's image encoder (ViTDet) with DeepSeek-OCR's two downsampling convolutions.
#[derive(Clone, Debug, PartialEq)]
pub struct Sam {
    pub layers: u64,
    pub width: u64,
    pub heads: u64,
    /// Layers with global attention, ascending; the others attend within windows.
    pub global_layers: Vec<u64>,
    /// Channels after each downsampling convolution.
    pub downsample: [u64; 2],
    /// Side of the view that it was trained on, in pixels.
    pub image_size: u64,
}

/// CLIP's image encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    pub layers: u64,
    pub width: u64,
    pub heads: u64,
    /// Side of the image that it was trained on, and of its patches, in pixels: their quotient is
    /// the side of its position table.
    pub image_size: u64,
    pub patch_size: u64,
}

/// What `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub language: Language,
    pub sam: Sam,
    pub clip: Clip,
    /// Width of a view's token before the projection: CLIP's and SAM's side by side.
    pub projector_input: u64,
}

impl Config {
    /// Reads the text of `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ImportError> {
        let root: Value = serde_json::from_str(text).map_err(|e| {
            ImportError::file(
                path,
                format!("it is not JSON: {e}"),
                "it is damaged or not the published file: download it anew",
            )
        })?;
        let top = Keys {
            path,
            at: String::new(),
            table: root.as_object().ok_or_else(|| {
                ImportError::file(path, "it is not a JSON object", "download it anew")
            })?,
            again: None,
        };
        let mut language = top.table("language_config")?;
        // The published file repeats the language model's keys at the top.
        language.again = Some(top.table);
        let vision = top.table("vision_config")?;
        let width = vision.table("width")?;
        let config = Self {
            language: self::language(&language)?,
            sam: sam(&vision, &width.table("sam_vit_b")?)?,
            clip: clip(&width.table("clip-l-14-224")?)?,
            projector_input: projector(&top.table("projector_config")?, &language)?,
        };
        let side_by_side = config.clip.width + config.sam.downsample[1];
        if config.projector_input != side_by_side {
            return Err(top.fault(
                "projector_config.input_dim",
                format!(
                    "is {}, but CLIP's width and SAM's last channels sum to {side_by_side}",
                    config.projector_input
                ),
            ));
        }
        if config.clip.width != config.sam.downsample[1] {
            return Err(top.fault(
                "vision_config.width.clip-l-14-224.width",
                format!(
                    "is {}, but SAM, whose output CLIP takes, ends with {} channels",
                    config.clip.width, config.sam.downsample[1]
                ),
            ));
        }
        Ok(config)
    }
}

fn language(keys: &Keys<'_>) -> Result<Language, ImportError> {
    keys.only("hidden_act", "silu", &["silu"])?;
    keys.only("scoring_func", "softmax", &["softmax"])?;
    // The default is spelt so in DeepseekV2Config.
    keys.only("topk_method", "gready", &["greedy", "gready"])?;
    for key in ["use_mla", "attention_bias", "tie_word_embeddings"] {
        if keys.flag(key, false)? {
            return Err(keys.unsupported(key, "true"));
        }
    }
    if keys.get("rope_scaling").is_some() {
        return Err(keys.unsupported("rope_scaling", "set"));
    }
    let hidden = keys.size("hidden_size", WIDTH)?;
    let heads = keys.size("num_attention_heads", WIDTH)?;
    if keys.size_or("num_key_value_heads", heads, WIDTH)? != heads {
        return Err(keys.unsupported("num_key_value_heads", "not num_attention_heads"));
    }
    let head_dim = hidden / heads;
    if hidden % heads != 0 || head_dim % 2 != 0 || !HEAD.contains(&head_dim) {
        return Err(keys.fault(
            "num_attention_heads",
            format!(
                "is {heads}: hidden_size {hidden} must split into heads of an even width up to {}",
                HEAD.end()
            ),
        ));
    }
    let vocabulary = keys.size("vocab_size", VOCABULARY)?;
    let experts = keys.size("n_routed_experts", 1..=4096)?;
    let expert_width = keys.size("moe_intermediate_size", WIDTH)?;
    let normalise = keys.flag("norm_topk_prob", false)?;
    let experts_per_token = keys.size("num_experts_per_tok", 1..=experts)?;
    let token = |key: &str| keys.size(key, 0..=vocabulary - 1).map(|id| id as u32);
    Ok(Language {
        hidden,
        layers: keys.size("num_hidden_layers", LAYERS)?,
        heads,
        head_dim,
        vocabulary,
        max_positions: keys.size("max_position_embeddings", POSITIONS)?,
        dense_width: keys.size("intermediate_size", WIDTH)?,
        first_expert_layer: keys.size_or("first_k_dense_replace", 0, 0..=*LAYERS.end())?,
        expert_layer_step: keys.size_or("moe_layer_freq", 1, LAYERS)?,
        experts,
        experts_per_token,
        expert_width,
        shared_width: keys.size_or("n_shared_experts", 0, 0..=64)? * expert_width,
        // As DeepseekV2's gate does it: with one expert a token there is nothing to normalise.
        normalise_weights: normalise && experts_per_token > 1,
        routed_scale: keys.number("routed_scaling_factor", 1.0, 1e3)?,
        norm_epsilon: keys.number("rms_norm_eps", 1e-6, 1.0)?,
        rotary_base: keys.number("rope_theta", 10_000.0, 1e12)?,
        bos: token("bos_token_id")?,
        eos: token("eos_token_id")?,
    })
}

fn sam(vision: &Keys<'_>, keys: &Keys<'_>) -> Result<Sam, ImportError> {
    let layers = keys.size("layers", LAYERS)?;
    let width = keys.size("width", WIDTH)?;
    let heads = keys.size("heads", 1..=width)?;
    keys.splits("heads", width, heads)?;
    let global_layers = keys.sizes("global_attn_indexes", 0..=layers - 1)?;
    if global_layers.is_empty() || !global_layers.is_sorted_by(|a, b| a < b) {
        return Err(keys.fault("global_attn_indexes", "must ascend and name a layer".into()));
    }
    let downsample = keys.sizes("downsample_channels", WIDTH)?;
    let downsample = <[u64; 2]>::try_from(downsample)
        .map_err(|_| keys.fault("downsample_channels", "must be two numbers".into()))?;
    Ok(Sam {
        layers,
        width,
        heads,
        global_layers,
        downsample,
        image_size: vision.size("image_size", 64..=8192)?,
    })
}

fn clip(keys: &Keys<'_>) -> Result<Clip, ImportError> {
    let width = keys.size("width", WIDTH)?;
    let heads = keys.size("heads", 1..=width)?;
    keys.splits("heads", width, heads)?;
    let image_size = keys.size("image_size", 1..=8192)?;
    let patch_size = keys.size("patch_size", 1..=image_size)?;
    keys.splits("patch_size", image_size, patch_size)?;
    Ok(Clip {
        layers: keys.size("layers", LAYERS)?,
        width,
        heads,
        image_size,
        patch_size,
    })
}

fn projector(keys: &Keys<'_>, language: &Keys<'_>) -> Result<u64, ImportError> {
    keys.only("projector_type", "linear", &["linear"])?;
    let output = keys.size("n_embed", WIDTH)?;
    let hidden = language.size("hidden_size", WIDTH)?;
    if output != hidden {
        return Err(keys.fault(
            "n_embed",
            format!("is {output}, but language_config.hidden_size is {hidden}"),
        ));
    }
    keys.size("input_dim", 1..=2 * WIDTH.end())
}

/// A table of the file.
struct Keys<'a> {
    path: &'a Path,
    /// The table's name with a dot, empty at the top.
    at: String,
    table: &'a Map<String, Value>,
    /// Where the same keys may stand again; a different value there is a contradiction.
    again: Option<&'a Map<String, Value>>,
}

impl<'a> Keys<'a> {
    fn fault(&self, key: &str, what: String) -> ImportError {
        ImportError::file(
            self.path,
            format!("{}{key} {what}", self.at),
            "it is damaged, or this is a checkpoint of another model",
        )
    }

    fn unsupported(&self, key: &str, what: &str) -> ImportError {
        ImportError::file(
            self.path,
            format!(
                "{}{key} is {what}, which this version does not compute",
                self.at
            ),
            "only checkpoints of the published DeepSeek-OCR architecture can be imported",
        )
    }

    /// A value; null counts as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key).filter(|v| !v.is_null())
    }

    /// A value, which must be the same wherever it stands.
    fn agreed(&self, key: &str) -> Result<Option<&'a Value>, ImportError> {
        let here = self.get(key);
        let there = self.again.and_then(|t| t.get(key)).filter(|v| !v.is_null());
        match (here, there) {
            (Some(a), Some(b)) if a != b && (a.as_f64() != b.as_f64() || !a.is_number()) => {
                Err(self.fault(key, format!("is {a}, but {b} at the top of the file")))
            }
            _ => Ok(here.or(there)),
        }
    }

    fn table(&self, key: &str) -> Result<Keys<'a>, ImportError> {
        let table = self
            .get(key)
            .ok_or_else(|| self.fault(key, "is missing".into()))?
            .as_object()
            .ok_or_else(|| self.fault(key, "must be a table".into()))?;
        Ok(Keys {
            path: self.path,
            at: format!("{}{key}.", self.at),
            table,
            again: None,
        })
    }

    fn whole(
        &self,
        key: &str,
        value: &Value,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ImportError> {
        value.as_u64().filter(|n| range.contains(n)).ok_or_else(|| {
            let (from, to) = range.into_inner();
            self.fault(
                key,
                format!("is {value}, must be a whole number from {from} to {to}"),
            )
        })
    }

    fn size(&self, key: &str, range: RangeInclusive<u64>) -> Result<u64, ImportError> {
        match self.agreed(key)? {
            Some(value) => self.whole(key, value, range),
            None => Err(self.fault(key, "is missing".into())),
        }
    }

    fn size_or(
        &self,
        key: &str,
        absent: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ImportError> {
        match self.agreed(key)? {
            Some(value) => self.whole(key, value, range),
            None => Ok(absent),
        }
    }

    fn sizes(&self, key: &str, range: RangeInclusive<u64>) -> Result<Vec<u64>, ImportError> {
        let list = self
            .get(key)
            .and_then(Value::as_array)
            .ok_or_else(|| self.fault(key, "must be a list of numbers".into()))?;
        list.iter()
            .map(|v| self.whole(key, v, range.clone()))
            .collect()
    }

    /// A number above 0 and up to `most`.
    fn number(&self, key: &str, absent: f32, most: f32) -> Result<f32, ImportError> {
        let Some(value) = self.agreed(key)? else {
            return Ok(absent);
        };
        value
            .as_f64()
            .map(|n| n as f32)
            .filter(|n| *n > 0.0 && *n <= most)
            .ok_or_else(|| {
                self.fault(
                    key,
                    format!("is {value}, must be a number above 0 and up to {most}"),
                )
            })
    }

    fn flag(&self, key: &str, absent: bool) -> Result<bool, ImportError> {
        match self.agreed(key)? {
            None => Ok(absent),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.fault(key, format!("is {value}, must be true or false"))),
        }
    }

    /// A text that must be one of `known`.
    fn only(&self, key: &str, absent: &str, known: &[&str]) -> Result<(), ImportError> {
        let value = match self.agreed(key)? {
            None => absent,
            Some(value) => value
                .as_str()
                .ok_or_else(|| self.fault(key, format!("is {value}, must be a text")))?,
        };
        if known.contains(&value) {
            Ok(())
        } else {
            Err(self.unsupported(key, &format!("\"{value}\"")))
        }
    }

    fn splits(&self, key: &str, whole: u64, parts: u64) -> Result<(), ImportError> {
        if whole.is_multiple_of(parts) {
            Ok(())
        } else {
            Err(self.fault(key, format!("is {parts}, which does not divide {whole}")))
        }
    }
}
