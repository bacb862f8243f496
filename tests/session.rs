//! The seam to ONNX Runtime, with graphs made here: types of tensors, tensors that stay, outputs
//! that nobody asks for, and where nodes run.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use dropleaf::config::{Config, Device};
use dropleaf::engine::session::{
    Data, ElementType, Graph as _, OrtGraph, Place, Resident, Runtime, View,
};
use dropleaf::import::graph::{DType, Dim, Graph};
use half::bf16;

/// Loads a graph, which has no weights.
fn load(graph: Graph, outputs: &[&str]) -> OrtGraph {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("graph.onnx");
    std::fs::write(&path, graph.encode()).unwrap();
    let mut config = Config::default();
    config.folders.fill().unwrap();
    let runtime = Runtime::load(&config.folders.data.join("lib"), Device::Cpu, 2).unwrap();
    runtime.session(&path, Place::Cpu, outputs).unwrap()
}

/// Adds rows to a cache of rows of three, and sums what the cache holds.
fn cache() -> OrtGraph {
    let mut g = Graph::new("cache", DType::F32, "none");
    let shape = [Dim::Free("rows"), Dim::Fixed(3)];
    let cache = g.input("cache", DType::F32, &shape);
    let places = g.input("places", DType::I64, &[Dim::Free("new"), Dim::Fixed(1)]);
    let rows = g.input("rows", DType::F32, &[Dim::Free("new"), Dim::Fixed(3)]);
    let cache = g.node("ScatterND", &[cache, places, rows]).one();
    g.output("cache_out", cache, DType::F32, &shape);
    let axis = g.ints(&[0]);
    let sum = g.node("ReduceSum", &[cache, axis]).int("keepdims", 0).one();
    g.output("sum", sum, DType::F32, &[Dim::Fixed(3)]);
    let count = g.node("Shape", &[cache]).one();
    g.output("shape", count, DType::I64, &[Dim::Fixed(2)]);
    load(g, &["sum"])
}

fn add(graph: &mut OrtGraph, place: i64, row: [f32; 3], outputs: &[&str]) -> Vec<Vec<f32>> {
    let mut out = Vec::new();
    let places = [place];
    let inputs = [
        ("places", View::new(&[1, 1], &places)),
        ("rows", View::new(&[1, 3], &row)),
    ];
    graph
        .run(&inputs, outputs, &mut |found| {
            out = found.iter().map(|v| v.f32().to_vec()).collect();
        })
        .unwrap();
    out
}

#[test]
fn a_resident_tensor_stays_from_run_to_run_and_begins_at_zero() {
    let mut graph = cache();
    for rows in [1000, 7] {
        let resident = Resident {
            input: "cache".into(),
            output: "cache_out".into(),
            element: ElementType::F32,
            shape: vec![rows, 3],
        };
        graph.keep(&[resident]).unwrap();
        assert_eq!(add(&mut graph, 0, [1.0, 2.0, 3.0], &[]), [[1.0, 2.0, 3.0]]);
        assert_eq!(
            add(&mut graph, 6, [1.0, 0.0, 0.0], &["sum"]),
            [[2.0, 2.0, 3.0]]
        );
        // Other outputs than before, and the first row again.
        let mut shape = Vec::new();
        let inputs = [
            ("places", View::new(&[2, 1], &[0i64, 1])),
            ("rows", View::new(&[2, 3], &[0.0f32; 6])),
        ];
        graph
            .run(&inputs, &["shape", "sum"], &mut |found| {
                shape = found[0].i64().to_vec();
                assert_eq!(found[1].f32(), [1.0, 0.0, 0.0]);
            })
            .unwrap();
        assert_eq!(shape, [rows, 3]);
    }
    // Without residents the cache is an input like any other.
    graph.keep(&[]).unwrap();
    let inputs = [
        ("cache", View::new(&[2, 3], &[1.0f32; 6])),
        ("places", View::new(&[1, 1], &[1i64])),
        ("rows", View::new(&[1, 3], &[5.0f32; 3])),
    ];
    graph
        .run(&inputs, &["sum"], &mut |found| {
            assert_eq!(found[0].f32(), [6.0; 3])
        })
        .unwrap();
}

#[test]
fn a_recorded_run_is_repeated_with_what_changed_and_shares_the_residents() {
    let mut graph = cache();
    let resident = Resident {
        input: "cache".into(),
        output: "cache_out".into(),
        element: ElementType::F32,
        shape: vec![4, 3],
    };
    graph.keep(std::slice::from_ref(&resident)).unwrap();
    let sums = |graph: &mut OrtGraph, id: usize, changed: &[(&str, View<'_>)]| {
        let mut sums = Vec::new();
        graph
            .replay(id, changed, &mut |found| {
                assert_eq!(found[0].shape, [3]);
                sums = found[0].f32().to_vec();
            })
            .map(|()| sums)
    };
    assert!(sums(&mut graph, 1, &[]).is_err(), "nothing is recorded");
    let (one, two) = ([1i64, 1], [2i64, 1]);
    let (first, rows) = ([0i64, 1], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let output = [("sum", View::new(&[3], &[0.0f32; 3]))];
    let places = ("places", View::new(&one, &first[..1]));
    let row = ("rows", View::new(&[1, 3], &rows[..3]));
    graph.record(1, &[places, row], &[], &output).unwrap();
    let places = ("places", View::new(&two, &first));
    let both = ("rows", View::new(&[2, 3], &rows));
    graph
        .record(2, &[places, both], &["places"], &output)
        .unwrap();
    assert_eq!(sums(&mut graph, 2, &[]).unwrap(), [5.0, 7.0, 9.0]);
    // Another row goes to another place of the same cache; what did not change is as it was.
    let third = [2i64];
    let places = ("places", View::new(&one, &third));
    assert_eq!(sums(&mut graph, 1, &[places]).unwrap(), [6.0, 9.0, 12.0]);
    let row = ("rows", View::new(&[1, 3], &[0.0f32; 3]));
    assert_eq!(sums(&mut graph, 1, &[row]).unwrap(), [5.0, 7.0, 9.0]);
    // An ordinary run between two of them sees the same cache.
    let found = add(&mut graph, 3, [1.0, 1.0, 1.0], &[]);
    assert_eq!(found, [[6.0, 8.0, 10.0]]);
    assert_eq!(sums(&mut graph, 1, &[]).unwrap(), [6.0, 8.0, 10.0]);

    let other = ("rows", View::new(&[2, 3], &rows));
    assert!(sums(&mut graph, 1, &[other]).is_err(), "another shape");
    let places = ("places", View::new(&two, &first));
    assert!(sums(&mut graph, 2, &[places]).is_err(), "on the host");
    // A new cache forgets them.
    graph.keep(&[resident]).unwrap();
    assert!(sums(&mut graph, 1, &[]).is_err());
}

#[test]
fn a_resident_tensor_that_the_graph_does_not_have_is_an_error() {
    let mut graph = cache();
    let mut resident = Resident {
        input: "cash".into(),
        output: "cache_out".into(),
        element: ElementType::F32,
        shape: vec![2, 3],
    };
    assert!(graph.keep(&[resident.clone()]).is_err());
    resident.shape = vec![i64::MAX, 3];
    assert!(graph.keep(&[resident]).is_err());
}

#[test]
fn tensors_of_every_type_go_in_and_come_out() {
    let mut g = Graph::new("types", DType::F32, "none");
    let any = [Dim::Free("n")];
    let types = [
        ("f32", DType::F32),
        ("bf16", DType::Bf16),
        ("i64", DType::I64),
        ("i32", DType::I32),
        ("u8", DType::U8),
    ];
    for (name, dtype) in types {
        let input = g.input(name, dtype, &any);
        let wide = g.cast(input, DType::F32);
        let one = g.scalar(1.0);
        let sum = g.node("Add", &[wide, one]).one();
        let sum = g.cast(sum, dtype);
        g.output(&format!("{name}_out"), sum, dtype, &any);
    }
    let mut graph = load(g, &[]);
    let halves = [bf16::from_f32(1.0), bf16::from_f32(2.0)];
    let inputs = [
        ("f32", View::new(&[2], &[1.0f32, 2.0])),
        ("bf16", View::new(&[2], &halves)),
        ("i64", View::new(&[2], &[1i64, 2])),
        ("i32", View::new(&[2], &[1i32, 2])),
        ("u8", View::new(&[2], &[1u8, 2])),
    ];
    let more = [bf16::from_f32(2.0), bf16::from_f32(3.0)];
    graph
        .run(&inputs, &[], &mut |found| {
            let found: Vec<Data<'_>> = found.iter().map(|v| v.data).collect();
            assert_eq!(
                found,
                [
                    Data::F32(&[2.0, 3.0]),
                    Data::Bf16(&more),
                    Data::I64(&[2, 3]),
                    Data::I32(&[2, 3]),
                    Data::U8(&[2, 3]),
                ]
            );
        })
        .unwrap();
}

#[test]
fn the_runtime_says_where_each_node_runs() {
    let graph = cache();
    let nodes = graph.assigned().unwrap();
    let scatter: Vec<_> = nodes.iter().filter(|n| n.operator == "ScatterND").collect();
    assert_eq!(scatter.len(), 1, "{nodes:?}");
    assert_eq!(scatter[0].provider, "CPUExecutionProvider");
    // On a device all that computes would have to be there.
    let strays = graph.strays().unwrap();
    let operators: Vec<&str> = strays.iter().map(|n| &*n.operator).collect();
    assert!(
        operators.contains(&"ScatterND") && !operators.contains(&"Shape"),
        "{operators:?}"
    );
}
