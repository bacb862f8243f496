//! A graph under construction: values, nodes, initialisers.
//!
//! ```ignore
//! let mut g = Graph::new("decoder", DType::Bf16);
//! let ids = g.input("input_ids", DType::I64, &[Dim::Free("tokens")]);
//! let table = g.weight(&stored);
//! let x = g.node("Gather", &[table, ids]).int("axis", 0).one();
//! g.output("embedded", x, DType::Bf16, &[Dim::Free("tokens"), Dim::Fixed(64)]);
//! ```
//!
//! Weights stand in one data file beside the graphs ([`Stored`] says where); a graph that computes
//! in another type than they are stored in gets a `Cast` behind each. Small constants stand in the
//! graph itself. A node takes its name from the scope it is made in, so that a viewer shows the
//! architecture.

use std::collections::HashMap;

use prost::Message;

use crate::pack::OPERATORS;

use super::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, EXTERNAL, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Version of ONNX's operators, for all of which that the graphs have ONNX Runtime's CUDA provider
/// has kernels (its `docs/OperatorKernels.md`).
const OPSET: i64 = 22;
/// The file format's version that came with that operator set (ONNX 1.17).
const IR_VERSION: i64 = 10;
/// ONNX Runtime's own operators.
const CONTRIB: &str = "com.microsoft";

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    Bf16,
    I32,
    I64,
    U8,
    Bool,
}

impl DType {
    fn onnx(self) -> i32 {
        (match self {
            Self::F32 => DataType::Float,
            Self::Bf16 => DataType::Bfloat16,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::U8 => DataType::Uint8,
            Self::Bool => DataType::Bool,
        }) as i32
    }

    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::Bf16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }
}

/// One dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(u64),
    /// Known when the graph runs; the name says of what it is the number.
    Free(&'static str),
}

/// A tensor in the data file: where, and how it is laid out (row-major).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<u64>,
    /// Bytes from the start of the data file.
    pub offset: u64,
    pub length: u64,
}

/// A tensor of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

impl Value {
    /// An optional input that is not given.
    pub const NONE: Value = Value(0);
}

pub struct Graph {
    /// Names by [`Value`]; the first is that of [`Value::NONE`].
    names: Vec<String>,
    proto: GraphProto,
    scope: Vec<String>,
    data_file: String,
    compute: DType,
    /// Weights already in the graph, by name and type.
    weights: HashMap<(String, DType), Value>,
    outputs: Vec<(Value, String)>,
}

impl Graph {
    /// A graph that computes in `compute`, whose weights stand in `data_file` beside it.
    pub fn new(name: &str, compute: DType, data_file: &str) -> Self {
        Self {
            names: vec![String::new()],
            proto: GraphProto {
                name: Some(name.into()),
                ..GraphProto::default()
            },
            scope: Vec::new(),
            data_file: data_file.into(),
            compute,
            weights: HashMap::new(),
            outputs: Vec::new(),
        }
    }

    /// The type in which the graph computes.
    pub fn compute(&self) -> DType {
        self.compute
    }

    /// Whether the graph is for CUDA: only there are dropleaf's own operators.
    pub fn on_cuda(&self) -> bool {
        self.compute == DType::Bf16
    }

    pub fn input(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> Value {
        self.proto.input.push(value_info(name, dtype, shape));
        self.value(name.into())
    }

    /// Names `value`, which a node made, as an output of the graph. An output that shares its
    /// buffer with an input does so only because no node stands between.
    pub fn output(&mut self, name: &str, value: Value, dtype: DType, shape: &[Dim]) {
        self.proto.output.push(value_info(name, dtype, shape));
        self.outputs.push((value, name.into()));
    }

    /// A weight in the data file, in the type in which the graph computes.
    pub fn weight(&mut self, stored: &Stored) -> Value {
        self.weight_as(stored, self.compute)
    }

    /// A weight in the data file, as `dtype`: [`DType::F32`] or [`DType::Bf16`]. ONNX Runtime casts
    /// once, when it loads the graph.
    pub fn weight_as(&mut self, stored: &Stored, dtype: DType) -> Value {
        let key = (stored.name.clone(), dtype);
        if let Some(&value) = self.weights.get(&key) {
            return value;
        }
        let value = if stored.dtype == dtype {
            self.stored(stored)
        } else {
            let value = self.weight_as(stored, stored.dtype);
            self.cast(value, dtype)
        };
        self.weights.insert(key, value);
        value
    }

    fn stored(&mut self, stored: &Stored) -> Value {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        self.proto.initializer.push(TensorProto {
            dims: stored.shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(stored.dtype.onnx()),
            name: Some(stored.name.clone()),
            external_data: vec![
                entry("location", self.data_file.clone()),
                entry("offset", stored.offset.to_string()),
                entry("length", stored.length.to_string()),
            ],
            data_location: Some(EXTERNAL),
            ..TensorProto::default()
        });
        self.value(stored.name.clone())
    }

    /// 64-bit integers as a tensor of one dimension: shapes, axes, indices.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(DType::I64, &[values.len() as i64], raw)
    }

    /// One 64-bit integer, without dimensions.
    pub fn int(&mut self, value: i64) -> Value {
        self.constant(DType::I64, &[], value.to_le_bytes().to_vec())
    }

    /// One number in the type in which the graph computes, without dimensions.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.floats(&[], &[value])
    }

    /// Numbers in the type in which the graph computes.
    pub fn floats(&mut self, shape: &[i64], values: &[f32]) -> Value {
        match self.compute {
            DType::Bf16 => {
                let raw = values
                    .iter()
                    .flat_map(|&v| half::bf16::from_f32(v).to_le_bytes())
                    .collect();
                self.constant(DType::Bf16, shape, raw)
            }
            _ => self.floats32(shape, values),
        }
    }

    /// 32-bit numbers, whatever the graph computes in.
    pub fn floats32(&mut self, shape: &[i64], values: &[f32]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(DType::F32, shape, raw)
    }

    /// A small tensor in the graph itself; `raw` is little-endian and row-major.
    pub fn constant(&mut self, dtype: DType, shape: &[i64], raw: Vec<u8>) -> Value {
        let name = self.fresh("constant");
        self.proto.initializer.push(TensorProto {
            dims: shape.to_vec(),
            data_type: Some(dtype.onnx()),
            name: Some(name.clone()),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
        self.value(name)
    }

    pub fn cast(&mut self, value: Value, to: DType) -> Value {
        self.node("Cast", &[value])
            .int("to", i64::from(to.onnx()))
            .one()
    }

    /// A node of ONNX's own operators.
    pub fn node(&mut self, op: &'static str, inputs: &[Value]) -> Node<'_> {
        Node::new(self, op, "", inputs)
    }

    /// A node of dropleaf's own operators, which only CUDA has.
    pub fn own(&mut self, op: &'static str, inputs: &[Value]) -> Node<'_> {
        Node::new(self, op, OPERATORS, inputs)
    }

    /// A node of ONNX Runtime's operators (`com.microsoft`).
    pub fn contrib(&mut self, op: &'static str, inputs: &[Value]) -> Node<'_> {
        Node::new(self, op, CONTRIB, inputs)
    }

    /// What is built inside has `name` before its names.
    pub fn within<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.into());
        let built = build(self);
        self.scope.pop();
        built
    }

    /// The graph as the bytes of an `.onnx` file.
    pub fn encode(mut self) -> Vec<u8> {
        let new: HashMap<&str, &str> = self
            .outputs
            .iter()
            .map(|(value, name)| (self.names[value.0].as_str(), name.as_str()))
            .collect();
        for node in &mut self.proto.node {
            for name in node.input.iter_mut().chain(&mut node.output) {
                if let Some(&new) = new.get(name.as_str()) {
                    *name = new.into();
                }
            }
        }
        let opset = |domain: &str, version| OperatorSetIdProto {
            domain: Some(domain.into()),
            version: Some(version),
        };
        let mut opset_import = vec![opset("", OPSET), opset(CONTRIB, 1)];
        let nodes = &self.proto.node;
        if nodes.iter().any(|n| n.domain.as_deref() == Some(OPERATORS)) {
            opset_import.push(opset(OPERATORS, 1));
        }
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("dropleaf".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.proto),
            opset_import,
            metadata_props: Vec::new(),
        }
        .encode_to_vec()
    }

    fn value(&mut self, name: String) -> Value {
        self.names.push(name);
        Value(self.names.len() - 1)
    }

    /// A name that no other value has.
    fn fresh(&self, base: &str) -> String {
        let mut name = self.scope.join("/");
        if !name.is_empty() {
            name.push('/');
        }
        format!("{name}{base}_{}", self.names.len())
    }
}

/// A node whose attributes are still being given.
pub struct Node<'g> {
    graph: &'g mut Graph,
    proto: NodeProto,
}

impl<'g> Node<'g> {
    fn new(graph: &'g mut Graph, op: &str, domain: &str, inputs: &[Value]) -> Self {
        let input = inputs.iter().map(|v| graph.names[v.0].clone()).collect();
        let proto = NodeProto {
            input,
            name: Some(graph.fresh(op)),
            op_type: Some(op.into()),
            domain: (!domain.is_empty()).then(|| domain.into()),
            ..NodeProto::default()
        };
        Self { graph, proto }
    }

    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(name, AttributeType::Int, |a| a.i = Some(value))
    }

    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.with(name, AttributeType::Ints, |a| a.ints = values.to_vec())
    }

    pub fn float(self, name: &str, value: f32) -> Self {
        self.with(name, AttributeType::Float, |a| a.f = Some(value))
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, AttributeType::String, |a| {
            a.s = Some(value.as_bytes().to_vec());
        })
    }

    fn with(
        mut self,
        name: &str,
        kind: AttributeType,
        set: impl FnOnce(&mut AttributeProto),
    ) -> Self {
        let mut attribute = AttributeProto {
            name: Some(name.into()),
            r#type: Some(kind as i32),
            ..AttributeProto::default()
        };
        set(&mut attribute);
        self.proto.attribute.push(attribute);
        self
    }

    /// Ends the node with one output.
    pub fn one(self) -> Value {
        let [value] = self.outputs();
        value
    }

    /// Ends the node with its first `N` outputs.
    pub fn outputs<const N: usize>(self) -> [Value; N] {
        self.outputs_at(std::array::from_fn(|i| i))
    }

    /// Ends the node with the outputs at `places`, which ascend; optional ones between are not made.
    pub fn outputs_at<const N: usize>(mut self, places: [usize; N]) -> [Value; N] {
        let base = self.proto.op_type.clone().unwrap_or_default();
        let values = places.map(|place| {
            self.proto.output.resize(place, String::new());
            let name = self.graph.fresh(&base);
            self.proto.output.push(name.clone());
            self.graph.value(name)
        });
        self.graph.proto.node.push(self.proto);
        values
    }
}

fn value_info(name: &str, dtype: DType, shape: &[Dim]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|d| match *d {
            Dim::Fixed(n) => Dimension {
                dim_value: Some(n as i64),
                dim_param: None,
            },
            Dim::Free(name) => Dimension {
                dim_value: None,
                dim_param: Some(name.into()),
            },
        })
        .collect();
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(dtype.onnx()),
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_stored_in_another_type_is_cast_once_and_names_differ() {
        let stored = Stored {
            name: "w".into(),
            dtype: DType::Bf16,
            shape: vec![2, 3],
            offset: 4096,
            length: 12,
        };
        let mut g = Graph::new("g", DType::F32, "weights.bin");
        let x = g.input("x", DType::F32, &[Dim::Free("rows"), Dim::Fixed(2)]);
        let w = g.weight(&stored);
        assert_eq!(g.weight(&stored), w);
        let y = g.within("layer", |g| g.node("MatMul", &[x, w]).one());
        g.output("y", y, DType::F32, &[Dim::Free("rows"), Dim::Fixed(3)]);
        let model = ModelProto::decode(g.encode().as_slice()).unwrap();
        let graph = model.graph.unwrap();
        let ops: Vec<_> = graph
            .node
            .iter()
            .map(|n| n.op_type.as_deref().unwrap())
            .collect();
        assert_eq!(ops, ["Cast", "MatMul"]);
        assert_eq!(graph.node[1].output, ["y"]);
        assert!(graph.node[1].name.as_deref().unwrap().starts_with("layer/"));
        assert_eq!(
            graph.initializer[0].external_data[1].value.as_deref(),
            Some("4096")
        );
        let mut names: Vec<_> = graph.node.iter().flat_map(|n| &n.output).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2);
    }
}
