//! A checkpoint becomes a pack: whole, the same each time, or not at all.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use dropleaf::import::{ImportError, Imported, Options, import};
use dropleaf::pack::{DEEPSEEK_OCR, Pack, Storage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

const WEIGHTS: &str = "model-00001-of-000001.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Keys that the published `config.json` leaves to the defaults of its configuration class.
const DEFAULTED: [&str; 8] = [
    "rms_norm_eps",
    "rope_theta",
    "hidden_act",
    "scoring_func",
    "norm_topk_prob",
    "routed_scaling_factor",
    "attention_bias",
    "moe_layer_freq",
];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A copy of the small checkpoint that a test spoils, and an empty place for packs.
struct Trial {
    dir: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("checkpoint");
        fs::create_dir(&to).unwrap();
        for name in ["config.json", "tokenizer.json", WEIGHTS, INDEX] {
            fs::copy(example("tiny-deepseek-ocr").join(name), to.join(name)).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("checkpoint").join(name)
    }

    fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.json(name);
        change(&mut value);
        fs::write(self.path(name), value.to_string()).unwrap();
    }

    /// Writes the tensors anew, as `change` leaves them, in one file without an index.
    fn tensors(&self, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
        let mut tensors = read(&self.path(WEIGHTS));
        change(&mut tensors);
        write(&self.path(WEIGHTS), &tensors);
        fs::remove_file(self.path(INDEX)).unwrap();
    }

    fn import(&self, storage: Storage) -> Result<Imported, ImportError> {
        self.named("m", storage)
    }

    fn named(&self, name: &str, storage: Storage) -> Result<Imported, ImportError> {
        let options = Options {
            name: Some(name.into()),
            storage,
            licence: None,
            replace: false,
        };
        import(
            &self.dir.path().join("checkpoint"),
            &self.models(),
            &options,
            &mut |_, _| ControlFlow::Continue(()),
        )
    }

    /// The error of an import, which must name `file` and say `words`, and leave nothing.
    fn refused(&self, file: &str, words: &str) {
        let e = self.import(Storage::Bf16).expect_err(words);
        let text = e.to_string();
        assert!(text.contains(file), "{file} is not named: {text}");
        assert!(text.contains(words), "\"{words}\" is not said: {text}");
        assert!(e.hint().is_some_and(|h| !h.is_empty()), "{text}");
        assert!(!self.models().exists(), "something was written: {text}");
    }
}

#[derive(Clone)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn read(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = fs::read(path).unwrap();
    SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| {
            let tensor = Tensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name.to_owned(), tensor)
        })
        .collect()
}

fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let views = tensors.iter().map(|(name, t)| {
        (
            name,
            TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn digest(imported: &Imported) -> String {
    let pack = Pack::open(&imported.path, DEEPSEEK_OCR).unwrap();
    pack.verify().unwrap();
    pack.digest()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_pack_holds_what_its_manifest_says() {
    for (name, tensors) in [("tiny-deepseek-ocr", 180), ("tiny-reader", 214)] {
        let dir = tempfile::tempdir().unwrap();
        for (storage, forms) in [
            (Storage::Bf16, &["cpu", "cuda"][..]),
            (Storage::F32, &["cpu"]),
        ] {
            let options = Options {
                name: Some(format!("{storage:?}")),
                storage,
                licence: None,
                replace: false,
            };
            let (mut last, mut total) = (0, 0);
            let imported = import(&example(name), dir.path(), &options, &mut |done, all| {
                assert!(done >= last && done <= all);
                (last, total) = (done, all);
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!((last, total), (imported.bytes, imported.bytes));
            assert_eq!(imported.tensors, tensors);
            let pack = Pack::open(&imported.path, DEEPSEEK_OCR).unwrap();
            pack.verify().unwrap();
            assert_eq!(pack.licence, "not stated by the checkpoint");
            let mut expected = vec!["pack.toml", "positions.safetensors", "tokenizer.json"]
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            expected.push("weights.bin".into());
            for form in forms {
                expected.push(format!("vision.{form}.onnx"));
                expected.push(format!("decoder.{form}.onnx"));
            }
            if storage == Storage::Bf16 {
                expected.push("decoder.cuda8.onnx".into());
            }
            expected.sort();
            assert_eq!(names(&imported.path), expected);
            for role in [
                "vision_cpu",
                "decoder_cpu",
                "weights",
                "positions",
                "tokenizer",
            ] {
                assert!(pack.file(role).unwrap().is_file());
            }
            for role in ["decoder_cuda", "decoder_cuda8"] {
                assert_eq!(pack.file(role).is_ok(), storage == Storage::Bf16, "{role}");
            }
            let g = pack.deepseek.unwrap();
            assert_eq!(g.dtype, storage);
            assert_eq!((g.bos, g.eos, g.block_tokens), (0, 1, 256));
            assert_eq!((g.base_side, g.tile_side, g.view_stride), (1024, 640, 64));
            if name == "tiny-reader" {
                assert_eq!((g.hidden, g.layers, g.heads, g.head_dim), (192, 4, 3, 64));
                assert_eq!((g.experts, g.experts_per_token, g.vocabulary), (8, 3, 1344));
                assert_eq!(
                    (g.sam_width, g.sam_global_layers, g.sam_head_dim),
                    (128, 2, 64)
                );
                assert_eq!(g.clip_width, 192);
            }
        }
    }
}

#[test]
fn the_same_checkpoint_gives_the_same_pack_however_it_is_written() {
    let plain = Trial::new();
    let expected = digest(&plain.import(Storage::Bf16).unwrap());
    let wide = digest(&plain.named("wide", Storage::F32).unwrap());
    assert_ne!(expected, wide);

    let defaulted = Trial::new();
    defaulted.change("config.json", |c| {
        for key in DEFAULTED {
            for at in ["/language_config", ""] {
                let table = c.pointer_mut(at).unwrap().as_object_mut().unwrap();
                assert!(table.shift_remove(key).is_some(), "{key}");
            }
        }
    });
    assert_eq!(digest(&defaulted.import(Storage::Bf16).unwrap()), expected);

    // In three shards, and as 32-bit floats.
    let sharded = Trial::new();
    let tensors = read(&sharded.path(WEIGHTS));
    fs::remove_file(sharded.path(WEIGHTS)).unwrap();
    let mut shards = vec![BTreeMap::new(); 3];
    let mut map = serde_json::Map::new();
    for (i, (name, mut tensor)) in tensors.into_iter().enumerate() {
        let wide = |b: &[u8]| {
            half::bf16::from_le_bytes([b[0], b[1]])
                .to_f32()
                .to_le_bytes()
        };
        tensor.bytes = tensor.bytes.chunks(2).flat_map(wide).collect();
        tensor.dtype = Dtype::F32;
        map.insert(name.clone(), format!("part-{}.safetensors", i % 3).into());
        shards[i % 3].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        write(&sharded.path(&format!("part-{i}.safetensors")), shard);
    }
    fs::write(
        sharded.path(INDEX),
        json!({ "metadata": {}, "weight_map": map }).to_string(),
    )
    .unwrap();
    assert_eq!(digest(&sharded.import(Storage::Bf16).unwrap()), expected);
    assert_eq!(digest(&sharded.named("wide", Storage::F32).unwrap()), wide);
}

#[test]
fn the_licence_is_the_users_word_or_the_folders_or_not_stated() {
    let trial = Trial::new();
    fs::write(trial.path("LICENSE"), "\n  MIT License \n\nCopyright\n").unwrap();
    let imported = trial.import(Storage::F32).unwrap();
    let licence = |i: &Imported| Pack::open(&i.path, DEEPSEEK_OCR).unwrap().licence;
    assert_eq!(licence(&imported), "MIT License");
    let options = Options {
        name: Some("m".into()),
        storage: Storage::F32,
        licence: Some("ours".into()),
        replace: true,
    };
    let checkpoint = trial.dir.path().join("checkpoint");
    let imported = import(&checkpoint, &trial.models(), &options, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(licence(&imported), "ours");
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let names: Vec<String> = read(&example("tiny-deepseek-ocr").join(WEIGHTS))
        .into_keys()
        .collect();
    // Every one of them is needed. (A stack of layers loses a layer only with all its tensors.)
    for name in &names {
        let trial = Trial::new();
        trial.tensors(|t| {
            t.remove(name).unwrap();
        });
        trial.refused("checkpoint", &format!("\"{name}\""));
    }
    // Patches of one pixel: position tables of gigabytes.
    let trial = Trial::new();
    trial.tensors(|t| {
        let patch = t
            .get_mut("model.sam_model.patch_embed.proj.weight")
            .unwrap();
        let bytes = patch.shape[0] * patch.shape[1] * 2;
        patch.shape.truncate(2);
        patch.shape.extend([1, 1]);
        patch.bytes.truncate(bytes);
    });
    trial.refused("checkpoint", "sam_patch must be 8 to 64");
    let trial = Trial::new();
    trial.tensors(|t| {
        let extra = t["model.norm.weight"].clone();
        t.insert("model.layers.1.self_attn.q_norm.weight".into(), extra);
    });
    trial.refused(
        "checkpoint",
        "no use for 1 of its tensors: model.layers.1.self_attn.q_norm",
    );
    for name in [
        "lm_head.weight",
        "model.layers.2.mlp.experts.7.up_proj.weight",
        "model.sam_model.blocks.1.attn.rel_pos_w",
        "model.vision_model.embeddings.patch_embedding.weight",
        "model.image_newline",
    ] {
        let trial = Trial::new();
        trial.tensors(|t| t.get_mut(name).unwrap().shape.insert(0, 1));
        trial.refused(
            WEIGHTS,
            &format!("the tensor \"{name}\" has the shape [1, "),
        );
    }
}

#[test]
fn a_config_that_contradicts_the_tensors_is_refused() {
    let cases: [(&str, &[&str], Value); 8] = [
        ("num_hidden_layers is 4", &["num_hidden_layers"], 4.into()),
        ("num_hidden_layers is 2", &["num_hidden_layers"], 2.into()),
        ("[8, 64]", &["n_routed_experts"], 7.into()),
        (
            "mlp.experts.0.gate_proj",
            &["moe_intermediate_size"],
            32.into(),
        ),
        ("mlp.gate_proj", &["first_k_dense_replace"], 2.into()),
        ("shared_experts", &["n_shared_experts"], 1.into()),
        ("embed_tokens", &["vocab_size"], 449.into()),
        ("its token", &["vocab_size"], 300.into()),
    ];
    for (words, path, value) in cases {
        let trial = Trial::new();
        trial.change("config.json", |c| {
            for key in path {
                c["language_config"][*key] = value.clone();
                c[*key] = value.clone();
            }
        });
        trial.refused("checkpoint", words);
    }
    let trial = Trial::new();
    trial.change("config.json", |c| {
        c["vision_config"]["width"]["sam_vit_b"]["layers"] = 5.into();
    });
    trial.refused("config.json", "sam_vit_b.layers is 5");
}

#[test]
fn hostile_configs_are_refused() {
    let set = |key: &'static str, value: Value| {
        move |c: &mut Value| {
            c["language_config"][key] = value.clone();
            c[key] = value.clone();
        }
    };
    for (key, value) in [
        ("num_hidden_layers", json!(100_000)),
        ("num_hidden_layers", json!(-1)),
        ("hidden_size", json!(64.5)),
        ("vocab_size", json!(1e300)),
        ("tie_word_embeddings", json!(true)),
        ("scoring_func", json!("sigmoid")),
        ("topk_method", json!("noaux_tc")),
        ("use_mla", json!(true)),
        ("attention_bias", json!(true)),
        ("hidden_act", json!("relu")),
    ] {
        let trial = Trial::new();
        trial.change("config.json", set(key, value));
        trial.refused("config.json", key);
    }
    let trial = Trial::new();
    let text = trial.json("config.json").to_string();
    let nan = text.replace("\"rms_norm_eps\":1e-6", "\"rms_norm_eps\":NaN");
    assert_ne!(nan, text);
    fs::write(trial.path("config.json"), nan).unwrap();
    trial.refused("config.json", "not JSON");
    // Larger than any config, but sparse.
    let file = fs::File::create(trial.path("config.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    trial.refused("config.json", "more than");
    fs::remove_file(trial.path("config.json")).unwrap();
    trial.refused("config.json", "No such file");
}

#[test]
fn damaged_weights_are_refused() {
    let trial = Trial::new();
    let whole = fs::read(trial.path(WEIGHTS)).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for length in [0, 5, 8, 100, header, header + 1, whole.len() - 1] {
        fs::write(trial.path(WEIGHTS), &whole[..length]).unwrap();
        trial.refused(WEIGHTS, if length < 8 { "too short" } else { "cut off" });
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(trial.path(WEIGHTS), &longer).unwrap();
    trial.refused(WEIGHTS, "too long");

    // A header of 2 GB, in a file that has them.
    let mut claim = (2u64 << 30).to_le_bytes().to_vec();
    claim.extend_from_slice(&whole[8..]);
    fs::write(trial.path(WEIGHTS), claim).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(trial.path(WEIGHTS))
        .unwrap();
    file.set_len(3 << 30).unwrap();
    trial.refused(WEIGHTS, "claims 2147483648 bytes");

    // Two tensors over the same bytes, and one beyond the end.
    let text = String::from_utf8(whole[8..header].to_vec()).unwrap();
    let table: Value = serde_json::from_str(text.trim()).unwrap();
    let (name, other) = ("model.view_seperator", "model.image_newline");
    for offsets in [
        table[other]["data_offsets"].clone(),
        json!([1u64 << 60, (1u64 << 60) + 128]),
    ] {
        let mut table = table.clone();
        table[name]["data_offsets"] = offsets;
        let text = table.to_string();
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&whole[header..]);
        fs::write(trial.path(WEIGHTS), bytes).unwrap();
        trial.refused(WEIGHTS, "header is not of a safetensors file");
    }
    fs::remove_file(trial.path(WEIGHTS)).unwrap();
    trial.refused(WEIGHTS, "No such file");
    fs::remove_file(trial.path(INDEX)).unwrap();
    trial.refused("checkpoint", "no *.safetensors file");
}

#[test]
fn hostile_shard_indexes_are_refused() {
    let outside = "../outside.safetensors";
    for bad in [
        outside,
        "/etc/passwd.safetensors",
        "sub/a.safetensors",
        "..",
        ".hidden.safetensors",
        "weights.bin",
        "a\\b.safetensors",
    ] {
        let trial = Trial::new();
        fs::copy(
            trial.path(WEIGHTS),
            trial.dir.path().join("outside.safetensors"),
        )
        .unwrap();
        trial.change(INDEX, |i| i["weight_map"]["lm_head.weight"] = bad.into());
        trial.refused(INDEX, "not the plain name");
    }
    let trial = Trial::new();
    trial.change(INDEX, |i| {
        i["weight_map"]
            .as_object_mut()
            .unwrap()
            .shift_remove("lm_head.weight");
    });
    trial.refused(INDEX, "does not list the tensor \"lm_head.weight\"");
    let trial = Trial::new();
    trial.change(INDEX, |i| i["weight_map"]["lm_head.bias"] = WEIGHTS.into());
    trial.refused(INDEX, "\"lm_head.bias\"");
    let trial = Trial::new();
    trial.change(INDEX, |i| {
        for n in 0..2000 {
            i["weight_map"][format!("x{n}")] = format!("{n}.safetensors").into();
        }
    });
    trial.refused(INDEX, "more than 1000 files");
    let trial = Trial::new();
    fs::write(trial.path(INDEX), "{\"weight_map\": [").unwrap();
    trial.refused(INDEX, "not an index");

    // One tensor in two shards: neither is taken.
    let trial = Trial::new();
    fs::copy(trial.path(WEIGHTS), trial.path("again.safetensors")).unwrap();
    trial.change(INDEX, |i| {
        i["weight_map"]["lm_head.weight"] = "again.safetensors".into()
    });
    trial.refused("again.safetensors", "is in ");
    fs::remove_file(trial.path(INDEX)).unwrap();
    trial.refused("again.safetensors", "is in ");
}

#[test]
fn a_tokenizer_that_is_absent_or_of_another_model_is_refused() {
    let trial = Trial::new();
    let text = fs::read_to_string(trial.path("tokenizer.json")).unwrap();
    fs::write(
        trial.path("tokenizer.json"),
        text.replace("<image>", "<imagf>"),
    )
    .unwrap();
    trial.refused("tokenizer.json", "no token <image>");
    fs::write(trial.path("tokenizer.json"), &text[..text.len() / 2]).unwrap();
    trial.refused("tokenizer.json", "not a tokenizer");
    fs::remove_file(trial.path("tokenizer.json")).unwrap();
    trial.refused("tokenizer.json", "No such file");
}

#[test]
fn an_import_that_is_stopped_leaves_nothing() {
    let trial = Trial::new();
    let options = Options {
        name: Some("m".into()),
        storage: Storage::Bf16,
        licence: None,
        replace: false,
    };
    let checkpoint = trial.dir.path().join("checkpoint");
    let ended = import(&checkpoint, &trial.models(), &options, &mut |done, all| {
        if done < all / 2 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert!(matches!(ended, Err(ImportError::Cancelled)));
    assert!(names(&trial.models()).is_empty());
}

/// Runs the program's `model` command; a crash where `crash_at` says.
fn run(data: &Path, arguments: &[&str], crash_at: Option<u64>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropleaf"));
    command
        .arg("model")
        .args(arguments)
        .env_clear()
        .env("HOME", data)
        .env("DROPLEAF_DATA", data);
    if let Some(k) = crash_at {
        command.env("DROPLEAF_CRASH_AT", k.to_string());
    }
    let ran = command.output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    (
        ran.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn the_command_says_what_to_do_and_lists_what_is_there() {
    let trial = Trial::new();
    let data = trial.dir.path();
    let checkpoint = trial.dir.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    let (code, text) = run(data, &["list"], None);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("no model pack"), "{text}");
    let (code, text) = run(data, &["import", checkpoint, "--dtype", "f32"], None);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("180 tensors"), "{text}");
    let (code, text) = run(data, &["list"], None);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("checkpoint  deepseek-ocr  f32"), "{text}");
    let (code, text) = run(data, &["import", checkpoint], None);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--force"), "{text}");
    let (code, text) = run(data, &["import", checkpoint, "--name", "../x"], None);
    assert_eq!(code, Some(78), "{text}");
    fs::write(trial.path("config.json"), "{}").unwrap();
    let (code, text) = run(data, &["import", checkpoint, "--force"], None);
    assert_eq!(code, Some(78), "{text}");
    assert!(
        text.contains("config.json: ") && text.contains("hint: "),
        "{text}"
    );
    // What was there is untouched by the one that failed.
    Pack::open(&data.join("models/checkpoint"), DEEPSEEK_OCR)
        .unwrap()
        .verify()
        .unwrap();
    fs::write(data.join("models/checkpoint/pack.toml"), "schema = 1").unwrap();
    let (code, text) = run(data, &["list"], None);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("FAULT"), "{text}");
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_pack_or_none_and_the_next_import_cleans_up() {
    let trial = Trial::new();
    let checkpoint = trial.dir.path().join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    let import = |data: &Path, force: bool, crash_at| {
        let mut arguments = vec!["import", checkpoint, "--name", "m"];
        arguments.extend(force.then_some("--force"));
        run(data, &arguments, crash_at)
    };
    for force in [false, true] {
        let mut crashes = 0;
        for k in 1.. {
            let data = tempfile::tempdir().unwrap();
            let (models, pack) = (data.path().join("models"), data.path().join("models/m"));
            let whole = || Pack::open(&pack, DEEPSEEK_OCR).unwrap().verify().unwrap();
            if force {
                assert_eq!(import(data.path(), false, None).0, Some(0));
            }
            let (code, text) = import(data.path(), force, Some(k));
            if code == Some(0) {
                break;
            }
            assert_eq!(code, None, "no crash at {k}: {text}");
            crashes += 1;
            if force || pack.exists() {
                whole();
            }
            let (code, text) = import(data.path(), true, None);
            assert_eq!(code, Some(0), "{k}: {text}");
            whole();
            assert_eq!(names(&models), ["m"], "after a crash at {k}");
        }
        assert!(crashes > 10, "only {crashes} points were tried");
    }
}
