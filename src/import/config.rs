//! `config.json` of a DeepSeek-OCR checkpoint: the measures of its parts.
//!
//! The file is untrusted: every number has a range, so that no later product overflows and no loop
//! runs away. Keys that the published file leaves out take the values that `DeepseekV2Config` gives
//! them (`configuration_deepseek_v2.py` beside the published weights). What this version does not
//! compute is refused, never ignored. Sizes that the file does not hold come from the tensors
//! (`checkpoint.rs`).

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

use super::error::ImportError;
use super::keys::Keys;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/tiny-deepseek-ocr/config.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn parse(value: &Value) -> Result<Config, ImportError> {
        Config::parse(Path::new("config.json"), &value.to_string())
    }

    /// Sets `key` of the language model, where it stands and where it is repeated.
    fn set(root: &mut Value, key: &str, value: Value) {
        root["language_config"][key] = value.clone();
        root[key] = value;
    }

    #[test]
    fn absent_keys_take_the_published_defaults() {
        let mut root = example();
        let full = parse(&root).unwrap();
        for key in [
            "rms_norm_eps",
            "rope_theta",
            "hidden_act",
            "scoring_func",
            "norm_topk_prob",
            "routed_scaling_factor",
            "attention_bias",
            "moe_layer_freq",
            "tie_word_embeddings",
            "topk_method",
            "use_mla",
            "num_key_value_heads",
        ] {
            let language = root["language_config"].as_object_mut().unwrap();
            assert!(language.remove(key).is_some(), "{key}");
            root.as_object_mut().unwrap().remove(key);
            assert_eq!(parse(&root).unwrap(), full, "{key}");
        }
    }

    #[test]
    fn the_gate_is_read_as_the_published_code_reads_it() {
        let mut root = example();
        set(&mut root, "norm_topk_prob", true.into());
        set(&mut root, "routed_scaling_factor", 2.5.into());
        let c = parse(&root).unwrap().language;
        assert!(c.normalise_weights);
        assert_eq!(c.routed_scale, 2.5);
        set(&mut root, "num_experts_per_tok", 1.into());
        assert!(!parse(&root).unwrap().language.normalise_weights);
        set(&mut root, "moe_layer_freq", 2.into());
        let c = parse(&root).unwrap().language;
        let with: Vec<u64> = (0..5).filter(|&l| c.has_experts(l)).collect();
        assert_eq!(with, [2, 4]);
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let cases: [(&str, Value); 9] = [
            ("hidden_act", "gelu".into()),
            ("scoring_func", "sigmoid".into()),
            ("topk_method", "noaux_tc".into()),
            ("topk_method", "group_limited_greedy".into()),
            ("use_mla", true.into()),
            ("attention_bias", true.into()),
            ("tie_word_embeddings", true.into()),
            ("num_key_value_heads", 1.into()),
            ("rope_scaling", serde_json::json!({ "type": "yarn" })),
        ];
        for (key, value) in cases {
            let mut root = example();
            set(&mut root, key, value);
            let e = parse(&root).unwrap_err();
            let text = e.to_string();
            assert!(text.starts_with("config.json: language_config."), "{text}");
            assert!(text.contains(key) && text.contains("not compute"), "{text}");
            assert!(e.hint().is_some());
        }
    }

    #[test]
    fn numbers_out_of_their_range_are_refused_by_name() {
        let cases: [(&str, Value); 14] = [
            ("num_hidden_layers", 100_000.into()),
            ("num_hidden_layers", 0.into()),
            ("num_hidden_layers", (-3).into()),
            ("num_hidden_layers", 3.5.into()),
            ("num_hidden_layers", "3".into()),
            ("num_hidden_layers", u64::MAX.into()),
            ("hidden_size", 1e300.into()),
            ("hidden_size", 65.into()),
            ("vocab_size", true.into()),
            ("num_experts_per_tok", 9.into()),
            ("eos_token_id", 448.into()),
            ("rms_norm_eps", 0.into()),
            ("rms_norm_eps", (-1e-6).into()),
            ("rope_theta", 1e300.into()),
        ];
        for (key, value) in cases {
            let mut root = example();
            set(&mut root, key, value.clone());
            // The projector repeats the width; only the key in question is to be at fault.
            root["projector_config"]["n_embed"] = root["language_config"]["hidden_size"].clone();
            let text = parse(&root).unwrap_err().to_string();
            let named = if key == "hidden_size" && value == 65 {
                "num_attention_heads"
            } else {
                key
            };
            assert!(text.contains(named), "{key} {value}: {text}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_refused() {
        let text = example().to_string();
        let nan = text.replacen("\"rope_theta\":10000.0", "\"rope_theta\":NaN", 1);
        assert_ne!(nan, text);
        let huge = text.replacen("10000.0", "1e999", 1);
        let deep = "[".repeat(100_000);
        for bad in [nan.as_str(), &huge, &deep, "", "[]", "{", "null"] {
            let e = Config::parse(Path::new("config.json"), bad).unwrap_err();
            assert!(e.to_string().starts_with("config.json: "), "{e}");
        }
    }

    #[test]
    fn parts_that_contradict_one_another_are_refused() {
        let cases: [(&[&str], Value); 8] = [
            (&["hidden_size"], 128.into()),
            (&["projector_config", "n_embed"], 65.into()),
            (&["projector_config", "input_dim"], 127.into()),
            (&["projector_config", "projector_type"], "mlp_gelu".into()),
            (
                &["vision_config", "width", "sam_vit_b", "global_attn_indexes"],
                serde_json::json!([1, 4]),
            ),
            (
                &["vision_config", "width", "sam_vit_b", "downsample_channels"],
                serde_json::json!([48, 64, 64]),
            ),
            (&["vision_config", "width", "sam_vit_b", "heads"], 3.into()),
            (
                &["vision_config", "width", "clip-l-14-224", "width"],
                68.into(),
            ),
        ];
        for (path, value) in cases {
            let mut root = example();
            let at = path.iter().fold(&mut root, |at, key| &mut at[*key]);
            assert!(!at.is_null(), "{path:?}");
            *at = value;
            let text = parse(&root).unwrap_err().to_string();
            let key = path.last().unwrap();
            // A width of CLIP shows first as the sum that the projector takes.
            let known = text.contains(key) || text.contains("input_dim");
            assert!(known, "{path:?}: {text}");
        }
    }
}
