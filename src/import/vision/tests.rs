use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::Message;
use safetensors::tensor::{Dtype, TensorView};

use super::*;
use crate::import::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::import::positions::{Learned, tables};
use crate::import::shards::Shards;

const CONFIG: &str = r#"{
    "language_config": {
        "hidden_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 100,
        "max_position_embeddings": 64, "intermediate_size": 8, "moe_intermediate_size": 8,
        "n_routed_experts": 2, "num_experts_per_tok": 1, "bos_token_id": 0, "eos_token_id": 1
    },
    "projector_config": { "projector_type": "linear", "input_dim": 64, "n_embed": 40 },
    "vision_config": {
        "image_size": 256,
        "width": {
            "sam_vit_b": {
                "layers": 3, "width": 48, "heads": 3, "global_attn_indexes": [1],
                "downsample_channels": [8, 32]
            },
            "clip-l-14-224": {
                "layers": 2, "width": 32, "heads": 2, "image_size": 56, "patch_size": 14
            }
        }
    }
}"#;

fn config() -> Config {
    Config::parse(Path::new("config.json"), CONFIG).unwrap()
}

fn measured() -> Measured {
    Measured {
        sam_patch: 16,
        sam_window: 6,
        sam_mlp: 24,
        clip_mlp: 56,
        sam_neck: 16,
    }
}

/// The towers' tensors as the published checkpoint names them.
fn tensors() -> BTreeMap<String, Vec<usize>> {
    let mut all = BTreeMap::new();
    let mut put = |name: String, shape: &[usize]| {
        all.insert(format!("model.{name}"), shape.to_vec());
    };
    let affine = [("weight", true), ("bias", false)];
    let mut layer = |name: String, outputs: usize, inputs: Option<usize>| {
        for (part, matrix) in affine {
            let shape = match inputs {
                Some(inputs) if matrix => vec![outputs, inputs],
                _ => vec![outputs],
            };
            put(format!("{name}.{part}"), &shape);
        }
    };
    for block in 0..3 {
        let name = |part: &str| format!("sam_model.blocks.{block}.{part}");
        layer(name("norm1"), 48, None);
        layer(name("norm2"), 48, None);
        layer(name("attn.qkv"), 144, Some(48));
        layer(name("attn.proj"), 48, Some(48));
        layer(name("mlp.lin1"), 24, Some(48));
        layer(name("mlp.lin2"), 48, Some(24));
    }
    layer("sam_model.neck.1".into(), 16, None);
    layer("sam_model.neck.3".into(), 16, None);
    layer("vision_model.pre_layrnorm".into(), 32, None);
    for block in 0..2 {
        let name = |part: &str| format!("vision_model.transformer.layers.{block}.{part}");
        layer(name("layer_norm1"), 32, None);
        layer(name("layer_norm2"), 32, None);
        layer(name("self_attn.qkv_proj"), 96, Some(32));
        layer(name("self_attn.out_proj"), 32, Some(32));
        layer(name("mlp.fc1"), 56, Some(32));
        layer(name("mlp.fc2"), 32, Some(56));
    }
    layer("projector.layers".into(), 40, Some(64));
    for (block, places) in [(0, 11), (1, 31), (2, 11)] {
        for axis in ["rel_pos_h", "rel_pos_w"] {
            put(
                format!("sam_model.blocks.{block}.attn.{axis}"),
                &[places, 16],
            );
        }
    }
    put("sam_model.patch_embed.proj.weight".into(), &[48, 3, 16, 16]);
    put("sam_model.patch_embed.proj.bias".into(), &[48]);
    put("sam_model.pos_embed".into(), &[1, 16, 16, 48]);
    put("sam_model.neck.0.weight".into(), &[16, 48, 1, 1]);
    put("sam_model.neck.2.weight".into(), &[16, 16, 3, 3]);
    put("sam_model.net_2.weight".into(), &[8, 16, 3, 3]);
    put("sam_model.net_3.weight".into(), &[32, 8, 3, 3]);
    let embeddings = |part: &str| format!("vision_model.embeddings.{part}");
    put(embeddings("class_embedding"), &[32]);
    put(embeddings("patch_embedding.weight"), &[32, 3, 14, 14]);
    put(embeddings("position_embedding.weight"), &[17, 32]);
    all
}

/// A plan over a checkpoint of these tensors, all zeros.
fn plan(tensors: &BTreeMap<String, Vec<usize>>) -> (tempfile::TempDir, Plan) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = vec![0; 1 << 20];
    let views = tensors.iter().map(|(name, shape)| {
        let length = 2 * shape.iter().product::<usize>();
        let view = TensorView::new(Dtype::BF16, shape.clone(), &bytes[..length]).unwrap();
        (name, view)
    });
    let file = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.path().join("m.safetensors"), file).unwrap();
    let shards = Shards::open(folder.path(), &["m.safetensors".into()]).unwrap();
    (folder, Plan::new(shards, DType::Bf16))
}

fn graph(plan: &mut Plan, form: Form) -> GraphProto {
    let graph = build(plan, &config(), &measured(), form, "weights.bin").unwrap();
    let model = ModelProto::decode(graph.encode().as_slice()).unwrap();
    model.graph.unwrap()
}

/// Name, ONNX's number of the type, and dimensions ("?" free).
fn described(values: &[ValueInfoProto]) -> Vec<String> {
    values
        .iter()
        .map(|value| {
            let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
            let dims: Vec<String> = tensor
                .shape
                .as_ref()
                .unwrap()
                .dim
                .iter()
                .map(|d| d.dim_value.map_or("?".into(), |n| n.to_string()))
                .collect();
            let name = value.name.as_deref().unwrap();
            format!("{name} {} [{}]", tensor.elem_type.unwrap(), dims.join(" "))
        })
        .collect()
}

#[test]
fn both_forms_have_the_same_inputs_and_differ_only_in_the_type_of_the_tokens() {
    let (_folder, mut plan) = plan(&tensors());
    let cpu = graph(&mut plan, Form::Cpu);
    let cuda = graph(&mut plan, Form::Cuda);
    // 1: f32, 2: u8, 16: bfloat16.
    let inputs = [
        "views 2 [? ? ? 3]",
        "sam_positions 1 [? ? 48]",
        "sam_relative 1 [1 2 ? 16]",
        "clip_positions 1 [? 32]",
    ];
    assert_eq!(described(&cpu.input), inputs);
    assert_eq!(described(&cuda.input), inputs);
    let outputs = ["sam 1 [? 32 ? ?]", "clip 1 [? ? 32]"];
    assert_eq!(described(&cpu.output)[..2], outputs);
    assert_eq!(described(&cuda.output)[..2], outputs);
    assert_eq!(described(&cpu.output)[2], "projected 1 [? ? 40]");
    assert_eq!(described(&cuda.output)[2], "projected 16 [? ? 40]");
}

#[test]
fn every_tensor_of_the_towers_has_a_place_once_and_both_forms_share_it() {
    let (_folder, mut one) = plan(&tensors());
    graph(&mut one, Form::Cpu);
    Learned::read(&mut one, &config(), &measured()).unwrap();
    let one = one.finish().unwrap();
    let (_folder, mut two) = plan(&tensors());
    graph(&mut two, Form::Cpu);
    graph(&mut two, Form::Cuda);
    Learned::read(&mut two, &config(), &measured()).unwrap();
    let two = two.finish().unwrap();
    assert_eq!(one.pieces.len(), two.pieces.len());
    assert_eq!(one.length, two.length);
    // All but position tables (absolute, of the global layer, CLIP's) and CLIP's own patches; of each
    // of the five layers' biases of queries, keys and values two parts.
    assert_eq!(one.pieces.len(), tensors().len() - 5 + 5);
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let mut good = 0;
    for name in tensors().keys() {
        let mut without = tensors();
        without.remove(name);
        let mut other = tensors();
        other.get_mut(name).unwrap()[0] += 1;
        for tensors in [without, other] {
            let (_folder, mut plan) = plan(&tensors);
            let built = build(&mut plan, &config(), &measured(), Form::Cpu, "w")
                .map(|_| ())
                .and_then(|()| Learned::read(&mut plan, &config(), &measured()).map(|_| ()));
            let error = built.unwrap_err().to_string();
            assert!(error.contains(&format!("\"{name}\"")), "{name}: {error}");
            good += 1;
        }
    }
    assert_eq!(good, 2 * tensors().len());
}

#[test]
fn position_tables_fit_the_inputs() {
    let (_folder, mut plan) = plan(&tensors());
    let learned = Learned::read(&mut plan, &config(), &measured()).unwrap();
    let shapes: Vec<_> = tables(&learned).into_iter().map(|t| t.shape).collect();
    assert_eq!(
        shapes[6..9],
        [vec![64, 64, 48], vec![1, 2, 127, 16], vec![257, 32]]
    );
}

#[test]
fn every_layer_attends_once_with_its_own_scale() {
    let (_folder, mut plan) = plan(&tensors());
    let expected = [
        ("sam/blocks.0", 3),
        ("sam/blocks.1", 3),
        ("sam/blocks.2", 3),
        ("clip/layers.0", 2),
        ("clip/layers.1", 2),
    ];
    let attended = |graph: &GraphProto, heads: &str, named: &[&str]| -> Vec<(String, i64)> {
        let nodes = graph.node.iter();
        let nodes = nodes.filter(|n| named.contains(&n.op_type.as_deref().unwrap()));
        nodes
            .map(|node| {
                let name = node.name.as_deref().unwrap();
                let at = name.rsplit_once('/').unwrap().0.to_owned();
                (at, attribute(node, heads).i.unwrap())
            })
            .collect()
    };
    let expected = expected.map(|(at, heads)| (at.to_owned(), heads));
    let cpu = graph(&mut plan, Form::Cpu);
    let own = "MultiHeadAttention";
    assert_eq!(attended(&cpu, "num_heads", &[own]), expected);
    for node in cpu
        .node
        .iter()
        .filter(|n| n.op_type.as_deref() == Some(own))
    {
        assert_eq!(attribute(node, "scale").f.unwrap(), 16f32.sqrt().recip());
    }
    let cuda = graph(&mut plan, Form::Cuda);
    let own = ["RelativeAttention", "Attention"];
    assert_eq!(attended(&cuda, "heads", &own), expected);
    let sides: Vec<_> = cuda
        .node
        .iter()
        .filter(|n| n.op_type.as_deref() == Some(own[0]))
        .map(|n| ["side", "row_table", "column_table"].map(|a| attribute(n, a).i.unwrap()))
        .collect();
    assert_eq!(sides, [[6, 0, 0], [0, 0, 1], [6, 0, 0]]);
}

fn attribute<'n>(node: &'n NodeProto, wanted: &str) -> &'n AttributeProto {
    let mut all = node.attribute.iter();
    all.find(|a| a.name.as_deref() == Some(wanted)).unwrap()
}

#[test]
fn what_cuda_has_no_kernels_for_is_refused_with_what_to_do() {
    for (config, measured) in [
        (
            config(),
            Measured {
                sam_window: 7,
                ..measured()
            },
        ),
        (
            config(),
            Measured {
                clip_mlp: 50,
                ..measured()
            },
        ),
        (
            Config::parse(
                Path::new("config.json"),
                &CONFIG.replace("\"heads\": 2", "\"heads\": 4"),
            )
            .unwrap(),
            measured(),
        ),
    ] {
        let (_folder, mut plan) = plan(&tensors());
        let refused = build(&mut plan, &config, &measured, Form::Cuda, "w");
        let refused = refused.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("CUDA has"), "{refused}");
    }
}

/// Those of the CUDA form that see bfloat16 are in ONNX Runtime's list of kernels
/// (`docs/OperatorKernels.md`, CUDAExecutionProvider) with that type, and those that see 32-bit
/// floats with that one; the others compute shapes and indices. `Pad`, `OneHot`, `EyeLike` and
/// `Einsum` are not: they would run on the CPU.
#[test]
fn the_cuda_form_is_made_of_operators_that_cuda_has() {
    let (_folder, mut plan) = plan(&tensors());
    let graph = graph(&mut plan, Form::Cuda);
    let found: BTreeSet<&str> = graph
        .node
        .iter()
        .map(|n| n.op_type.as_deref().unwrap())
        .collect();
    let with_bfloat16 = ["Cast", "MatMul"];
    let own = [
        "Attention",
        "BiasGelu",
        "BiasQuickGelu",
        "LayerNorm",
        "Neighbours",
        "RelativeAttention",
        "SkipLayerNorm",
    ];
    let in_32_bits = [
        "Add",
        "Concat",
        "Expand",
        "LayerNormalization",
        "Mul",
        "Reshape",
        "Slice",
        "Sub",
        "Transpose",
    ];
    let of_integers = ["Div", "Shape"];
    let expected: BTreeSet<&str> = with_bfloat16
        .into_iter()
        .chain(own)
        .chain(in_32_bits)
        .chain(of_integers)
        .collect();
    assert_eq!(found, expected);
}
