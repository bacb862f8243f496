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
        all.push(vision::build(&mut plan, &config, &measured, form, "w.bin").unwrap());
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
    let both = [Form::Cpu, Form::Cuda];
    vec![
        graphs("tiny-deepseek-ocr", DType::Bf16, &both),
        graphs("tiny-reader", DType::Bf16, &both),
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

#[test]
fn caches_are_written_by_the_node_that_takes_them() {
    let (models, _) = graphs("tiny-reader", DType::Bf16, &[Form::Cpu, Form::Cuda]);
    for (model, op) in [(&models[1], "ScatterND"), (&models[3], "PagedAttention")] {
        let graph = model.graph.as_ref().unwrap();
        for layer in 0..4 {
            for what in ["key", "value"] {
                let (from, to) = (
                    format!("{what}_cache.{layer}"),
                    format!("{what}_cache_out.{layer}"),
                );
                let node = graph.node.iter().find(|n| n.output.contains(&to)).unwrap();
                assert_eq!(node.op_type.as_deref(), Some(op));
                assert!(node.input.contains(&from), "{to} does not share {from}");
            }
        }
    }
}
