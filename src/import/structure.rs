//! What the ONNX checker would say of the graphs, said here: values are made once and before they
//! are used, outputs are made, data stands where the data file has it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use prost::Message;

use super::checkpoint::Checkpoint;
use super::decoder::{self, Form};
use super::graph::DType;
use super::onnx::{DataType, EXTERNAL, ModelProto, ValueInfoProto};
use super::plan::{ALIGNMENT, Plan};
use super::positions::Learned;
use super::vision;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The graphs of a checkpoint, and the length of their data file.
fn graphs(name: &str, dtype: DType, forms: &[Form]) -> (Vec<ModelProto>, u64) {
    let checkpoint = Checkpoint::open(&example(name)).unwrap();
    let (config, measured) = (checkpoint.config, checkpoint.measured);
    let mut plan = Plan::new(checkpoint.shards, dtype);
    let mut all = Vec::new();
    for &form in forms {
        if form != Form::Cuda8 {
            all.push(vision::build(&mut plan, &config, &measured, form, "w.bin").unwrap());
        }
        all.push(decoder::build(&mut plan, &config.language, form, "w.bin").unwrap());
    }
    Learned::read(&mut plan, &config, &measured).unwrap();
    let length = plan.finish().unwrap().length;
    let models = all
        .into_iter()
        .map(|g| ModelProto::decode(g.encode().as_slice()).unwrap())
        .collect();
    (models, length)
}

fn every() -> Vec<(Vec<ModelProto>, u64)> {
    let all = [Form::Cpu, Form::Cuda, Form::Cuda8];
    vec![
        graphs("tiny-deepseek-ocr", DType::Bf16, &all),
        graphs("tiny-reader", DType::Bf16, &all),
        graphs("tiny-reader", DType::F32, &[Form::Cpu]),
    ]
}

#[test]
fn values_are_made_once_and_before_they_are_used() {
    for model in every().into_iter().flat_map(|(models, _)| models) {
        let graph = model.graph.unwrap();
        let mut made: HashSet<&str> = HashSet::new();
        let first = graph
            .input
            .iter()
            .map(|v| v.name.as_deref())
            .chain(graph.initializer.iter().map(|t| t.name.as_deref()));
        for name in first {
            assert!(made.insert(name.unwrap()), "{name:?} is there twice");
        }
        let mut nodes = HashSet::new();
        let mut used = HashSet::new();
        for node in &graph.node {
            let name = node.name.as_deref().unwrap();
            assert!(nodes.insert(name), "two nodes are called {name}");
            for input in node.input.iter().filter(|i| !i.is_empty()) {
                assert!(
                    made.contains(input.as_str()),
                    "{name} takes {input} too early"
                );
                used.insert(input.as_str());
            }
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                assert!(made.insert(output), "{output} is made twice");
            }
        }
        for output in &graph.output {
            let name = output.name.as_deref().unwrap();
            assert!(made.contains(name), "nobody makes {name}");
            used.insert(name);
        }
        for weight in &graph.initializer {
            let name = weight.name.as_deref().unwrap();
            assert!(used.contains(name), "nobody uses {name}");
        }
    }
}

#[test]
fn weights_lie_in_the_data_file_and_do_not_overlap() {
    for (models, length) in every() {
        let mut places: BTreeMap<u64, (u64, String)> = BTreeMap::new();
        let mut outside = 0;
        for graph in models.into_iter().map(|m| m.graph.unwrap()) {
            for t in graph.initializer {
                let name = t.name.unwrap();
                let elements: i64 = t.dims.iter().product();
                let width = match DataType::try_from(t.data_type.unwrap()).unwrap() {
                    DataType::Float | DataType::Int32 => 4,
                    DataType::Int64 => 8,
                    DataType::Bfloat16 => 2,
                    DataType::Uint8 | DataType::Bool => 1,
                    DataType::Undefined => panic!("{name} has no type"),
                };
                let size = elements as u64 * width;
                if t.data_location != Some(EXTERNAL) {
                    assert_eq!(t.raw_data.unwrap().len() as u64, size, "{name}");
                    continue;
                }
                let entry = |key: &str| {
                    t.external_data
                        .iter()
                        .find(|e| e.key.as_deref() == Some(key))
                        .and_then(|e| e.value.clone())
                        .unwrap()
                };
                assert_eq!(entry("location"), "w.bin");
                assert_eq!(entry("length"), size.to_string(), "{name}");
                let offset: u64 = entry("offset").parse().unwrap();
                assert_eq!(offset % ALIGNMENT, 0, "{name}");
                assert!(offset + size <= length, "{name}");
                outside += 1;
                if let Some(other) = places.insert(offset, (size, name.clone())) {
                    assert_eq!(other, (size, name), "two tensors at {offset}");
                }
            }
        }
        let mut end = 0;
        for (offset, (size, name)) in &places {
            assert!(*offset >= end, "{name} overlaps");
            end = offset + size;
        }
        assert!(outside > places.len() || outside > 50, "{outside}");
    }
}

fn shapes(values: &[ValueInfoProto]) -> BTreeMap<String, (i32, Vec<String>)> {
    values
        .iter()
        .map(|v| {
            let t = v.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
            let dims = t.shape.as_ref().unwrap().dim.iter();
            let dims = dims
                .map(|d| match (&d.dim_param, d.dim_value) {
                    (Some(name), _) => name.clone(),
                    (None, n) => n.unwrap().to_string(),
                })
                .collect();
            (v.name.clone().unwrap(), (t.elem_type.unwrap(), dims))
        })
        .collect()
}

#[test]
fn both_forms_have_the_same_inputs_and_outputs() {
    let (models, _) = graphs("tiny-deepseek-ocr", DType::Bf16, &[Form::Cpu, Form::Cuda]);
    let graphs: Vec<_> = models.into_iter().map(|m| m.graph.unwrap()).collect();
    for (cpu, cuda) in [(0, 2), (1, 3)] {
        let of = |i: usize| (shapes(&graphs[i].input), shapes(&graphs[i].output));
        let ((inputs, outputs), (others, other_outputs)) = (of(cpu), of(cuda));
        for (a, b) in [(&inputs, &others), (&outputs, &other_outputs)] {
            let names = |m: &BTreeMap<String, _>| m.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(a), names(b));
            for (name, (kind, dims)) in a {
                let (other, other_dims) = &b[name];
                assert_eq!(dims, other_dims, "{name}");
                // They differ in the type in which they compute, nowhere else.
                let pair = (*kind, *other);
                let computed = (DataType::Float as i32, DataType::Bfloat16 as i32);
                assert!(pair == computed || pair.0 == pair.1, "{name}: {pair:?}");
            }
        }
    }
}

/// What the engine binds to the graph over a cache of 8 bits, beside what all forms take.
#[test]
fn a_cache_of_8_bits_has_scales() {
    let (models, _) = graphs("tiny-reader", DType::Bf16, &[Form::Cuda, Form::Cuda8]);
    let [plain, eight] = [1, 2].map(|i| models[i].graph.clone().unwrap());
    let is_cache = |name: &String| name.contains("_cache") || name.contains("_scales");
    for (of, others, suffix) in [
        (&eight.input, &plain.input, ""),
        (&eight.output, &plain.output, "_out"),
    ] {
        let (mut own, mut others) = (shapes(of), shapes(others));
        for layer in 0..4 {
            for what in ["key", "value"] {
                let dims = |dims: &[&str]| dims.iter().map(|d| (*d).to_owned()).collect::<Vec<_>>();
                assert_eq!(
                    own[&format!("{what}_cache{suffix}.{layer}")],
                    (DataType::Uint8 as i32, dims(&["blocks", "3", "256", "64"]))
                );
                assert_eq!(
                    own[&format!("{what}_scales{suffix}.{layer}")],
                    (DataType::Bfloat16 as i32, dims(&["blocks", "3", "256"]))
                );
            }
        }
        own.retain(|name, _| !is_cache(name));
        others.retain(|name, _| !is_cache(name));
        assert_eq!(own, others);
    }
    let nodes = |graph: &crate::import::onnx::GraphProto, op: &str| {
        let nodes = graph.node.iter();
        nodes.filter(|n| n.op_type.as_deref() == Some(op)).count()
    };
    assert_eq!(
        (
            nodes(&eight, "PagedAttention8"),
            nodes(&eight, "PagedAttention")
        ),
        (4, 0)
    );
    assert_eq!(
        (
            nodes(&plain, "PagedAttention8"),
            nodes(&plain, "PagedAttention")
        ),
        (0, 4)
    );
    let node = eight
        .node
        .iter()
        .find(|n| n.op_type.as_deref() == Some("PagedAttention8"));
    let node = node.unwrap();
    let attributes = node.attribute.iter();
    let attributes: Vec<_> = attributes
        .map(|a| (a.name.as_deref().unwrap(), a.i))
        .collect();
    assert_eq!(attributes, [("heads", Some(3)), ("dim", Some(64))]);
    // Positions in 32 bits.
    for table in &node.input[8..10] {
        let mut tables = eight.initializer.iter();
        let table = tables.find(|t| t.name.as_ref() == Some(table)).unwrap();
        assert_eq!(table.data_type, Some(DataType::Float as i32));
        assert_eq!(table.dims, [8192, 32]);
    }
}

#[test]
fn caches_are_written_by_the_node_that_takes_them() {
    let forms = [Form::Cpu, Form::Cuda, Form::Cuda8];
    let (models, _) = graphs("tiny-reader", DType::Bf16, &forms);
    let caches = ["key_cache", "value_cache"];
    let with_scales = ["key_cache", "value_cache", "key_scales", "value_scales"];
    for (model, op, caches) in [
        (&models[1], "ScatterND", &caches[..]),
        (&models[3], "PagedAttention", &caches),
        (&models[4], "PagedAttention8", &with_scales),
    ] {
        let graph = model.graph.as_ref().unwrap();
        for layer in 0..4 {
            for what in caches {
                let (from, to) = (format!("{what}.{layer}"), format!("{what}_out.{layer}"));
                let node = graph.node.iter().find(|n| n.output.contains(&to)).unwrap();
                assert_eq!(node.op_type.as_deref(), Some(op));
                assert!(node.input.contains(&from), "{to} does not share {from}");
            }
        }
    }
    // The operator's outputs are its inputs' memory, each in its place.
    let graph = models[4].graph.as_ref().unwrap();
    let mut nodes = graph.node.iter();
    let node = nodes.find(|n| n.op_type.as_deref() == Some("PagedAttention8"));
    let node = node.unwrap();
    assert_eq!(
        node.input[1..5],
        with_scales.map(|what| format!("{what}.0"))
    );
    assert_eq!(
        node.output[1..],
        with_scales.map(|what| format!("{what}_out.0"))
    );
}
